//! Errors before and during an apply, and what they name.

use crate::support::{fixture, secrets, step, there};
use serde_json::json;
use std::path::PathBuf;
use std::time::Duration;
use thinkube_cluster::{ApiError, ApplyError, ApplyOptions, Cluster, Connect, DiffError, Error};
use thinkube_plan::{Diagnostic as _, ErrorKind, Step};

async fn refused(options: Connect) -> Error {
    Cluster::connect(&options).await.err().expect("a refusal")
}

#[tokio::test]
async fn a_mistyped_release_name_is_not_a_fault_of_a_plan() {
    let Some(fixture) = fixture().await else { return };
    for name in ["a/b", "a%b"] {
        let error = fixture.cluster.release(name).await.expect_err("no ConfigMap has such a name");
        assert_eq!(error.kind(), ErrorKind::ReleaseName, "{name}: {error}");
    }
    fixture.clean().await;
}

#[tokio::test]
async fn a_kubeconfig_that_is_missing_or_wrong_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let at = |path: PathBuf, context: Option<&str>| Connect {
        kubeconfig: Some(path),
        context: context.map(str::to_owned),
        ..Connect::default()
    };
    let missing = folder.path().join("nowhere");
    let error = refused(at(missing.clone(), None)).await;
    assert!(
        matches!(&error, Error::Api(ApiError::NoKubeconfig { path }) if *path == missing.display().to_string()),
        "{error}"
    );

    let broken = folder.path().join("broken");
    std::fs::write(&broken, "clusters: [}").unwrap();
    let error = refused(at(broken.clone(), None)).await;
    assert!(
        matches!(&error, Error::Api(ApiError::Kubeconfig { path, .. }) if *path == broken.display().to_string()),
        "{error}"
    );

    let good = folder.path().join("good");
    std::fs::write(&good, kubeconfig("https://127.0.0.1:1")).unwrap();
    let error = refused(at(good, Some("other"))).await.to_string();
    assert!(error.contains("other") && error.contains("its contexts are: here"), "{error}");
}

#[tokio::test]
async fn a_server_that_does_not_answer_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("config");
    std::fs::write(&path, kubeconfig("https://127.0.0.1:1")).unwrap();
    let started = std::time::Instant::now();
    let error = refused(Connect { kubeconfig: Some(path), ..Connect::default() }).await;
    assert!(
        matches!(&error, Error::Api(ApiError::Unreachable { server, .. }) if server == "https://127.0.0.1:1"),
        "{error}"
    );
    assert!(started.elapsed() < Duration::from_secs(15));
}

fn kubeconfig(server: &str) -> String {
    format!(
        "apiVersion: v1\nkind: Config\ncurrent-context: here\nclusters: [{{name: c, cluster: {{server: \"{server}\"}}}}]\n\
         users: [{{name: u, user: {{token: t}}}}]\ncontexts: [{{name: here, context: {{cluster: c, user: u}}}}]\n"
    )
}

#[tokio::test]
async fn a_terminating_namespace_stops_an_apply_before_its_first_write() {
    let Some(fixture) = fixture().await else { return };
    fixture.make_namespace(&fixture.namespace).await;
    let body = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "stuck", "finalizers": ["thinkube.test/hold"]}});
    fixture.make(&fixture.core("configmaps", ""), body).await;
    fixture.ask("DELETE", &format!("/api/v1/namespaces/{}", fixture.namespace), None).await.unwrap();
    let before = fixture.audit_end();
    for steps in [vec![fixture.namespace_step(), fixture.config("a", "1")], vec![fixture.config("a", "1")]] {
        let error = fixture.apply(&fixture.plan(vec![("one", steps)])).await.unwrap_err();
        assert!(
            matches!(&error, Error::Api(ApiError::Terminating { namespace }) if *namespace == fixture.namespace),
            "{error}"
        );
        assert!(error.to_string().contains("nothing was changed"), "{error}");
    }
    assert_eq!(fixture.writes_since(before, "tester").await.len(), 0);
    fixture
        .ask("PATCH", &fixture.core("configmaps", "stuck"), Some(json!({"metadata": {"finalizers": null}})))
        .await
        .unwrap();
    fixture.clean().await;
}

