//! Exchanges and probes, with servers on this machine.

use super::client::{Http, HttpOptions, Limits, Request, parse_url};
use super::error::Error;
use super::probe::{probe, validate_probe};
use crate::testing::mock_server::{self, Answer, Server};
use serde_json::json;
use std::path::{Path, PathBuf};
use std::process::Command;
use thinkube_plan::{HttpMethod, HttpProbe, HttpTarget};
use tokio::net::TcpListener;

/// A server with TLS, and the file of its authority.
async fn secure(name: &str, folder: &Path) -> (Server, PathBuf) {
    mock_server::secure(name, folder, |_| Answer::json(200, json!({"a": 1}))).await
}

/// The status or the error of one GET.
async fn ask(options: HttpOptions, url: &str) -> Result<u64, Error> {
    let http = Http::with_limits(&options, Limits::SHORT)?;
    let url = parse_url("test", url)?;
    let headers = reqwest::header::HeaderMap::new();
    let request = Request { what: "test", method: HttpMethod::Get, url, headers, body: None };
    http.exchange(request).await.map(|response| u64::from(response.status))
}

fn to(url: &str) -> HttpOptions {
    HttpOptions { granted: vec![url.into()], ..HttpOptions::default() }
}

#[tokio::test]
async fn each_failure_to_connect_has_an_error_of_its_own() {
    let free = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let closed = format!("http://{free}");
    assert!(matches!(ask(to(&closed), &closed).await.unwrap_err(), Error::ConnectionRefused { .. }));
    let nowhere = "https://absent.invalid";
    assert!(matches!(ask(to(nowhere), nowhere).await.unwrap_err(), Error::NotResolved { .. }));
    let plain = Server::start(|_| Answer::status(200)).await;
    let url = plain.url.replace("http:", "https:");
    assert!(matches!(ask(to(&url), &url).await.unwrap_err(), Error::Unreachable { .. }));
    let silent = Server::start(|_| Answer::Silence).await;
    assert!(matches!(ask(to(&silent.url), &silent.url).await.unwrap_err(), Error::TimedOut { .. }));
}

#[tokio::test]
async fn a_server_is_trusted_by_a_named_authority_and_by_its_name() {
    let folder = tempfile::tempdir().unwrap();
    let (server, ca_file) = secure("auth.example.org", folder.path()).await;
    let named = |name: &str, ca_file: Option<&PathBuf>| {
        let url = format!("https://{name}:{}", server.port);
        let resolve = [(name.to_owned(), "127.0.0.1".parse().unwrap())].into_iter().collect();
        (HttpOptions { granted: vec![url.clone()], ca_file: ca_file.cloned(), resolve }, url)
    };
    let (options, url) = named("auth.example.org", Some(&ca_file));
    assert_eq!(ask(options, &url).await.unwrap(), 200);
    let (options, url) = named("auth.example.org", None);
    let error = ask(options, &url).await.unwrap_err();
    assert!(
        matches!(&error, Error::NotTrusted { reason, .. } if reason.contains("no trusted authority")),
        "{error}"
    );
    let (options, url) = named("other.example.org", Some(&ca_file));
    let error = ask(options, &url).await.unwrap_err();
    assert!(matches!(&error, Error::NotTrusted { reason, .. } if reason.contains("another name")), "{error}");
}

#[test]
fn a_file_without_certificates_is_an_error_before_any_request() {
    let folder = tempfile::tempdir().unwrap();
    let (missing, empty) = (folder.path().join("missing"), folder.path().join("empty"));
    std::fs::write(&empty, "no certificate").unwrap();
    for file in [missing, empty] {
        let options = HttpOptions { ca_file: Some(file.clone()), ..HttpOptions::default() };
        let error = Http::new(&options).unwrap_err();
        assert!(matches!(error, Error::Certificates { .. }), "{error}");
        assert!(error.to_string().contains(&file.display().to_string()), "{error}");
    }
}

const CHILD: &str = "THINKUBE_EFFECTS_TEST_URL";

