//! Files in running pods. The cluster crate writes them.

use crate::error::Error;
use crate::name::is_dns_label;
use crate::path::RelativePath;
use crate::plan::rules::{StepFault, StepRules};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// The suffix of a file while the host writes it.
const TEMPORARY: &str = ".thinkube-new";
/// Kernel file systems: a write there changes the kernel or a device.
const KERNEL_FOLDERS: [&str; 3] = ["/proc", "/sys", "/dev"];

/// Files and lines in running pods.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PodFilesStep {
    /// Unique among the steps.
    pub name: String,
    /// The pods' namespace.
    pub namespace: String,
    /// Selects the pods, in the syntax of `kubectl -l`.
    pub label_selector: String,
    /// The container; None: the first one of the pod.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub container: Option<String>,
    /// Whole files.
    pub files: Vec<PodFile>,
    /// Lines that files must contain.
    pub lines: Vec<PodLine>,
}

/// A whole file in a pod.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PodFile {
    /// The absolute path.
    pub path: String,
    /// Permission bits, for example `0o644`.
    pub mode: u32,
    /// The whole content.
    pub content: String,
}

/// A line that a file in a pod must contain once.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PodLine {
    /// The absolute path.
    pub path: String,
    /// The line, without its line break.
    pub text: String,
}

impl PodFilesStep {
    /// Most files, and most lines. Each is a command that runs in each pod.
    pub const MAX_ENTRIES: usize = 50;
    /// Longest content of a file, in bytes.
    pub const MAX_CONTENT_BYTES: usize = 256 << 10;
    /// Longest line, in bytes.
    pub const MAX_LINE_BYTES: usize = 4096;
    /// The widest mode: every user may read and execute the file, only its owner may write it. No set-id or sticky bit.
    pub const MAX_MODE: u32 = 0o755;

    /// Every rule that the step breaks.
    pub(super) fn rule_faults(&self, rules: &StepRules<'_>) -> Vec<StepFault> {
        if rules.is_operation {
            return vec!["an operation must not write files in pods; only the release's plan can".into()];
        }
        self.faults().into_iter().map(StepFault::from).collect()
    }

    fn faults(&self) -> Vec<String> {
        let mut faults = self.target_faults();
        for (count, noun) in [(self.files.len(), "files"), (self.lines.len(), "lines")] {
            if count > Self::MAX_ENTRIES {
                faults.push(format!("it has {count} {noun}; at most {} are allowed", Self::MAX_ENTRIES));
                return faults;
            }
        }
        faults.extend(self.file_faults());
        faults.extend(self.line_faults());
        faults
    }

    fn target_faults(&self) -> Vec<String> {
        let mut faults = Vec::new();
        if !is_dns_label(&self.namespace) {
            faults.push(format!("`{}` is not a valid namespace name (RFC 1123)", self.namespace));
        }
        if let Some(container) = self.container.as_ref().filter(|container| !is_dns_label(container)) {
            faults.push(format!("`{container}` is not a valid container name (RFC 1123)"));
        }
        if self.label_selector.trim().is_empty() {
            faults.push("its label selector is empty and would select every pod of the namespace".to_owned());
        }
        if self.files.is_empty() && self.lines.is_empty() {
            faults.push("it has neither files nor lines".to_owned());
        }
        faults
    }

    fn file_faults(&self) -> Vec<String> {
        let mut faults = Vec::new();
        let mut paths = BTreeSet::new();
        for file in &self.files {
            faults.extend(path_fault(&file.path));
            if file.mode & !Self::MAX_MODE != 0 || file.mode & 0o400 == 0 {
                let (path, mode, most) = (&file.path, file.mode, Self::MAX_MODE);
                faults.push(format!(
                    "{path:?}: the mode {mode:04o} must be at least 0400 and at most {most:04o}"
                ));
            }
            if file.content.len() > Self::MAX_CONTENT_BYTES {
                let limit = Self::MAX_CONTENT_BYTES;
                faults.push(format!("{:?}: the content is longer than {limit} bytes", file.path));
            }
            if !paths.insert(&file.path) {
                faults.push(format!("{:?}: the step has this file twice", file.path));
            }
        }
        faults
    }

