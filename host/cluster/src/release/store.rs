//! The record of a release: a ConfigMap, which is the parent of the release's ApplySet, with the inventory.
//!
//! A ConfigMap and not a Secret, because the record holds no secret value and its readers need no right on Secrets. It must
//! not hold one.

use crate::api::client::Client;
use crate::api::request::ApiRequest;
use crate::api::resource::{ApiResource, check_name};
use crate::api::status::StatusKind;
use crate::error::Error;
use crate::error::api::ApiError;
use crate::error::release::ReleaseError;
use crate::progress::ProgressSink;
use crate::release::applyset;
use crate::release::name::check_release_name;
use crate::release::record::Release;
use crate::release::revisions;
use crate::release::stored::StoredRelease;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use thinkube_plan::Plan;

/// An inventory that is larger, in bytes, is stored compressed: a ConfigMap holds at most 1 MiB.
const MAX_PLAIN_INVENTORY: usize = 512 << 10;
const RELEASE: &str = "thinkube.org/release";
const RECORD: &str = "release.json";
const INVENTORY: &str = "inventory.json";
const PACKED_INVENTORY: &str = "inventory.json.gz";
const EXTERNAL: &str = "external.json";
const POD_FILES: &str = "pod-files.json";
const IMAGES: &str = "images.json";

/// The name of a release's record and of its Lease.
pub(crate) fn parent_name(release: &str) -> String {
    format!("release-{release}")
}

/// The ApplySet id of a release: the value of the label on its objects.
pub(crate) fn applyset_id(client: &Client, release: &str) -> String {
    applyset::id(&parent_name(release), client.state_namespace(), "ConfigMap", "")
}

/// The record of a release. None: it is not installed.
pub(crate) async fn get(client: &Client, release: &str) -> Result<Option<StoredRelease>, Error> {
    let name = parent_name(release);
    // A name that a person mistyped is not a fault of a plan.
    if check_name("ConfigMap", &name).is_err() {
        check_release_name(release)?;
    }
    let parent = client.get(&ApiResource::config_map(), Some(client.state_namespace()), &name).await?;
    Ok(parent.map(|parent| read(release, &parent)).transpose()?)
}

/// Every record that can be read. The others are left out with a warning in the log, so that one bad record does not hide
/// the rest.
pub(crate) async fn list(client: &Client) -> Result<Vec<StoredRelease>, Error> {
    let selector = [("labelSelector", RELEASE)];
    let namespace = Some(client.state_namespace());
    let parents = client.list(&ApiResource::config_map(), namespace, &selector, false).await?;
    Ok(readable(&parents))
}

/// The release of that name with its plan. None: it is not installed.
pub(crate) async fn release(client: &Client, name: &str) -> Result<Option<Release>, Error> {
    match get(client, name).await? {
        Some(stored) => with_plan(client, stored).await.map(Some),
        None => Ok(None),
    }
}

/// Every release whose record and plan can be read, by name. The others are left out with a warning in the log.
pub(crate) async fn releases(client: &Client) -> Result<Vec<Release>, Error> {
    let mut releases = Vec::new();
    for stored in list(client).await? {
        match with_plan(client, stored).await {
            Ok(release) => releases.push(release),
            Err(Error::Release(error @ ReleaseError::Corrupt { .. })) => warn_skipped(&error),
            Err(error) => return Err(error),
        }
    }
    releases.sort_by(|one, other| one.name.cmp(&other.name));
    Ok(releases)
}

/// Writes the record, if no other host has since it was read.
///
/// # Errors
/// [`ApiError::LostRace`], or why the server refuses the write.
pub(crate) async fn write(
    client: &Client,
    stored: &mut StoredRelease,
    progress: ProgressSink<'_>,
) -> Result<(), Error> {
    stored.record.updated = format!("{:.0}", client.now());
    stored.record.write = format!("{:016x}", rand::random::<u64>());
    let (kind, name) = (ApiResource::config_map(), parent_name(&stored.record.name));
    let namespace = Some(client.state_namespace());
    let body = parent(client, stored);
    let request = match stored.resource_version.as_str() {
        "" => ApiRequest::create(&kind, namespace, &body),
        _ => ApiRequest::replace(&kind, namespace, &name, &body),
    };
    let response = client.request(&request, progress).await?;
    let written = match response.status.kind {
        StatusKind::Success => response.value("write the release's record")?,
        StatusKind::LostRace | StatusKind::AlreadyExists | StatusKind::NotFound { .. } => {
            let release = &stored.record.name;
            let found = client.get(&kind, namespace, &name).await?;
            let is_ours = |parent: &Value| {
                read(release, parent).is_ok_and(|read| read.record.write == stored.record.write)
            };
            found.filter(is_ours).ok_or_else(|| lost_race(release))?
        }
        _ => return Err(client.error_from(&request, response).await.into()),
    };
    let text = |field: &str| written["metadata"][field].as_str().unwrap_or_default().to_owned();
    (stored.resource_version, stored.uid) = (text("resourceVersion"), text("uid"));
    Ok(())
}

