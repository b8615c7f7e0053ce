//! Something that the machine lacks, and what provides it.

use std::fmt;
use std::fs;

use rustix::process::geteuid;
use serde::Serialize;

/// Something that the machine lacks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct UnmetRequirement {
    /// What is missing.
    pub what: String,
    /// What a person does about it, a command where there is one.
    pub fix: String,
    /// Who carries the fix out.
    pub fixed_by: FixedBy,
    /// The Debian packages of the fix.
    #[serde(skip)]
    pub(crate) packages: Vec<&'static str>,
}

/// Who carries a fix out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum FixedBy {
    /// A person.
    Hand,
    /// The harness, with rustup.
    Rustup,
    /// The harness, with Debian packages.
    Packages,
}

impl UnmetRequirement {
    pub(crate) fn new(what: impl Into<String>, fix: impl Into<String>) -> Self {
        Self { what: what.into(), fix: fix.into(), fixed_by: FixedBy::Hand, packages: Vec::new() }
    }

    pub(crate) fn rustup(what: impl Into<String>, fix: impl Into<String>) -> Self {
        Self { fixed_by: FixedBy::Rustup, ..Self::new(what, fix) }
    }

    pub(crate) fn packages(what: impl Into<String>, packages: &[&'static str]) -> Self {
        let fix = format!("apt-get update && apt-get install --no-install-recommends {}", packages.join(" "));
        let fixed_by = if is_debian() && geteuid().is_root() { FixedBy::Packages } else { FixedBy::Hand };
        Self { what: what.into(), fix, fixed_by, packages: packages.to_vec() }
    }
}

impl fmt::Display for UnmetRequirement {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}; fix: {}", self.what, self.fix)
    }
}

/// Whether this system is Debian itself. Derivatives do not count: the images are made from this machine's mirror.
pub(crate) fn is_debian() -> bool {
    names_debian(&fs::read_to_string("/etc/os-release").unwrap_or_default())
}

fn names_debian(os_release: &str) -> bool {
    os_release.lines().any(|line| line.trim() == "ID=debian")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_derivative_does_not_count_as_debian() {
        assert!(names_debian("NAME=\"Debian GNU/Linux\"\nID=debian\n"));
        assert!(!names_debian("ID=ubuntu\nID_LIKE=debian\n"));
    }
}
