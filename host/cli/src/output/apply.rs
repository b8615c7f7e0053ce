//! The result of an apply and of an operation.

use crate::output::checks;
use crate::output::release::summary_json;
use crate::output::terminal::GOOD;
use crate::output::text::{Text, indented, line, styled, untrusted};
use serde_json::{Value, json};
use thinkube_engine::{Applied, Planned, Release};

pub(crate) fn applied(applied: &Applied) -> Text {
    let Release { name, revision, plan, digest, .. } = &applied.release;
    let mut text = Text::default();
    let done = if applied.changed { "applied:" } else { "no changes:" };
    line!(
        text,
        "{} {} is at revision {}, plan {}",
        styled(GOOD, done),
        untrusted(name),
        *revision,
        digest.clone()
    );
    text.push(&health_and_notes(applied, plan.plugin_plan.notes.as_deref()));
    text
}

pub(crate) fn applied_json(applied: &Applied) -> Value {
    json!({
        "changed": applied.changed,
        "release": summary_json(&applied.release),
        "health": applied.health,
        "notes": applied.release.plan.plugin_plan.notes,
    })
}

pub(crate) fn operated(operation: &str, planned: &Planned, done: &Applied) -> Text {
    let Release { name, revision, .. } = &done.release;
    let mut text = Text::default();
    let what = untrusted(format!("{operation} on {name}"));
    line!(text, "{} {}, which is at revision {}", styled(GOOD, "done:"), what, *revision);
    text.push(&health_and_notes(done, planned.plan.plugin_plan.notes.as_deref()));
    text
}

pub(crate) fn operated_json(operation: &str, planned: &Planned, done: &Applied) -> Value {
    json!({
        "operation": operation,
        "release": summary_json(&done.release),
        "health": done.health,
        "notes": planned.plan.plugin_plan.notes,
    })
}

fn health_and_notes(applied: &Applied, notes: Option<&str>) -> Text {
    let mut text = Text::default();
    if !applied.health.is_empty() {
        line!(text, "{}", checks::count(&applied.health, "health checks"));
    }
    if let Some(notes) = notes {
        line!(text, "\nnotes of the plugin:");
        text.push(&indented(notes.trim_end()));
    }
    text
}
