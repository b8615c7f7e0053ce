//! Compares a workstation plan with the home directory. Writes nothing.

use super::change::{DiffLine, WorkstationAction, WorkstationChange, WorkstationEntry};
use super::error::Error;
use super::home_dir::{Blocker, HomeDir, Slot};
use super::record::Record;
use super::venv::Venv;
use crate::fs::entry::{FileFingerprint, Obstacle};
use similar::{ChangeTag, TextDiff};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;
use thinkube_plan::{PythonPackage, RelativePath, WorkstationFault, WorkstationPlan};

/// Lines around a change that are shown.
const CONTEXT_LINES: usize = 3;
/// After this, `similar` gives a coarser diff.
const DIFF_TIMEOUT: Duration = Duration::from_millis(200);

/// What a plan comes to.
#[derive(Default)]
pub(super) struct Desired {
    /// Modes; None for a directory that the plan names only as a part of a path.
    pub(super) directories: BTreeMap<RelativePath, Option<u32>>,
    /// Modes and contents.
    pub(super) files: BTreeMap<RelativePath, (u32, String)>,
    pub(super) packages: BTreeSet<String>,
}

impl Desired {
    /// # Errors
    /// [`Error::InvalidPlan`] for a path or a package that does not parse.
    pub(super) fn of(plan: &WorkstationPlan, venv: &RelativePath) -> Result<Self, Error> {
        let mut desired = Self::default();
        for directory in &plan.directories {
            desired.directories.insert(path(&directory.path)?, Some(directory.mode));
        }
        for file in &plan.files {
            desired.files.insert(path(&file.path)?, (file.mode, file.content.clone()));
        }
        for package in &plan.python_packages {
            let parsed: PythonPackage = package.parse().map_err(|error| invalid(package, &error))?;
            desired.packages.insert(parsed.to_string());
        }
        let venv = (!desired.packages.is_empty()).then_some(venv);
        let entries = desired.directories.keys().chain(desired.files.keys()).chain(venv);
        let parents: Vec<RelativePath> = entries.flat_map(RelativePath::ancestors).collect();
        for parent in parents {
            desired.directories.entry(parent).or_insert(None);
        }
        Ok(desired)
    }
}

fn path(text: &str) -> Result<RelativePath, Error> {
    text.parse().map_err(|error| invalid(text, &error))
}

fn invalid(what: &str, error: &thinkube_plan::Error) -> Error {
    let message = error.to_string();
    Error::InvalidPlan(vec![WorkstationFault { what: what.to_owned(), message, denied: false }])
}

/// One change, with its parsed path.
pub(super) struct Item {
    pub(super) path: RelativePath,
    pub(super) change: WorkstationChange,
}

impl Item {
    fn new(path: &RelativePath, entry: WorkstationEntry, action: WorkstationAction) -> Self {
        Self { path: path.clone(), change: WorkstationChange { path: path.to_string(), entry, action } }
    }

    /// Whether the caller must name the entry before it is overwritten.
    fn needs_consent(&self) -> bool {
        matches!(self.change.action, WorkstationAction::ChangedByHand { .. } | WorkstationAction::Unmanaged)
    }
}

/// Refuses a path to overwrite that needs no consent: it is probably a typing error.
///
/// # Errors
/// [`Error::NothingToOverwrite`].
pub(super) fn validate_overwrite(overwrite: &[String], items: &[Item]) -> Result<(), Error> {
    let candidates: BTreeSet<&str> =
        items.iter().filter(|item| item.needs_consent()).map(|item| item.path.as_str()).collect();
    match overwrite.iter().find(|path| !candidates.contains(path.as_str())) {
        None => Ok(()),
        Some(path) => Err(Error::NothingToOverwrite { path: path.chars().take(200).collect() }),
    }
}

/// Compares what is desired with the home directory and the record.
pub(super) struct Differ<'a> {
    pub(super) home: &'a HomeDir,
    pub(super) record: &'a Record,
    pub(super) venv_path: &'a RelativePath,
    pub(super) venv: Venv<'a>,
}

