//! The demo on an existing cluster. It starts nothing, and names the features that the cluster lacks and the demo omits.

use super::features::Features;
use super::host::Host;
use super::kubectl::{answer, give, index};
use super::phases::Phases;
use super::preview::host_and_plan;
use crate::command::{say, target};
use crate::doctor;
use anyhow::{Context as _, bail};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::process::Command;
use thinkube_test_cluster::{Purpose, built_kubectl, password, self_signed};

/// A domain that leads nowhere (RFC 6761): the demo has no domain that leads to the cluster.
const DOMAIN: &str = "demo.test";

/// Stands in a plan for an image that was not named.
const NO_IMAGE: &str = "registry.demo.test/library/devpi:6.20.1";

const NO_SIGN_ON: &str = "sign-on: no Keycloak is named to the demo; `thinkube-host apply` with your platform's settings \
                          installs DevPI with it";

/// Options for an existing cluster, beside its kubeconfig.
#[derive(Debug, clap::Args)]
pub(super) struct ExistingOptions {
    /// The context of the kubeconfig.
    #[arg(long, value_name = "NAME", requires = "kubeconfig")]
    context: Option<String>,
    /// An image of DevPI's server that the cluster can pull. Without an image, the demo only shows the plan.
    #[arg(long, value_name = "REF", requires = "kubeconfig")]
    image: Option<String>,
    /// The name of the release, and of its namespace.
    #[arg(long, value_name = "NAME", requires = "kubeconfig", default_value = "devpi")]
    release: String,
}

pub(super) fn install(
    kubeconfig: &Path,
    given: &ExistingOptions,
    phases: &mut Phases,
) -> anyhow::Result<String> {
    let cluster = phases.run("the machine and the cluster are fit", None, || {
        doctor::first(&[Purpose::Rust])?;
        let cluster = ExistingCluster::new(kubeconfig, given)?;
        cluster.ask(&["get", "--raw", "/version"])?;
        Ok(cluster)
    })?;
    let cold = !target().join("debug/thinkube-host").is_file();
    host_and_plan(phases, cold)?;
    let found = phases.run("what the cluster has is read", None, || cluster.observe())?;
    say(&format!("found and used:\n  {}", found.used().join("\n  ")));
    let host = cluster.host()?;
    let obstacles = found.obstacles(given.image.as_deref());
    let image = given.image.as_deref().unwrap_or(NO_IMAGE);
    if !obstacles.is_empty() {
        phases.run("the plan against the cluster", None, || cluster.plan(&host, &found, image))?;
        return Ok(format!("DevPI was planned and not installed:\n  {}", obstacles.join("\n  ")));
    }
    phases.run("DevPI answers", None, || cluster.install(&host, &found, image))?;
    phases.run("DevPI has its index", None, || {
        say(&format!("DevPI has the index {}", index(cluster.kubectl(), &given.release)?));
        host.run(&["status", &given.release])
    })?;
    Ok(cluster.next_steps(&host))
}

/// Shows the plan against a cluster on which no pod starts.
pub(super) fn plan_only(kubectl: PathBuf, kubeconfig: &Path) -> anyhow::Result<()> {
    let cluster = ExistingCluster {
        kubectl,
        kubeconfig: kubeconfig.to_owned(),
        context: None,
        release: "devpi".to_owned(),
    };
    cluster.plan(&cluster.host()?, &cluster.observe()?, NO_IMAGE)
}

/// The cluster of the kubeconfig.
struct ExistingCluster {
    kubectl: PathBuf,
    kubeconfig: PathBuf,
    context: Option<String>,
    release: String,
}

