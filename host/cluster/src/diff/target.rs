//! From the steps of a plan to objects with a path at the server.

use crate::api::client::Client;
use crate::api::key::ObjectKey;
use crate::api::resource::{ApiResource, check_name};
use crate::diff::custom_kinds::{custom_kinds, retain_unserved};
use crate::diff::normalize::normalize;
use crate::error::Error;
use crate::error::diff::DiffError;
use crate::release::store;
use crate::secrets::compose::bind;
use crate::secrets::value::ComposeError;
use serde_json::Value;
use std::collections::HashMap;
use thinkube_plan::{
    ObjectRef, ObjectStep, OnChange, OnUninstall, Outputs, Plan, SecretStep, Step, TypeMeta,
};

/// One object of a plan.
#[derive(Debug, Clone)]
pub(crate) struct Target {
    pub(crate) object: ObjectRef,
    pub(crate) kind: ApiResource,
    /// The index of its stage.
    pub(crate) stage: usize,
    pub(crate) stage_name: String,
    pub(crate) on_change: OnChange,
    pub(crate) on_uninstall: OnUninstall,
    pub(crate) desired: Desired,
    /// Whether a definition of the plan brings the kind.
    pub(crate) own_kind: bool,
    /// Whether it is a Job of a stage with `skip-if`, which runs again when `skip-if` no longer holds.
    pub(crate) repeats: bool,
}

/// What is sent for an object.
#[derive(Debug, Clone)]
pub(crate) enum Desired {
    /// The manifest as it is sent.
    Manifest(Value),
    /// A manifest with outputs of other steps.
    Templated(Box<ObjectStep>),
    /// A Secret, composed at the time of sending.
    Secret(Box<SecretStep>),
    /// A restart of the workload.
    Restart,
}

impl Target {
    pub(crate) fn key(&self) -> ObjectKey {
        ObjectKey::of(&self.object)
    }

    /// Whether the object holds secret values.
    pub(crate) fn is_confidential(&self) -> bool {
        self.kind.is_secret() || matches!(self.desired, Desired::Secret(_))
    }

    /// The manifest with the outputs of other steps. Null for a Secret and a restart, which have no manifest.
    pub(crate) fn bound_manifest(&self, applyset: &str, outputs: &Outputs) -> Result<Value, ComposeError> {
        match &self.desired {
            Desired::Manifest(manifest) => Ok(manifest.clone()),
            Desired::Templated(step) => {
                let bound = bind(step.manifest.clone(), &step.bindings, outputs)?;
                Ok(normalize(&bound, self.object.namespace.as_deref(), applyset))
            }
            Desired::Secret(_) | Desired::Restart => Ok(Value::Null),
        }
    }

    /// Whether it is a Namespace of which the plan sets only the name, so that another owner's serves as well.
    pub(crate) fn is_bare_namespace(&self) -> bool {
        let Desired::Manifest(manifest) = &self.desired else { return false };
        let Some(fields) = manifest.as_object() else { return false };
        let Some(metadata) = manifest["metadata"].as_object() else { return false };
        // The ApplySet label is the one that the host adds.
        let only_our_label =
            manifest["metadata"]["labels"].as_object().is_none_or(|labels| labels.len() <= 1);
        let only_name = metadata.keys().all(|key| matches!(key.as_str(), "name" | "labels"));
        let no_spec = fields.iter().all(|(key, value)| {
            matches!(key.as_str(), "apiVersion" | "kind" | "metadata")
                || value.as_object().is_some_and(serde_json::Map::is_empty)
        });
        self.kind.is_namespace() && only_our_label && only_name && no_spec
    }
}

