//! The cluster's programs, built once from pinned Go modules.
//!
//! The modules (`go/*` beside this crate) consist of a `go.mod`, a complete `go.sum` and a file that names the programs:
//! the same bytes are built everywhere, and after the download without a network.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use crate::error::{At, Result};
use crate::lock::Lock;
use crate::paths::{self, Layout};
use crate::process::{helper, run_long};
use crate::progress::{Progress, Report, note};
use crate::{hash, needs};

/// The release of Kubernetes. Its kubelet is the last one that takes cgroup v1 as it is.
pub const KUBERNETES: &str = "v1.34.4";

/// A Go module of ours and the programs that are built from it.
struct Module {
    name: &'static str,
    version: &'static str,
    files: &'static [(&'static str, &'static str)],
    /// File name and package.
    programs: &'static [(&'static str, &'static str)],
    /// Variables set by the linker.
    variables: &'static [(&'static str, &'static str)],
}

const ETCD: Module = Module {
    name: "etcd",
    version: "v3.6.6",
    files: &[
        ("go.mod", include_str!("../go/etcd/go.mod")),
        ("go.sum", include_str!("../go/etcd/go.sum")),
        ("tools.go", include_str!("../go/etcd/tools.go")),
    ],
    programs: &[("etcd", "go.etcd.io/etcd/server/v3")],
    variables: &[],
};

