//! What the cluster keeps of a release: an ApplySet parent with the inventory, and the plans of its revisions.
//!
//! The parent is a ConfigMap: nothing in it is secret, so who may look at releases needs no right to read Secrets.

use crate::Error;
use crate::api::client::{ApiRequest, Cluster};
use crate::api::status::StatusKind;
use crate::discovery::{ApiResource, array};
use crate::progress::Events;
use crate::progress::quiet;
use crate::release::applyset;
use crate::release::record::{BuiltImage, Entry, Phase, PodFilesEntry, Release};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use flate2::read::{GzDecoder, GzEncoder};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::io::Read as _;
use thinkube_plan::{Digest, ExternalStep, Plan};

/// A ConfigMap holds 1 MiB at most.
const CHUNK: usize = 700 << 10;
/// An inventory above this is kept compressed.
const PLAIN: usize = 512 << 10;
/// What a compressed document may become: nothing that this host writes is larger.
const MOST_INFLATED: u64 = 256 << 20;
const KEPT_REVISIONS: u32 = 10;
const RELEASE: &str = "thinkube.org/release";
const REVISION_OF: &str = "thinkube.org/revision-of";
const REVISION: &str = "thinkube.org/revision";
const EXTERNAL: &str = "external.json";
const POD_FILES: &str = "pod-files.json";
const IMAGES: &str = "images.json";

/// The parent without the inventory.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Record {
    pub(crate) name: String,
    pub(crate) namespace: String,
    pub(crate) revision: u32,
    pub(crate) phase: Phase,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) message: Option<String>,
    pub(crate) digest: Digest,
    /// Into how many ConfigMaps the revision's plan is cut.
    pub(crate) chunks: usize,
    pub(crate) updated: String,
    /// Says which write it was: a write whose answer got lost can be told from another host's.
    pub(crate) write: String,
}

/// The parent as it was read.
#[derive(Debug, Clone)]
pub(crate) struct Stored {
    pub(crate) record: Record,
    pub(crate) inventory: Vec<Entry>,
    /// Every resource outside the cluster that may exist: what it takes to find and remove it, and no secret.
    pub(crate) external: Vec<ExternalStep>,
    /// Every file and line that may be in running pods.
    pub(crate) pod_files: Vec<PodFilesEntry>,
    pub(crate) images: Vec<BuiltImage>,
    pub(crate) resource_version: String,
    pub(crate) uid: String,
}

pub(crate) fn parent_name(release: &str) -> String {
    format!("release-{release}")
}

impl Cluster {
    /// The id that a release's objects carry.
    pub fn applyset_id(&self, release: &str) -> String {
        applyset::id(&parent_name(release), self.state_namespace(), "ConfigMap", "")
    }

    pub(crate) async fn stored(&self, release: &str) -> Result<Option<Stored>, Error> {
        let name = parent_name(release);
        match self.get(&ApiResource::config_map(), Some(self.state_namespace()), &name).await? {
            Some(parent) => read(release, &parent).map(Some),
            None => Ok(None),
        }
    }

    /// Every release's record that can be read: one that cannot must not hide the others. Who asks for it by name is
    /// told.
    pub(crate) async fn all_stored(&self) -> Result<Vec<Stored>, Error> {
        let found = self
            .list(
                &ApiResource::config_map(),
                Some(self.state_namespace()),
                &[("labelSelector", RELEASE)],
                false,
            )
            .await?;
        Ok(readable(&found))
    }

    /// The plan of a revision.
    pub(crate) async fn plan_of(&self, record: &Record) -> Result<Plan, Error> {
        let corrupt = |message: String| Error::Corrupt {
            release: record.name.clone(),
            what: format!("revision {}", record.revision),
            message,
        };
        let mut packed = Vec::new();
        for chunk in 0..record.chunks {
            let name = chunk_name(&record.name, record.revision, chunk);
            let found = self.get(&ApiResource::config_map(), Some(self.state_namespace()), &name).await?;
            let found = found
                .ok_or_else(|| corrupt(format!("ConfigMap {}/{name} is gone", self.state_namespace())))?;
            let text = found["binaryData"]["plan.json.gz"].as_str().unwrap_or_default();
            packed.extend(STANDARD.decode(text).map_err(|error| corrupt(error.to_string()))?);
        }
        let bytes = inflate(&packed).map_err(|error| corrupt(error.to_string()))?;
        if Digest::of(&bytes) != record.digest {
            return Err(corrupt("its digest is not the recorded one".into()));
        }
        serde_json::from_slice(&bytes).map_err(|error| corrupt(error.to_string()))
    }

