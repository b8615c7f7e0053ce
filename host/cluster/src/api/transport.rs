//! Sends one request under the limiter, reads its answer, and learns from it.

use crate::api::concurrency::Limiter;
use crate::api::connect::innermost;
use crate::api::request::ApiRequest;
use crate::api::response::ApiResponse;
use crate::api::retry::SendError;
use crate::api::status::{StatusKind, classify};
use crate::error::api::ApiError;
use http::{HeaderName, HeaderValue, Request, header};
use http_body_util::BodyExt as _;
use k8s_openapi::jiff::{SignedDuration, Timestamp};
use kube::client::Body;
use std::error::Error as _;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

/// For one request and its whole answer.
const TIMEOUT: Duration = Duration::from_secs(30);
/// An etcd object has at most 1.5 MiB; a page has 500 of them, and most are a few kB.
const MAX_BYTES: usize = 256 << 20;

/// The connection to one API server.
pub(crate) struct Transport {
    client: kube::Client,
    server: String,
    limiter: Limiter,
    /// Seconds from this machine's clock to the server's.
    clock_skew: AtomicI64,
}

impl Transport {
    pub(crate) fn new(client: kube::Client, server: String) -> Self {
        Self { client, server, limiter: Limiter::new(), clock_skew: AtomicI64::new(0) }
    }

    /// The API server's URL.
    pub(crate) fn server(&self) -> &str {
        &self.server
    }

    pub(crate) fn kube(&self) -> kube::Client {
        self.client.clone()
    }

    pub(crate) fn limiter(&self) -> &Limiter {
        &self.limiter
    }

    /// The server's clock.
    pub(crate) fn now(&self) -> Timestamp {
        let skew = SignedDuration::from_secs(self.clock_skew.load(Ordering::Relaxed));
        Timestamp::now().checked_add(skew).unwrap_or_else(|_| Timestamp::now())
    }

    /// The server's major and minor version: `1.34`.
    pub(crate) async fn read_version(&self) -> Result<String, ApiError> {
        let request = ApiRequest::version();
        let response = self.send_counted(&request).await.map_err(|error| self.send_error(error))?;
        let response = self.authorized(response)?;
        if response.status.kind != StatusKind::Success {
            return Err(self.unreachable(format!("it answers {} to GET /version", response.code)));
        }
        let version = response.value(&request.what)?;
        // Some distributions write `34+`.
        let number = |field: &str| {
            let digits = version[field].as_str().unwrap_or_default().chars();
            digits.take_while(char::is_ascii_digit).collect::<String>()
        };
        let (major, minor) = (number("major"), number("minor"));
        if major.is_empty() || minor.is_empty() {
            return Err(self.unreachable("its /version is not that of a Kubernetes API server".to_owned()));
        }
        Ok(format!("{major}.{minor}"))
    }

    /// Sends once, and lets the limiter and the clock learn from the answer.
    pub(crate) async fn send_counted(&self, request: &ApiRequest) -> Result<ApiResponse, SendError> {
        let response = self.send(request, &[], MAX_BYTES).await?;
        match response.status.kind {
            StatusKind::Throttled | StatusKind::Unavailable => self.limiter.overloaded(),
            _ => self.limiter.succeeded(),
        }
        if let Some(skew) = response.clock_skew() {
            self.clock_skew.store(skew, Ordering::Relaxed);
        }
        Ok(response)
    }

    /// Sends once, with more headers and a bound on the answer's size in bytes.
    pub(crate) async fn send(
        &self,
        request: &ApiRequest,
        headers: &[(&str, &str)],
        max_bytes: usize,
    ) -> Result<ApiResponse, SendError> {
        let request = http_request(request, headers)?;
        let _permit = self.limiter.enter().await;
        tokio::time::timeout(TIMEOUT, self.exchange(request, max_bytes))
            .await
            .unwrap_or_else(|_| Err(SendError::Lost(format!("no answer within {} s", TIMEOUT.as_secs()))))
    }

    async fn exchange(&self, request: Request<Body>, max_bytes: usize) -> Result<ApiResponse, SendError> {
        let response = self.client.send(request).await.map_err(classify_error)?;
        let (parts, mut body) = response.into_parts();
        let mut bytes = Vec::new();
        while let Some(frame) = body.frame().await {
            let frame = frame.map_err(|error| SendError::Lost(innermost(&error)))?;
            if let Some(data) = frame.data_ref() {
                let room = max_bytes - bytes.len();
                bytes.extend_from_slice(&data[..data.len().min(room)]);
                if bytes.len() == max_bytes {
                    break;
                }
            }
        }
        let code = parts.status.as_u16();
        let status = classify(code, &bytes);
        Ok(ApiResponse { code, headers: parts.headers, body: bytes, status })
    }

    pub(crate) fn authorized(&self, response: ApiResponse) -> Result<ApiResponse, ApiError> {
        if response.status.kind != StatusKind::Unauthorized {
            return Ok(response);
        }
        Err(ApiError::Unauthorized { server: self.server.clone(), message: response.status.message })
    }

    pub(crate) fn send_error(&self, error: SendError) -> ApiError {
        match error {
            SendError::Auth(message) => ApiError::Unauthorized { server: self.server.clone(), message },
            SendError::Connect(message) | SendError::Lost(message) => self.unreachable(message),
        }
    }

    pub(crate) fn unreachable(&self, message: String) -> ApiError {
        ApiError::Unreachable { server: self.server.clone(), message }
    }
}

fn http_request(request: &ApiRequest, headers: &[(&str, &str)]) -> Result<Request<Body>, SendError> {
    let mut builder = Request::builder()
        .method(request.method.clone())
        .uri(&request.uri)
        .header(header::ACCEPT, request.accept)
        .header(header::USER_AGENT, concat!("thinkube-host/", env!("CARGO_PKG_VERSION")));
    if request.body.is_some() {
        builder = builder.header(header::CONTENT_TYPE, request.content_type);
    }
    let body = Body::from(request.body.clone().unwrap_or_default());
    let mut built = builder.body(body).map_err(|error| SendError::Connect(error.to_string()))?;
    for (name, value) in headers {
        let (Ok(name), Ok(value)) = (name.parse::<HeaderName>(), value.parse::<HeaderValue>()) else {
            return Err(SendError::Connect(format!("`{name}` or its value is not a valid HTTP header")));
        };
        built.headers_mut().insert(name, value);
    }
    Ok(built)
}

fn classify_error(error: kube::Error) -> SendError {
    use std::io::ErrorKind::{ConnectionRefused, HostUnreachable, NetworkUnreachable};
    let text = innermost(&error);
    if matches!(error, kube::Error::Auth(_)) {
        return SendError::Auth(text);
    }
    let mut source = error.source();
    while let Some(inner) = source {
        if let Some(io) = inner.downcast_ref::<std::io::Error>()
            && matches!(io.kind(), ConnectionRefused | HostUnreachable | NetworkUnreachable)
        {
            return SendError::Connect(text);
        }
        source = inner.source();
    }
    SendError::Lost(text)
}
