use crate::{Error, Event, Events, external, images};
use thinkube_cluster::{Cluster, Orphan, Release, UninstallOptions, Uninstalled};
use thinkube_effects::HttpOptions;
use thinkube_plan::{Action, Change, ExternalStep, SecretInputs};

/// How to uninstall.
pub struct UninstallRequest {
    /// In the cluster.
    pub objects: UninstallOptions,
    /// How servers outside the cluster are found and trusted.
    pub http: HttpOptions,
    /// Whether images that were built go from their registries, too.
    pub delete_images: bool,
}

/// What an uninstall took away, and what it left.
#[derive(Debug, serde::Serialize)]
pub struct UninstallReport {
    /// In the cluster.
    #[serde(flatten)]
    pub objects: Uninstalled,
    /// Outside it.
    pub external: Vec<Change>,
    /// In registries.
    pub images: Vec<Change>,
}

/// Takes a release away: first what it has outside the cluster, while the record still says what that is, then its
/// objects and its record. `release` is None where only what an apply has left that died early is to be swept.
///
/// # Errors
/// [`Error::NothingToOrphan`] before anything is done; [`Error::Outside`], [`Error::Effect`], [`Error::Cluster`]. The same
/// call finishes what was begun.
pub async fn uninstall(
    cluster: &Cluster,
    name: &str,
    release: Option<&Release>,
    inputs: &SecretInputs,
    request: &UninstallRequest,
    events: Events<'_>,
) -> Result<UninstallReport, Error> {
    if let Some(release) = release {
        validate_orphans(release, &request.objects.orphan)?;
    }
    let (mut external, mut images) = (Vec::new(), Vec::new());
    let pass_on = |event| events(Event::Cluster(event));
    let outside = async || {
        // Under the claim now: an apply may have added to it since it was read.
        let current = if release.is_some() { cluster.release(name).await? } else { None };
        let Some(release) = &current else { return Ok(Vec::new()) };
        if !release.external.is_empty() {
            let http = external::http_for(&release.external, &request.http)?;
            let said = || "left behind, as --orphan asks".to_owned();
            let left = |step: &ExternalStep| request.objects.orphans_external(&step.name).then(said);
            let removed = external::remove(&http, &release.external, left, inputs, events).await;
            external = removed.map_err(|(step, source)| Error::Outside { step, source })?;
        }
        // Before the Secret with the login is gone.
        images = images::leave(cluster, release, &request.http, request.delete_images).await?;
        let gone = images.iter().filter(|image| matches!(image.action, Action::Delete | Action::Unchanged));
        Ok::<_, Error>(gone.filter_map(|image| Some(image.image()?.name.clone())).collect())
    };
    let objects = cluster.uninstall_after(name, &request.objects, &pass_on, outside).await?;
    Ok(UninstallReport { objects, external, images })
}

/// Whether a release has what is to be left behind: what is misspelt would be taken away.
fn validate_orphans(release: &Release, orphan: &[Orphan]) -> Result<(), Error> {
    let external = release.external.iter().map(|step| Orphan::External(step.name.clone()));
    let pod_files = release.pod_files.iter().map(|entry| Orphan::PodFiles(entry.step.clone()));
    let known: Vec<Orphan> = external.chain(pod_files).chain([Orphan::All]).collect();
    match orphan.iter().find(|orphan| !known.contains(orphan)) {
        None => Ok(()),
        Some(unknown) => Err(Error::NothingToOrphan { name: unknown.clone(), known }),
    }
}
