//! Speaks to the cluster: reads, server-side apply, inventory, journal, waiting, probes, uninstall. The only crate
//! that names kube.
//!
//! [`Cluster::compare`] says what an apply would write; [`Cluster::begin`] claims the release and records everything that
//! may exist; [`Apply::stage`] and [`Apply::wait`] bring it about; [`Cluster::uninstall`] takes it back. Whatever request is
//! the last one that a host makes before it dies, the record in the cluster is enough to go on from.

mod api;
mod apply;
mod delete;
mod diff;
mod discovery;
mod error;
mod pod_files;
mod probe;
mod progress;
mod readiness;
mod release;
mod secrets;

pub use api::client::{Cluster, Connect};
pub use apply::operation::OperationPlans;
pub use apply::run::{Adopt, Apply, ApplyOptions};
pub use delete::uninstall::{Orphan, UninstallOptions, Uninstalled};
pub use diff::compare::ReleaseDiff;
pub use error::{Error, FieldConflict};
pub use probe::observe::supported;
pub use progress::{Event, Events};
pub use release::record::{BuiltImage, Entry, EntryPhase, Fingerprint, Phase, PodFilesEntry, Release};
pub use secrets::drift::{Copied, CopyState};
