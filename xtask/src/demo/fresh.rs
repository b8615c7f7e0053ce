//! The demo on a fresh cluster: first the servers that DevPI's pod needs, then the platform.

use super::existing;
use super::host::Host;
use super::kubectl::{answer, answers, exists, give};
use super::phases::Phases;
use super::preview::{INVENTORY, host_and_plan};
use crate::command::{run, say, target};
use crate::{doctor, progress};
use anyhow::Context as _;
use serde_json::json;
use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;
use std::thread;
use std::time::Duration;
use thinkube_test_cluster::doctor::no_node;
use thinkube_test_cluster::{
    Addon, Cluster, DOMAIN, Options, Purpose, build_dir, fetch_sources, is_everything_built, password,
};

/// The goal for DevPI's first answer, from nothing on two cores.
const ANSWERS_COLD: Duration = Duration::from_secs(16 * 60);
/// The same goal when everything is built.
const ANSWERS_WARM: Duration = Duration::from_secs(60);

/// The hosts that the demo reaches by name. No DNS knows them.
const HOSTS: [&str; 4] = ["registry", "auth", "devpi", "devpi-api"];

/// The plugin requires a registry, and the harness builds one in seconds.
const MINIMUM: [Addon; 2] = [Addon::Node, Addon::Registry];

/// The Secret with the certificate authority of Keycloak, for the proxy.
const AUTHORITY: (&str, &str) = ("default", "demo-authority");

pub(super) fn install(phases: &mut Phases) -> anyhow::Result<String> {
    phases.run("the machine has what is needed", None, || {
        doctor::first(&[&[Purpose::Rust][..], &doctor::of_a_cluster()].concat())
    })?;
    let minimum = if no_node().is_none() { BTreeSet::from(MINIMUM) } else { BTreeSet::new() };
    let cold = !target().join("debug/thinkube-host").is_file() || !is_everything_built(&minimum)?;
    let sources = minimum.clone();
    // The host's build leaves the network idle. The cluster's build reports a source that cannot be downloaded.
    thread::spawn(move || {
        let of_the_platform = sources.contains(&Addon::Node).then(|| BTreeSet::from(Addon::ALL));
        fetch_sources(&sources).and_then(|()| of_the_platform.iter().try_for_each(fetch_sources))
    });
    host_and_plan(phases, cold)?;

    let cluster = phases.run("the least cluster runs", None, || up(minimum))?;
    let host = host_of(&cluster)?;
    if !cluster.has_node() {
        phases.run("the plan against the cluster", None, || {
            existing::plan_only(cluster.kubectl(), cluster.kubeconfig())
        })?;
        say(
            "no node runs on this machine (see above): DevPI was planned against the cluster and not installed",
        );
        return Ok(next_steps(&cluster, &host));
    }
    let goal = if cold { ANSWERS_COLD } else { ANSWERS_WARM };
    phases.run("DevPI answers", Some(goal), || first_install(&cluster, &host))?;
    say(&format!(
        "use DevPI while the platform joins:\n\n  export KUBECONFIG={}\n  \
         {} port-forward --namespace devpi service/devpi 3141\n\nand http://127.0.0.1:3141/ is DevPI",
        cluster.kubeconfig().display(),
        cluster.kubectl().display(),
    ));
    let cluster = phases.run("the platform joins", None, || up(Addon::ALL.into()))?;
    let host = host_of(&cluster)?;
    phases.run("DevPI with sign-on", None, || sign_on(&cluster, &host))?;
    Ok(next_steps(&cluster, &host) + &log_in(&cluster)?)
}

fn up(with: BTreeSet<Addon>) -> anyhow::Result<Cluster> {
    Ok(Cluster::up(&Options { with, ..Options::default() }, &mut progress::on_stderr())?)
}

fn password_file(cluster: &Cluster) -> std::path::PathBuf {
    cluster.kubeconfig().with_file_name("demo-password")
}

/// The host with the cluster's kubeconfig, its passwords and, with a node, the addresses of the platform's names.
fn host_of(cluster: &Cluster) -> anyhow::Result<Host> {
    let mut host = Host::offline()
        .with("KUBECONFIG", cluster.kubeconfig())
        .with("ADMIN_PASSWORD", password(&password_file(cluster))?);
    if cluster.has_node() {
        host = host.outside_by(cluster.external_arguments(HOSTS)?);
        if let Some(keycloak) = cluster.keycloak()? {
            host = host.with("KEYCLOAK_ADMIN_PASSWORD", keycloak.admin_password);
        }
    }
    Ok(host)
}

/// The arguments that apply the plugin with the settings of the test platform and these.
fn apply(settings: &[String], more: &str) -> Vec<String> {
    let platform = [
        format!("domain_name={DOMAIN}"),
        format!("harbor_registry=registry.{DOMAIN}:5000"),
        format!("keycloak_url=https://auth.{DOMAIN}"),
    ];
    let mut arguments: Vec<String> =
        ["apply", "plugin-devpi", "-f", INVENTORY, "--yes", more].map(str::to_owned).into();
    for setting in platform.iter().chain(settings) {
        arguments.extend(["--set".to_owned(), setting.clone()]);
    }
    arguments
}

