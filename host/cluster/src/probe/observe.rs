//! Facts and checks: one look at the cluster, no change.

use crate::Error;
use crate::api::client::{ApiRequest, Cluster};
use crate::api::status::StatusKind;
use crate::diff::normalize::redacted;
use crate::discovery::{ApiResource, check_name};
use crate::probe::certificate;
use crate::readiness::kstatus::{State, status};
use http::{HeaderName, HeaderValue, Method};
use serde_json::{Map, Value};
use thinkube_plan::{
    Answer, HttpMethod, HttpProbe, HttpTarget, ObjectRef, Observation, Probe, Query, Selection,
    ServiceTarget, TypeMeta,
};

/// What a check reads of an answer at most.
const MOST_BODY: usize = 1 << 20;

impl Cluster {
    /// Answers a plugin's query. A Secret comes without its values.
    ///
    /// # Errors
    /// Why the cluster could not be read.
    pub async fn answer(&self, query: &Query) -> Result<Answer, Error> {
        Ok(match query {
            Query::Object(object) => match self.look_at(object).await? {
                Some(object) => Answer::Object(redacted(object)),
                None => Answer::Absent,
            },
            Query::Objects(selection) => {
                Answer::Objects(self.look_for(selection).await?.into_iter().map(redacted).collect())
            }
            Query::Served(kind) => Answer::Served(self.kind(kind).await?.is_some()),
        })
    }

    /// Looks once at what a check asks for. A Secret comes without its values.
    ///
    /// # Errors
    /// Those of [`supported`], or why the cluster could not be read. What is absent, not ready or answers with an error
    /// is an observation.
    pub async fn observe(&self, probe: &Probe) -> Result<Observation, Error> {
        supported(probe)?;
        match probe {
            Probe::Ready(object) => {
                let Some(live) = self.look_at(object).await? else { return Ok(absent(object)) };
                let seen = status(&live, self.now());
                let mut summary = seen.message;
                if seen.state != State::Current
                    && let (reasons, _) = self.explain(&live).await
                    && let Some(reason) = reasons.first()
                {
                    summary = format!("{summary}; {reason}");
                }
                let variables = variables([("object", redacted(live))]);
                Ok(Observation { holds: seen.state == State::Current, summary, variables })
            }
            Probe::Object(object) => {
                let Some(live) = self.look_at(object).await? else { return Ok(absent(object)) };
                let certificate = certificate::of(&live, self.now());
                let variables = variables([("certificate", certificate), ("object", redacted(live))]);
                Ok(Observation { holds: true, summary: format!("{object} exists"), variables })
            }
            Probe::Objects(selection) => {
                let found: Vec<Value> = self.look_for(selection).await?.into_iter().map(redacted).collect();
                Ok(Observation {
                    holds: !found.is_empty(),
                    summary: format!("{} found: {selection}", found.len()),
                    variables: variables([("objects", Value::Array(found))]),
                })
            }
            Probe::Http(http) => self.exchange_http(http).await,
        }
    }

    /// The object as it is. None: there is none, or its kind is not served.
    pub(crate) async fn look_at(&self, object: &ObjectRef) -> Result<Option<Value>, Error> {
        let Some(kind) = self.kind(&object.type_meta()).await? else { return Ok(None) };
        let namespace = match (&object.namespace, kind.namespaced) {
            (Some(namespace), true) => {
                check_name("namespace", namespace)?;
                Some(namespace.as_str())
            }
            (None, true) => {
                return Err(Error::Invalid {
                    stage: "-".into(),
                    object: object.to_string(),
                    message: "its kind lives in namespaces, and it has none".into(),
                });
            }
            (_, false) => None,
        };
        self.get(&kind, namespace, &object.name).await
    }

    /// In the order of namespace and name.
    async fn look_for(&self, selection: &Selection) -> Result<Vec<Value>, Error> {
        let wanted = TypeMeta { api_version: selection.api_version.clone(), kind: selection.kind.clone() };
        let Some(kind) = self.kind(&wanted).await? else { return Ok(Vec::new()) };
        let namespace = selection.namespace.as_deref();
        if let Some(namespace) = namespace {
            check_name("namespace", namespace)?;
        }
        let selector = [("labelSelector", selection.label_selector.as_str())];
        let selectors = if selection.label_selector.is_empty() { &selector[..0] } else { &selector[..] };
        let mut found = self.list(&kind, namespace, selectors, false).await?;
        let key =
            |object: &Value, field: &str| object["metadata"][field].as_str().unwrap_or_default().to_owned();
        found.sort_by_cached_key(|object| (key(object, "namespace"), key(object, "name")));
        Ok(found)
    }

