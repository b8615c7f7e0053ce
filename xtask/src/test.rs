//! `cargo xtask test`: every test, against a real cluster where one can run.

use crate::command::{cargo, run, say};
use crate::{doctor, e2e};
use std::process::ExitCode;
use thinkube_test_cluster::Purpose;

/// Arguments of `cargo xtask test`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Start no cluster; the tests that need one say that they are skipped
    #[arg(long)]
    no_cluster: bool,
    /// Leave the cluster running afterwards
    #[arg(long)]
    keep_cluster: bool,
    /// Passed on to `cargo test`, for example `-p thinkube-plan` or the name of a test
    #[arg(last = true)]
    cargo: Vec<String>,
}

pub(crate) fn test(args: Args) -> anyhow::Result<ExitCode> {
    let Args { no_cluster, keep_cluster, cargo: passed_on } = args;
    // A run takes half an hour: it says everything that is wrong, not the first thing.
    let mut tests = cargo(["test", "--workspace", "--no-fail-fast"]);
    tests.args(&passed_on);
    if no_cluster {
        doctor::first(&[Purpose::Rust])?;
        say("tests, without a cluster");
        run(&mut tests)?;
        return Ok(ExitCode::SUCCESS);
    }
    doctor::first(&[&doctor::of_a_cluster()[..], &[Purpose::Rust, Purpose::Tests]].concat())?;
    say("the programs and tests are built");
    run(cargo(["test", "--workspace", "--no-run"])
        .args(passed_on.iter().take_while(|argument| *argument != "--")))?;
    e2e::on_a_cluster(keep_cluster, || run(&mut tests))
}
