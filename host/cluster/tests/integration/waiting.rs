//! Readiness, with a real node.

use crate::support::{Fixture, Reports, fixture, fixture_with_node, secrets, there};
use serde_json::{Value, json};
use std::time::{Duration, Instant};
use thinkube_cluster::{ApplyOptions, EntryPhase, Error, Progress, ReadinessError};
use thinkube_plan::{HttpMethod, HttpProbe, HttpTarget, Plan, Probe, ServiceTarget, Step};
use tokio_util::sync::CancellationToken;

/// In the harness's node; nothing is pulled.
const IMAGE: &str = "thinkube.test/library/devpi:6.20.1";

async fn wait(fixture: &Fixture, plan: &Plan, timeout: u64) -> (Result<(), Error>, String) {
    let (inputs, reports) = (secrets(), Reports::default());
    let progress = |event: Progress| reports.push(event);
    let diff = fixture.compare(plan).await.unwrap();
    let mut apply =
        fixture.cluster.begin(plan, &inputs, diff, &ApplyOptions::default(), &progress).await.unwrap();
    apply.apply_stage(0).await.unwrap();
    let waited = apply.wait(0, Duration::from_secs(timeout)).await;
    match &waited {
        Ok(()) => drop(apply.finish().await.unwrap()),
        Err(error) => apply.fail(&error.to_string()).await,
    }
    (waited, reports.all())
}

fn server(fixture: &Fixture, image: &str, command: &str) -> Step {
    fixture.object(json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web"}, "spec": {
        "selector": {"matchLabels": {"app": "web"}}, "template": {"metadata": {"labels": {"app": "web"}}, "spec": {
            "terminationGracePeriodSeconds": 0, "enableServiceLinks": false,
            "containers": [{"name": "main", "image": image, "imagePullPolicy": "IfNotPresent",
                "command": ["sh", "-c", command], "ports": [{"containerPort": 8000}],
                "readinessProbe": {"tcpSocket": {"port": 8000}, "periodSeconds": 1}}]}}}}))
}

fn service(fixture: &Fixture) -> Step {
    fixture.object(json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "web"},
        "spec": {"selector": {"app": "web"}, "ports": [{"port": 80, "targetPort": 8000}]}}))
}

#[tokio::test]
async fn a_deployment_becomes_ready_and_answers_behind_the_proxy() {
    let Some(fixture) = fixture_with_node().await else { return };
    let run = "cd /tmp && echo '{\"a\": 1}' > x.json && exec python3 -m http.server 8000";
    let plan = fixture
        .plan(vec![("one", vec![fixture.namespace_step(), service(&fixture), server(&fixture, IMAGE, run)])]);
    let (waited, reports) = wait(&fixture, &plan, 90).await;
    waited.unwrap_or_else(|error| panic!("{error}\n{reports}"));
    assert!(reports.contains("Waiting {") && reports.contains("Ready {"), "{reports}");
    let target = |path: &str| {
        HttpTarget::Service(ServiceTarget {
            namespace: fixture.namespace.clone(),
            name: "web".into(),
            port: 80,
            path: path.into(),
        })
    };
    let probe = |path: &str| {
        Probe::Http(HttpProbe {
            target: target(path),
            method: HttpMethod::Get,
            headers: vec![],
            credentials: None,
            body: None,
            follow_redirects: false,
        })
    };
    let seen = fixture.cluster.observe(&probe("/x.json")).await.unwrap();
    assert!(seen.holds && seen.variables["json"]["a"] == 1, "{seen:?}");
    let seen = fixture.cluster.observe(&probe("/nothing")).await.unwrap();
    assert!(!seen.holds && seen.variables["status"] == 404, "{seen:?}");
    let gone = fixture.uninstall(false).await.unwrap();
    assert_eq!(gone.kept.len(), 0, "{gone:?}");
    fixture.clean().await;
}

