//! The commands of a developer of this project.

mod cli;
mod cluster;

use std::process::ExitCode;

fn main() -> ExitCode {
    cli::run()
}
