//! Taking a release back.

use crate::api::access::require;
use crate::api::client::Client;
use crate::api::key::ObjectKey;
use crate::api::request::ApiRequest;
use crate::api::resource::{ApiResource, array};
use crate::api::status::StatusKind;
use crate::apply::run::Apply;
use crate::delete::objects;
use crate::delete::objects::Removed;
use crate::error::Error;
use crate::error::api::ApiError;
use crate::error::release::ReleaseError;
use crate::pod_files::exec::rights_in_pods;
use crate::pod_files::files;
use crate::progress::{Progress, ProgressSink};
use crate::release::lease::{LeaseGuard, acquire, exists};
use crate::release::name::check_release_name;
use crate::release::record::{Entry, EntryPhase, Phase};
use crate::release::store::parent_name;
use crate::release::stored::StoredRelease;
use crate::release::{revisions, store};
use std::collections::{BTreeSet, HashMap};
use std::fmt;
use std::str::FromStr;
use std::time::Duration;
use thinkube_plan::{Change, ObjectRef, OnUninstall, TypeMeta, nearest_first};
use tokio::time::Instant;

/// What the operator says about an uninstall.
#[derive(Debug, Clone)]
pub struct UninstallOptions {
    /// Whether data, and what else the plan retains, goes too.
    pub delete_data: bool,
    /// What stays where it is, unseen: the way out where nobody can take it away any more.
    pub orphan: Vec<Orphan>,
    /// For all of it.
    pub timeout: Duration,
}

/// What an uninstall leaves behind because the operator says so.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Orphan {
    /// All that can be.
    All,
    /// A resource outside the client, by the name of its step.
    External(String),
    /// What a step has written into pods, by its name.
    PodFiles(String),
}

impl UninstallOptions {
    /// Whether the resource of a step outside the cluster is left behind.
    pub fn orphans_external(&self, step: &str) -> bool {
        self.orphan.iter().any(|orphan| match orphan {
            Orphan::All => true,
            Orphan::External(name) => name == step,
            Orphan::PodFiles(_) => false,
        })
    }

    /// Whether what a step has written into pods is left behind.
    pub fn orphans_pod_files(&self, step: &str) -> bool {
        self.orphan.iter().any(|orphan| match orphan {
            Orphan::All => true,
            Orphan::PodFiles(name) => name == step,
            Orphan::External(_) => false,
        })
    }
}

impl fmt::Display for Orphan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::All => f.write_str("all"),
            Self::External(step) => write!(f, "External/{step}"),
            Self::PodFiles(step) => write!(f, "PodFiles/{step}"),
        }
    }
}

impl FromStr for Orphan {
    type Err = String;

    /// `External/STEP`, `PodFiles/STEP` or `all`.
    fn from_str(text: &str) -> Result<Self, String> {
        match text.split_once('/') {
            None if text == "all" => Ok(Self::All),
            Some(("External", step)) if !step.is_empty() => Ok(Self::External(step.to_owned())),
            Some(("PodFiles", step)) if !step.is_empty() => Ok(Self::PodFiles(step.to_owned())),
            _ => Err("External/STEP, PodFiles/STEP or all is expected".to_owned()),
        }
    }
}

/// What an uninstall did.
#[derive(Debug, Clone, Default, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Uninstalled {
    /// What is gone.
    pub deleted: Vec<ObjectRef>,
    /// What stays, each with the reason.
    pub kept: Vec<(ObjectRef, String)>,
    /// What was taken out of running pods, and what stays there.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub pod_files: Vec<Change>,
}

/// Names of other releases that an error lists.
const MAX_SUGGESTIONS: usize = 5;
const CLAIM: Duration = Duration::from_secs(30);

/// Deletes what a release owns, in reverse order of its stages, and then its record. What is retained stays, and
/// so does a Namespace that holds it or anything that is not the release's. Interrupted anywhere, it is finished by
/// calling it again; so is what an apply left that died before its record was written.
///
/// # Errors
/// [`Error::NoRelease`], [`Error::Busy`], [`Error::NotGone`] when the time is over, or why something could not be deleted.
pub(crate) async fn uninstall(
    client: &Client,
    name: &str,
    options: &UninstallOptions,
    progress: ProgressSink<'_>,
) -> Result<Uninstalled, Error> {
    uninstall_after(client, name, options, progress, async || Ok(Vec::new())).await
}

