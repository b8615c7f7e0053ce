//! The variables of a platform's inventory as settings.

use crate::{refused, text};
use serde_json::Value;
use std::fs;
use std::io::Write as _;
use std::process::Stdio;
use tempfile::TempDir;
use thinkube_e2e::{command, devpi, run};

const PLATFORM: &str = "tests/e2e/tests/given/platform.yaml";
const CANARY: &str = "canary-inventory-2b81";

/// The same as [`PLATFORM`], by hand.
const BY_HAND: &str = "
domain_name: example.com
admin_username: tkadmin
auth_realm_username: thinkube
harbor_registry: registry.example.com
harbor_project: library
keycloak_url: https://auth.example.com
keycloak_realm: thinkube
oauth2_proxy_enabled: true
devpi_namespace: packages
devpi_dashboard_hostname: packages.example.com
devpi_api_hostname: packages-api.example.com
devpi_index_name: stable
";

fn plan(more: &[&str]) -> Value {
    run(&[&["plan", text(devpi()), "-o", "json"], more].concat()).ends_with(0).json()
}

fn file(content: &str) -> (TempDir, String) {
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let path = folder.path().join("file.yaml");
    fs::write(&path, content).expect("the folder is writable");
    let path = text(&path).to_owned();
    (folder, path)
}

#[test]
fn the_inventory_of_a_platform_gives_the_plan_of_settings_by_hand() {
    let (_folder, by_hand) = file(BY_HAND);
    let from_inventory = plan(&["--inventory", PLATFORM]);
    assert_eq!(from_inventory["digest"], plan(&["-f", &by_hand])["digest"]);
    let inventory = &from_inventory["inventory"];
    assert_eq!(inventory["taken"].as_array().expect("it is a list").len(), 12);
    assert_eq!(
        inventory["withoutEffect"].to_string(),
        r#"["helm_bin","kubeconfig","kubectl_bin","system_username"]"#
    );
    let foreign = inventory["foreign"].to_string();
    for name in ["ansible_become_password", "postgres_hostname", "gpu"] {
        assert!(foreign.contains(name), "{name} is not in {foreign}");
    }
    assert!(plan(&["-f", &by_hand])["inventory"].is_null());
}

#[test]
fn variables_of_other_components_are_counted_and_listed_without_values() {
    let arguments = ["plan", text(devpi()), "--inventory", PLATFORM];
    let counted = run(&arguments).ends_with(0);
    assert!(
        counted.stderr.contains("inventory: 13 of 29 variables belong to other components"),
        "{}",
        counted.stderr
    );
    assert!(!counted.stderr.contains("gitea_hostname"), "{}", counted.stderr);
    let listed = run(&[&arguments[..], &["-v"]].concat()).ends_with(0);
    assert!(listed.stderr.contains("gitea_hostname"), "{}", listed.stderr);
    let quiet = run(&[&arguments[..], &["-q"]].concat()).ends_with(0);
    assert_eq!(quiet.stderr, "");
    let json = run(&[&arguments[..], &["-o", "json"]].concat()).ends_with(0);
    for run in [counted, listed, json] {
        assert!(!run.stdout.contains(CANARY) && !run.stderr.contains(CANARY));
    }
}

