//! The builds of the cluster's programs from pinned Go modules (`go/*` beside this crate). After the download they need no
//! network, and give the same bytes on every machine.

use std::collections::BTreeSet;
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, SystemTime};

use serde::Deserialize;

use crate::addon::Addon;
use crate::build::modules::{
    COREDNS, ETCD, GATEWAY_API, IMAGE_MODULES, KUBE, LOCAL_PATH, MODULES, Module, OAUTH2_PROXY, Origin,
    PAUSE, Program, REGISTRY, TRAEFIK, key,
};
use crate::error::{At, Error, Result};
use crate::paths::{self, Layout};
use crate::process::run::{helper, run, run_long};

/// A program that must be built.
#[derive(Clone, Copy)]
pub(crate) struct Missing {
    module: &'static Module,
    program: &'static Program,
}

impl Missing {
    pub(crate) fn module(self) -> &'static str {
        self.module.name
    }

    /// Seconds of its build on two cores.
    pub(crate) fn seconds(self) -> u32 {
        self.program.seconds
    }
}

impl fmt::Display for Missing {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{} {}", self.program.name, self.module.version)
    }
}

/// The programs in the cache.
#[derive(Debug, Clone)]
pub(crate) struct Programs {
    cache: PathBuf,
}

impl Programs {
    pub(crate) fn cached() -> Result<Self> {
        Ok(Self { cache: paths::cache()?.join("programs") })
    }

    /// The lock of every build of programs.
    pub(crate) fn lock(&self) -> PathBuf {
        self.cache.join("build.lock")
    }

    /// The programs that the cache lacks, in the order of their builds.
    pub(crate) fn missing(&self, addons: &BTreeSet<Addon>) -> Vec<Missing> {
        let wanted = |program: &Program| program.addon.is_none_or(|addon| addons.contains(&addon));
        let of_an_image = |module: &Module| IMAGE_MODULES.iter().any(|other| other.name == module.name);
        let modules = MODULES.into_iter().filter(|module| !of_an_image(module));
        modules.flat_map(|module| self.missing_of(module)).filter(|missing| wanted(missing.program)).collect()
    }

    /// The sandbox image's program, if the cache lacks it.
    pub(crate) fn missing_pause(&self) -> Option<Missing> {
        self.missing_of(&PAUSE).next()
    }

    /// The program of the oauth2-proxy image, if the cache lacks it.
    pub(crate) fn missing_oauth2_proxy(&self) -> Option<Missing> {
        self.missing_of(&OAUTH2_PROXY).next()
    }

    fn missing_of(&self, module: &'static Module) -> impl Iterator<Item = Missing> {
        let missing = module.programs.iter().map(move |program| Missing { module, program });
        missing.filter(|missing| !self.folder(missing.module).join(missing.program.name).is_file())
    }

    fn folder(&self, module: &Module) -> PathBuf {
        self.cache.join(format!("{}-{}-{}", module.name, module.version, &key(module)[..12]))
    }

    /// Writes the modules of these programs to the cache.
    pub(crate) fn prepare(&self, missing: impl Iterator<Item = Missing>) -> Result<()> {
        for Missing { module, .. } in missing {
            let source = self.folder(module).join("source");
            for (name, content) in module.files {
                paths::write(&source.join(name), content)?;
            }
        }
        Ok(())
    }

    /// Downloads the sources of a prepared program. Callers that may run at once need different names of logs.
    pub(crate) fn download(&self, layout: &Layout, missing: Missing, log: &str) -> Result<()> {
        let log = self.folder(missing.module).join(log);
        run_long(self.go(layout, missing.module).args(["mod", "download"]), &log, |_| ())
    }

    /// Builds a prepared program.
    pub(crate) fn build(
        &self,
        layout: &Layout,
        Missing { module, program }: Missing,
        mut beat: impl FnMut(Duration),
    ) -> Result<()> {
        let folder = self.folder(module);
        let partial = folder.join(format!("{}.partial", program.name));
        match program.origin {
            Origin::Package(package) => {
                let mut linker = String::from("-s -w");
                for (name, value) in module.variables {
                    linker.push_str(&format!(" -X {name}={value}"));
                }
                let mut command = self.go(layout, module);
                command.args(["build", "-trimpath", "-ldflags", &linker, "-o"]).arg(&partial).arg(package);
                run_long(&mut command, &folder.join(format!("{}.build.log", program.name)), beat)?;
            }
            Origin::Manifests(below) => {
                beat(Duration::ZERO);
                let answer = run(self.go(layout, module).args(["mod", "download", "-json", module.path]))?;
                fs::write(&partial, manifests(&downloaded(&answer)?.join(below))?).at(&partial)?;
            }
        }
        fs::rename(&partial, folder.join(program.name)).at(&partial)
    }

