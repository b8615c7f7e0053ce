//! Makes the changes of a diff, one entry at a time, and skips an entry that changed after the diff.

use super::change::{
    SkipReason, Skipped, WorkstationAction, WorkstationChange, WorkstationEntry, WorkstationEvent,
    WorkstationEvents,
};
use super::diff::{Desired, Item};
use super::error::Error;
use super::home_dir::{HomeDir, Slot, io_error};
use super::record::{FileRecord, Record};
use super::venv::Venv;
use crate::fs::beneath::Written;
use crate::fs::entry::{Entry, FileFingerprint};
use std::collections::BTreeSet;
use thinkube_plan::RelativePath;

/// Mode of a directory that a plan names only as a part of a path: what the XDG Base Directory Specification asks for.
const IMPLIED_DIRECTORY_MODE: u32 = 0o700;

/// Records every entry that these changes write, before they are made.
pub(super) fn record_intent(record: &mut Record, items: &[Item], desired: &Desired, overwrite: &[String]) {
    for Item { path, change } in items {
        match (change.entry, &change.action) {
            (WorkstationEntry::Directory, WorkstationAction::Create) => {
                let mode = desired.directories.get(path).copied().flatten();
                record.directories.insert(path.clone(), mode.unwrap_or(IMPLIED_DIRECTORY_MODE));
            }
            (WorkstationEntry::File, action) => {
                let Some((mode, content)) = desired.files.get(path) else { continue };
                let fingerprint = FileFingerprint::of(content.as_bytes(), *mode);
                if is_due(action, overwrite.contains(&change.path)) {
                    record.files.entry(path.clone()).or_default().intended = Some(fingerprint);
                } else if let (WorkstationAction::Unchanged, Some(file)) =
                    (action, record.files.get_mut(path))
                {
                    *file = FileRecord { written: Some(fingerprint), intended: None };
                }
            }
            (WorkstationEntry::Python, WorkstationAction::Create | WorkstationAction::Update { .. }) => {
                record.python = Some(desired.packages.clone());
            }
            _ => {}
        }
    }
}

/// Whether a file's change is to be made. `consent`: the caller named the file to be overwritten.
fn is_due(action: &WorkstationAction, consent: bool) -> bool {
    match action {
        WorkstationAction::Create | WorkstationAction::Update { .. } | WorkstationAction::Remove => true,
        WorkstationAction::ChangedByHand { .. } | WorkstationAction::Unmanaged => consent,
        WorkstationAction::Unchanged | WorkstationAction::Blocked { .. } => false,
    }
}

/// One apply or removal.
pub(super) struct Applier<'a> {
    pub(super) home: &'a HomeDir,
    pub(super) record: &'a mut Record,
    pub(super) venv_path: &'a RelativePath,
    pub(super) overwrite: &'a [String],
    pub(super) events: WorkstationEvents<'a>,
    pub(super) skipped: Vec<Skipped>,
    pub(super) changed: bool,
}

