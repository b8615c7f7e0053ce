//! Files in pods, with a real node.

use crate::support::{Fixture, Reports, fixture, fixture_with_node, secrets};
use serde_json::{Value, json};
use std::time::Duration;
use thinkube_cluster::{ApiError, ApplyOptions, Error, Phase, UninstallOptions};
use thinkube_plan::{
    Action, Change, Diagnostic as _, ErrorKind, Hint, Plan, PodFile, PodFileRef, PodFilesStep, PodLine, Step,
};

const TEXT: &str = "/tmp/greeting/text";
const RC: &str = "/tmp/profile";

/// A namespace with a node, and an image that has a shell.
async fn shell() -> Option<(Fixture, String)> {
    let fixture = fixture_with_node().await?;
    let image = thinkube_test_cluster::shared_cluster()?.toolbox_image().expect("a node has it").to_owned();
    Some((fixture, image))
}

fn files(fixture: &Fixture, content: &str, lines: &[&str]) -> PodFilesStep {
    PodFilesStep {
        name: "greeting".into(),
        namespace: fixture.namespace.clone(),
        label_selector: "app=shell".into(),
        container: None,
        files: vec![PodFile { path: TEXT.into(), mode: 0o640, content: content.into() }],
        lines: lines.iter().map(|text| PodLine { path: RC.into(), text: (*text).into() }).collect(),
    }
}

fn wants(fixture: &Fixture, content: &str, lines: &[&str]) -> Plan {
    fixture.plan(vec![("files", vec![Step::PodFiles(files(fixture, content, lines))])])
}

/// A pod without an owner, so that it outlives an uninstall.
async fn pod(fixture: &Fixture, name: &str, image: &str, command: Value) {
    let pod = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "labels": {"app": "shell"}},
        "spec": {"terminationGracePeriodSeconds": 0, "containers": [
            {"name": "shell", "image": image, "imagePullPolicy": "IfNotPresent", "command": command}]}});
    fixture.make(&fixture.core("pods", ""), pod).await;
}

