//! Operations: the same path as a release's own plan, for a plan that passes.

use crate::apply::{Applied, ApplyRequest, Asking, Preview, preview_outside_pods, stages};
use crate::check::{Asked, Patience};
use crate::elsewhere::{self, Elsewhere};
use crate::images::Builds;
use crate::load::{Loaded, Offered, in_time};
use crate::planning::{FactSource, Planned, evaluates, judged, rounds};
use crate::{Error, Event, Events, Interrupted, unless_interrupted};
use serde_json::Value;
use std::sync::Arc;
use thinkube_cluster::{Action, Apply, ApplyOptions, Cluster, Operating, Release};
use thinkube_effects::HttpOptions;
use thinkube_plan::{
    Context, Grants, Installed, ObjectRef, Outline, Plan, Problem, SecretInputs, Step, Values, borrowed,
    check_operation, overlay,
};
use thinkube_validate::{SettingFault, nearest};

/// Makes the plan of an operation on a release: settles the arguments, answers the plugin's questions, and judges what
/// it returns by what the release was granted.
///
/// # Errors
/// [`Error::OtherPlugin`] when another plugin has made the release, [`Error::NoOperation`], [`Error::Arguments`], and as
/// [`crate::plan`].
pub async fn plan_operation(
    loaded: &Loaded,
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
    let Offered { operation, schema } = offered(loaded, name)?;
    let wrong = |faults| Error::Arguments { operation: name.to_owned(), faults };
    let schema = Arc::clone(schema);
    let arguments = in_time("the arguments", move || schema.settle(arguments)).await?.map_err(wrong)?;

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
    let wanted = match rounds(&mut context, &recorded.granted, source, &mut log, ask).await? {
        Ok(outline) => outline,
        Err(Problem::InvalidSettings { path, message }) => {
            return Err(wrong(vec![SettingFault { path, message }]));
        }
        Err(problem) => return Err(Error::Problem(problem)),
    };
    let inputs: Vec<&str> = operation.secret_inputs.iter().map(String::as_str).collect();
    judged(check_operation(&wanted, &inputs, evaluates(loaded)), &wanted)?;
    let outline = overlay(&recorded.outline, wanted).map_err(Error::Invalid)?;
    let plan = Plan { outline, ..recorded.clone() };
    let denials = Grants { permissions: plan.granted.clone() }.gate(&plan);
    if !denials.is_empty() {
        return Err(Error::Denied(denials));
    }
    Ok(Planned { digest: plan.digest(), plan, facts: context.facts, unused: Vec::new(), log })
}

fn offered<'a>(loaded: &'a Loaded, name: &str) -> Result<&'a Offered, Error> {
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
    let outline = &planned.plan.outline;
    let mut preview =
        preview_outside_pods(cluster, &planned.plan, secrets, None, &release.images, http).await?;
    let given_back = borrowed(&release.plan.outline, outline);
    let restarted =
        |object: &ObjectRef| steps(outline).any(|step| matches!(step, Step::Restart(it) if it == object));
    // What the release has beside is not touched.
    preview.objects.retain(|change| makes(outline, &change.object) || restarted(&change.object));
    for change in &mut preview.objects {
        if makes(&given_back, &change.object) {
            change.note = Some("as the release's plan has it when the operation ends".to_owned());
        } else if !makes(&release.plan.outline, &change.object) && change.action == Action::Create {
            change.note = Some("for the operation only".to_owned());
        }
    }
    Ok(preview)
}

fn steps(outline: &Outline) -> impl Iterator<Item = &Step> {
    outline.stages.iter().flat_map(|stage| &stage.steps)
}

fn makes(outline: &Outline, object: &ObjectRef) -> bool {
    steps(outline).filter_map(Step::target).any(|target| target.identity() == object.identity())
}

/// Carries out an operation: its preflight, its stages, then what it changed is given back and what was its own is
/// deleted, however it ended; then its health and the release's.
///
/// # Errors
/// [`Error::ChecksFailed`], [`Error::Cluster`], [`Error::Effect`], [`Error::Interrupted`]. Where the record says that the
/// operation has not ended, the same call or an apply of the release ends it.
#[expect(clippy::too_many_arguments, reason = "what an apply takes, and the release")]
pub async fn operate(
    loaded: &Loaded,
    cluster: &Cluster,
    release: &Release,
    name: &str,
    planned: &Planned,
    secrets: &SecretInputs,
    request: &ApplyRequest,
    interrupted: &Interrupted,
    events: Events<'_>,
) -> Result<Applied, Error> {
    let (plan, recorded) = (&planned.plan, &release.plan);
    let borrowed = Plan { outline: borrowed(&recorded.outline, &plan.outline), ..recorded.clone() };
    let operation = Operating { name, plan, recorded, borrowed: &borrowed };
    let http = elsewhere::http(&plan.granted, &request.http)?;
    let asking = Asking { asked: Asked { cluster, http: &http }, plugin: &loaded.plugin, events };
    asking.supported(&plan.outline)?;
    let (mut builds, mut elsewhere, comparison) = unless_interrupted(interrupted, async {
        asking.demand("preflight", &plan.outline.preflight, Patience::Once).await?;
        let builds = Builds::look(cluster, plan, &request.http).await?;
        builds.ready(&request.shown)?;
        let values = Values { inputs: secrets.clone(), outputs: builds.outputs_beside(&release.images) };
        let elsewhere = Elsewhere::look(&http, plan, values, true).await?;
        let comparison = cluster.compare_objects(plan, &elsewhere.values).await?;
        Ok::<_, Error>((builds, elsewhere, comparison))
    })
    .await?;
    let pass_on = |event| events(Event::Cluster(event));
    let options = ApplyOptions::default();
    let mut run =
        cluster.begin_operation(&operation, &elsewhere.values, comparison, &options, &pass_on).await?;
    let stages = stages(&mut run, plan, request, &asking, &mut builds, &mut elsewhere);
    let done = unless_interrupted(interrupted, stages).await;
    let ended = match done {
        Err(Error::Interrupted { .. }) => Err(Error::Interrupted { recorded: true }),
        _ => unless_interrupted(interrupted, given_back(&mut run, &operation, request)).await,
    };
    if let Err(error) = ended {
        run.unfinished(name).await;
        return Err(match (done, error) {
            (Ok(()) | Err(Error::Interrupted { .. }), Error::Interrupted { .. }) => {
                Error::Interrupted { recorded: true }
            }
            (Ok(()), error) => error,
            (Err(first), error) => {
                events(Event::Cluster(thinkube_cluster::Event::Warning(error.to_string())));
                first
            }
        });
    }
    let release = run.finish_operation(name, done.is_err()).await;
    done?;
    let release = release?;
    let mut health = Vec::new();
    for (phase, checks) in
        [("health of the operation", &plan.outline.health), ("health", &recorded.outline.health)]
    {
        let asked = asking.demand(phase, checks, Patience::UntilTimeout);
        health.extend(unless_interrupted(interrupted, asked).await?);
    }
    Ok(Applied { release, changed: true, health })
}

async fn given_back<'a>(
    run: &mut Apply<'a>,
    operation: &Operating<'a>,
    request: &ApplyRequest,
) -> Result<(), Error> {
    Ok(run.give_back(operation, request.timeout).await?)
}
