//! `workstation`: a plugin's files in the user's home directory. Asks no cluster.

pub(crate) mod part;

mod apply;
mod plan;
mod remove;
mod status;

use crate::error::CliError;
use crate::output::printer::Printer;
use clap::Subcommand;
use std::process::ExitCode;
use thinkube_engine::{CancellationToken, unless_cancelled};

#[derive(Debug, Subcommand)]
pub(crate) enum WorkstationCommand {
    /// Show the files that an apply would write, with their changed lines
    Plan(plan::WorkstationPlanArgs),
    /// Write the files; files that you changed are kept
    Apply(apply::WorkstationApplyArgs),
    /// Show the files that releases wrote, and those that you changed since
    Status(status::WorkstationStatusArgs),
    /// Remove the files of a release; files that you changed are kept
    Remove(remove::WorkstationRemoveArgs),
}

pub(crate) async fn run(
    printer: Printer,
    command: WorkstationCommand,
    cancel: &CancellationToken,
) -> Result<ExitCode, CliError> {
    match command {
        // Handles an interruption itself, because it must record it.
        WorkstationCommand::Apply(args) => apply::run(printer, args, cancel).await,
        WorkstationCommand::Plan(args) => unless_cancelled(cancel, plan::run(printer, args)).await,
        WorkstationCommand::Status(args) => {
            unless_cancelled(cancel, async { status::run(printer, args) }).await
        }
        WorkstationCommand::Remove(args) => unless_cancelled(cancel, remove::run(printer, args)).await,
    }
}
