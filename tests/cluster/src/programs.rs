//! The cluster's programs, built once from pinned Go modules.
//!
//! The modules (`go/*` beside this crate) consist of a `go.mod`, a complete `go.sum` and a file that names the programs:
//! the same bytes are built everywhere, and after the download without a network.

use std::collections::BTreeSet;
use std::env;
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, SystemTime};

use serde::Deserialize;

use crate::error::{At, Error, Result};
use crate::hash;
use crate::part::Part;
use crate::paths::{self, Layout};
use crate::process::{helper, run, run_long};

/// The release of Kubernetes. Its kubelet is the last one that takes cgroup v1 as it is.
pub const KUBERNETES: &str = "v1.34.4";

/// A Go module of ours and the programs that are built from it.
struct Module {
    name: &'static str,
    /// The module that the programs are in, unless they are our own.
    path: &'static str,
    version: &'static str,
    files: &'static [(&'static str, &'static str)],
    programs: &'static [Program],
    /// Variables set by the linker.
    variables: &'static [(&'static str, &'static str)],
}

struct Program {
    name: &'static str,
    origin: Origin,
    /// `None`: every cluster has it.
    part: Option<Part>,
    /// How long it takes on two cores when what stands before it has been built.
    seconds: u32,
}

enum Origin {
    /// Built from this package.
    Package(&'static str),
    /// The manifests in this folder of the module, in one file.
    Manifests(&'static str),
}

const fn program(name: &'static str, package: &'static str, part: Option<Part>, seconds: u32) -> Program {
    Program { name, origin: Origin::Package(package), part, seconds }
}

/// The files of a module, those that are named and `go.mod` and `go.sum`.
macro_rules! files {
    ($folder:literal: $($file:literal),+) => {
        &[$(($file, include_str!(concat!("../go/", $folder, "/", $file)))),+]
    };
}

const ETCD: Module = Module {
    name: "etcd",
    path: "go.etcd.io/etcd/server/v3",
    version: "v3.6.6",
    files: files!("etcd": "go.mod", "go.sum", "tools.go"),
    programs: &[program("etcd", "go.etcd.io/etcd/server/v3", None, 40)],
    variables: &[],
};

const KUBE: Module = Module {
    name: "kubernetes",
    path: "k8s.io/kubernetes",
    version: KUBERNETES,
    files: files!("kubernetes": "go.mod", "go.sum", "tools.go"),
    // The largest first: it fills Go's own cache for the others.
    programs: &[
        program("kube-apiserver", "k8s.io/kubernetes/cmd/kube-apiserver", None, 165),
        program("kube-controller-manager", "k8s.io/kubernetes/cmd/kube-controller-manager", None, 50),
        program("kube-scheduler", "k8s.io/kubernetes/cmd/kube-scheduler", None, 4),
        program("kubectl", "k8s.io/kubernetes/cmd/kubectl", None, 18),
        program("kubelet", "k8s.io/kubernetes/cmd/kubelet", Some(Part::Node), 14),
        program("kube-proxy", "k8s.io/kubernetes/cmd/kube-proxy", Some(Part::Node), 6),
    ],
    // Without these the servers call themselves v0.0.0-master, and clients that look at the version misbehave.
    variables: &[
        ("k8s.io/component-base/version.gitVersion", KUBERNETES),
        ("k8s.io/component-base/version.gitMajor", "1"),
        ("k8s.io/component-base/version.gitMinor", "34"),
        ("k8s.io/client-go/pkg/version.gitVersion", KUBERNETES),
        ("k8s.io/client-go/pkg/version.gitMajor", "1"),
        ("k8s.io/client-go/pkg/version.gitMinor", "34"),
    ],
};

const COREDNS: Module = Module {
    name: "coredns",
    path: "github.com/coredns/coredns",
    version: "v1.14.3",
    files: files!("coredns": "go.mod", "go.sum", "main.go"),
    programs: &[program("coredns", ".", Some(Part::Node), 52)],
    variables: &[],
};

const LOCAL_PATH: Module = Module {
    name: "local-path-provisioner",
    path: "github.com/rancher/local-path-provisioner",
    version: "v0.0.30",
    files: files!("local-path-provisioner": "go.mod", "go.sum", "tools.go"),
    programs: &[program(
        "local-path-provisioner",
        "github.com/rancher/local-path-provisioner",
        Some(Part::Node),
        54,
    )],
    variables: &[("main.VERSION", "v0.0.30")],
};

const REGISTRY: Module = Module {
    name: "registry",
    path: "github.com/distribution/distribution/v3",
    version: "v3.0.0",
    files: files!("registry": "go.mod", "go.sum", "main.go"),
    programs: &[program("registry", ".", Some(Part::Registry), 19)],
    variables: &[("github.com/distribution/distribution/v3/version.version", "v3.0.0")],
};

const TRAEFIK: Module = Module {
    name: "traefik",
    path: "github.com/traefik/traefik/v3",
    version: "v3.7.5",
    files: files!("traefik": "go.mod", "go.sum", "tools.go", "ext/go.mod", "ext/ext.go"),
    programs: &[program("traefik", "github.com/traefik/traefik/v3/cmd/traefik", Some(Part::Ingress), 240)],
    variables: &[("github.com/traefik/traefik/v3/pkg/version.Version", "3.7.5")],
};

const GATEWAY_API: Module = Module {
    name: "gateway-api",
    path: "sigs.k8s.io/gateway-api",
    version: "v1.6.1",
    files: files!("gateway-api": "go.mod", "go.sum", "tools.go"),
    programs: &[Program {
        name: "gateway-api.yaml",
        origin: Origin::Manifests("config/crd/standard"),
        part: Some(Part::Ingress),
        seconds: 2,
    }],
    variables: &[],
};

/// The one program of the sandbox image.
const PAUSE: Module = Module {
    name: "pause",
    path: "",
    version: "v1",
    files: files!("pause": "go.mod", "main.go"),
    programs: &[program("pause", ".", Some(Part::Node), 2)],
    variables: &[],
};

/// The one program of the image with oauth2-proxy.
const OAUTH2_PROXY: Module = Module {
    name: "oauth2-proxy",
    path: "github.com/oauth2-proxy/oauth2-proxy/v7",
    version: "v7.15.6",
    files: files!("oauth2-proxy": "go.mod", "go.sum", "tools.go"),
    programs: &[program("oauth2-proxy", "github.com/oauth2-proxy/oauth2-proxy/v7", Some(Part::Keycloak), 75)],
    variables: &[("github.com/oauth2-proxy/oauth2-proxy/v7/pkg/version.VERSION", "v7.15.6")],
};

/// All of them, in the order in which they are built.
const MODULES: [&Module; 9] =
    [&ETCD, &KUBE, &COREDNS, &LOCAL_PATH, &REGISTRY, &TRAEFIK, &GATEWAY_API, &PAUSE, &OAUTH2_PROXY];

/// The modules whose program is of no use but for building an image.
const OF_IMAGES: [&Module; 2] = [&PAUSE, &OAUTH2_PROXY];

/// The release of a program.
pub(crate) fn version(program: &str) -> &'static str {
    let of = |module: &&Module| module.programs.iter().any(|built| built.name == program);
    MODULES.into_iter().find(of).map_or("", |module| module.version)
}

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

