//! A resource behind an HTTP API. Everything that is wrong with the step is found before the first request.

use crate::check::HttpMethod;
use crate::plan::object::{OnUninstall, OutputRef};
use crate::plan::rules::{StepFault, StepRules};
use crate::template::{Segment, Template};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::HashSet;

/// A resource behind an HTTP API.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ExternalStep {
    /// Unique among the steps.
    pub name: String,
    /// The URL below which every request goes: origin and path.
    pub base_url: String,
    /// How the host authenticates.
    pub auth: Auth,
    /// The request that finds the resource.
    pub find: HttpRequest,
    /// A CEL expression over the response to `find`; its result is the resource, or null if there is none.
    pub select: String,
    /// The request that creates the resource.
    pub create: HttpRequest,
    /// The request that updates the resource. None: it cannot be updated.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub update: Option<HttpRequest>,
    /// The request that deletes the resource. None: it cannot be deleted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delete: Option<HttpRequest>,
    /// The fields that the resource must have, as a JSON object.
    pub desired: Value,
    /// The values that other steps may use.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub outputs: Vec<ExternalOutput>,
    /// What an uninstall does with the resource.
    pub on_uninstall: OnUninstall,
}

/// How the host authenticates to an HTTP API.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Auth {
    /// Without credentials.
    Anonymous,
    /// OAuth 2.0 password grant (RFC 6749, section 4.3).
    #[serde(rename_all = "camelCase")]
    PasswordGrant {
        /// The URL of the token endpoint.
        token_url: String,
        /// The OAuth client ID.
        client_id: String,
        /// The user name.
        username: String,
        /// The secret input that holds the password.
        password_input: String,
    },
    /// Basic authentication (RFC 7617).
    #[serde(rename_all = "camelCase")]
    Basic {
        /// The user name.
        username: String,
        /// The secret input that holds the password.
        password_input: String,
    },
}

/// A request to an HTTP API.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct HttpRequest {
    /// The HTTP method.
    pub method: HttpMethod,
    /// The path below the base URL, with its query. It may have placeholders, see [`RequestSegment`].
    pub path: String,
    /// The body: JSON whose strings may have placeholders.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub body: Option<String>,
}

/// A value that an external resource yields to other steps.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ExternalOutput {
    /// The name: letters, digits, `-` and `_`.
    pub name: String,
    /// The request whose response has the value. None: the resource that `select` found has it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request: Option<HttpRequest>,
    /// A CEL expression that takes the value from the response or from the resource.
    pub select: String,
    /// Whether only a Secret may contain the value.
    pub secret: bool,
}

/// A part of a path or of a string in the body of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RequestSegment {
    /// Literal text.
    Text(String),
    /// `${NAME}`: a field of the resource that `select` found.
    Field(String),
    /// `${steps.NAME.OUTPUT}`: an output of an earlier step that is not secret.
    Output(OutputRef),
}

/// The segments of a path or of a string in a body.
///
/// # Errors
/// What is wrong with the text.
pub fn request_segments(text: &str) -> Result<Vec<RequestSegment>, String> {
    let template: Template = text.parse().map_err(|error| format!("{error}"))?;
    template.segments().iter().map(request_segment).collect()
}

fn request_segment(segment: &Segment) -> Result<RequestSegment, String> {
    let placeholder = match segment {
        Segment::Text(text) => return Ok(RequestSegment::Text(text.clone())),
        Segment::Placeholder(placeholder) => placeholder,
    };
    let Some(output) = placeholder.strip_prefix("steps.") else {
        return Ok(RequestSegment::Field(placeholder.clone()));
    };
    match output.rsplit_once('.') {
        Some((step, output)) if !step.is_empty() && !output.is_empty() => {
            Ok(RequestSegment::Output(OutputRef { step: step.to_owned(), output: output.to_owned() }))
        }
        _ => Err(format!("`${{{placeholder}}}` is not a valid output: expected `${{steps.NAME.OUTPUT}}`")),
    }
}

impl Auth {
    /// The secret input with the password.
    pub fn password_input(&self) -> Option<&String> {
        match self {
            Self::Anonymous => None,
            Self::PasswordGrant { password_input, .. } | Self::Basic { password_input, .. } => {
                Some(password_input)
            }
        }
    }
}

impl ExternalStep {
    /// Whether both steps are about the same resource: its server, `find` and `select` identify it.
    pub fn is_same_resource(&self, other: &Self) -> bool {
        self.base_url == other.base_url && self.find == other.find && self.select == other.select
    }

