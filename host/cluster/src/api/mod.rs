//! The client of the Kubernetes API: requests, retries, access reviews. It knows nothing of releases.

pub(crate) mod client;
pub(crate) mod concurrency;
pub(crate) mod status;