    /// How long it takes on two cores.
    pub(crate) fn seconds(self) -> u32 {
        self.program.seconds
    }
}

impl fmt::Display for Missing {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{} {}", self.program.name, self.module.version)
    }
}

/// Where the built programs are.
#[derive(Debug, Clone)]
pub(crate) struct Programs {
    cache: PathBuf,
}

impl Programs {
    pub(crate) fn cached() -> Result<Self> {
        Ok(Self { cache: paths::cache()?.join("programs") })
    }

    /// Held by whoever builds.
    pub(crate) fn lock(&self) -> PathBuf {
        self.cache.join("build.lock")
    }

    /// What is not in the cache yet, in the order in which it is to be built.
    pub(crate) fn missing(&self, parts: &BTreeSet<Part>) -> Vec<Missing> {
        let wanted = |program: &Program| program.part.is_none_or(|part| parts.contains(&part));
        let of_an_image = |module: &Module| OF_IMAGES.iter().any(|other| other.name == module.name);
        let modules = MODULES.into_iter().filter(|module| !of_an_image(module));
        modules.flat_map(|module| self.missing_of(module)).filter(|missing| wanted(missing.program)).collect()
    }

    /// The sandbox image's program, when it is not in the cache yet.
    pub(crate) fn missing_pause(&self) -> Option<Missing> {
        self.missing_of(&PAUSE).next()
    }

    /// The program of the image with oauth2-proxy, when it is not in the cache yet.
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

    /// Writes the modules of these programs to where they are built.
    pub(crate) fn prepare(&self, missing: impl Iterator<Item = Missing>) -> Result<()> {
        for Missing { module, .. } in missing {
            let source = self.folder(module).join("source");
            for (name, content) in module.files {
                paths::write(&source.join(name), content)?;
            }
        }
        Ok(())
    }

