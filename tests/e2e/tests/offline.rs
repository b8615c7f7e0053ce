//! The host's command line with no cluster at all.

use serde_json::{Value, json};
use std::fs;
use std::path::Path;
use thinkube_e2e::{command, devpi, finish, hostile, python, run};

const SETTINGS: &str = "plugin-devpi/examples/inventory.yaml";

fn text(path: &Path) -> &str {
    path.to_str().expect("a path of the workspace is text")
}

fn plan_devpi(more: &[&str]) -> Value {
    let arguments = ["plan", text(devpi()), "-f", SETTINGS, "-o", "json"];
    run(&[&arguments[..], more].concat()).ends_with(0).json()
}

#[test]
fn the_same_settings_give_the_same_plan_bytes_on_every_run() {
    let first = plan_devpi(&[]);
    assert_eq!(first, plan_devpi(&[]));
    assert_eq!(first, plan_devpi(&["--no-cache"]));
    assert_ne!(first["digest"], plan_devpi(&["--set", "devpi_index_name=other"])["digest"]);
}

#[test]
fn the_folder_of_a_plugins_crate_gives_the_same_plugin_as_its_component() {
    let folder = run(&["inspect", "plugin-devpi", "-o", "json"]).ends_with(0).json();
    assert_eq!(folder, run(&["inspect", text(devpi()), "-o", "json"]).ends_with(0).json());
}

#[test]
fn a_missing_target_is_reported_with_the_command_that_installs_it() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().expect("a temporary folder");
    let rustc = folder.path().join("rustc");
    let script =
        "#!/bin/sh\ncase \"$*\" in *target-libdir*) echo /nonexistent/lib ;; *) exec rustc \"$@\" ;; esac\n";
    fs::write(&rustc, script).expect("the folder is writable");
    fs::set_permissions(&rustc, fs::Permissions::from_mode(0o755)).expect("ours");
    let run = finish(command(&["inspect", "plugin-devpi"]).env("RUSTC", &rustc)).ends_with(1);
    assert!(run.stderr.contains("rustup target add wasm32-wasip2"), "{}", run.stderr);
    assert!(!run.stderr.contains("can't find crate"), "{}", run.stderr);
}

#[test]
fn the_devpi_component_is_under_400_kilobytes() {
    let bytes = fs::metadata(devpi()).expect("it is built").len();
    assert!(bytes < 400_000, "{bytes} bytes");
}

#[test]
fn the_devpi_component_holds_no_path_of_the_machine_that_built_it() {
    let bytes = fs::read(devpi()).expect("it is built");
    let home = std::env::home_dir().expect("there is a home");
    for path in [home, thinkube_e2e::root()] {
        // devpi's own paths begin with the name of its user root.
        let path = format!("{}/", text(&path));
        assert!(!bytes.windows(path.len()).any(|window| window == path.as_bytes()), "{path}");
    }
}

#[test]
fn inspect_shows_order_dependencies_settings_and_permissions() {
    let shown = run(&["inspect", text(devpi())]).ends_with(0).stdout;
    for expected in
        ["deployment order  25", "keycloak", "domain_name", "ADMIN_PASSWORD", "apply Deployment (apps/v1)"]
    {
        assert!(shown.contains(expected), "{expected} is not in {shown}");
    }
}

#[test]
fn render_prints_objects_that_any_tool_reads_and_no_secret() {
    let mut render = command(&["render", text(devpi()), "-f", SETTINGS]);
    let shown = finish(render.env("ADMIN_PASSWORD", "canary-7f3a")).ends_with(0).stdout;
    assert!(!shown.contains("canary-7f3a"));
    let documents = shown.split("---\n").map(|document| {
        serde_norway::from_str::<Value>(document).unwrap_or_else(|error| panic!("{error}: {document}"))
    });
    // External resources are printed as comments.
    let kinds: Vec<String> = documents
        .filter(|object| !object.is_null())
        .map(|object| object["kind"].as_str().expect("it has a kind").to_owned())
        .collect();
    let expected = [
        "Namespace",
        "Secret",
        "Secret",
        "Secret",
        "PersistentVolumeClaim",
        "Deployment",
        "Service",
        "Job",
        "Deployment",
        "Service",
        "Secret",
        "Deployment",
        "Service",
        "ConfigMap",
        "Ingress",
        "Ingress",
        "Ingress",
        "ConfigMap",
    ];
    assert_eq!(kinds, expected);
}

