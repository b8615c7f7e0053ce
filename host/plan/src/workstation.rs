//! What a plugin wants in the home of an operator or a developer.
//!
//! A setup holds no secret, as no plan does: its contents come from the plugin, which knows none.

use crate::grants::{permits_home, permits_python_package};
use crate::{Error, Permission, RelativePath};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::str::FromStr;

/// What is wanted in a home.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct WorkstationPlan {
    /// Folders.
    pub directories: Vec<WorkstationDirectory>,
    /// Whole files.
    pub files: Vec<WorkstationFile>,
    /// Each as NAME==VERSION, in a virtual environment of the release's own.
    pub python_packages: Vec<String>,
}

/// A folder in a home.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct WorkstationDirectory {
    /// Relative to the home.
    pub path: String,
    /// Permission bits.
    pub mode: u32,
}

/// A whole file in a home.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct WorkstationFile {
    /// Relative to the home.
    pub path: String,
    /// Permission bits.
    pub mode: u32,
    /// Text.
    pub content: String,
}

/// Something in a setup that must not or can't be done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct WorkstationFault {
    /// The path or package as the plugin wrote it, cut where it is too long; empty when it is the whole setup.
    pub what: String,
    /// What is wrong and what is expected.
    pub message: String,
    /// It would be fine if it were granted.
    pub denied: bool,
}

impl fmt::Display for WorkstationFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.what.is_empty() {
            f.write_str(&self.message)
        } else {
            write!(f, "{:?}: {}", self.what, self.message)
        }
    }
}

impl WorkstationPlan {
    /// Most files, and most directories: more is no setup of a service.
    pub const MOST: usize = 200;
    /// Longest content of a file, in bytes.
    pub const LARGEST: usize = 1 << 20;
    /// Most Python packages, without what they depend on.
    pub const MOST_PACKAGES: usize = 50;
    /// The widest mode: everybody may read and run it, and only its owner may write. Nothing beyond the nine usual bits.
    pub const WIDEST_MODE: u32 = 0o755;

    /// Everything in it that is hostile, wrong or not granted. Empty means that it may be done.
    pub fn faults(&self, granted: &[Permission]) -> Vec<WorkstationFault> {
        let mut faults = Faults(Vec::new());
        for (count, most, what) in [
            (self.directories.len(), Self::MOST, "directories"),
            (self.files.len(), Self::MOST, "files"),
            (self.python_packages.len(), Self::MOST_PACKAGES, "Python packages"),
        ] {
            if count > most {
                faults.add("", format!("{count} {what} are more than {most}"));
                return faults.0;
            }
        }
        let mut seen = Seen::default();
        for directory in &self.directories {
            // Without these the host itself could put nothing into it.
            faults.mode(&directory.path, directory.mode, 0o700);
            if let Some(path) = faults.path(&directory.path, granted) {
                seen.add(&mut faults, path, Entry::Directory);
            }
        }
        for file in &self.files {
            faults.mode(&file.path, file.mode, 0o400);
            if file.content.len() > Self::LARGEST {
                faults.add(&file.path, format!("its content is longer than {} bytes", Self::LARGEST));
            }
            if let Some(path) = faults.path(&file.path, granted) {
                seen.add(&mut faults, path, Entry::File);
            }
        }
        let mut names = BTreeSet::new();
        for text in &self.python_packages {
            match text.parse::<PythonPackage>() {
                Err(error) => faults.add(text, error.to_string()),
                Ok(package) if !names.insert(package.name.clone()) => {
                    faults.add(text, "the package is there twice".to_owned());
                }
                Ok(package) if !permits_python_package(granted, &package.name) => {
                    faults.deny(text, Permission::PythonPackage(package.name));
                }
                Ok(_) => {}
            }
        }
        faults.0
    }
}

struct Faults(Vec<WorkstationFault>);

impl Faults {
    fn add(&mut self, what: &str, message: String) {
        self.0.push(WorkstationFault { what: what.chars().take(200).collect(), message, denied: false });
    }

    fn deny(&mut self, what: &str, needed: Permission) {
        let message = format!("it needs the permission to {needed}");
        self.0.push(WorkstationFault { what: what.chars().take(200).collect(), message, denied: true });
    }

    fn mode(&mut self, path: &str, mode: u32, least: u32) {
        if mode & !WorkstationPlan::WIDEST_MODE != 0 || mode & least != least {
            self.add(
                path,
                format!(
                    "its mode is {mode:04o}: expected {least:04o} at least and {:04o} at most",
                    WorkstationPlan::WIDEST_MODE
                ),
            );
        }
    }

