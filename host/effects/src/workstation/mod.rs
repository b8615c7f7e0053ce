//! Files in the operator's home, as a plugin's setup wants them.
//!
//! What is written is on record before it is written, so that it can be taken back whatever happens in between. What a
//! person has changed, or had there before, stays until that person says otherwise, and then a copy of it stays. Nothing
//! is ever done outside the home: no symbolic link is followed, on no part of the way, whenever it came.
//!
//! No file written here holds a secret: contents come from the plugin, which knows none.

mod record;
mod venv;

use crate::fs::beneath::{Done, FileFingerprint, Folder, NEW, OLD, Obstacle, Place, Seen};
use crate::{Error, process};
use record::{FileRecord, Record, RecordFile};
use serde::Serialize;
use similar::{ChangeTag, TextDiff};
use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;
use thinkube_plan::{
    CarriedGrants, Permission, PythonPackage, RelativePath, WorkstationFault, WorkstationPlan, is_dns_label,
};
use venv::Environment;

/// Where records are, below the folder of the user's state.
const RECORDS: &str = "thinkube-host/workstation";

/// Where virtual environments are, below the home.
const ENVIRONMENTS: &str = ".local/share/thinkube/venvs";

/// Of a folder that is made because something lies in it: as the XDG Base Directory Specification says.
const IMPLIED_MODE: u32 = 0o700;

/// Lines around a change that are shown.
const CONTEXT: usize = 3;
/// A diff that takes longer is shown less well.
const DIFF_TIME: Duration = Duration::from_millis(200);

/// What a person who watches is told.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum WorkstationEvent {
    /// Something was done.
    Done(WorkstationChange),
    /// A line of a program's output.
    Output(String),
}

/// Where events go.
pub type WorkstationEvents<'a> = &'a (dyn Fn(WorkstationEvent) + Send + Sync);

/// What has to be done for one thing of a setup.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct WorkstationChange {
    /// Relative to the home, as the plugin wrote it.
    pub path: String,
    /// What it is.
    #[serde(rename = "what")]
    pub entry: WorkstationEntry,
    /// What is done to it.
    pub action: WorkstationAction,
}

/// What a setup is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum WorkstationEntry {
    /// A folder.
    Directory,
    /// A file.
    File,
    /// The virtual environment with the setup's Python packages.
    Python,
}

/// What is done to one thing of a setup.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub enum WorkstationAction {
    /// It is made.
    Create,
    /// It is as the release left it and is changed.
    Update {
        /// The lines that change and some around them; none where only the mode does.
        lines: Vec<DiffLine>,
        /// The mode before and after, where it changes.
        mode: Option<(u32, u32)>,
    },
    /// It is as it should be.
    Unchanged,
    /// The release wrote it and the setup no longer has it: it goes.
    Remove,
    /// A person has changed it since the release wrote it. Done only if it is named to be overwritten. What it holds is
    /// not shown: it may be private.
    ChangedByHand {
        /// The setup still has it.
        wanted: bool,
    },
    /// There is one that the release did not write. Done only if it is named to be overwritten.
    #[serde(rename = "notTheReleases")]
    Unmanaged,
    /// Something is there that is never overwritten.
    #[serde(rename = "inTheWay")]
    Blocked {
        /// Where: the path itself, or a part of it.
        at: String,
        /// What.
        #[serde(rename = "what")]
        obstacle: Obstacle,
    },
    /// It must not be done, and with it nothing of the setup is.
    Refused(WorkstationFault),
}

/// A line of a diff.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum DiffLine {
    /// In both.
    Same(String),
    /// It goes.
    Removed(String),
    /// It comes.
    Added(String),
    /// Lines are left out here.
    Skipped,
}

/// Something that a release has put into a home.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct WorkstationStatus {
    /// Relative to the home.
    pub path: String,
    /// What it is.
    #[serde(rename = "what")]
    pub entry: WorkstationEntry,
    /// How it is now.
    pub state: WorkstationState,
}

/// How something is that a release has put into a home.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub enum WorkstationState {
    /// As the release has put it there.
    InPlace,
    /// A person has changed it since; an environment is not whole.
    ChangedByHand,
    /// It is not there any more.
    #[serde(rename = "gone")]
    Missing,
    /// Something else is there.
    #[serde(rename = "inTheWay")]
    Blocked {
        /// Where: the path itself, or a part of it.
        at: String,
        /// What.
        #[serde(rename = "what")]
        obstacle: Obstacle,
    },
}

/// What was not done as the setup wants it, or stays behind.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Skipped {
    /// Relative to the home.
    pub path: String,
    /// Why.
    #[serde(rename = "why")]
    pub reason: SkipReason,
}

