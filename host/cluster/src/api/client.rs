use crate::Error;
use crate::api::concurrency::Limiter;
use crate::api::status::{ApiStatus, StatusKind, classify};
use crate::diff::normalize::is_confidential;
use crate::discovery::{ApiResource, ApiResources, Found, check_name, encode};
use crate::progress::{Event, Events, quiet};
use http::{HeaderMap, Method, Request, header};
use http_body_util::BodyExt as _;
use k8s_openapi::jiff::{self, Timestamp};
use kube::client::Body;
use kube::config::{KubeConfigOptions, Kubeconfig, KubeconfigError};
use rand::Rng as _;
use serde_json::{Value, json};
use std::error::Error as _;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;
use thinkube_plan::{ObjectRef, TypeMeta};
use tokio::sync::RwLock;

/// The field manager of everything that this host applies.
pub(crate) const MANAGER: &str = "thinkube-host";
const DEADLINE: Duration = Duration::from_secs(30);
/// An etcd object has at most 1.5 MiB; a page has at most [`PAGE`] of them, and most are a few kB.
const MOST_BYTES: usize = 256 << 20;
const PAGE: usize = 500;
const MOST_ITEMS: usize = 20_000;

/// How to reach a cluster.
#[derive(Debug, Clone)]
pub struct Connect {
    /// The kubeconfig; None means KUBECONFIG, else `~/.kube/config`, else the pod's service account.
    pub kubeconfig: Option<PathBuf>,
    /// The context in it; None means its current one.
    pub context: Option<String>,
    /// The namespace in which the host keeps what it knows of its releases.
    pub state_namespace: String,
}

impl Default for Connect {
    fn default() -> Self {
        Self { kubeconfig: None, context: None, state_namespace: "thinkube-system".into() }
    }
}

/// A connection to a cluster. Clones share it, with its limiter.
#[derive(Clone)]
pub struct Cluster(Arc<Shared>);

struct Shared {
    client: kube::Client,
    server: String,
    version: String,
    state_namespace: String,
    limiter: Limiter,
    kinds: RwLock<Option<Arc<ApiResources>>>,
    /// Seconds to add to this machine's clock to get the server's.
    skew: AtomicI64,
}

/// One request.
#[derive(Clone)]
pub(crate) struct ApiRequest {
    method: Method,
    uri: String,
    content_type: &'static str,
    accept: &'static str,
    body: Option<Vec<u8>>,
    /// Whether sending it twice does the same as sending it once.
    repeatable: bool,
    what: String,
    verb: &'static str,
    kind: ApiResource,
    namespace: Option<String>,
    /// Whether an answer may quote a secret.
    confidential: bool,
}

const JSON: &str = "application/json";
const METADATA_LIST: &str =
    "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1,application/json";
