//! An apply or an operation that has begun: applies its stages, and keeps the record true to what was written.
//!
//! Objects are written in `object`, deleted in `prune`; files in pods are the room `pod_files`.

use crate::api::client::Client;
use crate::api::concurrency::MAX_CONCURRENT;
use crate::api::key::ObjectKey;
use crate::apply::object::{AppliedObject, ObjectWriter};
use crate::apply::operation::OperationPlans;
use crate::apply::prune::prune_objects;
use crate::diff::release_diff::{ObjectDiff, PlannedObject};
use crate::diff::target::Target;
use crate::error::Error;
use crate::error::diff::DiffError;
use crate::pod_files::record::mark_skipped;
use crate::pod_files::remove::prune;
use crate::pod_files::write::{PodContext, write_stage};
use crate::progress::{Progress, ProgressSink};
use crate::readiness::kstatus::{State, status};
use crate::readiness::wait::{LogsTo, WaitContext, Waiter};
use crate::release::lease::LeaseGuard;
use crate::release::record::{BuiltImage, Entry, EntryPhase, Phase, Release};
use crate::release::revisions;
use crate::release::store;
use crate::release::stored::StoredRelease;
use futures::stream::{self, StreamExt as _};
use serde_json::Value;
use std::collections::HashMap;
use std::time::Duration;
use thinkube_plan::{Action, ExternalStep, Outputs, Plan, Values};

/// How long a new Namespace or definition may take to become ready.
const FOUNDATION_TIMEOUT: Duration = Duration::from_secs(60);
/// Characters of an error that the record repeats.
const MAX_MESSAGE: usize = 4000;

/// An apply that has begun: the record is written and the Lease is acquired.
///
/// Dropping it is what a crash is: the record stays as it is, and the Lease expires. A caller that still runs ends it with
/// [`Apply::finish`], [`Apply::fail`] or [`Apply::interrupt`].
pub struct Apply<'a> {
    pub(crate) client: &'a Client,
    pub(crate) plan: &'a Plan,
    pub(crate) values: Values,
    pub(crate) progress: ProgressSink<'a>,
    pub(crate) objects: Vec<PlannedObject>,
    /// The release's objects as they were last seen. Holds the values of Secrets: never shown.
    pub(crate) live: HashMap<ObjectKey, Value>,
    pub(crate) gone: Vec<Entry>,
    pub(crate) stored: StoredRelease,
    pub(crate) lease: LeaseGuard,
    pub(crate) applyset: String,
    pub(crate) new_revision: bool,
    /// The operation that is carried out; None for an apply of the release's plan.
    pub(crate) operation: Option<OperationPlans<'a>>,
}

/// The order within a stage: later ranks need the earlier ones.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Rank {
    /// Namespaces and definitions, which are waited for.
    Foundation,
    /// What workloads need.
    Support,
    Workload,
}

fn rank_of(target: &Target) -> Rank {
    match &target.kind {
        kind if kind.is_namespace() || kind.is_crd() => Rank::Foundation,
        kind if kind.is_workload() => Rank::Workload,
        _ => Rank::Support,
    }
}

