//! A repository of an image registry, by the OCI distribution specification.
//!
//! buildah and podman have no portable command for these requests, and report errors as free text. `oci-client` is not used:
//! it has no delete, and does not let its caller resolve host names.

pub(super) mod auth;
pub(super) mod client;
pub(crate) mod error;
#[cfg(test)]
mod tests;
