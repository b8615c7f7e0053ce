//! Programs of the operator's machine: found on PATH, run without a shell, with little of the environment, bounded in
//! time and in what they say, and ended with all that they have started.

use crate::Error;
use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process_group, waitid};
use std::collections::VecDeque;
use std::ffi::OsString;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};
use thinkube_plan::{SecretText, Untrusted};
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::process::Command;
use tokio::time::timeout;

/// Takes each line that a program says, cut and safe to print.
pub(crate) type OutputSink<'a> = &'a (dyn Fn(&str) + Send + Sync);

/// Variables that every program gets where they are set: how to find programs, who the user is, and how this machine
/// reaches others. Not the rest: secret inputs are in the environment, and a build runs other people's code.
const PASSED: [&str; 14] = [
    "PATH",
    "USER",
    "LOGNAME",
    "TZ",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "NO_PROXY",
    "ALL_PROXY",
    "http_proxy",
    "https_proxy",
    "no_proxy",
    "all_proxy",
];

/// Longest line that is shown, in characters.
const LINE: usize = 400;
/// Lines that an error shows.
const SHOWN: usize = 20;
/// What a program may say before it is ended: a build of a large image says a few MiB.
const SAID: usize = 64 << 20;
/// What is kept of an output that is read as a whole: the references of a repository.
const KEPT: usize = 4 << 20;
/// Between asking a program to end and ending it.
const PATIENCE: Duration = Duration::from_secs(5);

/// A program on PATH. Relative folders of PATH don't count: what lies in the folder one happens to be in is no program
/// of this machine.
pub(crate) fn find(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path)
        .filter(|folder| folder.is_absolute())
        .map(|folder| folder.join(program))
        .find(|file| {
            file.metadata().is_ok_and(|found| found.is_file() && found.permissions().mode() & 0o111 != 0)
        })
}

/// A command with the variables of [`PASSED`] and those of `more` that are set here.
pub(crate) fn command(program: &Path, more: &[&str]) -> Command {
    let mut command = Command::new(program);
    command.env_clear();
    for name in PASSED.iter().chain(more) {
        if let Some(value) = std::env::var_os(name) {
            command.env(name, value);
        }
    }
    // Messages are shown to a person, and never read by the host.
    command.env("LC_ALL", "C.UTF-8");
    command
}

/// Variables of this process whose names begin so.
pub(crate) fn variables(prefix: &str) -> impl Iterator<Item = (OsString, OsString)> {
    std::env::vars_os().filter(move |(name, _)| name.to_str().is_some_and(|name| name.starts_with(prefix)))
}

/// How a program is run.
pub(crate) struct Run<'a> {
    /// What it does, for errors: `git fetch`.
    pub(crate) what: &'static str,
    /// It is ended after this.
    pub(crate) limit: Duration,
    /// Takes what it says.
    pub(crate) says: OutputSink<'a>,
    /// Never shown, should it say them.
    pub(crate) secrets: &'a [SecretText],
}

/// How it ended.
#[derive(Debug)]
pub(crate) struct Exit {
    pub(crate) status: ExitStatus,
    /// Its last lines.
    pub(crate) lines: Vec<String>,
    /// Its standard output; empty unless it was asked for.
    pub(crate) output: String,
}

impl Exit {
    /// What it did, or its last lines where it failed.
    pub(crate) fn success(self) -> Result<String, Vec<String>> {
        if self.status.success() { Ok(self.output) } else { Err(self.lines) }
    }
}

