use crate::{
    CarriedGrants, Check, Digest, Encoding, HttpMethod, Identity, ObjectRef, Permission, canonical_bytes,
};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;

/// What a plugin returned: the part of a plan that is the plugin's.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PluginPlan {
    /// Asked before anything is changed.
    pub preflight: Vec<Check>,
    /// In order.
    pub stages: Vec<Stage>,
    /// Asked after the last stage, and whenever someone wants to know.
    pub health: Vec<Check>,
    /// Asked when the operator says so.
    pub tests: Vec<Check>,
    /// For the person who installed it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub notes: Option<String>,
}

impl PluginPlan {
    /// Every check, with the name of its stage, or of its list: `preflight`, `health`, `tests`. Whoever judges checks
    /// takes them from here, so that none is forgotten.
    pub fn checks(&self) -> impl Iterator<Item = (&str, &Check)> {
        let staged = self
            .stages
            .iter()
            .flat_map(|stage| named(&stage.name, &stage.gates).chain(named(&stage.name, &stage.skip_if)));
        named("preflight", &self.preflight)
            .chain(staged)
            .chain(named("health", &self.health))
            .chain(named(crate::grants::TESTS, &self.tests))
    }

    /// Every resource behind an HTTP API, in order.
    pub fn external(&self) -> impl Iterator<Item = &ExternalStep> {
        self.stages.iter().flat_map(|stage| &stage.steps).filter_map(|step| match step {
            Step::External(step) => Some(&**step),
            _ => None,
        })
    }

    /// Whether a step makes this object.
    pub fn makes(&self, object: &ObjectRef) -> bool {
        self.stages.iter().flat_map(|stage| &stage.steps).any(|step| step.target().as_ref() == Some(object))
    }

    /// The Secret of which a step makes this one the mirror.
    pub fn mirrored(&self, secret: &ObjectRef) -> Option<&ObjectRef> {
        self.stages.iter().flat_map(|stage| &stage.steps).find_map(|step| match step {
            Step::Secret(SecretStep { target, content: SecretContent::Mirror(source), .. })
                if target == secret =>
            {
                Some(source)
            }
            _ => None,
        })
    }

    /// Every image that is built, in order.
    pub fn images(&self) -> impl Iterator<Item = &ImageStep> {
        self.stages.iter().flat_map(|stage| &stage.steps).filter_map(|step| match step {
            Step::Image(step) => Some(step),
            _ => None,
        })
    }

    /// Every step that wants files in running pods, with the number of its stage.
    pub fn pod_files(&self) -> impl Iterator<Item = (usize, &PodFilesStep)> {
        let stages = self.stages.iter().enumerate();
        stages.flat_map(|(number, stage)| stage.steps.iter().map(move |step| (number, step))).filter_map(
            |(number, step)| match step {
                Step::PodFiles(step) => Some((number, step)),
                _ => None,
            },
        )
    }
}

fn named<'a>(name: &'a str, checks: &'a [Check]) -> impl Iterator<Item = (&'a str, &'a Check)> {
    checks.iter().map(move |check| (name, check))
}

/// A plan: everything an apply depends on, but for the secrets.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Plan {
    /// Always [`Plan::API_VERSION`].
    pub api_version: String,
    /// Always `Plan`.
    pub kind: String,
    /// The release's name.
    pub release: String,
    /// The release's own namespace.
    pub namespace: String,
    /// Who made it.
    pub plugin: Identity,
    /// The settings it was made from, defaults filled in.
    pub settings: Value,
    /// What the plugin asked for.
    pub requested: Vec<Permission>,
    /// What the operator granted.
    pub granted: Vec<Permission>,
    /// What of it was agreed to as the plugin stated it, over settings, and follows them: see [`CarriedGrants`](crate::Held).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub agreed: Vec<Permission>,
    /// What the plugin wants.
    #[serde(flatten)]
    pub plugin_plan: PluginPlan,
}

impl Plan {
    /// The format of the plan file.
    pub const API_VERSION: &str = "thinkube.org/v1alpha1";

    /// The canonical bytes: compact JSON, keys sorted. The same plan has the same bytes on every machine.
    pub fn bytes(&self) -> Vec<u8> {
        canonical_bytes(self)
    }

    /// SHA-256 of [`Plan::bytes`].
    pub fn digest(&self) -> Digest {
        Digest::of(&self.bytes())
    }

    /// What the next apply holds on to when nobody says anything else.
    pub fn held(&self) -> CarriedGrants {
        CarriedGrants {
            settings: self.settings.clone(),
            granted: self.granted.clone(),
            agreed: self.agreed.clone(),
        }
    }

