//! The files of a source that a build reads.

use super::error::SourceError;
use crate::fs::beneath::{Dir, Opened};
use crate::fs::entry::Entry;
use std::io;
use std::path::{Path, PathBuf};
use thinkube_plan::{ImageStep, RelativePath};

/// The build context and the Dockerfile.
pub(in crate::image) struct Layout {
    pub(in crate::image) context: PathBuf,
    pub(in crate::image) dockerfile: PathBuf,
}

impl Layout {
    /// The layout of a step below `root`. Its paths lead through no symbolic link: one could lead to a private file of this
    /// machine.
    ///
    /// # Errors
    /// [`SourceError::Path`].
    pub(super) fn of(step: &ImageStep, root: &Path) -> Result<Self, SourceError> {
        let wrong = |path: &str, message: String| SourceError::Path { path: path.to_owned(), message };
        let unreadable = |path: &str| {
            let path = path.to_owned();
            move |error: io::Error| SourceError::Path { path, message: error.to_string() }
        };
        let dir = Dir::open(root).map_err(unreadable(&root.display().to_string()))?;
        let parse = |path: &str| path.parse::<RelativePath>().map_err(|error| wrong(path, error.to_string()));
        let open =
            |path: &str, at: Option<&RelativePath>| match dir.open_beneath(at).map_err(unreadable(path))? {
                Opened::Dir(dir) => Ok(dir),
                Opened::Missing => Err(wrong(path, "it does not exist".to_owned())),
                Opened::Blocked(at, obstacle) => Err(wrong(path, format!("{at} is {obstacle}"))),
            };
        let mut context = root.to_owned();
        if step.context != "." {
            open(&step.context, Some(&parse(&step.context)?))?;
            context.push(&step.context);
        }
        let dockerfile = parse(&step.dockerfile)?;
        let parent = open(&step.dockerfile, dockerfile.parent().as_ref())?;
        match parent.entry(dockerfile.name()).map_err(unreadable(&step.dockerfile))? {
            Entry::File(..) => {}
            Entry::Absent => return Err(wrong(&step.dockerfile, "it does not exist".to_owned())),
            Entry::Directory { .. } => return Err(wrong(&step.dockerfile, "it is a directory".to_owned())),
            Entry::Obstacle(obstacle) => return Err(wrong(&step.dockerfile, format!("it is {obstacle}"))),
        }
        Ok(Self { context, dockerfile: root.join(dockerfile.as_str()) })
    }
}
