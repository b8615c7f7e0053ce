use crate::Error;
use serde_json::Value;
use std::collections::HashMap;
use thinkube_plan::{ObjectRef, TypeMeta};

/// A kind and where the server has it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Kind {
    pub(crate) api_version: String,
    pub(crate) kind: String,
    pub(crate) plural: String,
    pub(crate) namespaced: bool,
    pub(crate) listable: bool,
}

impl Kind {
    fn known(api_version: &str, kind: &str, plural: &str, namespaced: bool) -> Self {
        Self {
            api_version: api_version.into(),
            kind: kind.into(),
            plural: plural.into(),
            namespaced,
            listable: true,
        }
    }

    pub(crate) fn namespace() -> Self {
        Self::known("v1", "Namespace", "namespaces", false)
    }

    pub(crate) fn config_map() -> Self {
        Self::known("v1", "ConfigMap", "configmaps", true)
    }

    pub(crate) fn pod() -> Self {
        Self::known("v1", "Pod", "pods", true)
    }

    pub(crate) fn claim() -> Self {
        Self::known("v1", "PersistentVolumeClaim", "persistentvolumeclaims", true)
    }

    pub(crate) fn secret() -> Self {
        Self::known("v1", "Secret", "secrets", true)
    }

    pub(crate) fn event() -> Self {
        Self::known("v1", "Event", "events", true)
    }

    pub(crate) fn lease() -> Self {
        Self::known("coordination.k8s.io/v1", "Lease", "leases", true)
    }

    pub(crate) fn storage_class() -> Self {
        Self::known("storage.k8s.io/v1", "StorageClass", "storageclasses", false)
    }

    pub(crate) fn access_review() -> Self {
        let kind = "SelfSubjectAccessReview";
        Self::known("authorization.k8s.io/v1", kind, "selfsubjectaccessreviews", false)
    }

    pub(crate) fn self_review() -> Self {
        Self::known("authentication.k8s.io/v1", "SelfSubjectReview", "selfsubjectreviews", false)
    }

    pub(crate) fn type_meta(&self) -> TypeMeta {
        TypeMeta { api_version: self.api_version.clone(), kind: self.kind.clone() }
    }

    pub(crate) fn group(&self) -> &str {
        self.api_version.split_once('/').map_or("", |(group, _)| group)
    }

    /// `deployments.apps`, `secrets`.
    pub(crate) fn resource(&self) -> String {
        if self.group().is_empty() {
            self.plural.clone()
        } else {
            format!("{}.{}", self.plural, self.group())
        }
    }

    pub(crate) fn is(&self, group: &str, kind: &str) -> bool {
        self.group() == group && self.kind == kind
    }

    pub(crate) fn is_secret(&self) -> bool {
        self.is("", "Secret")
    }

    pub(crate) fn is_namespace(&self) -> bool {
        self.is("", "Namespace")
    }

    pub(crate) fn is_definition(&self) -> bool {
        self.is("apiextensions.k8s.io", "CustomResourceDefinition")
    }

    pub(crate) fn is_claim(&self) -> bool {
        self.is("", "PersistentVolumeClaim")
    }

    /// What runs pods, and so wants everything else of its stage to be there, and goes before it.
    pub(crate) fn is_workload(&self) -> bool {
        match self.group() {
            "" => matches!(self.kind.as_str(), "Pod" | "ReplicationController"),
            "apps" | "batch" => true,
            _ => false,
        }
    }

    /// What holds data that nobody can make again.
    pub(crate) fn is_never_recreated(&self) -> bool {
        self.is_claim() || self.is("", "PersistentVolume") || self.is_definition() || self.is_namespace()
    }

    pub(crate) fn object(&self, namespace: Option<&str>, name: &str) -> ObjectRef {
        ObjectRef {
            api_version: self.api_version.clone(),
            kind: self.kind.clone(),
            namespace: namespace.map(str::to_owned),
            name: name.to_owned(),
        }
    }

