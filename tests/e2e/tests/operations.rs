//! Operations on a release, with a real cluster and a plugin that has some of every sort; and where secrets come from.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;
use std::ops::Deref;
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::process::{Command, Stdio};
use thinkube_e2e::release::Release;
use thinkube_e2e::{Run, eventually, finish};
use thinkube_test_cluster::Addon;

/// Found nowhere but in the Secret it belongs to.
const CANARY: &str = "canary-7d2a41";

fn plugin() -> &'static str {
    thinkube_e2e::plugin("tests/operations-plugin").to_str().expect("it is text")
}

/// A release of the operations plugin.
struct Keeper(Release);

impl Deref for Keeper {
    type Target = Release;

    fn deref(&self) -> &Release {
        &self.0
    }
}

impl Keeper {
    /// `None` without a node.
    fn new() -> Option<Self> {
        Some(Self(Release::with("op", [Addon::Node])?.env("KEEPER_PASSWORD", CANARY)))
    }

    /// A release that is installed and ready.
    fn installed() -> Option<Self> {
        let release = Self::new()?;
        release.apply(&[]).ends_with(0);
        Some(release)
    }

    fn apply(&self, after: &[&str]) -> Run {
        let image = self.toolbox_setting("image");
        let arguments = ["apply", plugin(), "--release", &self.name, "--set", &image, "--yes", "-o", "json"];
        self.0.run(&[&arguments[..], after].concat())
    }

    fn arguments<'a>(&'a self, operation: &'a str, after: &[&'a str]) -> Vec<&'a str> {
        let arguments =
            ["run", operation, "--release", &self.name, "--plugin", plugin(), "-o", "json", "--yes"];
        [&arguments[..], after].concat()
    }

    /// Runs an operation.
    fn operate(&self, operation: &str, after: &[&str]) -> Run {
        self.run(&self.arguments(operation, after))
    }

    /// Asserts that an operation ends with this code. Returns the error's kind, and its message with the hint.
    fn refused(&self, operation: &str, after: &[&str], code: i32) -> (String, String) {
        let run = self.operate(operation, after).ends_with(code);
        let kind = run.error()["error"]["kind"].as_str().expect("an error has a kind").to_owned();
        (kind, run.error_text())
    }

    /// A key of the Secret.
    fn key(&self, key: &str) -> String {
        self.secret("keys", key)
    }

    /// What the pods of the Deployment were made from.
    fn generation(&self) -> String {
        self.field("deployment", "keeper", ".metadata.generation")
    }

    /// The release as its record has it.
    fn status(&self) -> Value {
        self.0.run(&["status", &self.name, "-o", "json"]).ends_with(0).json()
    }

    /// What it has when nothing is left of an operation.
    fn is_as_planned(&self) {
        assert_eq!(
            self.objects("configmaps,secrets,deployments,jobs"),
            ["configmap/note", "secret/keys", "deployment.apps/keeper"]
        );
        let status = self.status();
        assert_eq!(status["phase"], "deployed", "{status}");
        assert_eq!(status["revision"], 1, "{status}");
        assert_eq!(self.field("configmap", "note", ".data.text"), "as planned");
    }
}

/// The parts of a process's memory that can be written. What adjoins is one part.
fn memory(process: u32) -> Vec<Vec<u8>> {
    let Ok(maps) = std::fs::read_to_string(format!("/proc/{process}/maps")) else { return Vec::new() };
    let Ok(file) = std::fs::File::open(format!("/proc/{process}/mem")) else { return Vec::new() };
    let mut parts: Vec<(u64, u64)> = Vec::new();
    for line in maps.lines() {
        let mut words = line.split_whitespace();
        let (range, rights) = (words.next().expect("a range"), words.next().expect("rights"));
        let (from, to) = range.split_once('-').expect("a range");
        let [from, to] = [from, to].map(|at| u64::from_str_radix(at, 16).expect("an address"));
        if !rights.starts_with("rw") {
            continue;
        }
        match parts.last_mut() {
            Some(part) if part.1 == from => part.1 = to,
            _ => parts.push((from, to)),
        }
    }
    let read = |(from, to): (u64, u64)| {
        let mut bytes = vec![0; usize::try_from(to - from).ok()?];
        file.read_exact_at(&mut bytes, from).ok()?;
        Some(bytes)
    };
    parts.into_iter().filter_map(read).collect()
}

