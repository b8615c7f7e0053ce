//! The error of the engine. Its message says what is wrong and where; the advice is a [`Hint`].

use crate::outcome::CheckOutcome;
use std::path::PathBuf;
use thinkube_cluster::Orphan;
use thinkube_effects::{ExternalError, HttpError, ImageError, WorkstationError};
use thinkube_plan::{Denial, Diagnostic, ErrorKind, Fault, Hint, ObjectRef, Problem, Query};
use thinkube_validate::SettingFault;

/// Why the path ended early.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file could not be read.
    #[error("cannot read {path}: {source}", path = .path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The reason that the system gave.
        source: std::io::Error,
    },
    /// A plugin's crate could not be built.
    #[error("cannot build the plugin in {path}: {message}", path = .path.display())]
    Build {
        /// The crate's folder.
        path: PathBuf,
        /// The reason.
        message: String,
    },
    /// The sandbox could not load the plugin or ended a call.
    #[error(transparent)]
    Plugin(#[from] thinkube_sandbox::Error),
    /// The plugin's settings schema is not a valid JSON Schema.
    #[error(transparent)]
    Schema(#[from] thinkube_validate::Error),
    /// The descriptor breaks a rule of the contract.
    #[error("the plugin's descriptor is not valid: {0}")]
    Descriptor(String),
    /// The release's name is not a valid one.
    #[error(
        "`{0}` is not a valid release name: expected a DNS label (RFC 1123) of at most {max} characters",
        max = thinkube_plan::MAX_RELEASE_NAME
    )]
    ReleaseName(String),
    /// The settings do not match the plugin's schema.
    #[error("the settings are not valid:{}", list(.0))]
    Settings(Vec<SettingFault>),
    /// The plugin has no such operation.
    #[error("the plugin has no operation `{name}`{}", instead(.near.as_deref(), .known))]
    NoOperation {
        /// The name that was given.
        name: String,
        /// The known name that is most like it.
        near: Option<String>,
        /// The operations of the plugin.
        known: Vec<String>,
    },
    /// The arguments do not match the operation's schema.
    #[error("the arguments of operation {operation} are not valid:{}", list(.faults))]
    Arguments {
        /// The operation.
        operation: String,
        /// The faults, each with the path of the argument.
        faults: Vec<SettingFault>,
    },
    /// The plugin refuses to plan.
    #[error("the plugin cannot plan: {0}")]
    Problem(Problem),
    /// The plugin asks for facts that were not given, and there is no cluster to ask.
    #[error(
        "the plugin needs facts about the cluster:{}",
        list(.0)
    )]
    FactsNeeded(Vec<Query>),
    /// The plugin asked for too many facts, too often, or again for those that it has.
    #[error("the plugin still asks for facts after {rounds} rounds and {facts} facts; ask for all at once")]
    TooManyFacts {
        /// How often the plugin was asked.
        rounds: usize,
        /// How many facts the plugin had.
        facts: usize,
    },
    /// The plan breaks rules that hold on every cluster.
    #[error("the plan is not valid:{}", list(.0))]
    Invalid(Vec<Fault>),
    /// The plan needs permissions that the operator did not grant.
    #[error("denied: these permissions are not granted:{}", list(.0))]
    Denied(Vec<Denial>),
    /// The plugin asks for a fact that it has no permission to read.
    #[error("refused: the plugin asks about {0}, and has no permission to read it")]
    QueryDenied(Query),
    /// A secret input has no value.
    #[error("the secret input `{name}` ({summary}) has no value")]
    SecretMissing {
        /// The input's name.
        name: String,
        /// The environment variable that it is read from.
        env: String,
        /// Its purpose, in the plugin's words.
        summary: String,
    },
    /// The cluster side failed.
    #[error(transparent)]
    Cluster(#[from] thinkube_cluster::Error),
    /// External resources exist that the release did not create: (step, base URL).
    #[error(
        "these external resources exist already, and this release did not create them:{}",
        external(.0)
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
    /// An external resource could not be deleted.
    #[error("cannot delete the external resource of step {step}: {source}")]
    Outside {
        /// The step.
        step: String,
        /// The reason.
        source: ExternalError,
    },
    /// The plan is for another namespace than the release's, and the grants on record are for that one only.
    #[error(
        "release {release} is in namespace {from}, and this would be a plan for namespace {to}, where nothing was granted to it"
    )]
    Moved {
        /// The release's name.
        release: String,
        /// The namespace on record.
        from: String,
        /// The namespace of the plan.
        to: String,
    },
    /// The release does not have the resource that is to be left in place.
    #[error("the release has no `{name}` to be left behind; it has {}", .known.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "))]
    NothingToOrphan {
        /// The resource that was named.
        name: Orphan,
        /// The resources of the release.
        known: Vec<Orphan>,
    },
    /// The plan has no preflight check of this name.
    #[error("unknown preflight check `{name}`; expected one of: all, {}", .known.join(", "))]
    NoPreflight {
        /// The name that was given.
        name: String,
        /// The preflight checks of the plan.
        known: Vec<String>,
    },
    /// The Secret with the login to a registry does not exist, or has another type.
    #[error("image {step}: there is no {secret} of type kubernetes.io/dockerconfigjson to push with")]
    NoLogin {
        /// The step.
        step: String,
        /// The Secret.
        secret: ObjectRef,
    },
    /// The Secret with the login to a registry no longer exists, nor does the Secret that it mirrored.
    #[error(
        "image {step}: there is no {secret} of type kubernetes.io/dockerconfigjson to delete {reference} with"
    )]
    NoLoginToDelete {
        /// The step.
        step: String,
        /// The Secret.
        secret: Box<ObjectRef>,
        /// The image.
        reference: String,
    },
    /// The source of an image changed after the preview.
    #[error("image {step}: the source changed after the preview ({shown} → {now}); nothing was changed")]
    ImageMoved {
        /// The step.
        step: String,
        /// The commit in the preview.
        shown: String,
        /// The present commit.
        now: String,
    },
    /// No driver compared the objects with the cluster: a defect of the host.
    #[error("the objects were not compared with the cluster")]
    NotObserved,
    /// Required checks do not hold.
    #[error("{phase}: {}", failures(.failed))]
    ChecksFailed {
        /// `preflight`, `health`, or the stage whose gates they are.
        phase: String,
        /// The checks that do not hold.
        failed: Vec<CheckOutcome>,
    },
    /// Another plugin made the release.
    #[error("release {release} was made by plugin {expected}, not by {found}")]
    OtherPlugin {
        /// The release.
        release: String,
        /// The digest of the plugin on record.
        expected: thinkube_plan::Digest,
        /// The digest of the given plugin.
        found: thinkube_plan::Digest,
    },
    /// The operator interrupted the run.
    #[error("interrupted{}", if *.recorded { "; the release record says how far the run came" } else { "" })]
    Interrupted {
        /// Whether the run had begun to write, and the record has how far it came.
        recorded: bool,
    },
}