impl Run<'_> {
    /// Runs it to its end and shows what it says.
    pub(crate) async fn shown(&self, command: Command) -> Result<Exit, Error> {
        self.run(command, false).await
    }

    /// Runs it to its end and keeps its standard output, which is not shown.
    pub(crate) async fn kept(&self, command: Command) -> Result<Exit, Error> {
        self.run(command, true).await
    }

    async fn run(&self, mut command: Command, keep: bool) -> Result<Exit, Error> {
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        // A group of its own: whoever ends it ends what it has started as well.
        command.kill_on_drop(true).process_group(0);
        let start = |source| Error::NotRun { what: self.what, source };
        let mut child = command.spawn().map_err(start)?;
        let mut group = Group::of(child.id());
        let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
        let tail = std::sync::Mutex::new(Tail::default());
        let mut output = Vec::new();
        let reading = async {
            let one = async {
                if keep { self.keep(stdout, &mut output).await } else { self.read(stdout, &tail).await }
            };
            tokio::try_join!(one, self.read(stderr, &tail)).is_ok()
        };
        // The status, and whether nobody holds the output open any more. None: it says too much.
        let ending = async {
            tokio::pin!(reading);
            // In the order in which they come to an end: a program that is silent may still run, and one that has ended
            // may have left others behind.
            tokio::select! {
                within = &mut reading => Ok(if within { Some((child.wait().await?, true)) } else { None }),
                status = child.wait() => {
                    let status = status?;
                    match timeout(Duration::from_secs(1), &mut reading).await {
                        Ok(false) => Ok(None),
                        closed => io::Result::Ok(Some((status, closed.is_ok()))),
                    }
                }
            }
        };
        let ended = timeout(self.limit, ending).await;
        let (status, closed) = match ended {
            Ok(Ok(Some(status))) => status,
            Ok(Err(source)) => return Err(start(source)),
            failed => {
                // It may have something to clean up.
                group.signal(Signal::TERM);
                let asked = timeout(PATIENCE, child.wait()).await;
                group.signal(Signal::KILL);
                group.0 = None;
                if asked.is_err() {
                    timeout(PATIENCE, child.wait()).await.ok();
                }
                return Err(match failed {
                    Err(_) => Error::TooSlow { what: self.what, limit: self.limit },
                    _ => Error::Flooded { what: self.what, most: SAID },
                });
            }
        };
        // Some of the group still hold its output open. While it has members its number is given to nobody else.
        if !closed {
            group.signal(Signal::KILL);
        }
        group.0 = None;
        let lines = tail.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner).lines();
        Ok(Exit { status, lines, output: String::from_utf8_lossy(&output).into_owned() })
    }

    /// Shows a stream line by line.
    async fn read(
        &self,
        stream: Option<impl AsyncRead + Unpin>,
        tail: &std::sync::Mutex<Tail>,
    ) -> Result<(), OutputLimit> {
        let Some(mut stream) = stream else { return Ok(()) };
        let mut line = Vec::new();
        let mut buffer = [0; 8192];
        let mut said = 0;
        loop {
            let count = match stream.read(&mut buffer).await {
                Ok(0) | Err(_) => break,
                Ok(count) => count,
            };
            said += count;
            if said > SAID {
                return Err(OutputLimit);
            }
            for byte in &buffer[..count] {
                match byte {
                    // Progress bars write one line again and again.
                    b'\n' | b'\r' => self.say(&mut line, tail),
                    // Of a line without an end the beginning is kept; four bytes are the longest character.
                    _ if line.len() < LINE * 4 => line.push(*byte),
                    _ => {}
                }
            }
        }
        self.say(&mut line, tail);
        Ok(())
    }

    fn say(&self, line: &mut Vec<u8>, tail: &std::sync::Mutex<Tail>) {
        let text = shown(&String::from_utf8_lossy(line), self.secrets);
        line.clear();
        if text.trim().is_empty() {
            return;
        }
        (self.says)(&text);
        tail.lock().unwrap_or_else(std::sync::PoisonError::into_inner).push(text);
    }

    async fn keep(
        &self,
        stream: Option<impl AsyncRead + Unpin>,
        output: &mut Vec<u8>,
    ) -> Result<(), OutputLimit> {
        let Some(stream) = stream else { return Ok(()) };
        let read = stream.take(KEPT as u64 + 1).read_to_end(output).await;
        if read.is_ok() && output.len() > KEPT { Err(OutputLimit) } else { Ok(()) }
    }
}

/// It has said more than anybody could want to know.
struct OutputLimit;

/// The last lines.
#[derive(Default)]
struct Tail(VecDeque<String>);

impl Tail {
    fn push(&mut self, line: String) {
        if self.0.len() == SHOWN {
            self.0.pop_front();
        }
        self.0.push_back(line);
    }

    fn lines(self) -> Vec<String> {
        self.0.into()
    }
}

/// A line cut, without secrets, and without what could steer a terminal.
fn shown(line: &str, secrets: &[SecretText]) -> String {
    let mut text = line.to_owned();
    for secret in secrets.iter().filter(|secret| !secret.expose().is_empty()) {
        text = text.replace(secret.expose(), "…");
    }
    let line: String = text.trim_end().chars().map(|c| if c == '\t' { ' ' } else { c }).take(LINE).collect();
    Untrusted(&line).to_string()
}

/// The process group of a program. Dropped before its end, it ends with all of its members.
///
/// It is asked to end first, and waited for: a build ends its containers, which are in groups of their own, but not if it
/// is killed.
struct Group(Option<Pid>);

impl Group {
    fn of(id: Option<u32>) -> Self {
        Self(id.and_then(|id| Pid::from_raw(id.try_into().ok()?)))
    }

