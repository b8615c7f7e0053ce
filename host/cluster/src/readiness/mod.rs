//! Waits until objects are ready, and explains why one is not. Nothing in this room writes.

pub(crate) mod explain;
pub(crate) mod job_logs;
pub(crate) mod kstatus;
pub(crate) mod redact;
pub(crate) mod wait;
