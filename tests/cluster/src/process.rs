//! Starting programs, and finding again what was started.
//!
//! Every process of a cluster carries the cluster's folder in its environment. That is recorded by the kernel in the
//! same instant in which the process comes to be, it is inherited by what the process starts, and no later process can
//! have it by chance, as it can have a process id. So `down` finds everything, after a crash at any point.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::io::{Read, Seek, SeekFrom, Write as _};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

use crate::error::{At, Error, Result};
use crate::paths::{Layout, search_path};

const CLUSTER: &str = "THINKUBE_TEST_CLUSTER";
const PROGRAM: &str = "THINKUBE_TEST_PROGRAM";
const EXECUTABLE: &str = "THINKUBE_TEST_EXECUTABLE";

/// Puts the cluster's resolver over the machine's, which knows none of its names, and becomes another program. For a shell
/// with a mount namespace of its own; its arguments are the file, the program and the program's arguments.
pub(crate) const WITH_NAMES: &str = "mount --bind \"$0\" /etc/resolv.conf && exec \"$@\"";

/// A server of the cluster, to be started in the background.
#[derive(Debug)]
pub(crate) struct Server<'a> {
    layout: &'a Layout,
    program: &'static str,
    command: Command,
}

impl<'a> Server<'a> {
    /// `netns` is the file of a network namespace to run in.
    pub(crate) fn new(
        layout: &'a Layout,
        program: &'static str,
        binary: &Path,
        netns: Option<&Path>,
    ) -> Self {
        Self::within(layout, program, binary, netns, &[])
    }

    /// A server that asks for the cluster's names, of Services and of the domain.
    pub(crate) fn with_names(
        layout: &'a Layout,
        program: &'static str,
        binary: &Path,
        netns: Option<&Path>,
    ) -> Self {
        let resolver = layout.resolver();
        // Slave: what is mounted before it starts must not stay mounted because of it.
        let shell = ["unshare", "--mount", "--propagation=slave", "--", "sh", "-c", WITH_NAMES];
        let before: Vec<&OsStr> = shell.iter().map(OsStr::new).chain([resolver.as_os_str()]).collect();
        Self::within(layout, program, binary, netns, &before)
    }

    fn within(
        layout: &'a Layout,
        program: &'static str,
        binary: &Path,
        netns: Option<&Path>,
        before: &[&OsStr],
    ) -> Self {
        let mut command = match netns {
            None => Command::new(binary),
            Some(netns) => {
                // Not `ip netns exec`: that mounts a fresh /sys, in which kubelet finds no cgroups.
                let mut command = Command::new("nsenter");
                command.arg(joined("--net=", netns)).arg("--").args(before).arg(binary);
                command
            }
        };
        // Nothing of the caller's environment: a proxy, a debug switch or a resource limit set there is not for servers.
        command.env_clear().env("PATH", search_path()).env("HOME", &layout.root);
        command.env(CLUSTER, &layout.root).env(PROGRAM, program);
        command.env(EXECUTABLE, binary.file_name().unwrap_or_default());
        Self { layout, program, command }
    }

    pub(crate) fn arg(mut self, argument: impl AsRef<OsStr>) -> Self {
        self.command.arg(argument);
        self
    }

    /// `flag` ends with `=`.
    pub(crate) fn file(self, flag: &str, path: impl AsRef<Path>) -> Self {
        self.arg(joined(flag, path.as_ref()))
    }

    pub(crate) fn env(mut self, variable: &str, value: impl AsRef<OsStr>) -> Self {
        self.command.env(variable, value);
        self
    }

    pub(crate) fn args<const N: usize>(self, arguments: [&str; N]) -> Self {
        arguments.into_iter().fold(self, Self::arg)
    }

    /// Starts it in a process group of its own, so that Ctrl-C in the terminal is not for it.
    pub(crate) fn start(mut self) -> Result<Running> {
        let log = self.layout.log(self.program);
        if let Some(folder) = log.parent() {
            fs::create_dir_all(folder).at(folder)?;
        }
        let out = File::options().create(true).append(true).open(&log).at(&log)?;
        let err = out.try_clone().at(&log)?;
        self.command.stdin(Stdio::null()).stdout(out).stderr(err).process_group(0);
        let mut child = self
            .command
            .spawn()
            .map_err(|source| Error::Spawn { program: self.program.to_owned(), source })?;
        let (ended, end) = mpsc::channel();
        // A child that nobody waits for stays in the process table for as long as we live.
        thread::spawn(move || {
            let _ = child.wait();
            let _ = ended.send(());
        });
        Ok(Running { program: self.program, log, end })
    }
}

