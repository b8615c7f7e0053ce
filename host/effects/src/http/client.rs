//! The one way in which this crate speaks HTTP. Every request goes through [`Http::exchange`]: to a granted origin, within
//! a deadline, with a bound on what is read, and never on to where a redirect points.

use crate::Error;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::header::{HeaderMap, HeaderValue, USER_AGENT};
use reqwest::{Method, Url, redirect};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use rustls::{CertificateError, ClientConfig, RootCertStore};
use std::collections::{BTreeMap, BTreeSet};
use std::error::Error as StdError;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use std::{env, fmt, io};
use thinkube_plan::HttpMethod;

/// How long and how much an exchange may take.
#[derive(Clone, Copy)]
pub(crate) struct Limits {
    /// Until there is a connection, with TLS. Longer than three lost packets take, shorter than a person doubts.
    connect: Duration,
    /// The whole exchange, with what redirects it follows. An API that makes something big may take seconds.
    exchange: Duration,
    /// Bytes of an answer. The list of some thousand clients of a Keycloak has 4 MB; nobody's one resource has.
    answer: usize,
}

const LIMITS: Limits =
    Limits { connect: Duration::from_secs(10), exchange: Duration::from_secs(30), answer: 4 << 20 };

/// How HTTP servers are found and trusted.
#[derive(Debug, Clone, Default)]
pub struct HttpOptions {
    /// The origins that were granted, as `Permission::Connect` has them: `https://auth.example.org`. Nothing else is
    /// ever spoken to.
    pub granted: Vec<String>,
    /// A file with the certificates of further authorities (PEM), beside the system's.
    pub ca_file: Option<PathBuf>,
    /// Names that this machine's DNS does not know yet, or not rightly, and where they lead. What is asked and what the
    /// certificate must be for stays the name.
    pub resolve: BTreeMap<String, IpAddr>,
}

/// Speaks HTTP with servers outside the cluster. Clones share connections and tokens.
///
/// * TLS is rustls with ring. The authorities are the system's; where SSL_CERT_FILE or SSL_CERT_DIR is set, those instead;
///   and those of `ca_file` beside them.
/// * HTTP/2 where the server offers it with TLS, else HTTP/1.1. No cookies, no compression.
/// * No proxy, whatever the environment says: what was granted is an origin, and requests with passwords go there or
///   nowhere.
#[derive(Clone)]
pub struct Http(Arc<Shared>);

struct Shared {
    client: reqwest::Client,
    granted: BTreeSet<String>,
    limits: Limits,
    tokens: crate::http::auth::Tokens,
}

impl fmt::Debug for Http {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Http").field("granted", &self.0.granted).finish_non_exhaustive()
    }
}

/// One request. `what` is how messages name it: it has the path as the plan wrote it, so no value that was filled in.
pub(crate) struct Ask<'a> {
    pub(crate) what: &'a str,
    pub(crate) method: HttpMethod,
    pub(crate) url: Url,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Option<Vec<u8>>,
}

/// One answer.
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Vec<u8>,
}

impl Http {
    /// Reads the certificates that are trusted. Nothing is connected to yet.
    ///
    /// # Errors
    /// [`Error::Certificates`] if they cannot be read.
    pub fn new(options: &HttpOptions) -> Result<Self, Error> {
        Self::with_limits(options, LIMITS)
    }

    pub(crate) fn with_limits(options: &HttpOptions, limits: Limits) -> Result<Self, Error> {
        let mut agent = HeaderMap::new();
        agent.insert(
            USER_AGENT,
            HeaderValue::from_static(concat!("thinkube-host/", env!("CARGO_PKG_VERSION"))),
        );
        let client = reqwest::Client::builder()
            .tls_backend_preconfigured(tls(options)?)
            .dns_resolver(Arc::new(Names(options.resolve.clone())))
            .connect_timeout(limits.connect)
            .redirect(redirect::Policy::none())
            .no_proxy()
            .referer(false)
            .default_headers(agent)
            .build()
            .map_err(|error| Error::Certificates { message: deepest(&error) })?;
        // What is no URL grants nothing.
        let granted = options.granted.iter().filter_map(|origin| Some(origin_of(&Url::parse(origin).ok()?)));
        let granted = granted.collect();
        Ok(Self(Arc::new(Shared { client, granted, limits, tokens: Default::default() })))
    }

    pub(crate) fn tokens(&self) -> &crate::http::auth::Tokens {
        &self.0.tokens
    }

    pub(crate) fn deadline(&self) -> Duration {
        self.0.limits.exchange
    }

    /// Whether an origin was granted.
    ///
    /// # Errors
    /// [`Error::NotGranted`].
    pub(crate) fn granted(&self, what: &str, url: &Url) -> Result<(), Error> {
        let origin = origin_of(url);
        if self.0.granted.contains(&origin) {
            return Ok(());
        }
        Err(Error::NotGranted { what: what.to_owned(), origin })
    }

    /// Sends a request once and reads the whole answer, whatever its status.
    pub(crate) async fn exchange(&self, ask: Ask<'_>) -> Result<Reply, Error> {
        let Ask { what, method, url, headers, body } = ask;
        self.granted(what, &url)?;
        let origin = origin_of(&url);
        let mut request = self.0.client.request(method_of(method), url).headers(headers);
        if let Some(body) = body {
            request = request.body(body);
        }
        let most = self.0.limits.answer;
        let exchanged = async {
            let mut response = request.send().await.map_err(|error| failure(&error, what, &origin))?;
            let (status, headers) = (response.status().as_u16(), std::mem::take(response.headers_mut()));
            let mut body = Vec::new();
            while let Some(chunk) = response.chunk().await.map_err(|error| failure(&error, what, &origin))? {
                if body.len() + chunk.len() > most {
                    return Err(Error::TooLarge { what: what.to_owned(), most });
                }
                body.extend_from_slice(&chunk);
            }
            Ok(Reply { status, headers, body })
        };
        let after = self.deadline();
        match tokio::time::timeout(after, exchanged).await {
            Ok(done) => done,
            Err(_) => Err(Error::TimedOut { what: what.to_owned(), after }),
        }
    }
}

