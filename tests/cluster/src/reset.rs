//! A cluster that is empty again, in seconds and without ending a server.
//!
//! What somebody has made since `up` is removed where it is kept, in etcd, which knows of every key when it was created.
//! So nothing can refuse to go: no finalizer, no webhook, no resource whose definition is broken. The servers see every
//! object go as they see it on any other day, by their watches.

use std::fs;
use std::thread;
use std::time::{Duration, Instant};

use crate::error::{At, Error, Result};
use crate::part::Part;
use crate::paths::Layout;
use crate::state::Record;
use crate::{cgroup, etcd, keycloak, process, registry};

/// How long kubelet may take to see that pods have gone.
const PATIENCE: Duration = Duration::from_secs(20);

/// Until controllers and admission have seen that a namespace is gone.
const KNOWN: Duration = Duration::from_millis(500);

const NAMESPACES: &str = "/registry/namespaces/";

/// Keys under which servers tell that they live, which they make again whenever it is time.
const SIGNS_OF_LIFE: [&str; 3] =
    ["/registry/masterleases/", "/registry/leases/kube-node-lease/", "/registry/leases/kube-system/"];

/// Removes everything that was made since `up`, and lets `again` make what `up` has made and somebody has changed.
pub(crate) fn all(layout: &Layout, record: &Record, again: impl FnOnce() -> Result<()> + Send) -> Result<()> {
    let ours = |revision: i64| record.made.iter().any(|made| (made.from..=made.to).contains(&revision));
    let stays = |key: &str| SIGNS_OF_LIFE.iter().any(|prefix| key.starts_with(prefix));
    let keys = etcd::keys(layout, record)?;
    let theirs: Vec<String> = keys
        .into_iter()
        .filter(|(key, created)| !ours(*created) && !stays(key))
        .map(|(key, _)| key)
        .collect();
    // Controllers make again at once what they keep in each namespace: the namespaces go first, and the rest when that is
    // known. What was under way meanwhile goes at the end.
    let (namespaces, rest): (Vec<String>, Vec<String>) =
        theirs.into_iter().partition(|key| key.starts_with(NAMESPACES));
    etcd::delete(layout, record, &namespaces)?;
    if !namespaces.is_empty() {
        thread::sleep(KNOWN);
    }
    etcd::delete(layout, record, &rest)?;
    let has = |part| record.parts.contains(&part);
    thread::scope(|scope| {
        let pods = scope
            .spawn(|| if has(Part::Node) { pods(layout).and_then(|()| volumes(layout)) } else { Ok(()) });
        let images = scope.spawn(|| if has(Part::Registry) { registry::reset(layout) } else { Ok(()) });
        let users =
            scope.spawn(|| if has(Part::Keycloak) { keycloak::reset(layout, record) } else { Ok(()) });
        again()?;
        [pods, images, users]
            .into_iter()
            .try_for_each(|thread| thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
    })?;
    let keys = etcd::keys(layout, record)?;
    let there: Vec<&str> = keys.iter().filter_map(|(key, _)| key.strip_prefix(NAMESPACES)).collect();
    let gone: Vec<&str> = namespaces
        .iter()
        .filter_map(|key| key.strip_prefix(NAMESPACES))
        .filter(|name| !there.contains(name))
        .collect();
    let orphaned = |key: &str, created| {
        !ours(created) && !stays(key) && namespace_of(key).is_some_and(|name| gone.contains(&name))
    };
    let orphans = keys.iter().filter(|(key, created)| orphaned(key, *created));
    etcd::delete(layout, record, &orphans.map(|(key, _)| key.clone()).collect::<Vec<_>>())
}

/// `…/NAMESPACE/NAME`.
fn namespace_of(key: &str) -> Option<&str> {
    key.rsplit('/').nth(1)
}

/// Ends the pods' processes, all of them: none of the harness's servers is a pod.
fn pods(layout: &Layout) -> Result<()> {
    let begin = Instant::now();
    loop {
        let pids = cgroup::processes(layout);
        if pids.is_empty() && tasks(layout) == 0 {
            return Ok(());
        }
        if begin.elapsed() > PATIENCE {
            let last = format!("{} processes are still there", pids.len());
            return Err(Error::Timeout {
                what: "an end of all pods".into(),
                after: PATIENCE,
                logs: layout.logs(),
                last,
            });
        }
        for pid in pids {
            process::kill(pid, |pid| cgroup::processes(layout).contains(&pid));
        }
        // kubelet starts a container again whose pod is still there for it: until it has seen the end of all pods.
        thread::sleep(Duration::from_millis(100));
    }
}

/// How many containers containerd has.
fn tasks(layout: &Layout) -> usize {
    let folder = layout.path("containerd-state/io.containerd.runtime.v2.task/k8s.io");
    fs::read_dir(folder).map_or(0, Iterator::count)
}

/// The claims are gone and so is the provisioner's reason to empty these.
fn volumes(layout: &Layout) -> Result<()> {
    let folder = layout.volumes();
    for entry in fs::read_dir(&folder).at(&folder)? {
        let path = entry.at(&folder)?.path();
        fs::remove_dir_all(&path).at(path)?;
    }
    Ok(())
}
