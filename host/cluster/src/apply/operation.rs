//! Operations: a temporary plan for the objects of a release. See `docs/decisions/0005-operations-are-temporary.md`.
//!
//! The record keeps the release's plan and revision. While an operation runs, the inventory holds its objects too: after a
//! crash an apply, an uninstall or the operation itself finds and deletes them.

use crate::api::client::Client;
use crate::api::key::ObjectKey;
use crate::api::resource::ApiResource;
use crate::apply::begin::preflight;
use crate::apply::options::ApplyOptions;
use crate::apply::run::Apply;
use crate::delete::objects;
use crate::diff::compare;
use crate::diff::release_diff::{ObjectDiff, PlannedObject, ReleaseDiff};
use crate::error::Error;
use crate::error::diff::DiffError;
use crate::error::release::ReleaseError;
use crate::progress::{Progress, ProgressSink};
use crate::release::lease::acquire;
use crate::release::record::{Entry, EntryPhase, Phase, Release};
use crate::release::store;
use crate::release::stored::StoredRelease;
use std::collections::HashSet;
use std::time::Duration;
use thinkube_plan::{Digest, Plan, Values};
use tokio::time::Instant;

/// The longest time to delete what an earlier run left.
const LEFTOVER_TIMEOUT: Duration = Duration::from_secs(300);

/// An operation on a release.
#[derive(Debug, Clone, Copy)]
pub struct OperationPlans<'a> {
    /// Its name.
    pub name: &'a str,
    /// What it wants, as [`thinkube_plan::overlay`] made it.
    pub plan: &'a Plan,
    /// The plan of the release.
    pub recorded: &'a Plan,
    /// The digest of that plan in the record. An older record has older names, so another digest than the plan that was
    /// read from it.
    pub recorded_digest: &'a Digest,
    /// The steps of the release on objects that the operation changes ([`thinkube_plan::overridden_steps`]).
    pub overridden_steps: &'a Plan,
}

impl Release {
    /// Checks that an operation may begin: the release is deployed, or an earlier operation has not ended.
    ///
    /// # Errors
    /// [`ReleaseError::Unfinished`].
    pub fn may_operate(&self) -> Result<(), Error> {
        may_operate(&self.name, self.phase)
    }
}

fn may_operate(release: &str, phase: Phase) -> Result<(), Error> {
    match phase {
        Phase::Deployed | Phase::Operating => Ok(()),
        phase => Err(Error::Release(ReleaseError::Unfinished {
            release: release.to_owned(),
            phase: phase.to_string(),
        })),
    }
}

/// See [`Cluster::begin_operation`](crate::Cluster::begin_operation).
pub(crate) async fn begin_operation<'a>(
    client: &'a Client,
    operation: OperationPlans<'a>,
    values: &Values,
    diff: ReleaseDiff,
    options: &ApplyOptions,
    progress: ProgressSink<'a>,
) -> Result<Apply<'a>, Error> {
    let release = &operation.plan.release;
    let ReleaseDiff { stored, mut objects, live, not_owned, .. } = diff;
    let stored = stored.ok_or_else(|| {
        Error::Release(ReleaseError::NoRelease {
            release: release.clone(),
            state_namespace: client.state_namespace().to_owned(),
            near: Vec::new(),
        })
    })?;
    may_operate(release, stored.record.phase)?;
    // The operation's own objects were told apart from the release's by the plan that was read first.
    if stored.record.digest != *operation.recorded_digest {
        return Err(store::lost_race(release).into());
    }
    if !not_owned.is_empty() {
        return Err(Error::Diff(DiffError::NotOwned { release: release.clone(), objects: not_owned }));
    }
    let planned = planned(operation.recorded);
    let mut stale = Vec::new();
    for PlannedObject { target, diff, .. } in &mut objects {
        let own = !planned.contains(&target.key());
        if own && runs_once(&target.kind) {
            // The existing object is the result of an earlier run.
            *diff = ObjectDiff::Create;
            stale.extend(stored.entry(&target.key()).filter(|_| live.contains_key(&target.key())).cloned());
        }
    }
    let leftovers: Vec<Entry> = temporary(&inventory_with_planned(&stored, &objects, &planned), &planned);
    preflight(client, operation.plan, &objects, &leftovers).await?;
    let lease = acquire(client, release, options.lease_duration, Some(&stored), progress).await?;
    let began = record_operation(client, &operation, stored, &objects, &planned, progress).await;
    let stored = match began {
        Ok(stored) => stored,
        Err(error) => {
            lease.release(false).await;
            return Err(error);
        }
    };
    let mut run = Apply {
        client,
        plan: operation.plan,
        values: values.clone(),
        progress,
        objects,
        live,
        gone: Vec::new(),
        applyset: store::applyset_id(client, release),
        stored,
        lease,
        new_revision: false,
        operation: Some(operation),
    };
    if let Err(error) = run.delete_leftovers(stale).await {
        run.leave_operating().await;
        return Err(error);
    }
    Ok(run)
}

