//! What an external step may say. Everything here is known before a request is sent.

use crate::{Auth, ExternalStep, HttpMethod, HttpRequest, OutputRef};
use serde_json::Value;
use std::collections::HashSet;

/// Text with placeholders, as the paths and bodies of an external step are written: `${name}` is a field of what `select`
/// found, `${steps.NAME.OUTPUT}` an open output of an earlier step, `$$` a dollar sign.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Template(Vec<Part>);

/// A piece of a [`Template`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Part {
    /// As it stands.
    Text(String),
    /// A field of what `select` found.
    Found(String),
    /// An output of an earlier step.
    Output(OutputRef),
}

impl Template {
    /// Reads it.
    ///
    /// # Errors
    /// What is wrong with it, in words.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut parts = Vec::new();
        let mut plain = String::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once('$') {
            plain.push_str(before);
            if let Some(after) = after.strip_prefix('$') {
                plain.push('$');
                rest = after;
                continue;
            }
            let named = after.strip_prefix('{').and_then(|after| after.split_once('}'));
            let Some((name, after)) = named else {
                return Err("a `$` begins a placeholder, `${name}`, and `$$` is a dollar sign".to_owned());
            };
            if !plain.is_empty() {
                parts.push(Part::Text(std::mem::take(&mut plain)));
            }
            parts.push(placeholder(name)?);
            rest = after;
        }
        plain.push_str(rest);
        if !plain.is_empty() {
            parts.push(Part::Text(plain));
        }
        Ok(Self(parts))
    }

    /// Its pieces, in order.
    pub fn parts(&self) -> &[Part] {
        &self.0
    }
}

fn placeholder(name: &str) -> Result<Part, String> {
    match name.strip_prefix("steps.") {
        Some(output) => match output.rsplit_once('.') {
            Some((step, output)) if !step.is_empty() && !output.is_empty() => {
                Ok(Part::Output(OutputRef { step: step.to_owned(), output: output.to_owned() }))
            }
            _ => Err(format!("`${{{name}}}` is no output of a step: expected `${{steps.NAME.OUTPUT}}`")),
        },
        None if name.is_empty() => Err("`${}` names nothing".to_owned()),
        None => Ok(Part::Found(name.to_owned())),
    }
}

impl Auth {
    /// The secret input that it takes.
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

    /// The outputs of other steps that its requests name.
    pub fn references(&self) -> Vec<OutputRef> {
        let texts = self.requests().flat_map(|(_, request)| {
            let body = request.body.as_deref().and_then(|body| serde_json::from_str(body).ok());
            let mut texts = vec![request.path.clone()];
            texts.extend(body.iter().flat_map(strings));
            texts
        });
        let parts = texts.filter_map(|text| Template::parse(&text).ok()).flat_map(|template| template.0);
        parts.filter_map(|part| if let Part::Output(output) = part { Some(output) } else { None }).collect()
    }

    /// What nobody could carry out, or should: each in words.
    pub fn faults(&self) -> Vec<String> {
        let mut faults = Vec::new();
        faults.extend(url_fault(&self.base_url).map(|fault| format!("`base-url` {fault}")));
        if let Auth::PasswordGrant { token_url, .. } = &self.auth {
            faults.extend(url_fault(token_url).map(|fault| format!("`token-url` {fault}")));
        }
        if let Auth::Basic { username, .. } = &self.auth
            && username.contains(':')
        {
            faults.push("a user name with a `:` cannot be said by basic authentication".to_owned());
        }
        if self.auth != Auth::Anonymous {
            let token_url =
                if let Auth::PasswordGrant { token_url, .. } = &self.auth { token_url } else { "" };
            let open = [self.base_url.as_str(), token_url].into_iter().find(|url| is_readable_by_others(url));
            faults.extend(open.map(|url| {
                format!("{url} has no TLS, and credentials go there: everybody on the way could read them")
            }));
        }
        if !self.desired.is_object() {
            faults.push("`desired` must be an object: each field of it is compared".to_owned());
        }
        for (name, request) in self.requests() {
            let looks = name != "create" && name != "update" && name != "delete";
            faults.extend(request_fault(&name, request, looks).map(|fault| format!("{name}: {fault}")));
        }
        let mut names = HashSet::new();
        for output in &self.outputs {
            if !is_plain_name(&output.name) {
                faults.push(format!(
                    "the output `{}` may be named by letters, digits, `-` and `_`",
                    output.name
                ));
            }
            if !names.insert(&output.name) {
                faults.push(format!("the output {} is there twice", output.name));
            }
        }
        faults
    }
}

