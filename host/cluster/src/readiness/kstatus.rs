//! Readiness by the rules of kstatus (fluxcd/cli-utils `pkg/kstatus/status`). No crate has them.
//!
//! Over JSON, because typed structs drop the fields that they do not know. A comment says why where a rule differs from
//! kstatus. Long because kstatus has a rule for each kind.

use crate::api::resource::array;
use k8s_openapi::jiff::Timestamp;
use serde_json::Value;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum State {
    Current,
    InProgress,
    Failed,
    Terminating,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Status {
    pub(crate) state: State,
    /// One line, for people.
    pub(crate) message: String,
}

fn current(message: impl Into<String>) -> Status {
    Status { state: State::Current, message: message.into() }
}

fn in_progress(message: impl Into<String>) -> Status {
    Status { state: State::InProgress, message: message.into() }
}

fn failed(message: impl Into<String>) -> Status {
    Status { state: State::Failed, message: message.into() }
}

pub(crate) fn status(object: &Value, now: Timestamp) -> Status {
    if let Some(since) = object["metadata"]["deletionTimestamp"].as_str() {
        let message = format!("being deleted since {since}");
        return Status { state: State::Terminating, message };
    }
    // Argo Rollouts has a string here, which cannot be compared.
    let generations =
        (object["metadata"]["generation"].as_i64(), object["status"]["observedGeneration"].as_i64());
    if let (Some(wanted), Some(observed)) = generations
        && wanted != observed
    {
        return in_progress(format!("generation {wanted} is not observed yet (at {observed})"));
    }
    if let Some(condition) = condition(object, "Reconciling").filter(|condition| is_true(condition)) {
        return in_progress(format_condition(condition));
    }
    if let Some(condition) = condition(object, "Stalled").filter(|condition| is_true(condition)) {
        return failed(format_condition(condition));
    }
    let api_version = object["apiVersion"].as_str().unwrap_or_default();
    let group = api_version.split_once('/').map_or("", |(group, _)| group);
    match (group, object["kind"].as_str().unwrap_or_default()) {
        ("apps", "Deployment") => deployment(object),
        ("apps", "StatefulSet") => stateful_set(object),
        ("apps", "DaemonSet") => daemon_set(object),
        ("apps", "ReplicaSet") => replica_set(object),
        ("batch", "Job") => job(object),
        ("", "Pod") => pod(object, now),
        ("", "PersistentVolumeClaim") => pvc(object),
        ("", "Service") => service(object),
        ("", "Namespace") => namespace(object),
        ("apiextensions.k8s.io", "CustomResourceDefinition") => custom_resource_definition(object),
        ("apiregistration.k8s.io", "APIService") => by_condition(object, "Available"),
        ("batch", "CronJob") | ("", "Secret" | "ConfigMap") | ("policy", "PodDisruptionBudget") => {
            current("exists")
        }
        _ if condition(object, "Ready").is_some() => by_condition(object, "Ready"),
        _ => current("exists"),
    }
}

pub(crate) fn condition<'a>(object: &'a Value, kind: &str) -> Option<&'a Value> {
    array(&object["status"]["conditions"]).iter().find(|condition| condition["type"] == kind)
}

fn is_true(condition: &Value) -> bool {
    condition["status"] == "True"
}

/// A condition as `Ready=False (Reason): message`.
pub(crate) fn format_condition(condition: &Value) -> String {
    let text = |field: &str| condition[field].as_str().unwrap_or_default();
    let mut line = format!("{}={}", text("type"), text("status"));
    if !text("reason").is_empty() {
        line.push_str(&format!(" ({})", text("reason")));
    }
    if !text("message").is_empty() {
        line.push_str(&format!(": {}", text("message")));
    }
    line
}

fn by_condition(object: &Value, kind: &str) -> Status {
    match condition(object, kind) {
        Some(condition) if is_true(condition) => current(format_condition(condition)),
        Some(condition) => in_progress(format_condition(condition)),
        None => in_progress(format!("condition {kind} does not exist yet")),
    }
}

fn number(object: &Value, pointer: &str, default: i64) -> i64 {
    object.pointer(pointer).and_then(Value::as_i64).unwrap_or(default)
}

