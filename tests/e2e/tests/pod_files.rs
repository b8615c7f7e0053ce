//! Files in pods, by the host's command line.

use serde_json::Value;
use std::ops::Deref;
use std::path::PathBuf;
use std::process::Command;
use thinkube_e2e::release::Release;
use thinkube_e2e::{Run, finish, plugin};
use thinkube_test_cluster::Addon;

const TEXT: &str = "/tmp/greeting/text";

/// A release of the files plugin.
struct Files(Release);

impl Deref for Files {
    type Target = Release;

    fn deref(&self) -> &Release {
        &self.0
    }
}

impl Files {
    /// `None` without a node.
    fn new() -> Option<Self> {
        let files = Self(Release::with("files", [Addon::Node])?);
        files.write("grants.yaml", files.permissions(true));
        Some(files)
    }

    fn grants(&self) -> PathBuf {
        self.path("grants.yaml")
    }

    fn permissions(&self, in_pods: bool) -> String {
        let mut text = "permissions:\n  - emit: { apiVersion: v1, kind: Namespace, scope: ownNamespace }\n  - emit: { apiVersion: apps/v1, kind: Deployment, scope: ownNamespace }\n".to_owned();
        if in_pods {
            text.push_str(&format!("  - writePodFiles: {}\n", self.name));
        }
        text
    }

    fn with_plugin(&self, before: &str, after: &[&str]) -> Run {
        let component = plugin("tests/files-plugin");
        let mut command = self.command(&[before]);
        command.arg(component).args(["--release", &self.name, "--set", &self.toolbox_setting("image")]);
        finish(command.arg("--grants").arg(self.grants()).args(after))
    }

    fn apply(&self, after: &[&str]) -> Run {
        self.with_plugin("apply", &[&["--yes", "-o", "json"][..], after].concat())
    }

    fn in_pod(&self, program: &[&str]) -> Run {
        self.kubectl(&[&["exec", "-n", &self.name, "deploy/shell", "--"], program].concat())
    }
}

#[test]
fn files_in_pods_are_planned_written_kept_changed_and_removed() {
    let Some(release) = Files::new() else { return };
    let line = ["--set", "line=export A='$(id)'"];
    let applied = release.apply(&line).ends_with(0);
    assert!(applied.stderr.contains(&format!("{TEXT} in pod")), "{}", applied.stderr);
    assert_eq!(release.in_pod(&["cat", TEXT]).ends_with(0).stdout, "hello\n");
    assert_eq!(release.in_pod(&["cat", "/tmp/profile"]).ends_with(0).stdout, "export A='$(id)'\n");
    assert_eq!(release.apply(&line).ends_with(0).json()["changed"], false);

    let plan =
        release.with_plugin("plan", &["--cluster", "-o", "json", "--set", "greeting=good day"]).ends_with(0);
    let changes = plan.json()["podFiles"].as_array().expect("it is a list").clone();
    let actions: Vec<&Value> = changes.iter().map(|change| &change["action"]).collect();
    assert_eq!(actions, ["update", "delete"], "{changes:?}");
    let shown = release.with_plugin("plan", &["--cluster", "--set", "selector=app=none"]).ends_with(0).stdout;
    assert!(shown.contains("has the labels app=none"), "{shown}");

    let uninstalled = release.uninstall(&["-o", "json"]).json();
    assert_eq!(uninstalled["podFiles"].as_array().expect("it is a list").len(), 2, "{uninstalled}");
}

#[test]
fn an_operation_leaves_files_in_pods_alone() {
    let Some(release) = Files::new() else { return };
    release.apply(&[]).ends_with(0);
    let run = |operation: &str, how: &str| {
        let component = plugin("tests/files-plugin");
        let mut command = release.command(&["run", operation, "--release", &release.name, "--plugin"]);
        finish(command.arg(component).args([how, "-o", "json"]))
    };
    let shown = run("pass-by", "--dry-run").ends_with(0).json();
    assert_eq!(shown["podFiles"], serde_json::json!([]), "{shown}");
    run("pass-by", "--yes").ends_with(0);
    assert_eq!(release.in_pod(&["cat", TEXT]).ends_with(0).stdout, "hello\n");
    assert_eq!(release.apply(&[]).ends_with(0).json()["changed"], false);
    let error = run("write", "--yes").ends_with(5).error();
    assert_eq!(error["error"]["kind"], "invalid-plan", "{error}");
}

#[test]
fn files_in_pods_of_a_namespace_without_a_grant_are_refused() {
    let Some(release) = Files::new() else { return };
    release.write("grants.yaml", release.permissions(false));
    let error = release.apply(&[]).ends_with(4).error();
    assert_eq!(error["error"]["kind"], "denied", "{error}");
    assert!(
        error["error"]["message"].as_str().expect("it is text").contains("write files in pods of"),
        "{error}"
    );
    release.kubectl(&["get", "namespace", &release.name]).ends_with(1);
}

#[test]
fn an_uninstall_removes_workstation_files_of_the_same_settings() {
    let Some(release) = Files::new() else { return };
    let home = tempfile::tempdir().expect("a temporary folder can be made");
    let image = release.toolbox_setting("image");
    let at_home =
        |mut command: Command| finish(command.env("HOME", home.path()).env_remove("XDG_STATE_HOME"));
    let file = home.path().join(".config/greeting/text");
    for (settings, ours) in [(&[image.as_str()][..], true), (&[&image, "greeting=changed"], false)] {
        release.apply(&[]).ends_with(0);
        let mut setup = release.command(&["workstation", "apply"]);
        setup.arg(plugin("tests/files-plugin")).args([
            "--release",
            &release.name,
            "--yes",
            "--grant-requested",
        ]);
        setup.args(settings.iter().flat_map(|setting| ["--set", setting]));
        at_home(setup).ends_with(0);
        assert!(file.exists());
        let taken = at_home(release.command(&["uninstall", &release.name, "--yes", "-o", "json"]));
        let taken = taken.ends_with(0).json();
        assert_eq!((&taken["home"]["ours"], file.exists()), (&Value::Bool(ours), !ours), "{taken}");
    }
}
