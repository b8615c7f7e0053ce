//! Python packages in an environment of the release's own, by a real Python and a real pip.

use crate::support::{Place, action, files, thread_name};
use std::env;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::sync::Mutex;
use thinkube_effects::{DiffLine, WorkstationAction, WorkstationError, WorkstationEvent};
use thinkube_plan::WorkstationPlan;
use thinkube_test_cluster::skip;

const ENVIRONMENT: &str = ".local/share/thinkube/venvs/devpi";

/// This machine's own settings of pip would win over those in the home.
const INSIDE: &str = "THINKUBE_TEST_INSIDE";

fn packages(packages: &[&str]) -> WorkstationPlan {
    WorkstationPlan {
        python_packages: packages.iter().map(|package| (*package).to_owned()).collect(),
        ..WorkstationPlan::default()
    }
}

fn python(script: &str, folder: &Path) {
    let mut python = Command::new("python3");
    // The host passes this by; a Python that is started here would not.
    python.args(["-c", script]).current_dir(folder).env_remove("PYTHONHOME");
    let status = python.status().expect("Python runs");
    assert!(status.success());
}

const WHEEL: &str = "import zipfile\n\
    z = zipfile.ZipFile('tiny-1.0-py3-none-any.whl', 'w')\n\
    z.writestr('tiny.py', 'ANSWER = 42\\n')\n\
    z.writestr('tiny-1.0.dist-info/METADATA', 'Metadata-Version: 2.1\\nName: tiny\\nVersion: 1.0\\n')\n\
    z.writestr('tiny-1.0.dist-info/WHEEL', 'Wheel-Version: 1.0\\nGenerator: test\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n')\n\
    z.writestr('tiny-1.0.dist-info/RECORD', 'tiny.py,,\\ntiny-1.0.dist-info/METADATA,,\\ntiny-1.0.dist-info/WHEEL,,\\ntiny-1.0.dist-info/RECORD,,\\n')\n\
    z.close()\n";

/// An index with one package, which is found by the settings of pip in the home alone.
fn index(place: &Place) {
    python(WHEEL, &place.outside());
    let settings = format!("[global]\nno-index = true\nfind-links = {}\n", place.outside().display());
    place.write(".config/pip/pip.conf", &settings);
}

fn imports(place: &Place) -> bool {
    let python = place.home().join(ENVIRONMENT).join("bin/python");
    Command::new(python)
        .env_remove("PYTHONHOME")
        .args(["-c", "import tiny; assert tiny.ANSWER == 42"])
        .status()
        .is_ok_and(|status| status.success())
}

/// Runs a test again in a process of its own, whose environment has this, and nothing of this machine's settings of pip.
/// Whether this is that process. Without Python there is none, and the test is counted as skipped.
fn in_a_process_of_its_own(environment: &[(&str, &Path)]) -> bool {
    if env::var_os(INSIDE).is_some() {
        return true;
    }
    if !python_can_make_environments() {
        return false;
    }
    let mut again = Command::new(env::current_exe().expect("a test is a program"));
    for (name, _) in env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("PIP_")) {
        again.env_remove(name);
    }
    let name = thread_name();
    again.args(["--exact", &name, "--nocapture"]).env(INSIDE, "1").env_remove("XDG_CONFIG_HOME");
    let output = again.envs(environment.iter().copied()).output().expect("it runs");
    let printed =
        [output.stdout, output.stderr].map(|printed| String::from_utf8_lossy(&printed).into_owned()).concat();
    assert!(output.status.success(), "{printed}");
    false
}

fn python_can_make_environments() -> bool {
    let modules = Command::new("python3").args(["-c", "import venv, ensurepip"]).status();
    let can = modules.is_ok_and(|status| status.success());
    if !can {
        skip("there is no python3 with its module venv");
    }
    can
}

fn block_on(test: impl Future<Output = ()>) {
    tokio::runtime::Runtime::new().expect("a runtime").block_on(test);
}

#[test]
fn packages_are_installed_once_and_a_failure_keeps_the_former_ones() {
    // Were these to count, nothing would be found.
    let nowhere = Path::new("/nowhere");
    let hostile = [("PIP_TARGET", nowhere), ("PYTHONHOME", nowhere)];
    if in_a_process_of_its_own(&hostile) {
        block_on(installs());
    }
}

/// The setup of a package index: its client, and pip led to an index that does not answer.
fn leading_to_an_index_that_does_not_answer(package: &str) -> WorkstationPlan {
    let settings =
        "[global]\nindex-url = http://127.0.0.1:9/root/stable/+simple/\nretries = 0\ntimeout = 2\n";
    WorkstationPlan { files: files(&[(".pip/pip.conf", settings)]).files, ..packages(&[package]) }
}

/// Machine-wide settings of pip that lead to an index with one package.
fn machine_wide(folder: &Path) {
    let simple = folder.join("simple/tiny");
    fs::create_dir_all(&simple).expect("writable");
    python(WHEEL, &simple);
    let wheel = "tiny-1.0-py3-none-any.whl";
    fs::write(simple.join("index.html"), format!("<a href=\"{wheel}\">{wheel}</a>")).expect("writable");
    fs::create_dir_all(folder.join("pip")).expect("writable");
    let settings = format!("[global]\nindex-url = file://{}/simple/\n", folder.display());
    fs::write(folder.join("pip/pip.conf"), settings).expect("writable");
}

#[test]
fn the_releases_own_pip_configuration_is_not_used_for_the_install() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    if in_a_process_of_its_own(&[("XDG_CONFIG_DIRS", folder.path())]) {
        block_on(installs_beside_its_configuration());
    }
}

