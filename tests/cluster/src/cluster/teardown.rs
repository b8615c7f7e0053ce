//! The removal of a cluster in any state.
//!
//! Processes are found by their environment and cgroup, mounts by their folder, links and namespaces by their name. Every
//! process is killed: no data survives, and an apiserver without its etcd takes a minute to stop on SIGTERM.

use std::fs;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use rustix::mount::{UnmountFlags, unmount};

use crate::build::image_build;
use crate::error::{At, Error, Result};
use crate::machine::{cgroup, mounts, packages};
use crate::node::{cni, network};
use crate::paths::Layout;
use crate::process::find;
use crate::record::{ClusterRecord, Machine};

/// How long killed processes may take to end: one that waits for a disk ends late.
const KILL_TIMEOUT: Duration = Duration::from_secs(20);

/// Removes everything of a cluster.
pub(crate) fn remove(layout: &Layout) -> Result<()> {
    stop(layout)?;
    packages::remove_left_policy();
    match fs::remove_dir_all(&layout.root) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error).at(&layout.root),
        _ => Ok(()),
    }
}

/// Removes everything but the cluster's folder, which holds the logs.
pub(crate) fn stop(layout: &Layout) -> Result<()> {
    // A record that cannot be read must not keep the rest from being removed.
    let record = ClusterRecord::read(layout).ok().flatten();
    processes(layout);
    let sockets = shim_sockets(layout);
    mounts::unmount_all(&layout.root);
    cgroup::remove(layout);
    network::remove(layout);
    for socket in sockets {
        let _ = fs::remove_file(socket);
    }
    image_build::discard_interrupted();
    network_results(layout);
    pod_log_links(layout);
    // With the last node of this machine, what its nodes share is restored.
    if let Some(node) = record.and_then(|record| record.node)
        && ClusterRecord::machine_of_others(layout).is_none()
    {
        // After a reboot the settings are not those of the node.
        let settings = Some(&node.machine.kernel_settings).filter(|_| node.machine.boot == boot());
        for (path, value) in settings.into_iter().flatten() {
            // Only where kubelet changed it. A setting that may not be written stays.
            if read_setting(path).as_ref() != Some(value) {
                let _ = fs::write(path, value);
            }
        }
        for folder in &node.machine.folders {
            remove_if_unused(folder);
        }
    }

    let left = leftovers(layout);
    if left.is_empty() {
        return Ok(());
    }
    Err(Error::Left { name: layout.name.clone(), left: left.join(", ") })
}

/// Everything that is left of the cluster, except its folder.
pub(crate) fn leftovers(layout: &Layout) -> Vec<String> {
    let mut left: Vec<String> = find::processes(layout)
        .into_iter()
        .map(|found| format!("process {} ({})", found.pid, found.server))
        .chain(cgroup::processes(layout).into_iter().map(|pid| format!("process {pid} of a pod")))
        .collect();
    left.extend(mounts::below(&layout.root).iter().map(|point| format!("mount {}", point.display())));
    left.extend(cgroup::leftovers(layout).iter().map(|folder| format!("cgroup {}", folder.display())));
    left.extend(network::leftovers(layout));
    left
}

fn processes(layout: &Layout) {
    let begin = Instant::now();
    loop {
        let mut servers = find::processes(layout);
        // kubelet and containerd first: they restart what is killed after them.
        servers.sort_by_key(|found| match found.server.as_str() {
            "kubelet" => 0,
            "containerd" => 1,
            _ => 2,
        });
        for found in &servers {
            find::kill(found.pid, |pid| find::belongs(pid, layout));
        }
        let pods = cgroup::processes(layout);
        for pid in &pods {
            find::kill(*pid, |pid| cgroup::processes(layout).contains(&pid));
        }
        if (servers.is_empty() && pods.is_empty()) || begin.elapsed() > KILL_TIMEOUT {
            return;
        }
        thread::sleep(Duration::from_millis(20));
    }
}

/// The sockets of containerd's shims, outside its folders. The shim's folder holds the name.
fn shim_sockets(layout: &Layout) -> Vec<PathBuf> {
    let shims = layout.path("containerd-state/io.containerd.runtime.v2.task/k8s.io");
    let Ok(entries) = fs::read_dir(shims) else { return Vec::new() };
    entries
        .flatten()
        .filter_map(|entry| fs::read_to_string(entry.path().join("address")).ok())
        .filter_map(|address| address.trim().strip_prefix("unix://").map(PathBuf::from))
        .filter(|path| path.starts_with("/run/containerd"))
        .collect()
}

