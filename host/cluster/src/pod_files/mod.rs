//! Files that a release has in running pods.

pub(crate) mod exec;
pub(crate) mod files;