    /// Downloads what a prepared program is built from. Two callers that may run at once need two names of logs.
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
                let said = run(self.go(layout, module).args(["mod", "download", "-json", module.path]))?;
                fs::write(&partial, manifests(&downloaded(&said)?.join(below))?).at(&partial)?;
            }
        }
        fs::rename(&partial, folder.join(program.name)).at(&partial)
    }

    fn go(&self, layout: &Layout, module: &Module) -> Command {
        let mut command = helper("go", layout);
        command
            .current_dir(self.folder(module).join("source"))
            // Static, so that it runs wherever the cache is mounted; the rest keeps other settings of the user's out.
            .env("CGO_ENABLED", "0")
            .env("GOWORK", "off")
            .env("GOFLAGS", "-mod=readonly -buildvcs=false")
            .env_remove("GOOS")
            .env_remove("GOARCH");
        command
    }

    /// Keeps the two youngest folders of a module: a second work tree with other pins does not throw this one's out.
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
                // Best effort: what can't be removed only takes space.
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

/// The kubectl that was built for a cluster; `None` where none was built yet.
pub fn built_kubectl() -> Option<PathBuf> {
    Some(Programs::cached().ok()?.kube("kubectl")).filter(|kubectl| kubectl.is_file())
}

/// A name for what a module's programs are built from.
fn key(module: &Module) -> String {
    let mut parts: Vec<&[u8]> = Vec::new();
    for (name, content) in module.files.iter().chain(module.variables) {
        parts.extend([name.as_bytes(), content.as_bytes()]);
    }
    hash(&parts)
}

/// A name for what the sandbox image's program is built from.
pub(crate) fn pause_key() -> String {
    key(&PAUSE)
}

/// A name for what the program of the image with oauth2-proxy is built from.
pub(crate) fn oauth2_proxy_key() -> String {
    key(&OAUTH2_PROXY)
}

/// Where Go says that it has put a module.
fn downloaded(said: &str) -> Result<PathBuf> {
    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct Download {
        dir: PathBuf,
    }
    let download: Download = serde_json::from_str(said)
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

/// The user's PATH with a folder in front, for a command that is to find the cluster's kubectl.
pub(crate) fn path_with(folder: &Path) -> std::ffi::OsString {
    let mut path = folder.as_os_str().to_owned();
    path.push(":");
    path.push(env::var_os("PATH").unwrap_or_else(paths::search_path));
    path
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_program_is_named_in_the_module_it_is_built_from() {
        for module in MODULES {
            let (_, main) = module
                .files
                .iter()
                .find(|(name, _)| name.ends_with("s.go") || *name == "main.go")
                .expect("a file");
            for program in module.programs {
                match program.origin {
                    Origin::Package(".") => assert!(main.contains("package main"), "{}", program.name),
                    Origin::Package(package) => {
                        assert!(main.contains(&format!("_ \"{package}\"")), "{package}")
                    }
                    Origin::Manifests(_) => {
                        assert!(main.contains(&format!("_ \"{}/", module.path)), "{}", module.path)
                    }
                }
            }
        }
    }

    #[test]
    fn the_modules_pin_the_releases_that_they_are_said_to_be() {
        for module in MODULES.into_iter().filter(|module| !module.path.is_empty()) {
            let (name, pins) = module.files[0];
            assert_eq!(name, "go.mod");
            let pin = format!("{} {}", module.path, module.version);
            assert!(pins.lines().any(|line| line.trim_start_matches("require ").trim() == pin), "{pin}");
        }
        let staging = format!("v0{}", KUBERNETES.strip_prefix("v1").expect("a release of Kubernetes 1"));
        let replaced = KUBE.files[0].1.lines().filter(|line| line.contains("=> k8s.io/"));
        for line in replaced.clone() {
            assert!(line.ends_with(&staging), "{line}");
        }
        assert_eq!(replaced.count(), 31);
    }

    #[test]
    fn programs_that_tell_their_release_tell_the_one_they_are_built_from() {
        for (module, variable) in [(&LOCAL_PATH, 0), (&REGISTRY, 0), (&TRAEFIK, 0), (&OAUTH2_PROXY, 0)] {
            let (_, value) = module.variables[variable];
            assert_eq!(value.trim_start_matches('v'), module.version.trim_start_matches('v'));
        }
    }

    #[test]
    fn every_program_has_a_release() {
        assert_eq!(version("kubelet"), KUBERNETES);
        assert_eq!(version("coredns"), "v1.14.3");
    }

    #[test]
    fn the_manifests_of_a_folder_become_one_file() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        for (name, text) in [("b.yaml", "kind: B\n"), ("a.yaml", "kind: A\n"), ("notes.md", "no")] {
            fs::write(folder.path().join(name), text).expect("a file");
        }
        assert_eq!(manifests(folder.path()).expect("one text"), "kind: A\n\n---\nkind: B\n");
    }
}
