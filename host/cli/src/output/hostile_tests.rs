//! Renders screens of a plugin, a plan and a release whose every text is an attack on the terminal.

use crate::output::plugin::PluginFacts;
use crate::output::text::Text;
use crate::output::{
    apply, changes, image, manifests, plan, release, report, terminal, uninstall, workstation,
};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use thinkube_engine::model::{
    Descriptor, ExternalRef, FieldChange, FieldEdit, ImageBuild, ObjectRef, Operation, Plan, PodFileRef,
    Step, Subject,
};
use thinkube_engine::{
    Action, Applied, BuiltImage, Capability, Change, DiffLine, Entry, ImageEvent, InventorySettings, Level,
    LogLine, Phase, Planned, Preview, Release, SkipReason, Skipped, UninstallOptions, UninstallReport,
    UninstallRequest, WorkstationEvent,
};

/// Clears a line, rings, reverses the reading order, starts a sequence with one character, and breaks the line.
const ATTACK: &str = "\u{1b}[2K\u{7}\u{202e}\u{9b}31m\u{85}\r\nforged";

/// `value` with the attack before each text where the type still accepts it.
fn attacked<T: Serialize + DeserializeOwned>(value: Value) -> T {
    let mut value = value;
    let mut pointers = Vec::new();
    collect(&value, String::new(), &mut pointers);
    for pointer in pointers {
        let text = value.pointer_mut(&pointer).expect("the pointer was collected here");
        let before = std::mem::replace(text, Value::Null);
        *text = json!(format!("{ATTACK}{}", before.as_str().unwrap_or_default()));
        if serde_json::from_value::<T>(value.clone()).is_err() {
            *value.pointer_mut(&pointer).expect("the pointer was collected here") = before;
        }
    }
    serde_json::from_value(value).expect("the value is of its type")
}

/// The JSON pointers of all texts.
fn collect(value: &Value, at: String, pointers: &mut Vec<String>) {
    match value {
        Value::String(_) => pointers.push(at),
        Value::Array(items) => items
            .iter()
            .enumerate()
            .for_each(|(index, item)| collect(item, format!("{at}/{index}"), pointers)),
        Value::Object(map) => map.iter().for_each(|(key, item)| {
            let key = key.replace('~', "~0").replace('/', "~1");
            collect(item, format!("{at}/{key}"), pointers)
        }),
        _ => {}
    }
}

fn text(name: &str) -> String {
    format!("{ATTACK}{name}")
}

/// No line is forged and no character but the host's own colours is a control character.
#[track_caller]
fn assert_safe(screen: &Text) {
    let plain = screen.as_str().replace("\u{1b}[", "\u{0}[");
    // The host's own sequences are numbers and `m`.
    let own =
        |rest: &str| rest.split_once('m').is_some_and(|(code, _)| code.bytes().all(|b| b.is_ascii_digit()));
    for part in plain.split("\u{0}[").skip(1) {
        assert!(own(part), "a sequence of the attack is in {screen:?}");
    }
    let rest = plain.replace(['\u{0}', '\n'], "");
    assert!(rest.chars().all(terminal::is_harmless), "a control character is in {screen:?}");
    assert!(
        !screen.as_str().lines().any(|line| line.starts_with("forged")),
        "a line is forged in {screen:?}"
    );
}

fn object(name: &str) -> ObjectRef {
    attacked(json!({"apiVersion": "v1", "kind": "ConfigMap", "namespace": "n", "name": name}))
}

