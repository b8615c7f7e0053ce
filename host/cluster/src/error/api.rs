//! Why a request to the API server has no usable answer.

use std::fmt;
use thinkube_plan::{Diagnostic, ErrorKind, Hint, ObjectRef};

/// Why a request to the API server has no usable answer.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ApiError {
    /// No kubeconfig exists.
    #[error("no kubeconfig at {path}")]
    NoKubeconfig {
        /// The path that was read.
        path: String,
    },
    /// The kubeconfig is not usable.
    #[error("cannot use the kubeconfig {path}: {message}")]
    Kubeconfig {
        /// The path that was read.
        path: String,
        /// What is wrong with it.
        message: String,
    },
    /// The API server does not answer.
    #[error("cannot reach the API server {server}: {message}")]
    Unreachable {
        /// Its URL.
        server: String,
        /// The innermost error of the connection.
        message: String,
    },
    /// The API server does not accept the credentials.
    #[error("the API server {server} does not accept the credentials of the kubeconfig: {message}")]
    Unauthorized {
        /// Its URL.
        server: String,
        /// What it answered.
        message: String,
    },
    /// RBAC forbids the request.
    #[error(fmt = forbidden)]
    Forbidden {
        /// The verb: `create`, `patch`, …
        verb: String,
        /// The resource: `deployments.apps`.
        resource: String,
        /// None for cluster-scoped resources and for all namespaces.
        namespace: Option<String>,
        /// The user that RBAC refuses, where the server names it.
        user: Option<String>,
    },
    /// Discovery is incomplete: the server that serves the kind does not answer.
    #[error("{object}: cannot tell whether it exists, because the server of {} does not answer", object.api_version)]
    Undiscovered {
        /// The object.
        object: Box<ObjectRef>,
    },
    /// The namespace is being deleted.
    #[error("namespace {namespace} is being deleted; nothing was changed")]
    Terminating {
        /// Its name.
        namespace: String,
    },
    /// The object changed between the read and the write.
    #[error("{what} was changed by another client in the meantime")]
    LostRace {
        /// The object or the request.
        what: String,
    },
    /// The name is not a valid name of an object.
    #[error("`{name}` is not a valid name of a {kind}")]
    InvalidName {
        /// What has the name: a kind.
        kind: String,
        /// The name.
        name: String,
    },
    /// A namespaced object has no namespace.
    #[error("{object}: its kind is namespaced, and it has no namespace")]
    NamespaceMissing {
        /// The object.
        object: Box<ObjectRef>,
    },
    /// Any other answer than success.
    #[error("{what}: the server answers {code}{}: {message}", reason.as_deref().map(|reason| format!(" {reason}")).unwrap_or_default())]
    Unexpected {
        /// The request.
        what: String,
        /// The HTTP status.
        code: u16,
        /// The reason of the `Status`.
        reason: Option<String>,
        /// The message of the `Status`, or the begin of the body.
        message: String,
    },
}

impl Diagnostic for ApiError {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::NoKubeconfig { .. } => ErrorKind::NoKubeconfig,
            Self::Kubeconfig { .. } => ErrorKind::Kubeconfig,
            Self::Unreachable { .. } => ErrorKind::Unreachable,
            Self::Unauthorized { .. } => ErrorKind::Unauthorized,
            Self::Forbidden { .. } => ErrorKind::Forbidden,
            Self::Undiscovered { .. } => ErrorKind::Undiscovered,
            Self::Terminating { .. } => ErrorKind::Terminating,
            Self::LostRace { .. } => ErrorKind::LostRace,
            Self::InvalidName { .. } | Self::NamespaceMissing { .. } => ErrorKind::InvalidPlan,
            Self::Unexpected { .. } => ErrorKind::Api,
        }
    }

    fn hint(&self) -> Option<Hint> {
        let advice = |text: String| Some(Hint::Advice(text));
        match self {
            Self::NoKubeconfig { .. } => Some(Hint::NameKubeconfig),
            Self::Unreachable { .. } => advice(
                "check that the server runs, and that the kubeconfig's context is the one that you mean"
                    .into(),
            ),
            Self::Forbidden { verb, resource, namespace, .. } => {
                advice(missing_rule(verb, resource, namespace.as_deref()))
            }
            Self::Undiscovered { .. } => advice(
                "`kubectl get apiservices` names the API that is not available; run this again when it is"
                    .into(),
            ),
            Self::Terminating { namespace } => advice(format!(
                "run this again when the namespace is deleted; if it stays, the conditions in \
                 `kubectl get namespace {namespace} -o yaml` name what blocks its deletion"
            )),
            Self::LostRace { .. } => advice("run this again".into()),
            Self::Kubeconfig { .. }
            | Self::Unauthorized { .. }
            | Self::InvalidName { .. }
            | Self::NamespaceMissing { .. }
            | Self::Unexpected { .. } => None,
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
    let user = user.as_deref().unwrap_or("the kubeconfig's user");
    let scope = namespace
        .as_deref()
        .map_or("in the whole cluster".to_owned(), |namespace| format!("in namespace {namespace}"));
    write!(f, "{user} may not {verb} {resource} {scope}")
}

/// The rule that RBAC needs, as a person writes it into a Role.
fn missing_rule(verb: &str, resource: &str, namespace: Option<&str>) -> String {
    let role = if namespace.is_some() { "Role" } else { "ClusterRole" };
    let (plural, group) = match resource.split_once('.') {
        Some((plural, group)) => (plural, format!("API group `{group}`")),
        None => (resource, "the core API group (`\"\"`)".to_owned()),
    };
    format!("have a {role} grant the verb `{verb}` on `{plural}` in {group}")
}