/// After everything that needs the password was done with it.
#[test]
fn no_secret_is_in_the_memory_of_a_plugin_that_judges_the_release() {
    let Some(release) = Keeper::installed() else { return };
    let image = release.toolbox_setting("image");
    let arguments = ["apply", plugin(), "--release", &release.name, "--yes", "--set", &image];
    let mut apply = release.command(&[&arguments[..], &["--set", "ponder=true"]].concat());
    let mut apply = apply.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("it starts");
    let holds = |part: &[u8], text: &str| memchr::memmem::find(part, text.as_bytes()).is_some();
    let cookie = release.key("cookie");
    let parts = eventually("plugin that ponders", || {
        let parts = memory(apply.id());
        let pondering = parts.iter().any(|part| holds(part, "it-is-ponder-ing-"));
        if pondering { Ok(parts) } else { Err(format!("{:?}", apply.try_wait())) }
    });
    apply.kill().expect("it runs");
    apply.wait().expect("the process ends");
    let (inside, outside): (Vec<_>, Vec<_>) = parts.iter().partition(|part| holds(part, "it-is-ponder-ing-"));
    assert_eq!(inside.len(), 1, "the plugin's memory is one");
    assert!(holds(inside[0], "\"keys\":[\"cookie\""), "it has seen the Secret");
    assert!(outside.iter().any(|part| holds(part, CANARY)), "the host has it");
    for secret in [CANARY.to_owned(), STANDARD.encode(CANARY), STANDARD.encode(&cookie), cookie] {
        assert!(!holds(inside[0], &secret), "{secret} is in the plugin's memory");
    }
    release.run(&["uninstall", &release.name, "--yes"]).ends_with(0);
}

#[test]
fn inspect_lists_the_operations_with_their_arguments() {
    let described = thinkube_e2e::run(&["inspect", plugin(), "-o", "json"]).ends_with(0).json();
    let operations = described["operations"].as_array().expect("it is a list");
    let say = operations.iter().find(|operation| operation["name"] == "say").expect("it has `say`");
    assert_eq!(say["title"], "Say something");
    assert_eq!(say["argumentsSchema"]["properties"]["times"]["default"], 1);
    let text = thinkube_e2e::run(&["inspect", plugin()]).ends_with(0).stdout;
    assert!(
        text.contains("rotate-cookie: Make a new cookie") && text.contains("The number of repetitions."),
        "{text}"
    );
}

#[test]
fn a_rotated_value_restarts_its_readers_once() {
    let Some(release) = Keeper::installed() else { return };
    let before = (release.key("cookie"), release.key("other"), release.generation());
    let done = release.operate("rotate-cookie", &[]).ends_with(0);
    assert_eq!(done.json()["operation"], "rotate-cookie");
    assert_eq!(done.json()["health"][0]["status"], "passed", "the release is asked how it is");
    let cookie = release.key("cookie");
    assert_ne!(cookie, before.0);
    assert_eq!((release.key("other"), release.key("password")), (before.1, CANARY.to_owned()), "these stay");
    assert_eq!(release.key("url"), format!("https://{cookie}@keeper.test"), "it is made of the new one");
    let restarted = release.generation();
    assert_ne!(restarted, before.2);
    let env = ["exec", "deployment/keeper", "-n", &release.name, "--", "sh", "-c", "echo $cookie"];
    assert_eq!(release.kubectl(&env).ends_with(0).stdout.trim(), cookie, "the pods have read the new one");
    release.is_as_planned();

    assert_eq!(release.apply(&[]).ends_with(0).json()["changed"], false, "the release is as its plan says");
    assert_eq!((release.key("cookie"), release.generation()), (cookie.clone(), restarted), "and no restart");
    release.operate("rotate-cookie", &[]).ends_with(0);
    assert_ne!(release.key("cookie"), cookie, "a second run makes another one");
}

#[test]
fn objects_of_an_operation_are_gone_when_it_ends_and_it_can_run_again() {
    let Some(release) = Keeper::installed() else { return };
    for _ in 0..2 {
        let done = release.operate("say", &["--arg", "text=7", "--arg", "times=2"]).ends_with(0);
        assert!(done.stderr.contains("ConfigMap") && done.stderr.contains("words"), "{}", done.stderr);
        release.is_as_planned();
    }
}

#[test]
fn what_an_operation_changes_of_the_release_is_given_back() {
    let Some(release) = Keeper::installed() else { return };
    let mut run = release.command(&release.arguments("borrow", &[])).spawn().expect("it runs");
    eventually("borrowed object", || match release.field("configmap", "note", ".data.text").as_str() {
        "borrowed" => Ok(()),
        other => Err(other.to_owned()),
    });
    assert_eq!(release.status()["phase"], "operating");
    assert!(run.wait().expect("the process ends").success());
    release.is_as_planned();
    assert_eq!(release.apply(&[]).ends_with(0).json()["changed"], false);
}

