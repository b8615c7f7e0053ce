//! Unit tests of the rules.

use super::*;
use serde_json::json;

fn state(object: Value) -> State {
    status(&object, "2026-11-22T12:00:00Z".parse().unwrap()).state
}

fn with(mut object: Value, pointer: &str, value: Value) -> Value {
    *object.pointer_mut(pointer).unwrap() = value;
    object
}

use State::{Current, Failed, InProgress, Terminating};

#[test]
fn a_deletion_timestamp_means_terminating() {
    let object = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"deletionTimestamp": "2026-01-01T00:00:00Z"}});
    assert_eq!(state(object), Terminating);
}

#[test]
fn an_unobserved_generation_is_in_progress() {
    let object = |observed: Value| {
        json!({"apiVersion": "x.io/v1", "kind": "X", "metadata": {"generation": 2},
            "status": {"observedGeneration": observed, "conditions": [{"type": "Ready", "status": "True"}]}})
    };
    assert_eq!(state(object(json!(1))), InProgress);
    assert_eq!(state(object(json!(2))), Current);
    assert_eq!(state(object(json!("1"))), Current);
}

#[test]
fn standard_conditions_apply_to_every_kind() {
    let object = |conditions: Value| json!({"apiVersion": "x.io/v1", "kind": "X", "status": {"conditions": conditions}});
    assert_eq!(state(object(json!([{"type": "Reconciling", "status": "True"}]))), InProgress);
    assert_eq!(state(object(json!([{"type": "Stalled", "status": "True"}]))), Failed);
    assert_eq!(state(object(json!([{"type": "Ready", "status": "True"}]))), Current);
    assert_eq!(state(object(json!([{"type": "Ready", "status": "False"}]))), InProgress);
    assert_eq!(state(object(json!([{"type": "Ready", "status": "Unknown"}]))), InProgress);
    assert_eq!(state(object(json!([]))), Current);
}

fn good_deployment() -> Value {
    json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"generation": 1},
        "spec": {"replicas": 2, "progressDeadlineSeconds": 600, "paused": false},
        "status": {"observedGeneration": 1, "replicas": 2, "updatedReplicas": 2, "readyReplicas": 2, "availableReplicas": 2,
            "conditions": [{"type": "Progressing", "status": "True", "reason": "NewReplicaSetAvailable"},
                {"type": "Available", "status": "True"}]}})
}

#[test]
fn deployments() {
    assert_eq!(state(good_deployment()), Current);
    for (field, value) in [
        ("replicas", 1),
        ("updatedReplicas", 1),
        ("replicas", 3),
        ("availableReplicas", 1),
        ("readyReplicas", 1),
    ] {
        let pointer = format!("/status/{field}");
        assert_eq!(state(with(good_deployment(), &pointer, json!(value))), InProgress, "{field} {value}");
    }
    let late = with(good_deployment(), "/status/conditions/0/reason", json!("ProgressDeadlineExceeded"));
    assert_eq!(state(late), Failed);
    let rolling = with(good_deployment(), "/status/conditions/0/reason", json!("ReplicaSetUpdated"));
    assert_eq!(state(rolling.clone()), InProgress);
    assert_eq!(state(with(rolling, "/spec/progressDeadlineSeconds", json!(i32::MAX))), Current);
    assert_eq!(state(with(good_deployment(), "/status/conditions/1/status", json!("False"))), InProgress);
    let paused = with(good_deployment(), "/status/readyReplicas", json!(0));
    assert_eq!(state(with(paused, "/spec/paused", json!(true))), Current);
    assert_eq!(state(json!({"apiVersion": "apps/v1", "kind": "Deployment", "spec": {}})), InProgress);
}

fn good_stateful_set() -> Value {
    json!({"apiVersion": "apps/v1", "kind": "StatefulSet", "spec": {"replicas": 2,
            "updateStrategy": {"type": "RollingUpdate", "rollingUpdate": {"partition": 0}}},
        "status": {"replicas": 2, "readyReplicas": 2, "currentReplicas": 2, "updatedReplicas": 2,
            "currentRevision": "a", "updateRevision": "a"}})
}

