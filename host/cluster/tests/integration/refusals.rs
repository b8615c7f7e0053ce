use crate::support::{bench, secrets, step, there};
use serde_json::json;
use std::path::PathBuf;
use std::time::Duration;
use thinkube_cluster::{ApiError, ApplyError, ApplyOptions, Cluster, Connect, DiffError, Error};
use thinkube_plan::Step;

async fn refused(options: Connect) -> Error {
    Cluster::connect(&options).await.err().expect("a refusal")
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
async fn a_namespace_that_is_stuck_terminating_stops_everything_before_the_first_write() {
    let Some(bench) = bench().await else { return };
    bench.make_namespace(&bench.namespace).await;
    let body = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "stuck", "finalizers": ["thinkube.test/hold"]}});
    bench.make(&bench.core("configmaps", ""), body).await;
    bench.ask("DELETE", &format!("/api/v1/namespaces/{}", bench.namespace), None).await.unwrap();
    let before = bench.audit_end();
    for steps in [vec![bench.namespace_step(), bench.config("a", "1")], vec![bench.config("a", "1")]] {
        let error = bench.apply(&bench.plan(vec![("one", steps)])).await.unwrap_err();
        assert!(
            matches!(&error, Error::Api(ApiError::Terminating { namespace }) if *namespace == bench.namespace),
            "{error}"
        );
        assert!(error.to_string().contains("nothing was changed"), "{error}");
    }
    assert_eq!(bench.writes_since(before, "tester").await.len(), 0);
    bench
        .ask("PATCH", &bench.core("configmaps", "stuck"), Some(json!({"metadata": {"finalizers": null}})))
        .await
        .unwrap();
    bench.clean().await;
}

#[tokio::test]
async fn rbac_that_forbids_one_kind_is_found_before_the_first_write() {
    let Some(bench) = bench().await else { return };
    bench.make_namespace(&bench.namespace).await;
    bench.make_namespace(&bench.state_namespace).await;
    let all = ["get", "list", "create", "update", "patch", "delete"];
    let limited = bench
        .limited(json!([
            {"apiGroups": [""], "resources": ["configmaps", "secrets"], "verbs": all},
            {"apiGroups": ["coordination.k8s.io"], "resources": ["leases"], "verbs": all},
            {"apiGroups": ["apps"], "resources": ["deployments", "statefulsets"], "verbs": all},
            {"apiGroups": [""], "resources": ["services"], "verbs": ["get", "list"]},
        ]))
        .await;
    let mut plan = bench.usual();
    plan.plugin_plan.stages[0].steps.remove(0);
    let before = bench.audit_end();
    let comparison = limited.compare(&plan, &secrets()).await.unwrap();
    let inputs = secrets();
    let begun = limited.begin(&plan, &inputs, comparison, &ApplyOptions::default(), &|_| {}).await;
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
            bench.id, bench.namespace
        )),
        "{text}"
    );
    assert_eq!(bench.writes_since(before, "limited").await.len(), 0);
    assert!(bench.get(&bench.core("configmaps", "settings")).await.is_none());

    // Without the one kind the same user may apply the rest.
    plan.plugin_plan.stages[1].steps.remove(0);
    let comparison = limited.compare(&plan, &inputs).await.unwrap();
    let mut apply =
        limited.begin(&plan, &inputs, comparison, &ApplyOptions::default(), &|_| {}).await.unwrap();
    apply.stage(0).await.unwrap();
    apply.stage(1).await.unwrap();
    apply.prune().await.unwrap();
    apply.finish().await.unwrap();

    // A kind that may not even be read is found by the comparison.
    let error =
        limited.compare(&bench.plan(vec![("one", vec![bench.claim("c")])]), &inputs).await.err().unwrap();
    assert!(
        matches!(&error, Error::Api(ApiError::Forbidden { verb, resource, .. }) if verb == "list" && resource == "persistentvolumeclaims"),
        "{error}"
    );
    bench.clean().await;
}

