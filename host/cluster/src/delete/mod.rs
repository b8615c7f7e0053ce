//! Deletes the objects of a release, and its record.

pub(crate) mod batches;
pub(crate) mod objects;
pub(crate) mod options;
pub(crate) mod uninstall;
#[cfg(test)]
mod uninstall_tests;
