//! How setups look: text for people, JSON for programs.

use crate::out::{BAD, CARE, FAINT, GOOD, STRONG, clean_line, styled};
use serde_json::{Value, json};
use std::fmt::Write as _;
use std::path::Path;
use thinkube_engine::{
    DiffLine, LoadedPlugin, PlannedWorkstation, Skipped, WorkstationAction, WorkstationChange,
    WorkstationEntry, WorkstationEvent, WorkstationReport, WorkstationState, WorkstationStatus,
};

/// Lines of a new file that text shows; JSON has them all.
const SHOWN: usize = 20;

/// Appends a line. Writing to a String cannot fail.
macro_rules! line {
    ($text:expr, $($format:tt)*) => {{ let _: std::fmt::Result = writeln!($text, $($format)*); }};
}

pub(super) fn plan(
    loaded: &LoadedPlugin,
    planned: &PlannedWorkstation,
    home: &Path,
    changes: &[WorkstationChange],
) -> String {
    let mut text = String::new();
    line!(
        text,
        "Setup of release {} in {}, by {} {} ({})\n",
        styled(STRONG, &planned.release),
        styled(STRONG, clean_line(&home.display().to_string())),
        clean_line(&loaded.descriptor.title),
        clean_line(&loaded.descriptor.version),
        loaded.plugin.digest().short(),
    );
    for change in changes.iter().filter(|change| change.action != WorkstationAction::Unchanged) {
        line!(text, "  {}", title(change));
        let shown: Vec<String> = match &change.action {
            WorkstationAction::Create => new_lines(planned, change),
            WorkstationAction::Update { lines, .. } => lines.iter().map(diff_line).collect(),
            _ => Vec::new(),
        };
        for shown in shown {
            line!(text, "      {shown}");
        }
    }
    let unchanged = changes.iter().filter(|change| change.action == WorkstationAction::Unchanged).count();
    match changes.len() {
        0 => line!(text, "  nothing"),
        _ => line!(text, "  {unchanged} unchanged"),
    }
    text
}

pub(super) fn plan_json(planned: &PlannedWorkstation, home: &Path, changes: &[WorkstationChange]) -> Value {
    json!({
        "release": planned.release,
        "home": home,
        "setup": planned.setup,
        "granted": planned.held.granted,
        "changes": changes,
        "unusedSettings": planned.unused,
    })
}

fn at(path: &str, what: WorkstationEntry) -> String {
    let path = clean_line(path);
    match what {
        WorkstationEntry::File => format!("~/{path}"),
        WorkstationEntry::Directory => format!("~/{path}/"),
        WorkstationEntry::Python => format!("Python packages in ~/{path}"),
    }
}

fn title(change: &WorkstationChange) -> String {
    let place = at(&change.path, change.entry);
    let overwrite = || format!("stays unless you say --overwrite {}", clean_line(&change.path));
    match &change.action {
        WorkstationAction::Create => styled(GOOD, format!("+ {place}")),
        WorkstationAction::Update { mode: None, .. } => styled(CARE, format!("~ {place}")),
        WorkstationAction::Update { mode: Some((from, to)), .. } => {
            styled(CARE, format!("~ {place}, mode {from:04o} → {to:04o}"))
        }
        WorkstationAction::Unchanged => styled(FAINT, format!("= {place}")),
        WorkstationAction::Remove => styled(BAD, format!("- {place}")),
        WorkstationAction::ChangedByHand { wanted: true } => {
            format!("{} was changed by hand and {}", styled(CARE, format!("! {place}")), overwrite())
        }
        WorkstationAction::ChangedByHand { wanted: false } => format!(
            "{} is no longer wanted, was changed by hand and {}",
            styled(CARE, format!("! {place}")),
            overwrite()
        ),
        WorkstationAction::Unmanaged => {
            format!("{} is not of this release and {}", styled(BAD, format!("✗ {place}")), overwrite())
        }
        WorkstationAction::Blocked { at, obstacle } => {
            format!("{}: ~/{} is {obstacle}", styled(BAD, format!("✗ {place}")), clean_line(at))
        }
        WorkstationAction::Refused(fault) => styled(BAD, format!("✗ {}", clean_line(&fault.to_string()))),
        _ => place,
    }
}

