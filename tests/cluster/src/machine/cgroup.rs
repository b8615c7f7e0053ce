//! The cluster's own cgroup in every hierarchy, by which its pods are found and ended.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use crate::error::{At, Result};
use crate::paths::Layout;

/// The mount points of all cgroup hierarchies, version 1 and 2.
pub(crate) fn hierarchies() -> Vec<PathBuf> {
    parse(&fs::read_to_string("/proc/self/mountinfo").unwrap_or_default())
}

fn parse(mountinfo: &str) -> Vec<PathBuf> {
    mountinfo
        .lines()
        .filter_map(|line| {
            let (before, after) = line.split_once(" - ")?;
            let kind = after.split(' ').next()?;
            let point = before.split(' ').nth(4)?;
            matches!(kind, "cgroup" | "cgroup2").then(|| PathBuf::from(point))
        })
        .collect()
}

/// The controllers of all hierarchies.
pub(crate) fn controllers() -> BTreeSet<String> {
    let read = |path: &Path| fs::read_to_string(path).unwrap_or_default();
    // Version 1 lists them in /proc/cgroups, with a 1 in the last column where enabled; version 2 in the root of its hierarchy.
    let table = read(Path::new("/proc/cgroups"));
    let enabled =
        table.lines().filter(|line| line.ends_with("\t1")).filter_map(|line| line.split('\t').next());
    let unified: String =
        hierarchies().iter().map(|root| read(&root.join("cgroup.controllers")) + " ").collect();
    enabled.chain(unified.split_whitespace()).map(str::to_owned).collect()
}

/// The cgroup's path from the root of each hierarchy, for kubelet.
pub(crate) fn name(layout: &Layout) -> String {
    format!("/thinkube-{}", layout.id())
}

fn folders(layout: &Layout) -> impl Iterator<Item = PathBuf> {
    let name = name(layout);
    hierarchies().into_iter().map(move |root| root.join(&name[1..]))
}

/// Makes kubelet's root cgroup, without which kubelet refuses to start.
pub(crate) fn make(layout: &Layout) -> Result<()> {
    for folder in folders(layout) {
        fs::create_dir_all(&folder).at(&folder)?;
    }
    Ok(())
}

/// Every process in the cluster's cgroups: those of its pods.
pub(crate) fn processes(layout: &Layout) -> Vec<i32> {
    let mut pids: Vec<i32> = folders(layout)
        .flat_map(|folder| deepest_first(&folder))
        .filter_map(|folder| fs::read_to_string(folder.join("cgroup.procs")).ok())
        .flat_map(|list| list.lines().filter_map(|pid| pid.parse().ok()).collect::<Vec<_>>())
        .collect();
    pids.sort_unstable();
    pids.dedup();
    pids
}

/// The cluster's cgroups that exist.
pub(crate) fn leftovers(layout: &Layout) -> Vec<PathBuf> {
    folders(layout).filter(|folder| folder.is_dir()).collect()
}

/// Removes the cluster's cgroups. The kernel refuses for a moment after the end of the last process.
pub(crate) fn remove(layout: &Layout) {
    let begin = Instant::now();
    loop {
        for folder in folders(layout).flat_map(|folder| deepest_first(&folder)) {
            let _ = fs::remove_dir(&folder);
        }
        if leftovers(layout).is_empty() || begin.elapsed() > Duration::from_secs(10) {
            return;
        }
        thread::sleep(Duration::from_millis(20));
    }
}

fn deepest_first(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    if let Ok(entries) = fs::read_dir(folder) {
        for entry in entries.flatten().filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir())) {
            found.extend(deepest_first(&entry.path()));
        }
        found.push(folder.to_owned());
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cgroups_of_both_versions_are_found() {
        let mounts = "25 20 0:22 / /sys/fs/cgroup rw - tmpfs tmpfs rw\n\
                      26 25 0:23 / /sys/fs/cgroup/cpu rw,relatime shared:9 - cgroup cgroup rw,cpu\n\
                      27 25 0:24 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n";
        assert_eq!(
            parse(mounts),
            [PathBuf::from("/sys/fs/cgroup/cpu"), PathBuf::from("/sys/fs/cgroup/unified")]
        );
    }
}