fn kubectl(cluster: &Cluster) -> Command {
    let mut kubectl = Command::new(cluster.kubectl());
    kubectl.env("KUBECONFIG", cluster.kubeconfig());
    kubectl
}

/// Installs the server with a ready image, and probes it through the API server: external checks need the ingress.
fn first_install(cluster: &Cluster, host: &Host) -> anyhow::Result<()> {
    // These settings would remove the sign-on of an earlier demo, so they are only for a release without an answer.
    let in_place = host.has("devpi")
        && (exists(kubectl(cluster), "devpi", "deployment/oauth2-proxy")?
            || answers(kubectl(cluster), "devpi"));
    if in_place {
        say("DevPI is there from an earlier demo, and is not installed a second time");
    } else {
        cluster.announce_ingress()?;
        let image = cluster.devpi_image().context("the node has no image of DevPI")?;
        let settings = ["oauth2_proxy_enabled=false".to_owned(), format!("devpi_image={image}")];
        host.run(&apply(&settings, "--no-wait"))?;
    }
    say(&format!("DevPI answers: {}", answer(kubectl(cluster), "devpi")?));
    Ok(())
}

/// Installs everything: an image from a git repository through the registry, the client in Keycloak, the proxy.
fn sign_on(cluster: &Cluster, host: &Host) -> anyhow::Result<()> {
    let folder = target().join("demo");
    build_dir::prepare(&folder)?;
    let repository = build_dir::devpi_repository(cluster, &folder.join("source"), "demo")?;
    trust_in_keycloak(cluster)?;
    let proxy = cluster.oauth2_proxy_image().context("the node has no image of oauth2-proxy")?;
    let settings = [
        format!("devpi_git_url={repository}"),
        "devpi_git_revision=main".to_owned(),
        "devpi_dockerfile=Containerfile".to_owned(),
        format!("oauth2_proxy_image={proxy}"),
        format!("oauth2_proxy_redis_image={}", cluster.valkey_image()?),
        format!("keycloak_ca_secret={}/{}", AUTHORITY.0, AUTHORITY.1),
    ];
    // The first install's grants cover neither a build nor Keycloak.
    host.run_in_workshop(&folder, &apply(&settings, "--grant-requested"))?;
    host.run(&["check", "devpi", "--tests", "--wait", "--plugin", "plugin-devpi"])?;
    host.run(&["status", "devpi"])?;
    say("a stranger who opens the dashboard is sent to the login:");
    let mut curl = cluster.command("curl");
    let shown = "%{http_code} at %{url_effective}\n";
    let quietly = ["--silent", "--location", "--cookie", "", "--output", "/dev/null", "--write-out", shown];
    run(curl.args(quietly).arg(dashboard()))
}

fn dashboard() -> String {
    format!("https://devpi.{DOMAIN}/")
}

fn trust_in_keycloak(cluster: &Cluster) -> anyhow::Result<()> {
    let file = cluster.authority()?;
    let certificate = std::fs::read_to_string(&file).with_context(|| file.display().to_string())?;
    let secret = json!({
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": { "namespace": AUTHORITY.0, "name": AUTHORITY.1 },
        "stringData": { "ca.crt": certificate }
    });
    give(&mut kubectl(cluster), &secret)
}

fn next_steps(cluster: &Cluster, host: &Host) -> String {
    let outside = host.outside();
    let release = if outside.is_empty() {
        String::new()
    } else {
        format!("  thinkube-host check devpi {outside}\n  kubectl get all -n devpi\n")
    };
    format!(
        "next steps:\n\n  export KUBECONFIG={}\n  export PATH={}:{}:$PATH\n  thinkube-host status\n{release}\n\
         and stop with:\n\n  cargo xtask cluster down\n",
        cluster.kubeconfig().display(),
        host.folder().display(),
        cluster.kubectl().parent().unwrap_or(Path::new("")).display(),
    )
}

fn log_in(cluster: &Cluster) -> anyhow::Result<String> {
    let keycloak = cluster.keycloak()?.context("the cluster has no Keycloak")?;
    Ok(format!(
        "\nlog in with a browser on this machine; as root with --no-sandbox, and trust {} in it:\n\n  \
         chromium --user-data-dir=\"$(mktemp -d)\" --host-resolver-rules='MAP *.{DOMAIN} {}' {}\n\n  \
         user {}, password {}\n  user root of DevPI: the password is in {}\n",
        cluster.authority()?.display(),
        cluster.address()?,
        dashboard(),
        keycloak.user,
        keycloak.user_password,
        password_file(cluster).display(),
    ))
}
