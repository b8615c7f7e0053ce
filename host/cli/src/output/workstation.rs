//! Workstation files: planned, written, recorded and removed.

use crate::output::terminal::{BAD, CARE, FAINT, GOOD, STRONG};
use crate::output::text::{Text, line, styled, text, untrusted};
use serde_json::{Value, json};
use std::path::Path;
use thinkube_engine::{
    DiffLine, LoadedPlugin, PlannedWorkstation, Skipped, WorkstationAction, WorkstationChange,
    WorkstationEntry, WorkstationEvent, WorkstationReport, WorkstationState, WorkstationStatus,
};

/// The lines of a new file that text shows; JSON has all of them.
const MAX_NEW_LINES: usize = 20;

pub(crate) fn plan(
    loaded: &LoadedPlugin,
    planned: &PlannedWorkstation,
    home: &Path,
    changes: &[WorkstationChange],
) -> Text {
    let mut text = Text::default();
    line!(
        text,
        "Workstation plan of release {} in {}, by {} ({})\n",
        styled(STRONG, untrusted(&planned.release)),
        styled(STRONG, untrusted(home.display())),
        untrusted(format!("{} {}", loaded.descriptor.title, loaded.descriptor.version)),
        untrusted(loaded.plugin.digest().short()),
    );
    let changed = |change: &&WorkstationChange| change.action != WorkstationAction::Unchanged;
    for change in changes.iter().filter(changed) {
        line!(text, "  {}", title(change));
        let diff: Vec<Text> = match &change.action {
            WorkstationAction::Create => new_lines(planned, change),
            WorkstationAction::Update { lines, .. } => lines.iter().map(diff_line).collect(),
            _ => Vec::new(),
        };
        for row in diff {
            line!(text, "      {}", row);
        }
    }
    match changes.len() {
        0 => line!(text, "  no files"),
        all => line!(text, "  {} unchanged", all - changes.iter().filter(changed).count()),
    }
    text
}

pub(crate) fn plan_json(planned: &PlannedWorkstation, home: &Path, changes: &[WorkstationChange]) -> Value {
    json!({
        "release": planned.release,
        "home": home,
        "setup": planned.plan,
        "granted": planned.carried.granted,
        "changes": changes,
        "unusedSettings": planned.unused,
    })
}

pub(crate) fn event(event: &WorkstationEvent) -> Text {
    match event {
        WorkstationEvent::Done(change) => text!("  {}", title(change)),
        WorkstationEvent::Output(line) => styled(FAINT, untrusted(format!("    {line}"))),
        _ => Text::default(),
    }
}

pub(crate) fn applied(release: &str, home: &Path, report: &WorkstationReport) -> Text {
    let mut text = Text::default();
    let done = if report.changed { "applied:" } else { "no changes:" };
    let what = untrusted(format!("workstation files of release {release} in {}", home.display()));
    line!(text, "{} {}", styled(GOOD, done), what);
    text.push(&skipped(&report.skipped));
    text
}

pub(crate) fn applied_json(release: &str, home: &Path, report: &WorkstationReport) -> Value {
    json!({"home": home, "release": release, "changed": report.changed, "left": report.skipped})
}

pub(crate) fn removed(release: &str, home: &Path, left: &[Skipped]) -> Text {
    let mut text = Text::default();
    let what = untrusted(format!("workstation files of release {release} in {}", home.display()));
    line!(text, "{} {}", styled(GOOD, "removed:"), what);
    text.push(&skipped(left));
    text
}

pub(crate) fn removed_json(release: &str, home: &Path, left: &[Skipped]) -> Value {
    json!({"home": home, "release": release, "left": left})
}

pub(crate) fn status(home: &Path, releases: &[(String, Vec<WorkstationStatus>)]) -> Text {
    let mut text = Text::default();
    if releases.is_empty() {
        line!(text, "no release has workstation files in {}", untrusted(home.display()));
    }
    for (name, entries) in releases {
        line!(text, "{} in {}", styled(STRONG, untrusted(name)), untrusted(home.display()));
        for entry in entries {
            line!(text, "  {}", state(entry));
        }
    }
    text
}

pub(crate) fn status_json(home: &Path, releases: &[(String, Vec<WorkstationStatus>)]) -> Value {
    let releases: Vec<Value> =
        releases.iter().map(|(name, entries)| json!({"release": name, "entries": entries})).collect();
    json!({"home": home, "releases": releases})
}

