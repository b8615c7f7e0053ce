//! A directory of this machine as a source: hashed, and copied during the hash, so that the build reads what was hashed.

use super::error::SourceError;
use super::layout::Layout;
use crate::fs::content::sha256_of;
use rustix::fs::OFlags;
use sha2::{Digest as _, Sha256};
use std::fmt;
use std::fs;
use std::io::{self, Write as _};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use thinkube_plan::ImageStep;

const MAX_FILES: usize = 100_000;
const MAX_BYTES: u64 = 4 << 30;

/// The SHA-256 of every file that a build of the step reads, in hexadecimal digits. Copies the files to `copy`. Skips `.git`.
///
/// # Errors
/// [`SourceError::Path`].
pub(super) fn hash(step: &ImageStep, directory: &Path, copy: Option<&Path>) -> Result<String, SourceError> {
    let root = directory.canonicalize().map_err(|error| path_error(directory, &error))?;
    let Layout { context, dockerfile } = Layout::of(step, &root)?;
    let mut hasher = Hasher { root: &root, copy, hash: Sha256::new(), files: 0, bytes: 0 };
    for text in [&step.context, &step.dockerfile] {
        hasher.text(text.as_bytes());
    }
    hasher.directory(&context)?;
    if !dockerfile.starts_with(&context) {
        if let (Some(copy), Ok(relative)) = (copy, dockerfile.strip_prefix(&root)) {
            let parent = copy.join(relative);
            let parent = parent.parent().unwrap_or(copy);
            fs::create_dir_all(parent).map_err(|error| path_error(&dockerfile, &error))?;
        }
        hasher.entry(&dockerfile)?;
    }
    Ok(format!("{:x}", hasher.hash.finalize()))
}

fn path_error(path: &Path, error: &dyn fmt::Display) -> SourceError {
    SourceError::Path { path: path.display().to_string(), message: error.to_string() }
}

struct Hasher<'a> {
    root: &'a Path,
    copy: Option<&'a Path>,
    hash: Sha256,
    files: usize,
    bytes: u64,
}

impl Hasher<'_> {
    fn text(&mut self, text: &[u8]) {
        self.hash.update((text.len() as u64).to_be_bytes());
        self.hash.update(text);
    }

    /// The path of an entry's copy.
    fn copy_of(&self, path: &Path) -> Option<PathBuf> {
        Some(self.copy?.join(path.strip_prefix(self.root).ok()?))
    }

    fn directory(&mut self, directory: &Path) -> Result<(), SourceError> {
        let failed = |error: io::Error| path_error(directory, &error);
        if let Some(copy) = self.copy_of(directory) {
            fs::create_dir_all(copy).map_err(failed)?;
        }
        let mut paths: Vec<PathBuf> = fs::read_dir(directory)
            .and_then(|entries| entries.map(|entry| Ok(entry?.path())).collect())
            .map_err(failed)?;
        paths.sort();
        for path in paths {
            if path.file_name().is_some_and(|name| name == ".git") {
                continue;
            }
            self.entry(&path)?;
        }
        // Tells the entries of a directory from those that follow it.
        self.text(b"end");
        if let Some(copy) = self.copy_of(directory) {
            let mode = fs::metadata(directory).map_err(failed)?.permissions().mode() & 0o777;
            fs::set_permissions(copy, fs::Permissions::from_mode(mode)).map_err(failed)?;
        }
        Ok(())
    }

    fn entry(&mut self, path: &Path) -> Result<(), SourceError> {
        let failed = |error: io::Error| path_error(path, &error);
        self.files += 1;
        if self.files > MAX_FILES {
            return Err(path_error(self.root, &format!("it holds more than {MAX_FILES} files")));
        }
        let found = fs::symlink_metadata(path).map_err(failed)?;
        let relative = path.strip_prefix(self.root).unwrap_or(path).to_owned();
        self.text(relative.as_os_str().as_bytes());
        let kind = found.file_type();
        // The words `folder`, `link` and `file` are part of the hash, by which a registry keeps images.
        if kind.is_dir() {
            self.text(format!("folder {:o}", found.permissions().mode() & 0o777).as_bytes());
            self.directory(path)
        } else if kind.is_symlink() {
            let target = fs::read_link(path).map_err(failed)?;
            self.text(b"link");
            self.text(target.as_os_str().as_bytes());
            match self.copy_of(path) {
                Some(copy) => symlink(target, copy).map_err(failed),
                None => Ok(()),
            }
        } else if kind.is_file() {
            if self.file(path).map_err(failed)? {
                return Ok(());
            }
            Err(path_error(self.root, &format!("it holds more than {} GiB", MAX_BYTES >> 30)))
        } else {
            Err(path_error(path, &"it is not a file, a directory or a symbolic link"))
        }
    }

    /// False: the source exceeds [`MAX_BYTES`] with this file.
    fn file(&mut self, path: &Path) -> io::Result<bool> {
        // The file may have become a link or a pipe since `symlink_metadata`.
        let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK;
        let file = fs::OpenOptions::new().read(true).custom_flags(flags.bits() as i32).open(path)?;
        let found = file.metadata()?;
        if !found.is_file() {
            return Err(io::Error::other("it is no longer a file"));
        }
        let mode = found.permissions().mode() & 0o777;
        self.text(format!("file {mode:o}").as_bytes());
        let mut copy = match self.copy_of(path) {
            Some(copy) => Some(fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(copy)?),
            None => None,
        };
        let mut length = 0;
        let hash = sha256_of(file, MAX_BYTES - self.bytes, |bytes| {
            length += bytes.len() as u64;
            copy.as_mut().map_or(Ok(()), |copy| copy.write_all(bytes))
        })?;
        let Some(hash) = hash else { return Ok(false) };
        self.bytes += length;
        self.text(hash.as_bytes());
        if let Some(copy) = copy {
            copy.set_permissions(fs::Permissions::from_mode(mode))?;
        }
        Ok(true)
    }
}