    /// Writes a plan down as a revision and answers into how many parts. Parts that an apply left behind which died
    /// before its record was written are replaced.
    pub(crate) async fn write_revision(
        &self,
        plan: &Plan,
        revision: u32,
        events: Events<'_>,
    ) -> Result<usize, Error> {
        let mut packed = Vec::new();
        let bytes = plan.bytes();
        GzEncoder::new(bytes.as_slice(), flate2::Compression::default()).read_to_end(&mut packed).map_err(
            |error| Error::Corrupt {
                release: plan.release.clone(),
                what: "plan".into(),
                message: error.to_string(),
            },
        )?;
        let kind = ApiResource::config_map();
        let chunks: Vec<&[u8]> = packed.chunks(CHUNK).collect();
        for (index, chunk) in chunks.iter().enumerate() {
            let name = chunk_name(&plan.release, revision, index);
            let body = json!({"apiVersion": "v1", "kind": "ConfigMap", "immutable": true,
                "metadata": {"name": name, "namespace": self.state_namespace(), "labels": {REVISION_OF: plan.release,
                    REVISION: revision.to_string(), "app.kubernetes.io/managed-by": "thinkube-host"}},
                "binaryData": {"plan.json.gz": STANDARD.encode(chunk)}});
            let ask = ApiRequest::create(&kind, Some(self.state_namespace()), &body);
            let reply = self.call(&ask, events).await?;
            match reply.answered.class {
                StatusKind::Done => {}
                StatusKind::AlreadyExists => {
                    if let Some(old) = self.get(&kind, Some(self.state_namespace()), &name).await? {
                        let uid = old["metadata"]["uid"].as_str().unwrap_or_default();
                        let object = kind.object(Some(self.state_namespace()), &name);
                        self.must(&ApiRequest::delete(&kind, &object, uid, "Background"), events).await?;
                    }
                    self.must(&ask, events).await?;
                }
                _ => return Err(self.refusal(&ask, reply).await),
            }
        }
        Ok(chunks.len())
    }

    /// Deletes all revisions but the newest.
    pub(crate) async fn drop_old_revisions(&self, release: &str, newest: u32) -> Result<(), Error> {
        let mut chunks = self.revisions(release).await?;
        chunks.retain(|chunk| {
            let number =
                chunk["metadata"]["labels"][REVISION].as_str().and_then(|text| text.parse::<u32>().ok());
            number.is_none_or(|number| number + KEPT_REVISIONS <= newest)
        });
        self.drop_revisions(&chunks).await
    }

    /// The parts of all revisions, without their data.
    pub(crate) async fn revisions(&self, release: &str) -> Result<Vec<Value>, Error> {
        let selector = format!("{REVISION_OF}={release}");
        self.list(
            &ApiResource::config_map(),
            Some(self.state_namespace()),
            &[("labelSelector", &selector)],
            true,
        )
        .await
    }

    /// Deletes these very parts; not those that another apply has put in their place since they were listed.
    pub(crate) async fn drop_revisions(&self, chunks: &[Value]) -> Result<(), Error> {
        let kind = ApiResource::config_map();
        for chunk in chunks {
            let name = chunk["metadata"]["name"].as_str().unwrap_or_default();
            let uid = chunk["metadata"]["uid"].as_str().unwrap_or_default();
            let ask = ApiRequest::delete(
                &kind,
                &kind.object(Some(self.state_namespace()), name),
                uid,
                "Background",
            );
            let reply = self.call(&ask, &quiet).await?;
            if !matches!(
                reply.answered.class,
                StatusKind::Done | StatusKind::Absent { .. } | StatusKind::LostRace
            ) {
                return Err(self.refusal(&ask, reply).await);
            }
        }
        Ok(())
    }

