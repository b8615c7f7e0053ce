//! What an apply, an operation or an uninstall would do, or did, to one subject.
//!
//! One type for every kind of step, so that it is compared, reported and rendered once. Its JSON has the keys of the
//! subject's kind: programs read them in lists by kind.

use crate::diff::FieldChange;
use crate::object::ObjectRef;
use serde::ser::SerializeMap as _;
use serde::{Serialize, Serializer};
use std::fmt;

/// Characters of a line that a title repeats.
const MAX_LINE: usize = 120;

/// What would be done, or was done, to one subject.
#[derive(Debug, Clone, PartialEq)]
pub struct Change {
    /// The object, resource, image or file.
    pub subject: Subject,
    /// The name of the stage that applies it. None where no stage does.
    pub stage: Option<String>,
    /// What would be done, or was done.
    pub action: Action,
    /// The fields that differ. The values of a Secret are masked.
    pub fields: Vec<FieldChange>,
    /// What else a person should know, as one phrase.
    pub note: Option<String>,
}

/// What a [`Change`] is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Subject {
    /// A Kubernetes object.
    Object(ObjectRef),
    /// A resource of an HTTP API.
    External(ExternalRef),
    /// An image in a registry.
    Image(ImageBuild),
    /// A file in a running pod, or a line of one.
    PodFile(PodFileRef),
}

/// A resource of an HTTP API.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExternalRef {
    /// The name of its step.
    pub name: String,
    /// The base URL of the API.
    pub base_url: String,
}

/// An image that a step builds from source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageBuild {
    /// The name of its step.
    pub name: String,
    /// The git URL or the folder.
    pub source: String,
    /// The commit, tag or branch that the plan names; None for a folder.
    pub revision: Option<String>,
    /// The commit that the revision leads to, or the hash of the folder's content. None if it is not known yet.
    pub commit: Option<String>,
    /// `REGISTRY/REPOSITORY:TAG`.
    pub destination: String,
    /// `REGISTRY/REPOSITORY@DIGEST`, where the registry has the image.
    pub reference: Option<String>,
}

/// A file in a running pod, or a line of one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PodFileRef {
    /// The name of its step.
    pub step: String,
    /// The pod's namespace.
    pub namespace: String,
    /// The pod; None where no pod has the step's labels.
    pub pod: Option<String>,
    /// The absolute path in the container; None where the container could not be read.
    pub path: Option<String>,
    /// The line, where the step adds one line to the file.
    pub line: Option<String>,
}

/// What is done to a subject.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Action {
    /// Created. An image: built and pushed.
    Create,
    /// Changed in place. An image: the registry has it, and its tag is moved.
    Update,
    /// Deleted and created again.
    Recreate,
    /// Restarted: a workload gets new pods.
    Restart,
    /// Deleted.
    Delete,
    /// Left alone although it exists, for the reason in the note or because the plan says so.
    Keep,
    /// Nothing: it is as the plan wants it.
    Unchanged,
}

impl Action {
    /// Whether the action writes anything.
    pub fn writes(self) -> bool {
        !matches!(self, Self::Keep | Self::Unchanged)
    }
}

impl Change {
    /// A change without fields and without a note.
    pub fn new(subject: Subject, stage: Option<&str>, action: Action) -> Self {
        Self { subject, stage: stage.map(str::to_owned), action, fields: Vec::new(), note: None }
    }

    /// The same with a note.
    pub fn with_note(self, note: impl Into<String>) -> Self {
        Self { note: Some(note.into()), ..self }
    }

    /// The object, if the change is about one.
    pub fn object(&self) -> Option<&ObjectRef> {
        match &self.subject {
            Subject::Object(object) => Some(object),
            _ => None,
        }
    }

    /// The external resource, if the change is about one.
    pub fn external(&self) -> Option<&ExternalRef> {
        match &self.subject {
            Subject::External(resource) => Some(resource),
            _ => None,
        }
    }

    /// The image, if the change is about one.
    pub fn image(&self) -> Option<&ImageBuild> {
        match &self.subject {
            Subject::Image(image) => Some(image),
            _ => None,
        }
    }

    /// The file in a pod, if the change is about one.
    pub fn pod_file(&self) -> Option<&PodFileRef> {
        match &self.subject {
            Subject::PodFile(file) => Some(file),
            _ => None,
        }
    }
}

/// Changes by the kind of their subject, each list in the given order.
#[derive(Debug, Default)]
pub struct ChangesByKind<'a> {
    /// Kubernetes objects.
    pub objects: Vec<&'a Change>,
    /// Resources of HTTP APIs.
    pub external: Vec<&'a Change>,
    /// Images.
    pub images: Vec<&'a Change>,
    /// Files in running pods.
    pub pod_files: Vec<&'a Change>,
}

impl<'a> ChangesByKind<'a> {
    /// Sorts changes into one list a kind.
    pub fn of(changes: &'a [Change]) -> Self {
        let mut lists = Self::default();
        for change in changes {
            match &change.subject {
                Subject::Object(_) => lists.objects.push(change),
                Subject::External(_) => lists.external.push(change),
                Subject::Image(_) => lists.images.push(change),
                Subject::PodFile(_) => lists.pod_files.push(change),
            }
        }
        lists
    }
}

