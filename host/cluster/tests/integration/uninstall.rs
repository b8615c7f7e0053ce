use crate::support::{bench, secrets};
use serde_json::json;
use std::time::Duration;
use thinkube_cluster::{ApplyOptions, DeleteError, Error, ReleaseError, UninstallOptions};

#[tokio::test]
async fn nothing_is_left_but_the_claim_and_what_holds_it_and_a_reinstall_takes_it_up_again() {
    let Some(bench) = bench().await else { return };
    let mut plan = bench.usual();
    plan.plugin_plan.stages[0].steps.push(bench.claim("data"));
    let inputs = secrets();
    // The claim is bound to nothing here: the stages are applied without waiting.
    let install = async || {
        let comparison = bench.compare(&plan).await.unwrap();
        let mut apply =
            bench.cluster.begin(&plan, &inputs, comparison, &ApplyOptions::default(), &|_| {}).await.unwrap();
        apply.stage(0).await.unwrap();
        apply.stage(1).await.unwrap();
        apply.finish().await.unwrap()
    };
    install().await;
    let claim = bench.get(&bench.core("persistentvolumeclaims", "data")).await.unwrap();
    let gone = bench.uninstall(false).await.unwrap();
    assert_eq!(
        bench.labelled().await,
        [format!("namespaces/{}", bench.namespace), "persistentvolumeclaims/data".into()]
    );
    let kept: Vec<(String, String)> =
        gone.kept.iter().map(|(object, why)| (object.kind.clone(), why.clone())).collect();
    assert_eq!(kept.len(), 2, "{kept:?}");
    assert!(
        kept.iter().any(|(kind, why)| kind == "PersistentVolumeClaim" && why.contains("retains")),
        "{kept:?}"
    );
    assert!(
        kept.iter().any(|(kind, why)| kind == "Namespace" && why.contains("PersistentVolumeClaim")),
        "{kept:?}"
    );
    assert_eq!(gone.deleted.len(), 5, "{gone:?}");
    let names: Vec<&str> = gone.deleted.iter().map(|object| object.kind.as_str()).collect();
    assert!(
        names[..2].contains(&"Deployment") && names[..2].contains(&"StatefulSet"),
        "workloads first: {names:?}"
    );
    let state_namespace =
        bench.get(&format!("/api/v1/namespaces/{}/configmaps", bench.state_namespace)).await.unwrap();
    let left: Vec<&str> = state_namespace["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|item| item["metadata"]["name"].as_str().unwrap())
        .collect();
    assert_eq!(left, ["kube-root-ca.crt"], "no record and no revision");

    install().await;
    let again = bench.get(&bench.core("persistentvolumeclaims", "data")).await.unwrap();
    assert_eq!(claim["metadata"]["uid"], again["metadata"]["uid"]);
    let gone = bench.uninstall(true).await.unwrap();
    assert_eq!((gone.deleted.len(), gone.kept.len()), (7, 0), "{gone:?}");
    assert_eq!(bench.labelled().await.len(), 0);
    bench.clean().await;
}

#[tokio::test]
async fn what_is_others_stays_even_when_data_goes() {
    let Some(bench) = bench().await else { return };
    let plan = bench
        .plan(vec![("one", vec![bench.namespace_step(), bench.config("a", "1"), bench.config("b", "1")])]);
    bench.apply(&plan).await.unwrap();
    let theirs = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "theirs"}});
    bench.make(&bench.core("configmaps", ""), theirs).await;
    // Another took `b`: same name, another object.
    bench.ask("DELETE", &bench.core("configmaps", "b"), None).await.unwrap();
    bench
        .make(
            &bench.core("configmaps", ""),
            json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "b"}}),
        )
        .await;
    let gone = bench.uninstall(true).await.unwrap();
    assert!(gone.deleted.iter().all(|object| object.name == "a"), "{gone:?}");
    assert!(bench.get(&bench.core("configmaps", "b")).await.is_some());
    assert!(bench.get(&bench.core("configmaps", "theirs")).await.is_some());
    assert!(
        gone.kept.iter().any(|(object, why)| object.kind == "Namespace" && why.contains("holds ConfigMap")),
        "{gone:?}"
    );
    bench.clean().await;
}

#[tokio::test]
async fn a_finalizer_that_holds_is_named_and_a_second_uninstall_goes_on() {
    let Some(bench) = bench().await else { return };
    let plan = bench.plan(vec![("one", vec![bench.namespace_step(), bench.config("a", "1")])]);
    bench.apply(&plan).await.unwrap();
    let path = bench.core("configmaps", "a");
    bench
        .ask("PATCH", &path, Some(json!({"metadata": {"finalizers": ["thinkube.test/hold"]}})))
        .await
        .unwrap();
    let options =
        UninstallOptions { delete_data: false, orphan: Vec::new(), timeout: Duration::from_secs(2) };
    let error = bench.cluster.uninstall("demo", &options, &|_| {}).await.unwrap_err();
    assert!(
        matches!(error, Error::Delete(DeleteError::NotGone { .. }))
            && error.to_string().contains("thinkube.test/hold"),
        "{error}"
    );
    assert_eq!(
        bench.cluster.release("demo").await.unwrap().unwrap().inventory.len(),
        2,
        "the record is kept whole"
    );
    bench.ask("PATCH", &path, Some(json!({"metadata": {"finalizers": null}}))).await.unwrap();
    bench.uninstall(false).await.unwrap();
    assert_eq!(bench.labelled().await.len(), 0);
    bench.clean().await;
}

#[tokio::test]
async fn an_unknown_release_is_answered_with_the_nearest_name() {
    let Some(bench) = bench().await else { return };
    let plan = bench.plan(vec![("one", vec![bench.namespace_step()])]);
    bench.apply(&plan).await.unwrap();
    let options =
        UninstallOptions { delete_data: false, orphan: Vec::new(), timeout: Duration::from_secs(5) };
    let error = bench.cluster.uninstall("dmeo", &options, &|_| {}).await.unwrap_err();
    assert!(
        matches!(&error, Error::Release(ReleaseError::NoRelease { near, .. }) if near == &["demo"]),
        "{error}"
    );
    assert_eq!(bench.cluster.releases().await.unwrap().len(), 1);
    bench.uninstall(true).await.unwrap();
    bench.clean().await;
}
