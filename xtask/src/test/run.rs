//! Runs test binaries side by side, and those that must run alone at the end.

use std::collections::VecDeque;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::mpsc::{self, Sender};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use thinkube_test_cluster::{SKIPS_VARIABLE, forget_package};

use super::account::{Account, End, Outcome, Skip, Tested, WHOLE};
use super::libtest::{self, Ending, Event};
use super::process::{Line, follow, interrupted};
use super::suites::{Suite, Way};
use crate::command::cargo;

/// A unit that runs in one process and has its own result.
#[derive(Debug, Clone)]
pub(crate) enum Job {
    Binary(Suite),
    /// The doctests of these packages, which cargo alone can run.
    Doctests(Vec<String>),
}

impl Job {
    pub(crate) fn name(&self) -> String {
        match self {
            Self::Binary(suite) => suite.name(),
            Self::Doctests(_) => "doctests".to_owned(),
        }
    }

    fn is_alone(&self) -> bool {
        matches!(self, Self::Binary(suite) if suite.way() == Way::Alone)
    }
}

/// Variables that tests get.
pub(crate) type Environment = Vec<(&'static str, OsString)>;

/// The settings that all jobs share.
#[derive(Debug, Clone)]
pub(crate) struct Setting {
    /// Texts of which one is in a test's name; none: every test.
    pub(crate) names: Vec<String>,
    pub(crate) environment: Environment,
    /// How long a binary may be silent.
    pub(crate) silence_timeout: Duration,
    /// For the runner's own files.
    pub(crate) folder: PathBuf,
    pub(crate) processors: usize,
}

/// A job that has ended.
#[derive(Debug, Clone)]
pub(crate) struct Ran {
    pub(crate) binary: String,
    pub(crate) tested: Vec<Tested>,
    pub(crate) seconds: f64,
    /// The end of the other output of the binary and its children.
    pub(crate) noise: String,
}

/// Progress of the run.
#[derive(Debug)]
pub(crate) enum News {
    Failed { binary: String, test: String, seconds: f64, output: String },
    Slow { binary: String, test: String },
    Ended(Ran),
}

/// Runs all jobs: one per processor at a time, then those that run alone.
pub(crate) fn run(jobs: Vec<Job>, setting: &Setting, tell: &mut dyn FnMut(&News)) -> Vec<Ran> {
    let (alone, together): (Vec<Job>, Vec<Job>) = jobs.into_iter().partition(Job::is_alone);
    let mut all = side_by_side(together, setting.processors, setting, tell);
    all.extend(side_by_side(alone, 1, setting, tell));
    all
}

fn side_by_side(jobs: Vec<Job>, lanes: usize, setting: &Setting, tell: &mut dyn FnMut(&News)) -> Vec<Ran> {
    let queue = Mutex::new(VecDeque::from(jobs));
    let next = || queue.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
    let (sender, news) = mpsc::channel();
    thread::scope(|scope| {
        for _ in 0..lanes {
            let sender = sender.clone();
            scope.spawn(move || {
                while !interrupted()
                    && let Some(job) = next()
                {
                    let ran = job.run(setting, &sender);
                    // The receiver outlives every lane.
                    let _ = sender.send(News::Ended(ran));
                }
            });
        }
        drop(sender);
        let mut all = Vec::new();
        for one in news {
            tell(&one);
            if let News::Ended(ran) = one {
                all.push(ran);
            }
        }
        all
    })
}

impl Job {
    fn run(&self, setting: &Setting, news: &Sender<News>) -> Ran {
        let begin = Instant::now();
        let mut noise = Noise::default();
        let tested = match self {
            Self::Binary(suite) => binary(suite, setting, &mut noise, news),
            Self::Doctests(packages) => doctests(packages, setting, &mut noise),
        };
        let tested = tested.unwrap_or_else(|error| {
            let outcome = Outcome::Failed(format!("{error:#}"));
            vec![Tested { test: WHOLE.to_owned(), outcome, seconds: 0.0 }]
        });
        Ran { binary: self.name(), tested, seconds: begin.elapsed().as_secs_f64(), noise: noise.0 }
    }
}

fn binary(
    suite: &Suite,
    setting: &Setting,
    noise: &mut Noise,
    news: &Sender<News>,
) -> anyhow::Result<Vec<Tested>> {
    let listed = list(suite, setting)?;
    if listed.is_empty() {
        return Ok(Vec::new());
    }
    let skips = setting.folder.join(format!("skips-{}", suite.name().replace("::", "-")));
    match fs::remove_file(&skips) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            return Err(error).with_context(|| skips.display().to_string());
        }
        _ => {}
    }
    let mut command = command(suite, setting);
    command.args(["-Z", "unstable-options", "--format", "json", "--report-time", "--test-threads"]);
    command.arg(threads(suite.way(), setting.processors).to_string()).env(SKIPS_VARIABLE, &skips);
    // libtest asks this variable whether it may use its JSON format.
    command.env("RUSTC_BOOTSTRAP", "1");
    let mut account = Account::new(listed);
    let end = follow(&mut command, setting.silence_timeout, interrupted, |line| match line {
        Line::Err(text) => noise.add(&text),
        Line::Out(text) => {
            let (before, event) = libtest::event(&text);
            if !before.is_empty() {
                noise.add(before);
            }
            event.is_some_and(|event| {
                tell_at_once(&suite.name(), &event, news);
                account.take(event);
                true
            })
        }
    })?;
    Ok(account.close(end, &recorded(&skips)?))
}

