//! The Go modules of the cluster's programs, with the releases that their `go.mod` files pin.

use crate::addon::Addon;
use crate::content_hash::content_hash;

/// The release of Kubernetes. Later kubelets need cgroup v2.
pub const KUBERNETES: &str = "v1.34.4";

/// A Go module of the harness, and the programs that are built from it.
pub(crate) struct Module {
    pub(crate) name: &'static str,
    /// The upstream module of the programs; empty for a program of the harness.
    pub(crate) path: &'static str,
    pub(crate) version: &'static str,
    pub(crate) files: &'static [(&'static str, &'static str)],
    pub(crate) programs: &'static [Program],
    /// Variables set by the linker.
    pub(crate) variables: &'static [(&'static str, &'static str)],
}

pub(crate) struct Program {
    pub(crate) name: &'static str,
    pub(crate) origin: Origin,
    /// The addon that needs it; `None` for every cluster.
    pub(crate) addon: Option<Addon>,
    /// Seconds of its build on two cores, after the programs before it.
    pub(crate) seconds: u32,
}

pub(crate) enum Origin {
    /// Built from this package.
    Package(&'static str),
    /// The manifests in this folder of the module, in one file.
    Manifests(&'static str),
}

pub(crate) const fn program(
    name: &'static str,
    package: &'static str,
    addon: Option<Addon>,
    seconds: u32,
) -> Program {
    Program { name, origin: Origin::Package(package), addon, seconds }
}

/// The content of these files of a module.
macro_rules! files {
    ($folder:literal: $($file:literal),+) => {
        &[$(($file, include_str!(concat!("../../go/", $folder, "/", $file)))),+]
    };
}

pub(crate) const ETCD: Module = Module {
    name: "etcd",
    path: "go.etcd.io/etcd/server/v3",
    version: "v3.6.6",
    files: files!("etcd": "go.mod", "go.sum", "tools.go"),
    programs: &[program("etcd", "go.etcd.io/etcd/server/v3", None, 40)],
    variables: &[],
};

pub(crate) const KUBE: Module = Module {
    name: "kubernetes",
    path: "k8s.io/kubernetes",
    version: KUBERNETES,
    files: files!("kubernetes": "go.mod", "go.sum", "tools.go"),
    // The largest first, because it fills Go's cache for the others.
    programs: &[
        program("kube-apiserver", "k8s.io/kubernetes/cmd/kube-apiserver", None, 165),
        program("kube-controller-manager", "k8s.io/kubernetes/cmd/kube-controller-manager", None, 50),
        program("kube-scheduler", "k8s.io/kubernetes/cmd/kube-scheduler", None, 4),
        program("kubectl", "k8s.io/kubernetes/cmd/kubectl", None, 18),
        program("kubelet", "k8s.io/kubernetes/cmd/kubelet", Some(Addon::Node), 14),
        program("kube-proxy", "k8s.io/kubernetes/cmd/kube-proxy", Some(Addon::Node), 6),
    ],
    // Without these the version is v0.0.0-master, on which clients misbehave.
    variables: &[
        ("k8s.io/component-base/version.gitVersion", KUBERNETES),
        ("k8s.io/component-base/version.gitMajor", "1"),
        ("k8s.io/component-base/version.gitMinor", "34"),
        ("k8s.io/client-go/pkg/version.gitVersion", KUBERNETES),
        ("k8s.io/client-go/pkg/version.gitMajor", "1"),
        ("k8s.io/client-go/pkg/version.gitMinor", "34"),
    ],
};

pub(crate) const COREDNS: Module = Module {
    name: "coredns",
    path: "github.com/coredns/coredns",
    version: "v1.14.3",
    files: files!("coredns": "go.mod", "go.sum", "main.go"),
    programs: &[program("coredns", ".", Some(Addon::Node), 52)],
    variables: &[],
};

pub(crate) const LOCAL_PATH: Module = Module {
    name: "local-path-provisioner",
    path: "github.com/rancher/local-path-provisioner",
    version: "v0.0.30",
    files: files!("local-path-provisioner": "go.mod", "go.sum", "tools.go"),
    programs: &[program(
        "local-path-provisioner",
        "github.com/rancher/local-path-provisioner",
        Some(Addon::Node),
        54,
    )],
    variables: &[("main.VERSION", "v0.0.30")],
};

pub(crate) const REGISTRY: Module = Module {
    name: "registry",
    path: "github.com/distribution/distribution/v3",
    version: "v3.0.0",
    files: files!("registry": "go.mod", "go.sum", "main.go"),
    programs: &[program("registry", ".", Some(Addon::Registry), 19)],
    variables: &[("github.com/distribution/distribution/v3/version.version", "v3.0.0")],
};

pub(crate) const TRAEFIK: Module = Module {
    name: "traefik",
    path: "github.com/traefik/traefik/v3",
    version: "v3.7.5",
    files: files!("traefik": "go.mod", "go.sum", "tools.go", "ext/go.mod", "ext/ext.go"),
    programs: &[program("traefik", "github.com/traefik/traefik/v3/cmd/traefik", Some(Addon::Ingress), 240)],
    variables: &[("github.com/traefik/traefik/v3/pkg/version.Version", "3.7.5")],
};

pub(crate) const GATEWAY_API: Module = Module {
    name: "gateway-api",
    path: "sigs.k8s.io/gateway-api",
    version: "v1.6.1",
    files: files!("gateway-api": "go.mod", "go.sum", "tools.go"),
    programs: &[Program {
        name: "gateway-api.yaml",
        origin: Origin::Manifests("config/crd/standard"),
        addon: Some(Addon::Ingress),
        seconds: 2,
    }],
    variables: &[],
};

/// The program of the sandbox image.
pub(crate) const PAUSE: Module = Module {
    name: "pause",
    path: "",
    version: "v1",
    files: files!("pause": "go.mod", "main.go"),
    programs: &[program("pause", ".", Some(Addon::Node), 2)],
    variables: &[],
};

/// The program of the oauth2-proxy image.
pub(crate) const OAUTH2_PROXY: Module = Module {
    name: "oauth2-proxy",
    path: "github.com/oauth2-proxy/oauth2-proxy/v7",
    version: "v7.15.6",
    files: files!("oauth2-proxy": "go.mod", "go.sum", "tools.go"),
    programs: &[program(
        "oauth2-proxy",
        "github.com/oauth2-proxy/oauth2-proxy/v7",
        Some(Addon::Keycloak),
        75,
    )],
    variables: &[("github.com/oauth2-proxy/oauth2-proxy/v7/pkg/version.VERSION", "v7.15.6")],
};

/// All modules, in the order of their builds.
pub(crate) const MODULES: [&Module; 9] =
    [&ETCD, &KUBE, &COREDNS, &LOCAL_PATH, &REGISTRY, &TRAEFIK, &GATEWAY_API, &PAUSE, &OAUTH2_PROXY];

/// The modules whose program is built for an image only.
pub(crate) const IMAGE_MODULES: [&Module; 2] = [&PAUSE, &OAUTH2_PROXY];

/// The release of a program.
pub(crate) fn version(program: &str) -> &'static str {
    let of = |module: &&Module| module.programs.iter().any(|built| built.name == program);
    MODULES.into_iter().find(of).map_or("", |module| module.version)
}

/// A hash of a module's files and variables.
pub(crate) fn key(module: &Module) -> String {
    let mut parts: Vec<&[u8]> = Vec::new();
    for (name, content) in module.files.iter().chain(module.variables) {
        parts.extend([name.as_bytes(), content.as_bytes()]);
    }
    content_hash(&parts)
}

/// A hash of the sandbox image's program.
pub(crate) fn pause_key() -> String {
    key(&PAUSE)
}

/// A hash of the program of the oauth2-proxy image.
pub(crate) fn oauth2_proxy_key() -> String {
    key(&OAUTH2_PROXY)
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
                .expect("a module has one file in Go");
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
    fn the_go_mod_files_pin_the_releases_of_the_table() {
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
    fn the_release_in_a_variable_is_that_of_the_module() {
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
}