#[test]
fn a_host_that_dies_in_an_operation_leaves_what_a_run_or_an_apply_ends() {
    let Some(release) = Keeper::installed() else { return };
    for ends in ["run", "apply"] {
        let mut run = release.command(&release.arguments("borrow", &[])).spawn().expect("it runs");
        eventually("job", || {
            let jobs = release.kubectl(&["get", "job", "work", "-n", &release.name]);
            if jobs.code == 0 { Ok(()) } else { Err(jobs.stderr) }
        });
        run.kill().expect("it dies");
        run.wait().expect("it is dead");
        let status = release.status();
        assert_eq!(status["phase"], "operating", "{status}");
        assert!(status["message"].as_str().expect("a message").contains("borrow"), "{status}");
        match ends {
            "run" => release.operate("borrow", &[]).ends_with(0),
            _ => release.apply(&[]).ends_with(0),
        };
        release.is_as_planned();
    }
}

#[test]
fn an_interrupted_operation_is_recorded_and_an_uninstall_removes_it() {
    let Some(release) = Keeper::installed() else { return };
    let mut command = release.command(&release.arguments("borrow", &[]));
    let mut run = command.spawn().expect("it runs");
    eventually("job", || {
        let jobs = release.kubectl(&["get", "job", "work", "-n", &release.name]);
        if jobs.code == 0 { Ok(()) } else { Err(jobs.stderr) }
    });
    Command::new("kill").args(["-INT", &run.id().to_string()]).status().expect("kill runs");
    assert_eq!(run.wait().expect("the process ends").code(), Some(130));
    assert_eq!(release.status()["phase"], "operating");
    release.run(&["uninstall", &release.name, "--yes"]).ends_with(0);
    let left = release.kubectl(&["get", "namespace", &release.name]);
    assert_ne!(left.code, 0, "{}", left.stdout);
}

#[test]
fn a_failed_job_is_reported_with_its_last_lines_and_without_secrets() {
    let Some(release) = Keeper::installed() else { return };
    let (kind, message) = release.refused("fail", &[], 1);
    assert_eq!(kind, "not-ready");
    for part in ["Job", "work", "it begins", "it cannot go on", "the password is (a secret)"] {
        assert!(message.contains(part), "{part}: {message}");
    }
    assert!(!message.contains(CANARY), "{message}");
    let status = release.status();
    assert_eq!(status["message"], "operation fail has failed");
    release.is_as_planned();
}

#[test]
fn what_is_wrong_with_an_operation_is_known_before_anything_is_written() {
    let Some(release) = Keeper::installed() else { return };
    let mark = release.audit_mark();
    let (kind, message) = release.refused("rotate-cooky", &[], 3);
    assert_eq!(
        (kind.as_str(), message.contains("did you mean `rotate-cookie`?")),
        ("no-operation", true),
        "{message}"
    );
    let (kind, message) = release.refused("say", &["--arg", "txt=a"], 3);
    assert_eq!(kind, "arguments");
    assert!(message.contains("did you mean `text`?"), "{message}");
    let (kind, message) = release.refused("say", &["--arg", "text=a", "--arg", "times=often"], 3);
    assert!(kind == "arguments" && message.contains("/times"), "{message}");
    let (kind, message) = release.refused("say", &["--arg", "text="], 3);
    assert!(kind == "arguments" && message.contains("/text: there is nothing to say"), "{message}");
    let (kind, message) = release.refused("reach-out", &[], 4);
    assert!(kind == "denied" && message.contains("kube-system"), "{message}");
    let (kind, message) = release.refused("restart-another", &[], 5);
    assert!(kind == "invalid-plan" && message.contains("no such workload"), "{message}");
    let (kind, message) = release.refused("use-a-password", &[], 5);
    assert!(
        kind == "invalid-plan" && message.contains("is not a secret input of the operation"),
        "{message}"
    );
    let unknown = ["run", "say", "--release", "unknown", "--plugin", plugin(), "-o", "json", "--yes"];
    assert_eq!(release.run(&unknown).ends_with(3).error()["error"]["kind"], "no-release");
    let other = ["run", "say", "--release", &release.name, "--plugin", "tests/sign-on-plugin", "-o", "json"];
    assert_eq!(release.run(&other).ends_with(3).error()["error"]["kind"], "other-plugin");
    release.assert_no_writes_since(mark);
}

