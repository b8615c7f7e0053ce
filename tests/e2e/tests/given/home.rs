//! Workstation files beside the plan for a cluster.

use crate::text;
use serde_json::Value;
use std::fs;
use std::io::Write as _;
use std::process::Stdio;
use thinkube_e2e::{command, plugin, run};

fn plan(more: &[&str]) -> Value {
    let plugin = text(plugin("tests/files-plugin"));
    run(&[&["plan", plugin, "-o", "json"], more].concat()).ends_with(0).json()
}

#[test]
fn a_plan_shows_the_home_beside_the_cluster_when_asked() {
    let home = tempfile::tempdir().expect("a temporary folder can be made");
    let home_path = text(home.path());
    assert!(plan(&[])["home"].is_null());
    let both = plan(&["--workstation", "--home", home_path]);
    assert!(both["plan"].to_string().contains("Namespace"));
    assert!(both["home"]["changes"].to_string().contains(".config/greeting/text"), "{both}");
    assert_eq!(both["home"]["home"], home_path);
    let shown = run(&["plan", text(plugin("tests/files-plugin")), "--workstation", "--home", home_path])
        .ends_with(0)
        .stdout;
    for expected in ["Namespace", "+ ~/.config/greeting/text"] {
        assert!(shown.contains(expected), "{expected} is not in {shown}");
    }
    // Beside the host's own records.
    let names =
        fs::read_dir(home.path()).expect("readable").map(|entry| entry.expect("readable").file_name());
    assert_eq!(names.filter(|name| name != ".local").count(), 0, "a plan writes no file");
}

#[test]
fn a_home_is_named_only_where_it_is_asked_for() {
    let component = text(plugin("tests/files-plugin"));
    run(&["plan", component, "--home", "/tmp"]).ends_with(2);
    run(&["apply", component, "--overwrite", "a"]).ends_with(2);
    // A fault of the part in the home is found before the other part is changed.
    let other = text(plugin("tests/operations-plugin"));
    let error =
        run(&["plan", other, "--set", "image=shell", "--workstation", "-o", "json"]).ends_with(5).error();
    assert_eq!(error["error"]["kind"], "not-offered", "{error}");
}

#[test]
fn grants_that_come_through_a_pipe_count_for_both_parts() {
    let home = tempfile::tempdir().expect("a temporary folder can be made");
    let component = text(plugin("tests/files-plugin"));
    let grants = "permissions:
         - emit: { apiVersion: v1, kind: Namespace, scope: ownNamespace }
         - emit: { apiVersion: apps/v1, kind: Deployment, scope: ownNamespace }
         - writeHome: .config/greeting
         - writeHome: greeting
         - writePodFiles: piped
";
    for source in ["-", "/dev/stdin"] {
        let mut plan = command(&["plan", component, "--release", "piped", "--workstation", "-o", "json"]);
        plan.args(["--grants", source, "--home"]).arg(home.path());
        plan.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut running = plan.spawn().expect("it runs");
        running.stdin.take().expect("piped").write_all(grants.as_bytes()).expect("read");
        let output = running.wait_with_output().expect("the process ends");
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(0), "{source}: {stderr}");
        let both: Value = serde_json::from_slice(&output.stdout).expect("JSON");
        assert_eq!(both["plan"]["granted"].as_array().expect("it is a list").len(), 5, "{both}");
        assert!(both["home"]["changes"].to_string().contains(".config/greeting/text"), "{both}");
    }
}
