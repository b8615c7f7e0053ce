//! What an apply would have to write, found out without writing.

use crate::Error;
use crate::api::client::Cluster;
use crate::diff::managed_fields::{fingerprint, hash, secret_is};
use crate::diff::target::{Desired, ObjectKey, Target, id, resolve};
use crate::discovery::{ApiResource, check_name};
use crate::error::OTHERS;
use crate::readiness::kstatus::{State, status};
use crate::release::applyset::PART_OF;
use crate::release::record::{BuiltImage, Entry, EntryPhase, Phase};
use crate::release::store::{Stored, owner_of};
use crate::secrets::compose::{Bytes, Lack, Sources, compose, copies, mirror, value_of};
use futures::stream::{self, StreamExt as _, TryStreamExt as _};
use k8s_openapi::jiff::Timestamp;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use thinkube_plan::{
    Action, Change, Digest, ExternalStep, ObjectRef, OnChange, Plan, SecretContent, SecretStep, Values,
};

/// More of one kind in one namespace than this are looked up by one LIST.
const FEW: usize = 8;
pub(crate) const AT_ONCE: usize = 64;

/// How a plan and the cluster differ.
pub struct ReleaseDiff {
    pub(crate) digest: Digest,
    pub(crate) stored: Option<Stored>,
    pub(crate) targets: Vec<Target>,
    /// One for each target.
    pub(crate) needs: Vec<Need>,
    /// The release's objects as they are. Holds the values of Secrets: never shown.
    pub(crate) live: HashMap<ObjectKey, Value>,
    /// What the inventory has and the plan no longer does.
    pub(crate) gone: Vec<Entry>,
    pub(crate) not_owned: Vec<(ObjectRef, String)>,
    /// What is in running pods, file by file.
    pub(crate) pod_files: Vec<Change>,
    /// Those of them that another release has: no word of the operator to this release takes them from it.
    pub(crate) others: HashSet<ObjectKey>,
}

/// What a target needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Need {
    Create,
    Update,
    /// It is there, and the plan says to leave it alone.
    Keep,
    Nothing,
    /// The last apply found its stage done.
    Skipped,
    /// A Namespace of somebody else.
    Use,
    /// Somebody else's: only the operator can say what to do.
    Foreign,
}

impl ReleaseDiff {
    /// Whether an apply would write nothing at all.
    pub fn up_to_date(&self) -> bool {
        let settled = self.stored.as_ref().is_some_and(|stored| {
            stored.record.phase == Phase::Deployed && stored.record.digest == self.digest
        });
        let idle = |need: &Need| matches!(need, Need::Keep | Need::Nothing | Need::Skipped | Need::Use);
        settled
            && self.gone.is_empty()
            && self.needs.iter().all(idle)
            && self.pod_files.iter().all(|change| !change.action.writes())
    }

    /// Each object of the plan, in order, and those that it no longer has, with what an apply would do.
    pub fn changes(&self) -> Vec<(ObjectRef, Action)> {
        let wanted = self.targets.iter().zip(&self.needs).map(|(target, need)| {
            let action = match need {
                Need::Create => Action::Create,
                Need::Update | Need::Foreign => Action::Update,
                Need::Keep | Need::Use => Action::Keep,
                Need::Nothing | Need::Skipped => Action::Unchanged,
            };
            (target.object.clone(), action)
        });
        wanted.chain(self.gone.iter().map(|entry| (entry.object.clone(), gone_action(entry)))).collect()
    }

    /// Stages of whose Jobs nothing is left to do: all that can say whether their work is still there is the stage's
    /// `skip_if`.
    pub fn worked_stages(&self) -> Vec<&str> {
        // Whether a Job has ended depends on no time.
        let over = |target: &Target| {
            self.live
                .get(&target.id())
                .is_none_or(|live| status(live, Timestamp::UNIX_EPOCH).state != State::InProgress)
        };
        let worked = self.targets.iter().zip(&self.needs).filter(|(target, need)| {
            **need == Need::Nothing && target.kind.is("batch", "Job") && over(target)
        });
        worked.map(|(target, _)| target.stage_name.as_str()).collect()
    }

    /// Resources outside the cluster that the release may have.
    pub fn external(&self) -> &[ExternalStep] {
        self.stored.as_ref().map(|stored| stored.external.as_slice()).unwrap_or_default()
    }

