//! Why a release cannot be read, changed or found.

use std::fmt;
use thinkube_plan::{Diagnostic, ErrorKind, Hint};

/// Why a release cannot be read, changed or found.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReleaseError {
    /// The name is not valid.
    #[error(
        "`{name}` is not a valid release name: a DNS label (RFC 1123) of at most {max} characters is expected"
    )]
    InvalidName {
        /// The name.
        name: String,
        /// The longest name, in characters.
        max: usize,
    },
    /// Another host holds the release's Lease.
    #[error("{holder} has been working on release {release} since {since}; nothing was changed")]
    Busy {
        /// The release.
        release: String,
        /// The holder of the Lease: `HOST/PID/RANDOM`.
        holder: String,
        /// When it acquired the Lease, RFC 3339.
        since: String,
    },
    /// No release has that name.
    #[error(fmt = no_release)]
    NoRelease {
        /// The name that was given.
        release: String,
        /// The namespace of the records.
        state_namespace: String,
        /// Names of releases, the nearest first.
        near: Vec<String>,
    },
    /// The release is not deployed, so no operation can begin.
    #[error("release {release} is {phase}; an operation needs a deployed release")]
    Unfinished {
        /// The release.
        release: String,
        /// Its phase: `failed`.
        phase: String,
    },
    /// The release's record cannot be read.
    #[error("cannot read {what} of the record of release {release}: {message}")]
    Corrupt {
        /// The release.
        release: String,
        /// The part of the record.
        what: String,
        /// What is wrong with it.
        message: String,
    },
}

impl Diagnostic for ReleaseError {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::InvalidName { .. } => ErrorKind::ReleaseName,
            Self::Busy { .. } => ErrorKind::Busy,
            Self::NoRelease { .. } => ErrorKind::NoRelease,
            Self::Unfinished { .. } => ErrorKind::Unfinished,
            Self::Corrupt { .. } => ErrorKind::Corrupt,
        }
    }

    fn hint(&self) -> Option<Hint> {
        match self {
            Self::Busy { .. } => Some(Hint::Advice(
                "wait for the other host; the Lease of one that died expires within a minute".into(),
            )),
            Self::Unfinished { .. } => Some(Hint::Advice("apply the release first".into())),
            Self::InvalidName { .. } | Self::NoRelease { .. } | Self::Corrupt { .. } => None,
        }
    }
}

fn no_release(
    release: &str,
    state_namespace: &str,
    near: &[String],
    f: &mut fmt::Formatter<'_>,
) -> fmt::Result {
    write!(f, "no release `{release}` in namespace {state_namespace}")?;
    if near.is_empty() {
        f.write_str("; the namespace has no releases")
    } else {
        write!(f, "; its releases are: {}", near.join(", "))
    }
}