/// The same for a release that has something outside the cluster too, which `outside` takes away: nobody else has a
/// claim on the release then, its objects are all there, and its record stays until `outside` has ended well. It
/// answers the steps whose images are gone: they go off the record, for what it takes to look for them again goes with
/// the objects.
///
/// # Errors
/// As [`Cluster::uninstall`], and what `outside` says.
pub(crate) async fn uninstall_after<E: From<Error>>(
    client: &Client,
    name: &str,
    options: &UninstallOptions,
    progress: ProgressSink<'_>,
    outside: impl AsyncFnOnce() -> Result<Vec<String>, E>,
) -> Result<Uninstalled, E> {
    let Some(stored) = store::get(client, name).await? else {
        return Ok(delete_remnants(client, name, progress).await?);
    };
    preflight_uninstall(client, &stored, options).await?;
    let lease = acquire(client, name, CLAIM, Some(&stored), progress).await?;
    let outcome = async {
        let mut stored = mark_uninstalling(client, name, progress).await?;
        let gone = outside().await?;
        lease.check().map_err(Error::from)?;
        if !gone.is_empty() {
            stored.images.retain(|image| !gone.contains(&image.name));
            store::write(client, &mut stored, progress).await?;
        }
        Ok(delete_release(client, name, stored, options, progress, &lease).await?)
    };
    let outcome = outcome.await;
    lease.release(outcome.is_ok()).await;
    outcome
}

/// Takes away what can be left without a record: plans of revisions, and a Lease.
async fn delete_remnants(
    client: &Client,
    name: &str,
    progress: ProgressSink<'_>,
) -> Result<Uninstalled, Error> {
    // What is no name of a release could be a selector of other things.
    let named = check_release_name(name).is_ok();
    if !named || (revisions::list_revisions(client, name).await?.is_empty() && !exists(client, name).await?) {
        return Err(no_release(client, name).await?);
    }
    // An apply writes the plan before the record: nothing is taken from one that is at work.
    let lease = acquire(client, name, CLAIM, None, progress).await?;
    let swept = async {
        let chunks = revisions::list_revisions(client, name).await?;
        if store::get(client, name).await?.is_some() {
            return Err(Error::Api(ApiError::LostRace { what: format!("the record of release {name}") }));
        }
        lease.check()?;
        revisions::delete_revisions(client, &chunks).await
    };
    let swept = swept.await;
    lease.release(swept.is_ok()).await;
    swept.map(|()| Uninstalled::default())
}

async fn no_release(client: &Client, name: &str) -> Result<Error, Error> {
    let names = store::list(client).await?.into_iter().map(|stored| stored.record.name).collect();
    let mut near = nearest_first(name, names);
    near.truncate(MAX_SUGGESTIONS);
    Ok(Error::Release(ReleaseError::NoRelease {
        release: name.to_owned(),
        state_namespace: client.state_namespace().to_owned(),
        near,
    }))
}

async fn preflight_uninstall(
    client: &Client,
    stored: &StoredRelease,
    options: &UninstallOptions,
) -> Result<(), Error> {
    if client.is_allowed("*", "*", "*", None).await? {
        return Ok(());
    }
    let mut wanted: BTreeSet<(ApiResource, Option<String>, &str)> = BTreeSet::new();
    for (kind, verbs) in [
        (ApiResource::config_map(), ["get", "update", "delete"]),
        (ApiResource::lease(), ["get", "create", "update"]),
    ] {
        for verb in verbs {
            wanted.insert((kind.clone(), Some(client.state_namespace().to_owned()), verb));
        }
    }
    let mut errors = Vec::new();
    for entry in stored.pod_files.iter().filter(|entry| !options.orphans_pod_files(&entry.step)) {
        let allowed = require(client, rights_in_pods(&entry.namespace).into()).await;
        errors.extend(allowed.map_err(|error| Error::not_removed(&entry.step, error)).err());
    }
    for entry in stored.inventory.iter().filter(|entry| goes(entry, options.delete_data).is_none()) {
        // A Namespace may stay for other reasons; if it goes, the server says whether it may.
        if let Some(kind) = client.api_resource_of(&entry.object).await?.filter(|kind| !kind.is_namespace()) {
            for verb in ["get", "delete"] {
                wanted.insert((kind.clone(), entry.object.namespace.clone(), verb));
            }
        }
    }
    errors.extend(require(client, wanted).await.err());
    Error::several(errors)
}

/// Writes down that the release is on its way out.
async fn mark_uninstalling(
    client: &Client,
    name: &str,
    progress: ProgressSink<'_>,
) -> Result<StoredRelease, Error> {
    let Some(mut stored) = store::get(client, name).await? else {
        return Err(Error::Api(ApiError::LostRace { what: format!("the record of release {name}") }));
    };
    stored.record.phase = Phase::Uninstalling;
    stored.record.message = None;
    store::write(client, &mut stored, progress).await?;
    Ok(stored)
}

