//! DevPI from its first install to its removal, without sign-on.

use crate::clients::{clients, wheel};
use crate::release::Devpi;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;
use std::fs;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;
use thinkube_e2e::{build, devpi, finish, web};
use thinkube_test_cluster::build_dir;

/// Reads the arguments of every process of the machine until it is dropped.
struct Watch {
    stop: std::sync::Arc<AtomicBool>,
    thread: Option<JoinHandle<Option<String>>>,
}

impl Watch {
    fn for_text(text: &str) -> Self {
        let (text, stop) = (text.to_owned(), std::sync::Arc::new(AtomicBool::new(false)));
        let told = std::sync::Arc::clone(&stop);
        let thread = thread::spawn(move || {
            while !told.load(Ordering::Relaxed) {
                for process in fs::read_dir("/proc").expect("readable").flatten() {
                    let printed = fs::read(process.path().join("cmdline")).unwrap_or_default();
                    let printed = String::from_utf8_lossy(&printed).into_owned();
                    if printed.contains(&text) {
                        return Some(printed);
                    }
                }
                thread::sleep(Duration::from_millis(5));
            }
            None
        });
        Self { stop, thread: Some(thread) }
    }

    fn saw_nothing(mut self) {
        self.stop.store(true, Ordering::Relaxed);
        let seen = self.thread.take().expect("it runs").join().expect("the process ends");
        assert_eq!(seen, None, "a process has the password among its arguments");
    }
}

