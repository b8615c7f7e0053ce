//! Taking objects away: only the release's own, only by UID, and never what holds others' things.

use crate::api::client::Client;
use crate::api::concurrency::MAX_CONCURRENT;
use crate::api::request::{ApiRequest, MANAGER};
use crate::api::resource::{ApiResource, array};
use crate::api::status::StatusKind;
use crate::diff::managed_fields::managed;
use crate::diff::ownership::owner_of;
use crate::error::Error;
use crate::error::api::ApiError;
use crate::error::apply::ApplyError;
use crate::error::delete::DeleteError;
use crate::progress::{Progress, ProgressSink};
use crate::readiness::kstatus::format_condition;
use crate::release::applyset::PART_OF;
use crate::release::record::Entry;
use futures::stream::{self, StreamExt as _};
use serde_json::Value;
use std::time::Duration;
use thinkube_plan::ObjectRef;
use tokio::time::Instant;

/// What became of an object that was to go.
pub(crate) enum Removed {
    Deleted(ObjectRef),
    /// It was not there.
    Absent,
    Kept(ObjectRef, String),
}

/// Deletes objects together and waits until they are gone.
///
/// # Errors
/// [`Error::NotGone`] if some stay. What was asked to go stays asked.
pub(crate) async fn delete_objects(
    client: &Client,
    entries: &[(ApiResource, Entry)],
    applyset: &str,
    deadline: Instant,
    progress: ProgressSink<'_>,
) -> Result<Vec<Removed>, Error> {
    let work =
        entries.iter().map(|(kind, entry)| delete_object(client, kind, entry, applyset, deadline, progress));
    let results: Vec<Result<Removed, Error>> = stream::iter(work).buffered(MAX_CONCURRENT).collect().await;
    let (mut removed, mut stuck, mut errors) = (Vec::new(), Vec::new(), Vec::new());
    let mut waited = Duration::ZERO;
    for result in results {
        match result {
            Ok(done) => removed.push(done),
            Err(Error::Delete(DeleteError::NotGone { objects, after })) => {
                stuck.extend(objects);
                waited = waited.max(after);
            }
            Err(error) => errors.push(error),
        }
    }
    if !stuck.is_empty() {
        errors.insert(0, Error::Delete(DeleteError::NotGone { after: waited, objects: stuck }));
    }
    Error::several(errors).map(|()| removed)
}

async fn delete_object(
    client: &Client,
    kind: &ApiResource,
    entry: &Entry,
    applyset: &str,
    deadline: Instant,
    progress: ProgressSink<'_>,
) -> Result<Removed, Error> {
    let object = &entry.object;
    // Twice: an object may be replaced between the look and the delete.
    for _ in 0..2 {
        let Some(live) = client.get(kind, object.namespace.as_deref(), &object.name).await? else {
            return Ok(Removed::Absent);
        };
        if let Some(why) = not_ours(&live, entry, applyset) {
            progress(Progress::Kept { object: object.clone(), why: why.clone() });
            return Ok(Removed::Kept(object.clone(), why));
        }
        let uid = live["metadata"]["uid"].as_str().unwrap_or_default();
        progress(Progress::Deleting { object: object.clone() });
        let propagation = if kind.is_workload() { "Foreground" } else { "Background" };
        let request = ApiRequest::delete(kind, object, uid, propagation);
        let response = client.request(&request, progress).await?;
        match response.status.kind {
            StatusKind::Success | StatusKind::NotFound { .. } => {
                wait_deleted(client, kind, object, uid, deadline).await?;
                progress(Progress::Deleted { object: object.clone() });
                return Ok(Removed::Deleted(object.clone()));
            }
            StatusKind::LostRace => {}
            StatusKind::Forbidden => {
                let namespace = object.namespace.as_deref();
                if let Ok(true) = client.is_allowed("delete", kind.group(), &kind.plural, namespace).await {
                    let message = response.status.message;
                    return Err(Error::Apply(ApplyError::Denied {
                        object: Box::new(object.clone()),
                        message,
                    }));
                }
                return Err(client.error_from(&request, response).await.into());
            }
            StatusKind::Denied => {
                let message = response.status.message;
                return Err(Error::Apply(ApplyError::Denied { object: Box::new(object.clone()), message }));
            }
            _ => return Err(client.error_from(&request, response).await.into()),
        }
    }
    Err(Error::Api(ApiError::LostRace { what: object.to_string() }))
}

