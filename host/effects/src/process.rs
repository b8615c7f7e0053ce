//! Runs programs of this machine: found on PATH, without a shell, with a short list of environment variables.
//!
//! A program gets no terminal and none of the host's secrets, its time and output have limits, and it is stopped together
//! with every process that it started. `process-wrap` and `which` are not used: they neither ask a group to end before they
//! kill it, nor keep the last lines of the output with secrets removed.

use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process_group, waitid};
use std::collections::VecDeque;
use std::ffi::OsString;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};
use thinkube_plan::{Diagnostic, ErrorKind, Hint, SecretText, Untrusted};
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::process::{Child, Command};
use tokio::time::timeout;

/// Receives each line of a program's output: cut to [`MAX_LINE_CHARS`] and escaped.
pub(crate) type OutputSink<'a> = &'a (dyn Fn(&str) + Send + Sync);

/// Variables that every program gets if they are set: PATH, the user, the time zone, and how this machine reaches others.
/// Every other variable is withheld, because a secret input may be one and a build runs code of strangers.
const PASSED_VARIABLES: [&str; 14] = [
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

/// Characters of a line that are shown.
const MAX_LINE_CHARS: usize = 400;
/// Last lines that an error keeps.
const TAIL_LINES: usize = 20;
/// Bytes that a program may write to one stream. The build of a large image writes a few MiB.
const MAX_STREAMED_BYTES: usize = 64 << 20;
/// Bytes of an output that is captured as a whole, such as the references of a repository.
const MAX_CAPTURED_BYTES: usize = 4 << 20;
/// From SIGTERM to SIGKILL.
const KILL_GRACE: Duration = Duration::from_secs(5);
/// How long an output may stay open after its program ended.
const CLOSE_GRACE: Duration = Duration::from_secs(1);

/// Why a program did not run to its end.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The program is not on PATH.
    #[error("{program} is not on PATH")]
    NotFound {
        /// Its name.
        program: &'static str,
        /// How to install it: one sentence.
        advice: &'static str,
    },
    /// The program cannot be started or waited for.
    #[error("cannot run {what}: {source}")]
    NotRun {
        /// The program and its task: `git fetch`.
        what: &'static str,
        /// What the system reports.
        source: io::Error,
    },
    /// The program ran longer than its limit.
    #[error("{what} was stopped: it ran longer than {} minutes", limit.as_secs().div_ceil(60))]
    TimedOut {
        /// The program and its task.
        what: &'static str,
        /// Its limit.
        limit: Duration,
    },
    /// The program's output exceeded its limit.
    #[error("{what} was stopped: its output exceeded {} MiB", limit >> 20)]
    OutputLimit {
        /// The program and its task.
        what: &'static str,
        /// Bytes.
        limit: usize,
    },
}

impl Diagnostic for Error {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::NotFound { .. } => ErrorKind::NoProgram,
            Self::NotRun { .. } | Self::TimedOut { .. } | Self::OutputLimit { .. } => ErrorKind::Program,
        }
    }

    fn hint(&self) -> Option<Hint> {
        match self {
            Self::NotFound { advice, .. } => Some(Hint::Advice((*advice).to_owned())),
            Self::NotRun { .. } | Self::TimedOut { .. } | Self::OutputLimit { .. } => None,
        }
    }
}

/// Finds a program on PATH. Relative directories of PATH are skipped: the current directory may hold a program of the same
/// name that a stranger planted.
pub(crate) fn find(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path)
        .filter(|directory| directory.is_absolute())
        .map(|directory| directory.join(program))
        .find(|file| {
            file.metadata().is_ok_and(|found| found.is_file() && found.permissions().mode() & 0o111 != 0)
        })
}

/// A command with the variables of [`PASSED_VARIABLES`] and of `more` that are set here.
pub(crate) fn command(program: &Path, more: &[&str]) -> Command {
    let mut command = Command::new(program);
    command.env_clear();
    for name in PASSED_VARIABLES.iter().chain(more) {
        if let Some(value) = std::env::var_os(name) {
            command.env(name, value);
        }
    }
    // The host shows a program's messages to a person and never parses them.
    command.env("LC_ALL", "C.UTF-8");
    command
}

