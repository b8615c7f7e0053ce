//! `cargo xtask e2e`: what a person would see, on a cluster with everything.

use crate::command::{cargo, run, say};
use crate::{doctor, progress};
use std::collections::BTreeSet;
use std::process::ExitCode;
use thinkube_test_cluster::{Cluster, Health, KUBECONFIG_VARIABLE, Options, Part, Purpose, down, status};

/// Arguments of `cargo xtask e2e`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Leave the cluster running afterwards
    #[arg(long)]
    keep_cluster: bool,
    /// Passed on to `cargo test`, for example the name of a test
    #[arg(last = true)]
    cargo: Vec<String>,
}

pub(crate) fn e2e(args: Args) -> anyhow::Result<ExitCode> {
    let mut tests = cargo(["test", "--package", "thinkube-e2e"]);
    tests.args(args.cargo);
    on_a_cluster(args.keep_cluster, || run(&mut tests))
}

/// Does something while the cluster `default` runs with every part that this machine can run. Takes it down afterwards if
/// it did not run before.
pub(crate) fn on_a_cluster(
    keep: bool,
    work: impl FnOnce() -> anyhow::Result<()>,
) -> anyhow::Result<ExitCode> {
    let purposes = doctor::of_a_cluster();
    doctor::first(&[&purposes[..], &[Purpose::Rust, Purpose::Tests]].concat())?;
    say("the cluster; its first start builds it, which takes about a quarter of an hour");
    let options = Options { with: BTreeSet::from(Part::ALL), ..Options::default() };
    // One that is there and broken is somebody's all the same: it is mended, and stays.
    let running = status(&options.name)?.health != Health::Absent;
    let mut report = progress::on_stderr();
    Cluster::up(&options, &mut report)?;
    say("the tests");
    let outcome = work();
    if running || keep || std::env::var_os(KUBECONFIG_VARIABLE).is_some() {
        say("the cluster keeps running; `cargo xtask cluster down` ends it");
    } else {
        down(&options.name, &mut report)?;
    }
    outcome?;
    Ok(ExitCode::SUCCESS)
}
