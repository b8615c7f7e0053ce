//! Resources of HTTP APIs.
//!
//! A password is sent only to the server for which it was given: requests go to the origins that were granted for the plan,
//! or, to delete, to those for which the recorded steps were granted.

use super::step::{InCluster, Observed, Recorded, StageRef, StepDriver, Task};
use crate::error::Error;
use crate::event::{Event, Events};
use crate::request::UninstallRequest;
use std::collections::BTreeMap;
use thinkube_cluster::{Adopt, Apply, Uninstall};
use thinkube_effects::{
    AuthError, ExternalAction, ExternalError, ExternalRemoval, ExternalResource, ExternalState, Http,
    HttpOptions, ObservedExternal,
};
use thinkube_plan::{
    Action, Change, ExternalRef, ExternalStep, OnUninstall, Outputs, Permission, Plan, SecretInputs, Step,
    Subject, Values, connect_permissions,
};

/// The kind by which the operator names an external resource to adopt.
const EXTERNAL: &str = "External";

pub(crate) struct External<'a> {
    task: Task<'a>,
    /// In the plan's order.
    steps: Vec<ExternalRecord<'a>>,
}

/// A step as it was observed.
struct ExternalRecord<'a> {
    step: &'a ExternalStep,
    /// None where the resource is in sync, or could not be observed yet.
    observed: Option<ObservedExternal>,
    change: Change,
}

impl<'a> External<'a> {
    pub(crate) fn new(task: Task<'a>) -> Self {
        Self { task, steps: Vec::new() }
    }

    /// Observes one resource. Outputs of a resource in sync are read too: Secrets that hold them are compared with them.
    async fn observe_step(
        &self,
        step: &'a ExternalStep,
        values: &mut Values,
    ) -> Result<ExternalRecord<'a>, Error> {
        let http = self.task.http;
        let result = |observed, change| Ok(ExternalRecord { step, observed, change });
        let observed = match ExternalResource::new(http, step, values).observe().await {
            Ok(observed) => observed,
            // Its lookup key is an output that does not exist yet, so the resource does not exist.
            Err(ExternalError::MissingOutput { .. }) => return result(None, change(step, Action::Create)),
            Err(ExternalError::Auth(AuthError::MissingInput { input, .. }))
                if self.task.request().is_none() =>
            {
                let note = format!("not compared: the secret input `{input}` was not supplied");
                return result(None, change(step, Action::Update).with_note(note));
            }
            Err(error) => return Err(error.into()),
        };
        match observed.state.clone() {
            ExternalState::Absent => result(Some(observed), change(step, Action::Create)),
            ExternalState::Differs(fields) => {
                values.outputs.extend(observed.outputs.clone());
                result(Some(observed), Change { fields, ..change(step, Action::Update) })
            }
            ExternalState::InSync => {
                let outcome = ExternalResource::new(http, step, values).ensure(observed).await?;
                values.outputs.extend(outcome.outputs);
                result(None, change(step, Action::Unchanged))
            }
        }
    }

    /// Existing resources that this release did not create and that `adopt` does not name. To update or delete one would
    /// affect its owner.
    fn not_owned<'s>(
        &'s self,
        recorded: &'s Recorded,
        adopt: &'s [Adopt],
    ) -> impl Iterator<Item = &'s ExternalStep> {
        self.steps.iter().filter(|step| step.exists()).map(|step| step.step).filter(move |step| {
            !recorded.external.iter().any(|old| old.is_same_resource(step))
                && !adopt.iter().any(|adopt| names(adopt, step))
        })
    }
}

impl ExternalRecord<'_> {
    /// A resource that could not be observed has a note.
    fn exists(&self) -> bool {
        matches!(self.change.action, Action::Unchanged | Action::Update) && self.change.note.is_none()
    }
}

