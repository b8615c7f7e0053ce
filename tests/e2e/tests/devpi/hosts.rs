//! The two hosts as browsers and clients see them, without sign-on: pages, links, large packages, and what the server is told of
//! a request.

use crate::clients::{clients, wheel_with};
use crate::release::Devpi;
use serde_json::json;
use std::fs::{self, File};
use std::path::Path;
use std::process::Stdio;
use thinkube_e2e::browser::Browser;
use thinkube_e2e::{Run, eventually, finish, web};

const MEGABYTE: usize = 1024 * 1024;

fn twine(release: &Devpi, host: &str, file: &Path) -> Run {
    let mut twine = release.cluster().command(clients().join("twine"));
    let url = format!("{host}/root/stable/");
    twine.args(["upload", "--non-interactive", "--disable-progress-bar", "--repository-url", &url]).arg(file);
    twine.env("TWINE_USERNAME", "root").env("TWINE_PASSWORD", &release.password).stdin(Stdio::null());
    finish(&mut twine)
}

/// The address that the server gives for its login, to a client that sends these headers.
fn login_address(release: &Devpi, host: &str, headers: &[&str]) -> String {
    let url = format!("{host}/+api");
    let mut arguments = vec!["--header", "Accept: application/json"];
    arguments.extend(headers.iter().flat_map(|header| ["--header", header]));
    arguments.push(&url);
    let answer = web::until(release.cluster(), 200, &arguments).json();
    answer["result"]["login"].as_str().expect("it is text").to_owned()
}

/// Where links of a host's pages lead: a Gateway says the host to the server, an Ingress has no way to, and the server's own
/// setting counts.
fn home_of_links(release: &Devpi, host: &str, routing: &str) -> String {
    if routing == "gateway" { host.to_owned() } else { release.api() }
}

fn a_browser_sees_the_index_and_follows_a_link(release: &Devpi, browser: &Browser, routing: &str) {
    let dashboard = release.dashboard();
    browser.go(&format!("{dashboard}/"));
    assert!(browser.text("body").contains("root/stable"), "{}", browser.text("body"));
    browser.click("a[href$='/root/stable']");
    browser.arrives_at(&format!("{}/root/stable", home_of_links(release, &dashboard, routing)));
    assert!(browser.text("body").contains("root/pypi"), "{}", browser.text("body"));
}

/// A client that names another host is answered like one that does not.
fn no_client_chooses_where_links_lead(release: &Devpi, routing: &str) {
    for host in [release.api(), release.dashboard()] {
        for headers in [
            &[][..],
            &["X-Outside-URL: https://attacker.test"],
            &[
                "x-outside-url: https://attacker.test",
                "X-Forwarded-Host: attacker.test",
                "X-Forwarded-Proto: http",
            ],
        ] {
            let login = login_address(release, &host, headers);
            assert_eq!(login, format!("{}/+login", home_of_links(release, &host, routing)), "{headers:?}");
        }
    }
}

/// The status of an upload of this size without a login, in the form that twine sends. The size is judged before the login.
fn form_of(release: &Devpi, host: &str, megabytes: u64) -> u16 {
    let file = release.path("large");
    File::create(&file).and_then(|file| file.set_len(megabytes << 20)).expect("the folder is writable");
    let (content, url) = (format!("content=@{}", file.display()), format!("{host}/root/stable/"));
    let form = ["--form", ":action=file_upload", "--form", "name=large", "--form", "version=1", "--form"];
    web::curl(release.cluster(), &[&form[..], &[&content, &url]].concat()).expect("the server answers").status
}

fn large_packages_pass_up_to_fifty_megabytes(release: &Devpi, routing: &str) {
    for (number, host) in [release.api(), release.dashboard()].iter().enumerate() {
        let small = wheel_with(release.folder(), &format!("thinkube_{routing}_{number}"), 2 * MEGABYTE);
        twine(release, host, &small).ends_with(0);
        let page = format!("{host}/root/stable/thinkube-{routing}-{number}/1.0");
        web::get(release.cluster(), &page).expect("the server answers").with(200);
        // A Gateway has no such limit.
        if routing == "ingress" {
            assert_eq!(form_of(release, host, 49), 401, "{host}");
            assert_eq!(form_of(release, host, 51), 413, "{host}");
        }
    }
}

/// What pip and browsers ask for: an Ingress that asks the server before each request must let all of them pass.
fn every_kind_of_page_is_served(release: &Devpi) {
    for host in [release.api(), release.dashboard()] {
        for accept in [
            "application/vnd.pypi.simple.v1+json",
            "application/vnd.pypi.simple.v1+json, application/vnd.pypi.simple.v1+html; q=0.1, text/html; q=0.01",
            "text/html",
            "*/*",
        ] {
            let header = format!("Accept: {accept}");
            let page = format!("{host}/root/stable/+simple/thinkube-ingress-0/");
            let answer =
                web::curl(release.cluster(), &["--header", &header, &page]).expect("the server answers");
            assert!(answer.with(200).body.contains("thinkube_ingress_0"), "{accept}");
        }
    }
}

