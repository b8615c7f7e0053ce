//! The top of the command line: global options, and one command for each file of `commands`.

use crate::commands::{
    apply, build, check, completion, explain, inspect, plan, render, run, status, uninstall, workstation,
};
use crate::error::CliError;
use crate::exit;
use crate::interrupt;
use crate::output::format::{Color, Format};
use crate::output::printer::Printer;
use clap::{ArgAction, CommandFactory, Parser, Subcommand};
use std::process::ExitCode;
use thinkube_engine::unless_cancelled;

/// Installs services on Kubernetes from plugins.
///
/// A plugin is a sandboxed WebAssembly component that only describes what should exist. This program validates the plan,
/// shows it, applies it, checks it and removes it.
#[derive(Debug, Parser)]
#[command(version, arg_required_else_help = true, after_help = exit::HELP, max_term_width = 110)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub command: Command,
    /// Format of the result
    #[arg(
        short,
        long,
        global = true,
        value_enum,
        default_value_t,
        value_name = "FORMAT",
        help_heading = "Global options"
    )]
    pub output: Format,
    /// Print no progress and no warnings
    #[arg(short, long, global = true, help_heading = "Global options")]
    pub quiet: bool,
    /// Log more to stderr: -v steps, -vv details. RUST_LOG sets a filter instead
    #[arg(short, long, global = true, action = ArgAction::Count, conflicts_with = "quiet", help_heading = "Global options")]
    pub verbose: u8,
    /// Format of the log
    #[arg(
        long,
        global = true,
        value_enum,
        default_value_t,
        value_name = "FORMAT",
        help_heading = "Global options"
    )]
    pub log_format: Format,
    /// When to use colours
    #[arg(
        long,
        global = true,
        value_enum,
        default_value_t,
        value_name = "WHEN",
        help_heading = "Global options"
    )]
    pub color: Color,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Show a plugin: its settings, secret inputs, operations, dependencies and requested permissions
    Inspect(inspect::InspectArgs),
    /// Print the objects of a plan as YAML; needs no cluster
    Render(render::RenderArgs),
    /// Show a plan; needs no cluster, unless --cluster compares the plan with one
    Plan(plan::PlanCommandArgs),
    /// Install or change a release
    Apply(apply::ApplyArgs),
    /// Run an operation of a plugin on its release
    Run(run::RunArgs),
    /// Run the health checks of a release
    Check(check::CheckArgs),
    /// List releases, or show one with its objects
    Status(status::StatusArgs),
    /// Delete a release; keeps its data unless --delete-data
    Uninstall(uninstall::UninstallArgs),
    /// Manage a plugin's files in your home directory; needs no cluster
    #[command(subcommand)]
    Workstation(workstation::WorkstationCommand),
    /// Build the component of a plugin's crate
    Build(build::BuildArgs),
    /// Explain the kind of an error, or list all kinds
    Explain(explain::ExplainArgs),
    /// Print a completion script for a shell
    Completion(completion::CompletionArgs),
}

/// The command line as clap has it, under the name of the program.
pub(crate) fn command_line(name: &'static str) -> clap::Command {
    Cli::command().name(name).bin_name(name)
}

impl Cli {
    /// Runs the command. `name` is the name of the program.
    pub(crate) async fn run(self, name: &'static str) -> Result<ExitCode, CliError> {
        let Self { command, output: format, quiet, verbose, .. } = self;
        let printer = Printer { format, quiet, verbose };
        let cancel = interrupt::listen()?;
        match command {
            // These handle an interruption themselves, because they must record it.
            Command::Apply(args) => apply::run(printer, args, &cancel).await,
            Command::Run(args) => run::run(printer, args, &cancel).await,
            Command::Workstation(command) => workstation::run(printer, command, &cancel).await,
            Command::Inspect(args) => unless_cancelled(&cancel, inspect::run(printer, args)).await,
            Command::Render(args) => unless_cancelled(&cancel, render::run(printer, args)).await,
            Command::Plan(args) => unless_cancelled(&cancel, plan::run(printer, args)).await,
            Command::Uninstall(args) => unless_cancelled(&cancel, uninstall::run(printer, args)).await,
            Command::Check(args) => unless_cancelled(&cancel, check::run(printer, args)).await,
            Command::Status(args) => unless_cancelled(&cancel, status::run(printer, args)).await,
            Command::Build(args) => unless_cancelled(&cancel, build::run(printer, args)).await,
            Command::Explain(args) => explain::run(printer, &args),
            Command::Completion(args) => Ok(completion::run(&args, command_line(name))),
        }
    }
}
