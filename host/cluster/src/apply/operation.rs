//! An operation: another plan for the objects of a release, which passes. See `docs/decisions/0005-operations-are-temporary.md`.
//!
//! The record of the release keeps its plan and its revision; while an operation runs its inventory holds the objects
//! of the operation too. So whatever host comes after one that has died, and whatever it does, an `apply` of the
//! release, an uninstall or the operation again, finds them and takes them away.

use crate::Error;
use crate::api::client::Cluster;
use crate::apply::run::{Apply, ApplyOptions};
use crate::diff::compare::{Need, ReleaseDiff};
use crate::diff::target::{ObjectKey, Target, id};
use crate::discovery::ApiResource;
use crate::progress::{Event, Events};
use crate::release::lease::claim;
use crate::release::record::{Entry, EntryPhase, Phase, Release};
use crate::release::store::Stored;
use crate::secrets::compose::Lack;
use serde_json::{Value, json};
use std::collections::HashSet;
use std::time::Duration;
use thinkube_plan::{Plan, Values};
use tokio::time::Instant;

/// Who writes when a workload was restarted. The release's plan says nothing of it, so nobody takes it back, and an
/// apply of the release restarts nothing a second time.
pub(crate) const RESTARTS: &str = "thinkube-host-restart";
const RESTARTED_AT: &str = "thinkube.org/restarted-at";

/// An operation on a release.
#[derive(Debug, Clone, Copy)]
pub struct OperationPlans<'a> {
    /// Its name.
    pub name: &'a str,
    /// What it wants, as [`thinkube_plan::overlay`] made it.
    pub plan: &'a Plan,
    /// The plan of the release.
    pub recorded: &'a Plan,
    /// The steps of the release on objects that the operation changes ([`thinkube_plan::borrowed`]).
    pub borrowed: &'a Plan,
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
        phase => Err(Error::Unfinished { release: release.to_owned(), phase }),
    }
}

