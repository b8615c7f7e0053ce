use crate::support::{Bench, Said, bench, bench_with_node, secrets, there};
use serde_json::{Value, json};
use std::time::{Duration, Instant};
use thinkube_cluster::{ApplyOptions, Error, Progress, ReadinessError};
use thinkube_plan::{HttpMethod, HttpProbe, HttpTarget, Plan, Probe, ServiceTarget, Step};

/// In the harness's node; nothing is pulled.
const IMAGE: &str = "thinkube.test/library/devpi:6.20.1";

async fn wait(bench: &Bench, plan: &Plan, timeout: u64) -> (Result<(), Error>, String) {
    let (inputs, said) = (secrets(), Said::default());
    let events = |event: Progress| said.push(event);
    let comparison = bench.compare(plan).await.unwrap();
    let mut apply =
        bench.cluster.begin(plan, &inputs, comparison, &ApplyOptions::default(), &events).await.unwrap();
    apply.stage(0).await.unwrap();
    let waited = apply.wait(0, Duration::from_secs(timeout)).await;
    match &waited {
        Ok(()) => drop(apply.finish().await.unwrap()),
        Err(error) => apply.abandon(&error.to_string()).await,
    }
    (waited, said.all())
}

fn server(bench: &Bench, image: &str, command: &str) -> Step {
    bench.object(json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web"}, "spec": {
        "selector": {"matchLabels": {"app": "web"}}, "template": {"metadata": {"labels": {"app": "web"}}, "spec": {
            "terminationGracePeriodSeconds": 0, "enableServiceLinks": false,
            "containers": [{"name": "main", "image": image, "imagePullPolicy": "IfNotPresent",
                "command": ["sh", "-c", command], "ports": [{"containerPort": 8000}],
                "readinessProbe": {"tcpSocket": {"port": 8000}, "periodSeconds": 1}}]}}}}))
}

fn service(bench: &Bench) -> Step {
    bench.object(json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "web"},
        "spec": {"selector": {"app": "web"}, "ports": [{"port": 80, "targetPort": 8000}]}}))
}

#[tokio::test]
async fn a_deployment_is_waited_for_and_then_answers_behind_the_proxy() {
    let Some(bench) = bench_with_node().await else { return };
    let run = "cd /tmp && echo '{\"a\": 1}' > x.json && exec python3 -m http.server 8000";
    let plan =
        bench.plan(vec![("one", vec![bench.namespace_step(), service(&bench), server(&bench, IMAGE, run)])]);
    let (waited, said) = wait(&bench, &plan, 90).await;
    waited.unwrap_or_else(|error| panic!("{error}\n{said}"));
    assert!(said.contains("Waiting {") && said.contains("Ready {"), "{said}");
    let target = |path: &str| {
        HttpTarget::Service(ServiceTarget {
            namespace: bench.namespace.clone(),
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
    let seen = bench.cluster.observe(&probe("/x.json")).await.unwrap();
    assert!(seen.holds && seen.variables["json"]["a"] == 1, "{seen:?}");
    let seen = bench.cluster.observe(&probe("/nothing")).await.unwrap();
    assert!(!seen.holds && seen.variables["status"] == 404, "{seen:?}");
    let gone = bench.uninstall(false).await.unwrap();
    assert_eq!(gone.kept.len(), 0, "{gone:?}");
    bench.clean().await;
}

#[tokio::test]
async fn what_does_not_come_up_is_explained() {
    let Some(bench) = bench_with_node().await else { return };
    let missing = server(&bench, "thinkube.test/library/nothing:1", "true");
    let plan = bench.plan(vec![("one", vec![bench.namespace_step(), missing])]);
    let (waited, said) = wait(&bench, &plan, 12).await;
    let error = waited.unwrap_err();
    let text = error.to_string();
    assert!(matches!(error, Error::Readiness(ReadinessError::NotReady { failed: false, .. })), "{text}");
    assert!(text.contains("container main: ") && text.contains("ImagePull"), "{text}\n{said}");
    bench.uninstall(true).await.unwrap();
    bench.clean().await;
}

#[tokio::test]
async fn a_job_that_failed_ends_the_wait_at_once() {
    let Some(bench) = bench_with_node().await else { return };
    let job = |name: &str, command: &str| -> Value {
        json!({"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": name}, "spec": {"backoffLimit": 0, "template": {"spec": {
            "restartPolicy": "Never", "terminationGracePeriodSeconds": 0, "containers": [{"name": "main", "image": IMAGE,
                "imagePullPolicy": "IfNotPresent", "command": ["sh", "-c", command]}]}}}})
    };
    let good = bench.plan(vec![("one", vec![bench.namespace_step(), bench.object(job("good", "exit 0"))])]);
    let (waited, said) = wait(&bench, &good, 60).await;
    waited.unwrap_or_else(|error| panic!("{error}\n{said}"));
    let bad = bench.plan(vec![("one", vec![bench.namespace_step(), bench.object(job("bad", "exit 3"))])]);
    let started = Instant::now();
    let (waited, _) = wait(&bench, &bad, 120).await;
    assert!(
        matches!(waited, Err(Error::Readiness(ReadinessError::NotReady { failed: true, .. }))),
        "{waited:?}"
    );
    assert!(started.elapsed() < Duration::from_secs(60), "{:?}", started.elapsed());
    bench.uninstall(true).await.unwrap();
    bench.clean().await;
}

#[tokio::test]
async fn a_claim_that_nothing_binds_times_out_with_what_the_cluster_says() {
    let Some(bench) = bench().await else { return };
    let claim = bench.object(
        json!({"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": "alone"},
        "spec": {"accessModes": ["ReadWriteOnce"], "storageClassName": "no-such-class",
            "resources": {"requests": {"storage": "1Mi"}}}}),
    );
    let plan = bench.plan(vec![("one", vec![bench.namespace_step(), claim])]);
    let (waited, _) = wait(&bench, &plan, 4).await;
    let text = waited.unwrap_err().to_string();
    assert!(text.contains("not bound") && text.contains("no-such-class"), "{text}");
    bench.uninstall(true).await.unwrap();
    bench.clean().await;
}

#[tokio::test]
async fn a_claim_that_waits_for_its_first_user_does_not_hold_the_stage() {
    let Some(bench) = bench().await else { return };
    let class = format!("late-{}", bench.id);
    bench
        .make("/apis/storage.k8s.io/v1/storageclasses", json!({"apiVersion": "storage.k8s.io/v1", "kind": "StorageClass",
            "metadata": {"name": class}, "provisioner": "thinkube.test/none", "volumeBindingMode": "WaitForFirstConsumer"}))
        .await;
    let claim = bench.object(json!({"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": "late"},
        "spec": {"accessModes": ["ReadWriteOnce"], "storageClassName": class, "resources": {"requests": {"storage": "1Mi"}}}}));
    let plan = bench.plan(vec![("one", vec![bench.namespace_step(), claim])]);
    let (waited, said) = wait(&bench, &plan, 20).await;
    waited.unwrap_or_else(|error| panic!("{error}\n{said}"));
    bench.uninstall(true).await.unwrap();
    bench.ask("DELETE", &format!("/apis/storage.k8s.io/v1/storageclasses/{class}"), None).await.unwrap();
    bench.clean().await;
}

