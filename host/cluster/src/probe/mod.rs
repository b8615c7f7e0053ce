//! Facts and checks: what a plugin asks of the cluster, and what a plan checks. Nothing in this room writes.

pub(crate) mod certificate;
pub(crate) mod credentials;
pub(crate) mod http;
pub(crate) mod observe;