/// Why something stays.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub enum SkipReason {
    /// A person has changed it since the release wrote it.
    ChangedByHand,
    /// The release did not write it.
    #[serde(rename = "notTheReleases")]
    Unmanaged,
    /// Something else is there.
    #[serde(rename = "inTheWay")]
    Blocked {
        /// Where: the path itself, or a part of it.
        at: String,
        /// What.
        #[serde(rename = "what")]
        obstacle: Obstacle,
    },
    /// Others have put something into it.
    NotEmpty,
    /// It changed while the host was at work.
    #[serde(rename = "changedMeanwhile")]
    ChangedDuringRun,
    /// The new one is in its place, and this is the name of the old one beside it.
    #[serde(rename = "keptAs")]
    BackedUpAs(String),
}

impl fmt::Display for Skipped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "~/{}", self.path)?;
        match &self.reason {
            SkipReason::ChangedByHand => f.write_str(" was changed by hand and stays as it is"),
            SkipReason::Unmanaged => f.write_str(" is not of this release and stays as it is"),
            SkipReason::Blocked { at, obstacle } if *at == self.path => {
                write!(f, " is {obstacle}; nothing was done to it")
            }
            SkipReason::Blocked { at, obstacle } => {
                write!(f, ": ~/{at} is {obstacle}; nothing was done to it")
            }
            SkipReason::NotEmpty => f.write_str(" holds what this release did not make, and stays"),
            SkipReason::ChangedDuringRun => f.write_str(" changed meanwhile; nothing was done to it"),
            SkipReason::BackedUpAs(name) => write!(f, ": what was there is kept beside it as {name}"),
        }
    }
}

/// What an apply did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct WorkstationReport {
    /// Something was written, made or removed.
    pub changed: bool,
    /// What was not done, and what stays behind.
    #[serde(rename = "left")]
    pub skipped: Vec<Skipped>,
}

/// A home.
pub struct Workstation {
    root: Folder,
    path: PathBuf,
    state: PathBuf,
    /// Paths in it that no plugin may have: the host's own.
    reserved: Vec<RelativePath>,
}

impl Workstation {
    /// The home of the user who runs this, as HOME says; records are below XDG_STATE_HOME.
    ///
    /// # Errors
    /// See [`Workstation::open`].
    pub fn of_user() -> Result<Self, Error> {
        let set =
            |name: &str| std::env::var_os(name).filter(|value: &OsString| Path::new(value).is_absolute());
        let home = PathBuf::from(set("HOME").ok_or(Error::NoHome)?);
        let state = set("XDG_STATE_HOME").map_or_else(|| home.join(".local/state"), PathBuf::from);
        Self::open(&home, &state.join(RECORDS))
    }

    /// Another home than that of the user who runs this; records are below its `.local/state`.
    ///
    /// # Errors
    /// See [`Workstation::open`].
    pub fn at(path: &Path) -> Result<Self, Error> {
        Self::open(path, &path.join(".local/state").join(RECORDS))
    }

    /// A home with the folder of its records.
    ///
    /// # Errors
    /// [`Error::Workstation`] if there is none, [`Error::ForeignHome`] if it belongs to another user: files written there would
    /// belong to the wrong one.
    pub fn open(path: &Path, state: &Path) -> Result<Self, Error> {
        let failed = |source: io::Error| Error::Workstation { path: path.display().to_string(), source };
        // Records name it, and it must be the same by whatever link one comes.
        let real = path.canonicalize().map_err(failed)?;
        let root = Folder::open(&real).map_err(failed)?;
        if !root.is_own().map_err(failed)? {
            return Err(Error::ForeignHome { path: real });
        }
        let below = |folder: &Path| folder.to_str()?.parse().ok();
        let mut reserved: Vec<RelativePath> = below(Path::new(ENVIRONMENTS)).into_iter().collect();
        reserved.extend([path, &real].iter().find_map(|home| below(state.strip_prefix(home).ok()?)));
        Ok(Self { root, path: real, state: state.to_owned(), reserved })
    }

    /// The home, by no symbolic link.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The releases that have something in it, by name.
    ///
    /// # Errors
    /// [`Error::Record`] if the folder of the records cannot be read.
    pub fn releases(&self) -> Result<Vec<String>, Error> {
        record::names(&self.state)
    }

