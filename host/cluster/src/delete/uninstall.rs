//! Uninstalls a release: its record says what is deleted, and is itself deleted last.
//!
//! An uninstall that dies at any point is finished by the next one. It deletes nothing that the record does not name.

use crate::api::access::{Access, require};
use crate::api::client::Client;
use crate::api::request::ApiRequest;
use crate::api::resource::ApiResource;
use crate::api::status::StatusKind;
use crate::delete::batches::{
    Deletion, deletion_batches, deletion_blocker, pvcs_of_stateful_sets, retention_reason, with_kinds,
};
use crate::delete::objects::{self, Removed};
use crate::delete::options::UninstallOptions;
use crate::error::Error;
use crate::error::release::ReleaseError;
use crate::pod_files::exec::rights_in_pods;
use crate::pod_files::remove;
use crate::progress::{Progress, ProgressSink};
use crate::release::lease::{LeaseGuard, acquire, exists};
use crate::release::name::check_release_name;
use crate::release::record::{Phase, Release};
use crate::release::revisions;
use crate::release::store::{self, parent_name};
use crate::release::stored::StoredRelease;
use std::collections::BTreeSet;
use std::time::Duration;
use thinkube_plan::{Action, Change, ExternalStep, ObjectRef, Subject, nearest_first};
use tokio::time::Instant;

/// Names of other releases that an error lists.
const MAX_SUGGESTIONS: usize = 5;
const LEASE: Duration = Duration::from_secs(30);

/// An uninstall that has begun: the Lease is acquired and the record says that the release is being uninstalled.
///
/// Dropping it is what a crash is: the record stays, and the Lease expires by itself. A caller that can still speak calls
/// [`Uninstall::finish`] or [`Uninstall::stop`].
pub struct Uninstall<'a> {
    client: &'a Client,
    options: &'a UninstallOptions,
    progress: ProgressSink<'a>,
    stored: StoredRelease,
    lease: LeaseGuard,
    deadline: Option<Instant>,
}

/// Begins an uninstall. Answers None where no record exists and only the leftovers of an interrupted apply or uninstall
/// were deleted.
///
/// # Errors
/// [`ReleaseError::NoRelease`], [`ApiError::Forbidden`](crate::ApiError::Forbidden) or [`ReleaseError::Busy`] before anything is written.
pub(crate) async fn begin<'a>(
    client: &'a Client,
    name: &str,
    options: &'a UninstallOptions,
    progress: ProgressSink<'a>,
) -> Result<Option<Uninstall<'a>>, Error> {
    let Some(stored) = store::get(client, name).await? else {
        return delete_leftovers(client, name, progress).await.map(|()| None);
    };
    preflight(client, &stored, options).await?;
    let lease = acquire(client, name, LEASE, Some(&stored), progress).await?;
    match mark_uninstalling(client, name, progress).await {
        Ok(stored) => Ok(Some(Uninstall { client, options, progress, stored, lease, deadline: None })),
        Err(error) => {
            lease.release(false).await;
            Err(error)
        }
    }
}

/// Fails before the first write if RBAC forbids a deletion that can be foreseen.
async fn preflight(client: &Client, stored: &StoredRelease, options: &UninstallOptions) -> Result<(), Error> {
    if client.is_allowed("*", "*", "*", None).await? {
        return Ok(());
    }
    let mut wanted: BTreeSet<Access> = BTreeSet::new();
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
    let deleted = |entry: &&_| retention_reason(entry, options.delete_data).is_none();
    for entry in stored.inventory.iter().filter(deleted) {
        // A Namespace may be kept for other reasons, so the server decides when it is deleted.
        if let Some(kind) = client.api_resource_of(&entry.object).await?.filter(|kind| !kind.is_namespace()) {
            for verb in ["get", "delete"] {
                wanted.insert((kind.clone(), entry.object.namespace.clone(), verb));
            }
        }
    }
    errors.extend(require(client, wanted).await.err());
    Error::several(errors)
}

async fn mark_uninstalling(
    client: &Client,
    name: &str,
    progress: ProgressSink<'_>,
) -> Result<StoredRelease, Error> {
    // Read again: an apply may have written the record before the Lease was acquired.
    let Some(mut stored) = store::get(client, name).await? else {
        return Err(store::lost_race(name).into());
    };
    stored.record.phase = Phase::Uninstalling;
    stored.record.message = None;
    store::write(client, &mut stored, progress).await?;
    Ok(stored)
}

