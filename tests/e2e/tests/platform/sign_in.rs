//! A site behind the login of another service.

use crate::fixtures::{PAGE, PORT, apply, ingress, open_site, run, site, wait};
use thinkube_e2e::web;
use thinkube_test_cluster::{Addon, TestNamespace};

#[test]
fn auth_url_sends_strangers_to_the_login_and_passes_on_a_known_user() {
    let Some(namespace) = TestNamespace::with([Addon::Ingress]) else { return };
    open_site(&namespace, "site");
    apply(&namespace, site(&namespace, "auth"));
    wait(&namespace, "condition=Ready", "pod/auth");
    let (host, login) = (namespace.host("web"), namespace.host("login"));
    let doorkeeper = format!("http://auth.{}.svc.cluster.local:{PORT}/cgi-bin/doorkeeper", namespace.name());
    let start = format!("https://{login}/start?rd=https://$host$escaped_request_uri");
    let annotations = [
        ("auth-url", doorkeeper.as_str()),
        ("auth-signin", start.as_str()),
        ("auth-response-headers", "X-Auth-Request-User"),
    ];
    ingress(&namespace, "site", &host, &annotations);
    let cluster = namespace.cluster();

    let address = format!("https://{host}/cgi-bin/headers?page=1&of=2");
    let answer = web::until(cluster, 302, &[&address]);
    let sent = answer.header("location").expect("a place to go to");
    let begin = format!("https://{login}/start?rd=https://{host}");
    let rest = sent.strip_prefix(&begin).unwrap_or_else(|| panic!("{sent}"));
    // The way back is one value: what follows in the original must not become parameters of the login.
    assert_eq!(
        rest.to_ascii_uppercase(),
        "/CGI-BIN/HEADERS%3FPAGE%3D1%26OF%3D2".replace('/', "%2F"),
        "{sent}"
    );
    web::curl(cluster, &["--cookie", "session=forged", &address]).expect("the server answers").with(302);

    let known = ["--cookie", "session=known"];
    let page = web::curl(cluster, &[&known[..], &[&format!("https://{host}/")]].concat());
    assert_eq!(page.expect("the server answers").with(200).body, PAGE);
    let told =
        web::curl(cluster, &[&known[..], &[&address]].concat()).expect("the server answers").with(200).body;
    assert!(told.lines().any(|line| line == "HTTP_X_AUTH_REQUEST_USER=ann"), "{told}");

    // Who says it himself is not believed, however he writes the name.
    for claim in ["X-Auth-Request-User: root", "x-auth-request-user: root"] {
        let arguments = [&known[..], &["--header", claim, &address]].concat();
        let told = web::curl(cluster, &arguments).expect("the server answers").with(200).body;
        assert!(told.lines().any(|line| line == "HTTP_X_AUTH_REQUEST_USER=ann"), "{told}");
        assert!(!told.contains("root"), "{told}");
    }

    // Without the login service no request passes, not even one of a known user.
    run(&namespace, &["delete", "pod", "auth", "--now"]);
    let closed = web::until(cluster, 500, &[&known[..], &[&address]].concat());
    assert!(!closed.body.contains("HTTP_"), "{closed:?}");
}