    /// Every request, with its name in messages.
    fn requests(&self) -> impl Iterator<Item = (String, &HttpRequest)> {
        let named = [("find", Some(&self.find)), ("create", Some(&self.create))];
        let changing = [("update", self.update.as_ref()), ("delete", self.delete.as_ref())];
        let own = named.into_iter().chain(changing).map(|(name, request)| (name.to_owned(), request));
        let outputs = self
            .outputs
            .iter()
            .map(|output| (format!("the request of output {}", output.name), output.request.as_ref()));
        own.chain(outputs).filter_map(|(name, request)| Some((name, request?)))
    }

    /// The outputs of other steps that the requests name.
    fn references(&self) -> Vec<OutputRef> {
        let texts = self.requests().flat_map(|(_, request)| {
            let body = request.body.as_deref().and_then(|body| serde_json::from_str(body).ok());
            let mut texts = vec![request.path.clone()];
            texts.extend(body.iter().flat_map(strings));
            texts
        });
        let segments = texts.filter_map(|text| request_segments(&text).ok()).flatten();
        segments
            .filter_map(|segment| match segment {
                RequestSegment::Output(output) => Some(output),
                RequestSegment::Text(_) | RequestSegment::Field(_) => None,
            })
            .collect()
    }

    /// Every rule that the step breaks, those about inputs and other steps included.
    pub(super) fn rule_faults(&self, rules: &StepRules<'_>) -> Vec<StepFault> {
        let mut faults: Vec<StepFault> = self.faults().into_iter().map(StepFault::from).collect();
        faults.extend(self.auth.password_input().and_then(|input| rules.input_fault("", input)));
        for output in self.references() {
            let name = format!("${{steps.{}.{}}}", output.step, output.output);
            match rules.outputs.get(&(output.step, output.output)) {
                Some(false) => {}
                Some(true) => faults.push(format!("`{name}` is secret; only a Secret may contain it").into()),
                None => faults.push(format!("`{name}` is not an output of an earlier step").into()),
            }
        }
        faults
    }

    /// Every rule that the step breaks by itself.
    pub fn faults(&self) -> Vec<String> {
        let mut faults = self.auth_faults();
        if !self.desired.is_object() {
            faults.push("`desired` must be an object; the host compares each of its fields".to_owned());
        }
        for (name, request) in self.requests() {
            faults.extend(request_fault(&name, request).map(|fault| format!("{name}: {fault}")));
        }
        let mut names = HashSet::new();
        for ExternalOutput { name, .. } in &self.outputs {
            if !is_output_name(name) {
                faults.push(format!(
                    "`{name}` is not a valid output name: expected letters, digits, `-` and `_`"
                ));
            }
            if !names.insert(name) {
                faults.push(format!("the step has the output {name} twice"));
            }
        }
        faults
    }

    fn auth_faults(&self) -> Vec<String> {
        let mut faults = Vec::new();
        faults.extend(url_fault(&self.base_url).map(|fault| format!("`base-url` {fault}")));
        let mut credential_urls = vec![&self.base_url];
        match &self.auth {
            Auth::Anonymous => return faults,
            Auth::PasswordGrant { token_url, .. } => {
                faults.extend(url_fault(token_url).map(|fault| format!("`token-url` {fault}")));
                credential_urls.push(token_url);
            }
            Auth::Basic { username, .. } if username.contains(':') => {
                faults.push("a user name for basic authentication must not have a `:`".to_owned());
            }
            Auth::Basic { .. } => {}
        }
        let clear = credential_urls.into_iter().find(|url| is_clear_text(url));
        faults
            .extend(clear.map(|url| format!("{url} has no TLS; credentials must not be sent in clear text")));
        faults
    }
}

fn is_output_name(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
}

/// The scheme, the host with its port, and the path of a URL that a step may have.
///
/// Stricter than a URL parser: what stays has one reading only.
fn url_parts(url: &str) -> Option<(&str, &str, &str)> {
    let (scheme, rest) = url.split_once("://")?;
    let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    let is_valid = ["http", "https"].contains(&scheme)
        && !authority.is_empty()
        && authority.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-:[]".contains(&byte));
    is_valid.then_some((scheme, authority, path))
}

fn url_fault(url: &str) -> Option<String> {
    let Some((_, _, path)) = url_parts(url) else {
        return Some("must be https:// or http://, a host, and optionally a port and a path".to_owned());
    };
    if path.contains('?') {
        return Some("must not have a query".to_owned());
    }
    url_path_fault(path)
}

