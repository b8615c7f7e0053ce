//! HTTP checks through the API server's proxy for Services.
//!
//! It must not let a plugin use the operator's rights: no path leaves the proxy, and no header that the API server reads as
//! its own is sent.

use crate::api::client::Client;
use crate::api::request::ApiRequest;
use crate::api::resource::ApiResource;
use crate::api::status::StatusKind;
use crate::error::Error;
use crate::error::api::ApiError;
use crate::error::probe::ProbeError;
use crate::probe::credentials::{Credential, credential};
use http::{HeaderName, HeaderValue, Method};
use serde_json::Value;
use thinkube_plan::{HttpMethod, HttpProbe, HttpTarget, Observation, ServiceTarget, is_dns_label};

/// Bytes of an answer that a check reads.
const MAX_BODY: usize = 1 << 20;

/// Sends the request of a check once. No answer is an observation too.
pub(crate) async fn probe_http(client: &Client, probe: &HttpProbe) -> Result<Observation, Error> {
    let (service, what) = service_of(probe)?;
    let mut request = ApiRequest::proxy(method(probe.method), proxy_path(service)?, what, &service.namespace);
    if let Some(body) = &probe.body {
        request = request.with_body(body.clone().into_bytes());
    }
    let password;
    let own = probe.headers.iter().map(|(name, value)| (name.as_str(), value.as_str()));
    let mut headers: Vec<(&str, &str)> = own.collect();
    if let Some(credentials) = &probe.credentials {
        password = match credential(client, credentials, service).await? {
            Credential::Header(value) => value,
            Credential::Withheld(reason) => return Ok(Observation::of_no_response(reason)),
        };
        headers.push((&credentials.header, &password));
    }
    let response = match client.request_once(&request, &headers, MAX_BODY).await {
        Ok(response) => response,
        // The API server answered before, so it is the Service that does not.
        Err(ApiError::Unreachable { message, .. }) => return Ok(Observation::of_no_response(message)),
        Err(error) => return Err(error.into()),
    };
    // Only a 403 of the API server is an error. Another server's answer may quote the secret, so it stays an observation.
    let refused = response.status.kind == StatusKind::Forbidden
        && response.status.reason.is_some()
        && names_service(&response.body, service);
    if refused {
        return Err(client.error_from(&request, response).await.into());
    }
    let code = http::StatusCode::from_u16(response.code).ok();
    let reason = code.and_then(|code| code.canonical_reason()).unwrap_or_default();
    let headers = response.headers.iter().map(|(name, value)| (name.as_str(), value.as_bytes()));
    // An answer to a secret may quote it, so only the status is shown.
    let message = if probe.credentials.is_none() { response.status.message.as_str() } else { "" };
    Ok(Observation::of_response(response.code, reason, headers, &response.body, message))
}

/// Whether this host can carry out the check, decided without a cluster.
pub(crate) fn supported_http(probe: &HttpProbe) -> Result<(), Error> {
    let (service, what) = service_of(probe)?;
    if probe.follow_redirects {
        return Err(unsupported(&what, "follow redirects behind the API server's proxy"));
    }
    proxy_path(service)?;
    let credentials = probe.credentials.iter().map(|credentials| (&credentials.header, ""));
    let headers = probe.headers.iter().map(|(name, value)| (name, value.as_str()));
    for (name, value) in headers.chain(credentials) {
        if !may_be_sent(name) {
            return Err(unsupported(
                &what,
                &format!("send the header `{name}` through the API server's proxy"),
            ));
        }
        // The value may be a credential of the Service, so the message does not show it.
        if name.parse::<HeaderName>().is_err() || value.parse::<HeaderValue>().is_err() {
            let message = format!("`{name}` or its value is not a valid HTTP header");
            return Err(ProbeError::Invalid { what, message }.into());
        }
    }
    Ok(())
}

fn method(method: HttpMethod) -> Method {
    match method {
        HttpMethod::Get => Method::GET,
        HttpMethod::Head => Method::HEAD,
        HttpMethod::Post => Method::POST,
        HttpMethod::Put => Method::PUT,
        HttpMethod::Patch => Method::PATCH,
        HttpMethod::Delete => Method::DELETE,
    }
}

/// The Service, and the request in words.
fn service_of(probe: &HttpProbe) -> Result<(&ServiceTarget, String), Error> {
    let service = match &probe.target {
        HttpTarget::Service(service) => service,
        HttpTarget::Url(url) => {
            return Err(unsupported(url, "check a URL that is not a Service of the cluster"));
        }
    };
    let ServiceTarget { namespace, name, port, path } = service;
    Ok((service, format!("{} http://{name}.{namespace}:{port}{path}", probe.method.as_str())))
}

