//! The API client: sends one request at a time under the limiter, repeats it where that is safe, and classifies the answer.
//!
//! It must not decide what an answer means for a release.

use crate::api::concurrency::Limiter;
use crate::api::connect::{Connect, chain};
use crate::api::discovery::{ApiResources, Lookup};
use crate::api::request::ApiRequest;
use crate::api::resource::{ApiResource, check_name};
use crate::api::response::ApiResponse;
use crate::api::retry::{SendError, after_error, after_response};
use crate::api::status::StatusKind;
use crate::api::transport::Transport;
use crate::error::api::ApiError;
use crate::progress::{Progress, ProgressSink, ignore};
use k8s_openapi::jiff::Timestamp;
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;
use thinkube_plan::{ObjectRef, TypeMeta};
use tokio::sync::RwLock;
use tokio::time::Instant;

/// For one request with all its repetitions.
const RETRY_TIMEOUT: Duration = Duration::from_secs(120);
const MAX_ITEMS: usize = 20_000;

/// A connection to an API server. Clones share it, with its limiter and what it knows of the server's kinds.
#[derive(Clone)]
pub(crate) struct Client(Arc<Shared>);

struct Shared {
    transport: Transport,
    version: String,
    state_namespace: String,
    api_resources: RwLock<Option<Arc<ApiResources>>>,
}

impl Client {
    /// Reads the kubeconfig and asks the server for its version.
    ///
    /// # Errors
    /// [`ApiError::NoKubeconfig`], [`ApiError::Kubeconfig`], [`ApiError::Unreachable`] or [`ApiError::Unauthorized`].
    pub(crate) async fn connect(options: &Connect) -> Result<Self, ApiError> {
        let config = options.load().await?;
        let server = config.cluster_url.to_string().trim_end_matches('/').to_owned();
        let client = kube::Client::try_from(config).map_err(|error| ApiError::Kubeconfig {
            path: options.kubeconfig_path(),
            message: chain(&error),
        })?;
        let transport = Transport::new(client, server);
        let version = transport.read_version().await?;
        let state_namespace = options.state_namespace.clone();
        let api_resources = RwLock::new(None);
        Ok(Self(Arc::new(Shared { transport, version, state_namespace, api_resources })))
    }

    /// The API server's URL.
    pub(crate) fn server(&self) -> &str {
        self.0.transport.server()
    }

    /// The server's major and minor version: `1.34`.
    pub(crate) fn version(&self) -> &str {
        &self.0.version
    }

    /// The namespace of the host's own objects.
    pub(crate) fn state_namespace(&self) -> &str {
        &self.0.state_namespace
    }

    /// kube's client, for what is not a plain request (WebSockets). It is not under the limiter.
    pub(crate) fn kube(&self) -> kube::Client {
        self.0.transport.kube()
    }

    pub(crate) fn limiter(&self) -> &Limiter {
        self.0.transport.limiter()
    }

    /// The server's clock.
    pub(crate) fn now(&self) -> Timestamp {
        self.0.transport.now()
    }

    /// Sends a request, again where [`crate::api::retry`] says so. The answer may be a refusal.
    ///
    /// # Errors
    /// [`ApiError::Unauthorized`] or [`ApiError::Unreachable`].
    pub(crate) async fn request(
        &self,
        request: &ApiRequest,
        progress: ProgressSink<'_>,
    ) -> Result<ApiResponse, ApiError> {
        let started = Instant::now();
        let mut attempt = 0;
        loop {
            attempt += 1;
            let (retry, response) = match self.0.transport.send_counted(request).await {
                Ok(response) => {
                    response.warnings().into_iter().for_each(|text| progress(Progress::Warning(text)));
                    (after_response(request, &response, attempt), Some(response))
                }
                Err(SendError::Connect(message)) => (after_error(message, attempt), None),
                Err(SendError::Lost(message)) if request.idempotent => (after_error(message, attempt), None),
                Err(error) => return Err(self.0.transport.send_error(error)),
            };
            if attempt >= retry.attempts || started.elapsed() + retry.pause > RETRY_TIMEOUT {
                return match response {
                    Some(response) => self.0.transport.authorized(response),
                    None => Err(self.0.transport.unreachable(retry.reason)),
                };
            }
            let what = request.what.clone();
            progress(Progress::Retrying { what, why: retry.reason, after: retry.pause });
            tokio::time::sleep(retry.pause).await;
        }
    }

