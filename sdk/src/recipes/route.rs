//! Routes into the cluster: an Ingress or an HTTPRoute.

use super::OAuth2Proxy;
use crate::object::Object;
use crate::template::template;
use serde_json::{Map, Value, json};

/// The headers in which an OAuth2 proxy names the user. A client that sends them itself could impersonate another user.
const IDENTITY_HEADERS: [&str; 8] = [
    "X-Auth-Request-User",
    "X-Auth-Request-Email",
    "X-Auth-Request-Groups",
    "X-Auth-Request-Preferred-Username",
    "X-Forwarded-User",
    "X-Forwarded-Email",
    "X-Forwarded-Groups",
    "X-Forwarded-Preferred-Username",
];

/// How requests enter the cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Routing {
    /// By Ingresses. Features beyond the Ingress API use the annotations of ingress-nginx.
    Ingress {
        /// The IngressClass.
        class: String,
    },
    /// By HTTPRoutes at the listener `https` of a Gateway.
    Gateway {
        /// The namespace of the Gateway.
        namespace: String,
        /// The name of the Gateway.
        name: String,
    },
}

/// A route from a host name to a Service.
#[derive(Debug, Clone)]
pub struct Route {
    namespace: String,
    name: String,
    host: String,
    backend: (String, u16),
    path: &'static str,
    tls_secret: Option<String>,
    annotations: Vec<(&'static str, String)>,
    removed_headers: &'static [&'static str],
    headers: Vec<(&'static str, String)>,
}

impl Route {
    /// The object is called `name` with the suffix `-ingress` or `-httproute`. `backend` is a Service of the namespace and a port.
    pub fn new(
        namespace: impl Into<String>,
        name: impl Into<String>,
        host: impl Into<String>,
        backend: (&str, u16),
    ) -> Self {
        Self {
            namespace: namespace.into(),
            name: name.into(),
            host: host.into(),
            backend: (backend.0.to_owned(), backend.1),
            path: "/",
            tls_secret: None,
            annotations: Vec::new(),
            removed_headers: &[],
            headers: Vec::new(),
        }
    }

    /// Routes only paths below this one.
    pub fn path(mut self, path: &'static str) -> Self {
        self.path = path;
        self
    }

    /// The TLS Secret of an Ingress, which then redirects HTTP to HTTPS. A Gateway has its own certificate.
    pub fn tls(mut self, secret: impl Into<String>) -> Self {
        self.tls_secret = Some(secret.into());
        self.annotation("force-ssl-redirect", "true")
    }

    /// The largest request body through an Ingress, for example `50m`. A Gateway has no such limit.
    pub fn body_size(self, size: &str) -> Self {
        self.annotation("proxy-body-size", size)
    }

    /// Requires a login. An Ingress asks the proxy about each request. A Gateway cannot ask, so the proxy must be the backend
    /// itself. The backend never receives a client's own headers that name a user.
    pub fn guarded_by(mut self, proxy: &OAuth2Proxy) -> Self {
        let start = format!("https://{}/oauth2/start?rd=$escaped_request_uri", self.host);
        self.removed_headers = &IDENTITY_HEADERS;
        self.annotation("auth-url", &format!("{}/oauth2/auth", proxy.url())).annotation("auth-signin", &start)
    }

    /// An Ingress asks this URL about each request, and forwards the request if the status is 200 to 299. A controller that
    /// caches answers asks every five minutes. A Gateway ignores it.
    pub fn auth_url(self, url: &str) -> Self {
        self.annotation("auth-url", url).annotation("auth-cache-key", "all")
    }

    /// A header that the backend never receives from the client. A Gateway sets it to this value. ingress-nginx copies it from
    /// the answer to [`guarded_by`](Self::guarded_by) or [`auth_url`](Self::auth_url), and drops it if the answer has none.
    pub fn request_header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    fn annotation(mut self, name: &'static str, value: &str) -> Self {
        self.annotations.push((name, value.to_owned()));
        self
    }

    /// The Ingress or the HTTPRoute.
    pub fn object(&self, routing: &Routing) -> Object {
        match routing {
            Routing::Ingress { class } => self.ingress(class),
            Routing::Gateway { namespace, name } => self.http_route(namespace, name),
        }
    }

    fn ingress(&self, class: &str) -> Object {
        let mut annotations: Map<String, Value> = self
            .annotations
            .iter()
            .map(|(name, value)| (format!("nginx.ingress.kubernetes.io/{name}"), value.as_str().into()))
            .collect();
        // The controller copies each from the answer, and drops those that the answer lacks.
        let set = self.headers.iter().map(|(name, _)| *name);
        let names: Vec<&str> = self.removed_headers.iter().copied().chain(set).collect();
        if !names.is_empty() {
            let name = "nginx.ingress.kubernetes.io/auth-response-headers".to_owned();
            annotations.insert(name, names.join(",").into());
        }
        let tls: Vec<Value> = self
            .tls_secret
            .iter()
            .map(|secret| json!({"hosts": [self.host], "secretName": secret}))
            .collect();
        let text = stringify!(
            {
              "apiVersion": "networking.k8s.io/v1",
              "kind": "Ingress",
              "metadata": {"name": "${name}-ingress", "namespace": "${namespace}", "annotations": "${annotations}"},
              "spec": {
                "ingressClassName": "${class}",
                "tls": "${tls}",
                "rules": [{
                  "host": "${host}",
                  "http": {"paths": [{
                    "path": "${path}",
                    "pathType": "Prefix",
                    "backend": {"service": {"name": "${service}", "port": {"number": "${port}"}}}
                  }]}
                }]
              }
            }
        );
        Object::of(&self.manifest(text, json!({"class": class, "tls": tls, "annotations": annotations})))
    }

    fn http_route(&self, gateway_namespace: &str, gateway: &str) -> Object {
        let text = stringify!(
            {
              "apiVersion": "gateway.networking.k8s.io/v1",
              "kind": "HTTPRoute",
              "metadata": {"name": "${name}-httproute", "namespace": "${namespace}"},
              "spec": {
                "parentRefs": [{"name": "${gateway}", "namespace": "${gateway_namespace}", "sectionName": "https"}],
                "hostnames": ["${host}"],
                "rules": [{
                  "matches": [{"path": {"type": "PathPrefix", "value": "${path}"}}],
                  "filters": [{
                    "type": "RequestHeaderModifier",
                    "requestHeaderModifier": {"set": "${set}", "remove": "${remove}"}
                  }],
                  "backendRefs": [{"name": "${service}", "port": "${port}"}]
                }]
              }
            }
        );
        // The host drops null fields.
        let some = |list: Vec<Value>| if list.is_empty() { Value::Null } else { Value::Array(list) };
        let set = self.headers.iter().map(|(name, value)| json!({"name": name, "value": value})).collect();
        let remove = self.removed_headers.iter().map(|name| Value::from(*name)).collect();
        let values = json!({
            "gateway_namespace": gateway_namespace,
            "gateway": gateway,
            "set": some(set),
            "remove": some(remove),
        });
        let mut route = self.manifest(text, values);
        if self.headers.is_empty() && self.removed_headers.is_empty() {
            route["spec"]["rules"][0]["filters"] = Value::Null;
        }
        Object::of(&route)
    }

    fn manifest(&self, text: &str, mut values: Value) -> Value {
        for (name, value) in [
            ("namespace", json!(self.namespace)),
            ("name", json!(self.name)),
            ("host", json!(self.host)),
            ("path", json!(self.path)),
            ("service", json!(self.backend.0)),
            ("port", json!(self.backend.1)),
        ] {
            values[name] = value;
        }
        template(text, &values)
    }
}
