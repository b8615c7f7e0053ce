//! `reset`: a cluster that is empty again, in seconds and without the end of a server.
//!
//! What was made since `up` is deleted in etcd, which knows the revision in which it created a key. So no finalizer, no webhook
//! and no broken definition of a resource can prevent it. The servers see the deletions by their watches, as any other.

use std::fs;
use std::thread;
use std::time::{Duration, Instant};

use crate::addon::Addon;
use crate::addons::registry;
use crate::control_plane::etcd;
use crate::error::{At, Error, Result};
use crate::keycloak;
use crate::machine::cgroup;
use crate::paths::Layout;
use crate::process::find;
use crate::record::ClusterRecord;

/// How long kubelet may take to see the deletion of all pods.
const POD_TIMEOUT: Duration = Duration::from_secs(20);

/// The time that controllers and admission take to see the deletion of a namespace.
const NAMESPACE_DELAY: Duration = Duration::from_millis(500);

const NAMESPACES: &str = "/registry/namespaces/";

/// Keys that servers renew all the time.
const RENEWED: [&str; 3] =
    ["/registry/masterleases/", "/registry/leases/kube-node-lease/", "/registry/leases/kube-system/"];

/// Removes everything that was made since `up`. `restore` applies the harness's own objects again, which a test may have
/// changed.
pub(crate) fn reset(
    layout: &Layout,
    record: &ClusterRecord,
    restore: impl FnOnce() -> Result<()> + Send,
) -> Result<()> {
    let keys = etcd::keys(layout, record)?;
    let made_since: Vec<String> = keys
        .into_iter()
        .filter(|(key, created)| is_made_since(record, key, *created))
        .map(|(key, _)| key)
        .collect();
    // Namespaces first: until controllers know of the deletion, they recreate what they keep in each namespace.
    let (namespaces, rest): (Vec<String>, Vec<String>) =
        made_since.into_iter().partition(|key| key.starts_with(NAMESPACES));
    etcd::delete(layout, record, &namespaces)?;
    if !namespaces.is_empty() {
        thread::sleep(NAMESPACE_DELAY);
    }
    etcd::delete(layout, record, &rest)?;
    reset_servers(layout, record, restore)?;
    delete_orphans(layout, record, &namespaces)
}

fn is_made_since(record: &ClusterRecord, key: &str, created: i64) -> bool {
    let own = record.own_revisions.iter().any(|range| (range.from..=range.to).contains(&created));
    !own && !RENEWED.iter().any(|prefix| key.starts_with(prefix))
}

/// Resets what is outside etcd, while `restore` runs.
fn reset_servers(
    layout: &Layout,
    record: &ClusterRecord,
    restore: impl FnOnce() -> Result<()> + Send,
) -> Result<()> {
    let has = |addon| record.addons.contains(&addon);
    thread::scope(|scope| {
        let node =
            || if has(Addon::Node) { end_pods(layout).and_then(|()| empty_volumes(layout)) } else { Ok(()) };
        let images = || if has(Addon::Registry) { registry::reset(layout) } else { Ok(()) };
        let users = || if has(Addon::Keycloak) { keycloak::server::reset(layout, record) } else { Ok(()) };
        let threads = [scope.spawn(node), scope.spawn(images), scope.spawn(users)];
        restore()?;
        threads
            .into_iter()
            .try_for_each(|thread| thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
    })
}

/// Deletes what was made in these namespaces during the reset.
fn delete_orphans(layout: &Layout, record: &ClusterRecord, namespaces: &[String]) -> Result<()> {
    let keys = etcd::keys(layout, record)?;
    let existing: Vec<&str> = keys.iter().filter_map(|(key, _)| key.strip_prefix(NAMESPACES)).collect();
    let deleted: Vec<&str> = namespaces
        .iter()
        .filter_map(|key| key.strip_prefix(NAMESPACES))
        .filter(|name| !existing.contains(name))
        .collect();
    let is_orphan = |key: &str, created| {
        is_made_since(record, key, created) && namespace_of(key).is_some_and(|name| deleted.contains(&name))
    };
    let orphans = keys.iter().filter(|(key, created)| is_orphan(key, *created));
    etcd::delete(layout, record, &orphans.map(|(key, _)| key.clone()).collect::<Vec<_>>())
}

/// The namespace in a key that ends with `NAMESPACE/NAME`.
fn namespace_of(key: &str) -> Option<&str> {
    key.rsplit('/').nth(1)
}

/// Ends the processes of all pods; no server of the harness is a pod.
fn end_pods(layout: &Layout) -> Result<()> {
    let begin = Instant::now();
    loop {
        let pids = cgroup::processes(layout);
        if pids.is_empty() && containers(layout) == 0 {
            return Ok(());
        }
        if begin.elapsed() > POD_TIMEOUT {
            let last = format!("{} processes are left", pids.len());
            return Err(Error::Timeout {
                what: "the end of all pods".into(),
                after: POD_TIMEOUT,
                logs: layout.logs(),
                last,
            });
        }
        for pid in pids {
            find::kill(pid, |pid| cgroup::processes(layout).contains(&pid));
        }
        // Repeated, because kubelet restarts containers until it has seen the deletion of their pod.
        thread::sleep(Duration::from_millis(100));
    }
}

/// The number of containers in containerd.
fn containers(layout: &Layout) -> usize {
    let folder = layout.path("containerd-state/io.containerd.runtime.v2.task/k8s.io");
    fs::read_dir(folder).map_or(0, Iterator::count)
}

/// Removes the folders of volumes: without their PersistentVolumeClaims the provisioner has no reason to.
fn empty_volumes(layout: &Layout) -> Result<()> {
    let folder = layout.volumes();
    for entry in fs::read_dir(&folder).at(&folder)? {
        let path = entry.at(&folder)?.path();
        fs::remove_dir_all(&path).at(path)?;
    }
    Ok(())
}