#[test]
fn stateful_sets() {
    assert_eq!(state(good_stateful_set()), Current);
    for (field, value) in [("replicas", 1), ("readyReplicas", 1), ("replicas", 3), ("currentReplicas", 1)] {
        let pointer = format!("/status/{field}");
        assert_eq!(state(with(good_stateful_set(), &pointer, json!(value))), InProgress, "{field} {value}");
    }
    assert_eq!(state(with(good_stateful_set(), "/status/updateRevision", json!("b"))), InProgress);
    let partition = with(good_stateful_set(), "/spec/updateStrategy/rollingUpdate/partition", json!(1));
    let rolled = with(partition, "/status/updateRevision", json!("b"));
    assert_eq!(state(with(rolled.clone(), "/status/updatedReplicas", json!(1))), Current);
    assert_eq!(state(with(rolled, "/status/updatedReplicas", json!(0))), InProgress);
    let manual = with(good_stateful_set(), "/status/readyReplicas", json!(0));
    assert_eq!(state(with(manual, "/spec/updateStrategy/type", json!("OnDelete"))), Current);
}

#[test]
fn daemon_sets() {
    let good = json!({"apiVersion": "apps/v1", "kind": "DaemonSet", "metadata": {"generation": 1},
        "status": {"observedGeneration": 1, "desiredNumberScheduled": 2, "currentNumberScheduled": 2,
            "updatedNumberScheduled": 2, "numberAvailable": 2, "numberReady": 2}});
    assert_eq!(state(good.clone()), Current);
    for field in ["currentNumberScheduled", "updatedNumberScheduled", "numberAvailable", "numberReady"] {
        assert_eq!(state(with(good.clone(), &format!("/status/{field}"), json!(1))), InProgress, "{field}");
    }
    assert_eq!(state(with(good.clone(), "/status/desiredNumberScheduled", Value::Null)), InProgress);
    assert_eq!(state(with(good, "/status/observedGeneration", Value::Null)), InProgress);
}

#[test]
fn replica_sets() {
    let good = json!({"apiVersion": "apps/v1", "kind": "ReplicaSet", "spec": {"replicas": 1}, "status": {"replicas": 1,
        "fullyLabeledReplicas": 1, "availableReplicas": 1, "readyReplicas": 1, "conditions": []}});
    assert_eq!(state(good.clone()), Current);
    for (field, value) in
        [("fullyLabeledReplicas", 0), ("availableReplicas", 0), ("readyReplicas", 0), ("replicas", 2)]
    {
        assert_eq!(
            state(with(good.clone(), &format!("/status/{field}"), json!(value))),
            InProgress,
            "{field}"
        );
    }
    let failure = json!([{"type": "ReplicaFailure", "status": "True"}]);
    assert_eq!(state(with(good, "/status/conditions", failure)), InProgress);
}

#[test]
fn a_job_is_current_when_its_work_is_done_not_when_it_starts() {
    let job = |conditions: Value| {
        json!({"apiVersion": "batch/v1", "kind": "Job", "spec": {"suspend": false},
            "status": {"startTime": "2026-01-01T00:00:00Z", "conditions": conditions}})
    };
    assert_eq!(state(job(json!([]))), InProgress);
    assert_eq!(state(job(json!([{"type": "SuccessCriteriaMet", "status": "True"}]))), InProgress);
    assert_eq!(state(job(json!([{"type": "Complete", "status": "True"}]))), Current);
    assert_eq!(state(job(json!([{"type": "Failed", "status": "True"}]))), Failed);
    assert_eq!(state(job(json!([{"type": "FailureTarget", "status": "True"}]))), Failed);
    assert_eq!(state(with(job(json!([])), "/spec/suspend", json!(true))), Current);
}

