//! What a plan wants outside the cluster, from the first look to the last removal.

use crate::{Error, Event, Events};
use std::collections::BTreeMap;
use thinkube_cluster::Adopt;
use thinkube_effects::{
    AuthError, ExternalAction, ExternalError, ExternalRemoval, ExternalResource, ExternalState, Http,
    HttpOptions, ObservedExternal,
};
use thinkube_plan::{
    Action, Change, ExternalRef, ExternalStep, FieldChange, OnUninstall, Outputs, Permission, Plan,
    SecretInputs, Stage, Step, Subject, Values, connect_permissions,
};

fn changed(step: &ExternalStep, action: Action, fields: Vec<FieldChange>, note: Option<String>) -> Change {
    let subject = ExternalRef { name: step.name.clone(), base_url: step.base_url.clone() };
    Change { fields, note, ..Change::new(Subject::External(subject), None, action) }
}

/// What `--adopt` calls a resource outside the cluster, as it calls an object by its kind.
const EXTERNAL: &str = "External";

/// What could not be looked at has a note that says so.
fn is_there(change: &Change) -> bool {
    matches!(change.action, Action::Unchanged | Action::Update) && change.note.is_none()
}

fn names(adopt: &Adopt, step: &ExternalStep) -> bool {
    adopt.kind == EXTERNAL && adopt.namespace.is_none() && adopt.name == step.name
}

/// HTTP to the origins that were granted to a plan.
pub(crate) fn http(granted: &[Permission], options: &HttpOptions) -> Result<Http, Error> {
    let origins = granted.iter().filter_map(|permission| match permission {
        Permission::Connect(origin) => Some(origin.clone()),
        _ => None,
    });
    Ok(Http::new(&HttpOptions { granted: origins.collect(), ..options.clone() })?)
}

/// The external resources of a plan as they are, and what its steps have yielded so far.
pub(crate) struct ExternalResources<'a> {
    http: &'a Http,
    plan: &'a Plan,
    /// By the name of the step. None: it could not be looked at yet.
    seen: BTreeMap<&'a str, Option<ObservedExternal>>,
    changes: Vec<Change>,
    pub(crate) values: Values,
}

impl<'a> ExternalResources<'a> {
    /// Looks at every resource and changes nothing. With `require` an input that was not supplied is an error; without, its
    /// resource is not compared.
    pub(crate) async fn look(
        http: &'a Http,
        plan: &'a Plan,
        values: Values,
        require: bool,
    ) -> Result<Self, Error> {
        let mut this = Self { http, plan, seen: BTreeMap::new(), changes: Vec::new(), values };
        for step in plan.plugin_plan.external() {
            let (seen, action, fields, note) =
                match ExternalResource::new(http, step, &this.values).observe().await {
                    Ok(seen) => match seen.state.clone() {
                        ExternalState::Absent => (Some(seen), Action::Create, Vec::new(), None),
                        ExternalState::Differs(fields) => {
                            this.values.outputs.extend(seen.outputs.clone());
                            (Some(seen), Action::Update, fields, None)
                        }
                        // Nothing is changed, and what it yields is needed to compare the Secrets that hold it.
                        ExternalState::InSync => {
                            let outcome =
                                ExternalResource::new(http, step, &this.values).ensure(seen).await?;
                            this.values.outputs.extend(outcome.outputs);
                            (None, Action::Unchanged, Vec::new(), None)
                        }
                    },
                    // What it is found by is not there, so neither is it.
                    Err(ExternalError::MissingOutput { .. }) => (None, Action::Create, Vec::new(), None),
                    Err(ExternalError::Auth(AuthError::MissingInput { input, .. })) if !require => {
                        let note = format!("not compared: the secret input `{input}` was not supplied");
                        (None, Action::Update, Vec::new(), Some(note))
                    }
                    Err(error) => return Err(error.into()),
                };
            this.seen.insert(&step.name, seen);
            this.changes.push(changed(step, action, fields, note));
        }
        Ok(this)
    }

    /// Whether every resource is as the plan wants it.
    pub(crate) fn settled(&self) -> bool {
        self.changes.iter().all(|change| change.action == Action::Unchanged)
    }

    /// The resources that are there and that nobody made for this release, but for those in `adopt`: to change one, or to
    /// delete it some day, would be to touch what belongs to others.
    fn not_owned<'s>(
        &'s self,
        on_record: &'s [ExternalStep],
        adopt: &'s [Adopt],
    ) -> impl Iterator<Item = &'s ExternalStep> {
        let there =
            self.plan.plugin_plan.external().zip(&self.changes).filter(|(_, change)| is_there(change));
        there.map(|(step, _)| step).filter(move |step| {
            !on_record.iter().any(|old| old.is_same_resource(step))
                && !adopt.iter().any(|adopt| names(adopt, step))
        })
    }

    /// Refuses to go on where a resource is somebody else's.
    pub(crate) fn demand_owned(&self, on_record: &[ExternalStep], adopt: &[Adopt]) -> Result<(), Error> {
        let others: Vec<_> =
            self.not_owned(on_record, adopt).map(|step| (step.name.clone(), step.base_url.clone())).collect();
        if others.is_empty() { Ok(()) } else { Err(Error::ExternalNotOwned(others)) }
    }

    /// What would be done, in the plan's order, and what the plan no longer wants.
    pub(crate) fn changes(&self, on_record: &[ExternalStep]) -> Vec<Change> {
        let others: Vec<&str> = self.not_owned(on_record, &[]).map(|step| step.name.as_str()).collect();
        let gone = on_record
            .iter()
            .filter(|old| self.plan.plugin_plan.external().all(|new| !new.is_same_resource(old)));
        let gone = gone.map(|old| {
            changed(old, if stays(old) { Action::Keep } else { Action::Delete }, Vec::new(), None)
        });
        let wanted = self.plan.plugin_plan.external().zip(self.changes.iter().cloned());
        let wanted = wanted.map(|(step, change)| match others.contains(&step.name.as_str()) {
            true => change.with_note(format!(
                "it is there and this release did not make it; --adopt {EXTERNAL}/{} takes it over",
                step.name
            )),
            false => change,
        });
        wanted.chain(gone).collect()
    }

    /// Brings about the resources of a stage, one after the other: each may need what the one before it yields.
    pub(crate) async fn stage(&mut self, stage: &Stage, events: Events<'_>) -> Result<&Outputs, Error> {
        for step in stage.steps.iter().filter_map(external) {
            let seen = match self.seen.remove(step.name.as_str()).flatten() {
                Some(seen) => seen,
                None => ExternalResource::new(self.http, step, &self.values).observe().await?,
            };
            let outcome = ExternalResource::new(self.http, step, &self.values).ensure(seen).await?;
            let action = match outcome.action {
                ExternalAction::Created => Action::Create,
                ExternalAction::Updated => Action::Update,
                ExternalAction::Unchanged => Action::Unchanged,
            };
            self.values.outputs.extend(outcome.outputs);
            said(events, step, action);
        }
        Ok(&self.values.outputs)
    }
}

