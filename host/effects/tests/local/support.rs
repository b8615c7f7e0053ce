//! A home directory for tests.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use tempfile::TempDir;
use thinkube_effects::{
    Skipped, Workstation, WorkstationAction, WorkstationChange, WorkstationError, WorkstationEvent,
    WorkstationReport,
};
use thinkube_plan::{CarriedGrants, Permission, WorkstationFile, WorkstationPlan};

/// A home directory, the directory of its records, and a directory beside it that no test may change.
pub(crate) struct Place {
    folder: TempDir,
}

impl Place {
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().expect("a temporary directory");
        for name in ["home", "outside"] {
            fs::create_dir(folder.path().join(name)).expect("writable");
        }
        Self { folder }
    }

    pub(crate) fn home(&self) -> PathBuf {
        self.folder.path().join("home")
    }

    /// The directory that no test may change.
    pub(crate) fn outside(&self) -> PathBuf {
        self.folder.path().join("outside")
    }

    pub(crate) fn state(&self) -> PathBuf {
        self.folder.path().join("state/workstation")
    }

    pub(crate) fn open(&self) -> Workstation {
        Workstation::open(&self.home(), &self.state()).unwrap_or_else(|error| panic!("{error}"))
    }

    pub(crate) fn write(&self, path: &str, content: &str) {
        let path = self.home().join(path);
        fs::create_dir_all(path.parent().expect("a path below the home")).expect("writable");
        fs::write(path, content).expect("writable");
    }

    pub(crate) fn read(&self, path: &str) -> String {
        fs::read_to_string(self.home().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
    }

    pub(crate) fn mode(&self, path: &str) -> u32 {
        fs::symlink_metadata(self.home().join(path))
            .unwrap_or_else(|error| panic!("{path}: {error}"))
            .permissions()
            .mode()
            & 0o7777
    }

    /// Every entry of the home, with contents and modes.
    pub(crate) fn all(&self) -> Vec<(String, String)> {
        listing(&self.home())
    }

    pub(crate) fn diff(&self, setup: &WorkstationPlan) -> Vec<WorkstationChange> {
        let home = self.open();
        let release = home.release("devpi").unwrap_or_else(|error| panic!("{error}"));
        release.diff(setup, &granted()).unwrap_or_else(|error| panic!("{error}"))
    }

    pub(crate) async fn apply(
        &self,
        setup: &WorkstationPlan,
        overwrite: &[&str],
    ) -> Result<WorkstationReport, WorkstationError> {
        self.apply_watched(setup, overwrite, &|_| ()).await
    }

    pub(crate) async fn apply_watched(
        &self,
        setup: &WorkstationPlan,
        overwrite: &[&str],
        events: &(dyn Fn(WorkstationEvent) + Send + Sync),
    ) -> Result<WorkstationReport, WorkstationError> {
        let home = self.open();
        let mut release = home.release("devpi")?;
        let shown = release.diff(setup, &granted())?;
        release.apply(setup, &held(), &shown, &owned(overwrite), events).await
    }

    pub(crate) fn remove(&self, overwrite: &[&str]) -> Vec<Skipped> {
        self.remove_watched(overwrite, &|_| ()).unwrap_or_else(|error| panic!("{error}"))
    }

    pub(crate) fn remove_watched(
        &self,
        overwrite: &[&str],
        events: &(dyn Fn(WorkstationEvent) + Send + Sync),
    ) -> Result<Vec<Skipped>, WorkstationError> {
        self.open().release("devpi")?.remove(&owned(overwrite), events)
    }

    pub(crate) fn record(&self) -> PathBuf {
        self.state().join("devpi.json")
    }
}

fn owned(paths: &[&str]) -> Vec<String> {
    paths.iter().map(|path| (*path).to_owned()).collect()
}

/// Every entry below a directory, with its content and mode, or the target of its link.
pub(crate) fn listing(folder: &Path) -> Vec<(String, String)> {
    let mut found = Vec::new();
    walk(folder, folder, &mut found);
    found.sort();
    found
}

fn walk(root: &Path, folder: &Path, found: &mut Vec<(String, String)>) {
    for entry in fs::read_dir(folder).expect("a directory") {
        let path = entry.expect("readable").path();
        let kind = fs::symlink_metadata(&path).expect("the entry exists");
        let mode = kind.permissions().mode() & 0o7777;
        let what = if kind.is_dir() {
            walk(root, &path, found);
            format!("{mode:o} directory")
        } else if kind.is_symlink() {
            format!("-> {}", fs::read_link(&path).expect("a link").display())
        } else {
            format!("{mode:o} {}", String::from_utf8_lossy(&fs::read(&path).expect("readable")))
        };
        found.push((path.strip_prefix(root).expect("a path below the root").display().to_string(), what));
    }
}

/// The grants of every test.
pub(crate) fn granted() -> Vec<Permission> {
    [".config", ".pip", "devpi-scripts"]
        .map(|path| Permission::WriteHome(path.to_owned()))
        .into_iter()
        .chain([Permission::PythonPackage("tiny".to_owned())])
        .collect()
}

/// The grants, with the settings and the permissions as they were agreed to.
pub(crate) fn held() -> CarriedGrants {
    let settings = serde_json::json!({ "folder": ".config" });
    CarriedGrants {
        settings,
        granted: granted(),
        agreed: vec![Permission::WriteHome("${folder}".to_owned())],
    }
}

pub(crate) fn file(path: &str, mode: u32, content: &str) -> WorkstationFile {
    WorkstationFile { path: path.to_owned(), mode, content: content.to_owned() }
}

pub(crate) fn files(files: &[(&str, &str)]) -> WorkstationPlan {
    WorkstationPlan {
        files: files.iter().map(|(path, content)| file(path, 0o644, content)).collect(),
        ..WorkstationPlan::default()
    }
}

/// The name of this test, with which it runs alone.
pub(crate) fn thread_name() -> String {
    std::thread::current().name().expect("a test has a name").to_owned()
}

/// The action of one path.
pub(crate) fn action<'a>(changes: &'a [WorkstationChange], path: &str) -> &'a WorkstationAction {
    let found: Vec<&WorkstationChange> = changes.iter().filter(|change| change.path == path).collect();
    assert_eq!(found.len(), 1, "{path} in {changes:?}");
    &found[0].action
}
