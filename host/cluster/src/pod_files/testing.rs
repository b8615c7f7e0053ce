//! Steps and entries for the unit tests of this room.

use crate::release::record::PodFilesEntry;
use thinkube_plan::{PodFilesStep, testing};

pub(super) fn step(files: &[(&str, &str)], lines: &[&str]) -> PodFilesStep {
    let files: Vec<_> = files.iter().map(|(path, content)| (*path, 0o644, *content)).collect();
    let lines: Vec<_> = lines.iter().map(|text| ("/rc", *text)).collect();
    testing::pod_files_step(&files, &lines)
}

pub(super) fn entry(files: &[(&str, &str)]) -> PodFilesEntry {
    PodFilesEntry::of("one", &step(files, &[]))
}