/// Deletes what can exist without a record: the plans of revisions, and a Lease.
async fn delete_leftovers(client: &Client, name: &str, progress: ProgressSink<'_>) -> Result<(), Error> {
    // A name that is not valid could select other objects.
    let valid = check_release_name(name).is_ok();
    if !valid || (revisions::list_revisions(client, name).await?.is_empty() && !exists(client, name).await?) {
        return Err(no_release(client, name).await?);
    }
    // An apply writes the plan before the record, so its Lease must not be held.
    let lease = acquire(client, name, LEASE, None, progress).await?;
    let deleted = async {
        let chunks = revisions::list_revisions(client, name).await?;
        if store::get(client, name).await?.is_some() {
            return Err(store::lost_race(name).into());
        }
        lease.check()?;
        revisions::delete_revisions(client, &chunks).await
    };
    let deleted = deleted.await;
    lease.release(deleted.is_ok()).await;
    deleted
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

impl Uninstall<'_> {
    /// The release as the record has it now, with its plan.
    ///
    /// # Errors
    /// [`ReleaseError::Corrupt`] if the plan cannot be read, or why the cluster could not be read.
    pub async fn release(&self) -> Result<Release, Error> {
        store::with_plan(self.client, self.stored.clone()).await
    }

    /// The external resources that may exist.
    pub fn external(&self) -> &[ExternalStep] {
        &self.stored.external
    }

    /// Whether the release has built images.
    pub fn has_images(&self) -> bool {
        !self.stored.images.is_empty()
    }

    /// Removes deleted images from the record: an uninstall that is run again cannot find them, because the Secret with
    /// the login may be deleted by then.
    ///
    /// # Errors
    /// [`ApiError::LostRace`](crate::ApiError::LostRace) if another host has written the record.
    pub async fn drop_images(&mut self, names: &[String]) -> Result<(), Error> {
        self.lease.check()?;
        if names.is_empty() {
            return Ok(());
        }
        self.stored.images.retain(|image| !names.contains(&image.name));
        store::write(self.client, &mut self.stored, self.progress).await
    }

    /// Deletes the release's files and lines in running pods. A volume outlives its pod, so this comes before the objects.
    ///
    /// # Errors
    /// [`Error::PodFilesNotRemoved`] for the first step whose files could not be deleted.
    pub async fn delete_pod_files(&mut self) -> Result<Vec<Change>, Error> {
        self.lease.check()?;
        self.deadline();
        let options = self.options;
        let orphaned = |step: &str| options.orphans_pod_files(step);
        remove::remove_all(self.client, &self.stored.pod_files, orphaned, self.progress).await
    }

    /// Deletes the objects of the inventory in reverse order of their stages. Retained objects are kept, and so is a
    /// Namespace that holds one of them or an object of another owner.
    ///
    /// # Errors
    /// [`DeleteError::NotGone`](crate::DeleteError::NotGone) when the time is over, or why an object could not be deleted.
    pub async fn delete_objects(&mut self) -> Result<Vec<Change>, Error> {
        self.lease.check()?;
        let deadline = self.deadline();
        let applyset = store::applyset_id(self.client, &self.stored.record.name);
        let mut changes = Vec::new();
        for batch in deletion_batches(&self.stored.inventory, self.deletions(&mut changes).await?) {
            self.lease.check()?;
            let mut deletable = Vec::new();
            for (kind, entry) in batch {
                match deletion_blocker(self.client, &kind, &entry).await? {
                    Some(why) => changes.push(self.kept(&entry.object, why)),
                    None => deletable.push((kind, entry)),
                }
            }
            for removed in
                objects::delete_objects(self.client, &deletable, &applyset, deadline, self.progress).await?
            {
                match removed {
                    Removed::Deleted(object) => changes.push(change(object, Action::Delete)),
                    Removed::Kept(object, why) => changes.push(change(object, Action::Keep).with_note(why)),
                    Removed::Absent => {}
                }
            }
        }
        Ok(changes)
    }

    /// What is deleted. What is kept is added to `changes`.
    async fn deletions(&self, changes: &mut Vec<Change>) -> Result<Vec<Deletion>, Error> {
        let mut deletions = Vec::new();
        for (entry, kind) in with_kinds(self.client, &self.stored.inventory).await? {
            // An object of a kind that is no longer served no longer exists.
            let Some(kind) = kind else { continue };
            let object = &entry.object;
            match retention_reason(&entry, self.options.delete_data) {
                None => deletions.push((kind, entry)),
                Some(why) => {
                    if self.client.get(&kind, object.namespace.as_deref(), &object.name).await?.is_some() {
                        changes.push(self.kept(object, why));
                    }
                }
            }
        }
        if self.options.delete_data {
            deletions.extend(pvcs_of_stateful_sets(self.client, &deletions).await?);
        }
        Ok(deletions)
    }

    /// Deletes the record, then the plans of its revisions, and releases the Lease.
    ///
    /// # Errors
    /// Why the record or a plan could not be deleted.
    pub async fn finish(self) -> Result<(), Error> {
        let deleted = self.delete_record().await;
        self.lease.release(deleted.is_ok()).await;
        deleted
    }

    async fn delete_record(&self) -> Result<(), Error> {
        self.lease.check()?;
        let name = &self.stored.record.name;
        // Listed first: the Lease is deleted with the record, and the next apply may then write plans of its own. The
        // plans are deleted last, because a record without its plan cannot be shown.
        let chunks = revisions::list_revisions(self.client, name).await?;
        let kind = ApiResource::config_map();
        let parent = kind.object(Some(self.client.state_namespace()), &parent_name(name));
        let request = ApiRequest::delete(&kind, &parent, &self.stored.uid, "Background");
        let response = self.client.request(&request, self.progress).await?;
        match response.status.kind {
            StatusKind::Success | StatusKind::NotFound { .. } => {}
            _ => return Err(self.client.error_from(&request, response).await.into()),
        }
        revisions::delete_revisions(self.client, &chunks).await
    }

    /// Releases the Lease and leaves the record: the next uninstall continues from it.
    pub async fn stop(self) {
        self.lease.release(false).await;
    }

    fn deadline(&mut self) -> Instant {
        *self.deadline.get_or_insert_with(|| Instant::now() + self.options.timeout)
    }

    fn kept(&self, object: &ObjectRef, why: String) -> Change {
        (self.progress)(Progress::Kept { object: object.clone(), why: why.clone() });
        change(object.clone(), Action::Keep).with_note(why)
    }
}

fn change(object: ObjectRef, action: Action) -> Change {
    Change::new(Subject::Object(object), None, action)
}
