//! When a request is sent again.
//!
//! kube's `client::retry::RetryPolicy` is not used: it repeats POST too, pauses for minutes, and reports nothing.

use crate::api::request::ApiRequest;
use crate::api::response::ApiResponse;
use crate::api::status::StatusKind;
use rand::Rng as _;
use std::time::Duration;

/// Connection errors, 5xx of a webhook or etcd, and lost answers.
const ATTEMPTS: u32 = 4;
/// 503: a control plane restarts within a minute or two.
const UNAVAILABLE_ATTEMPTS: u32 = 12;
/// 429: the server counts its own load, and refuses before it does anything.
const THROTTLED_ATTEMPTS: u32 = 60;

/// Why a request has no answer.
pub(crate) enum SendError {
    /// Nothing was sent.
    Connect(String),
    /// The server may have carried the request out.
    Lost(String),
    /// The credentials could not be made.
    Auth(String),
}

/// What to do with an outcome that may be tried again.
pub(crate) struct Retry {
    /// How often the request may be sent in all.
    pub(crate) attempts: u32,
    pub(crate) pause: Duration,
    /// The reason, for the progress report.
    pub(crate) reason: String,
}

/// Whether an answer is worth another attempt. One that is not has one attempt.
pub(crate) fn after_response(request: &ApiRequest, response: &ApiResponse, attempt: u32) -> Retry {
    let attempts = match response.status.kind {
        StatusKind::Throttled => THROTTLED_ATTEMPTS,
        StatusKind::Unavailable if request.idempotent => UNAVAILABLE_ATTEMPTS,
        StatusKind::Internal | StatusKind::UnknownOutcome if request.idempotent => ATTEMPTS,
        _ => 1,
    };
    let pause = match response.status.kind {
        StatusKind::Throttled | StatusKind::Unavailable => response.retry_after(),
        _ => backoff(attempt),
    };
    let message = if request.confidential { "" } else { response.status.message.as_str() };
    Retry { attempts, pause, reason: format!("{} {message}", response.code).trim_end().to_owned() }
}

/// After an error before the first byte of an answer.
pub(crate) fn after_error(message: String, attempt: u32) -> Retry {
    Retry { attempts: ATTEMPTS, pause: backoff(attempt), reason: message }
}

/// 0.5 s, doubled up to 4 s, and up to half more.
fn backoff(attempt: u32) -> Duration {
    let base = 0.5 * f64::from(1 << attempt.min(4).saturating_sub(1));
    Duration::from_secs_f64(base * rand::rng().random_range(1.0..1.5))
}