    fn path(&mut self, path: &str, granted: &[Permission]) -> Option<RelativePath> {
        match path.parse::<RelativePath>() {
            Err(Error::Path { message, .. }) => self.add(path, message.to_owned()),
            Err(error) => self.add(path, error.to_string()),
            Ok(parsed) if permits_home(granted, &parsed) => return Some(parsed),
            Ok(parsed) => self.deny(path, Permission::WriteHome(parsed.into())),
        }
        None
    }
}

#[derive(Clone, Copy, PartialEq)]
enum Entry {
    Directory,
    File,
}

/// What a setup has so far, by the path in small letters: on some file systems two names that differ only by case are
/// one file.
#[derive(Default)]
struct Seen {
    entries: BTreeMap<String, (RelativePath, Entry)>,
    /// What must be directories because something lies in them.
    parents: BTreeMap<String, RelativePath>,
}

impl Seen {
    fn add(&mut self, faults: &mut Faults, path: RelativePath, entry: Entry) {
        let mut twice = |other: &RelativePath| {
            if *other == path {
                faults.add(path.as_str(), "it is there twice".to_owned());
            } else {
                faults.add(path.as_str(), format!("it differs from {other} only by case"));
            }
        };
        let key = path.as_str().to_ascii_lowercase();
        if let Some((other, _)) = self.entries.get(&key) {
            twice(other);
            return;
        }
        match self.parents.get(&key) {
            Some(other) if *other != path => twice(other),
            Some(_) if entry == Entry::File => {
                faults.add(path.as_str(), "it is a file, and something else lies in it".to_owned());
            }
            _ => {}
        }
        for parent in path.ancestors() {
            let key = parent.as_str().to_ascii_lowercase();
            match self.entries.get(&key) {
                Some((other, _)) if *other != parent => {
                    faults.add(path.as_str(), format!("{parent} differs from {other} only by case"));
                }
                Some((other, Entry::File)) => {
                    faults.add(path.as_str(), format!("it lies in {other}, which is a file"))
                }
                _ => {}
            }
            match self.parents.get(&key) {
                Some(other) if *other != parent => {
                    faults.add(path.as_str(), format!("{parent} differs from {other} only by case"));
                }
                _ => {
                    self.parents.insert(key, parent);
                }
            }
        }
        self.entries.insert(key, (path, entry));
    }
}

/// A Python package at exactly one version.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct PythonPackage {
    /// The name, normalised as PEP 503 says: `Zope.Interface` is `zope-interface`.
    pub name: String,
    /// The version (PEP 440).
    pub version: String,
}

impl FromStr for PythonPackage {
    type Err = Error;

    /// Reads NAME==VERSION and nothing else: no extras, markers, options or URLs, of which pip would make much.
    fn from_str(text: &str) -> Result<Self, Error> {
        let wrong = || Error::PythonPackage(text.chars().take(100).collect());
        let (name, version) = text.split_once("==").ok_or_else(wrong)?;
        let between = |text: &str, more: &[u8]| {
            text.bytes().all(|byte| byte.is_ascii_alphanumeric() || more.contains(&byte))
        };
        let ends = |text: &str| {
            text.starts_with(|first: char| first.is_ascii_alphanumeric())
                && text.ends_with(|last: char| last.is_ascii_alphanumeric())
        };
        let fine = name.len() <= 100
            && ends(name)
            && between(name, b"._-")
            && version.len() <= 64
            && ends(version)
            && between(version, b"._-+!");
        if !fine {
            return Err(wrong());
        }
        Ok(Self { name: normalised(name), version: version.to_owned() })
    }
}

impl fmt::Display for PythonPackage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}=={}", self.name, self.version)
    }
}