#[async_trait::async_trait(?Send)]
impl<'c> StepDriver<InCluster<'c>> for External<'_> {
    fn supports(&self) -> Result<(), Error> {
        for step in self.task.plan.plugin_plan.external() {
            ExternalResource::validate(self.task.http, step)?;
        }
        Ok(())
    }

    async fn observe(&mut self, seen: &mut Observed) -> Result<(), Error> {
        for step in self.task.plan.plugin_plan.external() {
            let observed = self.observe_step(step, &mut seen.values).await?;
            self.steps.push(observed);
        }
        Ok(())
    }

    fn changes(&self, recorded: &Recorded) -> Vec<Change> {
        let others: Vec<&ExternalStep> = self.not_owned(recorded, &[]).collect();
        let planned = self.steps.iter().map(|ExternalRecord { step, change, .. }| {
            match others.iter().any(|other| other.name == step.name) {
                true => change.clone().with_note(format!(
                    "it exists and this release did not create it; to take it over, adopt {EXTERNAL}/{}",
                    step.name
                )),
                false => change.clone(),
            }
        });
        let dropped = recorded.external.iter().filter(|old| is_dropped(old, self.task.plan));
        let dropped = dropped.map(|old| change(old, if stays(old) { Action::Keep } else { Action::Delete }));
        planned.chain(dropped).collect()
    }

    fn require_owned(&self, recorded: &Recorded) -> Result<(), Error> {
        let adopt = self.task.request().map(|request| request.adopt.as_slice()).unwrap_or_default();
        let others: Vec<(String, String)> =
            self.not_owned(recorded, adopt).map(|step| (step.name.clone(), step.base_url.clone())).collect();
        if others.is_empty() { Ok(()) } else { Err(Error::ExternalNotOwned(others)) }
    }

    fn is_up_to_date(&self, _seen: &Observed) -> bool {
        self.steps.iter().all(|step| step.change.action == Action::Unchanged)
    }

    async fn apply(
        &mut self,
        stage: StageRef<'_>,
        values: &mut Values,
        _run: &mut Apply<'c>,
    ) -> Result<(), Error> {
        // One after the other: each may use what the one before it yields.
        for step in stage.stage.steps.iter().filter_map(external) {
            let known = self.steps.iter_mut().find(|known| known.step.name == step.name);
            let observed = match known.and_then(|known| known.observed.take()) {
                Some(observed) => observed,
                None => ExternalResource::new(self.task.http, step, values).observe().await?,
            };
            let outcome = ExternalResource::new(self.task.http, step, values).ensure(observed).await?;
            let action = match outcome.action {
                ExternalAction::Created => Action::Create,
                ExternalAction::Updated => Action::Update,
                ExternalAction::Unchanged => Action::Unchanged,
            };
            values.outputs.extend(outcome.outputs);
            (self.task.session.events)(Event::Changed(change(step, action)));
        }
        Ok(())
    }

    async fn prune(&mut self, run: &mut Apply<'c>) -> Result<(), Error> {
        let (session, plan) = (self.task.session, self.task.plan);
        let dropped = run.dropped_external();
        if dropped.is_empty() {
            return Ok(());
        }
        let http = http_client_for(&dropped, session.http)?;
        let moved = |old: &ExternalStep| moved_reason(old, plan);
        remove(&http, &dropped, moved, session.secrets, session.events).await.map_err(|(_, error)| error)?;
        Ok(())
    }

    async fn delete(
        &mut self,
        request: &UninstallRequest,
        uninstall: &mut Uninstall<'c>,
    ) -> Result<Vec<Change>, Error> {
        let session = self.task.session;
        if uninstall.external().is_empty() {
            return Ok(Vec::new());
        }
        let http = http_client_for(uninstall.external(), session.http)?;
        let orphaned = |step: &ExternalStep| {
            request
                .objects
                .orphans_external(&step.name)
                .then(|| "left in place, as the operator asked".to_owned())
        };
        let removed = remove(&http, uninstall.external(), orphaned, session.secrets, session.events).await;
        removed.map_err(|(step, source)| Error::Outside { step, source })
    }
}

fn change(step: &ExternalStep, action: Action) -> Change {
    let subject = ExternalRef { name: step.name.clone(), base_url: step.base_url.clone() };
    Change::new(Subject::External(subject), None, action)
}

fn names(adopt: &Adopt, step: &ExternalStep) -> bool {
    adopt.kind == EXTERNAL && adopt.namespace.is_none() && adopt.name == step.name
}

fn external(step: &Step) -> Option<&ExternalStep> {
    match step {
        Step::External(step) => Some(step),
        _ => None,
    }
}

/// Whether the plan no longer has a recorded step.
fn is_dropped(old: &ExternalStep, plan: &Plan) -> bool {
    plan.plugin_plan.external().all(|new| !new.is_same_resource(old))
}

fn stays(step: &ExternalStep) -> bool {
    step.on_uninstall == OnUninstall::Retain || step.delete.is_none()
}

/// HTTP to the origins that were granted.
pub(crate) fn http_client(granted: &[Permission], options: &HttpOptions) -> Result<Http, Error> {
    let origins = granted.iter().filter_map(|permission| match permission {
        Permission::Connect(origin) => Some(origin.clone()),
        _ => None,
    });
    Ok(Http::new(&HttpOptions { granted: origins.collect(), ..options.clone() })?)
}

