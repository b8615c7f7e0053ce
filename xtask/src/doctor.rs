//! `cargo xtask doctor`: lists what this machine has and lacks.

use crate::progress;
use anyhow::Context as _;
use clap::ValueEnum;
use std::io::Write as _;
use std::process::ExitCode;
use thinkube_test_cluster::doctor::{self, Requirement};
use thinkube_test_cluster::{FixedBy, Purpose};

/// Arguments of `cargo xtask doctor`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Install missing items with rustup and Debian's packages.
    #[arg(long)]
    install: bool,
    /// The output format.
    #[arg(short, long, value_enum, default_value_t = Output::Text)]
    output: Output,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Output {
    Text,
    Json,
}

/// The exit code for a missing item, as opposed to a failure.
const MISSING: u8 = 3;

pub(crate) fn doctor(args: &Args) -> anyhow::Result<ExitCode> {
    if args.install {
        doctor::provide(&Purpose::ALL, &mut progress::on_stderr())?;
    }
    let requirements = doctor::examine(&Purpose::ALL)?;
    let shown = match args.output {
        Output::Text => text(&requirements),
        Output::Json => serde_json::to_string_pretty(&requirements)? + "\n",
    };
    std::io::stdout().lock().write_all(shown.as_bytes()).context("standard output")?;
    let complete = requirements.iter().all(|requirement| requirement.missing.is_none());
    Ok(if complete { ExitCode::SUCCESS } else { ExitCode::from(MISSING) })
}

/// Ensures the requirements of a command before it starts long work.
pub(crate) fn first(purposes: &[Purpose]) -> anyhow::Result<()> {
    Ok(doctor::provide(purposes, &mut progress::on_stderr())?)
}

/// The purposes of a cluster with every addon that this machine can run.
pub(crate) fn of_a_cluster() -> Vec<Purpose> {
    of_a_cluster_where(doctor::no_node().is_none())
}

fn of_a_cluster_where(a_node_runs: bool) -> Vec<Purpose> {
    if a_node_runs {
        vec![Purpose::Cluster, Purpose::Node, Purpose::Keycloak, Purpose::Sources]
    } else {
        vec![Purpose::Cluster]
    }
}

/// The purposes of a run of tests, which may start the cluster that the tests use.
pub(crate) fn of_tests(starts_a_cluster: bool) -> Vec<Purpose> {
    of_tests_where(starts_a_cluster, doctor::no_node().is_none())
}

fn of_tests_where(starts_a_cluster: bool, a_node_runs: bool) -> Vec<Purpose> {
    let mut purposes = vec![Purpose::Rust];
    if starts_a_cluster {
        purposes.extend(of_a_cluster_where(a_node_runs));
    }
    // Without a node, the tests that use these programs are skipped.
    if starts_a_cluster && a_node_runs {
        purposes.push(Purpose::Tests);
    }
    purposes
}

fn text(requirements: &[Requirement]) -> String {
    let mut text = String::new();
    for Requirement { name, purpose, found, missing } in requirements {
        match (found, missing) {
            (_, Some(need)) => {
                let by_us =
                    if need.fixed_by == FixedBy::Hand { "" } else { " (or: cargo xtask doctor --install)" };
                text += &format!(
                    "missing  {name:<20}{}\n         {:<20}for: {purpose}\n         {:<20}fix: {}{by_us}\n",
                    need.what, "", "", need.fix
                );
            }
            (found, None) => {
                text += &format!("found    {name:<20}{}\n", found.as_deref().unwrap_or_default());
            }
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tests_require_their_own_programs_only_with_a_node() {
        let nothing_is_started = [of_tests_where(false, true), of_tests_where(false, false)];
        assert_eq!(nothing_is_started, [[Purpose::Rust], [Purpose::Rust]]);
        assert_eq!(of_tests_where(true, false), [Purpose::Rust, Purpose::Cluster]);
        let with_a_node = of_tests_where(true, true);
        assert!(with_a_node.contains(&Purpose::Tests) && with_a_node.contains(&Purpose::Node));
    }
}