/// A package's name as PEP 503 compares it.
pub(crate) fn normalised(name: &str) -> String {
    let mut normalised = String::with_capacity(name.len());
    for character in name.chars() {
        match character {
            '-' | '_' | '.' if normalised.ends_with('-') => {}
            '-' | '_' | '.' => normalised.push('-'),
            other => normalised.push(other.to_ascii_lowercase()),
        }
    }
    normalised
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(path: &str, mode: u32) -> WorkstationFile {
        WorkstationFile { path: path.to_owned(), mode, content: String::new() }
    }

    fn faults(setup: &WorkstationPlan) -> Vec<String> {
        let granted = [Permission::WriteHome("a".into()), Permission::PythonPackage("devpi-client".into())];
        setup.faults(&granted).iter().map(ToString::to_string).collect()
    }

    fn files(files: &[(&str, u32)]) -> WorkstationPlan {
        WorkstationPlan {
            files: files.iter().map(|(path, mode)| file(path, *mode)).collect(),
            ..WorkstationPlan::default()
        }
    }

    #[test]
    fn what_lies_in_a_granted_path_is_fine_and_nothing_else_is() {
        assert_eq!(faults(&files(&[("a", 0o644)])), Vec::<String>::new());
        assert_eq!(faults(&files(&[("a/b", 0o644)])), Vec::<String>::new());
        assert_eq!(faults(&files(&[("ab", 0o644)])), ["\"ab\": it needs the permission to write ~/ab"]);
        assert_eq!(faults(&files(&[("a/../b", 0o644)])), ["\"a/../b\": it holds `.` or `..`"]);
    }

    #[test]
    fn a_grant_that_is_no_path_grants_nothing() {
        for held in ["", "/", ".", "..", "~", "a/.."] {
            let granted = [Permission::WriteHome(held.into())];
            assert_eq!(files(&[("a/b", 0o644)]).faults(&granted).len(), 1, "{held:?}");
        }
    }

    #[test]
    fn no_mode_is_wider_than_0755_or_has_a_special_bit() {
        for wrong in [0o777, 0o757, 0o4755, 0o2755, 0o1755, 0o000, 0o200, 0o100_644] {
            assert_eq!(faults(&files(&[("a/b", wrong)])).len(), 1, "{wrong:o}");
        }
        for fine in [0o755, 0o644, 0o600, 0o400, 0o500] {
            assert_eq!(faults(&files(&[("a/b", fine)])).len(), 0, "{fine:o}");
        }
        let directory = |mode| WorkstationPlan {
            directories: vec![WorkstationDirectory { path: "a/b".into(), mode }],
            ..WorkstationPlan::default()
        };
        assert_eq!(faults(&directory(0o500)).len(), 1);
        assert_eq!(faults(&directory(0o700)).len(), 0);
    }

    #[test]
    fn names_that_differ_by_case_only_are_refused_and_so_is_a_file_in_a_file() {
        for wrong in [
            &[("a/b", 0o644), ("a/b", 0o644)],
            &[("a/b", 0o644), ("a/B", 0o644)],
            &[("a/b/c", 0o644), ("a/B/d", 0o644)],
            &[("a/b", 0o644), ("a/b/c", 0o644)],
            &[("a/b/c", 0o644), ("a/b", 0o644)],
            &[("a/b/c", 0o644), ("a/B", 0o644)],
            &[("a/B", 0o644), ("a/b/c", 0o644)],
        ] {
            assert_eq!(faults(&files(wrong)).len(), 1, "{wrong:?}");
        }
        let mut setup = files(&[("a/b/c", 0o644), ("a/b/d", 0o644)]);
        setup.directories.push(WorkstationDirectory { path: "a/b".into(), mode: 0o755 });
        assert_eq!(faults(&setup), Vec::<String>::new());
    }

    #[test]
    fn too_much_is_refused() {
        let many: Vec<WorkstationFile> =
            (0..=WorkstationPlan::MOST).map(|number| file(&format!("a/{number}"), 0o644)).collect();
        assert_eq!(
            faults(&WorkstationPlan { files: many, ..WorkstationPlan::default() }),
            ["201 files are more than 200"]
        );
        let mut large = files(&[("a/b", 0o644)]);
        large.files[0].content = "x".repeat(WorkstationPlan::LARGEST + 1);
        assert_eq!(faults(&large).len(), 1);
    }

    #[test]
    fn a_python_package_is_a_name_and_one_version_and_nothing_that_pip_would_make_more_of() {
        let package: PythonPackage = "Devpi_Client==7.3.0".parse().expect("a package");
        assert_eq!(package.to_string(), "devpi-client==7.3.0");
        for wrong in [
            "devpi-client",
            "devpi-client>=1",
            "devpi-client==",
            "devpi-client==7.*",
            "devpi-client==7.3.0 --index-url=https://evil.example",
            "devpi-client==7.3.0; python_version>'3'",
            "devpi-client[x]==7.3.0",
            "devpi-client @ https://evil.example/x.whl",
            "--index-url=https://evil.example==1",
            "-r==1",
            "a==1,!=2",
            "a===1",
            "./a==1",
            "a\n==1",
            "==1",
        ] {
            assert!(wrong.parse::<PythonPackage>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_python_package_must_be_granted_by_its_name_however_it_is_written() {
        let packages = |text: &str| WorkstationPlan {
            python_packages: vec![text.to_owned()],
            ..WorkstationPlan::default()
        };
        assert_eq!(faults(&packages("devpi.client==7.3.0")), Vec::<String>::new());
        assert_eq!(
            faults(&packages("devpi-server==6.0.0")),
            ["\"devpi-server==6.0.0\": it needs the permission to install the Python package devpi-server"]
        );
        let mut twice = packages("devpi-client==7.3.0");
        twice.python_packages.push("devpi_client==7.2.0".into());
        assert_eq!(faults(&twice).len(), 1);
    }
}