#[test]
fn devpi_is_built_installed_used_changed_and_removed() {
    if !build::can() {
        return;
    }
    let Some(release) = Devpi::new() else { return };
    let source = release.path("source");
    let url = build_dir::devpi_repository(release.cluster(), &source, &release.name).expect("a repository");
    let git = format!("devpi_git_url={url}");
    let settings = [
        git.as_str(),
        "devpi_git_revision=main",
        "devpi_dockerfile=Containerfile",
        "oauth2_proxy_enabled=false",
    ];

    // W2, W3, W4: the password is searched in everything that is reported, kept or run.
    let canary = release.password.clone();
    let watch = Watch::for_text(&canary);
    let mut printed = Vec::new();

    let planned = release.plugin(&["plan", "--cluster"], &settings).ends_with(0);
    let applied = release.apply(&settings).ends_with(0);
    assert!(applied.stderr.contains("building"), "{}", applied.stderr);
    let reference =
        applied.json()["release"]["images"][0]["reference"].as_str().expect("a reference").to_owned();
    assert!(reference.starts_with("registry.thinkube.test:5000/library/devpi@sha256:"), "{reference}");
    let health = applied.json()["health"].clone();
    assert!(
        health.as_array().expect("it is a list").iter().all(|check| check["status"] == "passed"),
        "{health}"
    );
    let component = devpi().to_str().expect("it is text");
    let checked = release.run(&["check", &release.name, "--tests", "--plugin", component]).ends_with(0);
    let status = release.run(&["status", &release.name]).ends_with(0);
    printed.extend([planned, applied, checked, status]);

    // Real clients, by the names and the certificates of the platform.
    used_by_clients(&release);

    // W9, W10: a second run changes nothing, restarts nothing, interrupts no client.
    // The Job goes by itself after 300 s.
    release.kubectl(&["delete", "job", "devpi-init", "-n", &release.name, "--ignore-not-found"]).ends_with(0);
    let (pods, mark) = (release.pods(), release.audit_mark());
    let polling = release.polled();
    let again = release.apply(&settings).ends_with(0);
    polling.none_failed();
    assert_eq!(again.json()["changed"], false, "{}", again.stderr);
    assert!(!again.stderr.contains("building"), "{}", again.stderr);
    release.assert_no_writes_since(mark);
    assert_eq!(release.pods(), pods);

    // So does one that changes something else, but for the write that it takes.
    let dashboard = format!("devpi_dashboard_hostname={}-web.thinkube.test", release.name);
    let polling = release.polled();
    let changed = release.apply(&[&settings[..], &[&dashboard]].concat()).ends_with(0);
    polling.none_failed();
    assert_eq!(release.pods(), pods);
    printed.extend([again, changed]);

    // An apply corrects a changed index, though nothing in the cluster differs.
    release.apply(&settings).ends_with(0);
    let index = format!("{}/root/stable", release.api());
    let bases = format!("{index}?no_projects=");
    let config = || {
        web::curl(release.cluster(), &["--header", "Accept: application/json", &bases])
            .expect("the server answers")
            .json()
    };
    release.devpi_client(&["index", "root/stable", "bases="]).ends_with(0);
    assert_eq!(config()["result"]["bases"], json!([]));
    let mended = release.apply(&settings).ends_with(0);
    assert_eq!(config()["result"]["bases"], json!(["root/pypi"]));
    printed.push(mended);

    // Consumers that follow no reference get the password in clear, once that is agreed to, and it is reported nowhere.
    let in_clear = [&settings[..], &["devpi_password_in_clear=true"]].concat();
    let refused = release.apply(&in_clear).ends_with(4);
    assert!(refused.stderr.contains("secrets in clear into ConfigMap"), "{}", refused.stderr);
    let agreed =
        release.plugin(&["apply", "--yes", "-o", "json", "--grant-requested"], &in_clear).ends_with(0);
    let get = ["get", "configmap", "thinkube-service-config", "-n", &release.name, "-o", "json"];
    let discovery = release.kubectl(&get).ends_with(0).json();
    assert_eq!(discovery["data"]["DEVPI_PASSWORD"], canary);
    let service = discovery["data"]["service.yaml"].as_str().expect("it is text");
    assert!(service.contains(&format!("value: \"{canary}\"")), "{service}");
    let back = release.plugin(&["plan", "--cluster"], &settings).ends_with(0);
    assert!(back.stdout.contains("service.yaml"), "{}", back.stdout);
    printed.extend([refused, agreed, back, release.apply(&settings).ends_with(0)]);
    watch.saw_nothing();

    // Day 2: another password, in the Secret and in the server, without a restart.
    let mut reset = release.command(&[
        "run",
        "reset-root-password",
        "--release",
        &release.name,
        "--plugin",
        component,
        "--yes",
    ]);
    finish(reset.env("ADMIN_PASSWORD", "another-7f3a")).ends_with(0);
    assert_eq!((release.login("another-7f3a"), release.login(&canary)), (200, 401));
    assert_eq!(release.secret("devpi-root", "password"), "another-7f3a");
    assert_eq!(release.pods(), pods);
    let refreshed =
        release.run(&["run", "refresh-image", "--release", &release.name, "--plugin", component, "--yes"]);
    refreshed.ends_with(0);
    assert_eq!(release.pods(), pods, "the same commit is the same image");
    release.apply(&settings).ends_with(0);

    // W3: in the Secret of root and nowhere else.
    let encoded = STANDARD.encode(&canary);
    let hides = |text: &str, what: &str| {
        assert!(!text.contains(&canary) && !text.contains(&encoded), "{what} holds the password");
    };
    for run in &printed {
        hides(&run.stdout, "an output");
        hides(&run.stderr, "an output");
    }
    let kinds = "configmaps,services,persistentvolumeclaims,deployments,replicasets,pods,jobs,ingresses,leases,events";
    for namespace in [&release.name, &release.state_namespace()] {
        let objects = release.kubectl(&["get", kinds, "-n", namespace, "-o", "yaml"]).ends_with(0).stdout;
        hides(&objects, "an object");
    }
    let secrets = release.kubectl(&["get", "secrets", "-n", &release.name, "-o", "json"]).ends_with(0).json();
    for secret in secrets["items"].as_array().expect("it is a list") {
        if secret["metadata"]["name"] != "devpi-root" {
            hides(&secret.to_string(), "another Secret");
        }
    }
    assert_eq!(release.secret("devpi-root", "password"), canary);
    let logs = release.kubectl(&["logs", "deployment/devpi", "-n", &release.name]).ends_with(0).stdout;
    hides(&logs, "the server's log");
    let audited = release.cluster().audit_events(mark).expect("a log");
    hides(&format!("{audited:?}"), "the audit log");
    let left = finish(Command::new("grep").args(["-rlF", "-e", &canary]).arg(release.folder()));
    assert_eq!(left.stdout, "", "a temporary file holds the password");

    // W12: a removal that takes no data, and says what stays.
    let taken = release.run(&["uninstall", &release.name, "--yes"]).ends_with(0);
    assert!(taken.stdout.contains("devpi-data-pvc") && taken.stdout.contains("kept"), "{}", taken.stdout);
    assert_eq!(release.left(), ["persistentvolumeclaim/devpi-data-pvc"]);
    hides(&taken.stdout, "an output");

    // The packages are there again after the next install.
    release.apply(&settings).ends_with(0);
    let kept =
        web::get(release.cluster(), &format!("{index}/thinkube-sample/1.0")).expect("the server answers");
    kept.with(200);
    let taken =
        release.run(&["uninstall", &release.name, "--yes", "--delete-data", "--delete-images"]).ends_with(0);
    assert!(taken.stdout.contains("deleted"), "{}", taken.stdout);
    release.kubectl(&["get", "namespace", &release.name]).ends_with(1);
}