impl fmt::Display for Subject {
    /// A title on one line. It holds text of a plugin: print it as [`crate::Untrusted`].
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Object(object) => object.fmt(f),
            Self::External(ExternalRef { name, base_url }) => {
                write!(f, "external resource {name} at {base_url}")
            }
            Self::Image(image) => image.fmt(f),
            Self::PodFile(file) => file.fmt(f),
        }
    }
}

impl fmt::Display for ImageBuild {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "image {} of {}", self.name, self.source)?;
        if let Some(revision) = &self.revision {
            write!(f, " {revision}")?;
        }
        // The revision may be the commit itself.
        if let Some(commit) = &self.commit
            && !self.revision.as_ref().is_some_and(|revision| revision.ends_with(commit.as_str()))
        {
            write!(f, " = {commit}")?;
        }
        write!(f, ", to {}", self.destination)
    }
}

impl fmt::Display for PodFileRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { step, namespace, pod, path, line } = self;
        write!(f, "pod files {step}: ")?;
        match (pod, path, line) {
            (Some(pod), Some(path), None) => write!(f, "{path} in pod {namespace}/{pod}"),
            (Some(pod), Some(path), Some(line)) => {
                let cut = line.char_indices().nth(MAX_LINE).map(|(at, _)| at);
                let end = if cut.is_some() { "…" } else { "" };
                let line = &line[..cut.unwrap_or(line.len())];
                write!(f, "line {line:?}{end} in {path} in pod {namespace}/{pod}")
            }
            (Some(pod), None, _) => write!(f, "pod {namespace}/{pod}"),
            (None, ..) => write!(f, "namespace {namespace}"),
        }
    }
}

impl Serialize for Change {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        match &self.subject {
            Subject::Object(object) => {
                map.serialize_entry("object", object)?;
                map.serialize_entry("stage", &self.stage)?;
                map.serialize_entry("fields", &self.fields)?;
            }
            Subject::External(ExternalRef { name, base_url }) => {
                map.serialize_entry("name", name)?;
                map.serialize_entry("baseUrl", base_url)?;
                map.serialize_entry("fields", &self.fields)?;
            }
            Subject::Image(image) => {
                map.serialize_entry("name", &image.name)?;
                map.serialize_entry("source", &image.source)?;
                map.serialize_entry("destination", &image.destination)?;
                for (key, value) in [
                    ("revision", &image.revision),
                    ("commit", &image.commit),
                    ("reference", &image.reference),
                ] {
                    if let Some(value) = value {
                        map.serialize_entry(key, value)?;
                    }
                }
            }
            Subject::PodFile(file) => {
                map.serialize_entry("step", &file.step)?;
                map.serialize_entry("stage", &self.stage)?;
                map.serialize_entry("namespace", &file.namespace)?;
                map.serialize_entry("pod", &file.pod)?;
                map.serialize_entry("path", &file.path)?;
                if let Some(line) = &file.line {
                    map.serialize_entry("line", line)?;
                }
            }
        }
        map.serialize_entry("action", &self.action)?;
        if let Some(note) = &self.note {
            map.serialize_entry("note", note)?;
        }
        map.end()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn json_has_the_keys_of_the_kind_of_subject() {
        let object: ObjectRef = serde_json::from_value(
            json!({"apiVersion": "v1", "kind": "ConfigMap", "namespace": "n", "name": "a"}),
        )
        .expect("an object reference");
        let change = Change::new(Subject::Object(object.clone()), Some("one"), Action::Create);
        assert_eq!(
            json!(change),
            json!({"object": object, "stage": "one", "action": "create", "fields": []})
        );
        let external = ExternalRef { name: "realm".into(), base_url: "https://a".into() };
        let change = Change::new(Subject::External(external), Some("one"), Action::Keep).with_note("why");
        assert_eq!(
            json!(change),
            json!({"name": "realm", "baseUrl": "https://a", "action": "keep", "fields": [], "note": "why"})
        );
        let image = ImageBuild {
            name: "web".into(),
            source: "https://git/web".into(),
            revision: Some("main".into()),
            commit: None,
            destination: "r.example/web:1".into(),
            reference: None,
        };
        let change = Change::new(Subject::Image(image), None, Action::Unchanged);
        assert_eq!(
            json!(change),
            json!({"name": "web", "source": "https://git/web", "revision": "main", "destination": "r.example/web:1",
                "action": "unchanged"})
        );
        let file = PodFileRef {
            step: "files".into(),
            namespace: "n".into(),
            pod: Some("p".into()),
            path: None,
            line: None,
        };
        let change = Change::new(Subject::PodFile(file), Some("one"), Action::Delete);
        assert_eq!(
            json!(change),
            json!({"step": "files", "stage": "one", "namespace": "n", "pod": "p", "path": null, "action": "delete"})
        );
    }

    #[test]
    fn a_title_does_not_repeat_a_revision_that_is_the_commit() {
        let title = |revision: &str, commit: &str| {
            ImageBuild {
                name: "web".into(),
                source: "https://git/web".into(),
                revision: Some(revision.into()),
                commit: Some(commit.into()),
                destination: "r.example/web:1".into(),
                reference: None,
            }
            .to_string()
        };
        assert_eq!(title("main", "abc"), "image web of https://git/web main = abc, to r.example/web:1");
        assert_eq!(title("abc", "abc"), "image web of https://git/web abc, to r.example/web:1");
    }
}
