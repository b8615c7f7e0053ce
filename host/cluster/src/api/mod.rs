//! The client of the Kubernetes API: requests, retries, discovery, access reviews. It must not know what a release is.

pub(crate) mod access;
pub(crate) mod client;
pub(crate) mod concurrency;
pub(crate) mod confidential;
pub(crate) mod connect;
pub(crate) mod discovery;
pub(crate) mod key;
pub(crate) mod request;
pub(crate) mod resource;
pub(crate) mod response;
pub(crate) mod retry;
pub(crate) mod status;
pub(crate) mod transport;