/// Writes the record with the objects of the operation.
///
/// # Errors
/// [`ApiError::LostRace`](crate::ApiError::LostRace) if the record changed after the comparison.
async fn record_operation(
    client: &Client,
    operation: &OperationPlans<'_>,
    mut stored: StoredRelease,
    objects: &[PlannedObject],
    planned: &HashSet<ObjectKey>,
    progress: ProgressSink<'_>,
) -> Result<StoredRelease, Error> {
    let release = &operation.plan.release;
    let now = store::get(client, release).await?;
    if now.is_none_or(|now| now.resource_version != stored.resource_version) {
        return Err(store::lost_race(release).into());
    }
    stored.inventory = inventory_with_planned(&stored, objects, planned);
    stored.record.phase = Phase::Operating;
    stored.record.message = Some(not_ended(operation.name));
    store::write(client, &mut stored, progress).await?;
    progress(Progress::Recorded {
        release: release.clone(),
        revision: stored.record.revision,
        objects: stored.inventory.len(),
    });
    Ok(stored)
}

impl<'a> Apply<'a> {
    /// Restores the objects that an operation changed to the release's plan, and deletes those that it created. Called also
    /// after a failure of its stages.
    ///
    /// # Errors
    /// Why an object could not be restored or deleted. The record says that the operation has not ended.
    pub async fn restore(&mut self, timeout: Duration) -> Result<(), Error> {
        self.check_lease()?;
        let Some(operation) = self.operation else { return Ok(()) };
        self.plan = operation.overridden_steps;
        let stages = self.plan.plugin_plan.stages.len();
        if stages > 0 {
            let diff =
                compare::compare_objects(self.client, operation.overridden_steps, &self.values).await?;
            (self.objects, self.live) = (diff.objects, diff.live);
        }
        for stage in 0..stages {
            self.apply_stage(stage).await?;
            self.wait(stage, timeout).await?;
        }
        self.plan = operation.recorded;
        self.gone = temporary(&self.stored.inventory, &planned(operation.recorded));
        self.prune_objects().await?;
        self.prune_pod_files().await
    }

    /// Ends an operation after [`Apply::restore`]: the release is deployed. `failed` records that the operation's stages
    /// failed.
    ///
    /// # Errors
    /// [`ApiError::LostRace`](crate::ApiError::LostRace) if another host has written the record.
    pub async fn finish_operation(self, failed: bool) -> Result<Release, Error> {
        let name = self.operation_name();
        // Without the error: it may hold a container's output, and more people may read records than logs.
        self.end(failed.then(|| format!("operation {name} has failed"))).await
    }

    /// Ends an operation that could not restore everything: records that it has not ended, and releases the Lease.
    pub async fn leave_operating(self) {
        let message = not_ended(self.operation_name());
        self.stop(Phase::Operating, Some(message)).await;
    }

    fn operation_name(&self) -> &'a str {
        self.operation.map(|operation| operation.name).unwrap_or_default()
    }

    /// Deletes objects of an earlier run, whose results would be taken for those of this run.
    async fn delete_leftovers(&mut self, stale: Vec<Entry>) -> Result<(), Error> {
        let mut leftovers = Vec::new();
        for entry in stale {
            let Some(kind) = self.client.api_resource_of(&entry.object).await? else { continue };
            self.live.remove(&ObjectKey::of(&entry.object));
            leftovers.push((kind, entry));
        }
        let deadline = Instant::now() + LEFTOVER_TIMEOUT;
        objects::delete_objects(self.client, &leftovers, &self.applyset, deadline, self.progress).await?;
        Ok(())
    }
}

fn not_ended(name: &str) -> String {
    format!("operation {name} has not ended; it can be run again, and an apply of the release ends it")
}

/// The objects of the release's plan.
fn planned(recorded: &Plan) -> HashSet<ObjectKey> {
    recorded.targets().map(|(_, object)| ObjectKey::of(&object)).collect()
}

/// Whether an object of this kind is the result of one run.
fn runs_once(kind: &ApiResource) -> bool {
    kind.is("batch", "Job") || kind.is("", "Pod")
}

/// Every object that may exist: those of the release and those of the operation.
fn inventory_with_planned(
    stored: &StoredRelease,
    objects: &[PlannedObject],
    planned: &HashSet<ObjectKey>,
) -> Vec<Entry> {
    let mut inventory = stored.inventory.clone();
    for PlannedObject { target, diff, .. } in
        objects.iter().filter(|object| !planned.contains(&object.target.key()))
    {
        let at = target.key();
        let old = inventory
            .iter()
            .position(|entry| ObjectKey::of(&entry.object) == at)
            .map(|at| inventory.remove(at));
        let old = old.filter(|_| *diff != ObjectDiff::Create);
        inventory.push(Entry {
            object: target.object.clone(),
            uid: old.as_ref().and_then(|old| old.uid.clone()),
            stage: target.stage_name.clone(),
            phase: EntryPhase::Pending,
            on_uninstall: target.on_uninstall,
            fingerprint: old.and_then(|old| old.fingerprint),
        });
    }
    inventory
}

/// Objects on record that only an operation created.
fn temporary(inventory: &[Entry], planned: &HashSet<ObjectKey>) -> Vec<Entry> {
    let is_kept = |entry: &&Entry| matches!(entry.phase, EntryPhase::Retained | EntryPhase::Used);
    inventory
        .iter()
        .filter(|entry| !planned.contains(&ObjectKey::of(&entry.object)) && !is_kept(entry))
        .cloned()
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_operation_begins_on_a_deployed_or_operating_release() {
        for (phase, may) in [
            (Phase::Deployed, true),
            (Phase::Operating, true),
            (Phase::Applying, false),
            (Phase::Failed, false),
            (Phase::Interrupted, false),
            (Phase::Uninstalling, false),
        ] {
            assert_eq!(may_operate("r", phase).is_ok(), may, "{phase}");
        }
    }
}