const DISCOVERY: &str = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,\
     application/json;g=apidiscovery.k8s.io;v=v2beta1;as=APIGroupDiscoveryList";

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
            repeatable: true,
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

    fn list(kind: &ApiResource, namespace: Option<&str>) -> Self {
        Self::new(Method::GET, "list", kind, namespace, None)
    }

    pub(crate) fn create(kind: &ApiResource, namespace: Option<&str>, body: &Value) -> Self {
        let mut ask = Self::new(Method::POST, "create", kind, namespace, None);
        ask.uri = format!("{}?fieldManager={MANAGER}", ask.uri);
        ask.body = Some(body.to_string().into_bytes());
        ask.repeatable = false;
        ask
    }

    /// Asks whether `body` could be created under a name of the server's choice. Nothing is made.
    pub(crate) fn probe_create(kind: &ApiResource, namespace: Option<&str>, body: &Value) -> Self {
        let mut ask = Self::create(kind, namespace, body);
        ask.uri.push_str("&dryRun=All");
        ask.repeatable = true;
        ask
    }

    pub(crate) fn replace(kind: &ApiResource, namespace: Option<&str>, name: &str, body: &Value) -> Self {
        let mut ask = Self::new(Method::PUT, "update", kind, namespace, Some(name));
        ask.uri = format!("{}?fieldManager={MANAGER}", ask.uri);
        ask.body = Some(body.to_string().into_bytes());
        ask
    }

    pub(crate) fn apply(kind: &ApiResource, object: &ObjectRef, body: &Value, dry_run: bool) -> Self {
        let mut ask =
            Self::new(Method::PATCH, "patch", kind, object.namespace.as_deref(), Some(&object.name));
        let dry_run = if dry_run { "&dryRun=All" } else { "" };
        ask.uri = format!("{}?fieldManager={MANAGER}&fieldValidation=Strict&force=false{dry_run}", ask.uri);
        ask.content_type = "application/apply-patch+yaml";
        ask.body = Some(body.to_string().into_bytes());
        ask.confidential = is_confidential(body);
        ask
    }

    /// An apply in the name of another manager than what the release's plan says: an apply of that plan leaves it alone.
    pub(crate) fn apply_beside(kind: &ApiResource, object: &ObjectRef, body: &Value, manager: &str) -> Self {
        let mut ask = Self::apply(kind, object, body, false);
        ask.uri = ask.uri.replace(&format!("fieldManager={MANAGER}"), &format!("fieldManager={manager}"));
        ask
    }

    /// The last lines of a container that has ended, as text.
    pub(crate) fn log(namespace: &str, pod: &str, container: &str, lines: usize, bytes: usize) -> Self {
        let mut kind = ApiResource::pod();
        let path = kind.path(Some(namespace), Some(pod));
        kind.plural = "pods/log".into();
        let mut ask = Self::new(Method::GET, "get", &kind, Some(namespace), Some(pod));
        ask.uri = format!("{path}/log?container={container}&tailLines={lines}&limitBytes={bytes}");
        ask.accept = "*/*";
        ask
    }

    pub(crate) fn delete(kind: &ApiResource, object: &ObjectRef, uid: &str, propagation: &str) -> Self {
        let mut ask =
            Self::new(Method::DELETE, "delete", kind, object.namespace.as_deref(), Some(&object.name));
        let body = json!({"apiVersion": "v1", "kind": "DeleteOptions", "preconditions": {"uid": uid},
            "propagationPolicy": propagation});
        ask.body = Some(body.to_string().into_bytes());
        ask
    }

    fn discovery(path: &str) -> Self {
        let mut ask = Self::new(Method::GET, "get", &ApiResource::namespace(), None, None);
        ask.uri = path.into();
        ask.accept = DISCOVERY;
        ask.what = format!("read {path}");
        ask
    }

    /// An exchange with a Service behind the API server's proxy. It is never sent twice: what is behind decides
    /// itself whether that would be the same.
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
        let mut ask = Self::new(method, verb, &kind, Some(namespace), None);
        (ask.uri, ask.what, ask.repeatable) = (uri, what, false);
        ask
    }

    pub(crate) fn with_body(mut self, body: Vec<u8>) -> Self {
        self.body = Some(body);
        self
    }
}

/// One answer.
pub(crate) struct ApiResponse {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Vec<u8>,
    pub(crate) answered: ApiStatus,
}

impl ApiResponse {
    pub(crate) fn value(&self, what: &str) -> Result<Value, Error> {
        serde_json::from_slice(&self.body).map_err(|error| Error::Api {
            what: what.to_owned(),
            status: self.status,
            reason: None,
            message: format!("the answer is no JSON: {error}"),
        })
    }

    pub(crate) fn warnings(&self) -> Vec<String> {
        warnings(&self.headers)
    }
}

enum Failure {
    /// Nothing was sent.
    Connect(String),
    /// It may have been done.
    Lost(String),
    /// Credentials could not be made.
    Auth(String),
}

impl Cluster {
    /// Reads the kubeconfig and asks the server for its version.
    ///
    /// # Errors
    /// [`Error::NoKubeconfig`], [`Error::Kubeconfig`], [`Error::Unreachable`] or [`Error::Unauthorized`].
    pub async fn connect(options: &Connect) -> Result<Self, Error> {
        let mut config = load(options).await?;
        // It retries every verb up to fifteen times with pauses of minutes, each request for itself.
        config.default_retry = false;
        config.connect_timeout = Some(Duration::from_secs(10));
        let server = config.cluster_url.to_string().trim_end_matches('/').to_owned();
        let path = shown(options);
        let client = kube::Client::try_from(config)
            .map_err(|error| Error::Kubeconfig { path, message: chain(&error) })?;
        let mut shared = Shared {
            client,
            server,
            version: String::new(),
            state_namespace: options.state_namespace.clone(),
            limiter: Limiter::new(),
            kinds: RwLock::new(None),
            skew: AtomicI64::new(0),
        };
        shared.version = shared.ask_version().await?;
        Ok(Self(Arc::new(shared)))
    }

