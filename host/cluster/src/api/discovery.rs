//! Discovery: which kinds the server has, in which versions, under which path (`/api` and `/apis`, aggregated form).
//!
//! Read as JSON and not as kube-core's `discovery::v2`: its lists refuse `null`, so that one bad aggregated API would hide
//! every kind, and `Discovery::run_aggregated` drops `freshness`, which decides [`Lookup::Unknown`].

use crate::api::resource::{ApiResource, array};
use serde_json::Value;
use std::collections::{HashMap, HashSet};
use thinkube_plan::TypeMeta;

/// What discovery knows of a kind.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Lookup<'a> {
    Served(&'a ApiResource),
    /// The server does not have it, so it has no objects of it.
    Gone,
    /// The server of its group does not answer: its objects may exist.
    Unknown,
}

/// The kinds that the server has.
#[derive(Debug, Default, Clone)]
pub(crate) struct ApiResources {
    by_type: HashMap<TypeMeta, ApiResource>,
    /// The preferred version of each kind, in the server's order.
    preferred: Vec<ApiResource>,
    /// Groups with an incomplete answer: `freshness: Stale`.
    stale: HashSet<String>,
}

impl ApiResources {
    /// Adds what `/api` or `/apis` answers in its aggregated form.
    pub(crate) fn add(&mut self, discovery: &Value) {
        for group in array(&discovery["items"]) {
            let group_name = group["metadata"]["name"].as_str().unwrap_or_default();
            let mut plurals: Vec<String> = Vec::new();
            for version in array(&group["versions"]) {
                let version_name = version["version"].as_str().unwrap_or_default();
                if version["freshness"] == "Stale" {
                    self.stale.insert(group_name.to_owned());
                }
                let api_version = match group_name {
                    "" => version_name.to_owned(),
                    group => format!("{group}/{version_name}"),
                };
                for resource in array(&version["resources"]) {
                    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
                    let verbs = array(&resource["verbs"]);
                    let kind = ApiResource {
                        api_version: api_version.clone(),
                        kind: text(&resource["responseKind"]["kind"]),
                        plural: text(&resource["resource"]),
                        namespaced: resource["scope"] == "Namespaced",
                        listable: verbs.iter().any(|verb| verb == "list"),
                    };
                    if !plurals.contains(&kind.plural) {
                        plurals.push(kind.plural.clone());
                        self.preferred.push(kind.clone());
                    }
                    self.by_type.entry(kind.type_meta()).or_insert(kind);
                }
            }
        }
    }

    pub(crate) fn get(&self, kind: &TypeMeta) -> Option<&ApiResource> {
        self.by_type.get(kind)
    }

    /// The kind of objects that were created as `made_as`. The server keeps them under every version that it serves.
    pub(crate) fn find(&self, made_as: &TypeMeta) -> Lookup<'_> {
        if let Some(kind) = self.by_type.get(made_as) {
            return Lookup::Served(kind);
        }
        let group = made_as.api_version.split_once('/').map_or("", |(group, _)| group);
        match self.preferred.iter().find(|known| known.is(group, &made_as.kind)) {
            Some(kind) => Lookup::Served(kind),
            None if self.is_stale(group) => Lookup::Unknown,
            None => Lookup::Gone,
        }
    }

    fn is_stale(&self, group: &str) -> bool {
        self.stale.contains(group)
    }

    /// Whether the kind is served, another kind has its path, or discovery is incomplete.
    pub(crate) fn taken(&self, kind: &ApiResource) -> bool {
        let same_path =
            |known: &ApiResource| known.api_version == kind.api_version && known.plural == kind.plural;
        self.by_type.contains_key(&kind.type_meta())
            || self.by_type.values().any(same_path)
            || self.is_stale(kind.group())
    }

    pub(crate) fn namespaced(&self) -> impl Iterator<Item = &ApiResource> {
        self.preferred.iter().filter(|kind| kind.namespaced && kind.listable)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn discovery_gives_plural_and_scope_of_every_version() {
        let mut found = ApiResources::default();
        found.add(
            &json!({"items": [{"metadata": {"name": "apps"}, "versions": [{"version": "v1", "resources": [
            {"resource": "deployments", "responseKind": {"group": "", "version": "", "kind": "Deployment"},
             "scope": "Namespaced", "verbs": ["get", "list"], "subresources": []}]}]}]}),
        );
        let kind = TypeMeta { api_version: "apps/v1".into(), kind: "Deployment".into() };
        let deployment = found.get(&kind).unwrap();
        assert_eq!(deployment.path(Some("a"), Some("b")), "/apis/apps/v1/namespaces/a/deployments/b");
        assert_eq!(deployment.resource(), "deployments.apps");
        assert_eq!(found.namespaced().count(), 1);
    }

    #[test]
    fn objects_are_found_under_other_versions_and_in_an_outage() {
        let mut found = ApiResources::default();
        found.add(&json!({"items": [
            {"metadata": {"name": "a.io"}, "versions": [{"version": "v2", "resources": [
                {"resource": "widgets", "responseKind": {"kind": "Widget"}, "scope": "Namespaced", "verbs": []}]}]},
            {"metadata": {"name": "down.io"}, "versions": [
                {"version": "v1", "freshness": "Stale", "resources": []},
                {"version": "v2", "freshness": "Current", "resources": [
                    {"resource": "widgets", "responseKind": {"kind": "Widget"}, "scope": "Namespaced"}]}]},
        ]}));
        let find = |api_version: &str, kind: &str| match found
            .find(&TypeMeta { api_version: api_version.into(), kind: kind.into() })
        {
            Lookup::Served(kind) => kind.api_version.clone(),
            other => format!("{other:?}"),
        };
        assert_eq!(find("a.io/v2", "Widget"), "a.io/v2");
        assert_eq!(find("a.io/v1", "Widget"), "a.io/v2", "that version is no longer served");
        assert_eq!(find("a.io/v1", "Gadget"), "Gone");
        assert_eq!(find("gone.io/v1", "Widget"), "Gone");
        assert_eq!(find("down.io/v1", "Widget"), "down.io/v2");
        assert_eq!(find("down.io/v1", "Gadget"), "Unknown");
    }
}
