//! Runs other programs, says which, and fails with their name.

use anyhow::{Context as _, bail};
use std::ffi::OsStr;
use std::io::Write as _;
use std::path::PathBuf;
use std::process::Command;

/// The root of the workspace.
pub(crate) fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).parent().map_or_else(PathBuf::new, Into::into)
}

/// What a person who watches is told.
pub(crate) fn say(text: &str) {
    // When standard error is closed there is nobody to tell.
    let _ = writeln!(std::io::stderr().lock(), "\n==> {text}");
}

/// The cargo that runs this xtask, in the root of the workspace.
pub(crate) fn cargo<S: AsRef<OsStr>>(arguments: impl IntoIterator<Item = S>) -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(root()).args(arguments);
    command
}

/// Runs `command` to its end, its output passed through.
pub(crate) fn run(command: &mut Command) -> anyhow::Result<()> {
    let shown = format!("{:?}", command.get_program()).replace('"', "");
    let arguments: Vec<_> =
        command.get_args().map(|argument| argument.to_string_lossy().into_owned()).collect();
    let status = command.status().with_context(|| format!("{shown} cannot be run"))?;
    if !status.success() {
        bail!("{shown} {} ended with {status}", arguments.join(" "));
    }
    Ok(())
}
