//! Keys, certificates and kubeconfigs, kubectl, and the test domain.

pub(crate) mod domain;
pub(crate) mod kubeconfig;
pub(crate) mod kubectl;
pub(crate) mod pki;
