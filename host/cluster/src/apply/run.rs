//! Applying a plan: record first, then stage by stage.

use crate::api::access::{Access, require};
use crate::api::client::Client;
use crate::api::concurrency::MAX_CONCURRENT;
use crate::api::confidential::is_confidential;
use crate::api::key::ObjectKey;
use crate::api::request::ApiRequest;
use crate::api::resource::ApiResource;
use crate::api::status::StatusKind;
use crate::delete::objects::wait_gone;
use crate::diff::desired::{Composer, RESTART_MANAGER};
use crate::diff::managed_fields::fingerprint;
use crate::diff::rejection::{apply_error, could_be_created};
use crate::diff::release_diff::{ObjectDiff, PlannedObject, ReleaseDiff};
use crate::diff::target::{Desired, Target};
use crate::error::Error;
use crate::error::diff::{DiffError, ForeignObject};
use crate::pod_files::exec::rights_in_pods;
use crate::pod_files::files::superset as superset_in_pods;
use crate::progress::{Progress, ProgressSink};
use crate::readiness::kstatus::{State, status};
use crate::readiness::wait::{LogsTo, WaitContext, Waiter};
use crate::release::applyset::PART_OF;
use crate::release::lease::{LeaseGuard, acquire};
use crate::release::record::{BuiltImage, Entry, EntryPhase, Fingerprint, Phase, Release};
use crate::release::revisions;
use crate::release::store::{self, ensure_state_namespace};
use crate::release::stored::{ReleaseRecord, StoredRelease};
use futures::stream::{self, StreamExt as _};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::Duration;
use thinkube_plan::{Action, Digest, ExternalStep, ObjectRef, OnChange, OnUninstall, Outputs, Plan, Values};

/// How long the server may take to serve a kind whose definition it has just accepted, and to let go of an object
/// that is on its way out.
const SHORTLY: Duration = Duration::from_secs(60);
const SERVES_AFTER: Duration = Duration::from_secs(10);

/// An object that the operator gives to a release.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Adopt {
    /// Its kind.
    pub kind: String,
    /// Its namespace; None for cluster-scoped kinds.
    pub namespace: Option<String>,
    /// Its name.
    pub name: String,
}

impl Adopt {
    fn names(&self, object: &ObjectRef) -> bool {
        self.kind == object.kind && self.namespace == object.namespace && self.name == object.name
    }
}

const EXPECTED: &str = "KIND/NAME or KIND/NAMESPACE/NAME is expected";

impl std::str::FromStr for Adopt {
    type Err = String;

    /// `KIND/NAME` or `KIND/NAMESPACE/NAME`.
    fn from_str(text: &str) -> Result<Self, String> {
        let parts: Vec<&str> = text.split('/').collect();
        let (kind, namespace, name) = match parts.as_slice() {
            [kind, name] => (*kind, None, *name),
            [kind, namespace, name] => (*kind, Some((*namespace).to_owned()), *name),
            _ => return Err(EXPECTED.into()),
        };
        if kind.is_empty() || name.is_empty() || namespace.as_deref() == Some("") {
            return Err(EXPECTED.into());
        }
        Ok(Self { kind: kind.to_owned(), namespace, name: name.to_owned() })
    }
}

/// What the operator says about an apply.
#[derive(Debug, Clone)]
pub struct ApplyOptions {
    /// Objects that the release may take over although it did not make them.
    pub adopt: Vec<Adopt>,
    /// How long a claim on the release lasts that its holder does not renew.
    pub lease_duration: Duration,
}

impl Default for ApplyOptions {
    fn default() -> Self {
        Self { adopt: Vec::new(), lease_duration: Duration::from_secs(30) }
    }
}

/// An apply that has begun: the record is written and the release is claimed.
///
/// Dropping it is what a crash is: the record stays as it is and the claim ends by itself. Who can still speak calls
/// [`Apply::abandon`] or [`Apply::interrupt`].
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
    /// Whether this carries out an operation, not the release's plan.
    pub(crate) operation: bool,
}

