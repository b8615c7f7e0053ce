//! Why a plan cannot be applied to this cluster.

use std::fmt;
use thinkube_plan::{Diagnostic, ErrorKind, Hint, ObjectRef};

/// A step of a plan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StepRef {
    /// The name of its stage.
    pub stage: String,
    /// The step's title: `Deployment demo/web`, `pod files pip`.
    pub step: String,
}

impl fmt::Display for StepRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "stage {}, {}", self.stage, self.step)
    }
}

/// An object that exists and does not belong to the release.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ForeignObject {
    /// The object.
    pub object: ObjectRef,
    /// What is known of its owner: `managed by Helm`.
    pub owner: String,
    /// Whether the operator may adopt it. The object of another release never can be.
    pub adoptable: bool,
}

/// Why a plan cannot be applied to this cluster.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DiffError {
    /// The plan is invalid.
    #[error("{}{message}", step.as_ref().map(|step| format!("{step}: ")).unwrap_or_default())]
    Invalid {
        /// The step; None: the plan as a whole.
        step: Option<StepRef>,
        /// What is wrong.
        message: String,
    },
    /// The cluster does not serve a kind.
    #[error("{object}: the cluster does not serve {api_version} {kind}")]
    NotServed {
        /// The object of that kind.
        object: String,
        /// Group and version.
        api_version: String,
        /// The kind.
        kind: String,
    },
    /// A namespace does not exist, and the plan does not create it.
    #[error("{object}: namespace {namespace} does not exist, and the plan does not create it")]
    NoNamespace {
        /// The namespace.
        namespace: String,
        /// The first object in it.
        object: Box<ObjectRef>,
    },
    /// A secret input was not supplied.
    #[error("stage {stage}, {object}: the secret input `{input}` of its key `{key}` was not supplied")]
    MissingInput {
        /// The stage.
        stage: String,
        /// The Secret.
        object: Box<ObjectRef>,
        /// The key in it.
        key: String,
        /// The input.
        input: String,
    },
    /// Objects exist that the release does not own.
    #[error(fmt = not_owned)]
    NotOwned {
        /// The release.
        release: String,
        /// The objects.
        objects: Vec<ForeignObject>,
    },
}

impl DiffError {
    /// [`DiffError::Invalid`] for one step.
    pub(crate) fn invalid(stage: &str, step: impl Into<String>, message: impl Into<String>) -> Self {
        let step = StepRef { stage: stage.to_owned(), step: step.into() };
        Self::Invalid { step: Some(step), message: message.into() }
    }
}

impl Diagnostic for DiffError {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::Invalid { .. } => ErrorKind::InvalidPlan,
            Self::NotServed { .. } => ErrorKind::NotServed,
            Self::NoNamespace { .. } => ErrorKind::NoNamespace,
            Self::MissingInput { .. } => ErrorKind::SecretMissing,
            Self::NotOwned { .. } => ErrorKind::NotOwned,
        }
    }

    fn hint(&self) -> Option<Hint> {
        match self {
            Self::NotServed { .. } => Some(Hint::Advice(
                "install what defines the kind, or choose a version that `kubectl api-resources` lists"
                    .into(),
            )),
            Self::NotOwned { objects, .. } => {
                let adoptable = objects.iter().find(|foreign| foreign.adoptable);
                Some(adoptable.map_or_else(
                    || Hint::Advice("use other names, or first delete the objects from their release".into()),
                    |foreign| Hint::Adopt(adopt_argument(&foreign.object)),
                ))
            }
            Self::Invalid { .. } | Self::NoNamespace { .. } | Self::MissingInput { .. } => None,
        }
    }
}

/// `KIND/NAME` or `KIND/NAMESPACE/NAME`, as [`crate::Adopt`] reads it.
fn adopt_argument(object: &ObjectRef) -> String {
    let namespace = object.namespace.as_deref().map(|namespace| format!("{namespace}/")).unwrap_or_default();
    format!("{}/{namespace}{}", object.kind, object.name)
}

fn not_owned(release: &str, objects: &[ForeignObject], f: &mut fmt::Formatter<'_>) -> fmt::Result {
    write!(f, "release {release} does not own these existing objects; nothing was changed:")?;
    for ForeignObject { object, owner, .. } in objects {
        write!(f, "\n  {object} ({owner})")?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hint_adopts_only_an_object_of_no_release() {
        let foreign = |name: &str, adoptable: bool| ForeignObject {
            object: ObjectRef {
                api_version: "v1".into(),
                kind: "ConfigMap".into(),
                namespace: Some("n".into()),
                name: name.into(),
            },
            owner: "made with kubectl".into(),
            adoptable,
        };
        let hint = |objects: Vec<ForeignObject>| DiffError::NotOwned { release: "r".into(), objects }.hint();
        assert!(matches!(hint(vec![foreign("a", false)]), Some(Hint::Advice(_))));
        let both = hint(vec![foreign("a", false), foreign("c", true)]);
        assert_eq!(both, Some(Hint::Adopt("ConfigMap/n/c".into())));
    }
}
