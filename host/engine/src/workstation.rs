//! What a plugin wants in the home of an operator or a developer, from the question to the files. No cluster is asked.

use crate::load::Loaded;
use crate::planning::{Settled, settle};
use crate::{Error, Interrupted, unless_interrupted};
use serde_json::Value;
use std::path::Path;
use thinkube_effects::{
    Error as EffectError, Home, HomeAction, HomeApplied, HomeChange, HomeEvents, HomeRelease,
};
use thinkube_plan::{Context, Granting, Held, Permission, Problem, Setup};
use thinkube_sandbox::LogLine;
use thinkube_validate::{SettingFault, Unused};

/// What a setup is made from, beside the plugin.
pub struct SetupRequest {
    /// The release's name.
    pub release: String,
    /// As the person gave them.
    pub settings: Value,
    /// Who says what the plugin is allowed.
    pub granting: Granting,
    /// Major and minor.
    pub kubernetes_version: String,
}

/// What a plugin wants in a home. Whether it may have it, [`preview_setup`] says.
#[derive(Debug)]
pub struct PlannedSetup {
    /// The release's name.
    pub release: String,
    /// What is wanted.
    pub setup: Setup,
    /// What the plugin asks for with these settings, of a cluster too.
    pub requested: Vec<Permission>,
    /// The settings, and what is allowed with them.
    pub held: Held,
    /// Settings that were given and have no effect.
    pub unused: Vec<Unused>,
    /// What the plugin logged.
    pub log: Vec<LogLine>,
}

/// The home at `path`; none: that of the user who runs this.
///
/// # Errors
/// [`Error::Effect`] if there is none, or it is another user's.
pub fn home(path: Option<&Path>) -> Result<Home, Error> {
    Ok(path.map_or_else(Home::of_user, Home::at)?)
}

/// Asks the plugin what it wants in a home.
///
/// # Errors
/// [`Error::Plugin`], among others when it offers nothing for a home; [`Error::Settings`], [`Error::ReleaseName`],
/// [`Error::Problem`].
pub async fn plan_setup(loaded: &Loaded, request: SetupRequest) -> Result<PlannedSetup, Error> {
    let SetupRequest { release, settings, granting, kubernetes_version } = request;
    let Settled { namespace, requested, held, unused } = settle(loaded, &release, settings, granting).await?;
    let settings = held.settings.clone();
    let context =
        Context { release, namespace, settings, facts: Vec::new(), kubernetes_version, installed: None };
    let called = loaded.plugin.setup(&context).await?;
    let setup = called.value.map_err(|problem| match problem {
        Problem::InvalidSettings { path, message } => Error::Settings(vec![SettingFault { path, message }]),
        problem => Error::Problem(problem),
    })?;
    let log = loaded.log.iter().cloned().chain(called.log).collect();
    Ok(PlannedSetup { release: context.release, setup, requested, held, unused, log })
}

/// What [`apply_setup`] would do in a home, with the lines that change. Writes nothing.
///
/// # Errors
/// [`Error::Effect`] with everything in the setup that was not granted, or must not be done; or if the home cannot be
/// looked at.
pub fn preview_setup(release: &HomeRelease<'_>, planned: &PlannedSetup) -> Result<Vec<HomeChange>, Error> {
    let changes = release.plan(&planned.setup, &planned.held.granted)?;
    let refused = |change: &HomeChange| match &change.action {
        HomeAction::Refused(fault) => Some(fault.clone()),
        _ => None,
    };
    let faults: Vec<_> = changes.iter().filter_map(refused).collect();
    if faults.is_empty() { Ok(changes) } else { Err(EffectError::HomeRefused(faults).into()) }
}

/// Does in a home what was shown. Ends early when `interrupted` says so; the same call finishes what was begun.
///
/// # Errors
/// [`Error::Effect`], [`Error::Interrupted`].
pub async fn apply_setup(
    release: &mut HomeRelease<'_>,
    planned: &PlannedSetup,
    shown: &[HomeChange],
    overwrite: &[String],
    interrupted: &Interrupted,
    events: HomeEvents<'_>,
) -> Result<HomeApplied, Error> {
    let applied = unless_interrupted(interrupted, async {
        Ok::<_, Error>(release.apply(&planned.setup, &planned.held, shown, overwrite, events).await?)
    });
    match applied.await {
        Err(Error::Interrupted { .. }) => Err(Error::Interrupted { recorded: true }),
        applied => applied,
    }
}
