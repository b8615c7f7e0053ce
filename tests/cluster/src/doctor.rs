//! What this machine lacks for a cluster with everything, said before anything is tried.

use crate::error::{Error, Result};
use crate::needs::{self, Need, Purpose};
use crate::packages;
use crate::progress::Report;

/// Everything that is lacking, each with the command that cures it. Nothing is changed.
pub fn examine() -> Result<Vec<Need>> {
    let mut lacking = match needs::go() {
        Ok(()) => Vec::new(),
        Err(Error::Needs(needs)) => needs,
        Err(other) => return Err(other),
    };
    lacking.extend(needs::no_node_because());
    lacking.extend(needs::lacking_of_kernel());
    lacking.extend(needs::lacking_disk()?);
    let purposes =
        [(Purpose::Node, "a node"), (Purpose::Keycloak, "Keycloak"), (Purpose::Tests, "all of the tests")];
    for (purpose, what) in purposes {
        let packages = needs::lacking_packages(&[purpose]);
        if !packages.is_empty() {
            lacking.push(Need::packages(format!("programs for {what} are missing"), &packages));
        }
    }
    Ok(lacking)
}

/// Installs the packages of what these purposes need, on Debian, as root. Services of theirs stay stopped.
pub fn install(purposes: &[Purpose], report: &mut Report<'_>) -> Result<()> {
    packages::ensure(purposes, report)
}