#[tokio::test]
async fn the_right_to_run_a_job_again_is_asked_for_where_its_stage_says_when_it_is_done() {
    let Some(bench) = bench().await else { return };
    bench.make_namespace(&bench.namespace).await;
    bench.make_namespace(&bench.state_namespace).await;
    let verbs = ["get", "list", "create", "update", "patch"];
    let limited = bench
        .limited(json!([
            {"apiGroups": [""], "resources": ["configmaps"], "verbs": verbs},
            {"apiGroups": ["coordination.k8s.io"], "resources": ["leases"], "verbs": verbs},
            {"apiGroups": ["batch"], "resources": ["jobs"], "verbs": verbs},
        ]))
        .await;
    let job = bench.object(json!({"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "once"}, "spec": {
        "suspend": true, "template": {"spec": {"restartPolicy": "Never", "containers": [{"name": "main", "image": "none"}]}}}}));
    let (once, inputs) = (bench.plan(vec![("one", vec![job])]), secrets());
    let mut again = once.clone();
    again.plugin_plan.stages[0].skip_if = vec![there(&bench)];
    let begin = async |plan| {
        let comparison = limited.compare(plan, &inputs).await?;
        limited.begin(plan, &inputs, comparison, &ApplyOptions::default(), &|_| {}).await
    };
    let mut first = begin(&again).await.unwrap();
    first.stage(0).await.unwrap();
    first.finish().await.unwrap();

    let error = begin(&again).await.err().expect("a refusal");
    assert!(
        matches!(&error, Error::Api(ApiError::Forbidden { verb, resource, .. }) if verb == "delete" && resource == "jobs.batch"),
        "{error}"
    );
    // What never runs again needs no such right.
    begin(&once).await.unwrap().finish().await.unwrap();
    bench.clean().await;
}

#[tokio::test]
async fn a_plan_that_this_cluster_or_this_host_cannot_apply_changes_nothing() {
    let Some(bench) = bench().await else { return };
    let before = bench.audit_end();
    let compare = async |steps: Vec<Step>| {
        bench.compare(&bench.plan(vec![("one", steps)])).await.err().expect("a refusal")
    };

    let error = compare(vec![
        bench.object(json!({"apiVersion": "x.io/v1", "kind": "Nope", "metadata": {"name": "n"}})),
    ])
    .await;
    assert!(matches!(&error, Error::Diff(DiffError::NotServed { kind, .. }) if kind == "Nope"), "{error}");

    let bare = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "n"}});
    let error = compare(vec![step(bare.clone())]).await;
    assert!(error.to_string().contains("no metadata.namespace"), "{error}");
    let error = compare(vec![
        bench.object(json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "n"}})),
    ])
    .await;
    assert!(error.to_string().contains("cluster-scoped"), "{error}");
    let error = compare(vec![bench.config("a", "1")]).await;
    assert!(
        matches!(&error, Error::Diff(DiffError::NoNamespace { namespace, .. }) if *namespace == bench.namespace),
        "{error}"
    );
    assert_eq!(bench.writes_since(before, "tester").await.len(), 0);
    bench.clean().await;
}

#[tokio::test]
async fn an_authors_typo_is_said_with_its_field_and_is_not_tried_again() {
    let Some(bench) = bench().await else { return };
    bench.make_namespace(&bench.namespace).await;
    let typo = bench.object(json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "s"},
        "spec": {"prots": [{"port": 80}]}}));
    let plan = bench.plan(vec![("one", vec![typo])]);
    let started = std::time::Instant::now();
    for error in
        [bench.cluster.dry_run(&plan, &secrets()).await.err().unwrap(), bench.apply(&plan).await.unwrap_err()]
    {
        assert!(
            matches!(&error, Error::Apply(ApplyError::Rejected {  code: 500, message, .. }) if message.contains(".spec.prots")),
            "{error}"
        );
    }
    assert!(started.elapsed() < Duration::from_secs(5), "{:?}", started.elapsed());
    bench.uninstall(true).await.unwrap();
    bench.clean().await;
}
