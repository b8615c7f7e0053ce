//! `up` killed in the middle, at any point: `down` finds everything. `cargo xtask sweep` takes all moments; other runs take a
//! sample, which a seed repeats.
//!
//! This test binary runs itself: a process that is to be killed can't be a thread of the test.

use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use crate::common::{ClusterGuard, machine, traces};
use thinkube_test_cluster::{Addon, Cluster, Health, KUBECONFIG_VARIABLE, Node, Options, down, sample, seed};

const NAME: &str = "THINKUBE_HARNESS_TEST_NAME";
const NODE: &str = "THINKUBE_HARNESS_TEST_NODE";

/// With a node come these. Not Keycloak: it starts as the others do, and takes three times as long.
const PARTS: [Addon; 2] = [Addon::Registry, Addon::Ingress];

/// What the other tests start as a process of its own.
#[test]
#[ignore = "a part of another test"]
fn the_process_that_the_other_tests_start() {
    let name = std::env::var(NAME).expect("a name, which only another test gives");
    let options = match std::env::var_os(NODE) {
        Some(_) => Options { name, node: Node::Required, with: PARTS.into() },
        None => Options { name, node: Node::Never, ..Options::default() },
    };
    let result = Cluster::up(&options, &mut |progress| println!("{progress}"));
    println!("{result:?}");
    assert!(result.is_ok());
}

fn child(name: &str, node: Node) -> Command {
    let mut command = Command::new(std::env::current_exe().expect("the path of this program"));
    command
        .args(["--exact", "interrupted::the_process_that_the_other_tests_start", "--ignored", "--nocapture"])
        .env(NAME, name);
    if node == Node::Required {
        command.env(NODE, "1");
    }
    command
}

fn start(name: &str, node: Node) -> Child {
    child(name, node).stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("a process")
}

/// Milliseconds from nothing to a second after the whole start, evenly spread, each a little off as the seed says.
fn moments(count: u64, whole: Duration) -> Vec<u64> {
    let whole = u64::try_from(whole.as_millis()).expect("seconds") + 1000;
    (0..count).map(|n| whole * n / count + seed().wrapping_mul(97 + n) % 200).collect()
}

#[test]
fn a_cluster_whose_start_was_killed_is_taken_down_completely() {
    for (node, parts, times, sampled) in [(Node::Never, &[][..], 6, 2), (Node::Required, &PARTS[..], 20, 3)] {
        let guard = ClusterGuard::new("kill");
        // Programs and images are there afterwards, so that the times below are those of the start itself.
        let Some(cluster) = guard.up_with(node, parts) else { continue };
        drop(cluster);
        guard.down();
        let before = machine();
        let begin = Instant::now();
        assert!(start(guard.name(), node).wait().expect("an end").success());
        let whole = begin.elapsed();
        guard.down();
        for after in sample(&format!("a start killed, {node:?}"), moments(times, whole), sampled) {
            let mut process = start(guard.name(), node);
            thread::sleep(Duration::from_millis(after));
            process.kill().expect("a signal");
            process.wait().expect("an end");
            // There may be nothing yet.
            down(guard.name(), &mut |_| ()).expect("down succeeds");
            assert_eq!(traces(&guard), [].into(), "{node:?}, killed after {after} ms");
            let left: Vec<_> = machine()
                .difference(&before)
                .filter(|name| name.contains(guard.name()) || name.starts_with("rule"))
                .cloned()
                .collect();
            assert!(left.is_empty(), "{node:?}, killed after {after} ms: {left:?}");
        }
    }
}

#[test]
fn two_starts_at_once_make_one_cluster() {
    let guard = ClusterGuard::new("race");
    if guard.up(Node::Never).is_none() {
        return;
    }
    guard.down();
    let mut processes = [start(guard.name(), Node::Never), start(guard.name(), Node::Never)];
    for process in &mut processes {
        assert!(process.wait().expect("an end").success());
    }
    let state = thinkube_test_cluster::status(guard.name()).expect("a status");
    assert!(state.servers.len() == 4 && state.health == Health::Running, "{state:?}");
}

#[test]
fn an_existing_kubeconfig_is_used_and_nothing_is_started() {
    let guard = ClusterGuard::new("external");
    let folder = tempfile::tempdir().expect("a temporary folder");
    let kubeconfig = folder.path().join("theirs");
    std::fs::write(&kubeconfig, "apiVersion: v1\nkind: Config\n").expect("a file");
    let run = |path: &std::path::Path| {
        let output =
            child(guard.name(), Node::Never).env(KUBECONFIG_VARIABLE, path).output().expect("an end");
        (output.status.success(), String::from_utf8_lossy(&output.stdout).into_owned())
    };
    let (good, output) = run(&kubeconfig);
    assert!(
        good && output.contains("nothing is started") && output.contains(&*kubeconfig.to_string_lossy()),
        "{output}"
    );
    let (good, output) = run(&folder.path().join("missing"));
    assert!(!good && output.contains("Kubeconfig"), "{output}");
    assert_eq!(traces(&guard), [].into());
}
