//! The node: its network, its servers, and what they unmet.

pub(crate) mod cni;
pub(crate) mod containerd;
pub(crate) mod dns;
pub(crate) mod kube_proxy;
pub(crate) mod kubelet;
pub(crate) mod network;
pub(crate) mod storage;
