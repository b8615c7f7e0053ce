//! What a step may say of files in running pods. How they get there is the cluster's.

use crate::{PodFilesStep, RelativePath, is_dns_label};
use std::collections::BTreeSet;

/// What a file is called while it is written.
const TEMPORARY: &str = ".thinkube-new";
/// Where files are no files: writing there changes the kernel or a device.
const NO_FILES: [&str; 3] = ["/proc", "/sys", "/dev"];

impl PodFilesStep {
    /// Most files, and most lines: each is a command run in each pod.
    pub const MOST: usize = 50;
    /// Longest content of a file, in bytes.
    pub const LARGEST: usize = 256 << 10;
    /// Longest line, in bytes.
    pub const LONGEST_LINE: usize = 4096;
    /// The widest mode: everybody may read and run it, and only its owner may write. Nothing beyond the nine usual bits.
    pub const WIDEST_MODE: u32 = 0o755;

    /// What no cluster could make good, as messages.
    pub(crate) fn faults(&self) -> Vec<String> {
        let mut faults = Vec::new();
        if !is_dns_label(&self.namespace) {
            faults.push(format!("`{}` is no name of a namespace (RFC 1123)", self.namespace));
        }
        if let Some(container) = self.container.as_ref().filter(|container| !is_dns_label(container)) {
            faults.push(format!("`{container}` is no name of a container (RFC 1123)"));
        }
        if self.label_selector.trim().is_empty() {
            faults.push("its label selector is empty, which would be every pod of the namespace".to_owned());
        }
        if self.files.is_empty() && self.lines.is_empty() {
            faults.push("it has neither files nor lines".to_owned());
        }
        for (count, what) in [(self.files.len(), "files"), (self.lines.len(), "lines")] {
            if count > Self::MOST {
                faults.push(format!("{count} {what} are more than {}", Self::MOST));
                return faults;
            }
        }
        let mut whole = BTreeSet::new();
        for file in &self.files {
            faults.extend(path_fault(&file.path));
            if file.mode & !Self::WIDEST_MODE != 0 || file.mode & 0o400 == 0 {
                faults.push(format!(
                    "{:?}: its mode is {:04o}: expected 0400 at least and {:04o} at most",
                    file.path,
                    file.mode,
                    Self::WIDEST_MODE
                ));
            }
            if file.content.len() > Self::LARGEST {
                faults.push(format!("{:?}: its content is longer than {} bytes", file.path, Self::LARGEST));
            }
            if !whole.insert(&file.path) {
                faults.push(format!("{:?} is there twice", file.path));
            }
        }
        let mut seen = BTreeSet::new();
        for line in &self.lines {
            faults.extend(path_fault(&line.path));
            if whole.contains(&line.path) {
                faults.push(format!("{:?} is a file of this step: put the line into its content", line.path));
            }
            let fine = !line.text.trim().is_empty()
                && line.text.len() <= Self::LONGEST_LINE
                && !line.text.chars().any(|character| character.is_control() && character != '\t');
            if !fine {
                faults.push(format!(
                    "{:?}: a line is text of 1 to {} bytes without an end of line in it",
                    line.path,
                    Self::LONGEST_LINE
                ));
            }
            if !seen.insert((&line.path, &line.text)) {
                faults.push(format!("{:?} has a line twice", line.path));
            }
        }
        faults
    }
}

/// Why no file can have this path.
fn path_fault(path: &str) -> Option<String> {
    let shown: String = path.chars().take(200).collect();
    let Some(below) = path.strip_prefix('/') else {
        return Some(format!("{shown:?}: an absolute path is expected"));
    };
    match below.parse::<RelativePath>() {
        Err(crate::Error::Path { message, .. }) => return Some(format!("{shown:?}: {message}")),
        Err(error) => return Some(format!("{shown:?}: {error}")),
        Ok(_) => {}
    }
    let within =
        |folder: &str| path.strip_prefix(folder).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
    if let Some(folder) = NO_FILES.iter().find(|folder| within(folder)) {
        return Some(format!("{shown:?}: what is in {folder} are no files"));
    }
    path.ends_with(TEMPORARY)
        .then(|| format!("{shown:?}: `{TEMPORARY}` is the host's own; choose another name"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{PodFile, PodLine};

    fn step(files: &[(&str, u32)], lines: &[(&str, &str)]) -> PodFilesStep {
        let file = |(path, mode): &(&str, u32)| PodFile {
            path: (*path).into(),
            mode: *mode,
            content: String::new(),
        };
        let line = |(path, text): &(&str, &str)| PodLine { path: (*path).into(), text: (*text).into() };
        PodFilesStep {
            name: "files".into(),
            namespace: "ns".into(),
            label_selector: "app=a".into(),
            container: None,
            files: files.iter().map(file).collect(),
            lines: lines.iter().map(line).collect(),
        }
    }

    #[test]
    fn files_and_lines_of_plain_absolute_paths_are_fine() {
        let fine = step(
            &[("/home/coder/.pip/pip.conf", 0o600), ("/device/x", 0o755)],
            &[("/home/coder/.bashrc", "a\tb $x")],
        );
        assert_eq!(fine.faults(), Vec::<String>::new());
    }

    #[test]
    fn a_path_that_is_relative_climbs_or_leads_to_no_file_is_refused() {
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
    fn a_line_is_one_line_and_not_in_a_file_that_is_written_whole() {
        for wrong in ["", " ", "a\nb", "a\rb", "\u{1b}[2J", &"a".repeat(4097)] {
            assert_eq!(step(&[], &[("/a", wrong)]).faults().len(), 1, "{wrong:?}");
        }
        assert_eq!(step(&[], &[("/a", "x"), ("/a", "x")]).faults().len(), 1);
        assert_eq!(step(&[("/a", 0o644)], &[("/a", "x")]).faults().len(), 1);
    }

    #[test]
    fn every_pod_of_a_namespace_is_no_selection_and_modes_are_bounded() {
        let all = PodFilesStep { label_selector: " ".into(), ..step(&[("/a", 0o644)], &[]) };
        assert_eq!(all.faults().len(), 1);
        for wrong in [0o4755, 0o777, 0o200] {
            assert_eq!(step(&[("/a", wrong)], &[]).faults().len(), 1, "{wrong:o}");
        }
        assert_eq!(step(&[], &[]).faults().len(), 1);
        assert_eq!(PodFilesStep { namespace: "a/b".into(), ..step(&[("/a", 0o644)], &[]) }.faults().len(), 1);
    }
}