#[tokio::test]
async fn an_object_that_does_not_become_ready_is_explained() {
    let Some(fixture) = fixture_with_node().await else { return };
    let missing = server(&fixture, "thinkube.test/library/nothing:1", "true");
    let plan = fixture.plan(vec![("one", vec![fixture.namespace_step(), missing])]);
    let (waited, reports) = wait(&fixture, &plan, 12).await;
    let error = waited.unwrap_err();
    let text = error.to_string();
    assert!(matches!(error, Error::Readiness(ReadinessError::NotReady { failed: false, .. })), "{text}");
    assert!(text.contains("container main: ") && text.contains("ImagePull"), "{text}\n{reports}");
    fixture.uninstall(true).await.unwrap();
    fixture.clean().await;
}

#[tokio::test]
async fn a_job_that_failed_ends_the_wait_at_once() {
    let Some(fixture) = fixture_with_node().await else { return };
    let job = |name: &str, command: &str| -> Value {
        json!({"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": name}, "spec": {"backoffLimit": 0, "template": {"spec": {
            "restartPolicy": "Never", "terminationGracePeriodSeconds": 0, "containers": [{"name": "main", "image": IMAGE,
                "imagePullPolicy": "IfNotPresent", "command": ["sh", "-c", command]}]}}}})
    };
    let good =
        fixture.plan(vec![("one", vec![fixture.namespace_step(), fixture.object(job("good", "exit 0"))])]);
    let (waited, reports) = wait(&fixture, &good, 60).await;
    waited.unwrap_or_else(|error| panic!("{error}\n{reports}"));
    let bad =
        fixture.plan(vec![("one", vec![fixture.namespace_step(), fixture.object(job("bad", "exit 3"))])]);
    let started = Instant::now();
    let (waited, _) = wait(&fixture, &bad, 120).await;
    assert!(
        matches!(waited, Err(Error::Readiness(ReadinessError::NotReady { failed: true, .. }))),
        "{waited:?}"
    );
    assert!(started.elapsed() < Duration::from_secs(60), "{:?}", started.elapsed());
    fixture.uninstall(true).await.unwrap();
    fixture.clean().await;
}

#[tokio::test]
async fn an_unbound_volume_claim_times_out_with_its_reason() {
    let Some(fixture) = fixture().await else { return };
    let pvc = fixture.object(
        json!({"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": "alone"},
        "spec": {"accessModes": ["ReadWriteOnce"], "storageClassName": "no-such-class",
            "resources": {"requests": {"storage": "1Mi"}}}}),
    );
    let plan = fixture.plan(vec![("one", vec![fixture.namespace_step(), pvc])]);
    let (waited, _) = wait(&fixture, &plan, 4).await;
    let text = waited.unwrap_err().to_string();
    assert!(text.contains("not bound") && text.contains("no-such-class"), "{text}");
    fixture.uninstall(true).await.unwrap();
    fixture.clean().await;
}

#[tokio::test]
async fn a_volume_claim_that_waits_for_its_pod_blocks_no_stage() {
    let Some(fixture) = fixture().await else { return };
    let class = format!("late-{}", fixture.id);
    fixture
        .make("/apis/storage.k8s.io/v1/storageclasses", json!({"apiVersion": "storage.k8s.io/v1", "kind": "StorageClass",
            "metadata": {"name": class}, "provisioner": "thinkube.test/none", "volumeBindingMode": "WaitForFirstConsumer"}))
        .await;
    let pvc = fixture.object(json!({"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": "late"},
        "spec": {"accessModes": ["ReadWriteOnce"], "storageClassName": class, "resources": {"requests": {"storage": "1Mi"}}}}));
    let plan = fixture.plan(vec![("one", vec![fixture.namespace_step(), pvc])]);
    let (waited, reports) = wait(&fixture, &plan, 20).await;
    waited.unwrap_or_else(|error| panic!("{error}\n{reports}"));
    fixture.uninstall(true).await.unwrap();
    fixture.ask("DELETE", &format!("/apis/storage.k8s.io/v1/storageclasses/{class}"), None).await.unwrap();
    fixture.clean().await;
}

