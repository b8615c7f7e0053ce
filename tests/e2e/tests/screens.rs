//! The screens of the command line as snapshots, and every JSON output against its schema in docs/reference/schema.
//!
//! `INSTA_UPDATE=always` writes new snapshots; review the difference before you commit it. A snapshot must hold nothing that
//! varies: `stable` replaces paths, digests, times and the name of a release.

use serde_json::Value;
use std::fs;
use std::path::Path;
use tempfile::TempDir;
use thinkube_e2e::release::Release;
use thinkube_e2e::{Run, command, finish, plugin, root, run};

/// The setting that adds a Deployment, and files in its pods, to the plan. No pod runs in these tests.
const IMAGE: [&str; 2] = ["--set", "image=registry.example.com/shell:1"];

fn text(path: &Path) -> &str {
    path.to_str().expect("the path is UTF-8")
}

/// The plugin of the screens.
fn files() -> &'static str {
    text(plugin("tests/files-plugin"))
}

const GRANTS: &str = "permissions:
  - emit: { apiVersion: v1, kind: Namespace, scope: ownNamespace }
  - emit: { apiVersion: apps/v1, kind: Deployment, scope: ownNamespace }
  - writePodFiles: files
";

/// The arguments for a plan with every kind of step that the plugin has. They name a grants file in `folder`.
fn full_plan(command: &str, folder: &TempDir) -> Vec<String> {
    let grants = folder.path().join("grants.yaml");
    fs::write(&grants, GRANTS).expect("the folder is writable");
    let arguments =
        [command, files(), IMAGE[0], IMAGE[1], "--set", "line=export A=b", "--grants", text(&grants)];
    arguments.map(str::to_owned).to_vec()
}

fn as_strs(arguments: &[String]) -> Vec<&str> {
    arguments.iter().map(String::as_str).collect()
}

/// A word without what varies.
fn stable_word(word: &str) -> String {
    let bare = word.trim_matches(|c: char| !c.is_ascii_alphanumeric());
    let digest = bare.strip_prefix("sha256:").unwrap_or(bare);
    if digest.len() >= 12 && digest.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return word.replace(digest, "DIGEST");
    }
    if bare.len() == 20 && bare.ends_with('Z') && bare.as_bytes()[10] == b'T' {
        return word.replace(bare, "TIME");
    }
    match word.split_once("applyset-") {
        Some((before, _)) => format!("{before}APPLYSET"),
        None => word.to_owned(),
    }
}

/// A screen without what varies.
fn stable(text: &str) -> String {
    let root = root();
    let text = text.replace(root.to_str().expect("the root's path is UTF-8"), "ROOT");
    let line =
        |line: &str| line.split(' ').map(stable_word).collect::<Vec<_>>().join(" ").trim_end().to_owned();
    text.lines().map(line).collect::<Vec<_>>().join("\n")
}

/// The command line, both streams and the exit code.
fn screen(arguments: &[&str], run: &Run) -> String {
    let shown = |argument: &&str| match Path::new(argument).is_absolute() {
        true => argument.rsplit('/').next().unwrap_or(argument).to_owned(),
        false => (*argument).to_owned(),
    };
    let shown: Vec<String> = arguments.iter().map(shown).collect();
    let mut screen = format!("$ thinkube-host {}\n{}", shown.join(" "), stable(&run.stdout));
    if !run.stderr.is_empty() {
        screen += &format!("\n[stderr]\n{}", stable(&run.stderr));
    }
    format!("{screen}\n[exit code {}]", run.code)
}

#[track_caller]
fn assert_screen(name: &str, screen: &str) {
    insta::with_settings!({prepend_module_to_snapshot => false, omit_expression => true}, {
        insta::assert_snapshot!(name, screen);
    });
}

#[track_caller]
fn snapshot(name: &str, arguments: &[&str]) {
    let mut command = command(arguments);
    let run = finish(command.env("COLUMNS", "100").env_remove("RUST_LOG"));
    assert_screen(name, &screen(arguments, &run));
}

#[test]
fn help_screens() {
    snapshot("help", &["--help"]);
    for command in [
        "inspect",
        "render",
        "plan",
        "apply",
        "run",
        "check",
        "status",
        "uninstall",
        "workstation",
        "build",
        "explain",
        "completion",
    ] {
        snapshot(&format!("help-{command}"), &[command, "--help"]);
    }
    for command in ["plan", "apply", "status", "remove"] {
        snapshot(&format!("help-workstation-{command}"), &["workstation", command, "--help"]);
    }
}

