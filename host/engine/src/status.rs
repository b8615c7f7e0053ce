//! The present state of a release: its record, and every object of its inventory. Must not write.

use crate::error::Error;
use futures::StreamExt;
use serde::Serialize;
use thinkube_cluster::{Cluster, Entry, EntryPhase, Release, ReleaseError};
use thinkube_plan::{Probe, Step, nearest_first};

/// Objects that are observed at the same time.
const AT_ONCE: usize = 16;

/// An object of a release, as it is now.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ObjectStatus {
    /// The object as the inventory has it.
    #[serde(flatten)]
    pub entry: Entry,
    /// Whether the object is ready by the rules of kstatus.
    pub ready: bool,
    /// The reason, for a person.
    pub message: String,
}

/// The release of this name.
///
/// # Errors
/// [`Error::Cluster`], also when there is no such release.
pub async fn release(cluster: &Cluster, name: &str) -> Result<Release, Error> {
    match cluster.release(name).await? {
        Some(release) => Ok(release),
        None => {
            let names = cluster.releases().await?.into_iter().map(|release| release.name).collect();
            let near = nearest_first(name, names);
            let state_namespace = cluster.state_namespace().to_owned();
            let error = ReleaseError::NoRelease { release: name.to_owned(), state_namespace, near };
            Err(thinkube_cluster::Error::from(error).into())
        }
    }
}

/// Every object of the inventory, in its order, as it is now. An object that cannot be read is not ready, with the
/// reason.
pub async fn status(cluster: &Cluster, release: &Release) -> Vec<ObjectStatus> {
    futures::stream::iter(&release.inventory)
        .map(async |entry| {
            let (ready, message) = match cluster.observe(&Probe::Ready(entry.object.clone())).await {
                Ok(seen) if seen.variables["object"].is_null() && is_over(release, entry) => {
                    (true, "has ended well, and was cleaned up".to_owned())
                }
                Ok(observation) => (observation.holds, observation.summary),
                Err(error) => (false, error.to_string()),
            };
            ObjectStatus { entry: entry.clone(), ready, message }
        })
        .buffered(AT_ONCE)
        .collect()
        .await
}

/// Whether the object is absent for a good reason: a skipped one, or an ended Job that the cluster deletes after its TTL.
fn is_over(release: &Release, entry: &Entry) -> bool {
    match entry.phase {
        EntryPhase::Skipped => true,
        EntryPhase::Ready => {
            release.plan.plugin_plan.stages.iter().flat_map(|stage| &stage.steps).any(|step| {
                step.target().as_ref() == Some(&entry.object)
                    && matches!(step, Step::Object(step)
                    if step.manifest.pointer("/spec/ttlSecondsAfterFinished").is_some())
            })
        }
        _ => false,
    }
}