    /// What the release's images were built from when they were applied last.
    pub fn images(&self) -> &[BuiltImage] {
        self.stored.as_ref().map(|stored| stored.images.as_slice()).unwrap_or_default()
    }

    /// Objects that are there and that the release does not own, with what is known of their owner.
    pub fn not_owned(&self) -> &[(ObjectRef, String)] {
        &self.not_owned
    }

    /// Stages that the last apply found done. The comparison takes that for granted; who wants to know asks their
    /// `skip_if` again.
    pub fn skipped_stages(&self) -> Vec<&str> {
        let skipped = self.targets.iter().zip(&self.needs).filter(|(_, need)| **need == Need::Skipped);
        let files = self.stored.iter().flat_map(|stored| &stored.pod_files).filter(|entry| entry.skipped);
        let mut names: Vec<&str> = skipped.map(|(target, _)| target.stage_name.as_str()).collect();
        names.extend(files.map(|entry| entry.stage.as_str()));
        names.sort_unstable();
        names.dedup();
        names
    }

    /// The installed revision; 0 if the release is not installed.
    pub fn revision(&self) -> u32 {
        self.stored.as_ref().map_or(0, |stored| stored.record.revision)
    }

    /// How far the installed release is.
    pub fn phase(&self) -> Option<Phase> {
        self.stored.as_ref().map(|stored| stored.record.phase)
    }

    pub(crate) fn entry(&self, id: &ObjectKey) -> Option<&Entry> {
        entry(self.stored.as_ref(), id)
    }
}

pub(crate) fn gone_action(entry: &Entry) -> Action {
    match entry.on_uninstall {
        thinkube_plan::OnUninstall::Delete => Action::Delete,
        thinkube_plan::OnUninstall::Retain => Action::Keep,
    }
}

fn entry<'a>(stored: Option<&'a Stored>, wanted: &ObjectKey) -> Option<&'a Entry> {
    stored?.inventory.iter().find(|entry| id(&entry.object) == *wanted)
}

impl Cluster {
    /// Finds out what an apply of `plan` would write: the parent, one LIST a kind and namespace, and a look at what is
    /// not there by label. Nothing is written.
    ///
    /// # Errors
    /// What is wrong with the plan on this cluster ([`Error::NotServed`], [`Error::Invalid`],
    /// [`Error::NoNamespace`], [`Error::Terminating`], [`Error::MissingInput`]), or why the cluster could not be read.
    pub async fn compare(&self, plan: &Plan, values: &Values) -> Result<ReleaseDiff, Error> {
        let mut comparison = self.compare_objects(plan, values).await?;
        let old = comparison.stored.as_ref().map_or(&[][..], |stored| &stored.pod_files);
        comparison.pod_files = self.look_into_pods(plan, old).await?;
        Ok(comparison)
    }

    /// The same without a look into pods, for the plan of an operation: it leaves the release's files there alone.
    ///
    /// # Errors
    /// As [`Cluster::compare`].
    pub async fn compare_objects(&self, plan: &Plan, values: &Values) -> Result<ReleaseDiff, Error> {
        let (comparison, lacking) = self.look(plan, values).await?;
        Error::several(lacking.into_iter().map(|(target, lack)| lack_error(&target, lack)).collect())?;
        Ok(comparison)
    }

    /// The comparison, and the Secrets that cannot be made.
    pub(crate) async fn look(
        &self,
        plan: &Plan,
        values: &Values,
    ) -> Result<(ReleaseDiff, Vec<(Target, Lack)>), Error> {
        check_release(&plan.release)?;
        let applyset = self.applyset_id(&plan.release);
        let (targets, stored) = tokio::join!(resolve(self, plan), self.stored(&plan.release));
        let (targets, stored) = (targets?, stored?);
        let live = self.members(&targets, stored.as_ref(), &applyset).await?;

        let planned: HashSet<ObjectKey> = targets.iter().map(Target::id).collect();
        let entries = stored.iter().flat_map(|stored| &stored.inventory);
        let gone = entries
            .filter(|entry| !planned.contains(&id(&entry.object)))
            .filter(|entry| !matches!(entry.phase, EntryPhase::Retained | EntryPhase::Used))
            .cloned()
            .collect();

        let mut needs = Vec::new();
        let mut lacking = Vec::new();
        for target in &targets {
            let at = target.id();
            let judged =
                self.judge(target, live.get(&at), entry(stored.as_ref(), &at), values, &applyset, &planned);
            needs.push(match judged.await? {
                Ok(need) => need,
                Err(lack) => {
                    lacking.push((target.clone(), lack));
                    if live.contains_key(&at) { Need::Update } else { Need::Create }
                }
            });
        }
        follow(&targets, &mut needs);
        let digest = plan.digest();
        let mut comparison = ReleaseDiff {
            digest,
            stored,
            targets,
            needs,
            live,
            gone,
            not_owned: Vec::new(),
            pod_files: Vec::new(),
            others: HashSet::new(),
        };
        self.look_around(&mut comparison, &applyset).await?;
        Ok((comparison, lacking))
    }