impl Diagnostic for Error {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::Read { .. } => ErrorKind::Read,
            Self::Build { .. } => ErrorKind::Build,
            Self::Plugin(error) => error.kind(),
            Self::Schema(error) => error.kind(),
            Self::Descriptor(_) => ErrorKind::Descriptor,
            Self::ReleaseName(_) => ErrorKind::ReleaseName,
            Self::Settings(_) => ErrorKind::Settings,
            Self::NoOperation { .. } => ErrorKind::NoOperation,
            Self::Arguments { .. } => ErrorKind::Arguments,
            Self::Problem(_) => ErrorKind::Problem,
            Self::FactsNeeded(_) => ErrorKind::FactsNeeded,
            Self::TooManyFacts { .. } => ErrorKind::TooManyFacts,
            Self::Invalid(_) => ErrorKind::InvalidPlan,
            Self::Denied(_) => ErrorKind::Denied,
            Self::QueryDenied(_) => ErrorKind::QueryDenied,
            Self::Moved { .. } => ErrorKind::Moved,
            Self::SecretMissing { .. } => ErrorKind::SecretMissing,
            Self::Cluster(error) => error.kind(),
            Self::External(error) | Self::Outside { source: error, .. } => error.kind(),
            Self::Http(error) => error.kind(),
            Self::Image(error) => error.kind(),
            Self::Workstation(error) => error.kind(),
            Self::NoLogin { .. } | Self::NoLoginToDelete { .. } => ErrorKind::RegistryLogin,
            Self::ImageMoved { .. } => ErrorKind::ImageMoved,
            Self::ExternalNotOwned(_) => ErrorKind::NotOwned,
            Self::NoPreflight { .. } => ErrorKind::NoPreflight,
            Self::NothingToOrphan { .. } => ErrorKind::NothingToOrphan,
            Self::NotObserved => ErrorKind::Host,
            Self::ChecksFailed { .. } => ErrorKind::ChecksFailed,
            Self::OtherPlugin { .. } => ErrorKind::OtherPlugin,
            Self::Interrupted { .. } => ErrorKind::Interrupted,
        }
    }

    fn hint(&self) -> Option<Hint> {
        let advice = |text: &str| Some(Hint::Advice(text.to_owned()));
        match self {
            Self::FactsNeeded(_) => Some(Hint::GiveFacts),
            Self::Denied(_) => Some(Hint::Grant),
            Self::Moved { .. } => Some(Hint::GrantAgain),
            Self::SecretMissing { name, env, .. } => {
                Some(Hint::SupplySecret { input: name.clone(), env: env.clone() })
            }
            Self::ExternalNotOwned(resources) => {
                resources.first().map(|(name, _)| Hint::Adopt(format!("External/{name}")))
            }
            Self::Outside { step, .. } => Some(Hint::Orphan(format!("External/{step}"))),
            Self::NoLogin { .. } => advice("create it with `kubectl create secret docker-registry`"),
            Self::NoLoginToDelete { .. } => Some(Hint::KeepImages),
            Self::ImageMoved { .. } => advice("run the same command again, and review the new plan"),
            Self::OtherPlugin { .. } => advice("give the plugin that made the release"),
            Self::Interrupted { recorded: true } => advice("run the same command again to go on"),
            Self::Plugin(error) => error.hint(),
            Self::Schema(error) => error.hint(),
            Self::Cluster(error) => error.hint(),
            Self::External(error) => error.hint(),
            Self::Http(error) => error.hint(),
            Self::Image(error) => error.hint(),
            Self::Workstation(error) => error.hint(),
            Self::Read { .. }
            | Self::Build { .. }
            | Self::Descriptor(_)
            | Self::ReleaseName(_)
            | Self::Settings(_)
            | Self::NoOperation { .. }
            | Self::Arguments { .. }
            | Self::Problem(_)
            | Self::TooManyFacts { .. }
            | Self::Invalid(_)
            | Self::QueryDenied(_)
            | Self::NoPreflight { .. }
            | Self::NothingToOrphan { .. }
            | Self::NotObserved
            | Self::ChecksFailed { .. }
            | Self::Interrupted { recorded: false } => None,
        }
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