fn unsupported(what: &str, cannot: &str) -> Error {
    ProbeError::Unsupported { what: what.to_owned(), cannot: cannot.to_owned() }.into()
}

/// Whether the API server refused, and not the server behind it: the Status of the API server names the Service.
fn names_service(body: &[u8], service: &ServiceTarget) -> bool {
    let Ok(body) = serde_json::from_slice::<Value>(body) else { return false };
    let name = body["details"]["name"].as_str().unwrap_or_default();
    body["kind"] == "Status"
        && body["details"]["kind"] == "services"
        && name.split(':').any(|part| part == service.name)
}

/// Whether the proxy may pass a header on. The API server reads credentials and impersonation as its own, with the operator's
/// rights; the other refused headers belong to the connection.
fn may_be_sent(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    let refused = [
        "authorization",
        "cookie",
        "host",
        "connection",
        "upgrade",
        "transfer-encoding",
        "content-length",
        "te",
        "trailer",
    ];
    !refused.contains(&name.as_str())
        && !["impersonate-", "x-remote-", "proxy-", "sec-websocket"]
            .iter()
            .any(|prefix| name.starts_with(prefix))
}

/// The path under the API server's proxy. A path that leaves it would be a request to the API server itself, with the
/// operator's rights.
fn proxy_path(service: &ServiceTarget) -> Result<String, ProbeError> {
    let invalid = |message: &str| ProbeError::Invalid {
        what: format!("http://{}.{}:{}{}", service.name, service.namespace, service.port, service.path),
        message: message.to_owned(),
    };
    for name in [&service.namespace, &service.name] {
        if !is_dns_label(name) {
            return Err(invalid("its Service or namespace is not a DNS label"));
        }
    }
    let (path, query) = match service.path.split_once('?') {
        Some((path, query)) => (path, Some(query)),
        None => (service.path.as_str(), None),
    };
    if !path.starts_with('/') {
        return Err(invalid("its path must begin with `/`"));
    }
    let allowed = |byte: u8| byte.is_ascii_graphic() && !b"\\#\"<>^`{|}".contains(&byte);
    if !service.path.bytes().all(allowed) {
        return Err(invalid("its path has characters that must be percent-encoded"));
    }
    let dots = |segment: &str| {
        let decoded = segment.to_ascii_lowercase().replace("%2e", ".");
        decoded == "."
            || decoded == ".."
            || decoded.contains("%2f")
            || decoded.contains("%25")
            || decoded.contains("%5c")
    };
    if path.split('/').any(dots) {
        return Err(invalid("its path must not have `.` or `..` segments or encoded slashes"));
    }
    let kind = ApiResource { plural: "services".into(), ..ApiResource::pod() };
    let name = format!("{}:{}", service.name, service.port);
    // The port is part of the name that the proxy reads, so its colon stays as it is.
    let base = format!("{}/{name}/proxy{path}", kind.path(Some(&service.namespace), None));
    Ok(query.map_or(base.clone(), |query| format!("{base}?{query}")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn target(path: &str) -> ServiceTarget {
        ServiceTarget { namespace: "devpi".into(), name: "devpi".into(), port: 3141, path: path.into() }
    }

    #[test]
    fn a_check_stays_under_the_proxy() {
        assert_eq!(
            proxy_path(&target("/+api?a=../b")).unwrap(),
            "/api/v1/namespaces/devpi/services/devpi:3141/proxy/+api?a=../b"
        );
        for invalid in [
            "",
            "x",
            "/..",
            "/a/../../secrets",
            "/%2e%2E/x",
            "/a%2f..%2fb",
            "/a b",
            "/a#b",
            "/%252e%252e",
            "/a\\b",
            "/./a",
            "/\u{e9}",
        ] {
            assert!(proxy_path(&target(invalid)).is_err(), "{invalid}");
        }
        let mut leaving = target("/");
        leaving.name = "x/../../secrets".into();
        assert!(proxy_path(&leaving).is_err());
    }

    #[test]
    fn a_check_cannot_impersonate() {
        for name in ["Authorization", "Impersonate-User", "cookie", "X-Remote-User", "Host"] {
            assert!(!may_be_sent(name), "{name}");
        }
        assert!(may_be_sent("Accept") && may_be_sent("X-Devpi-Auth"));
    }

    #[test]
    fn a_refusal_of_the_api_server_names_the_service() {
        let status = json!({"kind": "Status", "details": {"kind": "services", "name": "devpi:3141"}});
        assert!(names_service(status.to_string().as_bytes(), &target("/")));
        let app = json!({"kind": "Status", "details": {"kind": "pods", "name": "devpi"}});
        assert!(!names_service(app.to_string().as_bytes(), &target("/")));
    }
}
