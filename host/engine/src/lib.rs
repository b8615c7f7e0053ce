//! The path from a plugin to a running release, one function a stage:
//!
//! ```text
//! source::read ─► load ─► plan ─────────────────────────► preview ─► apply ─► check
//!                         settings, facts, rules, grants   (diff)     stages, gates, health
//! ```
//!
//! Everything up to [`plan`] runs with no cluster. The command line is a front over these functions and
//! has no logic of its own.

mod apply;
mod cancel;
mod check;
mod driver;
mod error;
mod lifecycle;
mod operation;
mod plan;
mod plugin;
mod session;
mod status;
mod uninstall;
mod workstation;

pub use apply::{Applied, ApplyRequest, Preview, apply, preview};
pub use cancel::unless_cancelled;
pub use check::{CheckOutcome, RetryPolicy, check, failed};
pub use error::Error;
pub use operation::{operate, plan_operation, preview_operation};
pub use plan::{FactSource, PlanRequest, Planned, plan};
pub use plugin::{LoadedOperation, LoadedPlugin, load, read_plugin};
pub use session::Session;
pub use status::{ObjectStatus, release, status};
pub use uninstall::{UninstallReport, UninstallRequest, uninstall};
pub use workstation::{
    PlannedWorkstation, WorkstationRequest, apply_workstation, home, plan_workstation, preview_workstation,
};

pub use thinkube_cluster::{
    Adopt, BuiltImage, Cluster, Connect, Entry, Orphan, Phase, Progress as ClusterProgress, Release,
    UninstallOptions,
};
pub use thinkube_effects::{
    DiffLine, HttpOptions, ImageEvent, SkipReason, Skipped, Workstation, WorkstationAction,
    WorkstationChange, WorkstationEntry, WorkstationEvent, WorkstationRelease, WorkstationReport,
    WorkstationState, WorkstationStatus,
};
pub use thinkube_plan as model;
pub use thinkube_plan::{Action, Change, ChangesByKind, SecretInputs, SecretText, Subject};
pub use thinkube_sandbox::{Allocation, Capability, Config as SandboxConfig, Level, LogLine, Sandbox};
pub use thinkube_validate::{
    INVENTORY_BYTES, Inventory, InventoryFault, InventorySettings, SettingFault, SettingsSchema, Unused,
};
pub use tokio_util::sync::CancellationToken;

/// What happens while something runs, for whoever shows it.
#[derive(Debug, Clone)]
pub enum Event {
    /// The cluster side has done something.
    Cluster(ClusterProgress),
    /// A check has ended.
    Checked(CheckOutcome),
    /// A step on an external resource or an image has ended, with what was done.
    Changed(Change),
    /// An image is being built.
    Building(ImageEvent),
}

/// Receives events. Must not block: it is called between requests.
pub type Events<'a> = &'a (dyn Fn(Event) + Send + Sync);
