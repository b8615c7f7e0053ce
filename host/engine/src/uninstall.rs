//! Uninstalls a release: external resources, images, pod files, objects, and the record last.

use crate::driver::{Drivers, Purpose, Task, http_client};
use crate::error::Error;
use crate::lifecycle;
use crate::request::UninstallRequest;
use crate::session::Session;
use serde::ser::SerializeMap as _;
use serde::{Serialize, Serializer};
use thinkube_cluster::{Orphan, Release};
use thinkube_plan::{Action, Change, ChangesByKind, ObjectRef};

/// What an uninstall deleted, and what it kept.
#[derive(Debug, Default)]
pub struct UninstallReport {
    /// In the order of deletion. A kept one has a note with the reason.
    pub changes: Vec<Change>,
}

impl UninstallReport {
    /// The deleted objects.
    pub fn deleted(&self) -> impl Iterator<Item = &ObjectRef> {
        let deleted = |change: &&Change| change.action == Action::Delete;
        self.changes.iter().filter(deleted).filter_map(Change::object)
    }

    /// The kept objects, each with the reason.
    pub fn kept(&self) -> impl Iterator<Item = (&ObjectRef, &str)> {
        let kept = self.changes.iter().filter(|change| change.action == Action::Keep);
        kept.filter_map(|change| Some((change.object()?, change.note.as_deref().unwrap_or_default())))
    }
}

impl Serialize for UninstallReport {
    /// One list for each kind, as `thinkube-host uninstall -o json` prints them.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let ChangesByKind { external, images, pod_files, .. } = ChangesByKind::of(&self.changes);
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("deleted", &self.deleted().collect::<Vec<_>>())?;
        map.serialize_entry("kept", &self.kept().collect::<Vec<_>>())?;
        if !pod_files.is_empty() {
            map.serialize_entry("podFiles", &pod_files)?;
        }
        map.serialize_entry("external", &external)?;
        map.serialize_entry("images", &images)?;
        map.end()
    }
}

/// Uninstalls a release. `release` is None if it has no record and only leftovers of an interrupted run are deleted.
///
/// # Errors
/// [`Error::NothingToOrphan`] before anything is deleted; [`Error::Outside`], [`Error::External`], [`Error::Image`],
/// [`Error::Cluster`]. The same call continues from the record.
pub async fn uninstall(
    session: &Session<'_>,
    name: &str,
    release: Option<&Release>,
    request: &UninstallRequest,
) -> Result<UninstallReport, Error> {
    if let Some(release) = release {
        validate_orphans(release, &request.objects.orphan)?;
    }
    let http = http_client(&[], session.http)?;
    let cluster_events = session.cluster_events();
    let begun = session.cluster.begin_uninstall(name, &request.objects, &cluster_events).await?;
    let Some(run) = begun else { return Ok(UninstallReport::default()) };
    // Read again under the Lease: an apply may have changed the release since the caller read it.
    let release = match run.release().await {
        Ok(release) => release,
        Err(error) => {
            run.stop().await;
            return Err(error.into());
        }
    };
    let purpose = Purpose::Uninstall;
    let plan = &release.plan;
    let task = Task { session, plan, http: &http, purpose, running_images: &[], is_operation: false };
    let changes = lifecycle::uninstall(run, &mut Drivers::new(task), request).await?;
    Ok(UninstallReport { changes })
}

/// Fails if the release has no such resource: a mistyped one would be deleted.
fn validate_orphans(release: &Release, orphan: &[Orphan]) -> Result<(), Error> {
    let external = release.external.iter().map(|step| Orphan::External(step.name.clone()));
    let pod_files = release.pod_files.iter().map(|entry| Orphan::PodFiles(entry.step.clone()));
    let known: Vec<Orphan> = external.chain(pod_files).chain([Orphan::All]).collect();
    match orphan.iter().find(|orphan| !known.contains(orphan)) {
        None => Ok(()),
        Some(unknown) => Err(Error::NothingToOrphan { name: unknown.clone(), known }),
    }
}
