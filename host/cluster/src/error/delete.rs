//! Why objects are not deleted.

use std::fmt;
use std::time::Duration;
use thinkube_plan::{Diagnostic, ErrorKind, Hint, ObjectRef};

/// Why objects are not deleted.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DeleteError {
    /// Objects still exist at the timeout.
    #[error(fmt = not_gone)]
    NotGone {
        /// How long the wait took.
        after: Duration,
        /// Each object with what blocks its deletion.
        objects: Vec<(ObjectRef, String)>,
    },
}

impl Diagnostic for DeleteError {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::NotGone { .. } => ErrorKind::NotGone,
        }
    }

    fn hint(&self) -> Option<Hint> {
        match self {
            Self::NotGone { .. } => {
                Some(Hint::Advice("the release's record is kept; run the same command again to go on".into()))
            }
        }
    }
}

fn not_gone(after: &Duration, objects: &[(ObjectRef, String)], f: &mut fmt::Formatter<'_>) -> fmt::Result {
    write!(f, "not deleted within {} s:", after.as_secs())?;
    for (object, reason) in objects {
        write!(f, "\n  {object}: {reason}")?;
    }
    Ok(())
}