    /// The release's objects by label: one LIST a kind and namespace.
    async fn members(
        &self,
        targets: &[Target],
        stored: Option<&Stored>,
        applyset: &str,
    ) -> Result<HashMap<ObjectKey, Value>, Error> {
        let mut places: BTreeSet<(ApiResource, Option<String>)> =
            targets.iter().map(|target| (target.kind.clone(), target.object.namespace.clone())).collect();
        let covered: HashSet<(String, Option<String>)> = places
            .iter()
            .map(|(kind, namespace)| (kind.type_meta().group_kind(), namespace.clone()))
            .collect();
        for entry in stored.iter().flat_map(|stored| &stored.inventory) {
            let place = (entry.object.type_meta().group_kind(), entry.object.namespace.clone());
            if covered.contains(&place) {
                continue;
            }
            match self.kind_of(&entry.object).await {
                Ok(Some(kind)) => {
                    places.insert((kind, entry.object.namespace.clone()));
                }
                // A kind that the cluster no longer has has no objects. Of one that cannot be seen no object is in the
                // plan, or the plan would have been refused; what would take it away says so.
                Ok(None) | Err(Error::Undiscovered { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        let selector = format!("{PART_OF}={applyset}");
        let lists = stream::iter(places).map(|(kind, namespace)| {
            let selector = &selector;
            async move { self.list(&kind, namespace.as_deref(), &[("labelSelector", selector)], false).await }
        });
        let lists: Vec<Vec<Value>> = lists.buffer_unordered(AT_ONCE).try_collect().await?;
        let found = lists.into_iter().flatten();
        Ok(found.filter_map(|object| Some((id(&ObjectRef::of(&object)?), object))).collect())
    }

    async fn judge(
        &self,
        target: &Target,
        live: Option<&Value>,
        entry: Option<&Entry>,
        values: &Values,
        applyset: &str,
        planned: &HashSet<ObjectKey>,
    ) -> Result<Result<Need, Lack>, Error> {
        let live = live.filter(|live| !live["metadata"]["deletionTimestamp"].is_string());
        let skipped = entry.is_some_and(|entry| entry.phase == EntryPhase::Skipped);
        let desired = match self.desired(target, applyset, values, live, false).await? {
            Ok(desired) => desired,
            Err(_) if live.is_none() && skipped => return Ok(Ok(Need::Skipped)),
            Err(Lack::Random | Lack::Output { .. }) => return Ok(Ok(missing_or(live, Need::Update))),
            Err(Lack::Copy { source, .. }) if planned.contains(&secret_id(&source)) => {
                return Ok(Ok(missing_or(live, Need::Update)));
            }
            Err(Lack::Mirror { source }) if planned.contains(&id(&source)) => {
                return Ok(Ok(missing_or(live, Need::Update)));
            }
            Err(lack) => return Ok(Err(lack)),
        };
        let Some(live) = live else {
            let over = entry.is_some_and(|entry| is_over(entry, target, &desired));
            return Ok(Ok(if skipped {
                Need::Skipped
            } else if over {
                Need::Nothing
            } else {
                Need::Create
            }));
        };
        if target.on_change == OnChange::CreateOnly {
            return Ok(Ok(Need::Keep));
        }
        let same = if target.is_confidential() {
            secret_is(&desired, live)
        } else {
            entry.is_some_and(|entry| {
                entry.fingerprint.is_some() && entry.fingerprint == fingerprint(&desired, live)
            })
        };
        Ok(Ok(if same { Need::Nothing } else { Need::Update }))
    }

    /// A target as it would be sent. With `make`, random values of a Secret are made where there are none.
    pub(crate) async fn desired(
        &self,
        target: &Target,
        applyset: &str,
        values: &Values,
        live: Option<&Value>,
        make: bool,
    ) -> Result<Result<Value, Lack>, Error> {
        match &target.desired {
            Desired::Secret(step) => self.composed(step, applyset, values, live, make).await,
            Desired::Restart => Ok(self.restarted(target, live)),
            Desired::Manifest(_) | Desired::Bound(_) => {
                Ok(target.manifest(applyset, &values.outputs).map(Option::unwrap_or_default))
            }
        }
    }

    /// The Secret of a step as it would be sent. With `make`, random values are made where there are none.
    async fn composed(
        &self,
        step: &SecretStep,
        applyset: &str,
        values: &Values,
        live: Option<&Value>,
        make: bool,
    ) -> Result<Result<Value, Lack>, Error> {
        let entries = match &step.content {
            SecretContent::Entries(entries) => entries,
            SecretContent::Mirror(source) => {
                let namespace = source.namespace.as_deref().unwrap_or_default();
                check_name("namespace", namespace)?;
                let found = self.get(&ApiResource::secret(), Some(namespace), &source.name).await?;
                return Ok(mirror(step, applyset, source, found.as_ref()));
            }
        };
        let mut found: BTreeMap<(String, String, String), Bytes> = BTreeMap::new();
        let mut read: BTreeMap<(&str, &str), Option<Value>> = BTreeMap::new();
        for source in copies(entries) {
            let at = (source.namespace.as_str(), source.name.as_str());
            if let std::collections::btree_map::Entry::Vacant(vacant) = read.entry(at) {
                check_name("namespace", &source.namespace)?;
                vacant.insert(self.get(&ApiResource::secret(), Some(&source.namespace), &source.name).await?);
            }
            if let Some(Some(secret)) = read.get(&at)
                && let Some(value) = value_of(secret, &source.key)
            {
                found.insert((source.namespace.clone(), source.name.clone(), source.key.clone()), value);
            }
        }
        Ok(compose(step, entries, applyset, &Sources { values, live, copies: &found, make }))
    }

    /// Looks at what is not there by label: whether it is somebody else's, and whether its namespace will take it.
    async fn look_around(&self, comparison: &mut ReleaseDiff, applyset: &str) -> Result<(), Error> {
        let writes = |index: &usize| match comparison.needs[*index] {
            Need::Create | Need::Update | Need::Skipped => true,
            Need::Nothing => comparison.targets[*index].repeats,
            Need::Keep | Need::Use | Need::Foreign => false,
        };
        let wanted: Vec<usize> = (0..comparison.targets.len()).filter(writes).collect();
        let made: HashSet<String> = comparison
            .targets
            .iter()
            .filter(|target| target.kind.is_namespace())
            .map(|target| target.object.name.clone())
            .collect();
        let namespaces: BTreeSet<String> = wanted
            .iter()
            .filter_map(|index| {
                let object = &comparison.targets[*index].object;
                object.namespace.clone()
            })
            .chain(
                wanted
                    .iter()
                    .filter(|index| comparison.targets[**index].kind.is_namespace())
                    .map(|index| comparison.targets[*index].object.name.clone()),
            )
            .collect();
        let looks = stream::iter(namespaces).map(|name| async move {
            let found = match self.get(&ApiResource::namespace(), None, &name).await {
                // Who may not read namespaces may still work in one: the writes will tell.
                Err(Error::Forbidden { .. }) => return Ok((name, None)),
                found => found?,
            };
            Ok::<_, Error>((name, Some(found)))
        });
        let namespaces: BTreeMap<String, Option<Option<Value>>> =
            looks.buffer_unordered(AT_ONCE).try_collect().await?;
        for (name, found) in &namespaces {
            if let Some(Some(namespace)) = found
                && namespace["metadata"]["deletionTimestamp"].is_string()
            {
                return Err(Error::Terminating { namespace: name.clone() });
            }
        }
        for index in &wanted {
            let object = &comparison.targets[*index].object;
            if let Some(namespace) = &object.namespace
                && let Some(Some(None)) = namespaces.get(namespace)
                && !made.contains(namespace)
                && comparison.needs[*index] != Need::Skipped
            {
                let object = Box::new(object.clone());
                return Err(Error::NoNamespace { namespace: namespace.clone(), object });
            }
        }
        let absent = |index: &&usize| {
            let target = &comparison.targets[**index];
            let in_no_namespace = target
                .object
                .namespace
                .as_ref()
                .is_some_and(|name| matches!(namespaces.get(name), Some(Some(None))));
            !comparison.live.contains_key(&target.id()) && !in_no_namespace && !target.kind.is_namespace()
        };
        let unseen: Vec<usize> = wanted.iter().filter(absent).copied().collect();
        let mut others = self.others(comparison, &unseen).await?;
        for index in &wanted {
            let target = &comparison.targets[*index];
            if target.kind.is_namespace()
                && !comparison.live.contains_key(&target.id())
                && let Some(Some(Some(namespace))) = namespaces.get(&target.object.name)
            {
                others.insert(*index, namespace.clone());
            }
        }
        let owners = self.owners(others.values(), applyset).await;
        for (index, object) in others {
            let target = &comparison.targets[index];
            let uid = object["metadata"]["uid"].as_str();
            let entry = comparison.entry(&target.id());
            let labelled = object["metadata"]["labels"][PART_OF].as_str();
            let ours = labelled == Some(applyset)
                || (labelled.is_none()
                    && uid.is_some()
                    && entry.is_some_and(|entry| entry.uid.as_deref() == uid));
            comparison.needs[index] = if ours && entry.is_none_or(|entry| entry.phase != EntryPhase::Used) {
                Need::Update
            } else if labelled.is_none() && target.is_bare_namespace() {
                Need::Use
            } else {
                let why = match other_release(&object, applyset) {
                    Some(owner) => {
                        comparison.others.insert(target.id());
                        let owner = owners.get(owner).map_or(owner, String::as_str);
                        format!("{OTHERS}: {owner}")
                    }
                    None => owner_of(&object),
                };
                comparison.not_owned.push((target.object.clone(), why));
                Need::Foreign
            };
        }
        Ok(())
    }

    /// The names of the releases whose labels these objects carry, by the label; as far as they can be told.
    async fn owners(&self, objects: impl Iterator<Item = &Value>, applyset: &str) -> HashMap<String, String> {
        if objects.filter_map(|object| other_release(object, applyset)).next().is_none() {
            return HashMap::new();
        }
        let stored = self.all_stored().await.unwrap_or_default();
        let named = |stored: Stored| (self.applyset_id(&stored.record.name), stored.record.name);
        stored.into_iter().map(named).collect()
    }

    /// Those of the targets that are there without the release's label.
    async fn others(
        &self,
        comparison: &ReleaseDiff,
        unseen: &[usize],
    ) -> Result<BTreeMap<usize, Value>, Error> {
        let mut places: BTreeMap<(&ApiResource, Option<&str>), Vec<usize>> = BTreeMap::new();
        for index in unseen {
            let target = &comparison.targets[*index];
            places.entry((&target.kind, target.object.namespace.as_deref())).or_default().push(*index);
        }
        let looks = stream::iter(places).map(|((kind, namespace), indices)| async move {
            let mut found: Vec<(usize, Value)> = Vec::new();
            if indices.len() <= FEW {
                for index in indices {
                    let name = &comparison.targets[index].object.name;
                    if let Some(object) = self.get(kind, namespace, name).await? {
                        found.push((index, object));
                    }
                }
            } else {
                let all = self.list(kind, namespace, &[], true).await?;
                let by_name: HashMap<&str, &Value> = all
                    .iter()
                    .filter_map(|object| Some((object["metadata"]["name"].as_str()?, object)))
                    .collect();
                for index in indices {
                    if let Some(object) = by_name.get(comparison.targets[index].object.name.as_str()) {
                        found.push((index, (*object).clone()));
                    }
                }
            }
            Ok::<_, Error>(found)
        });
        let found: Vec<Vec<(usize, Value)>> = looks.buffer_unordered(AT_ONCE).try_collect().await?;
        Ok(found.into_iter().flatten().collect())
    }
}

/// The id of the other release whose label an object carries.
fn other_release<'a>(object: &'a Value, applyset: &str) -> Option<&'a str> {
    object["metadata"]["labels"][PART_OF].as_str().filter(|id| *id != applyset)
}

fn missing_or(live: Option<&Value>, need: Need) -> Need {
    if live.is_some() { need } else { Need::Create }
}

/// Who copies from a Secret that is about to change is about to change too.
fn follow(targets: &[Target], needs: &mut [Need]) {
    let changing = |need: &Need| matches!(need, Need::Create | Need::Update);
    let mut changes: HashSet<ObjectKey> = targets
        .iter()
        .zip(&*needs)
        .filter(|(_, need)| changing(need))
        .map(|(target, _)| target.id())
        .collect();
    // In the order of the plan: a copy may be copied in turn.
    for (target, need) in targets.iter().zip(needs).filter(|(_, need)| **need == Need::Nothing) {
        let Desired::Secret(step) = &target.desired else { continue };
        let follows = match &step.content {
            SecretContent::Mirror(source) => changes.contains(&id(source)),
            SecretContent::Entries(entries) => {
                copies(entries).any(|source| changes.contains(&secret_id(source)))
            }
        };
        if follows {
            *need = Need::Update;
            changes.insert(target.id());
        }
    }
}

fn secret_id(source: &thinkube_plan::SecretKey) -> ObjectKey {
    ("Secret".to_owned(), source.namespace.clone(), source.name.clone())
}

/// A Job that was done and that the cluster cleaned up since.
fn is_over(entry: &Entry, target: &Target, desired: &Value) -> bool {
    target.kind.is("batch", "Job")
        && entry.phase == EntryPhase::Ready
        && desired["spec"]["ttlSecondsAfterFinished"].is_number()
        && entry.fingerprint.as_ref().is_some_and(|print| print.desired == hash(desired))
}

pub(crate) fn check_release(name: &str) -> Result<(), Error> {
    let bytes = name.as_bytes();
    let plain = |byte: &u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-');
    let good = (1..=53).contains(&bytes.len())
        && bytes.iter().all(plain)
        && !name.starts_with('-')
        && !name.ends_with('-');
    if good {
        return Ok(());
    }
    Err(Error::Invalid {
        stage: "-".into(),
        object: format!("release {name}"),
        message: "a release's name is a DNS label (RFC 1123) of at most 53 characters: a-z, 0-9 and `-`"
            .into(),
    })
}

pub(crate) fn lack_error(target: &Target, lack: Lack) -> Error {
    let (stage, object) = (target.stage_name.clone(), target.object.clone());
    let invalid =
        |message: String| Error::Invalid { stage: stage.clone(), object: object.to_string(), message };
    match lack {
        Lack::Input { key, input } => {
            Error::MissingInput { stage: stage.clone(), object: Box::new(object.clone()), key, input }
        }
        Lack::Copy { key, source } => invalid(format!(
            "its key `{key}` is a copy of key `{}` of Secret {}/{}, which is not there",
            source.key, source.namespace, source.name
        )),
        Lack::Mirror { source } => invalid(format!("it is a mirror of {source}, which is not there")),
        Lack::MirrorType { source, found } => invalid(format!(
            "it is a mirror of {source}, which is of the type {found}, not the one that the plan states"
        )),
        Lack::Template { key, message } => invalid(format!("its key `{key}`: {message}")),
        Lack::NotText { key } => invalid(format!("its key `{key}`: the value is no text (UTF-8)")),
        Lack::Kept { key } => invalid(format!(
            "its key `{key}` is to stay as it is and is not there; apply the release first, which makes it"
        )),
        Lack::Restart => invalid("it is not there; apply the release first, which makes it".into()),
        Lack::Random => invalid("no random value could be made".into()),
        Lack::Output { at } => {
            invalid(format!("step {} has not yielded the output `{}` that it needs", at.step, at.output))
        }
        Lack::Binding { pointer, message } => invalid(format!("{pointer}: {message}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn only_the_label_of_another_release_makes_an_object_its_own() {
        let labelled = |labels: Value| json!({"metadata": {"labels": labels}});
        assert_eq!(other_release(&labelled(json!({PART_OF: "other"})), "me"), Some("other"));
        assert_eq!(other_release(&labelled(json!({PART_OF: "me"})), "me"), None);
        assert_eq!(other_release(&labelled(json!({"a": "b"})), "me"), None);
        assert_eq!(other_release(&json!({"metadata": {}}), "me"), None);
    }

    #[test]
    fn a_release_name_fits_into_every_name_that_is_made_of_it() {
        for good in ["devpi", "a", "a-1", &"a".repeat(53)] {
            assert!(check_release(good).is_ok(), "{good}");
        }
        for wrong in ["", "-a", "a-", "A", "a.b", "a/b", &"a".repeat(54)] {
            assert!(check_release(wrong).is_err(), "{wrong}");
        }
    }
}