    fn line_faults(&self) -> Vec<String> {
        let mut faults = Vec::new();
        let mut seen = BTreeSet::new();
        for line in &self.lines {
            faults.extend(path_fault(&line.path));
            if self.files.iter().any(|file| file.path == line.path) {
                faults.push(format!("{:?} is a file of this step; put the line into its content", line.path));
            }
            let is_valid = !line.text.trim().is_empty()
                && line.text.len() <= Self::MAX_LINE_BYTES
                && !line.text.chars().any(|character| character.is_control() && character != '\t');
            if !is_valid {
                let limit = Self::MAX_LINE_BYTES;
                faults.push(format!(
                    "{:?}: a line must be text of 1 to {limit} bytes without a line break",
                    line.path
                ));
            }
            if !seen.insert((&line.path, &line.text)) {
                faults.push(format!("{:?}: the step has this line twice", line.path));
            }
        }
        faults
    }
}

/// Why a file must not have this path.
fn path_fault(path: &str) -> Option<String> {
    let shown: String = path.chars().take(200).collect();
    let Some(below) = path.strip_prefix('/') else {
        return Some(format!("{shown:?}: expected an absolute path"));
    };
    match below.parse::<RelativePath>() {
        Err(Error::Path { message, .. }) => return Some(format!("{shown:?}: {message}")),
        Err(error) => return Some(format!("{shown:?}: {error}")),
        Ok(_) => {}
    }
    let is_within =
        |folder: &str| path.strip_prefix(folder).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
    if let Some(folder) = KERNEL_FOLDERS.iter().find(|folder| is_within(folder)) {
        return Some(format!("{shown:?}: {folder} is a kernel file system"));
    }
    path.ends_with(TEMPORARY).then(|| format!("{shown:?}: the suffix `{TEMPORARY}` is reserved for the host"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing;

    fn step(files: &[(&str, u32)], lines: &[(&str, &str)]) -> PodFilesStep {
        let files: Vec<_> = files.iter().map(|(path, mode)| (*path, *mode, "")).collect();
        testing::pod_files_step(&files, lines)
    }

    #[test]
    fn files_and_lines_at_absolute_paths_are_valid() {
        let fine = step(
            &[("/home/coder/.pip/pip.conf", 0o600), ("/device/x", 0o755)],
            &[("/home/coder/.bashrc", "a\tb $x")],
        );
        assert_eq!(fine.faults(), Vec::<String>::new());
    }

    #[test]
    fn a_relative_climbing_or_kernel_path_is_refused() {
        for wrong in [
            "a",
            "/",
            "/a/../b",
            "//a",
            "/a\nb",
            "/a\\b",
            "/proc/1/mem",
            "/sys",
            "/dev/null",
            "/a.thinkube-new",
            "",
        ] {
            assert_eq!(step(&[(wrong, 0o644)], &[]).faults().len(), 1, "{wrong:?}");
            assert_eq!(step(&[], &[(wrong, "a")]).faults().len(), 1, "{wrong:?}");
        }
    }

    #[test]
    fn a_line_is_one_line_and_not_in_a_file_of_the_same_step() {
        for wrong in ["", " ", "a\nb", "a\rb", "\u{1b}[2J", &"a".repeat(4097)] {
            assert_eq!(step(&[], &[("/a", wrong)]).faults().len(), 1, "{wrong:?}");
        }
        assert_eq!(step(&[], &[("/a", "x"), ("/a", "x")]).faults().len(), 1);
        assert_eq!(step(&[("/a", 0o644)], &[("/a", "x")]).faults().len(), 1);
    }

    #[test]
    fn an_empty_selector_a_wide_mode_and_an_empty_step_are_refused() {
        let all = PodFilesStep { label_selector: " ".into(), ..step(&[("/a", 0o644)], &[]) };
        assert_eq!(all.faults().len(), 1);
        for wrong in [0o4755, 0o777, 0o200] {
            assert_eq!(step(&[("/a", wrong)], &[]).faults().len(), 1, "{wrong:o}");
        }
        assert_eq!(step(&[], &[]).faults().len(), 1);
        assert_eq!(PodFilesStep { namespace: "a/b".into(), ..step(&[("/a", 0o644)], &[]) }.faults().len(), 1);
    }
}