async fn delete_release(
    client: &Client,
    name: &str,
    stored: StoredRelease,
    options: &UninstallOptions,
    progress: ProgressSink<'_>,
    lease: &LeaseGuard,
) -> Result<Uninstalled, Error> {
    let deadline = Instant::now() + options.timeout;
    let applyset = store::applyset_id(client, name);
    // Before the pods go, for what is in their volumes may stay.
    let pod_files = files::remove_all(client, &stored.pod_files, options, progress).await?;
    let mut outcome = Uninstalled { pod_files, ..Uninstalled::default() };
    let mut going: Vec<(ApiResource, Entry)> = Vec::new();
    for (entry, kind) in with_api_resources(client, &stored.inventory).await? {
        // Its kind is gone, and so is it.
        let Some(kind) = kind else { continue };
        match goes(entry, options.delete_data) {
            None => going.push((kind, entry.clone())),
            Some(why) => {
                let object = &entry.object;
                if client.get(&kind, object.namespace.as_deref(), &object.name).await?.is_some() {
                    progress(Progress::Kept { object: object.clone(), why: why.clone() });
                    outcome.kept.push((object.clone(), why));
                }
            }
        }
    }
    if options.delete_data {
        going.extend(pvcs_of_stateful_sets(client, &going).await?);
    }
    for wave in waves(&stored, going) {
        lease.check()?;
        let mut wave_going = Vec::new();
        for (kind, entry) in wave {
            match deletion_blocker(client, &kind, &entry).await? {
                Some(why) => {
                    progress(Progress::Kept { object: entry.object.clone(), why: why.clone() });
                    outcome.kept.push((entry.object, why));
                }
                None => wave_going.push((kind, entry)),
            }
        }
        for removed in objects::delete_objects(client, &wave_going, &applyset, deadline, progress).await? {
            match removed {
                Removed::Deleted(object) => outcome.deleted.push(object),
                Removed::Kept(object, why) => outcome.kept.push((object, why)),
                Removed::Absent => {}
            }
        }
    }
    lease.check()?;
    // Listed before the record goes: with it goes the claim, and the next apply may write plans of its own. A record
    // without its plan could not be shown, so the plans go last.
    let chunks = revisions::list_revisions(client, name).await?;
    let kind = ApiResource::config_map();
    let parent = kind.object(Some(client.state_namespace()), &parent_name(name));
    let request = ApiRequest::delete(&kind, &parent, &stored.uid, "Background");
    let response = client.request(&request, progress).await?;
    match response.status.kind {
        StatusKind::Success | StatusKind::NotFound { .. } => {}
        _ => return Err(client.error_from(&request, response).await.into()),
    }
    revisions::delete_revisions(client, &chunks).await?;
    Ok(outcome)
}

/// Each entry with its kind as the server has it; None if that is gone.
///
/// # Errors
/// All entries of which the server cannot say: to go on would forget them.
async fn with_api_resources<'e>(
    client: &Client,
    entries: &'e [Entry],
) -> Result<Vec<(&'e Entry, Option<ApiResource>)>, Error> {
    let mut kinds: HashMap<TypeMeta, Option<ApiResource>> = HashMap::new();
    let (mut found, mut errors) = (Vec::new(), Vec::new());
    for entry in entries {
        let wanted = entry.object.type_meta();
        if let Some(kind) = kinds.get(&wanted) {
            found.push((entry, kind.clone()));
            continue;
        }
        match client.api_resource_of(&entry.object).await {
            Ok(kind) => {
                kinds.insert(wanted, kind.clone());
                found.push((entry, kind));
            }
            Err(error @ ApiError::Undiscovered { .. }) => errors.push(error.into()),
            Err(error) => return Err(error.into()),
        }
    }
    Error::several(errors).map(|()| found)
}

