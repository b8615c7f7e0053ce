//! The part of the demo that needs no cluster: the plugin and its plan.

use std::time::Duration;

use super::host::Host;
use super::phases::Phases;
use crate::command::{cargo, run};
use thinkube_test_cluster::HOST_VARIABLE;

/// The goal for the first plan, from nothing on two cores.
const PLAN_COLD: Duration = Duration::from_secs(6 * 60);

/// The settings of the demo.
pub(super) const INVENTORY: &str = "plugin-devpi/examples/inventory.yaml";

/// Builds the host, then the plugin, and shows what the plugin is and would do. Needs no cluster.
pub(super) fn host_and_plan(phases: &mut Phases, cold: bool) -> anyhow::Result<Host> {
    // The test runner has built the host. Another cargo call would select other features and build dependencies again.
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
