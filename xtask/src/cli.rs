//! The command line: one subcommand a file.

use std::io::{Write as _, stderr};
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::{bench, check, cluster, demo, doctor, e2e, graph, house, reference, sweep, test};

/// The commands of a developer of this project.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Installs DevPI with sign-on, from nothing, on a fresh cluster or an existing one.
    Demo(demo::Args),
    /// Runs every test, on a real cluster if this machine can run one, and counts the skipped ones.
    Test(test::Args),
    /// Runs the end-to-end tests, on a cluster with registry, ingress controller and Keycloak.
    E2e(e2e::Args),
    /// Runs every case of the sweeps, of which `test` takes a sample. Takes ten minutes.
    Sweep(sweep::Args),
    /// Judges format, style, lints, documentation and licences.
    Check(check::Args),
    /// Draws the pictures of docs/architecture.md: the rooms of each crate and their imports.
    Graph(graph::Args),
    /// Writes docs/reference/cli.md from the program's options.
    Reference,
    /// Lists every place that breaks a rule of docs/style.md, and the counts for xtask/src/house/allowed.txt.
    House,
    /// Measures the host beside bare wasmtime, or the test cluster.
    Bench(bench::Args),
    /// Lists what this machine has and lacks, with a command for each missing item. Exits with 3 if an item is missing.
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
        Command::Reference => reference::reference(),
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