    async fn exchange_http(&self, probe: &HttpProbe) -> Result<Observation, Error> {
        let (service, what) = target_of(probe)?;
        let uri = proxy_path(service)?;
        let method = match probe.method {
            HttpMethod::Get => Method::GET,
            HttpMethod::Head => Method::HEAD,
            HttpMethod::Post => Method::POST,
            HttpMethod::Put => Method::PUT,
            HttpMethod::Patch => Method::PATCH,
            HttpMethod::Delete => Method::DELETE,
        };
        let mut ask = ApiRequest::proxy(method, uri, what, &service.namespace);
        if let Some(body) = &probe.body {
            ask = ask.with_body(body.clone().into_bytes());
        }
        let password;
        let own = probe.headers.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        let mut headers: Vec<(&str, &str)> = own.collect();
        if let Some(credentials) = &probe.credentials {
            password = match self.credentials(credentials, service).await? {
                Ok(password) => password,
                Err(why) => return Ok(Observation::of_no_answer(why)),
            };
            headers.push((&credentials.header, &password));
        }
        let reply = match self.exchange(&ask, &headers, MOST_BODY).await {
            Ok(reply) => reply,
            // It may be what is behind the proxy that does not answer; that the server does was seen before.
            Err(Error::Unreachable { message, .. }) => {
                return Ok(Observation::of_no_answer(message));
            }
            Err(error) => return Err(error),
        };
        // The API server's 401 names no Service. One that does is from the server behind it, which may quote a secret.
        let refused = reply.answered.class == StatusKind::Forbidden
            && reply.answered.reason.is_some()
            && is_about(&reply.body, service);
        if refused {
            return Err(self.refusal(&ask, reply).await);
        }
        let status = http::StatusCode::from_u16(reply.status).ok();
        let reason = status.and_then(|status| status.canonical_reason()).unwrap_or_default();
        let headers = reply.headers.iter().map(|(name, value)| (name.as_str(), value.as_bytes()));
        // An answer to a secret may hold it: a person is shown the status alone.
        let message = if probe.credentials.is_none() { reply.answered.message.as_str() } else { "" };
        Ok(Observation::of_answer(reply.status, reason, headers, &reply.body, message))
    }
}

/// Whether [`Cluster::observe`] could look at this at all, whatever the cluster is: to be asked before anything is
/// changed for whose sake it would be looked at.
///
/// # Errors
/// [`Error::Unsupported`] for what this host cannot do, [`Error::Invalid`] for what nobody could.
pub fn supported(probe: &Probe) -> Result<(), Error> {
    match probe {
        Probe::Ready(object) | Probe::Object(object) => {
            if let Some(namespace) = &object.namespace {
                check_name("namespace", namespace)?;
            }
            check_name(&object.kind, &object.name)
        }
        Probe::Objects(selection) => match &selection.namespace {
            Some(namespace) => check_name("namespace", namespace),
            None => Ok(()),
        },
        Probe::Http(probe) => {
            let (service, what) = target_of(probe)?;
            if probe.follow_redirects {
                return Err(unsupported(&what, "follow redirects behind the API server's proxy"));
            }
            proxy_path(service)?;
            let credentials = probe.credentials.iter().map(|credentials| (&credentials.header, ""));
            let headers = probe.headers.iter().map(|(name, value)| (name, value.as_str()));
            for (name, value) in headers.chain(credentials) {
                if !may_be_sent(name) {
                    let cannot = format!("send the header `{name}` through the API server's proxy");
                    return Err(unsupported(&what, &cannot));
                }
                // The value is not shown: it may be a credential of what is asked.
                if name.parse::<HeaderName>().is_err() || value.parse::<HeaderValue>().is_err() {
                    let message = format!("`{name}` or its value is no HTTP header");
                    return Err(Error::Invalid { stage: "-".into(), object: what, message });
                }
            }
            Ok(())
        }
    }
}

/// The Service that is asked, and the exchange in words.
fn target_of(probe: &HttpProbe) -> Result<(&ServiceTarget, String), Error> {
    let service = match &probe.target {
        HttpTarget::Service(service) => service,
        HttpTarget::Url(url) => return Err(unsupported(url, "ask a URL outside the cluster's Services")),
    };
    let ServiceTarget { namespace, name, port, path } = service;
    Ok((service, format!("{} http://{name}.{namespace}:{port}{path}", probe.method.as_str())))
}

