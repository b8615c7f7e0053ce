//! `cargo xtask demo`: from nothing to a DevPI that answers from its pod.

use crate::command::{cargo, root, run, say};
use crate::progress;
use anyhow::Context as _;
use std::path::Path;
use std::process::{Command, ExitCode};
use thinkube_test_cluster::{Cluster, Options};

/// What a person would type, with the demo's own cluster and password.
struct Host<'a> {
    program: &'a Path,
    cluster: &'a Cluster,
}

/// The password of the demo's DevPI. It guards a cluster that nothing outside this machine reaches.
const PASSWORD: &str = "thinkube-demo";

impl Host<'_> {
    fn run(&self, arguments: &[&str]) -> anyhow::Result<()> {
        say(&format!("thinkube-host {}", arguments.join(" ")));
        run(Command::new(self.program)
            .current_dir(root())
            .args(arguments)
            .env("KUBECONFIG", self.cluster.kubeconfig())
            .env("ADMIN_PASSWORD", PASSWORD))
    }
}

pub(crate) fn demo() -> anyhow::Result<ExitCode> {
    say("building the host; the first time this takes some minutes");
    run(&mut cargo(["build", "--package", "thinkube-host"]))?;
    let program = root().join("target/debug/thinkube-host");

    say(
        "starting a cluster; its first start builds Kubernetes, which takes about eight minutes, later ones take seconds",
    );
    let options = Options::default();
    let cluster = Cluster::up(&options, &mut progress::on_stderr())?;
    let host = Host { program: &program, cluster: &cluster };

    let mut inputs = vec!["plugin-devpi", "-f", "plugin-devpi/examples/inventory.yaml"];
    let image = cluster.devpi_image().map(|image| format!("devpi_image={image}"));
    if let Some(image) = &image {
        inputs.extend(["--set", image]);
    }
    let with = |command: &'static str, more: &[&'static str]| -> Vec<String> {
        [command].iter().chain(&inputs).chain(more).map(ToString::to_string).collect()
    };
    let call = |arguments: Vec<String>| host.run(&arguments.iter().map(String::as_str).collect::<Vec<_>>());

    call(with("plan", &["--cluster"]))?;
    if cluster.has_node() {
        call(with("apply", &["--yes"]))?;
        host.run(&["check", "devpi", "--tests", "--wait"])?;
        host.run(&["status", "devpi"])?;
        say("DevPI answers:");
        run(cluster.command(cluster.kubectl()).args([
            "get",
            "--raw",
            "/api/v1/namespaces/devpi/services/devpi:3141/proxy/+api",
        ]))
        .context("DevPI does not answer")?;
    } else {
        call(with("apply", &["--yes", "--no-wait"]))?;
        host.run(&["status", "devpi"])?;
        say(
            "no node runs on this machine (see above), so no pod was started: readiness, gates and checks were left out",
        );
    }
    say(&format!(
        "look around:\n\n  export KUBECONFIG={}\n  export PATH={}:{}:$PATH\n  thinkube-host status devpi\n  \
         thinkube-host check devpi\n  kubectl get all -n devpi\n  thinkube-host uninstall devpi\n\n\
         and stop with:\n\n  cargo xtask cluster down\n",
        cluster.kubeconfig().display(),
        root().join("target/debug").display(),
        cluster.kubectl().parent().unwrap_or(Path::new("")).display(),
    ));
    Ok(ExitCode::SUCCESS)
}