fn place(path: &str, entry: WorkstationEntry) -> String {
    match entry {
        WorkstationEntry::File => format!("~/{path}"),
        WorkstationEntry::Directory => format!("~/{path}/"),
        WorkstationEntry::Python => format!("Python packages in ~/{path}"),
    }
}

fn title(change: &WorkstationChange) -> Text {
    let place = place(&change.path, change.entry);
    let overwrite = untrusted(format!("kept; --overwrite {} replaces it", change.path));
    match &change.action {
        WorkstationAction::Create => styled(GOOD, untrusted(format!("+ {place}"))),
        WorkstationAction::Update { mode: None, .. } => styled(CARE, untrusted(format!("~ {place}"))),
        WorkstationAction::Update { mode: Some((from, to)), .. } => {
            styled(CARE, untrusted(format!("~ {place}, mode {from:04o} → {to:04o}")))
        }
        WorkstationAction::Unchanged => styled(FAINT, untrusted(format!("= {place}"))),
        WorkstationAction::Remove => styled(BAD, untrusted(format!("- {place}"))),
        WorkstationAction::ChangedByHand { wanted: true } => {
            text!("{} was changed by hand: {}", styled(CARE, untrusted(format!("! {place}"))), overwrite)
        }
        WorkstationAction::ChangedByHand { wanted: false } => {
            let overwrite = untrusted(format!("kept; --overwrite {} removes it", change.path));
            let place = styled(CARE, untrusted(format!("! {place}")));
            text!("{} is no longer in the plan, but was changed by hand: {}", place, overwrite)
        }
        WorkstationAction::Unmanaged => {
            let place = styled(BAD, untrusted(format!("✗ {place}")));
            text!("{} was not written by this release: {}", place, overwrite)
        }
        WorkstationAction::Blocked { at, obstacle } => blocked(&place, at, obstacle.to_string()),
        _ => untrusted(place),
    }
}

fn blocked(place: &str, at: &str, what: String) -> Text {
    text!("{}: {}", styled(BAD, untrusted(format!("✗ {place}"))), untrusted(format!("~/{at} is {what}")))
}

fn new_lines(planned: &PlannedWorkstation, change: &WorkstationChange) -> Vec<Text> {
    let plan = &planned.plan;
    let all: Vec<&str> = match change.entry {
        WorkstationEntry::File => {
            let file = plan.files.iter().find(|file| file.path == change.path);
            file.map(|file| file.content.lines().collect()).unwrap_or_default()
        }
        WorkstationEntry::Python => plan.python_packages.iter().map(String::as_str).collect(),
        WorkstationEntry::Directory => Vec::new(),
    };
    let mut shown: Vec<Text> =
        all.iter().take(MAX_NEW_LINES).map(|line| styled(GOOD, untrusted(format!("+ {line}")))).collect();
    if all.len() > MAX_NEW_LINES {
        shown.push(styled(FAINT, text!("… {} more lines", all.len() - MAX_NEW_LINES)));
    }
    shown
}

pub(crate) fn diff_line(line: &DiffLine) -> Text {
    match line {
        DiffLine::Same(line) => untrusted(format!("  {line}")),
        DiffLine::Removed(line) => styled(BAD, untrusted(format!("- {line}"))),
        DiffLine::Added(line) => styled(GOOD, untrusted(format!("+ {line}"))),
        DiffLine::Skipped => styled(FAINT, "…"),
    }
}

fn skipped(left: &[Skipped]) -> Text {
    let mut text = Text::default();
    for left in left {
        line!(text, "  {}", styled(CARE, untrusted(left)));
    }
    text
}

fn state(entry: &WorkstationStatus) -> Text {
    let WorkstationStatus { path, entry: kind, state } = entry;
    let place = place(path, *kind);
    match state {
        WorkstationState::InPlace => styled(GOOD, untrusted(format!("✓ {place}"))),
        WorkstationState::ChangedByHand if *kind == WorkstationEntry::Python => {
            text!("{} are incomplete", styled(BAD, untrusted(format!("✗ {place}"))))
        }
        WorkstationState::ChangedByHand => {
            text!("{} was changed by hand", styled(CARE, untrusted(format!("! {place}"))))
        }
        WorkstationState::Missing => text!("{} is missing", styled(BAD, untrusted(format!("✗ {place}")))),
        WorkstationState::Blocked { at, obstacle } => blocked(&place, at, obstacle.to_string()),
        _ => untrusted(place),
    }
}