fn threads(way: Way, processors: usize) -> usize {
    match way {
        Way::Waits(threads) => threads,
        Way::Computes | Way::Alone => processors,
    }
}

fn tell_at_once(binary: &str, event: &Event, news: &Sender<News>) {
    let (binary, one) = (binary.to_owned(), event.clone());
    let one = match one {
        Event::Slow(test) => News::Slow { binary, test },
        Event::Ended { test, ending: Ending::Failed, seconds, output } => {
            News::Failed { binary, test, seconds, output }
        }
        _ => return,
    };
    // The receiver outlives every lane.
    let _ = news.send(one);
}

fn list(suite: &Suite, setting: &Setting) -> anyhow::Result<Vec<String>> {
    let output = command(suite, setting).args(["--list", "--format", "terse"]).output();
    let output = output.with_context(|| format!("{} cannot be run", suite.executable.display()))?;
    if !output.status.success() {
        let stderr = String::from_utf8_lossy(&output.stderr);
        bail!("the test binary does not list its tests and ends with {}: {stderr}", output.status);
    }
    Ok(libtest::listed(&String::from_utf8_lossy(&output.stdout)))
}

/// The binary as cargo runs it.
fn command(suite: &Suite, setting: &Setting) -> Command {
    let mut command = Command::new(&suite.executable);
    command.current_dir(&suite.folder).args(&setting.names);
    forget_package(&mut command);
    command
        .env("CARGO_MANIFEST_DIR", &suite.folder)
        .env("CARGO_MANIFEST_PATH", suite.folder.join("Cargo.toml"))
        .env("CARGO_PKG_NAME", &suite.package)
        .env("CARGO_PKG_VERSION", &suite.version);
    let parts = ["CARGO_PKG_VERSION_MAJOR", "CARGO_PKG_VERSION_MINOR", "CARGO_PKG_VERSION_PATCH"];
    command.envs(parts.into_iter().zip(suite.version.splitn(3, '.')));
    command.envs(setting.environment.iter().cloned());
    command
}

fn recorded(file: &Path) -> anyhow::Result<Vec<Skip>> {
    let text = match fs::read_to_string(file) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        read => read.with_context(|| file.display().to_string())?,
    };
    let parse =
        |line: &str| serde_json::from_str(line).with_context(|| format!("{}: {line}", file.display()));
    text.lines().map(parse).collect()
}

fn doctests(packages: &[String], setting: &Setting, noise: &mut Noise) -> anyhow::Result<Vec<Tested>> {
    let mut command = cargo(["test", "--doc", "--no-fail-fast"]);
    command.args(packages).arg("--").args(&setting.names);
    let mut text = String::new();
    let end = follow(&mut command, setting.silence_timeout, interrupted, |line| match line {
        Line::Out(line) => {
            text.push_str(&line);
            text.push('\n');
            true
        }
        Line::Err(line) => noise.add(&line),
    })?;
    let mut account = Account::new([]);
    libtest::doctests(&text).into_iter().for_each(|event| account.take(event));
    account.take(Event::Done);
    let has_failed = text.lines().any(|line| line.ends_with(" ... FAILED"));
    // Cargo's own code for a failed test.
    let end = if has_failed && end == End::Exited(101) { End::Exited(0) } else { end };
    Ok(account.close(end, &[]))
}

/// The last part of a text that may be long.
#[derive(Debug, Default)]
struct Noise(String);

impl Noise {
    const LIMIT: usize = 16 * 1024;

