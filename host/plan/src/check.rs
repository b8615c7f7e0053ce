//! Questions about the running system, and their answers.

use crate::object::{ObjectRef, Selection};
use crate::plan::secret::SecretKey;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// A question about the running system.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Check {
    /// A DNS label, unique in the plan.
    pub name: String,
    /// What holds if the check passes, for people.
    pub title: String,
    /// What the host observes.
    pub probe: Probe,
    /// The condition under which the check passes.
    pub expect: Expectation,
    /// How long the host repeats the probe until the check passes, in seconds.
    pub timeout_seconds: u32,
    /// Whether a failed check fails the command.
    pub severity: Severity,
    /// What a person can do if the check fails.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remedy: Option<String>,
}

/// Whether a failed check is an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Severity {
    /// The command fails.
    Error,
    /// The host reports the failure, and the command continues.
    Warning,
}

/// What the host observes for a check.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Probe {
    /// Whether an object is ready by the rules of kstatus.
    Ready(ObjectRef),
    /// The state of an object.
    Object(ObjectRef),
    /// The objects that a selection has.
    Objects(Selection),
    /// The response to an HTTP request.
    Http(HttpProbe),
}

/// An HTTP request of a check.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct HttpProbe {
    /// The server and the path.
    pub target: HttpTarget,
    /// The HTTP method.
    pub method: HttpMethod,
    /// The request headers, as names and values.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub headers: Vec<(String, String)>,
    /// One more header, with a password that the host reads from a Secret.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credentials: Option<Credentials>,
    /// The request body.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub body: Option<String>,
    /// Whether the host follows a redirect instead of observing it.
    #[serde(default)]
    pub follow_redirects: bool,
}

/// A header with the Base64 of `USERNAME:PASSWORD` (RFC 7617). The host reads the password from a Secret when it sends the
/// request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Credentials {
    /// The header's name.
    pub header: String,
    /// The user name.
    pub username: String,
    /// The key of a Secret with the password.
    pub password: SecretKey,
}

/// An HTTP method.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
#[expect(missing_docs, reason = "RFC 9110 documents them")]
pub enum HttpMethod {
    Get,
    Head,
    Post,
    Put,
    Patch,
    Delete,
}

impl HttpMethod {
    /// Whether the method is safe (RFC 9110, section 9.2.1): it asks the server for no change.
    pub fn is_safe(self) -> bool {
        matches!(self, Self::Get | Self::Head)
    }

    /// The method's name as RFC 9110 writes it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Head => "HEAD",
            Self::Post => "POST",
            Self::Put => "PUT",
            Self::Patch => "PATCH",
            Self::Delete => "DELETE",
        }
    }
}

/// The server of an HTTP probe.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum HttpTarget {
    /// A Service, through the proxy of the API server.
    Service(ServiceTarget),
    /// A URL; it needs the permission to connect to its origin.
    Url(String),
}

/// A port of a Service.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ServiceTarget {
    /// The Service's namespace.
    pub namespace: String,
    /// The Service's name.
    pub name: String,
    /// The Service's port.
    pub port: u16,
    /// The path and the query, beginning with `/`.
    pub path: String,
}

/// The condition under which a check passes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Expectation {
    /// `ready`: the object is ready. `object`: it exists. `objects`: one exists. `http`: the status is 200 to 299.
    Holds,
    /// A CEL expression over the probe's variables is true.
    Cel(String),
    /// The plugin's `evaluate` function says so.
    Evaluate,
}

/// What a probe observed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Observation {
    /// Whether the condition of [`Expectation::Holds`] is met.
    pub holds: bool,
    /// The observation for people, in one line: `404 Not Found`, `0 of 1 replicas are ready`.
    pub summary: String,
    /// The CEL variables, by name.
    pub variables: serde_json::Map<String, Value>,
}

/// Most characters of a server's message in a summary.
const MAX_QUOTED: usize = 200;

impl Observation {
    /// The observation of an HTTP response. `reason` is the phrase of the status. `message` is the server's explanation; the
    /// summary of an error status quotes it.
    pub fn of_response<'a>(
        status: u16,
        reason: &str,
        headers: impl IntoIterator<Item = (&'a str, &'a [u8])>,
        body: &[u8],
        message: &str,
    ) -> Self {
        let mut summary = format!("{status} {reason}").trim_end().to_owned();
        let message = message.split_whitespace().collect::<Vec<_>>().join(" ");
        if status >= 400 && !message.is_empty() {
            summary = summary + ": " + &message.chars().take(MAX_QUOTED).collect::<String>();
        }
        let headers = headers.into_iter().map(|(name, value)| (name.to_owned(), text(value)));
        let variables = [
            ("status", status.into()),
            ("headers", Value::Object(headers.collect())),
            ("body", text(body)),
            ("json", serde_json::from_slice(body).unwrap_or(Value::Null)),
        ];
        let variables = variables.map(|(name, value)| (name.to_owned(), value)).into_iter().collect();
        Self { holds: (200..300).contains(&status), summary, variables }
    }

    /// The observation of a request without a response; `summary` says why. The variables are those of status 0.
    pub fn of_no_response(summary: String) -> Self {
        Self { summary, ..Self::of_response(0, "", [], b"", "") }
    }
}

fn text(bytes: &[u8]) -> Value {
    String::from_utf8_lossy(bytes).into()
}

/// The result of a check.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Verdict {
    /// Whether the check passed.
    pub status: Status,
    /// The reason, in one line.
    pub message: String,
    /// What a person can do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remedy: Option<String>,
}

/// Whether a check passed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Status {
    /// The condition holds.
    Passed,
    /// The condition does not hold.
    Failed,
    /// The host could not observe or evaluate it.
    Unknown,
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_response_has_status_headers_text_and_json() {
        let headers = [("location", b"/a".as_slice()), ("x", b"\xff")];
        let observed = Observation::of_response(201, "Created", headers, br#"{"a": 1}"#, "ignored");
        let variables = json!({"status": 201, "headers": {"location": "/a", "x": "\u{fffd}"},
            "body": "{\"a\": 1}", "json": {"a": 1}});
        assert_eq!(
            (observed.holds, observed.summary.as_str(), Value::from(observed.variables)),
            (true, "201 Created", variables)
        );
    }

    #[test]
    fn an_error_status_is_summarized_with_the_server_message() {
        let observed = Observation::of_response(404, "Not Found", [], b"<html>", "no such\n  thing\n");
        assert_eq!((observed.holds, observed.summary.as_str()), (false, "404 Not Found: no such thing"));
        assert_eq!(Observation::of_response(599, "", [], b"", &"x".repeat(999)).summary.len(), 205);
    }

    #[test]
    fn a_missing_response_has_the_variables_of_an_empty_one() {
        let observed = Observation::of_no_response("no server answers".into());
        let variables = json!({"status": 0, "headers": {}, "body": "", "json": null});
        assert_eq!((observed.holds, Value::from(observed.variables)), (false, variables));
        assert_eq!(observed.summary, "no server answers");
    }
}
