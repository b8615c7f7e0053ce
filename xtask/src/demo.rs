//! `cargo xtask demo`: from nothing to a DevPI that answers and that a person logs in to, phase by phase.

mod found;
mod given;
mod host;
mod kubectl;
mod own;
mod phases;

use crate::command::{cargo, run, say};
use host::Host;
use phases::Phases;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;
use thinkube_test_cluster::HOST_VARIABLE;

/// Arguments of `cargo xtask demo`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Install on the cluster of this kubeconfig, and start none.
    #[arg(long, value_name = "FILE")]
    kubeconfig: Option<PathBuf>,
    #[command(flatten)]
    given: Given,
}

/// What a person's own cluster is told beside its kubeconfig.
#[derive(Debug, clap::Args)]
struct Given {
    /// The context of the kubeconfig.
    #[arg(long, value_name = "NAME", requires = "kubeconfig")]
    context: Option<String>,
    /// An image of DevPI's server that the cluster can pull. Without one nothing is installed, and the plan is shown.
    #[arg(long, value_name = "REF", requires = "kubeconfig")]
    image: Option<String>,
    /// The name of the release, and of its namespace.
    #[arg(long, value_name = "NAME", requires = "kubeconfig", default_value = "devpi")]
    release: String,
}

/// How soon a person is to see a plan, from nothing on two cores.
const PLAN_COLD: Duration = Duration::from_secs(6 * 60);

/// What the host knows with no cluster: the plugin, and what the plugin would do.
const INVENTORY: &str = "plugin-devpi/examples/inventory.yaml";

pub(crate) fn demo(args: &Args) -> anyhow::Result<ExitCode> {
    let mut phases = Phases::begin();
    let outcome = match &args.kubeconfig {
        Some(kubeconfig) => given::install(kubeconfig, &args.given, &mut phases),
        None => own::install(&mut phases),
    };
    say(&format!("the phases of this demo:\n\n{}", phases.table()));
    say(&outcome?);
    Ok(ExitCode::SUCCESS)
}

/// Builds the host, then the plugin, and shows what the plugin is and would do. Needs no cluster.
fn host_and_plan(phases: &mut Phases, cold: bool) -> anyhow::Result<Host> {
    // The runner of the tests has built it. Building it here would build what both depend on with other features.
    if std::env::var_os(HOST_VARIABLE).is_none() {
        phases.run("the host is built", None, || run(&mut cargo(["build", "--package", "thinkube-host"])))?;
    }
    let host = Host::offline();
    phases.run("the plan is on screen", cold.then_some(PLAN_COLD), || {
        host.run(&["inspect", "plugin-devpi"])?;
        host.run(&["plan", "plugin-devpi", "-f", INVENTORY])
    })?;
    Ok(host)
}
