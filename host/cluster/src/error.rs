use crate::release::record::Phase;
use std::fmt::{self, Write as _};
use std::time::Duration;
use thinkube_plan::ObjectRef;

/// Why the cluster could not do what was asked. Every message says what, where, and what to do.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// There is no kubeconfig.
    #[error("there is no kubeconfig at {path}: name one with --kubeconfig or KUBECONFIG")]
    NoKubeconfig {
        /// Where it was looked for.
        path: String,
    },
    /// The kubeconfig cannot be used.
    #[error("the kubeconfig {path} cannot be used: {message}")]
    Kubeconfig {
        /// Which one.
        path: String,
        /// What is wrong with it.
        message: String,
    },
    /// The API server does not answer.
    #[error(
        "the API server {server} cannot be reached: {message}; check that it runs, and that the kubeconfig's \
         context is the one that you mean"
    )]
    Unreachable {
        /// Its URL.
        server: String,
        /// What the connection said.
        message: String,
    },
    /// The API server does not know who is asking.
    #[error("the API server {server} does not accept the credentials of the kubeconfig: {message}")]
    Unauthorized {
        /// Its URL.
        server: String,
        /// What it said.
        message: String,
    },
    /// RBAC forbids it.
    #[error(fmt = forbidden)]
    Forbidden {
        /// The verb: `create`, `patch`, …
        verb: String,
        /// The resource: `deployments.apps`.
        resource: String,
        /// None for cluster-scoped resources and for all namespaces.
        namespace: Option<String>,
        /// Who was refused, if the server said so.
        user: Option<String>,
    },
    /// The cluster does not have such a kind.
    #[error(
        "{object}: the cluster does not serve {api_version} {kind}; install what brings it, or choose a version \
         that `kubectl api-resources` lists"
    )]
    NotServed {
        /// What wants it.
        object: String,
        /// Group and version.
        api_version: String,
        /// The kind.
        kind: String,
    },
    /// The cluster cannot say whether it has a kind, so nobody can say what became of an object.
    #[error(
        "{object}: what serves {} does not answer, so whether it is still there cannot be seen; `kubectl get \
         apiservices` names what is not available. Run this again when it is", object.api_version
    )]
    Undiscovered {
        /// The object.
        object: Box<ObjectRef>,
    },
    /// A plan that cannot be applied, found before anything was asked of the server.
    #[error("stage {stage}, {object}: {message}")]
    Invalid {
        /// The stage.
        stage: String,
        /// The object or step.
        object: String,
        /// What is wrong and what is expected.
        message: String,
    },
    /// The server refuses an object for what it says.
    #[error("{object}: the server refuses it ({status}): {message}")]
    Rejected {
        /// The object.
        object: Box<ObjectRef>,
        /// The HTTP status.
        status: u16,
        /// The fields that the server names.
        fields: Vec<String>,
        /// What the server said. Never of a Secret: it could quote a value.
        message: String,
    },
    /// An admission policy refuses an object.
    #[error("{object}: an admission policy of the cluster refuses it: {message}")]
    Denied {
        /// The object.
        object: Box<ObjectRef>,
        /// What the policy said.
        message: String,
    },
    /// A field of the object cannot be changed.
    #[error(
        "{object}: {} cannot be changed once it is set; delete the object by hand, or have the plugin declare it \
         `on-change: recreate`", fields.join(", ")
    )]
    Immutable {
        /// The object.
        object: Box<ObjectRef>,
        /// Which fields.
        fields: Vec<String>,
    },
    /// Other managers hold fields that the plan sets.
    #[error(fmt = conflict)]
    Conflict {
        /// The object.
        object: Box<ObjectRef>,
        /// Which fields, and who holds them.
        fields: Vec<FieldConflict>,
    },
    /// Objects are there that the release does not own.
    #[error(fmt = not_owned)]
    NotOwned {
        /// The release.
        release: String,
        /// Each with what is known of its owner.
        objects: Vec<(ObjectRef, String)>,
    },
    /// A namespace goes away.
    #[error(
        "namespace {namespace} is being deleted; nothing was changed. Wait until it is gone and run this again; if it \
         stays, `kubectl get namespace {namespace} -o yaml` names in its conditions what holds it"
    )]
    Terminating {
        /// Which one.
        namespace: String,
    },
    /// A namespace is neither there nor made by the plan.
    #[error("namespace {namespace} does not exist and the plan does not make it, but {object} goes there")]
    NoNamespace {
        /// Which one.
        namespace: String,
        /// The first object that needs it.
        object: Box<ObjectRef>,
    },
    /// Another host works on the release.
    #[error(
        "release {release} is being worked on by {holder} since {since}; nothing was changed. Wait for it; if it \
         died, its claim ends by itself within a minute"
    )]
    Busy {
        /// The release.
        release: String,
        /// Who.
        holder: String,
        /// RFC 3339.
        since: String,
    },
    /// Somebody changed what this host was about to change.
    #[error("{what} was changed by somebody else in the meantime; run this again")]
    LostRace {
        /// What.
        what: String,
    },
    /// There is no such release.
    #[error(fmt = no_release)]
    NoRelease {
        /// The name that was given.
        release: String,
        /// Where releases are kept.
        state_namespace: String,
        /// Names that are there, the nearest first.
        near: Vec<String>,
    },
    /// The last apply has not ended well, or an uninstall has begun.
    #[error("release {release} is {phase}: an operation begins on one that is deployed; apply it first")]
    Unfinished {
        /// The release.
        release: String,
        /// How far it is.
        phase: Phase,
    },
    /// Objects of a stage do not become ready.
    #[error(fmt = not_ready)]
    NotReady {
        /// The stage.
        stage: String,
        /// How long was waited.
        after: Duration,
        /// Whether one has failed for good.
        failed: bool,
        /// Each with the reasons, the most telling first.
        objects: Vec<(ObjectRef, Vec<String>)>,
    },
    /// Objects do not go away.
    #[error(fmt = not_gone)]
    NotGone {
        /// How long was waited.
        after: Duration,
        /// Each with what holds it.
        objects: Vec<(ObjectRef, String)>,
    },
    /// A secret input was not supplied.
    #[error(
        "stage {stage}, {object}: the secret input `{input}` was not supplied, and its key `{key}` is made from it"
    )]
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
    /// No program could be run in a container.
    #[error(
        "nothing can be run in {container}: {message}. Files can only be written into a container that has `sh` and the \
         usual programs of POSIX; have the plugin name such a container, or mount the files instead"
    )]
    NoShell {
        /// The container and its pod.
        container: String,
        /// What the node said.
        message: String,
    },
    /// Nothing is known of a container: its node, or the way there, does not answer.
    #[error("{container} does not answer: {message}. Run this again when its node does")]
    NoAnswer {
        /// The container and its pod.
        container: String,
        /// What was said.
        message: String,
    },
    /// A file in a container could not be looked at or written.
    #[error("{container}: {path}: {message}")]
    PodFile {
        /// The container and its pod.
        container: String,
        /// The file.
        path: String,
        /// What the container's programs said.
        message: String,
    },
    /// What a release has in pods cannot be taken out.
    #[error("pod files {step}: {source}\nTo leave behind what is in the pods, say --orphan PodFiles/{step}.")]
    InPods {
        /// The step.
        step: String,
        /// Why.
        source: Box<Error>,
    },
    /// A plan asks for something that this host cannot do.
    #[error("{what}: this host cannot {cannot} yet")]
    Unsupported {
        /// Where: stage and step, or check.
        what: String,
        /// What it cannot do.
        cannot: String,
    },
    /// The release's record cannot be read.
    #[error("the record of release {release} ({what}) cannot be read: {message}")]
    Corrupt {
        /// The release.
        release: String,
        /// Which part.
        what: String,
        /// What is wrong with it.
        message: String,
    },
    /// Any other refusal of the server.
    #[error("{what}: the server answers {status}{}: {message}", reason.as_deref().map(|r| format!(" {r}")).unwrap_or_default())]
    Api {
        /// What was asked.
        what: String,
        /// The HTTP status.
        status: u16,
        /// The reason of the `Status`, if there was one.
        reason: Option<String>,
        /// What the server said.
        message: String,
    },
    /// Several things failed at once.
    #[error(fmt = several)]
    Several(Vec<Error>),
}