#[tokio::test]
async fn a_missing_right_is_found_before_the_first_write() {
    let Some(fixture) = fixture().await else { return };
    fixture.make_namespace(&fixture.namespace).await;
    fixture.make_namespace(&fixture.state_namespace).await;
    let all = ["get", "list", "create", "update", "patch", "delete"];
    let limited = fixture
        .limited(json!([
            {"apiGroups": [""], "resources": ["configmaps", "secrets"], "verbs": all},
            {"apiGroups": ["coordination.k8s.io"], "resources": ["leases"], "verbs": all},
            {"apiGroups": ["apps"], "resources": ["deployments", "statefulsets"], "verbs": all},
            {"apiGroups": [""], "resources": ["services"], "verbs": ["get", "list"]},
        ]))
        .await;
    let mut plan = fixture.usual();
    plan.plugin_plan.stages[0].steps.remove(0);
    let before = fixture.audit_end();
    let diff = limited.compare(&plan, &secrets()).await.unwrap();
    let inputs = secrets();
    let begun = limited.begin(&plan, &inputs, diff, &ApplyOptions::default(), &|_| {}).await;
    let error = begun.err().expect("a refusal");
    let Error::Several(errors) = &error else { panic!("{error}") };
    let text = error.to_string();
    assert!(
        errors
            .iter()
            .all(|error| matches!(error, Error::Api(ApiError::Forbidden { resource, .. }) if resource == "services")),
        "{text}"
    );
    assert!(
        text.contains(&format!(
            "limited-{} may not create services in namespace {}",
            fixture.id, fixture.namespace
        )),
        "{text}"
    );
    assert_eq!(fixture.writes_since(before, "limited").await.len(), 0);
    assert!(fixture.get(&fixture.core("configmaps", "settings")).await.is_none());

    // Without the one kind the same user may apply the rest.
    plan.plugin_plan.stages[1].steps.remove(0);
    let diff = limited.compare(&plan, &inputs).await.unwrap();
    let mut apply = limited.begin(&plan, &inputs, diff, &ApplyOptions::default(), &|_| {}).await.unwrap();
    apply.apply_stage(0).await.unwrap();
    apply.apply_stage(1).await.unwrap();
    apply.prune_objects().await.unwrap();
    apply.finish().await.unwrap();

    // A kind that may not even be read is found by the comparison.
    let error =
        limited.compare(&fixture.plan(vec![("one", vec![fixture.pvc("c")])]), &inputs).await.err().unwrap();
    assert!(
        matches!(&error, Error::Api(ApiError::Forbidden { verb, resource, .. }) if verb == "list" && resource == "persistentvolumeclaims"),
        "{error}"
    );
    fixture.clean().await;
}

#[tokio::test]
async fn the_right_to_rerun_a_job_is_checked_for_a_stage_with_skip_if() {
    let Some(fixture) = fixture().await else { return };
    fixture.make_namespace(&fixture.namespace).await;
    fixture.make_namespace(&fixture.state_namespace).await;
    let verbs = ["get", "list", "create", "update", "patch"];
    let limited = fixture
        .limited(json!([
            {"apiGroups": [""], "resources": ["configmaps"], "verbs": verbs},
            {"apiGroups": ["coordination.k8s.io"], "resources": ["leases"], "verbs": verbs},
            {"apiGroups": ["batch"], "resources": ["jobs"], "verbs": verbs},
        ]))
        .await;
    let job = fixture.object(json!({"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "once"}, "spec": {
        "suspend": true, "template": {"spec": {"restartPolicy": "Never", "containers": [{"name": "main", "image": "none"}]}}}}));
    let (once, inputs) = (fixture.plan(vec![("one", vec![job])]), secrets());
    let mut again = once.clone();
    again.plugin_plan.stages[0].skip_if = vec![there(&fixture)];
    let begin = async |plan| {
        let diff = limited.compare(plan, &inputs).await?;
        limited.begin(plan, &inputs, diff, &ApplyOptions::default(), &|_| {}).await
    };
    let mut first = begin(&again).await.unwrap();
    first.apply_stage(0).await.unwrap();
    first.finish().await.unwrap();

    let error = begin(&again).await.err().expect("a refusal");
    assert!(
        matches!(&error, Error::Api(ApiError::Forbidden { verb, resource, .. }) if verb == "delete" && resource == "jobs.batch"),
        "{error}"
    );
    // What never runs again needs no such right.
    begin(&once).await.unwrap().finish().await.unwrap();
    fixture.clean().await;
}

#[tokio::test]
async fn a_plan_that_cannot_be_applied_changes_nothing() {
    let Some(fixture) = fixture().await else { return };
    let before = fixture.audit_end();
    let compare = async |steps: Vec<Step>| {
        fixture.compare(&fixture.plan(vec![("one", steps)])).await.err().expect("a refusal")
    };

    let error = compare(vec![
        fixture.object(json!({"apiVersion": "x.io/v1", "kind": "Nope", "metadata": {"name": "n"}})),
    ])
    .await;
    assert!(matches!(&error, Error::Diff(DiffError::NotServed { kind, .. }) if kind == "Nope"), "{error}");

    let bare = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "n"}});
    let error = compare(vec![step(bare.clone())]).await;
    assert!(error.to_string().contains("no metadata.namespace"), "{error}");
    let error = compare(vec![
        fixture.object(json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "n"}})),
    ])
    .await;
    assert!(error.to_string().contains("cluster-scoped"), "{error}");
    let error = compare(vec![fixture.config("a", "1")]).await;
    assert!(
        matches!(&error, Error::Diff(DiffError::NoNamespace { namespace, .. }) if *namespace == fixture.namespace),
        "{error}"
    );
    assert_eq!(fixture.writes_since(before, "tester").await.len(), 0);
    fixture.clean().await;
}

#[tokio::test]
async fn an_authors_typo_is_reported_with_its_field_and_not_retried() {
    let Some(fixture) = fixture().await else { return };
    fixture.make_namespace(&fixture.namespace).await;
    let typo = fixture.object(json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "s"},
        "spec": {"prots": [{"port": 80}]}}));
    let plan = fixture.plan(vec![("one", vec![typo])]);
    let started = std::time::Instant::now();
    for error in [
        fixture.cluster.dry_run(&plan, &secrets()).await.err().unwrap(),
        fixture.apply(&plan).await.unwrap_err(),
    ] {
        assert!(
            matches!(&error, Error::Apply(ApplyError::Rejected {  code: 500, message, .. }) if message.contains(".spec.prots")),
            "{error}"
        );
    }
    assert!(started.elapsed() < Duration::from_secs(5), "{:?}", started.elapsed());
    fixture.uninstall(true).await.unwrap();
    fixture.clean().await;
}