/// Whether a request to `url` leaves this machine without TLS.
fn is_clear_text(url: &str) -> bool {
    let Some(("http", authority, _)) = url_parts(url) else { return false };
    let host = match authority.rsplit_once(':') {
        Some((host, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => host,
        _ => authority,
    };
    let address = host.trim_start_matches('[').trim_end_matches(']').parse::<std::net::IpAddr>();
    host != "localhost" && !address.is_ok_and(|address| address.is_loopback())
}

/// What is wrong with a URL path, and a query behind it, once its placeholders are filled in. Every server and proxy must
/// read the same resource from it.
pub fn url_path_fault(path: &str) -> Option<String> {
    if !path.bytes().all(|byte| byte.is_ascii_graphic() && !b"\\#\"<>^`{|}".contains(&byte)) {
        return Some("has characters that must be percent-encoded".to_owned());
    }
    let is_ambiguous = |segment: &str| {
        let decoded = segment.to_ascii_lowercase().replace("%2e", ".");
        decoded == "." || decoded == ".." || ["%2f", "%5c", "%25"].iter().any(|code| decoded.contains(code))
    };
    let path = path.split('?').next().unwrap_or_default();
    path.split('/')
        .any(is_ambiguous)
        .then(|| "must not have `.` or `..` segments or encoded slashes".to_owned())
}

fn request_fault(name: &str, request: &HttpRequest) -> Option<String> {
    let method = request.method.as_str();
    match (["create", "update", "delete"].contains(&name), request.method.is_safe()) {
        (false, false) => return Some(format!("the method is {method}: expected GET or HEAD")),
        (true, true) => return Some(format!("the method is {method}, which changes nothing")),
        (false, true) | (true, false) => {}
    }
    // Before `find` has an answer, no resource has fields.
    let has_resource = name != "find" && name != "create";
    if !request.path.starts_with('/') {
        return Some("its path must begin with `/`".to_owned());
    }
    let segments = match segments_for(&request.path, has_resource) {
        Ok(segments) => segments,
        Err(fault) => return Some(fault),
    };
    // A letter stands for the value of a placeholder.
    let filled: String = segments
        .into_iter()
        .map(|segment| if let RequestSegment::Text(text) = segment { text } else { "x".to_owned() })
        .collect();
    if let Some(fault) = url_path_fault(&filled) {
        return Some(format!("its path {fault}"));
    }
    let body: Value = match serde_json::from_str(request.body.as_deref()?) {
        Ok(body) => body,
        Err(_) => return Some("its body must be JSON, with placeholders inside strings only".to_owned()),
    };
    if let Some(key) = keys(&body).into_iter().find(|key| key.contains("${")) {
        return Some(format!("`{key}`: a key of the body must not have a placeholder"));
    }
    strings(&body).iter().find_map(|text| segments_for(text, has_resource).err())
}

/// The segments of `text`, which may name fields only if there is a resource.
fn segments_for(text: &str, has_resource: bool) -> Result<Vec<RequestSegment>, String> {
    let segments = request_segments(text)?;
    for segment in &segments {
        if let RequestSegment::Field(name) = segment
            && !has_resource
        {
            return Err(format!(
                "`${{{name}}}` is a field of the found resource, and none has been found yet"
            ));
        }
    }
    Ok(segments)
}

fn strings(value: &Value) -> Vec<String> {
    match value {
        Value::String(text) => vec![text.clone()],
        Value::Array(items) => items.iter().flat_map(strings).collect(),
        Value::Object(fields) => fields.values().flat_map(strings).collect(),
        _ => Vec::new(),
    }
}

fn keys(value: &Value) -> Vec<String> {
    match value {
        Value::Array(items) => items.iter().flat_map(keys).collect(),
        Value::Object(fields) => {
            fields.iter().flat_map(|(key, value)| [vec![key.clone()], keys(value)].concat()).collect()
        }
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn step(changes: Value) -> ExternalStep {
        let mut step = json!({"name": "client", "baseUrl": "https://auth.example.org/admin/realms/a",
            "auth": {"passwordGrant": {"tokenUrl": "https://auth.example.org/token", "clientId": "admin-cli",
                "username": "admin", "passwordInput": "admin-password"}},
            "find": {"method": "GET", "path": "/clients?clientId=a"}, "select": "json[0]",
            "create": {"method": "POST", "path": "/clients"},
            "update": {"method": "PUT", "path": "/clients/${id}", "body": r#"{"id": "${id}"}"#},
            "desired": {"clientId": "a"}, "onUninstall": "delete"});
        for (field, value) in changes.as_object().expect("changes are an object") {
            step[field] = value.clone();
        }
        serde_json::from_value(step).expect("an external step")
    }

    #[test]
    fn a_request_names_fields_and_outputs() {
        let output = OutputRef { step: "client".into(), output: "id".into() };
        assert_eq!(
            request_segments("/a/${id}/$$${steps.client.id}"),
            Ok(vec![
                RequestSegment::Text("/a/".into()),
                RequestSegment::Field("id".into()),
                RequestSegment::Text("/$".into()),
                RequestSegment::Output(output)
            ])
        );
        for wrong in ["$", "a$b", "${", "${a", "${}", "${steps.a}", "${steps..b}", "${steps.a.}"] {
            assert!(request_segments(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_step_for_keycloak_is_valid() {
        assert_eq!(step(json!({})).faults(), Vec::<String>::new());
    }

    #[test]
    fn an_invalid_step_is_found_without_a_request() {
        let request = |method: &str, path: &str| json!({"method": method, "path": path});
        let create = |body: &str| json!({"create": {"method": "POST", "path": "/a", "body": body}});
        let output = |name: &str, method: &str| json!({"name": name, "select": "json.a", "secret": false, "request": request(method, "/a")});
        let basic = json!({"basic": {"username": "a:b", "passwordInput": "p"}});
        for (changes, expected) in [
            (json!({"baseUrl": "https://granted@evil.io"}), "`base-url` must be"),
            (json!({"baseUrl": "ftp://a.io"}), "`base-url` must be"),
            (json!({"baseUrl": "https://a.io/x?y"}), "query"),
            (json!({"baseUrl": "https://a.io/../b"}), "segments"),
            (json!({"baseUrl": "http://auth.example.org"}), "no TLS"),
            (json!({"auth": basic}), "user name"),
            (json!({"desired": ["a"]}), "`desired`"),
            (json!({"find": request("POST", "/a")}), "find: the method is POST: expected GET or HEAD"),
            (json!({"find": request("GET", "/a/${id}")}), "none has been found"),
            (json!({"create": request("GET", "/a")}), "create: the method is GET, which changes nothing"),
            (json!({"create": request("POST", "a")}), "begin with `/`"),
            (json!({"update": request("PUT", "/a/../b")}), "segments"),
            (json!({"update": request("PUT", "/a/%2e%2e/b")}), "segments"),
            (json!({"update": request("PUT", "/a b")}), "percent-encoded"),
            (json!({"delete": request("DELETE", "/$id")}), "`$$`"),
            (create("{\"a\": ${steps.a.b}}"), "inside strings"),
            (create("{\"${steps.a.b}\": 1}"), "key"),
            (create("{\"a\": \"${id}\"}"), "none has been found"),
            (json!({"outputs": [output("a.b", "GET")]}), "letters"),
            (json!({"outputs": [output("a", "GET"), output("a", "GET")]}), "twice"),
            (json!({"outputs": [output("a", "POST")]}), "the request of output a: the method is POST"),
        ] {
            let faults = step(changes.clone()).faults();
            assert!(faults.len() == 1 && faults[0].contains(expected), "{changes}: {faults:?}");
        }
    }

    #[test]
    fn credentials_are_sent_in_clear_text_to_this_machine_only() {
        for (url, fine) in [
            ("http://127.0.0.1:80", true),
            ("http://[::1]:80/a", true),
            ("http://localhost/a", true),
            ("http://localhost.evil.io", false),
            ("http://10.0.0.1", false),
            ("http://127.0.0.1.evil.io:80", false),
        ] {
            assert_eq!(is_clear_text(url), !fine, "{url}");
        }
        let anonymous = step(json!({"auth": "anonymous", "baseUrl": "http://a.io"}));
        assert_eq!(anonymous.faults(), Vec::<String>::new());
    }

    #[test]
    fn the_outputs_that_a_step_needs_are_known() {
        let body = json!({"a": ["${steps.other.b}"]}).to_string();
        let step = step(json!({"find": {"method": "GET", "path": "/${steps.client.id}/a"},
            "create": {"method": "POST", "path": "/a", "body": body}}));
        let reference = |step: &str, output: &str| OutputRef { step: step.into(), output: output.into() };
        assert_eq!(step.references(), [reference("client", "id"), reference("other", "b")]);
    }
}
