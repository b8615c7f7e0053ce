//! Files in pods, with a real node.

use crate::support::{Bench, Said, bench, bench_with_node, secrets};
use serde_json::{Value, json};
use std::time::Duration;
use thinkube_cluster::{ApiError, ApplyOptions, Error, Phase, UninstallOptions};
use thinkube_plan::{
    Action, Change, Diagnostic as _, ErrorKind, Hint, Plan, PodFile, PodFileRef, PodFilesStep, PodLine, Step,
};

const TEXT: &str = "/tmp/greeting/text";
const RC: &str = "/tmp/profile";

/// A namespace with a node, and an image that has a shell.
async fn shell() -> Option<(Bench, String)> {
    let bench = bench_with_node().await?;
    let image = thinkube_test_cluster::shared_cluster()?.toolbox_image().expect("a node has it").to_owned();
    Some((bench, image))
}

fn files(bench: &Bench, content: &str, lines: &[&str]) -> PodFilesStep {
    PodFilesStep {
        name: "greeting".into(),
        namespace: bench.namespace.clone(),
        label_selector: "app=shell".into(),
        container: None,
        files: vec![PodFile { path: TEXT.into(), mode: 0o640, content: content.into() }],
        lines: lines.iter().map(|text| PodLine { path: RC.into(), text: (*text).into() }).collect(),
    }
}

fn wants(bench: &Bench, content: &str, lines: &[&str]) -> Plan {
    bench.plan(vec![("files", vec![Step::PodFiles(files(bench, content, lines))])])
}

/// A pod that is nobody's, so that it outlives an uninstall.
async fn pod(bench: &Bench, name: &str, image: &str, command: Value) {
    let pod = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "labels": {"app": "shell"}},
        "spec": {"terminationGracePeriodSeconds": 0, "containers": [
            {"name": "shell", "image": image, "imagePullPolicy": "IfNotPresent", "command": command}]}});
    bench.make(&bench.core("pods", ""), pod).await;
}

