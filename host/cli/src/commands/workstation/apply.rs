//! `workstation apply`: writes the files.

use crate::commands::workstation::part::WorkstationPart;
use crate::commands::workstation::plan::WorkstationPlanInputs;
use crate::error::CliError;
use crate::input::confirm::confirm;
use crate::input::plugin;
use crate::output::printer::Printer;
use crate::output::terminal;
use clap::Args;
use std::process::ExitCode;
use thinkube_engine::{CancellationToken, unless_cancelled};

#[derive(Debug, Args)]
pub(crate) struct WorkstationApplyArgs {
    #[command(flatten)]
    inputs: WorkstationPlanInputs,
    /// Do not ask for confirmation
    #[arg(short, long)]
    yes: bool,
    /// Replace this file though you changed it or the release did not write it; keeps a copy beside it
    #[arg(long, value_name = "PATH")]
    overwrite: Vec<String>,
}

pub(crate) async fn run(
    printer: Printer,
    args: WorkstationApplyArgs,
    cancel: &CancellationToken,
) -> Result<ExitCode, CliError> {
    let WorkstationApplyArgs { inputs, yes, overwrite } = args;
    let home = thinkube_engine::home(inputs.home.home.as_deref())?;
    let loaded = unless_cancelled(cancel, plugin::load(&inputs.plan.plugin)).await?;
    let (given, part) = unless_cancelled(cancel, async {
        let version = inputs.kubernetes_version;
        let (given, part) = WorkstationPart::alone(printer, &inputs.plan, &loaded, &home, version).await?;
        if !yes {
            terminal::to_stderr(&part.plan(&loaded));
            if part.needs_confirmation(&overwrite) {
                confirm(&format!("Apply this to {}?", home.path().display())).await?;
            }
        }
        Ok::<_, CliError>((given, part))
    })
    .await?;
    let done = part.apply(printer, overwrite, cancel).await?;
    printer.result(|| done.text(), || given.with_inventory(done.json()));
    Ok(done.exit_code())
}
