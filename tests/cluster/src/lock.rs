//! File locks: one change to a cluster, and one build, at a time.

use std::fs::{self, File, TryLockError};
use std::io::ErrorKind;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use crate::error::{At, Result};
use crate::progress::{Report, note};

/// A lock until it is dropped. The kernel releases it at any end of the process.
#[derive(Debug)]
pub(crate) struct Lock {
    path: PathBuf,
    _file: File,
}

impl Lock {
    pub(crate) fn take(path: &Path, report: &mut Report<'_>) -> Result<Self> {
        loop {
            if let Some(folder) = path.parent() {
                fs::create_dir_all(folder).at(folder)?;
            }
            let file = match File::options().create(true).append(true).open(path) {
                // Another cluster's `down` has just removed the empty folder.
                Err(error) if error.kind() == ErrorKind::NotFound => continue,
                opened => opened.at(path)?,
            };
            match file.try_lock() {
                Ok(()) => {}
                Err(TryLockError::WouldBlock) => {
                    note(report, format!("another process has the lock {}; waiting for it", path.display()));
                    file.lock().at(path)?;
                }
                Err(TryLockError::Error(source)) => return Err(source).at(path),
            }
            // The process that had the lock may have removed the file: then other processes lock another file.
            let locked = file.metadata().at(path)?;
            if fs::metadata(path).is_ok_and(|now| now.ino() == locked.ino() && now.dev() == locked.dev()) {
                return Ok(Self { path: path.to_owned(), _file: file });
            }
        }
    }

    /// The lock if it is free. For locks that are never removed.
    pub(crate) fn try_take(path: &Path) -> Option<Self> {
        let file = File::options().append(true).open(path).ok()?;
        file.try_lock().ok()?;
        Some(Self { path: path.to_owned(), _file: file })
    }

    /// Releases the lock and removes its file.
    pub(crate) fn remove(self) -> Result<()> {
        fs::remove_file(&self.path).at(&self.path)
    }
}
