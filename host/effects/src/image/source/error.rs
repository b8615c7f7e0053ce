//! Why an image's source cannot be built from.

use crate::image::build_dir::BuildDirError;
use crate::lines::each;
use crate::process;
use std::path::PathBuf;
use thinkube_plan::{Diagnostic, ErrorKind, Hint, Untrusted};

/// Why a source cannot be resolved or fetched.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SourceError {
    /// git failed.
    #[error("{what} failed for {}:{}", Untrusted(.url), each(lines))]
    Git {
        /// The program and its task.
        what: &'static str,
        /// The repository.
        url: String,
        /// The last lines of the program's output.
        lines: Vec<String>,
    },
    /// The repository does not have the revision.
    #[error("{} has no tag or branch `{}`", Untrusted(.url), Untrusted(.revision))]
    NoRevision {
        /// The repository.
        url: String,
        /// The revision of the plan.
        revision: String,
    },
    /// A file or directory of the source cannot be used.
    #[error("the source of the image, {}: {}", Untrusted(.path), Untrusted(.message))]
    Path {
        /// The file or directory.
        path: String,
        /// What is wrong.
        message: String,
    },
    /// A source directory changed after it was hashed.
    #[error("{} changed after the preview; nothing was built", directory.display())]
    Changed {
        /// The directory.
        directory: PathBuf,
    },
    /// The build directory cannot be used.
    #[error(transparent)]
    BuildDir(#[from] BuildDirError),
    /// A program did not run to its end.
    #[error(transparent)]
    Program(#[from] process::Error),
}

impl Diagnostic for SourceError {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::Git { .. } => ErrorKind::Git,
            Self::NoRevision { .. } => ErrorKind::NoRevision,
            Self::Path { .. } => ErrorKind::ImageSource,
            Self::Changed { .. } => ErrorKind::ImageMoved,
            Self::BuildDir(error) => error.kind(),
            Self::Program(error) => error.kind(),
        }
    }

    fn hint(&self) -> Option<Hint> {
        let advice = match self {
            Self::NoRevision { .. } => "name a tag, a branch, or a commit by all of its digits",
            Self::Changed { .. } => "run the command again",
            Self::BuildDir(error) => return error.hint(),
            Self::Program(error) => return error.hint(),
            Self::Git { .. } | Self::Path { .. } => return None,
        };
        Some(Hint::Advice(advice.to_owned()))
    }
}
