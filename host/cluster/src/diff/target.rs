//! From the steps of a plan to objects with a place at the server.

use crate::Error;
use crate::api::client::Cluster;
use crate::diff::normalize::normalise;
use crate::discovery::{ApiResource, ApiResources, array, check_name, is_group, is_label};
use crate::secrets::compose::{Lack, bind};
use serde_json::Value;
use std::collections::HashMap;
use thinkube_plan::{
    ObjectRef, ObjectStep, OnChange, OnUninstall, Outputs, Plan, SecretStep, Step, TypeMeta,
};

/// One object that the plan wants.
#[derive(Debug, Clone)]
pub(crate) struct Target {
    pub(crate) object: ObjectRef,
    pub(crate) kind: ApiResource,
    pub(crate) stage: usize,
    pub(crate) stage_name: String,
    pub(crate) on_change: OnChange,
    pub(crate) on_uninstall: OnUninstall,
    pub(crate) desired: Desired,
    /// Whether the plan brings the kind itself.
    pub(crate) own_kind: bool,
    /// A Job that runs again when what its stage brings about is no longer there: [`crate::Apply::again`].
    pub(crate) repeats: bool,
}

#[derive(Debug, Clone)]
pub(crate) enum Desired {
    /// As it is sent.
    Manifest(Value),
    /// As the plan has it, until what other steps yield is filled in.
    Bound(Box<ObjectStep>),
    /// Composed when it is sent.
    Secret(Box<SecretStep>),
    /// As it is, with new pods.
    Restart,
}

impl Target {
    pub(crate) fn id(&self) -> ObjectKey {
        id(&self.object)
    }

    /// Whether there are secrets in it.
    pub(crate) fn is_confidential(&self) -> bool {
        self.kind.is_secret() || matches!(self.desired, Desired::Secret(_))
    }

    /// The manifest as it is sent; None: a Secret, which is composed, or a restart, which has none.
    pub(crate) fn manifest(&self, applyset: &str, outputs: &Outputs) -> Result<Option<Value>, Lack> {
        match &self.desired {
            Desired::Manifest(manifest) => Ok(Some(manifest.clone())),
            Desired::Bound(step) => {
                let bound = bind(step.manifest.clone(), &step.bindings, outputs)?;
                Ok(Some(normalise(&bound, self.object.namespace.as_deref(), applyset)))
            }
            Desired::Secret(_) | Desired::Restart => Ok(None),
        }
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
pub(crate) type ObjectKey = (String, String, String);

pub(crate) fn id(object: &ObjectRef) -> ObjectKey {
    let (kind, namespace, name) = object.identity();
    (kind, namespace.to_owned(), name.to_owned())
}

/// Every object of the plan, in order.
///
/// # Errors
/// Everything that is wrong with the plan on this cluster, before anything was asked about an object.
pub(crate) async fn resolve(cluster: &Cluster, plan: &Plan) -> Result<Vec<Target>, Error> {
    let applyset = cluster.applyset_id(&plan.release);
    let (mut own_kinds, mut errors) = own_kinds(plan);
    if !own_kinds.is_empty() {
        unserved(&mut own_kinds, &*cluster.refresh_kinds().await?);
    }
    let mut targets = Vec::new();
    for (index, stage) in plan.plugin_plan.stages.iter().enumerate() {
        let no_object = |step: &&Step| matches!(step, Step::Image(_) | Step::External(_) | Step::PodFiles(_));
        for step in stage.steps.iter().filter(|step| !no_object(step)) {
            let repeats = !stage.skip_if.is_empty();
            let place = Place { stage: index, stage_name: &stage.name, repeats, step };
            match place.target(cluster, &own_kinds, &applyset).await {
                Ok(target) => targets.push(target),
                Err(error @ (Error::Invalid { .. } | Error::NotServed { .. })) => errors.push(error),
                Err(error) => return Err(error),
            }
        }
    }
    Error::several(errors).map(|()| targets)
}

struct Place<'a> {
    stage: usize,
    stage_name: &'a str,
    repeats: bool,
    step: &'a Step,
}

impl Place<'_> {
    async fn target(
        &self,
        cluster: &Cluster,
        own_kinds: &HashMap<TypeMeta, ApiResource>,
        applyset: &str,
    ) -> Result<Target, Error> {
        let named = match self.step {
            Step::Restart(workload) => Some(workload.clone()),
            step => step.target(),
        };
        let mut object = named.ok_or_else(|| self.invalid("apiVersion, kind or metadata.name is missing"))?;
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
            Step::Object(step) if !step.bindings.is_empty() => {
                (step.on_change, Desired::Bound(Box::new(step.clone())))
            }
            Step::Object(step) => {
                let manifest = normalise(&step.manifest, object.namespace.as_deref(), applyset);
                (step.on_change, Desired::Manifest(manifest))
            }
            Step::Restart(_) => (OnChange::Update, Desired::Restart),
            Step::Secret(step) => (OnChange::Update, Desired::Secret(Box::new(step.clone()))),
            Step::Image(_) | Step::External(_) | Step::PodFiles(_) => {
                return Err(self.invalid("it is no object"));
            }
        };
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

    fn invalid(&self, message: &str) -> Error {
        Error::Invalid {
            stage: self.stage_name.to_owned(),
            object: self.step.title(),
            message: message.to_owned(),
        }
    }
}

