//! The files of the harness: builds in the user's cache folder, a cluster in the user's state folder.

use std::env;
use std::ffi::OsString;
use std::fs;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use crate::content_hash::content_hash;
use crate::error::{At, Error, Result};
use crate::requirement::UnmetRequirement;

/// The folder of built programs and images, which `down` keeps.
pub(crate) fn cache() -> Result<PathBuf> {
    base("XDG_CACHE_HOME", ".cache")
}

/// The folder with one folder a cluster.
pub(crate) fn state() -> Result<PathBuf> {
    base("XDG_STATE_HOME", ".local/state")
}

fn base(variable: &str, under_home: &str) -> Result<PathBuf> {
    // The XDG specification says to ignore a relative path.
    let absolute = |name: &str| env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let base = match absolute(variable) {
        Some(base) => base,
        None => absolute("HOME").map(|home| home.join(under_home)).ok_or_else(|| {
            Error::Unmet(vec![UnmetRequirement::new(
                format!("neither {variable} nor HOME names a folder for the harness"),
                "export HOME=/path/to/your/home",
            )])
        })?,
    };
    Ok(real(&base).join("thinkube-host/cluster"))
}

/// The path without symbolic links, as the kernel lists mounts. Else a removal would not find the mounts below it, and would
/// delete their files.
fn real(path: &Path) -> PathBuf {
    let existing = path.ancestors().find_map(|ancestor| Some((ancestor, fs::canonicalize(ancestor).ok()?)));
    match existing {
        Some((ancestor, real)) => real.join(path.strip_prefix(ancestor).unwrap_or(Path::new(""))),
        None => path.to_owned(),
    }
}

/// The files of one cluster.
#[derive(Debug, Clone)]
pub(crate) struct Layout {
    pub(crate) name: String,
    pub(crate) root: PathBuf,
}

impl Layout {
    pub(crate) fn of(name: &str) -> Result<Self> {
        let mut characters = name.chars();
        let good = characters.next().is_some_and(|first| first.is_ascii_lowercase())
            && characters.all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-')
            && name.len() <= 20;
        if !good {
            return Err(Error::Name(name.to_owned()));
        }
        Ok(Self { name: name.to_owned(), root: state()?.join(name) })
    }

    pub(crate) fn path(&self, below: &str) -> PathBuf {
        self.root.join(below)
    }

    /// Beside the folder, because `down` holds it while it removes the folder.
    pub(crate) fn lock(&self) -> PathBuf {
        self.root.with_extension("lock")
    }

    pub(crate) fn record(&self) -> PathBuf {
        self.path("state.json")
    }

    pub(crate) fn kubeconfig(&self) -> PathBuf {
        self.path("kubeconfig")
    }

    pub(crate) fn audit_log(&self) -> PathBuf {
        self.path("audit.log")
    }

    pub(crate) fn logs(&self) -> PathBuf {
        self.path("logs")
    }

    pub(crate) fn log(&self, program: &str) -> PathBuf {
        self.path(&format!("logs/{program}.log"))
    }

    pub(crate) fn pki(&self, file: &str) -> PathBuf {
        self.path(&format!("pki/{file}"))
    }

    pub(crate) fn containerd_socket(&self) -> PathBuf {
        self.path("containerd.sock")
    }

    /// The resolver's configuration for processes in the cluster's network namespace that are not in a pod.
    pub(crate) fn resolver(&self) -> PathBuf {
        self.path("resolv.conf")
    }

    pub(crate) fn volumes(&self) -> PathBuf {
        self.path("volumes")
    }

    /// A short name that no other cluster of this machine has, of any user, for what is global to the machine.
    pub(crate) fn id(&self) -> String {
        format!("{}-{}", self.name, &content_hash(&[self.root.as_os_str().as_encoded_bytes()])[..4])
    }
}

/// Writes a file that only its owner may read, under a temporary name first, so that a reader sees all of it or nothing.
pub(crate) fn write(path: &Path, content: impl AsRef<[u8]>) -> Result<()> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder).at(folder)?;
    }
    let partial = path.with_added_extension("partial");
    // A leftover may have another mode.
    let _ = fs::remove_file(&partial);
    let mut file =
        fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&partial).at(&partial)?;
    file.write_all(content.as_ref()).at(&partial)?;
    fs::rename(&partial, path).at(path)
}

/// Finds a program on [`search_path`].
pub(crate) fn program(name: &str) -> Option<PathBuf> {
    env::split_paths(&search_path()).map(|folder| folder.join(name)).find(|path| path.is_file())
}

/// PATH and the folders of administrators' programs, which a user's PATH often lacks.
pub(crate) fn search_path() -> OsString {
    let mut path = env::var_os("PATH").unwrap_or_default();
    if !path.is_empty() {
        path.push(":");
    }
    path.push("/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin");
    path
}

/// The user's PATH with a folder in front.
pub(crate) fn path_with(folder: &Path) -> OsString {
    let mut path = folder.as_os_str().to_owned();
    path.push(":");
    path.push(env::var_os("PATH").unwrap_or_else(search_path));
    path
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_real_even_before_the_folder_exists() {
        let folder = tempfile::tempdir().expect("a folder");
        let real_folder = fs::canonicalize(folder.path()).expect("a path");
        fs::create_dir(folder.path().join("real")).expect("a folder");
        std::os::unix::fs::symlink("real", folder.path().join("link")).expect("a link");
        assert_eq!(real(&folder.path().join("link/not/yet")), real_folder.join("real/not/yet"));
    }
}
