use crate::CheckOutcome;
use std::path::PathBuf;
use thinkube_cluster::Orphan;
use thinkube_effects::{ExternalError, HttpError, ImageError, WorkstationError};
use thinkube_plan::{Denial, Diagnostic, FailureClass, Fault, ObjectRef, Problem, Query};
use thinkube_validate::SettingFault;

/// Why the path ended early.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file could not be read.
    #[error("cannot read {path}: {source}", path = .path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A plugin's crate could not be built.
    #[error("cannot build the plugin in {path}: {message}", path = .path.display())]
    Build {
        /// The crate's folder.
        path: PathBuf,
        /// What went wrong and what to do.
        message: String,
    },
    /// The sandbox could not load the plugin or ended a call.
    #[error(transparent)]
    Plugin(#[from] thinkube_sandbox::Error),
    /// The plugin's settings schema is no schema.
    #[error(transparent)]
    Schema(#[from] thinkube_validate::Error),
    /// The descriptor breaks a rule of the contract.
    #[error("the plugin's descriptor is not valid: {0}")]
    Descriptor(String),
    /// The release's name cannot be one.
    #[error(
        "`{0}` is not a valid release name: expected a DNS label (RFC 1123) of at most {max} characters",
        max = thinkube_plan::MAX_RELEASE_NAME
    )]
    ReleaseName(String),
    /// The settings are not what the schema wants.
    #[error("the settings are not valid:{}", list(.0))]
    Settings(Vec<SettingFault>),
    /// The plugin has no such operation.
    #[error("the plugin has no operation `{name}`{}", instead(.near.as_deref(), .known))]
    NoOperation {
        /// The name that was given.
        name: String,
        /// The one that was most likely meant.
        near: Option<String>,
        /// Those there are.
        known: Vec<String>,
    },
    /// The arguments are not what the operation's schema wants.
    #[error("the arguments of operation {operation} are not valid:{}", list(.faults))]
    Arguments {
        /// The operation.
        operation: String,
        /// What is wrong, by the arguments' names.
        faults: Vec<SettingFault>,
    },
    /// The plugin itself refuses.
    #[error("the plugin cannot plan: {0}")]
    Problem(Problem),
    /// The plugin asks for facts that nobody can answer here.
    #[error(
        "the plugin needs facts about the cluster:{}\nask a cluster with --cluster, or give a file with --facts",
        list(.0)
    )]
    FactsNeeded(Vec<Query>),
    /// The plugin asks for facts without end.
    #[error("the plugin still asks for facts after {rounds} rounds and {facts} facts; ask for all at once")]
    TooManyFacts {
        /// How often it was asked.
        rounds: usize,
        /// How many facts it had.
        facts: usize,
    },
    /// The plan breaks rules that no cluster could make good.
    #[error("the plan is not valid:{}", list(.0))]
    Invalid(Vec<Fault>),
    /// The plan holds what nobody granted.
    #[error("refused, for nobody granted it:{}\ngrant it in the file given with --grants, or with --grant-requested if the plugin asks for it", list(.0))]
    Denied(Vec<Denial>),
    /// The plugin asks to read what nobody granted.
    #[error("refused: the plugin asks about {0}, and has no permission to read it")]
    QueryDenied(Query),
    /// A secret input has no value.
    #[error(
        "the secret input `{name}` has no value: set the environment variable {env}, or say where it is with --secret {name}=file:PATH ({summary})"
    )]
    SecretMissing {
        /// The input's name.
        name: String,
        /// Where it is read from.
        env: String,
        /// What it is for.
        summary: String,
    },
    /// The cluster side failed.
    #[error(transparent)]
    Cluster(#[from] thinkube_cluster::Error),
    /// Resources are there, outside the cluster, that the release did not make.
    #[error(
        "these are there already, and this release did not make them:{}\nTo take one over, name it: --adopt External/{}",
        external(.0), .0[0].0
    )]
    ExternalNotOwned(Vec<(String, String)>),
    /// An external resource failed.
    #[error(transparent)]
    External(#[from] ExternalError),
    /// A request to an external server failed.
    #[error(transparent)]
    Http(#[from] HttpError),
    /// An image failed.
    #[error(transparent)]
    Image(#[from] ImageError),
    /// Files of a workstation failed.
    #[error(transparent)]
    Workstation(#[from] WorkstationError),
    /// A resource outside the cluster cannot be taken away.
    #[error("{source}\nTo leave it behind, say --orphan External/{step}.")]
    Outside {
        /// The step.
        step: String,
        /// Why.
        source: ExternalError,
    },
    /// What was granted for one namespace would count in another one.
    #[error(
        "release {release} is in namespace {from}, and this would be a plan for namespace {to}, where nothing was granted to it; say --grant-requested if that is meant"
    )]
    Moved {
        /// The release's name.
        release: String,
        /// Where it is.
        from: String,
        /// Where it would be.
        to: String,
    },
    /// Something is to be left behind that the release does not have.
    #[error("the release has no `{name}` to be left behind; it has {}", .known.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "))]
    NothingToOrphan {
        /// What was named.
        name: Orphan,
        /// What there is.
        known: Vec<Orphan>,
    },
    /// A preflight check was named that the plan does not have.
    #[error("there is no preflight check `{name}`; there is all, {}", .known.join(", "))]
    NoPreflight {
        /// The name.
        name: String,
        /// Those there are.
        known: Vec<String>,
    },
    /// The Secret with the login to a registry is not there.
    #[error(
        "image {step}: there is no {secret} of type kubernetes.io/dockerconfigjson to push with; make it with \
         `kubectl create secret docker-registry`"
    )]
    NoLogin {
        /// The step.
        step: String,
        /// The Secret.
        secret: ObjectRef,
    },
    /// The Secret with the login to a registry is not there any more, nor what it was a mirror of.
    #[error(
        "image {step}: there is no {secret} of type kubernetes.io/dockerconfigjson to delete {reference} with; make it with \
         `kubectl create secret docker-registry`, or leave the image in its registry: run this again without --delete-images"
    )]
    NoLoginToDelete {
        /// The step.
        step: String,
        /// The Secret.
        secret: Box<ObjectRef>,
        /// The image.
        reference: String,
    },
    /// The source of an image is no longer what was shown.
    #[error(
        "image {step}: its source was shown as {shown} and is {now} by now; nothing was changed. Run this again and look"
    )]
    ImageMoved {
        /// The step.
        step: String,
        /// The commit of then.
        shown: String,
        /// The commit of now.
        now: String,
    },
    /// The drivers of the host did not compare the objects: a defect of this program.
    #[error("the objects were not compared with the cluster")]
    NotObserved,
    /// Checks failed that had to hold.
    #[error("{phase}: {}", failures(.failed))]
    ChecksFailed {
        /// `preflight`, `health`, or the stage whose gates they are.
        phase: String,
        /// The failed ones.
        failed: Vec<CheckOutcome>,
    },
    /// The plugin given is not the one that made the release.
    #[error("release {release} was made by plugin {expected}, not by {found}; give that file")]
    OtherPlugin {
        /// The release.
        release: String,
        /// The digest on record.
        expected: thinkube_plan::Digest,
        /// The digest of the file given.
        found: thinkube_plan::Digest,
    },
    /// The person interrupted it.
    #[error("interrupted{}", if *.recorded { "; the release record says how far it came, and the same command finishes it" } else { "" })]
    Interrupted {
        /// Whether something was begun, and the record says so.
        recorded: bool,
    },
}

