//! Runs a child, reads it line by line, and can stop it with its whole process group.

use std::io::{BufRead as _, BufReader, Read};
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use rustix::process::{Pid, Signal, kill_process_group};

use super::account::End;
use super::{interrupt, stage};

/// A line of the child.
pub(crate) enum Line {
    Out(String),
    Err(String),
}

/// How often a silent child is polled.
const PULSE: Duration = Duration::from_millis(100);
/// How long processes that outlive the child may write output.
const ECHO: Duration = Duration::from_secs(1);
/// How long a child may clean up after SIGTERM.
const GRACE: Duration = Duration::from_secs(10);

/// Runs a child to its end. `read` takes each line and returns whether the line is a sign of life; a child without one for
/// `silence_timeout` is stopped, and so is every child of an interrupted run. The runner also stops the clusters of such a child.
pub(crate) fn follow(
    command: &mut Command,
    silence_timeout: Duration,
    stop: impl Fn() -> bool,
    read: impl FnMut(Line) -> bool,
) -> anyhow::Result<End> {
    // A group of its own, so that a signal reaches all that it starts, and a terminal's Ctrl-C none of it before the runner.
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).process_group(0);
    let mut child = command.spawn().with_context(|| format!("{:?} cannot be run", command.get_program()))?;
    let end = to_its_end(&mut child, silence_timeout, stop, read)?;
    if !matches!(end, End::Exited(_)) {
        stage::take_down_clusters_of(child.id());
    }
    Ok(end)
}

fn to_its_end(
    child: &mut Child,
    silence_timeout: Duration,
    stop: impl Fn() -> bool,
    mut read: impl FnMut(Line) -> bool,
) -> anyhow::Result<End> {
    let (sender, lines) = mpsc::channel();
    if let Some(out) = child.stdout.take() {
        forward(out, sender.clone(), Line::Out);
    }
    if let Some(err) = child.stderr.take() {
        forward(err, sender, Line::Err);
    }
    let mut alive = Instant::now();
    let mut ended: Option<(ExitStatus, Instant)> = None;
    loop {
        match lines.recv_timeout(PULSE) {
            Ok(line) => {
                if read(line) {
                    alive = Instant::now();
                }
            }
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) if ended.is_some() => break,
            Err(RecvTimeoutError::Disconnected) => thread::sleep(PULSE),
        }
        match &ended {
            Some((_, when)) if when.elapsed() > ECHO => break,
            Some(_) => {}
            None => ended = child.try_wait()?.map(|status| (status, Instant::now())),
        }
        if ended.is_none() && stop() {
            end(child)?;
            return Ok(End::Interrupted);
        }
        if ended.is_none() && alive.elapsed() > silence_timeout {
            end(child)?;
            return Ok(End::Silent(silence_timeout.as_secs()));
        }
    }
    let status = ended.map_or_else(|| child.wait(), |(status, _)| Ok(status))?;
    Ok(match (status.code(), status.signal()) {
        (Some(code), _) => End::Exited(code),
        (None, signal) => End::Killed(signal.unwrap_or_default()),
    })
}

/// Whether an interrupted run must stop its children.
pub(crate) fn interrupted() -> bool {
    interrupt::asked()
}

fn forward(source: impl Read + Send + 'static, lines: Sender<Line>, kind: fn(String) -> Line) {
    thread::spawn(move || {
        let mut source = BufReader::new(source);
        let mut bytes = Vec::new();
        while source.read_until(b'\n', &mut bytes).is_ok_and(|read| read > 0) {
            let text = String::from_utf8_lossy(&bytes).trim_end_matches('\n').to_owned();
            // The receiver is gone after the end of the child.
            if lines.send(kind(text)).is_err() {
                return;
            }
            bytes.clear();
        }
    });
}

/// Sends SIGTERM to the child's process group, then SIGKILL.
fn end(child: &mut Child) -> anyhow::Result<()> {
    let group =
        i32::try_from(child.id()).ok().and_then(Pid::from_raw).context("a process without a number")?;
    // The group may have ended in the meantime.
    let _ = kill_process_group(group, Signal::INT);
    let begin = Instant::now();
    while child.try_wait()?.is_none() && begin.elapsed() < GRACE {
        thread::sleep(PULSE);
    }
    let _ = kill_process_group(group, Signal::KILL);
    child.wait()?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::Cell;
    use std::path::{Path, PathBuf};

    const LONG: Duration = Duration::from_secs(60);

    fn sh(script: &str) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        command
    }

    fn run(script: &str) -> (End, Vec<String>) {
        let mut lines = Vec::new();
        let end = follow(
            &mut sh(script),
            LONG,
            || false,
            |line| {
                lines.push(match line {
                    Line::Out(text) => format!("out {text}"),
                    Line::Err(text) => format!("err {text}"),
                });
                true
            },
        );
        lines.sort();
        (end.expect("it runs"), lines)
    }

    #[test]
    fn every_line_of_a_child_and_its_end_are_told() {
        let (end, lines) = run("printf 'a\\nb'; printf 'c\\377\\n' >&2; exit 3");
        assert_eq!(end, End::Exited(3));
        assert_eq!(lines, ["err c\u{fffd}", "out a", "out b"]);
    }

    #[test]
    fn a_child_that_a_signal_ended_is_told_from_one_that_exited() {
        assert_eq!(run("kill -9 $$").0, End::Killed(9));
    }

    #[test]
    fn the_cluster_of_a_child_that_a_signal_ended_is_taken_down() {
        let base = std::env::var_os("XDG_STATE_HOME").map(PathBuf::from).filter(|path| path.is_absolute());
        let home = || PathBuf::from(std::env::var_os("HOME").expect("a home")).join(".local/state");
        let clusters = base.unwrap_or_else(home).join("thinkube-host/cluster");
        let script = format!("mkdir -p {0}/t-left-$$ && echo {0}/t-left-$$; kill -9 $$", clusters.display());
        let (end, lines) = run(&script);
        assert_eq!((end, lines.len()), (End::Killed(9), 1), "{lines:?}");
        let folder = lines[0].strip_prefix("out ").expect("its folder");
        assert!(folder.contains("/t-left-") && !Path::new(folder).exists(), "{folder}");
    }

    #[test]
    fn a_process_that_outlives_the_child_is_not_waited_for() {
        let begin = Instant::now();
        let (end, lines) = run("sleep 30 & echo done");
        assert_eq!((end, lines), (End::Exited(0), vec!["out done".to_owned()]));
        assert!(begin.elapsed() < Duration::from_secs(10));
    }

    #[test]
    fn a_child_without_a_sign_of_life_is_ended_although_it_prints() {
        let end = follow(
            &mut sh("while :; do echo x; sleep 0.01; done"),
            Duration::from_millis(300),
            || false,
            |_| false,
        );
        assert_eq!(end.expect("it runs"), End::Silent(0));
    }

    #[test]
    fn an_interrupted_run_ends_the_child_and_what_it_started() {
        let children = Cell::new(0);
        let end = follow(
            &mut sh("sleep 1000 & echo $!; wait"),
            LONG,
            || children.get() != 0,
            |line| {
                if let Line::Out(text) = line {
                    children.set(text.parse().expect("a process"));
                }
                true
            },
        );
        assert_eq!(end.expect("it runs"), End::Interrupted);
        let begin = Instant::now();
        loop {
            let state = std::fs::read_to_string(format!("/proc/{}/stat", children.get())).unwrap_or_default();
            if state.is_empty() || state.contains(") Z ") {
                return;
            }
            assert!(begin.elapsed() < Duration::from_secs(20), "{state}");
            thread::sleep(PULSE);
        }
    }
}