/// A server that this process has started.
#[derive(Debug)]
pub(crate) struct Running {
    program: &'static str,
    log: PathBuf,
    end: mpsc::Receiver<()>,
}

impl Running {
    /// Fails with the end of the log when the server has ended.
    pub(crate) fn check(&self) -> Result<()> {
        match self.end.try_recv() {
            Err(mpsc::TryRecvError::Empty) => Ok(()),
            Ok(()) | Err(mpsc::TryRecvError::Disconnected) => Err(Error::Died {
                program: self.program.to_owned(),
                tail: tail(&self.log),
                log: self.log.clone(),
            }),
        }
    }
}

/// Asks until the answer is there, the time is over or a server has died.
pub(crate) fn wait_for(
    what: &str,
    patience: Duration,
    layout: &Layout,
    servers: &[Running],
    mut ask: impl FnMut() -> Result<Answer>,
) -> Result<()> {
    let begin = Instant::now();
    loop {
        let last = match ask()? {
            Answer::Yes => return Ok(()),
            Answer::NotYet(last) => last,
        };
        for server in servers {
            server.check()?;
        }
        if begin.elapsed() > patience {
            let what = what.to_owned();
            return Err(Error::Timeout { what, after: patience, logs: layout.logs(), last });
        }
        thread::sleep(Duration::from_millis(50));
    }
}

/// What was found when asking.
pub(crate) enum Answer {
    Yes,
    NotYet(String),
}

/// A process of a cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Found {
    pub(crate) pid: i32,
    /// The server that it is, or that has started it.
    pub(crate) program: String,
    /// It is that server and not a child of it.
    pub(crate) itself: bool,
}

/// Every process that carries this cluster's folder in its environment.
pub(crate) fn find(layout: &Layout) -> Vec<Found> {
    let Ok(entries) = fs::read_dir("/proc") else { return Vec::new() };
    entries
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .filter_map(|pid| inspect(pid, layout))
        .collect()
}

fn inspect(pid: i32, layout: &Layout) -> Option<Found> {
    use std::os::unix::ffi::OsStrExt;
    // Not readable: somebody else's. Empty: a zombie.
    let environment = fs::read(format!("/proc/{pid}/environ")).ok()?;
    let variables: BTreeMap<&[u8], &[u8]> = environment
        .split(|byte| *byte == 0)
        .filter_map(|line| {
            let at = line.iter().position(|byte| *byte == b'=')?;
            Some((&line[..at], &line[at + 1..]))
        })
        .collect();
    if *variables.get(CLUSTER.as_bytes())? != layout.root.as_os_str().as_bytes() {
        return None;
    }
    let value = |name: &str| {
        variables
            .get(name.as_bytes())
            .map_or_else(String::new, |value| String::from_utf8_lossy(value).into_owned())
    };
    let program = value(PROGRAM);
    let executable = fs::read_link(format!("/proc/{pid}/exe")).unwrap_or_default();
    let file = executable.file_name().unwrap_or_default().to_string_lossy();
    // A cache that was emptied under a running cluster.
    let itself = file.strip_suffix(" (deleted)").unwrap_or(&file) == value(EXECUTABLE);
    Some(Found { pid, program, itself })
}

/// Kills a process if it still is what it was when it was found.
pub(crate) fn kill(pid: i32, still: impl Fn(i32) -> bool) {
    signal(pid, Signal::KILL, still);
}

/// Sends a signal to a process if it still is what it was when it was found.
pub(crate) fn signal(pid: i32, signal: Signal, still: impl Fn(i32) -> bool) {
    let Some(id) = Pid::from_raw(pid) else { return };
    // The handle first, the check second: between check and signal the id can't have gone to another process.
    let Ok(handle) = pidfd_open(id, PidfdFlags::empty()) else { return };
    if still(pid) {
        let _ = pidfd_send_signal(handle, signal);
    }
}

/// The process that is this server.
pub(crate) fn of_server(layout: &Layout, server: &str) -> Option<i32> {
    find(layout).into_iter().find(|found| found.itself && found.program == server).map(|found| found.pid)
}

/// It was stopped by a signal and goes on with another.
pub(crate) fn is_paused(pid: i32) -> bool {
    let status = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    // The name before it may hold anything, a blank and a parenthesis too.
    status.rsplit_once(')').is_some_and(|(_, rest)| rest.trim_start().starts_with('T'))
}

/// The memory that a process has for itself and its share of what it has together with others, in bytes.
pub(crate) fn memory(pid: i32) -> u64 {
    let rollup = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).unwrap_or_default();
    let kibibytes =
        rollup.lines().find_map(|line| line.strip_prefix("Pss:")?.trim().strip_suffix(" kB")?.parse().ok());
    kibibytes.unwrap_or(0_u64) * 1024
}

