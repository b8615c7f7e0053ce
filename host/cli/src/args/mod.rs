//! Groups of options that several commands share. A command's own options are in its own file.
//!
//! These types only parse. Files and secrets that they name are read by `input`.

pub(crate) mod change;
pub(crate) mod cluster;
pub(crate) mod http;
pub(crate) mod plan;
pub(crate) mod secrets;
pub(crate) mod value;
pub(crate) mod workstation;
