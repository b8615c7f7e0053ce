//! Speaks to the cluster: server-side apply, inventory, journal, waiting, probes.

mod error;
mod event;
mod release;
mod secret;
mod skeleton;

pub use error::{Error, FieldConflict};
pub use event::{Event, Events};
pub use release::{Action, Entry, EntryPhase, Fingerprint, ObjectChange, Phase, Release};
pub use secret::{SecretInputs, SecretText};
pub use skeleton::{Adopt, Apply, ApplyOptions, Cluster, Comparison, Connect, UninstallOptions, Uninstalled};