    /// Sends a request once, with more headers and a bound on the answer's size in bytes.
    ///
    /// # Errors
    /// [`ApiError::Unauthorized`] if no credentials could be made, [`ApiError::Unreachable`].
    pub(crate) async fn request_once(
        &self,
        request: &ApiRequest,
        headers: &[(&str, &str)],
        max_bytes: usize,
    ) -> Result<ApiResponse, ApiError> {
        self.0
            .transport
            .send(request, headers, max_bytes)
            .await
            .map_err(|error| self.0.transport.send_error(error))
    }

    /// Sends a request and returns the body of a success.
    ///
    /// # Errors
    /// Every other answer, as [`Client::error_from`] has it.
    pub(crate) async fn request_ok(
        &self,
        request: &ApiRequest,
        progress: ProgressSink<'_>,
    ) -> Result<Value, ApiError> {
        let response = self.request(request, progress).await?;
        match response.status.kind {
            StatusKind::Success => response.value(&request.what),
            _ => Err(self.error_from(request, response).await),
        }
    }

    /// The object of that name. None: the object, its namespace or its kind does not exist.
    pub(crate) async fn get(
        &self,
        kind: &ApiResource,
        namespace: Option<&str>,
        name: &str,
    ) -> Result<Option<Value>, ApiError> {
        check_name(&kind.kind, name)?;
        let request = ApiRequest::get(kind, namespace, name);
        let response = self.request(&request, &ignore).await?;
        match response.status.kind {
            StatusKind::Success => Ok(Some(response.value(&request.what)?)),
            StatusKind::NotFound { .. } | StatusKind::NoSuchPath => Ok(None),
            _ => Err(self.error_from(&request, response).await),
        }
    }

    /// The object of that reference. None: it does not exist, or its kind is not served.
    ///
    /// # Errors
    /// [`ApiError::NamespaceMissing`], [`ApiError::InvalidName`], or why the server could not be read.
    pub(crate) async fn get_object(&self, object: &ObjectRef) -> Result<Option<Value>, ApiError> {
        let Some(kind) = self.api_resource(&object.type_meta()).await? else { return Ok(None) };
        let namespace = match (&object.namespace, kind.namespaced) {
            (Some(namespace), true) => {
                check_name("Namespace", namespace)?;
                Some(namespace.as_str())
            }
            (None, true) => return Err(ApiError::NamespaceMissing { object: Box::new(object.clone()) }),
            (_, false) => None,
        };
        self.get(&kind, namespace, &object.name).await
    }

    /// All objects of a kind, page by page. With `metadata` they have no spec and no status.
    pub(crate) async fn list(
        &self,
        kind: &ApiResource,
        namespace: Option<&str>,
        selectors: &[(&str, &str)],
        metadata: bool,
    ) -> Result<Vec<Value>, ApiError> {
        let first = ApiRequest::list(kind, namespace, selectors, metadata);
        let mut items = Vec::new();
        let mut token = String::new();
        let mut restarted = false;
        loop {
            let request = first.page(&token);
            let response = self.request(&request, &ignore).await?;
            match response.status.kind {
                StatusKind::Success => {}
                // The kind was removed since discovery: it has no objects.
                StatusKind::NoSuchPath | StatusKind::NotFound { .. } => return Ok(Vec::new()),
                StatusKind::Expired if !restarted => {
                    (restarted, token) = (true, String::new());
                    items.clear();
                    continue;
                }
                _ => return Err(self.error_from(&request, response).await),
            }
            let mut page = response.value(&request.what)?;
            if let Value::Array(found) = page["items"].take() {
                items.extend(found);
            }
            token = page["metadata"]["continue"].as_str().unwrap_or_default().to_owned();
            if token.is_empty() {
                break;
            }
            if items.len() >= MAX_ITEMS {
                return Err(ApiError::Unexpected {
                    what: request.what,
                    code: response.code,
                    reason: None,
                    message: format!("more than {MAX_ITEMS} objects; narrow the selector"),
                });
            }
        }
        // The server leaves these two fields out of the items of a list.
        for item in &mut items {
            item["apiVersion"] = json!(kind.api_version);
            item["kind"] = json!(kind.kind);
        }
        Ok(items)
    }