    /// The API server's URL.
    pub fn server(&self) -> &str {
        &self.0.server
    }

    /// The server's major and minor version: `1.34`.
    pub fn version(&self) -> &str {
        &self.0.version
    }

    /// The namespace in which the host keeps what it knows of its releases.
    pub fn state_namespace(&self) -> &str {
        &self.0.state_namespace
    }

    pub(crate) fn client(&self) -> kube::Client {
        self.0.client.clone()
    }

    pub(crate) fn limiter(&self) -> &Limiter {
        &self.0.limiter
    }

    /// The server's clock.
    pub(crate) fn now(&self) -> Timestamp {
        let skew = jiff::SignedDuration::from_secs(self.0.skew.load(Ordering::Relaxed));
        Timestamp::now().checked_add(skew).unwrap_or_else(|_| Timestamp::now())
    }

    /// Sends a request under the limiter, again where that is safe and promises something, and classifies the answer.
    pub(crate) async fn call(&self, ask: &ApiRequest, events: Events<'_>) -> Result<ApiResponse, Error> {
        let started = tokio::time::Instant::now();
        let mut attempt = 0;
        loop {
            attempt += 1;
            let outcome = self.0.once(ask).await;
            let (why, pause, tries) = match outcome {
                Err(Failure::Auth(message)) => {
                    return Err(Error::Unauthorized { server: self.0.server.clone(), message });
                }
                Err(Failure::Connect(message)) => (message, backoff(attempt), 4),
                Err(Failure::Lost(message)) if ask.repeatable => (message, backoff(attempt), 4),
                Err(Failure::Lost(message)) => {
                    return Err(Error::Unreachable { server: self.0.server.clone(), message });
                }
                Ok(reply) => {
                    for warning in reply.warnings() {
                        events(Event::Warning(warning));
                    }
                    let tries = match reply.answered.class {
                        StatusKind::Throttled => 60,
                        StatusKind::Unavailable if ask.repeatable => 12,
                        StatusKind::Internal | StatusKind::UnknownOutcome if ask.repeatable => 4,
                        _ => 1,
                    };
                    let pause = match reply.answered.class {
                        StatusKind::Throttled | StatusKind::Unavailable => retry_after(&reply.headers),
                        _ => backoff(attempt),
                    };
                    if attempt >= tries || started.elapsed() + pause > 4 * DEADLINE {
                        return self.checked(reply);
                    }
                    let said = if ask.confidential { "" } else { reply.answered.message.as_str() };
                    (format!("{} {said}", reply.status).trim_end().to_owned(), pause, tries)
                }
            };
            if attempt >= tries || started.elapsed() + pause > 4 * DEADLINE {
                return Err(Error::Unreachable { server: self.0.server.clone(), message: why });
            }
            events(Event::Retrying { what: ask.what.clone(), why, after: pause });
            tokio::time::sleep(pause).await;
        }
    }

    /// Sends a request once, under the limiter, with a bound of its own on the answer's size.
    pub(crate) async fn exchange(
        &self,
        ask: &ApiRequest,
        headers: &[(&str, &str)],
        most: usize,
    ) -> Result<ApiResponse, Error> {
        match self.0.send(ask, headers, most).await {
            Ok(reply) => Ok(reply),
            Err(Failure::Auth(message)) => {
                Err(Error::Unauthorized { server: self.0.server.clone(), message })
            }
            Err(Failure::Connect(message) | Failure::Lost(message)) => {
                Err(Error::Unreachable { server: self.0.server.clone(), message })
            }
        }
    }

    fn checked(&self, reply: ApiResponse) -> Result<ApiResponse, Error> {
        match reply.answered.class {
            StatusKind::Unauthorized => {
                Err(Error::Unauthorized { server: self.0.server.clone(), message: reply.answered.message })
            }
            _ => Ok(reply),
        }
    }

