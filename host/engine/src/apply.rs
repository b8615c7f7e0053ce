use crate::check::{CheckOutcome, ProbeTarget, RetryPolicy, failed, run_checks};
use crate::external::{self, ExternalResources};
use crate::images::ImageBuilds;
use crate::load::LoadedPlugin;
use crate::{CancellationToken, Error, Event, Events, Planned, unless_cancelled};
use std::time::Duration;
use thinkube_cluster::{Adopt, Apply, ApplyOptions, BuiltImage, Cluster, Release, ReleaseDiff};
use thinkube_effects::HttpOptions;
use thinkube_plan::{Change, Check, ExternalStep, Plan, PluginPlan, SecretInputs, Severity, Values};
use thinkube_sandbox::Plugin;

/// Every preflight check.
const ALL: &str = "all";

/// How to apply.
pub struct ApplyRequest {
    /// The longest time that one stage may take to become ready.
    pub timeout: Duration,
    /// Objects of nobody, and resources outside the cluster, that the release may take over.
    pub adopt: Vec<Adopt>,
    /// Preflight checks that need not hold, by name; `all` is every one.
    pub ignore_preflight: Vec<String>,
    /// How servers outside the cluster are found and trusted. What may be spoken to is the plan's grants.
    pub http: HttpOptions,
    /// Whether to wait for readiness, gates and health. Without, objects are applied and nothing is waited for.
    pub wait: bool,
    /// The images of the preview that was agreed to; empty where nobody was asked. Of other commits they are not built.
    pub shown: Vec<Change>,
}

/// How an apply ended.
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
    /// In the order in which an apply makes them.
    pub changes: Vec<Change>,
}

impl Preview {
    /// Whether anything would change.
    pub fn writes(&self) -> bool {
        self.changes.iter().any(|change| change.action.writes())
    }
}

/// What an apply of `plan` would do, object by object and field by field. Writes nothing.
///
/// # Errors
/// [`Error::Cluster`], [`Error::Effect`].
pub async fn preview(
    cluster: &Cluster,
    plan: &Plan,
    secrets: &SecretInputs,
    release: Option<&Release>,
    http: &HttpOptions,
) -> Result<Preview, Error> {
    let built = release.map(|release| release.images.as_slice()).unwrap_or_default();
    let mut preview = preview_outside_pods(cluster, plan, secrets, release, built, http).await?;
    preview.changes.extend(cluster.pod_files(plan).await?);
    Ok(preview)
}

/// The same without files in running pods, of which an operation says nothing.
pub(crate) async fn preview_outside_pods(
    cluster: &Cluster,
    plan: &Plan,
    secrets: &SecretInputs,
    release: Option<&Release>,
    built: &[BuiltImage],
    http: &HttpOptions,
) -> Result<Preview, Error> {
    let builds = ImageBuilds::look(cluster, plan, http).await?;
    let http = external::http(&plan.granted, http)?;
    let values = Values { inputs: secrets.clone(), outputs: builds.outputs_beside(built) };
    let external = ExternalResources::look(&http, plan, values, false).await?;
    let objects = cluster.dry_run(plan, &external.values).await?;
    let on_record = release.map(|release| release.external.as_slice()).unwrap_or_default();
    let changes = builds.changes().into_iter().chain(objects).chain(external.changes(on_record));
    Ok(Preview { changes: changes.collect() })
}

/// Applies a plan: preflight, then stage by stage, then what the plan no longer has, then health. When nothing
/// differs nothing is written. Ends early, with the record saying how far it came, when `cancel` is cancelled.
///
/// # Errors
/// [`Error::ChecksFailed`], [`Error::Cluster`], [`Error::Effect`], [`Error::Interrupted`]. The same call finishes what was begun.
pub async fn apply(
    loaded: &LoadedPlugin,
    cluster: &Cluster,
    planned: &Planned,
    secrets: &SecretInputs,
    request: &ApplyRequest,
    cancel: &CancellationToken,
    events: Events<'_>,
) -> Result<Applied, Error> {
    let plan = &planned.plan;
    let http = external::http(&plan.granted, &request.http)?;
    let asking = CheckRunner { asked: ProbeTarget { cluster, http: &http }, plugin: &loaded.plugin, events };
    asking.supported(&plan.plugin_plan)?;
    let (mut builds, mut external, comparison, unchanged) = unless_cancelled(cancel, async {
        asking.require("preflight", &demanded(plan, &request.ignore_preflight)?, RetryPolicy::Once).await?;
        let builds = ImageBuilds::look(cluster, plan, &request.http).await?;
        builds.ready(&request.shown)?;
        let values = Values { inputs: secrets.clone(), outputs: builds.outputs() };
        let external = ExternalResources::look(&http, plan, values, true).await?;
        let comparison = cluster.compare(plan, &external.values).await?;
        external.demand_owned(comparison.external(), &request.adopt)?;
        let settled = comparison.up_to_date()
            && external.settled()
            && builds.settled(comparison.images(), &comparison.skipped_stages())
            && asking.still_done(plan, &comparison).await;
        let unchanged = if settled { cluster.release(&plan.release).await? } else { None };
        Ok::<_, Error>((builds, external, comparison, unchanged))
    })
    .await?;
    let (release, changed) = match unchanged {
        Some(release) => (release, false),
        None => {
            let options = ApplyOptions { adopt: request.adopt.clone(), ..ApplyOptions::default() };
            let pass_on = |event| events(Event::Cluster(event));
            let mut run = cluster.begin(plan, &external.values, comparison, &options, &pass_on).await?;
            let outcome = unless_cancelled(cancel, async {
                stages(&mut run, plan, request, &asking, &mut builds, &mut external).await?;
                run.prune().await?;
                let gone = run.gone_external();
                if !gone.is_empty() {
                    let http = external::http_for(&gone, &request.http)?;
                    let left = |old: &ExternalStep| external::moved_reason(old, plan);
                    let removed = external::remove(&http, &gone, left, secrets, events).await;
                    removed.map_err(|(_, error)| error)?;
                }
                Ok(())
            })
            .await;
            match outcome {
                Ok(()) => (run.finish().await?, true),
                Err(Error::Interrupted { .. }) => {
                    run.interrupt().await;
                    return Err(Error::Interrupted { recorded: true });
                }
                Err(error) => {
                    run.abandon(&error.to_string()).await;
                    return Err(error);
                }
            }
        }
    };
    let health = if request.wait {
        unless_cancelled(cancel, asking.all_is_well(plan, changed)).await?
    } else {
        Vec::new()
    };
    Ok(Applied { release, changed, health })
}