fn new_lines(planned: &PlannedWorkstation, change: &WorkstationChange) -> Vec<String> {
    let setup = &planned.setup;
    let all: Vec<&str> = match change.entry {
        WorkstationEntry::File => {
            let file = setup.files.iter().find(|file| file.path == change.path);
            file.map(|file| file.content.lines().collect()).unwrap_or_default()
        }
        WorkstationEntry::Python => setup.python_packages.iter().map(String::as_str).collect(),
        WorkstationEntry::Directory => Vec::new(),
    };
    let mut shown: Vec<String> =
        all.iter().take(SHOWN).map(|line| diff_line(&DiffLine::Added((*line).to_owned()))).collect();
    if all.len() > SHOWN {
        shown.push(styled(FAINT, format!("… {} more lines", all.len() - SHOWN)));
    }
    shown
}

fn diff_line(line: &DiffLine) -> String {
    match line {
        DiffLine::Same(line) => format!("  {}", clean_line(line)),
        DiffLine::Removed(line) => styled(BAD, format!("- {}", clean_line(line))),
        DiffLine::Added(line) => styled(GOOD, format!("+ {}", clean_line(line))),
        DiffLine::Skipped => styled(FAINT, "…"),
    }
}

pub(super) fn event(event: &WorkstationEvent) -> String {
    match event {
        WorkstationEvent::Done(change) => format!("  {}", title(change)),
        WorkstationEvent::Output(line) => styled(FAINT, format!("    {}", clean_line(line))),
        _ => String::new(),
    }
}

pub(super) fn applied(release: &str, home: &Path, applied: &WorkstationReport) -> String {
    let mut text = String::new();
    let what = if applied.changed { "set up:" } else { "nothing to do:" };
    line!(text, "{} release {release} in {}", styled(GOOD, what), clean_line(&home.display().to_string()));
    text.push_str(&lefts(&applied.skipped));
    text
}

pub(super) fn removed(release: &str, home: &Path, left: &[Skipped]) -> String {
    let mut text = String::new();
    let home = clean_line(&home.display().to_string());
    line!(text, "{} what release {release} had in {home}", styled(GOOD, "taken back:"));
    text.push_str(&lefts(left));
    text
}

fn lefts(left: &[Skipped]) -> String {
    left.iter().map(|left| format!("  {}\n", styled(CARE, clean_line(&left.to_string())))).collect()
}

pub(super) fn status(home: &Path, releases: &[(String, Vec<WorkstationStatus>)]) -> String {
    let mut text = String::new();
    if releases.is_empty() {
        line!(text, "no release has anything in {}", clean_line(&home.display().to_string()));
    }
    for (name, found) in releases {
        line!(text, "{} in {}", styled(STRONG, name), clean_line(&home.display().to_string()));
        for WorkstationStatus { path, entry, state } in found {
            let place = at(path, *entry);
            match state {
                WorkstationState::InPlace => line!(text, "  {}", styled(GOOD, format!("✓ {place}"))),
                WorkstationState::ChangedByHand if *entry == WorkstationEntry::Python => {
                    line!(text, "  {} are not whole", styled(BAD, format!("✗ {place}")));
                }
                WorkstationState::ChangedByHand => {
                    line!(text, "  {} was changed by hand", styled(CARE, format!("! {place}")));
                }
                WorkstationState::Missing => line!(text, "  {} is gone", styled(BAD, format!("✗ {place}"))),
                WorkstationState::Blocked { at, obstacle } => {
                    let at = clean_line(at);
                    line!(text, "  {}: ~/{at} is {obstacle}", styled(BAD, format!("✗ {place}")));
                }
                _ => line!(text, "  {place}"),
            }
        }
    }
    text
}

pub(super) fn status_json(home: &Path, releases: &[(String, Vec<WorkstationStatus>)]) -> Value {
    let releases: Vec<Value> =
        releases.iter().map(|(name, found)| json!({ "release": name, "entries": found })).collect();
    json!({ "home": home, "releases": releases })
}