#[test]
fn screens_of_a_plugin_and_its_plan() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    snapshot("inspect", &["inspect", files()]);
    snapshot("plan", &as_strs(&full_plan("plan", &folder)));
    snapshot("render", &as_strs(&full_plan("render", &folder)));
    snapshot("explain", &["explain", "not-owned"]);
    snapshot("explain-list", &["explain"]);
}

#[test]
fn screens_of_errors() {
    snapshot("error-no-kubeconfig", &["status"]);
    snapshot("error-unknown-command", &["aply"]);
    snapshot("error-secret-value", &["apply", "a.wasm", "--secret", "password=hunter2"]);
    snapshot("error-file", &["inspect", "/nonexistent/plugin.wasm"]);
    snapshot("error-folder", &["build", "/nonexistent"]);
    snapshot("error-setting", &["plan", files(), "--set", "greting=x"]);
    snapshot("error-denied", &[&["plan", files()][..], &IMAGE].concat());
    snapshot("error-kind", &["explain", "nothing"]);
    snapshot("error-json", &["status", "-o", "json"]);
}

#[test]
fn an_unusable_cache_is_reported_and_can_be_silenced() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let cache = folder.path().join("cache");
    fs::write(&cache, "a file where a folder is needed").expect("the folder is writable");
    let inspect = |arguments: &[&str]| {
        let mut command = command(&[&["inspect", files()][..], arguments].concat());
        finish(command.env("XDG_CACHE_HOME", &cache).env_remove("RUST_LOG")).ends_with(0).stderr
    };
    let warning = inspect(&[]);
    assert!(warning.starts_with("warning: ") && warning.contains("cache"), "{warning}");
    assert_eq!(inspect(&["-q"]), "");
    let json: Value =
        serde_json::from_str(inspect(&["--log-format", "json"]).trim()).expect("the line is JSON");
    assert_eq!(json["level"], "WARN", "{json}");
}

#[test]
fn verbose_logs_the_plugin_and_rust_log_replaces_the_filter() {
    let inspect = |arguments: &[&str], filter: &str| {
        let mut command = command(&[&["inspect", files()][..], arguments].concat());
        finish(command.env("RUST_LOG", filter)).ends_with(0).stderr
    };
    assert_eq!(inspect(&[], ""), "");
    assert!(inspect(&["-v"], "").contains("info: loaded the plugin"));
    assert!(inspect(&[], "thinkube_host=info").contains("info: loaded the plugin"));
    assert_eq!(inspect(&["-v"], "off"), "");
    assert!(inspect(&[], "thinkube=loud").contains("warning: RUST_LOG is not a valid filter"));
}

/// Asserts that the output of a command keeps the schema of that name.
#[track_caller]
fn assert_schema(schema: &str, value: &Value) {
    let path = root().join("docs/reference/schema").join(format!("{schema}.json"));
    let text = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let document: Value = serde_json::from_str(&text).expect("a schema is JSON");
    let validator = jsonschema::draft202012::new(&document).expect("the schema is valid");
    let faults: Vec<String> =
        validator.iter_errors(value).map(|fault| format!("{}: {fault}", fault.instance_path())).collect();
    assert!(faults.is_empty(), "{schema}: {faults:#?}\n{value:#}");
}

#[test]
fn json_outputs_keep_their_schemas() {
    let json = |arguments: &[&str]| run(&[arguments, &["-o", "json"]].concat()).ends_with(0).json();
    let folder = tempfile::tempdir().expect("a temporary folder");
    assert_schema("inspect", &json(&["inspect", files()]));
    assert_schema("plan", &json(&as_strs(&full_plan("plan", &folder))));
    assert_schema("render", &json(&as_strs(&full_plan("render", &folder))));
    assert_schema("explain", &json(&["explain"]));
    assert_schema("explain", &json(&["explain", "not-owned"]));
    assert_schema("error", &run(&["status", "-o", "json"]).ends_with(1).error());
    assert_schema("error", &run(&["explain", "nothing", "-o", "json"]).ends_with(3).error());

    let component = folder.path().join("files.wasm");
    let build = ["build", "tests/files-plugin", "-o", text(&component), "--output", "json"];
    assert_schema("build", &run(&build).ends_with(0).json());
}

