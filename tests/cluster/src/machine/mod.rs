//! What the machine must have, and what a node uses of it.

pub(crate) mod cargo;
pub(crate) mod cgroup;
pub(crate) mod mounts;
pub(crate) mod packages;
pub(crate) mod requirements;
pub(crate) mod tools;