/// A field that somebody else holds.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub struct FieldConflict {
    /// The field, as the server writes it: `.spec.replicas`.
    pub field: String,
    /// Who holds it: `kubectl (subresource scale)`.
    pub manager: String,
}

impl Error {
    /// A stable name for programs. Of several errors of one kind it is that kind.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::NoKubeconfig { .. } => "no-kubeconfig",
            Self::Kubeconfig { .. } => "kubeconfig",
            Self::Unreachable { .. } => "unreachable",
            Self::Unauthorized { .. } => "unauthorized",
            Self::Forbidden { .. } => "forbidden",
            Self::NotServed { .. } => "not-served",
            Self::Undiscovered { .. } => "undiscovered",
            Self::Invalid { .. } => "invalid",
            Self::Rejected { .. } => "rejected",
            Self::Denied { .. } => "denied",
            Self::Immutable { .. } => "immutable",
            Self::Conflict { .. } => "conflict",
            Self::NotOwned { .. } => "not-owned",
            Self::Terminating { .. } => "terminating",
            Self::NoNamespace { .. } => "no-namespace",
            Self::Busy { .. } => "busy",
            Self::LostRace { .. } => "lost-race",
            Self::NoRelease { .. } => "no-release",
            Self::Unfinished { .. } => "unfinished",
            Self::NotReady { .. } => "not-ready",
            Self::NotGone { .. } => "not-gone",
            Self::MissingInput { .. } => "missing-input",
            Self::NoShell { .. } => "no-shell",
            Self::NoAnswer { .. } => "no-answer",
            Self::PodFile { .. } => "pod-file",
            Self::InPods { source, .. } => source.kind(),
            Self::Unsupported { .. } => "unsupported",
            Self::Corrupt { .. } => "corrupt",
            Self::Api { .. } => "api",
            Self::Several(errors) => match errors.split_first() {
                Some((first, others)) if others.iter().all(|other| other.kind() == first.kind()) => {
                    first.kind()
                }
                _ => "several",
            },
        }
    }

    /// Whether it is a container in which nothing can be done now, not somebody's right or the cluster.
    pub(crate) fn is_of_container(&self) -> bool {
        self.is_for_good() || matches!(self, Self::NoAnswer { .. })
    }

    /// Whether it is a container in which nothing ever can.
    pub(crate) fn is_for_good(&self) -> bool {
        matches!(self, Self::NoShell { .. } | Self::PodFile { .. })
    }

    /// With the way out of an uninstall that cannot get into pods.
    pub(crate) fn in_pods(self, step: &str) -> Self {
        Self::InPods { step: step.to_owned(), source: Box::new(self) }
    }

    /// One error for many; the one itself if there is only one.
    pub(crate) fn several(mut errors: Vec<Error>) -> Result<(), Error> {
        match errors.len() {
            0 => Ok(()),
            1 => Err(errors.remove(0)),
            _ => Err(Error::Several(errors)),
        }
    }
}