/// HTTP to where these resources are, and nowhere else: they were made by what was granted then, and the plan on record may
/// be of an apply that was cut off, and be granted other places.
pub(crate) fn http_for(steps: &[ExternalStep], options: &HttpOptions) -> Result<Http, Error> {
    http(&steps.iter().flat_map(connect_permissions).collect::<Vec<Permission>>(), options)
}

/// Why a resource that `plan` no longer has is left where it is: the password by which it was made is another server's
/// now, and must not be shown to this one.
pub(crate) fn moved_reason(old: &ExternalStep, plan: &Plan) -> Option<String> {
    let input = old.auth.password_input()?;
    let places = connect_permissions(old);
    let of =
        |new: &&ExternalStep| new.auth.password_input() == Some(input) && connect_permissions(new) != places;
    let new = plan.plugin_plan.external().find(of)?;
    Some(format!(
        "left behind: the secret input {input} is now for {}, so it is not shown to {}; delete it there by hand",
        new.base_url, old.base_url
    ))
}

/// Takes resources away that a release has, the youngest first. What is no longer there is no error. Of those that are
/// `left` behind, for the reason that it gives, and of those that only they lead to, nothing is asked.
///
/// # Errors
/// With the name of the step.
pub(crate) async fn remove(
    http: &Http,
    steps: &[ExternalStep],
    left: impl Fn(&ExternalStep) -> Option<String>,
    inputs: &SecretInputs,
    events: Events<'_>,
) -> Result<Vec<Change>, (String, ExternalError)> {
    let mut values = Values { inputs: inputs.clone(), outputs: Outputs::default() };
    let mut behind: BTreeMap<&str, String> = BTreeMap::new();
    let lost =
        |of: &str| format!("left behind: what leads to it is what step {of} yields, which is left behind");
    // What an older one yields is what a younger one is found by.
    for step in steps {
        if let Some(why) = left(step) {
            behind.insert(&step.name, why);
            continue;
        }
        match ExternalResource::new(http, step, &values).observe().await {
            Ok(seen) => values.outputs.extend(seen.outputs),
            Err(ExternalError::MissingOutput { step: of, .. }) if behind.contains_key(of.as_str()) => {
                behind.insert(&step.name, lost(&of));
            }
            Err(ExternalError::MissingOutput { .. }) => {}
            Err(error) => return Err((step.name.clone(), error)),
        }
    }
    let mut changes = Vec::new();
    for step in steps.iter().rev() {
        let (action, note) = match behind.get(step.name.as_str()) {
            Some(note) => (Action::Keep, Some(note.clone())),
            None => match ExternalResource::new(http, step, &values).remove().await {
                Ok(ExternalRemoval::Deleted) => (Action::Delete, None),
                Ok(ExternalRemoval::Retained) => (Action::Keep, None),
                Err(ExternalError::MissingOutput { step: of, .. }) if behind.contains_key(of.as_str()) => {
                    (Action::Keep, Some(lost(&of)))
                }
                Ok(ExternalRemoval::NotFound) | Err(ExternalError::MissingOutput { .. }) => {
                    (Action::Unchanged, None)
                }
                Err(error) => return Err((step.name.clone(), error)),
            },
        };
        said(events, step, action);
        changes.push(changed(step, action, Vec::new(), note));
    }
    Ok(changes)
}

fn stays(step: &ExternalStep) -> bool {
    step.on_uninstall == OnUninstall::Retain || step.delete.is_none()
}

fn external(step: &Step) -> Option<&ExternalStep> {
    match step {
        Step::External(step) => Some(step),
        _ => None,
    }
}

fn said(events: Events<'_>, step: &ExternalStep, action: Action) {
    events(Event::Changed(changed(step, action, Vec::new(), None)));
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
    fn the_password_of_the_new_server_is_not_shown_to_the_old_one() {
        let old = plan(&[step("client", "https://a", "admin")]);
        let old = old.plugin_plan.external().next().expect("it is there");
        let why = moved_reason(old, &plan(&[step("client", "https://b", "admin")])).expect("it is left");
        assert!(why.contains("admin is now for https://b") && why.contains("https://a"), "{why}");
        // Turned off, at the same server, or with a password of its own: it is taken away.
        for now in
            [&[][..], &[step("other", "https://a", "admin")], &[step("client", "https://b", "another")]]
        {
            assert_eq!(moved_reason(old, &plan(now)), None);
        }
    }
}
