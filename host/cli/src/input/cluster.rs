//! Connects to the cluster that the user names.

use crate::args::cluster::ClusterArgs;
use crate::error::CliError;
use thinkube_engine::{Cluster, Connect, Error, Release};

pub(crate) async fn connect(args: &ClusterArgs) -> Result<Cluster, CliError> {
    let ClusterArgs { kubeconfig, context, state_namespace } = args.clone();
    let cluster = Cluster::connect(&Connect { kubeconfig, context, state_namespace }).await;
    let cluster = cluster.map_err(Error::from)?;
    tracing::info!(server = %cluster.server(), version = cluster.version(), "connected to the cluster");
    Ok(cluster)
}

/// The release of that name. It must be installed.
pub(crate) async fn installed_release(cluster: &Cluster, name: &str) -> Result<Release, CliError> {
    Ok(thinkube_engine::release(cluster, name).await?)
}