fn hostile_plan() -> Plan {
    let secret = json!({"apiVersion": "v1", "kind": "Secret", "name": "s", "namespace": "n"});
    let check = json!({
        "name": "login", "title": "t", "severity": "error", "timeoutSeconds": 5, "expect": "holds", "remedy": "r",
        "probe": {"http": {
            "method": "GET", "headers": [["a", "b"]], "followRedirects": false,
            "credentials": {"header": "h", "username": "u", "password": {"namespace": "n", "name": "s", "key": "k"}},
            "target": {"service": {"namespace": "n", "name": "a", "path": "/", "port": 80}},
        }},
    });
    attacked(json!({
        "apiVersion": "thinkube.org/v1", "kind": "Plan", "release": "r", "namespace": "n",
        "plugin": {"name": "p", "version": "1.0.0", "digest": format!("sha256:{}", "a".repeat(64))},
        "settings": {"a": "b"},
        "requested": [{"connect": "https://a"}], "granted": [{"copySecret": "a/b"}], "agreed": [],
        "preflight": [check], "health": [check], "tests": [], "notes": "first\nsecond",
        "stages": [{
            "name": "one", "gates": [check], "skipIf": [check],
            "steps": [
                {"object": {"manifest": {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}},
                    "onChange": "update", "onUninstall": "retain"}},
                {"secret": {"name": "s", "target": secret, "secretType": "Opaque", "onUninstall": "delete",
                    "content": {"entries": [{"key": "k", "source": {"plain": "v"}},
                        {"key": "l", "source": {"input": "i"}}]}}},
                {"secret": {"name": "m", "target": secret, "secretType": "Opaque", "onUninstall": "delete",
                    "content": {"mirror": secret}}},
                {"image": {"name": "i", "context": ".", "dockerfile": "Dockerfile", "destination": "r/i:1",
                    "pushCredentials": secret, "source": {"git": {"url": "https://g", "revision": "main"}}}},
                {"external": {"name": "e", "baseUrl": "https://e", "onUninstall": "retain", "select": "json",
                    "auth": {"passwordGrant": {"clientId": "c", "passwordInput": "i", "tokenUrl": "https://t",
                        "username": "u"}},
                    "find": {"method": "GET", "path": "/"}, "create": {"method": "POST", "path": "/"},
                    "desired": {"a": "b"}}},
                {"podFiles": {"name": "f", "namespace": "n", "labelSelector": "a=b",
                    "files": [{"path": "/a", "content": "b", "mode": 384}],
                    "lines": [{"path": "/c", "text": "d"}]}},
            ],
        }],
    }))
}

fn hostile_planned() -> Planned {
    let plan = hostile_plan();
    Planned { digest: plan.digest(), plan, facts: Vec::new(), unused: Vec::new(), log: Vec::new() }
}

fn hostile_changes() -> Vec<Change> {
    let subjects = [
        Subject::Object(object("o")),
        Subject::External(ExternalRef { name: text("e"), base_url: text("https://e") }),
        Subject::Image(ImageBuild {
            name: text("i"),
            source: text("s"),
            revision: Some(text("main")),
            commit: Some(text("c")),
            destination: text("d"),
            reference: Some(text("r")),
        }),
        Subject::PodFile(PodFileRef {
            step: text("f"),
            namespace: text("n"),
            pod: Some(text("p")),
            path: Some(text("/a")),
            line: Some(text("l")),
        }),
        Subject::PodFile(PodFileRef {
            step: text("f"),
            namespace: text("n"),
            pod: None,
            path: None,
            line: None,
        }),
    ];
    let edits = [
        FieldEdit::Add { after: json!(text("a")) },
        FieldEdit::Remove { before: json!(text("b")) },
        FieldEdit::Replace { before: json!(text("b")), after: json!({text("k"): text("a")}) },
    ];
    let fields: Vec<FieldChange> =
        edits.into_iter().map(|change| FieldChange { path: text("p"), change }).collect();
    let actions = [Action::Create, Action::Update, Action::Keep, Action::Delete];
    let changes = subjects.into_iter().flat_map(|subject| actions.map(|action| (subject.clone(), action)));
    changes
        .map(|(subject, action)| Change {
            fields: fields.clone(),
            ..Change::new(subject, Some(&text("one")), action).with_note(text("note"))
        })
        .collect()
}

fn hostile_release() -> Release {
    let plan = hostile_plan();
    let steps = plan.plugin_plan.stages[0].steps.iter();
    let external = steps.filter_map(|step| match step {
        Step::External(external) => Some((**external).clone()),
        _ => None,
    });
    let entry = json!({"object": object("o"), "stage": "one", "phase": "applied", "onUninstall": "retain"});
    Release {
        name: text("r"),
        namespace: text("n"),
        revision: 1,
        phase: Phase::Failed,
        message: Some(text("m")),
        digest: plan.digest(),
        external: external.collect(),
        plan,
        inventory: vec![attacked::<Entry>(entry)],
        pod_files: Vec::new(),
        images: vec![BuiltImage {
            name: text("i"),
            source: text("s"),
            commit: text("c"),
            reference: text("r"),
        }],
        applyset_id: text("id"),
        updated: text("now"),
    }
}

