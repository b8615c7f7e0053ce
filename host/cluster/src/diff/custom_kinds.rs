//! The kinds that a plan brings itself with CustomResourceDefinitions.
//!
//! A definition comes from a plugin and decides the path of its objects. A name that is not a plain one would lead a request
//! to another object, or add query parameters.

use crate::api::discovery::ApiResources;
use crate::api::resource::{ApiResource, array};
use crate::error::Error;
use crate::error::diff::DiffError;
use serde_json::Value;
use std::collections::HashMap;
use thinkube_plan::{Plan, Step, TypeMeta, is_dns_subdomain, is_rfc1035_label};

/// The kinds that the plan's definitions bring, and what is wrong with the definitions.
pub(crate) fn custom_kinds(plan: &Plan) -> (HashMap<TypeMeta, ApiResource>, Vec<Error>) {
    let (mut kinds, mut errors) = (HashMap::new(), Vec::new());
    for stage in &plan.plugin_plan.stages {
        for step in &stage.steps {
            let Step::Object(object) = step else { continue };
            if !is_definition(&object.manifest) {
                continue;
            }
            match kinds_of(&object.manifest["spec"]) {
                Ok(served) => kinds.extend(served.into_iter().map(|kind| (kind.type_meta(), kind))),
                Err(message) => errors.push(DiffError::invalid(&stage.name, step.title(), message).into()),
            }
        }
    }
    (kinds, errors)
}

/// Removes the kinds that the server has: its own discovery decides where their objects are.
pub(crate) fn retain_unserved(kinds: &mut HashMap<TypeMeta, ApiResource>, served: &ApiResources) {
    kinds.retain(|_, kind| !served.taken(kind));
}

fn is_definition(manifest: &Value) -> bool {
    let group = manifest["apiVersion"].as_str().and_then(|version| version.split_once('/'));
    group.is_some_and(|(group, _)| group == "apiextensions.k8s.io")
        && manifest["kind"] == "CustomResourceDefinition"
}

fn kinds_of(spec: &Value) -> Result<Vec<ApiResource>, String> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let (group, plural, kind) =
        (text(&spec["group"]), text(&spec["names"]["plural"]), text(&spec["names"]["kind"]));
    let served = array(&spec["versions"]).iter().filter(|version| version["served"] == true);
    let versions: Vec<String> = served.map(|version| text(&version["name"])).collect();
    let mut wrong = Vec::new();
    if !group.contains('.') || !is_dns_subdomain(&group) {
        wrong.push("spec.group is not a DNS name with a dot");
    }
    if !is_rfc1035_label(&plural) {
        wrong.push("spec.names.plural is not a DNS label");
    }
    if !is_rfc1035_label(&kind.to_ascii_lowercase()) {
        wrong.push("spec.names.kind is not a valid kind");
    }
    if !versions.iter().all(|version| is_rfc1035_label(version)) {
        wrong.push("a name in spec.versions is not a DNS label");
    }
    if !wrong.is_empty() {
        return Err(wrong.join("; "));
    }
    let resource = |version: String| ApiResource {
        api_version: format!("{group}/{version}"),
        kind: kind.clone(),
        plural: plural.clone(),
        namespaced: spec["scope"] == "Namespaced",
        listable: true,
    };
    Ok(versions.into_iter().map(resource).collect())
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
    fn a_definition_cannot_lead_a_request_to_another_path() {
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
            let (kinds, errors) = custom_kinds(&plan(group, version, kind, plural));
            assert!(kinds.is_empty(), "{group} {version} {kind} {plural}");
            assert!(matches!(errors.as_slice(), [Error::Diff(DiffError::Invalid { .. })]), "{errors:?}");
        }
        let (kinds, errors) = custom_kinds(&plan("a.io", "v1", "Widget", "widgets"));
        assert!(kinds.len() == 1 && errors.is_empty(), "{errors:?}");
    }

    #[test]
    fn a_definition_cannot_replace_a_served_kind() {
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
            let (mut kinds, _) = custom_kinds(&plan(group, version, kind, plural));
            retain_unserved(&mut kinds, &served);
            assert_eq!(!kinds.is_empty(), stays, "{group} {version} {kind} {plural}");
        }
    }
}
