//! `cargo xtask demo`: from nothing to a DevPI that answers from its pod.

use crate::command::{cargo, root, run, say};
use crate::progress;
use anyhow::Context as _;
use std::path::Path;
use std::process::{Command, ExitCode};
use thinkube_test_cluster::{Cluster, Options, Part, Purpose};

/// What a person would type, with the demo's own cluster and password.
struct Host<'a> {
    program: &'a Path,
    cluster: &'a Cluster,
    password: &'a str,
}

impl Host<'_> {
    fn run(&self, arguments: &[&str]) -> anyhow::Result<()> {
        say(&format!("thinkube-host {}", arguments.join(" ")));
        run(Command::new(self.program)
            .current_dir(root())
            .args(arguments)
            .env("KUBECONFIG", self.cluster.kubeconfig())
            .env("ADMIN_PASSWORD", self.password))
    }
}

/// The hosts that the demo reaches by name. No DNS knows them.
const HOSTS: [&str; 4] =
    ["registry.thinkube.test", "auth.thinkube.test", "devpi.thinkube.test", "devpi-api.thinkube.test"];

pub(crate) fn demo() -> anyhow::Result<ExitCode> {
    crate::doctor::first(&[&[Purpose::Rust][..], &crate::doctor::of_a_cluster()].concat())?;
    say("building the host; the first time this takes some minutes");
    run(&mut cargo(["build", "--package", "thinkube-host"]))?;
    let program = root().join("target/debug/thinkube-host");

    say(
        "starting a cluster with ingress, registry and Keycloak; its first start builds all of it, which takes some 15 \
         minutes on two cores, later ones take seconds",
    );
    let options =
        Options { with: [Part::Ingress, Part::Registry, Part::Keycloak].into(), ..Options::default() };
    let cluster = Cluster::up(&options, &mut progress::on_stderr())?;
    let password = cluster.keycloak()?.map(|keycloak| keycloak.admin_password).unwrap_or_default();
    let host = Host { program: &program, cluster: &cluster, password: &password };

    let inputs = ["plugin-devpi", "-f", "plugin-devpi/examples/inventory.yaml"];
    let with = |command: &str, more: &[&str]| -> Vec<String> {
        [command].iter().chain(&inputs).chain(more).map(ToString::to_string).collect()
    };
    let call = |arguments: &[String]| host.run(&arguments.iter().map(String::as_str).collect::<Vec<_>>());

    let mut outside = Vec::new();
    if let Some(image) = cluster.devpi_image() {
        let address = cluster.address()?;
        outside = vec!["--ca-file".to_owned(), cluster.authority()?.display().to_string()];
        for name in HOSTS {
            outside.extend(["--resolve".to_owned(), format!("{name}={address}")]);
        }
        let image = format!("devpi_image={image}");
        let settings = [
            "--set",
            "domain_name=thinkube.test",
            "--set",
            "harbor_registry=registry.thinkube.test:5000",
            "--set",
            "keycloak_url=https://auth.thinkube.test",
            // No image of oauth2-proxy is to be had here.
            "--set",
            "oauth2_proxy_enabled=false",
            "--set",
            &image,
        ];
        call(&[with("plan", &settings), vec!["--cluster".to_owned()], outside.clone()].concat())?;
        call(&[with("apply", &settings), vec!["--yes".to_owned()], outside.clone()].concat())?;
        let check = ["check", "devpi", "--tests", "--wait", "--plugin", "plugin-devpi"].map(str::to_owned);
        call(&[check.to_vec(), outside.clone()].concat())?;
        host.run(&["status", "devpi"])?;
        say("DevPI answers at its address:");
        run(cluster.command("curl").args(["--silent", "--fail", "https://devpi-api.thinkube.test/+api"]))
            .context("DevPI does not answer")?;
    } else {
        call(&with("plan", &["--cluster"]))?;
        say(
            "no node runs on this machine (see above), and so no ingress, registry or Keycloak: DevPI was planned against the \
             cluster and not installed",
        );
    }
    say(&format!(
        "look around:\n\n  export KUBECONFIG={}\n  export PATH={}:{}:$PATH\n  thinkube-host status devpi\n  \
         thinkube-host check devpi {}\n  kubectl get all -n devpi\n  thinkube-host uninstall devpi\n\n\
         and stop with:\n\n  cargo xtask cluster down\n",
        cluster.kubeconfig().display(),
        root().join("target/debug").display(),
        cluster.kubectl().parent().unwrap_or(Path::new("")).display(),
        outside.join(" "),
    ));
    Ok(ExitCode::SUCCESS)
}
