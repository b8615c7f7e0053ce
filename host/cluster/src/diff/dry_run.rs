//! What an apply would change, field by field, as the server's dry run answers.

use crate::api::client::Client;
use crate::api::concurrency::MAX_CONCURRENT;
use crate::api::confidential::is_confidential;
use crate::api::request::ApiRequest;
use crate::api::response::ApiResponse;
use crate::api::status::StatusKind;
use crate::diff::compare::diff_objects;
use crate::diff::desired::{Composer, DesiredError, compose_error};
use crate::diff::rejection::{apply_error, could_be_created};
use crate::diff::release_diff::{ObjectDiff, PlannedObject, ReleaseDiff, gone_action};
use crate::diff::target::{Desired, Target};
use crate::error::Error;
use crate::progress::ignore;
use crate::readiness::kstatus::{State, status};
use crate::release::store;
use crate::secrets::value::ComposeError;
use futures::stream::{self, StreamExt as _};
use serde_json::{Value, json};
use std::collections::HashSet;
use thinkube_plan::{Action, Change, OnChange, Plan, Subject, Values, diff};

/// The changes of an apply: the objects of the plan in order, then those that the plan no longer has. Nothing is written.
///
/// # Errors
/// As [`compare_objects`](crate::diff::compare::compare_objects), and all that the server refuses in the plan. A secret input
/// that was not supplied only adds a note to the change of its Secret.
pub(crate) async fn dry_run(client: &Client, plan: &Plan, values: &Values) -> Result<Vec<Change>, Error> {
    let diff = diff_objects(client, plan, values).await?;
    let errors = diff.objects.iter().filter_map(|object| match object.missing.as_ref()? {
        ComposeError::Input { .. } => None,
        error => Some(compose_error(&object.target, error)),
    });
    Error::several(errors.collect())?;
    let planned =
        diff.objects.iter().map(|object| &object.target).filter(|target| target.kind.is_namespace());
    let applyset = store::applyset_id(client, &plan.release);
    let run = DryRun {
        composer: Composer { client, applyset: &applyset, values, generate: true },
        diff: &diff,
        planned_namespaces: planned.map(|target| target.object.name.as_str()).collect(),
    };
    let requests = stream::iter(&diff.objects).map(|object| run.change(object));
    let results: Vec<Result<Change, Error>> = requests.buffered(MAX_CONCURRENT).collect().await;
    let (mut changes, mut errors) = (Vec::new(), Vec::new());
    for result in results {
        match result {
            Ok(change) => changes.push(change),
            Err(error) => errors.push(error),
        }
    }
    Error::several(errors)?;
    changes.extend(diff.gone.iter().map(|entry| {
        let action = gone_action(entry);
        let change = Change::new(Subject::Object(entry.object.clone()), Some(&entry.stage), action);
        match action {
            Action::Keep => change.with_note("the plan no longer has it, and it is retained"),
            _ => change,
        }
    }));
    Ok(changes)
}

struct DryRun<'a> {
    composer: Composer<'a>,
    diff: &'a ReleaseDiff,
    planned_namespaces: HashSet<&'a str>,
}

impl DryRun<'_> {
    async fn change(&self, object: &PlannedObject) -> Result<Change, Error> {
        if let Some(change) = self.known_change(object) {
            return Ok(change);
        }
        let target = &object.target;
        let client = self.composer.client;
        let live = match self.diff.live.get(&target.key()) {
            Some(live) => Some(live.clone()),
            None if object.diff == ObjectDiff::Create => None,
            None => client.get(&target.kind, target.object.namespace.as_deref(), &target.object.name).await?,
        };
        if live.as_ref().is_some_and(|live| status(live, client.now()).state == State::Terminating) {
            return Ok(change(target, Action::Create).with_note("the existing object is being deleted"));
        }
        let desired = match self.composer.desired(target, live.as_ref()).await {
            Ok(desired) => desired,
            Err(error) => return note_for_missing(target, live.is_some(), error),
        };
        let request = ApiRequest::apply(&target.kind, &target.object, &desired, true);
        let response = client.request(&request, &ignore).await?;
        self.server_change(object, &desired, live, response).await
    }

    /// The change that the comparison alone decides.
    fn known_change(&self, object: &PlannedObject) -> Option<Change> {
        let target = &object.target;
        if let Some(ComposeError::Input { input, .. }) = &object.missing {
            let exists = self.diff.live.contains_key(&target.key());
            let note = format!("not compared: the secret input `{input}` was not supplied");
            return Some(change(target, write_action(exists)).with_note(note));
        }
        if matches!(target.desired, Desired::Restart) {
            return Some(change(target, Action::Restart));
        }
        Some(match object.diff {
            ObjectDiff::Create | ObjectDiff::Update | ObjectDiff::NotOwned => return None,
            ObjectDiff::Unchanged => change(target, Action::Unchanged),
            ObjectDiff::Keep => {
                change(target, Action::Keep).with_note("it exists, and the plan is create-only")
            }
            ObjectDiff::Shared => {
                change(target, Action::Keep).with_note("it exists, and the release uses it without owning it")
            }
            ObjectDiff::Skipped => {
                change(target, Action::Unchanged).with_note("the last apply skipped its stage")
            }
        })
    }

    /// The change by the server's answer to the dry run.
    async fn server_change(
        &self,
        object: &PlannedObject,
        desired: &Value,
        live: Option<Value>,
        response: ApiResponse,
    ) -> Result<Change, Error> {
        let target = &object.target;
        let mut notes = self.ownership_note(object);
        notes.extend(response.warnings());
        let exists = live.is_some();
        let mut change = change(target, write_action(exists));
        match &response.status.kind {
            StatusKind::Success => {
                change.fields = field_changes(target, live, response.value("dry run")?);
                if exists && change.fields.is_empty() {
                    change.action = Action::Unchanged;
                }
            }
            StatusKind::FieldConflict(fields) => {
                let owned = fields.iter().map(|field| format!("{} by {}", field.field, field.manager));
                let owned = owned.collect::<Vec<_>>().join(", ");
                notes.push(format!("an apply will fail, because other managers own fields: {owned}"));
            }
            StatusKind::NotFound { of } if of == "namespaces" && self.has_planned_namespace(target) => {
                notes.push("not compared: this plan creates its namespace".into());
            }
            StatusKind::NoSuchPath if target.own_kind => {
                notes.push("not compared: this plan defines its kind".into());
            }
            StatusKind::InvalidFields(fields) if exists && self.can_be_recreated(target, desired).await? => {
                change.action = Action::Recreate;
                notes.push(format!("{} cannot be changed in place", fields.join(", ")));
            }
            _ => return Err(apply_error(self.composer.client, target, desired, exists, response).await),
        }
        Ok(if notes.is_empty() { change } else { change.with_note(notes.join("; ")) })
    }

    fn ownership_note(&self, object: &PlannedObject) -> Vec<String> {
        let owned = self.diff.not_owned.iter().find(|foreign| foreign.object == object.target.object);
        let note = owned.map(|foreign| match foreign.adoptable {
            true => "it exists and is not the release's: an apply refuses it unless it is adopted",
            false => "it exists and belongs to another release: an apply refuses it",
        });
        note.map(str::to_owned).into_iter().collect()
    }

    fn has_planned_namespace(&self, target: &Target) -> bool {
        target.object.namespace.as_deref().is_some_and(|name| self.planned_namespaces.contains(name))
    }

    async fn can_be_recreated(&self, target: &Target, desired: &Value) -> Result<bool, Error> {
        Ok(target.on_change == OnChange::Recreate
            && !target.kind.holds_data()
            && could_be_created(self.composer.client, &target.kind, &target.object, desired).await?)
    }
}

