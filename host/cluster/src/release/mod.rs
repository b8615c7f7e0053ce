//! What the cluster stores of a release: the record, the plans of its revisions, and the Lease.

pub(crate) mod applyset;
pub(crate) mod lease;
pub(crate) mod record;
pub(crate) mod store;
