//! What an operator decides about an apply.

use std::time::Duration;
use thinkube_plan::ObjectRef;

const EXPECTED: &str = "KIND/NAME or KIND/NAMESPACE/NAME is expected";

/// An existing object that the release takes over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Adopt {
    /// Its kind.
    pub kind: String,
    /// Its namespace; None for cluster-scoped kinds.
    pub namespace: Option<String>,
    /// Its name.
    pub name: String,
}

impl Adopt {
    /// Whether it names this object.
    pub(crate) fn names(&self, object: &ObjectRef) -> bool {
        self.kind == object.kind && self.namespace == object.namespace && self.name == object.name
    }
}

impl std::str::FromStr for Adopt {
    type Err = String;

    /// Reads `KIND/NAME` or `KIND/NAMESPACE/NAME`.
    fn from_str(text: &str) -> Result<Self, String> {
        let parts: Vec<&str> = text.split('/').collect();
        let (kind, namespace, name) = match parts.as_slice() {
            [kind, name] => (*kind, None, *name),
            [kind, namespace, name] => (*kind, Some((*namespace).to_owned()), *name),
            _ => return Err(EXPECTED.into()),
        };
        if kind.is_empty() || name.is_empty() || namespace.as_deref() == Some("") {
            return Err(EXPECTED.into());
        }
        Ok(Self { kind: kind.to_owned(), namespace, name: name.to_owned() })
    }
}

/// How to apply what a release has in the cluster.
#[derive(Debug, Clone)]
pub struct ApplyOptions {
    /// Existing objects that the release takes over.
    pub adopt: Vec<Adopt>,
    /// How long the Lease lasts when its holder no longer renews it.
    pub lease_duration: Duration,
}

impl Default for ApplyOptions {
    fn default() -> Self {
        Self { adopt: Vec::new(), lease_duration: Duration::from_secs(30) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_object_to_adopt_is_named_by_kind_namespace_and_name() {
        let adopt: Adopt = "Secret/devpi/root".parse().expect("an object");
        assert_eq!(
            (adopt.kind.as_str(), adopt.namespace.as_deref(), adopt.name.as_str()),
            ("Secret", Some("devpi"), "root")
        );
        assert_eq!("Namespace/devpi".parse::<Adopt>().expect("an object").namespace, None);
        for wrong in ["", "Secret", "Secret//x", "a/b/c/d", "/x"] {
            assert_eq!(wrong.parse::<Adopt>().expect_err("not an object"), EXPECTED, "{wrong}");
        }
    }
}
