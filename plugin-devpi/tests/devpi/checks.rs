//! The checks: which ones there are, and what passes and fails them.

use crate::{plan, plan_with};
use cel::{Context, Program, Value as CelValue};
use plugin_devpi::DevPi;
use serde_json::{Value, json};
use std::collections::HashSet;
use thinkube_sdk::{Check, Evaluate, Expectation, HttpTarget, Observation, Probe, Severity, Status};

/// Whether the check's CEL expression yields true with these variables.
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
fn every_object_but_jobs_and_helper_services_has_a_health_check() {
    assert_eq!(
        names(&plan().plan.health),
        [
            "namespace",
            "tls-secret",
            "pull-secret",
            "root-password",
            "volume",
            "server",
            "service",
            "outside-url",
            "index",
            "simple-index",
            "root-login",
            "oauth2-proxy",
            "session-store",
            "dashboard-route",
            "api-route",
            "api",
            "discovery",
            "nginx-headers",
            "login-route",
            "dashboard-asks-for-login",
        ]
    );
    assert_eq!(
        names(&plan().plan.tests),
        ["index-config", "empty-password-refused", "anonymous-users-refused", "oauth2-callback"]
    );
    for settings in [plan(), plan_with("routing", "gateway"), plan_with("oauth2_proxy_enabled", false)] {
        let checked: HashSet<(String, String)> = settings
            .plan
            .health
            .iter()
            .filter_map(|check| match &check.probe {
                Probe::Ready(object) | Probe::Object(object) => {
                    Some((object.kind.clone(), object.name.clone()))
                }
                Probe::Http(request) => match &request.target {
                    HttpTarget::Service(service) => Some(("Service".to_owned(), service.name.clone())),
                    HttpTarget::Url(_) => None,
                },
                Probe::Objects(_) => None,
            })
            .collect();
        for object in settings.objects() {
            let text = |value: &Value| value.as_str().expect("the field is text").to_owned();
            let identity = (text(&object["kind"]), text(&object["metadata"]["name"]));
            // Kubernetes deletes an old Job; the check of a helper's Deployment covers its Service.
            let exempt = identity.0 == "Job" || identity.0 == "Service" && identity.1 != "devpi";
            assert!(exempt || checked.contains(&identity), "no check observes {identity:?}");
        }
    }
}

#[test]
fn every_dependency_has_a_preflight_check() {
    let plan = plan();
    assert_eq!(
        names(&plan.plan.preflight),
        ["k8s", "storage", "acme-certificates", "ingress", "keycloak", "harbor", "registry-credentials"]
    );
    for check in &plan.plan.preflight {
        assert!(check.remedy.is_some(), "{}", check.name);
        assert_eq!(check.severity == Severity::Warning, check.name == "storage", "{}", check.name);
    }
    assert!(!names(&plan_with("oauth2_proxy_enabled", false).plan.preflight).contains(&"keycloak"));
}

#[test]
fn the_platform_certificate_must_name_both_hosts_and_last_a_week() {
    let check = plan().check("acme-certificates");
    let Probe::Object(source) = &check.probe else { panic!("{check:?}") };
    assert_eq!((source.namespace.as_deref(), source.name.as_str()), (Some("default"), "example-com-tls"));
    let of = |names: Value, days: u64| json!({"object": {}, "certificate": {"dnsNames": names, "notAfter": "", "secondsLeft": days * 86400}});
    assert!(holds(&check, of(json!(["*.example.com"]), 30)));
    assert!(holds(&check, of(json!(["devpi.example.com", "devpi-api.example.com"]), 8)));
    for wrong in [
        of(json!(["*.example.com"]), 6),
        of(json!(["devpi.example.com"]), 30),
        of(json!(["example.com", "*.com"]), 30),
        json!({"object": {}, "certificate": null}),
    ] {
        assert!(!holds(&check, wrong.clone()), "{wrong}");
    }
}

#[test]
fn a_gateway_must_be_programmed() {
    let check = plan_with("routing", "gateway").check("ingress");
    let gateway = |status: &str| {
        json!({"object": {"status": {"conditions": [
            {"type": "Accepted", "status": "True"}, {"type": "Programmed", "status": status}]}}})
    };
    assert!(holds(&check, gateway("True")));
    assert!(!holds(&check, gateway("False")));
    assert!(!holds(&check, json!({"object": null})));
}

#[test]
fn a_node_must_accept_pods() {
    let check = plan().check("k8s");
    let node = |ready: &str, spec: Value| {
        json!({"spec": spec, "status": {"conditions": [
            {"type": "MemoryPressure", "status": "False"}, {"type": "Ready", "status": ready}]}})
    };
    let cordoned = node("True", json!({"unschedulable": true}));
    assert!(holds(&check, json!({"objects": [cordoned, node("True", json!({}))]})));
    for objects in [json!([]), json!([cordoned]), json!([node("Unknown", json!({}))])] {
        assert!(!holds(&check, json!({"objects": objects})), "{objects}");
    }
}

