//! `cargo xtask test`, `e2e` and `sweep`: runs tests side by side on a real cluster and accounts for each.

mod account;
mod built;
mod interrupt;
mod libtest;
mod process;
mod report;
mod run;
mod stage;
mod suites;

use std::io::Write as _;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use serde_json::json;
use thinkube_test_cluster::{NO_CLUSTER_VARIABLE, SEED_VARIABLE, seed_of_environment};

use crate::command::{absolute_target, say, target};
use crate::{doctor, specification};
use report::{Policy, Report, Totals};
use run::{Environment, Job, News, Ran, Setting};
pub(crate) use suites::Selection;
use suites::in_order;

/// Arguments of `cargo xtask test`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Start no cluster; the tests that need one are skipped, and counted
    #[arg(long)]
    no_cluster: bool,
    #[command(flatten)]
    selection: Selection,
    #[command(flatten)]
    common: Common,
    /// Names of tests, -p PACKAGE and --test NAME once more, where cargo takes them
    #[arg(last = true, value_name = "SELECTION")]
    more: Vec<String>,
}

/// Arguments of every command that runs tests.
#[derive(Debug, Default, clap::Args)]
pub(crate) struct Common {
    /// Leave the cluster running afterwards
    #[arg(long)]
    pub(crate) keep_cluster: bool,
    /// A test that is skipped has failed; on where the environment has CI=true
    #[arg(long)]
    pub(crate) no_skips: bool,
    /// A test that may be skipped all the same, by its name or by BINARY::NAME, with `*` for any text; may be repeated
    #[arg(long, value_name = "NAME")]
    pub(crate) allow_skip: Vec<String>,
    /// Print what test-results.json in the target folder has, for programs, and everything else on standard error
    #[arg(short, long, value_name = "FORMAT", value_parser = ["json"])]
    pub(crate) output: Option<String>,
}

/// How long a test binary may report no result before it is ended.
const SILENCE_TIMEOUT: Duration = Duration::from_secs(20 * 60);

pub(crate) fn test(args: Args) -> anyhow::Result<ExitCode> {
    let Args { no_cluster, selection, common, more } = args;
    tests(&selection.and(&more)?, &common, &Run { no_cluster, ..Run::usual()? })
}

/// The differences among the commands that run tests.
pub(crate) struct Run {
    pub(crate) no_cluster: bool,
    pub(crate) silence_timeout: Duration,
    /// Of the samples that sweeps take.
    pub(crate) seed: u64,
    pub(crate) environment: Environment,
}

impl Run {
    pub(crate) fn usual() -> anyhow::Result<Self> {
        let seed = seed_of_environment().map_err(anyhow::Error::msg)?;
        Ok(Self { no_cluster: false, silence_timeout: SILENCE_TIMEOUT, seed, environment: Vec::new() })
    }
}

/// Builds, runs and reports tests.
pub(crate) fn tests(selection: &Selection, common: &Common, how: &Run) -> anyhow::Result<ExitCode> {
    interrupt::watch()?;
    let begin = Instant::now();
    doctor::first(&doctor::of_tests(!how.no_cluster && !stage::is_given()))?;
    say("the host, its plugins and the tests are built");
    let (suites, mut environment) = built::build(selection)?;
    environment.push((SEED_VARIABLE, how.seed.to_string().into()));
    environment.extend(how.environment.iter().cloned());
    environment.extend(absolute_target());
    if how.no_cluster {
        environment.push((NO_CLUSTER_VARIABLE, "1".into()));
    }
    let folder = target().join("test-runs");
    std::fs::create_dir_all(&folder).with_context(|| folder.display().to_string())?;
    let setting = Setting {
        names: selection.names.clone(),
        environment,
        silence_timeout: how.silence_timeout,
        folder,
        processors: std::thread::available_parallelism().map_or(2, Into::into),
    };
    let mut jobs: Vec<Job> = in_order(suites).into_iter().map(Job::Binary).collect();
    if selection.has_doctests() {
        jobs.insert(0, Job::Doctests(selection.packages()));
    }
    let count = jobs.len();
    say(&format!("{count} test binaries; {SEED_VARIABLE}={} repeats the samples of the sweeps", how.seed));
    let work = || Ok(run_all(jobs, &setting, common));
    let ran = if how.no_cluster { work()? } else { stage::on_a_cluster(common.keep_cluster, work)? };
    let unfinished = count - ran.len();
    let about = json!({
        "seed": how.seed,
        "seconds": begin.elapsed().as_secs(),
        "whole": *selection == Selection::default() && !how.no_cluster && unfinished == 0 && !interrupt::asked(),
    });
    end(ran, unfinished, about, common)
}

fn run_all(jobs: Vec<Job>, setting: &Setting, common: &Common) -> Vec<Ran> {
    run::run(jobs, setting, &mut |news| {
        // A filter leaves most binaries without a test.
        if !matches!(news, News::Ended(ran) if ran.tested.is_empty()) {
            tell(&format!("{}\n", report::line(news)), common);
        }
    })
}

/// Reports the results of the run.
fn end(
    ran: Vec<Ran>,
    unfinished: usize,
    about: serde_json::Value,
    common: &Common,
) -> anyhow::Result<ExitCode> {
    let in_ci = std::env::var("CI").is_ok_and(|value| value == "true");
    let policy = Policy { no_skips: common.no_skips || in_ci, allowed: common.allow_skip.clone() };
    let mut report = Report::new(ran, &policy);
    // A partial run proves only some rows, so it is not compared with the specification.
    if about["whole"] == true {
        let (passed, skipped) = (report.passed(), report.skipped());
        let unproven = specification::unproven(&passed)?;
        let with_skips = specification::unproven(&passed.union(&skipped).cloned().collect())?;
        report.add_specification(&unproven, &with_skips);
    }
    let file = target().join("test-results.json");
    let results = report.json(about);
    report::write(&file, &results)?;
    tell(&report.text(), common);
    if common.output.is_some() {
        writeln!(std::io::stdout().lock(), "{results:#}")?;
    }
    if interrupt::asked() {
        bail!("the run was interrupted; {unfinished} test binaries did not run");
    }
    match report.totals() {
        Totals { failed: 0, passed: 0, skipped } => {
            bail!("no test ran: {skipped} tests of these names were skipped, and there are no others")
        }
        Totals { failed: 0, .. } => Ok(ExitCode::SUCCESS),
        _ => Ok(ExitCode::FAILURE),
    }
}

/// Prints for a person: on standard output, unless JSON goes there.
fn tell(text: &str, common: &Common) {
    // Where it is closed, the exit code still tells the result.
    let _ = if common.output.is_some() {
        std::io::stderr().lock().write_all(text.as_bytes())
    } else {
        std::io::stdout().lock().write_all(text.as_bytes())
    };
}