/// Another process, because a test must not change its own environment.
async fn in_child(url: &str, variables: &[(&str, &str)]) -> String {
    let mut child = Command::new(std::env::current_exe().unwrap());
    child.args(["--exact", "http::tests::asks_as_a_child", "--ignored", "--nocapture"]);
    child.env(CHILD, url).envs(variables.iter().copied());
    let done = tokio::task::spawn_blocking(move || child.output().unwrap()).await.unwrap();
    String::from_utf8_lossy(&done.stdout).into_owned()
}

#[tokio::test]
#[ignore = "a part of another test"]
#[expect(clippy::print_stdout, reason = "read by the test that started it")]
async fn asks_as_a_child() {
    let Ok(url) = std::env::var(CHILD) else { return };
    match ask(to(&url), &url).await {
        Ok(status) => println!("status {status}"),
        Err(error) => println!("{error}"),
    }
}

#[tokio::test]
async fn ssl_cert_file_counts_and_a_wrong_one_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let (server, ca_file) = secure("127.0.0.1", folder.path()).await;
    let ca_file = ca_file.to_str().unwrap();
    let printed = in_child(&server.url, &[("SSL_CERT_FILE", ca_file)]).await;
    assert!(printed.contains("status 200"), "{printed}");
    let printed = in_child(&server.url, &[("SSL_CERT_FILE", "/nowhere/ca.crt")]).await;
    assert!(printed.contains("SSL_CERT_FILE") && printed.contains("cannot read"), "{printed}");
}

#[tokio::test]
async fn a_proxy_of_the_environment_is_not_used() {
    let proxy = Server::start(|_| Answer::status(502)).await;
    let server = Server::start(|_| Answer::status(200)).await;
    let variables = ["http_proxy", "HTTP_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"];
    let printed = in_child(&server.url, &variables.map(|name| (name, proxy.url.as_str()))).await;
    assert!(printed.contains("status 200") && proxy.asked().is_empty(), "{printed}");
}

#[tokio::test]
async fn an_origin_is_the_scheme_the_host_and_the_port() {
    let server = Server::start(|_| Answer::status(200)).await;
    let port = server.port;
    let options = || to(&format!("http://LOCALHOST:{port}/path"));
    assert_eq!(ask(options(), &format!("http://localhost:{port}/a")).await.unwrap(), 200);
    for other in [
        format!("https://localhost:{port}"),
        format!("http://127.0.0.1:{port}"),
        "http://localhost".to_owned(),
        format!("http://localhost.evil.io:{port}"),
    ] {
        assert!(matches!(ask(options(), &other).await.unwrap_err(), Error::NotGranted { .. }), "{other}");
    }
    for wrong in [format!("http://a@localhost:{port}"), "ftp://localhost".to_owned(), "localhost".to_owned()]
    {
        assert!(matches!(ask(options(), &wrong).await.unwrap_err(), Error::InvalidRequest { .. }), "{wrong}");
    }
    assert_eq!(server.asked().len(), 1);
}

fn get(url: &str, follow_redirects: bool) -> HttpProbe {
    let target = HttpTarget::Url(url.into());
    HttpProbe {
        target,
        method: HttpMethod::Get,
        headers: vec![],
        credentials: None,
        body: None,
        follow_redirects,
    }
}

fn prober(servers: &[&Server]) -> Http {
    let granted = servers.iter().map(|server| server.url.clone()).collect();
    Http::with_limits(&HttpOptions { granted, ..HttpOptions::default() }, Limits::SHORT).unwrap()
}

#[tokio::test]
async fn a_probe_observes_status_headers_body_and_json() {
    let server = Server::start(|request| match request.path.as_str() {
        "/" => Answer::json(200, json!({"a": [1]})),
        "/page" => Answer::page(503),
        _ => Answer::Reply(404, vec![], "no such\nthing".into()),
    })
    .await;
    let http = prober(&[&server]);
    let mut asked = get(&server.url, false);
    asked.headers.push(("accept".into(), "application/json".into()));
    let seen = probe(&http, &asked).await.unwrap();
    assert_eq!((seen.holds, seen.summary.as_str()), (true, "200 OK"));
    assert_eq!(seen.variables["json"], json!({"a": [1]}));
    assert_eq!(seen.variables["headers"]["content-type"], "application/json");
    assert_eq!(server.last().headers["accept"], "application/json");
    let seen = probe(&http, &get(&format!("{}/x", server.url), false)).await.unwrap();
    assert_eq!((seen.holds, seen.summary.as_str()), (false, "404 Not Found: no such thing"));
    let seen = probe(&http, &get(&format!("{}/page", server.url), false)).await.unwrap();
    assert_eq!(seen.summary, "503 Service Unavailable");
}

