//! The cluster that a command works on.

use crate::args::value::parse_namespace;
use clap::Args;
use std::path::PathBuf;

#[derive(Debug, Clone, Args)]
pub(crate) struct ClusterArgs {
    /// Kubeconfig file [default: $KUBECONFIG, then ~/.kube/config]
    #[arg(long, value_name = "FILE")]
    pub kubeconfig: Option<PathBuf>,
    /// Context of the kubeconfig
    #[arg(long, value_name = "NAME")]
    pub context: Option<String>,
    /// Namespace that holds the records of all releases
    #[arg(long, value_name = "NAME", default_value = "thinkube-system", env = "THINKUBE_STATE_NAMESPACE", value_parser = parse_namespace)]
    pub state_namespace: String,
}
