//! The plans of a release's revisions: immutable ConfigMaps with parts of a compressed document.

use crate::api::client::Client;
use crate::api::request::ApiRequest;
use crate::api::resource::ApiResource;
use crate::api::status::StatusKind;
use crate::error::Error;
use crate::error::release::ReleaseError;
use crate::progress::{ProgressSink, ignore};
use crate::release::stored::ReleaseRecord;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use flate2::read::{GzDecoder, GzEncoder};
use serde_json::{Value, json};
use std::io::Read as _;
use thinkube_plan::{Digest, Plan};

/// Bytes of one part: a ConfigMap holds at most 1 MiB, and Base64 needs a third more.
const CHUNK: usize = 700 << 10;
/// The longest document after decompression, in bytes. The host writes none that is longer.
const MAX_INFLATED: u64 = 256 << 20;
const MAX_REVISIONS: u32 = 10;
const REVISION_OF: &str = "thinkube.org/revision-of";
const REVISION: &str = "thinkube.org/revision";
const PLAN: &str = "plan.json.gz";

/// The plan of the record's revision.
///
/// # Errors
/// [`ReleaseError::Corrupt`], or why the cluster could not be read.
pub(crate) async fn read_plan(client: &Client, record: &ReleaseRecord) -> Result<Plan, Error> {
    let corrupt = |message: String| ReleaseError::Corrupt {
        release: record.name.clone(),
        what: format!("revision {}", record.revision),
        message,
    };
    let (kind, namespace) = (ApiResource::config_map(), client.state_namespace());
    let mut packed = Vec::new();
    for chunk in 0..record.chunks {
        let name = chunk_name(&record.name, record.revision, chunk);
        let found = client.get(&kind, Some(namespace), &name).await?;
        let found = found.ok_or_else(|| corrupt(format!("ConfigMap {namespace}/{name} does not exist")))?;
        let text = found["binaryData"][PLAN].as_str().unwrap_or_default();
        packed.extend(STANDARD.decode(text).map_err(|error| corrupt(error.to_string()))?);
    }
    let bytes = inflate(&packed).map_err(|error| corrupt(error.to_string()))?;
    if Digest::of(&bytes) != record.digest {
        return Err(corrupt("its digest is not the recorded one".into()).into());
    }
    Ok(serde_json::from_slice(&bytes).map_err(|error| corrupt(error.to_string()))?)
}

/// Writes a plan as a revision and returns the number of its parts. Parts of an apply that died before it wrote the record
/// are replaced.
pub(crate) async fn write_revision(
    client: &Client,
    plan: &Plan,
    revision: u32,
    progress: ProgressSink<'_>,
) -> Result<usize, Error> {
    let packed = deflate(&plan.bytes());
    let (kind, namespace) = (ApiResource::config_map(), Some(client.state_namespace()));
    let chunks: Vec<&[u8]> = packed.chunks(CHUNK).collect();
    for (index, chunk) in chunks.iter().enumerate() {
        let name = chunk_name(&plan.release, revision, index);
        let body = json!({"apiVersion": "v1", "kind": "ConfigMap", "immutable": true,
            "metadata": {"name": name, "namespace": namespace, "labels": {REVISION_OF: plan.release,
                REVISION: revision.to_string(), "app.kubernetes.io/managed-by": "thinkube-host"}},
            "binaryData": {PLAN: STANDARD.encode(chunk)}});
        let request = ApiRequest::create(&kind, namespace, &body);
        let response = client.request(&request, progress).await?;
        match response.status.kind {
            StatusKind::Success => {}
            StatusKind::AlreadyExists => {
                if let Some(old) = client.get(&kind, namespace, &name).await? {
                    let uid = old["metadata"]["uid"].as_str().unwrap_or_default();
                    let delete = ApiRequest::delete(&kind, &kind.object(namespace, &name), uid, "Background");
                    client.request_ok(&delete, progress).await?;
                }
                client.request_ok(&request, progress).await?;
            }
            _ => return Err(client.error_from(&request, response).await.into()),
        }
    }
    Ok(chunks.len())
}

/// The parts of all revisions of a release, without their data.
pub(crate) async fn list_revisions(client: &Client, release: &str) -> Result<Vec<Value>, Error> {
    let selector = format!("{REVISION_OF}={release}");
    let selectors = [("labelSelector", selector.as_str())];
    Ok(client.list(&ApiResource::config_map(), Some(client.state_namespace()), &selectors, true).await?)
}

/// Deletes all but the newest revisions.
pub(crate) async fn delete_old_revisions(client: &Client, release: &str, newest: u32) -> Result<(), Error> {
    let mut chunks = list_revisions(client, release).await?;
    chunks.retain(|chunk| {
        let revision =
            chunk["metadata"]["labels"][REVISION].as_str().and_then(|text| text.parse::<u32>().ok());
        revision.is_none_or(|revision| revision + MAX_REVISIONS <= newest)
    });
    delete_revisions(client, &chunks).await
}

/// Deletes these parts by their UIDs: another apply may have written parts of the same name since they were listed.
pub(crate) async fn delete_revisions(client: &Client, chunks: &[Value]) -> Result<(), Error> {
    let kind = ApiResource::config_map();
    for chunk in chunks {
        let name = chunk["metadata"]["name"].as_str().unwrap_or_default();
        let uid = chunk["metadata"]["uid"].as_str().unwrap_or_default();
        let object = kind.object(Some(client.state_namespace()), name);
        let request = ApiRequest::delete(&kind, &object, uid, "Background");
        let response = client.request(&request, &ignore).await?;
        match response.status.kind {
            StatusKind::Success | StatusKind::NotFound { .. } | StatusKind::LostRace => {}
            _ => return Err(client.error_from(&request, response).await.into()),
        }
    }
    Ok(())
}

pub(crate) fn deflate(bytes: &[u8]) -> Vec<u8> {
    let mut packed = Vec::new();
    // A read from memory into memory does not fail.
    let _ = GzEncoder::new(bytes, flate2::Compression::default()).read_to_end(&mut packed);
    packed
}

pub(crate) fn inflate(packed: &[u8]) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    GzDecoder::new(packed).take(MAX_INFLATED).read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn chunk_name(release: &str, revision: u32, chunk: usize) -> String {
    format!("release-{release}.v{revision}.{chunk}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packed_bytes_read_back() {
        assert_eq!(inflate(&deflate(b"[]")).expect("the bytes are gzip"), b"[]");
        assert!(inflate(b"no gzip").is_err());
    }
}
