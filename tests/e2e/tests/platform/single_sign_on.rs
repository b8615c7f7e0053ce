//! oauth2-proxy before a site, as Thinkube's installers set it up: Keycloak authenticates, Valkey keeps the session.

use crate::fixtures::{PAGE, apply, copy_secret, ingress, open_site, plain_ingress, pod, run, wait};
use crate::images::valkey;
use serde_json::{Value, json};
use std::fs;
use thinkube_e2e::browser::Browser;
use thinkube_e2e::keycloak::Admin;
use thinkube_e2e::web;
use thinkube_test_cluster::{Addon, DOMAIN, TestNamespace};

/// 32 bytes, as many as the cookie's cipher may take.
const COOKIE_SECRET: &str = "0123456789abcdef0123456789abcdef";

/// oauth2-proxy with the client's secret, its Service and the Secret with what only it may know.
fn proxy(namespace: &TestNamespace, image: &str, host: &str, issuer: &str, client_secret: &str) -> Value {
    let authority = namespace.cluster().authority().expect("the harness's own cluster");
    let authority = fs::read_to_string(authority).expect("a certificate");
    let arguments = [
        "--http-address=0.0.0.0:4180",
        "--provider=keycloak-oidc",
        &format!("--oidc-issuer-url={issuer}"),
        // The platform's authority is its own, and an image of another source does not have it.
        "--provider-ca-file=/authority/ca.crt",
        &format!("--redirect-url=https://{host}/oauth2/callback"),
        "--code-challenge-method=S256",
        // Without the setting oauth2-proxy lets no person in.
        "--email-domain=*",
        &format!("--cookie-domain={DOMAIN}"),
        "--cookie-secure=true",
        "--cookie-samesite=lax",
        "--cookie-refresh=1h",
        "--reverse-proxy=true",
        "--set-xauthrequest=true",
        "--session-store-type=redis",
        &format!("--redis-connection-url=redis://store.{}.svc.cluster.local:6379", namespace.name()),
        // It only answers the ingress, which has a way of its own to the site.
        "--upstream=static://202",
    ];
    let secret = |variable: &str, key: &str| json!({ "name": variable, "valueFrom": { "secretKeyRef": { "name": "proxy", "key": key } } });
    let mut pod = pod("proxy", image, &[]);
    // It ends where the issuer or the store does not answer yet, and a Service's address answers a moment after it is made.
    pod["spec"]["restartPolicy"] = json!("Always");
    pod["spec"]["volumes"] = json!([{ "name": "authority", "configMap": { "name": "authority" } }]);
    pod["spec"]["securityContext"] = json!({ "runAsNonRoot": true, "runAsUser": 2000, "runAsGroup": 2000 });
    let container = &mut pod["spec"]["containers"][0];
    container["args"] = json!(arguments);
    container["env"] = json!([
        secret("OAUTH2_PROXY_CLIENT_ID", "client-id"),
        secret("OAUTH2_PROXY_CLIENT_SECRET", "client-secret"),
        secret("OAUTH2_PROXY_COOKIE_SECRET", "cookie-secret"),
    ]);
    container["volumeMounts"] = json!([{ "name": "authority", "mountPath": "/authority" }]);
    container["readinessProbe"] =
        json!({ "httpGet": { "path": "/ready", "port": 4180 }, "periodSeconds": 1 });
    container["securityContext"] = json!({ "readOnlyRootFilesystem": true, "allowPrivilegeEscalation": false,
        "capabilities": { "drop": ["ALL"] } });
    json!([
        { "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "name": "authority" }, "data": { "ca.crt": authority } },
        { "apiVersion": "v1", "kind": "Secret", "metadata": { "name": "proxy" }, "stringData": {
            "client-id": namespace.name(), "client-secret": client_secret, "cookie-secret": COOKIE_SECRET } },
        { "apiVersion": "v1", "kind": "Service", "metadata": { "name": "proxy" },
            "spec": { "selector": { "app": "proxy" }, "ports": [{ "port": 80, "targetPort": 4180 }] } },
        pod
    ])
}

#[test]
fn oauth2_proxy_lets_a_keycloak_user_in_and_sends_strangers_to_the_login() {
    let Some(namespace) = TestNamespace::with([Addon::Keycloak]) else { return };
    let cluster = namespace.cluster();
    let image = cluster.oauth2_proxy_image().expect("a node with Keycloak has the image");
    let Some(browser) = Browser::open(cluster) else { return };
    let keycloak = cluster.keycloak().expect("the harness's own cluster").expect("it has Keycloak");
    let host = namespace.host("web");
    open_site(&namespace, "site");
    apply(&namespace, valkey(&namespace, "store"));
    wait(&namespace, "condition=Ready", "pod/store");
    let callback = format!("https://{host}/oauth2/callback");
    let client = Admin::of(cluster).client(namespace.name(), &callback);
    let issuer = format!("{}/realms/{}", keycloak.url, keycloak.realm);
    apply(&namespace, proxy(&namespace, image, &host, &issuer, &client.secret));
    wait(&namespace, "condition=Ready", "pod/proxy");

    let asked = format!("http://proxy.{}.svc.cluster.local/oauth2/auth", namespace.name());
    let start = format!("https://{host}/oauth2/start?rd=$escaped_request_uri");
    ingress(&namespace, "site", &host, &[("auth-url", &asked), ("auth-signin", &start)]);
    copy_secret(&namespace, "thinkube-test-tls");
    let mut door = plain_ingress("door", &host, &[]);
    door["spec"]["tls"] = json!([{ "hosts": [host], "secretName": "thinkube-test-tls" }]);
    let path = &mut door["spec"]["rules"][0]["http"]["paths"][0];
    path["path"] = json!("/oauth2");
    path["backend"]["service"] = json!({ "name": "proxy", "port": { "number": 80 } });
    apply(&namespace, json!([door]));

    let address = format!("https://{host}/?page=1");
    web::until(cluster, 302, &[&address]);
    web::leads_to(cluster, &format!("https://{host}/oauth2/start"), &issuer);
    web::curl(cluster, &["--cookie", "_oauth2_proxy=forged", &address])
        .expect("the server answers")
        .with(302);

    browser.go(&address);
    let login = browser.arrives_at(&keycloak.url);
    assert!(login.contains("code_challenge_method=S256"), "{login}");
    browser.fill("#username", &keycloak.user);
    browser.fill("#password", &keycloak.user_password);
    browser.click("#kc-login");
    assert_eq!(browser.arrives_at(&address), address, "back where the person wanted to go");
    assert_eq!(browser.text("body"), PAGE);
    let sessions = run(&namespace, &["exec", "store", "--", "valkey-cli", "dbsize"]);
    assert_ne!(sessions.trim(), "0", "the session is in the store");
}
