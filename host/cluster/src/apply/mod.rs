//! Writes the objects of a plan or of an operation, stage by stage.

pub(crate) mod operation;
pub(crate) mod run;