#[test]
fn the_secret_never_reaches_the_plan() {
    let mut plan = command(&["plan", text(devpi()), "-f", SETTINGS, "-o", "json"]);
    let run = finish(plan.env("ADMIN_PASSWORD", "canary-7f3a")).ends_with(0);
    assert!(!run.stdout.contains("canary-7f3a") && !run.stderr.contains("canary-7f3a"));
    assert!(run.stdout.contains("admin-password"));
}

fn refused(arguments: &[&str], code: i32, kind: &str, printed: &[&str]) {
    let run = run(&[arguments, &["-o", "json"]].concat()).ends_with(code);
    assert_eq!(run.error()["error"]["kind"], kind, "{}", run.stderr);
    let message = run.error_text();
    for printed in printed {
        assert!(message.contains(printed), "{printed} is not in {message}");
    }
}

#[test]
fn a_file_that_is_not_a_component_is_refused() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = folder.path().join("notes.wasm");
    fs::write(&file, "just some notes").expect("the folder is writable");
    refused(&["inspect", text(&file)], 5, "not-a-component", &["component"]);
    fs::write(&file, b"\0asm\x01\0\0\0").expect("the folder is writable");
    refused(&["inspect", text(&file)], 5, "not-a-component", &["core module"]);
}

#[test]
fn a_component_of_another_world_is_told_what_it_lacks() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = folder.path().join("empty.wasm");
    fs::write(&file, b"\0asm\x0d\0\x01\0").expect("the folder is writable");
    refused(&["inspect", text(&file)], 5, "wrong-world", &["thinkube:plugin/lifecycle"]);
}

#[test]
fn a_file_that_is_not_there_is_told_with_its_path() {
    refused(&["inspect", "/nonexistent/plugin.wasm"], 3, "read", &["/nonexistent/plugin.wasm"]);
    refused(&["inspect", "docs"], 1, "build", &["Cargo.toml"]);
}

#[test]
fn an_endless_file_is_not_read_to_its_end() {
    refused(&["inspect", "/dev/zero"], 5, "too-large", &[]);
}

#[test]
fn an_unknown_setting_is_told_with_the_nearest_right_name() {
    let arguments = ["plan", text(devpi()), "-f", SETTINGS, "--set", "devpi_index_nmae=x"];
    refused(&arguments, 3, "settings", &["/devpi_index_nmae", "devpi_index_name"]);
}

#[test]
fn a_mistyped_setting_is_told_with_its_path() {
    let arguments = ["plan", text(devpi()), "-f", SETTINGS, "--set", "oauth2_proxy_enabled=maybe"];
    refused(&arguments, 3, "settings", &["/oauth2_proxy_enabled", "boolean"]);
}

#[test]
fn a_missing_setting_is_told() {
    refused(&["plan", text(devpi())], 3, "settings", &["/domain_name", "required"]);
}

#[test]
fn settings_that_are_no_yaml_are_told_with_file_and_line() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = folder.path().join("broken.yaml");
    fs::write(&file, "domain_name: [\n").expect("the folder is writable");
    refused(&["plan", text(devpi()), "-f", text(&file)], 3, "input", &["broken.yaml", "line"]);
}

#[test]
fn a_setting_without_effect_is_reported() {
    let run = run(&["plan", text(devpi()), "-f", SETTINGS, "--set", "helm_bin=/bin/helm"]).ends_with(0);
    assert!(run.stderr.contains("helm_bin"), "{}", run.stderr);
}

#[test]
fn what_the_grants_file_does_not_allow_is_refused() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = folder.path().join("grants.yaml");
    let grants = json!({"permissions": [{"emit": {"apiVersion": "v1", "kind": "Namespace", "scope": "ownNamespace"}}]});
    fs::write(&file, grants.to_string()).expect("the folder is writable");
    let arguments = ["plan", text(devpi()), "-f", SETTINGS, "--grants", text(&file)];
    refused(&arguments, 4, "denied", &["Deployment", "apps/v1"]);
    fs::write(&file, json!({"permission": []}).to_string()).expect("the folder is writable");
    refused(&arguments, 3, "input", &["grants.yaml", "permission"]);
}

#[test]
fn devpi_asks_only_for_what_its_settings_use() {
    let asked =
        |more: &[&str]| plan_devpi(more)["plan"]["requested"].as_array().expect("it is a list").clone();
    let all = asked(&["--set", "keycloak_ca_secret=default/ca"]);
    for (set, needless) in [
        ("devpi_image=registry.example.com/devpi:1", &["buildFrom", "pushImage"][..]),
        ("oauth2_proxy_enabled=false", &["default/ca", "https://keycloak.", "https://devpi.example.com"]),
        ("code_server_env=false", &["writePodFiles"]),
    ] {
        let less = asked(&["--set", "keycloak_ca_secret=default/ca", "--set", set]);
        let mut missing = all.iter().filter(|permission| !less.contains(permission)).map(Value::to_string);
        for needless in needless {
            let next = missing.next().expect("there is one more");
            assert!(next.contains(needless), "{set}: {next}");
        }
        assert_eq!(missing.next(), None, "{set}");
    }
}