/// Why a Namespace or a definition cannot go now; None for everything else.
async fn deletion_blocker(
    client: &Client,
    kind: &ApiResource,
    entry: &Entry,
) -> Result<Option<String>, Error> {
    let name = &entry.object.name;
    if kind.is_crd() {
        let Some(live) = client.get(kind, None, name).await? else { return Ok(None) };
        let of =
            |pointer: &str| live.pointer(pointer).and_then(serde_json::Value::as_str).unwrap_or_default();
        let stored_version = array(&live["spec"]["versions"])
            .iter()
            .find(|version| version["served"] == true)
            .and_then(|version| version["name"].as_str())
            .unwrap_or_default();
        let wanted = TypeMeta {
            api_version: format!("{}/{stored_version}", of("/spec/group")),
            kind: of("/spec/names/kind").to_owned(),
        };
        if let Some(kind) = client.api_resource(&wanted).await? {
            let left = client.list(&kind, None, &[], true).await?;
            if let Some(object) = left.first().and_then(ObjectRef::of) {
                let more = left.len() - 1;
                return Ok(Some(format!("{object} and {more} more objects of its kind are still there")));
            }
        }
        return Ok(None);
    }
    if !kind.is_namespace() || client.get(kind, None, name).await?.is_none() {
        return Ok(None);
    }
    let contents = objects::namespace_contents(client, name, &[]).await?;
    Ok(match contents.as_slice() {
        [] => None,
        [one] => Some(format!("it holds {one}")),
        [one, rest @ ..] => Some(format!("it holds {one} and {} more", rest.len())),
    })
}

/// The claims that StatefulSets made from their templates: data that is in no plan.
async fn pvcs_of_stateful_sets(
    client: &Client,
    going: &[(ApiResource, Entry)],
) -> Result<Vec<(ApiResource, Entry)>, Error> {
    let mut found = Vec::new();
    for (kind, entry) in going.iter().filter(|(kind, _)| kind.is("apps", "StatefulSet")) {
        let object = &entry.object;
        let namespace = object.namespace.as_deref();
        let Some(live) = client.get(kind, namespace, &object.name).await? else { continue };
        let templates: Vec<String> = array(&live["spec"]["volumeClaimTemplates"])
            .iter()
            .filter_map(|template| template["metadata"]["name"].as_str())
            .map(|template| format!("{template}-{}-", object.name))
            .collect();
        if templates.is_empty() {
            continue;
        }
        for claim in client.list(&ApiResource::pvc(), namespace, &[], true).await? {
            let name = claim["metadata"]["name"].as_str().unwrap_or_default();
            let ordinal = templates.iter().find_map(|template| name.strip_prefix(template.as_str()));
            if ordinal.is_none_or(|ordinal| ordinal.parse::<u32>().is_err()) {
                continue;
            }
            let claim_entry = Entry {
                object: ApiResource::pvc().object(namespace, name),
                uid: claim["metadata"]["uid"].as_str().map(str::to_owned),
                stage: entry.stage.clone(),
                phase: EntryPhase::Applied,
                on_uninstall: OnUninstall::Retain,
                fingerprint: None,
            };
            if !going
                .iter()
                .any(|(_, known)| ObjectKey::of(&known.object) == ObjectKey::of(&claim_entry.object))
            {
                found.push((ApiResource::pvc(), claim_entry));
            }
        }
    }
    Ok(found)
}

/// None if it goes, else why it stays.
fn goes(entry: &Entry, delete_data: bool) -> Option<String> {
    let definition = entry.object.kind == "CustomResourceDefinition";
    if entry.phase == EntryPhase::Used {
        Some("it was there before the release and is not its own".into())
    } else if delete_data {
        None
    } else if entry.on_uninstall == OnUninstall::Retain {
        Some(format!("the plan retains it; {} deletes it", by_hand(&entry.object)))
    } else if definition {
        Some(format!(
            "with a definition goes every object of its kind; {} deletes it",
            by_hand(&entry.object)
        ))
    } else {
        None
    }
}

/// How to delete it once there is no release any more that could be told to.
fn by_hand(object: &ObjectRef) -> String {
    let namespace = object.namespace.as_deref().map(|namespace| format!(" -n {namespace}"));
    let kind = object.type_meta().group_kind();
    format!("`kubectl delete {kind} {}{}`", object.name, namespace.unwrap_or_default())
}

/// What goes together: stages in reverse, in each the workloads before what they use; then definitions, and
/// Namespaces last.
fn waves(stored: &StoredRelease, going: Vec<(ApiResource, Entry)>) -> Vec<Vec<(ApiResource, Entry)>> {
    let mut stages: Vec<&str> = Vec::new();
    for entry in &stored.inventory {
        if !stages.contains(&entry.stage.as_str()) {
            stages.push(&entry.stage);
        }
    }
    let rank = |(kind, entry): &(ApiResource, Entry)| {
        let stage = stages.iter().position(|stage| *stage == entry.stage).unwrap_or(0);
        let late = match kind {
            kind if kind.is_namespace() => 2,
            kind if kind.is_crd() => 1,
            _ => 0,
        };
        let within = if late > 0 { 0 } else { stages.len() - stage };
        (late, within, !kind.is_workload(), kind.is_pvc())
    };
    let mut sorted = going;
    sorted.sort_by_key(rank);
    let mut waves: Vec<Vec<(ApiResource, Entry)>> = Vec::new();
    let mut last = None;
    for item in sorted {
        let this = rank(&item);
        if last == Some(this)
            && let Some(wave) = waves.last_mut()
        {
            wave.push(item);
        } else {
            waves.push(vec![item]);
        }
        last = Some(this);
    }
    waves
}

