//! The servers of the platform that a cluster has on demand; Keycloak is a room of its own.

pub(crate) mod ingress;
pub(crate) mod registry;