/// Begins an apply: claims the release and writes its record, with everything that may exist from now on, before
/// the first object.
///
/// # Errors
/// [`Error::NotOwned`], [`Error::Forbidden`] or [`Error::Busy`] before anything is written; [`Error::LostRace`] if the release has
/// changed since the comparison.
pub(crate) async fn begin<'a>(
    client: &'a Client,
    plan: &'a Plan,
    values: &Values,
    comparison: ReleaseDiff,
    options: &ApplyOptions,
    progress: ProgressSink<'a>,
) -> Result<Apply<'a>, Error> {
    let ReleaseDiff { digest, stored, mut objects, live, gone, not_owned, .. } = comparison;
    let refused = refused(not_owned, &options.adopt);
    if !refused.is_empty() {
        return Err(Error::Diff(DiffError::NotOwned { release: plan.release.clone(), objects: refused }));
    }
    for object in objects.iter_mut().filter(|object| object.diff == ObjectDiff::NotOwned) {
        object.diff = ObjectDiff::Update;
    }
    preflight(client, plan, &objects, &gone).await?;
    ensure_state_namespace(client, progress).await?;
    let lease = acquire(client, &plan.release, options.lease_duration, stored.as_ref(), progress).await?;
    let recorded = write_record(client, plan, &digest, stored, &objects, progress).await;
    let (stored, new_revision) = match recorded {
        Ok(recorded) => recorded,
        Err(error) => {
            lease.release(false).await;
            return Err(error);
        }
    };
    let applyset = store::applyset_id(client, &plan.release);
    Ok(Apply {
        client,
        plan,
        values: values.clone(),
        progress,
        objects,
        live,
        gone,
        stored,
        lease,
        applyset,
        new_revision,
        operation: false,
    })
}

/// Writes the release's record with everything that may exist from now on, if nobody has changed it since the
/// comparison; and the plan, if it is not the one on record.
async fn write_record(
    client: &Client,
    plan: &Plan,
    digest: &Digest,
    stored: Option<StoredRelease>,
    objects: &[PlannedObject],
    progress: ProgressSink<'_>,
) -> Result<(StoredRelease, bool), Error> {
    let now = store::get(client, &plan.release).await?;
    let version =
        |stored: &Option<StoredRelease>| stored.as_ref().map(|stored| stored.resource_version.clone());
    if version(&now) != version(&stored) {
        return Err(store::lost_race(&plan.release).into());
    }
    let new_revision = stored.as_ref().is_none_or(|stored| stored.record.digest != *digest);
    let mut record = ReleaseRecord {
        name: plan.release.clone(),
        namespace: plan.namespace.clone(),
        revision: stored.as_ref().map_or(1, |old| old.record.revision + u32::from(new_revision)),
        phase: Phase::Applying,
        message: None,
        digest: digest.clone(),
        chunks: stored.as_ref().map_or(0, |old| old.record.chunks),
        updated: String::new(),
        write: String::new(),
    };
    if new_revision {
        record.chunks = revisions::write_revision(client, plan, record.revision, progress).await?;
    }
    let old = stored.as_ref().map(|stored| stored.inventory.as_slice()).unwrap_or_default();
    let inventory = superset(old, objects);
    let mut external: Vec<ExternalStep> = plan.plugin_plan.external().cloned().collect();
    let old = stored.iter().flat_map(|stored| &stored.external);
    external
        .extend(old.filter(|old| plan.plugin_plan.external().all(|new| !new.is_same_resource(old))).cloned());
    let pod_files = superset_in_pods(plan, stored.as_ref().map_or(&[], |stored| &stored.pod_files));
    let images = stored.as_ref().map(|old| old.images.clone()).unwrap_or_default();
    let (resource_version, uid) = stored.map_or_else(Default::default, |old| (old.resource_version, old.uid));
    let mut stored = StoredRelease { record, inventory, external, pod_files, images, resource_version, uid };
    store::write(client, &mut stored, progress).await?;
    progress(Progress::Recorded {
        release: plan.release.clone(),
        revision: stored.record.revision,
        objects: stored.inventory.len(),
    });
    Ok((stored, new_revision))
}

/// Asks whether RBAC allows every write to come, so that what it forbids is found before the first.
pub(crate) async fn preflight(
    client: &Client,
    plan: &Plan,
    objects: &[PlannedObject],
    gone: &[Entry],
) -> Result<(), Error> {
    if client.is_allowed("*", "*", "*", None).await? {
        return Ok(());
    }
    let mut wanted: BTreeSet<Access> = BTreeSet::new();
    let state_namespace = Some(client.state_namespace().to_owned());
    for kind in [ApiResource::config_map(), ApiResource::lease()] {
        for verb in ["get", "create", "update"] {
            wanted.insert((kind.clone(), state_namespace.clone(), verb));
        }
    }
    for PlannedObject { target, diff, .. } in objects {
        let again = target.repeats && *diff == ObjectDiff::Unchanged;
        if !again && !diff.writes() {
            continue;
        }
        let mut verbs = vec!["get", "list", "create", "patch"];
        if again || target.on_change == OnChange::Recreate {
            verbs.push("delete");
        }
        for verb in verbs {
            wanted.insert((target.kind.clone(), target.object.namespace.clone(), verb));
        }
    }
    for (_, step) in plan.plugin_plan.pod_files() {
        wanted.extend(rights_in_pods(&step.namespace));
    }
    for entry in gone.iter().filter(|entry| entry.on_uninstall == OnUninstall::Delete) {
        if let Some(kind) = client.api_resource_of(&entry.object).await? {
            wanted.insert((kind, entry.object.namespace.clone(), "delete"));
        }
    }
    require(client, wanted).await
}