#[test]
fn json_outputs_of_workstation_commands_keep_their_schemas() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let home = ["--home", text(folder.path()), "-o", "json"];
    let json = |arguments: &[&str]| run(&[arguments, &home].concat()).ends_with(0).json();
    let workstation = |arguments: &[&str]| json(&[&["workstation"], arguments].concat());
    assert_schema("workstation-plan", &workstation(&["plan", files()]));
    assert_schema("plan", &json(&["plan", files(), "--workstation"]));
    assert_schema("workstation-apply", &workstation(&["apply", files(), "--yes"]));
    fs::write(folder.path().join("greeting/say"), "changed").expect("the file is writable");
    assert_schema("workstation-status", &workstation(&["status"]));
    assert_schema("workstation-plan", &workstation(&["plan", files(), "--set", "greeting=good day"]));
    assert_schema("workstation-apply", &workstation(&["apply", files(), "--yes"]));
    let removed = workstation(&["remove", "files", "--yes"]);
    assert_schema("workstation-remove", &removed);
    assert_eq!(removed["left"][0]["why"], "changedByHand", "{removed}");
}

/// A screen whose columns depend on the length of the release's name.
fn cluster_screen(release: &Release, arguments: &[&str], run: &Run) -> String {
    let squeeze = |line: &str| {
        let rest = line.trim_start();
        let columns = rest.split("  ").map(str::trim).filter(|column| !column.is_empty());
        format!("{}{}", &line[..line.len() - rest.len()], columns.collect::<Vec<_>>().join("  "))
    };
    let screen = screen(arguments, run).replace(&release.name, "RELEASE");
    screen.lines().map(squeeze).collect::<Vec<_>>().join("\n")
}

#[test]
fn screens_of_a_release() {
    let Some(release) = Release::in_shared_cluster("screens") else { return };
    let of_plugin = [files(), "--release", &release.name];
    let snapshot = |name: &str, arguments: &[&str]| {
        let arguments = [arguments, &["-q"]].concat();
        let run = finish(release.command(&arguments).env_remove("RUST_LOG"));
        assert_screen(name, &cluster_screen(&release, &arguments, &run));
    };
    snapshot("cluster-status-empty", &["status"]);
    snapshot("cluster-plan", &[&["plan", "--cluster"], &of_plugin[..]].concat());
    snapshot("cluster-apply", &[&["apply", "--yes"], &of_plugin[..]].concat());
    snapshot("cluster-apply-again", &[&["apply", "--yes"], &of_plugin[..]].concat());
    snapshot("cluster-status", &["status"]);
    snapshot("cluster-status-release", &["status", &release.name]);
    snapshot("cluster-check", &["check", &release.name]);
    snapshot("cluster-uninstall", &["uninstall", &release.name, "--yes"]);
    snapshot("cluster-no-release", &["status", &release.name]);
}

#[test]
fn json_outputs_of_a_release_keep_their_schemas() {
    let Some(release) = Release::in_shared_cluster("schemas") else { return };
    let release = release.env("KEEPER_PASSWORD", "secret");
    let json = |code: i32, arguments: &[&str]| {
        release.run(&[arguments, &["-o", "json"]].concat()).ends_with(code).json()
    };
    let operations = text(plugin("tests/operations-plugin"));
    let of_plugin = [operations, "--release", &release.name, IMAGE[0], IMAGE[1]];
    assert_schema("plan", &json(0, &[&["plan", "--cluster"], &of_plugin[..]].concat()));
    assert_schema("apply", &json(0, &[&["apply", "--yes", "--no-wait"], &of_plugin[..]].concat()));
    assert_schema("status", &json(0, &["status"]));
    assert_schema("status", &json(0, &["status", &release.name]));
    let checks = json(6, &["check", &release.name]);
    assert_schema("check", &checks);
    assert_ne!(checks, serde_json::json!([]), "the plugin has health checks");
    assert_schema("uninstall", &json(0, &["uninstall", &release.name, "--yes"]));

    let of_files = [files(), "--release", &release.name];
    assert_schema("apply", &json(0, &[&["apply", "--yes"], &of_files[..]].concat()));
    let operation = ["run", "pass-by", "--plugin", files(), "--release", &release.name];
    assert_schema("plan", &json(0, &[&operation[..], &["--dry-run"]].concat()));
    assert_schema("run", &json(0, &[&operation[..], &["--yes"]].concat()));
    assert_schema("uninstall", &json(0, &["uninstall", &release.name, "--yes"]));
}
