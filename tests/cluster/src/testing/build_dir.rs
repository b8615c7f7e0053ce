//! Image builds of the host with this machine's buildah: a folder whose settings leave nothing on the machine, and a git
//! repository to build from.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::build::images::DEVPI_ENTRYPOINT;
use crate::cluster::Cluster;
use crate::error::{At, Result};
use crate::paths;
use crate::process::run::run;

/// buildah has no setting for folders below this one.
const STORE: &str = "/var/lib";

/// Prepares a folder for [`command`].
pub fn prepare(folder: &Path) -> Result<()> {
    let temporary = folder.join("tmp");
    fs::create_dir_all(&temporary).at(&temporary)?;
    // Without the setting buildah makes /etc/cni.
    let networks = serde_json::Value::from(folder.join("networks").to_string_lossy().as_ref());
    let settings = format!("[network]\nnetwork_config_dir = {networks}\n");
    paths::write(&folder.join("containers.conf"), settings)
}

/// A command whose buildah works in a prepared folder and leaves nothing outside it.
pub fn command(program: &Path, folder: &Path) -> Command {
    let mut command = Command::new("unshare");
    // In memory, so that it disappears with the command.
    let script = format!("mount -t tmpfs none {STORE} && exec \"$@\"");
    command.args(["--mount", "--propagation=private", "--", "sh", "-c", &script, "sh"]).arg(program);
    command
        .env("BUILDAH_ISOLATION", "chroot")
        .env("STORAGE_DRIVER", "overlay")
        .env("CONTAINERS_CONF", folder.join("containers.conf"))
        .env("TMPDIR", folder.join("tmp"))
        .stdin(Stdio::null());
    command
}

/// Makes a git repository in this folder with the recipe (`Containerfile`) of the DevPI server's image, on the branch `main`.
/// Returns its URL. The recipe holds the label: the same label gives the same commit and image, another label another image,
/// which may be deleted while the first is used.
pub fn devpi_repository(cluster: &Cluster, folder: &Path, label: &str) -> Result<String> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error).at(folder),
        _ => fs::create_dir_all(folder).at(folder)?,
    }
    let base = cluster.python_archive()?;
    let trusted =
        env::var_os("SSL_CERT_FILE").map_or("/etc/ssl/certs/ca-certificates.crt".into(), PathBuf::from);
    fs::copy(&trusted, folder.join("ca.crt")).at(trusted)?;
    let containerfile = format!(
        "FROM docker-archive:{}\nCOPY ca.crt /run/ca.crt\n\
         RUN pip install --no-cache-dir --cert /run/ca.crt \
         devpi-server==6.20.1 devpi-web==5.1.0 devpi-client==7.3.0 \
         && groupadd --gid 1000 devpi \
         && useradd --uid 1000 --gid 1000 --home-dir /data/devpi --no-create-home devpi\n\
         COPY --chmod=755 entrypoint.sh /entrypoint.sh\n\
         STOPSIGNAL SIGINT\nUSER 1000:1000\nENTRYPOINT [\"/entrypoint.sh\"]\n\
         LABEL test.thinkube.built-for=\"{label}\"\n",
        base.display()
    );
    for (name, content) in [("Containerfile", containerfile.as_str()), ("entrypoint.sh", DEVPI_ENTRYPOINT)] {
        fs::write(folder.join(name), content).at(folder)?;
    }
    git(folder, &["init", "--quiet", "--initial-branch=main"])?;
    git(folder, &["add", "--all"])?;
    git(folder, &["commit", "--quiet", "--message=The image"])?;
    Ok(format!("file://{}", folder.display()))
}

fn git(folder: &Path, arguments: &[&str]) -> Result<String> {
    let mut git = Command::new("git");
    git.current_dir(folder)
        .args(["-c", "user.name=Test", "-c", "user.email=test@example.org"])
        .args(arguments)
        // A hook or a signature of the user's settings would change the commit.
        .env("HOME", folder)
        .env("GIT_CONFIG_NOSYSTEM", "1");
    for variable in ["GIT_AUTHOR_DATE", "GIT_COMMITTER_DATE"] {
        git.env(variable, "2026-01-01T00:00:00Z");
    }
    run(&mut git)
}
