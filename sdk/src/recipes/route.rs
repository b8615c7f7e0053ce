use super::OAuth2Proxy;
use crate::{Object, template};
use serde_json::{Map, Value, json};

/// The headers in which an OAuth2 proxy names the person. A client that sends them itself could pass for somebody else.
const IDENTITY: [&str; 8] = [
    "X-Auth-Request-User",
    "X-Auth-Request-Email",
    "X-Auth-Request-Groups",
    "X-Auth-Request-Preferred-Username",
    "X-Forwarded-User",
    "X-Forwarded-Email",
    "X-Forwarded-Groups",
    "X-Forwarded-Preferred-Username",
];

/// How requests from outside come into the cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Routing {
    /// By Ingresses of this class. What is more than the Ingress API is said as ingress-nginx reads it.
    Ingress {
        /// The class.
        class: String,
    },
    /// By HTTPRoutes below a Gateway, at its listener `https`.
    Gateway {
        /// The Gateway's namespace.
        namespace: String,
        /// The Gateway.
        name: String,
    },
}

/// A way from a host name to a Service.
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
    /// `name` gets `-ingress` or `-httproute` at its end; `backend` is a Service of the namespace and its port.
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

    /// Only what is below this path.
    pub fn path(mut self, path: &'static str) -> Self {
        self.path = path;
        self
    }

    /// The TLS Secret for an Ingress, which also sends plain HTTP to HTTPS. A Gateway has a certificate of its own.
    pub fn tls(mut self, secret: impl Into<String>) -> Self {
        self.tls_secret = Some(secret.into());
        self.annotation("force-ssl-redirect", "true")
    }

    /// The largest request of an Ingress, for example `50m`. A Gateway has no such limit.
    pub fn body_size(self, size: &str) -> Self {
        self.annotation("proxy-body-size", size)
    }

    /// Whoever has not logged in is sent to do so: an Ingress asks the proxy about each request. Behind a Gateway, which
    /// cannot ask, the proxy must be the backend itself. Headers of a client that name a person do not reach the backend.
    pub fn guarded_by(mut self, proxy: &OAuth2Proxy) -> Self {
        let start = format!("https://{}/oauth2/start?rd=$escaped_request_uri", self.host);
        self.removed_headers = &IDENTITY;
        self.annotation("auth-url", &format!("{}/oauth2/auth", proxy.url())).annotation("auth-signin", &start)
    }

    /// An Ingress asks this URL about each request, and passes on those for which the answer is 200 to 299; it asks once in
    /// five minutes where the controller keeps answers. A Gateway asks nobody.
    pub fn auth_url(self, url: &str) -> Self {
        self.annotation("auth-url", url).annotation("auth-cache-key", "all")
    }

    /// A header that the backend gets from here and never from the client. A Gateway sets it to this value. ingress-nginx
    /// takes it from the answer to what the Ingress asks ([`guarded_by`](Self::guarded_by), [`asks`](Self::auth_url)), so
    /// that without one there the backend gets none.
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
        // The controller sets each to what was answered to it, and leaves out what was not.
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
        // The host leaves out what is null.
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
