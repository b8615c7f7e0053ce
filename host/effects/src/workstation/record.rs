//! The record of the entries that a release wrote to a home directory.
//!
//! The record is a superset of the entries that exist: it grows before the first write and shrinks after the last removal.
//! Its field names are persistent: a record of every earlier version with [`VERSION`] must stay readable.

use super::error::Error;
use crate::fs::beneath::Dir;
use crate::fs::entry::{Entry, FileFingerprint};
use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;
use thinkube_plan::{Permission, RelativePath, is_dns_label};

const VERSION: u32 = 1;

/// A program that another host started as it released the lock holds the lock until `exec` closes it: within a second.
const MAX_LOCK_TRIES: u32 = 50;
const LOCK_PAUSE: Duration = Duration::from_millis(20);

/// The entries of one release in a home directory.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Record {
    version: u32,
    /// The home directory. XDG_STATE_HOME may lead to the records of another one.
    home: PathBuf,
    pub(super) files: BTreeMap<RelativePath, FileRecord>,
    /// The directories that it created, with their modes.
    pub(super) directories: BTreeMap<RelativePath, u32>,
    /// The packages in its virtual environment. None: no virtual environment.
    pub(super) python: Option<BTreeSet<String>>,
    /// The grants of its last plan, as [`CarriedGrants`](thinkube_plan::CarriedGrants) has them.
    #[serde(default)]
    pub(super) granted: Vec<Permission>,
    #[serde(default)]
    pub(super) agreed: Vec<Permission>,
    #[serde(default)]
    pub(super) settings: Value,
}

/// A file that the release wrote. After a run that was cut off, the file is one of the two.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct FileRecord {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) written: Option<FileFingerprint>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) intended: Option<FileFingerprint>,
}

impl FileRecord {
    /// Whether the release wrote this content with this mode.
    pub(super) fn wrote(&self, found: &FileFingerprint) -> bool {
        self.written.as_ref() == Some(found) || self.intended.as_ref() == Some(found)
    }

    /// Whether the release wrote this content.
    pub(super) fn wrote_content(&self, found: &FileFingerprint) -> bool {
        [&self.written, &self.intended].into_iter().flatten().any(|own| own.digest == found.digest)
    }
}

impl Record {
    fn new(home: &Path) -> Self {
        Self {
            version: VERSION,
            home: home.to_owned(),
            files: BTreeMap::new(),
            directories: BTreeMap::new(),
            python: None,
            granted: Vec::new(),
            agreed: Vec::new(),
            settings: Value::Null,
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.files.is_empty() && self.directories.is_empty() && self.python.is_none()
    }
}

/// The names of the releases that have a record, sorted.
pub(super) fn names(records: &Path) -> Result<Vec<String>, Error> {
    let failed = |source: io::Error| Error::RecordIo { path: records.to_owned(), source };
    let mut names = Vec::new();
    let entries = match fs::read_dir(records) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(names),
        entries => entries.map_err(failed)?,
    };
    for entry in entries {
        let name = entry.map_err(failed)?.file_name();
        // Skips files of others, and a record whose write was cut off.
        names.extend(name.to_str().and_then(|name| name.strip_suffix(".json")).map(str::to_owned));
    }
    names.retain(|name| is_dns_label(name));
    names.sort();
    Ok(names)
}

/// The file of a record, which one host at a time has.
pub(super) struct RecordFile {
    dir: Dir,
    path: PathBuf,
    name: String,
    /// The content of the file.
    last: Record,
    /// Has the lock until it is dropped.
    _lock: Dir,
}

impl RecordFile {
    /// Opens the record of a release, and locks the directory of the records.
    pub(super) fn open(records: &Path, release: &str, home: &Path) -> Result<(Self, Record), Error> {
        let name = format!("{release}.json");
        let path = records.join(&name);
        let failed = |source: io::Error| Error::RecordIo { path: path.clone(), source };
        DirBuilder::new().recursive(true).mode(0o700).create(records).map_err(failed)?;
        let dir = Dir::open(records).map_err(failed)?;
        let lock = Dir::open(records).map_err(failed)?;
        let mut tries = MAX_LOCK_TRIES;
        while let Err(error) = flock(&lock, FlockOperation::NonBlockingLockExclusive) {
            match error {
                Errno::WOULDBLOCK if tries > 0 => {
                    tries -= 1;
                    thread::sleep(LOCK_PAUSE);
                }
                Errno::WOULDBLOCK => return Err(Error::Busy { records: records.to_owned() }),
                error => return Err(failed(error.into())),
            }
        }
        let invalid = |message: String| Error::RecordInvalid { path: path.clone(), message };
        let record = match dir.entry(&name).map_err(failed)? {
            Entry::Absent => Record::new(home),
            Entry::File(_, Some(text)) => {
                let record: Record =
                    serde_json::from_str(&text).map_err(|error| invalid(error.to_string()))?;
                if record.version != VERSION {
                    return Err(invalid(format!("its version is {}, expected {VERSION}", record.version)));
                }
                if record.home != home {
                    return Err(invalid(format!("it is of the home directory {}", record.home.display())));
                }
                record
            }
            _ => return Err(invalid("it is not a text file".to_owned())),
        };
        Ok((Self { dir, path, name, last: record.clone(), _lock: lock }, record))
    }

    /// Writes the record if it changed, and deletes the file of an empty one.
    pub(super) fn write(&mut self, record: &Record) -> Result<(), Error> {
        if *record == self.last || record.is_empty() && self.last.is_empty() {
            return Ok(());
        }
        let written = if record.is_empty() {
            self.dir.unlink(&self.name)
        } else {
            let mut text = serde_json::to_vec_pretty(record).map_err(io::Error::other);
            if let Ok(text) = &mut text {
                text.push(b'\n');
            }
            text.and_then(|text| self.dir.write(&self.name, &text))
        };
        written.map_err(|source| Error::RecordIo { path: self.path.clone(), source })?;
        self.last = record.clone();
        Ok(())
    }
}
