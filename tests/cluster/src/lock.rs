//! One change to a cluster at a time.

use std::fs::{self, File, TryLockError};
use std::io::ErrorKind;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use crate::error::{At, Result};
use crate::progress::{Report, note};

/// Held as long as it lives; the kernel lets go of it when the process ends, however it ends.
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
                // Another cluster's `down` has removed the empty folder just now.
                Err(error) if error.kind() == ErrorKind::NotFound => continue,
                opened => opened.at(path)?,
            };
            match file.try_lock() {
                Ok(()) => {}
                Err(TryLockError::WouldBlock) => {
                    note(report, format!("another process holds {}; waiting for it", path.display()));
                    file.lock().at(path)?;
                }
                Err(TryLockError::Error(source)) => return Err(source).at(path),
            }
            // The one who had it may have removed the file: then this lock is on a file that nobody else will find.
            let ours = file.metadata().at(path)?;
            if fs::metadata(path).is_ok_and(|now| now.ino() == ours.ino() && now.dev() == ours.dev()) {
                return Ok(Self { path: path.to_owned(), _file: file });
            }
        }
    }

    /// The lock if nobody has it. For locks that are never removed.
    pub(crate) fn try_take(path: &Path) -> Option<Self> {
        let file = File::options().append(true).open(path).ok()?;
        file.try_lock().ok()?;
        Some(Self { path: path.to_owned(), _file: file })
    }

    /// Lets go of the lock and leaves no file.
    pub(crate) fn remove(self) -> Result<()> {
        fs::remove_file(&self.path).at(&self.path)
    }
}
