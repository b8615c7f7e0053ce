//! What a node needs of the machine: root, programs, kernel modules and cgroup controllers.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;

use rustix::process::geteuid;

use crate::addon::Addon;
use crate::error::{Error, Result};
use crate::machine::cgroup;
use crate::paths;
use crate::process::run::run;
use crate::progress::{Report, step};
use crate::requirement::{UnmetRequirement, is_debian};

/// What the machine is to be used for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// Building the host and plugins.
    Rust,
    /// Formatting and lints.
    Lints,
    /// A control plane.
    Cluster,
    /// A node and its images.
    Node,
    /// Keycloak, which is fetched by Maven and runs on Java.
    Keycloak,
    /// Images that are built from git repositories.
    Sources,
    /// Tests with a browser, with podman or with clients in Python.
    Tests,
}

impl Purpose {
    /// All of them.
    pub const ALL: [Self; 7] =
        [Self::Rust, Self::Lints, Self::Cluster, Self::Node, Self::Keycloak, Self::Sources, Self::Tests];

    /// What these parts unmet.
    pub(crate) fn of(addons: &BTreeSet<Addon>) -> Vec<Self> {
        let needed = [(Addon::Node, Self::Node), (Addon::Keycloak, Self::Keycloak)];
        needed.into_iter().filter(|(addon, _)| addons.contains(addon)).map(|(_, purpose)| purpose).collect()
    }
}

/// Programs with their purpose and the Debian package of each. The program counts and not the package: containerd and runc may
/// come from another source, whose packages conflict with Debian's.
const TOOLS: [(Purpose, &str, &str); 17] = [
    (Purpose::Node, "containerd", "containerd"),
    (Purpose::Node, "ctr", "containerd"),
    (Purpose::Node, "runc", "runc"),
    (Purpose::Node, "iptables", "iptables"),
    (Purpose::Node, "ip", "iproute2"),
    (Purpose::Node, "nsenter", "util-linux"),
    (Purpose::Node, "buildah", "buildah"),
    (Purpose::Node, "mmdebstrap", "mmdebstrap"),
    (Purpose::Node, "tar", "tar"),
    (Purpose::Node, "curl", "curl"),
    (Purpose::Keycloak, "java", "default-jre-headless"),
    (Purpose::Keycloak, "mvn", "maven"),
    (Purpose::Tests, "chromium", "chromium"),
    (Purpose::Tests, "chromedriver", "chromium-driver"),
    (Purpose::Tests, "certutil", "libnss3-tools"),
    (Purpose::Tests, "podman", "podman"),
    (Purpose::Tests, "fish", "fish"),
];

/// The folders of CNI plugins: Debian's, and the one that upstream documents.
const CNI: [&str; 2] = ["/usr/lib/cni", "/opt/cni/bin"];

/// The folder with the CNI plugins.
pub(crate) fn cni_plugins() -> Option<&'static Path> {
    let all = |folder: &Path| {
        ["bridge", "host-local", "loopback", "portmap"].iter().all(|plugin| folder.join(plugin).is_file())
    };
    CNI.iter().map(Path::new).find(|folder| all(folder))
}

/// Why this machine cannot run a node; `None` when it can.
pub(crate) fn no_node_because() -> Option<UnmetRequirement> {
    if let Err(unmet) = root() {
        return Some(unmet);
    }
    let missing = missing_packages(&[Purpose::Node]);
    if missing.is_empty() || is_debian() {
        return None;
    }
    Some(UnmetRequirement::new(
        format!("a node needs {}, which the harness installs on Debian only", missing.join(", ")),
        "install them with the package manager of this system",
    ))
}

/// Checks for root with the capabilities of a node.
pub(crate) fn root() -> std::result::Result<String, UnmetRequirement> {
    if !geteuid().is_root() {
        return Err(UnmetRequirement::new(
            "a node needs root: containers, mounts and a network namespace of its own",
            "run the same command with sudo -E",
        ));
    }
    match missing_capabilities(&fs::read_to_string("/proc/self/status").unwrap_or_default()) {
        None => Ok("with all capabilities of a node".to_owned()),
        Some(missing) => Err(UnmetRequirement::new(
            format!("a node needs the capability {missing}, which this root does not have"),
            "run it on a virtual machine, or in a container that is started with --privileged",
        )),
    }
}

