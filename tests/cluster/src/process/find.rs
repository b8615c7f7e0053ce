//! Finds, signals and ends the processes of a cluster.
//!
//! Every process of a cluster has the cluster's folder in its environment. The kernel records it at the start of the process,
//! child processes inherit it, and no other process has it by chance, as it can have a process id. So `down` finds everything
//! after a crash at any point.

use std::collections::BTreeMap;
use std::fs;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

use crate::paths::Layout;

pub(crate) const CLUSTER: &str = "THINKUBE_TEST_CLUSTER";

pub(crate) const PROGRAM: &str = "THINKUBE_TEST_PROGRAM";

pub(crate) const EXECUTABLE: &str = "THINKUBE_TEST_EXECUTABLE";

/// A process of a cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ClusterProcess {
    pub(crate) pid: i32,
    /// The server that it is or that started it.
    pub(crate) server: String,
    /// It is the server and not a child of it.
    pub(crate) is_server: bool,
}

/// The processes of a cluster.
pub(crate) fn processes(layout: &Layout) -> Vec<ClusterProcess> {
    let Ok(entries) = fs::read_dir("/proc") else { return Vec::new() };
    entries
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .filter_map(|pid| inspect(pid, layout))
        .collect()
}

fn inspect(pid: i32, layout: &Layout) -> Option<ClusterProcess> {
    use std::os::unix::ffi::OsStrExt;
    // Unreadable for another user's process, empty for a zombie.
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
    let server = value(PROGRAM);
    let executable = fs::read_link(format!("/proc/{pid}/exe")).unwrap_or_default();
    let file = executable.file_name().unwrap_or_default().to_string_lossy();
    // The kernel appends the word after the cache was emptied.
    let is_server = file.strip_suffix(" (deleted)").unwrap_or(&file) == value(EXECUTABLE);
    Some(ClusterProcess { pid, server, is_server })
}

/// Kills a process if it is still the same.
pub(crate) fn kill(pid: i32, still: impl Fn(i32) -> bool) {
    signal(pid, Signal::KILL, still);
}

/// Sends a signal to a process if it is still the same.
pub(crate) fn signal(pid: i32, signal: Signal, still: impl Fn(i32) -> bool) {
    let Some(id) = Pid::from_raw(pid) else { return };
    // The handle before the check, so that the signal cannot reach a later process with the same id.
    let Ok(handle) = pidfd_open(id, PidfdFlags::empty()) else { return };
    if still(pid) {
        let _ = pidfd_send_signal(handle, signal);
    }
}

/// The process of this server.
pub(crate) fn of_server(layout: &Layout, server: &str) -> Option<i32> {
    processes(layout)
        .into_iter()
        .find(|found| found.is_server && found.server == server)
        .map(|found| found.pid)
}

/// Whether a signal has stopped it.
pub(crate) fn is_paused(pid: i32) -> bool {
    let status = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    // The name before the state may hold blanks and parentheses.
    status.rsplit_once(')').is_some_and(|(_, rest)| rest.trim_start().starts_with('T'))
}

/// The proportional share of memory (PSS) of a process, in bytes.
pub(crate) fn memory(pid: i32) -> u64 {
    let rollup = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).unwrap_or_default();
    let kibibytes =
        rollup.lines().find_map(|line| line.strip_prefix("Pss:")?.trim().strip_suffix(" kB")?.parse().ok());
    kibibytes.unwrap_or(0_u64) * 1024
}

/// Ends a server with SIGTERM, and after three seconds with SIGKILL. Returns after its end.
pub(crate) fn end(layout: &Layout, server: &str) {
    /// Enough to write data; an apiserver would wait a minute for its clients.
    const GRACE: Duration = Duration::from_secs(3);
    let begin = Instant::now();
    let ours = |pid| inspect(pid, layout).is_some_and(|found| found.is_server && found.server == server);
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

/// Marks a command, so that `down` ends it.
pub(crate) fn mark(command: &mut Command, layout: &Layout) {
    command.env(CLUSTER, &layout.root);
}

pub(crate) fn belongs(pid: i32, layout: &Layout) -> bool {
    inspect(pid, layout).is_some()
}
