//! `cargo xtask sweep`: runs every case of the sweeps. `cargo xtask test` takes a sample.

use crate::command::target;
use crate::test::{Common, Run, Selection, tests};
use anyhow::Context as _;
use std::fs;
use std::io::Write as _;
use std::process::ExitCode;
use std::time::{Duration, Instant};
use thinkube_test_cluster::SWEEP_VARIABLE;

/// Arguments of `cargo xtask sweep`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Repeat the moments of an earlier sweep, by the seed that it printed
    #[arg(long)]
    seed: Option<u64>,
    /// Leave the cluster running afterwards
    #[arg(long)]
    keep_cluster: bool,
    /// Instead of the sweeps every test with one of these texts in its name, of the binaries `integration` and `harness`
    #[arg(value_name = "TEXT")]
    names: Vec<String>,
}

/// The tests that take a sample, by binary and part of the name. A selection by package would change features and build
/// dependencies again.
const BINARIES: [&str; 2] = ["integration", "harness"];
const SWEEPS: [&str; 2] = ["is_cut_at_any_request", "whose_start_was_killed"];

/// Longer than the longest sweep.
const SILENCE_TIMEOUT: Duration = Duration::from_secs(90 * 60);

pub(crate) fn sweep(args: Args) -> anyhow::Result<ExitCode> {
    let text = |names: &[&str]| names.iter().map(ToString::to_string).collect::<Vec<_>>();
    let names = if args.names.is_empty() { text(&SWEEPS) } else { args.names };
    let selection = Selection { test: text(&BINARIES), names, ..Selection::default() };
    fs::create_dir_all(target()).with_context(|| target().display().to_string())?;
    let counted = target().join("sweep-cases");
    fs::write(&counted, "").with_context(|| counted.display().to_string())?;
    let usual = Run::usual()?;
    let run = Run {
        silence_timeout: SILENCE_TIMEOUT,
        seed: args.seed.unwrap_or(usual.seed),
        environment: vec![(SWEEP_VARIABLE, counted.clone().into())],
        ..usual
    };
    let common = Common { keep_cluster: args.keep_cluster, no_skips: true, ..Common::default() };
    let begin = Instant::now();
    let code = tests(&selection, &common, &run)?;
    let cases = fs::read_to_string(&counted).with_context(|| counted.display().to_string())?;
    let mut table = format!("seed {}, {} minutes\n", run.seed, begin.elapsed().as_secs().div_ceil(60));
    for line in cases.lines() {
        table.push_str(&line.replacen('\t', " cases: ", 1));
        table.push('\n');
    }
    std::io::stdout().lock().write_all(table.as_bytes())?;
    Ok(code)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::root;

    #[test]
    fn every_test_that_takes_a_sample_is_a_sweep() {
        let mut found = 0;
        for file in ["host/cluster/tests/integration/crash.rs", "tests/cluster/tests/harness/interrupted.rs"]
        {
            let text = fs::read_to_string(root().join(file)).expect("a file of tests");
            for (test, body) in tests_of(&text) {
                let takes_a_sample = body.contains(" cases(") || body.contains(" sample(");
                let is_a_sweep = SWEEPS.iter().any(|name| test.contains(name));
                assert_eq!(takes_a_sample, is_a_sweep, "{file}: {test}");
                found += usize::from(is_a_sweep);
            }
        }
        assert_eq!(found, 4);
    }

    /// The names and the bodies of the functions below `#[test]` and `#[tokio::test]`.
    fn tests_of(text: &str) -> Vec<(&str, &str)> {
        let tests = text.split("test]\n").skip(1);
        tests
            .filter_map(|part| {
                let (_, part) = part.split_once("fn ")?;
                let (name, body) = part.split_once('(')?;
                Some((name, body.split_once("\n}\n")?.0))
            })
            .collect()
    }
}
