//! A server of the cluster as a background process, and the wait until it is ready.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use crate::error::{At, Error, Result};
use crate::paths::{Layout, search_path};
use crate::process::find::{CLUSTER, EXECUTABLE, PROGRAM};
use crate::process::run::{joined, tail};
use crate::readiness::Readiness;

/// A shell script that mounts the cluster's resolver over the machine's and executes a program. The shell needs its own mount
/// namespace; its arguments are the resolver's file, the program and the program's arguments.
pub(crate) const WITH_RESOLVER: &str = "mount --bind \"$0\" /etc/resolv.conf && exec \"$@\"";

/// The command of a server.
#[derive(Debug)]
pub(crate) struct ServerCommand<'a> {
    layout: &'a Layout,
    program: &'static str,
    command: Command,
}

impl<'a> ServerCommand<'a> {
    /// `netns` is the file of the network namespace to run in.
    pub(crate) fn new(
        layout: &'a Layout,
        program: &'static str,
        binary: &Path,
        netns: Option<&Path>,
    ) -> Self {
        Self::within(layout, program, binary, netns, &[])
    }

    /// A server that resolves the names of Services and of the test domain.
    pub(crate) fn with_resolver(
        layout: &'a Layout,
        program: &'static str,
        binary: &Path,
        netns: Option<&Path>,
    ) -> Self {
        let resolver = layout.resolver();
        // Slave, so that an unmount outside also unmounts here.
        let shell = ["unshare", "--mount", "--propagation=slave", "--", "sh", "-c", WITH_RESOLVER];
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
                // Not `ip netns exec`, which mounts a fresh /sys without cgroups.
                let mut command = Command::new("nsenter");
                command.arg(joined("--net=", netns)).arg("--").args(before).arg(binary);
                command
            }
        };
        // A proxy, debug switch or limit in the caller's environment is not for servers.
        command.env_clear().env("PATH", search_path()).env("HOME", &layout.root);
        command.env(CLUSTER, &layout.root).env(PROGRAM, program);
        command.env(EXECUTABLE, binary.file_name().unwrap_or_default());
        Self { layout, program, command }
    }

    pub(crate) fn arg(mut self, argument: impl AsRef<OsStr>) -> Self {
        self.command.arg(argument);
        self
    }

    /// A flag, which ends with `=`, and its file.
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

    /// Starts it in its own process group, so that Ctrl-C in the terminal does not reach it.
    pub(crate) fn start(mut self) -> Result<RunningServer> {
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
        // Without a wait the child would stay in the process table.
        thread::spawn(move || {
            let _ = child.wait();
            let _ = ended.send(());
        });
        Ok(RunningServer { program: self.program, log, end })
    }
}

/// A server that this process started.
#[derive(Debug)]
pub(crate) struct RunningServer {
    program: &'static str,
    log: PathBuf,
    end: mpsc::Receiver<()>,
}

impl RunningServer {
    /// Fails with the end of its log when it has ended.
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

/// Repeats a check until it is ready. Fails after the timeout, or when one of `servers` ends.
pub(crate) fn wait_for(
    what: &str,
    timeout: Duration,
    layout: &Layout,
    servers: &[RunningServer],
    mut check: impl FnMut() -> Result<Readiness>,
) -> Result<()> {
    let begin = Instant::now();
    loop {
        let last = match check()? {
            Readiness::Ready => return Ok(()),
            Readiness::NotReady(last) => last,
        };
        for server in servers {
            server.check()?;
        }
        if begin.elapsed() > timeout {
            let what = what.to_owned();
            return Err(Error::Timeout { what, after: timeout, logs: layout.logs(), last });
        }
        thread::sleep(Duration::from_millis(50));
    }
}
