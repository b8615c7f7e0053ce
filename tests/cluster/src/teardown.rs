//! Taking a cluster down, from whatever state it is in.
//!
//! Nothing here relies on an orderly end: processes are found by their environment and by their cgroup, mounts by where
//! they lie, links and namespaces by their name. Everything is killed and nothing asked, since no data is to survive:
//! an apiserver that is asked to stop takes a minute when its etcd has gone.

use std::fs;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use rustix::mount::{UnmountFlags, unmount};

use crate::error::{At, Error, Result};
use crate::paths::Layout;
use crate::process;
use crate::state::{Machine, Record};
use crate::{cgroup, cni, network, packages};

/// How long processes may take to die. One that waits for a disk can't be killed faster.
const PATIENCE: Duration = Duration::from_secs(20);

pub(crate) fn all(layout: &Layout) -> Result<()> {
    stop(layout)?;
    packages::let_services_start_again();
    match fs::remove_dir_all(&layout.root) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error).at(&layout.root),
        _ => Ok(()),
    }
}

/// Ends and removes everything but the cluster's folder, in which the logs are.
pub(crate) fn stop(layout: &Layout) -> Result<()> {
    // A record that can't be read is no reason to leave the rest behind.
    let record = Record::read(layout).ok().flatten();
    processes(layout);
    let sockets = shim_sockets(layout);
    mounts(&layout.root);
    cgroup::remove(layout);
    network::remove(layout);
    for socket in sockets {
        let _ = fs::remove_file(socket);
    }
    crate::images::discard_interrupted();
    network_results(layout);
    pod_log_links(layout);
    // What all nodes of this machine share goes back to how it was with the last of them.
    if let Some(node) = record.and_then(|record| record.node)
        && Record::machine_of_others(layout).is_none()
    {
        // A machine that was started anew has its settings from elsewhere.
        let settings = Some(&node.machine.kernel_settings).filter(|_| node.machine.boot == boot());
        for (path, value) in settings.into_iter().flatten() {
            // Only where kubelet did change it, and so that a setting which may not be written does no harm.
            if read_setting(path).as_ref() != Some(value) {
                let _ = fs::write(path, value);
            }
        }
        for folder in &node.machine.folders {
            remove_if_idle(folder);
        }
    }

    let left = left(layout);
    if left.is_empty() {
        return Ok(());
    }
    Err(Error::Left { name: layout.name.clone(), left: left.join(", ") })
}

/// Everything of the cluster that is there, apart from its folder.
pub(crate) fn left(layout: &Layout) -> Vec<String> {
    let mut left: Vec<String> = process::find(layout)
        .into_iter()
        .map(|found| format!("process {} ({})", found.pid, found.program))
        .chain(cgroup::processes(layout).into_iter().map(|pid| format!("process {pid} of a pod")))
        .collect();
    left.extend(mounts_below(&layout.root).iter().map(|point| format!("mount {}", point.display())));
    left.extend(cgroup::left(layout).iter().map(|folder| format!("cgroup {}", folder.display())));
    left.extend(network::left(layout));
    left
}

fn processes(layout: &Layout) {
    let begin = Instant::now();
    loop {
        let mut servers = process::find(layout);
        // kubelet and containerd first: they would start again what is killed after them.
        servers.sort_by_key(|found| match found.program.as_str() {
            "kubelet" => 0,
            "containerd" => 1,
            _ => 2,
        });
        for found in &servers {
            process::kill(found.pid, |pid| process::belongs(pid, layout));
        }
        let pods = cgroup::processes(layout);
        for pid in &pods {
            process::kill(*pid, |pid| cgroup::processes(layout).contains(&pid));
        }
        if (servers.is_empty() && pods.is_empty()) || begin.elapsed() > PATIENCE {
            return;
        }
        thread::sleep(Duration::from_millis(20));
    }
}

/// The sockets of containerd's shims lie outside its folders, under a name that only the shim's folder tells.
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

/// Unmounts everything below a folder, the youngest mount first.
pub(crate) fn mounts(folder: &Path) {
    // A mount can hide another one of the same place, which shows only after the first has gone.
    for _ in 0..16 {
        let points = mounts_below(folder);
        if points.is_empty() {
            return;
        }
        for point in points.iter().rev() {
            // Lazily: a dying process may hold it a moment longer.
            let _ = unmount(point, UnmountFlags::DETACH);
        }
    }
}

pub(crate) fn mounts_below(folder: &Path) -> Vec<PathBuf> {
    let table = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    parse(&table).filter(|point| point.starts_with(folder)).collect()
}

fn parse(mountinfo: &str) -> impl Iterator<Item = PathBuf> {
    mountinfo.lines().filter_map(|line| line.split(' ').nth(4)).map(|point| {
        // The kernel writes blanks and the like as octal numbers.
        let plain = [("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")];
        PathBuf::from(plain.iter().fold(point.to_owned(), |text, (code, plain)| text.replace(code, plain)))
    })
}

/// kubelet links the logs of pods into a folder that can't be configured.
fn pod_log_links(layout: &Layout) {
    let Ok(entries) = fs::read_dir("/var/log/containers") else { return };
    for entry in entries.flatten() {
        if fs::read_link(entry.path()).is_ok_and(|target| target.starts_with(&layout.root)) {
            let _ = fs::remove_file(entry.path());
        }
    }
}

/// CNI keeps what its plugins have answered in a folder that can't be configured: a file for the pod's network, and one
/// for its loopback, whose name says nothing of the cluster but the same sandbox.
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

/// Removes a folder of folders and dead sockets. One that has come to hold files belongs to somebody by now.
fn remove_if_idle(folder: &Path) {
    use std::os::unix::fs::FileTypeExt;
    let Ok(entries) = fs::read_dir(folder) else { return };
    for entry in entries.flatten() {
        match entry.file_type() {
            Ok(kind) if kind.is_dir() => remove_if_idle(&entry.path()),
            // Somebody's who has come since, if it answers.
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

/// Folders that the node's servers make wherever they are told to keep their things.
const FOLDERS: [&str; 5] =
    ["/run/containerd", "/var/lib/kubelet", "/var/lib/cni", "/var/log/containers", "/run/netns"];

fn read_setting(path: &Path) -> Option<String> {
    fs::read_to_string(path).ok().map(|value| value.trim().to_owned())
}

/// The kernel's name for the time since it was started; empty where it gives none.
pub(crate) fn boot() -> String {
    read_setting(Path::new("/proc/sys/kernel/random/boot_id")).unwrap_or_default()
}

/// The machine as it is without any node.
pub(crate) fn machine(layout: &Layout) -> Machine {
    Record::machine_of_others(layout).unwrap_or_else(|| Machine {
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
    fn mount_points_with_blanks_in_them_are_understood() {
        let table =
            "36 35 98:0 / /a/with\\040blank rw - ext4 /dev/x rw\n37 35 98:0 / /b rw - ext4 /dev/x rw\n";
        assert_eq!(parse(table).collect::<Vec<_>>(), [PathBuf::from("/a/with blank"), PathBuf::from("/b")]);
    }

    #[test]
    fn a_folder_that_somebody_keeps_files_in_is_not_removed() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let (idle, used) = (folder.path().join("idle"), folder.path().join("used"));
        fs::create_dir_all(idle.join("a/b")).expect("a folder");
        fs::create_dir_all(used.join("a")).expect("a folder");
        fs::write(used.join("a/file"), "theirs").expect("a file");
        remove_if_idle(&idle);
        remove_if_idle(&used);
        assert!(!idle.exists());
        assert!(used.join("a/file").exists());
    }
}
