//! Speaks to the cluster: reads, server-side apply, inventory, journal, waiting, probes, uninstall. The only crate
//! that names kube.
//!
//! [`Cluster::compare`] says what an apply would write; [`Cluster::begin`] claims the release and records everything that
//! may exist; [`Apply::stage`] and [`Apply::wait`] bring it about; [`Cluster::uninstall`] takes it back. Whatever request is
//! the last one that a host makes before it dies, the record in the cluster is enough to go on from.

mod apply;
mod applyset;
mod certificate;
mod classify;
mod client;
mod compare;
mod compose;
mod copied;
mod credentials;
mod dry_run;
mod error;
mod event;
mod exec;
mod fields;
mod kind;
mod kstatus;
mod last_words;
mod lease;
mod limiter;
mod login;
mod normalise;
mod observe;
mod operation;
mod pod_files;
mod release;
mod remove;
mod resolve;
mod secret;
mod state;
mod uninstall;
#[cfg(test)]
mod uninstall_tests;
mod wait;

pub use apply::{Adopt, Apply, ApplyOptions};
pub use client::{Cluster, Connect};
pub use compare::ReleaseDiff;
pub use copied::{Copied, CopyState};
pub use error::{Error, FieldConflict};
pub use event::{Event, Events};
pub use observe::supported;
pub use operation::OperationPlans;
pub use release::{
    Action, BuiltImage, Entry, EntryPhase, Fingerprint, ObjectChange, Phase, PodFileChange, PodFilesEntry,
    Release,
};
pub use uninstall::{Orphan, UninstallOptions, Uninstalled};
