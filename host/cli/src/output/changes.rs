//! Changes of a release: what an apply would do, or did, to each object, external resource, image and file.

use crate::output::terminal::{BAD, CARE, FAINT, GOOD};
use crate::output::text::{Text, line, styled, text, untrusted};
use anstyle::Style;
use serde_json::Value;
use std::collections::BTreeMap;
use thinkube_engine::model::{FieldChange, FieldEdit, Subject};
use thinkube_engine::{Action, Change, Preview};

/// Longer values are cut in text, in characters; JSON has all of them.
const MAX_VALUE: usize = 120;

fn mark(action: Action) -> (Style, char) {
    match action {
        Action::Create => (GOOD, '+'),
        Action::Update | Action::Restart => (CARE, '~'),
        Action::Recreate => (CARE, '±'),
        Action::Delete => (BAD, '-'),
        Action::Keep | Action::Unchanged => (FAINT, '='),
    }
}

/// What was done.
fn past(action: Action) -> &'static str {
    match action {
        Action::Create => "created",
        Action::Update => "updated",
        Action::Recreate => "recreated",
        Action::Restart => "restarted",
        Action::Delete => "deleted",
        Action::Keep => "kept",
        Action::Unchanged => "unchanged",
    }
}

/// What would be done.
fn future(action: Action) -> &'static str {
    match action {
        Action::Create => "to create",
        Action::Update => "to update",
        Action::Recreate => "to recreate",
        Action::Restart => "to restart",
        Action::Delete => "to delete",
        Action::Keep => "to keep",
        Action::Unchanged => "unchanged",
    }
}

/// Every change but the unchanged, and how many there are of each action.
pub(crate) fn preview(preview: &Preview) -> Text {
    let has_no_pod = |change: &&Change| change.pod_file().is_some_and(|file| file.pod.is_none());
    let (without_pod, changes): (Vec<_>, Vec<_>) = preview.changes.iter().partition(has_no_pod);
    let mut text = Text::default();
    let mut counts: BTreeMap<&'static str, usize> = BTreeMap::new();
    for change in changes {
        *counts.entry(future(change.action)).or_default() += 1;
        text.push(&planned(change));
    }
    for change in without_pod {
        let step = change.pod_file().map(|file| file.step.as_str()).unwrap_or_default();
        let note = change.note.as_deref().unwrap_or_default();
        line!(text, "  {}", styled(FAINT, untrusted(format!("= pod files {step}: {note}"))));
    }
    let counts: Vec<Text> = counts.into_iter().map(|(action, count)| text!("{} {}", count, action)).collect();
    match counts.is_empty() {
        true => line!(text, "  no changes"),
        false => line!(text, "  {}", Text::join(&counts, ", ")),
    }
    text
}

/// A change that would be made, with its fields.
fn planned(change: &Change) -> Text {
    let mut text = Text::default();
    if change.action == Action::Unchanged {
        return text;
    }
    let (style, sign) = mark(change.action);
    let note =
        change.note.as_ref().map(|note| styled(FAINT, untrusted(format!("  {note}")))).unwrap_or_default();
    line!(text, "  {}{}", styled(style, untrusted(format!("{sign} {}", change.subject))), note);
    if matches!(change.action, Action::Update | Action::Recreate) {
        for field in &change.fields {
            line!(text, "      {}", field_change(field));
        }
    }
    text
}

/// A change that was made.
pub(crate) fn done(change: &Change) -> Text {
    let (style, sign) = mark(change.action);
    let (title, done) = match (&change.subject, change.action) {
        (Subject::Image(image), action) => {
            let reference = image.reference.as_deref().unwrap_or(&image.destination);
            let done = match action {
                Action::Create => "built and pushed",
                Action::Update => "exists, tag moved",
                other => past(other),
            };
            (format!("image {} {reference}", image.name), done)
        }
        (subject, action) => (subject.to_string(), past(action)),
    };
    let note = change.note.as_ref().map(|note| untrusted(format!(": {note}"))).unwrap_or_default();
    text!("  {} {}{}", styled(style, untrusted(format!("{sign} {title}"))), done, note)
}

fn field_change(field: &FieldChange) -> Text {
    let path = &field.path;
    let (style, text) = match &field.change {
        FieldEdit::Add { after } => (GOOD, format!("+ {path}: {}", short(after))),
        FieldEdit::Remove { before } => (BAD, format!("- {path}: {}", short(before))),
        FieldEdit::Replace { before, after } => {
            (CARE, format!("~ {path}: {} → {}", short(before), short(after)))
        }
    };
    styled(style, untrusted(text))
}

fn short(value: &Value) -> String {
    let text = value.to_string();
    if text.chars().count() <= MAX_VALUE {
        return text;
    }
    let cut: String = text.chars().take(MAX_VALUE).collect();
    format!("{cut}…")
}