    /// Without any sign of life.
    fn add(&mut self, line: &str) -> bool {
        self.0.push_str(line);
        self.0.push('\n');
        if self.0.len() > 2 * Self::LIMIT {
            let at = self.0.ceil_char_boundary(self.0.len() - Self::LIMIT);
            self.0.drain(..at);
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

    /// A program that lists two tests and runs `script`.
    fn suite(folder: &Path, package: &str, script: &str) -> Suite {
        let executable = folder.join(package);
        let text = format!(
            "#!/bin/sh\ncase \"$*\" in *--list*) printf 'a: test\\nb: test\\n'; exit;; esac\n{script}\n"
        );
        fs::write(&executable, text).expect("writable");
        fs::set_permissions(&executable, fs::Permissions::from_mode(0o755)).expect("ours");
        Suite {
            package: package.to_owned(),
            target: package.to_owned(),
            version: "0.1.0".to_owned(),
            is_integration: false,
            executable,
            folder: folder.to_owned(),
        }
    }

    fn setting(folder: &Path) -> Setting {
        Setting {
            names: Vec::new(),
            environment: Vec::new(),
            silence_timeout: Duration::from_secs(60),
            folder: folder.to_owned(),
            processors: 2,
        }
    }

    fn outcomes(ran: &Ran) -> Vec<(&str, &Outcome)> {
        ran.tested.iter().map(|tested| (tested.test.as_str(), &tested.outcome)).collect()
    }

    const OK: &str = r#"echo '{ "type": "test", "name": "a", "event": "ok", "exec_time": 0.5 }'
echo '{ "type": "test", "name": "b", "event": "ok", "exec_time": 0.25 }'
echo '{ "type": "suite", "event": "ok" }'"#;

    #[test]
    fn binaries_run_side_by_side_and_each_has_its_results() {
        let folder = tempfile::tempdir().expect("a folder");
        // Each waits for the file of the other: one after the other they would never end.
        let script = |mine: &str, other: &str| {
            format!("touch {mine}; while [ ! -e {other} ]; do sleep 0.05; done\n{OK}")
        };
        let jobs = [("one", "two"), ("two", "one")].map(|(mine, other)| {
            Job::Binary(suite(folder.path(), &format!("p-{mine}"), &script(mine, other)))
        });
        let mut told = Vec::new();
        let mut all = run(jobs.to_vec(), &setting(folder.path()), &mut |news| told.push(format!("{news:?}")));
        all.sort_by(|a, b| a.binary.cmp(&b.binary));
        assert_eq!(
            all.iter().map(|ran| ran.binary.as_str()).collect::<Vec<_>>(),
            ["p-one::p-one", "p-two::p-two"]
        );
        for ran in &all {
            assert_eq!(outcomes(ran), [("a", &Outcome::Passed), ("b", &Outcome::Passed)]);
        }
        assert_eq!(told.len(), 2, "{told:?}");
    }

    #[test]
    fn tests_that_wait_are_as_many_on_a_large_machine_as_on_a_small_one() {
        for processors in [2, 64] {
            assert_eq!(threads(Way::Waits(3), processors), 3);
            assert_eq!(threads(Way::Computes, processors), processors);
        }
    }

    #[test]
    fn a_skip_that_a_test_records_is_in_the_result() {
        let folder = tempfile::tempdir().expect("a folder");
        let script =
            format!("echo '{{\"test\":\"b\",\"reason\":\"no cluster\"}}' >> \"${SKIPS_VARIABLE}\"\n{OK}");
        let job = Job::Binary(suite(folder.path(), "p", &script));
        for _ in 0..2 {
            // A second run does not read the skips of the first.
            let all = run(vec![job.clone()], &setting(folder.path()), &mut |_| ());
            let skipped = Outcome::Skipped("no cluster".to_owned());
            assert_eq!(outcomes(&all[0]), [("a", &Outcome::Passed), ("b", &skipped)]);
        }
    }

    #[test]
    fn a_failure_is_told_at_once_and_a_binary_that_dies_fails_its_other_tests() {
        let folder = tempfile::tempdir().expect("a folder");
        let script = r#"echo '{ "type": "test", "event": "started", "name": "a" }'
echo '{ "type": "test", "name": "a", "event": "failed", "stdout": "why" }'
echo '{ "type": "test", "event": "started", "name": "b" }'
echo noise >&2
kill -SEGV $$"#;
        let mut told = Vec::new();
        let job = Job::Binary(suite(folder.path(), "p", script));
        let all = run(vec![job], &setting(folder.path()), &mut |news| told.push(format!("{news:?}")));
        assert!(told[0].starts_with("Failed") && told[0].contains("\"why\""), "{told:?}");
        let died = Outcome::Failed("signal 11 ended the test binary while this test ran".to_owned());
        assert_eq!(outcomes(&all[0]), [("a", &Outcome::Failed("why".to_owned())), ("b", &died)]);
        assert!(all[0].noise.contains("noise"));
    }

    #[test]
    fn a_binary_that_cannot_be_run_is_a_failure() {
        let folder = tempfile::tempdir().expect("a folder");
        let mut missing = suite(folder.path(), "p", OK);
        missing.executable = folder.path().join("none");
        let all = run(vec![Job::Binary(missing)], &setting(folder.path()), &mut |_| ());
        assert!(matches!(&all[0].tested[0].outcome, Outcome::Failed(why) if why.contains("cannot be run")));
    }

    #[test]
    fn the_end_of_a_long_output_is_kept() {
        let mut noise = Noise::default();
        for number in 0..10_000 {
            noise.add(&format!("línea {number}"));
        }
        assert!(noise.0.len() <= 2 * Noise::LIMIT && noise.0.ends_with("línea 9999\n"));
    }
}