#[test]
fn pods() {
    let pod = |status: Value| json!({"apiVersion": "v1", "kind": "Pod", "metadata": {}, "status": status});
    let crash = json!([{"name": "c", "state": {"waiting": {"reason": "CrashLoopBackOff"}}}]);
    let ready = json!([{"type": "Ready", "status": "True"}]);
    let unschedulable = |since: &str| {
        json!({"phase": "Pending", "conditions": [{"type": "PodScheduled", "status": "False",
            "reason": "Unschedulable", "lastTransitionTime": since}]})
    };
    assert_eq!(state(pod(json!({"phase": "Succeeded"}))), Current);
    assert_eq!(state(pod(json!({"phase": "Failed"}))), Failed);
    assert_eq!(state(pod(json!({"phase": "Running", "conditions": ready}))), Current);
    assert_eq!(state(pod(json!({"phase": "Running", "containerStatuses": crash}))), Failed);
    assert_eq!(state(pod(json!({"phase": "Running"}))), InProgress);
    assert_eq!(state(pod(json!({"phase": "Pending"}))), InProgress);
    assert_eq!(state(pod(unschedulable("2026-11-22T11:59:50Z"))), InProgress);
    assert_eq!(state(pod(unschedulable("2026-11-22T11:59:00Z"))), Failed);
    assert_eq!(state(pod(json!({}))), InProgress);
    let mut of_job = pod(json!({"phase": "Failed"}));
    of_job["metadata"]["ownerReferences"] = json!([{"kind": "Job"}]);
    assert_eq!(state(of_job), Current);
}

#[test]
fn claims_services_and_namespaces() {
    let object = |kind: &str, spec: Value, status: Value| json!({"apiVersion": "v1", "kind": kind, "spec": spec, "status": status});
    assert_eq!(state(object("PersistentVolumeClaim", json!({}), json!({"phase": "Bound"}))), Current);
    assert_eq!(state(object("PersistentVolumeClaim", json!({}), json!({"phase": "Pending"}))), InProgress);
    assert_eq!(state(object("Service", json!({"type": "LoadBalancer"}), json!({}))), InProgress);
    assert_eq!(
        state(object("Service", json!({"type": "LoadBalancer", "clusterIP": "10.0.0.1"}), json!({}))),
        Current
    );
    assert_eq!(state(object("Service", json!({}), json!({}))), Current);
    assert_eq!(state(object("Namespace", json!({}), json!({"phase": "Active"}))), Current);
    assert_eq!(state(object("Namespace", json!({}), json!({}))), InProgress);
    assert_eq!(state(object("Secret", json!({}), json!({}))), Current);
}

#[test]
fn definitions_and_api_services() {
    let definition = |conditions: Value| json!({"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition", "status": {"conditions": conditions}});
    assert_eq!(state(definition(json!([]))), InProgress);
    assert_eq!(state(definition(json!([{"type": "Established", "status": "True"}]))), Current);
    assert_eq!(
        state(definition(json!([{"type": "Established", "status": "False", "reason": "Installing"}]))),
        InProgress
    );
    assert_eq!(state(definition(json!([{"type": "Established", "status": "False", "reason": "X"}]))), Failed);
    assert_eq!(state(definition(json!([{"type": "NamesAccepted", "status": "False"}]))), Failed);
    let service = |status: &str| {
        json!({"apiVersion": "apiregistration.k8s.io/v1", "kind": "APIService",
            "status": {"conditions": [{"type": "Available", "status": status}]}})
    };
    assert_eq!((state(service("True")), state(service("False"))), (Current, InProgress));
}

#[test]
fn a_container_in_trouble_is_told_in_every_state_of_its_crash_loop() {
    let lines = |container: Value| -> Vec<String> {
        let pod = json!({"status": {"containerStatuses": [container]}});
        troubled_containers(&pod).into_iter().map(|(_, line)| line).collect()
    };
    let ended = json!({"terminated": {"exitCode": 7, "reason": "Error"}});
    let waiting = json!({"name": "c", "state": {"waiting": {"reason": "CrashLoopBackOff", "message": "back-off 10s"}}, "lastState": ended});
    assert_eq!(lines(waiting), ["container c: CrashLoopBackOff: back-off 10s; it ended with exit code 7"]);
    assert_eq!(
        lines(json!({"name": "c", "state": ended})),
        ["container c: Error: it ended with exit code 7"]
    );
    let again =
        json!({"name": "c", "ready": false, "restartCount": 2, "state": {"running": {}}, "lastState": ended});
    assert_eq!(
        lines(again.clone()),
        ["container c: started again 2 times; it ended with exit code 7 before"]
    );
    let mut ready = again;
    ready["ready"] = json!(true);
    for fine in [
        ready,
        json!({"name": "c", "state": {"waiting": {"reason": "ContainerCreating"}}}),
        json!({"name": "c", "state": {"terminated": {"exitCode": 0, "reason": "Completed"}}}),
    ] {
        assert_eq!(lines(fine), Vec::<String>::new());
    }
}
