//! What a machine must have, asked before anything is started, and the command that gives it.

use std::fmt;
use std::fs;
use std::path::Path;
use std::process::Command;

use crate::error::{Error, Result};
use crate::paths;
use crate::process::run;
use crate::progress::{Report, step};

/// Something that the machine lacks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Need {
    /// What is missing.
    pub what: String,
    /// The command that cures it.
    pub cure: String,
}

impl Need {
    pub(crate) fn new(what: impl Into<String>, cure: impl Into<String>) -> Self {
        Self { what: what.into(), cure: cure.into() }
    }
}

impl fmt::Display for Need {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}; cure: {}", self.what, self.cure)
    }
}

/// The Go release that the pinned modules ask for.
const GO: (u32, u32) = (1, 24);

/// Go is there and new enough, or fetches a newer one by itself.
pub(crate) fn go() -> Result<()> {
    let cure = "install Go 1.24 or newer (on Debian 13: apt-get install golang-go; on Debian 12: apt-get install -t \
                bookworm-backports golang-1.24-go; elsewhere: https://go.dev/doc/install) and put its bin folder on PATH";
    if paths::program("go").is_none() {
        let need =
            Need::new("the Go tool chain is missing: the cluster's programs are built from source", cure);
        return Err(Error::Needs(vec![need]));
    }
    let said = run(Command::new("go").args(["env", "GOVERSION", "GOTOOLCHAIN"]))?;
    match go_lacks(&said) {
        None => Ok(()),
        Some(what) => Err(Error::Needs(vec![Need::new(what, cure)])),
    }
}

fn go_lacks(said: &str) -> Option<String> {
    let (version, toolchain) = said.trim().split_once('\n')?;
    let mut parts = version.trim_start_matches("go").split('.').map(|part| {
        let digits: String = part.chars().take_while(char::is_ascii_digit).collect();
        digits.parse::<u32>().unwrap_or(0)
    });
    let has = (parts.next().unwrap_or(0), parts.next().unwrap_or(0));
    // From 1.21 on Go fetches the release that a module asks for, unless it is told to stay as it is.
    let fetches = has >= (1, 21) && toolchain.trim() != "local";
    (has < GO && !fetches).then(|| format!("Go is {version} and the cluster's programs need go1.24"))
}

/// A program of the node and the Debian package that has it.
struct Tool {
    program: &'static str,
    package: &'static str,
}

/// Without these no node runs and no image is built. That a program is there counts, not that the package is: containerd
/// and runc may come from elsewhere, and then Debian's packages would conflict with them.
const TOOLS: [Tool; 8] = [
    Tool { program: "containerd", package: "containerd" },
    Tool { program: "ctr", package: "containerd" },
    Tool { program: "runc", package: "runc" },
    Tool { program: "iptables", package: "iptables" },
    Tool { program: "ip", package: "iproute2" },
    Tool { program: "nsenter", package: "util-linux" },
    Tool { program: "buildah", package: "buildah" },
    Tool { program: "mmdebstrap", package: "mmdebstrap" },
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
    if !rustix::process::geteuid().is_root() {
        return Some(Need::new(
            "a node needs root: containers, mounts and a network namespace of its own",
            "run the same command with sudo -E",
        ));
    }
    if let Some(lacking) = lacking_capabilities(&fs::read_to_string("/proc/self/status").unwrap_or_default())
    {
        return Some(Need::new(
            format!("a node needs the capability {lacking}, which this root does not have"),
            "run it on a virtual machine, or in a container that is started with --privileged",
        ));
    }
    let lacking = lacking_packages();
    if lacking.is_empty() || is_debian() {
        return None;
    }
    Some(Need::new(
        format!("a node needs {}, which are installed by themselves on Debian only", lacking.join(", ")),
        "install them with the package manager of this system",
    ))
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
pub(crate) fn lacking_packages() -> Vec<&'static str> {
    let missing = TOOLS.iter().filter(|tool| paths::program(tool.program).is_none());
    let mut packages: Vec<_> = missing.map(|tool| tool.package).collect();
    if cni_plugins().is_none() {
        packages.push("containernetworking-plugins");
    }
    packages.dedup();
    packages
}

/// What the node needs of the kernel; modules are loaded when they are not there yet.
pub(crate) fn kernel(report: &mut Report<'_>) -> Result<()> {
    let mut needs = Vec::new();
    let mut require = |there: &dyn Fn() -> bool, module: &str, what: &str| {
        if there() {
            return;
        }
        step(report, format!("loading the kernel module {module}"));
        // Whether it worked is seen below, by its effect.
        let _ = run(Command::new("modprobe").arg(module).env("PATH", paths::search_path()));
        if !there() {
            needs.push(Need::new(
                format!("the kernel has no {what}"),
                format!("modprobe {module}, or a kernel that has it"),
            ));
        }
    };
    let filesystem = |name: &str| {
        fs::read_to_string("/proc/filesystems")
            .is_ok_and(|list| list.lines().any(|line| line.split_whitespace().last() == Some(name)))
    };
    require(&|| filesystem("overlay"), "overlay", "overlay file system");
    require(
        &|| Path::new("/proc/sys/net/bridge/bridge-nf-call-iptables").exists(),
        "br_netfilter",
        "netfilter for bridges (br_netfilter)",
    );
    if crate::cgroup::hierarchies().is_empty() {
        needs.push(Need::new("no cgroup file system is mounted", "mount -t cgroup2 none /sys/fs/cgroup"));
    }
    if needs.is_empty() { Ok(()) } else { Err(Error::Needs(needs)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_old_go_that_may_not_fetch_a_newer_one_is_refused() {
        assert!(go_lacks("go1.22.1\nlocal\n").is_some());
        assert!(go_lacks("go1.19\nauto\n").is_some());
        assert!(go_lacks("go1.22.1\nauto\n").is_none());
        assert!(go_lacks("go1.24\nlocal\n").is_none());
        assert!(go_lacks("go1.26.8\nlocal\n").is_none());
        assert!(go_lacks("go1.27rc1\nlocal\n").is_none());
    }

    #[test]
    fn a_root_without_the_capabilities_of_a_node_is_told_which_one_it_lacks() {
        assert_eq!(lacking_capabilities("CapEff:\t00000000a80425fb\n"), Some("CAP_NET_ADMIN"));
        assert_eq!(lacking_capabilities("CapEff:\t000001ffffffffff\n"), None);
    }

    #[test]
    fn only_debian_is_taken_for_debian() {
        assert!(says_debian("NAME=\"Debian GNU/Linux\"\nID=debian\n"));
        assert!(!says_debian("ID=ubuntu\nID_LIKE=debian\n"));
    }
}
