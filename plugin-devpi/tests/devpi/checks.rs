use crate::{plan, plan_with};
use cel::{Context, Program, Value as CelValue};
use serde_json::{Value, json};
use std::collections::HashSet;
use thinkube_sdk::{Check, Expectation, HttpTarget, Probe, Severity};

/// What the check's expression yields over these variables.
fn holds(check: &Check, variables: Value) -> bool {
    let Expectation::Cel(expression) = &check.expect else { panic!("{} has no expression", check.name) };
    let program = Program::compile(expression).unwrap_or_else(|error| panic!("{expression}: {error}"));
    let mut context = Context::default();
    for (name, value) in variables.as_object().expect("variables are by name") {
        context.add_variable(name, value).expect("JSON is a CEL value");
    }
    matches!(program.execute(&context), Ok(CelValue::Bool(true)))
}

fn names(checks: &[Check]) -> Vec<&str> {
    checks.iter().map(|check| check.name.as_str()).collect()
}

#[test]
fn there_is_a_health_check_for_every_object() {
    assert_eq!(
        names(&plan().plan.health),
        [
            "namespace",
            "root-password",
            "volume",
            "nginx-headers",
            "server",
            "service",
            "outside-url",
            "dashboard-ingress",
            "api-ingress",
            "discovery",
            "tls-secret",
            "oauth2-proxy",
        ]
    );
    let looked_at: HashSet<(String, String)> = plan()
        .plan
        .health
        .iter()
        .filter_map(|check| match &check.probe {
            Probe::Ready(object) | Probe::Object(object) => Some((object.kind.clone(), object.name.clone())),
            _ => None,
        })
        .collect();
    for object in plan().objects() {
        let text = |value: &Value| value.as_str().expect("it is text").to_owned();
        let identity = (text(&object["kind"]), text(&object["metadata"]["name"]));
        assert!(looked_at.contains(&identity), "no check looks at {identity:?}");
    }
}

#[test]
fn the_proxy_is_only_missed_where_the_dashboard_asks_it() {
    let health = plan_with("oauth2_proxy_enabled", false).plan.health;
    assert!(!names(&health).contains(&"oauth2-proxy"));
}

#[test]
fn what_other_components_bring_is_a_warning() {
    let plan = plan();
    for name in ["ingress-class", "default-storage-class", "tls-secret", "oauth2-proxy"] {
        let check = plan.check(name);
        assert_eq!(check.severity, Severity::Warning, "{name}");
        assert!(check.remedy.is_some(), "{name}");
    }
    assert!(
        plan.plan.stages.iter().flat_map(|stage| &stage.gates).all(|gate| gate.severity == Severity::Error)
    );
}

#[test]
fn a_default_storage_class_is_told_by_its_annotation() {
    let check = plan().check("default-storage-class");
    let class = |annotations: Value| json!({"metadata": {"name": "a", "annotations": annotations}});
    let key = "storageclass.kubernetes.io/is-default-class";
    let bare = json!({"metadata": {"name": "b"}});
    assert!(holds(&check, json!({"objects": [bare, class(json!({key: "true"}))]})));
    for objects in [
        json!([]),
        json!([bare]),
        json!([class(json!({"other": "true"}))]),
        json!([class(json!({key: "false"}))]),
    ] {
        assert!(!holds(&check, json!({"objects": objects})), "{objects}");
    }
}

