//! The pod files on record: the files of the plan, and those of earlier applies.
//!
//! The record lists each content before the host writes it. A later host recognizes the files of a host that crashed.

use crate::release::record::PodFilesEntry;
use thinkube_plan::{Digest, Plan, PodFile, PodFilesStep};

/// Recorded contents of one file: one for each revision that the host keeps.
const MAX_KNOWN_CONTENTS: usize = 10;

impl PodFilesEntry {
    pub(super) fn of(stage: &str, step: &PodFilesStep) -> Self {
        let digest = |file: &PodFile| (file.path.clone(), vec![Digest::of(file.content.as_bytes())]);
        Self {
            step: step.name.clone(),
            stage: stage.to_owned(),
            namespace: step.namespace.clone(),
            label_selector: step.label_selector.clone(),
            container: step.container.clone(),
            files: step.files.iter().map(digest).collect(),
            lines: step.lines.clone(),
            skipped: false,
        }
    }

    /// Whether both entries select the same containers for the same step. Their files are then compared one by one.
    pub(super) fn is_same_target(&self, other: &Self) -> bool {
        self.step == other.step
            && self.namespace == other.namespace
            && self.label_selector == other.label_selector
            && self.container == other.container
    }

    pub(super) fn wrote(&self, path: &str, digest: &Digest) -> bool {
        self.files.get(path).is_some_and(|known| known.contains(digest))
    }

    /// The files and lines of this entry that `wanted` does not have.
    fn without(&self, wanted: &Self) -> Self {
        let mut rest = self.clone();
        rest.files.retain(|path, _| !wanted.files.contains_key(path));
        rest.lines.retain(|line| !wanted.lines.contains(line));
        rest
    }

    fn is_empty(&self) -> bool {
        self.files.is_empty() && self.lines.is_empty()
    }
}

/// The entries of the plan, with every content that an earlier apply may have written to their files.
pub(super) fn planned(plan: &Plan, old: &[PodFilesEntry]) -> Vec<PodFilesEntry> {
    let steps = plan.plugin_plan.pod_files();
    let entries = steps.map(|(number, step)| PodFilesEntry::of(&plan.plugin_plan.stages[number].name, step));
    let known = |mut entry: PodFilesEntry| {
        if let Some(old) = old.iter().find(|old| old.is_same_target(&entry)) {
            entry.skipped = old.skipped;
            for (path, digests) in &mut entry.files {
                let before = old.files.get(path).into_iter().flatten();
                let before: Vec<Digest> =
                    before.filter(|digest| !digests.contains(digest)).cloned().collect();
                digests.extend(before);
                digests.truncate(MAX_KNOWN_CONTENTS);
            }
        }
        entry
    };
    entries.map(known).collect()
}

/// The files and lines on record that the plan no longer has.
pub(super) fn dropped(plan: &Plan, old: &[PodFilesEntry]) -> Vec<PodFilesEntry> {
    let wanted = planned(plan, old);
    let rest = old.iter().map(|old| match wanted.iter().find(|new| new.is_same_target(old)) {
        Some(new) => old.without(new),
        None => old.clone(),
    });
    rest.filter(|rest| !rest.is_empty()).collect()
}

/// Every file and line that may be in pods once an apply of `plan` has begun.
pub(crate) fn with_planned(plan: &Plan, old: &[PodFilesEntry]) -> Vec<PodFilesEntry> {
    planned(plan, old).into_iter().chain(dropped(plan, old)).collect()
}

/// Records that the files of a stage were not written because the stage was skipped.
pub(crate) fn mark_skipped(recorded: &mut [PodFilesEntry], stage: &str) {
    for entry in recorded.iter_mut().filter(|entry| entry.stage == stage) {
        entry.skipped = true;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pod_files::testing::step;
    use thinkube_plan::{Step, testing};

    fn plan(step: Option<PodFilesStep>) -> Plan {
        testing::plan(vec![testing::stage("one", step.map(Step::PodFiles).into_iter().collect())])
    }

    #[test]
    fn the_record_has_what_was_what_will_be_and_what_is_to_go() {
        let old = with_planned(&plan(Some(step(&[("/a", "1"), ("/b", "1")], &["x", "y"]))), &[]);
        let new = plan(Some(step(&[("/a", "2")], &["y"])));
        let all = with_planned(&new, &old);
        assert_eq!(all.len(), 2);
        assert!(all[0].wrote("/a", &Digest::of(b"1")) && all[0].wrote("/a", &Digest::of(b"2")));
        assert_eq!(all[1].files.keys().collect::<Vec<_>>(), ["/b"]);
        assert_eq!(all[1].lines.iter().map(|line| line.text.as_str()).collect::<Vec<_>>(), ["x"]);
        assert_eq!(dropped(&new, &old), all[1..]);
        // An apply that died left both on record; the next one knows them all.
        assert_eq!(with_planned(&new, &all), all);
        assert_eq!(dropped(&plan(None), &all).len(), 2);
    }

    #[test]
    fn a_record_keeps_as_many_contents_as_revisions() {
        let mut known = Vec::new();
        for number in 0..20 {
            known = with_planned(&plan(Some(step(&[("/a", &number.to_string())], &[]))), &known);
        }
        assert_eq!(known[0].files["/a"].len(), MAX_KNOWN_CONTENTS);
        assert!(known[0].wrote("/a", &Digest::of(b"19")) && !known[0].wrote("/a", &Digest::of(b"9")));
    }
}
