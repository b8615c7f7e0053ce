//! Why an image is not built, pushed or deleted.

use super::build_dir::BuildDirError;
use super::registry::error::RegistryError;
use super::source::error::SourceError;
use crate::http::error::Error as HttpError;
use crate::lines::each;
use crate::process;
use thinkube_plan::{Diagnostic, ErrorKind, Hint, Untrusted};

/// Why an image step failed. No message holds a secret.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The plan's step cannot be carried out.
    #[error("{}: {}", Untrusted(.what), Untrusted(.message))]
    Invalid {
        /// The step.
        what: String,
        /// What is wrong and what is expected.
        message: String,
    },
    /// The step needs a permission that is not granted.
    #[error("{}: the permission to {} is not granted", Untrusted(.what), Untrusted(.needed))]
    NotGranted {
        /// The step.
        what: String,
        /// The permission.
        needed: String,
    },
    /// The builder failed.
    #[error("{} cannot be built:{}", Untrusted(.what), each(lines))]
    Build {
        /// The step.
        what: String,
        /// The last lines of the builder's output.
        lines: Vec<String>,
    },
    /// The image was built but not pushed.
    #[error("{} cannot be pushed:{}", Untrusted(.destination), each(lines))]
    Push {
        /// REGISTRY/REPOSITORY:TAG.
        destination: String,
        /// The last lines of the builder's output.
        lines: Vec<String>,
    },
    /// The source cannot be built from.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// The registry does not do what a step needs.
    #[error(transparent)]
    Registry(#[from] RegistryError),
    /// The build directory cannot be used.
    #[error(transparent)]
    BuildDir(#[from] BuildDirError),
    /// There is no response from the registry.
    #[error(transparent)]
    Http(#[from] HttpError),
    /// A program did not run to its end.
    #[error(transparent)]
    Program(#[from] process::Error),
}

impl Diagnostic for Error {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::Invalid { .. } => ErrorKind::InvalidPlan,
            Self::NotGranted { .. } => ErrorKind::NotGranted,
            Self::Build { .. } => ErrorKind::ImageBuild,
            Self::Push { .. } => ErrorKind::ImagePush,
            Self::Source(error) => error.kind(),
            Self::Registry(error) => error.kind(),
            Self::BuildDir(error) => error.kind(),
            Self::Http(error) => error.kind(),
            Self::Program(error) => error.kind(),
        }
    }

    fn hint(&self) -> Option<Hint> {
        match self {
            Self::NotGranted { .. } => Some(Hint::Grant),
            Self::Source(error) => error.hint(),
            Self::Registry(error) => error.hint(),
            Self::BuildDir(error) => error.hint(),
            Self::Http(error) => error.hint(),
            Self::Program(error) => error.hint(),
            Self::Invalid { .. } | Self::Build { .. } | Self::Push { .. } => None,
        }
    }
}
