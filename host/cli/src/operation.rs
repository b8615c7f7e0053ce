//! `run`: an operation of an installed release.

use crate::args::{ClusterArgs, HttpArgs, Output, PluginArgs, parse_setting, parse_time};
use crate::commands::{Style, confirm, connect, known_release};
use crate::failure::Failure;
use crate::secrets::SecretArgs;
use crate::{inputs, out, show};
use clap::Args;
use serde_json::{Map, Value};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;
use thinkube_engine::{ApplyRequest, CancellationToken, LoadedPlugin, unless_cancelled};

#[derive(Debug, Args)]
pub(crate) struct RunArgs {
    /// Name of the operation; `inspect` lists those of a plugin
    pub operation: String,
    /// Name of the release [default: the plugin's name]
    #[arg(long, value_name = "NAME")]
    pub release: Option<String>,
    /// The plugin that made the release: a .wasm component, or the folder of a plugin's crate, which is then built
    #[arg(long, value_name = "PLUGIN")]
    pub plugin: PathBuf,
    /// One argument of the operation
    #[arg(long = "arg", value_name = "NAME=VALUE", value_parser = parse_setting)]
    pub arguments: Vec<(String, String)>,
    #[command(flatten)]
    pub secrets: SecretArgs,
    #[command(flatten)]
    pub connection: ClusterArgs,
    #[command(flatten)]
    pub http: HttpArgs,
    /// Show what it would do and do nothing
    #[arg(long)]
    pub dry_run: bool,
    /// Do not ask
    #[arg(short, long)]
    pub yes: bool,
    /// Longest time for one stage to become ready, for example 90s or 10m
    #[arg(long, value_name = "TIME", default_value = "5m", value_parser = parse_time)]
    pub timeout: Duration,
}

pub(crate) async fn run(
    style: Style,
    args: RunArgs,
    cancel: &CancellationToken,
) -> Result<ExitCode, Failure> {
    let RunArgs { operation, release, plugin, arguments, secrets, connection, http, dry_run, yes, timeout } =
        args;
    let sources = secrets.sources()?;
    let http = http.options();
    let progress = style.progress();
    let prepared = unless_cancelled(cancel, async {
        let cluster = connect(&connection).await?;
        let loaded = inputs::load(&PluginArgs { plugin, no_cache: false }).await?;
        let name = release.as_deref().unwrap_or(&loaded.descriptor.name);
        let release = known_release(&cluster, name).await?;
        let arguments = read_arguments(&loaded, &operation, &arguments);
        let planned =
            thinkube_engine::plan_operation(&loaded, &cluster, &release, &operation, arguments).await?;
        style.said(&planned.log, &planned.unused);
        let secrets = inputs::secrets(&loaded, &planned, None, &sources, &cluster, !dry_run).await?;
        let mut shown = Vec::new();
        if dry_run || !yes {
            let preview =
                thinkube_engine::preview_operation(&cluster, &release, &planned, &secrets, &http).await?;
            let text =
                show::operation(&operation, &loaded, &planned) + &show::changes(&preview, Some(&release));
            match (dry_run, style.output) {
                (true, Output::Text) => out::to_stdout(&text),
                (true, Output::Json) => out::json(&show::plan_json(&planned, Some(&preview))),
                (false, _) => {
                    out::to_stderr(&text);
                    confirm(&format!("Do this on {}?", cluster.server())).await?;
                }
            }
            shown = preview.changes;
        }
        Ok::<_, Failure>((loaded, cluster, release, planned, secrets, shown))
    });
    let (loaded, cluster, release, planned, secrets, shown) = prepared.await?;
    if dry_run {
        return Ok(ExitCode::SUCCESS);
    }
    let request =
        ApplyRequest { timeout, adopt: Vec::new(), ignore_preflight: Vec::new(), http, wait: true, shown };
    let events = |event| progress.show(&event);
    let done = thinkube_engine::operate(
        &loaded, &cluster, &release, &operation, &planned, &secrets, &request, cancel, &events,
    )
    .await?;
    match style.output {
        Output::Text => out::to_stdout(&show::operated(&operation, &planned, &done)),
        Output::Json => out::json(&show::operated_json(&operation, &planned, &done)),
    }
    Ok(ExitCode::SUCCESS)
}

/// The arguments as the schema of the operation reads them. One that there is not is refused by the engine.
fn read_arguments(loaded: &LoadedPlugin, operation: &str, given: &[(String, String)]) -> Value {
    let offered = loaded.operations.iter().find(|offered| offered.operation.name == operation);
    let read = |(name, text): &(String, String)| {
        let value = offered.map_or(Value::Null, |offered| offered.schema.read_argument(name, text));
        (name.clone(), value)
    };
    Value::Object(given.iter().map(read).collect::<Map<_, _>>())
}
