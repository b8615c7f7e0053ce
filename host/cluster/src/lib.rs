//! The host's side of a Kubernetes cluster: reads, server-side apply, release records, readiness, checks, uninstall. It is
//! the only crate that names kube.
//!
//! [`Cluster::compare`] finds out what an apply would write; [`Cluster::begin`] acquires the release's Lease and records
//! every object that may exist; [`Apply::apply_stage`] and [`Apply::wait`] write the objects; [`Cluster::begin_uninstall`] deletes them.
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
pub use apply::operation::OperationPlans;
pub use apply::options::{Adopt, ApplyOptions};
pub use apply::run::Apply;
pub use cluster::Cluster;
pub use delete::options::{Orphan, UninstallOptions};
pub use delete::uninstall::Uninstall;
pub use diff::release_diff::ReleaseDiff;
pub use error::Error;
pub use error::api::ApiError;
pub use error::apply::{ApplyError, FieldConflict};
pub use error::delete::DeleteError;
pub use error::diff::{DiffError, ForeignObject, StepRef};
pub use error::pod_files::PodFilesError;
pub use error::probe::ProbeError;
pub use error::readiness::ReadinessError;
pub use error::release::ReleaseError;
pub use probe::observe::supported;
pub use progress::{Progress, ProgressSink};
pub use release::record::{BuiltImage, Entry, EntryPhase, Fingerprint, Phase, PodFilesEntry, Release};
pub use secrets::drift::{CopyState, SecretCopy};
