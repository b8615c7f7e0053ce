//! The home directory as the other files of this room reach it: by relative paths, through no symbolic link.

use super::change::{SkipReason, WorkstationAction, WorkstationState};
use super::error::Error;
use crate::fs::beneath::{Dir, Opened};
use crate::fs::entry::{Entry, FileFingerprint, Obstacle};
use std::io;
use std::path::{Path, PathBuf};
use thinkube_plan::RelativePath;

pub(super) struct HomeDir {
    root: Dir,
    /// Without symbolic links, because records name it.
    path: PathBuf,
}

/// The place of an entry of one kind.
pub(super) enum Slot<T> {
    /// Free; with the directory that it is in, if that exists.
    Free(Option<Dir>),
    /// Taken by an entry of this kind.
    Taken(Dir, T),
    /// Taken by another kind of entry, or unreachable.
    Blocked(Blocker),
}

/// What blocks a slot.
pub(super) struct Blocker {
    at: RelativePath,
    obstacle: Obstacle,
}

impl Blocker {
    pub(super) fn new(at: &RelativePath, obstacle: Obstacle) -> Self {
        Self { at: at.clone(), obstacle }
    }
}

/// A file, with its content if that is UTF-8 and no longer than a plan may write.
pub(super) type FoundFile = (FileFingerprint, Option<String>);

impl HomeDir {
    /// # Errors
    /// [`Error::Io`] if the directory does not exist, [`Error::ForeignHome`] if it belongs to another user.
    pub(super) fn open(path: &Path) -> Result<Self, Error> {
        let failed = |source: io::Error| Error::Io { path: path.display().to_string(), source };
        let path = path.canonicalize().map_err(failed)?;
        let root = Dir::open(&path).map_err(failed)?;
        if !root.is_own().map_err(failed)? {
            return Err(Error::ForeignHome { path });
        }
        Ok(Self { root, path })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// The directory that an entry is in.
    pub(super) fn parent_of(&self, path: &RelativePath) -> Result<Opened, Error> {
        self.root.open_beneath(path.parent().as_ref()).map_err(io_error(path))
    }

    pub(super) fn file(&self, path: &RelativePath) -> Result<Slot<FoundFile>, Error> {
        self.slot(path, |entry| match entry {
            Entry::File(fingerprint, text) => Ok((fingerprint, text)),
            Entry::Directory { .. } | Entry::Absent => Err(Obstacle::Directory),
            Entry::Obstacle(obstacle) => Err(obstacle),
        })
    }

    /// A directory, with its mode.
    pub(super) fn directory(&self, path: &RelativePath) -> Result<Slot<u32>, Error> {
        self.slot(path, |entry| match entry {
            Entry::Directory { mode } => Ok(mode),
            Entry::File(..) | Entry::Absent => Err(Obstacle::File),
            Entry::Obstacle(obstacle) => Err(obstacle),
        })
    }

    fn slot<T>(
        &self,
        path: &RelativePath,
        expect: impl FnOnce(Entry) -> Result<T, Obstacle>,
    ) -> Result<Slot<T>, Error> {
        let dir = match self.parent_of(path)? {
            Opened::Missing => return Ok(Slot::Free(None)),
            Opened::Blocked(at, obstacle) => return Ok(Slot::Blocked(Blocker { at, obstacle })),
            Opened::Dir(dir) => dir,
        };
        Ok(match dir.entry(path.name()).map_err(io_error(path))? {
            Entry::Absent => Slot::Free(Some(dir)),
            entry => match expect(entry) {
                Ok(found) => Slot::Taken(dir, found),
                Err(obstacle) => Slot::Blocked(Blocker::new(path, obstacle)),
            },
        })
    }
}

/// Names the entry of an I/O error.
pub(super) fn io_error(path: &RelativePath) -> impl Fn(io::Error) -> Error {
    move |source| Error::Io { path: format!("~/{path}"), source }
}

impl From<Blocker> for WorkstationAction {
    fn from(Blocker { at, obstacle }: Blocker) -> Self {
        Self::Blocked { at: at.to_string(), obstacle }
    }
}

impl From<Blocker> for WorkstationState {
    fn from(Blocker { at, obstacle }: Blocker) -> Self {
        Self::Blocked { at: at.to_string(), obstacle }
    }
}

impl From<Blocker> for SkipReason {
    fn from(Blocker { at, obstacle }: Blocker) -> Self {
        Self::Blocked { at: at.to_string(), obstacle }
    }
}
