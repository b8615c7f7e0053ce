//! The error of the crate, and one error enum for each room.
//!
//! The enums are here and not in their rooms, because a room may return the error of another one, and imports point down.

pub(crate) mod api;
pub(crate) mod apply;
pub(crate) mod delete;
pub(crate) mod diff;
pub(crate) mod pod_files;
pub(crate) mod probe;
pub(crate) mod readiness;
pub(crate) mod release;

use crate::error::api::ApiError;
use crate::error::apply::ApplyError;
use crate::error::delete::DeleteError;
use crate::error::diff::DiffError;
use crate::error::pod_files::PodFilesError;
use crate::error::probe::ProbeError;
use crate::error::readiness::ReadinessError;
use crate::error::release::ReleaseError;
use std::fmt;
use thinkube_plan::{Diagnostic, ErrorKind, Hint};

/// Why the cluster did not do what was asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A request to the API server failed.
    #[error(transparent)]
    Api(#[from] ApiError),
    /// The release cannot be read, changed or found.
    #[error(transparent)]
    Release(#[from] ReleaseError),
    /// The plan cannot be applied to this cluster.
    #[error(transparent)]
    Diff(#[from] DiffError),
    /// The server refuses an object.
    #[error(transparent)]
    Apply(#[from] ApplyError),
    /// Objects are not ready.
    #[error(transparent)]
    Readiness(#[from] ReadinessError),
    /// Objects are not deleted.
    #[error(transparent)]
    Delete(#[from] DeleteError),
    /// A file in a container cannot be read or written.
    #[error(transparent)]
    PodFiles(#[from] PodFilesError),
    /// A check cannot be carried out.
    #[error(transparent)]
    Probe(#[from] ProbeError),
    /// The files of a step cannot be removed from the pods.
    #[error("cannot remove the pod files of step {step}: {source}")]
    PodFilesNotRemoved {
        /// The step.
        step: String,
        /// Why.
        source: Box<Error>,
    },
    /// Several errors at once.
    #[error(fmt = several)]
    Several(Vec<Error>),
}

impl Error {
    /// One error for many; the one itself if there is only one.
    pub(crate) fn several(mut errors: Vec<Self>) -> Result<(), Self> {
        match errors.len() {
            0 => Ok(()),
            1 => Err(errors.remove(0)),
            _ => Err(Self::Several(errors)),
        }
    }

    /// [`Error::PodFilesNotRemoved`], whose hint names a way out.
    pub(crate) fn not_removed(step: &str, error: Self) -> Self {
        Self::PodFilesNotRemoved { step: step.to_owned(), source: Box::new(error) }
    }

    /// Whether only one container is affected.
    pub(crate) fn is_of_container(&self) -> bool {
        matches!(self, Self::PodFiles(error) if error.is_of_container())
    }

    /// Whether only one container is affected, for good.
    pub(crate) fn is_permanent(&self) -> bool {
        matches!(self, Self::PodFiles(error) if error.is_permanent())
    }
}

impl Diagnostic for Error {
    /// Several errors of one kind have that kind.
    fn kind(&self) -> ErrorKind {
        match self {
            Self::Api(error) => error.kind(),
            Self::Release(error) => error.kind(),
            Self::Diff(error) => error.kind(),
            Self::Apply(error) => error.kind(),
            Self::Readiness(error) => error.kind(),
            Self::Delete(error) => error.kind(),
            Self::PodFiles(error) => error.kind(),
            Self::Probe(error) => error.kind(),
            Self::PodFilesNotRemoved { source, .. } => source.kind(),
            Self::Several(errors) => {
                let first = errors.first().map(Self::kind);
                let same = errors.iter().all(|error| Some(error.kind()) == first);
                first.filter(|_| same).unwrap_or(ErrorKind::Several)
            }
        }
    }

    /// The first hint of several errors.
    fn hint(&self) -> Option<Hint> {
        match self {
            Self::Api(error) => error.hint(),
            Self::Release(error) => error.hint(),
            Self::Diff(error) => error.hint(),
            Self::Apply(error) => error.hint(),
            Self::Readiness(error) => error.hint(),
            Self::Delete(error) => error.hint(),
            Self::PodFiles(error) => error.hint(),
            Self::Probe(error) => error.hint(),
            Self::PodFilesNotRemoved { step, .. } => Some(Hint::Orphan(format!("PodFiles/{step}"))),
            Self::Several(errors) => errors.iter().find_map(Self::hint),
        }
    }
}

fn several(errors: &[Error], f: &mut fmt::Formatter<'_>) -> fmt::Result {
    write!(f, "{} errors:", errors.len())?;
    for error in errors {
        write!(f, "\n- {}", error.to_string().replace('\n', "\n  "))?;
    }
    Ok(())
}