    fn go(&self, layout: &Layout, module: &Module) -> Command {
        let mut command = helper("go", layout);
        command
            .current_dir(self.folder(module).join("source"))
            // Static programs run where the cache is mounted. The others keep the user's settings out.
            .env("CGO_ENABLED", "0")
            .env("GOWORK", "off")
            .env("GOFLAGS", "-mod=readonly -buildvcs=false")
            .env_remove("GOOS")
            .env_remove("GOARCH");
        command
    }

    /// Keeps the two youngest folders of a module, so that two work trees with different pins do not remove each other's.
    pub(crate) fn prune(&self) {
        for module in MODULES {
            let prefix = format!("{}-v", module.name);
            let Ok(entries) = fs::read_dir(&self.cache) else { return };
            let mut folders: Vec<(SystemTime, PathBuf)> = entries
                .flatten()
                .filter(|entry| entry.file_name().to_string_lossy().starts_with(&prefix))
                .filter_map(|entry| Some((entry.metadata().ok()?.modified().ok()?, entry.path())))
                .collect();
            folders.sort();
            for (_, folder) in folders.iter().rev().skip(2) {
                // What cannot be removed only takes space.
                let _ = fs::remove_dir_all(folder);
            }
        }
    }

    pub(crate) fn etcd(&self) -> PathBuf {
        self.folder(&ETCD).join("etcd")
    }

    pub(crate) fn kube(&self, program: &str) -> PathBuf {
        self.folder(&KUBE).join(program)
    }

    pub(crate) fn pause(&self) -> PathBuf {
        self.folder(&PAUSE).join("pause")
    }

    pub(crate) fn oauth2_proxy(&self) -> PathBuf {
        self.folder(&OAUTH2_PROXY).join("oauth2-proxy")
    }

    pub(crate) fn coredns(&self) -> PathBuf {
        self.folder(&COREDNS).join("coredns")
    }

    pub(crate) fn local_path_provisioner(&self) -> PathBuf {
        self.folder(&LOCAL_PATH).join("local-path-provisioner")
    }

    pub(crate) fn registry(&self) -> PathBuf {
        self.folder(&REGISTRY).join("registry")
    }

    pub(crate) fn traefik(&self) -> PathBuf {
        self.folder(&TRAEFIK).join("traefik")
    }

    /// The kinds of the Gateway API, as manifests.
    pub(crate) fn gateway_api(&self) -> PathBuf {
        self.folder(&GATEWAY_API).join("gateway-api.yaml")
    }
}

/// The kubectl in the cache; `None` before the first build.
pub fn built_kubectl() -> Option<PathBuf> {
    Some(Programs::cached().ok()?.kube("kubectl")).filter(|kubectl| kubectl.is_file())
}

/// The folder of a module, in the answer of `go mod download -json`.
fn downloaded(answer: &str) -> Result<PathBuf> {
    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct Download {
        dir: PathBuf,
    }
    let download: Download = serde_json::from_str(answer)
        .map_err(|source| Error::Json { what: "the answer of go mod download".to_owned(), source })?;
    Ok(download.dir)
}

/// All manifests of a folder as one.
fn manifests(folder: &Path) -> Result<String> {
    let entries = fs::read_dir(folder).at(folder)?;
    let mut files: Vec<PathBuf> = entries
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "yaml"))
        .collect();
    files.sort();
    let texts = files.iter().map(|file| fs::read_to_string(file).at(file));
    Ok(texts.collect::<Result<Vec<_>>>()?.join("\n---\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_manifests_of_a_folder_become_one_file() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        for (name, text) in [("b.yaml", "kind: B\n"), ("a.yaml", "kind: A\n"), ("notes.md", "no")] {
            fs::write(folder.path().join(name), text).expect("a file");
        }
        assert_eq!(manifests(folder.path()).expect("one text"), "kind: A\n\n---\nkind: B\n");
    }
}
