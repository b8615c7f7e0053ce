//! Who owns an object: by the ApplySet label, else by the labels and managers of other tools.

use crate::api::client::Client;
use crate::api::resource::array;
use crate::release::applyset::PART_OF;
use crate::release::store;
use crate::release::stored::StoredRelease;
use serde_json::Value;
use std::collections::HashMap;

/// The ApplySet id of the other release whose label an object carries.
pub(crate) fn other_release<'a>(object: &'a Value, applyset: &str) -> Option<&'a str> {
    object["metadata"]["labels"][PART_OF].as_str().filter(|id| *id != applyset)
}

/// The owner of an object in words: `managed by Helm`.
pub(crate) fn owner_of(object: &Value) -> String {
    let labels = &object["metadata"]["labels"];
    if let Some(id) = labels[PART_OF].as_str() {
        return format!("part of another ApplySet: {id}");
    }
    if let Some(manager) = labels["app.kubernetes.io/managed-by"].as_str() {
        return format!("managed by {manager}");
    }
    let managers = array(&object["metadata"]["managedFields"]);
    let first = managers.first().and_then(|entry| entry["manager"].as_str());
    first.map_or_else(|| "owner unknown".to_owned(), |manager| format!("made with {manager}"))
}

/// The names of the releases that own these objects, by ApplySet id. Empty where the records cannot be read.
pub(crate) async fn release_names(
    client: &Client,
    objects: impl Iterator<Item = &Value>,
    applyset: &str,
) -> HashMap<String, String> {
    if objects.filter_map(|object| other_release(object, applyset)).next().is_none() {
        return HashMap::new();
    }
    let stored = store::list(client).await.unwrap_or_default();
    let named = |stored: StoredRelease| (store::applyset_id(client, &stored.record.name), stored.record.name);
    stored.into_iter().map(named).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn only_another_releases_label_makes_an_object_its_own() {
        let labelled = |labels: Value| json!({"metadata": {"labels": labels}});
        assert_eq!(other_release(&labelled(json!({PART_OF: "other"})), "me"), Some("other"));
        assert_eq!(other_release(&labelled(json!({PART_OF: "me"})), "me"), None);
        assert_eq!(other_release(&labelled(json!({"a": "b"})), "me"), None);
        assert_eq!(other_release(&json!({"metadata": {}}), "me"), None);
    }
}
