//! DevPI from its first install to its removal, without sign-on.

use crate::clients::{clients, wheel};
use crate::release::Devpi;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use std::fs;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;
use thinkube_e2e::{Run, build, devpi, finish, web};
use thinkube_test_cluster::build_dir;

/// Reads the arguments of every process of the machine until it is dropped.
struct Watch {
    stop: std::sync::Arc<AtomicBool>,
    thread: Option<JoinHandle<Option<String>>>,
}

impl Watch {
    fn for_text(text: &str) -> Self {
        let (text, stop) = (text.to_owned(), std::sync::Arc::new(AtomicBool::new(false)));
        let stopped = std::sync::Arc::clone(&stop);
        let thread = thread::spawn(move || {
            while !stopped.load(Ordering::Relaxed) {
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

/// A release of DevPI without sign-on, and what the host has printed of it.
struct Life {
    release: Devpi,
    settings: Vec<String>,
    /// The outputs of all runs, in which no password may be.
    outputs: Vec<Run>,
}

#[test]
fn devpi_is_built_installed_used_changed_and_removed() {
    if !build::can() {
        return;
    }
    let Some(mut life) = Life::new() else { return };
    let mark = life.release.audit_mark();
    let watch = Watch::for_text(&life.release.password);
    life.is_built_and_installed();
    used_by_clients(&life.release);
    life.a_second_apply_changes_and_interrupts_nothing();
    life.a_change_of_the_dashboard_restarts_no_server();
    life.an_apply_corrects_a_changed_index();
    life.the_password_is_in_clear_only_by_consent();
    watch.saw_nothing();
    life.another_password_takes_effect_without_a_restart();
    life.the_password_is_in_the_secret_of_root_alone(mark);
    life.an_uninstall_keeps_the_data_until_it_is_named();
}

impl Life {
    /// `None` where the cluster cannot have all addons.
    fn new() -> Option<Self> {
        let release = Devpi::new()?;
        let source = release.path("source");
        let url = build_dir::devpi_repository(release.cluster(), &source, &release.name);
        let settings = vec![
            format!("devpi_git_url={}", url.expect("the repository is made")),
            "devpi_git_revision=main".to_owned(),
            "devpi_dockerfile=Containerfile".to_owned(),
            "oauth2_proxy_enabled=false".to_owned(),
        ];
        Some(Self { release, settings, outputs: Vec::new() })
    }

    /// Runs a command of the host with the plugin and these further settings.
    fn plugin(&self, before: &[&str], further: &[&str]) -> Run {
        let settings: Vec<&str> =
            self.settings.iter().map(String::as_str).chain(further.iter().copied()).collect();
        self.release.plugin(before, &settings)
    }

    fn apply(&self, further: &[&str]) -> Run {
        self.plugin(&["apply", "--yes", "-o", "json"], further).ends_with(0)
    }

    /// An operation of the plugin.
    fn operation(&self, name: &str) -> Command {
        let plugin = devpi().to_str().expect("the path is UTF-8");
        self.release.command(&["run", name, "--release", &self.release.name, "--plugin", plugin, "--yes"])
    }

    fn is_built_and_installed(&mut self) {
        let planned = self.plugin(&["plan", "--cluster"], &[]).ends_with(0);
        let applied = self.apply(&[]);
        assert!(applied.stderr.contains("building"), "{}", applied.stderr);
        let image = applied.json()["release"]["images"][0].clone();
        let reference = image["reference"].as_str().expect("a built image has a reference");
        assert!(reference.starts_with("registry.thinkube.test:5000/library/devpi@sha256:"), "{reference}");
        let health = applied.json()["health"].clone();
        let health = health.as_array().expect("the health is a list");
        assert!(health.iter().all(|check| check["status"] == "passed"), "{health:?}");
        let (release, plugin) = (&self.release, devpi().to_str().expect("the path is UTF-8"));
        let checked = release.run(&["check", &release.name, "--tests", "--plugin", plugin]).ends_with(0);
        let status = release.run(&["status", &release.name]).ends_with(0);
        self.outputs.extend([planned, applied, checked, status]);
    }

    fn a_second_apply_changes_and_interrupts_nothing(&mut self) {
        let release = &self.release;
        // Kubernetes deletes the Job after 300 s.
        let job = ["delete", "job", "devpi-init", "-n", &release.name, "--ignore-not-found"];
        release.kubectl(&job).ends_with(0);
        let (pods, mark) = (release.pods(), release.audit_mark());
        let polling = release.polled();
        let again = self.apply(&[]);
        polling.none_failed();
        assert_eq!(again.json()["changed"], false, "{}", again.stderr);
        assert!(!again.stderr.contains("building"), "{}", again.stderr);
        release.assert_no_writes_since(mark);
        assert_eq!(release.pods(), pods);
        self.outputs.push(again);
    }

    fn a_change_of_the_dashboard_restarts_no_server(&mut self) {
        let pods = self.release.pods();
        let dashboard = format!("devpi_dashboard_hostname={}-web.thinkube.test", self.release.name);
        let polling = self.release.polled();
        let changed = self.apply(&[&dashboard]);
        polling.none_failed();
        assert_eq!(self.release.pods(), pods);
        self.outputs.push(changed);
    }

    /// Nothing in the cluster shows the change.
    fn an_apply_corrects_a_changed_index(&mut self) {
        self.apply(&[]);
        let bases = format!("{}/root/stable?no_projects=", self.release.api());
        let config = || {
            let arguments = ["--header", "Accept: application/json", &bases];
            web::curl(self.release.cluster(), &arguments).expect("the server answers").json()
        };
        self.release.devpi_client(&["index", "root/stable", "bases="]).ends_with(0);
        assert_eq!(config()["result"]["bases"], json!([]));
        let corrected = self.apply(&[]);
        assert_eq!(config()["result"]["bases"], json!(["root/pypi"]));
        self.outputs.push(corrected);
    }

    /// Consumers that follow no reference need it in clear. No run prints it.
    fn the_password_is_in_clear_only_by_consent(&mut self) {
        let in_clear = ["devpi_password_in_clear=true"];
        let refused = self.plugin(&["apply", "--yes", "-o", "json"], &in_clear).ends_with(4);
        assert!(refused.stderr.contains("secrets in clear into ConfigMap"), "{}", refused.stderr);
        let agreed = ["apply", "--yes", "-o", "json", "--grant-requested"];
        let agreed = self.plugin(&agreed, &in_clear).ends_with(0);
        let get = ["get", "configmap", "thinkube-service-config", "-o", "json"];
        let discovery: Value =
            serde_json::from_str(&self.release.kubectl_in_namespace(&get)).expect("kubectl prints JSON");
        let password = &self.release.password;
        assert_eq!(discovery["data"]["DEVPI_PASSWORD"], password.as_str());
        let service = discovery["data"]["service.yaml"].as_str().expect("the document is text");
        assert!(service.contains(&format!("value: \"{password}\"")), "{service}");
        let back = self.plugin(&["plan", "--cluster"], &[]).ends_with(0);
        assert!(back.stdout.contains("service.yaml"), "{}", back.stdout);
        let restored = self.apply(&[]);
        self.outputs.extend([refused, agreed, back, restored]);
    }

    fn another_password_takes_effect_without_a_restart(&self) {
        let (release, pods) = (&self.release, self.release.pods());
        let mut reset = self.operation("reset-root-password");
        finish(reset.env("ADMIN_PASSWORD", "another-7f3a")).ends_with(0);
        assert_eq!((release.login("another-7f3a"), release.login(&release.password)), (200, 401));
        assert_eq!(release.secret("devpi-root", "password"), "another-7f3a");
        assert_eq!(release.pods(), pods);
        finish(&mut self.operation("refresh-image")).ends_with(0);
        assert_eq!(release.pods(), pods, "the same commit is the same image");
        self.apply(&[]);
    }

    fn hides_the_password(&self, text: &str, what: &str) {
        let password = &self.release.password;
        let encoded = STANDARD.encode(password);
        assert!(!text.contains(password) && !text.contains(&encoded), "{what} holds the password");
    }

    fn the_password_is_in_the_secret_of_root_alone(&self, mark: u64) {
        let release = &self.release;
        for run in &self.outputs {
            self.hides_the_password(&run.stdout, "an output");
            self.hides_the_password(&run.stderr, "an output");
        }
        let kinds = "configmaps,services,persistentvolumeclaims,deployments,replicasets,pods,jobs,ingresses,leases,events";
        for namespace in [&release.name, &release.state_namespace()] {
            let objects = release.kubectl(&["get", kinds, "-n", namespace, "-o", "yaml"]).ends_with(0);
            self.hides_the_password(&objects.stdout, "an object");
        }
        let secrets = release.kubectl(&["get", "secrets", "-n", &release.name, "-o", "json"]).ends_with(0);
        for secret in secrets.json()["items"].as_array().expect("kubectl lists items") {
            if secret["metadata"]["name"] != "devpi-root" {
                self.hides_the_password(&secret.to_string(), "another Secret");
            }
        }
        assert_eq!(release.secret("devpi-root", "password"), release.password);
        let logs = release.kubectl_in_namespace(&["logs", "deployment/devpi"]);
        self.hides_the_password(&logs, "the server's log");
        let audited = release.cluster().audit_events(mark).expect("the harness's cluster has an audit log");
        self.hides_the_password(&format!("{audited:?}"), "the audit log");
        let files =
            Command::new("grep").args(["-rlF", "-e", &release.password]).arg(release.folder()).output();
        let files = files.expect("grep starts").stdout;
        assert_eq!(String::from_utf8_lossy(&files), "", "a temporary file holds the password");
    }

    fn an_uninstall_keeps_the_data_until_it_is_named(&self) {
        let release = &self.release;
        let uninstalled = release.uninstall(&[]);
        let stdout = &uninstalled.stdout;
        assert!(stdout.contains("devpi-data-pvc") && stdout.contains("kept"), "{stdout}");
        assert_eq!(release.left(), ["persistentvolumeclaim/devpi-data-pvc"]);
        self.hides_the_password(stdout, "an output");

        self.apply(&[]);
        let package = format!("{}/root/stable/thinkube-sample/1.0", release.api());
        web::get(release.cluster(), &package).expect("the server answers").with(200);
        let uninstalled = release.uninstall(&["--delete-data", "--delete-images"]);
        assert!(uninstalled.stdout.contains("deleted"), "{}", uninstalled.stdout);
        release.kubectl(&["get", "namespace", &release.name]).ends_with(1);
    }
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

    // Without a login a client writes nothing.
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
