//! Makes the plan of a release from what the user gives.

use crate::args::plan::PlanArgs;
use crate::error::CliError;
use crate::input::plugin;
use crate::input::settings::{self, GivenSettings};
use crate::output::printer::Printer;
use crate::output::report::{report_grants, report_inventory, report_log};
use thinkube_engine::model::{CarriedGrants, Installed};
use thinkube_engine::{Cluster, Error, FactSource, LoadedPlugin, PlanRequest, Planned, Release};

/// A plan, and what it was made from.
pub(crate) struct ReleasePlan {
    pub(crate) loaded: LoadedPlugin,
    pub(crate) planned: Planned,
    /// The installed release, if there is one.
    pub(crate) release: Option<Release>,
    pub(crate) given: GivenSettings,
}

/// Plans without a cluster, from recorded facts.
pub(crate) async fn plan_offline(
    printer: Printer,
    args: &PlanArgs,
    facts: FactSource<'_>,
    kubernetes_version: String,
) -> Result<ReleasePlan, CliError> {
    let loaded = plugin::load(&args.plugin).await?;
    plan_release(printer, loaded, args, facts, kubernetes_version, None).await
}

/// Plans for a cluster and the release that it has.
pub(crate) async fn plan_for_cluster(
    printer: Printer,
    args: &PlanArgs,
    cluster: &Cluster,
) -> Result<ReleasePlan, CliError> {
    let loaded = plugin::load(&args.plugin).await?;
    let name = args.release.as_deref().unwrap_or(&loaded.descriptor.name);
    let release = cluster.release(name).await.map_err(Error::from)?;
    let (facts, version) = (FactSource::Cluster(cluster), cluster.version().to_owned());
    plan_release(printer, loaded, args, facts, version, release).await
}

async fn plan_release(
    printer: Printer,
    loaded: LoadedPlugin,
    args: &PlanArgs,
    facts: FactSource<'_>,
    kubernetes_version: String,
    release: Option<Release>,
) -> Result<ReleasePlan, CliError> {
    let given = settings::read(args, &loaded).await?;
    report_inventory(printer, given.inventory.as_ref());
    let grant_policy = given.grant_policy(release.as_ref().map(|release| CarriedGrants::of(&release.plan)));
    let before = grant_policy.carried().map(<[_]>::to_vec);
    let request = PlanRequest {
        release: args.release.clone().unwrap_or_else(|| loaded.descriptor.name.clone()),
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
    report_log(printer, &planned.log, &planned.unused);
    if let Some(before) = before {
        let plan = &planned.plan;
        report_grants(printer, &plan.release, &before, &plan.granted, &plan.requested);
    }
    Ok(ReleasePlan { loaded, planned, release, given })
}
