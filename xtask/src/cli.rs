//! The command line: one subcommand a file.

use std::io::{Write as _, stderr};
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::cluster;

/// The commands of a developer of this project.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Starts, stops and looks at a Kubernetes cluster on this machine.
    Cluster(cluster::Args),
}

pub(crate) fn run() -> ExitCode {
    let result = match Cli::parse().command {
        Command::Cluster(args) => cluster::run(args),
    };
    result.unwrap_or_else(|error| {
        // When standard error is closed there is nobody to tell.
        let _ = writeln!(stderr().lock(), "error: {error:#}");
        ExitCode::FAILURE
    })
}
