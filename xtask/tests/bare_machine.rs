//! What a developer's commands say on a machine that has next to nothing.

use std::process::{Command, Output};
use std::time::{Duration, Instant};

/// xtask with a PATH on which nothing lies. Programs in the system's own folders are still found by those parts of the
/// harness that search there.
fn bare(arguments: &[&str]) -> (Output, Duration) {
    let home = tempfile::tempdir().expect("a temporary folder");
    let begin = Instant::now();
    let mut xtask = Command::new(env!("CARGO_BIN_EXE_xtask"));
    xtask.args(arguments).env_clear().env("PATH", home.path().join("bin")).env("HOME", home.path());
    (xtask.output().expect("it runs"), begin.elapsed())
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn the_demo_names_every_missing_tool_within_seconds() {
    let (output, took) = bare(&["demo"]);
    let stderr = text(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{stderr}");
    assert!(took < Duration::from_secs(10), "{took:?}");
    for expected in ["Rust is missing", "https://rustup.rs", "Go tool chain is missing", "https://go.dev"] {
        assert!(stderr.contains(expected), "`{expected}` is not in {stderr}");
    }
}

#[test]
fn the_check_of_the_source_asks_for_no_cluster() {
    let (output, took) = bare(&["check"]);
    let stderr = text(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{stderr}");
    assert!(took < Duration::from_secs(10), "{took:?}");
    assert!(stderr.contains("clippy is missing") && !stderr.contains("Go tool chain"), "{stderr}");
}

#[test]
fn doctor_lists_every_requirement_and_ends_with_3_when_one_is_missing() {
    let (output, _) = bare(&["doctor", "--output", "json"]);
    assert_eq!(output.status.code(), Some(3), "{}", text(&output.stderr));
    let listed: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let missing = |name: &str| {
        let entry = listed.as_array().expect("a list").iter().find(|entry| entry["name"] == name);
        entry.expect(name)["missing"]["fix"].clone()
    };
    assert!(missing("Go").as_str().is_some_and(|fix| fix.contains("go.dev")), "{listed}");
    assert!(missing("git").as_str().is_some_and(|fix| fix.contains("git")), "{listed}");
    let (shown, _) = bare(&["doctor"]);
    assert!(text(&shown.stdout).contains("fix: install rustup"), "{}", text(&shown.stdout));
}
