//! From what a person gives to a plan.

use crate::args::PlanInputs;
use crate::commands::Style;
use crate::failure::Failure;
use crate::inputs::{self, Settings};
use thinkube_engine::model::Installed;
use thinkube_engine::{Cluster, Error, FactSource, LoadedPlugin, PlanRequest, Planned, Release};

/// A plan, and what it was made from.
pub(crate) struct Made {
    pub(crate) loaded: LoadedPlugin,
    pub(crate) planned: Planned,
    /// What is installed.
    pub(crate) release: Option<Release>,
    /// What the person gave.
    pub(crate) given: Settings,
}

pub(crate) async fn make_plan(
    style: Style,
    inputs: &PlanInputs,
    facts: FactSource<'_>,
    kubernetes_version: String,
) -> Result<Made, Failure> {
    let loaded = inputs::load(&inputs.plugin).await?;
    made(style, loaded, inputs, facts, kubernetes_version, None).await
}

pub(crate) async fn plan_on(style: Style, inputs: &PlanInputs, cluster: &Cluster) -> Result<Made, Failure> {
    let loaded = inputs::load(&inputs.plugin).await?;
    let name = inputs.release.as_deref().unwrap_or(&loaded.descriptor.name);
    let release = cluster.release(name).await.map_err(Error::from)?;
    let (facts, version) = (FactSource::Cluster(cluster), cluster.version().to_owned());
    made(style, loaded, inputs, facts, version, release).await
}

async fn made(
    style: Style,
    loaded: LoadedPlugin,
    inputs: &PlanInputs,
    facts: FactSource<'_>,
    kubernetes_version: String,
    release: Option<Release>,
) -> Result<Made, Failure> {
    let given = inputs::settings(inputs, &loaded).await?;
    style.taken(given.taken.as_ref(), inputs.verbose);
    // A release keeps what it was granted unless the operator gives other grants.
    let grant_policy = given.grant_policy(release.as_ref().map(|release| release.plan.held()));
    let before = grant_policy.held().map(<[_]>::to_vec);
    let request = PlanRequest {
        release: inputs.release.clone().unwrap_or_else(|| loaded.descriptor.name.clone()),
        settings: given.settings.clone(),
        grant_policy,
        namespace: release.as_ref().map(|release| release.plan.namespace.clone()),
        facts,
        kubernetes_version,
        installed: release.as_ref().map(|release| Installed {
            version: release.plan.plugin.version.clone(),
            settings: release.plan.settings.clone(),
            revision: release.revision,
        }),
    };
    let planned = thinkube_engine::plan(&loaded, request).await?;
    style.said(&planned.log, &planned.unused);
    if let Some(before) = before {
        style.held(&planned.plan.release, &before, &planned.plan.granted, &planned.plan.requested);
    }
    Ok(Made { loaded, planned, release, given })
}
