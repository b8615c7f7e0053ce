//! Commands that run to their end.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{Read, Seek, SeekFrom, Write as _};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use crate::error::{At, Error, Result};
use crate::paths::{Layout, search_path};
use crate::process::find::CLUSTER;

/// A short command for a cluster. `down` ends it too: the last command of a killed `up` could make something after the removal.
pub(crate) fn helper(program: impl AsRef<OsStr>, layout: &Layout) -> Command {
    let mut command = Command::new(program);
    command.env("PATH", search_path()).env(CLUSTER, &layout.root);
    command
}

/// Runs a command and returns its standard output.
pub(crate) fn run(command: &mut Command) -> Result<String> {
    let child = start(command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()))?;
    let output =
        child.wait_with_output().map_err(|source| Error::Spawn { program: line(command), source })?;
    finish(command, output.status, &String::from_utf8_lossy(&output.stderr))?;
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Runs a command with this standard input and returns its standard output.
pub(crate) fn run_with(command: &mut Command, input: &str) -> Result<String> {
    let mut child = start(command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()))?;
    // The error of a command that ends without reading is in its status.
    let _ = child.stdin.take().map(|mut pipe| pipe.write_all(input.as_bytes()));
    let output =
        child.wait_with_output().map_err(|source| Error::Spawn { program: line(command), source })?;
    finish(command, output.status, &String::from_utf8_lossy(&output.stderr))?;
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Runs a command with its output in a file, and calls `beat` every ten seconds.
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

pub(crate) fn joined(flag: &str, path: &Path) -> OsString {
    let mut argument = OsString::from(flag);
    argument.push(path);
    argument
}
