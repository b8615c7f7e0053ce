//! A release as the cluster records it. Field names are read from today's clusters: they must not change.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use thinkube_plan::{Digest, ExternalStep, ObjectRef, OnUninstall, Plan, PodLine};

/// A release as the cluster records it.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Release {
    /// Its name.
    pub name: String,
    /// The namespace that the plan was made for.
    pub namespace: String,
    /// Counted from 1.
    pub revision: u32,
    /// Its phase.
    pub phase: Phase,
    /// Why it is in this phase, where the host knows it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// The plan of the revision.
    pub plan: Plan,
    /// The plan's digest.
    pub digest: Digest,
    /// Every object that may exist.
    pub inventory: Vec<Entry>,
    /// Every external resource that may exist.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub external: Vec<ExternalStep>,
    /// Every file and line that may be in running pods.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub pod_files: Vec<PodFilesEntry>,
    /// The images that its applies built or found in the registry.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub images: Vec<BuiltImage>,
    /// The value of the label `applyset.kubernetes.io/part-of` on its objects.
    pub applyset_id: String,
    /// The time of the last write of the record, RFC 3339.
    pub updated: String,
}

/// The phase of a release.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Phase {
    /// An apply runs, or died.
    Applying,
    /// The last apply ended well.
    Deployed,
    /// The last apply failed.
    Failed,
    /// A person interrupted the last apply.
    Interrupted,
    /// An operation runs, or died.
    Operating,
    /// An uninstall runs, or died.
    Uninstalling,
}

impl std::fmt::Display for Phase {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Applying => "applying",
            Self::Deployed => "deployed",
            Self::Failed => "failed",
            Self::Interrupted => "interrupted",
            Self::Operating => "operating",
            Self::Uninstalling => "uninstalling",
        })
    }
}

/// An image that an apply has built, or found in the registry.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct BuiltImage {
    /// The name of its step.
    pub name: String,
    /// The git URL, or the path of the folder.
    pub source: String,
    /// The commit, or the hash of the folder's content.
    pub commit: String,
    /// `REGISTRY/REPOSITORY@DIGEST`.
    pub reference: String,
}

/// An object in the inventory.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Entry {
    /// The object.
    pub object: ObjectRef,
    /// None until the server has answered the apply.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uid: Option<String>,
    /// The name of the stage that applies it.
    pub stage: String,
    /// Its phase.
    pub phase: EntryPhase,
    /// What an uninstall does to it.
    pub on_uninstall: OnUninstall,
    /// None for a confidential object: a hash lets a reader test guesses of its values.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fingerprint: Option<Fingerprint>,
}

/// The phase of an object in the inventory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum EntryPhase {
    /// It may exist.
    Pending,
    /// The server has accepted it.
    Applied,
    /// It was ready once.
    Ready,
    /// The stage was skipped, so it was not applied.
    Skipped,
    /// A Namespace that another owner created. It is used and never deleted.
    Used,
    /// The plan no longer has it, and it is retained.
    Retained,
}

/// Files and lines that a release may have in running pods.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PodFilesEntry {
    /// The step's name.
    pub step: String,
    /// The name of the stage that writes them.
    pub stage: String,
    /// The pods' namespace.
    pub namespace: String,
    /// The label selector of the pods.
    pub label_selector: String,
    /// The container. None: the first one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub container: Option<String>,
    /// By path, the digests of the contents that the release may have written, the latest first.
    pub files: BTreeMap<String, Vec<Digest>>,
    /// Lines in files that the release does not own.
    pub lines: Vec<PodLine>,
    /// Whether the stage was skipped, so that nothing was written.
    #[serde(default)]
    pub skipped: bool,
}

/// Two hashes by which an apply sees whether an object must be written (docs/decisions/0002).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Fingerprint {
    /// Of the object as it was sent, in hex.
    pub desired: String,
    /// Of the fields that the host manages, as the server answered them, in hex.
    pub live: String,
}