/// What kind of failure an error is: one exit code each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Class {
    /// The cluster or the machine.
    Failure,
    /// What the person or the plugin's author wrote.
    Input,
    /// A rule that refuses.
    Refused,
    /// The plugin broke.
    Plugin,
    /// A check does not hold.
    Check,
    /// Ctrl-C.
    Interrupted,
}

impl Error {
    /// The class of this error.
    pub fn class(&self) -> Class {
        match self {
            Self::Cluster(error) => class_of(error),
            Self::External(error) | Self::Outside { source: error, .. } => class_of(error),
            Self::Http(error) => class_of(error),
            Self::Image(error) => class_of(error),
            Self::Workstation(error) => class_of(error),
            Self::NoLogin { .. } | Self::NoLoginToDelete { .. } => Class::Input,
            Self::ExternalNotOwned(_) => Class::Refused,
            Self::Build { .. } | Self::NotObserved | Self::ImageMoved { .. } => Class::Failure,
            Self::Read { .. }
            | Self::Settings(_)
            | Self::NoOperation { .. }
            | Self::Arguments { .. }
            | Self::ReleaseName(_)
            | Self::Problem(_)
            | Self::FactsNeeded(_)
            | Self::SecretMissing { .. }
            | Self::NoPreflight { .. }
            | Self::NothingToOrphan { .. }
            | Self::OtherPlugin { .. } => Class::Input,
            Self::Denied(_) | Self::QueryDenied(_) | Self::Moved { .. } => Class::Refused,
            Self::Plugin(_)
            | Self::Schema(_)
            | Self::Descriptor(_)
            | Self::TooManyFacts { .. }
            | Self::Invalid(_) => Class::Plugin,
            Self::ChecksFailed { .. } => Class::Check,
            Self::Interrupted { .. } => Class::Interrupted,
        }
    }

