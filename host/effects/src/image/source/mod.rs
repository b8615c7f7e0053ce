//! The source of an image: a commit of a git repository, or a directory of this machine.

mod directory;
pub(crate) mod error;
mod git;
pub(super) mod layout;
#[cfg(test)]
mod tests;

use super::build_dir::BuildDir;
use crate::process::OutputSink;
use error::SourceError;
use layout::Layout;
use sha2::{Digest as _, Sha256};
use std::fmt;
use std::path::{Path, PathBuf};
use thinkube_plan::{ImageSource, ImageStep};

/// The exact source of an image. Two builds of one commit differ only as far as the Dockerfile is not reproducible.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Commit {
    id: String,
    tag: String,
}

impl Commit {
    /// The hash of the commit, or of the directory's content.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The tag under which a registry keeps the image of this commit.
    pub fn tag(&self) -> &str {
        &self.tag
    }

    /// A commit may hold several images, so the tag identifies a Dockerfile or a context other than the default.
    fn of_git(id: String, step: &ImageStep) -> Self {
        let tag = if step.dockerfile == "Dockerfile" && step.context == "." {
            id.clone()
        } else {
            let place = Sha256::digest(format!("{}\0{}", step.dockerfile, step.context));
            format!("{id}-{}", &format!("{place:x}")[..8])
        };
        Self { id, tag }
    }

    fn of_directory(id: String) -> Self {
        Self { tag: format!("folder-{id}"), id }
    }
}

impl fmt::Display for Commit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.id)
    }
}

/// Whether a tag has the form of [`Commit::tag`].
pub(super) fn is_commit_tag(tag: &str) -> bool {
    let id = tag.strip_prefix("folder-").unwrap_or(tag);
    git::is_commit(id.split_once('-').map_or(id, |(id, _)| id))
}

/// The present commit of a step's source.
pub(super) async fn resolve(step: &ImageStep, build_dir: &BuildDir) -> Result<Commit, SourceError> {
    match &step.source {
        ImageSource::Folder(path) => Ok(Commit::of_directory(directory::hash(step, Path::new(path), None)?)),
        ImageSource::Git(source) => Ok(Commit::of_git(git::resolve(source, build_dir).await?, step)),
    }
}

/// Copies or checks out a commit into the build directory, where no other process changes it.
pub(super) async fn fetch(
    step: &ImageStep,
    commit: &Commit,
    build_dir: &BuildDir,
    sink: OutputSink<'_>,
) -> Result<Layout, SourceError> {
    let root = build_dir.create_dir("source")?;
    match &step.source {
        ImageSource::Folder(path) => {
            if directory::hash(step, Path::new(path), Some(&root))? != commit.id {
                return Err(SourceError::Changed { directory: PathBuf::from(path) });
            }
        }
        ImageSource::Git(source) => git::check_out(source, &commit.id, &root, build_dir, sink).await?,
    }
    Layout::of(step, &root)
}