impl ExistingCluster {
    fn new(kubeconfig: &Path, given: &ExistingOptions) -> anyhow::Result<Self> {
        // The host runs in another folder, so a relative path would break.
        let kubeconfig =
            kubeconfig.canonicalize().with_context(|| format!("--kubeconfig {}", kubeconfig.display()))?;
        let on_path = std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default())
            .map(|folder| folder.join("kubectl"))
            .find(|kubectl| kubectl.is_file());
        let kubectl = on_path.or_else(built_kubectl).context(
            "kubectl is missing: the demo reads by it what the cluster has; install it \
             (https://kubernetes.io/docs/tasks/tools/) and put it on PATH",
        )?;
        Ok(Self { kubectl, kubeconfig, context: given.context.clone(), release: given.release.clone() })
    }

    fn connection(&self) -> Vec<String> {
        let mut arguments = vec!["--kubeconfig".to_owned(), self.kubeconfig.display().to_string()];
        arguments.extend(self.context.iter().flat_map(|context| ["--context".to_owned(), context.clone()]));
        arguments
    }

    fn kubectl(&self) -> Command {
        let mut kubectl = Command::new(&self.kubectl);
        kubectl.args(self.connection());
        kubectl
    }

    fn ask(&self, arguments: &[&str]) -> anyhow::Result<String> {
        let mut kubectl = self.kubectl();
        let output = kubectl.args(arguments).arg("--request-timeout=8s").output().context("kubectl")?;
        if !output.status.success() {
            let stderr = String::from_utf8_lossy(&output.stderr);
            bail!("the cluster of {} refuses: {}", self.kubeconfig.display(), stderr.trim());
        }
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    fn observe(&self) -> anyhow::Result<Features> {
        let list = |kind: &str| -> anyhow::Result<Value> {
            Ok(serde_json::from_str(&self.ask(&["get", kind, "--all-namespaces", "--output=json"])?)?)
        };
        // A cluster without the Gateway API does not know the kind.
        let gateways = list("gateways.gateway.networking.k8s.io").unwrap_or_default();
        Ok(Features::of(&list("nodes")?, &list("storageclasses")?, &list("ingressclasses")?, &gateways))
    }

    fn password_file(&self) -> PathBuf {
        target().join("demo").join(format!("password-{}", self.release))
    }

    fn host(&self) -> anyhow::Result<Host> {
        let password = password(&self.password_file())?;
        Ok(Host::offline().with("ADMIN_PASSWORD", password).connected_by(self.connection()))
    }

    /// The plan mirrors Secrets of the platform, so stand-ins exist while it is made.
    fn plan(&self, host: &Host, found: &Features, image: &str) -> anyhow::Result<()> {
        let sources = self.sources();
        let there = self.ask(&["get", "namespace", &sources]).is_ok();
        self.stand_ins()?;
        let planned =
            host.run(&[self.arguments("plan", found, image), vec!["--cluster".to_owned()]].concat());
        if !there {
            say(&format!("the namespace {sources} is deleted again"));
            self.ask(&["delete", "namespace", &sources, "--wait=false"])?;
        }
        planned
    }

    fn install(&self, host: &Host, found: &Features, image: &str) -> anyhow::Result<()> {
        let left_out = found.left_out();
        let texts: Vec<&str> = left_out.iter().map(|(_, text)| text.as_str()).collect();
        say(&format!("left out:\n  {NO_SIGN_ON}\n  {}", texts.join("\n  ")));
        let ignored: Vec<&str> = left_out.iter().map(|(check, _)| *check).collect();
        self.stand_ins()?;
        let mut arguments = self.arguments("apply", found, image);
        arguments.extend(["--yes", "--no-wait", "--ignore-preflight-errors"].map(str::to_owned));
        arguments.push(ignored.join(","));
        host.run(&arguments)?;
        say(&format!("DevPI answers: {}", answer(self.kubectl(), &self.release)?));
        Ok(())
    }

    /// A subcommand of the host, with the plugin and its settings.
    fn arguments(&self, subcommand: &str, found: &Features, image: &str) -> Vec<String> {
        let sources = self.sources();
        let mut settings = vec![
            format!("domain_name={DOMAIN}"),
            format!("devpi_namespace={}", self.release),
            format!("devpi_image={image}"),
            format!("harbor_registry={}", registry(image)),
            format!("tls_source_secret={sources}/tls"),
            format!("harbor_pull_secret={sources}/pull"),
            "oauth2_proxy_enabled=false".to_owned(),
        ];
        settings.extend(found.settings());
        let mut arguments = vec![subcommand.to_owned(), "plugin-devpi".to_owned()];
        arguments.extend(["--release".to_owned(), self.release.clone()]);
        arguments.extend(settings.into_iter().flat_map(|setting| ["--set".to_owned(), setting]));
        arguments
    }

    /// The demo's own namespace.
    fn sources(&self) -> String {
        format!("{}-demo", self.release)
    }

    /// Creates the Secrets of a platform in the demo's own namespace.
    fn stand_ins(&self) -> anyhow::Result<()> {
        let namespace = self.sources();
        say(&format!(
            "made in the namespace {namespace}: a certificate that no authority has signed, and a pull secret without logins"
        ));
        let (certificate, key) = self_signed(&[format!("devpi.{DOMAIN}"), format!("devpi-api.{DOMAIN}")])?;
        let secret = |name: &str, kind: &str, data: Value| {
            json!({ "apiVersion": "v1", "kind": "Secret", "type": kind, "stringData": data,
                "metadata": { "name": name, "namespace": namespace } })
        };
        let items = json!([
            { "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": namespace } },
            secret("tls", "kubernetes.io/tls", json!({ "tls.crt": certificate, "tls.key": key })),
            secret("pull", "kubernetes.io/dockerconfigjson", json!({ ".dockerconfigjson": "{\"auths\":{}}" })),
        ]);
        give(&mut self.kubectl(), &json!({ "apiVersion": "v1", "kind": "List", "items": items }))
    }

    fn next_steps(&self, host: &Host) -> String {
        let (release, connection) = (&self.release, self.connection().join(" "));
        format!(
            "next steps:\n\n  export PATH={}:$PATH\n  thinkube-host status {release} {connection}\n  \
             kubectl {connection} port-forward --namespace {release} service/devpi 3141   # http://127.0.0.1:3141/\n\n  \
             user root: the password is in {}\n\n\
             and take it away with:\n\n  thinkube-host uninstall {release} --delete-data {connection}\n  \
             kubectl {connection} delete namespace {}\n",
            host.folder().display(),
            self.password_file().display(),
            self.sources(),
        )
    }
}

/// The host, with its port, of the registry that an image is pulled from.
fn registry(image: &str) -> &str {
    match image.split_once('/') {
        Some((host, _)) if host.contains(['.', ':']) || host == "localhost" => host,
        _ => "docker.io",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_image_without_a_host_is_pulled_from_docker() {
        assert_eq!(registry("registry.example.org:5000/library/devpi:1"), "registry.example.org:5000");
        assert_eq!(registry("localhost/devpi"), "localhost");
        assert_eq!(registry("library/devpi:1"), "docker.io");
        assert_eq!(registry("devpi"), "docker.io");
    }
}