#[tokio::test]
async fn an_interrupted_wait_records_which_objects_became_ready() {
    let Some(fixture) = fixture_with_node().await else { return };
    let job = fixture.object(
        json!({"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "once"}, "spec": {
        "backoffLimit": 0, "template": {"spec": {"restartPolicy": "Never", "containers": [
            {"name": "main", "image": IMAGE, "imagePullPolicy": "IfNotPresent", "command": ["true"]}]}}}}),
    );
    let never_ready = server(&fixture, IMAGE, "sleep 600");
    let plan = fixture.plan(vec![("one", vec![fixture.namespace_step(), job, never_ready])]);
    let (inputs, finished) = (secrets(), CancellationToken::new());
    let progress = |event: Progress| {
        if matches!(&event, Progress::Ready { object, .. } if object.kind == "Job") {
            finished.cancel();
        }
    };
    let diff = fixture.compare(&plan).await.expect("a diff");
    let options = ApplyOptions::default();
    let mut apply = fixture.cluster.begin(&plan, &inputs, diff, &options, &progress).await.expect("an apply");
    apply.apply_stage(0).await.expect("the stage is applied");
    let waited = finished.run_until_cancelled(apply.wait(0, Duration::from_secs(60))).await;
    assert!(waited.is_none(), "{waited:?}");
    apply.interrupt().await;

    let release =
        fixture.cluster.release(&plan.release).await.expect("a readable record").expect("a release");
    let phase = |kind: &str| {
        let entry = release.inventory.iter().find(|entry| entry.object.kind == kind);
        entry.unwrap_or_else(|| panic!("{kind} is not in the inventory")).phase
    };
    assert_eq!((phase("Job"), phase("Deployment")), (EntryPhase::Ready, EntryPhase::Applied));
    fixture.uninstall(true).await.expect("an uninstall");
    fixture.clean().await;
}

#[tokio::test]
async fn a_finished_job_that_its_ttl_deleted_is_not_rerun() {
    let Some(fixture) = fixture_with_node().await else { return };
    let job = fixture.object(json!({"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "once"}, "spec": {
        "backoffLimit": 0, "ttlSecondsAfterFinished": 1, "template": {"spec": {"restartPolicy": "Never", "containers": [
            {"name": "main", "image": IMAGE, "imagePullPolicy": "IfNotPresent", "command": ["true"]}]}}}}));
    let plan = fixture.plan(vec![("one", vec![fixture.namespace_step(), job])]);
    let (waited, reports) = wait(&fixture, &plan, 60).await;
    waited.unwrap_or_else(|error| panic!("{error}\n{reports}"));
    let path = format!("/apis/batch/v1/namespaces/{}/jobs/once", fixture.namespace);
    for _ in 0..100 {
        if fixture.get(&path).await.is_none() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    assert!(fixture.compare(&plan).await.unwrap().up_to_date());

    // Where its stage can have it run again, what others have put into its place meanwhile is not overwritten.
    let theirs = json!({"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "once"}, "spec": {
        "suspend": true, "template": {"spec": {"restartPolicy": "Never", "containers": [{"name": "main", "image": IMAGE}]}}}});
    fixture.make(path.trim_end_matches("/once"), theirs).await;
    assert!(fixture.compare(&plan).await.unwrap().up_to_date());
    let mut again = plan.clone();
    again.plugin_plan.stages[0].skip_if = vec![there(&fixture)];
    let diff = fixture.compare(&again).await.unwrap();
    assert_eq!(diff.not_owned().len(), 1, "{:?}", diff.not_owned());
    fixture.uninstall(true).await.unwrap();
    fixture.clean().await;
}

#[tokio::test]
async fn a_crashing_container_is_reported_during_the_wait() {
    let Some(fixture) = fixture_with_node().await else { return };
    let crashing = server(&fixture, IMAGE, "exit 7");
    let plan = fixture.plan(vec![("one", vec![fixture.namespace_step(), crashing])]);
    let (waited, reports) = wait(&fixture, &plan, 20).await;
    let text = waited.unwrap_err().to_string();
    assert!(text.contains("container main: ") && text.contains("exit code 7"), "{text}\n{reports}");
    assert!(reports.contains("container main: "), "{reports}");
    fixture.uninstall(true).await.unwrap();
    fixture.clean().await;
}
