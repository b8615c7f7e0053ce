//! Processes: commands that run to their end, servers in the background, and the search for what was started.

pub(crate) mod find;
pub(crate) mod run;
pub(crate) mod server;
