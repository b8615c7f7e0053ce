//! Images, as people see them.

use super::{foreign, heading, mark, words};
use crate::out::{BAD, CARE, FAINT, styled, table};
use thinkube_engine::model::{ImageBuild, ImageSource, ImageStep};
use thinkube_engine::{Action, BuiltImage, Change, ImageEvent};

/// What a plan says of an image.
pub(super) fn remark(step: &ImageStep) -> String {
    let revision = match &step.source {
        ImageSource::Git(git) => format!(" {}", git.revision),
        ImageSource::Folder(_) => String::new(),
    };
    format!("built from {}{revision}, pushed to {}", step.source.location(), step.destination)
}

pub(super) fn done(image: &ImageBuild, action: Action) -> String {
    let (style, sign) = mark(action);
    let reference = image.reference.as_deref().unwrap_or(&image.destination);
    let title = foreign(format!("{sign} image {} {reference}", image.name));
    let done = match action {
        Action::Create => "built and pushed",
        Action::Update => "was there, and is tagged",
        other => words(other).0,
    };
    format!("  {} {done}", styled(style, title))
}

pub(super) fn progress(event: &ImageEvent) -> Option<String> {
    Some(match event {
        ImageEvent::Fetching { name, source, commit } => {
            foreign(format!("  image {name}: commit {commit} of {source}"))
        }
        ImageEvent::Building { name } => foreign(format!("  image {name}: building")),
        ImageEvent::Pushing { name, to } => foreign(format!("  image {name}: pushing to {to}")),
        ImageEvent::Output(line) => styled(FAINT, foreign(format!("    {line}"))),
        ImageEvent::NotRemoved(folder) => {
            styled(CARE, foreign(format!("  {} could not be removed; remove it by hand", folder.display())))
        }
        _ => return None,
    })
}

/// What the images of a release were built from.
pub(super) fn recorded(images: &[BuiltImage]) -> String {
    if images.is_empty() {
        return String::new();
    }
    let mut text = String::new();
    heading(&mut text, "images");
    let rows = images.iter().map(|image| {
        let BuiltImage { name, source, commit, reference } = image;
        vec![foreign(name), foreign(reference), foreign(format!("from {commit} of {source}"))]
    });
    text.push_str(&table(&rows.collect::<Vec<_>>()));
    text
}

/// What an uninstall would do.
pub(super) fn going(image: &BuiltImage, delete: bool) -> String {
    let reference = foreign(&image.reference);
    if delete {
        styled(BAD, format!("- image {reference}"))
    } else {
        styled(FAINT, format!("= image {reference} stays in its registry"))
    }
}

/// What an uninstall has done.
pub(super) fn gone(change: &Change) -> String {
    let image = change.image().map(|image| image.reference.as_deref().unwrap_or(&image.destination));
    let what = foreign(format!("image {}", image.unwrap_or_default()));
    let why = change.note.as_ref().map(|note| format!(": {}", foreign(note))).unwrap_or_default();
    match change.action {
        Action::Keep => format!("{} stays in its registry{why}", styled(CARE, what)),
        _ => format!("{what} is gone{why}"),
    }
}