#[test]
fn objects_pass_their_checks_when_they_are_as_planned_and_live() {
    let plan = plan();
    let live = |kind: &str, name: &str, status: Value| {
        let mut object = plan.object(kind, name);
        object["status"] = status;
        json!({"object": object})
    };
    let phase = |phase: &str| json!({"phase": phase});
    assert!(holds(&plan.check("namespace"), live("Namespace", "devpi", phase("Active"))));
    assert!(!holds(&plan.check("namespace"), live("Namespace", "devpi", phase("Terminating"))));
    let claim = |status| live("PersistentVolumeClaim", "devpi-data-pvc", status);
    assert!(holds(&plan.check("volume"), claim(phase("Bound"))));
    assert!(!holds(&plan.check("volume"), claim(phase("Pending"))));
    assert!(holds(&plan.check("service"), live("Service", "devpi", json!({}))));
    assert!(holds(&plan.check("dashboard-ingress"), live("Ingress", "devpi-http-ingress", json!({}))));
    assert!(holds(&plan.check("api-ingress"), live("Ingress", "devpi-api-ingress", json!({}))));
    assert!(!holds(&plan.check("api-ingress"), live("Ingress", "devpi-http-ingress", json!({}))));
    assert!(holds(&plan.check("discovery"), live("ConfigMap", "thinkube-service-config", json!({}))));
    assert!(!holds(&plan.check("discovery"), live("ConfigMap", "nginx-headers", json!({}))));
}

// The answers below are those of devpi-server 6.20.1 with devpi-web 5.1.0.

#[test]
fn the_server_must_say_the_address_that_clients_use() {
    let check = plan().check("outside-url");
    let answer = |login: &str| {
        let json = json!({
            "result": {"login": login, "authstatus": ["noauth", "", []], "features": ["server-keyvalue-parsing"]},
            "type": "apiconfig",
        });
        json!({"status": 200, "headers": {}, "body": json.to_string(), "json": json})
    };
    assert!(holds(&check, answer("https://devpi-api.example.com/+login")));
    assert!(!holds(&check, answer("http://devpi.devpi.svc.cluster.local:3141/+login")));
    assert!(!holds(&check, answer("https://devpi-api.example.com.evil.example/+login")));
    assert!(!holds(&check, json!({"status": 502, "headers": {}, "body": "", "json": null})));
}

/// What the API server says when it refuses the way to the Service itself.
fn refused_by_the_api_server(code: u16) -> Value {
    let json =
        json!({"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": code, "message": "…"});
    json!({"status": code, "headers": {}, "body": json.to_string(), "json": json})
}

#[test]
fn an_empty_password_must_be_refused_by_devpi_itself() {
    let check = plan().check("empty-password-refused");
    let json = json!({"message": "user 'root' could not be authenticated"});
    assert!(holds(&check, json!({"status": 401, "headers": {}, "body": json.to_string(), "json": json})));
    assert!(!holds(&check, refused_by_the_api_server(401)));
    let json = json!({"result": {"password": "…", "expiration": 36000}, "type": "proxyauth"});
    assert!(!holds(&check, json!({"status": 200, "headers": {}, "body": json.to_string(), "json": json})));
}

#[test]
fn a_user_must_not_be_made_by_anybody() {
    let check = plan().check("anonymous-users-refused");
    let json = json!({"message": "Access was denied to this resource.", "code": "403 Forbidden", "title": "Forbidden"});
    assert!(holds(&check, json!({"status": 403, "headers": {}, "body": json.to_string(), "json": json})));
    assert!(!holds(&check, refused_by_the_api_server(403)));
    let json = json!({"message": "password needs to be set"});
    assert!(!holds(&check, json!({"status": 400, "headers": {}, "body": json.to_string(), "json": json})));
}

#[test]
fn a_server_that_fails_the_user_test_still_makes_no_user() {
    let Probe::Http(request) = plan().check("anonymous-users-refused").probe else {
        panic!("it is an HTTP probe")
    };
    assert_eq!(request.body.as_deref(), Some("{}"), "devpi makes no user without a password");
}

#[test]
fn every_request_goes_through_the_service_and_none_lists_an_index() {
    let plan = plan();
    let paths: Vec<String> = plan
        .checks()
        .filter_map(|check| match &check.probe {
            Probe::Http(request) => Some(&request.target),
            _ => None,
        })
        .map(|target| match target {
            HttpTarget::Service(service) => {
                assert_eq!(
                    (service.namespace.as_str(), service.name.as_str(), service.port),
                    ("devpi", "devpi", 3141)
                );
                service.path.clone()
            }
            HttpTarget::Url(url) => panic!("{url} needs DNS and a certificate"),
        })
        .collect();
    assert_eq!(paths, ["/+api", "/+api", "/+login", "/thinkube-check"]);
}
