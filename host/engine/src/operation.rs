//! Operations: temporary plans that never change the release's recorded plan.

use crate::apply::{Applied, Preview, preview_task, seen};
use crate::cancel::unless_cancelled;
use crate::check::CheckRunner;
use crate::driver::{Drivers, Observed, Purpose, Recorded, Task, http_client};
use crate::error::Error;
use crate::lifecycle::{Checks, Lifecycle};
use crate::plan::{FactSource, Planned, collect_facts, evaluates, validated};
use crate::plugin::{LoadedOperation, LoadedPlugin, with_deadline};
use crate::request::{ApplyRequest, RetryPolicy};
use crate::session::Session;
use serde_json::Value;
use std::sync::Arc;
use thinkube_cluster::{ApplyOptions, Cluster, OperationPlans, Release};
use thinkube_plan::{
    Action, Context, Grants, Installed, ObjectRef, Plan, PluginPlan, Problem, Step, nearest, overlay,
    overridden_steps, validate_operation,
};
use thinkube_validate::SettingFault;

/// Makes the plan of an operation on a release: resolves the arguments, answers the plugin's queries, and validates
/// the plan that it returns against the release's grants.
///
/// # Errors
/// [`Error::OtherPlugin`] when another plugin has made the release, [`Error::NoOperation`], [`Error::Arguments`], and as
/// [`crate::plan`].
pub async fn plan_operation(
    loaded: &LoadedPlugin,
    cluster: &Cluster,
    release: &Release,
    name: &str,
    arguments: Value,
) -> Result<Planned, Error> {
    let recorded = &release.plan;
    if *loaded.plugin.digest() != recorded.plugin.digest {
        return Err(Error::OtherPlugin {
            release: release.name.clone(),
            expected: recorded.plugin.digest.clone(),
            found: loaded.plugin.digest().clone(),
        });
    }
    release.may_operate()?;
    let LoadedOperation { operation, schema } = offered(loaded, name)?;
    let wrong = |faults| Error::Arguments { operation: name.to_owned(), faults };
    let schema = Arc::clone(schema);
    let arguments =
        with_deadline("the arguments", move || schema.resolve(arguments)).await?.map_err(wrong)?;

    let mut context = Context {
        release: recorded.release.clone(),
        namespace: recorded.namespace.clone(),
        settings: recorded.settings.clone(),
        facts: Vec::new(),
        kubernetes_version: cluster.version().to_owned(),
        installed: Some(Installed {
            version: recorded.plugin.version.clone(),
            settings: recorded.settings.clone(),
            revision: release.revision,
        }),
    };
    let mut log = loaded.log.clone();
    let ask = async |context: &Context| loaded.plugin.plan_operation(name, &arguments, context).await;
    let source = FactSource::Cluster(cluster);
    let wanted = match collect_facts(&mut context, &recorded.granted, source, &mut log, ask).await? {
        Ok(plugin_plan) => plugin_plan,
        Err(Problem::InvalidSettings { path, message }) => {
            return Err(wrong(vec![SettingFault { path, message }]));
        }
        Err(problem) => return Err(Error::Problem(problem)),
    };
    let inputs: Vec<&str> = operation.secret_inputs.iter().map(String::as_str).collect();
    validated(validate_operation(&wanted, &inputs, evaluates(loaded)), &wanted)?;
    let plugin_plan = overlay(&recorded.plugin_plan, wanted).map_err(Error::Invalid)?;
    let plan = Plan { plugin_plan, ..recorded.clone() };
    let denials = Grants { permissions: plan.granted.clone() }.denials(&plan);
    if !denials.is_empty() {
        return Err(Error::Denied(denials));
    }
    Ok(Planned { digest: plan.digest(), plan, facts: context.facts, unused: Vec::new(), log })
}

fn offered<'a>(loaded: &'a LoadedPlugin, name: &str) -> Result<&'a LoadedOperation, Error> {
    let names = || loaded.operations.iter().map(|offered| offered.operation.name.as_str());
    let found = loaded.operations.iter().find(|offered| offered.operation.name == name);
    found.ok_or_else(|| Error::NoOperation {
        name: name.to_owned(),
        near: nearest(name, names()).map(str::to_owned),
        known: names().map(str::to_owned).collect(),
    })
}