/// The variables of this process whose names begin with `prefix`.
pub(crate) fn variables(prefix: &str) -> impl Iterator<Item = (OsString, OsString)> {
    std::env::vars_os().filter(move |(name, _)| name.to_str().is_some_and(|name| name.starts_with(prefix)))
}

/// How a program is run.
pub(crate) struct Run<'a> {
    /// The program and its task, for errors: `git fetch`.
    pub(crate) what: &'static str,
    /// The program is stopped after this.
    pub(crate) limit: Duration,
    /// Receives its output line by line.
    pub(crate) sink: OutputSink<'a>,
    /// Replaced by `…` in its output.
    pub(crate) secrets: &'a [SecretText],
}

/// How a program ended.
#[derive(Debug)]
pub(crate) struct Exit {
    status: ExitStatus,
    /// Its last lines.
    lines: Vec<String>,
    /// Its standard output, if it was captured.
    output: String,
}

impl Exit {
    /// The captured output of a program that succeeded, or the last lines of one that failed.
    pub(crate) fn success(self) -> Result<String, Vec<String>> {
        if self.status.success() { Ok(self.output) } else { Err(self.lines) }
    }
}

impl Run<'_> {
    /// Runs a command to its end and sends both its streams to the sink.
    pub(crate) async fn streamed(&self, command: Command) -> Result<Exit, Error> {
        self.run(command, false).await
    }

    /// Runs a command to its end and captures its standard output instead of sending it to the sink.
    pub(crate) async fn captured(&self, command: Command) -> Result<Exit, Error> {
        self.run(command, true).await
    }

    async fn run(&self, mut command: Command, capture: bool) -> Result<Exit, Error> {
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        // A process group of its own, so that its children can be signalled with it.
        command.kill_on_drop(true).process_group(0);
        let not_run = |source| Error::NotRun { what: self.what, source };
        let mut child = command.spawn().map_err(not_run)?;
        let mut group = ProcessGroup::of(child.id());
        let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
        let tail = Mutex::new(Tail::default());
        let mut output = Vec::new();
        let reading = async {
            let stdout = async {
                if capture {
                    self.capture(stdout, &mut output).await
                } else {
                    self.stream(stdout, &tail).await
                }
            };
            tokio::try_join!(stdout, self.stream(stderr, &tail)).map(drop)
        };
        let (status, is_closed) = match timeout(self.limit, until_end(&mut child, reading)).await {
            Ok(Ok(Ok(ended))) => ended,
            Ok(Ok(Err(OutputLimit(limit)))) => {
                group.stop(&mut child).await;
                return Err(Error::OutputLimit { what: self.what, limit });
            }
            Ok(Err(source)) => return Err(not_run(source)),
            Err(_) => {
                group.stop(&mut child).await;
                return Err(Error::TimedOut { what: self.what, limit: self.limit });
            }
        };
        // A member of the group still holds the output open. The kernel reuses no group number that has members.
        if !is_closed {
            group.signal(Signal::KILL);
        }
        group.0 = None;
        let lines = tail.into_inner().unwrap_or_else(PoisonError::into_inner).lines();
        Ok(Exit { status, lines, output: String::from_utf8_lossy(&output).into_owned() })
    }

    /// Sends a stream to the sink line by line.
    async fn stream(
        &self,
        stream: Option<impl AsyncRead + Unpin>,
        tail: &Mutex<Tail>,
    ) -> Result<(), OutputLimit> {
        let Some(mut stream) = stream else { return Ok(()) };
        let mut line = Vec::new();
        let mut buffer = [0; 8192];
        let mut total = 0;
        loop {
            let count = match stream.read(&mut buffer).await {
                Ok(0) | Err(_) => break,
                Ok(count) => count,
            };
            total += count;
            if total > MAX_STREAMED_BYTES {
                return Err(OutputLimit(MAX_STREAMED_BYTES));
            }
            for byte in &buffer[..count] {
                match byte {
                    // A progress bar rewrites its line with `\r`.
                    b'\n' | b'\r' => self.end_line(&mut line, tail),
                    // A character has at most four bytes.
                    _ if line.len() < MAX_LINE_CHARS * 4 => line.push(*byte),
                    _ => {}
                }
            }
        }
        self.end_line(&mut line, tail);
        Ok(())
    }

    fn end_line(&self, line: &mut Vec<u8>, tail: &Mutex<Tail>) {
        let text = printable(&String::from_utf8_lossy(line), self.secrets);
        line.clear();
        if text.trim().is_empty() {
            return;
        }
        (self.sink)(&text);
        tail.lock().unwrap_or_else(PoisonError::into_inner).push(text);
    }

    async fn capture(
        &self,
        stream: Option<impl AsyncRead + Unpin>,
        output: &mut Vec<u8>,
    ) -> Result<(), OutputLimit> {
        let Some(stream) = stream else { return Ok(()) };
        let read = stream.take(MAX_CAPTURED_BYTES as u64 + 1).read_to_end(output).await;
        if read.is_ok() && output.len() > MAX_CAPTURED_BYTES {
            return Err(OutputLimit(MAX_CAPTURED_BYTES));
        }
        Ok(())
    }
}

