//! Begins an apply: checks ownership and rights, acquires the Lease, and writes the record before the first object.

use crate::api::access::{Access, require};
use crate::api::client::Client;
use crate::api::key::ObjectKey;
use crate::api::resource::ApiResource;
use crate::apply::options::{Adopt, ApplyOptions};
use crate::apply::run::Apply;
use crate::diff::release_diff::{ObjectDiff, PlannedObject, ReleaseDiff};
use crate::error::Error;
use crate::error::diff::{DiffError, ForeignObject};
use crate::pod_files::exec::rights_in_pods;
use crate::pod_files::record::with_planned as pod_files_with_planned;
use crate::progress::{Progress, ProgressSink};
use crate::release::lease::acquire;
use crate::release::record::{Entry, EntryPhase, Phase};
use crate::release::revisions;
use crate::release::store::{self, ensure_state_namespace};
use crate::release::stored::{ReleaseRecord, StoredRelease};
use std::collections::{BTreeMap, BTreeSet};
use thinkube_plan::{Digest, ExternalStep, OnChange, OnUninstall, Plan, Values};

/// See [`Cluster::begin`](crate::Cluster::begin).
pub(crate) async fn begin<'a>(
    client: &'a Client,
    plan: &'a Plan,
    values: &Values,
    diff: ReleaseDiff,
    options: &ApplyOptions,
    progress: ProgressSink<'a>,
) -> Result<Apply<'a>, Error> {
    let ReleaseDiff { digest, stored, mut objects, live, gone, not_owned, .. } = diff;
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
        operation: None,
    })
}

/// Writes the record with every object that may exist from now on, and the plan if it is a new one. Answers whether the
/// revision is new.
///
/// # Errors
/// [`ApiError::LostRace`](crate::ApiError::LostRace) if the record changed after the comparison.
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
    let inventory = inventory_with_planned(old, objects);
    let mut external: Vec<ExternalStep> = plan.plugin_plan.external().cloned().collect();
    let old = stored.iter().flat_map(|stored| &stored.external);
    external
        .extend(old.filter(|old| plan.plugin_plan.external().all(|new| !new.is_same_resource(old))).cloned());
    let pod_files = pod_files_with_planned(plan, stored.as_ref().map_or(&[], |stored| &stored.pod_files));
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

/// Fails before the first write if RBAC forbids one of the writes.
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
        let rerun = target.repeats && *diff == ObjectDiff::Unchanged;
        if !rerun && !diff.writes() {
            continue;
        }
        let mut verbs = vec!["get", "list", "create", "patch"];
        if rerun || target.on_change == OnChange::Recreate {
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

/// The existing objects that the operator did not adopt. An object of another release cannot be adopted.
fn refused(not_owned: Vec<ForeignObject>, adopt: &[Adopt]) -> Vec<ForeignObject> {
    let adopted =
        |foreign: &ForeignObject| foreign.adoptable && adopt.iter().any(|adopt| adopt.names(&foreign.object));
    not_owned.into_iter().filter(|foreign| !adopted(foreign)).collect()
}

/// Every object that may exist: those on record and those of the plan.
fn inventory_with_planned(old: &[Entry], objects: &[PlannedObject]) -> Vec<Entry> {
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

#[cfg(test)]
mod tests {
    use super::*;

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
