//! Why a registry does not do what an image step needs.

use crate::http::error::Error as HttpError;
use crate::http::response::ResponseError;
use thinkube_plan::{Diagnostic, ErrorKind, Hint, Untrusted};

/// Why a registry refuses. `destination` is REGISTRY/REPOSITORY.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RegistryError {
    /// The push credentials are not for this registry.
    #[error("{}: the push credentials hold no login for {}", Untrusted(.what), Untrusted(.registry))]
    NoLogin {
        /// The step.
        what: String,
        /// The registry.
        registry: String,
    },
    /// 401 or 403.
    #[error(
        "{}: the registry does not let {} {action} {} ({status})", Untrusted(.what),
        if *login { "this login" } else { "an anonymous user" }, Untrusted(.destination)
    )]
    Refused {
        /// The step.
        what: String,
        /// REGISTRY/REPOSITORY.
        destination: String,
        /// The status.
        status: u16,
        /// `pull`, `push`, `delete` or `log in for`.
        action: &'static str,
        /// Whether credentials were sent.
        login: bool,
    },
    /// 404.
    #[error("{}: the registry does not accept the repository {} (404)", Untrusted(.what), Untrusted(.destination))]
    NoRepository {
        /// The step.
        what: String,
        /// REGISTRY/REPOSITORY.
        destination: String,
    },
    /// 405: OCI distribution specification, section "Deleting Manifests".
    #[error("{}: the registry does not delete images (405); {} stays", Untrusted(.what), Untrusted(.destination))]
    DeletionUnsupported {
        /// The step.
        what: String,
        /// REGISTRY/REPOSITORY.
        destination: String,
    },
    /// The registry names a token server without TLS.
    #[error(
        "{}: the token server of {}, {}, is not a valid https:// URL; nothing was sent",
        Untrusted(.what), Untrusted(.registry), Untrusted(.realm)
    )]
    InsecureTokenServer {
        /// The step.
        what: String,
        /// The registry.
        registry: String,
        /// The URL of the token server.
        realm: String,
    },
    /// The response is not a success.
    #[error(transparent)]
    Response(#[from] ResponseError),
    /// There is no response.
    #[error(transparent)]
    Http(#[from] HttpError),
}

impl Diagnostic for RegistryError {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::NoLogin { .. } => ErrorKind::RegistryLogin,
            Self::Refused { .. } | Self::NoRepository { .. } | Self::DeletionUnsupported { .. } => {
                ErrorKind::RegistryRefused
            }
            Self::InsecureTokenServer { .. } => ErrorKind::NotTrusted,
            Self::Response(error) => error.kind(),
            Self::Http(error) => error.kind(),
        }
    }

    fn hint(&self) -> Option<Hint> {
        let advice = match self {
            Self::NoLogin { registry, .. } => {
                return Some(Hint::Advice(format!(
                    "put a login for {} into the Secret, as `kubectl create secret docker-registry` does",
                    Untrusted(registry)
                )));
            }
            Self::Refused { login: true, .. } => {
                "check the Secret of the push credentials, and the rights of its user"
            }
            Self::Refused { login: false, .. } => "name push credentials",
            Self::NoRepository { .. } => "create the project in the registry, or check its name",
            Self::DeletionUnsupported { .. } => return Some(Hint::KeepImages),
            Self::InsecureTokenServer { .. } => "configure the registry to give tokens over HTTPS",
            Self::Response(error) => return error.hint(),
            Self::Http(error) => return error.hint(),
        };
        Some(Hint::Advice(advice.to_owned()))
    }
}
