//! Why a check cannot be carried out.

use thinkube_plan::{Diagnostic, ErrorKind};

/// Why a check cannot be carried out.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ProbeError {
    /// This host cannot do what the check asks for.
    #[error("{what}: this host cannot {cannot} yet")]
    Unsupported {
        /// The check.
        what: String,
        /// What the host cannot do.
        cannot: String,
    },
    /// The check is invalid.
    #[error("{what}: {message}")]
    Invalid {
        /// The check.
        what: String,
        /// What is wrong.
        message: String,
    },
}

impl Diagnostic for ProbeError {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::Unsupported { .. } => ErrorKind::Unsupported,
            Self::Invalid { .. } => ErrorKind::InvalidPlan,
        }
    }
}
