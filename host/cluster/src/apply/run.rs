//! Applying a plan: record first, then stage by stage.

use crate::Error;
use crate::api::client::{ApiRequest, Cluster};
use crate::api::status::StatusKind;
use crate::apply::operation::RESTARTS;
use crate::diff::compare::{AT_ONCE, Need, ReleaseDiff, lack_error};
use crate::diff::managed_fields::fingerprint;
use crate::diff::normalize::is_confidential;
use crate::diff::target::{Desired, ObjectKey, Target, id};
use crate::discovery::ApiResource;
use crate::pod_files::exec::rights_in_pods;
use crate::pod_files::files::superset as superset_in_pods;
use crate::progress::{Event, Events};
use crate::readiness::kstatus::{State, status};
use crate::release::lease::{LeaseGuard, claim};
use crate::release::record::{BuiltImage, Entry, EntryPhase, Phase, Release};
use crate::release::store::{Record, Stored, ensure_state_namespace};
use futures::stream::{self, StreamExt as _};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
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
    pub claim: Duration,
}

impl Default for ApplyOptions {
    fn default() -> Self {
        Self { adopt: Vec::new(), claim: Duration::from_secs(30) }
    }
}

/// An apply that has begun: the record is written and the release is claimed.
///
/// Dropping it is what a crash is: the record stays as it is and the claim ends by itself. Who can still speak calls
/// [`Apply::abandon`] or [`Apply::interrupt`].
pub struct Apply<'a> {
    pub(crate) cluster: &'a Cluster,
    pub(crate) plan: &'a Plan,
    pub(crate) values: Values,
    pub(crate) events: Events<'a>,
    pub(crate) targets: Vec<Target>,
    pub(crate) needs: Vec<Need>,
    /// The release's objects as they were last seen. Holds the values of Secrets: never shown.
    pub(crate) live: HashMap<ObjectKey, Value>,
    pub(crate) gone: Vec<Entry>,
    pub(crate) stored: Stored,
    pub(crate) claim: LeaseGuard,
    pub(crate) applyset: String,
    pub(crate) new_revision: bool,
    /// Whether this carries out an operation, not the release's plan.
    pub(crate) operation: bool,
}