/// HTTP to the origins of recorded steps only. They were granted when the steps were applied; the recorded plan may be of an
/// interrupted apply that was granted others.
fn http_client_for(steps: &[ExternalStep], options: &HttpOptions) -> Result<Http, Error> {
    http_client(&steps.iter().flat_map(connect_permissions).collect::<Vec<Permission>>(), options)
}

/// Why a resource that `plan` no longer has is kept: the password of its server is now that of another server, which
/// this one must not see.
fn moved_reason(old: &ExternalStep, plan: &Plan) -> Option<String> {
    let input = old.auth.password_input()?;
    let origins = connect_permissions(old);
    let moved =
        |new: &&ExternalStep| new.auth.password_input() == Some(input) && connect_permissions(new) != origins;
    let new = plan.plugin_plan.external().find(moved)?;
    Some(format!(
        "left in place: the secret input {input} is now for {}, so it is not sent to {}; delete the resource there by hand",
        new.base_url, old.base_url
    ))
}

/// Removes recorded resources, the youngest first. An absent resource is not an error. Where `keep` gives a reason the resource
/// is kept without a request, and so is a resource that only it leads to.
///
/// # Errors
/// With the name of the step.
async fn remove(
    http: &Http,
    steps: &[ExternalStep],
    keep: impl Fn(&ExternalStep) -> Option<String>,
    inputs: &SecretInputs,
    events: Events<'_>,
) -> Result<Vec<Change>, (String, ExternalError)> {
    let mut values = Values { inputs: inputs.clone(), outputs: Outputs::default() };
    let mut kept: BTreeMap<&str, String> = BTreeMap::new();
    let unreachable =
        |of: &str| format!("left in place: only the output of step {of} leads to it, which is left in place");
    // The oldest first: a younger resource may be found by what an older one yields.
    for step in steps {
        if let Some(why) = keep(step) {
            kept.insert(&step.name, why);
            continue;
        }
        match ExternalResource::new(http, step, &values).observe().await {
            Ok(observed) => values.outputs.extend(observed.outputs),
            Err(ExternalError::MissingOutput { step: of, .. }) if kept.contains_key(of.as_str()) => {
                kept.insert(&step.name, unreachable(&of));
            }
            Err(ExternalError::MissingOutput { .. }) => {}
            Err(error) => return Err((step.name.clone(), error)),
        }
    }
    let mut changes = Vec::new();
    for step in steps.iter().rev() {
        let (action, note) = match kept.get(step.name.as_str()) {
            Some(note) => (Action::Keep, Some(note.clone())),
            None => match ExternalResource::new(http, step, &values).remove().await {
                Ok(ExternalRemoval::Deleted) => (Action::Delete, None),
                Ok(ExternalRemoval::Retained) => (Action::Keep, None),
                Err(ExternalError::MissingOutput { step: of, .. }) if kept.contains_key(of.as_str()) => {
                    (Action::Keep, Some(unreachable(&of)))
                }
                Ok(ExternalRemoval::NotFound) | Err(ExternalError::MissingOutput { .. }) => {
                    (Action::Unchanged, None)
                }
                Err(error) => return Err((step.name.clone(), error)),
            },
        };
        events(Event::Changed(change(step, action)));
        changes.push(Change { note, ..change(step, action) });
    }
    Ok(changes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;
    use thinkube_plan::testing;

    fn step(name: &str, server: &str, input: &str) -> Step {
        let auth = testing::password_grant(&format!("{server}/token"), input);
        Step::External(Box::new(testing::external_step(name, server, &json!({ "auth": auth }))))
    }

    fn plan(steps: &[Step]) -> Plan {
        testing::plan(vec![testing::stage("one", steps.to_vec())])
    }

    #[test]
    fn the_password_of_a_new_server_is_not_sent_to_the_old_one() {
        let old = plan(&[step("client", "https://a", "admin")]);
        let old = old.plugin_plan.external().next().expect("the plan has an external step");
        let why =
            moved_reason(old, &plan(&[step("client", "https://b", "admin")])).expect("the resource is kept");
        assert!(why.contains("admin is now for https://b") && why.contains("https://a"), "{why}");
        // Dropped, at the same server, or with a password of its own: the resource is deleted.
        for now in
            [&[][..], &[step("other", "https://a", "admin")], &[step("client", "https://b", "another")]]
        {
            assert_eq!(moved_reason(old, &plan(now)), None);
        }
    }
}