    /// One object, or None if it, its namespace or its kind is not there.
    pub(crate) async fn get(
        &self,
        kind: &ApiResource,
        namespace: Option<&str>,
        name: &str,
    ) -> Result<Option<Value>, Error> {
        check_name(&kind.kind, name)?;
        let ask = ApiRequest::get(kind, namespace, name);
        let reply = self.call(&ask, &quiet).await?;
        match reply.answered.class {
            StatusKind::Done => Ok(Some(reply.value(&ask.what)?)),
            StatusKind::Absent { .. } | StatusKind::NoSuchPath => Ok(None),
            _ => Err(self.refusal(&ask, reply).await),
        }
    }

    /// All objects of a kind, in pages. With `metadata` they come without spec and status.
    pub(crate) async fn list(
        &self,
        kind: &ApiResource,
        namespace: Option<&str>,
        selectors: &[(&str, &str)],
        metadata: bool,
    ) -> Result<Vec<Value>, Error> {
        let mut ask = ApiRequest::list(kind, namespace);
        if metadata {
            ask.accept = METADATA_LIST;
        }
        let mut base = format!("{}?limit={PAGE}", ask.uri);
        for (name, value) in selectors {
            base.push_str(&format!("&{name}={}", encode(value)));
        }
        let mut items = Vec::new();
        let mut token = String::new();
        let mut restarted = false;
        loop {
            ask.uri =
                if token.is_empty() { base.clone() } else { format!("{base}&continue={}", encode(&token)) };
            let reply = self.call(&ask, &quiet).await?;
            match reply.answered.class {
                StatusKind::Done => {}
                // The kind went away since discovery: it has no objects.
                StatusKind::NoSuchPath | StatusKind::Absent { .. } => return Ok(Vec::new()),
                StatusKind::Expired if !restarted => {
                    (restarted, token) = (true, String::new());
                    items.clear();
                    continue;
                }
                _ => return Err(self.refusal(&ask, reply).await),
            }
            let mut page = reply.value(&ask.what)?;
            if let Value::Array(found) = page["items"].take() {
                items.extend(found);
            }
            token = page["metadata"]["continue"].as_str().unwrap_or_default().to_owned();
            if token.is_empty() {
                break;
            }
            if items.len() >= MOST_ITEMS {
                return Err(Error::Api {
                    what: ask.what,
                    status: reply.status,
                    reason: None,
                    message: format!("there are more than {MOST_ITEMS}; narrow the selector"),
                });
            }
        }
        // Items of a list come without the two fields that every other place relies on.
        for item in &mut items {
            item["apiVersion"] = json!(kind.api_version);
            item["kind"] = json!(kind.kind);
        }
        Ok(items)
    }

    /// Asks, and takes anything but success as an error.
    pub(crate) async fn must(&self, ask: &ApiRequest, events: Events<'_>) -> Result<Value, Error> {
        let reply = self.call(ask, events).await?;
        match reply.answered.class {
            StatusKind::Done => reply.value(&ask.what),
            _ => Err(self.refusal(ask, reply).await),
        }
    }

    /// The error for an answer that its caller has no use for.
    pub(crate) async fn refusal(&self, ask: &ApiRequest, reply: ApiResponse) -> Error {
        match reply.answered.class {
            StatusKind::Forbidden => self.forbidden(ask.verb, &ask.kind, ask.namespace.as_deref()).await,
            StatusKind::Terminating => {
                Error::Terminating { namespace: ask.namespace.clone().unwrap_or_default() }
            }
            StatusKind::LostRace | StatusKind::AlreadyExists => Error::LostRace { what: ask.what.clone() },
            _ => Error::Api {
                what: ask.what.clone(),
                status: reply.status,
                reason: reply.answered.reason,
                message: reply.answered.message,
            },
        }
    }

    pub(crate) async fn forbidden(&self, verb: &str, kind: &ApiResource, namespace: Option<&str>) -> Error {
        let review = json!({"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"});
        let ask = ApiRequest::create(&ApiResource::self_review(), None, &review);
        let user = match self.call(&ask, &quiet).await {
            Ok(reply) => reply.value("").ok().and_then(|answer| {
                answer.pointer("/status/userInfo/username").and_then(Value::as_str).map(str::to_owned)
            }),
            Err(_) => None,
        };
        Error::Forbidden {
            verb: verb.to_owned(),
            resource: kind.resource(),
            namespace: namespace.filter(|_| kind.namespaced).map(str::to_owned),
            user,
        }
    }

