//! Operations: the same path as a release's own plan, for a plan that passes.

use crate::apply::{Applied, ApplyRequest, CheckRunner, Preview, preview_outside_pods, stages};
use crate::check::{ProbeTarget, RetryPolicy};
use crate::external::{self, ExternalResources};
use crate::images::ImageBuilds;
use crate::load::{LoadedOperation, LoadedPlugin, with_deadline};
use crate::planning::{FactSource, Planned, collect_facts, evaluates, judged};
use crate::{CancellationToken, Error, Event, Events, unless_cancelled};
use serde_json::Value;
use std::sync::Arc;
use thinkube_cluster::{Apply, ApplyOptions, Cluster, OperationPlans, Release};
use thinkube_effects::HttpOptions;
use thinkube_plan::{
    Action, Context, Grants, Installed, ObjectRef, Plan, PluginPlan, Problem, SecretInputs, Step, Values,
    nearest, overlay, overridden_steps, validate_operation,
};
use thinkube_validate::SettingFault;

/// Makes the plan of an operation on a release: settles the arguments, answers the plugin's questions, and judges what
/// it returns by what the release was granted.
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
    let arguments = with_deadline("the arguments", move || schema.settle(arguments)).await?.map_err(wrong)?;

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
    judged(validate_operation(&wanted, &inputs, evaluates(loaded)), &wanted)?;
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

/// What an operation would do, object by object and field by field. Writes nothing.
///
/// # Errors
/// [`Error::Cluster`], [`Error::Effect`].
pub async fn preview_operation(
    cluster: &Cluster,
    release: &Release,
    planned: &Planned,
    secrets: &SecretInputs,
    http: &HttpOptions,
) -> Result<Preview, Error> {
    let plugin_plan = &planned.plan.plugin_plan;
    let mut preview =
        preview_outside_pods(cluster, &planned.plan, secrets, None, &release.images, http).await?;
    let given_back = overridden_steps(&release.plan.plugin_plan, plugin_plan);
    let restarted =
        |object: &ObjectRef| steps(plugin_plan).any(|step| matches!(step, Step::Restart(it) if it == object));
    // What the release has beside is not touched.
    preview.changes.retain(|change| {
        change.object().is_none_or(|object| makes(plugin_plan, object) || restarted(object))
    });
    for change in &mut preview.changes {
        let Some(object) = change.object() else { continue };
        if makes(&given_back, object) {
            change.note = Some("as the release's plan has it when the operation ends".to_owned());
        } else if !makes(&release.plan.plugin_plan, object) && change.action == Action::Create {
            change.note = Some("for the operation only".to_owned());
        }
    }
    Ok(preview)
}

fn steps(plugin_plan: &PluginPlan) -> impl Iterator<Item = &Step> {
    plugin_plan.stages.iter().flat_map(|stage| &stage.steps)
}

fn makes(plugin_plan: &PluginPlan, object: &ObjectRef) -> bool {
    steps(plugin_plan).filter_map(Step::target).any(|target| target.identity() == object.identity())
}

/// Carries out an operation: its preflight, its stages, then what it changed is given back and what was its own is
/// deleted, however it ended; then its health and the release's.
///
/// # Errors
/// [`Error::ChecksFailed`], [`Error::Cluster`], [`Error::Effect`], [`Error::Interrupted`]. Where the record says that the
/// operation has not ended, the same call or an apply of the release ends it.
#[expect(clippy::too_many_arguments, reason = "what an apply takes, and the release")]
pub async fn operate(
    loaded: &LoadedPlugin,
    cluster: &Cluster,
    release: &Release,
    name: &str,
    planned: &Planned,
    secrets: &SecretInputs,
    request: &ApplyRequest,
    cancel: &CancellationToken,
    events: Events<'_>,
) -> Result<Applied, Error> {
    let (plan, recorded) = (&planned.plan, &release.plan);
    let overridden_steps =
        Plan { plugin_plan: overridden_steps(&recorded.plugin_plan, &plan.plugin_plan), ..recorded.clone() };
    let operation = OperationPlans { name, plan, recorded, overridden_steps: &overridden_steps };
    let http = external::http(&plan.granted, &request.http)?;
    let asking = CheckRunner { asked: ProbeTarget { cluster, http: &http }, plugin: &loaded.plugin, events };
    asking.supported(&plan.plugin_plan)?;
    let (mut builds, mut external, comparison) = unless_cancelled(cancel, async {
        asking.require("preflight", &plan.plugin_plan.preflight, RetryPolicy::Once).await?;
        let builds = ImageBuilds::look(cluster, plan, &request.http).await?;
        builds.ready(&request.shown)?;
        let values = Values { inputs: secrets.clone(), outputs: builds.outputs_beside(&release.images) };
        let external = ExternalResources::look(&http, plan, values, true).await?;
        let comparison = cluster.compare_objects(plan, &external.values).await?;
        Ok::<_, Error>((builds, external, comparison))
    })
    .await?;
    let pass_on = |event| events(Event::Cluster(event));
    let options = ApplyOptions::default();
    let mut run =
        cluster.begin_operation(&operation, &external.values, comparison, &options, &pass_on).await?;
    let stages = stages(&mut run, plan, request, &asking, &mut builds, &mut external);
    let done = unless_cancelled(cancel, stages).await;
    let ended = match done {
        Err(Error::Interrupted { .. }) => Err(Error::Interrupted { recorded: true }),
        _ => unless_cancelled(cancel, given_back(&mut run, &operation, request)).await,
    };
    if let Err(error) = ended {
        run.unfinished(name).await;
        return Err(match (done, error) {
            (Ok(()) | Err(Error::Interrupted { .. }), Error::Interrupted { .. }) => {
                Error::Interrupted { recorded: true }
            }
            (Ok(()), error) => error,
            (Err(first), error) => {
                events(Event::Cluster(thinkube_cluster::Progress::Warning(error.to_string())));
                first
            }
        });
    }
    let release = run.finish_operation(name, done.is_err()).await;
    done?;
    let release = release?;
    let mut health = Vec::new();
    for (phase, checks) in
        [("health of the operation", &plan.plugin_plan.health), ("health", &recorded.plugin_plan.health)]
    {
        let asked = asking.require(phase, checks, RetryPolicy::UntilTimeout);
        health.extend(unless_cancelled(cancel, asked).await?);
    }
    Ok(Applied { release, changed: true, health })
}

async fn given_back<'a>(
    run: &mut Apply<'a>,
    operation: &OperationPlans<'a>,
    request: &ApplyRequest,
) -> Result<(), Error> {
    Ok(run.give_back(operation, request.timeout).await?)
}