/// Waits until a program ends or exceeds its output limit: its status, and whether all of its output is closed.
async fn until_end(
    child: &mut Child,
    reading: impl Future<Output = Result<(), OutputLimit>>,
) -> io::Result<Result<(ExitStatus, bool), OutputLimit>> {
    tokio::pin!(reading);
    // A program that closed its output may still run, and a program that ended may have left a child with the output open.
    tokio::select! {
        read = &mut reading => match read {
            Ok(()) => Ok(Ok((child.wait().await?, true))),
            Err(limit) => Ok(Err(limit)),
        },
        status = child.wait() => {
            let status = status?;
            match timeout(CLOSE_GRACE, &mut reading).await {
                Ok(Err(limit)) => Ok(Err(limit)),
                closed => Ok(Ok((status, closed.is_ok()))),
            }
        }
    }
}

/// The output exceeded this many bytes.
struct OutputLimit(usize);

/// The last [`TAIL_LINES`] lines.
#[derive(Default)]
struct Tail(VecDeque<String>);

impl Tail {
    fn push(&mut self, line: String) {
        if self.0.len() == TAIL_LINES {
            self.0.pop_front();
        }
        self.0.push_back(line);
    }

    fn lines(self) -> Vec<String> {
        self.0.into()
    }
}

/// A line without secrets, cut and escaped.
fn printable(line: &str, secrets: &[SecretText]) -> String {
    let mut text = line.to_owned();
    for secret in secrets.iter().filter(|secret| !secret.expose().is_empty()) {
        text = text.replace(secret.expose(), "…");
    }
    let line: String =
        text.trim_end().chars().map(|c| if c == '\t' { ' ' } else { c }).take(MAX_LINE_CHARS).collect();
    Untrusted(&line).to_string()
}

/// The process group of a program that runs. Dropping the group stops all of its members.
///
/// SIGTERM comes first: a builder stops its containers, which are in groups of their own, only if it is not killed.
struct ProcessGroup(Option<Pid>);

impl ProcessGroup {
    fn of(id: Option<u32>) -> Self {
        Self(id.and_then(|id| Pid::from_raw(id.try_into().ok()?)))
    }

    fn signal(&self, signal: Signal) {
        if let Some(group) = self.0 {
            // The group may have ended.
            let _ = kill_process_group(group, signal);
        }
    }

    /// Asks the program to end, then kills its group.
    async fn stop(&mut self, child: &mut Child) {
        self.signal(Signal::TERM);
        let ended = timeout(KILL_GRACE, child.wait()).await;
        self.signal(Signal::KILL);
        self.0 = None;
        if ended.is_err() {
            timeout(KILL_GRACE, child.wait()).await.ok();
        }
    }
}