fn is_plain_name(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
}

/// The scheme, the host and port, and the path of a URL; None: this is none that a step may have.
fn parts_of(url: &str) -> Option<(&str, &str, &str)> {
    let (scheme, rest) = url.split_once("://")?;
    let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    let fine = ["http", "https"].contains(&scheme)
        && !authority.is_empty()
        && authority.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-:[]".contains(&byte));
    fine.then_some((scheme, authority, path))
}

fn url_fault(url: &str) -> Option<String> {
    let Some((_, _, path)) = parts_of(url) else {
        return Some("must be https:// or http://, a host, and perhaps a port and a path".to_owned());
    };
    if path.contains('?') {
        return Some("must not have a query".to_owned());
    }
    path_fault(path)
}

/// Whether what goes to `url` can be read on the way: plain HTTP that leaves the machine.
fn is_readable_by_others(url: &str) -> bool {
    let Some(("http", authority, _)) = parts_of(url) else { return false };
    let host = match authority.rsplit_once(':') {
        Some((host, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => host,
        _ => authority,
    };
    let address = host.trim_start_matches('[').trim_end_matches(']').parse::<std::net::IpAddr>();
    host != "localhost" && !address.is_ok_and(|address| address.is_loopback())
}

/// What is wrong with a path, and a query behind it, once its placeholders are filled in: it must say which place it
/// means, to every server and proxy on the way alike.
pub fn path_fault(path: &str) -> Option<String> {
    if !path.bytes().all(|byte| byte.is_ascii_graphic() && !b"\\#\"<>^`{|}".contains(&byte)) {
        return Some("has characters that must be percent-encoded".to_owned());
    }
    let dots = |segment: &str| {
        let decoded = segment.to_ascii_lowercase().replace("%2e", ".");
        decoded == "." || decoded == ".." || ["%2f", "%5c", "%25"].iter().any(|code| decoded.contains(code))
    };
    let path = path.split('?').next().unwrap_or_default();
    path.split('/').any(dots).then(|| "must not have `.` or `..` segments or encoded slashes".to_owned())
}

fn request_fault(name: &str, request: &HttpRequest, looks: bool) -> Option<String> {
    let asks = matches!(request.method, HttpMethod::Get | HttpMethod::Head);
    if looks && !asks {
        return Some(format!("{} is no way to look: expected GET or HEAD", request.method.as_str()));
    }
    if !looks && asks {
        return Some(format!("{} changes nothing", request.method.as_str()));
    }
    let nothing_found = name == "find" || name == "create";
    let judged = |text: &str| match Template::parse(text) {
        Err(message) => Some(message),
        Ok(template) => template.0.into_iter().find_map(|part| match part {
            Part::Found(name) if nothing_found => {
                Some(format!("`${{{name}}}` is a field of what was found, and nothing has been found yet"))
            }
            _ => None,
        }),
    };
    if !request.path.starts_with('/') {
        return Some("its path must begin with `/`".to_owned());
    }
    if let Some(fault) = judged(&request.path) {
        return Some(fault);
    }
    // A letter stands for what a placeholder will be.
    let filled = Template::parse(&request.path).map(|template| {
        let parts = template.0.into_iter();
        parts.map(|part| if let Part::Text(text) = part { text } else { "x".to_owned() }).collect::<String>()
    });
    if let Some(fault) = filled.ok().and_then(|path| path_fault(&path)) {
        return Some(format!("its path {fault}"));
    }
    let body = match request.body.as_deref().map(serde_json::from_str::<Value>) {
        None => return None,
        Some(Err(_)) => {
            return Some("its body must be JSON as it stands, with placeholders inside strings".to_owned());
        }
        Some(Ok(body)) => body,
    };
    if let Some(key) = keys(&body).into_iter().find(|key| key.contains("${")) {
        return Some(format!("`{key}`: a key of a body cannot hold a placeholder"));
    }
    strings(&body).iter().find_map(|text| judged(text))
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
        for (field, value) in changes.as_object().unwrap() {
            step[field] = value.clone();
        }
        serde_json::from_value(step).unwrap()
    }

    #[test]
    fn a_template_has_text_fields_and_outputs() {
        let output = OutputRef { step: "client".into(), output: "id".into() };
        assert_eq!(
            Template::parse("/a/${id}/$$${steps.client.id}").unwrap().0,
            [
                Part::Text("/a/".into()),
                Part::Found("id".into()),
                Part::Text("/$".into()),
                Part::Output(output)
            ]
        );
        for wrong in ["$", "a$b", "${", "${a", "${}", "${steps.a}", "${steps..b}", "${steps.a.}"] {
            assert!(Template::parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_step_as_keycloak_needs_it_has_no_fault() {
        assert_eq!(step(json!({})).faults(), Vec::<String>::new());
    }

    #[test]
    fn what_nobody_could_carry_out_is_found_without_a_request() {
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
            (json!({"find": request("POST", "/a")}), "find: POST is no way to look"),
            (json!({"find": request("GET", "/a/${id}")}), "nothing has been found"),
            (json!({"create": request("GET", "/a")}), "create: GET changes nothing"),
            (json!({"create": request("POST", "a")}), "begin with `/`"),
            (json!({"update": request("PUT", "/a/../b")}), "segments"),
            (json!({"update": request("PUT", "/a/%2e%2e/b")}), "segments"),
            (json!({"update": request("PUT", "/a b")}), "percent-encoded"),
            (json!({"delete": request("DELETE", "/$id")}), "`$$`"),
            (create("{\"a\": ${steps.a.b}}"), "inside strings"),
            (create("{\"${steps.a.b}\": 1}"), "key"),
            (create("{\"a\": \"${id}\"}"), "nothing has been found"),
            (json!({"outputs": [output("a.b", "GET")]}), "letters"),
            (json!({"outputs": [output("a", "GET"), output("a", "GET")]}), "twice"),
            (json!({"outputs": [output("a", "POST")]}), "the request of output a: POST"),
        ] {
            let faults = step(changes.clone()).faults();
            assert!(faults.len() == 1 && faults[0].contains(expected), "{changes}: {faults:?}");
        }
    }

    #[test]
    fn credentials_may_go_without_tls_to_this_machine_alone() {
        for (url, fine) in [
            ("http://127.0.0.1:80", true),
            ("http://[::1]:80/a", true),
            ("http://localhost/a", true),
            ("http://localhost.evil.io", false),
            ("http://10.0.0.1", false),
            ("http://127.0.0.1.evil.io:80", false),
        ] {
            assert_eq!(is_readable_by_others(url), !fine, "{url}");
        }
        let anonymous = step(json!({"auth": "anonymous", "baseUrl": "http://a.io"}));
        assert_eq!(anonymous.faults(), Vec::<String>::new());
    }

    #[test]
    fn the_outputs_that_it_needs_are_known() {
        let body = json!({"a": ["${steps.other.b}"]}).to_string();
        let step = step(json!({"find": {"method": "GET", "path": "/${steps.client.id}/a"},
            "create": {"method": "POST", "path": "/a", "body": body}}));
        let reference = |step: &str, output: &str| OutputRef { step: step.into(), output: output.into() };
        assert_eq!(step.references(), [reference("client", "id"), reference("other", "b")]);
    }
}
