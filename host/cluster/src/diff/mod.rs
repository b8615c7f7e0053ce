//! How a plan and the cluster differ. Nothing in this room writes: it reads, and asks the server for dry runs.

pub(crate) mod compare;
pub(crate) mod custom_kinds;
pub(crate) mod desired;
pub(crate) mod dry_run;
pub(crate) mod existing;
pub(crate) mod managed_fields;
pub(crate) mod normalize;
pub(crate) mod ownership;
pub(crate) mod rejection;
pub(crate) mod release_diff;
pub(crate) mod target;
