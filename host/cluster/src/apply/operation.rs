//! An operation: another plan for the objects of a release, which passes. See `docs/decisions/0005-operations-are-temporary.md`.
//!
//! The record of the release keeps its plan and its revision; while an operation runs its inventory holds the objects
//! of the operation too. So whatever host comes after one that has died, and whatever it does, an `apply` of the
//! release, an uninstall or the operation again, finds them and takes them away.

use crate::api::client::Client;
use crate::api::key::ObjectKey;
use crate::api::resource::ApiResource;
use crate::apply::run::{Apply, ApplyOptions, preflight};
use crate::delete::objects;
use crate::diff::compare;
use crate::diff::release_diff::{ObjectDiff, PlannedObject, ReleaseDiff};
use crate::diff::target::Target;
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
use thinkube_plan::{Plan, Values};
use tokio::time::Instant;

/// An operation on a release.
#[derive(Debug, Clone, Copy)]
pub struct OperationPlans<'a> {
    /// Its name.
    pub name: &'a str,
    /// What it wants, as [`thinkube_plan::overlay`] made it.
    pub plan: &'a Plan,
    /// The plan of the release.
    pub recorded: &'a Plan,
    /// The steps of the release on objects that the operation changes ([`thinkube_plan::overridden_steps`]).
    pub overridden_steps: &'a Plan,
}

impl Release {
    /// Whether an operation may begin: the release is as its plan says, but for what an operation has left that died.
    ///
    /// # Errors
    /// [`Error::Unfinished`].
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

/// Begins an operation: claims the release, and writes its record with everything that may exist from now on. The
/// rest is done as with an apply: [`Apply::stage`], [`Apply::wait`], then [`Apply::give_back`].
///
/// # Errors
/// [`Error::NoRelease`], [`Error::Unfinished`], [`Error::NotOwned`], [`Error::Forbidden`] or [`Error::Busy`] before
/// anything is written; [`Error::LostRace`] if the release has changed since the comparison.
pub(crate) async fn begin_operation<'a>(
    client: &'a Client,
    operation: &OperationPlans<'a>,
    values: &Values,
    comparison: ReleaseDiff,
    options: &ApplyOptions,
    progress: ProgressSink<'a>,
) -> Result<Apply<'a>, Error> {
    let release = &operation.plan.release;
    let ReleaseDiff { stored, mut objects, live, not_owned, .. } = comparison;
    let stored = stored.ok_or_else(|| {
        Error::Release(ReleaseError::NoRelease {
            release: release.clone(),
            state_namespace: client.state_namespace().to_owned(),
            near: Vec::new(),
        })
    })?;
    may_operate(release, stored.record.phase)?;
    // What is the release's and what is the operation's own was told apart by the plan that was read first.
    if stored.record.digest != operation.recorded.digest() {
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
            // What it says is what became of another run.
            *diff = ObjectDiff::Create;
            stale.extend(entry(&stored, target).filter(|_| live.contains_key(&target.key())).cloned());
        }
    }
    let going: Vec<Entry> = passing(&superset(&stored, &objects, &planned), &planned);
    preflight(client, operation.plan, &objects, &going).await?;
    let lease = acquire(client, release, options.lease_duration, Some(&stored), progress).await?;
    let began = record_operation(client, operation, stored, &objects, &planned, progress).await;
    let stored = match began {
        Ok(stored) => stored,
        Err(error) => {
            lease.release(false).await;
            return Err(error);
        }
    };
    let mut apply = Apply {
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
        operation: true,
    };
    if let Err(error) = apply.clear(stale).await {
        apply.unfinished(operation.name).await;
        return Err(error);
    }
    Ok(apply)
}

