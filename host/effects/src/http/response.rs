//! What an unsuccessful response means.

use super::client::{Response, origin_of};
use reqwest::Url;
use reqwest::header::LOCATION;
use thinkube_plan::{Diagnostic, ErrorKind, Hint, Untrusted};

/// Why a response is not the expected one. `what` names the step and its request as the plan writes it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ResponseError {
    /// A redirect, which no request of a step follows.
    #[error("{}: the server redirects ({status}) to {}; redirects are not followed", Untrusted(.what), Untrusted(.to))]
    Redirected {
        /// The step, and the request.
        what: String,
        /// The status.
        status: u16,
        /// The origin that it leads to.
        to: String,
    },
    /// 401, though a password was accepted or none was needed.
    #[error("{}: the server does not accept the credentials (401)", Untrusted(.what))]
    Unauthorized {
        /// The step, and the request.
        what: String,
    },
    /// 403.
    #[error("{}: the server forbids this to {} (403)", Untrusted(.what), Untrusted(.username))]
    Forbidden {
        /// The step, and the request.
        what: String,
        /// The user of the request.
        username: String,
    },
    /// 404 for a resource that the request needs: a realm, a parent, an API.
    #[error("{}: the server does not know this path (404)", Untrusted(.what))]
    NotFound {
        /// The step, and the request.
        what: String,
    },
    /// Any other status that is not a success.
    #[error(
        "{}: the server responds with {status}{}", Untrusted(.what),
        message.as_ref().map(|message| format!(": {}", Untrusted(message))).unwrap_or_default()
    )]
    Status {
        /// The step, and the request.
        what: String,
        /// The status.
        status: u16,
        /// The server's message, if it holds no secret.
        message: Option<String>,
    },
    /// The body is not JSON.
    #[error("{}: the response is not JSON", Untrusted(.what))]
    NotJson {
        /// The step, and the request.
        what: String,
    },
}

impl ResponseError {
    /// The error of a response that is not a success. `message` is the part of the body that may be shown.
    pub(crate) fn of(what: &str, response: &Response, username: &str, message: Option<String>) -> Self {
        let what = what.to_owned();
        match response.status {
            300..=399 => {
                let location = response.headers.get(LOCATION).and_then(|value| value.to_str().ok());
                let to = match location.map(Url::parse) {
                    Some(Ok(url)) => origin_of(&url),
                    Some(Err(_)) => "another path".to_owned(),
                    None => "no location".to_owned(),
                };
                Self::Redirected { what, status: response.status, to }
            }
            401 => Self::Unauthorized { what },
            403 => Self::Forbidden { what, username: username.to_owned() },
            404 => Self::NotFound { what },
            status => Self::Status { what, status, message },
        }
    }
}

impl Diagnostic for ResponseError {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::Redirected { .. } => ErrorKind::Redirected,
            Self::Unauthorized { .. } => ErrorKind::Unauthorized,
            Self::Forbidden { .. } => ErrorKind::Forbidden,
            Self::NotFound { .. } => ErrorKind::NotFound,
            Self::Status { .. } => ErrorKind::UnexpectedStatus,
            Self::NotJson { .. } => ErrorKind::UnexpectedResponse,
        }
    }

    fn hint(&self) -> Option<Hint> {
        let advice = match self {
            Self::Redirected { .. } => "ask the plugin's author to correct the URL".to_owned(),
            Self::Forbidden { username, .. } => {
                format!("give {} the right to do this on the server", Untrusted(username))
            }
            Self::NotFound { .. } => "check the URL, and that the resources in its path exist".to_owned(),
            Self::NotJson { .. } => "check the URL: the plan expects another API there".to_owned(),
            Self::Unauthorized { .. } | Self::Status { .. } => return None,
        };
        Some(Hint::Advice(advice))
    }
}
