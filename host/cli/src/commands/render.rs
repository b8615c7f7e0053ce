//! `render`: prints the objects of a plan.

use crate::args::plan::{OfflineArgs, PlanArgs};
use crate::error::CliError;
use crate::input::settings;
use crate::output::manifests::{manifest_list, manifests};
use crate::output::printer::Printer;
use crate::planning::plan_offline;
use clap::Args;
use std::process::ExitCode;
use thinkube_engine::FactSource;

#[derive(Debug, Args)]
pub(crate) struct RenderArgs {
    #[command(flatten)]
    plan: PlanArgs,
    #[command(flatten)]
    offline: OfflineArgs,
}

pub(crate) async fn run(printer: Printer, args: RenderArgs) -> Result<ExitCode, CliError> {
    let facts = settings::read_facts(&args.offline)?;
    let source = FactSource::Recorded(&facts);
    let planned = plan_offline(printer, &args.plan, source, args.offline.kubernetes_version).await?.planned;
    printer.result(|| manifests(&planned.plan), || manifest_list(&planned.plan));
    Ok(ExitCode::SUCCESS)
}