impl Differ<'_> {
    /// Every change, in the order in which it is made.
    pub(super) fn items(&self, desired: &Desired) -> Result<Vec<Item>, Error> {
        let mut items = Vec::new();
        for (path, mode) in &desired.directories {
            if let Some(action) = self.directory(path, *mode)? {
                items.push(Item::new(path, WorkstationEntry::Directory, action));
            }
        }
        // Before the files: one of them may configure pip to use a service that does not answer yet.
        if let Some(action) = self.python(desired)? {
            items.push(Item::new(self.venv_path, WorkstationEntry::Python, action));
        }
        for (path, (mode, content)) in &desired.files {
            items.push(Item::new(path, WorkstationEntry::File, self.file(path, *mode, content)?));
        }
        for path in self.record.files.keys().filter(|path| !desired.files.contains_key(path)) {
            items.push(Item::new(path, WorkstationEntry::File, self.removed_file(path)?));
        }
        // Innermost first.
        let recorded = self.record.directories.keys().rev();
        for path in recorded.filter(|path| !desired.directories.contains_key(path)) {
            items.push(Item::new(path, WorkstationEntry::Directory, WorkstationAction::Remove));
        }
        Ok(items)
    }

    fn directory(&self, path: &RelativePath, mode: Option<u32>) -> Result<Option<WorkstationAction>, Error> {
        let slot = self.home.directory(path)?;
        let Some(mode) = mode else {
            // The entry below it reports a blocker.
            return Ok(matches!(slot, Slot::Free(_)).then_some(WorkstationAction::Create));
        };
        Ok(Some(match slot {
            Slot::Free(_) => WorkstationAction::Create,
            // A mode that the release did not set stays.
            Slot::Taken(_, found) if found != mode && self.record.directories.get(path) == Some(&found) => {
                WorkstationAction::Update { lines: Vec::new(), mode: Some((found, mode)) }
            }
            Slot::Taken(..) => WorkstationAction::Unchanged,
            Slot::Blocked(blocker) => blocker.into(),
        }))
    }

    fn file(&self, path: &RelativePath, mode: u32, content: &str) -> Result<WorkstationAction, Error> {
        let desired = FileFingerprint::of(content.as_bytes(), mode);
        Ok(match self.home.file(path)? {
            Slot::Free(_) => WorkstationAction::Create,
            Slot::Taken(_, (found, _)) if found == desired => WorkstationAction::Unchanged,
            Slot::Taken(_, (found, text)) => match self.record.files.get(path) {
                None => WorkstationAction::Unmanaged,
                Some(record) if record.wrote(&found) => WorkstationAction::Update {
                    lines: text.map(|text| diff_lines(&text, content)).unwrap_or_default(),
                    mode: (found.mode != mode).then_some((found.mode, mode)),
                },
                Some(_) => WorkstationAction::ChangedByHand { wanted: true },
            },
            Slot::Blocked(blocker) => blocker.into(),
        })
    }

    /// A file on record that the plan no longer has.
    fn removed_file(&self, path: &RelativePath) -> Result<WorkstationAction, Error> {
        let is_ours = |found: &FileFingerprint| {
            self.record.files.get(path).is_some_and(|record| record.wrote_content(found))
        };
        Ok(match self.home.file(path)? {
            // Also for a file that a person deleted: the record shrinks with the removal.
            Slot::Free(_) => WorkstationAction::Remove,
            Slot::Taken(_, (found, _)) if is_ours(&found) => WorkstationAction::Remove,
            Slot::Taken(..) => WorkstationAction::ChangedByHand { wanted: false },
            Slot::Blocked(blocker) => blocker.into(),
        })
    }

    fn python(&self, desired: &Desired) -> Result<Option<WorkstationAction>, Error> {
        if desired.packages.is_empty() && self.record.python.is_none() {
            return Ok(None);
        }
        Ok(Some(match self.home.directory(self.venv_path)? {
            _ if desired.packages.is_empty() => WorkstationAction::Remove,
            Slot::Free(_) => WorkstationAction::Create,
            Slot::Taken(..) if self.record.python.is_none() => {
                Blocker::new(self.venv_path, Obstacle::Directory).into()
            }
            Slot::Taken(..) => match self.venv.packages() {
                Some(packages) if packages == desired.packages => WorkstationAction::Unchanged,
                packages => WorkstationAction::Update {
                    lines: diff_lines(&listed(&packages.unwrap_or_default()), &listed(&desired.packages)),
                    mode: None,
                },
            },
            Slot::Blocked(blocker) => blocker.into(),
        }))
    }
}

fn listed(packages: &BTreeSet<String>) -> String {
    packages.iter().map(|package| format!("{package}\n")).collect()
}

/// The lines that change, with [`CONTEXT_LINES`] around them.
fn diff_lines(before: &str, after: &str) -> Vec<DiffLine> {
    let diff = TextDiff::configure().timeout(DIFF_TIMEOUT).diff_lines(before, after);
    let mut shown = Vec::new();
    let mut next = 0;
    for group in diff.grouped_ops(CONTEXT_LINES) {
        let first = group.first().map_or(0, |op| op.old_range().start);
        if first > next {
            shown.push(DiffLine::Skipped);
        }
        next = group.last().map_or(next, |op| op.old_range().end);
        for change in group.iter().flat_map(|op| diff.iter_changes(op)) {
            let line = change.value().trim_end_matches(['\n', '\r']).to_owned();
            shown.push(match change.tag() {
                ChangeTag::Equal => DiffLine::Same(line),
                ChangeTag::Delete => DiffLine::Removed(line),
                ChangeTag::Insert => DiffLine::Added(line),
            });
        }
    }
    if !shown.is_empty() && next < before.lines().count() {
        shown.push(DiffLine::Skipped);
    }
    shown
}
