//! Pods and what kubectl does with them.

use crate::fixtures::{PAGE, PORT, apply, kubectl, open_site, run, toolbox, wait};
use serde_json::json;
use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Command, Stdio};
use thinkube_e2e::{finish, web};
use thinkube_test_cluster::{Addon, TestNamespace};

#[test]
fn a_job_completes_and_its_log_can_be_read() {
    let Some(namespace) = TestNamespace::with([Addon::Node]) else { return };
    let job = |name: &str, script: &str| {
        let container =
            json!({ "name": "main", "image": toolbox(&namespace), "command": ["sh", "-c", script] });
        json!({
            "apiVersion": "batch/v1",
            "kind": "Job",
            "metadata": { "name": name },
            "spec": {
                "backoffLimit": 0,
                "template": { "spec": { "restartPolicy": "Never", "containers": [container] } }
            }
        })
    };
    apply(&namespace, json!([job("good", "echo $((6 * 7))"), job("bad", "echo no >&2; exit 3")]));
    wait(&namespace, "condition=Complete", "job/good");
    assert_eq!(run(&namespace, &["logs", "job/good"]), "42\n");
    wait(&namespace, "condition=Failed", "job/bad");
    assert_eq!(run(&namespace, &["logs", "job/bad"]), "no\n");
}

#[test]
fn kubectl_runs_a_command_in_a_pod_with_its_input_and_its_exit_code() {
    let Some(namespace) = TestNamespace::with([Addon::Node]) else { return };
    open_site(&namespace, "site");
    let script = "read line; echo \"$line back\"; exit 7";
    let mut exec = kubectl(&namespace, &["exec", "--stdin", "site", "--", "sh", "-c", script]);
    let mut exec =
        exec.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("kubectl");
    exec.stdin.take().expect("it is piped").write_all(b"there and\n").expect("it reads");
    let output = exec.wait_with_output().expect("the process ends");
    assert_eq!(
        (output.status.code(), output.stdout.as_slice()),
        (Some(7), &b"there and back\n"[..]),
        "{output:?}"
    );
}

#[test]
fn kubectl_forwards_a_port_of_this_machine_to_a_pod() {
    let Some(namespace) = TestNamespace::with([Addon::Node]) else { return };
    open_site(&namespace, "site");
    let mut forward = kubectl(&namespace, &["port-forward", "pod/site", &format!(":{PORT}")]);
    let mut forward = forward.stdout(Stdio::piped()).spawn().expect("kubectl");
    // Open until the end: kubectl has more to say.
    let mut printed = BufReader::new(forward.stdout.take().expect("it is piped"));
    let mut line = String::new();
    printed.read_line(&mut line).expect("it is text");
    let page = line
        .split(' ')
        .nth(2)
        .map(|address| web::ask(Command::new("curl").arg(format!("http://{address}/"))));
    forward.kill().and_then(|()| forward.wait()).expect("it can be ended");
    assert_eq!(page.expect(&line).expect("the server answers").with(200).body, PAGE);
}

#[test]
fn what_a_pod_says_is_read_while_it_runs() {
    let Some(namespace) = TestNamespace::with([Addon::Node]) else { return };
    let script = "for n in 1 2 3; do echo line $n; done; sleep 600";
    apply(&namespace, json!([crate::fixtures::pod("talks", toolbox(&namespace), &["sh", "-c", script])]));
    wait(&namespace, "condition=Ready", "pod/talks");
    let mut logs = kubectl(&namespace, &["logs", "--follow", "talks"]);
    let mut logs = logs.stdout(Stdio::piped()).spawn().expect("kubectl");
    let lines = BufReader::new(logs.stdout.take().expect("it is piped")).lines().take(3);
    let lines: Vec<String> = lines.map(|line| line.expect("it is text")).collect();
    logs.kill().and_then(|()| logs.wait()).expect("it can be ended");
    assert_eq!(lines, ["line 1", "line 2", "line 3"]);
    finish(&mut kubectl(&namespace, &["logs", "talks", "--tail=1"])).ends_with(0);
}
