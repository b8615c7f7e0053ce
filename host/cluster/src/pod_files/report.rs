//! The changes that this room reports.

use crate::pod_files::exec::Container;
use crate::release::record::PodFilesEntry;
use std::collections::BTreeSet;
use thinkube_plan::{Action, Change, PodFileRef, Subject};

pub(super) fn change(
    entry: &PodFilesEntry,
    at: Option<&Container>,
    (path, line): (Option<&str>, Option<&str>),
    action: Action,
    note: Option<String>,
) -> Change {
    let subject = Subject::PodFile(PodFileRef {
        step: entry.step.clone(),
        namespace: entry.namespace.clone(),
        pod: at.map(|at| at.pod.clone()),
        path: path.map(str::to_owned),
        line: line.map(str::to_owned),
    });
    Change { note, ..Change::new(subject, Some(&entry.stage), action) }
}

/// The files that stay in pods. This is their last report, because the uninstall deletes the record.
pub(super) fn orphaned(entry: &PodFilesEntry) -> Change {
    let paths: BTreeSet<&str> =
        entry.files.keys().chain(entry.lines.iter().map(|line| &line.path)).map(String::as_str).collect();
    let paths: Vec<&str> = paths.into_iter().collect();
    let note = format!(
        "left behind in pods with the labels {}, as --orphan asks: {}",
        entry.label_selector,
        paths.join(", ")
    );
    change(entry, None, (None, None), Action::Keep, Some(note))
}

pub(super) fn unwritten(entry: &PodFilesEntry, at: &Container, why: &str) -> Change {
    let note = format!("not all was written: {why}; the next apply tries again");
    change(entry, Some(at), (None, None), Action::Keep, Some(note))
}

pub(super) fn not_running(at: &Container, why: &str) -> String {
    let Container { namespace, pod, .. } = at;
    format!("it is not running ({why}); `kubectl describe pod {pod} -n {namespace}` says more")
}

pub(super) fn no_pod(entry: &PodFilesEntry) -> Change {
    let PodFilesEntry { namespace, label_selector, .. } = entry;
    let note = format!("no pod of namespace {namespace} that is to stay has the labels {label_selector}");
    change(entry, None, (None, None), Action::Unchanged, Some(note))
}