    /// Every object and composed Secret, with the stage it is in.
    pub fn targets(&self) -> impl Iterator<Item = (&Stage, ObjectRef)> {
        self.plugin_plan
            .stages
            .iter()
            .flat_map(|stage| stage.steps.iter().filter_map(move |step| Some((stage, step.target()?))))
    }
}

/// Steps that may run together, and what must hold before the next ones.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Stage {
    /// A DNS label, unique in the plan.
    pub name: String,
    /// What to make.
    pub steps: Vec<Step>,
    /// What must hold afterwards.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub gates: Vec<Check>,
    /// The host skips the stage if this list is not empty and every check in it holds. Records of before 2026-11-27 call it
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
    /// An image, built and pushed.
    Image(ImageStep),
    /// A resource behind an HTTP API.
    External(Box<ExternalStep>),
    /// Files in running pods.
    PodFiles(PodFilesStep),
    /// New pods for a workload of the release; only in an operation.
    Restart(ObjectRef),
}

impl Step {
    /// The Kubernetes object that this step makes, if it makes one.
    pub fn target(&self) -> Option<ObjectRef> {
        match self {
            Self::Object(step) => ObjectRef::of(&step.manifest),
            Self::Secret(step) => Some(step.target.clone()),
            Self::Image(_) | Self::External(_) | Self::PodFiles(_) | Self::Restart(_) => None,
        }
    }

    /// What happens to it at uninstall.
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

    /// How messages name it.
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
}

/// A Kubernetes object.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ObjectStep {
    /// As the plugin wrote it.
    pub manifest: Value,
    /// How a change is made.
    pub on_change: OnChange,
    /// What happens at uninstall.
    pub on_uninstall: OnUninstall,
    /// What the host fills in.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub bindings: Vec<Binding>,
}

/// How an object is changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum OnChange {
    /// Server-side apply.
    Update,
    /// Delete and create.
    Recreate,
    /// Create the object if it is absent, and never change it. Records of before 2026-11-27 call it `keep`.
    #[serde(alias = "keep")]
    CreateOnly,
}

/// What happens to an object at uninstall.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum OnUninstall {
    /// It goes.
    Delete,
    /// It stays unless the operator says otherwise.
    Retain,
}

/// A place in a manifest that the host fills in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Binding {
    /// JSON Pointer into the manifest.
    pub pointer: String,
    /// Where the value comes from.
    pub source: OutputRef,
}

/// An output of another step.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct OutputRef {
    /// The step's name.
    pub step: String,
    /// The output's name.
    pub output: String,
}

/// A Secret that the host composes when it applies, or a ConfigMap that holds secrets in clear.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SecretStep {
    /// Unique among the steps.
    pub name: String,
    /// The Secret or ConfigMap.
    pub target: ObjectRef,
    /// The Secret's `type`; empty for a ConfigMap.
    pub secret_type: String,
    /// Its labels, beside those of the host.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// Where its values come from.
    pub content: SecretContent,
    /// What happens at uninstall.
    pub on_uninstall: OnUninstall,
}

impl SecretStep {
    /// Whether its values end where everybody who may read ConfigMaps may read them.
    pub fn discloses(&self) -> bool {
        self.target.kind == "ConfigMap"
    }
}

/// Where a Secret's values come from.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum SecretContent {
    /// Key by key.
    Entries(Vec<SecretEntry>),
    /// From another Secret of the same type, whole.
    Mirror(ObjectRef),
}

/// One key of a composed Secret.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SecretEntry {
    /// The key.
    pub key: String,
    /// Where its value comes from.
    pub source: SecretSource,
}

/// Where a value comes from.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum SecretSource {
    /// A secret input, by name.
    Input(String),
    /// Made once and kept.
    Random(RandomText),
    /// A new random value in place of the present one; only in an operation. Records of before 2026-11-27 call it `renewed`.
    #[serde(alias = "renewed")]
    Rotated(RandomText),
    /// The value that is there; only in an operation, where the host writes it (see [`crate::overlay`]).
    Kept,
    /// A key of another Secret.
    Copy(SecretKey),
    /// An output of another step.
    Output(OutputRef),
    /// Text with `${key}` for other entries, and `${key:json}` for them as JSON strings.
    Template(String),
    /// Text that is no secret.
    Plain(String),
}

/// Random text.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RandomText {
    /// Bytes of randomness before encoding.
    pub bytes: u32,
    /// How they are written.
    pub encoding: Encoding,
}

/// One key of a Secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SecretKey {
    /// The Secret's namespace.
    pub namespace: String,
    /// The Secret's name.
    pub name: String,
    /// The key.
    pub key: String,
}