/// The error for a record that another host has written.
pub(crate) fn lost_race(release: &str) -> ApiError {
    ApiError::LostRace { what: format!("the record of release {release}") }
}

/// A record with its plan, as callers of the crate see it.
pub(crate) fn into_release(client: &Client, stored: StoredRelease, plan: Plan) -> Release {
    let StoredRelease { record, inventory, external, pod_files, images, .. } = stored;
    Release {
        applyset_id: applyset_id(client, &record.name),
        name: record.name,
        namespace: record.namespace,
        revision: record.revision,
        phase: record.phase,
        message: record.message,
        plan,
        digest: record.digest,
        inventory,
        external,
        pod_files,
        images,
        updated: record.updated,
    }
}

/// Creates the namespace of the records if it does not exist.
pub(crate) async fn ensure_state_namespace(client: &Client, progress: ProgressSink<'_>) -> Result<(), Error> {
    let (kind, name) = (ApiResource::namespace(), client.state_namespace());
    let request = ApiRequest::get(&kind, None, name);
    let response = client.request(&request, progress).await?;
    match response.status.kind {
        StatusKind::Success => {
            let live = response.value("read the state namespace")?;
            if live["metadata"]["deletionTimestamp"].is_string() {
                return Err(ApiError::Terminating { namespace: name.to_owned() }.into());
            }
            Ok(())
        }
        // A user without the right to read namespaces may still write into an existing one.
        StatusKind::Forbidden => Ok(()),
        StatusKind::NotFound { .. } => {
            let body = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name,
                "labels": {"app.kubernetes.io/managed-by": "thinkube-host"}}});
            let request = ApiRequest::create(&kind, None, &body);
            let response = client.request(&request, progress).await?;
            match response.status.kind {
                StatusKind::Success | StatusKind::AlreadyExists => Ok(()),
                _ => Err(client.error_from(&request, response).await.into()),
            }
        }
        _ => Err(client.error_from(&request, response).await.into()),
    }
}

pub(crate) async fn with_plan(client: &Client, stored: StoredRelease) -> Result<Release, Error> {
    let plan = revisions::read_plan(client, &stored.record).await?;
    Ok(into_release(client, stored, plan))
}

fn parent(client: &Client, stored: &StoredRelease) -> Value {
    let (release, namespace) = (&stored.record.name, client.state_namespace());
    let members = || stored.inventory.iter().map(|entry| &entry.object);
    let mut body = json!({
        "apiVersion": "v1", "kind": "ConfigMap",
        "metadata": {
            "name": parent_name(release), "namespace": namespace,
            "labels": {applyset::ID: applyset_id(client, release), RELEASE: release,
                "app.kubernetes.io/managed-by": "thinkube-host"},
            "annotations": {applyset::TOOLING: applyset::OUR_TOOLING,
                applyset::GROUP_KINDS: applyset::group_kinds(members()),
                applyset::NAMESPACES: applyset::namespaces(members(), namespace)},
        },
        "data": {RECORD: json!(stored.record).to_string()},
    });
    let lists = [
        (EXTERNAL, json!(stored.external)),
        (POD_FILES, json!(stored.pod_files)),
        (IMAGES, json!(stored.images)),
    ];
    for (key, list) in lists.into_iter().filter(|(_, list)| *list != json!([])) {
        body["data"][key] = json!(list.to_string());
    }
    if !stored.resource_version.is_empty() {
        body["metadata"]["resourceVersion"] = json!(stored.resource_version);
    }
    let inventory = json!(stored.inventory).to_string();
    if inventory.len() <= MAX_PLAIN_INVENTORY {
        body["data"][INVENTORY] = json!(inventory);
    } else {
        body["binaryData"] =
            json!({PACKED_INVENTORY: STANDARD.encode(revisions::deflate(inventory.as_bytes()))});
    }
    body
}

