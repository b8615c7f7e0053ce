//! The commands of a developer of this project.

mod bench;
mod check;
mod cli;
mod cluster;
mod command;
mod demo;
mod doctor;
mod e2e;
mod graph;
mod house;
mod layering;
mod progress;
mod reference;
mod source;
mod specification;
mod sweep;
mod test;

use std::process::ExitCode;

fn main() -> ExitCode {
    cli::run()
}