impl Apply<'_> {
    /// Takes away what the release had and the plan no longer has. What is retained, and definitions, stay in the
    /// inventory.
    ///
    /// # Errors
    /// As [`Cluster::uninstall`].
    pub async fn prune(&mut self) -> Result<(), Error> {
        self.check_lease()?;
        let deadline = Instant::now() + Duration::from_secs(300);
        let gone = std::mem::take(&mut self.gone);
        let mut going = Vec::new();
        for (entry, kind) in with_api_resources(self.client, &gone).await? {
            match (goes(entry, false), kind) {
                (_, None) => self.forget(&entry.object),
                (Some(why), Some(_)) => {
                    (self.progress)(Progress::Kept { object: entry.object.clone(), why });
                    if let Some(kept) = self.entry(&ObjectKey::of(&entry.object)) {
                        kept.phase = EntryPhase::Retained;
                    }
                }
                (None, Some(kind)) => going.push((kind, entry.clone())),
            }
        }
        for wave in waves(&self.stored, going) {
            let mut wave_going = Vec::new();
            for (kind, entry) in wave {
                match deletion_blocker(self.client, &kind, &entry).await? {
                    Some(why) => {
                        (self.progress)(Progress::Kept { object: entry.object.clone(), why });
                        if let Some(kept) = self.entry(&ObjectKey::of(&entry.object)) {
                            kept.phase = EntryPhase::Retained;
                        }
                    }
                    None => wave_going.push((kind, entry)),
                }
            }
            objects::delete_objects(self.client, &wave_going, &self.applyset, deadline, self.progress)
                .await?;
            for (_, entry) in wave_going {
                self.forget(&entry.object);
            }
        }
        self.prune_pod_files().await
    }

    fn forget(&mut self, object: &ObjectRef) {
        let at = ObjectKey::of(object);
        self.stored.inventory.retain(|entry| ObjectKey::of(&entry.object) != at);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_comes_with_a_command_that_needs_no_release() {
        let entry = |object: ObjectRef, on_uninstall: OnUninstall| Entry {
            object,
            uid: None,
            stage: "one".into(),
            phase: EntryPhase::Applied,
            on_uninstall,
            fingerprint: None,
        };
        let claim = entry(ApiResource::pvc().object(Some("n"), "data"), OnUninstall::Retain);
        assert_eq!(
            goes(&claim, false).as_deref(),
            Some("the plan retains it; `kubectl delete PersistentVolumeClaim data -n n` deletes it")
        );
        assert_eq!(goes(&claim, true), None);
        let definition = ObjectRef {
            api_version: "apiextensions.k8s.io/v1".into(),
            kind: "CustomResourceDefinition".into(),
            namespace: None,
            name: "widgets.a.io".into(),
        };
        let why = goes(&entry(definition, OnUninstall::Delete), false).unwrap();
        assert!(
            why.contains("`kubectl delete CustomResourceDefinition.apiextensions.k8s.io widgets.a.io`"),
            "{why}"
        );
        assert_eq!(goes(&entry(ApiResource::pvc().object(Some("n"), "a"), OnUninstall::Delete), false), None);
    }

    #[test]
    fn what_is_left_behind_is_named_by_its_step_and_by_nothing_else() {
        let options = |said: &[&str]| UninstallOptions {
            delete_data: false,
            orphan: said.iter().map(|text| text.parse().unwrap()).collect(),
            timeout: Duration::ZERO,
        };
        for text in ["all", "External/a", "PodFiles/a"] {
            assert_eq!(text.parse::<Orphan>().unwrap().to_string(), text);
        }
        let named = options(&["External/a", "PodFiles/b"]);
        assert!(named.orphans_external("a") && named.orphans_pod_files("b"));
        assert!(!named.orphans_external("b") && !named.orphans_pod_files("a"));
        assert!(options(&["all"]).orphans_external("a") && options(&["all"]).orphans_pod_files("a"));
        assert!(!options(&[]).orphans_external("a"));
        for wrong in ["", "a", "External", "External/", "Secret/n/a", "All"] {
            assert!(wrong.parse::<Orphan>().is_err(), "{wrong}");
        }
    }
}