    /// The URL's path. Names are checked where they come in; the encoding is the second lock against a name that
    /// would reach another path.
    pub(crate) fn path(&self, namespace: Option<&str>, name: Option<&str>) -> String {
        let mut path = if self.group().is_empty() {
            format!("/api/{}", self.api_version)
        } else {
            format!("/apis/{}", self.api_version)
        };
        if let Some(namespace) = namespace.filter(|_| self.namespaced) {
            path.push_str("/namespaces/");
            path.push_str(&encode(namespace));
        }
        path.push('/');
        path.push_str(&self.plural);
        if let Some(name) = name {
            path.push('/');
            path.push_str(&encode(name));
        }
        path
    }
}

/// Percent-encodes all but the unreserved characters of RFC 3986.
pub(crate) fn encode(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => encoded.push(byte as char),
            _ => encoded.push_str(&format!("%{byte:02X}")),
        }
    }
    encoded
}

/// The rule of the API server for a name in a path (`IsValidPathSegmentName`).
pub(crate) fn check_name(what: &str, name: &str) -> Result<(), Error> {
    let wrong =
        name.is_empty() || name == "." || name == ".." || name.contains(['/', '%']) || name.len() > 253;
    if wrong {
        return Err(Error::Invalid {
            stage: "-".into(),
            object: what.into(),
            message: format!("`{name}` is no name of an object"),
        });
    }
    Ok(())
}

/// The kinds that the server has, at one moment.
#[derive(Debug, Default, Clone)]
pub(crate) struct Kinds {
    by_type: HashMap<TypeMeta, Kind>,
    /// The preferred version of each kind, in the server's order.
    preferred: Vec<Kind>,
}

impl Kinds {
    /// Adds what `/api` or `/apis` answers in its aggregated form.
    pub(crate) fn add(&mut self, discovery: &Value) {
        for group in array(&discovery["items"]) {
            let group_name = group["metadata"]["name"].as_str().unwrap_or_default();
            let mut seen: Vec<String> = Vec::new();
            for version in array(&group["versions"]) {
                let version_name = version["version"].as_str().unwrap_or_default();
                let api_version = match group_name {
                    "" => version_name.to_owned(),
                    group => format!("{group}/{version_name}"),
                };
                for resource in array(&version["resources"]) {
                    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
                    let verbs = array(&resource["verbs"]);
                    let kind = Kind {
                        api_version: api_version.clone(),
                        kind: text(&resource["responseKind"]["kind"]),
                        plural: text(&resource["resource"]),
                        namespaced: resource["scope"] == "Namespaced",
                        listable: verbs.iter().any(|verb| verb == "list"),
                    };
                    if !seen.contains(&kind.plural) {
                        seen.push(kind.plural.clone());
                        self.preferred.push(kind.clone());
                    }
                    self.by_type.entry(kind.type_meta()).or_insert(kind);
                }
            }
        }
    }

    pub(crate) fn get(&self, kind: &TypeMeta) -> Option<&Kind> {
        self.by_type.get(kind)
    }

    pub(crate) fn namespaced(&self) -> impl Iterator<Item = &Kind> {
        self.preferred.iter().filter(|kind| kind.namespaced && kind.listable)
    }
}

pub(crate) fn array(value: &Value) -> &[Value] {
    value.as_array().map(Vec::as_slice).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn aggregated_discovery_gives_plural_and_scope_of_every_version() {
        let mut kinds = Kinds::default();
        kinds.add(
            &json!({"items": [{"metadata": {"name": "apps"}, "versions": [{"version": "v1", "resources": [
            {"resource": "deployments", "responseKind": {"group": "", "version": "", "kind": "Deployment"},
             "scope": "Namespaced", "verbs": ["get", "list"], "subresources": []}]}]}]}),
        );
        let kind = TypeMeta { api_version: "apps/v1".into(), kind: "Deployment".into() };
        let found = kinds.get(&kind).unwrap();
        assert_eq!(found.path(Some("a"), Some("b")), "/apis/apps/v1/namespaces/a/deployments/b");
        assert_eq!(found.resource(), "deployments.apps");
        assert_eq!(kinds.namespaced().count(), 1);
    }

    #[test]
    fn a_name_cannot_reach_another_path() {
        assert_eq!(
            Kind::config_map().path(Some("a/../b"), Some("c?d")),
            "/api/v1/namespaces/a%2F..%2Fb/configmaps/c%3Fd"
        );
        for wrong in ["", ".", "..", "a/b", "a%2fb"] {
            assert!(check_name("x", wrong).is_err(), "{wrong}");
        }
    }
}
