//! Checks what exists without the release's label: whether the namespaces take objects, and who owns the existing objects.

use crate::api::client::Client;
use crate::api::concurrency::MAX_CONCURRENT;
use crate::api::resource::ApiResource;
use crate::diff::ownership::{other_release, owner_of, release_names};
use crate::diff::release_diff::{ObjectDiff, PlannedObject, ReleaseDiff};
use crate::error::Error;
use crate::error::api::ApiError;
use crate::error::diff::{DiffError, ForeignObject};
use crate::release::applyset::PART_OF;
use crate::release::record::EntryPhase;
use futures::stream::{self, StreamExt as _, TryStreamExt as _};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

/// More objects of one kind and namespace are read with one LIST.
const LIST_THRESHOLD: usize = 8;

/// What is known of a namespace.
enum NamespaceState {
    /// The user may not read namespaces. Writes into it may still be allowed.
    Unreadable,
    Absent,
    Present(Value),
}

type Namespaces = BTreeMap<String, NamespaceState>;

/// Finds the objects that an apply would write and that do not carry the release's label, and corrects their diffs.
///
/// # Errors
/// [`ApiError::Terminating`], [`DiffError::NoNamespace`], or why the cluster could not be read.
pub(crate) async fn check_existing(
    client: &Client,
    diff: &mut ReleaseDiff,
    applyset: &str,
) -> Result<(), Error> {
    let wanted: Vec<usize> =
        (0..diff.objects.len()).filter(|index| may_write(&diff.objects[*index])).collect();
    let namespaces = read_namespaces(client, diff, &wanted).await?;
    check_namespaces(diff, &wanted, &namespaces)?;
    let existing = find_existing(client, diff, &wanted, &namespaces).await?;
    let names = release_names(client, existing.values(), applyset).await;
    for (index, live) in existing {
        diff.objects[index].diff = classify_owner(diff, index, &live, applyset);
        if diff.objects[index].diff == ObjectDiff::NotOwned {
            let other = other_release(&live, applyset);
            let owner = match other {
                Some(id) => {
                    let name = names.get(id).map_or(id, String::as_str);
                    format!("it belongs to another release: {name}")
                }
                None => owner_of(&live),
            };
            let object = diff.objects[index].target.object.clone();
            diff.not_owned.push(ForeignObject { object, owner, adoptable: other.is_none() });
        }
    }
    Ok(())
}

fn may_write(object: &PlannedObject) -> bool {
    match object.diff {
        ObjectDiff::Create | ObjectDiff::Update | ObjectDiff::Skipped => true,
        ObjectDiff::Unchanged => object.target.repeats,
        ObjectDiff::Keep | ObjectDiff::Shared | ObjectDiff::NotOwned => false,
    }
}

/// The namespaces of the objects, and those that the plan has as objects.
async fn read_namespaces(
    client: &Client,
    diff: &ReleaseDiff,
    wanted: &[usize],
) -> Result<Namespaces, ApiError> {
    let name = |index: &usize| {
        let target = &diff.objects[*index].target;
        if target.kind.is_namespace() {
            Some(target.object.name.clone())
        } else {
            target.object.namespace.clone()
        }
    };
    let names: BTreeSet<String> = wanted.iter().filter_map(name).collect();
    let reads = stream::iter(names).map(|name| async move {
        let state = match client.get(&ApiResource::namespace(), None, &name).await {
            Ok(Some(namespace)) => NamespaceState::Present(namespace),
            Ok(None) => NamespaceState::Absent,
            Err(ApiError::Forbidden { .. }) => NamespaceState::Unreadable,
            Err(error) => return Err(error),
        };
        Ok((name, state))
    });
    reads.buffer_unordered(MAX_CONCURRENT).try_collect().await
}

