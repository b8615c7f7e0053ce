//! The cluster that tests share, for as long as they run.

use std::collections::BTreeSet;

use thinkube_test_cluster::{Cluster, Health, KUBECONFIG_VARIABLE, Options, Part, down, status};

use super::interrupt;
use crate::command::say;
use crate::progress;

/// Does something while the cluster `default` runs with every part that this machine can run. Takes it down afterwards if
/// it did not run before, also when its start fails or the run is interrupted.
pub(crate) fn on_a_cluster<T>(keep: bool, work: impl FnOnce() -> anyhow::Result<T>) -> anyhow::Result<T> {
    say("the cluster; its first start builds it, which takes about a quarter of an hour");
    let options = Options { with: BTreeSet::from(Part::ALL), ..Options::default() };
    // A broken cluster was started by a person all the same: it is mended, and stays.
    let running = status(&options.name)?.health != Health::Absent;
    let mut report = progress::on_stderr();
    let outcome = Cluster::up(&options, &mut report).map_err(anyhow::Error::from).and_then(|_| {
        if interrupt::asked() {
            anyhow::bail!("the run was interrupted before the first test");
        }
        work()
    });
    if running || keep || std::env::var_os(KUBECONFIG_VARIABLE).is_some() {
        say("the cluster keeps running; `cargo xtask cluster down` ends it");
    } else {
        down(&options.name, &mut report)?;
    }
    outcome
}
