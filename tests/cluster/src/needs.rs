//! What a machine must have, asked before anything is started, and the command that gives it.

use std::collections::BTreeSet;
use std::fmt;
use std::fs;
use std::path::Path;
use std::process::Command;

use rustix::process::geteuid;
use serde::Serialize;

use crate::cgroup;
use crate::error::{At, Error, Result};
use crate::part::Part;
use crate::paths;
use crate::process::run;
use crate::programs::Programs;
use crate::progress::{Report, step};

/// Something that the machine lacks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Need {
    /// What is missing.
    pub what: String,
    /// The command that cures it.
    pub cure: String,
    /// What carries the cure out.
    pub way: Way,
    /// The Debian packages that it consists of.
    #[serde(skip)]
    pub(crate) packages: Vec<&'static str>,
}

/// What carries a cure out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Way {
    /// A person.
    Hand,
    /// The harness, with rustup.
    Rustup,
    /// The harness, with Debian packages.
    Packages,
}

impl Need {
    pub(crate) fn new(what: impl Into<String>, cure: impl Into<String>) -> Self {
        Self { what: what.into(), cure: cure.into(), way: Way::Hand, packages: Vec::new() }
    }

    pub(crate) fn rustup(what: impl Into<String>, cure: impl Into<String>) -> Self {
        Self { way: Way::Rustup, ..Self::new(what, cure) }
    }

    pub(crate) fn packages(what: impl Into<String>, packages: &[&'static str]) -> Self {
        let cure =
            format!("apt-get update && apt-get install --no-install-recommends {}", packages.join(" "));
        let way = if is_debian() && geteuid().is_root() { Way::Packages } else { Way::Hand };
        Self { what: what.into(), cure, way, packages: packages.to_vec() }
    }
}

impl fmt::Display for Need {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}; cure: {}", self.what, self.cure)
    }
}

/// The Go release that the pinned modules ask for.
const GO: (u32, u32) = (1, 26);

/// What is wrong with the Go that answers `go env GOVERSION GOTOOLCHAIN` so.
pub(crate) fn go_lacks(said: &str) -> Option<String> {
    let (version, toolchain) = said.trim().split_once('\n')?;
    let mut parts = version.trim_start_matches("go").split('.').map(|part| {
        let digits: String = part.chars().take_while(char::is_ascii_digit).collect();
        digits.parse::<u32>().unwrap_or(0)
    });
    let has = (parts.next().unwrap_or(0), parts.next().unwrap_or(0));
    // From 1.21 on Go fetches the release that a module asks for, unless it is told to stay as it is.
    let fetches = has >= (1, 21) && toolchain.trim() != "local";
    (has < GO && !fetches).then(|| format!("Go is {version} and the cluster's programs need go1.26"))
}

/// What the machine is to be used for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// Building the host and plugins.
    Rust,
    /// Judging the source.
    Lints,
    /// A control plane.
    Cluster,
    /// A node and its images.
    Node,
    /// Keycloak, which is fetched by Maven and runs on Java.
    Keycloak,
    /// Images that are built from git repositories.
    Sources,
    /// Tests that look at a page as a person does, build images by podman or use clients in Python.
    Tests,
}

impl Purpose {
    /// All of them.
    pub const ALL: [Self; 7] =
        [Self::Rust, Self::Lints, Self::Cluster, Self::Node, Self::Keycloak, Self::Sources, Self::Tests];

    /// What these parts need.
    pub(crate) fn of(parts: &BTreeSet<Part>) -> Vec<Self> {
        let needed = [(Part::Node, Self::Node), (Part::Keycloak, Self::Keycloak)];
        needed.into_iter().filter(|(part, _)| parts.contains(part)).map(|(_, purpose)| purpose).collect()
    }
}

/// Programs, what they are for, and the Debian package that has each. That a program is there counts, not that the package
/// is: containerd and runc may come from elsewhere, and then Debian's packages would conflict with them.
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

/// The folders in which CNI plugins are found: Debian's and everybody else's.
const CNI: [&str; 2] = ["/usr/lib/cni", "/opt/cni/bin"];