fn check_namespaces(diff: &ReleaseDiff, wanted: &[usize], namespaces: &Namespaces) -> Result<(), Error> {
    for (name, state) in namespaces {
        if let NamespaceState::Present(namespace) = state
            && namespace["metadata"]["deletionTimestamp"].is_string()
        {
            return Err(ApiError::Terminating { namespace: name.clone() }.into());
        }
    }
    let targets = || diff.objects.iter().map(|object| &object.target);
    let planned: HashSet<&str> = targets()
        .filter(|target| target.kind.is_namespace())
        .map(|target| target.object.name.as_str())
        .collect();
    for object in wanted.iter().map(|index| &diff.objects[*index]) {
        if let Some(namespace) = &object.target.object.namespace
            && matches!(namespaces.get(namespace), Some(NamespaceState::Absent))
            && !planned.contains(namespace.as_str())
            && object.diff != ObjectDiff::Skipped
        {
            let object = Box::new(object.target.object.clone());
            return Err(DiffError::NoNamespace { namespace: namespace.clone(), object }.into());
        }
    }
    Ok(())
}

/// The existing objects without the release's label, by their index in the diff.
async fn find_existing(
    client: &Client,
    diff: &ReleaseDiff,
    wanted: &[usize],
    namespaces: &Namespaces,
) -> Result<BTreeMap<usize, Value>, ApiError> {
    let mut existing = BTreeMap::new();
    let mut scopes: BTreeMap<(&ApiResource, Option<&str>), Vec<usize>> = BTreeMap::new();
    for index in wanted {
        let target = &diff.objects[*index].target;
        if diff.live.contains_key(&target.key()) {
            continue;
        }
        let namespace = target.object.namespace.as_deref();
        if target.kind.is_namespace() {
            if let Some(NamespaceState::Present(live)) = namespaces.get(&target.object.name) {
                existing.insert(*index, live.clone());
            }
        } else if !matches!(namespace.and_then(|name| namespaces.get(name)), Some(NamespaceState::Absent)) {
            scopes.entry((&target.kind, namespace)).or_default().push(*index);
        }
    }
    let reads = stream::iter(scopes).map(|((kind, namespace), indices)| async move {
        let names = indices.iter().map(|index| diff.objects[*index].target.object.name.as_str());
        let found = read_by_name(client, kind, namespace, names.collect()).await?;
        Ok(indices.into_iter().zip(found).filter_map(|(index, live)| Some((index, live?))).collect())
    });
    let found: Vec<Vec<(usize, Value)>> = reads.buffer_unordered(MAX_CONCURRENT).try_collect().await?;
    existing.extend(found.into_iter().flatten());
    Ok(existing)
}

/// The objects of these names, in their order. Many are read with one LIST, which has only metadata.
async fn read_by_name(
    client: &Client,
    kind: &ApiResource,
    namespace: Option<&str>,
    names: Vec<&str>,
) -> Result<Vec<Option<Value>>, ApiError> {
    if names.len() <= LIST_THRESHOLD {
        let mut found = Vec::new();
        for name in names {
            found.push(client.get(kind, namespace, name).await?);
        }
        return Ok(found);
    }
    let all = client.list(kind, namespace, &[], true).await?;
    let named = |object: Value| Some((object["metadata"]["name"].as_str()?.to_owned(), object));
    let mut by_name: HashMap<String, Value> = all.into_iter().filter_map(named).collect();
    Ok(names.into_iter().map(|name| by_name.remove(name)).collect())
}

/// What an existing object without the release's label means for its diff.
fn classify_owner(diff: &ReleaseDiff, index: usize, live: &Value, applyset: &str) -> ObjectDiff {
    let target = &diff.objects[index].target;
    let uid = live["metadata"]["uid"].as_str();
    let entry = diff.entry(&target.key());
    let label = live["metadata"]["labels"][PART_OF].as_str();
    let recorded = uid.is_some() && entry.is_some_and(|entry| entry.uid.as_deref() == uid);
    let ours = label == Some(applyset) || (label.is_none() && recorded);
    if ours && entry.is_none_or(|entry| entry.phase != EntryPhase::Used) {
        ObjectDiff::Update
    } else if label.is_none() && target.is_bare_namespace() {
        ObjectDiff::Shared
    } else {
        ObjectDiff::NotOwned
    }
}
