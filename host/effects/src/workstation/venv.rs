//! The Python virtual environment of a release: the packages that its plan names, and their dependencies.
//!
//! pip reads the operator's configuration, but never a file that the release itself writes: it may name a package index that
//! does not answer yet.

use super::error::Error;
use crate::process::{self, OutputSink, Run, command, find, variables};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::env::var_os;
use std::ffi::OsString;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;
use thinkube_plan::RelativePath;
use tokio::process::Command;

/// The file in a virtual environment that lists its packages. Written last: without it the environment is incomplete.
const MARKER: &str = "thinkube.json";

/// An empty file in a virtual environment, which pip reads instead of a configuration that the release writes.
const EMPTY_CONFIGURATION: &str = "no-settings.conf";

const VENV_TIMEOUT: Duration = Duration::from_secs(300);
const INSTALL_TIMEOUT: Duration = Duration::from_secs(1800);

/// Variables that pip gets beside its own: where its configuration and its caches are.
const PASSED_VARIABLES: [&str; 9] = [
    "XDG_CONFIG_HOME",
    "XDG_CONFIG_DIRS",
    "XDG_CACHE_HOME",
    "XDG_DATA_HOME",
    "NETRC",
    "REQUESTS_CA_BUNDLE",
    "CURL_CA_BUNDLE",
    "TMPDIR",
    "LD_LIBRARY_PATH",
];

/// Names the one configuration file of the user that pip reads.
const CONFIGURATION: &str = "PIP_CONFIG_FILE";

/// Variables of pip that would install to another directory, or install more packages.
const WITHHELD_VARIABLES: [&str; 6] =
    ["PIP_REQUIREMENT", "PIP_USER", "PIP_TARGET", "PIP_PREFIX", "PIP_ROOT", "PIP_EDITABLE"];

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Marker {
    packages: BTreeSet<String>,
}

/// The virtual environment of a release; it need not exist.
pub(super) struct Venv<'a> {
    home: &'a Path,
    path: PathBuf,
    /// The files that the release writes to the home directory.
    release_files: BTreeSet<PathBuf>,
}