#[test]
fn inspect_says_on_which_condition_a_permission_is_asked_for() {
    let shown = run(&["inspect", text(devpi())]).ends_with(0).stdout;
    for expected in [
        "build an image from ${devpi_git_url}, unless ${devpi_image}",
        "connect to ${keycloak_url}, if ${oauth2_proxy_enabled}",
    ] {
        assert!(shown.contains(expected), "{expected} is not in {shown}");
    }
}

#[test]
fn a_missing_kubeconfig_is_told_with_its_path() {
    refused(&["status"], 1, "no-kubeconfig", &["/nonexistent/kubeconfig"]);
}

#[test]
fn an_unreachable_server_is_told_with_its_address() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = folder.path().join("kubeconfig");
    let kubeconfig = json!({"apiVersion": "v1", "kind": "Config", "current-context": "a",
        "contexts": [{"name": "a", "context": {"cluster": "a", "user": "a"}}], "users": [{"name": "a", "user": {}}],
        "clusters": [{"name": "a", "cluster": {"server": "https://127.0.0.1:1"}}]});
    fs::write(&file, kubeconfig.to_string()).expect("the folder is writable");
    refused(&["status", "--kubeconfig", text(&file)], 1, "unreachable", &["https://127.0.0.1:1"]);
}

#[test]
fn a_wrong_command_line_is_json_too_when_json_is_asked_for() {
    refused(&["plan", "plugin", "--set", "nothing"], 2, "usage", &["NAME=VALUE"]);
}

#[test]
fn a_key_that_is_there_twice_and_a_file_that_is_too_long_are_refused() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = folder.path().join("settings.yaml");
    fs::write(&file, "domain_name: a.example\ndomain_name: b.example\n").expect("the folder is writable");
    refused(&["plan", text(devpi()), "-f", text(&file)], 3, "input", &["domain_name"]);
    refused(&["plan", text(devpi()), "-f", "/dev/zero"], 3, "input", &["16 MiB"]);
}

#[test]
fn a_full_disk_does_not_pass_for_success() {
    let script = format!("{} completion bash > /dev/full", thinkube_e2e::host().display());
    finish(std::process::Command::new("sh").arg("-c").arg(script)).ends_with(1);
}

#[test]
fn a_secret_that_is_not_granted_is_refused() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = folder.path().join("grants.json");
    let mut plan = plan_devpi(&[]);
    let granted = plan["plan"]["granted"].as_array_mut().expect("it is a list");
    granted.retain(|permission| permission.get("secretInput").is_none());
    fs::write(&file, json!({"permissions": granted}).to_string()).expect("the folder is writable");
    let arguments = ["plan", text(devpi()), "-f", SETTINGS, "--grants", text(&file)];
    refused(&arguments, 4, "denied", &["admin-password"]);
}

#[test]
fn a_wrong_command_line_ends_with_two() {
    let run = run(&["aply"]).ends_with(2);
    assert!(run.stderr.contains("apply"), "{}", run.stderr);
}

#[test]
fn help_names_the_exit_codes_and_completion_is_there() {
    assert!(run(&["--help"]).ends_with(0).stdout.contains("Exit codes"));
    assert!(run(&["completion", "bash"]).ends_with(0).stdout.contains("uninstall"));
}

#[test]
fn output_without_a_reader_ends_quietly() {
    let script = format!("{} completion bash | true", thinkube_e2e::host().display());
    let mut shell = std::process::Command::new("sh");
    let run = finish(shell.arg("-c").arg(script));
    assert_eq!((run.code, run.stderr.as_str()), (0, ""));
}

/// What every plugin must keep, in whatever language it is written.
fn conforms(component: &Path, settings: &[&str]) {
    let described = run(&["inspect", text(component), "-o", "json"]).ends_with(0).json();
    assert_eq!(described["contract"], "thinkube:plugin@0.1.0");
    let permitted = described["imports"].as_array().expect("it is a list").iter().all(|import| {
        let import = import.as_str().expect("it is text");
        import.starts_with("wasi:") || import.starts_with("thinkube:plugin/")
    });
    assert!(permitted, "{}", described["imports"]);
    let arguments = [&["plan", text(component), "-o", "json", "--no-cache"][..], settings].concat();
    let first = run(&arguments).ends_with(0);
    assert_eq!(first.stdout, run(&arguments).ends_with(0).stdout, "the same input must give the same plan");
    let plan = first.json();
    assert_eq!(plan["plan"]["plugin"]["digest"], described["digest"]);
    assert!(!plan["plan"]["stages"].as_array().expect("it is a list").is_empty());
}