/// `https://host`, with the port where it is not the scheme's own.
pub(crate) fn origin_of(url: &Url) -> String {
    url.origin().ascii_serialization()
}

/// A URL that may be asked: HTTP, and without credentials in it.
///
/// # Errors
/// [`Error::Invalid`].
pub(crate) fn parse(what: &str, url: &str) -> Result<Url, Error> {
    let invalid = |message: &str| Error::Invalid { what: what.to_owned(), message: message.to_owned() };
    let url = Url::parse(url).map_err(|error| invalid(&format!("its URL is none: {error}")))?;
    if !["http", "https"].contains(&url.scheme()) || !url.has_host() {
        return Err(invalid("its URL must be https:// or http://"));
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

fn tls(options: &HttpOptions) -> Result<ClientConfig, Error> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut roots = RootCertStore::empty();
    // Of the system's own, one that cannot be read is passed over, as everybody does; what somebody has named must be
    // readable.
    let native = rustls_native_certs::load_native_certs();
    let named = ["SSL_CERT_FILE", "SSL_CERT_DIR"].into_iter().find(|name| env::var_os(name).is_some());
    if let (Some(name), Some(error)) = (named, native.errors.first()) {
        return Err(Error::Certificates { message: format!("{name}: {error}") });
    }
    roots.add_parsable_certificates(native.certs);
    if let Some(path) = &options.ca_file {
        let unreadable = |message: &dyn fmt::Display| Error::Certificates {
            message: format!("{}: {message}", path.display()),
        };
        let certificates: Vec<CertificateDer<'_>> = CertificateDer::pem_file_iter(path)
            .and_then(Iterator::collect)
            .map_err(|error| unreadable(&error))?;
        if certificates.is_empty() {
            return Err(unreadable(&"it has no certificate in it"));
        }
        for certificate in certificates {
            roots.add(certificate).map_err(|error| unreadable(&error))?;
        }
    }
    let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let config = config.map_err(|error| Error::Certificates { message: error.to_string() })?;
    let mut config = config.with_root_certificates(roots).with_no_client_auth();
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(config)
}

/// A resolver whose failure can be told from others by its type.
struct Names(BTreeMap<String, IpAddr>);

#[derive(Debug)]
struct NotResolved(String);

impl fmt::Display for NotResolved {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl StdError for NotResolved {}

impl Resolve for Names {
    fn resolve(&self, name: Name) -> Resolving {
        let known = self.0.get(name.as_str()).copied();
        Box::pin(async move {
            // The port is put in by whoever asked.
            let found: Addrs = match known {
                Some(address) => Box::new(std::iter::once(SocketAddr::new(address, 0))),
                None => match tokio::net::lookup_host((name.as_str(), 0)).await {
                    Ok(found) => Box::new(found.collect::<Vec<_>>().into_iter()),
                    Err(error) => return Err(Box::new(NotResolved(error.to_string())) as _),
                },
            };
            Ok(found)
        })
    }
}

/// Why there is no answer, by the types of the errors below `error`.
fn failure(error: &reqwest::Error, what: &str, origin: &str) -> Error {
    let (what, origin) = (what.to_owned(), origin.to_owned());
    let mut at: Option<&(dyn StdError + 'static)> = Some(error);
    while let Some(cause) = at {
        if let Some(NotResolved(message)) = cause.downcast_ref() {
            return Error::NotResolved { what, origin, message: message.clone() };
        }
        if let Some(rustls::Error::InvalidCertificate(certificate)) = cause.downcast_ref() {
            return Error::NotTrusted { what, origin, reason: distrust(certificate) };
        }
        let io = cause.downcast_ref::<io::Error>();
        match io.map(io::Error::kind) {
            Some(io::ErrorKind::ConnectionRefused) => return Error::Refused { what, origin },
            Some(io::ErrorKind::TimedOut) if error.is_connect() => {
                return Error::Unreachable { what, origin, message: "nothing answers there".to_owned() };
            }
            _ => {}
        }
        // `source` of an I/O error passes over the error that it wraps.
        at = match io.and_then(io::Error::get_ref) {
            Some(inner) => Some(inner),
            None => cause.source(),
        };
    }
    if error.is_connect() && error.is_timeout() {
        return Error::Unreachable { what, origin, message: "nothing answers there".to_owned() };
    }
    Error::Unreachable { what, origin, message: deepest(error) }
}

fn distrust(error: &CertificateError) -> &'static str {
    match error {
        CertificateError::UnknownIssuer => "no authority that is trusted here has signed its certificate",
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => "its certificate has expired",
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            "its certificate is not valid yet"
        }
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            "its certificate is for another name"
        }
        CertificateError::Revoked => "its certificate was revoked",
        _ => "its certificate is none that can be trusted",
    }
}

fn deepest(error: &(dyn StdError + 'static)) -> String {
    let mut error = error;
    while let Some(source) = error.source() {
        error = source;
    }
    error.to_string()
}

#[cfg(test)]
impl Limits {
    /// Short enough for tests to wait for. Connecting is given up well before the exchange is, as it is outside tests:
    /// with equal limits it is chance which error a server that never finishes its handshake gives.
    pub(crate) const SHORT: Self =
        Self { connect: Duration::from_secs(2), exchange: Duration::from_secs(5), answer: LIMITS.answer };
}