fn deployment(object: &Value) -> Status {
    let progressing = condition(object, "Progressing");
    if let Some(condition) = progressing.filter(|condition| condition["reason"] == "ProgressDeadlineExceeded")
    {
        return failed(format_condition(condition));
    }
    // kstatus never takes a paused Deployment for current. Its operator does not wait for it.
    if object["spec"]["paused"] == true {
        return current("paused: the host does not wait for its rollout");
    }
    let wanted = number(object, "/spec/replicas", 1);
    let [replicas, updated, ready, available] =
        ["replicas", "updatedReplicas", "readyReplicas", "availableReplicas"]
            .map(|field| number(object, &format!("/status/{field}"), 0));
    if wanted > replicas {
        return in_progress(format!("{replicas} of {wanted} replicas are created"));
    }
    if wanted > updated {
        return in_progress(format!("{updated} of {wanted} replicas are updated"));
    }
    if replicas > wanted {
        return in_progress(format!("{} old replicas still exist", replicas - wanted));
    }
    if updated > available {
        return in_progress(format!("{available} of {updated} replicas are available"));
    }
    if wanted > ready {
        return in_progress(format!("{ready} of {wanted} replicas are ready"));
    }
    let deadline = object.pointer("/spec/progressDeadlineSeconds").and_then(Value::as_i64);
    let has_deadline = deadline.is_some_and(|seconds| seconds != i64::from(i32::MAX));
    let complete = |condition: &&Value| is_true(condition) && condition["reason"] == "NewReplicaSetAvailable";
    if has_deadline && progressing.filter(complete).is_none() {
        return in_progress("the new ReplicaSet is not available yet");
    }
    match condition(object, "Available") {
        Some(condition) if is_true(condition) => current(format!("{ready} of {wanted} replicas are ready")),
        Some(condition) => in_progress(format_condition(condition)),
        None => in_progress("condition Available does not exist yet"),
    }
}

fn stateful_set(object: &Value) -> Status {
    if object["spec"]["updateStrategy"]["type"] == "OnDelete" {
        return current("its pods are updated when they are deleted (OnDelete)");
    }
    let wanted = number(object, "/spec/replicas", 1);
    let [replicas, updated, ready, running] =
        ["replicas", "updatedReplicas", "readyReplicas", "currentReplicas"]
            .map(|field| number(object, &format!("/status/{field}"), 0));
    if wanted > replicas {
        return in_progress(format!("{replicas} of {wanted} replicas are created"));
    }
    if wanted > ready {
        return in_progress(format!("{ready} of {wanted} replicas are ready"));
    }
    if replicas > wanted {
        return in_progress(format!("{} replicas are still to be deleted", replicas - wanted));
    }
    if let Some(partition) =
        object.pointer("/spec/updateStrategy/rollingUpdate/partition").and_then(Value::as_i64)
        && partition > 0
    {
        if updated < wanted - partition {
            return in_progress(format!("{updated} of {} replicas are updated", wanted - partition));
        }
        return current(format!("its partition is rolled out; {updated} replicas are updated"));
    }
    if wanted > running {
        return in_progress(format!("{running} of {wanted} replicas are of the current revision"));
    }
    if object["status"]["currentRevision"] != object["status"]["updateRevision"] {
        return in_progress(format!("{updated} of {wanted} replicas are updated"));
    }
    current(format!("{ready} of {wanted} replicas are ready"))
}

fn daemon_set(object: &Value) -> Status {
    if object["metadata"]["generation"].is_null() || object["status"]["observedGeneration"].is_null() {
        return in_progress("its generation is not observed yet");
    }
    let Some(wanted) = object.pointer("/status/desiredNumberScheduled").and_then(Value::as_i64) else {
        return in_progress("the number of its pods is not known yet");
    };
    let fields = [
        ("currentNumberScheduled", "scheduled"),
        ("updatedNumberScheduled", "updated"),
        ("numberAvailable", "available"),
        ("numberReady", "ready"),
    ];
    for (field, word) in fields {
        let found = number(object, &format!("/status/{field}"), 0);
        if wanted > found {
            return in_progress(format!("{found} of {wanted} pods are {word}"));
        }
    }
    current(format!("{wanted} of {wanted} pods are ready"))
}

fn replica_set(object: &Value) -> Status {
    if let Some(condition) = condition(object, "ReplicaFailure").filter(|condition| is_true(condition)) {
        return in_progress(format_condition(condition));
    }
    let wanted = number(object, "/spec/replicas", 1);
    let fields = [
        ("fullyLabeledReplicas", "labelled"),
        ("availableReplicas", "available"),
        ("readyReplicas", "ready"),
    ];
    for (field, word) in fields {
        let found = number(object, &format!("/status/{field}"), 0);
        if wanted > found {
            return in_progress(format!("{found} of {wanted} replicas are {word}"));
        }
    }
    let replicas = number(object, "/status/replicas", 0);
    if replicas > wanted {
        return in_progress(format!("{} replicas are still to be deleted", replicas - wanted));
    }
    current(format!("{wanted} of {wanted} replicas are ready"))
}

/// kstatus takes a started Job for current. A stage waits for the work of the Job.
fn job(object: &Value) -> Status {
    for kind in ["Failed", "FailureTarget"] {
        if let Some(condition) = condition(object, kind).filter(|condition| is_true(condition)) {
            return failed(format_condition(condition));
        }
    }
    if condition(object, "Complete").is_some_and(is_true) {
        return current("complete");
    }
    if object["spec"]["suspend"] == true {
        return current("suspended");
    }
    let [active, succeeded, failures] =
        ["active", "succeeded", "failed"].map(|field| number(object, &format!("/status/{field}"), 0));
    let wanted = number(object, "/spec/completions", 1);
    in_progress(format!("{succeeded} of {wanted} pods succeeded, {active} run, {failures} failed"))
}

