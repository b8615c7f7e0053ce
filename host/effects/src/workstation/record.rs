//! What a release has written into a home. The record is always a superset of what may be there: it grows before the first
//! write and shrinks after the last removal.

use crate::Error;
use crate::fs::beneath::{FileFingerprint, Folder, Seen};
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

/// The lock is tried for a second: a program that was started in the very moment in which it was let go holds it on until
/// it is loaded.
const TRIES: u32 = 50;
const PAUSE: Duration = Duration::from_millis(20);

/// One release's part of a home.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Record {
    version: u32,
    /// The home. The folder of the records may be another one's by XDG_STATE_HOME.
    home: PathBuf,
    pub(super) files: BTreeMap<RelativePath, FileRecord>,
    /// Those that it made, with their modes.
    pub(super) directories: BTreeMap<RelativePath, u32>,
    /// Those in its virtual environment. None: it has no environment.
    pub(super) python: Option<BTreeSet<String>>,
    /// What its last setup was allowed in the home, as [`Held`](thinkube_plan::Held) has it.
    #[serde(default)]
    pub(super) granted: Vec<Permission>,
    #[serde(default)]
    pub(super) agreed: Vec<Permission>,
    #[serde(default)]
    pub(super) settings: Value,
}

/// A file that it wrote. A host that was cut off has left one of the two.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct FileRecord {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) written: Option<FileFingerprint>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) intended: Option<FileFingerprint>,
}

impl FileRecord {
    /// It is as the release wrote it.
    pub(super) fn wrote(&self, mark: &FileFingerprint) -> bool {
        self.written.as_ref() == Some(mark) || self.intended.as_ref() == Some(mark)
    }

    /// Its content is the release's; its mode may be another one.
    pub(super) fn wrote_content(&self, mark: &FileFingerprint) -> bool {
        [&self.written, &self.intended].into_iter().flatten().any(|own| own.digest == mark.digest)
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

/// The releases that have a record below `state`, by name.
pub(super) fn names(state: &Path) -> Result<Vec<String>, Error> {
    let failed = |source: io::Error| Error::Record { path: state.to_owned(), source };
    let mut names = Vec::new();
    let entries = match fs::read_dir(state) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(names),
        entries => entries.map_err(failed)?,
    };
    for entry in entries {
        let name = entry.map_err(failed)?.file_name();
        // What is no record is somebody else's, or a record that was being written.
        names.extend(name.to_str().and_then(|name| name.strip_suffix(".json")).map(str::to_owned));
    }
    names.retain(|name| is_dns_label(name));
    names.sort();
    Ok(names)
}

/// The record's file, for one host at a time.
pub(super) struct RecordFile {
    folder: Folder,
    path: PathBuf,
    name: String,
    /// As the file has it.
    last: Record,
    /// Holds the lock until it is dropped.
    _lock: Folder,
}

impl RecordFile {
    /// Opens the record of a release below `state`, and takes the lock of that folder.
    pub(super) fn open(state: &Path, release: &str, home: &Path) -> Result<(Self, Record), Error> {
        let name = format!("{release}.json");
        let path = state.join(&name);
        let failed = |source: io::Error| Error::Record { path: path.clone(), source };
        DirBuilder::new().recursive(true).mode(0o700).create(state).map_err(failed)?;
        let folder = Folder::open(state).map_err(failed)?;
        let lock = Folder::open(state).map_err(failed)?;
        let mut tries = TRIES;
        while let Err(error) = flock(&lock, FlockOperation::NonBlockingLockExclusive) {
            match error {
                Errno::WOULDBLOCK if tries > 0 => {
                    tries -= 1;
                    thread::sleep(PAUSE);
                }
                Errno::WOULDBLOCK => return Err(Error::WorkstationBusy { state: state.to_owned() }),
                error => return Err(failed(error.into())),
            }
        }
        let malformed = |message: String| Error::RecordMalformed { path: path.clone(), message };
        let record = match folder.look(&name).map_err(failed)? {
            Seen::Absent => Record::new(home),
            Seen::File(_, Some(text)) => {
                let record: Record =
                    serde_json::from_str(&text).map_err(|error| malformed(error.to_string()))?;
                if record.version != VERSION {
                    return Err(malformed(format!("it is of version {}, not {VERSION}", record.version)));
                }
                if record.home != home {
                    return Err(malformed(format!("it is of another home, {}", record.home.display())));
                }
                record
            }
            _ => return Err(malformed("it is no text file".to_owned())),
        };
        Ok((Self { folder, path, name, last: record.clone(), _lock: lock }, record))
    }

    /// Writes it down unless it is there already; an empty one is no file.
    pub(super) fn write(&mut self, record: &Record) -> Result<(), Error> {
        if *record == self.last || record.is_empty() && self.last.is_empty() {
            return Ok(());
        }
        let written = if record.is_empty() {
            self.folder.unlink(&self.name)
        } else {
            let mut text = serde_json::to_vec_pretty(record).map_err(io::Error::other);
            if let Ok(text) = &mut text {
                text.push(b'\n');
            }
            text.and_then(|text| self.folder.write(&self.name, &text))
        };
        written.map_err(|source| Error::Record { path: self.path.clone(), source })?;
        self.last = record.clone();
        Ok(())
    }
}
