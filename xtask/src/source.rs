//! The text files of the workspace, and what a rule reports about one.

use std::fmt;
use std::fs;
use std::path::Path;

use anyhow::Context as _;

/// Kinds of files with words in them.
const EXTENSIONS: [&str; 5] = ["rs", "md", "wit", "sh", "toml"];

/// Folders without sources of ours.
const SKIPPED: [&str; 4] = ["target", ".git", "node_modules", "__pycache__"];

/// One file.
#[derive(Debug)]
pub(crate) struct Source {
    /// Relative to the root, with `/`.
    pub(crate) path: String,
    pub(crate) text: String,
}

impl Source {
    pub(crate) fn is_rust(&self) -> bool {
        self.path.ends_with(".rs")
    }

    /// Whether the whole file is test code. The harness in `tests/cluster/src` and the kit in `tests/e2e/src` are not.
    pub(crate) fn is_test(&self) -> bool {
        let name = self.path.rsplit('/').next().unwrap_or_default();
        let folders: Vec<&str> = self.path.split('/').collect();
        let below_tests = folders.iter().skip(1).any(|folder| *folder == "tests");
        below_tests || name == "tests.rs" || name.ends_with("_tests.rs")
    }

    /// The lines before the unit tests at the end of a file; none of a file that is test code.
    pub(crate) fn product_lines(&self) -> Vec<&str> {
        if self.is_test() || self.text.contains("\n#![cfg(test)]") {
            return Vec::new();
        }
        let end = self.text.find("\n#[cfg(test)]\nmod tests {").unwrap_or(self.text.len());
        self.text[..end].lines().collect()
    }
}

/// One place where a file breaks a rule.
#[derive(Debug)]
pub(crate) struct Offence {
    pub(crate) rule: &'static str,
    /// Relative to the root of the workspace.
    pub(crate) path: String,
    /// From 1; 0 for the file as a whole.
    pub(crate) line: usize,
    pub(crate) what: String,
}

impl Offence {
    /// The area that `allowed.txt` counts it for.
    pub(crate) fn area(&self) -> String {
        area(&self.path)
    }
}

impl fmt::Display for Offence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { rule, path, line, what } = self;
        write!(f, "{path}:{line}: {rule}: {what}")
    }
}

/// What a count of `allowed.txt` is for: the crate of a file, or its top folder.
fn area(path: &str) -> String {
    let mut parts = path.split('/');
    let first = parts.next().unwrap_or_default();
    match (first, parts.next()) {
        ("host" | "tests", Some(second)) => format!("{first}/{second}"),
        (_, Some(_)) => first.to_owned(),
        (_, None) => ".".to_owned(),
    }
}

/// Every source below `root`, in the order of their paths.
///
/// # Errors
///
/// A folder or file cannot be read.
pub(crate) fn sources(root: &Path) -> anyhow::Result<Vec<Source>> {
    let mut found = Vec::new();
    collect(root, "", &mut found)?;
    found.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(found)
}

fn collect(folder: &Path, prefix: &str, found: &mut Vec<Source>) -> anyhow::Result<()> {
    for entry in fs::read_dir(folder).with_context(|| folder.display().to_string())? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        let path = format!("{prefix}{name}");
        let kind = entry.file_type()?;
        if kind.is_dir() && !SKIPPED.contains(&name.as_str()) {
            collect(&entry.path(), &format!("{path}/"), found)?;
        } else if kind.is_file() && name.rsplit_once('.').is_some_and(|(_, end)| EXTENSIONS.contains(&end)) {
            let text = fs::read_to_string(entry.path()).with_context(|| path.clone())?;
            found.push(Source { path, text });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn product_lines_end_where_the_unit_tests_begin() {
        let text = "//! A.\nfn a() {}\n\n#[cfg(test)]\nmod tests {\n}\n".to_owned();
        let source = |path: &str| Source { path: path.into(), text: text.clone() };
        assert_eq!(source("host/plan/src/a.rs").product_lines().len(), 2);
        assert!(source("host/plan/tests/a.rs").product_lines().is_empty());
        assert!(source("host/plan/src/a/tests.rs").product_lines().is_empty());
        assert_eq!(source("tests/cluster/src/a.rs").product_lines().len(), 2);
    }

    #[test]
    fn a_file_belongs_to_its_crate_or_its_top_folder() {
        assert_eq!(area("host/plan/src/a.rs"), "host/plan");
        assert_eq!(area("docs/decisions/0001.md"), "docs");
        assert_eq!(area("README.md"), ".");
    }
}
