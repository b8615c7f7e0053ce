//! A release of DevPI of a test's own, and what is asked of it.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;
use tempfile::TempDir;
use thinkube_e2e::keycloak::Admin;
use thinkube_e2e::{Run, build, devpi, finish, web};
use thinkube_test_cluster::{Addon, AuditEvent, Cluster, TestNamespace};

/// A release of DevPI with hosts and a client that are nobody else's.
pub(crate) struct Release {
    pub(crate) namespace: TestNamespace,
    pub(crate) admin: Admin,
    pub(crate) name: String,
    pub(crate) folder: TempDir,
    pub(crate) password: String,
}

impl Release {
    /// None where the cluster cannot have all the parts.
    pub(crate) fn new() -> Option<Self> {
        let namespace = TestNamespace::with([Addon::Node, Addon::Ingress, Addon::Registry, Addon::Keycloak])?;
        let admin = Admin::of(namespace.cluster());
        let name = format!("dp-{}", namespace.name());
        let folder = build::folder();
        let password = format!("canary-{name}");
        Some(Self { namespace, admin, name, folder, password })
    }

    pub(crate) fn cluster(&self) -> &Cluster {
        self.namespace.cluster()
    }

    pub(crate) fn api(&self) -> String {
        format!("https://{}-api.thinkube.test", self.name)
    }

    pub(crate) fn dashboard(&self) -> String {
        format!("https://{}.thinkube.test", self.name)
    }

    pub(crate) fn home(&self) -> String {
        format!("home-{}", self.name)
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let cluster = self.cluster();
        let keycloak = cluster.keycloak().expect("our own").expect("it is there");
        let mut command = build::command(arguments, self.folder.path());
        command
            .env("KUBECONFIG", cluster.kubeconfig())
            .env("THINKUBE_STATE_NAMESPACE", self.home())
            .env("ADMIN_PASSWORD", &self.password)
            .env("KEYCLOAK_ADMIN_PASSWORD", keycloak.admin_password);
        if matches!(arguments[0], "plan" | "apply" | "check" | "run" | "uninstall") {
            command.arg("--ca-file").arg(cluster.authority().expect("our own"));
            let address = cluster.address().expect("our own");
            for host in ["registry".into(), "auth".into(), self.name.clone(), format!("{}-api", self.name)] {
                command.arg("--resolve").arg(format!("{host}.thinkube.test={address}"));
            }
        }
        command
    }

    pub(crate) fn run(&self, arguments: &[&str]) -> Run {
        finish(&mut self.command(arguments))
    }

    /// The platform's settings and these; a later one wins.
    pub(crate) fn plugin(&self, before: &[&str], settings: &[&str]) -> Run {
        finish(&mut self.plugin_command(before, settings))
    }

    pub(crate) fn plugin_command(&self, before: &[&str], settings: &[&str]) -> Command {
        let platform = [
            "domain_name=thinkube.test".to_owned(),
            format!("devpi_namespace={}", self.name),
            format!("devpi_dashboard_hostname={}.thinkube.test", self.name),
            format!("devpi_api_hostname={}-api.thinkube.test", self.name),
            "harbor_registry=registry.thinkube.test:5000".to_owned(),
            "keycloak_url=https://auth.thinkube.test".to_owned(),
            format!("oauth2_proxy_client_id={}", self.name),
        ];
        let component = devpi().to_str().expect("text");
        let mut arguments = [before, &[component, "--release", &self.name]].concat();
        for setting in platform.iter().map(String::as_str).chain(settings.iter().copied()) {
            arguments.extend(["--set", setting]);
        }
        self.command(&arguments)
    }

    pub(crate) fn apply(&self, settings: &[&str]) -> Run {
        self.plugin(&["apply", "--yes", "-o", "json"], settings)
    }

    pub(crate) fn kubectl(&self, arguments: &[&str]) -> Run {
        let mut kubectl = Command::new(self.cluster().kubectl());
        finish(kubectl.args(arguments).env("KUBECONFIG", self.cluster().kubeconfig()).stdin(Stdio::null()))
    }

    /// The value of a key of a Secret.
    pub(crate) fn secret(&self, name: &str, key: &str) -> String {
        let path = format!("jsonpath={{.data['{key}']}}");
        let value = self.kubectl(&["get", "secret", name, "-n", &self.name, "-o", &path]).ends_with(0).stdout;
        String::from_utf8(STANDARD.decode(value).expect("base64")).expect("text")
    }