/// A server that answers with the headers that it is asked with, in the place of DevPI's. What an Ingress asks before a request
/// is there too.
fn mirror_of_headers(release: &Devpi) {
    let script = "mkdir -p /tmp/www/cgi-bin && cd /tmp/www/cgi-bin && \
        printf '#!/bin/sh\\nprintf \"Content-Type: text/plain\\\\r\\\\n\\\\r\\\\n\"; env | grep ^HTTP_\\n' > headers && \
        chmod +x headers && echo {} > /tmp/www/+authcheck && exec httpd -f -p 3141 -h /tmp/www";
    let image = release.cluster().toolbox_image().expect("a node has the image");
    let pod = json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": "headers", "namespace": release.name, "labels": {"app": "headers"}},
        "spec": {
            "terminationGracePeriodSeconds": 0,
            "automountServiceAccountToken": false,
            "containers": [{
                "name": "main", "image": image, "command": ["sh", "-c", script],
                "readinessProbe": {"tcpSocket": {"port": 3141}, "periodSeconds": 1}
            }]
        }
    });
    let file = release.path("headers.json");
    fs::write(&file, pod.to_string()).expect("the folder is writable");
    release.kubectl(&["apply", "-f", file.to_str().expect("it is text")]).ends_with(0);
    let ready = ["wait", "--for=condition=Ready", "pod/headers", "-n", &release.name, "--timeout=300s"];
    release.kubectl(&ready).ends_with(0);
}

fn lead_the_service_to(release: &Devpi, app: &str) {
    let patch = json!({"spec": {"selector": {"app": app}}}).to_string();
    release.kubectl(&["patch", "service", "devpi", "-n", &release.name, "-p", &patch]).ends_with(0);
}

/// The headers of the original's ConfigMap, by the release's own routes.
fn the_server_is_told_who_asked_and_for_which_host(release: &Devpi, routing: &str) {
    lead_the_service_to(release, "headers");
    for host in [release.api(), release.dashboard()] {
        let url = format!("{host}/cgi-bin/headers");
        let spoofed = [
            "--header",
            "X-Forwarded-For: 203.0.113.9",
            "--header",
            "X-Real-IP: 203.0.113.9",
            "--header",
            "X-Outside-URL: https://203.0.113.9",
        ];
        let told = web::until(release.cluster(), 200, &[&spoofed[..], &[&url]].concat()).body;
        let header = |name: &str| {
            told.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix('=')).map(str::to_owned)
        };
        let name = host.strip_prefix("https://").expect("an address");
        assert_eq!(header("HTTP_X_FORWARDED_HOST").as_deref(), Some(name), "{told}");
        assert_eq!(header("HTTP_X_FORWARDED_PROTO").as_deref(), Some("https"), "{told}");
        let address = header("HTTP_X_REAL_IP").unwrap_or_else(|| panic!("no X-Real-IP in {told}"));
        assert!(header("HTTP_X_FORWARDED_FOR").is_some_and(|all| all.contains(&address)), "{told}");
        let outside = (routing == "gateway").then_some(host.clone());
        assert_eq!(header("HTTP_X_OUTSIDE_URL"), outside, "{told}");
        assert!(!told.contains("203.0.113.9"), "what a client says of itself is believed: {told}");
    }
    lead_the_service_to(release, "devpi");
    let url = format!("{}/+api", release.api());
    eventually("the server behind its Service", || match web::get(release.cluster(), &url) {
        Ok(answer) if answer.body.contains("apiconfig") => Ok(()),
        other => Err(format!("{other:?}")),
    });
}

#[test]
fn both_hosts_serve_pages_and_packages_by_ingress_and_by_gateway() {
    let Some(release) = Devpi::new() else { return };
    let Some(browser) = Browser::open(release.cluster()) else { return };
    let image = release.ready_image();
    for routing in ["ingress", "gateway"] {
        release.apply(&[&image, "oauth2_proxy_enabled=false", &format!("routing={routing}")]).ends_with(0);
        web::until(release.cluster(), 200, &[&format!("{}/", release.dashboard())]);
        if routing == "ingress" {
            mirror_of_headers(&release);
        }
        the_server_is_told_who_asked_and_for_which_host(&release, routing);
        a_browser_sees_the_index_and_follows_a_link(&release, &browser, routing);
        no_client_chooses_where_links_lead(&release, routing);
        large_packages_pass_up_to_fifty_megabytes(&release, routing);
        every_kind_of_page_is_served(&release);
    }
}
