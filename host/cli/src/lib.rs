//! The command line of thinkube-host: it parses arguments, calls the engine, and renders results.
//!
//! Imports point down: `commands` → `planning` → `input` → `error` → `output`; `args` is below `input`. This crate decides
//! nothing about a plan or a cluster; the engine does.

mod args;
mod cli;
mod commands;
mod error;
mod exit;
mod input;
mod interrupt;
mod log;
mod output;
mod planning;

use clap::FromArgMatches;
use cli::Cli;
use error::CliError;
use output::format::Format;
use std::process::ExitCode;

/// One thread for the command and one that still handles Ctrl-C.
const WORKER_THREADS: usize = 2;

/// The command line as clap has it, under the name of the program. The reference in `docs/` is made from it.
pub fn command(name: &'static str) -> clap::Command {
    cli::command_line(name)
}

/// Runs the command line under the name of the program, and returns its exit code.
pub fn main(name: &'static str) -> ExitCode {
    let parsed = command(name).try_get_matches().and_then(|matches| Cli::from_arg_matches(&matches));
    let cli = match parsed {
        Ok(cli) => cli,
        Err(error) if error.use_stderr() && wants_json() => {
            return CliError::clap(&error).report(Format::Json);
        }
        Err(error) => error.exit(),
    };
    cli.color.write_global();
    log::start(cli.verbose, cli.quiet, cli.log_format);
    let format = cli.output;
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(WORKER_THREADS).enable_all().build();
    let runtime = match runtime {
        Ok(runtime) => runtime,
        Err(error) => return CliError::from(error).report(format),
    };
    let outcome = runtime.block_on(cli.run(name));
    // Does not wait for threads: a plugin's expression may still be running.
    runtime.shutdown_background();
    outcome.unwrap_or_else(|error| error.report(format))
}

/// Whether an invalid command line asks for JSON.
fn wants_json() -> bool {
    let arguments: Vec<String> = std::env::args().collect();
    arguments
        .iter()
        .any(|argument| argument == "-ojson" || argument == "-o=json" || argument == "--output=json")
        || arguments.windows(2).any(|pair| matches!(pair[0].as_str(), "-o" | "--output") && pair[1] == "json")
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_command_line_is_consistent() {
        super::command("thinkube-host").debug_assert();
    }
}
