//! One file for each command: its arguments, and what it does: read, call the engine, print.

pub(crate) mod apply;
pub(crate) mod build;
pub(crate) mod check;
pub(crate) mod completion;
pub(crate) mod explain;
pub(crate) mod inspect;
pub(crate) mod plan;
pub(crate) mod render;
pub(crate) mod run;
pub(crate) mod status;
pub(crate) mod uninstall;
pub(crate) mod workstation;
