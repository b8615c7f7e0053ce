//! What every command takes that changes a cluster.

use crate::args::cluster::ClusterArgs;
use crate::args::http::HttpArgs;
use crate::args::secrets::SecretArgs;
use crate::args::value::parse_time;
use clap::Args;
use std::time::Duration;

#[derive(Debug, Args)]
pub(crate) struct ChangeArgs {
    #[command(flatten)]
    pub cluster: ClusterArgs,
    #[command(flatten)]
    pub secrets: SecretArgs,
    #[command(flatten)]
    pub http: HttpArgs,
    /// Do not ask for confirmation
    #[arg(short, long)]
    pub yes: bool,
    /// Longest wait for one stage to become ready, or for objects to be deleted, for example 90s or 10m
    #[arg(long, value_name = "TIME", default_value = "5m", value_parser = parse_time)]
    pub timeout: Duration,
}
