//! What a workstation plan changes, and what it leaves unchanged, for a person who reads a preview or a report.

use crate::fs::entry::Obstacle;
use serde::Serialize;
use std::fmt;

/// Progress of an apply or a removal.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum WorkstationEvent {
    /// A change was made.
    Done(WorkstationChange),
    /// A line of a program's output.
    Output(String),
}

/// Receives events.
pub type WorkstationEvents<'a> = &'a (dyn Fn(WorkstationEvent) + Send + Sync);

/// The change of one entry.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct WorkstationChange {
    /// Relative to the home directory.
    pub path: String,
    /// The kind of entry.
    #[serde(rename = "what")]
    pub entry: WorkstationEntry,
    /// The change.
    pub action: WorkstationAction,
}

/// A kind of entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum WorkstationEntry {
    /// A directory.
    Directory,
    /// A file.
    File,
    /// The virtual environment with the plan's Python packages.
    Python,
}

/// What an apply does to an entry.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub enum WorkstationAction {
    /// Creates it.
    Create,
    /// Changes it; it is as the release last wrote it.
    Update {
        /// The lines that change, with some around them; empty if only the mode changes.
        lines: Vec<DiffLine>,
        /// The mode before and after, if it changes.
        mode: Option<(u32, u32)>,
    },
    /// Nothing.
    Unchanged,
    /// Removes it: the release wrote it, and the plan no longer has it.
    Remove,
    /// Overwrites it if the caller names it, because a person changed it. The content is not shown: it may be private.
    ChangedByHand {
        /// Whether the plan still has it.
        wanted: bool,
    },
    /// Overwrites it if the caller names it, because the release did not write it.
    #[serde(rename = "notTheReleases")]
    Unmanaged,
    /// Nothing: an obstacle is never overwritten.
    #[serde(rename = "inTheWay")]
    Blocked {
        /// The entry itself, or a part of its path.
        at: String,
        /// The obstacle.
        #[serde(rename = "what")]
        obstacle: Obstacle,
    },
}

/// A line of a diff.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum DiffLine {
    /// A line of both files.
    Same(String),
    /// A line of the former file only.
    Removed(String),
    /// A line of the new file only.
    Added(String),
    /// Lines of both files that are left out.
    Skipped,
}

/// The present state of an entry that a release wrote.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct WorkstationStatus {
    /// Relative to the home directory.
    pub path: String,
    /// The kind of entry.
    #[serde(rename = "what")]
    pub entry: WorkstationEntry,
    /// The present state.
    pub state: WorkstationState,
}

/// The state of an entry that a release wrote.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub enum WorkstationState {
    /// As the release wrote it.
    InPlace,
    /// Changed by a person; a virtual environment is incomplete.
    ChangedByHand,
    /// Deleted.
    #[serde(rename = "gone")]
    Missing,
    /// An obstacle is in its place.
    #[serde(rename = "inTheWay")]
    Blocked {
        /// The entry itself, or a part of its path.
        at: String,
        /// The obstacle.
        #[serde(rename = "what")]
        obstacle: Obstacle,
    },
}

/// An entry that differs from the plan after an apply, or stays after a removal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Skipped {
    /// Relative to the home directory.
    pub path: String,
    /// Why.
    #[serde(rename = "why")]
    pub reason: SkipReason,
}

/// Why an entry is skipped.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub enum SkipReason {
    /// A person changed it.
    ChangedByHand,
    /// The release did not write it.
    #[serde(rename = "notTheReleases")]
    Unmanaged,
    /// An obstacle is in its place.
    #[serde(rename = "inTheWay")]
    Blocked {
        /// The entry itself, or a part of its path.
        at: String,
        /// The obstacle.
        #[serde(rename = "what")]
        obstacle: Obstacle,
    },
    /// The directory holds entries that the release did not write.
    NotEmpty,
    /// It changed during this run.
    #[serde(rename = "changedMeanwhile")]
    ChangedDuringRun,
    /// It was overwritten or removed, and the former file is kept under this name.
    #[serde(rename = "keptAs")]
    BackedUpAs(String),
}

impl fmt::Display for Skipped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "~/{}", self.path)?;
        match &self.reason {
            SkipReason::ChangedByHand => f.write_str(" was changed by hand; it is unchanged"),
            SkipReason::Unmanaged => f.write_str(" does not belong to this release; it is unchanged"),
            SkipReason::Blocked { at, obstacle } if *at == self.path => {
                write!(f, " is {obstacle}; it is unchanged")
            }
            SkipReason::Blocked { at, obstacle } => write!(f, " is unchanged: ~/{at} is {obstacle}"),
            SkipReason::NotEmpty => f.write_str(" stays: it holds files that this release did not write"),
            SkipReason::ChangedDuringRun => f.write_str(" changed during this run; it is unchanged"),
            SkipReason::BackedUpAs(name) => write!(f, ": the former file is kept beside it as {name}"),
        }
    }
}

/// The result of an apply.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct WorkstationReport {
    /// Whether any entry was created, changed or removed.
    pub changed: bool,
    /// The entries that differ from the plan or stay.
    #[serde(rename = "left")]
    pub skipped: Vec<Skipped>,
}
