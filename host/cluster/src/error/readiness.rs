//! Why a wait for readiness ended without success.

use std::fmt;
use std::time::Duration;
use thinkube_plan::{Diagnostic, ErrorKind, ObjectRef};

/// Why a wait for readiness ended without success.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReadinessError {
    /// Objects are not ready at the timeout, or one has failed for good.
    #[error(fmt = not_ready)]
    NotReady {
        /// The stage.
        stage: String,
        /// How long the wait took.
        after: Duration,
        /// Whether one has failed for good.
        failed: bool,
        /// Each object with its reasons, the most telling first.
        objects: Vec<(ObjectRef, Vec<String>)>,
    },
}

impl Diagnostic for ReadinessError {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::NotReady { .. } => ErrorKind::NotReady,
        }
    }
}

fn not_ready(
    stage: &str,
    after: &Duration,
    failed: &bool,
    objects: &[(ObjectRef, Vec<String>)],
    f: &mut fmt::Formatter<'_>,
) -> fmt::Result {
    let state = if *failed { "failed" } else { "is not ready" };
    write!(f, "stage {stage} {state} after {} s:", after.as_secs())?;
    for (object, reasons) in objects {
        write!(f, "\n  {object}")?;
        for (index, reason) in reasons.iter().enumerate() {
            if index == 0 { write!(f, ": {reason}")? } else { write!(f, "\n    {reason}")? }
        }
    }
    Ok(())
}
