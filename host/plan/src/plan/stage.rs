//! A stage and the kinds of steps. A new kind of step gets a case here and a file beside this one.

use crate::check::Check;
use crate::object::ObjectRef;
use crate::plan::external::ExternalStep;
use crate::plan::image::ImageStep;
use crate::plan::object::{ObjectStep, OnUninstall};
use crate::plan::pod_files::PodFilesStep;
use crate::plan::restart;
use crate::plan::rules::{StepFault, StepRules};
use crate::plan::secret::SecretStep;
use serde::{Deserialize, Serialize};

/// Steps that may run together, and the checks that must hold before the next stage starts.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Stage {
    /// A DNS label, unique in the plan.
    pub name: String,
    /// The steps; their order has no meaning.
    pub steps: Vec<Step>,
    /// The checks that must hold after the steps.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub gates: Vec<Check>,
    /// The host skips the stage if this list is not empty and every check in it holds. Records from before 2026-11-27 call it
    /// `doneWhen`.
    #[serde(default, alias = "doneWhen", skip_serializing_if = "Vec::is_empty")]
    pub skip_if: Vec<Check>,
}

/// One desired thing.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Step {
    /// A Kubernetes object.
    Object(ObjectStep),
    /// A Secret that the host composes.
    Secret(SecretStep),
    /// An image that the host builds and pushes.
    Image(ImageStep),
    /// A resource behind an HTTP API.
    External(Box<ExternalStep>),
    /// Files in running pods.
    PodFiles(PodFilesStep),
    /// A rolling restart of a workload of the release; only in an operation.
    Restart(ObjectRef),
}

impl Step {
    /// The Kubernetes object that the step applies, if it applies one.
    pub fn target(&self) -> Option<ObjectRef> {
        match self {
            Self::Object(step) => ObjectRef::of(&step.manifest),
            Self::Secret(step) => Some(step.target.clone()),
            Self::Image(_) | Self::External(_) | Self::PodFiles(_) | Self::Restart(_) => None,
        }
    }

    /// What an uninstall does with the result of the step.
    pub fn on_uninstall(&self) -> OnUninstall {
        match self {
            Self::Object(ObjectStep { on_uninstall, .. }) | Self::Secret(SecretStep { on_uninstall, .. }) => {
                *on_uninstall
            }
            Self::External(step) => step.on_uninstall,
            Self::PodFiles(_) => OnUninstall::Delete,
            Self::Image(_) | Self::Restart(_) => OnUninstall::Retain,
        }
    }

    /// The step for people: `Deployment ns/name`, `image NAME`.
    pub fn title(&self) -> String {
        match self {
            Self::Object(_) | Self::Secret(_) => self
                .target()
                .map_or_else(|| "an object without a name".to_owned(), |target| target.to_string()),
            Self::Image(step) => format!("image {}", step.name),
            Self::External(step) => format!("external resource {}", step.name),
            Self::PodFiles(step) => format!("pod files {}", step.name),
            Self::Restart(workload) => format!("restart of {workload}"),
        }
    }

    /// The name that other steps refer to. Objects and restarts have none.
    pub(crate) fn name(&self) -> Option<&str> {
        match self {
            Self::Object(_) | Self::Restart(_) => None,
            Self::Secret(step) => Some(&step.name),
            Self::Image(step) => Some(&step.name),
            Self::External(step) => Some(&step.name),
            Self::PodFiles(step) => Some(&step.name),
        }
    }

    /// The outputs that the step yields, and whether each is secret.
    pub(crate) fn outputs(&self) -> Vec<(&str, bool)> {
        match self {
            Self::Object(_) | Self::Secret(_) | Self::PodFiles(_) | Self::Restart(_) => Vec::new(),
            Self::Image(_) => ImageStep::OUTPUTS.map(|output| (output, false)).into(),
            Self::External(step) => {
                step.outputs.iter().map(|output| (output.name.as_str(), output.secret)).collect()
            }
        }
    }

    /// Every rule that the step breaks, except those that need other steps.
    pub(crate) fn faults(&self, rules: &StepRules<'_>) -> Vec<StepFault> {
        match self {
            Self::Object(step) => step.rule_faults(),
            Self::Secret(step) => step.rule_faults(rules),
            Self::Image(step) => step.faults().into_iter().map(StepFault::from).collect(),
            Self::External(step) => step.rule_faults(rules),
            Self::PodFiles(step) => step.rule_faults(rules),
            Self::Restart(workload) => restart::fault(workload, rules).into_iter().collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::object::OnChange;
    use crate::plan::secret::SecretSource;

    #[test]
    fn an_older_record_is_read_with_the_names_of_today() {
        let older = r#"{"name": "one", "steps": [
            {"object": {"manifest": {}, "onChange": "keep", "onUninstall": "delete"}}], "doneWhen": []}"#;
        let stage: Stage = serde_json::from_str(older).expect("an older stage");
        assert!(matches!(&stage.steps[0], Step::Object(step) if step.on_change == OnChange::CreateOnly));
        let today = r#"{"rotated": {"bytes": 8, "encoding": "hex"}}"#;
        let older = today.replace("rotated", "renewed");
        let today: SecretSource = serde_json::from_str(today).expect("a source");
        let older: SecretSource = serde_json::from_str(&older).expect("an older source");
        assert_eq!(older, today);
    }
}