/// Ends a server: asked, and after a while not asked. Returns when it is gone.
pub(crate) fn end(layout: &Layout, server: &str) {
    /// Longer than a server takes that writes something down; an apiserver waits a minute for its clients.
    const GRACE: Duration = Duration::from_secs(3);
    let begin = Instant::now();
    let ours = |pid| inspect(pid, layout).is_some_and(|found| found.itself && found.program == server);
    let Some(pid) = of_server(layout, server) else { return };
    signal(pid, Signal::TERM, ours);
    signal(pid, Signal::CONT, ours);
    while ours(pid) {
        if begin.elapsed() > GRACE {
            kill(pid, ours);
        }
        thread::sleep(Duration::from_millis(20));
    }
}

/// Makes a command one that `down` ends.
pub(crate) fn mark(command: &mut Command, layout: &Layout) {
    command.env(CLUSTER, &layout.root);
}

/// A short command that works for a cluster. `down` ends it too: when `up` is killed, its last command runs on for a
/// moment and could make something just after everything was removed.
pub(crate) fn helper(program: impl AsRef<OsStr>, layout: &Layout) -> Command {
    let mut command = Command::new(program);
    command.env("PATH", search_path()).env(CLUSTER, &layout.root);
    command
}

pub(crate) fn belongs(pid: i32, layout: &Layout) -> bool {
    inspect(pid, layout).is_some()
}

/// Runs a command to its end and returns what it wrote to standard output.
pub(crate) fn run(command: &mut Command) -> Result<String> {
    let child = start(command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()))?;
    let output =
        child.wait_with_output().map_err(|source| Error::Spawn { program: line(command), source })?;
    finish(command, output.status, &String::from_utf8_lossy(&output.stderr))?;
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// The same, with something to read.
pub(crate) fn run_with(command: &mut Command, input: &str) -> Result<String> {
    let mut child = start(command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()))?;
    // One that ends without reading has a reason, which is found below.
    let _ = child.stdin.take().map(|mut pipe| pipe.write_all(input.as_bytes()));
    let output =
        child.wait_with_output().map_err(|source| Error::Spawn { program: line(command), source })?;
    finish(command, output.status, &String::from_utf8_lossy(&output.stderr))?;
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Runs a command to its end with its output in a file, and calls `beat` every ten seconds.
pub(crate) fn run_long(command: &mut Command, log: &Path, mut beat: impl FnMut(Duration)) -> Result<()> {
    let out = File::create(log).at(log)?;
    let err = out.try_clone().at(log)?;
    let begin = Instant::now();
    beat(Duration::ZERO);
    let mut child = start(command.stdin(Stdio::null()).stdout(out).stderr(err))?;
    let (sender, end) = mpsc::channel();
    let waiter = thread::spawn(move || {
        let status = child.wait();
        let _ = sender.send(());
        status
    });
    while let Err(mpsc::RecvTimeoutError::Timeout) = end.recv_timeout(Duration::from_secs(10)) {
        beat(begin.elapsed());
    }
    let status = waiter
        .join()
        .unwrap_or_else(|_| Err(std::io::Error::other("the thread that waited for it is gone")))
        .map_err(|source| Error::Spawn { program: line(command), source })?;
    finish(command, status, &tail(log))
}

fn start(command: &mut Command) -> Result<Child> {
    command.spawn().map_err(|source| Error::Spawn { program: line(command), source })
}

fn finish(command: &Command, status: ExitStatus, stderr: &str) -> Result<()> {
    if status.success() {
        return Ok(());
    }
    Err(Error::Command { command: line(command), status, stderr: last_lines(stderr) })
}

fn line(command: &Command) -> String {
    let words: Vec<_> = std::iter::once(command.get_program())
        .chain(command.get_args())
        .map(OsStr::to_string_lossy)
        .collect();
    words.join(" ")
}

/// The last lines of a log.
pub(crate) fn tail(log: &Path) -> String {
    let read = || -> std::io::Result<String> {
        let mut file = File::open(log)?;
        let length = file.metadata()?.len();
        file.seek(SeekFrom::Start(length.saturating_sub(8192)))?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes)?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    };
    last_lines(&read().unwrap_or_else(|error| format!("(unreadable: {error})")))
}

fn last_lines(text: &str) -> String {
    let lines: Vec<&str> = text.trim_end().lines().collect();
    lines[lines.len().saturating_sub(15)..].join("\n")
}

fn joined(flag: &str, path: &Path) -> OsString {
    let mut argument = OsString::from(flag);
    argument.push(path);
    argument
}
