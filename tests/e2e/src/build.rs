//! The host as an operator runs it who builds images: on the machine itself, with buildah.

use crate::{command as plain, finish, host, root, skipped};
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use tempfile::TempDir;

/// What buildah keeps below here has no setting.
const KEPT: &str = "/var/lib";

/// Whether this machine has what it takes; if not, that is said.
pub fn can() -> bool {
    let missing = ["git", "buildah"]
        .into_iter()
        .find(|program| Command::new(program).arg("--version").output().is_err());
    if let Some(program) = missing {
        skipped(&format!("there is no {program}"));
    }
    missing.is_none()
}

/// A folder for a build's temporary files (`tmp`) and its settings.
pub fn folder() -> TempDir {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path();
    fs::create_dir(path.join("tmp")).expect("writable");
    // Else buildah makes /etc/cni.
    let networks = serde_json::json!(path.join("networks"));
    fs::write(path.join("containers.conf"), format!("[network]\nnetwork_config_dir = {networks}\n"))
        .expect("writable");
    folder
}

/// The host with these arguments, building below [`folder`] and leaving nothing on the machine.
pub fn command(arguments: &[&str], folder: &Path) -> Command {
    let plain = plain(arguments);
    let mut command = Command::new("unshare");
    // In memory, so that it goes with the command.
    let script = format!("mount -t tmpfs none {KEPT} && exec \"$@\"");
    command.args(["--mount", "--propagation=private", "--", "sh", "-c", &script, "sh"]);
    command.arg(host()).args(plain.get_args()).current_dir(root()).stdin(Stdio::null());
    command
        .env("BUILDAH_ISOLATION", "chroot")
        .env("STORAGE_DRIVER", "overlay")
        .env("CONTAINERS_CONF", folder.join("containers.conf"))
        .env("TMPDIR", folder.join("tmp"));
    command
}

/// git in a repository, as somebody. Returns what it says.
pub fn git(repository: &Path, arguments: &[&str]) -> String {
    let mut git = Command::new("git");
    git.current_dir(repository).env("HOME", repository);
    git.args(["-c", "user.name=Test", "-c", "user.email=test@example.org"]).args(arguments);
    finish(&mut git).ends_with(0).stdout.trim().to_owned()
}