#[test]
fn the_devpi_plugin_conforms() {
    conforms(devpi(), &["-f", SETTINGS]);
}

#[test]
fn a_plugin_in_python_conforms_and_is_given_the_fact_that_it_asks_for() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let image = ["--set", "image=registry.example.com/shell:1"];
    refused(
        &[&["plan", text(python())][..], &image].concat(),
        3,
        "facts-needed",
        &["apps/v1 Deployment", "--facts"],
    );
    let file = folder.path().join("facts.json");
    let query = json!({"served": {"apiVersion": "apps/v1", "kind": "Deployment"}});
    let facts = |served: bool| json!([{"query": query, "answer": {"served": served}}]).to_string();
    fs::write(&file, facts(true)).expect("the folder is writable");
    conforms(python(), &[&["--facts", text(&file)][..], &image].concat());
    fs::write(&file, facts(false)).expect("the folder is writable");
    let unmet = [&["plan", text(python()), "--facts", text(&file)][..], &image].concat();
    refused(&unmet, 3, "problem", &["Deployments"]);
}

/// What is reported when a plugin misbehaves while it plans.
fn misbehaves(settings: &[&str], kinds: &[&str]) -> String {
    let settings = settings.iter().flat_map(|setting| ["--set", setting]);
    let arguments: Vec<&str> = ["plan", text(hostile()), "-o", "json"].into_iter().chain(settings).collect();
    let run = run(&arguments).ends_with(5);
    let error = run.error();
    assert!(kinds.iter().any(|kind| error["error"]["kind"] == *kind), "{error}");
    error["error"]["message"].as_str().expect("it has a message").to_owned()
}

/// Which of the two limits ends a guest that computes without end depends on how fast the machine is.
const COMPUTES: [&str; 2] = ["out-of-fuel", "cpu-time"];

#[test]
fn a_trap_is_reported_with_the_plugins_last_output() {
    let message = misbehaves(&["do=panic"], &["trap"]);
    assert!(message.contains("panicked"), "{message}");
}

#[test]
fn a_plugin_that_spins_is_ended() {
    misbehaves(&["do=spin"], &COMPUTES);
}

#[test]
fn a_plugin_that_sleeps_is_ended() {
    // The clock that it sees goes by itself, so it sleeps an hour in no time, and computes when it does so for ever.
    // What it then returns is not a valid plan, but it returned.
    misbehaves(&["do=sleep"], &["invalid-plan"]);
    misbehaves(&["do=sleep-forever"], &COMPUTES);
}

#[test]
fn a_plugin_that_floods_its_log_is_ended_and_its_log_is_bounded() {
    misbehaves(&["do=flood-log"], &["quota"]);
}

#[test]
fn a_plugin_that_allocates_without_end_is_ended() {
    misbehaves(&["do=allocate"], &["memory"]);
}

#[test]
fn a_plugin_that_returns_a_hundred_megabytes_is_refused() {
    misbehaves(&["do=huge-result", "amount=104857600"], &["memory"]);
    misbehaves(&["do=huge-result", "amount=20971520"], &["quota"]);
}

#[test]
fn a_plugin_that_returns_no_json_is_told_where() {
    let message = misbehaves(&["do=invalid-json"], &["malformed"]);
    assert!(message.contains("stage"), "{message}");
}

#[test]
fn a_plugin_may_not_send_a_secret_of_others_to_its_own_server() {
    refused(&["plan", text(hostile()), "--set", "do=send-secret"], 5, "invalid-plan", &["must not be sent"]);
}

#[test]
fn a_plan_says_which_secret_a_check_sends_and_where() {
    let shown = run(&["plan", text(devpi()), "-f", SETTINGS]).ends_with(0).stdout;
    let sent = "root-login: sends password of Secret devpi/devpi-root to Service devpi/devpi";
    assert!(shown.contains(sent), "{shown}");
}

#[test]
fn a_plugin_that_asks_for_facts_without_a_permission_is_refused() {
    refused(&["plan", text(hostile()), "--set", "do=needs-forever"], 4, "query-denied", &["permission"]);
}
