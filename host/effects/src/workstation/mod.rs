//! Files and Python packages that a plugin wants in the home directory of an operator.
//!
//! The record names every entry before it is written, so that a removal finds it whenever a run is cut off. A file that a
//! person changed, or that the release did not write, stays until that person names it to be overwritten, and then a backup
//! stays. No entry outside the home directory is read or written, and no symbolic link is followed.
//!
//! No file written here holds a secret: the contents come from the plugin, which never receives one.

mod apply;
pub(crate) mod change;
mod diff;
pub(crate) mod error;
mod home_dir;
mod record;
pub(crate) mod release;
mod venv;

use error::Error;
use home_dir::HomeDir;
use record::RecordFile;
use release::WorkstationRelease;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use thinkube_plan::{RelativePath, is_dns_label};

/// The directory of the records, below the user's state directory.
const RECORDS: &str = "thinkube-host/workstation";

/// The directory of the virtual environments, below the home directory.
const VENVS: &str = ".local/share/thinkube/venvs";

/// The home directory of an operator.
pub struct Workstation {
    home: HomeDir,
    records: PathBuf,
    reserved: Vec<RelativePath>,
}

impl Workstation {
    /// The home directory of the user of this process, from HOME; its records are below XDG_STATE_HOME.
    ///
    /// # Errors
    /// [`Error::NoHome`], and those of [`Workstation::open`].
    pub fn of_user() -> Result<Self, Error> {
        let set =
            |name: &str| std::env::var_os(name).filter(|value: &OsString| Path::new(value).is_absolute());
        let home = PathBuf::from(set("HOME").ok_or(Error::NoHome)?);
        let state = set("XDG_STATE_HOME").map_or_else(|| home.join(".local/state"), PathBuf::from);
        Self::open(&home, &state.join(RECORDS))
    }

    /// Another home directory; its records are below its `.local/state`.
    ///
    /// # Errors
    /// Those of [`Workstation::open`].
    pub fn at(path: &Path) -> Result<Self, Error> {
        Self::open(path, &path.join(".local/state").join(RECORDS))
    }

    /// A home directory and the directory of its records.
    ///
    /// # Errors
    /// [`Error::Io`] if the home directory does not exist; [`Error::ForeignHome`] if it belongs to another user, to whom the
    /// files would not belong.
    pub fn open(path: &Path, records: &Path) -> Result<Self, Error> {
        let home = HomeDir::open(path)?;
        let relative = |path: &Path| path.to_str()?.parse().ok();
        let mut reserved: Vec<RelativePath> = relative(Path::new(VENVS)).into_iter().collect();
        let below_home =
            [path, home.path()].iter().find_map(|home| relative(records.strip_prefix(home).ok()?));
        reserved.extend(below_home);
        Ok(Self { home, records: records.to_owned(), reserved })
    }

    /// The home directory, without symbolic links.
    pub fn path(&self) -> &Path {
        self.home.path()
    }

    /// The names of the releases that have a record, sorted.
    ///
    /// # Errors
    /// [`Error::RecordIo`] if the directory of the records cannot be read.
    pub fn releases(&self) -> Result<Vec<String>, Error> {
        record::names(&self.records)
    }

    /// One release's part of the home directory, locked against other hosts. Cleans up after a run that was cut off.
    ///
    /// # Errors
    /// [`Error::ReleaseName`], [`Error::Busy`], and those of reading the record.
    pub fn release(&self, name: &str) -> Result<WorkstationRelease<'_>, Error> {
        let invalid = || Error::ReleaseName(name.to_owned());
        if !is_dns_label(name) {
            return Err(invalid());
        }
        let record = RecordFile::open(&self.records, name, self.path())?;
        let venv = format!("{VENVS}/{name}").parse().map_err(|_| invalid())?;
        WorkstationRelease::open(&self.home, &self.reserved, record, venv)
    }
}
