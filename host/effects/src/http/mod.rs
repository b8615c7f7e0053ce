//! HTTP to servers outside the cluster.

pub(crate) mod auth;
pub(crate) mod client;
pub(crate) mod probe;
#[cfg(test)]
mod tests;
