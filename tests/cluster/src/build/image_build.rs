//! The build of one image with buildah and mmdebstrap, in a folder that is removed afterwards.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use crate::build::image_archive::ACCEPT_ANYTHING;
use crate::build::mirrors::{authorities, mirror, pip_configuration};
use crate::error::{At, Error, Result};
use crate::lock::Lock;
use crate::machine::mounts;
use crate::paths::{self, Layout};
use crate::process::run::{helper, run, run_long};
use crate::requirement::UnmetRequirement;

/// The release of Debian in the images; the machine's own may be another.
pub(crate) const SUITE: &str = "trixie";

/// The folder of one build. Dropping it unmounts and removes everything in it.
pub(crate) struct ImageBuild<'a> {
    layout: &'a Layout,
    pub(crate) folder: PathBuf,
    /// Whether buildah's cache existed before: its place cannot be configured, and none is left where none was.
    had_cache: bool,
}

/// buildah's cache of what registries hold.
pub(crate) const BLOB_CACHE: &str = "/var/lib/containers/cache/blob-info-cache-v1.boltdb";

impl<'a> ImageBuild<'a> {
    pub(crate) fn new(layout: &'a Layout, folder: &Path) -> Result<Self> {
        // An interrupted build may have left it.
        discard(folder);
        let context = folder.join("context");
        fs::create_dir_all(&context).at(&context)?;
        // Without the setting buildah makes /etc/cni.
        let settings = folder.join("containers.conf");
        let networks = serde_json::Value::from(folder.join("networks").to_string_lossy().as_ref());
        fs::write(&settings, format!("[network]\nnetwork_config_dir = {networks}\n")).at(settings)?;
        paths::write(&folder.join("policy.json"), ACCEPT_ANYTHING)?;
        Ok(Self { layout, folder: folder.to_owned(), had_cache: Path::new(BLOB_CACHE).exists() })
    }

    pub(crate) fn add(&self, file: &Path, name: &str) -> Result<()> {
        let to = self.folder.join("context").join(name);
        fs::copy(file, &to).map(drop).at(to)
    }

    pub(crate) fn write(&self, name: &str, content: &str) -> Result<()> {
        let to = self.folder.join("context").join(name);
        fs::write(&to, content).at(to)
    }

    pub(crate) fn build(
        &self,
        recipe: &str,
        name: &str,
        archive: &Path,
        log: &Path,
        beat: impl FnMut(Duration),
    ) -> Result<()> {
        self.write("Containerfile", recipe)?;
        let secrets = self.folder.join("build");
        fs::create_dir_all(&secrets).at(&secrets)?;
        for (file, content) in [("pip.conf", pip_configuration()), ("ca.pem", authorities()?)] {
            paths::write(&secrets.join(file), content)?;
        }
        let mut build = self.buildah("bud");
        build
            // `chroot` needs no container engine; the host's network reaches the mirrors.
            .args(["--isolation", "chroot", "--network", "host", "--layers=false", "--format", "docker"])
            .arg("--signature-policy")
            .arg(self.policy())
            .arg("--volume")
            .arg(format!("{}:/run/build:ro", secrets.display()))
            .args(["--tag", name])
            .arg(self.folder.join("context"));
        run_long(&mut build, log, beat)?;
        self.archive(name, name, archive)
    }

    /// Writes an image of buildah's store to an archive.
    fn archive(&self, image: &str, name: &str, archive: &Path) -> Result<()> {
        let partial = archive.with_added_extension("partial");
        let _ = fs::remove_file(&partial);
        let mut push = self.buildah("push");
        push.arg("--signature-policy").arg(self.policy()).args(["--disable-compression", image]);
        push.arg(format!("docker-archive:{}:{name}", partial.display()));
        run(&mut push)?;
        fs::rename(&partial, archive).at(archive)
    }

    fn policy(&self) -> PathBuf {
        self.folder.join("policy.json")
    }

    /// Writes a Debian system with these packages and their dependencies to `to`, an archive or a folder by its name.
    pub(crate) fn debian(
        &self,
        variant: &str,
        packages: &str,
        to: &Path,
        log: &Path,
        beat: impl FnMut(Duration),
    ) -> Result<()> {
        let targets = run(Command::new("apt-get")
            .args(["indextargets", "--format", "$(CREATED_BY) $(RELEASE) $(COMPONENT) $(REPO_URI)"])
            .env("PATH", paths::search_path()))?;
        let mirror = mirror(&targets).ok_or_else(|| {
            Error::Unmet(vec![UnmetRequirement::new(
                "this machine's apt has no mirror of Debian's main archive",
                "add one below /etc/apt/sources.list.d and run apt-get update",
            )])
        })?;
        let mut command = helper("mmdebstrap", self.layout);
        command
            .arg("--mode=root")
            .arg(format!("--variant={variant}"))
            .arg(format!("--include={packages}"))
            .arg(SUITE)
            .arg(to)
            .arg(format!("deb {mirror} {SUITE} main"))
            .env("TMPDIR", &self.folder);
        run_long(&mut command, log, beat)
    }

    fn buildah(&self, subcommand: &str) -> Command {
        let mut command = helper("buildah", self.layout);
        command
            .arg("--root")
            .arg(self.folder.join("storage"))
            .arg("--runroot")
            .arg(self.folder.join("run"))
            .args(["--storage-driver", "overlay", subcommand])
            .env("CONTAINERS_CONF", self.folder.join("containers.conf"))
            .env("TMPDIR", &self.folder);
        command
    }
}

impl Drop for ImageBuild<'_> {
    fn drop(&mut self) {
        discard(&self.folder);
        if !self.had_cache {
            let _ = fs::remove_file(BLOB_CACHE);
            // The two folders above it, unless they hold other files.
            for folder in Path::new(BLOB_CACHE).ancestors().skip(1).take(2) {
                let _ = fs::remove_dir(folder);
            }
        }
    }
}

/// Removes what a killed build has left. Does nothing during a build.
pub(crate) fn discard_interrupted() {
    let Ok(cache) = paths::cache().map(|cache| cache.join("images")) else { return };
    if cache.join("work").exists()
        && let Some(_lock) = Lock::try_take(&cache.join("build.lock"))
    {
        discard(&cache.join("work"));
    }
}

pub(crate) fn discard(folder: &Path) {
    mounts::unmount_all(folder);
    // With a mount left the removal would delete the files of the mount.
    if mounts::below(folder).is_empty() {
        let _ = fs::remove_dir_all(folder);
    }
}
