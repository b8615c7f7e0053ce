//! Uninstall: what it deletes and what it keeps.

use crate::support::{fixture, secrets};
use serde_json::json;
use std::time::Duration;
use thinkube_cluster::{ApplyOptions, DeleteError, Error, ReleaseError, UninstallOptions};

#[tokio::test]
async fn an_uninstall_keeps_the_volume_claim_for_a_reinstall() {
    let Some(fixture) = fixture().await else { return };
    let mut plan = fixture.usual();
    plan.plugin_plan.stages[0].steps.push(fixture.pvc("data"));
    let inputs = secrets();
    // The volume claim binds to nothing here, so the stages are applied without a wait.
    let install = async || {
        let diff = fixture.compare(&plan).await.unwrap();
        let mut apply =
            fixture.cluster.begin(&plan, &inputs, diff, &ApplyOptions::default(), &|_| {}).await.unwrap();
        apply.apply_stage(0).await.unwrap();
        apply.apply_stage(1).await.unwrap();
        apply.finish().await.unwrap()
    };
    install().await;
    let pvc = fixture.get(&fixture.core("persistentvolumeclaims", "data")).await.unwrap();
    let gone = fixture.uninstall(false).await.unwrap();
    assert_eq!(
        fixture.labelled().await,
        [format!("namespaces/{}", fixture.namespace), "persistentvolumeclaims/data".into()]
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
        fixture.get(&format!("/api/v1/namespaces/{}/configmaps", fixture.state_namespace)).await.unwrap();
    let left: Vec<&str> = state_namespace["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|item| item["metadata"]["name"].as_str().unwrap())
        .collect();
    assert_eq!(left, ["kube-root-ca.crt"], "no record and no revision");

    install().await;
    let again = fixture.get(&fixture.core("persistentvolumeclaims", "data")).await.unwrap();
    assert_eq!(pvc["metadata"]["uid"], again["metadata"]["uid"]);
    let gone = fixture.uninstall(true).await.unwrap();
    assert_eq!((gone.deleted.len(), gone.kept.len()), (7, 0), "{gone:?}");
    assert_eq!(fixture.labelled().await.len(), 0);
    fixture.clean().await;
}

#[tokio::test]
async fn objects_of_other_owners_stay_even_with_delete_data() {
    let Some(fixture) = fixture().await else { return };
    let plan = fixture.plan(vec![(
        "one",
        vec![fixture.namespace_step(), fixture.config("a", "1"), fixture.config("b", "1")],
    )]);
    fixture.apply(&plan).await.unwrap();
    let theirs = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "theirs"}});
    fixture.make(&fixture.core("configmaps", ""), theirs).await;
    // Another took `b`: same name, another object.
    fixture.ask("DELETE", &fixture.core("configmaps", "b"), None).await.unwrap();
    fixture
        .make(
            &fixture.core("configmaps", ""),
            json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "b"}}),
        )
        .await;
    let gone = fixture.uninstall(true).await.unwrap();
    assert!(gone.deleted.iter().all(|object| object.name == "a"), "{gone:?}");
    assert!(fixture.get(&fixture.core("configmaps", "b")).await.is_some());
    assert!(fixture.get(&fixture.core("configmaps", "theirs")).await.is_some());
    assert!(
        gone.kept.iter().any(|(object, why)| object.kind == "Namespace" && why.contains("holds ConfigMap")),
        "{gone:?}"
    );
    fixture.clean().await;
}

#[tokio::test]
async fn a_blocking_finalizer_is_named_and_a_second_uninstall_ends() {
    let Some(fixture) = fixture().await else { return };
    let plan = fixture.plan(vec![("one", vec![fixture.namespace_step(), fixture.config("a", "1")])]);
    fixture.apply(&plan).await.unwrap();
    let path = fixture.core("configmaps", "a");
    fixture
        .ask("PATCH", &path, Some(json!({"metadata": {"finalizers": ["thinkube.test/hold"]}})))
        .await
        .unwrap();
    let options =
        UninstallOptions { delete_data: false, orphan: Vec::new(), timeout: Duration::from_secs(2) };
    let error = crate::support::uninstall(&fixture.cluster, "demo", &options).await.unwrap_err();
    assert!(
        matches!(error, Error::Delete(DeleteError::NotGone { .. }))
            && error.to_string().contains("thinkube.test/hold"),
        "{error}"
    );
    assert_eq!(
        fixture.cluster.release("demo").await.unwrap().unwrap().inventory.len(),
        2,
        "the record is kept whole"
    );
    fixture.ask("PATCH", &path, Some(json!({"metadata": {"finalizers": null}}))).await.unwrap();
    fixture.uninstall(false).await.unwrap();
    assert_eq!(fixture.labelled().await.len(), 0);
    fixture.clean().await;
}

#[tokio::test]
async fn an_unknown_release_is_answered_with_the_nearest_name() {
    let Some(fixture) = fixture().await else { return };
    let plan = fixture.plan(vec![("one", vec![fixture.namespace_step()])]);
    fixture.apply(&plan).await.unwrap();
    let options =
        UninstallOptions { delete_data: false, orphan: Vec::new(), timeout: Duration::from_secs(5) };
    let error = crate::support::uninstall(&fixture.cluster, "dmeo", &options).await.unwrap_err();
    assert!(
        matches!(&error, Error::Release(ReleaseError::NoRelease { near, .. }) if near == &["demo"]),
        "{error}"
    );
    assert_eq!(fixture.cluster.releases().await.unwrap().len(), 1);
    fixture.uninstall(true).await.unwrap();
    fixture.clean().await;
}