impl Apply<'_> {
    /// External resources on record that the plan no longer has.
    pub fn dropped_external(&self) -> Vec<ExternalStep> {
        let wanted =
            |old: &ExternalStep| self.plan.plugin_plan.external().any(|new| new.is_same_resource(old));
        self.stored.external.iter().filter(|old| !wanted(old)).cloned().collect()
    }

    /// Adds what other steps yielded, for the objects of the stages to come.
    pub fn add_outputs(&mut self, outputs: Outputs) {
        self.values.outputs.extend(outputs);
    }

    /// Records an image at once: an uninstall deletes only images on record, and the next stage may take long.
    ///
    /// # Errors
    /// [`ApiError::LostRace`](crate::ApiError::LostRace) if another host has written the record.
    pub async fn record_image(&mut self, image: BuiltImage) -> Result<(), Error> {
        if self.stored.images.contains(&image) {
            return Ok(());
        }
        self.lease.check()?;
        self.stored.images.retain(|other| other.name != image.name);
        self.stored.images.push(image);
        store::write(self.client, &mut self.stored, self.progress).await
    }

    /// Applies the objects of a stage: Namespaces and definitions, which are waited for, then what workloads need, then
    /// workloads. Each result is recorded.
    ///
    /// # Errors
    /// Why objects could not be applied. The results of the others are recorded.
    pub async fn apply_stage(&mut self, index: usize) -> Result<(), Error> {
        self.lease.check()?;
        let Some(stage) = self.plan.plugin_plan.stages.get(index) else {
            let message =
                format!("it has {} stages, and no stage {index}", self.plan.plugin_plan.stages.len());
            return Err(DiffError::Invalid { step: None, message }.into());
        };
        let mine = self.indices(index);
        let writes = mine.iter().filter(|index| self.objects[**index].diff.writes()).count();
        (self.progress)(Progress::StageStarted { stage: stage.name.clone(), objects: mine.len(), writes });
        let mut wrote = false;
        for rank in [Rank::Foundation, Rank::Support, Rank::Workload] {
            let batch: Vec<usize> =
                mine.iter().copied().filter(|index| rank_of(&self.objects[*index].target) == rank).collect();
            wrote |= self.apply_batch(&batch, rank, &stage.name).await?;
        }
        if wrote {
            store::write(self.client, &mut self.stored, self.progress).await?;
        }
        Ok(())
    }

    /// The indices of a stage's objects.
    fn indices(&self, stage: usize) -> Vec<usize> {
        (0..self.objects.len()).filter(|index| self.objects[*index].target.stage == stage).collect()
    }

    /// Applies objects together, and waits for new Namespaces and definitions. Returns whether the record must be written.
    async fn apply_batch(&mut self, batch: &[usize], rank: Rank, stage: &str) -> Result<bool, Error> {
        let results: Vec<Result<AppliedObject, Error>> = {
            let writer = self.writer();
            let work = batch.iter().map(|index| {
                writer.apply(*index, &self.objects[*index], self.live.get(&self.objects[*index].target.key()))
            });
            stream::iter(work).buffer_unordered(MAX_CONCURRENT).collect().await
        };
        let mut wrote = false;
        let (mut errors, mut founded) = (Vec::new(), Vec::new());
        for result in results {
            match result {
                Ok(done) => {
                    wrote |= self.objects[done.index].diff != ObjectDiff::Unchanged;
                    if rank == Rank::Foundation && matches!(done.action, Action::Create | Action::Update) {
                        founded.push(done.index);
                    }
                    self.record_result(done);
                }
                Err(error) => errors.push(error),
            }
        }
        if !errors.is_empty() {
            if let Err(error) = store::write(self.client, &mut self.stored, self.progress).await {
                errors.push(error);
            }
            return Error::several(errors).map(|()| wrote);
        }
        if !founded.is_empty() {
            self.wait_for(&founded, stage, FOUNDATION_TIMEOUT).await?;
            if founded.iter().any(|index| self.objects[*index].target.kind.is_crd()) {
                self.client.discover().await?;
            }
        }
        Ok(wrote)
    }

    /// Waits until every object of a stage is ready by the rules of kstatus.
    ///
    /// # Errors
    /// [`ReadinessError::NotReady`](crate::ReadinessError::NotReady) at the timeout, and at once when an object has failed for
    /// good.
    pub async fn wait(&mut self, stage: usize, timeout: Duration) -> Result<(), Error> {
        let mine = self.indices(stage);
        let name = mine.first().map(|index| self.objects[*index].target.stage_name.clone());
        self.wait_for(&mine, &name.unwrap_or_default(), timeout).await
    }

    async fn wait_for(&mut self, mine: &[usize], stage: &str, timeout: Duration) -> Result<(), Error> {
        let context = WaitContext {
            client: self.client,
            applyset: &self.applyset,
            stage,
            timeout,
            lease: &self.lease,
            inputs: &self.values.inputs,
            logs_to: if self.operation.is_some() { LogsTo::Error } else { LogsTo::Progress },
            progress: self.progress,
        };
        let targets = mine.iter().map(|index| &self.objects[*index].target);
        let objects = targets.map(|target| (target.kind.clone(), target.object.clone()));
        Waiter::new(context, objects, &mut self.live, &mut self.stored).run().await
    }

    /// Records that a stage was skipped because its `skip_if` holds. Its objects stay in the inventory.
    pub async fn skip_stage(&mut self, index: usize) {
        let Some(stage) = self.plan.plugin_plan.stages.get(index) else { return };
        (self.progress)(Progress::StageSkipped { stage: stage.name.clone() });
        // A stage of an operation may have the same name, and operations have no pod files.
        if self.operation.is_none() {
            mark_skipped(&mut self.stored.pod_files, &stage.name);
        }
        for position in self.indices(index) {
            let at = self.objects[position].target.key();
            if self.live.contains_key(&at) {
                continue;
            }
            if let Some(entry) = self.entry(&at).filter(|entry| entry.phase == EntryPhase::Pending) {
                entry.phase = EntryPhase::Skipped;
            }
        }
    }

    /// Prepares the ended Jobs of a stage to run again. For a stage whose `skip_if` does not hold: the work of a successful
    /// Job is lost too.
    ///
    /// # Errors
    /// Why a Job could not be deleted.
    pub async fn rerun_jobs(&mut self, index: usize) -> Result<(), Error> {
        self.lease.check()?;
        for position in self.indices(index) {
            let PlannedObject { target, diff, .. } = &self.objects[position];
            if !target.repeats || *diff != ObjectDiff::Unchanged {
                continue;
            }
            if let Some(live) = self.live.get(&target.key()) {
                if status(live, self.client.now()).state == State::InProgress {
                    continue;
                }
                self.writer().delete(target, live).await?;
            }
            let at = target.key();
            self.live.remove(&at);
            self.objects[position].diff = ObjectDiff::Create;
        }
        Ok(())
    }

    /// Ends the apply: records the release as deployed, deletes old revisions and releases the Lease.
    ///
    /// # Errors
    /// [`ApiError::LostRace`](crate::ApiError::LostRace) if another host has written the record.
    pub async fn finish(self) -> Result<Release, Error> {
        self.end(None).await
    }

    pub(crate) async fn end(mut self, message: Option<String>) -> Result<Release, Error> {
        self.lease.check()?;
        self.stored.record.phase = Phase::Deployed;
        self.stored.record.message = message;
        self.stored.external = self.plan.plugin_plan.external().cloned().collect();
        self.stored.images.retain(|image| self.plan.plugin_plan.images().any(|step| step.name == image.name));
        store::write(self.client, &mut self.stored, self.progress).await?;
        if self.new_revision {
            let revision = self.stored.record.revision;
            revisions::delete_old_revisions(self.client, &self.plan.release, revision).await?;
        }
        self.lease.release(false).await;
        Ok(store::into_release(self.client, self.stored, self.plan.clone()))
    }

    /// Ends the apply after a failure: records it if possible, and releases the Lease.
    pub async fn fail(self, why: &str) {
        self.stop(Phase::Failed, Some(why.to_owned())).await;
    }

    /// Ends the apply after an interruption: records it if possible, and releases the Lease.
    pub async fn interrupt(self) {
        self.stop(Phase::Interrupted, None).await;
    }

    pub(crate) async fn stop(mut self, phase: Phase, message: Option<String>) {
        self.stored.record.phase = phase;
        self.stored.record.message = message.map(|text| text.chars().take(MAX_MESSAGE).collect());
        if self.lease.check().is_ok()
            && let Err(error) = store::write(self.client, &mut self.stored, self.progress).await
        {
            (self.progress)(Progress::Warning(format!(
                "the release could not be recorded as {phase}: {error}"
            )));
        }
        self.lease.release(false).await;
    }

    /// Writes a stage's files into the running pods. With `wait`, waits a minute for pods that are about to run. A step without
    /// a pod and a pod that could not be written to are reported as progress: the next comparison finds the files missing.
    ///
    /// # Errors
    /// Those of [`Cluster::pod_files`](crate::Cluster::pod_files).
    pub async fn write_pod_files(&mut self, stage: usize, wait: bool) -> Result<(), Error> {
        let context = PodContext { client: self.client, lease: &self.lease, progress: self.progress };
        write_stage(&context, self.plan, &mut self.stored.pod_files, stage, wait).await
    }

    /// Deletes the files and lines in pods that the plan no longer has.
    ///
    /// # Errors
    /// Those of [`Cluster::pod_files`](crate::Cluster::pod_files).
    pub async fn prune_pod_files(&mut self) -> Result<(), Error> {
        prune(self.client, self.plan, &mut self.stored.pod_files, self.progress).await
    }

    /// Deletes the objects that the plan no longer has. Retained objects and definitions stay in the inventory.
    ///
    /// # Errors
    /// [`DeleteError::NotGone`](crate::DeleteError::NotGone), or why an object could not be deleted.
    pub async fn prune_objects(&mut self) -> Result<(), Error> {
        prune_objects(self).await
    }

    fn writer(&self) -> ObjectWriter<'_> {
        ObjectWriter {
            client: self.client,
            progress: self.progress,
            applyset: &self.applyset,
            values: &self.values,
        }
    }

    pub(crate) fn check_lease(&self) -> Result<(), Error> {
        Ok(self.lease.check()?)
    }

    pub(crate) fn entry(&mut self, at: &ObjectKey) -> Option<&mut Entry> {
        self.stored.entry_mut(at)
    }

    fn record_result(&mut self, done: AppliedObject) {
        let PlannedObject { target, diff, .. } = &self.objects[done.index];
        let (object, at) = (target.object.clone(), target.key());
        let used = *diff == ObjectDiff::Shared;
        let uid = done.live["metadata"]["uid"].as_str().map(str::to_owned);
        if let Some(entry) = self.entry(&at).filter(|_| !used) {
            if entry.phase != EntryPhase::Ready || done.action != Action::Unchanged {
                entry.phase = EntryPhase::Applied;
            }
            entry.uid = uid.or_else(|| entry.uid.take());
            if done.fingerprint.is_some() {
                entry.fingerprint = done.fingerprint;
            }
        }
        if !done.live.is_null() {
            self.live.insert(at, done.live);
        }
        if used {
            (self.progress)(Progress::Used {
                object,
                why: "it existed before and is not the release's".into(),
            });
        } else {
            (self.progress)(Progress::Applied { object, action: done.action });
        }
        // A second call for the same stage writes nothing.
        if !used {
            self.objects[done.index].diff = ObjectDiff::Unchanged;
        }
    }
}
