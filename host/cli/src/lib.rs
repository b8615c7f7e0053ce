//! Arguments and rendering. What is done, the engine does.

mod args;
mod commands;
mod exit;
mod failure;
mod inputs;
mod out;
mod show;

use clap::{CommandFactory, FromArgMatches};
use std::process::ExitCode;

/// Runs the command line under the name by which it was called, and answers its exit code.
pub fn main(name: &'static str) -> ExitCode {
    let command = args::Arguments::command().name(name).bin_name(name);
    let arguments = command.try_get_matches().and_then(|matches| args::Arguments::from_arg_matches(&matches));
    let arguments = match arguments {
        Ok(arguments) => arguments,
        Err(error) => error.exit(),
    };
    arguments.color.write_global();
    let output = arguments.output;
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return failure::Failure::from(error).report(output),
    };
    let outcome = runtime.block_on(commands::run(name, arguments));
    // A plugin's expression that runs for too long must not keep the process.
    runtime.shutdown_background();
    match outcome {
        Ok(code) => code,
        Err(failure) => failure.report(output),
    }
}