fn pod(object: &Value, now: Timestamp) -> Status {
    let phase = object["status"]["phase"].as_str().unwrap_or_default();
    match phase {
        "Succeeded" => current("succeeded"),
        "Failed" => {
            let by_job =
                array(&object["metadata"]["ownerReferences"]).iter().any(|owner| owner["kind"] == "Job");
            let reason = object["status"]["reason"].as_str().unwrap_or("its containers ended with an error");
            // kstatus takes a failed pod for current. The Job decides about its own pods.
            if by_job { current("failed; its Job decides") } else { failed(format!("failed: {reason}")) }
        }
        "Running" => {
            if condition(object, "Ready").is_some_and(is_true) {
                return current("ready");
            }
            let reasons = troubled_containers(object);
            let crashing = reasons.iter().find(|(reason, _)| reason == "CrashLoopBackOff");
            match (crashing, reasons.first()) {
                (Some((_, line)), _) => failed(line.clone()),
                (None, Some((_, line))) => in_progress(line.clone()),
                (None, None) => in_progress("runs, and is not ready"),
            }
        }
        "Pending" => {
            let unscheduled = condition(object, "PodScheduled")
                .filter(|condition| condition["status"] == "False" && condition["reason"] == "Unschedulable");
            if let Some(condition) = unscheduled {
                let since = condition["lastTransitionTime"].as_str().and_then(|text| text.parse().ok());
                let long = since.is_some_and(|since: Timestamp| now.duration_since(since).as_secs() > 15);
                return if long {
                    failed(format_condition(condition))
                } else {
                    in_progress(format_condition(condition))
                };
            }
            let reason = troubled_containers(object).into_iter().next().map(|(_, line)| line);
            in_progress(reason.unwrap_or_else(|| "is pending".into()))
        }
        "" => in_progress("has no phase yet"),
        other => in_progress(format!("phase {other}")),
    }
}

/// The containers of a pod with trouble: waiting after their start, ended with an error, or restarted and not ready. Each with
/// the reason and one line for people.
pub(crate) fn troubled_containers(pod: &Value) -> Vec<(String, String)> {
    let statuses = ["initContainerStatuses", "containerStatuses"].map(|list| array(&pod["status"][list]));
    statuses.into_iter().flatten().filter_map(trouble).collect()
}

fn trouble(container: &Value) -> Option<(String, String)> {
    let name = container["name"].as_str().unwrap_or("?");
    let text = |pointer: &str| container.pointer(pointer).and_then(Value::as_str);
    let code = |state: &str| {
        let code = container.pointer(&format!("/{state}/terminated/exitCode")).and_then(Value::as_i64);
        code.filter(|code| *code != 0)
    };
    if let Some(reason) = text("/state/waiting/reason") {
        if matches!(reason, "PodInitializing" | "ContainerCreating") {
            return None;
        }
        let mut line = format!("container {name}: {reason}");
        if let Some(message) = text("/state/waiting/message") {
            line.push_str(&format!(": {message}"));
        }
        if let Some(code) = code("lastState") {
            line.push_str(&format!("; it ended with exit code {code}"));
        }
        return Some((reason.to_owned(), line));
    }
    if let Some(code) = code("state") {
        let reason = text("/state/terminated/reason").unwrap_or("Error");
        return Some((
            reason.to_owned(),
            format!("container {name}: {reason}: it ended with exit code {code}"),
        ));
    }
    let restarts = container["restartCount"].as_i64().unwrap_or(0);
    if let Some(code) = code("lastState")
        && container["ready"] != true
    {
        let line = format!(
            "container {name}: started again {restarts} times; it ended with exit code {code} before"
        );
        return Some(("Restarted".to_owned(), line));
    }
    None
}

fn pvc(object: &Value) -> Status {
    match object["status"]["phase"].as_str() {
        Some("Bound") => current("bound"),
        Some(phase) => in_progress(format!("{}, not bound to a volume yet", phase.to_lowercase())),
        None => in_progress("not bound to a volume yet"),
    }
}

fn service(object: &Value) -> Status {
    let balanced = object["spec"]["type"] == "LoadBalancer";
    if balanced && object["spec"]["clusterIP"].as_str().unwrap_or_default().is_empty() {
        return in_progress("has no cluster address yet");
    }
    current("exists")
}

/// kstatus has no rule for a Namespace and takes any for current.
fn namespace(object: &Value) -> Status {
    match object["status"]["phase"].as_str() {
        Some("Active") => current("active"),
        _ => in_progress("not active yet"),
    }
}

fn custom_resource_definition(object: &Value) -> Status {
    if let Some(condition) =
        condition(object, "NamesAccepted").filter(|condition| condition["status"] == "False")
    {
        return failed(format_condition(condition));
    }
    match condition(object, "Established") {
        Some(condition) if is_true(condition) => current("established"),
        Some(condition) if condition["status"] == "False" && condition["reason"] != "Installing" => {
            failed(format_condition(condition))
        }
        Some(condition) => in_progress(format_condition(condition)),
        None => in_progress("not established yet"),
    }
}

#[cfg(test)]
mod tests;