/// Removes kubelet's links to the logs of pods, in a folder that cannot be configured.
fn pod_log_links(layout: &Layout) {
    let Ok(entries) = fs::read_dir("/var/log/containers") else { return };
    for entry in entries.flatten() {
        if fs::read_link(entry.path()).is_ok_and(|target| target.starts_with(&layout.root)) {
            let _ = fs::remove_file(entry.path());
        }
    }
}

/// Removes the results of CNI plugins, in a folder that cannot be configured: a file for the pod's network, and one for its
/// loopback, which is known by the sandbox alone.
fn network_results(layout: &Layout) {
    let ours = format!("{}-", cni::name(layout));
    let Ok(entries) = fs::read_dir("/var/lib/cni/results") else { return };
    for entry in entries.flatten() {
        let name = entry.file_name();
        let Some(rest) = name.to_str().and_then(|name| name.strip_prefix(&ours)) else { continue };
        if let Some((sandbox, _)) = rest.rsplit_once('-') {
            let _ = fs::remove_file(entry.path().with_file_name(format!("cni-loopback-{sandbox}-lo")));
        }
        let _ = fs::remove_file(entry.path());
    }
}

/// Removes a folder that holds only folders and dead sockets. A folder with files is in use.
fn remove_if_unused(folder: &Path) {
    use std::os::unix::fs::FileTypeExt;
    let Ok(entries) = fs::read_dir(folder) else { return };
    for entry in entries.flatten() {
        match entry.file_type() {
            Ok(kind) if kind.is_dir() => remove_if_unused(&entry.path()),
            // A socket that accepts a connection is in use.
            Ok(kind) if kind.is_socket() && UnixStream::connect(entry.path()).is_err() => {
                let _ = fs::remove_file(entry.path());
            }
            _ => {}
        }
    }
    if fs::remove_dir(folder).is_err()
        && fs::read_dir(folder).is_ok_and(|mut entries| entries.next().is_none())
    {
        // `ip netns add` mounts its folder on itself.
        let _ = unmount(folder, UnmountFlags::DETACH);
        let _ = fs::remove_dir(folder);
    }
}

/// Settings of the kernel that kubelet changes for the whole machine.
const KERNEL_SETTINGS: [&str; 5] = [
    "/proc/sys/vm/overcommit_memory",
    "/proc/sys/kernel/panic",
    "/proc/sys/kernel/panic_on_oops",
    "/proc/sys/kernel/keys/root_maxkeys",
    "/proc/sys/kernel/keys/root_maxbytes",
];

/// Folders that the node's servers always make, beside the cluster's own.
const FOLDERS: [&str; 5] =
    ["/run/containerd", "/var/lib/kubelet", "/var/lib/cni", "/var/log/containers", "/run/netns"];

fn read_setting(path: &Path) -> Option<String> {
    fs::read_to_string(path).ok().map(|value| value.trim().to_owned())
}

/// The kernel's boot id; empty where it has none.
pub(crate) fn boot() -> String {
    read_setting(Path::new("/proc/sys/kernel/random/boot_id")).unwrap_or_default()
}

/// The machine without any node.
pub(crate) fn machine(layout: &Layout) -> Machine {
    ClusterRecord::machine_of_others(layout).unwrap_or_else(|| Machine {
        boot: boot(),
        kernel_settings: KERNEL_SETTINGS
            .iter()
            .map(PathBuf::from)
            .filter_map(|path| Some((path.clone(), read_setting(&path)?)))
            .collect(),
        folders: FOLDERS.iter().map(PathBuf::from).filter(|path| !path.exists()).collect(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_with_files_is_not_removed() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let (unused, used) = (folder.path().join("unused"), folder.path().join("used"));
        fs::create_dir_all(unused.join("a/b")).expect("a folder");
        fs::create_dir_all(used.join("a")).expect("a folder");
        fs::write(used.join("a/file"), "theirs").expect("a file");
        remove_if_unused(&unused);
        remove_if_unused(&used);
        assert!(!unused.exists());
        assert!(used.join("a/file").exists());
    }
}