fn missing_capabilities(status: &str) -> Option<&'static str> {
    let mask = status
        .lines()
        .find_map(|line| line.strip_prefix("CapEff:"))
        .and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok())?;
    [(12, "CAP_NET_ADMIN"), (21, "CAP_SYS_ADMIN"), (18, "CAP_SYS_CHROOT"), (27, "CAP_MKNOD")]
        .into_iter()
        .find(|(bit, _)| mask & (1 << bit) == 0)
        .map(|(_, name)| name)
}

/// The Debian packages whose programs are missing.
pub(crate) fn missing_packages(purposes: &[Purpose]) -> Vec<&'static str> {
    let missing = TOOLS
        .iter()
        .filter(|(purpose, program, _)| purposes.contains(purpose) && paths::program(program).is_none());
    let mut packages: Vec<_> = missing.map(|(_, _, package)| *package).collect();
    if purposes.contains(&Purpose::Node) && cni_plugins().is_none() {
        packages.push("containernetworking-plugins");
    }
    packages.dedup();
    packages
}

/// Loads the modules that a node needs. Fails where the kernel lacks one, or a cgroup controller.
pub(crate) fn load_kernel(report: &mut Report<'_>) -> Result<()> {
    load_modules(report);
    kernel_found().map(drop).map_err(|unmet| Error::Unmet(vec![unmet]))
}

/// Loads the kernel modules of a node that are not loaded.
pub(crate) fn load_modules(report: &mut Report<'_>) {
    for module in missing_modules() {
        step(report, format!("loading the kernel module {module}"));
        // `kernel_found` checks the effect.
        let _ = run(Command::new("modprobe").arg(module).env("PATH", paths::search_path()));
    }
}

/// The overlay file system and netfilter for bridges, unless loaded.
fn missing_modules() -> Vec<&'static str> {
    let filesystems = fs::read_to_string("/proc/filesystems").unwrap_or_default();
    let overlay = filesystems.lines().any(|line| line.split_whitespace().last() == Some("overlay"));
    let bridges = Path::new("/proc/sys/net/bridge/bridge-nf-call-iptables").exists();
    [("overlay", overlay), ("br_netfilter", bridges)]
        .into_iter()
        .filter(|(_, loaded)| !loaded)
        .map(|(module, _)| module)
        .collect()
}

/// The kernel's release, if the kernel has what a node needs.
pub(crate) fn kernel_found() -> std::result::Result<String, UnmetRequirement> {
    if let [module, ..] = missing_modules()[..] {
        return Err(UnmetRequirement::new(
            format!("the kernel does not have {module}"),
            format!("modprobe {module}"),
        ));
    }
    match missing_controllers(&cgroup::controllers()) {
        Some(unmet) => Err(unmet),
        None => Ok(fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default().trim().to_owned()),
    }
}

/// The cgroup controllers without which kubelet refuses to start.
fn missing_controllers(present: &BTreeSet<String>) -> Option<UnmetRequirement> {
    let missing: Vec<_> =
        ["cpu", "cpuset", "memory", "pids"].into_iter().filter(|name| !present.contains(*name)).collect();
    let what = match missing.as_slice() {
        [] => return None,
        _ if present.is_empty() => "no cgroup file system is mounted".to_owned(),
        _ => format!("these cgroup controllers are missing: {}", missing.join(", ")),
    };
    Some(UnmetRequirement::new(
        what,
        "mount -t cgroup2 none /sys/fs/cgroup, or start the kernel without cgroup_disable",
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_capability_of_root_is_named() {
        assert_eq!(missing_capabilities("CapEff:\t00000000a80425fb\n"), Some("CAP_NET_ADMIN"));
        assert_eq!(missing_capabilities("CapEff:\t000001ffffffffff\n"), None);
    }

    #[test]
    fn missing_cgroup_controllers_are_named() {
        let present = |names: &[&str]| names.iter().map(ToString::to_string).collect::<BTreeSet<_>>();
        assert_eq!(missing_controllers(&present(&["cpu", "cpuset", "memory", "pids", "io"])), None);
        let unmet = missing_controllers(&present(&["cpu", "cpuset", "pids"])).expect("memory is missing");
        assert!(unmet.what.contains("memory") && !unmet.what.contains("cpu"), "{unmet}");
        assert!(
            missing_controllers(&present(&[]))
                .expect("all are missing")
                .what
                .contains("no cgroup file system")
        );
    }
}
