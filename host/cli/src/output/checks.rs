//! Results of checks.

use crate::output::terminal::{BAD, CARE, GOOD};
use crate::output::text::{Text, line, styled, text, untrusted};
use thinkube_engine::CheckOutcome;
use thinkube_engine::model::{Severity, Status};

/// One result, without its line's end.
pub(crate) fn check(outcome: &CheckOutcome) -> Text {
    let (style, sign) = match (outcome.verdict.status, outcome.severity) {
        (Status::Passed, _) => (GOOD, '✓'),
        (_, Severity::Warning) => (CARE, '!'),
        (Status::Failed, Severity::Error) => (BAD, '✗'),
        (Status::Unknown, Severity::Error) => (BAD, '?'),
    };
    let mut text = text!("  {}", styled(style, untrusted(format!("{sign} {}", outcome.title))));
    if !outcome.passed() {
        text.push(&text!("\n      found:  {}", untrusted(&outcome.verdict.message)));
    }
    if let Some(remedy) = outcome.remedy() {
        text.push(&text!("\n      remedy: {}", untrusted(remedy)));
    }
    text
}

/// Every result, and how many passed.
pub(crate) fn checks(outcomes: &[CheckOutcome]) -> Text {
    let mut text = Text::default();
    for outcome in outcomes {
        line!(text, "{}", check(outcome));
    }
    line!(text, "  {}", count(outcomes, "checks"));
    text
}

/// `3 of 4 health checks passed`.
pub(crate) fn count(outcomes: &[CheckOutcome], what: &'static str) -> Text {
    let passed = outcomes.iter().filter(|outcome| outcome.passed()).count();
    text!("{} of {} {} passed", passed, outcomes.len(), what)
}