fn variables<const N: usize>(pairs: [(&str, Value); N]) -> Map<String, Value> {
    pairs.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

fn absent(object: &ObjectRef) -> Observation {
    Observation {
        holds: false,
        summary: format!("{object} does not exist"),
        variables: variables([("object", Value::Null)]),
    }
}

fn unsupported(what: &str, cannot: &str) -> Error {
    Error::Unsupported { what: what.to_owned(), cannot: cannot.to_owned() }
}

/// Whether it was the API server that refused, and not what is behind it: its Status names the Service.
fn is_about(body: &[u8], service: &ServiceTarget) -> bool {
    let Ok(body) = serde_json::from_slice::<Value>(body) else { return false };
    let name = body["details"]["name"].as_str().unwrap_or_default();
    body["kind"] == "Status"
        && body["details"]["kind"] == "services"
        && name.split(':').any(|part| part == service.name)
}

/// Credentials would be read by the API server as its own, and a plugin that could impersonate would have the
/// operator's rights; the rest belongs to the connection, which is not the probe's.
fn may_be_sent(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    let own = [
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
    !own.contains(&name.as_str())
        && !["impersonate-", "x-remote-", "proxy-", "sec-websocket"]
            .iter()
            .any(|prefix| name.starts_with(prefix))
}

/// The path under the API server's proxy. A path that climbs out of it would be a request to the API server itself,
/// with the operator's rights.
fn proxy_path(service: &ServiceTarget) -> Result<String, Error> {
    let invalid = |message: &str| Error::Invalid {
        stage: "-".into(),
        object: format!("http://{}.{}:{}{}", service.name, service.namespace, service.port, service.path),
        message: message.to_owned(),
    };
    for name in [&service.namespace, &service.name] {
        let label = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        if name.is_empty() || !name.bytes().all(label) {
            return Err(invalid("its Service or namespace is no DNS label"));
        }
    }
    let (path, query) = match service.path.split_once('?') {
        Some((path, query)) => (path, Some(query)),
        None => (service.path.as_str(), None),
    };
    if !path.starts_with('/') {
        return Err(invalid("its path must begin with `/`"));
    }
    let plain = |byte: u8| byte.is_ascii_graphic() && !b"\\#\"<>^`{|}".contains(&byte);
    if !service.path.bytes().all(plain) {
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
        return Err(invalid("its path must not hold `.` or `..` segments or encoded slashes"));
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
    fn a_probe_stays_under_the_proxy() {
        assert_eq!(
            proxy_path(&target("/+api?a=../b")).unwrap(),
            "/api/v1/namespaces/devpi/services/devpi:3141/proxy/+api?a=../b"
        );
        for wrong in [
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
            assert!(proxy_path(&target(wrong)).is_err(), "{wrong}");
        }
        let mut climbing = target("/");
        climbing.name = "x/../../secrets".into();
        assert!(proxy_path(&climbing).is_err());
    }

    #[test]
    fn what_cannot_be_looked_at_is_known_without_a_cluster() {
        let http = |target: HttpTarget, headers: &[(&str, &str)], follow_redirects: bool| {
            let headers = headers.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect();
            let (method, credentials) = (HttpMethod::Get, None);
            let probe = HttpProbe { target, method, headers, credentials, body: None, follow_redirects };
            supported(&Probe::Http(probe))
        };
        let service = |path: &str| HttpTarget::Service(target(path));
        assert!(http(service("/"), &[("Accept", "a/b")], false).is_ok());
        for refused in [
            http(HttpTarget::Url("https://a.io".into()), &[], false),
            http(service("/"), &[], true),
            http(service("/"), &[("Authorization", "x")], false),
        ] {
            let error = refused.unwrap_err();
            assert!(matches!(error, Error::Unsupported { .. }), "{error}");
            assert!(!error.to_string().contains("nothing was changed"), "a check may come after a change");
        }
        for refused in [http(service("/../x"), &[], false), http(service("/"), &[("a b", "secret\n")], false)]
        {
            let error = refused.unwrap_err();
            assert!(matches!(error, Error::Invalid { .. }), "{error}");
            assert!(!error.to_string().contains("secret"), "{error}");
        }
        let object = |namespace: &str, name: &str| {
            supported(&Probe::Ready(ApiResource::pod().object(Some(namespace), name)))
        };
        assert!(object("a", "b").is_ok() && object("..", "b").is_err() && object("a", "b/c").is_err());
    }

    #[test]
    fn a_probe_cannot_speak_for_somebody_else() {
        for name in ["Authorization", "Impersonate-User", "cookie", "X-Remote-User", "Host"] {
            assert!(!may_be_sent(name), "{name}");
        }
        assert!(may_be_sent("Accept") && may_be_sent("X-Devpi-Auth"));
    }

    #[test]
    fn a_refusal_of_the_api_server_names_the_service() {
        let status = json!({"kind": "Status", "details": {"kind": "services", "name": "devpi:3141"}});
        assert!(is_about(status.to_string().as_bytes(), &target("/")));
        let app = json!({"kind": "Status", "details": {"kind": "pods", "name": "devpi"}});
        assert!(!is_about(app.to_string().as_bytes(), &target("/")));
    }
}
