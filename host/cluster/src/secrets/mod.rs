//! Composes Secrets, and reads those that a plan or the operator names.

pub(crate) mod compose;
pub(crate) mod drift;
pub(crate) mod input;
pub(crate) mod registry_credentials;