async fn until_running(bench: &Bench, name: &str) {
    for _ in 0..300 {
        let pod = bench.get(&bench.core("pods", name)).await.unwrap_or_default();
        if pod["status"]["containerStatuses"][0]["state"]["running"].is_object() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    panic!("pod {name} does not run");
}

async fn running(bench: &Bench, name: &str, image: &str) {
    pod(bench, name, image, json!(["sleep", "86400"])).await;
    until_running(bench, name).await;
}

/// What a program says in a pod; None if it fails.
fn says(bench: &Bench, pod: &str, program: &[&str]) -> Option<String> {
    let output = bench.kubectl(&[&["exec", "-n", &bench.namespace, pod, "--"], program].concat());
    output.status.success().then(|| String::from_utf8(output.stdout).unwrap())
}

fn file(change: &Change) -> &PodFileRef {
    change.pod_file().expect("the change is about a file in a pod")
}

fn actions(changes: &[Change]) -> Vec<(&str, Action)> {
    changes.iter().map(|change| (file(change).path.as_deref().unwrap_or("-"), change.action)).collect()
}

#[tokio::test]
async fn files_and_lines_are_written_once_changed_and_taken_back() {
    let Some((bench, image)) = shell().await else { return };
    bench.make_namespace(&bench.namespace).await;
    running(&bench, "a", &image).await;
    says(&bench, "a", &["sh", "-c", "printf theirs > /tmp/profile"]).unwrap();
    let first = wants(&bench, "hello $(id)\n", &["export A='$(id)'"]);
    let look = async |plan: &Plan| bench.cluster.pod_files(plan).await.unwrap();
    assert_eq!(actions(&look(&first).await), [(TEXT, Action::Create), (RC, Action::Update)]);

    let release = bench.apply(&first).await.unwrap().expect("it wrote");
    assert_eq!(release.pod_files.len(), 1);
    assert_eq!(says(&bench, "a", &["cat", TEXT]).unwrap(), "hello $(id)\n");
    assert_eq!(says(&bench, "a", &["stat", "-c", "%a", TEXT]).unwrap(), "640\n");
    assert_eq!(says(&bench, "a", &["cat", RC]).unwrap(), "theirs\nexport A='$(id)'\n");
    assert!(bench.apply(&first).await.unwrap().is_none(), "a second apply writes nothing");

    let another = wants(&bench, "hello $(id)\n", &["export B=2"]);
    bench.apply(&another).await.unwrap().expect("it wrote");
    assert_eq!(says(&bench, "a", &["cat", RC]).unwrap(), "theirs\nexport B=2\n");
    assert!(bench.apply(&another).await.unwrap().is_none(), "a second apply writes nothing");

    let second = wants(&bench, "good day\n", &[]);
    assert_eq!(actions(&look(&second).await), [(TEXT, Action::Update), (RC, Action::Delete)]);
    bench.apply(&second).await.unwrap().expect("it wrote");
    assert_eq!(says(&bench, "a", &["cat", TEXT, RC]).unwrap(), "good day\ntheirs\n");

    // A pod that was made anew gets its files by the next apply.
    running(&bench, "b", &image).await;
    assert_eq!(actions(&look(&second).await), [(TEXT, Action::Unchanged), (TEXT, Action::Create)]);
    bench.apply(&second).await.unwrap().expect("it wrote");
    assert_eq!(says(&bench, "b", &["cat", TEXT]).unwrap(), "good day\n");

    let taken = bench.uninstall(false).await.unwrap();
    assert_eq!(actions(&taken.pod_files), [(TEXT, Action::Delete), (TEXT, Action::Delete)]);
    assert_eq!(says(&bench, "a", &["ls", "/tmp/greeting"]).unwrap(), "");
    assert_eq!(says(&bench, "a", &["cat", RC]).unwrap(), "theirs\n");
    bench.clean().await;
}

#[tokio::test]
async fn what_was_there_or_was_changed_is_left_alone_and_nothing_goes_through_a_link() {
    let Some((bench, image)) = shell().await else { return };
    bench.make_namespace(&bench.namespace).await;
    running(&bench, "a", &image).await;
    says(&bench, "a", &["sh", "-c", "mkdir /tmp/greeting && echo theirs > /tmp/greeting/text && ln -s /tmp/greeting/text /tmp/profile"])
        .unwrap();
    let plan = wants(&bench, "hello\n", &["line"]);
    let changes = bench.cluster.pod_files(&plan).await.unwrap();
    assert_eq!(actions(&changes), [(TEXT, Action::Keep), (RC, Action::Keep)]);
    assert!(changes[1].note.as_deref().unwrap().contains("symbolic link"), "{changes:?}");
    bench.apply(&plan).await.unwrap().expect("the release is recorded");
    assert_eq!(says(&bench, "a", &["cat", TEXT]).unwrap(), "theirs\n");

    says(&bench, "a", &["rm", RC, TEXT]).unwrap();
    bench.apply(&plan).await.unwrap().expect("it wrote");
    says(&bench, "a", &["sh", "-c", "echo mine > /tmp/greeting/text"]).unwrap();
    let other = wants(&bench, "good day\n", &["line"]);
    assert_eq!(
        actions(&bench.cluster.pod_files(&other).await.unwrap()),
        [(TEXT, Action::Keep), (RC, Action::Unchanged)]
    );
    let taken = bench.uninstall(false).await.unwrap();
    assert_eq!(actions(&taken.pod_files), [(TEXT, Action::Keep), (RC, Action::Delete)]);
    assert_eq!(says(&bench, "a", &["cat", TEXT]).unwrap(), "mine\n");
    assert_eq!(says(&bench, "a", &["cat", RC]), None, "nothing was left in it");
    bench.clean().await;
}

#[tokio::test]
async fn no_pod_is_said_and_is_no_error() {
    let Some(bench) = bench().await else { return };
    let plan = bench.plan(vec![
        ("base", vec![bench.namespace_step()]),
        ("files", vec![Step::PodFiles(files(&bench, "hello\n", &[]))]),
    ]);
    let changes = bench.cluster.pod_files(&plan).await.unwrap();
    assert_eq!((changes.len(), &file(&changes[0]).pod, changes[0].action), (1, &None, Action::Unchanged));
    let said = Said::default();
    bench.apply_with(&plan, &secrets(), &ApplyOptions::default(), &said).await.unwrap().expect("it wrote");
    assert!(said.all().contains("has the labels app=shell"), "{}", said.all());
    assert!(bench.apply(&plan).await.unwrap().is_none());
    assert_eq!(bench.uninstall(false).await.unwrap().pod_files, []);
    bench.clean().await;
}

#[tokio::test]
async fn a_host_that_died_before_it_wrote_all_leaves_what_an_uninstall_takes_back() {
    let Some((bench, image)) = shell().await else { return };
    bench.make_namespace(&bench.namespace).await;
    running(&bench, "a", &image).await;
    let (plan, values) = (wants(&bench, "hello\n", &["line"]), secrets());
    let comparison = bench.compare(&plan).await.unwrap();
    let options = ApplyOptions { lease_duration: Duration::from_secs(2), ..ApplyOptions::default() };
    let quiet = |_| ();
    let mut apply = bench.cluster.begin(&plan, &values, comparison, &options, &quiet).await.unwrap();
    apply.stage(0).await.unwrap();
    apply.pod_files(0, true).await.unwrap();
    drop(apply);
    assert_eq!(says(&bench, "a", &["cat", TEXT]).unwrap(), "hello\n");
    tokio::time::sleep(Duration::from_secs(3)).await;
    let taken = bench.uninstall(false).await.unwrap();
    assert_eq!(actions(&taken.pod_files), [(TEXT, Action::Delete), (RC, Action::Delete)]);
    bench.clean().await;
}

#[tokio::test]
async fn a_pod_that_nothing_can_be_written_into_is_said_and_gets_its_files_when_it_can() {
    let Some((bench, image)) = shell().await else { return };
    bench.make_namespace(&bench.namespace).await;
    pod(&bench, "waits", "thinkube.test/library/nothing:1", json!(["sleep", "1"])).await;
    for name in ["bare", "full", "good"] {
        running(&bench, name, &image).await;
    }
    // What it has for a program is all that it has.
    says(&bench, "bare", &["rm", "/bin/sh"]).unwrap();
    says(&bench, "full", &["touch", "/tmp/greeting"]).unwrap();
    let plan = wants(&bench, "hello\n", &[]);
    let open = async || {
        let changes = bench.cluster.pod_files(&plan).await.unwrap();
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

    let said = Said::default();
    let release = bench.apply_with(&plan, &secrets(), &ApplyOptions::default(), &said).await;
    assert_eq!(release.unwrap().expect("it wrote").phase, Phase::Deployed);
    assert_eq!(says(&bench, "good", &["cat", TEXT]).unwrap(), "hello\n");
    for words in
        ["it is not running", "`kubectl describe pod waits -n", "`sh`", TEXT, "the next apply tries again"]
    {
        assert!(said.all().contains(words), "{words} is not in {}", said.all());
    }
    let after = open().await;
    told(&after, "bare", "`sh`");
    told(&after, "waits", "not running");

    for name in ["waits", "bare"] {
        bench.ask("DELETE", &bench.core("pods", name), None).await.unwrap();
    }
    running(&bench, "mended", &image).await;
    says(&bench, "full", &["rm", "/tmp/greeting"]).unwrap();
    bench.apply(&plan).await.unwrap().expect("it wrote");
    for pod in ["mended", "full"] {
        assert_eq!(says(&bench, pod, &["cat", TEXT]).unwrap(), "hello\n");
    }
    assert!(bench.apply(&plan).await.unwrap().is_none(), "a second apply writes nothing");
    bench.clean().await;
}

#[tokio::test]
async fn a_missing_right_to_run_programs_in_pods_is_an_error() {
    let Some((bench, image)) = shell().await else { return };
    bench.make_namespace(&bench.namespace).await;
    bench.make_namespace(&bench.state_namespace).await;
    running(&bench, "a", &image).await;
    let rules = json!([{"apiGroups": [""], "resources": ["pods", "configmaps"], "verbs": ["*"]},
        {"apiGroups": [""], "resources": ["pods/exec"], "verbs": ["create"]}]);
    let limited = bench.limited(rules).await;
    let error = limited.pod_files(&wants(&bench, "hello\n", &[])).await.unwrap_err();
    let Some(Hint::Advice(hint)) = error.hint() else { panic!("no advice for {error}") };
    assert!(matches!(error, Error::Api(ApiError::Forbidden { .. })), "{error}");
    assert!(hint.contains("the verb `get` on `pods/exec`"), "{hint}");
    bench.clean().await;
}

#[tokio::test]
async fn an_uninstall_by_somebody_who_may_not_get_into_pods_leaves_what_is_there_when_it_is_told_to() {
    let Some((bench, image)) = shell().await else { return };
    bench.make_namespace(&bench.namespace).await;
    running(&bench, "a", &image).await;
    bench.apply(&wants(&bench, "hello\n", &["line"])).await.unwrap().expect("it wrote");
    let rules = json!([{"apiGroups": [""], "resources": ["pods", "configmaps"], "verbs": ["*"]},
        {"apiGroups": ["coordination.k8s.io"], "resources": ["leases"], "verbs": ["*"]}]);
    let limited = bench.limited(rules).await;
    let uninstall = async |orphan: &[&str]| {
        let orphan = orphan.iter().map(|text| text.parse().unwrap()).collect();
        let options = UninstallOptions { delete_data: false, orphan, timeout: Duration::from_secs(30) };
        limited.uninstall("demo", &options, &|_| ()).await
    };
    let error = uninstall(&["PodFiles/other"]).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Forbidden);
    assert_eq!(error.hint(), Some(Hint::Orphan("PodFiles/greeting".into())), "{error}");
    let taken = uninstall(&["PodFiles/greeting"]).await.unwrap();
    let note = taken.pod_files[0].note.as_deref().unwrap();
    assert!(note.contains("left behind") && note.contains(&format!("{TEXT}, {RC}")), "{note}");
    assert_eq!(says(&bench, "a", &["cat", TEXT]).unwrap(), "hello\n");
    assert!(bench.cluster.release("demo").await.unwrap().is_none());
    bench.clean().await;
}

#[tokio::test]
async fn a_container_that_the_pod_does_not_have_is_an_error_of_the_plan() {
    let Some((bench, image)) = shell().await else { return };
    bench.make_namespace(&bench.namespace).await;
    running(&bench, "a", &image).await;
    let step = PodFilesStep { container: Some("other".into()), ..files(&bench, "hello\n", &[]) };
    let plan = bench.plan(vec![("files", vec![Step::PodFiles(step)])]);
    let error = bench.cluster.pod_files(&plan).await.unwrap_err();
    assert!(error.to_string().contains("no container `other`; it has shell"), "{error}");
    bench.clean().await;
}
