//! `run`: runs an operation of a plugin on its release.

use crate::args::change::ChangeArgs;
use crate::args::value::parse_setting;
use crate::error::CliError;
use crate::input::confirm::confirm;
use crate::input::secret_source::SecretSources;
use crate::input::{cluster, plugin, secrets};
use crate::output;
use crate::output::plan::plan_json;
use crate::output::printer::Printer;
use crate::output::progress::Progress;
use crate::output::report::report_log;
use crate::output::terminal;
use clap::Args;
use serde_json::{Map, Value};
use std::path::PathBuf;
use std::process::ExitCode;
use thinkube_engine::{
    ApplyRequest, CancellationToken, Change, Cluster, HttpOptions, LoadedPlugin, Planned, Release,
    SecretInputs, Session, unless_cancelled,
};

#[derive(Debug, Args)]
pub(crate) struct RunArgs {
    /// Name of the operation; `inspect` lists them
    operation: String,
    /// Name of the release [default: the plugin's name]
    #[arg(long, value_name = "NAME")]
    release: Option<String>,
    /// The plugin of the release: a .wasm component, or the folder of a plugin's crate, which is then built
    #[arg(long, value_name = "PLUGIN")]
    plugin: PathBuf,
    /// One argument of the operation
    #[arg(long = "arg", value_name = "NAME=VALUE", value_parser = parse_setting)]
    arguments: Vec<(String, String)>,
    #[command(flatten)]
    change: ChangeArgs,
    /// Show what the operation would do, and change nothing
    #[arg(long)]
    dry_run: bool,
}

/// All that an operation needs, once the user has agreed to it.
struct Confirmed {
    loaded: LoadedPlugin,
    cluster: Cluster,
    release: Release,
    planned: Planned,
    secrets: SecretInputs,
    /// The changes that the user has seen.
    shown: Vec<Change>,
}

pub(crate) async fn run(
    printer: Printer,
    args: RunArgs,
    cancel: &CancellationToken,
) -> Result<ExitCode, CliError> {
    let sources = SecretSources::parse(&args.change.secrets)?;
    let http = args.change.http.clone().options();
    let progress = Progress::new(printer);
    let prepared = unless_cancelled(cancel, prepare(printer, &args, &sources, &http)).await?;
    if args.dry_run {
        return Ok(ExitCode::SUCCESS);
    }
    let Confirmed { loaded, cluster, release, planned, secrets, shown } = prepared;
    let request = ApplyRequest {
        timeout: args.change.timeout,
        adopt: Vec::new(),
        ignore_preflight: Vec::new(),
        wait: true,
        shown,
    };
    let events = |event| progress.show(&event);
    let session = Session {
        plugin: Some(&loaded.plugin),
        cancel: cancel.clone(),
        events: &events,
        ..Session::new(&cluster, &http, &secrets)
    };
    let done = thinkube_engine::operate(&session, &release, &args.operation, &planned, &request).await?;
    printer.result(
        || output::apply::operated(&args.operation, &planned, &done),
        || output::apply::operated_json(&args.operation, &planned, &done),
    );
    Ok(ExitCode::SUCCESS)
}

/// Plans, previews and asks; with `--dry-run` prints the preview as the result.
async fn prepare(
    printer: Printer,
    args: &RunArgs,
    sources: &SecretSources,
    http: &HttpOptions,
) -> Result<Confirmed, CliError> {
    let RunArgs { operation, dry_run, .. } = args;
    let cluster = cluster::connect(&args.change.cluster).await?;
    let loaded = plugin::load_path(args.plugin.clone()).await?;
    let name = args.release.as_deref().unwrap_or(&loaded.descriptor.name);
    let release = cluster::installed_release(&cluster, name).await?;
    let arguments = read_arguments(&loaded, operation, &args.arguments);
    let planned = thinkube_engine::plan_operation(&loaded, &cluster, &release, operation, arguments).await?;
    report_log(printer, &planned.log, &planned.unused);
    let secrets = secrets::for_plan(&loaded, &planned, None, sources, &cluster, !dry_run).await?;
    let mut shown = Vec::new();
    if *dry_run || !args.change.yes {
        let session = Session::new(&cluster, http, &secrets);
        let preview = thinkube_engine::preview_operation(&session, &release, &planned).await?;
        let text = || {
            let mut text = output::plan::operation(operation, &loaded.descriptor.title, &planned);
            text.push(&output::plan::preview(&preview, Some(&release)));
            text
        };
        if *dry_run {
            printer.result(text, || plan_json(&planned, Some(&preview)));
        } else {
            terminal::to_stderr(&text());
            confirm(&format!("Run this on {}?", cluster.server())).await?;
        }
        shown = preview.changes;
    }
    Ok(Confirmed { loaded, cluster, release, planned, secrets, shown })
}

/// The arguments as the operation's schema reads them. The engine refuses an unknown one.
fn read_arguments(loaded: &LoadedPlugin, operation: &str, given: &[(String, String)]) -> Value {
    let known = loaded.operations.iter().find(|known| known.operation.name == operation);
    let read = |(name, text): &(String, String)| {
        let value = known.map_or(Value::Null, |known| known.schema.read_argument(name, text));
        (name.clone(), value)
    };
    Value::Object(given.iter().map(read).collect::<Map<_, _>>())
}
