//! Sends one request and reads the whole response.

use super::dns::{NotResolved, Resolver};
use super::error::Error;
use super::tls;
use super::token_cache::TokenCache;
use reqwest::header::{HeaderMap, HeaderValue, USER_AGENT};
use reqwest::{Method, Url, redirect};
use std::collections::{BTreeMap, BTreeSet};
use std::error::Error as StdError;
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use std::{fmt, io};
use thinkube_plan::HttpMethod;

/// Limits of an exchange.
#[derive(Clone, Copy)]
pub(crate) struct Limits {
    /// To connect, with TLS: longer than the retransmission of three lost packets.
    connect: Duration,
    /// For the whole exchange, with its redirects. An API may take seconds to create a large resource.
    exchange: Duration,
    /// Bytes of a response. The list of some thousand clients of a Keycloak has 4 MB.
    response: usize,
}

const LIMITS: Limits =
    Limits { connect: Duration::from_secs(10), exchange: Duration::from_secs(30), response: 4 << 20 };

/// How external servers are found and trusted.
#[derive(Debug, Clone, Default)]
pub struct HttpOptions {
    /// The granted origins, as in `Permission::Connect`: `https://auth.example.org`. No other origin is contacted.
    pub granted: Vec<String>,
    /// A PEM file with authorities to trust beside the system's.
    pub ca_file: Option<PathBuf>,
    /// Addresses of host names that this machine's DNS does not know, or knows wrongly. Requests and certificates still use
    /// the name.
    pub resolve: BTreeMap<String, IpAddr>,
}

/// A client for external servers. Clones share connections and tokens.
///
/// * TLS is rustls with ring. The authorities are the system's (those of SSL_CERT_FILE or SSL_CERT_DIR if set), and those of
///   [`HttpOptions::ca_file`].
/// * HTTP/2 if the server offers it with TLS, else HTTP/1.1. No cookies, no compression.
/// * No proxy, whatever the environment names: a grant is for an origin, and a password goes to that origin only.
#[derive(Clone)]
pub struct Http(Arc<Shared>);

struct Shared {
    client: reqwest::Client,
    granted: BTreeSet<String>,
    limits: Limits,
    tokens: TokenCache,
}

impl fmt::Debug for Http {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Http").field("granted", &self.0.granted).finish_non_exhaustive()
    }
}

/// A request. `what` names it in messages: the path as the plan writes it, so no value that was filled in.
pub(crate) struct Request<'a> {
    pub(crate) what: &'a str,
    pub(crate) method: HttpMethod,
    pub(crate) url: Url,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Option<Vec<u8>>,
}

/// A response, whatever its status.
pub(crate) struct Response {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Vec<u8>,
}

impl Http {
    /// Reads the trusted certificates. Connects to no server.
    ///
    /// # Errors
    /// [`Error::Certificates`].
    pub fn new(options: &HttpOptions) -> Result<Self, Error> {
        Self::with_limits(options, LIMITS)
    }

    pub(crate) fn with_limits(options: &HttpOptions, limits: Limits) -> Result<Self, Error> {
        let mut headers = HeaderMap::new();
        headers.insert(
            USER_AGENT,
            HeaderValue::from_static(concat!("thinkube-host/", env!("CARGO_PKG_VERSION"))),
        );
        let client = reqwest::Client::builder()
            .tls_backend_preconfigured(tls::config(options.ca_file.as_deref())?)
            .dns_resolver(Arc::new(Resolver(options.resolve.clone())))
            .connect_timeout(limits.connect)
            .redirect(redirect::Policy::none())
            .no_proxy()
            .referer(false)
            .default_headers(headers)
            .build()
            .map_err(|error| Error::Certificates { message: root_cause(&error) })?;
        // An entry that is not a URL grants nothing.
        let granted = options.granted.iter().filter_map(|origin| Some(origin_of(&Url::parse(origin).ok()?)));
        let granted = granted.collect();
        Ok(Self(Arc::new(Shared { client, granted, limits, tokens: TokenCache::default() })))
    }

    pub(super) fn tokens(&self) -> &TokenCache {
        &self.0.tokens
    }

    /// The time limit of an exchange.
    pub(crate) fn deadline(&self) -> Duration {
        self.0.limits.exchange
    }

    /// # Errors
    /// [`Error::NotGranted`].
    pub(crate) fn require_granted(&self, what: &str, url: &Url) -> Result<(), Error> {
        let origin = origin_of(url);
        if self.0.granted.contains(&origin) {
            return Ok(());
        }
        Err(Error::NotGranted { what: what.to_owned(), origin })
    }