#[test]
fn a_default_storage_class_has_the_annotation() {
    let check = plan().check("storage");
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
fn objects_as_planned_pass_their_checks() {
    let plan = plan();
    let live = |kind: &str, name: &str, status: Value| {
        let mut object = plan.object(kind, name);
        object["status"] = status;
        json!({"object": object})
    };
    let phase = |phase: &str| json!({"phase": phase});
    assert!(holds(&plan.check("namespace"), live("Namespace", "devpi", phase("Active"))));
    assert!(!holds(&plan.check("namespace"), live("Namespace", "devpi", phase("Terminating"))));
    let pvc = |status| live("PersistentVolumeClaim", "devpi-data-pvc", status);
    assert!(holds(&plan.check("volume"), pvc(phase("Bound"))));
    assert!(!holds(&plan.check("volume"), pvc(phase("Pending"))));
    assert!(holds(&plan.check("dashboard-route"), live("Ingress", "devpi-http-ingress", json!({}))));
    assert!(holds(&plan.check("api-route"), live("Ingress", "devpi-api-ingress", json!({}))));
    assert!(!holds(&plan.check("api-route"), live("Ingress", "devpi-http-ingress", json!({}))));
    assert!(holds(&plan.check("discovery"), live("ConfigMap", "thinkube-service-config", json!({}))));
    let mut old = live("ConfigMap", "thinkube-service-config", json!({}));
    let text = old["object"]["data"]["service.yaml"]
        .as_str()
        .expect("service.yaml is text")
        .replace("secretKeyRef", "value");
    old["object"]["data"]["service.yaml"] = text.into();
    assert!(!holds(&plan.check("discovery"), old), "the original's form, with the password");
    let in_clear = plan_with("devpi_password_in_clear", true);
    let observed = json!({"object": {"metadata": {"labels": {"thinkube.io/managed": "true"}},
        "keys": ["DEVPI_PASSWORD", "service.yaml"]}});
    assert!(holds(&in_clear.check("discovery"), observed), "the host shows only the keys");
}

#[test]
fn the_service_check_passes_if_the_server_answers() {
    let check = plan().check("service");
    let answer = |status: u16, json: Value| json!({"status": status, "headers": {}, "body": json.to_string(), "json": json});
    assert!(holds(&check, answer(200, json!({"type": "apiconfig"}))));
    assert!(!holds(&check, answer(200, json!({"type": "other"}))), "another server");
    assert!(!holds(&check, rejected_by_the_api_server(503)), "no pod is behind it");
}

#[test]
fn an_http_route_must_be_accepted_by_its_gateway() {
    let plan = plan_with("routing", "gateway");
    let check = plan.check("dashboard-route");
    let live = |status: &str| {
        let mut route = plan.object("HTTPRoute", "devpi-http-httproute");
        route["status"] = json!({"parents": [{"conditions": [{"type": "Accepted", "status": status}]}]});
        json!({"object": route})
    };
    assert!(holds(&check, live("True")));
    assert!(!holds(&check, live("False")));
    assert!(!holds(&check, json!({"object": plan.object("HTTPRoute", "devpi-http-httproute")})));
}

/// The original's test accepts an open dashboard.
#[test]
fn a_dashboard_without_a_login_fails_its_check() {
    let check = plan().check("dashboard-asks-for-login");
    let answer = |status: u16, location: &str| json!({"status": status, "headers": {"location": location}, "body": "", "json": null});
    let login = "https://keycloak.example.com/realms/thinkube/protocol/openid-connect/auth?x";
    assert!(holds(&check, answer(302, login)));
    assert!(holds(&check, answer(302, "https://devpi.example.com/oauth2/start?rd=/")));
    assert!(!holds(&check, answer(302, "https://keycloak.example.com.evil/realms/thinkube/")));
    assert!(!holds(&check, json!({"status": 200, "headers": {}, "body": "<html>", "json": null})));
}

#[test]
fn the_evaluation_names_every_wrong_field() {
    let evaluate = |status: u16, result: Value| {
        let json = json!({"status": status, "json": {"result": result}}).to_string();
        DevPi::evaluate(Observation { check: "index-config".into(), json })
    };
    let good = json!({"type": "stage", "bases": ["root/pypi"], "volatile": false, "acl_upload": ["root"], "projects": []});
    assert_eq!(evaluate(200, good.clone()).status, Status::Passed);
    let mut open = good;
    open["acl_upload"] = json!([":ANONYMOUS:"]);
    open["volatile"] = json!(true);
    let verdict = evaluate(200, open);
    assert_eq!(verdict.status, Status::Failed);
    assert_eq!(
        verdict.message,
        "volatile is true, expected false; acl_upload is [\":ANONYMOUS:\"], expected [\"root\"]"
    );
    assert_eq!(evaluate(404, json!(null)).message, "the server answers 404, expected 200");
    let unknown = DevPi::evaluate(Observation { check: "other".into(), json: "{}".into() });
    assert_eq!(unknown.status, Status::Unknown);
}

#[test]
fn the_bootstrap_is_skipped_if_the_index_is_correct() {
    let plan = plan();
    let stage = plan
        .plan
        .stages
        .iter()
        .find(|stage| stage.name == "bootstrap")
        .expect("the plan has the stage bootstrap");
    let [skip_if] = stage.skip_if.as_slice() else { panic!("{:?}", stage.skip_if) };
    let answer = |bases: Value| {
        let result = json!({"type": "stage", "bases": bases, "volatile": false});
        json!({"status": 200, "headers": {}, "body": "", "json": {"type": "indexconfig", "result": result}})
    };
    assert!(holds(skip_if, answer(json!(["root/pypi"]))));
    assert!(!holds(skip_if, answer(json!([]))));
    assert!(!holds(skip_if, json!({"status": 404, "headers": {}, "body": "", "json": {"message": "no"}})));
}

// The responses below are those of devpi-server 6.20.1 with devpi-web 5.1.0.

#[test]
fn the_server_must_link_to_the_api_host() {
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

/// After a change in the Secret only, the stage that would fail is skipped, because the index is correct.
#[test]
fn a_wrong_root_password_warns_and_names_the_operation() {
    let check = plan().check("root-login");
    let answer = |status: Value| json!({"status": 200, "headers": {}, "body": "", "json": {"result": {"authstatus": status}, "type": "apiconfig"}});
    assert!(holds(&check, answer(json!(["ok", "root", []]))));
    assert!(!holds(&check, answer(json!(["noauth", "", []]))));
    assert!(!holds(&check, answer(json!(["ok", "mallory", []]))));
    assert!(!holds(&check, rejected_by_the_api_server(503)));
    assert_eq!(check.severity, Severity::Warning, "the server works");
    assert!(
        check.remedy.expect("the check has a remedy").contains("run reset-root-password --release devpi ")
    );
    let Probe::Http(request) = check.probe else { panic!("the check has an HTTP probe") };
    let sent = request.credentials.expect("the check sends credentials");
    assert_eq!((sent.header.as_str(), sent.username.as_str()), ("x-devpi-auth", "root"));
    assert_eq!((sent.password.name.as_str(), sent.password.key.as_str()), ("devpi-root", "password"));
}

/// The response of the API server when it rejects a request to its proxy.
fn rejected_by_the_api_server(code: u16) -> Value {
    let json =
        json!({"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": code, "message": "…"});
    json!({"status": code, "headers": {}, "body": json.to_string(), "json": json})
}

#[test]
fn devpi_itself_must_reject_an_empty_password() {
    let check = plan().check("empty-password-refused");
    let json = json!({"message": "user 'root' could not be authenticated"});
    assert!(holds(&check, json!({"status": 401, "headers": {}, "body": json.to_string(), "json": json})));
    assert!(!holds(&check, rejected_by_the_api_server(401)));
    let json = json!({"result": {"password": "…", "expiration": 36000}, "type": "proxyauth"});
    assert!(!holds(&check, json!({"status": 200, "headers": {}, "body": json.to_string(), "json": json})));
}

#[test]
fn creating_a_user_must_require_a_login() {
    let check = plan().check("anonymous-users-refused");
    let json = json!({"message": "Access was denied to this resource.", "code": "403 Forbidden", "title": "Forbidden"});
    assert!(holds(&check, json!({"status": 403, "headers": {}, "body": json.to_string(), "json": json})));
    assert!(!holds(&check, rejected_by_the_api_server(403)));
    let json = json!({"message": "password needs to be set"});
    assert!(!holds(&check, json!({"status": 400, "headers": {}, "body": json.to_string(), "json": json})));
}

#[test]
fn the_user_test_creates_no_user_even_if_it_fails() {
    let Probe::Http(request) = plan().check("anonymous-users-refused").probe else {
        panic!("the check has an HTTP probe")
    };
    assert_eq!(request.body.as_deref(), Some("{}"), "devpi makes no user without a password");
}

#[test]
fn checks_list_no_index_and_contact_only_hosts_of_the_settings() {
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
            HttpTarget::Url(url) => url.clone(),
        })
        .collect();
    assert!(paths.iter().all(|path| !path.contains("+simple")), "{paths:?}");
    let urls: Vec<&str> = paths.iter().filter(|path| path.contains("://")).map(String::as_str).collect();
    assert_eq!(
        urls,
        [
            "https://keycloak.example.com/realms/thinkube/.well-known/openid-configuration",
            "https://harbor.example.com/v2/",
            "https://devpi-api.example.com/+api",
            "https://devpi.example.com/",
            "https://devpi.example.com/oauth2/callback",
        ]
    );
}