/// The folder with the CNI plugins.
pub(crate) fn cni_plugins() -> Option<&'static Path> {
    let all = |folder: &Path| {
        ["bridge", "host-local", "loopback", "portmap"].iter().all(|plugin| folder.join(plugin).is_file())
    };
    CNI.iter().map(Path::new).find(|folder| all(folder))
}

/// Why no node can run here, in one sentence; `None` when one can.
pub(crate) fn no_node_because() -> Option<Need> {
    if let Err(need) = root() {
        return Some(need);
    }
    let lacking = lacking_packages(&[Purpose::Node]);
    if lacking.is_empty() || is_debian() {
        return None;
    }
    Some(Need::new(
        format!("a node needs {}, which are installed by themselves on Debian only", lacking.join(", ")),
        "install them with the package manager of this system",
    ))
}

/// Root, with the capabilities of a node.
pub(crate) fn root() -> std::result::Result<String, Need> {
    if !geteuid().is_root() {
        return Err(Need::new(
            "a node needs root: containers, mounts and a network namespace of its own",
            "run the same command with sudo -E",
        ));
    }
    match lacking_capabilities(&fs::read_to_string("/proc/self/status").unwrap_or_default()) {
        None => Ok("with all capabilities of a node".to_owned()),
        Some(lacking) => Err(Need::new(
            format!("a node needs the capability {lacking}, which this root does not have"),
            "run it on a virtual machine, or in a container that is started with --privileged",
        )),
    }
}

fn lacking_capabilities(status: &str) -> Option<&'static str> {
    let mask = status
        .lines()
        .find_map(|line| line.strip_prefix("CapEff:"))
        .and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok())?;
    [(12, "CAP_NET_ADMIN"), (21, "CAP_SYS_ADMIN"), (18, "CAP_SYS_CHROOT"), (27, "CAP_MKNOD")]
        .into_iter()
        .find(|(bit, _)| mask & (1 << bit) == 0)
        .map(|(_, name)| name)
}

/// Derivatives don't count: the images are made from this machine's mirror, which must be Debian's.
pub(crate) fn is_debian() -> bool {
    says_debian(&fs::read_to_string("/etc/os-release").unwrap_or_default())
}

fn says_debian(os_release: &str) -> bool {
    os_release.lines().any(|line| line.trim() == "ID=debian")
}

/// The Debian packages whose programs are not there.
pub(crate) fn lacking_packages(purposes: &[Purpose]) -> Vec<&'static str> {
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

/// What the node needs of the kernel; modules are loaded when they are not there yet.
pub(crate) fn kernel(report: &mut Report<'_>) -> Result<()> {
    load_modules(report);
    kernel_found().map(drop).map_err(|need| Error::NeedsFacts(vec![need]))
}

/// Loads the modules that the kernel has and does not use yet.
pub(crate) fn load_modules(report: &mut Report<'_>) {
    for module in lacking_modules() {
        step(report, format!("loading the kernel module {module}"));
        // `kernel_found` sees by its effect whether it worked.
        let _ = run(Command::new("modprobe").arg(module).env("PATH", paths::search_path()));
    }
}

/// Of the overlay file system and netfilter for bridges those that the kernel does not have, or not yet.
fn lacking_modules() -> Vec<&'static str> {
    let filesystems = fs::read_to_string("/proc/filesystems").unwrap_or_default();
    let overlay = filesystems.lines().any(|line| line.split_whitespace().last() == Some("overlay"));
    let bridges = Path::new("/proc/sys/net/bridge/bridge-nf-call-iptables").exists();
    [("overlay", overlay), ("br_netfilter", bridges)]
        .into_iter()
        .filter(|(_, there)| !there)
        .map(|(module, _)| module)
        .collect()
}

/// The kernel's release, if the kernel has what the node needs.
pub(crate) fn kernel_found() -> std::result::Result<String, Need> {
    if let [module, ..] = lacking_modules()[..] {
        return Err(Need::new(format!("the kernel does not have {module}"), format!("modprobe {module}")));
    }
    match lacking_controllers(&cgroup::controllers()) {
        Some(need) => Err(need),
        None => Ok(fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default().trim().to_owned()),
    }
}

