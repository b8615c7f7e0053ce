//! `check`: runs the checks of a release.

use crate::args::cluster::ClusterArgs;
use crate::args::http::HttpArgs;
use crate::error::CliError;
use crate::exit;
use crate::input::{cluster, plugin};
use crate::output::checks::checks;
use crate::output::printer::Printer;
use clap::Args;
use std::path::PathBuf;
use std::process::ExitCode;
use thinkube_engine::{RetryPolicy, SecretInputs, Session};

#[derive(Debug, Args)]
pub(crate) struct CheckArgs {
    /// Name of the release
    release: String,
    #[command(flatten)]
    cluster: ClusterArgs,
    #[command(flatten)]
    http: HttpArgs,
    /// Run the tests too; they may write to the service
    #[arg(long)]
    tests: bool,
    /// Repeat each check until it passes or its time is over
    #[arg(long)]
    wait: bool,
    /// The plugin of the release, for checks that the plugin evaluates itself
    #[arg(long, value_name = "PLUGIN")]
    plugin: Option<PathBuf>,
}

pub(crate) async fn run(printer: Printer, args: CheckArgs) -> Result<ExitCode, CliError> {
    let cluster = cluster::connect(&args.cluster).await?;
    let release = cluster::installed_release(&cluster, &args.release).await?;
    let loaded = match args.plugin {
        Some(path) => Some(plugin::load_path(path).await?),
        None => None,
    };
    let plugin = loaded.as_ref().map(|loaded| &loaded.plugin);
    let retry = if args.wait { RetryPolicy::UntilTimeout } else { RetryPolicy::Once };
    let http = args.http.options();
    let secrets = SecretInputs::default();
    let session = Session { plugin, ..Session::new(&cluster, &http, &secrets) };
    let outcomes = thinkube_engine::check(&session, &release, args.tests, retry).await?;
    printer.result(|| checks(&outcomes), || &outcomes);
    let failed = thinkube_engine::failed(&outcomes);
    Ok(if failed.is_empty() { ExitCode::SUCCESS } else { ExitCode::from(exit::CHECK) })
}
