//! The identity of an object, whatever version it is named in.

use serde_json::Value;
use std::collections::HashMap;
use thinkube_plan::{ObjectRef, SecretKey};

/// Group and kind, namespace and name of an object.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct ObjectKey {
    /// `Deployment.apps`.
    group_kind: String,
    /// Empty for cluster-scoped objects.
    namespace: String,
    name: String,
}

impl ObjectKey {
    pub(crate) fn of(object: &ObjectRef) -> Self {
        let (group_kind, namespace, name) = object.identity();
        Self { group_kind, namespace: namespace.to_owned(), name: name.to_owned() }
    }

    /// The Secret that has the key.
    pub(crate) fn of_secret(key: &SecretKey) -> Self {
        Self { group_kind: "Secret".to_owned(), namespace: key.namespace.clone(), name: key.name.clone() }
    }
}

/// Objects by their keys, as a LIST answers them.
pub(crate) fn by_key(objects: impl IntoIterator<Item = Value>) -> HashMap<ObjectKey, Value> {
    let keyed = |object: Value| Some((ObjectKey::of(&ObjectRef::of(&object)?), object));
    objects.into_iter().filter_map(keyed).collect()
}