/// Waits until an object that is on its way out is gone.
pub(crate) async fn wait_gone(
    client: &Client,
    kind: &ApiResource,
    object: &ObjectRef,
    timeout: Duration,
) -> Result<(), Error> {
    let live = client.get(kind, object.namespace.as_deref(), &object.name).await?;
    let uid = live.as_ref().and_then(|live| live["metadata"]["uid"].as_str()).unwrap_or_default().to_owned();
    if live.is_none() {
        Ok(())
    } else {
        wait_deleted(client, kind, object, &uid, Instant::now() + timeout).await
    }
}

async fn wait_deleted(
    client: &Client,
    kind: &ApiResource,
    object: &ObjectRef,
    uid: &str,
    deadline: Instant,
) -> Result<(), Error> {
    let started = Instant::now();
    let mut pause = Duration::from_millis(50);
    loop {
        let live = client.get(kind, object.namespace.as_deref(), &object.name).await?;
        let Some(live) = live.filter(|live| live["metadata"]["uid"] == uid) else { return Ok(()) };
        if Instant::now() >= deadline {
            let objects = vec![(object.clone(), holds(&live))];
            return Err(Error::Delete(DeleteError::NotGone { after: started.elapsed(), objects }));
        }
        tokio::time::sleep(pause).await;
        pause = pause.mul_f64(1.6).min(Duration::from_secs(2));
    }
}

/// What is in a namespace besides what the cluster itself puts there, as far as it can be seen. `except` are the
/// objects that are expected.
pub(crate) async fn namespace_contents(
    client: &Client,
    namespace: &str,
    except: &[ObjectRef],
) -> Result<Vec<String>, Error> {
    let kinds: Vec<ApiResource> = client.api_resources().await?.namespaced().cloned().collect();
    let looks = kinds.into_iter().filter(|kind| !is_noise(kind)).map(|kind| async move {
        match client.list(&kind, Some(namespace), &[], true).await {
            Ok(found) => found,
            // What cannot be seen may be somebody's.
            Err(error) => {
                vec![serde_json::json!({"unseen": format!("{} cannot be listed ({error})", kind.resource())})]
            }
        }
    });
    let found: Vec<Vec<Value>> = stream::iter(looks).buffered(MAX_CONCURRENT).collect().await;
    let expected = |object: &ObjectRef| except.iter().any(|known| known.identity() == object.identity());
    let mut named: Vec<String> = Vec::new();
    for object in found.into_iter().flatten() {
        if let Some(unseen) = object["unseen"].as_str() {
            named.push(unseen.to_owned());
        } else if let Some(reference) = ObjectRef::of(&object)
            && !is_made_by_cluster(&object)
            && !expected(&reference)
        {
            named.push(reference.to_string());
        }
    }
    named.sort();
    named.dedup();
    Ok(named)
}

/// Why an object is not to be deleted; None if it is the release's.
fn not_ours(live: &Value, entry: &Entry, applyset: &str) -> Option<String> {
    let labelled = live["metadata"]["labels"][PART_OF].as_str();
    let uid = live["metadata"]["uid"].as_str();
    let same = uid.is_some() && entry.uid.as_deref() == uid;
    match labelled {
        Some(id) if id != applyset => Some(format!("it is now {}", owner_of(live))),
        None if !same => Some(format!("it does not carry the release's label ({})", owner_of(live))),
        // The label alone can be copied with the object; that this host applied it cannot.
        Some(_) if !same && managed(live)["metadata"]["labels"][PART_OF].is_null() => {
            Some(format!("another object has taken its place, and {MANAGER} did not make that one"))
        }
        _ => None,
    }
}

/// What keeps an object whose deletion was asked for.
fn holds(live: &Value) -> String {
    let conditions: Vec<String> = array(&live["status"]["conditions"])
        .iter()
        .filter(|condition| live["kind"] == "Namespace" && condition["status"] == "True")
        .map(format_condition)
        .collect();
    if !conditions.is_empty() {
        return conditions.join("; ");
    }
    let finalizers: Vec<&str> =
        array(&live["metadata"]["finalizers"]).iter().filter_map(Value::as_str).collect();
    if finalizers.is_empty() {
        return "the cluster has not removed it yet".into();
    }
    format!("waiting for {}", finalizers.join(", "))
}