impl Cluster {
    /// Begins an operation: claims the release, and writes its record with everything that may exist from now on. The
    /// rest is done as with an apply: [`Apply::stage`], [`Apply::wait`], then [`Apply::give_back`].
    ///
    /// # Errors
    /// [`Error::NoRelease`], [`Error::Unfinished`], [`Error::NotOwned`], [`Error::Forbidden`] or [`Error::Busy`] before
    /// anything is written; [`Error::LostRace`] if the release has changed since the comparison.
    pub async fn begin_operation<'a>(
        &'a self,
        operation: &OperationPlans<'a>,
        values: &Values,
        comparison: ReleaseDiff,
        options: &ApplyOptions,
        events: Events<'a>,
    ) -> Result<Apply<'a>, Error> {
        let release = &operation.plan.release;
        let ReleaseDiff { stored, targets, mut needs, live, not_owned, .. } = comparison;
        let stored = stored.ok_or_else(|| Error::NoRelease {
            release: release.clone(),
            state_namespace: self.state_namespace().to_owned(),
            near: Vec::new(),
        })?;
        may_operate(release, stored.record.phase)?;
        // What is the release's and what is the operation's own was told apart by the plan that was read first.
        if stored.record.digest != operation.recorded.digest() {
            return Err(Error::LostRace { what: format!("the record of release {release}") });
        }
        if !not_owned.is_empty() {
            return Err(Error::NotOwned { release: release.clone(), objects: not_owned });
        }
        let planned = planned(operation.recorded);
        let mut stale = Vec::new();
        for (target, need) in targets.iter().zip(&mut needs) {
            let own = !planned.contains(&target.id());
            if own && runs_once(&target.kind) {
                // What it says is what became of another run.
                *need = Need::Create;
                stale.extend(entry(&stored, target).filter(|_| live.contains_key(&target.id())).cloned());
            }
        }
        let going: Vec<Entry> = passing(&superset(&stored, &targets, &needs, &planned), &planned);
        self.preflight(operation.plan, &targets, &needs, &going).await?;
        let claim = claim(self, release, options.claim, Some(&stored), events).await?;
        let began = self.began(operation, stored, &targets, &needs, &planned, events).await;
        let stored = match began {
            Ok(stored) => stored,
            Err(error) => {
                claim.release(false).await;
                return Err(error);
            }
        };
        let mut apply = Apply {
            cluster: self,
            plan: operation.plan,
            values: values.clone(),
            events,
            targets,
            needs,
            live,
            gone: Vec::new(),
            applyset: self.applyset_id(release),
            stored,
            claim,
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
    async fn began(
        &self,
        operation: &OperationPlans<'_>,
        mut stored: Stored,
        targets: &[Target],
        needs: &[Need],
        planned: &HashSet<ObjectKey>,
        events: Events<'_>,
    ) -> Result<Stored, Error> {
        let release = &operation.plan.release;
        let now = self.stored(release).await?;
        if now.is_none_or(|now| now.resource_version != stored.resource_version) {
            return Err(Error::LostRace { what: format!("the record of release {release}") });
        }
        stored.inventory = superset(&stored, targets, needs, planned);
        stored.record.phase = Phase::Operating;
        stored.record.message = Some(not_ended(operation.name));
        self.write_parent(&mut stored, events).await?;
        events(Event::Recorded {
            release: release.clone(),
            revision: stored.record.revision,
            objects: stored.inventory.len(),
        });
        Ok(stored)
    }

    /// What is sent for a workload to get new pods: what `kubectl rollout restart` does, in a name of its own. The UID
    /// keeps the server from making a workload of it that has gone meanwhile.
    pub(crate) fn restarted(&self, target: &Target, live: Option<&Value>) -> Result<Value, Lack> {
        let live = live.ok_or(Lack::Restart)?;
        Ok(json!({
            "apiVersion": target.object.api_version, "kind": target.object.kind,
            "metadata": {"name": target.object.name, "namespace": target.object.namespace, "uid": live["metadata"]["uid"]},
            "spec": {"template": {"metadata": {"annotations": {RESTARTED_AT: self.now().to_string()}}}},
        }))
    }
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
        self.check_claim()?;
        self.plan = operation.borrowed;
        let stages = self.plan.plugin_plan.stages.len();
        if stages > 0 {
            let ReleaseDiff { targets, needs, live, .. } =
                self.cluster.compare_objects(operation.borrowed, &self.values).await?;
            (self.targets, self.needs, self.live) = (targets, needs, live);
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
            let Some(kind) = self.cluster.kind_of(&entry.object).await? else { continue };
            self.live.remove(&id(&entry.object));
            going.push((kind, entry));
        }
        let deadline = Instant::now() + Duration::from_secs(300);
        self.cluster.remove(&going, &self.applyset, deadline, self.events).await?;
        Ok(())
    }
}

fn not_ended(name: &str) -> String {
    format!("operation {name} has not ended; it can be run again, and an apply of the release ends it")
}

/// What the release's plan makes.
fn planned(recorded: &Plan) -> HashSet<ObjectKey> {
    recorded.targets().map(|(_, object)| id(&object)).collect()
}

/// Objects whose state is the outcome of a run, not something to keep.
fn runs_once(kind: &ApiResource) -> bool {
    kind.is("batch", "Job") || kind.is("", "Pod")
}

fn entry<'s>(stored: &'s Stored, target: &Target) -> Option<&'s Entry> {
    stored.inventory.iter().find(|entry| id(&entry.object) == target.id())
}

/// Everything that may exist: what the release has, and what the operation makes beside.
fn superset(stored: &Stored, targets: &[Target], needs: &[Need], planned: &HashSet<ObjectKey>) -> Vec<Entry> {
    let mut inventory = stored.inventory.clone();
    for (target, need) in targets.iter().zip(needs).filter(|(target, _)| !planned.contains(&target.id())) {
        let at = target.id();
        let old = inventory.iter().position(|entry| id(&entry.object) == at).map(|at| inventory.remove(at));
        let anew = *need == Need::Create;
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
    inventory.iter().filter(|entry| !planned.contains(&id(&entry.object)) && !held(entry)).cloned().collect()
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