    /// The ready-made image of the harness.
    pub(crate) fn ready_image(&self) -> String {
        format!("devpi_image={}", self.cluster().devpi_image().expect("a node has it"))
    }

    /// The status of a login of root.
    pub(crate) fn login(&self, password: &str) -> u16 {
        let body = json!({"user": "root", "password": password}).to_string();
        let url = format!("{}/+login", self.api());
        let headers = ["--header", "Content-Type: application/json", "--header", "Accept: application/json"];
        let arguments = [&headers[..], &["--data-binary", &body, &url]].concat();
        web::curl(self.cluster(), &arguments).expect("an answer").status
    }

    /// Every pod with its UID and restarts.
    pub(crate) fn pods(&self) -> BTreeSet<String> {
        let path = "jsonpath={range .items[*]}{.metadata.name} {.metadata.uid} {.status.containerStatuses[0].restartCount}{'\\n'}{end}";
        let listed = self.kubectl(&["get", "pods", "-n", &self.name, "-l", "app=devpi", "-o", path]);
        listed.ends_with(0).stdout.lines().map(str::to_owned).collect()
    }

    pub(crate) fn writes_since(&self, mark: u64) -> Vec<AuditEvent> {
        // The log is written after the answer.
        thread::sleep(Duration::from_millis(500));
        let events = self.cluster().audit_events(mark).expect("the audit log can be read");
        let ours = |event: &AuditEvent| {
            event.is_write()
                && event.user_agent.starts_with("thinkube-host")
                && [&event.uri, &event.namespace, &event.name].iter().any(|text| text.contains(&self.name))
        };
        events.into_iter().filter(ours).collect()
    }

    /// What is left of the release in its namespace, but for what the cluster puts into each.
    pub(crate) fn left(&self) -> Vec<String> {
        let kinds =
            "configmaps,secrets,services,persistentvolumeclaims,deployments,jobs,ingresses,httproutes,pods";
        let listed = self.kubectl(&["get", kinds, "-n", &self.name, "-o", "name"]).ends_with(0).stdout;
        listed.lines().filter(|line| !line.contains("kube-root-ca.crt")).map(str::to_owned).collect()
    }

    pub(crate) fn client(&self) -> Option<Value> {
        let answer = self.admin.call("GET", &format!("/clients?clientId={}", self.name), None).json();
        answer.get(0).cloned()
    }

    /// Asks the API every 100 ms.
    pub(crate) fn polled(&self) -> Polling {
        self.polled_with(&[&format!("{}/+api", self.api())])
    }

    /// Runs curl with these arguments every 100 ms.
    pub(crate) fn polled_with(&self, arguments: &[&str]) -> Polling {
        let cluster = self.cluster().clone();
        let arguments: Vec<String> = arguments.iter().map(|&argument| argument.to_owned()).collect();
        let stop = std::sync::Arc::new(AtomicBool::new(false));
        let told = std::sync::Arc::clone(&stop);
        let thread = thread::spawn(move || {
            let (mut asked, mut failed) = (0, Vec::new());
            let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
            while !told.load(Ordering::Relaxed) {
                asked += 1;
                match web::curl(&cluster, &arguments) {
                    Ok(answer) if answer.status == 200 => {}
                    other => failed.push(format!("{other:?}")),
                }
                thread::sleep(Duration::from_millis(100));
            }
            (asked, failed)
        });
        Polling { stop, thread }
    }
}

impl Drop for Release {
    fn drop(&mut self) {
        if let Some(client) = self.client() {
            let path = format!("/clients/{}", client["id"].as_str().unwrap_or_default());
            self.admin.call("DELETE", &path, None);
        }
        for namespace in [self.name.clone(), self.home()] {
            self.kubectl(&["delete", "namespace", &namespace, "--ignore-not-found", "--wait=false"]);
        }
    }
}

pub(crate) struct Polling {
    stop: std::sync::Arc<AtomicBool>,
    thread: JoinHandle<(u32, Vec<String>)>,
}

impl Polling {
    pub(crate) fn none_failed(self) {
        self.stop.store(true, Ordering::Relaxed);
        let (asked, failed) = self.thread.join().expect("it ends");
        assert!(asked > 0 && failed.is_empty(), "{} of {asked} failed: {failed:?}", failed.len());
    }
}