const KUBE: Module = Module {
    name: "kubernetes",
    version: KUBERNETES,
    files: &[
        ("go.mod", include_str!("../go/kubernetes/go.mod")),
        ("go.sum", include_str!("../go/kubernetes/go.sum")),
        ("tools.go", include_str!("../go/kubernetes/tools.go")),
    ],
    // The largest first: it fills Go's own cache for the others.
    programs: &[
        ("kube-apiserver", "k8s.io/kubernetes/cmd/kube-apiserver"),
        ("kube-controller-manager", "k8s.io/kubernetes/cmd/kube-controller-manager"),
        ("kube-scheduler", "k8s.io/kubernetes/cmd/kube-scheduler"),
        ("kubectl", "k8s.io/kubernetes/cmd/kubectl"),
        ("kubelet", "k8s.io/kubernetes/cmd/kubelet"),
        ("kube-proxy", "k8s.io/kubernetes/cmd/kube-proxy"),
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

/// The one program of the sandbox image.
const PAUSE: Module = Module {
    name: "pause",
    version: "v1",
    files: &[
        ("go.mod", include_str!("../go/pause/go.mod")),
        ("main.go", include_str!("../go/pause/main.go")),
    ],
    programs: &[("pause", ".")],
    variables: &[],
};

/// Programs of a node; a control plane alone does without them, and they are a sixth of the time that a build takes.
const NODE_ONLY: [&str; 3] = ["kubelet", "kube-proxy", "pause"];

/// Where the built programs are.
#[derive(Debug, Clone)]
pub(crate) struct Programs {
    cache: PathBuf,
}

impl Programs {
    pub(crate) fn cached() -> Result<Self> {
        Ok(Self { cache: paths::cache()?.join("programs") })
    }

    /// Builds what is not in the cache yet.
    pub(crate) fn ensure(layout: &Layout, node: bool, report: &mut Report<'_>) -> Result<Self> {
        let programs = Self::cached()?;
        if programs.missing(node).is_empty() {
            return Ok(programs);
        }
        needs::go()?;
        let _lock = Lock::take(&programs.cache.join("build.lock"), report)?;
        // Somebody else may have built them while we waited.
        let missing = programs.missing(node);
        if missing.is_empty() {
            return Ok(programs);
        }
        note(
            report,
            format!(
                "{} programs are built from source and kept in {}; the first time this takes about six minutes on \
                 two cores",
                missing.len(),
                programs.cache.display()
            ),
        );
        let of = missing.len();
        for (index, (module, program, package)) in missing.into_iter().enumerate() {
            programs.build(layout, module, program, package, &mut |elapsed| {
                let what = format!("{program} {}", module.version);
                report(Progress::Building { what, number: index + 1, of, elapsed });
            })?;
        }
        for module in [&ETCD, &KUBE, &PAUSE] {
            programs.prune(module);
        }
        Ok(programs)
    }

    fn missing(&self, node: bool) -> Vec<(&'static Module, &'static str, &'static str)> {
        let modules: [&'static Module; 3] = [&ETCD, &KUBE, &PAUSE];
        modules
            .into_iter()
            .flat_map(|module| {
                module.programs.iter().map(move |(program, package)| (module, *program, *package))
            })
            .filter(|(_, program, _)| node || !NODE_ONLY.contains(program))
            .filter(|(module, program, _)| !self.folder(module).join(program).is_file())
            .collect()
    }

    fn folder(&self, module: &Module) -> PathBuf {
        let mut parts: Vec<&[u8]> = Vec::new();
        for (name, content) in module.files.iter().chain(module.variables) {
            parts.extend([name.as_bytes(), content.as_bytes()]);
        }
        self.cache.join(format!("{}-{}-{}", module.name, module.version, &hash(&parts)[..12]))
    }

    fn build(
        &self,
        layout: &Layout,
        module: &Module,
        program: &str,
        package: &str,
        beat: &mut dyn FnMut(std::time::Duration),
    ) -> Result<()> {
        let folder = self.folder(module);
        let source = folder.join("source");
        fs::create_dir_all(&source).at(&source)?;
        for (name, content) in module.files {
            paths::write(&source.join(name), content)?;
        }
        let partial = folder.join(format!("{program}.partial"));
        let mut linker = String::from("-s -w");
        for (name, value) in module.variables {
            linker.push_str(&format!(" -X {name}={value}"));
        }
        let mut command = helper("go", layout);
        command
            .current_dir(&source)
            // Static, so that it runs wherever the cache is mounted; the rest keeps other settings of the user's out.
            .env("CGO_ENABLED", "0")
            .env("GOWORK", "off")
            .env("GOFLAGS", "-mod=readonly -buildvcs=false")
            .env_remove("GOOS")
            .env_remove("GOARCH")
            .args(["build", "-trimpath", "-ldflags", &linker, "-o"])
            .arg(&partial)
            .arg(package);
        run_long(&mut command, &folder.join(format!("{program}.build.log")), beat)?;
        fs::rename(&partial, folder.join(program)).at(&partial)
    }

    /// Keeps the two youngest folders of a module: a second work tree with other pins does not throw this one's out.
    fn prune(&self, module: &Module) {
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

    pub(crate) fn etcd(&self) -> PathBuf {
        self.folder(&ETCD).join("etcd")
    }

    pub(crate) fn kube(&self, program: &str) -> PathBuf {
        self.folder(&KUBE).join(program)
    }

    pub(crate) fn pause(&self) -> PathBuf {
        self.folder(&PAUSE).join("pause")
    }
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
        for module in [&ETCD, &KUBE] {
            let (_, tools) = module.files[2];
            for (_, package) in module.programs {
                assert!(tools.contains(&format!("_ \"{package}\"")), "{package}");
            }
        }
    }

    #[test]
    fn the_modules_pin_the_releases_that_they_are_said_to_be() {
        assert!(ETCD.files[0].1.contains("go.etcd.io/etcd/server/v3 v3.6.6"));
        assert!(KUBE.files[0].1.contains(&format!("k8s.io/kubernetes {KUBERNETES}")));
        let staging = format!("v0{}", KUBERNETES.strip_prefix("v1").expect("a release of Kubernetes 1"));
        let replaced = KUBE.files[0].1.lines().filter(|line| line.contains("=> k8s.io/"));
        for line in replaced.clone() {
            assert!(line.ends_with(&staging), "{line}");
        }
        assert_eq!(replaced.count(), 31);
    }
}
