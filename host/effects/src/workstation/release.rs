//! One release's entries in a home directory: their status, diff, apply and removal.

use super::apply::{Applier, record_intent};
use super::change::{
    SkipReason, Skipped, WorkstationChange, WorkstationEntry, WorkstationEvents, WorkstationReport,
    WorkstationState, WorkstationStatus,
};
use super::diff::{Desired, Differ, Item, validate_overwrite};
use super::error::Error;
use super::home_dir::{HomeDir, Slot, io_error};
use super::record::{Record, RecordFile};
use super::venv::Venv;
use crate::fs::beneath::{NEW_SUFFIX, OLD_SUFFIX, Opened};
use crate::fs::entry::FileFingerprint;
use thinkube_plan::{CarriedGrants, Permission, RelativePath, WorkstationFault, WorkstationPlan};

/// One release's part of a home directory. The home directory stays locked until this is dropped.
pub struct WorkstationRelease<'a> {
    home: &'a HomeDir,
    /// Paths that no plan may write: the host's own.
    reserved: &'a [RelativePath],
    file: RecordFile,
    record: Record,
    venv_path: RelativePath,
    /// Backups of files that a recovery found.
    recovered: Vec<Skipped>,
}

impl<'a> WorkstationRelease<'a> {
    /// Takes the record, and cleans up after a run that was cut off.
    pub(super) fn open(
        home: &'a HomeDir,
        reserved: &'a [RelativePath],
        (file, record): (RecordFile, Record),
        venv_path: RelativePath,
    ) -> Result<Self, Error> {
        let mut release = Self { home, reserved, file, record, venv_path, recovered: Vec::new() };
        release.recover()?;
        Ok(release)
    }

    /// Whether the release has written anything to this home directory that is not removed.
    pub fn is_installed(&self) -> bool {
        !self.record.is_empty()
    }

    /// The grants of the last plan that was applied here; None if nothing is installed.
    pub fn carried_grants(&self) -> Option<CarriedGrants> {
        let Record { settings, granted, agreed, .. } = self.record.clone();
        self.is_installed().then_some(CarriedGrants { settings, granted, agreed })
    }

    /// The present state of every entry that the release wrote.
    ///
    /// # Errors
    /// [`Error::Io`] if the home directory cannot be read.
    pub fn status(&self) -> Result<Vec<WorkstationStatus>, Error> {
        let status =
            |path: &RelativePath, entry, state| WorkstationStatus { path: path.to_string(), entry, state };
        let mut found = Vec::new();
        for path in self.record.directories.keys() {
            let state = state_of(self.home.directory(path)?, |_| true);
            found.push(status(path, WorkstationEntry::Directory, state));
        }
        for (path, record) in &self.record.files {
            let state = state_of(self.home.file(path)?, |(found, _)| record.wrote(found));
            found.push(status(path, WorkstationEntry::File, state));
        }
        if let Some(packages) = &self.record.python {
            let is_complete = |_: &u32| self.venv().packages().as_ref() == Some(packages);
            let state = state_of(self.home.directory(&self.venv_path)?, is_complete);
            found.push(status(&self.venv_path, WorkstationEntry::Python, state));
        }
        Ok(found)
    }

    /// The changes that [`apply`](Self::apply) would make, in its order. Writes nothing.
    ///
    /// # Errors
    /// [`Error::InvalidPlan`]; [`Error::Io`] if the home directory cannot be read.
    pub fn diff(
        &self,
        plan: &WorkstationPlan,
        granted: &[Permission],
    ) -> Result<Vec<WorkstationChange>, Error> {
        self.validate(plan, granted)?;
        let items = self.items(&Desired::of(plan, &self.venv_path)?)?;
        Ok(items.into_iter().map(|item| item.change).collect())
    }

    /// Makes the changes that a person reviewed. A file that a person changed, or that the release did not write, is
    /// overwritten only if `overwrite` names it, and then a backup stays beside it. A blocked entry is never changed.
    ///
    /// # Errors
    /// [`Error::InvalidPlan`]; [`Error::Changed`] if the changes are no longer the reviewed ones;
    /// [`Error::NothingToOverwrite`]; those of Python; and [`Error::Io`], after which the next apply or removal continues.
    pub async fn apply(
        &mut self,
        plan: &WorkstationPlan,
        grants: &CarriedGrants,
        reviewed: &[WorkstationChange],
        overwrite: &[String],
        events: WorkstationEvents<'_>,
    ) -> Result<WorkstationReport, Error> {
        self.validate(plan, &grants.granted)?;
        let desired = Desired::of(plan, &self.venv_path)?;
        let items = self.items(&desired)?;
        require_reviewed(&items, reviewed)?;
        validate_overwrite(overwrite, &items)?;
        let concerns_workstation = |permission: &&Permission| {
            matches!(permission, Permission::WriteHome(_) | Permission::PythonPackage(_))
        };
        self.record.granted = grants.granted.iter().filter(concerns_workstation).cloned().collect();
        self.record.agreed = grants.agreed.iter().filter(concerns_workstation).cloned().collect();
        self.record.settings = grants.settings.clone();
        record_intent(&mut self.record, &items, &desired, overwrite);
        self.file.write(&self.record)?;

        let mut applier = self.applier(overwrite, events);
        for item in &items {
            applier.apply(item, &desired).await?;
        }
        let Applier { changed, skipped, .. } = applier;
        self.file.write(&self.record)?;
        Ok(WorkstationReport { changed, skipped })
    }

