//! Facts and checks.

use crate::support::fixture;
use serde_json::json;
use thinkube_cluster::{ApiError, Error, ProbeError};
use thinkube_plan::{
    Answer, Credentials, HttpMethod, HttpProbe, HttpTarget, ObjectRef, Probe, Query, SecretKey, Selection,
    ServiceTarget, TypeMeta,
};

#[tokio::test]
async fn facts_are_answered_without_the_values_of_secrets() {
    let Some(fixture) = fixture().await else { return };
    fixture.make_namespace(&fixture.namespace).await;
    let secret = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s", "labels": {"a": "b"}},
        "stringData": {"password": "hunter2"}});
    fixture.make(&fixture.core("secrets", ""), secret).await;
    let reference = |kind: &str, name: &str| ObjectRef {
        api_version: "v1".into(),
        kind: kind.into(),
        namespace: Some(fixture.namespace.clone()),
        name: name.into(),
    };
    let answer = fixture.cluster.answer(&Query::Object(reference("Secret", "s"))).await.unwrap();
    let expected = json!({"apiVersion": "v1", "kind": "Secret", "type": "Opaque", "keys": ["password"],
        "metadata": {"name": "s", "namespace": fixture.namespace, "labels": {"a": "b"}}});
    assert_eq!(answer, Answer::Object(expected));
    assert_eq!(
        fixture.cluster.answer(&Query::Object(reference("Secret", "t"))).await.unwrap(),
        Answer::Absent
    );
    let selection = |selector: &str| Selection {
        api_version: "v1".into(),
        kind: "Secret".into(),
        namespace: Some(fixture.namespace.clone()),
        label_selector: selector.into(),
    };
    let found = fixture.cluster.answer(&Query::Objects(selection("a=b"))).await.unwrap();
    assert!(
        matches!(&found, Answer::Objects(found) if found.len() == 1)
            && !format!("{found:?}").contains("aHVudGVyMg")
    );
    let served =
        |api: &str, kind: &str| Query::Served(TypeMeta { api_version: api.into(), kind: kind.into() });
    assert_eq!(fixture.cluster.answer(&served("apps/v1", "Deployment")).await.unwrap(), Answer::Served(true));
    assert_eq!(fixture.cluster.answer(&served("x.io/v1", "X")).await.unwrap(), Answer::Served(false));

    let seen = fixture.cluster.observe(&Probe::Objects(selection(""))).await.unwrap();
    assert!(seen.holds && !format!("{seen:?}").contains("aHVudGVyMg"), "{seen:?}");
    let seen = fixture.cluster.observe(&Probe::Ready(reference("ConfigMap", "none"))).await.unwrap();
    assert!(!seen.holds && seen.summary.contains("does not exist"), "{seen:?}");
    fixture.clean().await;
}

#[tokio::test]
async fn a_service_without_endpoints_is_observed_and_a_url_refused() {
    let Some(fixture) = fixture().await else { return };
    fixture.make_namespace(&fixture.namespace).await;
    let http = |target: HttpTarget| {
        Probe::Http(HttpProbe {
            target,
            method: HttpMethod::Get,
            headers: vec![],
            credentials: None,
            body: None,
            follow_redirects: false,
        })
    };
    let service = |name: &str| {
        HttpTarget::Service(ServiceTarget {
            namespace: fixture.namespace.clone(),
            name: name.into(),
            port: 80,
            path: "/".into(),
        })
    };
    let none = fixture.cluster.observe(&http(service("nowhere"))).await.unwrap();
    assert!(!none.holds && none.variables["status"] == 404, "{none:?}");
    let body = json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "empty"}, "spec": {"selector": {"a": "b"}, "ports": [{"port": 80}]}});
    fixture.make(&fixture.core("services", ""), body).await;
    // The API server's proxy has its own cache of Services: it answers 404 until the cache has this one.
    let mut tries = 0..100;
    let empty = loop {
        let seen = fixture.cluster.observe(&http(service("empty"))).await.unwrap();
        if seen.variables["status"] != 404 || tries.next().is_none() {
            break seen;
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    };
    assert!(!empty.holds && empty.variables["status"] == 503, "{empty:?}");
    let refused =
        fixture.cluster.observe(&http(HttpTarget::Url("https://x.test/".into()))).await.unwrap_err();
    assert!(matches!(refused, Error::Probe(ProbeError::Unsupported { .. })), "{refused}");
    let limited = fixture.make_namespace(&fixture.state_namespace);
    limited.await;
    let limited =
        fixture.limited(json!([{"apiGroups": [""], "resources": ["configmaps"], "verbs": ["get"]}])).await;
    let refused = limited.observe(&http(service("empty"))).await.unwrap_err();
    assert!(
        matches!(&refused, Error::Api(ApiError::Forbidden { resource, .. }) if resource == "services/proxy"),
        "{refused}"
    );
    fixture.clean().await;
}

