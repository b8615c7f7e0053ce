//! What the cluster stores of a release: the record, the plans of its revisions, and the Lease. It must not hold a secret value.

pub(crate) mod applyset;
pub(crate) mod lease;
pub(crate) mod name;
pub(crate) mod record;
pub(crate) mod revisions;
pub(crate) mod store;
pub(crate) mod stored;
