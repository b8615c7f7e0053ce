//! Applies a plan: preflight, record, stages, prune, health. Previews it without a write.

use crate::cancel::unless_cancelled;
use crate::check::CheckRunner;
use crate::driver::{Drivers, InCluster, Observed, Purpose, Recorded, Task, http_client};
use crate::error::Error;
use crate::lifecycle::{Checks, Lifecycle};
use crate::outcome::CheckOutcome;
use crate::plan::Planned;
use crate::request::{ApplyRequest, RetryPolicy};
use crate::session::Session;
use thinkube_cluster::{ApplyOptions, Release};
use thinkube_plan::{Change, Check, Plan, Severity, Values};

/// The name that stands for every preflight check.
const ALL: &str = "all";

/// How an apply or an operation ended.
#[derive(Debug)]
pub struct Applied {
    /// The release as it is recorded now.
    pub release: Release,
    /// Whether anything was written.
    pub changed: bool,
    /// The health checks; empty when nothing was waited for.
    pub health: Vec<CheckOutcome>,
}

/// What an apply would do.
#[derive(Debug)]
pub struct Preview {
    /// Every object, resource, image and file, unchanged ones too.
    pub changes: Vec<Change>,
}

impl Preview {
    /// Whether an apply would write anything.
    pub fn writes(&self) -> bool {
        self.changes.iter().any(|change| change.action.writes())
    }
}

/// Compares a plan with the cluster and with external servers, field by field. Writes nothing.
///
/// # Errors
/// [`Error::Cluster`], [`Error::External`], [`Error::Image`].
pub async fn preview(
    session: &Session<'_>,
    plan: &Plan,
    release: Option<&Release>,
) -> Result<Preview, Error> {
    let recorded = Recorded {
        external: release.map(|release| release.external.clone()).unwrap_or_default(),
        ..Recorded::default()
    };
    let http = http_client(&plan.granted, session.http)?;
    let running_images = release.map(|release| release.images.as_slice()).unwrap_or_default();
    let purpose = Purpose::Preview;
    let task = Task { session, plan, http: &http, purpose, running_images, is_operation: false };
    preview_task(task, &recorded).await
}

pub(crate) async fn preview_task(task: Task<'_>, recorded: &Recorded) -> Result<Preview, Error> {
    let mut drivers = Drivers::new(task);
    drivers.observe(&mut seen(task.session)).await?;
    Ok(Preview { changes: drivers.changes(recorded) })
}

/// Nothing but the secret inputs.
pub(crate) fn seen(session: &Session<'_>) -> Observed {
    let values = Values { inputs: session.secrets.clone(), ..Values::default() };
    Observed { values, ..Observed::default() }
}

/// Applies a plan. When nothing differs nothing is written. When it is cancelled or fails, the record says how far it came,
/// and the same call continues from there.
///
/// # Errors
/// [`Error::ChecksFailed`], [`Error::Cluster`], [`Error::External`], [`Error::Image`], [`Error::Interrupted`].
pub async fn apply(
    session: &Session<'_>,
    planned: &Planned,
    request: &ApplyRequest,
) -> Result<Applied, Error> {
    let plan = &planned.plan;
    let http = http_client(&plan.granted, session.http)?;
    let checks = CheckRunner::new(session, &http);
    let (cluster_events, purpose) = (session.cluster_events(), Purpose::Apply(request));
    let task = Task { session, plan, http: &http, purpose, running_images: &[], is_operation: false };
    let mut drivers = Drivers::new(task);
    checks.supports(&plan.plugin_plan)?;
    drivers.supports()?;
    let preflight = preflight_checks(plan, &request.ignore_preflight)?;
    let mut seen = seen(session);
    let unchanged = unless_cancelled(&session.cancel, async {
        checks.require("preflight", &preflight, RetryPolicy::Once).await?;
        drivers.observe(&mut seen).await?;
        drivers.require_owned(&seen.recorded)?;
        unchanged_release(&checks, &drivers, plan, &seen).await
    })
    .await?;
    let lifecycle = Lifecycle {
        plan: &plan.plugin_plan,
        checks: &checks,
        cancel: &session.cancel,
        events: session.events,
        wait: request.wait,
        timeout: request.timeout,
    };
    let changed = unchanged.is_none();
    let release = match unchanged {
        Some(release) => release,
        None => {
            let Observed { mut values, diff, .. } = seen;
            let diff = diff.ok_or(Error::NotObserved)?;
            let options = ApplyOptions { adopt: request.adopt.clone(), ..ApplyOptions::default() };
            let run = session.cluster.begin(plan, &values, diff, &options, &cluster_events).await?;
            lifecycle.apply(run, &mut drivers, &mut values).await?
        }
    };
    let health = if request.wait {
        unless_cancelled(&session.cancel, health(&lifecycle, changed)).await?
    } else {
        Vec::new()
    };
    Ok(Applied { release, changed, health })
}

/// The recorded release, if an apply would write nothing.
async fn unchanged_release(
    checks: &CheckRunner<'_>,
    drivers: &Drivers<'_, InCluster<'_>>,
    plan: &Plan,
    seen: &Observed,
) -> Result<Option<Release>, Error> {
    if drivers.are_up_to_date(seen) && still_done(checks, plan, &seen.recorded).await {
        Ok(checks.cluster().release(&plan.release).await?)
    } else {
        Ok(None)
    }
}

/// Whether `skip_if` still holds for the stages that the last apply skipped, and for those whose Jobs have ended: an ended
/// Job does not show whether its work is still there.
async fn still_done(checks: &CheckRunner<'_>, plan: &Plan, recorded: &Recorded) -> bool {
    for stage in &plan.plugin_plan.stages {
        let skipped = recorded.skipped_stages.contains(&stage.name);
        let worked = !stage.skip_if.is_empty() && recorded.worked_stages.contains(&stage.name);
        if (skipped || worked) && !checks.hold(&stage.skip_if).await {
            return false;
        }
    }
    true
}

/// Requires health; and the gates too if this apply wrote nothing, because the last one may not have waited.
async fn health(lifecycle: &Lifecycle<'_>, gates_held: bool) -> Result<Vec<CheckOutcome>, Error> {
    for stage in lifecycle.plan.stages.iter().filter(|_| !gates_held) {
        lifecycle.require_gates(stage).await?;
    }
    lifecycle.checks.require("health", &lifecycle.plan.health, RetryPolicy::UntilTimeout).await
}

/// The preflight checks, those in `ignored` as warnings.
fn preflight_checks(plan: &Plan, ignored: &[String]) -> Result<Vec<Check>, Error> {
    let checks = &plan.plugin_plan.preflight;
    let is_known = |name: &String| name == ALL || checks.iter().any(|check| check.name == *name);
    if let Some(unknown) = ignored.iter().find(|name| !is_known(name)) {
        let known = checks.iter().map(|check| check.name.clone()).collect();
        return Err(Error::NoPreflight { name: unknown.clone(), known });
    }
    let is_ignored = |check: &Check| ignored.iter().any(|name| name == ALL || *name == check.name);
    let mut checks = checks.clone();
    for check in checks.iter_mut().filter(|check| is_ignored(check)) {
        check.severity = Severity::Warning;
    }
    Ok(checks)
}
