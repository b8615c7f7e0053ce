//! The host as an operator runs it who builds images: on the machine itself, with buildah.

use crate::{command as plain, finish, host, root, skip};
use std::path::Path;
use std::process::Command;
use tempfile::TempDir;
use thinkube_test_cluster::build_dir;

/// Whether this machine has what a build needs; if not, the test is counted as skipped.
#[track_caller]
pub fn can() -> bool {
    let missing = ["git", "buildah"]
        .into_iter()
        .find(|program| Command::new(program).arg("--version").output().is_err());
    if let Some(program) = missing {
        skip(&format!("there is no {program}"));
    }
    missing.is_none()
}

/// A folder for a build's temporary files (`tmp`) and its settings.
pub fn folder() -> TempDir {
    let folder = tempfile::tempdir().expect("a temporary folder");
    build_dir::prepare(folder.path()).expect("writable");
    folder
}

/// The host with these arguments, building below [`folder`] and leaving nothing on the machine.
pub fn command(arguments: &[&str], folder: &Path) -> Command {
    let plain = plain(arguments);
    let mut command = build_dir::command(host(), folder);
    command.args(plain.get_args()).current_dir(root()).env_remove("RUSTC_BOOTSTRAP");
    command
}

/// git in a repository, as somebody. Returns what it says.
pub fn git(repository: &Path, arguments: &[&str]) -> String {
    let mut git = Command::new("git");
    git.current_dir(repository).env("HOME", repository);
    git.args(["-c", "user.name=Test", "-c", "user.email=test@example.org"]).args(arguments);
    finish(&mut git).ends_with(0).stdout.trim().to_owned()
}
