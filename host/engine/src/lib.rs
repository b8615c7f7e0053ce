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
mod event;
mod lifecycle;
mod operation;
mod outcome;
mod plan;
mod plugin;
mod request;
mod session;
mod status;
mod uninstall;
mod workstation;

pub use apply::{Applied, Preview, apply, preview};
pub use cancel::unless_cancelled;
pub use check::check;
pub use error::Error;
pub use event::Event;
pub use operation::{operate, plan_operation, preview_operation};
pub use outcome::{CheckOutcome, failed};
pub use plan::{FactSource, PlanRequest, Planned, plan};
pub use plugin::{LoadedPlugin, load, read_plugin};
pub use request::{ApplyRequest, RetryPolicy, UninstallRequest};
pub use session::Session;
pub use status::{ObjectStatus, release, status};
pub use uninstall::{UninstallReport, uninstall};
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
pub use thinkube_plan::{Action, Change, ChangesByKind, SecretInputs, SecretText};
pub use thinkube_sandbox::{Capability, Config as SandboxConfig, Level, LogLine, Sandbox};
pub use thinkube_validate::{
    INVENTORY_BYTES, Inventory, InventoryFault, InventorySettings, SettingsSchema, Unused,
};
pub use tokio_util::sync::CancellationToken;