fn change(target: &Target, action: Action) -> Change {
    Change::new(Subject::Object(target.object.clone()), Some(&target.stage_name), action)
}

fn write_action(exists: bool) -> Action {
    if exists { Action::Update } else { Action::Create }
}

/// An object whose sources are written by this plan has a note; one without sources is an error.
fn note_for_missing(target: &Target, exists: bool, error: DesiredError) -> Result<Change, Error> {
    let note = match &error {
        DesiredError::Compose(ComposeError::Copy { .. } | ComposeError::Mirror { .. }) => {
            "not compared: it copies from a Secret of this plan".to_owned()
        }
        DesiredError::Compose(ComposeError::Output { output }) => {
            format!("not compared: it needs the output `{}` of step {}", output.output, output.step)
        }
        _ => return Err(error.of(target)),
    };
    Ok(change(target, write_action(exists)).with_note(note))
}

fn field_changes(target: &Target, live: Option<Value>, mut after: Value) -> Vec<thinkube_plan::FieldChange> {
    let Some(mut before) = live else {
        if target.is_confidential() {
            mask(&mut Value::Null, &mut after);
        }
        return diff(&json!({}), &comparable(after));
    };
    // The existing object may be a confidential ConfigMap that the plan no longer fills with secrets.
    if target.is_confidential() || is_confidential(&before) {
        mask(&mut before, &mut after);
    }
    diff(&comparable(before), &comparable(after))
}

/// Without the fields that the server sets itself.
fn comparable(mut object: Value) -> Value {
    if let Some(map) = object.as_object_mut() {
        map.remove("status");
    }
    if let Some(metadata) = object["metadata"].as_object_mut() {
        for field in
            ["managedFields", "resourceVersion", "generation", "uid", "creationTimestamp", "selfLink"]
        {
            metadata.remove(field);
        }
    }
    object
}

const EXISTING_VALUE: &str = "(existing value)";
const NEW_VALUE: &str = "(new value)";

/// Replaces the values of a Secret by words that tell only whether they are equal.
fn mask(before: &mut Value, after: &mut Value) {
    let old = before.get("data").cloned().unwrap_or_default();
    mask_values(before, |_, _| EXISTING_VALUE);
    mask_values(after, |key, value| if old.get(key) == Some(value) { EXISTING_VALUE } else { NEW_VALUE });
}

fn mask_values(secret: &mut Value, word: impl Fn(&str, &Value) -> &'static str) {
    if let Some(data) = secret.get_mut("data").and_then(Value::as_object_mut) {
        for (key, value) in data.iter_mut() {
            *value = json!(word(key, value));
        }
    }
    // kubectl's last-applied-configuration holds the values too.
    if let Some(metadata) = secret.get_mut("metadata").and_then(Value::as_object_mut) {
        metadata.remove("annotations");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_of_a_secret_are_compared_and_not_comparable() {
        let mut before = json!({"data": {"same": "YQ==", "old": "Yg==", "changed": "Yw=="},
            "metadata": {"annotations": {"kubectl.kubernetes.io/last-applied-configuration": "YQ=="}}});
        let mut after = json!({"data": {"same": "YQ==", "new": "ZA==", "changed": "ZQ=="}, "metadata": {}});
        mask(&mut before, &mut after);
        let changes = diff(&comparable(before), &comparable(after));
        let paths: Vec<&str> = changes.iter().map(|change| change.path.as_str()).collect();
        assert_eq!(paths, ["data.changed", "data.new", "data.old"]);
        let text = format!("{changes:?}");
        assert!(!text.contains("==") && !text.contains("YQ"), "{text}");
    }
}