    /// Sends a request once, and reads the whole response. A redirect is a response.
    ///
    /// # Errors
    /// Why there is no response; [`Error::NotGranted`] before anything is sent.
    pub(crate) async fn exchange(&self, request: Request<'_>) -> Result<Response, Error> {
        let Request { what, method, url, headers, body } = request;
        self.require_granted(what, &url)?;
        let origin = origin_of(&url);
        let mut request = self.0.client.request(method_of(method), url).headers(headers);
        if let Some(body) = body {
            request = request.body(body);
        }
        let limit = self.0.limits.response;
        let exchanged = async {
            let mut response = request.send().await.map_err(|error| error_of(&error, what, &origin))?;
            let (status, headers) = (response.status().as_u16(), std::mem::take(response.headers_mut()));
            let mut body = Vec::new();
            while let Some(chunk) = response.chunk().await.map_err(|error| error_of(&error, what, &origin))? {
                if body.len() + chunk.len() > limit {
                    return Err(Error::TooLarge { what: what.to_owned(), limit });
                }
                body.extend_from_slice(&chunk);
            }
            Ok(Response { status, headers, body })
        };
        let after = self.deadline();
        match tokio::time::timeout(after, exchanged).await {
            Ok(exchanged) => exchanged,
            Err(_) => Err(Error::TimedOut { what: what.to_owned(), after }),
        }
    }
}

/// `https://host`, with the port unless it is the scheme's default.
pub(crate) fn origin_of(url: &Url) -> String {
    url.origin().ascii_serialization()
}

/// Parses a URL of HTTP or HTTPS without credentials.
///
/// # Errors
/// [`Error::InvalidRequest`], which does not show the URL: it may hold a password.
pub(crate) fn parse_url(what: &str, url: &str) -> Result<Url, Error> {
    let invalid =
        |message: &str| Error::InvalidRequest { what: what.to_owned(), message: message.to_owned() };
    let url = Url::parse(url).map_err(|error| invalid(&format!("its URL is not valid: {error}")))?;
    if !["http", "https"].contains(&url.scheme()) || !url.has_host() {
        return Err(invalid("its URL must begin with https:// or http://"));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(invalid("its URL must not hold credentials"));
    }
    Ok(url)
}

fn method_of(method: HttpMethod) -> Method {
    match method {
        HttpMethod::Get => Method::GET,
        HttpMethod::Head => Method::HEAD,
        HttpMethod::Post => Method::POST,
        HttpMethod::Put => Method::PUT,
        HttpMethod::Patch => Method::PATCH,
        HttpMethod::Delete => Method::DELETE,
    }
}

/// Why there is no response, by the types of the error's causes.
fn error_of(error: &reqwest::Error, what: &str, origin: &str) -> Error {
    let (what, origin) = (what.to_owned(), origin.to_owned());
    let no_connection = "no server responds at this address";
    let mut next: Option<&(dyn StdError + 'static)> = Some(error);
    while let Some(cause) = next {
        if let Some(NotResolved(message)) = cause.downcast_ref() {
            return Error::NotResolved { what, origin, message: message.clone() };
        }
        if let Some(rustls::Error::InvalidCertificate(certificate)) = cause.downcast_ref() {
            return Error::NotTrusted { what, origin, reason: tls::reason(certificate) };
        }
        let io = cause.downcast_ref::<io::Error>();
        match io.map(io::Error::kind) {
            Some(io::ErrorKind::ConnectionRefused) => return Error::ConnectionRefused { what, origin },
            Some(io::ErrorKind::TimedOut) if error.is_connect() => {
                return Error::Unreachable { what, origin, message: no_connection.to_owned() };
            }
            _ => {}
        }
        // `source` of an I/O error skips the error that it wraps.
        next = match io.and_then(io::Error::get_ref) {
            Some(inner) => Some(inner),
            None => cause.source(),
        };
    }
    if error.is_connect() && error.is_timeout() {
        return Error::Unreachable { what, origin, message: no_connection.to_owned() };
    }
    Error::Unreachable { what, origin, message: root_cause(error) }
}

fn root_cause(error: &(dyn StdError + 'static)) -> String {
    let mut error = error;
    while let Some(source) = error.source() {
        error = source;
    }
    error.to_string()
}

#[cfg(test)]
impl Limits {
    /// Short enough for tests. As outside tests, the limit to connect is well below the other: with equal limits it is chance
    /// which error a server gives that never finishes its handshake.
    pub(crate) const SHORT: Self =
        Self { connect: Duration::from_secs(2), exchange: Duration::from_secs(5), response: LIMITS.response };
}