    /// The error for an answer that its caller does not handle.
    pub(crate) async fn error_from(&self, request: &ApiRequest, response: ApiResponse) -> ApiError {
        match response.status.kind {
            StatusKind::Forbidden => {
                self.forbidden_error(request.verb, &request.kind, request.namespace.as_deref()).await
            }
            StatusKind::Terminating => {
                ApiError::Terminating { namespace: request.namespace.clone().unwrap_or_default() }
            }
            StatusKind::LostRace | StatusKind::AlreadyExists => {
                ApiError::LostRace { what: request.what.clone() }
            }
            _ => ApiError::Unexpected {
                what: request.what.clone(),
                code: response.code,
                reason: response.status.reason,
                message: response.status.message,
            },
        }
    }

    /// [`ApiError::Forbidden`] with the user's name, where the server tells it.
    pub(crate) async fn forbidden_error(
        &self,
        verb: &str,
        kind: &ApiResource,
        namespace: Option<&str>,
    ) -> ApiError {
        let review = json!({"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"});
        let request = ApiRequest::create(&ApiResource::self_review(), None, &review);
        let answer = match self.request(&request, &ignore).await {
            Ok(response) => response.value("").unwrap_or_default(),
            Err(_) => Value::Null,
        };
        ApiError::Forbidden {
            verb: verb.to_owned(),
            resource: kind.resource(),
            namespace: namespace.filter(|_| kind.namespaced).map(str::to_owned),
            user: answer.pointer("/status/userInfo/username").and_then(Value::as_str).map(str::to_owned),
        }
    }

    /// Whether RBAC allows a verb. `plural` may be `*`, or have a subresource: `pods/exec`.
    pub(crate) async fn is_allowed(
        &self,
        verb: &str,
        group: &str,
        plural: &str,
        namespace: Option<&str>,
    ) -> Result<bool, ApiError> {
        let (resource, subresource) = plural.split_once('/').unwrap_or((plural, ""));
        let review = json!({"apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectAccessReview",
            "spec": {"resourceAttributes": {"verb": verb, "group": group, "resource": resource,
                "subresource": subresource, "namespace": namespace.unwrap_or_default()}}});
        let mut request = ApiRequest::create(&ApiResource::access_review(), None, &review);
        // A review only reads.
        request.idempotent = true;
        Ok(self.request_ok(&request, &ignore).await?["status"]["allowed"] == true)
    }

    /// The kinds that the server has, as they were read last.
    pub(crate) async fn api_resources(&self) -> Result<Arc<ApiResources>, ApiError> {
        if let Some(known) = self.0.api_resources.read().await.as_ref() {
            return Ok(known.clone());
        }
        self.discover().await
    }

    /// Reads the kinds that the server has.
    pub(crate) async fn discover(&self) -> Result<Arc<ApiResources>, ApiError> {
        let (core, groups) = (ApiRequest::discovery("/api"), ApiRequest::discovery("/apis"));
        let (core, groups) = tokio::join!(self.request_ok(&core, &ignore), self.request_ok(&groups, &ignore));
        let mut found = ApiResources::default();
        found.add(&core?);
        found.add(&groups?);
        let found = Arc::new(found);
        *self.0.api_resources.write().await = Some(found.clone());
        Ok(found)
    }

    /// The kind of that version. None only after a fresh discovery.
    pub(crate) async fn api_resource(&self, wanted: &TypeMeta) -> Result<Option<ApiResource>, ApiError> {
        if let Some(kind) = self.api_resources().await?.get(wanted) {
            return Ok(Some(kind.clone()));
        }
        Ok(self.discover().await?.get(wanted).cloned())
    }

    /// The kind of an object that was created earlier, in any version that the server has. None: the kind is gone, and the
    /// object with it.
    ///
    /// # Errors
    /// [`ApiError::Undiscovered`] if discovery is incomplete: a missing answer does not prove that the object is gone.
    pub(crate) async fn api_resource_of(&self, object: &ObjectRef) -> Result<Option<ApiResource>, ApiError> {
        let wanted = object.type_meta();
        if let Some(kind) = self.api_resource(&wanted).await? {
            return Ok(Some(kind));
        }
        match self.api_resources().await?.find(&wanted) {
            Lookup::Served(kind) => Ok(Some(kind.clone())),
            Lookup::Gone => Ok(None),
            Lookup::Unknown => Err(ApiError::Undiscovered { object: Box::new(object.clone()) }),
        }
    }
}