/// The kinds that the plan's own definitions bring, and what is wrong with the definitions.
///
/// A definition says where the objects of its kind are, and comes from a plugin: what is no plain name would lead a
/// request to another object, or give it other parameters.
fn own_kinds(plan: &Plan) -> (HashMap<TypeMeta, ApiResource>, Vec<Error>) {
    let (mut kinds, mut errors) = (HashMap::new(), Vec::new());
    for (stage, step) in
        plan.plugin_plan.stages.iter().flat_map(|stage| stage.steps.iter().map(move |step| (stage, step)))
    {
        let Step::Object(object) = step else { continue };
        let group = object.manifest["apiVersion"].as_str().and_then(|version| version.split_once('/'));
        if group.is_none_or(|(group, _)| group != "apiextensions.k8s.io")
            || object.manifest["kind"] != "CustomResourceDefinition"
        {
            continue;
        }
        let spec = &object.manifest["spec"];
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let (group, plural, kind) =
            (text(&spec["group"]), text(&spec["names"]["plural"]), text(&spec["names"]["kind"]));
        let mut wrong = Vec::new();
        if !is_group(&group) {
            wrong.push("spec.group is no DNS name with a dot");
        }
        if !is_label(&plural) {
            wrong.push("spec.names.plural is no DNS label");
        }
        if !is_label(&kind.to_ascii_lowercase()) {
            wrong.push("spec.names.kind is no name of a kind");
        }
        let served: Vec<String> = array(&spec["versions"])
            .iter()
            .filter(|version| version["served"] == true)
            .map(|version| text(&version["name"]))
            .collect();
        if !served.iter().all(|version| is_label(version)) {
            wrong.push("spec.versions has a name that is no DNS label");
        }
        if !wrong.is_empty() {
            errors.push(Error::Invalid {
                stage: stage.name.clone(),
                object: step.title(),
                message: wrong.join("; "),
            });
            continue;
        }
        for version in served {
            let kind = ApiResource {
                api_version: format!("{group}/{version}"),
                kind: kind.clone(),
                plural: plural.clone(),
                namespaced: spec["scope"] == "Namespaced",
                listable: true,
            };
            kinds.insert(kind.type_meta(), kind);
        }
    }
    (kinds, errors)
}

/// Leaves the kinds that the server does not have yet: where those are that it has, only the server says.
fn unserved(own_kinds: &mut HashMap<TypeMeta, ApiResource>, served: &ApiResources) {
    own_kinds.retain(|_, kind| !served.taken(kind));
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;
    use thinkube_plan::testing;

    fn plan(group: &str, version: &str, kind: &str, plural: &str) -> Plan {
        let manifest = json!({"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
            "metadata": {"name": format!("{plural}.{group}")},
            "spec": {"group": group, "scope": "Namespaced", "names": {"kind": kind, "plural": plural},
                "versions": [{"name": version, "served": true}]}});
        testing::plan(vec![testing::stage("one", vec![testing::object_step(manifest)])])
    }

    #[test]
    fn a_definition_cannot_lead_a_request_elsewhere() {
        let forced = "deployments/victim?fieldManager=thinkube-host&force=true#";
        for (group, version, kind, plural) in [
            ("apps", "v1", "Deployment", "deployments"),
            ("a.io", "v1", "Deployment", forced),
            ("a.io", "v1", "Widget", "widgets#"),
            ("a.io", "v1", "Widget", "widgets?x=y"),
            ("a.io", "v1", "Widget", "../widgets"),
            ("a.io", "v1", "Widget", ".."),
            ("a.io", "v1", "Widget", ""),
            ("a.io", "v1?force=true#", "Widget", "widgets"),
            ("a.io", "v1/namespaces/x", "Widget", "widgets"),
            ("a.io/v1/x", "v1", "Widget", "widgets"),
            ("a.io", "v1", "Wid/get", "widgets"),
        ] {
            let (kinds, errors) = own_kinds(&plan(group, version, kind, plural));
            assert!(kinds.is_empty(), "{group} {version} {kind} {plural}");
            assert!(matches!(errors.as_slice(), [Error::Invalid { .. }]), "{errors:?}");
        }
        let (kinds, errors) = own_kinds(&plan("a.io", "v1", "Widget", "widgets"));
        assert!(kinds.len() == 1 && errors.is_empty(), "{errors:?}");
    }

    #[test]
    fn a_definition_cannot_take_the_place_of_what_is_served() {
        let mut served = ApiResources::default();
        served.add(&json!({"items": [
            {"metadata": {"name": "a.io"}, "versions": [{"version": "v1", "resources": [
                {"resource": "widgets", "responseKind": {"kind": "Widget"}, "scope": "Namespaced", "verbs": ["list"]}]}]},
            {"metadata": {"name": "down.io"}, "versions": [{"version": "v1", "freshness": "Stale", "resources": []}]},
        ]}));
        for (group, version, kind, plural, stays) in [
            ("a.io", "v1", "Widget", "gadgets", false),
            ("a.io", "v1", "Gadget", "widgets", false),
            ("down.io", "v1", "Gadget", "gadgets", false),
            ("a.io", "v1", "Gadget", "gadgets", true),
            ("a.io", "v2", "Widget", "widgets", true),
        ] {
            let (mut kinds, _) = own_kinds(&plan(group, version, kind, plural));
            unserved(&mut kinds, &served);
            assert_eq!(!kinds.is_empty(), stays, "{group} {version} {kind} {plural}");
        }
    }
}
