//! A release's record as the host reads and writes it. Field names are read from today's clusters: they must not change.

use crate::api::key::ObjectKey;
use crate::release::record::{BuiltImage, Entry, Phase, PodFilesEntry};
use serde::{Deserialize, Serialize};
use thinkube_plan::{Digest, ExternalStep};

/// The record without the inventory.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ReleaseRecord {
    pub(crate) name: String,
    pub(crate) namespace: String,
    pub(crate) revision: u32,
    pub(crate) phase: Phase,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) message: Option<String>,
    pub(crate) digest: Digest,
    /// The number of ConfigMaps that hold the revision's plan.
    pub(crate) chunks: usize,
    /// RFC 3339.
    pub(crate) updated: String,
    /// A random number for each write, so that a write with a lost answer is told from another host's.
    pub(crate) write: String,
}

/// The record as it was read.
#[derive(Debug, Clone)]
pub(crate) struct StoredRelease {
    pub(crate) record: ReleaseRecord,
    pub(crate) inventory: Vec<Entry>,
    /// Every external resource that may exist: what it takes to find and delete it, without a secret value.
    pub(crate) external: Vec<ExternalStep>,
    /// Every file and line that may be in running pods.
    pub(crate) pod_files: Vec<PodFilesEntry>,
    pub(crate) images: Vec<BuiltImage>,
    /// Empty for a record that was never written.
    pub(crate) resource_version: String,
    pub(crate) uid: String,
}

impl StoredRelease {
    pub(crate) fn entry(&self, key: &ObjectKey) -> Option<&Entry> {
        self.inventory.iter().find(|entry| ObjectKey::of(&entry.object) == *key)
    }

    pub(crate) fn entry_mut(&mut self, key: &ObjectKey) -> Option<&mut Entry> {
        self.inventory.iter_mut().find(|entry| ObjectKey::of(&entry.object) == *key)
    }
}
