//! A kind of the API and its path, and the rules for names in paths.
//!
//! kube-core's `ApiResource` has no scope and no verbs, and its `Request` puts names into a path unencoded.

use crate::error::api::ApiError;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::Value;
use thinkube_plan::{ObjectRef, TypeMeta};

/// All but the unreserved characters of RFC 3986.
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');
/// The longest name of an object: a DNS subdomain.
const MAX_NAME: usize = 253;

/// A kind of the API, in one version, with its place in paths.
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

    /// The resource as RBAC messages write it: `deployments.apps`, `secrets`.
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

    pub(crate) fn is_crd(&self) -> bool {
        self.is("apiextensions.k8s.io", "CustomResourceDefinition")
    }

    pub(crate) fn is_pvc(&self) -> bool {
        self.is("", "PersistentVolumeClaim")
    }

    /// Whether it runs pods. Workloads are applied after the other objects of their stage and deleted before them.
    pub(crate) fn is_workload(&self) -> bool {
        match self.group() {
            "" => matches!(self.kind.as_str(), "Pod" | "ReplicationController"),
            "apps" | "batch" => true,
            _ => false,
        }
    }

    /// Whether a delete loses data, so that it is never recreated.
    pub(crate) fn holds_data(&self) -> bool {
        self.is_pvc() || self.is("", "PersistentVolume") || self.is_crd() || self.is_namespace()
    }

    pub(crate) fn object(&self, namespace: Option<&str>, name: &str) -> ObjectRef {
        ObjectRef {
            api_version: self.api_version.clone(),
            kind: self.kind.clone(),
            namespace: namespace.map(str::to_owned),
            name: name.to_owned(),
        }
    }

    /// The URL's path. [`check_name`] refuses bad names first; the encoding is the second lock against a name that would reach
    /// another path or add query parameters.
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

/// One segment of a path. A server reads `%2E%2E` like `..`, so dots are encoded twice.
fn segment(text: &str) -> String {
    match text {
        "." | ".." => text.replace('.', "%252E"),
        _ => encode(text),
    }
}

/// Percent-encodes a value for a path segment or a query.
pub(crate) fn encode(text: &str) -> String {
    utf8_percent_encode(text, RESERVED).to_string()
}

/// The rule of the API server for a name in a path (`IsValidPathSegmentName`).
pub(crate) fn check_name(kind: &str, name: &str) -> Result<(), ApiError> {
    let invalid =
        name.is_empty() || matches!(name, "." | "..") || name.contains(['/', '%']) || name.len() > MAX_NAME;
    if invalid {
        return Err(ApiError::InvalidName { kind: kind.to_owned(), name: name.to_owned() });
    }
    Ok(())
}

/// The items of an array; none of any other value.
pub(crate) fn array(value: &Value) -> &[Value] {
    value.as_array().map(Vec::as_slice).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

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
    fn every_part_stays_in_its_path_segment() {
        let climbing =
            ApiResource::known("a.io/v1?x", "X", "deployments/victim?force=true&fieldManager=me#", true);
        assert_eq!(
            climbing.path(Some(".."), Some("a#?/..")),
            "/apis/a.io/v1%3Fx/namespaces/%252E%252E/\
             deployments%2Fvictim%3Fforce%3Dtrue%26fieldManager%3Dme%23/a%23%3F%2F.."
        );
    }
}
