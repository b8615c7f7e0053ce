//! Why an object is not ready: the conditions of the object, the state of its pods, and events.

use crate::api::client::Client;
use crate::api::resource::{ApiResource, array};
use crate::readiness::kstatus::{format_condition, troubled_containers};
use serde_json::Value;

const MAX_REASONS: usize = 6;
/// In characters.
const MAX_REASON: usize = 400;
/// The object and some of its pods. Each costs a request.
const MAX_WITH_EVENTS: usize = 4;
/// A container that has crashed so often is taken as failed for good. kstatus fails it at the first crash.
const MAX_CRASHES: i64 = 5;

/// Why an object is not ready.
pub(crate) struct Explanation {
    /// The most telling first.
    pub(crate) reasons: Vec<String>,
    /// Whether a container keeps crashing.
    pub(crate) hopeless: bool,
}

/// Explains an object that is not ready. Reads that fail only leave reasons out.
pub(crate) async fn explain(client: &Client, object: &Value) -> Explanation {
    let pods = pods_of(client, object).await;
    let hopeless = pods.iter().any(keeps_crashing);
    let mut reasons: Vec<String> = pods.iter().flat_map(pod_reasons).collect();
    for condition in array(&object["status"]["conditions"]) {
        let bad = condition["status"] == "False" || condition["type"] == "ReplicaFailure";
        if bad && condition["message"].as_str().is_some_and(|message| !message.is_empty()) {
            reasons.push(format_condition(condition));
        }
    }
    for subject in std::iter::once(object).chain(&pods).take(MAX_WITH_EVENTS) {
        reasons.extend(last_warning(client, subject).await);
    }
    reasons.dedup();
    let short = |reason: String| reason.chars().take(MAX_REASON).collect();
    Explanation { reasons: reasons.into_iter().take(MAX_REASONS).map(short).collect(), hopeless }
}

/// Whether a PersistentVolumeClaim is bound only when a pod uses it. A wait for it before the pod would never end.
pub(crate) async fn waits_for_first_consumer(
    client: &Client,
    pvc: &Value,
    storage_classes: &mut Option<Vec<Value>>,
) -> bool {
    if storage_classes.is_none() {
        // A user without the right to read StorageClasses still sees its events.
        let classes = client.list(&ApiResource::storage_class(), None, &[], false).await;
        *storage_classes = Some(classes.unwrap_or_default());
    }
    let wanted = pvc["spec"]["storageClassName"].as_str();
    let class = storage_classes.iter().flatten().find(|class| match wanted {
        Some(name) => class["metadata"]["name"] == name,
        None => class["metadata"]["annotations"]["storageclass.kubernetes.io/is-default-class"] == "true",
    });
    match class {
        Some(class) => class["volumeBindingMode"] == "WaitForFirstConsumer",
        None => {
            let events = events_of(client, pvc).await;
            events.last().is_some_and(|event| event["reason"] == "WaitForFirstConsumer")
        }
    }
}

/// `spec.selector.matchLabels` as a label selector.
pub(crate) fn selector(object: &Value) -> Option<String> {
    let labels = object["spec"]["selector"]["matchLabels"].as_object().filter(|labels| !labels.is_empty())?;
    let pairs = labels.iter().filter_map(|(key, value)| Some(format!("{key}={}", value.as_str()?)));
    Some(pairs.collect::<Vec<_>>().join(","))
}

async fn pods_of(client: &Client, object: &Value) -> Vec<Value> {
    let kinds = ["Deployment", "StatefulSet", "DaemonSet", "ReplicaSet", "Job"];
    let has_pods = kinds.iter().any(|kind| object["kind"] == *kind);
    let (true, Some(selector)) = (has_pods, selector(object)) else { return Vec::new() };
    let namespace = object["metadata"]["namespace"].as_str();
    let selectors = [("labelSelector", selector.as_str())];
    client.list(&ApiResource::pod(), namespace, &selectors, false).await.unwrap_or_default()
}

fn keeps_crashing(pod: &Value) -> bool {
    let lists = ["containerStatuses", "initContainerStatuses"];
    let containers = lists.iter().flat_map(|list| array(&pod["status"][*list]));
    let restarts = containers.filter_map(|container| container["restartCount"].as_i64()).max();
    restarts.unwrap_or(0) >= MAX_CRASHES
        && troubled_containers(pod).iter().any(|(reason, _)| reason == "CrashLoopBackOff")
}

fn pod_reasons(pod: &Value) -> Vec<String> {
    let name = pod["metadata"]["name"].as_str().unwrap_or("?");
    let containers = troubled_containers(pod).into_iter().map(|(_, line)| format!("pod {name}, {line}"));
    let unscheduled = array(&pod["status"]["conditions"])
        .iter()
        .filter(|condition| condition["type"] == "PodScheduled" && condition["status"] == "False")
        .map(|condition| format!("pod {name}: {}", format_condition(condition)));
    containers.chain(unscheduled).collect()
}

/// The newest warning; of a PersistentVolumeClaim the newest event, because its provisioner reports with normal events.
async fn last_warning(client: &Client, object: &Value) -> Option<String> {
    let events = events_of(client, object).await;
    let is_pvc = object["kind"] == "PersistentVolumeClaim";
    let event = events.iter().rfind(|event| event["type"] == "Warning" || is_pvc)?;
    let text = |field: &str| event[field].as_str().unwrap_or_default();
    Some(format!("event {}: {}", text("reason"), text("message")))
}

/// The events of an object, the newest last. Empty where they may not be read.
async fn events_of(client: &Client, object: &Value) -> Vec<Value> {
    let Some(uid) = object["metadata"]["uid"].as_str() else { return Vec::new() };
    // Events of cluster-scoped objects are in the namespace `default`.
    let namespace = object["metadata"]["namespace"].as_str().or(Some("default"));
    let selector = format!("involvedObject.uid={uid}");
    let selectors = [("fieldSelector", selector.as_str())];
    let mut events =
        client.list(&ApiResource::event(), namespace, &selectors, false).await.unwrap_or_default();
    events.sort_by_key(|event| {
        let text = |field: &str| event[field].as_str().filter(|text| !text.is_empty()).map(str::to_owned);
        text("lastTimestamp").or_else(|| text("eventTime")).unwrap_or_default()
    });
    events
}