/// What the operator did not give to the release, or could not: what another release has is not theirs to give here.
fn refused(not_owned: Vec<ForeignObject>, adopt: &[Adopt]) -> Vec<ForeignObject> {
    let adopted =
        |foreign: &ForeignObject| foreign.adoptable && adopt.iter().any(|adopt| adopt.names(&foreign.object));
    not_owned.into_iter().filter(|foreign| !adopted(foreign)).collect()
}

/// Everything that may exist: what was there, and what the plan wants.
fn superset(old: &[Entry], objects: &[PlannedObject]) -> Vec<Entry> {
    let mut rest: BTreeMap<ObjectKey, Entry> =
        old.iter().map(|entry| (ObjectKey::of(&entry.object), entry.clone())).collect();
    let mut inventory = Vec::new();
    for PlannedObject { target, diff, .. } in objects {
        let old = rest.remove(&target.key());
        let phase = match diff {
            ObjectDiff::Shared => EntryPhase::Used,
            diff if diff.writes() => EntryPhase::Pending,
            _ => old.as_ref().map_or(EntryPhase::Applied, |entry| entry.phase),
        };
        inventory.push(Entry {
            object: target.object.clone(),
            uid: old.as_ref().and_then(|entry| entry.uid.clone()),
            stage: target.stage_name.clone(),
            phase,
            on_uninstall: target.on_uninstall,
            fingerprint: old.and_then(|entry| entry.fingerprint),
        });
    }
    inventory.extend(rest.into_values());
    inventory
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

/// What became of one object.
struct Done {
    index: usize,
    live: Value,
    action: Action,
    fingerprint: Option<Fingerprint>,
}

impl Apply<'_> {
    /// Resources outside the cluster that the release may have from before, and that the plan no longer wants.
    pub fn gone_external(&self) -> Vec<ExternalStep> {
        let wanted =
            |old: &ExternalStep| self.plan.plugin_plan.external().any(|new| new.is_same_resource(old));
        self.stored.external.iter().filter(|old| !wanted(old)).cloned().collect()
    }

    /// The revision that is being applied.
    pub fn revision(&self) -> u32 {
        self.stored.record.revision
    }

    /// Takes what steps of the plan have yielded, for the objects to come.
    pub fn learn(&mut self, outputs: Outputs) {
        self.values.outputs.extend(outputs);
    }

    /// Writes down what an image was built from and where it is, at once: an uninstall deletes no image that is not on
    /// record, and the next stage may take long.
    ///
    /// # Errors
    /// [`Error::LostRace`] if somebody else has written the record.
    pub async fn built(&mut self, image: BuiltImage) -> Result<(), Error> {
        if self.stored.images.contains(&image) {
            return Ok(());
        }
        self.lease.check()?;
        self.stored.images.retain(|other| other.name != image.name);
        self.stored.images.push(image);
        store::write(self.client, &mut self.stored, self.progress).await
    }

    /// Applies the objects of a stage: Namespaces and definitions, which are waited for, then what workloads need,
    /// then workloads; and records what the server made of them.
    ///
    /// # Errors
    /// Why an object could not be applied; those that could be are recorded.
    pub async fn stage(&mut self, index: usize) -> Result<(), Error> {
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
        let results: Vec<Result<Done, Error>> = {
            let this = &*self;
            let work = batch.iter().map(|index| this.one(*index));
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
                    self.settle(done);
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
            self.wait_for(&founded, stage, SHORTLY).await?;
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
            logs_to: if self.operation { LogsTo::Error } else { LogsTo::Progress },
            progress: self.progress,
        };
        let targets = mine.iter().map(|index| &self.objects[*index].target);
        let objects = targets.map(|target| (target.kind.clone(), target.object.clone()));
        let (ready, outcome) = Waiter::new(context, objects, &mut self.live).run().await;
        for key in ready {
            if let Some(entry) = self.entry(&key).filter(|entry| entry.phase == EntryPhase::Applied) {
                entry.phase = EntryPhase::Ready;
            }
        }
        outcome
    }

    /// Takes a stage as done without applying it, because its `skip_if` holds. Its objects stay in the inventory.
    pub async fn skip(&mut self, index: usize) {
        let Some(stage) = self.plan.plugin_plan.stages.get(index) else { return };
        (self.progress)(Progress::StageSkipped { stage: stage.name.clone() });
        // An operation may have a stage of the same name, and says nothing of files in pods.
        if !self.operation {
            self.skip_pod_files(&stage.name);
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

    /// Makes the Jobs of a stage with `skip_if` run again that have ended, well or not: what the stage is to bring about is
    /// not there, or no longer.
    ///
    /// # Errors
    /// Why one could not be deleted.
    pub async fn again(&mut self, index: usize) -> Result<(), Error> {
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
                self.delete(target, live).await?;
            }
            let at = target.key();
            self.live.remove(&at);
            self.objects[position].diff = ObjectDiff::Create;
        }
        Ok(())
    }

    /// Ends the apply: the inventory shrinks to what is there, old revisions go, the claim is given back.
    ///
    /// # Errors
    /// [`Error::LostRace`] if somebody else has written the record.
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

    /// Gives up: records the release as failed, as far as that is possible, and gives the claim back.
    pub async fn abandon(self, why: &str) {
        self.stop(Phase::Failed, Some(why.to_owned())).await;
    }

    /// Stops because its user says so: records the release as interrupted, as far as that is possible, and gives the claim
    /// back.
    pub async fn interrupt(self) {
        self.stop(Phase::Interrupted, None).await;
    }

    pub(crate) async fn stop(mut self, phase: Phase, message: Option<String>) {
        self.stored.record.phase = phase;
        self.stored.record.message = message.map(|text| text.chars().take(4000).collect());
        if self.lease.check().is_ok()
            && let Err(error) = store::write(self.client, &mut self.stored, self.progress).await
        {
            (self.progress)(Progress::Warning(format!(
                "the release could not be recorded as {phase}: {error}"
            )));
        }
        self.lease.release(false).await;
    }

    pub(crate) fn check_lease(&self) -> Result<(), Error> {
        Ok(self.lease.check()?)
    }

    pub(crate) fn entry(&mut self, at: &ObjectKey) -> Option<&mut Entry> {
        self.stored.entry_mut(at)
    }

    fn settle(&mut self, done: Done) {
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
                why: "it was there before and is not the release's".into(),
            });
        } else {
            (self.progress)(Progress::Applied { object, action: done.action });
        }
        // From now on it is as wanted: a second call of the stage does nothing.
        if !used {
            self.objects[done.index].diff = ObjectDiff::Unchanged;
        }
    }

    async fn one(&self, index: usize) -> Result<Done, Error> {
        let PlannedObject { target, diff, .. } = &self.objects[index];
        let live = self.live.get(&target.key());
        let unchanged = |action: Action| Done {
            index,
            live: live.cloned().unwrap_or_default(),
            action,
            fingerprint: None,
        };
        match diff {
            ObjectDiff::Unchanged => return Ok(unchanged(Action::Unchanged)),
            ObjectDiff::Keep | ObjectDiff::Shared => return Ok(unchanged(Action::Keep)),
            ObjectDiff::Create | ObjectDiff::Update | ObjectDiff::Skipped | ObjectDiff::NotOwned => {}
        }
        if live.is_some_and(|live| live["metadata"]["deletionTimestamp"].is_string()) {
            wait_gone(self.client, &target.kind, &target.object, SHORTLY).await?;
        }
        let live = live.filter(|live| !live["metadata"]["deletionTimestamp"].is_string());
        let desired = self.desired(target, live.is_some()).await?;
        // The key of a secret that somebody else holds by now would stay, and the mark that hides it go.
        if let Some(live) = live
            && is_confidential(live)
            && !target.is_confidential()
            && could_be_created(self.client, &target.kind, &target.object, &desired).await?
        {
            return self.recreate(index, live, &desired).await;
        }
        let restarts = matches!(target.desired, Desired::Restart);
        let request = match restarts {
            true => ApiRequest::apply_as(RESTART_MANAGER, &target.kind, &target.object, &desired),
            false => ApiRequest::apply(&target.kind, &target.object, &desired, false),
        };
        let started = tokio::time::Instant::now();
        let response = loop {
            let response = self.client.request(&request, self.progress).await?;
            // A kind whose definition was just accepted is served a moment later.
            let early = response.status.kind == StatusKind::NoSuchPath && target.own_kind;
            if !early || started.elapsed() > SERVES_AFTER {
                break response;
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        };
        if response.status.kind == StatusKind::Success {
            let action = if response.code == 201 { Action::Create } else { Action::Update };
            let live = response.value("apply")?;
            if restarts {
                return Ok(Done { index, live, action: Action::Restart, fingerprint: None });
            }
            let fingerprint = fingerprint(&desired, &live);
            return Ok(Done { index, live, action, fingerprint });
        }
        if matches!(response.status.kind, StatusKind::InvalidFields(_))
            && target.on_change == OnChange::Recreate
            && !target.kind.holds_data()
            && let Some(live) = live
            && could_be_created(self.client, &target.kind, &target.object, &desired).await?
        {
            return self.recreate(index, live, &desired).await;
        }
        Err(apply_error(self.client, target, &desired, live.is_some(), response).await)
    }

    /// What is sent for a target: all of it, or for an object that is adopted to be left alone only the label.
    async fn desired(&self, target: &Target, exists: bool) -> Result<Value, Error> {
        let live = match &target.desired {
            Desired::Secret(_) | Desired::Restart => {
                let namespace = target.object.namespace.as_deref();
                self.client.get(&target.kind, namespace, &target.object.name).await?
            }
            _ if exists && target.on_change == OnChange::CreateOnly => {
                return Ok(json!({
                    "apiVersion": target.object.api_version, "kind": target.object.kind,
                    "metadata": {"name": target.object.name, "namespace": target.object.namespace,
                        "labels": {PART_OF: self.applyset}},
                }));
            }
            _ => None,
        };
        let composer =
            Composer { client: self.client, applyset: &self.applyset, values: &self.values, generate: true };
        composer.desired(target, live.as_ref()).await.map_err(|error| error.of(target))
    }

    /// Deletes and makes anew. The new one has been proven valid by then.
    async fn delete(&self, target: &Target, live: &Value) -> Result<(), Error> {
        let uid = live["metadata"]["uid"].as_str().unwrap_or_default();
        (self.progress)(Progress::Deleting { object: target.object.clone() });
        let request = ApiRequest::delete(&target.kind, &target.object, uid, "Foreground");
        let response = self.client.request(&request, self.progress).await?;
        if !matches!(response.status.kind, StatusKind::Success | StatusKind::NotFound { .. }) {
            return Err(self.client.error_from(&request, response).await.into());
        }
        wait_gone(self.client, &target.kind, &target.object, 5 * SHORTLY).await
    }

    async fn recreate(&self, index: usize, live: &Value, desired: &Value) -> Result<Done, Error> {
        let target = &self.objects[index].target;
        self.delete(target, live).await?;
        let request = ApiRequest::apply(&target.kind, &target.object, desired, false);
        let response = self.client.request(&request, self.progress).await?;
        if response.status.kind != StatusKind::Success {
            return Err(apply_error(self.client, target, desired, false, response).await);
        }
        let live = response.value("apply")?;
        let fingerprint = fingerprint(desired, &live);
        Ok(Done { index, live, action: Action::Recreate, fingerprint })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_object_to_adopt_is_named_by_kind_namespace_and_name() {
        let adopt: Adopt = "Secret/devpi/root".parse().unwrap();
        assert_eq!(
            (adopt.kind.as_str(), adopt.namespace.as_deref(), adopt.name.as_str()),
            ("Secret", Some("devpi"), "root")
        );
        assert_eq!("Namespace/devpi".parse::<Adopt>().unwrap().namespace, None);
        for wrong in ["", "Secret", "Secret//x", "a/b/c/d", "/x"] {
            assert_eq!(wrong.parse::<Adopt>().unwrap_err(), EXPECTED, "{wrong}");
        }
    }

    #[test]
    fn an_object_of_another_release_cannot_be_adopted() {
        let foreign = |name: &str, adoptable: bool| ForeignObject {
            object: ApiResource::config_map().object(Some("n"), name),
            owner: "made with kubectl".into(),
            adoptable,
        };
        let adopt: Vec<Adopt> =
            ["ConfigMap/n/a", "ConfigMap/n/b"].iter().map(|text| text.parse().unwrap()).collect();
        assert_eq!(refused(vec![foreign("a", true), foreign("b", true)], &adopt), []);
        assert_eq!(refused(vec![foreign("a", true), foreign("b", false)], &adopt), [foreign("b", false)]);
    }
}