    /// One release's part of it, locked against other hosts. What one that was cut off has left is put right.
    ///
    /// # Errors
    /// [`Error::WorkstationBusy`], and those of reading the record.
    pub fn release(&self, name: &str) -> Result<WorkstationRelease<'_>, Error> {
        if !is_dns_label(name) {
            return Err(Error::Invalid {
                what: format!("release {name:?}"),
                message: "its name is no DNS label (RFC 1123): a-z, 0-9 and `-`, at most 63".to_owned(),
            });
        }
        let (file, record) = RecordFile::open(&self.state, name, &self.path)?;
        let environment =
            format!("{ENVIRONMENTS}/{name}").parse().map_err(|error: thinkube_plan::Error| {
                Error::Invalid { what: format!("release {name:?}"), message: error.to_string() }
            })?;
        let mut release = WorkstationRelease { home: self, file, record, environment, recovered: Vec::new() };
        release.recover()?;
        Ok(release)
    }

    fn failed(path: &RelativePath) -> impl Fn(io::Error) -> Error {
        move |source| Error::Workstation { path: format!("~/{path}"), source }
    }

    /// The folder that something lies in.
    fn place(&self, path: &RelativePath) -> Result<Place, Error> {
        self.root.place(path.parent().as_ref()).map_err(Self::failed(path))
    }

    /// What lies there, and in which folder.
    fn look(&self, path: &RelativePath) -> Result<Looked, Error> {
        Ok(match self.place(path)? {
            Place::Missing => Looked::Absent(None),
            Place::Blocked(at, what) => Looked::Blocked(at, what),
            Place::There(folder) => match folder.look(path.name()).map_err(Self::failed(path))? {
                Seen::Absent => Looked::Absent(Some(folder)),
                Seen::File(mark, text) => Looked::File(folder, mark, text),
                Seen::Directory { mode } => Looked::Directory(folder, mode),
                Seen::Other(what) => Looked::Blocked(path.clone(), what),
            },
        })
    }
}

enum Looked {
    Absent(Option<Folder>),
    File(Folder, FileFingerprint, Option<String>),
    Directory(Folder, u32),
    Blocked(RelativePath, Obstacle),
}

fn in_the_way(at: &RelativePath, what: Obstacle) -> WorkstationAction {
    WorkstationAction::Blocked { at: at.to_string(), obstacle: what }
}

/// One release's part of a home.
pub struct WorkstationRelease<'a> {
    home: &'a Workstation,
    file: RecordFile,
    record: Record,
    environment: RelativePath,
    recovered: Vec<Skipped>,
}

/// What a setup comes to.
struct Wanted {
    /// With those that are only implied, which have no mode of their own.
    directories: BTreeMap<RelativePath, Option<u32>>,
    files: BTreeMap<RelativePath, (u32, String)>,
    packages: BTreeSet<String>,
}

/// One thing to do.
struct Item {
    path: RelativePath,
    change: WorkstationChange,
}

impl Item {
    fn new(path: &RelativePath, entry: WorkstationEntry, action: WorkstationAction) -> Self {
        Self { path: path.clone(), change: WorkstationChange { path: path.to_string(), entry, action } }
    }
}

