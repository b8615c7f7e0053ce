//! What a plugin wants in the home of an operator or a developer, from the question to the files. No cluster is asked.

use crate::plan::{Settled, settle};
use crate::plugin::LoadedPlugin;
use crate::{CancellationToken, Error, unless_cancelled};
use serde_json::Value;
use std::path::Path;
use thinkube_effects::{
    Workstation, WorkstationChange, WorkstationEvents, WorkstationRelease, WorkstationReport,
};
use thinkube_plan::{CarriedGrants, Context, GrantPolicy, Permission, Problem, WorkstationPlan};
use thinkube_sandbox::LogLine;
use thinkube_validate::{SettingFault, Unused};

/// What a setup is made from, beside the plugin.
pub struct WorkstationRequest {
    /// The release's name.
    pub release: String,
    /// As the person gave them.
    pub settings: Value,
    /// Who says what the plugin is allowed.
    pub grant_policy: GrantPolicy,
    /// Major and minor.
    pub kubernetes_version: String,
}

/// What a plugin wants in a home. Whether it may have it, [`preview_workstation`] says.
#[derive(Debug)]
pub struct PlannedWorkstation {
    /// The release's name.
    pub release: String,
    /// What is wanted.
    pub setup: WorkstationPlan,
    /// What the plugin asks for with these settings, of a cluster too.
    pub requested: Vec<Permission>,
    /// The settings, and what is allowed with them.
    pub held: CarriedGrants,
    /// Settings that were given and have no effect.
    pub unused: Vec<Unused>,
    /// What the plugin logged.
    pub log: Vec<LogLine>,
}

/// The home at `path`; none: that of the user who runs this.
///
/// # Errors
/// [`Error::Workstation`] if there is none, or it is another user's.
pub fn home(path: Option<&Path>) -> Result<Workstation, Error> {
    Ok(path.map_or_else(Workstation::of_user, Workstation::at)?)
}

/// Asks the plugin what it wants in a home.
///
/// # Errors
/// [`Error::Plugin`], among others when it offers nothing for a home; [`Error::Settings`], [`Error::ReleaseName`],
/// [`Error::Problem`].
pub async fn plan_workstation(
    loaded: &LoadedPlugin,
    request: WorkstationRequest,
) -> Result<PlannedWorkstation, Error> {
    let WorkstationRequest { release, settings, grant_policy, kubernetes_version } = request;
    let Settled { namespace, requested, held, unused } =
        settle(loaded, &release, settings, grant_policy).await?;
    let settings = held.settings.clone();
    let context =
        Context { release, namespace, settings, facts: Vec::new(), kubernetes_version, installed: None };
    let called = loaded.plugin.plan_workstation(&context).await?;
    let setup = called.value.map_err(|problem| match problem {
        Problem::InvalidSettings { path, message } => Error::Settings(vec![SettingFault { path, message }]),
        problem => Error::Problem(problem),
    })?;
    let log = loaded.log.iter().cloned().chain(called.log).collect();
    Ok(PlannedWorkstation { release: context.release, setup, requested, held, unused, log })
}

/// What [`apply_workstation`] would do in a home, with the lines that change. Writes nothing.
///
/// # Errors
/// [`Error::Workstation`] with everything in the setup that was not granted, or must not be done; or if the home cannot be
/// looked at.
pub fn preview_workstation(
    release: &WorkstationRelease<'_>,
    planned: &PlannedWorkstation,
) -> Result<Vec<WorkstationChange>, Error> {
    Ok(release.diff(&planned.setup, &planned.held.granted)?)
}

/// Does in a home what was shown. Ends early when `cancel` is cancelled; the same call finishes what was begun.
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
        Ok::<_, Error>(release.apply(&planned.setup, &planned.held, shown, overwrite, events).await?)
    });
    match applied.await {
        Err(Error::Interrupted { .. }) => Err(Error::Interrupted { recorded: true }),
        applied => applied,
    }
}
