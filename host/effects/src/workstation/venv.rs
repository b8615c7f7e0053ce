//! A virtual environment of a release's own, with exactly the packages that its setup names and what these need.

use crate::Error;
use crate::process::{OutputSink, Run, command, find, variables};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::env::var_os;
use std::ffi::OsString;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::process::Command;

/// OutputSink in the environment what is in it. Written last: an environment without it is half of one.
const MARKER: &str = "thinkube.json";

/// An empty file in the environment, which pip reads in place of a configuration that does not count.
const NO_SETTINGS: &str = "no-settings.conf";

const MAKE: Duration = Duration::from_secs(300);
const INSTALL: Duration = Duration::from_secs(1800);

/// What pip is told beside its own settings: where these are, and where the user keeps things.
const PASSED: [&str; 9] = [
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

/// Names the one file of the operator's that pip reads.
const CONFIGURATION: &str = "PIP_CONFIG_FILE";

/// Settings of pip that would put packages elsewhere, or more of them.
const WITHHELD: [&str; 6] =
    ["PIP_REQUIREMENT", "PIP_USER", "PIP_TARGET", "PIP_PREFIX", "PIP_ROOT", "PIP_EDITABLE"];

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Marker {
    packages: BTreeSet<String>,
}

/// Where the environment is, or is to be.
pub(super) struct Environment<'a> {
    /// The operator's home.
    pub(super) home: &'a Path,
    pub(super) path: PathBuf,
    /// The files of the release in the home. A configuration of pip among them may lead to a service that does not
    /// answer.
    pub(super) written: BTreeSet<PathBuf>,
}

impl Environment<'_> {
    /// The packages in it; none if it is not whole, or its interpreter is gone.
    pub(super) fn packages(&self) -> Option<BTreeSet<String>> {
        let marker: Marker = serde_json::from_slice(&fs::read(self.path.join(MARKER)).ok()?).ok()?;
        self.python().metadata().is_ok().then_some(marker.packages)
    }

    fn python(&self) -> PathBuf {
        self.path.join("bin/python")
    }

    /// Where the one before is while a new one is made. It comes back if that fails: its scripts name the path where it was.
    fn before(&self) -> PathBuf {
        self.path.with_added_extension("old")
    }

    fn failed(&self, source: io::Error) -> Error {
        Error::Workstation { path: self.path.display().to_string(), source }
    }

    /// Makes it anew.
    pub(super) async fn make(&self, packages: &BTreeSet<String>, says: OutputSink<'_>) -> Result<(), Error> {
        let python = find("python3").ok_or(Error::NoProgram {
            program: "python3",
            cure: "install Python 3 with its modules venv and pip (on Debian: python3-venv)",
        })?;
        self.recover().map_err(|source| self.failed(source))?;
        if self.path.exists() {
            fs::rename(&self.path, self.before()).map_err(|source| self.failed(source))?;
        }
        let mut making = Making { environment: self, whole: false };
        let mut venv = self.command(&python);
        venv.args(["-I", "-m", "venv", "--"]).arg(&self.path);
        self.run("python3 -m venv", MAKE, venv, says).await?;
        let mut pip = self.command(&self.python());
        if let Some(configuration) =
            self.configuration(|name| var_os(name)).map_err(|source| self.failed(source))?
        {
            pip.env(CONFIGURATION, configuration);
        }
        pip.args(["-I", "-m", "pip", "install", "--no-input", "--disable-pip-version-check", "--"])
            .args(packages);
        self.run("pip install", INSTALL, pip, says).await?;
        let marker = Marker { packages: packages.clone() };
        let text = serde_json::to_vec(&marker).map_err(io::Error::other);
        text.and_then(|text| fs::write(self.path.join(MARKER), text))
            .map_err(|source| self.failed(source))?;
        making.whole = true;
        Ok(())
    }

    /// What pip is to read in place of the operator's own files. None: as pip does by itself, because none of the
    /// release's files is among those that pip reads.
    fn configuration(&self, variable: impl Fn(&str) -> Option<OsString>) -> io::Result<Option<PathBuf>> {
        let named = variable(CONFIGURATION).map(PathBuf::from);
        let folder = variable("XDG_CONFIG_HOME").filter(|folder| !folder.is_empty());
        let folder = folder.map_or_else(|| self.home.join(".config"), PathBuf::from);
        let own = [self.home.join(".pip/pip.conf"), folder.join("pip/pip.conf")];
        let of_the_release = |file: &PathBuf| {
            let real = file.canonicalize();
            self.written.contains(file) || real.is_ok_and(|real| self.written.contains(&real))
        };
        if !named.iter().chain(&own).any(of_the_release) {
            return Ok(None);
        }
        // pip reads no other file of the operator where this variable names one that exists; machine-wide ones count.
        let mut others = named.iter().chain(&own).filter(|file| !of_the_release(file));
        if let Some(other) = others.find(|file| file.exists()) {
            return Ok(Some(other.clone()));
        }
        let none = self.path.join(NO_SETTINGS);
        fs::write(&none, "")?;
        Ok(Some(none))
    }

    async fn run(
        &self,
        what: &'static str,
        limit: Duration,
        command: Command,
        says: OutputSink<'_>,
    ) -> Result<(), Error> {
        let run = Run { what, limit, says, secrets: &[] };
        match run.shown(command).await?.success() {
            Ok(_) => Ok(()),
            Err(lines) => Err(Error::Python { what, path: self.path.clone(), lines }),
        }
    }

    /// `-I` keeps Python from running what lies in the folder that one happens to be in.
    fn command(&self, program: &Path) -> Command {
        let mut command = command(program, &PASSED);
        command.env("HOME", self.home).current_dir(self.home);
        let settings = variables("PIP_").chain(variables("PYENV_"));
        command.envs(settings.filter(|(name, _)| !WITHHELD.iter().any(|withheld| name == withheld)));
        command
    }

    /// What a host that was cut off has left: the one before counts until the new one is whole.
    pub(super) fn recover(&self) -> io::Result<()> {
        if !self.before().exists() {
            return Ok(());
        }
        if self.packages().is_some() {
            return remove(&self.before());
        }
        remove(&self.path)?;
        fs::rename(self.before(), &self.path)
    }

    /// Removes it.
    pub(super) fn remove(&self) -> Result<(), Error> {
        remove(&self.path).and_then(|()| remove(&self.before())).map_err(|source| self.failed(source))
    }
}

/// Of the standard library, which follows no link and is not fooled by one that is swapped in.
fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        removed => removed,
    }
}

/// Brings the one before back unless the new one is whole, also when nobody waits for it any more.
struct Making<'a> {
    environment: &'a Environment<'a>,
    whole: bool,
}

impl Drop for Making<'_> {
    fn drop(&mut self) {
        let before = self.environment.before();
        // What fails here is done by the next run.
        if self.whole {
            let _ = remove(&before);
        } else if remove(&self.environment.path).is_ok() && before.exists() {
            let _ = fs::rename(before, &self.environment.path);
        }
    }
}
