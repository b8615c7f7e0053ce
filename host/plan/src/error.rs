//! Why a text or a document of this crate cannot be read.

use crate::diagnostic::{Diagnostic, ErrorKind};

/// Why a text or a document of this crate cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The JSON value is not the document that was expected.
    #[error("this is not a valid {what}: {source}")]
    Malformed {
        /// The expected document, for example `grants file`.
        what: &'static str,
        /// The parser's message.
        #[source]
        source: serde_json::Error,
    },
    /// A digest is not `sha256:` and 64 hexadecimal digits.
    #[error("`{0}` is not a valid digest: expected `sha256:` and 64 hexadecimal digits")]
    Digest(String),
    /// A relative path is ambiguous or could leave its folder.
    #[error("{path:?} is not a valid relative path: {message}")]
    Path {
        /// The path, at most 200 characters of it.
        path: String,
        /// The rule that it breaks.
        message: &'static str,
    },
    /// A Python package is not pinned to one version.
    #[error("{0:?} is not a valid Python package: expected NAME==VERSION")]
    PythonPackage(String),
    /// An image name lacks its registry or its tag.
    #[error(
        "{0:?} is not a valid image destination: expected REGISTRY/REPOSITORY:TAG, the registry with a dot or a port"
    )]
    ImageName(String),
}

impl Diagnostic for Error {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::Malformed { .. }
            | Self::Digest(_)
            | Self::Path { .. }
            | Self::PythonPackage(_)
            | Self::ImageName(_) => ErrorKind::Input,
        }
    }
}
