//! Writes the objects of a plan or of an operation, stage by stage.

pub(crate) mod begin;
mod object;
pub(crate) mod operation;
pub(crate) mod options;
mod prune;
pub(crate) mod run;