    /// Writes the parent, if nobody else has since it was read. `stored.resource_version` is empty for a new one.
    pub(crate) async fn write_parent(&self, stored: &mut Stored, events: Events<'_>) -> Result<(), Error> {
        stored.record.updated = format!("{:.0}", self.now());
        stored.record.write = format!("{:016x}", rand::random::<u64>());
        let (kind, name) = (ApiResource::config_map(), parent_name(&stored.record.name));
        let body = self.parent(stored);
        let ask = if stored.resource_version.is_empty() {
            ApiRequest::create(&kind, Some(self.state_namespace()), &body)
        } else {
            ApiRequest::replace(&kind, Some(self.state_namespace()), &name, &body)
        };
        let reply = self.call(&ask, events).await?;
        let written = match reply.answered.class {
            StatusKind::Done => reply.value("write the release's record")?,
            StatusKind::LostRace | StatusKind::AlreadyExists | StatusKind::Absent { .. } => {
                let release = stored.record.name.clone();
                let found = self.get(&kind, Some(self.state_namespace()), &name).await?;
                let ours = found.as_ref().and_then(|found| read(&release, found).ok());
                match (found, ours) {
                    (Some(found), Some(ours)) if ours.record.write == stored.record.write => found,
                    _ => return Err(Error::LostRace { what: format!("the record of release {release}") }),
                }
            }
            _ => return Err(self.refusal(&ask, reply).await),
        };
        let text = |field: &str| written["metadata"][field].as_str().unwrap_or_default().to_owned();
        (stored.resource_version, stored.uid) = (text("resourceVersion"), text("uid"));
        Ok(())
    }

    fn parent(&self, stored: &Stored) -> Value {
        let members = || stored.inventory.iter().map(|entry| &entry.object);
        let mut body = json!({
            "apiVersion": "v1", "kind": "ConfigMap",
            "metadata": {
                "name": parent_name(&stored.record.name), "namespace": self.state_namespace(),
                "labels": {applyset::ID: self.applyset_id(&stored.record.name), RELEASE: stored.record.name,
                    "app.kubernetes.io/managed-by": "thinkube-host"},
                "annotations": {applyset::TOOLING: applyset::OUR_TOOLING,
                    applyset::GROUP_KINDS: applyset::group_kinds(members()),
                    applyset::NAMESPACES: applyset::namespaces(members(), self.state_namespace())},
            },
            "data": {"release.json": json!(stored.record).to_string()},
        });
        if !stored.external.is_empty() {
            body["data"][EXTERNAL] = json!(json!(stored.external).to_string());
        }
        if !stored.pod_files.is_empty() {
            body["data"][POD_FILES] = json!(json!(stored.pod_files).to_string());
        }
        if !stored.images.is_empty() {
            body["data"][IMAGES] = json!(json!(stored.images).to_string());
        }
        if !stored.resource_version.is_empty() {
            body["metadata"]["resourceVersion"] = json!(stored.resource_version);
        }
        let inventory = json!(stored.inventory).to_string();
        if inventory.len() <= PLAIN {
            body["data"]["inventory.json"] = json!(inventory);
        } else {
            let mut packed = Vec::new();
            // Reading from memory into memory does not fail.
            let _ =
                GzEncoder::new(inventory.as_bytes(), flate2::Compression::default()).read_to_end(&mut packed);
            body["binaryData"] = json!({"inventory.json.gz": STANDARD.encode(packed)});
        }
        body
    }

    pub(crate) async fn full(&self, stored: Stored) -> Result<Release, Error> {
        let plan = self.plan_of(&stored.record).await?;
        Ok(self.released(stored, plan))
    }

