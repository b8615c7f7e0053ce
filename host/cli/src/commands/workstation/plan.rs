//! `workstation plan`: shows the files that an apply would write.

use crate::args::plan::PlanArgs;
use crate::args::value::parse_version;
use crate::args::workstation::HomeArgs;
use crate::commands::workstation::part::WorkstationPart;
use crate::error::CliError;
use crate::exit;
use crate::input::plugin;
use crate::output::printer::Printer;
use clap::Args;
use std::process::ExitCode;

/// What a workstation plan is made from.
#[derive(Debug, Args)]
pub(crate) struct WorkstationPlanInputs {
    #[command(flatten)]
    pub plan: PlanArgs,
    /// Version of Kubernetes to plan for
    #[arg(long, value_name = "MAJOR.MINOR", default_value = "1.34", value_parser = parse_version)]
    pub kubernetes_version: String,
    #[command(flatten)]
    pub home: HomeArgs,
}

#[derive(Debug, Args)]
pub(crate) struct WorkstationPlanArgs {
    #[command(flatten)]
    inputs: WorkstationPlanInputs,
    /// Exit with 7 if an apply would change something
    #[arg(long)]
    exit_code: bool,
}

pub(crate) async fn run(printer: Printer, args: WorkstationPlanArgs) -> Result<ExitCode, CliError> {
    let WorkstationPlanArgs { inputs, exit_code } = args;
    let home = thinkube_engine::home(inputs.home.home.as_deref())?;
    let loaded = plugin::load(&inputs.plan.plugin).await?;
    let (given, part) =
        WorkstationPart::alone(printer, &inputs.plan, &loaded, &home, inputs.kubernetes_version).await?;
    printer.result(|| part.plan(&loaded), || given.with_inventory(part.plan_json()));
    Ok(if exit_code && part.changes() { ExitCode::from(exit::CHANGES) } else { ExitCode::SUCCESS })
}
