//! Compares a plan with the cluster: one GET for the record, one LIST for each kind and namespace, then the objects that do
//! not carry the release's label (`existing.rs`).

use crate::api::client::Client;
use crate::api::concurrency::MAX_CONCURRENT;
use crate::api::key::{ObjectKey, by_key};
use crate::api::resource::ApiResource;
use crate::diff::desired::{Composer, DesiredError, compose_error};
use crate::diff::existing::check_existing;
use crate::diff::managed_fields::{fingerprint, hash, secret_is};
use crate::diff::release_diff::{ObjectDiff, PlannedObject, ReleaseDiff};
use crate::diff::target::{Desired, Target, resolve};
use crate::error::Error;
use crate::error::api::ApiError;
use crate::release::applyset::PART_OF;
use crate::release::name::check_release_name;
use crate::release::record::{Entry, EntryPhase};
use crate::release::store;
use crate::release::stored::StoredRelease;
use crate::secrets::compose::copies;
use crate::secrets::value::ComposeError;
use futures::stream::{self, StreamExt as _, TryStreamExt as _};
use serde_json::Value;
use std::collections::{BTreeSet, HashMap, HashSet};
use thinkube_plan::{OnChange, Plan, SecretContent, Values};

/// What an apply of `plan` would write to objects.
///
/// # Errors
/// [`DiffError`](crate::DiffError), or why the cluster could not be read.
pub(crate) async fn compare_objects(
    client: &Client,
    plan: &Plan,
    values: &Values,
) -> Result<ReleaseDiff, Error> {
    let diff = diff_objects(client, plan, values).await?;
    let missing = diff.objects.iter().filter_map(|object| Some((&object.target, object.missing.as_ref()?)));
    Error::several(missing.map(|(target, error)| compose_error(target, error)).collect())?;
    Ok(diff)
}

/// The same where Secrets that cannot be composed are no error: [`PlannedObject::missing`] says why.
pub(crate) async fn diff_objects(
    client: &Client,
    plan: &Plan,
    values: &Values,
) -> Result<ReleaseDiff, Error> {
    check_release_name(&plan.release)?;
    let applyset = store::applyset_id(client, &plan.release);
    let (targets, stored) = tokio::join!(resolve(client, plan), store::get(client, &plan.release));
    let (targets, stored) = (targets?, stored?);
    let live = list_members(client, &targets, stored.as_ref(), &applyset).await?;
    let planned: HashSet<ObjectKey> = targets.iter().map(Target::key).collect();
    let gone = gone(stored.as_ref(), &planned);
    let composer = Composer { client, applyset: &applyset, values, generate: false };
    let mut objects = Vec::new();
    for target in targets {
        let key = target.key();
        let entry = stored.as_ref().and_then(|stored| stored.entry(&key));
        let (diff, missing) = diff_target(&composer, &target, live.get(&key), entry, &planned).await?;
        objects.push(PlannedObject { target, diff, missing });
    }
    propagate_copies(&mut objects);
    let mut diff = ReleaseDiff {
        digest: plan.digest(),
        stored,
        objects,
        live,
        gone,
        not_owned: Vec::new(),
        pod_files: Vec::new(),
    };
    check_existing(client, &mut diff, &applyset).await?;
    Ok(diff)
}

/// Objects of the inventory that the plan no longer has.
fn gone(stored: Option<&StoredRelease>, planned: &HashSet<ObjectKey>) -> Vec<Entry> {
    let entries = stored.iter().flat_map(|stored| &stored.inventory);
    entries
        .filter(|entry| !planned.contains(&ObjectKey::of(&entry.object)))
        .filter(|entry| !matches!(entry.phase, EntryPhase::Retained | EntryPhase::Used))
        .cloned()
        .collect()
}

/// The objects with the release's label: one LIST for each kind and namespace.
async fn list_members(
    client: &Client,
    targets: &[Target],
    stored: Option<&StoredRelease>,
    applyset: &str,
) -> Result<HashMap<ObjectKey, Value>, Error> {
    let mut scopes: BTreeSet<(ApiResource, Option<String>)> =
        targets.iter().map(|target| (target.kind.clone(), target.object.namespace.clone())).collect();
    let covered: HashSet<(String, Option<String>)> =
        scopes.iter().map(|(kind, namespace)| (kind.type_meta().group_kind(), namespace.clone())).collect();
    for entry in stored.iter().flat_map(|stored| &stored.inventory) {
        let namespace = entry.object.namespace.clone();
        if covered.contains(&(entry.object.type_meta().group_kind(), namespace.clone())) {
            continue;
        }
        match client.api_resource_of(&entry.object).await {
            Ok(Some(kind)) => {
                scopes.insert((kind, namespace));
            }
            // A removed kind has no objects. The plan has no object of an undiscovered kind, or `resolve` would have failed;
            // the prune that would delete one reports it.
            Ok(None) | Err(ApiError::Undiscovered { .. }) => {}
            Err(error) => return Err(error.into()),
        }
    }
    let selector = format!("{PART_OF}={applyset}");
    let lists = stream::iter(scopes).map(|(kind, namespace)| {
        let selector = &selector;
        async move { client.list(&kind, namespace.as_deref(), &[("labelSelector", selector)], false).await }
    });
    let lists: Vec<Vec<Value>> = lists.buffer_unordered(MAX_CONCURRENT).try_collect().await?;
    Ok(by_key(lists.into_iter().flatten()))
}