impl Cluster {
    /// Begins an apply: claims the release and writes its record, with everything that may exist from now on, before
    /// the first object.
    ///
    /// # Errors
    /// [`Error::NotOwned`], [`Error::Forbidden`] or [`Error::Busy`] before anything is written; [`Error::LostRace`] if the release has
    /// changed since the comparison.
    pub async fn begin<'a>(
        &'a self,
        plan: &'a Plan,
        values: &Values,
        comparison: ReleaseDiff,
        options: &ApplyOptions,
        events: Events<'a>,
    ) -> Result<Apply<'a>, Error> {
        let ReleaseDiff { digest, stored, targets, mut needs, live, gone, not_owned, others, .. } =
            comparison;
        let refused = refused(not_owned, &others, &options.adopt);
        if !refused.is_empty() {
            return Err(Error::NotOwned { release: plan.release.clone(), objects: refused });
        }
        for need in needs.iter_mut().filter(|need| **need == Need::Foreign) {
            *need = Need::Update;
        }
        self.preflight(plan, &targets, &needs, &gone).await?;
        ensure_state_namespace(self, events).await?;
        let claim = claim(self, &plan.release, options.claim, stored.as_ref(), events).await?;
        let recorded = self.record(plan, &digest, stored, &targets, &needs, events).await;
        let (stored, new_revision) = match recorded {
            Ok(recorded) => recorded,
            Err(error) => {
                claim.release(false).await;
                return Err(error);
            }
        };
        let applyset = self.applyset_id(&plan.release);
        Ok(Apply {
            cluster: self,
            plan,
            values: values.clone(),
            events,
            targets,
            needs,
            live,
            gone,
            stored,
            claim,
            applyset,
            new_revision,
            operation: false,
        })
    }

    /// Writes the release's record with everything that may exist from now on, if nobody has changed it since the
    /// comparison; and the plan, if it is not the one on record.
    async fn record(
        &self,
        plan: &Plan,
        digest: &Digest,
        stored: Option<Stored>,
        targets: &[Target],
        needs: &[Need],
        events: Events<'_>,
    ) -> Result<(Stored, bool), Error> {
        let now = self.stored(&plan.release).await?;
        let version = |stored: &Option<Stored>| stored.as_ref().map(|stored| stored.resource_version.clone());
        if version(&now) != version(&stored) {
            return Err(Error::LostRace { what: format!("the record of release {}", plan.release) });
        }
        let new_revision = stored.as_ref().is_none_or(|stored| stored.record.digest != *digest);
        let mut record = Record {
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
            record.chunks = self.write_revision(plan, record.revision, events).await?;
        }
        let old = stored.as_ref().map(|stored| stored.inventory.as_slice()).unwrap_or_default();
        let inventory = superset(old, targets, needs);
        let mut external: Vec<ExternalStep> = plan.plugin_plan.external().cloned().collect();
        let old = stored.iter().flat_map(|stored| &stored.external);
        external.extend(old.filter(|old| plan.plugin_plan.external().all(|new| !new.is_of(old))).cloned());
        let pod_files = superset_in_pods(plan, stored.as_ref().map_or(&[], |stored| &stored.pod_files));
        let images = stored.as_ref().map(|old| old.images.clone()).unwrap_or_default();
        let (resource_version, uid) =
            stored.map_or_else(Default::default, |old| (old.resource_version, old.uid));
        let mut stored = Stored { record, inventory, external, pod_files, images, resource_version, uid };
        self.write_parent(&mut stored, events).await?;
        events(Event::Recorded {
            release: plan.release.clone(),
            revision: stored.record.revision,
            objects: stored.inventory.len(),
        });
        Ok((stored, new_revision))
    }

    /// Asks whether RBAC allows every write to come, so that what it forbids is found before the first.
    pub(crate) async fn preflight(
        &self,
        plan: &Plan,
        targets: &[Target],
        needs: &[Need],
        gone: &[Entry],
    ) -> Result<(), Error> {
        if self.allowed("*", "*", "*", None).await? {
            return Ok(());
        }
        let mut wanted: BTreeSet<(ApiResource, Option<String>, &str)> = BTreeSet::new();
        let state_namespace = Some(self.state_namespace().to_owned());
        for kind in [ApiResource::config_map(), ApiResource::lease()] {
            for verb in ["get", "create", "update"] {
                wanted.insert((kind.clone(), state_namespace.clone(), verb));
            }
        }
        for (target, need) in targets.iter().zip(needs) {
            let again = target.repeats && *need == Need::Nothing;
            if !again && !matches!(need, Need::Create | Need::Update | Need::Skipped) {
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
            if let Some(kind) = self.kind_of(&entry.object).await? {
                wanted.insert((kind, entry.object.namespace.clone(), "delete"));
            }
        }
        self.require(wanted).await
    }

    pub(crate) async fn require(
        &self,
        wanted: BTreeSet<(ApiResource, Option<String>, &str)>,
    ) -> Result<(), Error> {
        let reviews = stream::iter(wanted).map(|(kind, namespace, verb)| async move {
            match self.allowed(verb, kind.group(), &kind.plural, namespace.as_deref()).await {
                Ok(true) => Ok(()),
                Ok(false) => Err(self.forbidden(verb, &kind, namespace.as_deref()).await),
                Err(error) => Err(error),
            }
        });
        let answers: Vec<Result<(), Error>> = reviews.buffered(AT_ONCE).collect().await;
        Error::several(answers.into_iter().filter_map(Result::err).collect())
    }
}

