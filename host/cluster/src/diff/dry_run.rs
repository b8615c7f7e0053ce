//! What the server would make of a plan, field by field.

use crate::Error;
use crate::api::client::{ApiRequest, Cluster};
use crate::api::status::StatusKind;
use crate::diff::compare::{AT_ONCE, Need, ReleaseDiff, gone_action, lack_error};
use crate::diff::normalize::is_confidential;
use crate::diff::target::Desired;
use crate::progress::quiet;
use crate::readiness::kstatus::State;
use crate::secrets::compose::Lack;
use futures::stream::{self, StreamExt as _};
use serde_json::{Value, json};
use std::collections::{BTreeMap, HashSet};
use thinkube_plan::{Action, Change, OnChange, Plan, Subject, Values, diff};

impl Cluster {
    /// What an apply of `plan` would change, as the server itself says (dry run). Nothing is written.
    ///
    /// # Errors
    /// As [`Cluster::compare`], and whatever the server refuses in the plan: all of it at once.
    pub async fn dry_run(&self, plan: &Plan, values: &Values) -> Result<Vec<Change>, Error> {
        let (comparison, lacking) = self.look(plan, values).await?;
        let mut unknown = BTreeMap::new();
        let mut wrong = Vec::new();
        for (target, lack) in lacking {
            match lack {
                Lack::Input { input, .. } => {
                    unknown.insert(
                        target.id(),
                        format!("not compared: the secret input `{input}` was not supplied"),
                    );
                }
                lack => wrong.push(lack_error(&target, lack)),
            }
        }
        Error::several(wrong)?;
        let made: HashSet<&str> = comparison
            .targets
            .iter()
            .filter(|target| target.kind.is_namespace())
            .map(|target| target.object.name.as_str())
            .collect();
        let looks = (0..comparison.targets.len()).map(|index| {
            let unknown = unknown.get(&comparison.targets[index].id());
            self.change(plan, values, &comparison, index, unknown, &made)
        });
        let results: Vec<Result<Change, Error>> = stream::iter(looks).buffered(AT_ONCE).collect().await;
        let (mut changes, mut errors) = (Vec::new(), Vec::new());
        for result in results {
            match result {
                Ok(change) => changes.push(change),
                Err(error) => errors.push(error),
            }
        }
        Error::several(errors)?;
        for entry in &comparison.gone {
            let action = gone_action(entry);
            let note =
                (action == Action::Keep).then(|| "the plan no longer has it, and it is retained".to_owned());
            let subject = Subject::Object(entry.object.clone());
            changes.push(Change { note, ..Change::new(subject, Some(&entry.stage), action) });
        }
        Ok(changes)
    }

