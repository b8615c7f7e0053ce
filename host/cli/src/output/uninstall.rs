//! What an uninstall would delete, and what it deleted.

use crate::output::image;
use crate::output::terminal::{BAD, CARE, FAINT, GOOD, STRONG};
use crate::output::text::{Text, line, styled, text, untrusted};
use serde::Serialize;
use serde_json::{Value, json};
use std::path::PathBuf;
use thinkube_engine::model::OnUninstall;
use thinkube_engine::{Action, ChangesByKind, Release, Skipped, UninstallReport, UninstallRequest};

/// The workstation files of a release that is uninstalled.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct WorkstationFiles {
    pub(crate) home: PathBuf,
    /// Whether the release's own settings wrote them. Files of other settings may be another cluster's, and are kept.
    pub(crate) ours: bool,
    /// Files that were kept, because a person changed them.
    pub(crate) left: Vec<Skipped>,
}

/// The objects, resources and files that an uninstall would delete and keep.
pub(crate) fn preview(
    release: &Release,
    request: &UninstallRequest,
    files: Option<&WorkstationFiles>,
) -> Text {
    let options = &request.objects;
    let mut text = Text::default();
    let name = styled(STRONG, untrusted(&release.name));
    line!(text, "Uninstall of release {} in namespace {}:", name, untrusted(&release.namespace));
    for entry in release.inventory.iter().rev() {
        let kept = entry.on_uninstall == OnUninstall::Retain && !options.delete_data;
        line!(text, "  {}", deleted_or(&entry.object.to_string(), kept.then_some("kept")));
    }
    for step in release.external.iter().rev() {
        let title = format!("external resource {} at {}", step.name, step.base_url);
        line!(
            text,
            "  {}",
            deleted_or(&title, options.orphans_external(&step.name).then_some("left behind"))
        );
    }
    for entry in release.pod_files.iter().rev() {
        let orphaned = options.orphans_pod_files(&entry.step).then_some("left behind");
        for path in entry.files.keys().chain(entry.lines.iter().map(|line| &line.path)) {
            let title = format!("{path} in pods of {} with {}", entry.namespace, entry.label_selector);
            line!(text, "  {}", deleted_or(&title, orphaned));
        }
    }
    for built in &release.images {
        line!(text, "  {}", image::uninstalling(built, request.delete_images));
    }
    if let Some(files) = files {
        let title = format!("workstation files in {}", files.home.display());
        line!(text, "  {}", deleted_or(&title, (!files.ours).then_some("kept")));
    }
    text
}

fn deleted_or(title: &str, kept: Option<&str>) -> Text {
    match kept {
        Some(how) => styled(FAINT, untrusted(format!("= {title} is {how}"))),
        None => styled(BAD, untrusted(format!("- {title}"))),
    }
}

/// What an uninstall deleted and kept. `state_namespace` holds the records of all releases.
pub(crate) fn uninstalled(
    name: &str,
    state_namespace: &str,
    report: &UninstallReport,
    files: Option<&WorkstationFiles>,
) -> Text {
    let mut text = Text::default();
    line!(
        text,
        "{} {}: {} objects deleted",
        styled(GOOD, "uninstalled"),
        untrusted(name),
        report.deleted().count()
    );
    let ChangesByKind { external, images, pod_files, .. } = ChangesByKind::of(&report.changes);
    for external in external {
        let title = external.subject.to_string();
        let note = external.note.as_deref().unwrap_or("the plan retains it");
        line!(text, "  {}", deleted_or_kept(&title, (external.action == Action::Keep).then_some(note)));
    }
    for file in pod_files {
        line!(text, "  {}", deleted_or_kept(&file.subject.to_string(), file.note.as_deref()));
    }
    for image in images {
        line!(text, "  {}", image::uninstalled(image));
    }
    for (object, reason) in report.kept() {
        line!(text, "  {}", deleted_or_kept(&object.to_string(), Some(reason)));
    }
    if let Some(files) = files {
        text.push(&workstation_files(name, files));
    }
    line!(
        text,
        "  {}",
        untrusted(format!("namespace {state_namespace} kept: it holds the records of all releases"))
    );
    text
}

pub(crate) fn uninstalled_json(report: &UninstallReport, files: Option<&WorkstationFiles>) -> Value {
    let mut value = json!(report);
    value["home"] = json!(files);
    value
}

fn deleted_or_kept(title: &str, kept: Option<&str>) -> Text {
    match kept {
        Some(reason) => text!("{} kept: {}", styled(CARE, untrusted(title)), untrusted(reason)),
        None => text!("{} deleted", untrusted(title)),
    }
}

fn workstation_files(name: &str, files: &WorkstationFiles) -> Text {
    let mut text = Text::default();
    let title = format!("workstation files in {}", files.home.display());
    let other = format!("other settings wrote them; `thinkube-host workstation remove {name}` removes them");
    line!(text, "  {}", deleted_or_kept(&title, (!files.ours).then_some(&other)));
    for left in &files.left {
        line!(text, "    {}", styled(CARE, untrusted(left)));
    }
    text
}
