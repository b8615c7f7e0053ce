//! Waits until objects are ready, and explains why one is not.

pub(crate) mod kstatus;
pub(crate) mod wait;
