//! Everything that is printed: one file for each thing, its text and its JSON beside each other.
//!
//! These functions only render. They ask neither the cluster nor the user.

pub(crate) mod apply;
pub(crate) mod changes;
pub(crate) mod checks;
pub(crate) mod format;
pub(crate) mod hint;
pub(crate) mod image;
pub(crate) mod manifests;
pub(crate) mod plan;
pub(crate) mod plugin;
pub(crate) mod printer;
pub(crate) mod progress;
pub(crate) mod release;
pub(crate) mod report;
pub(crate) mod terminal;
pub(crate) mod text;
pub(crate) mod uninstall;
pub(crate) mod workstation;

#[cfg(test)]
mod hostile_tests;