/// Writes the record, if nobody has changed it since the comparison.
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
    stored.inventory = superset(&stored, objects, planned);
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
    /// Ends what an operation did to the release: objects that it changed are again as the release's plan says, its own
    /// are deleted. To be called however its stages ended.
    ///
    /// # Errors
    /// Why an object could not be given back or deleted. The record says that the operation has not ended.
    pub async fn give_back(
        &mut self,
        operation: &OperationPlans<'a>,
        timeout: Duration,
    ) -> Result<(), Error> {
        self.check_lease()?;
        self.plan = operation.overridden_steps;
        let stages = self.plan.plugin_plan.stages.len();
        if stages > 0 {
            let diff =
                compare::compare_objects(self.client, operation.overridden_steps, &self.values).await?;
            (self.objects, self.live) = (diff.objects, diff.live);
        }
        for stage in 0..stages {
            self.stage(stage).await?;
            self.wait(stage, timeout).await?;
        }
        self.plan = operation.recorded;
        self.gone = passing(&self.stored.inventory, &planned(operation.recorded));
        self.prune().await
    }

    /// Ends an operation after [`Apply::give_back`]: the release is as its plan says. `failed`: and the operation was
    /// not done.
    ///
    /// # Errors
    /// [`Error::LostRace`] if somebody else has written the record.
    pub async fn finish_operation(self, name: &str, failed: bool) -> Result<Release, Error> {
        // What failed is not repeated here: it may hold what a container said, and records are read by many.
        self.end(failed.then(|| format!("operation {name} has failed"))).await
    }

    /// Leaves an operation as it is: the record says that it has not ended, and the claim is given back.
    pub async fn unfinished(self, name: &str) {
        self.stop(Phase::Operating, Some(not_ended(name))).await;
    }

    /// Deletes what an earlier run has left and would be taken for this one's.
    async fn clear(&mut self, stale: Vec<Entry>) -> Result<(), Error> {
        let mut going = Vec::new();
        for entry in stale {
            let Some(kind) = self.client.api_resource_of(&entry.object).await? else { continue };
            self.live.remove(&ObjectKey::of(&entry.object));
            going.push((kind, entry));
        }
        let deadline = Instant::now() + Duration::from_secs(300);
        objects::delete_objects(self.client, &going, &self.applyset, deadline, self.progress).await?;
        Ok(())
    }
}

fn not_ended(name: &str) -> String {
    format!("operation {name} has not ended; it can be run again, and an apply of the release ends it")
}

/// What the release's plan makes.
fn planned(recorded: &Plan) -> HashSet<ObjectKey> {
    recorded.targets().map(|(_, object)| ObjectKey::of(&object)).collect()
}

/// Objects whose state is the outcome of a run, not something to keep.
fn runs_once(kind: &ApiResource) -> bool {
    kind.is("batch", "Job") || kind.is("", "Pod")
}

fn entry<'s>(stored: &'s StoredRelease, target: &Target) -> Option<&'s Entry> {
    stored.entry(&target.key())
}

/// Everything that may exist: what the release has, and what the operation makes beside.
fn superset(stored: &StoredRelease, objects: &[PlannedObject], planned: &HashSet<ObjectKey>) -> Vec<Entry> {
    let mut inventory = stored.inventory.clone();
    for PlannedObject { target, diff, .. } in
        objects.iter().filter(|object| !planned.contains(&object.target.key()))
    {
        let at = target.key();
        let old = inventory
            .iter()
            .position(|entry| ObjectKey::of(&entry.object) == at)
            .map(|at| inventory.remove(at));
        let anew = *diff == ObjectDiff::Create;
        let old = old.filter(|_| !anew);
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

/// What is there for an operation only.
fn passing(inventory: &[Entry], planned: &HashSet<ObjectKey>) -> Vec<Entry> {
    let held = |entry: &&Entry| matches!(entry.phase, EntryPhase::Retained | EntryPhase::Used);
    inventory
        .iter()
        .filter(|entry| !planned.contains(&ObjectKey::of(&entry.object)) && !held(entry))
        .cloned()
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_operation_begins_on_what_is_deployed_and_on_what_another_one_left() {
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