#[tokio::test]
async fn a_secret_is_sent_only_within_one_release() {
    let Some(fixture) = fixture().await else { return };
    fixture.make_namespace(&fixture.namespace).await;
    let labels = |release: &str| json!({"applyset.kubernetes.io/part-of": release});
    for (name, labels) in [("ours", labels("a")), ("theirs", labels("b")), ("unowned", json!({}))] {
        let metadata = json!({"name": name, "labels": labels});
        let secret = json!({"apiVersion": "v1", "kind": "Secret", "metadata": metadata,
            "stringData": {"password": "hunter2"}});
        fixture.make(&fixture.core("secrets", ""), secret).await;
        let service = json!({"apiVersion": "v1", "kind": "Service", "metadata": metadata,
            "spec": {"selector": {"app": name}, "ports": [{"port": 80}]}});
        fixture.make(&fixture.core("services", ""), service).await;
    }
    let external = json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "other", "labels": labels("a")},
        "spec": {"type": "ExternalName", "externalName": "evil.example"}});
    fixture.make(&fixture.core("services", ""), external).await;
    let ask_from = async |from: &str, service: &str, secret: &str, key: &str| {
        let namespace = fixture.namespace.clone();
        let password = SecretKey { namespace: from.into(), name: secret.into(), key: key.into() };
        let target = ServiceTarget { namespace, name: service.into(), port: 80, path: "/".into() };
        let probe = Probe::Http(HttpProbe {
            target: HttpTarget::Service(target),
            method: HttpMethod::Get,
            headers: vec![],
            credentials: Some(Credentials { header: "x-auth".into(), username: "root".into(), password }),
            body: None,
            follow_redirects: false,
        });
        fixture.cluster.observe(&probe).await.unwrap()
    };
    let ask = async |service: &str, secret: &str, key: &str| {
        ask_from(&fixture.namespace, service, secret, key).await
    };
    for (service, secret, key, reports) in [
        ("ours", "theirs", "password", "of another release"),
        ("ours", "unowned", "password", "of another release"),
        ("unowned", "unowned", "password", "not a release's Service"),
        ("other", "ours", "password", "not a release's Service"),
        ("ours", "ours", "token", "has no key"),
        ("ours", "none", "password", "does not exist"),
        ("none", "ours", "password", "does not exist"),
    ] {
        let seen = ask(service, secret, key).await;
        assert!(!seen.holds && seen.variables["status"] == 0, "{service} {secret} {key}: {seen:?}");
        assert!(seen.summary.contains(reports), "{service} {secret} {key}: {seen:?}");
    }
    // Of the release, but in another namespace.
    fixture.make_namespace(&fixture.state_namespace).await;
    let secret = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "ours", "labels": labels("a")},
        "stringData": {"password": "hunter2"}});
    fixture.make(&format!("/api/v1/namespaces/{}/secrets", fixture.state_namespace), secret).await;
    let seen = ask_from(&fixture.state_namespace, "ours", "ours", "password").await;
    assert!(seen.variables["status"] == 0 && seen.summary.contains("in another namespace"), "{seen:?}");
    // The request is sent and has no server; the proxy may answer 404 until its cache has the Service.
    let seen = ask("ours", "ours", "password").await;
    assert!(seen.variables["status"] == 503 || seen.variables["status"] == 404, "{seen:?}");
    assert!(!format!("{seen:?}").contains("hunter2"), "{seen:?}");
    fixture.clean().await;
}