/// The objects of the plan, in order.
///
/// # Errors
/// Everything that is wrong with the plan on this cluster, found by discovery alone.
pub(crate) async fn resolve(client: &Client, plan: &Plan) -> Result<Vec<Target>, Error> {
    let applyset = store::applyset_id(client, &plan.release);
    let (mut own_kinds, mut errors) = custom_kinds(plan);
    if !own_kinds.is_empty() {
        retain_unserved(&mut own_kinds, &*client.discover().await?);
    }
    let mut targets = Vec::new();
    for (index, stage) in plan.plugin_plan.stages.iter().enumerate() {
        for step in &stage.steps {
            if matches!(step, Step::Image(_) | Step::External(_) | Step::PodFiles(_)) {
                continue;
            }
            let repeats = !stage.skip_if.is_empty();
            let position = Position { stage: index, stage_name: &stage.name, repeats, step };
            match position.target(client, &own_kinds, &applyset).await {
                Ok(target) => targets.push(target),
                Err(error @ Error::Diff(DiffError::Invalid { .. } | DiffError::NotServed { .. })) => {
                    errors.push(error);
                }
                Err(error) => return Err(error),
            }
        }
    }
    Error::several(errors).map(|()| targets)
}

/// A step and its place in the plan.
struct Position<'a> {
    stage: usize,
    stage_name: &'a str,
    repeats: bool,
    step: &'a Step,
}

impl Position<'_> {
    async fn target(
        &self,
        client: &Client,
        own_kinds: &HashMap<TypeMeta, ApiResource>,
        applyset: &str,
    ) -> Result<Target, Error> {
        let named = match self.step {
            Step::Restart(workload) => Some(workload.clone()),
            step => step.target(),
        };
        let mut object = named.ok_or_else(|| self.invalid("apiVersion, kind or metadata.name is missing"))?;
        check_name(&self.step.title(), &object.name)
            .map_err(|_| self.invalid("its name is not a valid name of an object"))?;
        let wanted = object.type_meta();
        let own = own_kinds.get(&wanted);
        let kind = match own {
            Some(kind) => kind.clone(),
            None => client.api_resource(&wanted).await?.ok_or_else(|| DiffError::NotServed {
                object: format!("stage {}, {object}", self.stage_name),
                api_version: wanted.api_version,
                kind: wanted.kind,
            })?,
        };
        self.check_namespace(&object, &kind)?;
        if !kind.namespaced {
            object.namespace = None;
        }
        let (on_change, desired) = self.desired(&object, applyset)?;
        Ok(Target {
            object,
            repeats: self.repeats && kind.is("batch", "Job"),
            kind,
            stage: self.stage,
            stage_name: self.stage_name.to_owned(),
            on_change,
            on_uninstall: self.step.on_uninstall(),
            desired,
            own_kind: own.is_some(),
        })
    }

    fn check_namespace(&self, object: &ObjectRef, kind: &ApiResource) -> Result<(), Error> {
        match (&object.namespace, kind.namespaced) {
            (None, true) => Err(self.invalid("it has no metadata.namespace, and its kind is namespaced")),
            (Some(_), false) => {
                Err(self.invalid("it has a metadata.namespace, and its kind is cluster-scoped"))
            }
            (Some(namespace), true) => check_name("Namespace", namespace)
                .map_err(|_| self.invalid("its namespace is not a valid name")),
            (None, false) => Ok(()),
        }
    }

    fn desired(&self, object: &ObjectRef, applyset: &str) -> Result<(OnChange, Desired), Error> {
        Ok(match self.step {
            Step::Object(step) if !step.bindings.is_empty() => {
                (step.on_change, Desired::Templated(Box::new(step.clone())))
            }
            Step::Object(step) => {
                let manifest = normalize(&step.manifest, object.namespace.as_deref(), applyset);
                (step.on_change, Desired::Manifest(manifest))
            }
            Step::Restart(_) => (OnChange::Update, Desired::Restart),
            Step::Secret(step) => (OnChange::Update, Desired::Secret(Box::new(step.clone()))),
            Step::Image(_) | Step::External(_) | Step::PodFiles(_) => {
                return Err(self.invalid("it is not an object"));
            }
        })
    }

    fn invalid(&self, message: &str) -> Error {
        DiffError::invalid(self.stage_name, self.step.title(), message).into()
    }
}
