//! Which objects are deleted, in which order, and what keeps one.

use crate::api::client::Client;
use crate::api::resource::{ApiResource, array};
use crate::delete::objects;
use crate::error::Error;
use crate::error::api::ApiError;
use crate::release::record::{Entry, EntryPhase};
use serde_json::Value;
use std::collections::HashMap;
use thinkube_plan::{ObjectRef, OnUninstall, TypeMeta};

/// An entry of the inventory, with its kind as the server serves it.
pub(crate) type Deletion = (ApiResource, Entry);

/// Each entry with its kind; None where the server no longer serves the kind.
///
/// # Errors
/// Every entry whose kind the server cannot tell at the moment: to go on would forget it.
pub(crate) async fn with_kinds(
    client: &Client,
    entries: &[Entry],
) -> Result<Vec<(Entry, Option<ApiResource>)>, Error> {
    let mut kinds: HashMap<TypeMeta, Option<ApiResource>> = HashMap::new();
    let (mut found, mut errors) = (Vec::new(), Vec::new());
    for entry in entries {
        let wanted = entry.object.type_meta();
        if let Some(kind) = kinds.get(&wanted) {
            found.push((entry.clone(), kind.clone()));
            continue;
        }
        match client.api_resource_of(&entry.object).await {
            Ok(kind) => {
                kinds.insert(wanted, kind.clone());
                found.push((entry.clone(), kind));
            }
            Err(error @ ApiError::Undiscovered { .. }) => errors.push(error.into()),
            Err(error) => return Err(error.into()),
        }
    }
    Error::several(errors).map(|()| found)
}

/// Why an entry is not deleted; None if it is.
pub(crate) fn retention_reason(entry: &Entry, delete_data: bool) -> Option<String> {
    let definition = entry.object.kind == "CustomResourceDefinition";
    if entry.phase == EntryPhase::Used {
        Some("it existed before the release and is not the release's own".into())
    } else if delete_data {
        None
    } else if entry.on_uninstall == OnUninstall::Retain {
        Some(format!("the plan retains it; {} deletes it", kubectl_delete(&entry.object)))
    } else if definition {
        Some(format!(
            "deleting a definition deletes every object of its kind; {} deletes it",
            kubectl_delete(&entry.object)
        ))
    } else {
        None
    }
}

/// The command that deletes a retained object: after the uninstall no release knows it.
fn kubectl_delete(object: &ObjectRef) -> String {
    let namespace = object.namespace.as_deref().map(|namespace| format!(" -n {namespace}"));
    let kind = object.type_meta().group_kind();
    format!("`kubectl delete {kind} {}{}`", object.name, namespace.unwrap_or_default())
}

