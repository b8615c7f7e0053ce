use crate::elsewhere::{self, ExternalChange};
use crate::{Error, Event, Events};
use thinkube_cluster::{Cluster, Release, UninstallOptions, Uninstalled};
use thinkube_effects::HttpOptions;
use thinkube_plan::SecretInputs;

/// What an uninstall took away, and what it left.
#[derive(Debug, serde::Serialize)]
pub struct TakenBack {
    /// In the cluster.
    #[serde(flatten)]
    pub objects: Uninstalled,
    /// Outside it.
    pub external: Vec<ExternalChange>,
}

/// Takes a release away: first what it has outside the cluster, while the record still says what that is, then its
/// objects and its record. `release` is None where only what an apply has left that died early is to be swept.
///
/// # Errors
/// [`Error::Effect`], [`Error::Cluster`]. The same call finishes what was begun.
pub async fn uninstall(
    cluster: &Cluster,
    name: &str,
    release: Option<&Release>,
    inputs: &SecretInputs,
    http: &HttpOptions,
    options: &UninstallOptions,
    events: Events<'_>,
) -> Result<TakenBack, Error> {
    let mut external = Vec::new();
    let pass_on = |event| events(Event::Cluster(event));
    let outside = async || {
        if let Some(release) = release.filter(|release| !release.external.is_empty()) {
            let http = elsewhere::http(&release.plan.granted, http)?;
            external = elsewhere::remove(&http, &release.external, inputs, events).await?;
        }
        Ok::<_, Error>(())
    };
    let objects = cluster.uninstall_after(name, options, &pass_on, outside).await?;
    Ok(TakenBack { objects, external })
}