    pub(crate) fn released(&self, stored: Stored, plan: Plan) -> Release {
        let Stored { record, inventory, external, pod_files, images, .. } = stored;
        Release {
            applyset_id: self.applyset_id(&record.name),
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
}

fn chunk_name(release: &str, revision: u32, chunk: usize) -> String {
    format!("release-{release}.v{revision}.{chunk}")
}

fn inflate(packed: &[u8]) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    GzDecoder::new(packed).take(MOST_INFLATED).read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn readable(parents: &[Value]) -> Vec<Stored> {
    let read = |parent: &Value| {
        let release = parent["metadata"]["labels"][RELEASE].as_str().unwrap_or("?");
        read(release, parent)
            .inspect_err(|error| tracing::debug!(%error, "a release's record is left out"))
            .ok()
    };
    parents.iter().filter_map(read).collect()
}

fn read(release: &str, parent: &Value) -> Result<Stored, Error> {
    let corrupt = |what: &str, message: String| Error::Corrupt {
        release: release.to_owned(),
        what: what.to_owned(),
        message,
    };
    let tooling = parent["metadata"]["annotations"][applyset::TOOLING].as_str().unwrap_or_default();
    if tooling.rsplit_once('/').map(|(tool, _)| tool) != Some("thinkube-host") {
        let message = format!(
            "ConfigMap {} belongs to another tool (`{}: {tooling}`)",
            parent["metadata"]["name"].as_str().unwrap_or("?"),
            applyset::TOOLING
        );
        return Err(corrupt("parent", message));
    }
    let text = parent["data"]["release.json"].as_str().unwrap_or_default();
    let record = serde_json::from_str(text).map_err(|error| corrupt("release.json", error.to_string()))?;
    let inventory = match parent["data"]["inventory.json"].as_str() {
        Some(text) => text.as_bytes().to_vec(),
        None => {
            let text = parent["binaryData"]["inventory.json.gz"].as_str().unwrap_or_default();
            let packed = STANDARD.decode(text).map_err(|error| corrupt("inventory", error.to_string()))?;
            inflate(&packed).map_err(|error| corrupt("inventory", error.to_string()))?
        }
    };
    let inventory =
        serde_json::from_slice(&inventory).map_err(|error| corrupt("inventory", error.to_string()))?;
    let external = parent["data"][EXTERNAL].as_str().map_or(Ok(Vec::new()), serde_json::from_str);
    let external = external.map_err(|error| corrupt(EXTERNAL, error.to_string()))?;
    let pod_files = parent["data"][POD_FILES].as_str().map_or(Ok(Vec::new()), serde_json::from_str);
    let pod_files = pod_files.map_err(|error| corrupt(POD_FILES, error.to_string()))?;
    let images = parent["data"][IMAGES].as_str().map_or(Ok(Vec::new()), serde_json::from_str);
    let images = images.map_err(|error| corrupt(IMAGES, error.to_string()))?;
    let meta = |field: &str| parent["metadata"][field].as_str().unwrap_or_default().to_owned();
    let (resource_version, uid) = (meta("resourceVersion"), meta("uid"));
    Ok(Stored { record, inventory, external, pod_files, images, resource_version, uid })
}

/// Makes the home namespace if it is missing.
pub(crate) async fn ensure_state_namespace(cluster: &Cluster, events: Events<'_>) -> Result<(), Error> {
    let kind = ApiResource::namespace();
    let ask = ApiRequest::get(&kind, None, cluster.state_namespace());
    let reply = cluster.call(&ask, events).await?;
    match reply.answered.class {
        StatusKind::Done => {
            let live = reply.value("read the home namespace")?;
            if live["metadata"]["deletionTimestamp"].is_string() {
                return Err(Error::Terminating { namespace: cluster.state_namespace().to_owned() });
            }
            Ok(())
        }
        // Who may not read namespaces may still work in one that is there.
        StatusKind::Forbidden => Ok(()),
        StatusKind::Absent { .. } => {
            let body = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": cluster.state_namespace(),
                "labels": {"app.kubernetes.io/managed-by": "thinkube-host"}}});
            let ask = ApiRequest::create(&kind, None, &body);
            let reply = cluster.call(&ask, events).await?;
            match reply.answered.class {
                StatusKind::Done | StatusKind::AlreadyExists => Ok(()),
                _ => Err(cluster.refusal(&ask, reply).await),
            }
        }
        _ => Err(cluster.refusal(&ask, reply).await),
    }
}

/// What others wrote of an object's owner.
pub(crate) fn owner_of(object: &Value) -> String {
    let labels = &object["metadata"]["labels"];
    if let Some(id) = labels[applyset::PART_OF].as_str() {
        return format!("part of another ApplySet: {id}");
    }
    if let Some(manager) = labels["app.kubernetes.io/managed-by"].as_str() {
        return format!("managed by {manager}");
    }
    let first =
        array(&object["metadata"]["managedFields"]).first().and_then(|entry| entry["manager"].as_str());
    first.map_or_else(|| "owner unknown".to_owned(), |manager| format!("made with {manager}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_of_another_tool_is_refused() {
        let parent =
            json!({"metadata": {"name": "release-a", "annotations": {applyset::TOOLING: "kubectl/v1.36"}}});
        let error = read("a", &parent).unwrap_err().to_string();
        assert!(error.contains("belongs to another tool") && error.contains("kubectl/v1.36"), "{error}");
    }

    #[test]
    fn a_record_that_cannot_be_read_does_not_hide_the_others() {
        let record = Record {
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

    #[test]
    fn a_packed_inventory_reads_back() {
        let mut packed = Vec::new();
        GzEncoder::new(b"[]".as_slice(), flate2::Compression::default()).read_to_end(&mut packed).unwrap();
        assert_eq!(inflate(&packed).unwrap(), b"[]");
        assert!(inflate(b"no gzip").is_err());
    }
}
