//! From the steps of a plan to objects with a place at the server.

use crate::Error;
use crate::client::Cluster;
use crate::kind::{Kind, array, check_name};
use crate::normalise::normalise;
use serde_json::Value;
use std::collections::HashMap;
use thinkube_plan::{
    ObjectRef, OnChange, OnUninstall, Plan, SecretContent, SecretSource, SecretStep, Step, TypeMeta,
};

/// One object that the plan wants.
#[derive(Debug, Clone)]
pub(crate) struct Target {
    pub(crate) object: ObjectRef,
    pub(crate) kind: Kind,
    pub(crate) stage: usize,
    pub(crate) stage_name: String,
    pub(crate) on_change: OnChange,
    pub(crate) on_uninstall: OnUninstall,
    pub(crate) desired: Desired,
    /// Whether the plan brings the kind itself.
    pub(crate) own_kind: bool,
}

#[derive(Debug, Clone)]
pub(crate) enum Desired {
    /// As it is sent.
    Manifest(Value),
    /// Composed when it is sent.
    Secret(Box<SecretStep>),
}

impl Target {
    pub(crate) fn id(&self) -> Id {
        id(&self.object)
    }

    /// Whether a Namespace asks for no more than to be there.
    pub(crate) fn is_bare_namespace(&self) -> bool {
        let Desired::Manifest(manifest) = &self.desired else { return false };
        let only_own_label =
            manifest["metadata"]["labels"].as_object().is_none_or(|labels| labels.len() <= 1);
        let bare = manifest["metadata"]
            .as_object()
            .is_some_and(|metadata| metadata.keys().all(|key| matches!(key.as_str(), "name" | "labels")));
        let no_more = manifest.as_object().is_some_and(|map| {
            map.iter().all(|(key, value)| {
                matches!(key.as_str(), "apiVersion" | "kind" | "metadata")
                    || value.as_object().is_some_and(serde_json::Map::is_empty)
            })
        });
        self.kind.is_namespace() && only_own_label && bare && no_more
    }
}

/// What identifies an object, whatever version it is named in.
pub(crate) type Id = (String, String, String);

pub(crate) fn id(object: &ObjectRef) -> Id {
    let (kind, namespace, name) = object.identity();
    (kind, namespace.to_owned(), name.to_owned())
}

/// Every object of the plan, in order.
///
/// # Errors
/// Everything that is wrong with the plan on this cluster, before anything was asked about an object.
pub(crate) async fn resolve(cluster: &Cluster, plan: &Plan) -> Result<Vec<Target>, Error> {
    let applyset = cluster.applyset_id(&plan.release);
    let own_kinds = own_kinds(plan);
    let mut targets = Vec::new();
    let mut errors = Vec::new();
    for (index, stage) in plan.outline.stages.iter().enumerate() {
        for step in &stage.steps {
            let place = Place { stage: index, stage_name: &stage.name, step };
            match place.target(cluster, &own_kinds, &applyset).await {
                Ok(target) => targets.push(target),
                Err(
                    error @ (Error::Invalid { .. } | Error::NotServed { .. } | Error::Unsupported { .. }),
                ) => {
                    errors.push(error);
                }
                Err(error) => return Err(error),
            }
        }
    }
    Error::several(errors).map(|()| targets)
}

struct Place<'a> {
    stage: usize,
    stage_name: &'a str,
    step: &'a Step,
}

impl Place<'_> {
    async fn target(
        &self,
        cluster: &Cluster,
        own_kinds: &HashMap<TypeMeta, Kind>,
        applyset: &str,
    ) -> Result<Target, Error> {
        self.supported()?;
        let mut object =
            self.step.target().ok_or_else(|| self.invalid("apiVersion, kind or metadata.name is missing"))?;
        check_name(&self.step.title(), &object.name)
            .map_err(|_| self.invalid("its name is no name of an object"))?;
        let wanted = object.type_meta();
        let own = own_kinds.get(&wanted);
        let kind = match own {
            Some(kind) => kind.clone(),
            None => cluster.kind(&wanted).await?.ok_or_else(|| Error::NotServed {
                object: format!("stage {}, {object}", self.stage_name),
                api_version: wanted.api_version,
                kind: wanted.kind,
            })?,
        };
        match (&object.namespace, kind.namespaced) {
            (None, true) => {
                return Err(self.invalid("it has no metadata.namespace, and its kind lives in namespaces"));
            }
            (Some(_), false) => {
                return Err(self.invalid("it has a metadata.namespace, and its kind is cluster-scoped"));
            }
            (Some(namespace), true) => {
                check_name("namespace", namespace).map_err(|_| self.invalid("its namespace is no name"))?;
            }
            (None, false) => {}
        }
        if !kind.namespaced {
            object.namespace = None;
        }
        let (on_change, desired) = match self.step {
            Step::Object(step) => {
                let manifest = normalise(&step.manifest, object.namespace.as_deref(), applyset);
                (step.on_change, Desired::Manifest(manifest))
            }
            Step::Secret(step) => (OnChange::Update, Desired::Secret(Box::new(step.clone()))),
            Step::Image(_) | Step::External(_) | Step::PodFiles(_) => return Err(self.unsupported("do that")),
        };
        Ok(Target {
            object,
            kind,
            stage: self.stage,
            stage_name: self.stage_name.to_owned(),
            on_change,
            on_uninstall: self.step.on_uninstall(),
            desired,
            own_kind: own.is_some(),
        })
    }

    fn supported(&self) -> Result<(), Error> {
        match self.step {
            Step::Image(_) => Err(self.unsupported("build images")),
            Step::External(_) => Err(self.unsupported("keep external resources")),
            Step::PodFiles(_) => Err(self.unsupported("write files in pods")),
            Step::Object(step) if !step.bindings.is_empty() => {
                Err(self.unsupported("fill outputs of other steps into a manifest"))
            }
            Step::Object(_) => Ok(()),
            Step::Secret(step) => match &step.content {
                SecretContent::Mirror(_) => Err(self.unsupported("mirror a whole Secret")),
                SecretContent::Entries(entries)
                    if entries.iter().any(|entry| matches!(entry.source, SecretSource::Output(_))) =>
                {
                    Err(self.unsupported("fill outputs of other steps into a Secret"))
                }
                SecretContent::Entries(_) => Ok(()),
            },
        }
    }

    fn unsupported(&self, cannot: &str) -> Error {
        Error::Unsupported {
            what: format!("stage {}, {}", self.stage_name, self.step.title()),
            cannot: cannot.to_owned(),
        }
    }

    fn invalid(&self, message: &str) -> Error {
        Error::Invalid {
            stage: self.stage_name.to_owned(),
            object: self.step.title(),
            message: message.to_owned(),
        }
    }
}

/// The kinds that the plan's own definitions bring.
fn own_kinds(plan: &Plan) -> HashMap<TypeMeta, Kind> {
    let mut kinds = HashMap::new();
    for step in plan.outline.stages.iter().flat_map(|stage| &stage.steps) {
        let Step::Object(step) = step else { continue };
        if step.manifest["kind"] != "CustomResourceDefinition" {
            continue;
        }
        let spec = &step.manifest["spec"];
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        for version in array(&spec["versions"]).iter().filter(|version| version["served"] == true) {
            let kind = Kind {
                api_version: format!("{}/{}", text(&spec["group"]), text(&version["name"])),
                kind: text(&spec["names"]["kind"]),
                plural: text(&spec["names"]["plural"]),
                namespaced: spec["scope"] == "Namespaced",
                listable: true,
            };
            kinds.insert(kind.type_meta(), kind);
        }
    }
    kinds
}