/// How one object differs, and why it cannot be composed now.
async fn diff_target(
    composer: &Composer<'_>,
    target: &Target,
    live: Option<&Value>,
    entry: Option<&Entry>,
    planned: &HashSet<ObjectKey>,
) -> Result<(ObjectDiff, Option<ComposeError>), Error> {
    let live = live.filter(|live| !live["metadata"]["deletionTimestamp"].is_string());
    let skipped = entry.is_some_and(|entry| entry.phase == EntryPhase::Skipped);
    let write = if live.is_some() { ObjectDiff::Update } else { ObjectDiff::Create };
    let desired = match composer.desired(target, live).await {
        Ok(desired) => desired,
        Err(DesiredError::Read(error)) => return Err(error),
        Err(DesiredError::Compose(_)) if live.is_none() && skipped => return Ok((ObjectDiff::Skipped, None)),
        Err(DesiredError::Compose(error)) if is_known_later(&error, planned) => return Ok((write, None)),
        Err(DesiredError::Compose(error)) => return Ok((write, Some(error))),
    };
    let Some(live) = live else {
        let done = entry.is_some_and(|entry| is_finished_job(entry, target, &desired));
        let diff = match (skipped, done) {
            (true, _) => ObjectDiff::Skipped,
            (false, true) => ObjectDiff::Unchanged,
            (false, false) => ObjectDiff::Create,
        };
        return Ok((diff, None));
    };
    if target.on_change == OnChange::CreateOnly {
        return Ok((ObjectDiff::Keep, None));
    }
    let same = if target.is_confidential() {
        secret_is(&desired, live)
    } else {
        entry.is_some_and(|entry| {
            entry.fingerprint.is_some() && entry.fingerprint == fingerprint(&desired, live)
        })
    };
    Ok((if same { ObjectDiff::Unchanged } else { ObjectDiff::Update }, None))
}

/// Whether an apply provides what is missing: it generates random values, runs the steps with outputs, and writes the Secrets
/// of the plan that are copied.
fn is_known_later(error: &ComposeError, planned: &HashSet<ObjectKey>) -> bool {
    match error {
        ComposeError::Random | ComposeError::Output { .. } => true,
        ComposeError::Copy { from, .. } => planned.contains(&ObjectKey::of_secret(from)),
        ComposeError::Mirror { of } => planned.contains(&ObjectKey::of(of)),
        _ => false,
    }
}

/// A copy of a Secret that changes is written too.
fn propagate_copies(objects: &mut [PlannedObject]) {
    let writes = |diff| matches!(diff, ObjectDiff::Create | ObjectDiff::Update);
    let mut changing: HashSet<ObjectKey> =
        objects.iter().filter(|object| writes(object.diff)).map(|object| object.target.key()).collect();
    // In the order of the plan, because a copy may be copied in turn.
    for object in objects.iter_mut().filter(|object| object.diff == ObjectDiff::Unchanged) {
        let Desired::Secret(step) = &object.target.desired else { continue };
        let copies_changing = match &step.content {
            SecretContent::Mirror(source) => changing.contains(&ObjectKey::of(source)),
            SecretContent::Entries(entries) => {
                copies(entries).any(|source| changing.contains(&ObjectKey::of_secret(source)))
            }
        };
        if copies_changing {
            object.diff = ObjectDiff::Update;
            changing.insert(object.target.key());
        }
    }
}

/// Whether the object is a Job that finished and that its TTL deleted.
fn is_finished_job(entry: &Entry, target: &Target, desired: &Value) -> bool {
    target.kind.is("batch", "Job")
        && entry.phase == EntryPhase::Ready
        && desired["spec"]["ttlSecondsAfterFinished"].is_number()
        && entry.fingerprint.as_ref().is_some_and(|fingerprint| fingerprint.desired == hash(desired))
}
