//! The command line: one subcommand a file.

use std::io::{Write as _, stderr};
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::{bench, check, cluster, demo, doctor, e2e, graph, house, sweep, test};

/// The commands of a developer of this project.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Installs DevPI, from nothing to a server that a person logs in to: on a cluster of its own, or on one that is there.
    Demo(demo::Args),
    /// Runs every test, against a real cluster where one can run, and counts those that could not run.
    Test(test::Args),
    /// Runs the tests that do what a person does, against a cluster with a registry, an ingress controller and Keycloak.
    E2e(e2e::Args),
    /// Runs every case of the sweeps of which the other commands take a sample; for ten minutes and longer.
    Sweep(sweep::Args),
    /// Judges format, lints, documentation and licences.
    Check(check::Args),
    /// Draws the pictures of docs/architecture.md: which rooms there are, and what imports what.
    Graph(graph::Args),
    /// Lists every place that breaks a rule of docs/style.md, and the counts for xtask/src/house/allowed.txt.
    House,
    /// Measures the host beside bare wasmtime, or the test cluster.
    Bench(bench::Args),
    /// Says what this machine has and lacks, and which command cures each lack. Ends with 3 when something is missing.
    Doctor(doctor::Args),
    /// Starts, stops and inspects a Kubernetes cluster on this machine.
    Cluster(cluster::Args),
}

pub(crate) fn run() -> ExitCode {
    let result = match Cli::parse().command {
        Command::Demo(args) => demo::demo(&args),
        Command::Test(args) => test::test(args),
        Command::E2e(args) => e2e::e2e(args),
        Command::Sweep(args) => sweep::sweep(args),
        Command::Check(args) => check::check(&args),
        Command::Graph(args) => graph::graph(&args),
        Command::House => house::list().map(|()| ExitCode::SUCCESS),
        Command::Bench(args) => bench::bench(&args),
        Command::Doctor(args) => doctor::doctor(&args),
        Command::Cluster(args) => cluster::run(args),
    };
    result.unwrap_or_else(|error| {
        // A closed standard error is not a failure.
        let _ = writeln!(stderr().lock(), "error: {error:#}");
        ExitCode::FAILURE
    })
}