#[test]
fn inspect_and_its_json_are_safe() {
    let schema = json!({
        "type": "object", "required": [text("a")],
        "properties": {
            text("a"): {"type": text("string"), "description": text("d"), "default": text("v")},
            text("b"): {"type": [text("string"), "null"], "x-thinkube-unused": text("u"), "default": [text("v")]},
        },
    });
    let mut descriptor: Descriptor = attacked(json!({
        "name": "n", "version": "1", "title": "t", "summary": "s", "license": "l", "source": "s",
        "settingsSchema": {},
        "secretInputs": [{"name": "i", "env": "E", "fallsBackTo": "o", "summary": "s", "required": true}],
        "dependencies": [{"service": "d", "deploymentOrder": 1, "optional": true}],
        "permissions": [{"emit": {"apiVersion": "v1", "kind": "Pod", "scope": "cluster"}}, {"connect": "${a:if}x"}],
    }));
    descriptor.settings_schema = schema.clone();
    let operation = json!({"name": "o", "title": "t", "argumentsSchema": {}, "secretInputs": ["i"]});
    let mut operation: Operation = attacked(operation);
    operation.arguments_schema = schema;
    let digest = hostile_plan().digest();
    let capabilities = vec![Capability::Checks];
    let facts = PluginFacts {
        descriptor: &descriptor,
        operations: vec![&operation],
        digest: &digest,
        contract: text("c"),
        capabilities,
        imports: vec![text("i")],
    };
    assert_safe(&crate::output::plugin::inspect(&facts));
    let json =
        serde_json::to_string_pretty(&crate::output::plugin::inspect_json(&facts)).expect("it is JSON");
    let json = terminal::escape_json(&json);
    assert!(json.chars().all(|character| character == '\n' || terminal::is_harmless(character)));
}

#[test]
fn plans_manifests_and_changes_are_safe() {
    let planned = hostile_planned();
    assert_safe(&plan::plan(&text("title"), &planned));
    assert_safe(&plan::operation(&text("o"), &text("title"), &planned));
    let rendered = manifests::manifests(&planned.plan);
    assert_safe(&rendered);
    let documents: Vec<&str> = rendered.as_str().split("---\n").skip(1).collect();
    assert_eq!(documents.len(), planned.plan.plugin_plan.stages[0].steps.len(), "an attack adds no document");
    let preview = Preview { changes: hostile_changes() };
    assert_safe(&plan::preview(&preview, Some(&hostile_release())));
    for change in &preview.changes {
        assert_safe(&changes::done(change));
    }
}

#[test]
fn releases_and_results_are_safe() {
    let found = hostile_release();
    assert_safe(&release::releases(std::slice::from_ref(&found)));
    assert_safe(&release::release(&found, &[]));
    let applied = Applied { release: hostile_release(), changed: true, health: Vec::new() };
    assert_safe(&apply::applied(&applied));
    assert_safe(&apply::operated(&text("o"), &hostile_planned(), &applied));
    let request = UninstallRequest {
        objects: UninstallOptions {
            delete_data: false,
            orphan: Vec::new(),
            timeout: std::time::Duration::ZERO,
        },
        delete_images: true,
    };
    let left = vec![Skipped { path: text("p"), reason: SkipReason::BackedUpAs(text("b")) }];
    let files = uninstall::WorkstationFiles { home: text("/h").into(), ours: false, left };
    assert_safe(&uninstall::preview(&found, &request, Some(&files)));
    let report = UninstallReport { changes: hostile_changes() };
    assert_safe(&uninstall::uninstalled(&text("r"), &text("s"), &report, Some(&files)));
}

#[test]
fn logs_builds_and_workstation_files_are_safe() {
    let line = LogLine { level: Level::Error, message: text("m") };
    assert_safe(&report::log_line(&line));
    let taken = InventorySettings { foreign: vec![text("v")], ..InventorySettings::default() };
    assert_safe(&report::inventory(&taken, true));
    for event in [
        ImageEvent::Fetching { name: text("i"), source: text("s"), commit: text("c") },
        ImageEvent::Output(text("o")),
        ImageEvent::NotRemoved(text("/f").into()),
    ] {
        assert_safe(&image::progress(&event).expect("the event is shown"));
    }
    assert_safe(&workstation::event(&WorkstationEvent::Output(text("o"))));
    for line in [DiffLine::Same(text("a")), DiffLine::Removed(text("b")), DiffLine::Added(text("c"))] {
        assert_safe(&workstation::diff_line(&line));
    }
    let left = vec![Skipped { path: text("p"), reason: SkipReason::ChangedByHand }];
    assert_safe(&workstation::removed(&text("r"), std::path::Path::new(&text("/h")), &left));
}
