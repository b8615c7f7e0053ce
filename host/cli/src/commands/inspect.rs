//! `inspect`: shows a plugin.

use crate::args::plan::PluginArgs;
use crate::error::CliError;
use crate::input::plugin;
use crate::output::plugin::{PluginFacts, inspect, inspect_json};
use crate::output::printer::Printer;
use clap::Args;
use std::process::ExitCode;

#[derive(Debug, Args)]
pub(crate) struct InspectArgs {
    #[command(flatten)]
    plugin: PluginArgs,
}

pub(crate) async fn run(printer: Printer, args: InspectArgs) -> Result<ExitCode, CliError> {
    let loaded = plugin::load(&args.plugin).await?;
    let facts = PluginFacts::of(&loaded);
    printer.result(|| inspect(&facts), || inspect_json(&facts));
    Ok(ExitCode::SUCCESS)
}
