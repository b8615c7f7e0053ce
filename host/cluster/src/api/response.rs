//! One answer of the API server, and what its headers say.

use crate::api::status::ApiStatus;
use crate::error::api::ApiError;
use http::{HeaderMap, HeaderValue, header};
use k8s_openapi::jiff::Timestamp;
use k8s_openapi::jiff::fmt::rfc2822::DateTimeParser;
use rand::Rng as _;
use serde_json::Value;
use std::time::Duration;

/// `Retry-After` is taken in these bounds, in seconds.
const RETRY_AFTER: std::ops::RangeInclusive<u32> = 1..=30;
const MAX_WARNINGS: usize = 10;
/// In characters.
const MAX_WARNING: usize = 500;

/// One answer.
pub(crate) struct ApiResponse {
    /// The HTTP status.
    pub(crate) code: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Vec<u8>,
    pub(crate) status: ApiStatus,
}

impl ApiResponse {
    /// The body as JSON. `what` names the request in the error.
    pub(crate) fn value(&self, what: &str) -> Result<Value, ApiError> {
        serde_json::from_slice(&self.body).map_err(|error| ApiError::Unexpected {
            what: what.to_owned(),
            code: self.code,
            reason: None,
            message: format!("the body is not valid JSON: {error}"),
        })
    }

    /// The texts of the `Warning` headers with the code 299 (RFC 9111): `299 - "text"`.
    pub(crate) fn warnings(&self) -> Vec<String> {
        let warnings = self.headers.get_all(header::WARNING).iter().filter_map(warning);
        warnings.take(MAX_WARNINGS).collect()
    }

    /// The pause that the server asks for, and up to half more, so that clients do not return together.
    pub(crate) fn retry_after(&self) -> Duration {
        let value = self.headers.get(header::RETRY_AFTER).and_then(|value| value.to_str().ok()?.parse().ok());
        let seconds = value.unwrap_or(1u32).clamp(*RETRY_AFTER.start(), *RETRY_AFTER.end());
        Duration::from_secs_f64(f64::from(seconds) * rand::rng().random_range(1.0..1.5))
    }

    /// Seconds from this machine's clock to the server's, by the `Date` header.
    pub(crate) fn clock_skew(&self) -> Option<i64> {
        let date = self.headers.get(header::DATE)?.to_str().ok()?;
        let server = DateTimeParser::new().parse_timestamp(date).ok()?;
        let skew = server.as_second() - Timestamp::now().as_second();
        // The header has whole seconds: a difference of one does not count.
        Some(if skew.abs() <= 1 { 0 } else { skew })
    }
}

fn warning(value: &HeaderValue) -> Option<String> {
    let quoted = value.to_str().ok()?.strip_prefix("299 ")?.split_once('"')?.1.rsplit_once('"')?.0;
    Some(quoted.replace("\\\"", "\"").chars().take(MAX_WARNING).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::status::classify;

    fn response(headers: &[(header::HeaderName, &str)]) -> ApiResponse {
        let headers =
            headers.iter().map(|(name, value)| (name.clone(), value.parse().expect("a header value")));
        let mut map = HeaderMap::new();
        headers.for_each(|(name, value)| {
            map.append(name, value);
        });
        ApiResponse { code: 200, headers: map, body: Vec::new(), status: classify(200, b"") }
    }

    #[test]
    fn warning_headers_are_read() {
        let texts = [r#"299 - "unknown field \"spec.x\"""#, r#"299 - "second""#, r#"110 - "stale""#];
        let response = response(&texts.map(|text| (header::WARNING, text)));
        assert_eq!(response.warnings(), [r#"unknown field "spec.x""#, "second"]);
    }

    #[test]
    fn the_pause_is_retry_after_and_up_to_half_more() {
        let pause = response(&[(header::RETRY_AFTER, "3")]).retry_after().as_secs_f64();
        assert!((3.0..4.5).contains(&pause), "{pause}");
        assert!(response(&[(header::RETRY_AFTER, "999999999")]).retry_after().as_secs() < 46);
    }

    #[test]
    fn the_clock_skew_is_read_from_the_date_header() {
        let skew = response(&[(header::DATE, "Sun, 22 Nov 2026 21:00:00 GMT")]).clock_skew();
        let expected = 1_795_381_200 - Timestamp::now().as_second();
        assert!((skew.expect("the header is a date") - expected).abs() <= 1);
    }
}