/// The preflight checks, those in `ignored` as warnings.
fn demanded(plan: &Plan, ignored: &[String]) -> Result<Vec<Check>, Error> {
    let checks = &plan.plugin_plan.preflight;
    let known = |name: &String| name == ALL || checks.iter().any(|check| check.name == *name);
    if let Some(unknown) = ignored.iter().find(|name| !known(name)) {
        let known = checks.iter().map(|check| check.name.clone()).collect();
        return Err(Error::NoPreflight { name: unknown.clone(), known });
    }
    let ignored = |check: &Check| ignored.iter().any(|name| name == ALL || *name == check.name);
    let mut checks = checks.clone();
    for check in checks.iter_mut().filter(|check| ignored(check)) {
        check.severity = Severity::Warning;
    }
    Ok(checks)
}

/// Applies the stages of a plan, one after the other.
pub(crate) async fn stages(
    run: &mut Apply<'_>,
    plan: &Plan,
    request: &ApplyRequest,
    asking: &CheckRunner<'_>,
    builds: &mut ImageBuilds<'_>,
    external: &mut ExternalResources<'_>,
) -> Result<(), Error> {
    for (index, stage) in plan.plugin_plan.stages.iter().enumerate() {
        if asking.holds(&stage.skip_if).await {
            run.skip(index).await;
            continue;
        }
        external.values.outputs.extend(builds.stage(stage, run, asking.events).await?);
        run.learn(external.stage(stage, asking.events).await?.clone());
        if !stage.skip_if.is_empty() {
            run.again(index).await?;
        }
        run.stage(index).await?;
        if request.wait {
            run.wait(index, request.timeout).await?;
        }
        run.pod_files(index, request.wait).await?;
        if request.wait {
            asking
                .require(&format!("gates of stage {}", stage.name), &stage.gates, RetryPolicy::UntilTimeout)
                .await?;
        }
    }
    Ok(())
}

pub(crate) struct CheckRunner<'a> {
    pub(crate) asked: ProbeTarget<'a>,
    pub(crate) plugin: &'a Plugin,
    pub(crate) events: Events<'a>,
}

impl CheckRunner<'_> {
    /// Whether everything can be looked at: to be known before anything is written, for what cannot be looked at now
    /// cannot be looked at after an hour of applying either.
    pub(crate) fn supported(&self, plugin_plan: &PluginPlan) -> Result<(), Error> {
        let staged = plugin_plan.stages.iter().flat_map(|stage| stage.gates.iter().chain(&stage.skip_if));
        for check in plugin_plan.preflight.iter().chain(staged).chain(&plugin_plan.health) {
            self.asked.supported(&check.probe)?;
        }
        for step in plugin_plan.external() {
            thinkube_effects::ExternalResource::validate(&self.asked.http, step)?;
        }
        Ok(())
    }

    /// Every check that is an error must hold.
    pub(crate) async fn require(
        &self,
        phase: &str,
        checks: &[Check],
        patience: RetryPolicy,
    ) -> Result<Vec<CheckOutcome>, Error> {
        let outcomes = run_checks(&self.asked, Some(self.plugin), checks, patience, self.events).await;
        let failed = failed(&outcomes);
        if failed.is_empty() {
            Ok(outcomes)
        } else {
            Err(Error::ChecksFailed { phase: phase.to_owned(), failed })
        }
    }

    /// Health; and the gates too where this apply did not ask them, for the last one may not have waited.
    async fn all_is_well(&self, plan: &Plan, gates_held: bool) -> Result<Vec<CheckOutcome>, Error> {
        for stage in plan.plugin_plan.stages.iter().filter(|_| !gates_held) {
            self.require(&format!("gates of stage {}", stage.name), &stage.gates, RetryPolicy::UntilTimeout)
                .await?;
        }
        self.require("health", &plan.plugin_plan.health, RetryPolicy::UntilTimeout).await
    }

    /// Whether what says that a stage is done still holds, for those that the last apply skipped and those whose Jobs, which
    /// show nothing of what became of their work, have ended.
    async fn still_done(&self, plan: &Plan, comparison: &ReleaseDiff) -> bool {
        let (skipped, worked) = (comparison.skipped_stages(), comparison.worked_stages());
        for stage in &plan.plugin_plan.stages {
            let skipped = skipped.contains(&stage.name.as_str());
            let worked = !stage.skip_if.is_empty() && worked.contains(&stage.name.as_str());
            if (skipped || worked) && !self.holds(&stage.skip_if).await {
                return false;
            }
        }
        true
    }

    /// Whether there are checks and all of them hold.
    async fn holds(&self, checks: &[Check]) -> bool {
        let quiet = |_| ();
        !checks.is_empty()
            && run_checks(&self.asked, Some(self.plugin), checks, RetryPolicy::Once, &quiet)
                .await
                .iter()
                .all(CheckOutcome::passed)
    }
}
