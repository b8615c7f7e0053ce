use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use thinkube_plan::{Digest, ExternalStep, ObjectRef, OnUninstall, Plan, PodLine};

/// A release as the cluster records it.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Release {
    /// Its name.
    pub name: String,
    /// Its own namespace.
    pub namespace: String,
    /// Counted from 1.
    pub revision: u32,
    /// How far it is.
    pub phase: Phase,
    /// Why it is not further, where that is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// The plan of the revision.
    pub plan: Plan,
    /// The plan's digest.
    pub digest: Digest,
    /// Every object that may exist.
    pub inventory: Vec<Entry>,
    /// Every resource outside the cluster that may exist.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub external: Vec<ExternalStep>,
    /// Every file and line that may be in running pods.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub pod_files: Vec<PodFilesEntry>,
    /// What the images of its plan were built from, and where they are. They stay there.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub images: Vec<BuiltImage>,
    /// What its objects carry in the label `applyset.kubernetes.io/part-of`.
    pub applyset_id: String,
    /// When the record was written last, RFC 3339.
    pub updated: String,
}

/// How far a release is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Phase {
    /// An apply began and has not ended.
    Applying,
    /// Everything is in place.
    Deployed,
    /// An apply gave up.
    Failed,
    /// An apply was stopped by its user.
    Interrupted,
    /// An operation began and has not ended.
    Operating,
    /// An uninstall began and has not ended.
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
    /// The git URL or the folder.
    pub source: String,
    /// The commit, or the hash of what the folder held.
    pub commit: String,
    /// REGISTRY/REPOSITORY@DIGEST.
    pub reference: String,
}

/// An object in the inventory.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Entry {
    /// Which one.
    pub object: ObjectRef,
    /// None until the server has confirmed it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uid: Option<String>,
    /// The stage that makes it.
    pub stage: String,
    /// How far it is.
    pub phase: EntryPhase,
    /// What happens to it at uninstall.
    pub on_uninstall: OnUninstall,
    /// What was applied and what the server made of it. None for Secrets: a hash of a value can be guessed at.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fingerprint: Option<Fingerprint>,
}

/// How far an object of the inventory is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum EntryPhase {
    /// It may exist.
    Pending,
    /// The server has taken it.
    Applied,
    /// It was ready.
    Ready,
    /// Its stage was found done, so it was not applied.
    Skipped,
    /// Somebody else's object, used as it is and never deleted.
    Used,
    /// The plan no longer has it, and it is kept.
    Retained,
}

/// Files and lines that a release may have in running pods.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PodFilesEntry {
    /// The step's name.
    pub step: String,
    /// The stage that writes them.
    pub stage: String,
    /// The pods' namespace.
    pub namespace: String,
    /// Which pods.
    pub label_selector: String,
    /// None: the first container.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub container: Option<String>,
    /// The digests of the contents that a file may have from the release, by its path, the latest first.
    pub files: BTreeMap<String, Vec<Digest>>,
    /// Lines in files of others.
    pub lines: Vec<PodLine>,
    /// Its stage was found done, so nothing was written.
    #[serde(default)]
    pub skipped: bool,
}

/// Two hashes that tell whether an object has to be written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Fingerprint {
    /// Of the object as it was sent.
    pub desired: String,
    /// Of the fields that the host holds, as the server answered them.
    pub live: String,
}