/// Compares the plan of an operation with the cluster and with external servers. Writes nothing.
///
/// # Errors
/// [`Error::Cluster`], [`Error::External`], [`Error::Image`].
pub async fn preview_operation(
    session: &Session<'_>,
    release: &Release,
    planned: &Planned,
) -> Result<Preview, Error> {
    let plan = &planned.plan;
    let http = http_client(&plan.granted, session.http)?;
    let (purpose, running_images) = (Purpose::Preview, release.images.as_slice());
    let task = Task { session, plan, http: &http, purpose, running_images, is_operation: true };
    let mut preview = preview_task(task, &Recorded::default()).await?;
    let plugin_plan = &plan.plugin_plan;
    let restored = overridden_steps(&release.plan.plugin_plan, plugin_plan);
    let is_restarted =
        |object: &ObjectRef| steps(plugin_plan).any(|step| matches!(step, Step::Restart(it) if it == object));
    // The operation leaves the release's other objects alone.
    preview.changes.retain(|change| {
        change.object().is_none_or(|object| has_step_for(plugin_plan, object) || is_restarted(object))
    });
    for change in &mut preview.changes {
        let Some(object) = change.object() else { continue };
        if has_step_for(&restored, object) {
            change.note = Some("restored to the release's plan when the operation ends".to_owned());
        } else if !has_step_for(&release.plan.plugin_plan, object) && change.action == Action::Create {
            change.note = Some("deleted when the operation ends".to_owned());
        }
    }
    Ok(preview)
}

fn steps(plugin_plan: &PluginPlan) -> impl Iterator<Item = &Step> {
    plugin_plan.stages.iter().flat_map(|stage| &stage.steps)
}

fn has_step_for(plugin_plan: &PluginPlan, object: &ObjectRef) -> bool {
    steps(plugin_plan).filter_map(Step::target).any(|target| target.identity() == object.identity())
}

/// Carries out an operation: preflight, stages, then restores what it changed and deletes what it created, also after a
/// failure; then checks its own health and the release's.
///
/// # Errors
/// [`Error::ChecksFailed`], [`Error::Cluster`], [`Error::External`], [`Error::Image`], [`Error::Interrupted`]. If the record says that the
/// operation has not ended, the same call or an apply of the release ends it.
pub async fn operate(
    session: &Session<'_>,
    release: &Release,
    name: &str,
    planned: &Planned,
    request: &ApplyRequest,
) -> Result<Applied, Error> {
    let (plan, recorded) = (&planned.plan, &release.plan);
    let overridden_steps =
        Plan { plugin_plan: overridden_steps(&recorded.plugin_plan, &plan.plugin_plan), ..recorded.clone() };
    let operation = OperationPlans {
        name,
        plan,
        recorded,
        recorded_digest: &release.digest,
        overridden_steps: &overridden_steps,
    };
    let http = http_client(&plan.granted, session.http)?;
    let checks = CheckRunner::new(session, &http);
    let (cluster_events, purpose) = (session.cluster_events(), Purpose::Operation(request));
    let running_images = release.images.as_slice();
    let task = Task { session, plan, http: &http, purpose, running_images, is_operation: true };
    let mut drivers = Drivers::new(task);
    checks.supports(&plan.plugin_plan)?;
    drivers.supports()?;
    let mut seen = seen(session);
    unless_cancelled(&session.cancel, async {
        checks.require("preflight", &plan.plugin_plan.preflight, RetryPolicy::Once).await?;
        drivers.observe(&mut seen).await
    })
    .await?;
    let Observed { mut values, diff, .. } = seen;
    let diff = diff.ok_or(Error::NotObserved)?;
    let options = ApplyOptions::default();
    let run = session.cluster.begin_operation(operation, &values, diff, &options, &cluster_events).await?;
    let lifecycle = Lifecycle {
        plan: &plan.plugin_plan,
        checks: &checks,
        cancel: &session.cancel,
        events: session.events,
        wait: request.wait,
        timeout: request.timeout,
    };
    let release = lifecycle.operate(run, &mut drivers, &mut values).await?;
    let mut health = Vec::new();
    for (phase, expected) in
        [("health of the operation", &plan.plugin_plan.health), ("health", &recorded.plugin_plan.health)]
    {
        let outcomes = checks.require(phase, expected, RetryPolicy::UntilTimeout);
        health.extend(unless_cancelled(&session.cancel, outcomes).await?);
    }
    Ok(Applied { release, changed: true, health })
}
