//! The node's programs, from Debian.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use crate::error::{At, Error, Result};
use crate::lock::Lock;
use crate::needs::{self, Need};
use crate::paths;
use crate::process::run_long;
use crate::progress::{Progress, Report, note};

/// Asked by Debian's packages before they start a service; 101 means no.
const POLICY: &str = "/usr/sbin/policy-rc.d";

/// Installs what is missing, without starting any of it: the cluster runs a containerd of its own.
pub(crate) fn ensure(report: &mut Report<'_>) -> Result<()> {
    if needs::lacking_packages(true).is_empty() {
        return Ok(());
    }
    let cache = paths::cache()?;
    let _lock = Lock::take(&cache.join("packages.lock"), report)?;
    let packages = needs::lacking_packages(true);
    if packages.is_empty() {
        return Ok(());
    }
    let cure = format!("apt-get update && apt-get install --no-install-recommends {}", packages.join(" "));
    if !needs::is_debian(&fs::read_to_string("/etc/os-release").unwrap_or_default()) {
        let what =
            format!("{} are missing, and are installed by themselves on Debian only", packages.join(", "));
        return Err(Error::Needs(vec![Need::new(
            what,
            "install them with the package manager of this system",
        )]));
    }
    note(report, format!("installing Debian packages, their services stay stopped: {}", packages.join(" ")));
    let _policy = Policy::refuse()?;
    let mut apt = |number: usize, arguments: &[&str]| {
        let mut command = Command::new("apt-get");
        command.args(arguments).env("DEBIAN_FRONTEND", "noninteractive").env("PATH", paths::search_path());
        run_long(&mut command, &cache.join("packages.log"), |elapsed| {
            let what = format!("apt-get {}", arguments[0]);
            report(Progress::Building { what, number, of: 2, elapsed });
        })
    };
    apt(1, &["update", "-q"])?;
    let mut arguments = vec!["install", "-q", "-y", "--no-install-recommends"];
    arguments.extend(&packages);
    apt(2, &arguments)?;
    let left = needs::lacking_packages(true);
    if left.is_empty() {
        return Ok(());
    }
    let what = format!("{} were installed and their programs are still not there", left.join(", "));
    Err(Error::Needs(vec![Need::new(what, cure)]))
}

/// Keeps services from being started as long as it lives, unless the machine already keeps them from it.
struct Policy {
    ours: bool,
}

impl Policy {
    fn refuse() -> Result<Self> {
        if Path::new(POLICY).exists() {
            return Ok(Self { ours: false });
        }
        fs::write(POLICY, "#!/bin/sh\nexit 101\n").at(POLICY)?;
        fs::set_permissions(POLICY, fs::Permissions::from_mode(0o755)).at(POLICY)?;
        Ok(Self { ours: true })
    }
}

impl Drop for Policy {
    fn drop(&mut self) {
        if self.ours {
            let _ = fs::remove_file(POLICY);
        }
    }
}
