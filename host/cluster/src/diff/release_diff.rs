//! What a comparison found: the planned objects, each with what an apply would do to it.

use crate::api::key::ObjectKey;
use crate::diff::target::Target;
use crate::error::diff::ForeignObject;
use crate::readiness::kstatus::{State, status};
use crate::release::record::{BuiltImage, Entry, Phase, PodFilesEntry};
use crate::release::stored::StoredRelease;
use crate::secrets::value::ComposeError;
use k8s_openapi::jiff::Timestamp;
use serde_json::Value;
use std::collections::HashMap;
use thinkube_plan::{Action, Change, Digest, ExternalStep, OnUninstall};

/// How the cluster's object differs from the planned one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ObjectDiff {
    /// It does not exist.
    Create,
    /// It differs.
    Update,
    /// It exists, and the plan says create-only.
    Keep,
    Unchanged,
    /// The last apply skipped its stage.
    Skipped,
    /// A Namespace of another owner, which the release uses and does not own.
    Shared,
    /// Another owner has it: an apply needs the operator's word.
    NotOwned,
}

impl ObjectDiff {
    /// Whether an apply of its stage writes the object.
    pub(crate) fn writes(self) -> bool {
        match self {
            Self::Create | Self::Update | Self::Skipped | Self::NotOwned => true,
            Self::Keep | Self::Unchanged | Self::Shared => false,
        }
    }
}

/// An object of the plan, compared.
pub(crate) struct PlannedObject {
    pub(crate) target: Target,
    pub(crate) diff: ObjectDiff,
    /// Why the object cannot be composed now.
    pub(crate) missing: Option<ComposeError>,
}

/// How a plan and the cluster differ.
pub struct ReleaseDiff {
    pub(crate) digest: Digest,
    pub(crate) stored: Option<StoredRelease>,
    /// In the order of the plan.
    pub(crate) objects: Vec<PlannedObject>,
    /// The release's objects in the cluster. Holds the values of Secrets: never shown.
    pub(crate) live: HashMap<ObjectKey, Value>,
    /// Objects of the inventory that the plan no longer has.
    pub(crate) gone: Vec<Entry>,
    pub(crate) not_owned: Vec<ForeignObject>,
    /// The files in running pods.
    pub(crate) pod_files: Vec<Change>,
}

impl ReleaseDiff {
    /// Whether an apply would write nothing at all.
    pub fn up_to_date(&self) -> bool {
        let deployed = self.stored.as_ref().is_some_and(|stored| {
            stored.record.phase == Phase::Deployed && stored.record.digest == self.digest
        });
        // The objects of a skipped stage are written only if its `skip-if` no longer holds.
        let writes = |object: &PlannedObject| object.diff.writes() && object.diff != ObjectDiff::Skipped;
        deployed
            && self.gone.is_empty()
            && !self.objects.iter().any(writes)
            && !self.pod_files.iter().any(|change| change.action.writes())
    }

    /// Stages whose Jobs have all ended: only the stage's `skip-if` can tell whether their work still exists.
    pub fn worked_stages(&self) -> Vec<&str> {
        // The state of an ended Job does not depend on the time.
        let in_progress = |live: &Value| status(live, Timestamp::UNIX_EPOCH).state == State::InProgress;
        let ended = |object: &&PlannedObject| {
            let target = &object.target;
            object.diff == ObjectDiff::Unchanged
                && target.kind.is("batch", "Job")
                && !self.live.get(&target.key()).is_some_and(in_progress)
        };
        self.objects.iter().filter(ended).map(|object| object.target.stage_name.as_str()).collect()
    }

    /// Stages that the last apply skipped, sorted. The comparison takes their `skip-if` for true.
    pub fn skipped_stages(&self) -> Vec<&str> {
        let skipped = self.objects.iter().filter(|object| object.diff == ObjectDiff::Skipped);
        let mut names: Vec<&str> = skipped.map(|object| object.target.stage_name.as_str()).collect();
        let files = self.stored_pod_files().iter().filter(|entry| entry.skipped);
        names.extend(files.map(|entry| entry.stage.as_str()));
        names.sort_unstable();
        names.dedup();
        names
    }

    /// External resources that the release may have.
    pub fn external(&self) -> &[ExternalStep] {
        self.stored.as_ref().map(|stored| stored.external.as_slice()).unwrap_or_default()
    }

    /// The images of the release's last apply.
    pub fn images(&self) -> &[BuiltImage] {
        self.stored.as_ref().map(|stored| stored.images.as_slice()).unwrap_or_default()
    }

    /// Existing objects that the release does not own.
    pub fn not_owned(&self) -> &[ForeignObject] {
        &self.not_owned
    }

    pub(crate) fn stored_pod_files(&self) -> &[PodFilesEntry] {
        self.stored.as_ref().map(|stored| stored.pod_files.as_slice()).unwrap_or_default()
    }

    pub(crate) fn entry(&self, key: &ObjectKey) -> Option<&Entry> {
        self.stored.as_ref()?.entry(key)
    }
}

/// What an apply does to an object that the plan no longer has.
pub(crate) fn gone_action(entry: &Entry) -> Action {
    match entry.on_uninstall {
        OnUninstall::Delete => Action::Delete,
        OnUninstall::Retain => Action::Keep,
    }
}