/// Why a Namespace or a definition cannot be deleted now; None for every other kind.
pub(crate) async fn deletion_blocker(
    client: &Client,
    kind: &ApiResource,
    entry: &Entry,
) -> Result<Option<String>, Error> {
    let name = &entry.object.name;
    if kind.is_crd() {
        return remaining_instances(client, kind, name).await;
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

/// The objects of a definition's kind that still exist, in words.
async fn remaining_instances(
    client: &Client,
    definition: &ApiResource,
    name: &str,
) -> Result<Option<String>, Error> {
    let Some(live) = client.get(definition, None, name).await? else { return Ok(None) };
    let text = |pointer: &str| live.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
    let served_version = array(&live["spec"]["versions"])
        .iter()
        .find(|version| version["served"] == true)
        .and_then(|version| version["name"].as_str())
        .unwrap_or_default();
    let wanted = TypeMeta {
        api_version: format!("{}/{served_version}", text("/spec/group")),
        kind: text("/spec/names/kind").to_owned(),
    };
    let Some(kind) = client.api_resource(&wanted).await? else { return Ok(None) };
    let remaining = client.list(&kind, None, &[], true).await?;
    Ok(remaining
        .first()
        .and_then(ObjectRef::of)
        .map(|object| format!("{object} and {} more objects of its kind still exist", remaining.len() - 1)))
}

/// The PersistentVolumeClaims that StatefulSets made from their templates. No plan names them.
pub(crate) async fn pvcs_of_stateful_sets(
    client: &Client,
    deletions: &[Deletion],
) -> Result<Vec<Deletion>, Error> {
    let mut found = Vec::new();
    for (kind, entry) in deletions.iter().filter(|(kind, _)| kind.is("apps", "StatefulSet")) {
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
        for pvc in client.list(&ApiResource::pvc(), namespace, &[], true).await? {
            let name = pvc["metadata"]["name"].as_str().unwrap_or_default();
            let ordinal = templates.iter().find_map(|template| name.strip_prefix(template.as_str()));
            if ordinal.is_none_or(|ordinal| ordinal.parse::<u32>().is_err()) {
                continue;
            }
            let object = ApiResource::pvc().object(namespace, name);
            if deletions.iter().any(|(_, known)| known.object.identity() == object.identity()) {
                continue;
            }
            let uid = pvc["metadata"]["uid"].as_str().map(str::to_owned);
            let entry = Entry {
                object,
                uid,
                stage: entry.stage.clone(),
                phase: EntryPhase::Applied,
                on_uninstall: OnUninstall::Retain,
                fingerprint: None,
            };
            found.push((ApiResource::pvc(), entry));
        }
    }
    Ok(found)
}

/// What is deleted together: stages in reverse, in each stage workloads before what they use; then definitions, then
/// Namespaces.
pub(crate) fn deletion_batches(inventory: &[Entry], mut deletions: Vec<Deletion>) -> Vec<Vec<Deletion>> {
    let mut stages: Vec<&str> = Vec::new();
    for entry in inventory {
        if !stages.contains(&entry.stage.as_str()) {
            stages.push(&entry.stage);
        }
    }
    let rank = |(kind, entry): &Deletion| {
        let stage = stages.iter().position(|stage| *stage == entry.stage).unwrap_or(0);
        let late = match kind {
            kind if kind.is_namespace() => 2,
            kind if kind.is_crd() => 1,
            _ => 0,
        };
        let within = if late > 0 { 0 } else { stages.len() - stage };
        (late, within, !kind.is_workload(), kind.is_pvc())
    };
    deletions.sort_by_key(rank);
    deletions.chunk_by(|one, other| rank(one) == rank(other)).map(<[_]>::to_vec).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_retained_object_comes_with_a_command_that_needs_no_release() {
        let entry = |object: ObjectRef, on_uninstall: OnUninstall| Entry {
            object,
            uid: None,
            stage: "one".into(),
            phase: EntryPhase::Applied,
            on_uninstall,
            fingerprint: None,
        };
        let pvc = entry(ApiResource::pvc().object(Some("n"), "data"), OnUninstall::Retain);
        assert_eq!(
            retention_reason(&pvc, false).as_deref(),
            Some("the plan retains it; `kubectl delete PersistentVolumeClaim data -n n` deletes it")
        );
        assert_eq!(retention_reason(&pvc, true), None);
        let definition = ObjectRef {
            api_version: "apiextensions.k8s.io/v1".into(),
            kind: "CustomResourceDefinition".into(),
            namespace: None,
            name: "widgets.a.io".into(),
        };
        let why = retention_reason(&entry(definition, OnUninstall::Delete), false).expect("a reason");
        assert!(
            why.contains("`kubectl delete CustomResourceDefinition.apiextensions.k8s.io widgets.a.io`"),
            "{why}"
        );
        let deleted = entry(ApiResource::pvc().object(Some("n"), "a"), OnUninstall::Delete);
        assert_eq!(retention_reason(&deleted, false), None);
    }

    #[test]
    fn workloads_are_deleted_before_what_they_use_and_namespaces_last() {
        let entry = |kind: ApiResource, name: &str, stage: &str| {
            let object = kind.object(Some("n"), name);
            let entry = Entry {
                object,
                uid: None,
                stage: stage.into(),
                phase: EntryPhase::Applied,
                on_uninstall: OnUninstall::Delete,
                fingerprint: None,
            };
            (kind, entry)
        };
        let deletions = vec![
            entry(ApiResource::namespace(), "n", "one"),
            entry(ApiResource::config_map(), "first", "one"),
            entry(ApiResource::config_map(), "second", "two"),
            entry(ApiResource::pod(), "pod", "two"),
        ];
        let inventory: Vec<Entry> = deletions.iter().map(|(_, entry)| entry.clone()).collect();
        let batches = deletion_batches(&inventory, deletions);
        let names: Vec<Vec<&str>> = batches
            .iter()
            .map(|batch| batch.iter().map(|(_, entry)| entry.object.name.as_str()).collect())
            .collect();
        assert_eq!(names, [vec!["pod"], vec!["second"], vec!["first"], vec!["n"]]);
    }
}