#[tokio::test]
async fn a_job_that_was_done_and_cleaned_up_is_not_run_again() {
    let Some(bench) = bench_with_node().await else { return };
    let job = bench.object(json!({"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "once"}, "spec": {
        "backoffLimit": 0, "ttlSecondsAfterFinished": 1, "template": {"spec": {"restartPolicy": "Never", "containers": [
            {"name": "main", "image": IMAGE, "imagePullPolicy": "IfNotPresent", "command": ["true"]}]}}}}));
    let plan = bench.plan(vec![("one", vec![bench.namespace_step(), job])]);
    let (waited, said) = wait(&bench, &plan, 60).await;
    waited.unwrap_or_else(|error| panic!("{error}\n{said}"));
    let path = format!("/apis/batch/v1/namespaces/{}/jobs/once", bench.namespace);
    for _ in 0..100 {
        if bench.get(&path).await.is_none() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    assert!(bench.compare(&plan).await.unwrap().up_to_date());

    // Where its stage can have it run again, what others have put into its place meanwhile is not overwritten.
    let theirs = json!({"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "once"}, "spec": {
        "suspend": true, "template": {"spec": {"restartPolicy": "Never", "containers": [{"name": "main", "image": IMAGE}]}}}});
    bench.make(path.trim_end_matches("/once"), theirs).await;
    assert!(bench.compare(&plan).await.unwrap().up_to_date());
    let mut again = plan.clone();
    again.plugin_plan.stages[0].skip_if = vec![there(&bench)];
    let comparison = bench.compare(&again).await.unwrap();
    assert_eq!(comparison.not_owned().len(), 1, "{:?}", comparison.not_owned());
    bench.uninstall(true).await.unwrap();
    bench.clean().await;
}

#[tokio::test]
async fn a_container_that_crashes_again_and_again_is_said_while_it_is_waited_for() {
    let Some(bench) = bench_with_node().await else { return };
    let crashing = server(&bench, IMAGE, "exit 7");
    let plan = bench.plan(vec![("one", vec![bench.namespace_step(), crashing])]);
    let (waited, said) = wait(&bench, &plan, 20).await;
    let text = waited.unwrap_err().to_string();
    assert!(text.contains("container main: ") && text.contains("exit code 7"), "{text}\n{said}");
    assert!(said.contains("container main: "), "{said}");
    bench.uninstall(true).await.unwrap();
    bench.clean().await;
}