async fn until_running(fixture: &Fixture, name: &str) {
    for _ in 0..300 {
        let pod = fixture.get(&fixture.core("pods", name)).await.unwrap_or_default();
        if pod["status"]["containerStatuses"][0]["state"]["running"].is_object() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    panic!("pod {name} does not run");
}

async fn running(fixture: &Fixture, name: &str, image: &str) {
    pod(fixture, name, image, json!(["sleep", "86400"])).await;
    until_running(fixture, name).await;
}

/// What a program says in a pod; None if it fails.
fn says(fixture: &Fixture, pod: &str, program: &[&str]) -> Option<String> {
    let output = fixture.kubectl(&[&["exec", "-n", &fixture.namespace, pod, "--"], program].concat());
    output.status.success().then(|| String::from_utf8(output.stdout).unwrap())
}

fn file(change: &Change) -> &PodFileRef {
    change.pod_file().expect("the change is about a file in a pod")
}

fn actions(changes: &[Change]) -> Vec<(&str, Action)> {
    changes.iter().map(|change| (file(change).path.as_deref().unwrap_or("-"), change.action)).collect()
}

#[tokio::test]
async fn files_and_lines_are_written_once_changed_and_removed() {
    let Some((fixture, image)) = shell().await else { return };
    fixture.make_namespace(&fixture.namespace).await;
    running(&fixture, "a", &image).await;
    says(&fixture, "a", &["sh", "-c", "printf theirs > /tmp/profile"]).unwrap();
    let first = wants(&fixture, "hello $(id)\n", &["export A='$(id)'"]);
    let compare = async |plan: &Plan| fixture.cluster.pod_files(plan).await.unwrap();
    assert_eq!(actions(&compare(&first).await), [(TEXT, Action::Create), (RC, Action::Update)]);

    let release = fixture.apply(&first).await.unwrap().expect("it wrote");
    assert_eq!(release.pod_files.len(), 1);
    assert_eq!(says(&fixture, "a", &["cat", TEXT]).unwrap(), "hello $(id)\n");
    assert_eq!(says(&fixture, "a", &["stat", "-c", "%a", TEXT]).unwrap(), "640\n");
    assert_eq!(says(&fixture, "a", &["cat", RC]).unwrap(), "theirs\nexport A='$(id)'\n");
    assert!(fixture.apply(&first).await.unwrap().is_none(), "a second apply writes nothing");

    let another = wants(&fixture, "hello $(id)\n", &["export B=2"]);
    fixture.apply(&another).await.unwrap().expect("it wrote");
    assert_eq!(says(&fixture, "a", &["cat", RC]).unwrap(), "theirs\nexport B=2\n");
    assert!(fixture.apply(&another).await.unwrap().is_none(), "a second apply writes nothing");

    let second = wants(&fixture, "good day\n", &[]);
    assert_eq!(actions(&compare(&second).await), [(TEXT, Action::Update), (RC, Action::Delete)]);
    fixture.apply(&second).await.unwrap().expect("it wrote");
    assert_eq!(says(&fixture, "a", &["cat", TEXT, RC]).unwrap(), "good day\ntheirs\n");

    // A recreated pod gets its files from the next apply.
    running(&fixture, "b", &image).await;
    assert_eq!(actions(&compare(&second).await), [(TEXT, Action::Unchanged), (TEXT, Action::Create)]);
    fixture.apply(&second).await.unwrap().expect("it wrote");
    assert_eq!(says(&fixture, "b", &["cat", TEXT]).unwrap(), "good day\n");

    let taken = fixture.uninstall(false).await.unwrap();
    assert_eq!(actions(&taken.pod_files), [(TEXT, Action::Delete), (TEXT, Action::Delete)]);
    assert_eq!(says(&fixture, "a", &["ls", "/tmp/greeting"]).unwrap(), "");
    assert_eq!(says(&fixture, "a", &["cat", RC]).unwrap(), "theirs\n");
    fixture.clean().await;
}

#[tokio::test]
async fn foreign_and_changed_files_and_links_are_left_alone() {
    let Some((fixture, image)) = shell().await else { return };
    fixture.make_namespace(&fixture.namespace).await;
    running(&fixture, "a", &image).await;
    says(&fixture, "a", &["sh", "-c", "mkdir /tmp/greeting && echo theirs > /tmp/greeting/text && ln -s /tmp/greeting/text /tmp/profile"])
        .unwrap();
    let plan = wants(&fixture, "hello\n", &["line"]);
    let changes = fixture.cluster.pod_files(&plan).await.unwrap();
    assert_eq!(actions(&changes), [(TEXT, Action::Keep), (RC, Action::Keep)]);
    assert!(changes[1].note.as_deref().unwrap().contains("symbolic link"), "{changes:?}");
    fixture.apply(&plan).await.unwrap().expect("the release is recorded");
    assert_eq!(says(&fixture, "a", &["cat", TEXT]).unwrap(), "theirs\n");

    says(&fixture, "a", &["rm", RC, TEXT]).unwrap();
    fixture.apply(&plan).await.unwrap().expect("it wrote");
    says(&fixture, "a", &["sh", "-c", "echo mine > /tmp/greeting/text"]).unwrap();
    let other = wants(&fixture, "good day\n", &["line"]);
    assert_eq!(
        actions(&fixture.cluster.pod_files(&other).await.unwrap()),
        [(TEXT, Action::Keep), (RC, Action::Unchanged)]
    );
    let taken = fixture.uninstall(false).await.unwrap();
    assert_eq!(actions(&taken.pod_files), [(TEXT, Action::Keep), (RC, Action::Delete)]);
    assert_eq!(says(&fixture, "a", &["cat", TEXT]).unwrap(), "mine\n");
    assert_eq!(says(&fixture, "a", &["cat", RC]), None, "nothing was left in it");
    fixture.clean().await;
}

#[tokio::test]
async fn a_step_without_a_pod_is_reported() {
    let Some(fixture) = fixture().await else { return };
    let plan = fixture.plan(vec![
        ("base", vec![fixture.namespace_step()]),
        ("files", vec![Step::PodFiles(files(&fixture, "hello\n", &[]))]),
    ]);
    let changes = fixture.cluster.pod_files(&plan).await.unwrap();
    assert_eq!((changes.len(), &file(&changes[0]).pod, changes[0].action), (1, &None, Action::Unchanged));
    let reports = Reports::default();
    fixture
        .apply_with(&plan, &secrets(), &ApplyOptions::default(), &reports)
        .await
        .unwrap()
        .expect("it wrote");
    assert!(reports.all().contains("has the labels app=shell"), "{}", reports.all());
    assert!(fixture.apply(&plan).await.unwrap().is_none());
    assert_eq!(fixture.uninstall(false).await.unwrap().pod_files, []);
    fixture.clean().await;
}

#[tokio::test]
async fn an_uninstall_removes_the_files_of_a_host_that_died() {
    let Some((fixture, image)) = shell().await else { return };
    fixture.make_namespace(&fixture.namespace).await;
    running(&fixture, "a", &image).await;
    let (plan, values) = (wants(&fixture, "hello\n", &["line"]), secrets());
    let diff = fixture.compare(&plan).await.unwrap();
    let options = ApplyOptions { lease_duration: Duration::from_secs(2), ..ApplyOptions::default() };
    let quiet = |_| ();
    let mut apply = fixture.cluster.begin(&plan, &values, diff, &options, &quiet).await.unwrap();
    apply.apply_stage(0).await.unwrap();
    apply.write_pod_files(0, true).await.unwrap();
    drop(apply);
    assert_eq!(says(&fixture, "a", &["cat", TEXT]).unwrap(), "hello\n");
    tokio::time::sleep(Duration::from_secs(3)).await;
    let taken = fixture.uninstall(false).await.unwrap();
    assert_eq!(actions(&taken.pod_files), [(TEXT, Action::Delete), (RC, Action::Delete)]);
    fixture.clean().await;
}

#[tokio::test]
async fn a_pod_that_cannot_be_written_is_reported_and_written_later() {
    let Some((fixture, image)) = shell().await else { return };
    fixture.make_namespace(&fixture.namespace).await;
    pod(&fixture, "waits", "thinkube.test/library/nothing:1", json!(["sleep", "1"])).await;
    for name in ["bare", "full", "good"] {
        running(&fixture, name, &image).await;
    }
    // What it has for a program is all that it has.
    says(&fixture, "bare", &["rm", "/bin/sh"]).unwrap();
    says(&fixture, "full", &["touch", "/tmp/greeting"]).unwrap();
    let plan = wants(&fixture, "hello\n", &[]);
    let open = async || {
        let changes = fixture.cluster.pod_files(&plan).await.unwrap();
        let of = |change: Change| {
            (file(&change).pod.clone().unwrap(), change.action, change.note.unwrap_or_default())
        };
        changes.into_iter().map(of).collect::<Vec<_>>()
    };
    let told = |notes: &[(String, Action, String)], pod: &str, word: &str| {
        let (_, action, note) = notes.iter().find(|(name, ..)| name == pod).expect("it is told");
        assert!(*action == Action::Update && note.contains(word), "{pod}: {note}");
    };
    let before = open().await;
    told(&before, "bare", "`sh`");
    told(&before, "waits", "not running");

    let reports = Reports::default();
    let release = fixture.apply_with(&plan, &secrets(), &ApplyOptions::default(), &reports).await;
    assert_eq!(release.unwrap().expect("it wrote").phase, Phase::Deployed);
    assert_eq!(says(&fixture, "good", &["cat", TEXT]).unwrap(), "hello\n");
    for words in
        ["it is not running", "`kubectl describe pod waits -n", "`sh`", TEXT, "the next apply tries again"]
    {
        assert!(reports.all().contains(words), "{words} is not in {}", reports.all());
    }
    let after = open().await;
    told(&after, "bare", "`sh`");
    told(&after, "waits", "not running");

    for name in ["waits", "bare"] {
        fixture.ask("DELETE", &fixture.core("pods", name), None).await.unwrap();
    }
    running(&fixture, "mended", &image).await;
    says(&fixture, "full", &["rm", "/tmp/greeting"]).unwrap();
    fixture.apply(&plan).await.unwrap().expect("it wrote");
    for pod in ["mended", "full"] {
        assert_eq!(says(&fixture, pod, &["cat", TEXT]).unwrap(), "hello\n");
    }
    assert!(fixture.apply(&plan).await.unwrap().is_none(), "a second apply writes nothing");
    fixture.clean().await;
}

#[tokio::test]
async fn a_missing_right_to_run_programs_in_pods_is_an_error() {
    let Some((fixture, image)) = shell().await else { return };
    fixture.make_namespace(&fixture.namespace).await;
    fixture.make_namespace(&fixture.state_namespace).await;
    running(&fixture, "a", &image).await;
    let rules = json!([{"apiGroups": [""], "resources": ["pods", "configmaps"], "verbs": ["*"]},
        {"apiGroups": [""], "resources": ["pods/exec"], "verbs": ["create"]}]);
    let limited = fixture.limited(rules).await;
    let error = limited.pod_files(&wants(&fixture, "hello\n", &[])).await.unwrap_err();
    let Some(Hint::Advice(hint)) = error.hint() else { panic!("no advice for {error}") };
    assert!(matches!(error, Error::Api(ApiError::Forbidden { .. })), "{error}");
    assert!(hint.contains("the verb `get` on `pods/exec`"), "{hint}");
    fixture.clean().await;
}

#[tokio::test]
async fn an_uninstall_without_the_right_to_exec_can_orphan_the_files() {
    let Some((fixture, image)) = shell().await else { return };
    fixture.make_namespace(&fixture.namespace).await;
    running(&fixture, "a", &image).await;
    fixture.apply(&wants(&fixture, "hello\n", &["line"])).await.unwrap().expect("it wrote");
    let rules = json!([{"apiGroups": [""], "resources": ["pods", "configmaps"], "verbs": ["*"]},
        {"apiGroups": ["coordination.k8s.io"], "resources": ["leases"], "verbs": ["*"]}]);
    let limited = fixture.limited(rules).await;
    let uninstall = async |orphan: &[&str]| {
        let orphan = orphan.iter().map(|text| text.parse().unwrap()).collect();
        let options = UninstallOptions { delete_data: false, orphan, timeout: Duration::from_secs(30) };
        crate::support::uninstall(&limited, "demo", &options).await
    };
    let error = uninstall(&["PodFiles/other"]).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Forbidden);
    assert_eq!(error.hint(), Some(Hint::Orphan("PodFiles/greeting".into())), "{error}");
    let taken = uninstall(&["PodFiles/greeting"]).await.unwrap();
    let note = taken.pod_files[0].note.as_deref().unwrap();
    assert!(note.contains("left behind") && note.contains(&format!("{TEXT}, {RC}")), "{note}");
    assert_eq!(says(&fixture, "a", &["cat", TEXT]).unwrap(), "hello\n");
    assert!(fixture.cluster.release("demo").await.unwrap().is_none());
    fixture.clean().await;
}

#[tokio::test]
async fn a_missing_container_is_an_error_of_the_plan() {
    let Some((fixture, image)) = shell().await else { return };
    fixture.make_namespace(&fixture.namespace).await;
    running(&fixture, "a", &image).await;
    let step = PodFilesStep { container: Some("other".into()), ..files(&fixture, "hello\n", &[]) };
    let plan = fixture.plan(vec![("files", vec![Step::PodFiles(step)])]);
    let error = fixture.cluster.pod_files(&plan).await.unwrap_err();
    assert!(error.to_string().contains("no container `other`; it has shell"), "{error}");
    fixture.clean().await;
}
