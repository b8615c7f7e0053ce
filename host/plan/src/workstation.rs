//! What a plugin sets up on the workstation of an operator or a developer. All of it is public: a plugin knows no secret.

use crate::error::Error;
use crate::path::RelativePath;
use crate::permission::Permission;
use crate::permission::gate::{permits_home, permits_python_package};
use crate::python_package::PythonPackage;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

/// The folders, files and Python packages that a plugin wants on a workstation.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct WorkstationPlan {
    /// The folders.
    pub directories: Vec<WorkstationDirectory>,
    /// The files.
    pub files: Vec<WorkstationFile>,
    /// The Python packages, each as NAME==VERSION, in a virtual environment of the release.
    pub python_packages: Vec<String>,
}

/// A folder in the home directory.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct WorkstationDirectory {
    /// Relative to the home directory.
    pub path: String,
    /// Permission bits, for example `0o755`.
    pub mode: u32,
}

/// A file in the home directory.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct WorkstationFile {
    /// Relative to the home directory.
    pub path: String,
    /// Permission bits, for example `0o644`.
    pub mode: u32,
    /// The whole content.
    pub content: String,
}

/// A part of a workstation plan that is invalid or not granted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct WorkstationFault {
    /// The path or package, at most 200 characters of it; empty for the plan as a whole.
    pub what: String,
    /// What is wrong and what is expected.
    pub message: String,
    /// Whether only a grant is missing.
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
    /// Most files, and most folders.
    pub const MAX_ENTRIES: usize = 200;
    /// Longest content of a file, in bytes.
    pub const MAX_CONTENT_BYTES: usize = 1 << 20;
    /// Most Python packages, without their dependencies.
    pub const MAX_PACKAGES: usize = 50;
    /// The widest mode: every user may read and execute, only the owner may write. No set-id or sticky bit.
    pub const MAX_MODE: u32 = 0o755;

    /// Every part that is invalid or not granted. The plan may be applied only if there is none.
    pub fn faults(&self, granted: &[Permission]) -> Vec<WorkstationFault> {
        let mut faults = Faults(Vec::new());
        for (count, most, noun) in [
            (self.directories.len(), Self::MAX_ENTRIES, "directories"),
            (self.files.len(), Self::MAX_ENTRIES, "files"),
            (self.python_packages.len(), Self::MAX_PACKAGES, "Python packages"),
        ] {
            if count > most {
                faults.add("", format!("the plan has {count} {noun}; at most {most} are allowed"));
                return faults.0;
            }
        }
        self.add_path_faults(granted, &mut faults);
        self.add_package_faults(granted, &mut faults);
        faults.0
    }

    fn add_path_faults(&self, granted: &[Permission], faults: &mut Faults) {
        let mut seen = Seen::default();
        for directory in &self.directories {
            // Without these bits the host could not write into the folder.
            faults.mode(&directory.path, directory.mode, 0o700);
            if let Some(path) = faults.path(&directory.path, granted) {
                seen.add(faults, path, Entry::Directory);
            }
        }
        for file in &self.files {
            faults.mode(&file.path, file.mode, 0o400);
            if file.content.len() > Self::MAX_CONTENT_BYTES {
                let limit = Self::MAX_CONTENT_BYTES;
                faults.add(&file.path, format!("the content is longer than {limit} bytes"));
            }
            if let Some(path) = faults.path(&file.path, granted) {
                seen.add(faults, path, Entry::File);
            }
        }
    }

    fn add_package_faults(&self, granted: &[Permission], faults: &mut Faults) {
        let mut names = BTreeSet::new();
        for text in &self.python_packages {
            match text.parse::<PythonPackage>() {
                Err(error) => faults.add(text, error.to_string()),
                Ok(package) if !names.insert(package.name.clone()) => {
                    faults.add(text, "the plan has this package twice".to_owned());
                }
                Ok(package) if !permits_python_package(granted, &package.name) => {
                    faults.deny(text, Permission::PythonPackage(package.name));
                }
                Ok(_) => {}
            }
        }
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
        if mode & !WorkstationPlan::MAX_MODE != 0 || mode & least != least {
            let most = WorkstationPlan::MAX_MODE;
            self.add(
                path,
                format!("the mode {mode:04o} must be at least {least:04o} and at most {most:04o}"),
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

/// The paths of a plan so far, by their lower-case form: some file systems take names that differ only by case for one file.
#[derive(Default)]
struct Seen {
    entries: BTreeMap<String, (RelativePath, Entry)>,
    /// The paths that must be folders because they contain entries.
    parents: BTreeMap<String, RelativePath>,
}

impl Seen {
    fn add(&mut self, faults: &mut Faults, path: RelativePath, entry: Entry) {
        let mut twice = |other: &RelativePath| {
            if *other == path {
                faults.add(path.as_str(), "the plan has this path twice".to_owned());
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
                faults.add(path.as_str(), "it is a file, and another entry lies in it".to_owned());
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

#[cfg(test)]
mod tests {
    use super::*;

    fn file(path: &str, mode: u32) -> WorkstationFile {
        WorkstationFile { path: path.to_owned(), mode, content: String::new() }
    }

    fn faults(plan: &WorkstationPlan) -> Vec<String> {
        let granted = [Permission::WriteHome("a".into()), Permission::PythonPackage("devpi-client".into())];
        plan.faults(&granted).iter().map(ToString::to_string).collect()
    }

    fn files(files: &[(&str, u32)]) -> WorkstationPlan {
        WorkstationPlan {
            files: files.iter().map(|(path, mode)| file(path, *mode)).collect(),
            ..WorkstationPlan::default()
        }
    }

    #[test]
    fn only_granted_paths_are_valid() {
        assert_eq!(faults(&files(&[("a", 0o644)])), Vec::<String>::new());
        assert_eq!(faults(&files(&[("a/b", 0o644)])), Vec::<String>::new());
        assert_eq!(faults(&files(&[("ab", 0o644)])), ["\"ab\": it needs the permission to write ~/ab"]);
        assert_eq!(faults(&files(&[("a/../b", 0o644)])), ["\"a/../b\": it has a `.` or `..` segment"]);
    }

    #[test]
    fn a_grant_that_is_not_a_path_grants_nothing() {
        for grant in ["", "/", ".", "..", "~", "a/.."] {
            let granted = [Permission::WriteHome(grant.into())];
            assert_eq!(files(&[("a/b", 0o644)]).faults(&granted).len(), 1, "{grant:?}");
        }
    }

    #[test]
    fn a_mode_is_at_most_0755_without_special_bits() {
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
    fn paths_that_differ_by_case_and_files_in_files_are_refused() {
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
        let mut plan = files(&[("a/b/c", 0o644), ("a/b/d", 0o644)]);
        plan.directories.push(WorkstationDirectory { path: "a/b".into(), mode: 0o755 });
        assert_eq!(faults(&plan), Vec::<String>::new());
    }

    #[test]
    fn a_plan_over_its_limits_is_refused() {
        let many: Vec<WorkstationFile> =
            (0..=WorkstationPlan::MAX_ENTRIES).map(|number| file(&format!("a/{number}"), 0o644)).collect();
        assert_eq!(
            faults(&WorkstationPlan { files: many, ..WorkstationPlan::default() }),
            ["the plan has 201 files; at most 200 are allowed"]
        );
        let mut large = files(&[("a/b", 0o644)]);
        large.files[0].content = "x".repeat(WorkstationPlan::MAX_CONTENT_BYTES + 1);
        assert_eq!(faults(&large).len(), 1);
    }

    #[test]
    fn a_python_package_is_granted_by_its_normalized_name() {
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
