//! Secrets: composed from their sources, compared with the Secrets that they copy, and read as inputs.
//!
//! No value of a Secret leaves this room but in a [`SecretText`](thinkube_plan::SecretText) or in an object that is sent.

pub(crate) mod compose;
pub(crate) mod drift;
pub(crate) mod input;
pub(crate) mod registry_credentials;
pub(crate) mod template;
pub(crate) mod value;