    async fn change(
        &self,
        plan: &Plan,
        values: &Values,
        comparison: &ReleaseDiff,
        index: usize,
        unknown: Option<&String>,
        made: &HashSet<&str>,
    ) -> Result<Change, Error> {
        let target = &comparison.targets[index];
        let change = |action: Action, note: Option<&str>| Change {
            subject: Subject::Object(target.object.clone()),
            stage: Some(target.stage_name.clone()),
            action,
            fields: Vec::new(),
            note: note.map(str::to_owned),
        };
        let seen = comparison.live.get(&target.id());
        if let Some(note) = unknown {
            return Ok(change(if seen.is_some() { Action::Update } else { Action::Create }, Some(note)));
        }
        if matches!(target.desired, Desired::Restart) {
            return Ok(change(Action::Restart, None));
        }
        match comparison.needs[index] {
            Need::Nothing => return Ok(change(Action::Unchanged, None)),
            Need::Keep => return Ok(change(Action::Keep, Some("it is there, and the plan leaves it alone"))),
            Need::Use => {
                return Ok(change(Action::Keep, Some("it is there, is not the release's, and is used")));
            }
            Need::Skipped => {
                return Ok(change(Action::Unchanged, Some("its stage was found done and skipped")));
            }
            Need::Create | Need::Update | Need::Foreign => {}
        }
        let namespace = target.object.namespace.as_deref();
        let live = match seen {
            Some(live) => Some(live.clone()),
            None if comparison.needs[index] == Need::Create => None,
            None => self.get(&target.kind, namespace, &target.object.name).await?,
        };
        if live.as_ref().is_some_and(|live| {
            crate::readiness::kstatus::status(live, self.now()).state == State::Terminating
        }) {
            return Ok(change(Action::Create, Some("the one that is there is being deleted")));
        }
        let applyset = self.applyset_id(&plan.release);
        let later = |note| {
            let action = if live.is_some() { Action::Update } else { Action::Create };
            Ok(change(action, Some(note)))
        };
        let desired = match self.desired(target, &applyset, values, live.as_ref(), true).await? {
            Ok(desired) => desired,
            Err(Lack::Copy { .. } | Lack::Mirror { .. }) => {
                return later("it copies from a Secret that this plan makes");
            }
            Err(Lack::Output { at }) => {
                return later(&format!(
                    "not compared: step {} has not yielded its `{}` yet",
                    at.step, at.output
                ));
            }
            Err(lack) => return Err(lack_error(target, lack)),
        };
        let reply =
            self.call(&ApiRequest::apply(&target.kind, &target.object, &desired, true), &quiet).await?;
        let mut notes = reply.warnings();
        if comparison.needs[index] == Need::Foreign {
            let whose = if comparison.others.contains(&target.id()) {
                "it is there and belongs to another release: apply refuses"
            } else {
                "it is there and is not the release's: apply refuses unless told to --adopt it"
            };
            notes.insert(0, whose.into());
        }
        let mut change = change(if live.is_some() { Action::Update } else { Action::Create }, None);
        match &reply.answered.class {
            StatusKind::Done => {
                let mut after = reply.value("dry run")?;
                let mut before = live.clone().unwrap_or(Value::Null);
                // What is there may be the ConfigMap of a plan that wrote secrets into it.
                if target.is_confidential() || is_confidential(&before) {
                    mask(&mut before, &mut after);
                }
                let (before, after) = (shown(before), shown(after));
                if live.is_some() {
                    change.fields = diff(&before, &after);
                    if change.fields.is_empty() {
                        change.action = Action::Unchanged;
                    }
                } else {
                    change.fields = diff(&json!({}), &after);
                }
            }
            StatusKind::Conflict(fields) => {
                let held = fields.iter().map(|field| format!("{} by {}", field.field, field.manager));
                notes.push(format!("apply will fail: others hold {}", held.collect::<Vec<_>>().join(", ")));
            }
            StatusKind::Absent { of }
                if of == "namespaces" && namespace.is_some_and(|namespace| made.contains(namespace)) =>
            {
                notes.push("its namespace is made by this plan, so the server could not be asked".into());
            }
            StatusKind::NoSuchPath if target.own_kind => {
                notes.push("its kind is made by this plan, so the server could not be asked".into());
            }
            StatusKind::Refused(fields)
                if target.on_change == OnChange::Recreate
                    && !target.kind.is_never_recreated()
                    && live.is_some()
                    && self.could_be_created(&target.kind, &target.object, &desired).await? =>
            {
                change.action = Action::Recreate;
                notes.push(format!("{} cannot be changed in place", fields.join(", ")));
            }
            _ => return Err(self.apply_error(target, &desired, live.is_some(), reply).await),
        }
        if !notes.is_empty() {
            change.note = Some(notes.join("; "));
        }
        Ok(change)
    }
}

/// What the server keeps for itself says nothing of a change.
fn shown(mut object: Value) -> Value {
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

/// Replaces a Secret's values by words that say no more than whether they are equal.
fn mask(before: &mut Value, after: &mut Value) {
    let old = before.get("data").cloned().unwrap_or_default();
    for (secret, which) in [(&mut *before, "the value that is there"), (&mut *after, "the new value")] {
        if let Some(data) = secret.get_mut("data").and_then(Value::as_object_mut) {
            for (key, value) in data.iter_mut() {
                let kept = which == "the new value" && old.get(key) == Some(value);
                *value =
                    json!(if kept { "(the value that is there)".to_owned() } else { format!("({which})") });
            }
        }
        // What kubectl puts there holds the values once more.
        if let Some(metadata) = secret.get_mut("metadata").and_then(Value::as_object_mut) {
            metadata.remove("annotations");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secrets_values_are_told_apart_and_not_shown() {
        let mut before = json!({"data": {"same": "YQ==", "old": "Yg==", "changed": "Yw=="},
            "metadata": {"annotations": {"kubectl.kubernetes.io/last-applied-configuration": "YQ=="}}});
        let mut after = json!({"data": {"same": "YQ==", "new": "ZA==", "changed": "ZQ=="}, "metadata": {}});
        mask(&mut before, &mut after);
        let changes = diff(&shown(before), &shown(after));
        let paths: Vec<&str> = changes.iter().map(|change| change.path.as_str()).collect();
        assert_eq!(paths, ["data.changed", "data.new", "data.old"]);
        let text = format!("{changes:?}");
        assert!(!text.contains("==") && !text.contains("YQ"), "{text}");
    }
}
