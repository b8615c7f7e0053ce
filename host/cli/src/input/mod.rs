//! Reads what the user names: plugins, settings, grants, facts, secrets, the cluster, and the answer to a question.

pub(crate) mod cluster;
pub(crate) mod confirm;
pub(crate) mod document;
pub(crate) mod plugin;
pub(crate) mod secret_source;
pub(crate) mod secrets;
pub(crate) mod settings;