    /// Whether RBAC allows it. `kind` may be `*`.
    pub(crate) async fn allowed(
        &self,
        verb: &str,
        group: &str,
        plural: &str,
        namespace: Option<&str>,
    ) -> Result<bool, Error> {
        let (resource, subresource) = plural.split_once('/').unwrap_or((plural, ""));
        let review = json!({"apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectAccessReview",
            "spec": {"resourceAttributes": {"verb": verb, "group": group, "resource": resource,
                "subresource": subresource, "namespace": namespace.unwrap_or_default()}}});
        let mut ask = ApiRequest::create(&ApiResource::access_review(), None, &review);
        // A review only reads.
        ask.repeatable = true;
        Ok(self.must(&ask, &quiet).await?["status"]["allowed"] == true)
    }

    /// The kinds that the server has; asked once.
    pub(crate) async fn kinds(&self) -> Result<Arc<ApiResources>, Error> {
        if let Some(kinds) = self.0.kinds.read().await.as_ref() {
            return Ok(kinds.clone());
        }
        self.refresh_kinds().await
    }

    /// Asks again: what was read once never changes by itself.
    pub(crate) async fn refresh_kinds(&self) -> Result<Arc<ApiResources>, Error> {
        let (core, groups) = (ApiRequest::discovery("/api"), ApiRequest::discovery("/apis"));
        let (core, groups) = tokio::join!(self.must(&core, &quiet), self.must(&groups, &quiet));
        let mut kinds = ApiResources::default();
        kinds.add(&core?);
        kinds.add(&groups?);
        let kinds = Arc::new(kinds);
        *self.0.kinds.write().await = Some(kinds.clone());
        Ok(kinds)
    }

    /// The kind as the server has it now; asks again before it says no.
    pub(crate) async fn kind(&self, wanted: &TypeMeta) -> Result<Option<ApiResource>, Error> {
        if let Some(kind) = self.kinds().await?.get(wanted) {
            return Ok(Some(kind.clone()));
        }
        Ok(self.refresh_kinds().await?.get(wanted).cloned())
    }

    /// The kind of an object that was made earlier, in whatever version the server has it now. None if its kind is
    /// gone, and so the object with it.
    ///
    /// # Errors
    /// [`Error::Undiscovered`] if the server cannot say: a missing answer is no proof that the object is gone.
    pub(crate) async fn kind_of(&self, object: &ObjectRef) -> Result<Option<ApiResource>, Error> {
        let wanted = object.type_meta();
        if let Some(kind) = self.kind(&wanted).await? {
            return Ok(Some(kind));
        }
        match self.kinds().await?.find(&wanted) {
            Found::Served(kind) => Ok(Some(kind.clone())),
            Found::Gone => Ok(None),
            Found::Unknown => Err(Error::Undiscovered { object: Box::new(object.clone()) }),
        }
    }
}

impl Shared {
    async fn ask_version(&self) -> Result<String, Error> {
        let mut ask = ApiRequest::discovery("/version");
        ask.accept = JSON;
        let reply = match self.once(&ask).await {
            Ok(reply) => reply,
            Err(Failure::Auth(message)) => {
                return Err(Error::Unauthorized { server: self.server.clone(), message });
            }
            Err(Failure::Connect(message) | Failure::Lost(message)) => {
                return Err(Error::Unreachable { server: self.server.clone(), message });
            }
        };
        match reply.answered.class {
            StatusKind::Done => {}
            StatusKind::Unauthorized => {
                let message = reply.answered.message;
                return Err(Error::Unauthorized { server: self.server.clone(), message });
            }
            _ => {
                let message = format!("it answers {} to GET /version", reply.status);
                return Err(Error::Unreachable { server: self.server.clone(), message });
            }
        }
        let version = reply.value("GET /version")?;
        // Some distributions write `34+`.
        let number = |field: &str| {
            let digits = version[field].as_str().unwrap_or_default().chars();
            digits.take_while(char::is_ascii_digit).collect::<String>()
        };
        let (major, minor) = (number("major"), number("minor"));
        if major.is_empty() || minor.is_empty() {
            let message = "its /version is not that of a Kubernetes API server".to_owned();
            return Err(Error::Unreachable { server: self.server.clone(), message });
        }
        Ok(format!("{major}.{minor}"))
    }

