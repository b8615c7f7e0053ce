//! Whether what a release copied from other Secrets is still as they have it.

use crate::Error;
use crate::api::client::Cluster;
use crate::discovery::ApiResource;
use crate::secrets::compose::value_of;
use serde_json::Value;
use thinkube_plan::{ObjectRef, Plan, SecretContent, SecretSource, Step};

/// What a composed Secret of a release has of another one.
#[derive(Debug)]
pub struct Copied {
    /// The release's own.
    pub copy: ObjectRef,
    /// The key of it; None: all of them.
    pub key: Option<String>,
    /// The one that it follows.
    pub source: ObjectRef,
    /// How they compare, or why that cannot be seen.
    pub state: Result<CopyState, Error>,
}

/// How a copy compares to its source.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CopyState {
    /// The same.
    Current,
    /// The source has another value by now.
    Stale,
    /// There is no source any more, or not the key that was copied.
    NoSource,
    /// There is no copy, or not the key of it.
    NoCopy,
}

/// What is compared: everything, or a key of the copy with one of the source.
type Keys<'a> = Option<(&'a str, &'a str)>;

impl Cluster {
    /// Everything that `plan` copies from other Secrets, as it is now. No value is told.
    pub async fn copied(&self, plan: &Plan) -> Vec<Copied> {
        let mut all = Vec::new();
        for step in plan.plugin_plan.stages.iter().flat_map(|stage| &stage.steps) {
            let Step::Secret(step) = step else { continue };
            let sources: Vec<(ObjectRef, Keys<'_>)> = match &step.content {
                SecretContent::Mirror(source) => vec![(source.clone(), None)],
                SecretContent::Entries(entries) => entries
                    .iter()
                    .filter_map(|entry| match &entry.source {
                        SecretSource::Copy(key) => {
                            let source = ApiResource::secret().object(Some(&key.namespace), &key.name);
                            Some((source, Some((entry.key.as_str(), key.key.as_str()))))
                        }
                        _ => None,
                    })
                    .collect(),
            };
            for (source, keys) in sources {
                let state = self.copy_state(&step.target, &source, keys).await;
                let key = keys.map(|(own, _)| own.to_owned());
                all.push(Copied { copy: step.target.clone(), key, source, state });
            }
        }
        all
    }

    async fn copy_state(
        &self,
        copy: &ObjectRef,
        source: &ObjectRef,
        keys: Keys<'_>,
    ) -> Result<CopyState, Error> {
        let (source, copy) = tokio::try_join!(self.look_at(source), self.look_at(copy))?;
        Ok(compared(copy.as_ref(), source.as_ref(), keys))
    }
}

fn compared(copy: Option<&Value>, source: Option<&Value>, keys: Keys<'_>) -> CopyState {
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
            (Some(own), Some(theirs)) => own == theirs,
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
            assert_eq!(compared(Some(&copy), Some(source), keys), state);
        }
        assert_eq!(compared(Some(&copy), None, None), CopyState::NoSource);
        assert_eq!(compared(None, Some(&source), None), CopyState::NoCopy);
        let config = json!({"apiVersion": "v1", "kind": "ConfigMap", "data": {"P": "a"}});
        assert_eq!(compared(Some(&config), Some(&source), Some(("P", "p"))), CopyState::Current);
    }
}
