//! Provides the shared cluster while tests run.

use std::collections::BTreeSet;

use thinkube_test_cluster::{
    Addon, Cluster, Health, KUBECONFIG_VARIABLE, Options, cluster_names, down, status,
};

use super::interrupt;
use crate::command::say;
use crate::progress;

/// Runs `work` while the cluster `default` runs with every addon that this machine can run. Stops the cluster afterwards
/// if it did not run before, also if its start fails or the run is interrupted.
pub(crate) fn on_a_cluster<T>(keep: bool, work: impl FnOnce() -> anyhow::Result<T>) -> anyhow::Result<T> {
    say("the cluster; its first start builds it, which takes about a quarter of an hour");
    let options = Options { with: BTreeSet::from(Addon::ALL), ..Options::default() };
    // A person started this cluster, though it is broken: `up` repairs it, and it stays.
    let running = status(&options.name)?.health != Health::Absent;
    let mut report = progress::on_stderr();
    let outcome = Cluster::up(&options, &mut report).map_err(anyhow::Error::from).and_then(|_| {
        if interrupt::asked() {
            anyhow::bail!("the run was interrupted before the first test");
        }
        work()
    });
    if running || keep || is_given() {
        say("the cluster keeps running; `cargo xtask cluster down` ends it");
    } else {
        down(&options.name, &mut report)?;
    }
    outcome
}

/// Whether the environment names a cluster, so that none is started.
pub(crate) fn is_given() -> bool {
    std::env::var_os(KUBECONFIG_VARIABLE).is_some_and(|file| !file.is_empty())
}

/// Stops the clusters that the tests of a stopped process had started. The servers of a cluster are process
/// groups of their own, so no signal to the group of the tests reaches them.
pub(crate) fn take_down_clusters_of(process: u32) {
    let names = cluster_names().unwrap_or_default();
    for name in names.into_iter().filter(|name| is_of(name, process)) {
        say(&format!("cluster `{name}` is taken down: the tests that started it were ended"));
        if let Err(error) = down(&name, &mut |_| ()) {
            say(&format!(
                "cluster `{name}` stays, `cargo xtask cluster down --name {name}` ends it: {error}"
            ));
        }
    }
}

/// Tests call their own clusters `t-WORD-PROCESS`.
fn is_of(name: &str, process: u32) -> bool {
    name.strip_prefix("t-")
        .and_then(|name| name.rsplit_once('-'))
        .is_some_and(|(_, number)| number == process.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_clusters_of_a_process_are_those_of_tests_with_its_number() {
        for name in ["t-bare-42", "t-two-words-42"] {
            assert!(is_of(name, 42), "{name}");
        }
        for name in ["default", "t-42", "t-bare-142", "t-bare-421", "bare-42", "t-bare-42-1"] {
            assert!(!is_of(name, 42), "{name}");
        }
    }
}
