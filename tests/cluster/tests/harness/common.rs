//! A cluster of one test, and what the tests ask of it and of the machine.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use thinkube_test_cluster::{
    Addon, Cluster, Error, Health, Node, Options, ServerState, down, no_cluster_because, skip, status,
};

/// A cluster of one test. Dropping it takes the cluster down.
pub(crate) struct ClusterGuard {
    name: String,
}

impl ClusterGuard {
    /// The name has `what` and the process id. By this form `cargo xtask test` finds the clusters of killed tests.
    pub(crate) fn new(what: &str) -> Self {
        let guard = Self { name: format!("t-{what}-{}", std::process::id()) };
        down(&guard.name, &mut |_| ()).expect("no left-overs");
        guard
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// The cluster's folder, which may not exist.
    pub(crate) fn folder(&self) -> PathBuf {
        let base = std::env::var_os("XDG_STATE_HOME").map(PathBuf::from).filter(|path| path.is_absolute());
        let home = || PathBuf::from(std::env::var_os("HOME").expect("a home")).join(".local/state");
        base.unwrap_or_else(home).join("thinkube-host/cluster").join(&self.name)
    }

    /// Starts the cluster. `None`, and the test is counted as skipped, where this machine cannot have it.
    #[track_caller]
    pub(crate) fn up(&self, node: Node) -> Option<Cluster> {
        self.up_with(node, &[])
    }

    #[track_caller]
    pub(crate) fn up_with(&self, node: Node, parts: &[Addon]) -> Option<Cluster> {
        if let Some(why) = no_cluster_because() {
            skip(why);
            return None;
        }
        if status(&self.name).expect("a status").health == Health::External {
            skip("the environment names a cluster to use instead of the harness's");
            return None;
        }
        let options = Options { name: self.name.clone(), node, with: parts.iter().copied().collect() };
        match Cluster::up(&options, &mut |progress| println!("{progress}")) {
            Ok(cluster) => Some(cluster),
            Err(Error::Unmet(needs)) => {
                skip(&needs.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "));
                None
            }
            Err(error) => panic!("{error}: {error:?}"),
        }
    }

    pub(crate) fn down(&self) {
        assert!(down(&self.name, &mut |_| ()).expect("down succeeds"), "there was a cluster to take down");
    }
}

impl Drop for ClusterGuard {
    fn drop(&mut self) {
        if let Err(error) = down(&self.name, &mut |_| ()) {
            println!("{error}");
        }
    }
}

/// Runs kubectl with this kubeconfig.
pub(crate) fn kubectl(cluster: &Cluster, kubeconfig: &Path, arguments: &[&str], input: &str) -> Output {
    use std::io::Write as _;
    let mut child = Command::new(cluster.kubectl())
        .args(arguments)
        .env("KUBECONFIG", kubeconfig)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("kubectl starts");
    child.stdin.take().expect("a pipe").write_all(input.as_bytes()).expect("kubectl reads");
    child.wait_with_output().expect("kubectl ends")
}

/// Runs the administrator's kubectl, which must succeed. Returns its output.
pub(crate) fn admin(cluster: &Cluster, arguments: &[&str], input: &str) -> String {
    let output = kubectl(cluster, cluster.kubeconfig(), arguments, input);
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(
        output.status.success(),
        "kubectl {arguments:?}: {}{}",
        text(&output.stdout),
        text(&output.stderr)
    );
    text(&output.stdout)
}

/// Repeats a check until it succeeds.
pub(crate) fn eventually(what: &str, timeout: Duration, mut ask: impl FnMut() -> bool) {
    let begin = Instant::now();
    while !ask() {
        assert!(begin.elapsed() < timeout, "{what} was not there after {timeout:?}");
        std::thread::sleep(Duration::from_millis(200));
    }
}

/// What is on the machine with the cluster's folder or name in it.
pub(crate) fn traces(guard: &ClusterGuard) -> BTreeSet<String> {
    let folder = guard.folder().display().to_string();
    let mut found = BTreeSet::new();
    let mut lines = |kind: &str, text: &str, mark: &str| {
        found.extend(text.lines().filter(|line| line.contains(mark)).map(|line| format!("{kind}: {line}")));
    };
    lines("mount", &fs::read_to_string("/proc/self/mountinfo").expect("mounts"), &folder);
    lines("link", &names("/sys/class/net"), &link(guard));
    lines("netns", &names("/run/netns"), guard.name());
    for hierarchy in names("/sys/fs/cgroup").lines() {
        lines("cgroup", &names(&format!("/sys/fs/cgroup/{hierarchy}")), guard.name());
    }
    lines("cgroup", &names("/sys/fs/cgroup"), guard.name());
    lines("result of CNI", &names("/var/lib/cni/results"), guard.name());
    for entry in fs::read_dir("/proc").expect("processes").flatten() {
        for file in ["cmdline", "environ"] {
            let bytes = fs::read(entry.path().join(file)).unwrap_or_default();
            lines("process", &String::from_utf8_lossy(&bytes).replace('\0', "\n"), &folder);
        }
    }
    if guard.folder().exists() {
        lines("folder", &folder, &folder);
    }
    found
}

/// The name of the cluster's link on the machine, made of the folder's hash.
fn link(guard: &ClusterGuard) -> String {
    use sha2::{Digest, Sha256};
    let folder = guard.folder();
    let folder = folder.as_os_str().as_encoded_bytes();
    let digest =
        Sha256::new().chain_update((folder.len() as u64).to_be_bytes()).chain_update(folder).finalize();
    format!("tk{}", digest[..4].iter().map(|byte| format!("{byte:02x}")).collect::<String>())
}

/// The state of each server.
pub(crate) fn servers(guard: &ClusterGuard) -> Vec<(&'static str, ServerState)> {
    let status = status(guard.name()).expect("a status");
    status.servers.into_iter().map(|server| (server.name, server.state)).collect()
}

/// The machine's links, namespaces, mounts, cgroups and iptables rules.
pub(crate) fn machine() -> BTreeSet<String> {
    let mounts = fs::read_to_string("/proc/self/mountinfo").expect("mounts");
    let points =
        mounts.lines().filter_map(|line| line.split(' ').nth(4)).map(|point| format!("mount {point}"));
    let links = names("/sys/class/net");
    let namespaces = names("/run/netns");
    let cgroups = names("/sys/fs/cgroup")
        .lines()
        .map(|hierarchy| names(&format!("/sys/fs/cgroup/{hierarchy}")))
        .collect::<String>();
    let rules = Command::new("sh")
        .args(["-c", "PATH=$PATH:/usr/sbin:/sbin iptables-save"])
        .output()
        .expect("a shell");
    // Comments hold the time, and chains how many packets have passed.
    let rules: String = String::from_utf8_lossy(&rules.stdout)
        .lines()
        .filter(|line| line.starts_with('-'))
        .map(|line| format!("{line}\n"))
        .collect();
    let listed =
        |kind: &str, list: &str| list.lines().map(|name| format!("{kind} {name}")).collect::<Vec<_>>();
    points
        .chain(listed("link", &links))
        .chain(listed("netns", &namespaces))
        .chain(listed("cgroup", &cgroups))
        .chain(listed("rule", &rules))
        .collect()
}

fn names(folder: &str) -> String {
    let Ok(entries) = fs::read_dir(folder) else { return String::new() };
    entries.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned() + "\n").collect()
}