fn used_by_clients(release: &Devpi) {
    let (bin, api) = (clients(), release.api());
    let sample = wheel(release.folder(), "thinkube_sample");
    release.devpi_client(&["upload", sample.to_str().expect("it is text")]).ends_with(0);

    let twined = wheel(release.folder(), "thinkube_twined");
    let mut twine = release.cluster().command(bin.join("twine"));
    twine
        .args(["upload", "--non-interactive", "--repository-url", &format!("{api}/root/stable/")])
        .arg(&twined);
    twine.env("TWINE_USERNAME", "root").env("TWINE_PASSWORD", &release.password).stdin(Stdio::null());
    finish(&mut twine).ends_with(0);

    let site = release.path("site");
    let mut pip = release.cluster().command(bin.join("pip"));
    pip.args([
        "install",
        "--quiet",
        "--no-cache-dir",
        "--isolated",
        "--index-url",
        &format!("{api}/root/stable/+simple/"),
        "--target",
    ]);
    pip.arg(&site).args(["thinkube_sample", "thinkube_twined"]).stdin(Stdio::null());
    // This machine's own index must not answer instead.
    for variable in ["PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL", "PIP_FIND_LINKS", "PIP_CONFIG_FILE"] {
        pip.env_remove(variable);
    }
    pip.env("PIP_CERT", release.cluster().authority().expect("the harness started the cluster"));
    finish(&mut pip).ends_with(0);
    assert!(fs::read_to_string(site.join("thinkube_sample.py")).expect("installed").contains("private"));
    assert!(site.join("thinkube_twined.py").exists());

    // W7: who is not logged in reads and writes nothing.
    let refused = |arguments: &[&str]| {
        let json = ["--header", "Content-Type: application/json", "--header", "Accept: application/json"];
        web::curl(release.cluster(), &[&json[..], arguments].concat()).expect("the server answers").status
    };
    let (user, index) = (format!("{api}/mallory"), format!("{api}/root/other"));
    assert_eq!(refused(&["--request", "PUT", "--data-binary", "{\"password\":\"x\"}", &user]), 403);
    assert_eq!(refused(&["--request", "PUT", "--data-binary", "{}", &index]), 403);
    let mut anonymous = release.cluster().command(bin.join("twine"));
    anonymous
        .args(["upload", "--non-interactive", "--repository-url", &format!("{api}/root/stable/")])
        .arg(&twined);
    anonymous.env("TWINE_USERNAME", "unknown").env("TWINE_PASSWORD", "nothing").stdin(Stdio::null());
    assert_ne!(finish(&mut anonymous).code, 0);
}
