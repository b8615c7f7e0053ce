//! Why a request to an external server was not sent, or got no response.

use std::time::Duration;
use thinkube_plan::{Diagnostic, ErrorKind, Hint, Untrusted};

/// Why there is no response. `what` names the step or check and its request as the plan writes it, without filled-in values.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The certificates of trusted authorities cannot be read.
    #[error("cannot read the trusted certificates: {message}")]
    Certificates {
        /// The file, and why.
        message: String,
    },
    /// The plan has a request that cannot be sent.
    #[error("{}: {}", Untrusted(.what), Untrusted(.message))]
    InvalidRequest {
        /// The step or check.
        what: String,
        /// What is wrong and what is expected.
        message: String,
    },
    /// The origin is not granted.
    #[error("{}: connecting to {} is not granted; nothing was sent", Untrusted(.what), Untrusted(.origin))]
    NotGranted {
        /// The step or check.
        what: String,
        /// The origin.
        origin: String,
    },
    /// DNS does not know the host name.
    #[error("{}: cannot resolve the host name in {}: {message}", Untrusted(.what), Untrusted(.origin))]
    NotResolved {
        /// The step or check, and the request.
        what: String,
        /// The origin.
        origin: String,
        /// What the resolver reports.
        message: String,
    },
    /// The server refused the connection.
    #[error("{}: nothing listens at {}", Untrusted(.what), Untrusted(.origin))]
    ConnectionRefused {
        /// The step or check, and the request.
        what: String,
        /// The origin.
        origin: String,
    },
    /// The connection failed or broke.
    #[error("{}: cannot reach {}: {}", Untrusted(.what), Untrusted(.origin), Untrusted(.message))]
    Unreachable {
        /// The step or check, and the request.
        what: String,
        /// The origin.
        origin: String,
        /// What the connection reports.
        message: String,
    },
    /// The server's certificate is not trusted.
    #[error("{}: the certificate of {} is not trusted: {reason}", Untrusted(.what), Untrusted(.origin))]
    NotTrusted {
        /// The step or check, and the request.
        what: String,
        /// The origin.
        origin: String,
        /// Why.
        reason: &'static str,
    },
    /// The response was not complete in time.
    #[error("{}: no response within {} s; the request may have been carried out", Untrusted(.what), after.as_secs())]
    TimedOut {
        /// The step or check, and the request.
        what: String,
        /// The limit.
        after: Duration,
    },
    /// The response exceeds the limit.
    #[error("{}: the response exceeds {} MiB", Untrusted(.what), limit >> 20)]
    TooLarge {
        /// The step or check, and the request.
        what: String,
        /// Bytes.
        limit: usize,
    },
}

impl Error {
    /// Whether the plan or its grants are the cause, so that no server was contacted.
    pub(crate) fn is_refused_here(&self) -> bool {
        match self {
            Self::NotGranted { .. } | Self::InvalidRequest { .. } => true,
            Self::Certificates { .. }
            | Self::NotResolved { .. }
            | Self::ConnectionRefused { .. }
            | Self::Unreachable { .. }
            | Self::NotTrusted { .. }
            | Self::TimedOut { .. }
            | Self::TooLarge { .. } => false,
        }
    }
}

impl Diagnostic for Error {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::Certificates { .. } => ErrorKind::Certificates,
            Self::InvalidRequest { .. } => ErrorKind::InvalidPlan,
            Self::NotGranted { .. } => ErrorKind::NotGranted,
            Self::NotResolved { .. } | Self::ConnectionRefused { .. } | Self::Unreachable { .. } => {
                ErrorKind::Unreachable
            }
            Self::NotTrusted { .. } => ErrorKind::NotTrusted,
            Self::TimedOut { .. } => ErrorKind::NoResponse,
            Self::TooLarge { .. } => ErrorKind::ResponseTooLarge,
        }
    }

    fn hint(&self) -> Option<Hint> {
        let advice = match self {
            Self::NotGranted { .. } => return Some(Hint::Grant),
            Self::NotResolved { .. } => "check the host name, and the DNS of this machine",
            Self::ConnectionRefused { .. } => "check that the server runs, and the port",
            Self::NotTrusted { .. } => {
                "renew the server's certificate; if the certificate authority is your own, add it to the system's \
                 authorities or to a CA file"
            }
            Self::Certificates { .. }
            | Self::InvalidRequest { .. }
            | Self::Unreachable { .. }
            | Self::TimedOut { .. }
            | Self::TooLarge { .. } => return None,
        };
        Some(Hint::Advice(advice.to_owned()))
    }
}