#[test]
fn a_settings_file_wins_over_the_inventory_and_a_single_setting_over_both() {
    let (_folder, settings) = file("devpi_index_name: dev\ndomain_name: other.org\n");
    let plan = plan(&["--inventory", PLATFORM, "-f", &settings, "--set", "devpi_index_name=test"]);
    let settings = &plan["plan"]["settings"];
    assert_eq!(settings["devpi_index_name"], "test");
    // What follows from a variable follows from the value that won.
    assert_eq!(settings["devpi_api_hostname"], "packages-api.other.org");
    let overridden = plan["inventory"]["overridden"].to_string();
    assert_eq!(overridden, r#"["devpi_index_name","domain_name"]"#);
}

#[test]
fn a_settings_file_stays_strict() {
    let (_folder, settings) = file("domain_name: example.com\ngitea_hostname: git.example.com\n");
    refused(&["plan", text(devpi()), "-f", &settings], 3, "settings", &["/gitea_hostname"]);
}

#[test]
fn render_and_workstation_take_an_inventory_too() {
    let rendered = run(&["render", text(devpi()), "--inventory", PLATFORM]).ends_with(0).stdout;
    assert!(rendered.contains("packages-api.example.com"));
    let home = tempfile::tempdir().expect("a temporary folder can be made");
    let arguments = ["workstation", "plan", text(devpi()), "--inventory", PLATFORM, "--home"];
    let planned = run(&[&arguments[..], &[text(home.path()), "-o", "json"]].concat()).ends_with(0).json();
    assert!(planned["setup"].to_string().contains("packages-api.example.com"));
    assert_eq!(planned["inventory"]["taken"].as_array().expect("it is a list").len(), 12);
}

#[test]
fn an_inventory_comes_from_stdin_once() {
    let mut from_stdin = command(&["plan", text(devpi()), "--inventory", "-", "-o", "json"]);
    let mut running =
        from_stdin.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("runs");
    running.stdin.take().expect("piped").write_all(b"domain_name: '{{ x | y }}'\n").expect("read");
    let output = running.wait_with_output().expect("the process ends");
    assert_eq!(output.status.code(), Some(3));
    assert!(String::from_utf8_lossy(&output.stderr).contains("stdin:1: `domain_name` has a template"));
    refused(&["plan", text(devpi()), "--inventory", "-", "-f", "-"], 2, "usage", &["only one file"]);
    refused(&["plan", text(devpi()), "--inventory", "-", "--grants", "-"], 2, "usage", &["only one file"]);
}

#[test]
fn an_unusable_variable_is_refused_with_file_and_line_without_its_value() {
    for (content, printed) in [
        (
            "domain_name: a.org\ndevpi_indexname: x\n",
            "file.yaml:2: `devpi_indexname` begins like a variable of devpi",
        ),
        ("domain_nam: a.org\n", "file.yaml:1: `domain_nam` resembles the setting `domain_name`"),
        (
            "domain_name: '{{ x }}'\n",
            "file.yaml:1: `domain_name` names `x`, which the inventory does not have",
        ),
        ("domain_name: '{{ x }}'\nx: '{{ domain_name }}'\n", "follows from itself"),
        (
            "domain_name: '{{ a }}'\na: \"{{ 'canary-inventory-2b81' | b }}\"\n",
            "file.yaml:2: `a`, which `domain_name` needs",
        ),
        (
            "domain_name: 'a{{ admin_password }}'\nadmin_password: canary-inventory-2b81\n",
            "looks like a password",
        ),
        (
            "domain_name: '{{ adminPassword }}'\nadminPassword: canary-inventory-2b81\n",
            "looks like a password",
        ),
        (
            "oauth2_proxy_enabled: '{{ x }}'\nx: canary-inventory-2b81\n",
            "file.yaml:1: `oauth2_proxy_enabled`: the value is not of type",
        ),
        (
            "devpi_index_name: '{{ x }}'\nx: canary-inventory-2b81/\n",
            "file.yaml:1: `devpi_index_name`: the value does not match",
        ),
        ("x: canary-inventory-2b81\nx: 1\n", "twice"),
        ("- canary-inventory-2b81\n", "a mapping of names to values"),
    ] {
        let (_folder, path) = file(content);
        let message = refused(&["plan", text(devpi()), "--inventory", &path], 3, "inventory", &[printed]);
        assert!(!message.contains(CANARY), "{message}");
    }
    let (_folder, path) = file(&format!("x: {}", "[".repeat(100_000)));
    refused(&["plan", text(devpi()), "--inventory", &path], 3, "inventory", &["levels deep"]);
    refused(&["plan", text(devpi()), "--inventory", "/dev/zero"], 3, "input", &["/dev/zero"]);
    refused(&["plan", text(devpi()), "--inventory", "/nonexistent"], 3, "input", &["/nonexistent"]);
}