/// Kinds of which everything is derived from other objects.
fn is_noise(kind: &ApiResource) -> bool {
    matches!(kind.group(), "metrics.k8s.io" | "events.k8s.io" | "discovery.k8s.io")
        || kind.is("", "Event")
        || kind.is("", "Endpoints")
        || kind.is("apps", "ControllerRevision")
}

/// An owner that is no controller only says when an object goes, not who made it. A claim holds data, whoever made it.
fn is_made_by_cluster(object: &Value) -> bool {
    let name = object["metadata"]["name"].as_str().unwrap_or_default();
    let owners = array(&object["metadata"]["ownerReferences"]);
    let controlled = owners.iter().any(|owner| owner["controller"] == true);
    match object["kind"].as_str().unwrap_or_default() {
        kind if controlled && kind != "PersistentVolumeClaim" => true,
        "ServiceAccount" => name == "default",
        "ConfigMap" => matches!(name, "kube-root-ca.crt" | "openshift-service-ca.crt"),
        "Secret" => object["metadata"]["annotations"]["kubernetes.io/service-account.name"] == "default",
        _ => object["metadata"]["deletionTimestamp"].is_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::release::record::EntryPhase;
    use serde_json::json;
    use thinkube_plan::OnUninstall;

    fn entry(uid: Option<&str>) -> Entry {
        Entry {
            object: ApiResource::config_map().object(Some("n"), "c"),
            uid: uid.map(str::to_owned),
            stage: "s".into(),
            phase: EntryPhase::Applied,
            on_uninstall: OnUninstall::Delete,
            fingerprint: None,
        }
    }

    fn live(uid: &str, label: Option<&str>, manager: &str) -> Value {
        let mut labels = json!({});
        if let Some(label) = label {
            labels[PART_OF] = json!(label);
        }
        let fields = json!({"f:metadata": {"f:labels": {"f:applyset.kubernetes.io/part-of": {}}}});
        json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c", "uid": uid, "labels": labels,
            "managedFields": [{"manager": manager, "operation": "Apply", "fieldsV1": fields}]}})
    }

    #[test]
    fn only_what_this_host_made_for_this_release_is_deleted() {
        assert_eq!(not_ours(&live("1", Some("me"), MANAGER), &entry(Some("1")), "me"), None);
        assert_eq!(
            not_ours(&live("1", Some("me"), MANAGER), &entry(None), "me"),
            None,
            "died before it was recorded"
        );
        assert_eq!(
            not_ours(&live("1", None, MANAGER), &entry(Some("1")), "me"),
            None,
            "the label was taken off"
        );
        assert!(not_ours(&live("1", Some("other"), MANAGER), &entry(Some("1")), "me").is_some());
        assert!(not_ours(&live("2", Some("me"), "kubectl"), &entry(Some("1")), "me").is_some());
        assert!(not_ours(&live("2", None, "kubectl"), &entry(Some("1")), "me").is_some());
        assert!(not_ours(&live("2", None, "kubectl"), &entry(None), "me").is_some());
    }

    #[test]
    fn only_a_controller_makes_an_object_nobodys() {
        let owned = |kind: &str, owner: Value| json!({"kind": kind, "metadata": {"name": "x", "ownerReferences": [owner]}});
        let (controller, other) = (json!({"controller": true}), json!({"controller": false}));
        assert!(is_made_by_cluster(&owned("Pod", controller.clone())));
        assert!(!is_made_by_cluster(&owned("Secret", other)));
        assert!(!is_made_by_cluster(&owned("Secret", json!({"kind": "Deployment"}))));
        assert!(!is_made_by_cluster(&owned("PersistentVolumeClaim", controller)));
        assert!(is_made_by_cluster(&json!({"kind": "ServiceAccount", "metadata": {"name": "default"}})));
    }

    #[test]
    fn what_holds_an_object_is_said() {
        let held = json!({"kind": "ConfigMap", "metadata": {"finalizers": ["a.io/x"]}});
        assert_eq!(holds(&held), "waiting for a.io/x");
    }
}