/// An image, built from source and pushed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ImageStep {
    /// Unique among the steps.
    pub name: String,
    /// The source.
    pub source: ImageSource,
    /// Path of the Dockerfile in the source.
    pub dockerfile: String,
    /// Path of the build context in the source.
    pub context: String,
    /// Registry, repository and tag.
    pub destination: String,
    /// A Secret of type kubernetes.io/dockerconfigjson.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub push_credentials: Option<ObjectRef>,
}

/// What an image is built from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum ImageSource {
    /// A git repository.
    Git(GitSource),
    /// The absolute path of a folder on the machine that the host runs on.
    Folder(String),
}

impl ImageSource {
    /// The URL or the path.
    pub fn location(&self) -> &str {
        match self {
            Self::Git(git) => &git.url,
            Self::Folder(folder) => folder,
        }
    }
}

/// A revision of a git repository.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct GitSource {
    /// The repository.
    pub url: String,
    /// A commit, tag or branch.
    pub revision: String,
}

/// A resource behind an HTTP API.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ExternalStep {
    /// Unique among the steps.
    pub name: String,
    /// The API's origin and path.
    pub base_url: String,
    /// How the host shows who it is.
    pub auth: Auth,
    /// Finds the resource.
    pub find: HttpRequest,
    /// CEL over the answer of `find`.
    pub select: String,
    /// Makes the resource.
    pub create: HttpRequest,
    /// Changes it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub update: Option<HttpRequest>,
    /// Takes it away.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delete: Option<HttpRequest>,
    /// What it must hold.
    pub desired: Value,
    /// What other steps may use.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub outputs: Vec<ExternalOutput>,
    /// What happens at uninstall.
    pub on_uninstall: OnUninstall,
}

impl ExternalStep {
    /// Whether both are about the same resource, however it is to be: what finds it is what it is known by.
    pub fn is_of(&self, other: &Self) -> bool {
        self.base_url == other.base_url && self.find == other.find && self.select == other.select
    }
}

/// How the host shows an HTTP API who it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Auth {
    /// Not at all.
    Anonymous,
    /// OAuth 2.0 password grant.
    #[serde(rename_all = "camelCase")]
    PasswordGrant {
        /// Where tokens are made.
        token_url: String,
        /// The OAuth client.
        client_id: String,
        /// Who.
        username: String,
        /// The secret input that holds the password.
        password_input: String,
    },
    /// RFC 7617.
    #[serde(rename_all = "camelCase")]
    Basic {
        /// Who.
        username: String,
        /// The secret input that holds the password.
        password_input: String,
    },
}

/// A request to an HTTP API.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct HttpRequest {
    /// The method.
    pub method: HttpMethod,
    /// May hold `${name}`.
    pub path: String,
    /// May hold `${name}`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub body: Option<String>,
}

/// A value that an external resource yields.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ExternalOutput {
    /// Its name.
    pub name: String,
    /// None: from what `select` found.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request: Option<HttpRequest>,
    /// CEL.
    pub select: String,
    /// Whether it may only go into a Secret.
    pub secret: bool,
}

/// Files in running pods.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PodFilesStep {
    /// Unique among the steps.
    pub name: String,
    /// The pods' namespace.
    pub namespace: String,
    /// Which pods.
    pub label_selector: String,
    /// None: the first container.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub container: Option<String>,
    /// Whole files.
    pub files: Vec<PodFile>,
    /// Lines that files must hold.
    pub lines: Vec<PodLine>,
}

/// A whole file in a pod.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PodFile {
    /// Absolute path.
    pub path: String,
    /// Permission bits.
    pub mode: u32,
    /// Text.
    pub content: String,
}

/// A line that a file in a pod must hold once.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PodLine {
    /// Absolute path.
    pub path: String,
    /// The line, without its end.
    pub text: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stage_of_an_older_record_is_read_and_written_with_the_names_of_today() {
        let older = r#"{"name": "one", "steps": [
            {"object": {"manifest": {}, "onChange": "keep", "onUninstall": "delete"}}], "doneWhen": []}"#;
        let stage: Stage = serde_json::from_str(older).expect("an older stage");
        assert!(matches!(&stage.steps[0], Step::Object(step) if step.on_change == OnChange::CreateOnly));
        let older = r#"{"rotated": {"bytes": 8, "encoding": "hex"}}"#;
        let today: SecretSource = serde_json::from_str(older).expect("a source");
        let older: SecretSource =
            serde_json::from_str(&older.replace("rotated", "renewed")).expect("a source");
        assert_eq!(older, today);
    }
}
