//! ApplySet labels and annotations as kubectl 1.36 reads them; the text of KEP-3659 differs. No crate has them.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest as _, Sha256};
use std::collections::BTreeSet;
use thinkube_plan::ObjectRef;

pub(crate) const ID: &str = "applyset.kubernetes.io/id";
pub(crate) const PART_OF: &str = "applyset.kubernetes.io/part-of";
pub(crate) const TOOLING: &str = "applyset.kubernetes.io/tooling";
pub(crate) const GROUP_KINDS: &str = "applyset.kubernetes.io/contains-group-kinds";
pub(crate) const NAMESPACES: &str = "applyset.kubernetes.io/additional-namespaces";
pub(crate) const OUR_TOOLING: &str = concat!("thinkube-host/v", env!("CARGO_PKG_VERSION"));

/// The id of a parent. `namespace` and `group` are empty for cluster-scoped and core kinds, and their dots remain.
pub(crate) fn id(name: &str, namespace: &str, kind: &str, group: &str) -> String {
    let hash = Sha256::digest(format!("{name}.{namespace}.{kind}.{group}"));
    format!("applyset-{}-v1", URL_SAFE_NO_PAD.encode(hash))
}

/// The kinds of the members: `ConfigMap,Deployment.apps`.
pub(crate) fn group_kinds<'a>(members: impl Iterator<Item = &'a ObjectRef>) -> String {
    let kinds: BTreeSet<String> = members.map(|member| member.type_meta().group_kind()).collect();
    kinds.into_iter().collect::<Vec<_>>().join(",")
}

/// The namespaces of the members without the parent's own.
pub(crate) fn namespaces<'a>(members: impl Iterator<Item = &'a ObjectRef>, own: &str) -> String {
    let names: BTreeSet<&str> =
        members.filter_map(|member| member.namespace.as_deref()).filter(|name| *name != own).collect();
    names.into_iter().collect::<Vec<_>>().join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The first three are from the tests of kubectl and kro.
    #[test]
    fn ids_are_those_of_kubectl() {
        for (name, namespace, kind, group, expected) in [
            ("my-set", "test", "Secret", "", "applyset-0eFHV8ySqp7XoShsGvyWFQD3s96yqwHmzc4e0HR1dsY-v1"),
            (
                "my-set",
                "",
                "ApplySet",
                "company.com",
                "applyset-rhp1a-HVAVT_dFgyEygyA1BEB82HPp2o10UiFTpqtAs-v1",
            ),
            ("simple", "test", "Secret", "", "applyset-bjd1LnyQq0mtUu-riZCqjDQOmh0iNb9O2RcuT12WR0k-v1"),
            ("my-set", "test", "ConfigMap", "", "applyset-gixR4KUFBNRxOPyC-scYMHmBW0ziohNNkE_oCmTLycQ-v1"),
            (
                "demo",
                "default",
                "WasmRelease",
                "example.io",
                "applyset-MsRWu_yAskYvvRe2ugz1rqsYZiMLb3ZUzhkEePBUN50-v1",
            ),
        ] {
            assert_eq!(id(name, namespace, kind, group), expected);
        }
    }

    #[test]
    fn kinds_and_namespaces_are_sorted_and_unique() {
        let object = |api_version: &str, kind: &str, namespace: Option<&str>| ObjectRef {
            api_version: api_version.into(),
            kind: kind.into(),
            namespace: namespace.map(str::to_owned),
            name: "x".into(),
        };
        let members = [
            object("apps/v1", "Deployment", Some("b")),
            object("v1", "ConfigMap", Some("a")),
            object("v1", "ConfigMap", Some("state")),
            object("v1", "Namespace", None),
        ];
        assert_eq!(group_kinds(members.iter()), "ConfigMap,Deployment.apps,Namespace");
        assert_eq!(namespaces(members.iter(), "state"), "a,b");
    }
}
