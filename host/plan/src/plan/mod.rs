//! The plan of a release. The types mirror the contract in `wit/`; their serde form is the plan file.
//!
//! Each kind of step has a file with its type and the rules that a step of the kind must keep. A plan never holds the value
//! of a secret.

pub(crate) mod external;
pub(crate) mod image;
pub(crate) mod object;
pub(crate) mod pod_files;
pub(crate) mod restart;
pub(crate) mod rules;
pub(crate) mod secret;
pub(crate) mod stage;

use crate::check::Check;
use crate::digest::{Digest, canonical_bytes};
use crate::object::ObjectRef;
use crate::permission::Permission;
use external::ExternalStep;
use image::ImageStep;
use pod_files::PodFilesStep;
use secret::{SecretContent, SecretStep};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use stage::{Stage, Step};

/// The stages and checks that a plugin returned: the plugin's part of a plan.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PluginPlan {
    /// The checks that run before the first write.
    pub preflight: Vec<Check>,
    /// The stages, in the order in which they are applied.
    pub stages: Vec<Stage>,
    /// The checks that run after the last stage and whenever a person asks for the release's health.
    pub health: Vec<Check>,
    /// The checks that run when a person asks for them. Only they may send requests that change something.
    pub tests: Vec<Check>,
    /// Notes for the person who installed the release.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub notes: Option<String>,
}

impl PluginPlan {
    /// The name of the list of checks that run before the first write.
    pub(crate) const PREFLIGHT: &str = "preflight";
    /// The name of the list of health checks.
    pub(crate) const HEALTH: &str = "health";
    /// The name of the list of tests.
    pub(crate) const TESTS: &str = "tests";

    /// Every check, with the name of its stage or of its list (`preflight`, `health`, `tests`). Rules over checks use this
    /// function, so that no list is forgotten.
    pub fn checks(&self) -> impl Iterator<Item = (&str, &Check)> {
        let staged = self
            .stages
            .iter()
            .flat_map(|stage| named(&stage.name, &stage.gates).chain(named(&stage.name, &stage.skip_if)));
        named(Self::PREFLIGHT, &self.preflight)
            .chain(staged)
            .chain(named(Self::HEALTH, &self.health))
            .chain(named(Self::TESTS, &self.tests))
    }

    /// Every step, in order.
    pub fn steps(&self) -> impl Iterator<Item = &Step> {
        self.stages.iter().flat_map(|stage| &stage.steps)
    }

    /// Every external resource, in order.
    pub fn external(&self) -> impl Iterator<Item = &ExternalStep> {
        self.steps().filter_map(|step| match step {
            Step::External(step) => Some(&**step),
            _ => None,
        })
    }

    /// Every image that is built, in order.
    pub fn images(&self) -> impl Iterator<Item = &ImageStep> {
        self.steps().filter_map(|step| match step {
            Step::Image(step) => Some(step),
            _ => None,
        })
    }

    /// Every step that writes files into pods, with the index of its stage.
    pub fn pod_files(&self) -> impl Iterator<Item = (usize, &PodFilesStep)> {
        let stages = self.stages.iter().enumerate();
        let steps = stages.flat_map(|(index, stage)| stage.steps.iter().map(move |step| (index, step)));
        steps.filter_map(|(index, step)| match step {
            Step::PodFiles(step) => Some((index, step)),
            _ => None,
        })
    }

    /// Whether a step applies this object.
    pub fn makes(&self, object: &ObjectRef) -> bool {
        self.steps().any(|step| step.target().as_ref() == Some(object))
    }

    /// The Secret that a step mirrors into `secret`.
    pub fn mirrored(&self, secret: &ObjectRef) -> Option<&ObjectRef> {
        self.steps().find_map(|step| match step {
            Step::Secret(SecretStep { target, content: SecretContent::Mirror(source), .. })
                if target == secret =>
            {
                Some(source)
            }
            _ => None,
        })
    }
}

fn named<'a>(name: &'a str, checks: &'a [Check]) -> impl Iterator<Item = (&'a str, &'a Check)> {
    checks.iter().map(move |check| (name, check))
}

/// The plugin that made a plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Identity {
    /// The name in the plugin's descriptor.
    pub name: String,
    /// The version in the plugin's descriptor.
    pub version: String,
    /// The digest of the component's bytes; it identifies the plugin.
    pub digest: Digest,
}

/// Everything that an apply depends on, except the values of secrets.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Plan {
    /// [`Plan::API_VERSION`].
    pub api_version: String,
    /// `Plan`.
    pub kind: String,
    /// The release's name.
    pub release: String,
    /// The release's own namespace.
    pub namespace: String,
    /// The plugin that made the plan.
    pub plugin: Identity,
    /// The settings, with the defaults filled in.
    pub settings: Value,
    /// The permissions that the plugin requested for these settings.
    pub requested: Vec<Permission>,
    /// The permissions that the operator granted.
    pub granted: Vec<Permission>,
    /// The granted permissions that follow their settings, as the plugin states them over settings: see
    /// [`CarriedGrants`](crate::CarriedGrants).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub agreed: Vec<Permission>,
    /// The plugin's part.
    #[serde(flatten)]
    pub plugin_plan: PluginPlan,
}

impl Plan {
    /// The version of the plan file's format.
    pub const API_VERSION: &str = "thinkube.org/v1alpha1";

    /// The canonical bytes: compact JSON with sorted keys. The same plan has the same bytes on every machine.
    pub fn bytes(&self) -> Vec<u8> {
        canonical_bytes(self)
    }

    /// SHA-256 of [`Plan::bytes`].
    pub fn digest(&self) -> Digest {
        Digest::of(&self.bytes())
    }

    /// Every object and composed Secret, with its stage.
    pub fn targets(&self) -> impl Iterator<Item = (&Stage, ObjectRef)> {
        self.plugin_plan
            .stages
            .iter()
            .flat_map(|stage| stage.steps.iter().filter_map(move |step| Some((stage, step.target()?))))
    }
}