fn forbidden(
    verb: &str,
    resource: &str,
    namespace: &Option<String>,
    user: &Option<String>,
    f: &mut fmt::Formatter<'_>,
) -> fmt::Result {
    let who = user.as_deref().unwrap_or("the kubeconfig's user");
    let scope =
        namespace.as_deref().map_or("in the whole cluster".to_owned(), |ns| format!("in namespace {ns}"));
    let role = if namespace.is_some() { "Role" } else { "ClusterRole" };
    let (plural, group) = match resource.split_once('.') {
        Some((plural, group)) => (plural, format!("API group `{group}`")),
        None => (resource, "the core API group (`\"\"`)".to_owned()),
    };
    write!(
        f,
        "{who} may not {verb} {resource} {scope}: have a {role} grant it the verb `{verb}` on `{plural}` in {group}"
    )
}

fn conflict(object: &ObjectRef, fields: &[FieldConflict], f: &mut fmt::Formatter<'_>) -> fmt::Result {
    write!(f, "{object}: others hold fields that the plan sets, and nothing is forced:")?;
    let width = fields.iter().map(|conflict| conflict.field.len()).max().unwrap_or(0);
    for conflict in fields {
        write!(f, "\n  {:width$}  held by {}", conflict.field, conflict.manager)?;
    }
    f.write_str("\nHave the other manager give the field up, or leave it out of the plan.")
}