impl Drop for ProcessGroup {
    fn drop(&mut self) {
        let Some(leader) = self.0 else { return };
        self.signal(Signal::TERM);
        let end = Instant::now() + KILL_GRACE;
        // NOWAIT leaves the exit status to tokio, which reaps the child.
        let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
        while matches!(waitid(WaitId::Pid(leader), options), Ok(None)) && Instant::now() < end {
            thread::sleep(Duration::from_millis(10));
        }
        self.signal(Signal::KILL);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::time::sleep;

    fn shell(script: &str) -> Command {
        let mut command = command(&find("sh").expect("a shell is on PATH"), &[]);
        command.args(["-c", script]);
        command
    }

    fn run(sink: OutputSink<'_>, limit: Duration) -> Run<'_> {
        Run { what: "sh", limit, sink, secrets: &[] }
    }

    const LONG: Duration = Duration::from_secs(60);

    #[tokio::test]
    async fn a_program_gets_no_secret_variable_and_no_terminal() {
        // Cargo sets this variable for every test.
        assert!(std::env::var_os("CARGO_MANIFEST_DIR").is_some());
        let exit = run(&|_| (), LONG).captured(shell("env; cat")).await.expect("the shell runs");
        let output = exit.success().expect("the shell succeeds");
        assert!(!output.contains("CARGO_MANIFEST_DIR"), "{output}");
        assert!(output.contains("PATH="), "{output}");
    }

    #[tokio::test]
    async fn lines_are_escaped_and_an_error_keeps_the_last_ones() {
        let seen = Mutex::new(Vec::new());
        let sink = |line: &str| seen.lock().expect("no thread panicked").push(line.to_owned());
        let secrets = [SecretText::new("pass word".into())];
        let run = Run { secrets: &secrets, ..run(&sink, LONG) };
        let script = "printf 'a\\033[31mb\\rthe pass word is\\n'; seq 1 30 >&2; exit 3";
        let lines = run.streamed(shell(script)).await.expect("the shell runs").success().expect_err("exit 3");
        assert_eq!(lines.len(), TAIL_LINES);
        // The two streams have no common order.
        assert!(lines.contains(&"30".to_owned()) && !lines.contains(&"1".to_owned()), "{lines:?}");
        let seen = seen.into_inner().expect("no thread panicked");
        assert!(
            seen.contains(&"a\\u{1b}[31mb".to_owned()) && seen.contains(&"the … is".to_owned()),
            "{seen:?}"
        );
    }

    /// Whether a process runs: one that ended is absent, or a zombie until its parent reaps it.
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
    async fn a_program_past_its_limit_is_stopped_with_its_children() {
        let pid = Mutex::new(String::new());
        let sink = |line: &str| line.clone_into(&mut pid.lock().expect("no thread panicked"));
        let begin = Instant::now();
        let error = run(&sink, Duration::from_millis(300))
            .streamed(shell("sleep 1000 & echo $!; wait"))
            .await
            .expect_err("the program exceeds its limit");
        assert!(matches!(error, Error::TimedOut { .. }), "{error}");
        assert!(begin.elapsed() < Duration::from_secs(20));
        assert!(ends(&pid.into_inner().expect("no thread panicked")).await);
    }

    #[tokio::test]
    async fn dropping_the_future_stops_the_program_and_its_children() {
        let pid = Mutex::new(String::new());
        let sink = |line: &str| line.clone_into(&mut pid.lock().expect("no thread panicked"));
        let run = run(&sink, LONG);
        let dropped =
            timeout(Duration::from_millis(500), run.streamed(shell("sleep 1000 & echo $!; wait"))).await;
        assert!(dropped.is_err());
        let pid = pid.into_inner().expect("no thread panicked");
        assert!(!pid.is_empty());
        assert!(ends(&pid).await);
    }

    #[tokio::test]
    async fn a_child_that_keeps_the_output_open_is_not_waited_for() {
        let begin = Instant::now();
        run(&|_| (), LONG).streamed(shell("sleep 1000 &")).await.expect("the shell runs");
        assert!(begin.elapsed() < Duration::from_secs(20));
    }

    #[tokio::test]
    async fn a_program_past_its_output_limit_is_stopped() {
        let error = run(&|_| (), LONG).streamed(shell("exec yes")).await.expect_err("the output has no end");
        assert!(matches!(error, Error::OutputLimit { limit: MAX_STREAMED_BYTES, .. }), "{error}");
        let error = run(&|_| (), LONG).captured(shell("exec yes")).await.expect_err("the output has no end");
        assert!(matches!(error, Error::OutputLimit { limit: MAX_CAPTURED_BYTES, .. }), "{error}");
    }
}