fn readable(parents: &[Value]) -> Vec<StoredRelease> {
    let read = |parent: &Value| {
        let release = parent["metadata"]["labels"][RELEASE].as_str().unwrap_or("?");
        read(release, parent).inspect_err(warn_skipped).ok()
    };
    parents.iter().filter_map(read).collect()
}

fn warn_skipped(error: &ReleaseError) {
    tracing::warn!(%error, "a release is left out, because its record cannot be read");
}

fn read(release: &str, parent: &Value) -> Result<StoredRelease, ReleaseError> {
    let corrupt = |what: &str, message: String| ReleaseError::Corrupt {
        release: release.to_owned(),
        what: what.to_owned(),
        message,
    };
    let meta = |field: &str| parent["metadata"][field].as_str().unwrap_or_default().to_owned();
    let tooling = parent["metadata"]["annotations"][applyset::TOOLING].as_str().unwrap_or_default();
    if tooling.rsplit_once('/').map(|(tool, _)| tool) != Some("thinkube-host") {
        let (name, label) = (meta("name"), applyset::TOOLING);
        return Err(corrupt(
            "parent",
            format!("ConfigMap {name} belongs to another tool (`{label}: {tooling}`)"),
        ));
    }
    let text = parent["data"][RECORD].as_str().unwrap_or_default();
    let record = serde_json::from_str(text).map_err(|error| corrupt(RECORD, error.to_string()))?;
    let inventory = inventory_bytes(parent).map_err(|error| corrupt("inventory", error))?;
    let inventory =
        serde_json::from_slice(&inventory).map_err(|error| corrupt("inventory", error.to_string()))?;
    Ok(StoredRelease {
        record,
        inventory,
        external: list_of(parent, EXTERNAL).map_err(|error| corrupt(EXTERNAL, error))?,
        pod_files: list_of(parent, POD_FILES).map_err(|error| corrupt(POD_FILES, error))?,
        images: list_of(parent, IMAGES).map_err(|error| corrupt(IMAGES, error))?,
        resource_version: meta("resourceVersion"),
        uid: meta("uid"),
    })
}

fn inventory_bytes(parent: &Value) -> Result<Vec<u8>, String> {
    if let Some(text) = parent["data"][INVENTORY].as_str() {
        return Ok(text.as_bytes().to_vec());
    }
    let text = parent["binaryData"][PACKED_INVENTORY].as_str().unwrap_or_default();
    let packed = STANDARD.decode(text).map_err(|error| error.to_string())?;
    revisions::inflate(&packed).map_err(|error| error.to_string())
}

/// A list of the record. Records of older hosts do not have every list.
fn list_of<T: DeserializeOwned>(parent: &Value, key: &str) -> Result<Vec<T>, String> {
    let text = parent["data"][key].as_str();
    text.map_or(Ok(Vec::new()), serde_json::from_str).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::release::record::Phase;
    use crate::release::stored::ReleaseRecord;
    use thinkube_plan::Digest;

    #[test]
    fn a_record_of_another_tool_is_refused() {
        let parent =
            json!({"metadata": {"name": "release-a", "annotations": {applyset::TOOLING: "kubectl/v1.36"}}});
        let error = read("a", &parent).unwrap_err().to_string();
        assert!(error.contains("belongs to another tool") && error.contains("kubectl/v1.36"), "{error}");
    }

    #[test]
    fn an_unreadable_record_does_not_hide_the_others() {
        let record = ReleaseRecord {
            name: "b".into(),
            namespace: "b".into(),
            revision: 1,
            phase: Phase::Deployed,
            message: None,
            digest: Digest::of(b""),
            chunks: 1,
            updated: String::new(),
            write: String::new(),
        };
        let parent = |name: &str, record: String| {
            json!({"metadata": {"name": parent_name(name), "labels": {RELEASE: name},
                "annotations": {applyset::TOOLING: applyset::OUR_TOOLING}},
                "data": {"release.json": record, "inventory.json": "[]"}})
        };
        let parents = [parent("a", "{".into()), parent("b", json!(record).to_string()), json!({})];
        let names: Vec<String> = readable(&parents).into_iter().map(|stored| stored.record.name).collect();
        assert_eq!(names, ["b"]);
    }
}