    /// A stable name for programs.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Read { .. } => "read",
            Self::Build { .. } => "build",
            Self::Plugin(error) => error.kind().as_str(),
            Self::Schema(_) => "settings-schema",
            Self::Descriptor(_) => "descriptor",
            Self::ReleaseName(_) => "release-name",
            Self::Settings(_) => "settings",
            Self::NoOperation { .. } => "no-operation",
            Self::Arguments { .. } => "arguments",
            Self::Problem(_) => "problem",
            Self::FactsNeeded(_) => "facts-needed",
            Self::TooManyFacts { .. } => "too-many-facts",
            Self::Invalid(_) => "invalid-plan",
            Self::Denied(_) => "denied",
            Self::QueryDenied(_) => "query-denied",
            Self::Moved { .. } => "moved",
            Self::SecretMissing { .. } => "secret-missing",
            Self::Cluster(error) => error.kind().as_str(),
            Self::External(error) | Self::Outside { source: error, .. } => error.kind().as_str(),
            Self::Http(error) => error.kind().as_str(),
            Self::Image(error) => error.kind().as_str(),
            Self::Workstation(error) => error.kind().as_str(),
            Self::NoLogin { .. } | Self::NoLoginToDelete { .. } => "registry-login",
            Self::ImageMoved { .. } => "image-moved",
            Self::ExternalNotOwned(_) => "not-owned",
            Self::NoPreflight { .. } => "no-preflight",
            Self::NothingToOrphan { .. } => "nothing-to-leave",
            Self::NotObserved => "host",
            Self::ChecksFailed { .. } => "checks-failed",
            Self::OtherPlugin { .. } => "other-plugin",
            Self::Interrupted { .. } => "interrupted",
        }
    }
}

fn class_of(error: &impl Diagnostic) -> Class {
    match error.kind().class() {
        FailureClass::Environment => Class::Failure,
        FailureClass::Input => Class::Input,
        FailureClass::Refused => Class::Refused,
        FailureClass::Plugin => Class::Plugin,
        FailureClass::Check => Class::Check,
        FailureClass::Interrupted => Class::Interrupted,
    }
}

fn instead(near: Option<&str>, known: &[String]) -> String {
    match (near, known) {
        (Some(near), _) => format!("; did you mean `{near}`?"),
        (None, []) => "; it has none".to_owned(),
        (None, known) => format!("; it has {}", known.join(", ")),
    }
}

fn list<T: ToString>(items: &[T]) -> String {
    items.iter().map(|item| format!("\n  {}", item.to_string())).collect()
}

fn external(resources: &[(String, String)]) -> String {
    resources.iter().map(|(name, base_url)| format!("\n  {name} at {base_url}")).collect()
}

fn failures(failed: &[CheckOutcome]) -> String {
    let noun = if failed.len() == 1 { "a check does not hold" } else { "checks do not hold" };
    let lines = failed.iter().map(|outcome| {
        let remedy = outcome.remedy().map(|remedy| format!("\n    {remedy}")).unwrap_or_default();
        format!("\n  {}: {}{remedy}", outcome.name, outcome.verdict.message)
    });
    format!("{noun}{}", lines.collect::<String>())
}