async fn installs_beside_its_configuration() {
    machine_wide(Path::new(&env::var_os("XDG_CONFIG_DIRS").expect("it is given")));
    let place = Place::new();
    let setup = leading_to_an_index_that_does_not_answer("tiny==1.0");
    let applied = place.apply(&setup, &[]).await.unwrap_or_else(|error| panic!("{error}"));
    assert!(applied.changed && imports(&place));
    assert!(place.read(".pip/pip.conf").contains("127.0.0.1:9"));

    // The environment is made again in a home that has the file already.
    fs::remove_dir_all(place.home().join(ENVIRONMENT)).expect("ours");
    let applied = place.apply(&setup, &[]).await.unwrap_or_else(|error| panic!("{error}"));
    assert!(applied.changed && imports(&place));

    // What the operator has set counts, wherever pip finds it.
    fs::remove_dir_all(place.home().join(ENVIRONMENT)).expect("ours");
    place.write(".config/pip/pip.conf", "[global]\nno-index = true\n");
    let error = place.apply(&setup, &[]).await.expect_err("the operator allows no index");
    assert!(matches!(error, WorkstationError::Python { what: "pip install", .. }), "{error}");
    assert!(place.read(".pip/pip.conf").contains("127.0.0.1:9"), "the files stay");
}

#[tokio::test]
async fn a_failed_install_leaves_the_files_unwritten() {
    if !python_can_make_environments() {
        return;
    }
    let place = Place::new();
    let setup = leading_to_an_index_that_does_not_answer("tiny==99999");
    place.write(".config/pip/pip.conf", "[global]\nno-index = true\n");
    let error = place.apply(&setup, &[]).await.expect_err("there is none");
    assert!(matches!(error, WorkstationError::Python { .. }), "{error}");
    assert!(!place.home().join(".pip/pip.conf").exists());
}

async fn installs() {
    let place = Place::new();
    index(&place);
    assert_eq!(*action(&place.diff(&packages(&["Tiny==1.0"])), ENVIRONMENT), WorkstationAction::Create);
    let printed = Mutex::new(Vec::new());
    let events = |event| {
        if let WorkstationEvent::Output(line) = event {
            printed.lock().expect("no thread panicked").push(line);
        }
    };
    let applied = place.apply_watched(&packages(&["Tiny==1.0"]), &[], &events).await;
    assert!(applied.unwrap_or_else(|error| panic!("{error}")).changed);
    assert!(imports(&place));
    assert!(printed.into_inner().expect("no thread panicked").iter().any(|line| line.contains("tiny")));

    // Written another way it is the same.
    assert_eq!(*action(&place.diff(&packages(&["tiny==1.0"])), ENVIRONMENT), WorkstationAction::Unchanged);
    assert!(!place.apply(&packages(&["tiny==1.0"]), &[]).await.expect("nothing to do").changed);

    // There is no such version.
    let lines = vec![DiffLine::Removed("tiny==1.0".into()), DiffLine::Added("tiny==2.0".into())];
    let plan = place.diff(&packages(&["tiny==2.0"]));
    assert_eq!(*action(&plan, ENVIRONMENT), WorkstationAction::Update { lines, mode: None });
    let error = place.apply(&packages(&["tiny==2.0"]), &[]).await.expect_err("there is none");
    assert!(matches!(error, WorkstationError::Python { what: "pip install", .. }), "{error}");
    assert!(imports(&place), "the one before is back");
    assert_eq!(*action(&place.diff(&packages(&["tiny==1.0"])), ENVIRONMENT), WorkstationAction::Unchanged);

    // A host that died while it made a new one has left the one before aside.
    let (path, old) = (place.home().join(ENVIRONMENT), place.home().join(format!("{ENVIRONMENT}.old")));
    fs::rename(&path, &old).expect("ours");
    fs::create_dir(&path).expect("ours");
    assert_eq!(*action(&place.diff(&packages(&["tiny==1.0"])), ENVIRONMENT), WorkstationAction::Unchanged);
    assert!(imports(&place) && !old.exists());

    assert_eq!(place.remove(&[]), []);
    // pip asks for the version of rustc, and rustup then makes a folder of its own in the home.
    let paths = place.all().into_iter().map(|(path, _)| path);
    let left: Vec<String> = paths.filter(|path| !path.starts_with(".rustup")).collect();
    assert_eq!(left, [".config", ".config/pip", ".config/pip/pip.conf"]);
}

#[tokio::test]
async fn a_foreign_virtual_environment_blocks_the_plan() {
    let place = Place::new();
    place.write(&format!("{ENVIRONMENT}/mine"), "mine");
    let plan = place.diff(&packages(&["tiny==1.0"]));
    assert!(matches!(action(&plan, ENVIRONMENT), WorkstationAction::Blocked { .. }));
    let applied = place.apply(&packages(&["tiny==1.0"]), &[]).await.expect("nothing is done");
    assert!(!applied.changed);
    assert_eq!(applied.skipped.len(), 1);
    assert_eq!(place.remove(&[]), []);
    assert_eq!(place.read(&format!("{ENVIRONMENT}/mine")), "mine");
}

#[tokio::test]
async fn a_package_that_is_not_granted_or_not_pinned_is_refused() {
    let place = Place::new();
    for wrong in ["requests==2.0", "tiny", "tiny>=1.0", "tiny==1.0 --index-url=https://evil.example/"] {
        assert!(
            matches!(place.apply(&packages(&[wrong]), &[]).await, Err(WorkstationError::InvalidPlan(_))),
            "{wrong}"
        );
    }
    assert_eq!(place.all(), []);
}
