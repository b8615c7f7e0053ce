//! Repair, pause, resume, restart and down. None of them needs a healthy cluster.

use std::fs;
use std::path::PathBuf;

use rustix::process::Signal;

use crate::addon::Addon;
use crate::build::programs::Programs;
use crate::cluster::servers::{self, Server, wait_for_all};
use crate::cluster::teardown;
use crate::error::{At, Error, Result};
use crate::keycloak;
use crate::lock::Lock;
use crate::node::network;
use crate::paths::{self, Layout};
use crate::process::find;
use crate::process::server::RunningServer;
use crate::progress::{Report, note, step};
use crate::record::ClusterRecord;

/// Resumes and restarts the servers of a cluster that was healthy once. `None` where that does not make it healthy.
pub(crate) fn repair(layout: &Layout, report: &mut Report<'_>) -> Option<ClusterRecord> {
    let record = ClusterRecord::read(layout).ok()??;
    let same_boot = record
        .node
        .as_ref()
        .is_none_or(|node| node.machine.boot == teardown::boot() && network::exists(layout));
    if !record.ready || !same_boot {
        return None;
    }
    let mut missing = Vec::new();
    for server in servers::of_record(&record) {
        match find::of_server(layout, server.name) {
            Some(pid) => find::signal(pid, Signal::CONT, |pid| find::belongs(pid, layout)),
            None => missing.push(server),
        }
    }
    let names: Vec<_> = missing.iter().map(|server| server.name).collect();
    let action = if names.is_empty() {
        "waiting for it".into()
    } else {
        format!("starting {} again", names.join(", "))
    };
    step(report, format!("cluster `{}` is not healthy; {action}", layout.name));
    let healthy = start_servers(layout, &record, &missing).and_then(|started| {
        // An interrupted `reset` may have left Keycloak without its realm.
        if missing.is_empty() && record.addons.contains(&Addon::Keycloak) {
            keycloak::server::reset(layout, &record)?;
        }
        wait_for_all(layout, servers::of_record(&record), &record, &started)
    });
    match healthy {
        Ok(()) => Some(record),
        Err(error) => {
            note(report, format!("the repair failed: {error}"));
            None
        }
    }
}

fn start_servers(layout: &Layout, record: &ClusterRecord, servers: &[&Server]) -> Result<Vec<RunningServer>> {
    let programs = Programs::cached()?;
    servers.iter().map(|server| (server.start)(layout, record, &programs)).collect()
}

/// Stops a server's process with SIGSTOP, until [`resume`].
pub fn pause(cluster: &str, server: &str) -> Result<()> {
    signal(cluster, server, Signal::STOP)
}

/// Resumes a paused server.
pub fn resume(cluster: &str, server: &str) -> Result<()> {
    signal(cluster, server, Signal::CONT)
}

fn signal(cluster: &str, server: &str, signal: Signal) -> Result<()> {
    let (layout, _, server) = server_of(cluster, server)?;
    let pid = find::of_server(&layout, server.name).ok_or(Error::ServerNotRunning(server.name))?;
    find::signal(pid, signal, |pid| find::belongs(pid, &layout));
    Ok(())
}

/// Ends a server, starts it again and waits until it is ready.
pub fn restart(cluster: &str, server: &str) -> Result<()> {
    let (layout, record, server) = server_of(cluster, server)?;
    find::end(&layout, server.name);
    let started = start_servers(&layout, &record, &[server])?;
    wait_for_all(&layout, std::iter::once(server), &record, &started)
}

/// The log file of a server.
pub fn log(cluster: &str, server: &str) -> Result<PathBuf> {
    let (layout, _, server) = server_of(cluster, server)?;
    Ok(layout.log(server.name))
}

/// A server of a cluster in any state.
fn server_of(cluster: &str, server: &str) -> Result<(Layout, ClusterRecord, &'static Server)> {
    let layout = Layout::of(cluster)?;
    let record = ClusterRecord::read(&layout)?.ok_or_else(|| Error::NotRunning(cluster.to_owned()))?;
    let found = servers::of_record(&record).find(|known| known.name == server).ok_or_else(|| {
        Error::UnknownServer {
            cluster: cluster.to_owned(),
            name: server.to_owned(),
            known: servers::of_record(&record).map(|server| server.name).collect::<Vec<_>>().join(", "),
        }
    })?;
    Ok((layout, record, found))
}

/// The names of this user's clusters in any state.
pub fn cluster_names() -> Result<Vec<String>> {
    let folder = paths::state()?;
    let entries = match fs::read_dir(&folder) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.at(&folder)?,
    };
    let is_a_cluster = |entry: &fs::DirEntry| entry.file_type().is_ok_and(|kind| kind.is_dir());
    let names =
        entries.flatten().filter(is_a_cluster).filter_map(|entry| entry.file_name().into_string().ok());
    let mut names: Vec<String> = names.filter(|name| Layout::of(name).is_ok()).collect();
    names.sort();
    Ok(names)
}

/// Removes a cluster in any state, except the cache. Returns whether it existed.
pub fn down(name: &str, report: &mut Report<'_>) -> Result<bool> {
    let layout = Layout::of(name)?;
    if !layout.root.exists() && !layout.lock().exists() && teardown::leftovers(&layout).is_empty() {
        return Ok(false);
    }
    let lock = Lock::take(&layout.lock(), report)?;
    step(report, format!("taking cluster `{name}` down"));
    teardown::remove(&layout)?;
    remove_lock(&layout, lock)?;
    Ok(true)
}

/// Removes the lock, and the folders above it unless another cluster uses them.
pub(crate) fn remove_lock(layout: &Layout, lock: Lock) -> Result<()> {
    lock.remove()?;
    // The last two folders of the path are the harness's; a later `up` makes them again.
    for folder in layout.root.ancestors().skip(1).take(2) {
        let _ = fs::remove_dir(folder);
    }
    Ok(())
}
