//! One request to the API server: path, body, and whether it may be repeated.

use crate::api::confidential::is_confidential;
use crate::api::resource::{ApiResource, encode};
use http::Method;
use serde_json::{Value, json};
use thinkube_plan::ObjectRef;

/// The field manager of the host's writes.
pub(crate) const MANAGER: &str = "thinkube-host";
/// Items of one page of a list.
const PAGE: usize = 500;

const JSON: &str = "application/json";
const METADATA_LIST: &str =
    "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1,application/json";
const DISCOVERY: &str = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,\
     application/json;g=apidiscovery.k8s.io;v=v2beta1;as=APIGroupDiscoveryList";

/// One request.
#[derive(Clone)]
pub(crate) struct ApiRequest {
    pub(crate) method: Method,
    pub(crate) uri: String,
    pub(crate) content_type: &'static str,
    pub(crate) accept: &'static str,
    pub(crate) body: Option<Vec<u8>>,
    /// Whether sending it twice has the effect of sending it once.
    pub(crate) idempotent: bool,
    /// For messages: `patch Deployment demo/web`.
    pub(crate) what: String,
    pub(crate) verb: &'static str,
    pub(crate) kind: ApiResource,
    pub(crate) namespace: Option<String>,
    /// Whether the answer may quote a secret value.
    pub(crate) confidential: bool,
}

impl ApiRequest {
    fn new(
        method: Method,
        verb: &'static str,
        kind: &ApiResource,
        namespace: Option<&str>,
        name: Option<&str>,
    ) -> Self {
        let named = name.map_or_else(|| kind.plural.clone(), |name| kind.object(namespace, name).to_string());
        Self {
            method,
            uri: kind.path(namespace, name),
            content_type: JSON,
            accept: JSON,
            body: None,
            idempotent: true,
            what: format!("{verb} {named}"),
            verb,
            kind: kind.clone(),
            namespace: namespace.map(str::to_owned),
            confidential: kind.is_secret(),
        }
    }

    pub(crate) fn get(kind: &ApiResource, namespace: Option<&str>, name: &str) -> Self {
        Self::new(Method::GET, "get", kind, namespace, Some(name))
    }

    /// The first page of a list. `selectors` are query parameters: `labelSelector`, `fieldSelector`.
    pub(crate) fn list(
        kind: &ApiResource,
        namespace: Option<&str>,
        selectors: &[(&str, &str)],
        metadata: bool,
    ) -> Self {
        let mut request = Self::new(Method::GET, "list", kind, namespace, None);
        if metadata {
            request.accept = METADATA_LIST;
        }
        request.uri.push_str(&format!("?limit={PAGE}"));
        for (name, value) in selectors {
            request.uri.push_str(&format!("&{name}={}", encode(value)));
        }
        request
    }

    /// The page of this list that begins at a continue token. Empty: the first.
    pub(crate) fn page(&self, token: &str) -> Self {
        let mut request = self.clone();
        if !token.is_empty() {
            request.uri.push_str(&format!("&continue={}", encode(token)));
        }
        request
    }

    pub(crate) fn create(kind: &ApiResource, namespace: Option<&str>, body: &Value) -> Self {
        let mut request = Self::new(Method::POST, "create", kind, namespace, None);
        request.uri = format!("{}?fieldManager={MANAGER}", request.uri);
        request.idempotent = false;
        request.with_body(body.to_string().into_bytes())
    }

    /// A create as a dry run: whether the server would accept `body`.
    pub(crate) fn create_dry_run(kind: &ApiResource, namespace: Option<&str>, body: &Value) -> Self {
        let mut request = Self::create(kind, namespace, body);
        request.uri.push_str("&dryRun=All");
        request.idempotent = true;
        request
    }

    pub(crate) fn replace(kind: &ApiResource, namespace: Option<&str>, name: &str, body: &Value) -> Self {
        let mut request = Self::new(Method::PUT, "update", kind, namespace, Some(name));
        request.uri = format!("{}?fieldManager={MANAGER}", request.uri);
        request.with_body(body.to_string().into_bytes())
    }

    /// A server-side apply without `force`: a field of another manager is a conflict.
    pub(crate) fn apply(kind: &ApiResource, object: &ObjectRef, body: &Value, dry_run: bool) -> Self {
        let mut request = Self::apply_as(MANAGER, kind, object, body);
        if dry_run {
            request.uri.push_str("&dryRun=All");
        }
        request
    }

    /// The same as another field manager, so that an apply of the release's plan leaves the fields alone.
    pub(crate) fn apply_as(manager: &str, kind: &ApiResource, object: &ObjectRef, body: &Value) -> Self {
        let mut request =
            Self::new(Method::PATCH, "patch", kind, object.namespace.as_deref(), Some(&object.name));
        request.uri = format!("{}?fieldManager={manager}&fieldValidation=Strict&force=false", request.uri);
        request.content_type = "application/apply-patch+yaml";
        request.confidential = is_confidential(body);
        request.with_body(body.to_string().into_bytes())
    }

    /// The last lines of a container's log, as text.
    pub(crate) fn log(namespace: &str, pod: &str, container: &str, lines: usize, bytes: usize) -> Self {
        let mut kind = ApiResource::pod();
        let path = kind.path(Some(namespace), Some(pod));
        kind.plural = "pods/log".into();
        let mut request = Self::new(Method::GET, "get", &kind, Some(namespace), Some(pod));
        request.uri = format!("{path}/log?container={container}&tailLines={lines}&limitBytes={bytes}");
        request.accept = "*/*";
        request
    }

    /// Deletes the object with that UID, and no other of the same name.
    pub(crate) fn delete(kind: &ApiResource, object: &ObjectRef, uid: &str, propagation: &str) -> Self {
        let request =
            Self::new(Method::DELETE, "delete", kind, object.namespace.as_deref(), Some(&object.name));
        let body = json!({"apiVersion": "v1", "kind": "DeleteOptions", "preconditions": {"uid": uid},
            "propagationPolicy": propagation});
        request.with_body(body.to_string().into_bytes())
    }

    pub(crate) fn version() -> Self {
        Self { accept: JSON, ..Self::discovery("/version") }
    }

    pub(crate) fn discovery(path: &str) -> Self {
        let mut request = Self::new(Method::GET, "get", &ApiResource::namespace(), None, None);
        request.uri = path.into();
        request.accept = DISCOVERY;
        request.what = format!("read {path}");
        request
    }

    /// A request to a Service behind the API server's proxy. Never repeated: only the Service knows whether it is idempotent.
    pub(crate) fn proxy(method: Method, uri: String, what: String, namespace: &str) -> Self {
        let mut kind = ApiResource::pod();
        kind.plural = "services/proxy".into();
        let verb = match method {
            Method::POST => "create",
            Method::PUT => "update",
            Method::PATCH => "patch",
            Method::DELETE => "delete",
            _ => "get",
        };
        let mut request = Self::new(method, verb, &kind, Some(namespace), None);
        (request.uri, request.what, request.idempotent) = (uri, what, false);
        request
    }

    pub(crate) fn with_body(mut self, body: Vec<u8>) -> Self {
        self.body = Some(body);
        self
    }
}