#[tokio::test]
async fn no_response_is_an_observation_that_does_not_hold() {
    let silent = Server::start(|_| Answer::Silence).await;
    let endless = Server::start(|_| Answer::Endless).await;
    for server in [&silent, &endless] {
        let seen = probe(&prober(&[server]), &get(&server.url, false)).await.unwrap();
        assert!(
            !seen.holds && seen.variables["status"] == 0 && seen.summary.contains(&server.url),
            "{seen:?}"
        );
    }
    let nowhere = "https://absent.invalid";
    let seen = probe(&Http::new(&to(nowhere)).unwrap(), &get(nowhere, false)).await.unwrap();
    assert!(!seen.holds && seen.summary.contains("cannot resolve"), "{seen:?}");
}

#[tokio::test]
async fn a_redirect_is_followed_only_to_granted_origins() {
    let outside = Server::start(|_| Answer::status(200)).await;
    let target = Server::start(|_| Answer::json(200, json!("there"))).await;
    let (to_target, to_outside) = (format!("{}/there", target.url), outside.url.clone());
    let server = Server::start(move |request| match request.path.as_str() {
        "/loop" => Answer::to(302, "/loop"),
        "/outside" => Answer::to(302, &to_outside),
        "/creep" => Answer::to(302, "file:///etc/hostname"),
        "/near" => Answer::to(303, "x/../away"),
        _ => Answer::to(307, &to_target),
    })
    .await;
    let http = prober(&[&server, &target]);
    let at = |path: &str| format!("{}{path}", server.url);

    let seen = probe(&http, &get(&at("/outside"), false)).await.unwrap();
    assert_eq!((seen.holds, seen.summary.as_str()), (false, "302 Found"));
    assert_eq!(seen.variables["headers"]["location"], json!(outside.url));

    let mut followed = get(&at("/near"), true);
    followed.headers = vec![("authorization".into(), "Basic eA==".into()), ("x-a".into(), "b".into())];
    (followed.method, followed.body) = (HttpMethod::Post, Some("{}".into()));
    let seen = probe(&http, &followed).await.unwrap();
    assert_eq!((seen.holds, &seen.variables["json"]), (true, &json!("there")));
    assert_eq!(server.asked()[1..], ["POST /near", "GET /away"]);
    let last = target.last();
    assert_eq!((last.headers.get("authorization"), last.headers["x-a"].as_str()), (None, "b"));

    for refused in ["/outside", "/creep"] {
        let error = probe(&http, &get(&at(refused), true)).await.unwrap_err();
        assert!(matches!(error, Error::NotGranted { .. } | Error::InvalidRequest { .. }), "{error}");
    }
    assert!(outside.asked().is_empty());
    let seen = probe(&http, &get(&at("/loop"), true)).await.unwrap();
    assert!(!seen.holds && seen.summary.contains("more than 5 redirects"), "{seen:?}");
}

#[tokio::test]
async fn an_invalid_probe_is_an_error_before_any_request() {
    let server = Server::start(|_| Answer::status(200)).await;
    let http = prober(&[&server]);
    assert!(validate_probe(&http, &get(&server.url, true)).is_ok());
    let with_header = |name: &str, value: &str| {
        let mut probe = get(&server.url, false);
        probe.headers.push((name.into(), value.into()));
        probe
    };
    for wrong in [
        get("https://user:secret-5a@a.io", false),
        get("nonsense", false),
        with_header("a b", "secret-5a"),
        with_header("a", "secret-5a\n"),
        with_header("Host", "other.example.org"),
    ] {
        let error = validate_probe(&http, &wrong).unwrap_err();
        assert!(matches!(error, Error::InvalidRequest { .. }), "{error}");
        assert!(!error.to_string().contains("secret-5a"), "{error}");
        assert!(probe(&http, &wrong).await.is_err());
    }
    assert!(matches!(validate_probe(&http, &get("https://a.io", false)), Err(Error::NotGranted { .. })));
    assert!(server.asked().is_empty());
}
