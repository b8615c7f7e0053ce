//! Why files of an operator's home directory cannot be read, compared or written.

use crate::lines::each;
use crate::process;
use std::io;
use std::path::PathBuf;
use thinkube_plan::{Diagnostic, ErrorKind, Hint, Untrusted, WorkstationFault};

/// Why a workstation plan is not applied, or not removed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The environment names no home directory.
    #[error("HOME is not an absolute path")]
    NoHome,
    /// The home directory belongs to another user.
    #[error("{} belongs to another user", path.display())]
    ForeignHome {
        /// The home directory.
        path: PathBuf,
    },
    /// An entry of the home directory cannot be read or written.
    #[error("{path}: {source}")]
    Io {
        /// The entry.
        path: String,
        /// What the system reports.
        source: io::Error,
    },
    /// Another host holds the lock.
    #[error("another thinkube-host is changing this home directory ({} is locked)", records.display())]
    Busy {
        /// The directory of the records.
        records: PathBuf,
    },
    /// A record cannot be read or written.
    #[error("the record {}: {source}", path.display())]
    RecordIo {
        /// Its file.
        path: PathBuf,
        /// What the system reports.
        source: io::Error,
    },
    /// A record has contents that no host of this version writes.
    #[error("the record {} is not valid: {}; nothing was changed", path.display(), Untrusted(.message))]
    RecordInvalid {
        /// Its file.
        path: PathBuf,
        /// What is wrong.
        message: String,
    },
    /// A release name is not a DNS label.
    #[error(
        "`{}` is not a valid release name: expected a DNS label (RFC 1123), a-z, 0-9 and `-`, at most 63 characters",
        Untrusted(.0)
    )]
    ReleaseName(String),
    /// The plan holds entries that are hostile, wrong or not granted.
    #[error("the workstation plan may not be applied, and nothing was changed:{}", each(.0))]
    InvalidPlan(Vec<WorkstationFault>),
    /// The home directory differs from the preview.
    #[error("the home directory changed after the preview ({}); nothing was changed", .0.join(", "))]
    Changed(Vec<String>),
    /// A path was named for overwriting that needs none.
    #[error("{path:?} needs no overwriting")]
    NothingToOverwrite {
        /// The path.
        path: String,
    },
    /// Python or pip failed.
    #[error("{what} failed for {}:{}", path.display(), each(lines))]
    Python {
        /// The program and its task.
        what: &'static str,
        /// The virtual environment.
        path: PathBuf,
        /// The last lines of the program's output.
        lines: Vec<String>,
    },
    /// A program did not run to its end.
    #[error(transparent)]
    Program(#[from] process::Error),
}

impl Diagnostic for Error {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::NoHome => ErrorKind::NoHome,
            Self::ForeignHome { .. } => ErrorKind::ForeignHome,
            Self::Io { .. } => ErrorKind::Workstation,
            Self::Busy { .. } => ErrorKind::WorkstationBusy,
            Self::RecordIo { .. } | Self::RecordInvalid { .. } => ErrorKind::WorkstationRecord,
            Self::ReleaseName(_) => ErrorKind::ReleaseName,
            Self::InvalidPlan(faults) if faults.iter().all(|fault| fault.denied) => ErrorKind::Denied,
            Self::InvalidPlan(_) => ErrorKind::InvalidWorkstationPlan,
            Self::Changed(_) => ErrorKind::WorkstationMoved,
            Self::NothingToOverwrite { .. } => ErrorKind::NothingToOverwrite,
            Self::Python { .. } => ErrorKind::Python,
            Self::Program(error) => error.kind(),
        }
    }

    fn hint(&self) -> Option<Hint> {
        let advice = match self {
            Self::NoHome => "set HOME to the home directory that the files belong in",
            Self::ForeignHome { .. } => "run the command as that user, so that the files belong to that user",
            Self::Busy { .. } => "wait until that command ends, then run this one again",
            Self::RecordInvalid { .. } => {
                "repair the record, or remove it: the files that it lists then belong to no release and stay"
            }
            Self::Changed(_) => "review the changes and run the command again",
            Self::NothingToOverwrite { .. } => {
                "name a file that was changed by hand or that this release did not write, relative to the home directory"
            }
            Self::InvalidPlan(faults) if faults.iter().any(|fault| fault.denied) => return Some(Hint::Grant),
            Self::Program(error) => return error.hint(),
            Self::Io { .. }
            | Self::RecordIo { .. }
            | Self::ReleaseName(_)
            | Self::InvalidPlan(_)
            | Self::Python { .. } => return None,
        };
        Some(Hint::Advice(advice.to_owned()))
    }
}
