//! `status`: lists releases, or shows one with its objects.

use crate::args::cluster::ClusterArgs;
use crate::error::CliError;
use crate::input::cluster;
use crate::output::printer::Printer;
use crate::output::release::{release, release_json, releases, summary_json};
use clap::Args;
use std::process::ExitCode;
use thinkube_engine::Error;

#[derive(Debug, Args)]
pub(crate) struct StatusArgs {
    /// Name of the release [default: all]
    release: Option<String>,
    #[command(flatten)]
    cluster: ClusterArgs,
}

pub(crate) async fn run(printer: Printer, args: StatusArgs) -> Result<ExitCode, CliError> {
    let cluster = cluster::connect(&args.cluster).await?;
    match args.release {
        Some(name) => {
            let found = cluster::installed_release(&cluster, &name).await?;
            let objects = thinkube_engine::status(&cluster, &found).await;
            printer.result(|| release(&found, &objects), || release_json(&found, &objects));
        }
        None => {
            let found = cluster.releases().await.map_err(Error::from)?;
            printer.result(|| releases(&found), || found.iter().map(summary_json).collect::<Vec<_>>());
        }
    }
    Ok(ExitCode::SUCCESS)
}
