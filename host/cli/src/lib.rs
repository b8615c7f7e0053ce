//! Arguments and rendering. What is done, the engine does.

mod args;
mod build;
mod commands;
mod exit;
mod failure;
mod inputs;
mod operation;
mod out;
mod planning;
mod secrets;
mod show;
mod workstation;

use clap::{CommandFactory, FromArgMatches};
use std::process::ExitCode;

/// One thread for what is done and one that still hears Ctrl-C.
const WORKERS: usize = 2;

/// Runs the command line under the name by which it was called, and answers its exit code.
pub fn main(name: &'static str) -> ExitCode {
    let command = args::Arguments::command().name(name).bin_name(name);
    let arguments = command.try_get_matches().and_then(|matches| args::Arguments::from_arg_matches(&matches));
    let arguments = match arguments {
        Ok(arguments) => arguments,
        Err(error) if error.use_stderr() && wants_json() => {
            return failure::Failure::usage(&error).report(args::Output::Json);
        }
        Err(error) => error.exit(),
    };
    arguments.color.write_global();
    let output = arguments.output;
    let runtime =
        match tokio::runtime::Builder::new_multi_thread().worker_threads(WORKERS).enable_all().build() {
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

/// Whether JSON was asked for, on a command line that could not be read.
fn wants_json() -> bool {
    let arguments: Vec<String> = std::env::args().collect();
    arguments
        .iter()
        .any(|argument| argument == "-ojson" || argument == "-o=json" || argument == "--output=json")
        || arguments.windows(2).any(|pair| matches!(pair[0].as_str(), "-o" | "--output") && pair[1] == "json")
}