    async fn once(&self, ask: &ApiRequest) -> Result<ApiResponse, Failure> {
        let reply = self.send(ask, &[], MOST_BYTES).await?;
        match reply.answered.class {
            StatusKind::Throttled | StatusKind::Unavailable => self.limiter.overloaded(),
            _ => self.limiter.succeeded(),
        }
        if let Some(skew) = skew(&reply.headers) {
            self.skew.store(skew, Ordering::Relaxed);
        }
        Ok(reply)
    }

    async fn send(
        &self,
        ask: &ApiRequest,
        headers: &[(&str, &str)],
        most: usize,
    ) -> Result<ApiResponse, Failure> {
        let mut request = Request::builder()
            .method(ask.method.clone())
            .uri(&ask.uri)
            .header(header::ACCEPT, ask.accept)
            .header(header::USER_AGENT, concat!("thinkube-host/", env!("CARGO_PKG_VERSION")));
        if ask.body.is_some() {
            request = request.header(header::CONTENT_TYPE, ask.content_type);
        }
        let mut request = request
            .body(Body::from(ask.body.clone().unwrap_or_default()))
            .map_err(|error| Failure::Connect(error.to_string()))?;
        for (name, value) in headers {
            let (Ok(name), Ok(value)) =
                (name.parse::<header::HeaderName>(), value.parse::<header::HeaderValue>())
            else {
                return Err(Failure::Connect(format!("`{name}` is no HTTP header")));
            };
            request.headers_mut().insert(name, value);
        }
        let _permit = self.limiter.enter().await;
        let exchange = async {
            let response = self.client.send(request).await.map_err(failure)?;
            let (parts, mut body) = response.into_parts();
            let mut bytes = Vec::new();
            while let Some(frame) = body.frame().await {
                let frame = frame.map_err(|error| Failure::Lost(innermost(&error)))?;
                if let Some(data) = frame.data_ref() {
                    let room = most - bytes.len();
                    bytes.extend_from_slice(&data[..data.len().min(room)]);
                    if bytes.len() == most {
                        break;
                    }
                }
            }
            let status = parts.status.as_u16();
            let answered = classify(status, &bytes);
            Ok(ApiResponse { status, headers: parts.headers, body: bytes, answered })
        };
        tokio::time::timeout(DEADLINE, exchange)
            .await
            .unwrap_or_else(|_| Err(Failure::Lost(format!("no answer within {} s", DEADLINE.as_secs()))))
    }
}

fn failure(error: kube::Error) -> Failure {
    let text = innermost(&error);
    if matches!(error, kube::Error::Auth(_)) {
        return Failure::Auth(text);
    }
    let mut source = error.source();
    while let Some(inner) = source {
        if let Some(io) = inner.downcast_ref::<std::io::Error>() {
            use std::io::ErrorKind::{ConnectionRefused, HostUnreachable, NetworkUnreachable};
            if matches!(io.kind(), ConnectionRefused | HostUnreachable | NetworkUnreachable) {
                return Failure::Connect(text);
            }
        }
        source = inner.source();
    }
    Failure::Lost(text)
}

/// What really happened: the outer errors of an HTTP client only name its layers.
pub(crate) fn innermost(error: &dyn std::error::Error) -> String {
    let mut inner = error;
    while let Some(source) = inner.source() {
        inner = source;
    }
    inner.to_string()
}

/// An error with its sources, each said once.
fn chain(error: &dyn std::error::Error) -> String {
    let mut parts: Vec<String> = vec![error.to_string()];
    let mut source = error.source();
    while let Some(inner) = source {
        let text = inner.to_string();
        if !parts.iter().any(|part| part.contains(&text)) {
            parts.push(text);
        }
        source = inner.source();
    }
    parts.join(": ")
}

fn shown(options: &Connect) -> String {
    match (&options.kubeconfig, std::env::var("KUBECONFIG")) {
        (Some(path), _) => path.display().to_string(),
        (None, Ok(path)) if !path.is_empty() => path,
        _ => "~/.kube/config".to_owned(),
    }
}

