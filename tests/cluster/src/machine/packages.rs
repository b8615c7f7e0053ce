//! Debian packages of the machine. Their services must not start: the cluster runs a containerd of its own.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use crate::error::{At, Error, Result};
use crate::lock::Lock;
use crate::machine::requirements::{self, Purpose};
use crate::paths;
use crate::process::run::run_long;
use crate::progress::{Report, note, step};
use crate::requirement::{UnmetRequirement, is_debian};

/// Debian's packages run it before they start a service; exit code 101 forbids the start.
const POLICY: &str = "/usr/sbin/policy-rc.d";

/// Installs the packages whose programs are missing for these purposes.
pub(crate) fn ensure(purposes: &[Purpose], report: &mut Report<'_>) -> Result<()> {
    install(&requirements::missing_packages(purposes), report)?;
    let left = requirements::missing_packages(purposes);
    if left.is_empty() {
        return Ok(());
    }
    let what = format!("{} were installed and their programs are still missing", left.join(", "));
    Err(Error::Unmet(vec![UnmetRequirement::packages(what, &left)]))
}

/// Installs packages without starting their services.
pub(crate) fn install(packages: &[&'static str], report: &mut Report<'_>) -> Result<()> {
    if packages.is_empty() {
        return Ok(());
    }
    let cache = paths::cache()?;
    let _lock = Lock::take(&cache.join("packages.lock"), report)?;
    if !is_debian() {
        let what =
            format!("{} are missing, and the harness installs them on Debian only", packages.join(", "));
        return Err(Error::Unmet(vec![UnmetRequirement::new(
            what,
            "install them with the package manager of this system",
        )]));
    }
    note(report, format!("installing Debian packages, their services stay stopped: {}", packages.join(" ")));
    let _policy = Policy::refuse()?;
    let mut apt = |arguments: &[&str]| {
        // Without the mark of a cluster: `down` must not end dpkg in the middle of its work.
        let mut command = Command::new("apt-get");
        command.args(arguments).env("PATH", paths::search_path()).env("DEBIAN_FRONTEND", "noninteractive");
        run_long(&mut command, &cache.join("packages.log"), |elapsed| {
            step(report, format!("apt-get {}, {} s so far", arguments[0], elapsed.as_secs()));
        })
    };
    apt(&["update", "-q"])?;
    apt(&[&["install", "-q", "-y", "--no-install-recommends"], packages].concat())
}

/// The harness's own text, by which it knows its file.
const REFUSAL: &str =
    "#!/bin/sh\n# thinkube-test-cluster installs packages; no service of theirs is to start.\nexit 101\n";

/// Removes the policy that a killed installation has left: with it no service starts that is installed later.
pub(crate) fn remove_left_policy() {
    if fs::read_to_string(POLICY).is_ok_and(|text| text == REFUSAL) {
        let _ = fs::remove_file(POLICY);
    }
}

/// Forbids the start of services until it is dropped. A policy of the machine's own stays.
struct Policy {
    ours: bool,
}

impl Policy {
    fn refuse() -> Result<Self> {
        remove_left_policy();
        if Path::new(POLICY).exists() {
            return Ok(Self { ours: false });
        }
        fs::write(POLICY, REFUSAL).at(POLICY)?;
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