impl WorkstationRelease<'_> {
    /// Whether the release has anything in this home.
    pub fn is_installed(&self) -> bool {
        !self.record.is_empty()
    }

    /// What the last setup of the release was allowed here; none if it has nothing here.
    pub fn carried_grants(&self) -> Option<CarriedGrants> {
        let Record { settings, granted, agreed, .. } = self.record.clone();
        self.is_installed().then_some(CarriedGrants { settings, granted, agreed })
    }

    /// Everything that the release has put here, as it is now.
    ///
    /// # Errors
    /// [`Error::Workstation`] if the home cannot be looked at.
    pub fn status(&self) -> Result<Vec<WorkstationStatus>, Error> {
        let mut found = Vec::new();
        let mut add = |path: &RelativePath, what, state| {
            found.push(WorkstationStatus { path: path.to_string(), entry: what, state });
        };
        for path in self.record.directories.keys() {
            add(
                path,
                WorkstationEntry::Directory,
                match self.home.look(path)? {
                    Looked::Directory(..) => WorkstationState::InPlace,
                    looked => otherwise(path, looked),
                },
            );
        }
        for (path, record) in &self.record.files {
            add(
                path,
                WorkstationEntry::File,
                match self.home.look(path)? {
                    Looked::File(_, mark, _) if record.wrote(&mark) => WorkstationState::InPlace,
                    Looked::File(..) => WorkstationState::ChangedByHand,
                    looked => otherwise(path, looked),
                },
            );
        }
        if let Some(packages) = &self.record.python {
            add(
                &self.environment,
                WorkstationEntry::Python,
                match self.home.look(&self.environment)? {
                    Looked::Directory(..)
                        if self.python_environment().packages().as_ref() == Some(packages) =>
                    {
                        WorkstationState::InPlace
                    }
                    Looked::Directory(..) => WorkstationState::ChangedByHand,
                    looked => otherwise(&self.environment, looked),
                },
            );
        }
        Ok(found)
    }

    /// What [`apply`](Self::apply) would do. Nothing is changed. If anything of the setup is refused, there is nothing in
    /// the answer but [`WorkstationAction::Refused`].
    ///
    /// # Errors
    /// [`Error::Workstation`] if the home cannot be looked at.
    pub fn diff(
        &self,
        setup: &WorkstationPlan,
        granted: &[Permission],
    ) -> Result<Vec<WorkstationChange>, Error> {
        let faults = self.faults(setup, granted);
        if !faults.is_empty() {
            let refused = faults.into_iter().map(|fault| WorkstationChange {
                path: fault.what.clone(),
                entry: WorkstationEntry::File,
                action: WorkstationAction::Refused(fault),
            });
            return Ok(refused.collect());
        }
        let items = self.items(&self.wanted(setup)?)?;
        Ok(items.into_iter().map(|item| item.change).collect())
    }

    /// Does what [`diff`](Self::diff) has shown. What a person has changed, or had there before, is done only if
    /// `overwrite` names it, and then a copy of it is kept; what is in the way never is.
    ///
    /// # Errors
    /// [`Error::WorkstationRefused`]; [`Error::WorkstationMoved`] if the home is no longer what was shown; [`Error::NothingToOverwrite`]
    /// if `overwrite` names what is not to be overwritten; those of Python; and [`Error::Workstation`], after which the next apply
    /// or removal goes on.
    pub async fn apply(
        &mut self,
        setup: &WorkstationPlan,
        held: &CarriedGrants,
        shown: &[WorkstationChange],
        overwrite: &[String],
        events: WorkstationEvents<'_>,
    ) -> Result<WorkstationReport, Error> {
        let faults = self.faults(setup, &held.granted);
        if !faults.is_empty() {
            return Err(Error::WorkstationRefused(faults));
        }
        let wanted = self.wanted(setup)?;
        let items = self.items(&wanted)?;
        let moved: Vec<String> = items
            .iter()
            .map(|item| &item.change)
            .filter(|change| !shown.contains(change))
            .chain(shown.iter().filter(|change| items.iter().all(|item| item.change != **change)))
            .map(|change| format!("~/{}", change.path))
            .collect();
        if !moved.is_empty() {
            return Err(Error::WorkstationMoved(moved));
        }
        named(overwrite, items.iter().filter(|item| item.is_persons()).map(|item| &item.path))?;
        let here = |permission: &&Permission| {
            matches!(permission, Permission::WriteHome(_) | Permission::PythonPackage(_))
        };
        self.record.granted = held.granted.iter().filter(here).cloned().collect();
        self.record.agreed = held.agreed.iter().filter(here).cloned().collect();
        self.record.settings = held.settings.clone();
        self.intend(&items, &wanted, overwrite)?;

        let mut work = Work { left: std::mem::take(&mut self.recovered), overwrite, events, changed: false };
        for item in &items {
            match item.change.entry {
                WorkstationEntry::Directory => self.directory(item, &mut work)?,
                WorkstationEntry::File => self.file(item, wanted.files.get(&item.path), &mut work)?,
                WorkstationEntry::Python => self.python(item, &wanted.packages, &mut work).await?,
            }
        }
        self.file.write(&self.record)?;
        Ok(WorkstationReport { changed: work.changed, skipped: work.left })
    }

    /// Takes back what the release has put here. What a person has changed stays, and on record, unless `overwrite`
    /// names it, and then a copy of it is kept. Folders that hold something of others stay.
    ///
    /// # Errors
    /// As those of [`apply`](Self::apply).
    pub fn remove(
        &mut self,
        overwrite: &[String],
        events: WorkstationEvents<'_>,
    ) -> Result<Vec<Skipped>, Error> {
        let nothing =
            Wanted { directories: BTreeMap::new(), files: BTreeMap::new(), packages: BTreeSet::new() };
        let items = self.items(&nothing)?;
        named(overwrite, items.iter().filter(|item| item.is_persons()).map(|item| &item.path))?;
        let mut work = Work { left: std::mem::take(&mut self.recovered), overwrite, events, changed: false };
        for item in &items {
            match item.change.entry {
                WorkstationEntry::Directory => self.directory(item, &mut work)?,
                WorkstationEntry::File => self.file(item, None, &mut work)?,
                WorkstationEntry::Python => self.remove_python(item, &mut work)?,
            }
        }
        self.file.write(&self.record)?;
        Ok(work.left)
    }

    /// What is wrong with a setup: by itself, by what is granted, and because it would have what is the host's.
    fn faults(&self, setup: &WorkstationPlan, granted: &[Permission]) -> Vec<WorkstationFault> {
        let mut faults = setup.faults(granted);
        let paths = setup.directories.iter().map(|directory| &directory.path);
        for path in paths.chain(setup.files.iter().map(|file| &file.path)) {
            let Ok(parsed) = path.parse::<RelativePath>() else { continue };
            let taken = self.home.reserved.iter().any(|own| parsed.is_within(own))
                || parsed.names().any(|name| name.ends_with(NEW) || name.ends_with(OLD));
            if taken {
                let message = "this is the host's own; choose another path".to_owned();
                faults.push(WorkstationFault { what: path.clone(), message, denied: false });
            }
        }
        faults
    }

    fn wanted(&self, setup: &WorkstationPlan) -> Result<Wanted, Error> {
        let invalid = |error: thinkube_plan::Error| Error::Invalid {
            what: "setup".to_owned(),
            message: error.to_string(),
        };
        let mut directories = BTreeMap::new();
        let mut files = BTreeMap::new();
        for directory in &setup.directories {
            directories
                .insert(directory.path.parse::<RelativePath>().map_err(invalid)?, Some(directory.mode));
        }
        for file in &setup.files {
            files.insert(file.path.parse().map_err(invalid)?, (file.mode, file.content.clone()));
        }
        let packages = setup
            .python_packages
            .iter()
            .map(|package| Ok(package.parse::<PythonPackage>().map_err(invalid)?.to_string()))
            .collect::<Result<BTreeSet<String>, Error>>()?;
        let environment = (!packages.is_empty()).then_some(&self.environment);
        let entries: Vec<RelativePath> =
            directories.keys().chain(files.keys()).chain(environment).cloned().collect();
        for parent in entries.iter().flat_map(RelativePath::ancestors) {
            directories.entry(parent).or_insert(None);
        }
        Ok(Wanted { directories, files, packages })
    }

    /// Everything that has to be done, in the order in which it is done.
    fn items(&self, wanted: &Wanted) -> Result<Vec<Item>, Error> {
        let mut items = Vec::new();
        for (path, mode) in &wanted.directories {
            let action = match self.home.look(path)? {
                Looked::Absent(_) => WorkstationAction::Create,
                Looked::Directory(_, is) => match mode {
                    // A mode that somebody else has chosen stays.
                    Some(mode) if is != *mode && self.record.directories.get(path) == Some(&is) => {
                        WorkstationAction::Update { lines: Vec::new(), mode: Some((is, *mode)) }
                    }
                    Some(_) => WorkstationAction::Unchanged,
                    None => continue,
                },
                // What lies in it says so.
                _ if mode.is_none() => continue,
                Looked::File(..) => in_the_way(path, Obstacle::File),
                Looked::Blocked(at, what) => in_the_way(&at, what),
            };
            items.push(Item::new(path, WorkstationEntry::Directory, action));
        }
        // Before the files: one of them may be a configuration that leads pip to a service that does not answer yet.
        items.extend(
            self.python_action(wanted)?
                .map(|action| Item::new(&self.environment, WorkstationEntry::Python, action)),
        );
        for (path, (mode, content)) in &wanted.files {
            let action = self.file_action(path, &FileFingerprint::of(content.as_bytes(), *mode), content)?;
            items.push(Item::new(path, WorkstationEntry::File, action));
        }
        for (path, record) in self.record.files.iter().filter(|(path, _)| !wanted.files.contains_key(path)) {
            let action = match self.home.look(path)? {
                Looked::File(_, mark, _) if record.wrote_content(&mark) => WorkstationAction::Remove,
                Looked::File(..) => WorkstationAction::ChangedByHand { wanted: false },
                // Somebody has removed it already.
                Looked::Absent(_) => WorkstationAction::Remove,
                Looked::Directory(..) => in_the_way(path, Obstacle::Directory),
                Looked::Blocked(at, what) => in_the_way(&at, what),
            };
            items.push(Item::new(path, WorkstationEntry::File, action));
        }
        // Innermost first.
        for path in self.record.directories.keys().rev().filter(|path| !wanted.directories.contains_key(path))
        {
            items.push(Item::new(path, WorkstationEntry::Directory, WorkstationAction::Remove));
        }
        Ok(items)
    }

    fn file_action(
        &self,
        path: &RelativePath,
        wanted: &FileFingerprint,
        content: &str,
    ) -> Result<WorkstationAction, Error> {
        Ok(match self.home.look(path)? {
            Looked::Absent(_) => WorkstationAction::Create,
            Looked::File(_, mark, _) if mark == *wanted => WorkstationAction::Unchanged,
            Looked::File(_, mark, text) => match self.record.files.get(path) {
                None => WorkstationAction::Unmanaged,
                Some(record) if record.wrote(&mark) => WorkstationAction::Update {
                    lines: text.map(|text| lines(&text, content)).unwrap_or_default(),
                    mode: (mark.mode != wanted.mode).then_some((mark.mode, wanted.mode)),
                },
                Some(_) => WorkstationAction::ChangedByHand { wanted: true },
            },
            Looked::Directory(..) => in_the_way(path, Obstacle::Directory),
            Looked::Blocked(at, what) => in_the_way(&at, what),
        })
    }

    fn python_action(&self, wanted: &Wanted) -> Result<Option<WorkstationAction>, Error> {
        if wanted.packages.is_empty() && self.record.python.is_none() {
            return Ok(None);
        }
        Ok(Some(match self.home.look(&self.environment)? {
            _ if wanted.packages.is_empty() => WorkstationAction::Remove,
            Looked::Absent(_) => WorkstationAction::Create,
            Looked::Directory(..) if self.record.python.is_none() => {
                in_the_way(&self.environment, Obstacle::Directory)
            }
            Looked::Directory(..) => match self.python_environment().packages() {
                Some(packages) if packages == wanted.packages => WorkstationAction::Unchanged,
                packages => WorkstationAction::Update {
                    lines: lines(&listed(&packages.unwrap_or_default()), &listed(&wanted.packages)),
                    mode: None,
                },
            },
            Looked::File(..) => in_the_way(&self.environment, Obstacle::File),
            Looked::Blocked(at, what) => in_the_way(&at, what),
        }))
    }

    fn python_environment(&self) -> Environment<'_> {
        let written = self.record.files.keys().map(|file| self.home.path.join(file.as_str())).collect();
        Environment { home: &self.home.path, path: self.home.path.join(self.environment.as_str()), written }
    }

    /// Puts everything on record that is about to be.
    fn intend(&mut self, items: &[Item], wanted: &Wanted, overwrite: &[String]) -> Result<(), Error> {
        for Item { path, change } in items {
            match (change.entry, &change.action) {
                (WorkstationEntry::Directory, WorkstationAction::Create) => {
                    let mode = wanted.directories.get(path).copied().flatten().unwrap_or(IMPLIED_MODE);
                    self.record.directories.insert(path.clone(), mode);
                }
                (WorkstationEntry::File, action) => {
                    let Some((mode, content)) = wanted.files.get(path) else { continue };
                    let mark = FileFingerprint::of(content.as_bytes(), *mode);
                    let writes = match action {
                        WorkstationAction::Create | WorkstationAction::Update { .. } => true,
                        WorkstationAction::ChangedByHand { .. } | WorkstationAction::Unmanaged => {
                            overwrite.contains(&change.path)
                        }
                        _ => false,
                    };
                    if writes {
                        self.record.files.entry(path.clone()).or_default().intended = Some(mark);
                    } else if let (WorkstationAction::Unchanged, Some(record)) =
                        (action, self.record.files.get_mut(path))
                    {
                        *record = FileRecord { written: Some(mark), intended: None };
                    }
                }
                (WorkstationEntry::Python, WorkstationAction::Create | WorkstationAction::Update { .. }) => {
                    self.record.python = Some(wanted.packages.clone());
                }
                _ => {}
            }
        }
        self.file.write(&self.record)
    }

    fn directory(&mut self, item: &Item, work: &mut Work<'_>) -> Result<(), Error> {
        let Item { path, change } = item;
        let failed = Workstation::failed(path);
        match &change.action {
            WorkstationAction::Create => match self.home.look(path)? {
                Looked::Absent(Some(folder)) => {
                    let mode = self.record.directories.get(path).copied().unwrap_or(IMPLIED_MODE);
                    if folder.make(path.name(), mode).map_err(failed)? {
                        work.done(change);
                    }
                }
                Looked::Directory(..) => {}
                // Its parent is not there: that was said before.
                Looked::Absent(None) => work.leave(path, SkipReason::ChangedDuringRun),
                Looked::File(..) => work.leave(path, way(path, Obstacle::File)),
                Looked::Blocked(at, what) => work.leave(path, way(&at, what)),
            },
            WorkstationAction::Update { mode: Some((from, to)), .. } => match self.home.look(path)? {
                Looked::Directory(folder, mode) if mode == *from => {
                    folder.set_mode(path.name(), *to).map_err(failed)?;
                    self.record.directories.insert(path.clone(), *to);
                    work.done(change);
                }
                _ => work.leave(path, SkipReason::ChangedDuringRun),
            },
            WorkstationAction::Remove => {
                // It is needed by what stays.
                if self.record.files.keys().any(|file| file.is_within(path)) {
                    return Ok(());
                }
                match self.home.look(path)? {
                    Looked::Directory(folder, _) => {
                        if folder.remove_empty(path.name()).map_err(failed)? {
                            work.done(change);
                        } else {
                            work.leave(path, SkipReason::NotEmpty);
                        }
                    }
                    Looked::Absent(_) => {}
                    Looked::File(..) => work.leave(path, way(path, Obstacle::File)),
                    Looked::Blocked(at, what) => work.leave(path, way(&at, what)),
                }
                self.record.directories.remove(path);
            }
            action => work.not_done(path, action),
        }
        Ok(())
    }

    fn file(
        &mut self,
        item: &Item,
        wanted: Option<&(u32, String)>,
        work: &mut Work<'_>,
    ) -> Result<(), Error> {
        let Item { path, change } = item;
        let keep = work.overwrite.contains(&change.path);
        let does = match &change.action {
            WorkstationAction::Create | WorkstationAction::Update { .. } | WorkstationAction::Remove => true,
            WorkstationAction::ChangedByHand { .. } | WorkstationAction::Unmanaged => keep,
            _ => false,
        };
        if !does {
            work.not_done(path, &change.action);
            return Ok(());
        }
        let failed = Workstation::failed(path);
        let (folder, seen) = match self.home.look(path)? {
            Looked::Absent(folder) => (folder, Seen::Absent),
            Looked::File(folder, mark, text) => (Some(folder), Seen::File(mark, text)),
            Looked::Directory(..) => {
                work.leave(path, way(path, Obstacle::Directory));
                return Ok(());
            }
            Looked::Blocked(at, what) => {
                work.leave(path, way(&at, what));
                return Ok(());
            }
        };
        let record = self.record.files.get(path);
        // What is there now must be what was judged: nothing, or what is the release's, unless it is kept.
        let judged = match (&change.action, &seen) {
            (WorkstationAction::Create, seen) => *seen == Seen::Absent,
            (WorkstationAction::Remove, Seen::Absent) => true,
            (WorkstationAction::Update { .. } | WorkstationAction::Remove, Seen::File(mark, _)) => {
                record.is_some_and(|record| record.wrote_content(mark))
            }
            (_, Seen::File(..)) => keep,
            _ => false,
        };
        if !judged {
            work.leave(path, SkipReason::ChangedDuringRun);
            return Ok(());
        }
        let done = match (wanted, folder) {
            (Some((mode, content)), Some(folder)) => {
                folder.put(path.name(), content.as_bytes(), *mode, &seen, keep).map_err(failed)?
            }
            (None, Some(folder)) if seen != Seen::Absent => {
                folder.take(path.name(), &seen, keep).map_err(failed)?
            }
            (None, _) => Done::Well,
            // Its folder is not there: that was said before.
            (Some(_), None) => Done::Moved,
        };
        match done {
            Done::Moved => {
                work.leave(path, SkipReason::ChangedDuringRun);
                return Ok(());
            }
            Done::BackedUpAs(name) => work.leave(path, SkipReason::BackedUpAs(name)),
            Done::Well => {}
        }
        if seen != Seen::Absent || wanted.is_some() {
            work.done(change);
        }
        match wanted {
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

    async fn python(
        &mut self,
        item: &Item,
        packages: &BTreeSet<String>,
        work: &mut Work<'_>,
    ) -> Result<(), Error> {
        match &item.change.action {
            WorkstationAction::Create | WorkstationAction::Update { .. } => {
                let events = work.events;
                // Python knows paths only. Who could put a link here between this look and its end can write to the home.
                match self.home.look(&self.environment)? {
                    Looked::Absent(Some(_)) | Looked::Directory(..) => {}
                    Looked::Absent(None) => {
                        work.leave(&item.path, SkipReason::ChangedDuringRun);
                        return Ok(());
                    }
                    Looked::File(..) => {
                        work.leave(&item.path, way(&item.path, Obstacle::File));
                        return Ok(());
                    }
                    Looked::Blocked(at, what) => {
                        work.leave(&item.path, way(&at, what));
                        return Ok(());
                    }
                }
                let says = |line: &str| events(WorkstationEvent::Output(line.to_owned()));
                let says: process::OutputSink<'_> = &says;
                self.python_environment().make(packages, says).await?;
                work.done(&item.change);
                Ok(())
            }
            _ => self.remove_python(item, work),
        }
    }

    fn remove_python(&mut self, item: &Item, work: &mut Work<'_>) -> Result<(), Error> {
        if item.change.action != WorkstationAction::Remove {
            work.not_done(&item.path, &item.change.action);
            return Ok(());
        }
        match self.home.look(&self.environment)? {
            Looked::Directory(..) => {
                self.python_environment().remove()?;
                work.done(&item.change);
            }
            Looked::Absent(_) => {}
            Looked::File(..) => work.leave(&item.path, way(&item.path, Obstacle::File)),
            Looked::Blocked(at, what) => work.leave(&item.path, way(&at, what)),
        }
        self.record.python = None;
        Ok(())
    }

    /// Puts right what a host that was cut off has left.
    fn recover(&mut self) -> Result<(), Error> {
        for (path, record) in &self.record.files {
            let Place::There(folder) = self.home.place(path)? else { continue };
            let ours = |mark: &FileFingerprint| record.wrote_content(mark);
            let kept = folder
                .recover(path.name(), record.intended.as_ref(), ours)
                .map_err(Workstation::failed(path))?;
            self.recovered.extend(
                kept.map(|name| Skipped { path: path.to_string(), reason: SkipReason::BackedUpAs(name) }),
            );
        }
        if self.record.python.is_some()
            && let Place::There(_) = self.home.place(&self.environment)?
        {
            self.python_environment().recover().map_err(Workstation::failed(&self.environment))?;
        }
        Ok(())
    }
}

/// What it means that something else is where the release has put something.
fn otherwise(path: &RelativePath, looked: Looked) -> WorkstationState {
    let (at, what) = match looked {
        Looked::Absent(_) => return WorkstationState::Missing,
        Looked::File(..) => (path.clone(), Obstacle::File),
        Looked::Directory(..) => (path.clone(), Obstacle::Directory),
        Looked::Blocked(at, what) => (at, what),
    };
    WorkstationState::Blocked { at: at.to_string(), obstacle: what }
}

impl Item {
    /// It is somebody's work, and overwritten only on demand.
    fn is_persons(&self) -> bool {
        matches!(self.change.action, WorkstationAction::ChangedByHand { .. } | WorkstationAction::Unmanaged)
    }
}

/// What one run does and what it leaves.
struct Work<'a> {
    left: Vec<Skipped>,
    overwrite: &'a [String],
    events: WorkstationEvents<'a>,
    changed: bool,
}

