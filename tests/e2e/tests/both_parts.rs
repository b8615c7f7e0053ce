//! `apply --workstation`: the part of a release in a cluster and the part in a home, by one command.

use serde_json::Value;
use std::fs;
use std::ops::Deref;
use std::path::PathBuf;
use tempfile::TempDir;
use thinkube_e2e::release::Release;
use thinkube_e2e::{Run, finish, plugin};

const TEXT: &str = ".config/greeting/text";

/// A release of the files plugin, and a home directory of the test.
struct Both {
    release: Release,
    home: TempDir,
}

impl Deref for Both {
    type Target = Release;

    fn deref(&self) -> &Release {
        &self.release
    }
}

impl Both {
    /// `None` without a cluster.
    fn new() -> Option<Self> {
        // Without an index, so that no package can be installed.
        let release =
            Release::in_shared_cluster("both")?.env("PIP_NO_INDEX", "1").env("PIP_CONFIG_FILE", "/dev/null");
        Some(Self { release, home: tempfile::tempdir().expect("a temporary folder can be made") })
    }

    fn run(&self, verb: &str, more: &[&str]) -> Run {
        let component = plugin("tests/files-plugin").to_str().expect("the path is UTF-8");
        let both = [verb, component, "--release", &self.name, "-o", "json", "--workstation", "--home"];
        let mut command = self.command(&both);
        finish(command.arg(self.home.path()).args(more).env_remove("PIP_FIND_LINKS"))
    }

    fn apply(&self, more: &[&str]) -> Run {
        self.run("apply", &[&["--yes"], more].concat())
    }

    fn is_in_the_cluster(&self) -> bool {
        let listed = ["get", "configmaps", "-n", &self.state_namespace(), "-o", "name"];
        self.kubectl(&listed).ends_with(0).stdout.contains(&self.name)
    }

    fn text(&self) -> PathBuf {
        self.home.path().join(TEXT)
    }
}

fn message(run: &Run) -> String {
    run.error_text()
}

#[test]
fn one_command_does_both_parts_and_a_second_one_changes_nothing() {
    let Some(release) = Both::new() else { return };
    let planned = release.run("plan", &["--cluster", "--exit-code"]).ends_with(7).json();
    assert!(planned["changes"].is_array() && planned["home"]["changes"].is_array(), "{planned}");
    assert!(!release.is_in_the_cluster() && !release.text().exists(), "a plan has changed something");

    let applied = release.apply(&[]).ends_with(0).json();
    assert_eq!((&applied["changed"], &applied["home"]["changed"]), (&Value::Bool(true), &Value::Bool(true)));
    assert!(release.is_in_the_cluster());
    assert_eq!(fs::read_to_string(release.text()).expect("written"), "hello\n");

    let again = release.apply(&[]).ends_with(0).json();
    assert_eq!((&again["changed"], &again["home"]["changed"]), (&Value::Bool(false), &Value::Bool(false)));
    release.run("plan", &["--cluster", "--exit-code"]).ends_with(0);

    // One part that changes is a change of both.
    fs::remove_file(release.text()).expect("there");
    release.run("plan", &["--cluster", "--exit-code"]).ends_with(7);
    let mended = release.apply(&[]).ends_with(0).json();
    assert_eq!((&mended["changed"], &mended["home"]["changed"]), (&Value::Bool(true), &Value::Bool(true)));
}

#[test]
fn what_is_refused_in_the_home_is_found_before_the_cluster_is_changed() {
    let Some(release) = Both::new() else { return };
    let refused = release.apply(&["--set", "file=.ssh/authorized_keys"]).ends_with(4);
    assert!(message(&refused).contains(".ssh/authorized_keys"), "{}", refused.stderr);
    assert!(!release.is_in_the_cluster(), "the cluster was changed");
}

#[test]
fn a_cluster_that_refuses_leaves_the_home_as_it_is_and_says_so() {
    let Some(release) = Both::new() else { return };
    release.kubectl(&["create", "namespace", &release.name]).ends_with(0);
    let image = "registry.invalid/shell:1";
    let others = ["create", "deployment", "shell", "--replicas=0", "-n", &release.name, "--image", image];
    release.kubectl(&others).ends_with(0);
    let grants = release.home.path().join("grants.yaml");
    let permissions = format!(
        "permissions:\n\
         - emit: {{ apiVersion: v1, kind: Namespace, scope: ownNamespace }}\n\
         - emit: {{ apiVersion: apps/v1, kind: Deployment, scope: ownNamespace }}\n\
         - writeHome: .config/greeting\n\
         - writeHome: greeting\n\
         - writePodFiles: {}\n",
        release.name
    );
    fs::write(&grants, permissions).expect("the folder is writable");
    let image = format!("image={image}");
    let grants = grants.to_str().expect("it is text");
    let refused = release.apply(&["--no-wait", "--set", &image, "--grants", grants]).ends_with(4);
    let printed = message(&refused);
    assert!(
        printed.contains("no workstation file was written") && printed.contains("run the same command again"),
        "{printed}"
    );
    assert!(!release.text().exists());
    release.apply(&[]).ends_with(0);
    assert!(release.text().exists());
}

#[test]
fn a_home_that_fails_says_that_the_release_is_applied_and_how_to_go_on() {
    let Some(release) = Both::new() else { return };
    let failed = release.apply(&["--set", "package=iniconfig==99.0"]).ends_with(1);
    let printed = message(&failed);
    assert!(printed.contains(&format!("release {} is applied", release.name)), "{printed}");
    assert!(printed.contains("workstation apply"), "{printed}");
    assert!(release.is_in_the_cluster());
    let done = release.apply(&[]).ends_with(0).json();
    assert_eq!(done["home"]["changed"], true, "{done}");
    assert!(release.text().exists());
}

#[test]
fn a_file_of_another_in_its_place_is_refused_after_the_rest_is_done() {
    let Some(release) = Both::new() else { return };
    fs::create_dir_all(release.text().parent().expect("a temporary folder can be made"))
        .expect("the folder is writable");
    fs::write(release.text(), "mine\n").expect("the folder is writable");
    let applied = release.apply(&[]).ends_with(4).json();
    assert_eq!(applied["home"]["left"][0]["path"], TEXT, "{applied}");
    assert_eq!(fs::read_to_string(release.text()).expect("there"), "mine\n");
    assert!(release.is_in_the_cluster());
    release.apply(&["--overwrite", TEXT]).ends_with(0);
    assert_eq!(fs::read_to_string(release.text()).expect("there"), "hello\n");
}