/// kubelet refuses to start without these.
fn lacking_controllers(there: &BTreeSet<String>) -> Option<Need> {
    let lacking: Vec<_> =
        ["cpu", "cpuset", "memory", "pids"].into_iter().filter(|name| !there.contains(*name)).collect();
    let what = match lacking.as_slice() {
        [] => return None,
        _ if there.is_empty() => "no cgroup file system is mounted".to_owned(),
        _ => format!("the cgroup controllers {} are not there", lacking.join(", ")),
    };
    Some(Need::new(what, "mount -t cgroup2 none /sys/fs/cgroup, or start the kernel without cgroup_disable"))
}

/// How much is free where the programs and images are kept, if that is enough.
pub(crate) fn disk() -> Result<std::result::Result<String, Need>> {
    /// What a first `up` leaves in this cache and in Go's, measured, and some room for volumes.
    const FIRST: u64 = 12;
    /// Room for volumes and images.
    const LATER: u64 = 2;
    const GIBIBYTE: u64 = 1024 * 1024 * 1024;
    let built = Programs::cached()?.missing(&Part::ALL.into()).is_empty();
    let wanted = if built { LATER } else { FIRST };
    let cache = paths::cache()?;
    let folder = cache.ancestors().find(|folder| folder.exists()).unwrap_or(Path::new("/"));
    let found = rustix::fs::statvfs(folder).map_err(std::io::Error::from).at(folder)?;
    Ok(enough_disk(folder, found.f_bavail * found.f_frsize / GIBIBYTE, wanted))
}

fn enough_disk(folder: &Path, free: u64, wanted: u64) -> std::result::Result<String, Need> {
    if free >= wanted {
        return Ok(format!("{free} GiB free in {}", folder.display()));
    }
    Err(Need::new(
        format!("{} has {free} GiB free, and the cluster takes up to {wanted} GiB", folder.display()),
        "make room there, or name a folder on another disk: export XDG_CACHE_HOME=/path",
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_old_go_that_may_not_fetch_a_newer_one_is_refused() {
        assert!(go_lacks("go1.24.1\nlocal\n").is_some());
        assert!(go_lacks("go1.19\nauto\n").is_some());
        assert!(go_lacks("go1.24.1\nauto\n").is_none());
        assert!(go_lacks("go1.26\nlocal\n").is_none());
        assert!(go_lacks("go1.26.8\nlocal\n").is_none());
        assert!(go_lacks("go1.27rc1\nlocal\n").is_none());
    }

    #[test]
    fn a_root_without_the_capabilities_of_a_node_is_told_which_one_it_lacks() {
        assert_eq!(lacking_capabilities("CapEff:\t00000000a80425fb\n"), Some("CAP_NET_ADMIN"));
        assert_eq!(lacking_capabilities("CapEff:\t000001ffffffffff\n"), None);
    }

    #[test]
    fn cgroup_controllers_that_are_not_there_are_named() {
        let there = |names: &[&str]| names.iter().map(ToString::to_string).collect::<BTreeSet<_>>();
        assert_eq!(lacking_controllers(&there(&["cpu", "cpuset", "memory", "pids", "io"])), None);
        let need = lacking_controllers(&there(&["cpu", "cpuset", "pids"])).expect("a need");
        assert!(need.what.contains("memory") && !need.what.contains("cpu"), "{need}");
        assert!(lacking_controllers(&there(&[])).expect("a need").what.contains("no cgroup file system"));
    }

    #[test]
    fn a_full_disk_is_told_with_its_folder() {
        let need = enough_disk(Path::new("/cache"), 3, 12).expect_err("too full");
        assert!(need.what.contains("/cache has 3 GiB") && need.cure.contains("XDG_CACHE_HOME"), "{need}");
        assert!(enough_disk(Path::new("/cache"), 12, 12).is_ok());
    }

    #[test]
    fn only_debian_is_taken_for_debian() {
        assert!(says_debian("NAME=\"Debian GNU/Linux\"\nID=debian\n"));
        assert!(!says_debian("ID=ubuntu\nID_LIKE=debian\n"));
    }
}
