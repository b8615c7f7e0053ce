//! `completion`: prints a completion script for a shell.

use crate::output::terminal;
use crate::output::text::untrusted_lines;
use clap::Args;
use clap_complete::Shell;
use std::process::ExitCode;

#[derive(Debug, Args)]
pub(crate) struct CompletionArgs {
    /// The shell
    shell: Shell,
}

pub(crate) fn run(args: &CompletionArgs, mut command: clap::Command) -> ExitCode {
    let name = command.get_name().to_owned();
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut command, name, &mut script);
    terminal::to_stdout(&untrusted_lines(String::from_utf8_lossy(&script)));
    ExitCode::SUCCESS
}
