//! Why a file in a container cannot be read or written.

use thinkube_plan::{Diagnostic, ErrorKind, Hint};

/// Why a file in a container cannot be read or written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PodFilesError {
    /// The container cannot run a shell.
    #[error("cannot run `sh` in {container}: {message}")]
    NoShell {
        /// The container and its pod.
        container: String,
        /// The node's message.
        message: String,
    },
    /// The node of the container, or the connection to it, does not answer.
    #[error("{container} does not answer: {message}")]
    NoAnswer {
        /// The container and its pod.
        container: String,
        /// The server's message.
        message: String,
    },
    /// A program in the container failed.
    #[error("{container}: {path}: {message}")]
    PodFile {
        /// The container and its pod.
        container: String,
        /// The file.
        path: String,
        /// The program's message.
        message: String,
    },
}

impl PodFilesError {
    /// Whether only this container is affected: RBAC and the server are not at fault.
    pub(crate) fn is_of_container(&self) -> bool {
        self.is_permanent() || matches!(self, Self::NoAnswer { .. })
    }

    /// Whether a later attempt in the same container fails too.
    pub(crate) fn is_permanent(&self) -> bool {
        matches!(self, Self::NoShell { .. } | Self::PodFile { .. })
    }
}

impl Diagnostic for PodFilesError {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::NoShell { .. } => ErrorKind::NoShell,
            Self::NoAnswer { .. } => ErrorKind::NoAnswer,
            Self::PodFile { .. } => ErrorKind::PodFile,
        }
    }

    fn hint(&self) -> Option<Hint> {
        match self {
            Self::NoShell { .. } => Some(Hint::Advice(
                "have the plugin name a container with `sh` and the usual programs of POSIX, or mount the files".into(),
            )),
            Self::NoAnswer { .. } => Some(Hint::Advice("run this again when the node answers".into())),
            Self::PodFile { .. } => None,
        }
    }
}
