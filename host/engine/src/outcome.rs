//! How a check ended, as the command line prints it.

use serde::Serialize;
use thinkube_cluster::{CopyState, SecretCopy};
use thinkube_plan::{Severity, Status, Verdict};

/// How a check ended.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct CheckOutcome {
    /// The check's name.
    pub name: String,
    /// What is true when the check passes.
    pub title: String,
    /// Passed, failed or unknown, and why.
    #[serde(flatten)]
    pub verdict: Verdict,
    /// Whether a failure is an error.
    pub severity: Severity,
    /// How often the check was tried.
    #[serde(rename = "looks")]
    pub attempts: u32,
    /// The remedy of the check's author, used where the verdict has no remedy.
    #[serde(skip)]
    pub(crate) suggestion: Option<String>,
}

impl CheckOutcome {
    /// Its name contains `/`, so it differs from every check of a plan: their names are DNS labels.
    pub(crate) fn of_copy(copied: SecretCopy) -> Self {
        let SecretCopy { copy, key, source, state } = copied;
        let key = key.map(|key| format!("/{key}")).unwrap_or_default();
        let (status, message) = match state {
            Ok(CopyState::Current) => (Status::Passed, "both have the same value".to_owned()),
            Ok(CopyState::Stale) => (Status::Failed, format!("{source} has another value")),
            Ok(CopyState::NoSource) => {
                (Status::Failed, format!("{source} does not exist or has no such key"))
            }
            Ok(CopyState::NoCopy) => (Status::Failed, format!("{copy} does not exist or has no such key")),
            Err(error) => (Status::Unknown, error.to_string()),
        };
        Self {
            name: format!("copy/{}/{}{key}", copy.namespace.as_deref().unwrap_or_default(), copy.name),
            title: format!("{copy} has the value of {source}"),
            verdict: Verdict { status, message, remedy: None },
            severity: Severity::Warning,
            attempts: 1,
            suggestion: Some("Apply the release again: `thinkube-host apply` copies the value.".to_owned()),
        }
    }

    /// Whether the check passed.
    pub fn passed(&self) -> bool {
        self.verdict.status == Status::Passed
    }

    /// What to do, if the check did not pass.
    pub fn remedy(&self) -> Option<&str> {
        self.verdict.remedy.as_deref().or(self.suggestion.as_deref()).filter(|_| !self.passed())
    }
}

/// The outcomes that are errors.
pub fn failed(outcomes: &[CheckOutcome]) -> Vec<CheckOutcome> {
    outcomes
        .iter()
        .filter(|outcome| !outcome.passed() && outcome.severity == Severity::Error)
        .cloned()
        .collect()
}