fn not_owned(release: &str, objects: &[(ObjectRef, String)], f: &mut fmt::Formatter<'_>) -> fmt::Result {
    write!(f, "objects are there that release {release} does not own; nothing was changed:")?;
    for (object, owner) in objects {
        write!(f, "\n  {object} ({owner})")?;
    }
    // What another release has is not to be deleted either: its release would only make it again.
    let others = objects.iter().filter(|(_, owner)| owner.starts_with(OTHERS)).count();
    if others > 0 {
        f.write_str(
            "\nWhat another release has can only be had under another name, or after that release no longer has it.",
        )?;
    }
    let Some((object, _)) = objects.iter().find(|(_, owner)| !owner.starts_with(OTHERS)) else {
        return Ok(());
    };
    let rest = if others > 0 { "the others" } else { "them" };
    let namespace = object.namespace.as_deref().map(|ns| format!("{ns}/")).unwrap_or_default();
    write!(
        f,
        "\nDelete or rename {rest}, or take one over with --adopt {}/{namespace}{}.",
        object.kind, object.name
    )
}

/// How the reason begins for an object that cannot be taken over.
pub(crate) const OTHERS: &str = "it belongs to another release";

fn no_release(
    release: &str,
    state_namespace: &str,
    near: &[String],
    f: &mut fmt::Formatter<'_>,
) -> fmt::Result {
    write!(f, "there is no release `{release}` in namespace {state_namespace}")?;
    if near.is_empty() {
        f.write_str("; there is none at all")
    } else {
        write!(f, "; there is {}", near.join(", "))
    }
}

fn not_ready(
    stage: &str,
    after: &Duration,
    failed: &bool,
    objects: &[(ObjectRef, Vec<String>)],
    f: &mut fmt::Formatter<'_>,
) -> fmt::Result {
    let how = if *failed { "failed" } else { "is not ready" };
    write!(f, "stage {stage} {how} after {} s:", after.as_secs())?;
    for (object, reasons) in objects {
        write!(f, "\n  {object}")?;
        for (index, reason) in reasons.iter().enumerate() {
            if index == 0 { write!(f, ": {reason}")? } else { write!(f, "\n    {reason}")? }
        }
    }
    Ok(())
}

fn not_gone(after: &Duration, objects: &[(ObjectRef, String)], f: &mut fmt::Formatter<'_>) -> fmt::Result {
    write!(f, "still there {} s after its deletion was asked for:", after.as_secs())?;
    for (object, why) in objects {
        write!(f, "\n  {object}: {why}")?;
    }
    f.write_str("\nThe release's record is kept: run the same command again to go on.")
}

fn several(errors: &[Error], f: &mut fmt::Formatter<'_>) -> fmt::Result {
    write!(f, "{} things failed:", errors.len())?;
    for error in errors {
        let mut text = String::new();
        write!(text, "{error}")?;
        write!(f, "\n- {}", text.replace('\n', "\n  "))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_can_be_adopted_is_proposed_for_it() {
        let object = |name: &str| ObjectRef {
            api_version: "v1".into(),
            kind: "ConfigMap".into(),
            namespace: Some("n".into()),
            name: name.into(),
        };
        let objects = vec![(object("a"), format!("{OTHERS}: b"))];
        let said = |objects| Error::NotOwned { release: "r".into(), objects }.to_string();
        assert!(!said(objects.clone()).contains("--adopt"), "{}", said(objects));
        let objects = vec![objects[0].clone(), (object("c"), "made with kubectl".into())];
        assert!(said(objects.clone()).ends_with("--adopt ConfigMap/n/c."), "{}", said(objects));
    }
}
