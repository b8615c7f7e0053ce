//! A release of DevPI for one test, and requests to it.

use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::ops::Deref;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;
use thinkube_e2e::keycloak::Admin;
use thinkube_e2e::release::Release;
use thinkube_e2e::{Run, devpi, finish, web};
use thinkube_test_cluster::Addon;

/// A release of DevPI, with host names and a Keycloak client that no other test has.
pub(crate) struct Devpi {
    release: Release,
    pub(crate) admin: Admin,
    pub(crate) password: String,
}

impl Deref for Devpi {
    type Target = Release;

    fn deref(&self) -> &Release {
        &self.release
    }
}

impl Devpi {
    /// `None` where the cluster cannot have all addons.
    pub(crate) fn new() -> Option<Self> {
        Self::with_password(None)
    }

    /// The same with a password of the test's own. None: one that only this release has.
    pub(crate) fn with_password(password: Option<&str>) -> Option<Self> {
        let release = Release::with("dp", [Addon::Node, Addon::Ingress, Addon::Registry, Addon::Keycloak])?;
        let admin = Admin::of(release.cluster());
        let password = password.map_or_else(|| format!("canary-{}", release.name), str::to_owned);
        let names = ["registry".into(), "auth".into(), release.name.clone(), format!("{}-api", release.name)];
        let release = release
            .reaching(names)
            .building()
            .env("ADMIN_PASSWORD", password.clone())
            .env("KEYCLOAK_ADMIN_PASSWORD", admin.password());
        Some(Self { release, admin, password })
    }

    pub(crate) fn api(&self) -> String {
        format!("https://{}-api.thinkube.test", self.name)
    }

    pub(crate) fn dashboard(&self) -> String {
        format!("https://{}.thinkube.test", self.name)
    }

    /// Runs the host with the plugin, the platform's settings and these; a later setting wins.
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
        let component = devpi().to_str().expect("the path is UTF-8");
        let mut arguments = [before, &[component, "--release", &self.name]].concat();
        for setting in platform.iter().map(String::as_str).chain(settings.iter().copied()) {
            arguments.extend(["--set", setting]);
        }
        self.command(&arguments)
    }

    pub(crate) fn apply(&self, settings: &[&str]) -> Run {
        self.plugin(&["apply", "--yes", "-o", "json"], settings)
    }

    /// The setting with the node's DevPI image.
    pub(crate) fn ready_image(&self) -> String {
        format!("devpi_image={}", self.cluster().devpi_image().expect("a node has the DevPI image"))
    }

    /// The HTTP status of a login of root.
    pub(crate) fn login(&self, password: &str) -> u16 {
        let body = json!({"user": "root", "password": password}).to_string();
        let url = format!("{}/+login", self.api());
        let headers = ["--header", "Content-Type: application/json", "--header", "Accept: application/json"];
        let arguments = [&headers[..], &["--data-binary", &body, &url]].concat();
        web::curl(self.cluster(), &arguments).expect("the server answers").status
    }

    /// Every pod with its UID and restarts.
    pub(crate) fn pods(&self) -> BTreeSet<String> {
        let path = "jsonpath={range .items[*]}{.metadata.name} {.metadata.uid} {.status.containerStatuses[0].restartCount}{'\\n'}{end}";
        let listed = self.kubectl(&["get", "pods", "-n", &self.name, "-l", "app=devpi", "-o", path]);
        listed.ends_with(0).stdout.lines().map(str::to_owned).collect()
    }

    /// The objects that are left in the release's namespace.
    pub(crate) fn left(&self) -> Vec<String> {
        self.objects(
            "configmaps,secrets,services,persistentvolumeclaims,deployments,jobs,ingresses,httproutes,pods",
        )
    }

    pub(crate) fn client(&self) -> Option<Value> {
        self.admin.find_client(&self.name)
    }

    /// Requests the API every 100 ms.
    pub(crate) fn polled(&self) -> Polling {
        self.polled_with(&[&format!("{}/+api", self.api())])
    }

    /// Runs curl with these arguments every 100 ms.
    pub(crate) fn polled_with(&self, arguments: &[&str]) -> Polling {
        let cluster = self.cluster().clone();
        let arguments: Vec<String> = arguments.iter().map(|&argument| argument.to_owned()).collect();
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let thread = thread::spawn(move || {
            let (mut asked, mut failed) = (0, Vec::new());
            let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
            while !stopped.load(Ordering::Relaxed) {
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

impl Drop for Devpi {
    fn drop(&mut self) {
        self.admin.delete_client(&self.release.name);
    }
}

pub(crate) struct Polling {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<(u32, Vec<String>)>,
}

impl Polling {
    pub(crate) fn none_failed(self) {
        self.stop.store(true, Ordering::Relaxed);
        let (asked, failed) = self.thread.join().expect("the polling does not panic");
        assert!(asked > 0 && failed.is_empty(), "{} of {asked} failed: {failed:?}", failed.len());
    }
}
