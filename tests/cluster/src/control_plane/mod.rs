//! The servers of the control plane, and the audit log.

pub(crate) mod apiserver;
pub(crate) mod audit;
pub(crate) mod controller_manager;
pub(crate) mod etcd;
pub(crate) mod scheduler;
