//! Everything that a machine must have: each requirement with its purpose, and with the fix where it is not met.

use std::path::Path;

use serde::Serialize;

use crate::addon::Addon;
use crate::build::programs::Programs;
use crate::error::{At, Error, Result};
use crate::machine::packages;
use crate::machine::requirements::{self, Purpose};
use crate::machine::tools::{CheckResult, Machine, TARGET, curl_found};
use crate::paths;
use crate::progress::{Report, step};
use crate::requirement::{FixedBy, UnmetRequirement};

/// Something that the machine must have for a purpose.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Requirement {
    /// Its name.
    pub name: &'static str,
    /// What needs it.
    pub purpose: &'static str,
    /// The version or path of what was found.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub found: Option<String>,
    /// What is missing, and the fix.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub missing: Option<UnmetRequirement>,
}

impl Requirement {
    fn new(name: &'static str, purpose: &'static str, state: CheckResult) -> Self {
        let (found, missing) = match state {
            Ok(found) => (Some(found), None),
            Err(unmet) => (None, Some(unmet)),
        };
        Self { name, purpose, found, missing }
    }
}

/// Lists the requirements of these purposes. Changes nothing.
pub fn examine(purposes: &[Purpose]) -> Result<Vec<Requirement>> {
    requirements_of(&Machine::this(), purposes)
}

/// Meets the requirements of these purposes: installs the Rust target with rustup, and Debian packages as root on Debian.
///
/// # Errors
///
/// [`Error::Unmet`] with every fix, before anything is installed, where one of them is for a person.
pub fn provide(purposes: &[Purpose], report: &mut Report<'_>) -> Result<()> {
    let machine = Machine::this();
    if purposes.contains(&Purpose::Node) {
        requirements::load_modules(report);
    }
    let missing = unmet(&machine, purposes)?;
    if missing.iter().any(|unmet| unmet.fixed_by == FixedBy::Hand) {
        return Err(Error::Unmet(missing));
    }
    if missing.iter().any(|unmet| unmet.fixed_by == FixedBy::Rustup) {
        step(report, format!("rustup target add {TARGET}"));
        machine.add_target()?;
    }
    let packages: Vec<_> = missing.iter().flat_map(|unmet| unmet.packages.iter().copied()).collect();
    packages::install(&packages, report)?;
    match unmet(&machine, purposes)? {
        left if left.is_empty() => Ok(()),
        left => Err(Error::Unmet(left)),
    }
}

/// Why this machine can have no node; `None` when it can.
pub fn no_node() -> Option<UnmetRequirement> {
    requirements::no_node_because()
}

fn unmet(machine: &Machine, purposes: &[Purpose]) -> Result<Vec<UnmetRequirement>> {
    let requirements = requirements_of(machine, purposes)?;
    Ok(requirements.into_iter().filter_map(|requirement| requirement.missing).collect())
}

fn requirements_of(machine: &Machine, purposes: &[Purpose]) -> Result<Vec<Requirement>> {
    let wanted = |purpose| purposes.contains(&purpose);
    let mut all = Vec::new();
    if wanted(Purpose::Rust) {
        all.push(Requirement::new("Rust", "builds everything", machine.rust()));
        all.push(Requirement::new("Rust target", "plugins are built for it", machine.target()));
    }
    if wanted(Purpose::Lints) {
        for (name, subcommand) in [("rustfmt", "fmt"), ("clippy", "clippy")] {
            all.push(Requirement::new(name, "`cargo xtask check`", machine.component(name, subcommand)));
        }
    }
    if wanted(Purpose::Cluster) {
        all.push(Requirement::new("Go", "builds the cluster's programs", machine.go()));
        all.push(Requirement::new("curl", "asks the cluster's servers", curl_found()));
        all.push(Requirement::new("memory", "builds, and all of the cluster", machine.memory_for(purposes)));
        all.push(Requirement::new("disk", "programs, images and their sources", disk()?));
    }
    if wanted(Purpose::Node) {
        all.push(Requirement::new("root", "a node that runs pods", requirements::root()));
        all.push(Requirement::new("kernel", "a node that runs pods", requirements::kernel_found()));
    }
    if wanted(Purpose::Sources) {
        all.push(Requirement::new("git", "images are built from repositories", machine.git()));
    }
    if wanted(Purpose::Tests) {
        all.push(Requirement::new("Python", "clients of the tests", machine.python()));
    }
    let programs = [
        (Purpose::Node, "programs of a node", "containers, networks and images"),
        (Purpose::Keycloak, "Java and Maven", "Keycloak"),
        (Purpose::Tests, "browser and podman", "tests of what a person sees"),
    ];
    for (of, name, purpose) in programs.into_iter().filter(|(of, _, _)| wanted(*of)) {
        all.push(Requirement::new(name, purpose, debian_programs(of)));
    }
    Ok(all)
}

fn debian_programs(purpose: Purpose) -> CheckResult {
    let packages = requirements::missing_packages(&[purpose]);
    if packages.is_empty() {
        return Ok("all".to_owned());
    }
    Err(UnmetRequirement::packages(format!("programs of {} are missing", packages.join(", ")), &packages))
}

/// The free space in the cache, if it is enough.
fn disk() -> Result<std::result::Result<String, UnmetRequirement>> {
    /// In GiB; measured: what a first `up` leaves in this cache and in Go's, and room for volumes.
    const FIRST: u64 = 12;
    /// In GiB; room for volumes and images.
    const LATER: u64 = 2;
    const GIBIBYTE: u64 = 1024 * 1024 * 1024;
    let built = Programs::cached()?.missing(&Addon::ALL.into()).is_empty();
    let wanted = if built { LATER } else { FIRST };
    let cache = paths::cache()?;
    let folder = cache.ancestors().find(|folder| folder.exists()).unwrap_or(Path::new("/"));
    let found = rustix::fs::statvfs(folder).map_err(std::io::Error::from).at(folder)?;
    Ok(enough_disk(folder, found.f_bavail * found.f_frsize / GIBIBYTE, wanted))
}

fn enough_disk(folder: &Path, free: u64, wanted: u64) -> std::result::Result<String, UnmetRequirement> {
    if free >= wanted {
        return Ok(format!("{free} GiB free in {}", folder.display()));
    }
    Err(UnmetRequirement::new(
        format!("{} has {free} GiB free, and the cluster takes up to {wanted} GiB", folder.display()),
        "make room there, or name a folder on another disk: export XDG_CACHE_HOME=/path",
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_disk_is_reported_with_its_folder() {
        let unmet = enough_disk(Path::new("/cache"), 3, 12).expect_err("3 GiB are too little");
        assert!(unmet.what.contains("/cache has 3 GiB") && unmet.fix.contains("XDG_CACHE_HOME"), "{unmet}");
        assert!(enough_disk(Path::new("/cache"), 12, 12).is_ok());
    }

    #[test]
    fn a_purpose_lists_its_own_requirements_only() {
        let machine = Machine::without_tools();
        let names = |purposes: &[Purpose]| -> Vec<&str> {
            let all = requirements_of(&machine, purposes).expect("the cache has a path");
            all.iter().map(|requirement| requirement.name).collect()
        };
        assert_eq!(names(&[Purpose::Rust]), ["Rust", "Rust target"]);
        assert_eq!(names(&[Purpose::Sources]), ["git"]);
        assert_eq!(names(&Purpose::ALL).len(), 15);
    }
}
