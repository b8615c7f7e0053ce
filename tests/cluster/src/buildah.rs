//! Images into the harness's registry, by the same tool and the same way as anybody's.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, PoisonError};

use tempfile::TempDir;

use crate::cluster::Cluster;
use crate::error::{At, Error, Result};
use crate::images;
use crate::part::Part;
use crate::process::run;

/// What buildah keeps here has no setting.
const KEPT: &str = "/var/lib/containers";

/// A buildah with images of its own, in the cluster's network namespace with its names. It leaves nothing.
#[derive(Debug)]
pub struct Buildah {
    cluster: Cluster,
    folder: TempDir,
}

impl Buildah {
    /// One that has no image yet.
    pub fn new(cluster: &Cluster) -> Result<Self> {
        let folder = tempfile::tempdir().at(std::env::temp_dir())?;
        let buildah = Self { cluster: cluster.clone(), folder };
        buildah.write("policy.json", images::ACCEPT_ANYTHING)?;
        // Else buildah makes /etc/cni.
        let networks = serde_json::Value::from(buildah.path("networks").to_string_lossy().as_ref());
        buildah.write("containers.conf", &format!("[network]\nnetwork_config_dir = {networks}\n"))?;
        Ok(buildah)
    }

    /// Builds an image of a recipe and of files that it finds beside itself.
    pub fn build(&self, name: &str, recipe: &str, files: &[(&str, &str)]) -> Result<()> {
        self.write("context/Containerfile", recipe)?;
        for (file, content) in files {
            self.write(&format!("context/{file}"), content)?;
        }
        let context = self.path("context");
        // Without a container engine. What a step has left must not be found by the next build.
        let build = ["--quiet", "--isolation=chroot", "--layers=false", "--pull=never", "--tag", name];
        self.run("bud", |buildah| buildah.args(build).arg(context)).map(drop)
    }

    /// Puts a file of this machine beside the recipe of the next build.
    pub fn add(&self, file: &str, from: &Path) -> Result<()> {
        let path = self.path(&format!("context/{file}"));
        let folder = self.path("context");
        fs::create_dir_all(&folder).at(&folder)?;
        fs::copy(from, &path).at(path).map(drop)
    }

    /// Takes the image of an archive; returns its identifier.
    pub fn load(&self, archive: &Path) -> Result<String> {
        let source = images::source(archive)?;
        let said = self.run("pull", |buildah| buildah.args(["--quiet", &source]))?;
        Ok(said.trim().to_owned())
    }

    /// Takes an image of a registry.
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
    /// `login` is a file with credentials, `trusting` a folder with the certificate to trust; without it those count that
    /// this machine trusts. Returns the name by digest, `name@sha256:…`.
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
                // Go's programs are told of the authority by this too.
                None => buildah.env_remove("SSL_CERT_FILE"),
            };
            buildah.arg(image).arg(format!("docker://{reference}"))
        })?;
        // A registry's port is not a tag.
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
        // One at a time: a folder that is removed takes what is mounted on it away from everybody.
        static ONE: Mutex<()> = Mutex::new(());
        let _one = ONE.lock().unwrap_or_else(PoisonError::into_inner);
        let had_kept = Path::new(KEPT).exists();
        // In memory, so that it goes with the command.
        let script = format!("mkdir -p {KEPT} && mount -t tmpfs none {KEPT} && exec buildah \"$@\"");
        let mut buildah = self.cluster.command("sh");
        buildah.args(["-c", &script, "sh", "--storage-driver=overlay", "--root"]).arg(self.path("storage"));
        buildah.arg("--runroot").arg(self.path("run")).arg(subcommand);
        buildah.arg("--signature-policy").arg(self.path("policy.json"));
        buildah.env("TMPDIR", self.folder.path()).env("CONTAINERS_CONF", self.path("containers.conf"));
        let said = run(arguments(&mut buildah));
        if !had_kept {
            let _ = fs::remove_dir(KEPT);
        }
        said
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

impl Cluster {
    /// Pushes the image of an archive, a Docker or an OCI archive, to the cluster's registry.
    ///
    /// `name` is what follows the registry's host, `library/python:3.12-slim` for example. Returns the reference by digest,
    /// `registry.thinkube.test:5000/library/python@sha256:…`. Fails where the cluster has no [`Part::Registry`].
    pub fn push(&self, archive: &Path, name: &str) -> Result<String> {
        let registry = self.registry()?.ok_or(Error::NoPart(Part::Registry))?;
        let buildah = Buildah::new(self)?;
        let image = buildah.load(archive)?;
        let reference = format!("{}/{name}", registry.host);
        buildah.push(&image, &reference, &registry.auth_file, Some(&registry.certificates))
    }
}
