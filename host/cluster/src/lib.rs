//! The host's side of a Kubernetes cluster: reads, server-side apply, release records, readiness, checks, uninstall. It is
//! the only crate that names kube.
//!
//! [`Cluster::compare`] finds out what an apply would write; [`Cluster::begin`] acquires the release's Lease and records
//! every object that may exist; [`Apply::stage`] and [`Apply::wait`] write the objects; [`Cluster::uninstall`] deletes them.
//! After a crash at any request, the record in the cluster is enough to go on.
//!
//! The rooms, each on the ones before it: `api`, `release`, `secrets`, `diff`, `readiness`, `probe`, `pod_files`, `apply`,
//! `delete`, and [`Cluster`] in front.

mod api;
mod apply;
mod cluster;
mod delete;
mod diff;
mod error;
mod pod_files;
mod probe;
mod progress;
mod readiness;
mod release;
mod secrets;

pub use api::connect::Connect;
pub use api::error::ApiError;
pub use api::status::FieldConflict;
pub use apply::error::ApplyError;
pub use apply::operation::OperationPlans;
pub use apply::run::{Adopt, Apply, ApplyOptions};
pub use cluster::Cluster;
pub use delete::error::DeleteError;
pub use delete::uninstall::{Orphan, UninstallOptions, Uninstalled};
pub use diff::error::{DiffError, ForeignObject, StepRef};
pub use diff::release_diff::ReleaseDiff;
pub use error::Error;
pub use pod_files::error::PodFilesError;
pub use probe::error::ProbeError;
pub use probe::observe::supported;
pub use progress::{Progress, ProgressSink};
pub use readiness::error::ReadinessError;
pub use release::error::ReleaseError;
pub use release::record::{BuiltImage, Entry, EntryPhase, Fingerprint, Phase, PodFilesEntry, Release};
pub use secrets::drift::{CopyState, SecretCopy};
