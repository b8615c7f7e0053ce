//! Observes one container and determines what a step changes in it.
//!
//! The host changes a file only if the release's record lists the file's present content.

use crate::api::client::Client;
use crate::error::Error;
use crate::pod_files::exec::{self, Container, PathState};
use crate::pod_files::report::change;
use crate::release::record::PodFilesEntry;
use thinkube_plan::{Action, Change, Digest, PodFile, PodFilesStep, PodLine};

/// The longest file, in bytes, in which the host adds or deletes lines.
pub(super) const MAX_LINES_FILE_BYTES: usize = 4 << 20;

const NOT_OF_RELEASE: &str = "the present file is not from this release, or was changed since, and stays; remove it to \
     have it written";

/// How to write one file or line.
pub(super) enum Write<'a> {
    File(&'a PodFile),
    Mode(&'a PodFile),
    Line(&'a PodLine),
}

/// One file or line in one container.
pub(super) struct EntryDiff<'a> {
    pub(super) change: Change,
    pub(super) write: Option<Write<'a>>,
}

/// The changes of a step in one container. Empty if the pod no longer exists.
pub(super) async fn diff_container<'a>(
    client: &Client,
    entry: &PodFilesEntry,
    step: &'a PodFilesStep,
    at: &Container,
) -> Result<Vec<EntryDiff<'a>>, Error> {
    let mut judged = Vec::new();
    for file in &step.files {
        let Some(state) =
            exec::read_file(client, at, &file.path, PodFilesStep::MAX_CONTENT_BYTES + 1).await?
        else {
            return Ok(Vec::new());
        };
        let (action, note) = file_action(entry, file, &state);
        let write = match (action, &state) {
            (Action::Update, PathState::File { content: Some(content), .. })
                if content == file.content.as_bytes() =>
            {
                Some(Write::Mode(file))
            }
            (Action::Create | Action::Update, _) => Some(Write::File(file)),
            _ => None,
        };
        judged.push(EntryDiff {
            change: change(entry, Some(at), (Some(&file.path), None), action, note),
            write,
        });
    }
    for line in &step.lines {
        let Some(state) = exec::read_file(client, at, &line.path, MAX_LINES_FILE_BYTES).await? else {
            return Ok(Vec::new());
        };
        let (action, note) = line_action(line, &state);
        let write = matches!(action, Action::Create | Action::Update).then_some(Write::Line(line));
        let change = change(entry, Some(at), (Some(&line.path), Some(&line.text)), action, note);
        judged.push(EntryDiff { change, write });
    }
    Ok(judged)
}

fn file_action(entry: &PodFilesEntry, file: &PodFile, state: &PathState) -> (Action, Option<String>) {
    match state {
        PathState::Absent => (Action::Create, None),
        PathState::Other(what) => (Action::Keep, Some(format!("it is {what}, and stays unchanged"))),
        PathState::File { content: None, .. } => (Action::Keep, Some(NOT_OF_RELEASE.to_owned())),
        PathState::File { mode, content: Some(content) } => {
            let same = content == file.content.as_bytes();
            if same && *mode == file.mode {
                (Action::Unchanged, None)
            } else if !entry.wrote(&file.path, &Digest::of(content)) {
                (Action::Keep, Some(NOT_OF_RELEASE.to_owned()))
            } else if same {
                (Action::Update, Some(format!("mode {mode:04o} → {:04o}", file.mode)))
            } else {
                (Action::Update, None)
            }
        }
    }
}

fn line_action(line: &PodLine, state: &PathState) -> (Action, Option<String>) {
    match state {
        PathState::Absent => (Action::Create, None),
        PathState::Other(what) => (Action::Keep, Some(format!("it is {what}, and stays unchanged"))),
        PathState::File { content: None, .. } => (
            Action::Keep,
            Some(format!("it is longer than {} MiB, and stays unchanged", MAX_LINES_FILE_BYTES >> 20)),
        ),
        PathState::File { content: Some(content), .. } if has_line(content, line) => {
            (Action::Unchanged, None)
        }
        PathState::File { .. } => (Action::Update, None),
    }
}

pub(super) fn has_line(content: &[u8], line: &PodLine) -> bool {
    content.split(|byte| *byte == b'\n').any(|text| text == line.text.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pod_files::testing::{entry, step};

    fn state(content: &str, mode: u32) -> PathState {
        PathState::File { mode, content: Some(content.as_bytes().to_vec()) }
    }

    #[test]
    fn only_content_on_record_is_changed() {
        let (old, new) = (entry(&[("/a", "old")]), step(&[("/a", "new")], &[]));
        let action = |state: PathState| file_action(&old, &new.files[0], &state).0;
        assert_eq!(action(PathState::Absent), Action::Create);
        assert_eq!(action(state("old", 0o644)), Action::Update);
        assert_eq!(action(state("new", 0o644)), Action::Unchanged);
        assert_eq!(action(state("theirs", 0o644)), Action::Keep);
        assert_eq!(action(state("new", 0o600)), Action::Keep, "the record does not have this content");
        assert_eq!(action(PathState::Other("a symbolic link")), Action::Keep);
        assert_eq!(action(PathState::File { mode: 0o644, content: None }), Action::Keep);
    }

    #[test]
    fn a_line_must_match_as_a_whole() {
        let line = PodLine { path: "/rc".into(), text: "a b".into() };
        for (content, expected) in
            [("a b", true), ("x\na b\ny", true), ("a b c", false), (" a b", false), ("", false)]
        {
            assert_eq!(has_line(content.as_bytes(), &line), expected, "{content:?}");
        }
    }
}