#[test]
fn a_dry_run_says_what_would_be_done_and_does_nothing() {
    let Some(release) = Keeper::installed() else { return };
    let before = release.key("cookie");
    let shown = release.operate("rotate-cookie", &["--dry-run"]).ends_with(0).json();
    let changes = shown["changes"].as_array().expect("it is a list");
    let actions: Vec<&str> =
        changes.iter().map(|change| change["action"].as_str().expect("it is text")).collect();
    assert_eq!(actions, ["update", "restart"], "{shown}");
    assert!(!shown.to_string().contains(&before) && !shown.to_string().contains(CANARY), "{shown}");
    let borrowed = release.operate("borrow", &["--dry-run"]).ends_with(0).json();
    let note = borrowed["changes"][0]["note"].as_str().expect("it says that it is given back");
    assert!(note.contains("when the operation ends"), "{note}");
    assert_eq!(release.key("cookie"), before);
    release.is_as_planned();
}

#[test]
fn an_operation_waits_for_a_release_that_is_whole() {
    let Some(release) = Keeper::new() else { return };
    // The image cannot be had, so the apply fails.
    release.apply(&["--set", "image=registry.invalid/x:1", "--timeout", "2s"]).ends_with(1);
    let (kind, message) = release.refused("say", &["--arg", "text=a"], 3);
    assert!(kind == "unfinished" && message.contains("apply the release first"), "{message}");
}

#[test]
fn a_secret_input_comes_from_a_file_a_variable_a_secret_or_stdin() {
    let Some(release) = Keeper::installed() else { return };
    let folder = release.folder();
    let set = |source: &str, run: &mut dyn FnMut(&mut Command) -> Run| {
        let source = format!("password={source}");
        let arguments = release.arguments("set-password", &["--secret", &source]);
        run(&mut release.command(&arguments)).ends_with(0)
    };
    let file = folder.join("password");
    std::fs::write(&file, "from-a-file\n").expect("the folder is writable");
    let path = |path: &Path| format!("file:{}", path.display());
    set_mode(&file, 0o644);
    let run = set(&path(&file), &mut finish);
    assert!(run.stderr.contains("other users can read this file"), "{}", run.stderr);
    assert_eq!(release.key("password"), "from-a-file");
    set_mode(&file, 0o600);
    let run = set(&path(&file), &mut finish);
    assert!(!run.stderr.contains("other users can read"), "{}", run.stderr);

    set("env:ANOTHER", &mut |command| finish(command.env("ANOTHER", "from-a-variable")));
    assert_eq!(release.key("password"), "from-a-variable");

    let given =
        ["create", "secret", "generic", "given", "--from-literal=it=from-a-secret", "-n", &release.name];
    release.kubectl(&given).ends_with(0);
    set(&format!("secret:{}/given/it", release.name), &mut finish);
    assert_eq!(release.key("password"), "from-a-secret");
    release.kubectl(&["delete", "secret", "given", "-n", &release.name]).ends_with(0);

    std::fs::write(&file, "from-stdin\n").expect("the folder is writable");
    set("-", &mut |command| finish(command.stdin(std::fs::File::open(&file).expect("readable"))));
    assert_eq!(release.key("password"), "from-stdin");
    release.is_as_planned();
    release.apply(&["--secret", &format!("password={}", path(&file))]).ends_with(0);
    let missing = format!("password=secret:{}/given/it", release.name);
    let (kind, message) = release.refused("set-password", &["--secret", &missing], 3);
    assert!(kind == "input" && message.contains("given"), "{message}");
}

#[test]
fn a_secret_on_the_command_line_is_refused_and_not_repeated() {
    for command in ["plan", "apply"] {
        let arguments = [command, plugin(), "--secret", "password=hunter2", "-o", "json"];
        let run = thinkube_e2e::run(&arguments).ends_with(2);
        assert_eq!(run.error()["error"]["kind"], "usage");
        assert!(!run.stderr.contains("hunter2") && run.stderr.contains("file:PATH"), "{}", run.stderr);
    }
    for arguments in [
        &["uninstall", "a", "--secret", "password=hunter2"][..],
        &["run", "a", "--plugin", plugin(), "--secret", "hunter2"],
    ] {
        let run = thinkube_e2e::run(arguments).ends_with(2);
        assert!(!run.stderr.contains("hunter2"), "{}", run.stderr);
    }
}

fn set_mode(file: &Path, mode: u32) {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::set_permissions(file, std::fs::Permissions::from_mode(mode)).expect("it is ours");
}
