//! Programs of the machine's own, from Debian.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use crate::error::{At, Error, Result};
use crate::lock::Lock;
use crate::needs::{self, Need, Purpose};
use crate::paths;
use crate::process::run_long;
use crate::progress::{Report, note, step};

/// Asked by Debian's packages before they start a service; 101 means no.
const POLICY: &str = "/usr/sbin/policy-rc.d";

/// Installs the packages whose programs these purposes lack.
pub(crate) fn ensure(purposes: &[Purpose], report: &mut Report<'_>) -> Result<()> {
    install(&needs::lacking_packages(purposes), report)?;
    let left = needs::lacking_packages(purposes);
    if left.is_empty() {
        return Ok(());
    }
    let what = format!("{} were installed and their programs are still not there", left.join(", "));
    Err(Error::NeedsFacts(vec![Need::packages(what, &left)]))
}

/// Installs packages without starting any of their services: the cluster runs a containerd of its own.
pub(crate) fn install(packages: &[&'static str], report: &mut Report<'_>) -> Result<()> {
    if packages.is_empty() {
        return Ok(());
    }
    let cache = paths::cache()?;
    let _lock = Lock::take(&cache.join("packages.lock"), report)?;
    if !needs::is_debian() {
        let what =
            format!("{} are missing, and are installed by themselves on Debian only", packages.join(", "));
        return Err(Error::NeedsFacts(vec![Need::new(
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

/// What we put there, and nobody else does.
const REFUSAL: &str =
    "#!/bin/sh\n# thinkube-test-cluster installs packages; no service of theirs is to start.\nexit 101\n";

/// Takes away what an installation that was killed has left: as long as it is there no service starts that is installed.
pub(crate) fn let_services_start_again() {
    if fs::read_to_string(POLICY).is_ok_and(|text| text == REFUSAL) {
        let _ = fs::remove_file(POLICY);
    }
}

/// Keeps services from being started as long as it lives, unless the machine already keeps them from it.
struct Policy {
    ours: bool,
}

impl Policy {
    fn refuse() -> Result<Self> {
        let_services_start_again();
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
