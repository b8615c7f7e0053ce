use crate::Error;
use serde_json::Value;
use std::collections::{HashMap, HashSet};
use thinkube_plan::{ObjectRef, TypeMeta};

/// A kind and where the server has it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct ApiResource {
    pub(crate) api_version: String,
    pub(crate) kind: String,
    pub(crate) plural: String,
    pub(crate) namespaced: bool,
    pub(crate) listable: bool,
}

impl ApiResource {
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

    pub(crate) fn pvc() -> Self {
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
    /// would reach another path, or add parameters to the query.
    pub(crate) fn path(&self, namespace: Option<&str>, name: Option<&str>) -> String {
        let mut path = match self.api_version.split_once('/') {
            Some((group, version)) => format!("/apis/{}/{}", segment(group), segment(version)),
            None => format!("/api/{}", segment(&self.api_version)),
        };
        if let Some(namespace) = namespace.filter(|_| self.namespaced) {
            path.push_str("/namespaces/");
            path.push_str(&segment(namespace));
        }
        path.push('/');
        path.push_str(&segment(&self.plural));
        if let Some(name) = name {
            path.push('/');
            path.push_str(&segment(name));
        }
        path
    }
}

/// One segment of a path. A server reads `%2E%2E` as a step up just like `..`; encoded twice it names nothing.
fn segment(text: &str) -> String {
    match text {
        "." | ".." => text.replace('.', "%252E"),
        _ => encode(text),
    }
}

/// Whether it is a label of RFC 1035: a letter first, then letters, digits and hyphens, no hyphen last.
pub(crate) fn is_label(text: &str) -> bool {
    let inner = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    text.len() <= 63
        && text.starts_with(|first: char| first.is_ascii_lowercase())
        && text.bytes().all(inner)
        && !text.ends_with('-')
}

/// Whether it is a DNS subdomain of more than one label, as the group of a definition must be.
pub(crate) fn is_group(text: &str) -> bool {
    let label = |part: &str| {
        let edge =
            |byte: Option<u8>| byte.is_some_and(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit());
        let inner = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        part.len() <= 63 && edge(part.bytes().next()) && edge(part.bytes().last()) && part.bytes().all(inner)
    };
    text.len() <= 253 && text.contains('.') && text.split('.').all(label)
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

/// What the server says of a kind.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Found<'a> {
    Served(&'a ApiResource),
    /// Its objects went with it.
    Gone,
    /// What serves its group does not answer: its objects may well be there.
    Unknown,
}

/// The kinds that the server has, at one moment.
#[derive(Debug, Default, Clone)]
pub(crate) struct ApiResources {
    by_type: HashMap<TypeMeta, ApiResource>,
    /// The preferred version of each kind, in the server's order.
    preferred: Vec<ApiResource>,
    /// Groups of which the server knows that it does not know all: what serves them does not answer.
    stale: HashSet<String>,
}

impl ApiResources {
    /// Adds what `/api` or `/apis` answers in its aggregated form.
    pub(crate) fn add(&mut self, discovery: &Value) {
        for group in array(&discovery["items"]) {
            let group_name = group["metadata"]["name"].as_str().unwrap_or_default();
            let mut seen: Vec<String> = Vec::new();
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
                    if !seen.contains(&kind.plural) {
                        seen.push(kind.plural.clone());
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

    /// Where the objects of a kind are that were made under some version: a version that is no longer served leaves them
    /// under the others.
    pub(crate) fn find(&self, made_as: &TypeMeta) -> Found<'_> {
        if let Some(kind) = self.by_type.get(made_as) {
            return Found::Served(kind);
        }
        let group = made_as.api_version.split_once('/').map_or("", |(group, _)| group);
        match self.preferred.iter().find(|known| known.is(group, &made_as.kind)) {
            Some(kind) => Found::Served(kind),
            None if self.is_stale(group) => Found::Unknown,
            None => Found::Gone,
        }
    }

    fn is_stale(&self, group: &str) -> bool {
        self.stale.contains(group)
    }

    /// Whether the kind is served, or its path is another kind's, or nobody can say.
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

pub(crate) fn array(value: &Value) -> &[Value] {
    value.as_array().map(Vec::as_slice).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn aggregated_discovery_gives_plural_and_scope_of_every_version() {
        let mut kinds = ApiResources::default();
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
    fn objects_are_found_under_another_version_and_not_given_up_in_an_outage() {
        let mut kinds = ApiResources::default();
        kinds.add(&json!({"items": [
            {"metadata": {"name": "a.io"}, "versions": [{"version": "v2", "resources": [
                {"resource": "widgets", "responseKind": {"kind": "Widget"}, "scope": "Namespaced", "verbs": []}]}]},
            {"metadata": {"name": "down.io"}, "versions": [
                {"version": "v1", "freshness": "Stale", "resources": []},
                {"version": "v2", "freshness": "Current", "resources": [
                    {"resource": "widgets", "responseKind": {"kind": "Widget"}, "scope": "Namespaced"}]}]},
        ]}));
        let find = |api_version: &str, kind: &str| match kinds
            .find(&TypeMeta { api_version: api_version.into(), kind: kind.into() })
        {
            Found::Served(kind) => kind.api_version.clone(),
            other => format!("{other:?}"),
        };
        assert_eq!(find("a.io/v2", "Widget"), "a.io/v2");
        assert_eq!(find("a.io/v1", "Widget"), "a.io/v2", "that version is no longer served");
        assert_eq!(find("a.io/v1", "Gadget"), "Gone");
        assert_eq!(find("gone.io/v1", "Widget"), "Gone");
        assert_eq!(find("down.io/v1", "Widget"), "down.io/v2");
        assert_eq!(find("down.io/v1", "Gadget"), "Unknown");
    }

    #[test]
    fn a_name_cannot_reach_another_path() {
        assert_eq!(
            ApiResource::config_map().path(Some("a/../b"), Some("c?d")),
            "/api/v1/namespaces/a%2F..%2Fb/configmaps/c%3Fd"
        );
        for wrong in ["", ".", "..", "a/b", "a%2fb"] {
            assert!(check_name("x", wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn nothing_leaves_its_segment() {
        let climbing =
            ApiResource::known("a.io/v1?x", "X", "deployments/victim?force=true&fieldManager=me#", true);
        assert_eq!(
            climbing.path(Some(".."), Some("a#?/..")),
            "/apis/a.io/v1%3Fx/namespaces/%252E%252E/\
             deployments%2Fvictim%3Fforce%3Dtrue%26fieldManager%3Dme%23/a%23%3F%2F.."
        );
    }

    #[test]
    fn labels_and_groups_are_what_the_server_takes() {
        assert!(is_label("deployments") && is_label("v1beta1") && is_label("a-1"));
        for wrong in ["", "1a", "a-", "A", "a.b", "a/b", "a?b", "a#", "..", &"a".repeat(64)] {
            assert!(!is_label(wrong), "{wrong}");
        }
        assert!(is_group("cert-manager.io") && is_group("3scale.net"));
        for wrong in ["", "apps", ".", "..", "a..b", "a.b/", "a.-b", "a.b?", "A.b", "a.b#"] {
            assert!(!is_group(wrong), "{wrong}");
        }
    }
}
