//! Images: planned, built, recorded and deleted.

use crate::output::terminal::{BAD, CARE, FAINT, STRONG};
use crate::output::text::{Text, line, styled, table, text, untrusted};
use thinkube_engine::model::{ImageSource, ImageStep};
use thinkube_engine::{Action, BuiltImage, Change, ImageEvent};

/// The remark of a plan on an image.
pub(crate) fn planned(step: &ImageStep) -> String {
    let revision = match &step.source {
        ImageSource::Git(git) => format!(" {}", git.revision),
        ImageSource::Folder(_) => String::new(),
    };
    format!("built from {}{revision}, pushed to {}", step.source.location(), step.destination)
}

/// The progress of a build.
pub(crate) fn progress(event: &ImageEvent) -> Option<Text> {
    Some(match event {
        ImageEvent::Fetching { name, source, commit } => {
            untrusted(format!("  image {name}: fetching commit {commit} of {source}"))
        }
        ImageEvent::Building { name } => untrusted(format!("  image {name}: building")),
        ImageEvent::Pushing { name, to } => untrusted(format!("  image {name}: pushing to {to}")),
        ImageEvent::Output(line) => styled(FAINT, untrusted(format!("    {line}"))),
        ImageEvent::NotRemoved(folder) => {
            styled(CARE, untrusted(format!("  cannot remove {}; remove it by hand", folder.display())))
        }
        _ => return None,
    })
}

/// The images that a release runs, and their sources.
pub(crate) fn recorded(images: &[BuiltImage]) -> Text {
    let mut text = Text::default();
    if images.is_empty() {
        return text;
    }
    line!(text, "\n{}", styled(STRONG, "images"));
    let rows = images.iter().map(|image| {
        let BuiltImage { name, source, commit, reference } = image;
        vec![untrusted(name), untrusted(reference), untrusted(format!("from {commit} of {source}"))]
    });
    text.push(&table(&rows.collect::<Vec<_>>()));
    text
}

/// What an uninstall would do with an image.
pub(crate) fn uninstalling(image: &BuiltImage, delete: bool) -> Text {
    let reference = &image.reference;
    match delete {
        true => styled(BAD, untrusted(format!("- image {reference}"))),
        false => styled(FAINT, untrusted(format!("= image {reference} is kept in its registry"))),
    }
}

/// What an uninstall did with an image.
pub(crate) fn uninstalled(change: &Change) -> Text {
    let reference = change.image().map(|image| image.reference.as_deref().unwrap_or(&image.destination));
    let name = untrusted(format!("image {}", reference.unwrap_or_default()));
    let note = change.note.as_ref().map(|note| untrusted(format!(": {note}"))).unwrap_or_default();
    match change.action {
        Action::Keep => text!("{} kept in its registry{}", styled(CARE, name), note),
        _ => text!("{} deleted{}", name, note),
    }
}