impl Work<'_> {
    fn done(&mut self, change: &WorkstationChange) {
        self.changed = true;
        (self.events)(WorkstationEvent::Done(change.clone()));
    }

    fn leave(&mut self, path: &RelativePath, why: SkipReason) {
        self.left.push(Skipped { path: path.to_string(), reason: why });
    }

    fn not_done(&mut self, path: &RelativePath, action: &WorkstationAction) {
        match action {
            WorkstationAction::ChangedByHand { .. } => self.leave(path, SkipReason::ChangedByHand),
            WorkstationAction::Unmanaged => self.leave(path, SkipReason::Unmanaged),
            WorkstationAction::Blocked { at, obstacle } => {
                self.leave(path, SkipReason::Blocked { at: at.clone(), obstacle: *obstacle });
            }
            _ => {}
        }
    }
}

fn way(at: &RelativePath, what: Obstacle) -> SkipReason {
    SkipReason::Blocked { at: at.to_string(), obstacle: what }
}

/// Whoever names what is not there to be overwritten means something else.
fn named<'a>(overwrite: &[String], persons: impl Iterator<Item = &'a RelativePath>) -> Result<(), Error> {
    let persons: BTreeSet<&str> = persons.map(RelativePath::as_str).collect();
    match overwrite.iter().find(|path| !persons.contains(path.as_str())) {
        None => Ok(()),
        Some(path) => Err(Error::NothingToOverwrite { path: path.chars().take(200).collect() }),
    }
}

fn listed(packages: &BTreeSet<String>) -> String {
    packages.iter().map(|package| format!("{package}\n")).collect()
}

/// The lines that change, with some around them.
fn lines(before: &str, after: &str) -> Vec<DiffLine> {
    let diff = TextDiff::configure().timeout(DIFF_TIME).diff_lines(before, after);
    let mut shown = Vec::new();
    let mut next = 0;
    for group in diff.grouped_ops(CONTEXT) {
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
    let all = before.lines().count();
    if !shown.is_empty() && next < all {
        shown.push(DiffLine::Skipped);
    }
    shown
}