    /// Removes every entry that the release wrote. A file that a person changed stays, with its record, unless `overwrite`
    /// names it, and then a backup stays. A directory that holds other entries stays.
    ///
    /// # Errors
    /// As those of [`apply`](Self::apply).
    pub fn remove(
        &mut self,
        overwrite: &[String],
        events: WorkstationEvents<'_>,
    ) -> Result<Vec<Skipped>, Error> {
        let items = self.items(&Desired::default())?;
        validate_overwrite(overwrite, &items)?;
        let mut applier = self.applier(overwrite, events);
        for item in &items {
            applier.remove(item)?;
        }
        let skipped = applier.skipped;
        self.file.write(&self.record)?;
        Ok(skipped)
    }

    /// # Errors
    /// [`Error::InvalidPlan`] with every fault of the plan: by its own rules, by the grants, and by the reserved paths.
    fn validate(&self, plan: &WorkstationPlan, granted: &[Permission]) -> Result<(), Error> {
        let mut faults = plan.faults(granted);
        let directories = plan.directories.iter().map(|directory| &directory.path);
        for path in directories.chain(plan.files.iter().map(|file| &file.path)) {
            let Ok(parsed) = path.parse::<RelativePath>() else { continue };
            let is_reserved = self.reserved.iter().any(|reserved| parsed.is_within(reserved))
                || parsed.names().any(|name| name.ends_with(NEW_SUFFIX) || name.ends_with(OLD_SUFFIX));
            if is_reserved {
                let message = "the host reserves this path; choose another one".to_owned();
                faults.push(WorkstationFault { what: path.clone(), message, denied: false });
            }
        }
        if faults.is_empty() { Ok(()) } else { Err(Error::InvalidPlan(faults)) }
    }

    fn items(&self, desired: &Desired) -> Result<Vec<Item>, Error> {
        let Self { home, record, venv_path, .. } = self;
        Differ { home, record, venv_path, venv: self.venv() }.items(desired)
    }

    fn applier<'s>(&'s mut self, overwrite: &'s [String], events: WorkstationEvents<'s>) -> Applier<'s> {
        let skipped = std::mem::take(&mut self.recovered);
        let Self { home, record, venv_path, .. } = self;
        Applier { home, record, venv_path, overwrite, events, skipped, changed: false }
    }

    fn venv(&self) -> Venv<'_> {
        Venv::new(self.home.path(), &self.venv_path, self.record.files.keys())
    }

    fn recover(&mut self) -> Result<(), Error> {
        for (path, record) in &self.record.files {
            let Opened::Dir(dir) = self.home.parent_of(path)? else { continue };
            let is_ours = |found: &FileFingerprint| record.wrote_content(found);
            let backup =
                dir.recover(path.name(), record.intended.as_ref(), is_ours).map_err(io_error(path))?;
            self.recovered.extend(
                backup.map(|name| Skipped { path: path.to_string(), reason: SkipReason::BackedUpAs(name) }),
            );
        }
        if self.record.python.is_some()
            && let Opened::Dir(_) = self.home.parent_of(&self.venv_path)?
        {
            self.venv().recover().map_err(io_error(&self.venv_path))?;
        }
        Ok(())
    }
}

/// # Errors
/// [`Error::Changed`] with the paths at which the changes differ.
fn require_reviewed(items: &[Item], reviewed: &[WorkstationChange]) -> Result<(), Error> {
    let new = items.iter().map(|item| &item.change).filter(|change| !reviewed.contains(change));
    let obsolete = reviewed.iter().filter(|change| items.iter().all(|item| item.change != **change));
    let differing: Vec<String> = new.chain(obsolete).map(|change| format!("~/{}", change.path)).collect();
    if differing.is_empty() { Ok(()) } else { Err(Error::Changed(differing)) }
}

fn state_of<T>(slot: Slot<T>, is_as_written: impl FnOnce(&T) -> bool) -> WorkstationState {
    match slot {
        Slot::Free(_) => WorkstationState::Missing,
        Slot::Taken(_, found) if is_as_written(&found) => WorkstationState::InPlace,
        Slot::Taken(..) => WorkstationState::ChangedByHand,
        Slot::Blocked(blocker) => blocker.into(),
    }
}
