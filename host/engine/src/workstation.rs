//! Files of a release on a workstation: plan, preview, apply. Must not connect to a cluster.

use crate::cancel::unless_cancelled;
use crate::error::Error;
use crate::plan::{Resolved, resolve};
use crate::plugin::LoadedPlugin;
use serde_json::Value;
use std::path::Path;
use thinkube_effects::{
    Workstation, WorkstationChange, WorkstationEvents, WorkstationRelease, WorkstationReport,
};
use thinkube_plan::{CarriedGrants, Context, GrantPolicy, Permission, Problem, WorkstationPlan};
use thinkube_sandbox::LogLine;
use thinkube_validate::{SettingFault, Unused};
use tokio_util::sync::CancellationToken;

/// What a workstation plan is made from, beside the plugin.
pub struct WorkstationRequest {
    /// The release's name.
    pub release: String,
    /// The settings as the operator gave them.
    pub settings: Value,
    /// What decides which permissions the plugin gets.
    pub grant_policy: GrantPolicy,
    /// Major and minor, such as `1.34`.
    pub kubernetes_version: String,
}

/// A plugin's plan for a workstation. [`preview_workstation`] validates it against the grants.
#[derive(Debug)]
pub struct PlannedWorkstation {
    /// The release's name.
    pub release: String,
    /// The files and directories.
    pub plan: WorkstationPlan,
    /// What the plugin requests with these settings, for a cluster too.
    pub requested: Vec<Permission>,
    /// The settings, and the permissions that are granted with them.
    pub carried: CarriedGrants,
    /// Settings that were given and have no effect.
    pub unused: Vec<Unused>,
    /// What the plugin logged.
    pub log: Vec<LogLine>,
}

/// The workstation whose home directory is `path`; None: that of the user who runs this.
///
/// # Errors
/// [`Error::Workstation`] if the directory does not exist or is another user's.
pub fn home(path: Option<&Path>) -> Result<Workstation, Error> {
    Ok(path.map_or_else(Workstation::of_user, Workstation::at)?)
}

/// Asks the plugin for its plan for a workstation.
///
/// # Errors
/// [`Error::Plugin`], also when the plugin has no plan for workstations; [`Error::Settings`], [`Error::ReleaseName`],
/// [`Error::Problem`].
pub async fn plan_workstation(
    loaded: &LoadedPlugin,
    request: WorkstationRequest,
) -> Result<PlannedWorkstation, Error> {
    let WorkstationRequest { release, settings, grant_policy, kubernetes_version } = request;
    let Resolved { namespace, requested, carried, unused } =
        resolve(loaded, &release, settings, grant_policy).await?;
    let settings = carried.settings.clone();
    let context =
        Context { release, namespace, settings, facts: Vec::new(), kubernetes_version, installed: None };
    let called = loaded.plugin.plan_workstation(&context).await?;
    let plan = called.value.map_err(|problem| match problem {
        Problem::InvalidSettings { path, message } => Error::Settings(vec![SettingFault { path, message }]),
        problem => Error::Problem(problem),
    })?;
    let log = loaded.log.iter().cloned().chain(called.log).collect();
    Ok(PlannedWorkstation { release: context.release, plan, requested, carried, unused, log })
}

/// What [`apply_workstation`] would do, with the lines that change. Writes nothing.
///
/// # Errors
/// [`Error::Workstation`] with every file of the plan that was not granted or breaks a rule; or if the home directory cannot
/// be read.
pub fn preview_workstation(
    release: &WorkstationRelease<'_>,
    planned: &PlannedWorkstation,
) -> Result<Vec<WorkstationChange>, Error> {
    Ok(release.diff(&planned.plan, &planned.carried.granted)?)
}

/// Writes the changes that were shown. Ends early when `cancel` is cancelled; the same call finishes what was begun.
///
/// # Errors
/// [`Error::Workstation`], [`Error::Interrupted`].
pub async fn apply_workstation(
    release: &mut WorkstationRelease<'_>,
    planned: &PlannedWorkstation,
    shown: &[WorkstationChange],
    overwrite: &[String],
    cancel: &CancellationToken,
    events: WorkstationEvents<'_>,
) -> Result<WorkstationReport, Error> {
    let applied = unless_cancelled(cancel, async {
        Ok::<_, Error>(release.apply(&planned.plan, &planned.carried, shown, overwrite, events).await?)
    });
    match applied.await {
        Err(Error::Interrupted { .. }) => Err(Error::Interrupted { recorded: true }),
        applied => applied,
    }
}