    fn signal(&mut self, signal: Signal) {
        if let Some(group) = self.0 {
            // It may be gone already.
            let _ = kill_process_group(group, signal);
        }
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        let Some(leader) = self.0 else { return };
        self.signal(Signal::TERM);
        let end = Instant::now() + PATIENCE;
        // Without taking its status away from whoever else asks for it.
        let look = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
        while matches!(waitid(WaitId::Pid(leader), look), Ok(None)) && Instant::now() < end {
            thread::sleep(Duration::from_millis(10));
        }
        self.signal(Signal::KILL);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Mutex;
    use tokio::time::sleep;

    fn shell(script: &str) -> Command {
        let mut command = command(&find("sh").expect("a shell"), &[]);
        command.args(["-c", script]);
        command
    }

    fn run(says: OutputSink<'_>, limit: Duration) -> Run<'_> {
        Run { what: "sh", limit, says, secrets: &[] }
    }

    const LONG: Duration = Duration::from_secs(60);

    #[tokio::test]
    async fn a_program_gets_neither_the_secrets_in_the_environment_nor_a_terminal_to_ask_at() {
        // Cargo sets this one for every test.
        assert!(std::env::var_os("CARGO_MANIFEST_DIR").is_some());
        let ended = run(&|_| (), LONG).kept(shell("env; cat")).await.expect("it runs");
        let output = ended.success().expect("it ends well");
        assert!(!output.contains("CARGO_MANIFEST_DIR"), "{output}");
        assert!(output.contains("PATH="), "{output}");
    }

    #[tokio::test]
    async fn lines_are_shown_safely_and_the_last_ones_are_kept_for_the_error() {
        let said = Mutex::new(Vec::new());
        let says = |line: &str| said.lock().expect("nobody panics").push(line.to_owned());
        let secrets = [SecretText::new("pass word".into())];
        let run = Run { secrets: &secrets, ..run(&says, LONG) };
        let script = "printf 'a\\033[31mb\\rthe pass word is\\n'; seq 1 30 >&2; exit 3";
        let lines = run.shown(shell(script)).await.expect("it runs").success().expect_err("it fails");
        assert_eq!(lines.len(), SHOWN);
        assert_eq!(lines.last().map(String::as_str), Some("30"));
        let said = said.into_inner().expect("nobody panics");
        assert!(
            said.contains(&"a\\u{1b}[31mb".to_owned()) && said.contains(&"the … is".to_owned()),
            "{said:?}"
        );
    }

    /// A process that has ended is not there, or waits for its parent to hear of it.
    fn runs(pid: &str) -> bool {
        std::fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| !stat.contains(") Z "))
    }

    async fn ends(pid: &str) -> bool {
        for _ in 0..100 {
            if !runs(pid) {
                return true;
            }
            sleep(Duration::from_millis(20)).await;
        }
        false
    }

    #[tokio::test]
    async fn what_takes_too_long_is_ended_with_what_it_has_started() {
        let pid = Mutex::new(String::new());
        let says = |line: &str| line.clone_into(&mut pid.lock().expect("nobody panics"));
        let begin = Instant::now();
        let error = run(&says, Duration::from_millis(300))
            .shown(shell("sleep 1000 & echo $!; wait"))
            .await
            .expect_err("it takes too long");
        assert!(matches!(error, Error::TooSlow { .. }), "{error}");
        assert!(begin.elapsed() < Duration::from_secs(20));
        assert!(ends(&pid.into_inner().expect("nobody panics")).await);
    }

    #[tokio::test]
    async fn whoever_stops_waiting_ends_it_with_what_it_has_started() {
        let pid = Mutex::new(String::new());
        let says = |line: &str| line.clone_into(&mut pid.lock().expect("nobody panics"));
        let run = run(&says, LONG);
        let dropped =
            timeout(Duration::from_millis(500), run.shown(shell("sleep 1000 & echo $!; wait"))).await;
        assert!(dropped.is_err());
        let pid = pid.into_inner().expect("nobody panics");
        assert!(!pid.is_empty());
        assert!(ends(&pid).await);
    }

    #[tokio::test]
    async fn a_child_that_stays_behind_with_the_output_open_is_not_waited_for() {
        let begin = Instant::now();
        run(&|_| (), LONG).shown(shell("sleep 1000 &")).await.expect("it runs");
        assert!(begin.elapsed() < Duration::from_secs(20));
    }

    #[tokio::test]
    async fn what_never_stops_talking_is_ended() {
        let error = run(&|_| (), LONG).shown(shell("exec yes")).await.expect_err("it says too much");
        assert!(matches!(error, Error::Flooded { .. }), "{error}");
        let error = run(&|_| (), LONG).kept(shell("exec yes")).await.expect_err("it says too much");
        assert!(matches!(error, Error::Flooded { .. }), "{error}");
    }
}