impl Applier<'_> {
    /// Makes a change of a plan.
    pub(super) async fn apply(&mut self, item: &Item, desired: &Desired) -> Result<(), Error> {
        match (item.change.entry, &item.change.action) {
            (WorkstationEntry::Directory, _) => self.directory(item),
            (WorkstationEntry::File, _) => self.file(item, desired.files.get(&item.path)),
            (WorkstationEntry::Python, WorkstationAction::Create | WorkstationAction::Update { .. }) => {
                self.create_venv(item, &desired.packages).await
            }
            (WorkstationEntry::Python, _) => self.remove_venv(item),
        }
    }

    /// Makes a change of a removal.
    pub(super) fn remove(&mut self, item: &Item) -> Result<(), Error> {
        match item.change.entry {
            WorkstationEntry::Directory => self.directory(item),
            WorkstationEntry::File => self.file(item, None),
            WorkstationEntry::Python => self.remove_venv(item),
        }
    }

    fn directory(&mut self, item: &Item) -> Result<(), Error> {
        let Item { path, change } = item;
        match &change.action {
            WorkstationAction::Create => self.create_directory(item),
            WorkstationAction::Update { mode: Some((from, to)), .. } => {
                match self.home.directory(path)? {
                    Slot::Taken(dir, mode) if mode == *from => {
                        dir.set_mode(path.name(), *to).map_err(io_error(path))?;
                        self.record.directories.insert(path.clone(), *to);
                        self.done(change);
                    }
                    _ => self.skip(path, SkipReason::ChangedDuringRun),
                }
                Ok(())
            }
            WorkstationAction::Remove => self.remove_directory(item),
            action => {
                self.skip_action(path, action);
                Ok(())
            }
        }
    }

    fn create_directory(&mut self, Item { path, change }: &Item) -> Result<(), Error> {
        match self.home.directory(path)? {
            Slot::Free(Some(dir)) => {
                let mode = self.record.directories.get(path).copied().unwrap_or(IMPLIED_DIRECTORY_MODE);
                if dir.create_dir(path.name(), mode).map_err(io_error(path))? {
                    self.done(change);
                }
            }
            Slot::Taken(..) => {}
            Slot::Free(None) => self.skip(path, SkipReason::ChangedDuringRun),
            Slot::Blocked(blocker) => self.skip(path, blocker.into()),
        }
        Ok(())
    }

    fn remove_directory(&mut self, Item { path, change }: &Item) -> Result<(), Error> {
        // A file that was skipped needs its directory.
        if self.record.files.keys().any(|file| file.is_within(path)) {
            return Ok(());
        }
        match self.home.directory(path)? {
            Slot::Taken(dir, _) => {
                if dir.remove_empty_dir(path.name()).map_err(io_error(path))? {
                    self.done(change);
                } else {
                    self.skip(path, SkipReason::NotEmpty);
                }
            }
            Slot::Free(_) => {}
            Slot::Blocked(blocker) => self.skip(path, blocker.into()),
        }
        self.record.directories.remove(path);
        Ok(())
    }

    fn file(&mut self, item: &Item, desired: Option<&(u32, String)>) -> Result<(), Error> {
        let Item { path, change } = item;
        let consent = self.overwrite.contains(&change.path);
        if !is_due(&change.action, consent) {
            self.skip_action(path, &change.action);
            return Ok(());
        }
        let (dir, entry) = match self.home.file(path)? {
            Slot::Free(dir) => (dir, Entry::Absent),
            Slot::Taken(dir, (fingerprint, text)) => (Some(dir), Entry::File(fingerprint, text)),
            Slot::Blocked(blocker) => {
                self.skip(path, blocker.into());
                return Ok(());
            }
        };
        if !self.is_as_compared(item, &entry, consent) {
            self.skip(path, SkipReason::ChangedDuringRun);
            return Ok(());
        }
        let written = match (desired, dir) {
            (Some((mode, content)), Some(dir)) => dir
                .replace(path.name(), content.as_bytes(), *mode, &entry, consent)
                .map_err(io_error(path))?,
            (None, Some(dir)) if entry != Entry::Absent => {
                dir.remove(path.name(), &entry, consent).map_err(io_error(path))?
            }
            (None, _) => Written::Done,
            (Some(_), None) => Written::Changed,
        };
        match written {
            Written::Changed => {
                self.skip(path, SkipReason::ChangedDuringRun);
                return Ok(());
            }
            Written::BackedUpAs(name) => self.skip(path, SkipReason::BackedUpAs(name)),
            Written::Done => {}
        }
        if entry != Entry::Absent || desired.is_some() {
            self.done(change);
        }
        match desired {
            None => {
                self.record.files.remove(path);
            }
            Some((mode, content)) => {
                let written = Some(FileFingerprint::of(content.as_bytes(), *mode));
                self.record.files.insert(path.clone(), FileRecord { written, intended: None });
            }
        }
        Ok(())
    }

    /// Whether an entry still is what the diff compared: absent, or the release's own file, or any file with consent.
    fn is_as_compared(&self, Item { path, change }: &Item, entry: &Entry, consent: bool) -> bool {
        match (&change.action, entry) {
            (WorkstationAction::Create, entry) => *entry == Entry::Absent,
            (WorkstationAction::Remove, Entry::Absent) => true,
            (WorkstationAction::Update { .. } | WorkstationAction::Remove, Entry::File(found, _)) => {
                self.record.files.get(path).is_some_and(|record| record.wrote_content(found))
            }
            (_, Entry::File(..)) => consent,
            _ => false,
        }
    }

    async fn create_venv(&mut self, item: &Item, packages: &BTreeSet<String>) -> Result<(), Error> {
        // Python takes paths only. A link that appears between this check and the end can only come from a process that may
        // write to the home directory anyway.
        match self.home.directory(self.venv_path)? {
            Slot::Free(Some(_)) | Slot::Taken(..) => {}
            Slot::Free(None) => {
                self.skip(&item.path, SkipReason::ChangedDuringRun);
                return Ok(());
            }
            Slot::Blocked(blocker) => {
                self.skip(&item.path, blocker.into());
                return Ok(());
            }
        }
        let events = self.events;
        let sink = |line: &str| events(WorkstationEvent::Output(line.to_owned()));
        self.venv().create(packages, &sink).await?;
        self.done(&item.change);
        Ok(())
    }

    fn remove_venv(&mut self, item: &Item) -> Result<(), Error> {
        if item.change.action != WorkstationAction::Remove {
            self.skip_action(&item.path, &item.change.action);
            return Ok(());
        }
        match self.home.directory(self.venv_path)? {
            Slot::Taken(..) => {
                self.venv().remove()?;
                self.done(&item.change);
            }
            Slot::Free(_) => {}
            Slot::Blocked(blocker) => self.skip(&item.path, blocker.into()),
        }
        self.record.python = None;
        Ok(())
    }

    fn venv(&self) -> Venv<'_> {
        Venv::new(self.home.path(), self.venv_path, self.record.files.keys())
    }

    fn done(&mut self, change: &WorkstationChange) {
        self.changed = true;
        (self.events)(WorkstationEvent::Done(change.clone()));
    }

    fn skip(&mut self, path: &RelativePath, reason: SkipReason) {
        self.skipped.push(Skipped { path: path.to_string(), reason });
    }

    /// Reports an action that is not made.
    fn skip_action(&mut self, path: &RelativePath, action: &WorkstationAction) {
        match action {
            WorkstationAction::ChangedByHand { .. } => self.skip(path, SkipReason::ChangedByHand),
            WorkstationAction::Unmanaged => self.skip(path, SkipReason::Unmanaged),
            WorkstationAction::Blocked { at, obstacle } => {
                self.skip(path, SkipReason::Blocked { at: at.clone(), obstacle: *obstacle });
            }
            WorkstationAction::Create
            | WorkstationAction::Update { .. }
            | WorkstationAction::Unchanged
            | WorkstationAction::Remove => {}
        }
    }
}