impl<'a> Venv<'a> {
    pub(super) fn new<'f>(
        home: &'a Path,
        path: &RelativePath,
        release_files: impl Iterator<Item = &'f RelativePath>,
    ) -> Self {
        let release_files = release_files.map(|file| home.join(file.as_str())).collect();
        Self { home, path: home.join(path.as_str()), release_files }
    }

    /// The packages in it. None: it is incomplete, or its interpreter is missing.
    pub(super) fn packages(&self) -> Option<BTreeSet<String>> {
        let marker: Marker = serde_json::from_slice(&fs::read(self.path.join(MARKER)).ok()?).ok()?;
        self.python().metadata().is_ok().then_some(marker.packages)
    }

    fn python(&self) -> PathBuf {
        self.path.join("bin/python")
    }

    /// Where the former environment is while the new one is created. The new one is created at the final path, because its
    /// scripts hold that path.
    fn former(&self) -> PathBuf {
        self.path.with_added_extension("old")
    }

    fn io_error(&self, source: io::Error) -> Error {
        Error::Io { path: self.path.display().to_string(), source }
    }

    /// Creates it, in the place of a former one.
    pub(super) async fn create(
        &self,
        packages: &BTreeSet<String>,
        sink: OutputSink<'_>,
    ) -> Result<(), Error> {
        let python = find("python3").ok_or(process::Error::NotFound {
            program: "python3",
            advice: "install Python 3 with its modules venv and pip (on Debian: python3-venv)",
        })?;
        self.recover().map_err(|source| self.io_error(source))?;
        if self.path.exists() {
            fs::rename(&self.path, self.former()).map_err(|source| self.io_error(source))?;
        }
        let mut guard = RestoreFormer { venv: self, is_complete: false };
        let mut venv = self.command(&python);
        venv.args(["-I", "-m", "venv", "--"]).arg(&self.path);
        self.run("python3 -m venv", VENV_TIMEOUT, venv, sink).await?;
        let mut pip = self.command(&self.python());
        if let Some(configuration) =
            self.configuration(|name| var_os(name)).map_err(|source| self.io_error(source))?
        {
            pip.env(CONFIGURATION, configuration);
        }
        pip.args(["-I", "-m", "pip", "install", "--no-input", "--disable-pip-version-check", "--"])
            .args(packages);
        self.run("pip install", INSTALL_TIMEOUT, pip, sink).await?;
        let marker = Marker { packages: packages.clone() };
        let text = serde_json::to_vec(&marker).map_err(io::Error::other);
        text.and_then(|text| fs::write(self.path.join(MARKER), text))
            .map_err(|source| self.io_error(source))?;
        guard.is_complete = true;
        Ok(())
    }

    /// The configuration file that pip is to read instead of the user's own. None: pip's default, because the release writes
    /// none of the files that pip reads.
    fn configuration(&self, variable: impl Fn(&str) -> Option<OsString>) -> io::Result<Option<PathBuf>> {
        let named = variable(CONFIGURATION).map(PathBuf::from);
        let directory = variable("XDG_CONFIG_HOME").filter(|directory| !directory.is_empty());
        let directory = directory.map_or_else(|| self.home.join(".config"), PathBuf::from);
        let own = [self.home.join(".pip/pip.conf"), directory.join("pip/pip.conf")];
        let is_of_release = |file: &PathBuf| {
            let real = file.canonicalize();
            self.release_files.contains(file) || real.is_ok_and(|real| self.release_files.contains(&real))
        };
        if !named.iter().chain(&own).any(is_of_release) {
            return Ok(None);
        }
        // With this variable pip reads no other file of the user; it still reads machine-wide files.
        let mut others = named.iter().chain(&own).filter(|file| !is_of_release(file));
        if let Some(other) = others.find(|file| file.exists()) {
            return Ok(Some(other.clone()));
        }
        let empty = self.path.join(EMPTY_CONFIGURATION);
        fs::write(&empty, "")?;
        Ok(Some(empty))
    }

    async fn run(
        &self,
        what: &'static str,
        limit: Duration,
        command: Command,
        sink: OutputSink<'_>,
    ) -> Result<(), Error> {
        let run = Run { what, limit, sink, secrets: &[] };
        match run.streamed(command).await?.success() {
            Ok(_) => Ok(()),
            Err(lines) => Err(Error::Python { what, path: self.path.clone(), lines }),
        }
    }

    /// The caller adds `-I`, which keeps Python from importing modules of the current directory.
    fn command(&self, program: &Path) -> Command {
        let mut command = command(program, &PASSED_VARIABLES);
        command.env("HOME", self.home).current_dir(self.home);
        let settings = variables("PIP_").chain(variables("PYENV_"));
        command
            .envs(settings.filter(|(name, _)| !WITHHELD_VARIABLES.iter().any(|withheld| name == withheld)));
        command
    }

    /// Cleans up after a run that was cut off: the former environment counts until the new one is complete.
    pub(super) fn recover(&self) -> io::Result<()> {
        if !self.former().exists() {
            return Ok(());
        }
        if self.packages().is_some() {
            return remove_all(&self.former());
        }
        remove_all(&self.path)?;
        fs::rename(self.former(), &self.path)
    }

    pub(super) fn remove(&self) -> Result<(), Error> {
        remove_all(&self.path)
            .and_then(|()| remove_all(&self.former()))
            .map_err(|source| self.io_error(source))
    }
}

/// `fs::remove_dir_all` follows no symbolic link, not even one that appears during the removal.
fn remove_all(path: &Path) -> io::Result<()> {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        removed => removed,
    }
}

/// Restores the former environment unless the new one is complete, also when the future is dropped.
struct RestoreFormer<'a> {
    venv: &'a Venv<'a>,
    is_complete: bool,
}

impl Drop for RestoreFormer<'_> {
    fn drop(&mut self) {
        let former = self.venv.former();
        // The next run repeats what fails here.
        if self.is_complete {
            let _ = remove_all(&former);
        } else if remove_all(&self.venv.path).is_ok() && former.exists() {
            let _ = fs::rename(former, &self.venv.path);
        }
    }
}