async fn load(options: &Connect) -> Result<kube::Config, Error> {
    let path = shown(options);
    let in_cluster = options.kubeconfig.is_none() && options.context.is_none();
    let kubeconfig = match &options.kubeconfig {
        Some(path) => Kubeconfig::read_from(path),
        None => Kubeconfig::read(),
    };
    let kubeconfig = match kubeconfig {
        Ok(kubeconfig) => kubeconfig,
        Err(KubeconfigError::ReadConfig(error, _)) if error.kind() == std::io::ErrorKind::NotFound => {
            return match kube::Config::incluster() {
                Ok(config) if in_cluster => Ok(config),
                _ => Err(Error::NoKubeconfig { path }),
            };
        }
        Err(KubeconfigError::FindPath) => return Err(Error::NoKubeconfig { path }),
        Err(error) => return Err(Error::Kubeconfig { path, message: chain(&error) }),
    };
    let contexts: Vec<String> = kubeconfig.contexts.iter().map(|context| context.name.clone()).collect();
    let selected = KubeConfigOptions { context: options.context.clone(), cluster: None, user: None };
    kube::Config::from_custom_kubeconfig(kubeconfig, &selected).await.map_err(|error| {
        let mut message = chain(&error);
        if matches!(error, KubeconfigError::LoadContext(_) | KubeconfigError::CurrentContextNotSet) {
            message = format!("{message}; its contexts are: {}", contexts.join(", "));
        }
        Error::Kubeconfig { path, message }
    })
}

fn backoff(attempt: u32) -> Duration {
    let base = 0.5 * f64::from(1 << attempt.min(4).saturating_sub(1));
    Duration::from_secs_f64(base * rand::rng().random_range(1.0..1.5))
}

fn retry_after(headers: &HeaderMap) -> Duration {
    let seconds = headers.get(header::RETRY_AFTER).and_then(|value| value.to_str().ok()?.parse::<u32>().ok());
    let base = f64::from(seconds.unwrap_or(1).clamp(1, 30));
    Duration::from_secs_f64(base * rand::rng().random_range(1.0..1.5))
}

fn skew(headers: &HeaderMap) -> Option<i64> {
    let date = headers.get(header::DATE)?.to_str().ok()?;
    let server = jiff::fmt::rfc2822::DateTimeParser::new().parse_timestamp(date).ok()?;
    let skew = server.as_second() - Timestamp::now().as_second();
    // The header has whole seconds: a difference of one is no skew.
    Some(if skew.abs() <= 1 { 0 } else { skew })
}

/// The texts of the `Warning` headers: `299 - "text"`.
fn warnings(headers: &HeaderMap) -> Vec<String> {
    let text = |value: &http::HeaderValue| {
        let value = value.to_str().ok()?;
        let quoted = value.strip_prefix("299 ")?.split_once('"')?.1.rsplit_once('"')?.0;
        Some(quoted.replace("\\\"", "\"").chars().take(500).collect::<String>())
    };
    headers.get_all(header::WARNING).iter().filter_map(text).take(10).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn warning_headers_are_read() {
        let mut headers = HeaderMap::new();
        headers.append(header::WARNING, r#"299 - "unknown field \"spec.x\"""#.parse().unwrap());
        headers.append(header::WARNING, r#"299 - "second""#.parse().unwrap());
        headers.append(header::WARNING, r#"110 - "stale""#.parse().unwrap());
        assert_eq!(warnings(&headers), [r#"unknown field "spec.x""#, "second"]);
    }

    #[test]
    fn the_pause_is_what_the_server_asks_for_and_up_to_half_more() {
        let mut headers = HeaderMap::new();
        headers.insert(header::RETRY_AFTER, "3".parse().unwrap());
        let pause = retry_after(&headers).as_secs_f64();
        assert!((3.0..4.5).contains(&pause), "{pause}");
        headers.insert(header::RETRY_AFTER, "999999999".parse().unwrap());
        assert!(retry_after(&headers).as_secs() < 46);
    }

    #[test]
    fn the_servers_clock_is_read_from_its_answers() {
        let mut headers = HeaderMap::new();
        headers.insert(header::DATE, "Sun, 22 Nov 2026 21:00:00 GMT".parse().unwrap());
        let expected = 1_795_381_200 - Timestamp::now().as_second();
        assert!((skew(&headers).unwrap() - expected).abs() <= 1);
    }
}
