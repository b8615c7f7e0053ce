//! Secret drift: whether the Secrets that a release copied from others are still equal to them. No value leaves this file.

use crate::api::client::Client;
use crate::api::resource::ApiResource;
use crate::error::Error;
use crate::secrets::value::value_of;
use serde_json::Value;
use thinkube_plan::{ObjectRef, Plan, SecretContent, SecretEntry, SecretSource, SecretStep, Step};

/// A Secret of a release, or one key of it, that is a copy of another Secret.
#[derive(Debug)]
pub struct SecretCopy {
    /// The release's Secret.
    pub copy: ObjectRef,
    /// The key in it. None: all keys.
    pub key: Option<String>,
    /// The Secret that it copies.
    pub source: ObjectRef,
    /// How they compare, or why one of them could not be read.
    pub state: Result<CopyState, Error>,
}

/// How a copy compares to its source.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CopyState {
    /// They are equal.
    Current,
    /// The source has another value.
    Stale,
    /// The source, or its key, does not exist.
    NoSource,
    /// The copy, or its key, does not exist.
    NoCopy,
}

/// The key of the copy and the key of the source. None: all keys.
type Keys<'a> = Option<(&'a str, &'a str)>;

/// The copies of a plan, each compared with its source.
pub(crate) async fn secret_copies(client: &Client, plan: &Plan) -> Vec<SecretCopy> {
    let mut all = Vec::new();
    for step in plan.plugin_plan.stages.iter().flat_map(|stage| &stage.steps) {
        let Step::Secret(step) = step else { continue };
        for (source, keys) in sources(step) {
            let state = copy_state(client, &step.target, &source, keys).await;
            let key = keys.map(|(own, _)| own.to_owned());
            all.push(SecretCopy { copy: step.target.clone(), key, source, state });
        }
    }
    all
}

fn sources(step: &SecretStep) -> Vec<(ObjectRef, Keys<'_>)> {
    match &step.content {
        SecretContent::Mirror(source) => vec![(source.clone(), None)],
        SecretContent::Entries(entries) => entries.iter().filter_map(copy_source).collect(),
    }
}

fn copy_source(entry: &SecretEntry) -> Option<(ObjectRef, Keys<'_>)> {
    let SecretSource::Copy(key) = &entry.source else { return None };
    let source = ApiResource::secret().object(Some(&key.namespace), &key.name);
    Some((source, Some((&entry.key, &key.key))))
}

async fn copy_state(
    client: &Client,
    copy: &ObjectRef,
    source: &ObjectRef,
    keys: Keys<'_>,
) -> Result<CopyState, Error> {
    let (source, copy) = tokio::try_join!(client.get_object(source), client.get_object(copy))?;
    Ok(compare(copy.as_ref(), source.as_ref(), keys))
}

fn compare(copy: Option<&Value>, source: Option<&Value>, keys: Keys<'_>) -> CopyState {
    let (Some(copy), Some(source)) = (copy, source) else {
        return if source.is_none() { CopyState::NoSource } else { CopyState::NoCopy };
    };
    let same = match keys {
        None => {
            let data = |secret: &Value| secret["data"].as_object().cloned().unwrap_or_default();
            data(copy) == data(source) && copy["type"] == source["type"]
        }
        Some((own, key)) => match (value_of(copy, own), value_of(source, key)) {
            (_, None) => return CopyState::NoSource,
            (None, _) => return CopyState::NoCopy,
            (Some(copy), Some(source)) => copy == source,
        },
    };
    if same { CopyState::Current } else { CopyState::Stale }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn secret(data: &Value) -> Value {
        json!({"apiVersion": "v1", "kind": "Secret", "type": "Opaque", "data": data})
    }

    #[test]
    fn a_copy_is_stale_when_its_source_has_another_value() {
        let (copy, source) = (secret(&json!({"p": "YQ=="})), secret(&json!({"p": "YQ==", "q": "Yg=="})));
        let other = json!({"kind": "Secret", "type": "other", "data": copy["data"]});
        for (keys, source, state) in [
            (None, &copy, CopyState::Current),
            (None, &source, CopyState::Stale),
            (None, &other, CopyState::Stale),
            (Some(("p", "p")), &source, CopyState::Current),
            (Some(("p", "q")), &source, CopyState::Stale),
            (Some(("p", "gone")), &source, CopyState::NoSource),
            (Some(("gone", "p")), &source, CopyState::NoCopy),
        ] {
            assert_eq!(compare(Some(&copy), Some(source), keys), state);
        }
        assert_eq!(compare(Some(&copy), None, None), CopyState::NoSource);
        assert_eq!(compare(None, Some(&source), None), CopyState::NoCopy);
        let config = json!({"apiVersion": "v1", "kind": "ConfigMap", "data": {"P": "a"}});
        assert_eq!(compare(Some(&config), Some(&source), Some(("P", "p"))), CopyState::Current);
    }
}
