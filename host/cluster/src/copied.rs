//! Whether what a release copied from other Secrets is still as they have it.

use crate::Error;
use crate::client::Cluster;
use crate::compose::value_of;
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

/// What is compared.
enum Of<'a> {
    Everything,
    /// A key of the copy, and the one of the source.
    Key(&'a str, &'a str),
}

impl Cluster {
    /// Everything that `plan` copies from other Secrets, as it is now. No value is told.
    pub async fn copied(&self, plan: &Plan) -> Vec<Copied> {
        let mut all = Vec::new();
        for step in plan.outline.stages.iter().flat_map(|stage| &stage.steps) {
            let Step::Secret(step) = step else { continue };
            let sources: Vec<(ObjectRef, Of<'_>)> = match &step.content {
                SecretContent::Mirror(source) => vec![(source.clone(), Of::Everything)],
                SecretContent::Entries(entries) => entries
                    .iter()
                    .filter_map(|entry| match &entry.source {
                        SecretSource::Copy(key) => {
                            let source = ObjectRef {
                                api_version: "v1".to_owned(),
                                kind: "Secret".to_owned(),
                                namespace: Some(key.namespace.clone()),
                                name: key.name.clone(),
                            };
                            Some((source, Of::Key(&entry.key, &key.key)))
                        }
                        _ => None,
                    })
                    .collect(),
            };
            for (source, of) in sources {
                let state = self.copy_state(&step.target, &source, &of).await;
                let key = match of {
                    Of::Everything => None,
                    Of::Key(own, _) => Some(own.to_owned()),
                };
                all.push(Copied { copy: step.target.clone(), key, source, state });
            }
        }
        all
    }

    async fn copy_state(
        &self,
        copy: &ObjectRef,
        source: &ObjectRef,
        of: &Of<'_>,
    ) -> Result<CopyState, Error> {
        let source = self.look_at(source).await?;
        let copy = self.look_at(copy).await?;
        Ok(compared(copy.as_ref(), source.as_ref(), of))
    }
}

fn compared(copy: Option<&Value>, source: Option<&Value>, of: &Of<'_>) -> CopyState {
    let (Some(copy), Some(source)) = (copy, source) else {
        return if source.is_none() { CopyState::NoSource } else { CopyState::NoCopy };
    };
    let same = match of {
        Of::Everything => {
            let data = |secret: &Value| secret["data"].as_object().cloned().unwrap_or_default();
            data(copy) == data(source) && copy["type"] == source["type"]
        }
        Of::Key(own, key) => match (value_of(copy, own), value_of(source, key)) {
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
        for (of, source, state) in [
            (Of::Everything, &copy, CopyState::Current),
            (Of::Everything, &source, CopyState::Stale),
            (Of::Everything, &other, CopyState::Stale),
            (Of::Key("p", "p"), &source, CopyState::Current),
            (Of::Key("p", "q"), &source, CopyState::Stale),
            (Of::Key("p", "gone"), &source, CopyState::NoSource),
            (Of::Key("gone", "p"), &source, CopyState::NoCopy),
        ] {
            assert_eq!(compared(Some(&copy), Some(source), &of), state);
        }
        assert_eq!(compared(Some(&copy), None, &Of::Everything), CopyState::NoSource);
        assert_eq!(compared(None, Some(&source), &Of::Everything), CopyState::NoCopy);
        let config = json!({"apiVersion": "v1", "kind": "ConfigMap", "data": {"P": "a"}});
        assert_eq!(compared(Some(&config), Some(&source), &Of::Key("P", "p")), CopyState::Current);
    }
}
