//! Files and lines that a release has in running pods.

mod containers;
pub(crate) mod diff;
pub(crate) mod exec;
mod observe;
pub(crate) mod record;
pub(crate) mod remove;
mod report;
#[cfg(test)]
mod testing;
pub(crate) mod write;
