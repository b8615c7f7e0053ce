//! Images for the harness's registry, built and pushed with buildah.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, PoisonError};

use tempfile::TempDir;

use crate::addon::Addon;
use crate::build::image_archive;
use crate::cluster::Cluster;
use crate::error::{At, Error, Result};
use crate::process::run::run;

/// buildah has no setting for this folder.
const STORE: &str = "/var/lib/containers";

/// A buildah with its own image store, in the cluster's network namespace. Dropping it removes everything.
#[derive(Debug)]
pub struct Buildah {
    cluster: Cluster,
    folder: TempDir,
}

impl Buildah {
    /// A buildah without images.
    pub fn new(cluster: &Cluster) -> Result<Self> {
        let folder = tempfile::tempdir().at(std::env::temp_dir())?;
        let buildah = Self { cluster: cluster.clone(), folder };
        buildah.write("policy.json", image_archive::ACCEPT_ANYTHING)?;
        // Without the setting buildah makes /etc/cni.
        let networks = serde_json::Value::from(buildah.path("networks").to_string_lossy().as_ref());
        buildah.write("containers.conf", &format!("[network]\nnetwork_config_dir = {networks}\n"))?;
        Ok(buildah)
    }

    /// Builds an image from a recipe and from files beside it.
    pub fn build(&self, name: &str, recipe: &str, files: &[(&str, &str)]) -> Result<()> {
        self.write("context/Containerfile", recipe)?;
        for (file, content) in files {
            self.write(&format!("context/{file}"), content)?;
        }
        let context = self.path("context");
        // `chroot` needs no container engine. Without layers no build finds the steps of an earlier one.
        let build = ["--quiet", "--isolation=chroot", "--layers=false", "--pull=never", "--tag", name];
        self.run("bud", |buildah| buildah.args(build).arg(context)).map(drop)
    }

    /// Copies a file of this machine beside the recipe of the next build.
    pub fn add(&self, file: &str, from: &Path) -> Result<()> {
        let path = self.path(&format!("context/{file}"));
        let folder = self.path("context");
        fs::create_dir_all(&folder).at(&folder)?;
        fs::copy(from, &path).at(path).map(drop)
    }

    /// Loads the image of an archive; returns its identifier.
    pub fn load(&self, archive: &Path) -> Result<String> {
        let source = image_archive::source(archive)?;
        let output = self.run("pull", |buildah| buildah.args(["--quiet", &source]))?;
        Ok(output.trim().to_owned())
    }

    /// Pulls an image from a registry.
    ///
    /// `login` is a file with credentials, `trusting` a folder with the certificate to trust.
    pub fn pull(&self, reference: &str, login: &Path, trusting: &Path) -> Result<()> {
        let pulled = self.run("pull", |buildah| {
            buildah.args(["--quiet", "--tls-verify=true", "--authfile"]).arg(login);
            buildah.arg("--cert-dir").arg(trusting).arg(reference)
        });
        pulled.map(drop)
    }

    /// Pushes an image to `reference`, a name with a tag and without a digest, over TLS that is verified.
    ///
    /// `login` is a file with credentials, `trusting` a folder with the certificate to trust; without it the machine's
    /// certificates count. Returns the name by digest, `name@sha256:…`.
    pub fn push(
        &self,
        image: &str,
        reference: &str,
        login: &Path,
        trusting: Option<&Path>,
    ) -> Result<String> {
        let digest = self.path("digest");
        self.run("push", |buildah| {
            buildah.args(["--tls-verify=true", "--digestfile"]).arg(&digest).arg("--authfile").arg(login);
            match trusting {
                Some(folder) => buildah.arg("--cert-dir").arg(folder),
                // Programs in Go would read the authority from this variable.
                None => buildah.env_remove("SSL_CERT_FILE"),
            };
            buildah.arg(image).arg(format!("docker://{reference}"))
        })?;
        // A colon before a slash begins a port.
        let name = match reference.rsplit_once(':') {
            Some((name, tag)) if !tag.contains('/') => name,
            _ => reference,
        };
        Ok(format!("{name}@{}", fs::read_to_string(&digest).at(digest)?.trim()))
    }

    fn run(
        &self,
        subcommand: impl AsRef<OsStr>,
        arguments: impl FnOnce(&mut Command) -> &mut Command,
    ) -> Result<String> {
        // One at a time: the removal of the folder would unmount it for the other.
        static LOCK: Mutex<()> = Mutex::new(());
        let _lock = LOCK.lock().unwrap_or_else(PoisonError::into_inner);
        let had_store = Path::new(STORE).exists();
        // In memory, so that it disappears with the command.
        let script = format!("mkdir -p {STORE} && mount -t tmpfs none {STORE} && exec buildah \"$@\"");
        let mut buildah = self.cluster.command("sh");
        buildah.args(["-c", &script, "sh", "--storage-driver=overlay", "--root"]).arg(self.path("storage"));
        buildah.arg("--runroot").arg(self.path("run")).arg(subcommand);
        buildah.arg("--signature-policy").arg(self.path("policy.json"));
        buildah.env("TMPDIR", self.folder.path()).env("CONTAINERS_CONF", self.path("containers.conf"));
        let output = run(arguments(&mut buildah));
        if !had_store {
            let _ = fs::remove_dir(STORE);
        }
        output
    }

    fn path(&self, file: &str) -> PathBuf {
        self.folder.path().join(file)
    }

    fn write(&self, file: &str, content: &str) -> Result<()> {
        let path = self.path(file);
        let folder = path.parent().unwrap_or(self.folder.path());
        fs::create_dir_all(folder).at(folder)?;
        fs::write(&path, content).at(path)
    }
}

/// Pushes the image of a Docker or an OCI archive to the cluster's registry.
///
/// `name` follows the registry's host, `library/python:3.12-slim` for example. Returns the reference by digest,
/// `registry.thinkube.test:5000/library/python@sha256:…`.
///
/// # Errors
///
/// [`Error::NoAddon`] without [`Addon::Registry`].
pub fn push_archive(cluster: &Cluster, archive: &Path, name: &str) -> Result<String> {
    let registry = cluster.registry()?.ok_or(Error::NoAddon(Addon::Registry))?;
    let buildah = Buildah::new(cluster)?;
    let image = buildah.load(archive)?;
    let reference = format!("{}/{name}", registry.host);
    buildah.push(&image, &reference, &registry.auth_file, Some(&registry.certificates))
}