/// What the operator did not give to the release, or could not: what another release has is not theirs to give here.
fn refused(
    not_owned: Vec<(ObjectRef, String)>,
    others: &HashSet<ObjectKey>,
    adopt: &[Adopt],
) -> Vec<(ObjectRef, String)> {
    let given =
        |object: &ObjectRef| !others.contains(&id(object)) && adopt.iter().any(|adopt| adopt.names(object));
    not_owned.into_iter().filter(|(object, _)| !given(object)).collect()
}

/// Everything that may exist: what was there, and what the plan wants.
fn superset(old: &[Entry], targets: &[Target], needs: &[Need]) -> Vec<Entry> {
    let mut rest: BTreeMap<ObjectKey, Entry> =
        old.iter().map(|entry| (id(&entry.object), entry.clone())).collect();
    let mut inventory = Vec::new();
    for (target, need) in targets.iter().zip(needs) {
        let old = rest.remove(&target.id());
        let phase = match need {
            Need::Use => EntryPhase::Used,
            Need::Nothing | Need::Keep => old.as_ref().map_or(EntryPhase::Applied, |entry| entry.phase),
            Need::Create | Need::Update | Need::Skipped | Need::Foreign => EntryPhase::Pending,
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

/// What became of one object.
struct Done {
    index: usize,
    live: Value,
    action: Action,
    fingerprint: Option<crate::release::record::Fingerprint>,
}

impl Apply<'_> {
    /// Resources outside the cluster that the release may have from before, and that the plan no longer wants.
    pub fn gone_external(&self) -> Vec<ExternalStep> {
        let wanted = |old: &ExternalStep| self.plan.plugin_plan.external().any(|new| new.is_of(old));
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
        self.claim.check()?;
        self.stored.images.retain(|other| other.name != image.name);
        self.stored.images.push(image);
        self.cluster.write_parent(&mut self.stored, self.events).await
    }

    /// Applies the objects of a stage: Namespaces and definitions, which are waited for, then what workloads need,
    /// then workloads; and records what the server made of them.
    ///
    /// # Errors
    /// Why an object could not be applied; those that could be are recorded.
    pub async fn stage(&mut self, index: usize) -> Result<(), Error> {
        self.claim.check()?;
        let Some(stage) = self.plan.plugin_plan.stages.get(index) else {
            return Err(Error::Invalid {
                stage: index.to_string(),
                object: "the plan".into(),
                message: format!("it has {} stages", self.plan.plugin_plan.stages.len()),
            });
        };
        let mine: Vec<usize> =
            (0..self.targets.len()).filter(|target| self.targets[*target].stage == index).collect();
        let writes = |target: &&usize| {
            matches!(self.needs[**target], Need::Create | Need::Update | Need::Skipped | Need::Foreign)
        };
        let writes = mine.iter().filter(writes).count();
        (self.events)(Event::StageStarted { stage: stage.name.clone(), objects: mine.len(), writes });
        let rank = |target: &Target| match &target.kind {
            kind if kind.is_namespace() || kind.is_definition() => 0,
            kind if kind.is_workload() => 2,
            _ => 1,
        };
        let mut wrote = false;
        for wave in 0..3 {
            let wave_targets: Vec<usize> =
                mine.iter().copied().filter(|target| rank(&self.targets[*target]) == wave).collect();
            let results: Vec<Result<Done, Error>> = {
                let this = &*self;
                let work = wave_targets.iter().map(|target| this.one(*target));
                stream::iter(work).buffer_unordered(AT_ONCE).collect().await
            };
            let mut errors = Vec::new();
            let mut founded = Vec::new();
            for result in results {
                match result {
                    Ok(done) => {
                        wrote |= self.needs[done.index] != Need::Nothing;
                        if wave == 0 && matches!(done.action, Action::Create | Action::Update) {
                            founded.push(done.index);
                        }
                        self.settle(done);
                    }
                    Err(error) => errors.push(error),
                }
            }
            if !errors.is_empty() {
                if let Err(error) = self.cluster.write_parent(&mut self.stored, self.events).await {
                    errors.push(error);
                }
                return Error::several(errors);
            }
            if !founded.is_empty() {
                self.wait_for(&founded, &stage.name, SHORTLY).await?;
                if founded.iter().any(|target| self.targets[*target].kind.is_definition()) {
                    self.cluster.refresh_kinds().await?;
                }
            }
        }
        if wrote {
            self.cluster.write_parent(&mut self.stored, self.events).await?;
        }
        Ok(())
    }

    /// Takes a stage as done without applying it, because its `skip_if` holds. Its objects stay in the inventory.
    pub async fn skip(&mut self, index: usize) {
        let Some(stage) = self.plan.plugin_plan.stages.get(index) else { return };
        (self.events)(Event::StageSkipped { stage: stage.name.clone() });
        // An operation may have a stage of the same name, and says nothing of files in pods.
        if !self.operation {
            self.skip_pod_files(&stage.name);
        }
        for position in 0..self.targets.len() {
            let target = &self.targets[position];
            if target.stage != index || self.live.contains_key(&target.id()) {
                continue;
            }
            let at = target.id();
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
        self.claim.check()?;
        for position in 0..self.targets.len() {
            let target = &self.targets[position];
            if target.stage != index || !target.repeats || self.needs[position] != Need::Nothing {
                continue;
            }
            if let Some(live) = self.live.get(&target.id()) {
                if status(live, self.cluster.now()).state == State::InProgress {
                    continue;
                }
                self.delete(target, live).await?;
            }
            let at = target.id();
            self.live.remove(&at);
            self.needs[position] = Need::Create;
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
        self.claim.check()?;
        self.stored.record.phase = Phase::Deployed;
        self.stored.record.message = message;
        self.stored.external = self.plan.plugin_plan.external().cloned().collect();
        self.stored.images.retain(|image| self.plan.plugin_plan.images().any(|step| step.name == image.name));
        self.cluster.write_parent(&mut self.stored, self.events).await?;
        if self.new_revision {
            let revision = self.stored.record.revision;
            self.cluster.drop_old_revisions(&self.plan.release, revision).await?;
        }
        self.claim.release(false).await;
        Ok(self.cluster.released(self.stored, self.plan.clone()))
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
        if self.claim.check().is_ok()
            && let Err(error) = self.cluster.write_parent(&mut self.stored, self.events).await
        {
            (self.events)(Event::Warning(format!("the release could not be recorded as {phase}: {error}")));
        }
        self.claim.release(false).await;
    }

    pub(crate) fn check_claim(&self) -> Result<(), Error> {
        self.claim.check()
    }

    pub(crate) fn entry(&mut self, at: &ObjectKey) -> Option<&mut Entry> {
        self.stored.inventory.iter_mut().find(|entry| id(&entry.object) == *at)
    }

    fn settle(&mut self, done: Done) {
        let target = &self.targets[done.index];
        let (object, at) = (target.object.clone(), target.id());
        let used = self.needs[done.index] == Need::Use;
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
            (self.events)(Event::Used { object, why: "it was there before and is not the release's".into() });
        } else {
            (self.events)(Event::Applied { object, action: done.action });
        }
        // From now on it is as wanted: a second call of the stage does nothing.
        if !used {
            self.needs[done.index] = Need::Nothing;
        }
    }

    async fn one(&self, index: usize) -> Result<Done, Error> {
        let target = &self.targets[index];
        let live = self.live.get(&target.id());
        let unchanged = |action: Action| Done {
            index,
            live: live.cloned().unwrap_or_default(),
            action,
            fingerprint: None,
        };
        match self.needs[index] {
            Need::Nothing => return Ok(unchanged(Action::Unchanged)),
            Need::Keep | Need::Use => return Ok(unchanged(Action::Keep)),
            Need::Create | Need::Update | Need::Skipped | Need::Foreign => {}
        }
        if live.is_some_and(|live| live["metadata"]["deletionTimestamp"].is_string()) {
            self.cluster.gone(&target.kind, &target.object, SHORTLY).await?;
        }
        let live = live.filter(|live| !live["metadata"]["deletionTimestamp"].is_string());
        let desired = self.desired(target, live.is_some()).await?;
        // The key of a secret that somebody else holds by now would stay, and the mark that hides it go.
        if let Some(live) = live
            && is_confidential(live)
            && !target.is_confidential()
            && self.cluster.could_be_created(&target.kind, &target.object, &desired).await?
        {
            return self.recreate(index, live, &desired).await;
        }
        let restarts = matches!(target.desired, Desired::Restart);
        let ask = match restarts {
            true => ApiRequest::apply_beside(&target.kind, &target.object, &desired, RESTARTS),
            false => ApiRequest::apply(&target.kind, &target.object, &desired, false),
        };
        let started = tokio::time::Instant::now();
        let reply = loop {
            let reply = self.cluster.call(&ask, self.events).await?;
            // A kind whose definition was just accepted is served a moment later.
            let early = reply.answered.class == StatusKind::NoSuchPath && target.own_kind;
            if !early || started.elapsed() > SERVES_AFTER {
                break reply;
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        };
        if reply.answered.class == StatusKind::Done {
            let action = if reply.status == 201 { Action::Create } else { Action::Update };
            let live = reply.value("apply")?;
            if restarts {
                return Ok(Done { index, live, action: Action::Restart, fingerprint: None });
            }
            let fingerprint = fingerprint(&desired, &live);
            return Ok(Done { index, live, action, fingerprint });
        }
        if matches!(reply.answered.class, StatusKind::Refused(_))
            && target.on_change == OnChange::Recreate
            && !target.kind.is_never_recreated()
            && let Some(live) = live
            && self.cluster.could_be_created(&target.kind, &target.object, &desired).await?
        {
            return self.recreate(index, live, &desired).await;
        }
        Err(self.cluster.apply_error(target, &desired, live.is_some(), reply).await)
    }

    /// What is sent for a target: all of it, or for an object that is adopted to be left alone only the label.
    async fn desired(&self, target: &Target, exists: bool) -> Result<Value, Error> {
        let live = match &target.desired {
            Desired::Secret(_) | Desired::Restart => {
                let namespace = target.object.namespace.as_deref();
                self.cluster.get(&target.kind, namespace, &target.object.name).await?
            }
            _ if exists && target.on_change == OnChange::CreateOnly => {
                return Ok(json!({
                    "apiVersion": target.object.api_version, "kind": target.object.kind,
                    "metadata": {"name": target.object.name, "namespace": target.object.namespace,
                        "labels": {crate::release::applyset::PART_OF: self.applyset}},
                }));
            }
            _ => None,
        };
        let desired = self.cluster.desired(target, &self.applyset, &self.values, live.as_ref(), true).await?;
        desired.map_err(|lack| lack_error(target, lack))
    }

    /// Deletes and makes anew. The new one has been proven valid by then.
    async fn delete(&self, target: &Target, live: &Value) -> Result<(), Error> {
        let uid = live["metadata"]["uid"].as_str().unwrap_or_default();
        (self.events)(Event::Deleting { object: target.object.clone() });
        let ask = ApiRequest::delete(&target.kind, &target.object, uid, "Foreground");
        let reply = self.cluster.call(&ask, self.events).await?;
        if !matches!(reply.answered.class, StatusKind::Done | StatusKind::Absent { .. }) {
            return Err(self.cluster.refusal(&ask, reply).await);
        }
        self.cluster.gone(&target.kind, &target.object, 5 * SHORTLY).await
    }

    async fn recreate(&self, index: usize, live: &Value, desired: &Value) -> Result<Done, Error> {
        let target = &self.targets[index];
        self.delete(target, live).await?;
        let ask = ApiRequest::apply(&target.kind, &target.object, desired, false);
        let reply = self.cluster.call(&ask, self.events).await?;
        if reply.answered.class != StatusKind::Done {
            return Err(self.cluster.apply_error(target, desired, false, reply).await);
        }
        let live = reply.value("apply")?;
        let fingerprint = fingerprint(desired, &live);
        Ok(Done { index, live, action: Action::Recreate, fingerprint })
    }
}

impl Cluster {
    /// Whether the same object under another name would be accepted: then only its past stands against it.
    pub(crate) async fn could_be_created(
        &self,
        kind: &ApiResource,
        object: &ObjectRef,
        desired: &Value,
    ) -> Result<bool, Error> {
        let mut probe = desired.clone();
        if let Some(metadata) = probe["metadata"].as_object_mut() {
            metadata.remove("name");
            metadata.insert("generateName".into(), json!(format!("{}-", object.name)));
        }
        let ask = ApiRequest::probe_create(kind, object.namespace.as_deref(), &probe);
        let reply = self.call(&ask, &crate::progress::quiet).await?;
        match reply.answered.class {
            StatusKind::Done => Ok(true),
            StatusKind::Refused(_) | StatusKind::Wrong | StatusKind::Denied => Ok(false),
            _ => Err(self.refusal(&ask, reply).await),
        }
    }

    /// Why an apply was refused.
    pub(crate) async fn apply_error(
        &self,
        target: &Target,
        desired: &Value,
        exists: bool,
        reply: crate::api::client::ApiResponse,
    ) -> Error {
        let object = Box::new(target.object.clone());
        // A server quotes the values that it refuses.
        let message = if target.is_confidential() {
            "(what it says is not shown, for it may quote a secret)".to_owned()
        } else {
            reply.answered.message.clone()
        };
        let namespace = target.object.namespace.as_deref();
        match reply.answered.class {
            StatusKind::Conflict(fields) => Error::Conflict { object, fields },
            StatusKind::Denied => Error::Denied { object, message },
            StatusKind::Refused(fields) => {
                // A recreate of what holds data is out of the question, so asking whether it would do is, too.
                let transition = exists
                    && matches!(self.could_be_created(&target.kind, &target.object, desired).await, Ok(true));
                if transition {
                    Error::Immutable { object, fields }
                } else {
                    Error::Rejected { object, status: reply.status, fields, message }
                }
            }
            StatusKind::Wrong => {
                Error::Rejected { object, status: reply.status, fields: reply.answered.fields, message }
            }
            StatusKind::Terminating => {
                Error::Terminating { namespace: namespace.unwrap_or_default().to_owned() }
            }
            StatusKind::Absent { of } if of == "namespaces" => {
                Error::NoNamespace { namespace: namespace.unwrap_or_default().to_owned(), object }
            }
            StatusKind::NoSuchPath => Error::NotServed {
                object: target.object.to_string(),
                api_version: target.object.api_version.clone(),
                kind: target.object.kind.clone(),
            },
            StatusKind::Forbidden => {
                // Quotas, Pod Security and webhooks answer 403 too. RBAC is asked which of them it was.
                for verb in ["patch", "create"] {
                    let kind = &target.kind;
                    if let Ok(false) = self.allowed(verb, kind.group(), &kind.plural, namespace).await {
                        return self.forbidden(verb, kind, namespace).await;
                    }
                }
                Error::Denied { object, message }
            }
            StatusKind::LostRace => Error::LostRace { what: target.object.to_string() },
            _ => Error::Api {
                what: format!("apply {}", target.object),
                status: reply.status,
                reason: reply.answered.reason,
                message,
            },
        }
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
    fn what_another_release_has_cannot_be_adopted() {
        let object = |name: &str| ApiResource::config_map().object(Some("n"), name);
        let not_owned = || vec![(object("a"), "made with kubectl".to_owned()), (object("b"), "b".to_owned())];
        let adopt: Vec<Adopt> =
            ["ConfigMap/n/a", "ConfigMap/n/b"].iter().map(|text| text.parse().unwrap()).collect();
        assert_eq!(refused(not_owned(), &HashSet::new(), &adopt), []);
        let others = HashSet::from([id(&object("b"))]);
        assert_eq!(refused(not_owned(), &others, &adopt), [(object("b"), "b".to_owned())]);
    }
}
