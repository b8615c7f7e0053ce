use crate::{Credentials, ObjectRef, Selection};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// A question about the running system.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Check {
    /// A DNS label, unique in the plan.
    pub name: String,
    /// What is true when it passes.
    pub title: String,
    /// What the host looks at.
    pub probe: Probe,
    /// When it passes.
    pub expect: Expectation,
    /// The host asks again until it holds or this many seconds are over.
    pub timeout_seconds: u32,
    /// Whether a failure fails the operation.
    pub severity: Severity,
    /// What a person can do when it fails.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remedy: Option<String>,
}

/// Whether a failed check is an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Severity {
    /// The operation fails.
    Error,
    /// It is said, and the operation goes on.
    Warning,
}

/// What a check looks at.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Probe {
    /// An object and its readiness by the rules of kstatus.
    Ready(ObjectRef),
    /// An object.
    Object(ObjectRef),
    /// Objects by label.
    Objects(Selection),
    /// An HTTP exchange.
    Http(HttpProbe),
}

/// An HTTP exchange.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct HttpProbe {
    /// Where it goes.
    pub target: HttpTarget,
    /// The method.
    pub method: HttpMethod,
    /// Request headers.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub headers: Vec<(String, String)>,
    /// One more header, with a password that the host reads.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credentials: Option<Credentials>,
    /// Request body.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub body: Option<String>,
    /// Whether a 3xx answer is followed rather than observed.
    #[serde(default)]
    pub follow_redirects: bool,
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

/// Where an HTTP probe goes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum HttpTarget {
    /// A Service, through the API server's proxy.
    Service(ServiceTarget),
    /// Any URL; needs a `connect` permission.
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
    /// Path and query, beginning with `/`.
    pub path: String,
}

/// When a check passes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Expectation {
    /// `ready`: it is; `object`: it exists; `objects`: there is one; `http`: status 200 to 299.
    Holds,
    /// A CEL expression that yields a bool.
    Cel(String),
    /// The plugin's own `evaluate`.
    Evaluate,
}

/// How random text is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Encoding {
    /// Lower-case hexadecimal.
    Hex,
    /// RFC 4648 section 4, padded.
    Base64,
    /// RFC 4648 section 5, padded.
    Base64Url,
}

/// What a probe saw: the CEL variables of the check, by name.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Observation {
    /// Whether the probe's own condition (`Expectation::Holds`) is met.
    pub holds: bool,
    /// One line for a person: `404 Not Found`, `0 of 1 replicas are ready`.
    pub summary: String,
    /// The CEL variables, by name.
    pub variables: serde_json::Map<String, Value>,
}

/// Characters of an answer's body that a summary quotes at most.
const QUOTED: usize = 200;

impl Observation {
    /// What an HTTP answer shows, wherever it came from. A refusal is summed up with what the server says about it, in
    /// one line: `reason` is the status' phrase, and `message` that text.
    pub fn of_answer<'a>(
        status: u16,
        reason: &str,
        headers: impl IntoIterator<Item = (&'a str, &'a [u8])>,
        body: &[u8],
        message: &str,
    ) -> Self {
        let mut summary = format!("{status} {reason}").trim_end().to_owned();
        let message = message.split_whitespace().collect::<Vec<_>>().join(" ");
        if status >= 400 && !message.is_empty() {
            summary = summary + ": " + &message.chars().take(QUOTED).collect::<String>();
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

    /// That there was no answer, and why. The variables are those of an answer with status 0.
    pub fn of_no_answer(summary: String) -> Self {
        Self { summary, ..Self::of_answer(0, "", [], b"", "") }
    }
}

fn text(bytes: &[u8]) -> Value {
    String::from_utf8_lossy(bytes).into()
}

/// How a check ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Verdict {
    /// Passed or not.
    pub status: Status,
    /// Why, in one line.
    pub message: String,
    /// What to do about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remedy: Option<String>,
}

/// The three ends of a check.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Status {
    /// It holds.
    Passed,
    /// It does not.
    Failed,
    /// It could not be asked.
    Unknown,
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn an_answer_is_seen_with_its_status_headers_text_and_json() {
        let headers = [("location", b"/a".as_slice()), ("x", b"\xff")];
        let seen = Observation::of_answer(201, "Created", headers, br#"{"a": 1}"#, "unasked");
        let variables = json!({"status": 201, "headers": {"location": "/a", "x": "\u{fffd}"},
            "body": "{\"a\": 1}", "json": {"a": 1}});
        assert_eq!(
            (seen.holds, seen.summary.as_str(), Value::from(seen.variables)),
            (true, "201 Created", variables)
        );
    }

    #[test]
    fn a_refusal_is_summed_up_with_what_the_server_says_in_one_short_line() {
        let seen = Observation::of_answer(404, "Not Found", [], b"<html>", "no such\n  thing\n");
        assert_eq!((seen.holds, seen.summary.as_str()), (false, "404 Not Found: no such thing"));
        assert_eq!(Observation::of_answer(599, "", [], b"", &"x".repeat(999)).summary.len(), 205);
    }

    #[test]
    fn no_answer_has_the_variables_of_an_empty_one() {
        let seen = Observation::of_no_answer("nobody is there".into());
        let variables = json!({"status": 0, "headers": {}, "body": "", "json": null});
        assert_eq!((seen.holds, Value::from(seen.variables)), (false, variables));
        assert_eq!(seen.summary, "nobody is there");
    }
}
