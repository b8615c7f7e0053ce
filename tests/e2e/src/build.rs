//! The host of an operator who builds images: on the machine itself, with buildah.

use crate::host::{command as plain, finish};
use crate::plugins::{host, root};
use std::path::Path;
use std::process::Command;
use thinkube_test_cluster::{build_dir, skip};

/// Whether this machine has git and buildah. Without them the test is counted as skipped.
#[track_caller]
pub fn can() -> bool {
    let missing = ["git", "buildah"]
        .into_iter()
        .find(|program| Command::new(program).arg("--version").output().is_err());
    if let Some(program) = missing {
        skip(&format!("{program} is missing"));
    }
    missing.is_none()
}

/// The host with these arguments, which builds below `folder` and leaves nothing outside it.
pub fn command(arguments: &[&str], folder: &Path) -> Command {
    let plain = plain(arguments);
    let mut command = build_dir::command(host(), folder);
    command.args(plain.get_args()).current_dir(root()).env_remove("RUSTC_BOOTSTRAP");
    command
}

/// Runs git in a repository, with an author. Returns its output.
pub fn git(repository: &Path, arguments: &[&str]) -> String {
    let mut git = Command::new("git");
    git.current_dir(repository).env("HOME", repository);
    git.args(["-c", "user.name=Test", "-c", "user.email=test@example.org"]).args(arguments);
    finish(&mut git).ends_with(0).stdout.trim().to_owned()
}
