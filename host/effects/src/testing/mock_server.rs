//! Servers for tests, on sockets of this machine.

use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpListener;

#[derive(Clone, Debug)]
pub(crate) struct Request {
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) headers: BTreeMap<String, String>,
    pub(crate) body: String,
}

pub(crate) enum Answer {
    Reply(u16, Vec<(&'static str, String)>, String),
    /// A body without end.
    Endless,
    /// No byte, with the connection open.
    Silence,
    /// Half a head, and the connection closed.
    Cut,
}

impl Answer {
    pub(crate) fn json(status: u16, body: Value) -> Self {
        Self::Reply(status, vec![("content-type", "application/json".into())], body.to_string())
    }

    pub(crate) fn status(status: u16) -> Self {
        Self::Reply(status, vec![], String::new())
    }

    pub(crate) fn page(status: u16) -> Self {
        Self::Reply(status, vec![("content-type", "text/html".into())], "<html>Hello</html>".into())
    }

    pub(crate) fn to(status: u16, location: &str) -> Self {
        Self::Reply(status, vec![("location", location.to_owned())], String::new())
    }
}

type Handler = Arc<Mutex<dyn FnMut(&Request) -> Answer + Send>>;

/// A running server, with every request that it received.
#[derive(Clone)]
pub(crate) struct Server {
    pub(crate) url: String,
    pub(crate) port: u16,
    seen: Arc<Mutex<Vec<Request>>>,
}

impl Server {
    pub(crate) async fn start(handler: impl FnMut(&Request) -> Answer + Send + 'static) -> Self {
        Self::listen(Arc::new(Mutex::new(handler)), None).await
    }

    pub(crate) async fn start_tls(
        tls: tokio_rustls::TlsAcceptor,
        handler: impl FnMut(&Request) -> Answer + Send + 'static,
    ) -> Self {
        Self::listen(Arc::new(Mutex::new(handler)), Some(tls)).await
    }

    async fn listen(handler: Handler, tls: Option<tokio_rustls::TlsAcceptor>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let scheme = if tls.is_some() { "https" } else { "http" };
        let server = Self { url: format!("{scheme}://127.0.0.1:{port}"), port, seen: Arc::default() };
        let seen = server.seen.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (handler, seen, tls) = (handler.clone(), seen.clone(), tls.clone());
                tokio::spawn(async move {
                    match tls {
                        None => serve(stream, handler, seen).await,
                        Some(tls) => match tls.accept(stream).await {
                            Ok(stream) => serve(stream, handler, seen).await,
                            Err(_) => None,
                        },
                    }
                });
            }
        });
        server
    }

    /// The requests but those for tokens, as `GET /a`.
    pub(crate) fn asked(&self) -> Vec<String> {
        let seen = self.seen.lock().unwrap();
        let lines = seen.iter().map(|request| format!("{} {}", request.method, request.path));
        lines.filter(|line| !line.ends_with("/token")).collect()
    }

    pub(crate) fn tokens(&self) -> usize {
        self.seen.lock().unwrap().iter().filter(|request| request.path.ends_with("/token")).count()
    }

    pub(crate) fn last(&self) -> Request {
        self.seen.lock().unwrap().last().cloned().unwrap()
    }

    pub(crate) fn forget(&self) {
        self.seen.lock().unwrap().clear();
    }
}

/// A server with TLS for a name, and the PEM file of its authority.
pub(crate) async fn secure(
    name: &str,
    folder: &Path,
    handler: impl FnMut(&Request) -> Answer + Send + 'static,
) -> (Server, PathBuf) {
    let key = rcgen::KeyPair::generate().unwrap();
    let mut authority = rcgen::CertificateParams::new(vec![]).unwrap();
    authority.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let ca_file = folder.join("ca.crt");
    std::fs::write(&ca_file, authority.self_signed(&key).unwrap().pem()).unwrap();
    let authority = rcgen::Issuer::new(authority, key);
    let own = rcgen::KeyPair::generate().unwrap();
    let certificate =
        rcgen::CertificateParams::new(vec![name.into()]).unwrap().signed_by(&own, &authority).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config =
        rustls::ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let key = rustls::pki_types::PrivateKeyDer::Pkcs8(own.serialize_der().into());
    let config = config.with_no_client_auth().with_single_cert(vec![certificate.der().clone()], key).unwrap();
    let server = Server::start_tls(Arc::new(config).into(), handler).await;
    (server, ca_file)
}

async fn serve(
    mut stream: impl AsyncRead + AsyncWrite + Unpin,
    handler: Handler,
    seen: Arc<Mutex<Vec<Request>>>,
) -> Option<()> {
    let mut read = Vec::new();
    let (head, mut body) = loop {
        let mut chunk = [0; 4096];
        let length = stream.read(&mut chunk).await.ok().filter(|length| *length > 0)?;
        read.extend_from_slice(&chunk[..length]);
        if let Some(end) = read.windows(4).position(|window| window == b"\r\n\r\n") {
            break (String::from_utf8(read[..end].to_vec()).ok()?, read[end + 4..].to_vec());
        }
    };
    let mut lines = head.split("\r\n");
    let mut first = lines.next()?.split(' ').map(str::to_owned);
    let headers: BTreeMap<String, String> = lines
        .filter_map(|line| line.split_once(": "))
        .map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()))
        .collect();
    let length = headers.get("content-length").and_then(|length| length.parse().ok()).unwrap_or(0);
    while body.len() < length {
        stream.read_buf(&mut body).await.ok().filter(|length| *length > 0)?;
    }
    let body = String::from_utf8(body).ok()?;
    let request = Request { method: first.next()?, path: first.next()?, headers, body };
    seen.lock().unwrap().push(request.clone());
    let answer = (*handler.lock().unwrap())(&request);
    match answer {
        Answer::Reply(status, headers, body) => {
            let mut head =
                format!("HTTP/1.1 {status} X\r\nconnection: close\r\ncontent-length: {}\r\n", body.len());
            for (name, value) in headers {
                write!(head, "{name}: {value}\r\n").ok()?;
            }
            stream.write_all(format!("{head}\r\n{body}").as_bytes()).await.ok()?;
        }
        Answer::Endless => {
            stream.write_all(b"HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n").await.ok()?;
            while stream.write_all(&[b' '; 1 << 16]).await.is_ok() {}
        }
        Answer::Silence => std::future::pending().await,
        Answer::Cut => stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-le").await.ok()?,
    }
    stream.shutdown().await.ok()
}

/// The part of Keycloak's admin API that a client of OpenID Connect needs, for one realm.
pub(crate) struct Keycloak {
    pub(crate) password: String,
    /// The lifetime of a token in seconds.
    pub(crate) life: u64,
    /// The number of the one token that is accepted.
    pub(crate) token: u64,
    pub(crate) clients: Vec<Value>,
    /// Answers to give once instead of the real ones: method, end of the path, answer.
    pub(crate) moods: Vec<(&'static str, &'static str, Answer)>,
    made: u64,
}

pub(crate) const ADMIN: &str = "/admin/realms/thinkube";
/// The secret of every client: 32 characters, as in Keycloak.
pub(crate) const SECRET: &str = "Zm9vYmFyYmF6cXV4cXV1eGNvcmdlZ3Jh";

impl Keycloak {
    pub(crate) fn new(password: &str) -> Arc<Mutex<Self>> {
        Arc::new(Mutex::new(Self {
            password: password.into(),
            life: 60,
            token: 0,
            clients: vec![],
            moods: vec![],
            made: 0,
        }))
    }

    pub(crate) async fn serve(keycloak: &Arc<Mutex<Self>>) -> Server {
        let keycloak = keycloak.clone();
        Server::start(move |request| keycloak.lock().unwrap().answer(request)).await
    }

    fn answer(&mut self, request: &Request) -> Answer {
        let (method, path) = (request.method.as_str(), request.path.as_str());
        let mood = |(of, end, _): &(&str, &str, Answer)| *of == method && path.ends_with(end);
        if let Some(at) = self.moods.iter().position(mood) {
            return self.moods.remove(at).2;
        }
        if path == "/realms/master/protocol/openid-connect/token" {
            return self.sign_on(request);
        }
        if request.headers.get("authorization") != Some(&format!("Bearer token-{}", self.token)) {
            return Answer::json(401, json!({"error": "HTTP 401 Unauthorized"}));
        }
        let Some(path) = path.strip_prefix(ADMIN) else {
            return Answer::json(404, json!({"error": "Realm not found."}));
        };
        let sent: Value = serde_json::from_str(&request.body).unwrap_or_default();
        if let ("GET", Some(name)) = (method, path.strip_prefix("/clients?clientId=")) {
            let found = self.clients.iter().filter(|client| client["clientId"] == name);
            return Answer::json(200, found.cloned().collect());
        }
        let segments: Vec<&str> = path.trim_start_matches('/').split('/').collect();
        match (method, segments.as_slice()) {
            ("POST", ["clients"]) => {
                if self.clients.iter().any(|client| client["clientId"] == sent["clientId"]) {
                    let message = format!("Client {} already exists", sent["clientId"]);
                    return Answer::json(409, json!({"errorMessage": message}));
                }
                let mut client = json!({"id": self.id(), "secret": SECRET, "surrogateAuthRequired": false,
                    "protocolMappers": [], "attributes": {"realm_client": "false"}});
                put(&mut client, &sent);
                self.clients.push(client);
                Answer::to(201, "https://other/clients/1")
            }
            (_, ["clients", id, rest @ ..]) => {
                let id = (*id).to_owned();
                let Some(at) = self.clients.iter().position(|client| client["id"] == id) else {
                    return Answer::json(404, json!({"error": "Could not find client"}));
                };
                match (method, rest) {
                    ("PUT", []) => {
                        put(&mut self.clients[at], &sent);
                        Answer::status(204)
                    }
                    ("DELETE", []) => {
                        self.clients.remove(at);
                        Answer::status(204)
                    }
                    ("GET", ["client-secret"]) => {
                        Answer::json(200, json!({"type": "secret", "value": SECRET}))
                    }
                    (_, ["protocol-mappers", "models", rest @ ..]) => self.mappers(at, method, rest, sent),
                    _ => Answer::status(405),
                }
            }
            _ => Answer::status(405),
        }
    }

    fn mappers(&mut self, client: usize, method: &str, rest: &[&str], sent: Value) -> Answer {
        let id = self.id();
        let mappers = self.clients[client]["protocolMappers"].as_array_mut().unwrap();
        match (method, rest) {
            ("GET", []) => Answer::json(200, json!(mappers)),
            ("POST", []) => {
                if mappers.iter().any(|mapper| mapper["name"] == sent["name"]) {
                    let message = "Protocol mapper exists with same name";
                    return Answer::json(409, json!({"errorMessage": message}));
                }
                let mut mapper = json!({"id": id});
                put(&mut mapper, &sent);
                mappers.push(mapper);
                Answer::status(201)
            }
            (_, [id]) => {
                let Some(at) = mappers.iter().position(|mapper| mapper["id"] == *id) else {
                    return Answer::json(404, json!({"error": "Model not found"}));
                };
                match method {
                    // Keycloak takes the mapper from the id in the body, and fails without one.
                    "PUT" if sent["id"] == *id => put(&mut mappers[at], &sent),
                    "PUT" => return Answer::json(500, json!({"error": "unknown_error"})),
                    _ => drop(mappers.remove(at)),
                }
                Answer::status(204)
            }
            _ => Answer::status(405),
        }
    }

    fn sign_on(&mut self, request: &Request) -> Answer {
        let expected =
            format!("grant_type=password&client_id=admin-cli&username=admin&password={}", self.password);
        if request.body != expected {
            let description = "Invalid user credentials";
            return Answer::json(401, json!({"error": "invalid_grant", "error_description": description}));
        }
        self.token += 1;
        let token = format!("token-{}", self.token);
        Answer::json(200, json!({"access_token": token, "expires_in": self.life, "token_type": "Bearer"}))
    }

    fn id(&mut self) -> String {
        self.made += 1;
        format!("0000-{}", self.made)
    }
}

/// Replaces the fields that are sent. Reverses lists, because Keycloak keeps sets.
fn put(target: &mut Value, sent: &Value) {
    for (key, value) in sent.as_object().unwrap() {
        match value {
            Value::Array(items) if items.iter().all(Value::is_string) => {
                target[key] = items.iter().rev().cloned().collect();
            }
            Value::Object(_) if target[key].is_object() => put(&mut target[key], value),
            _ => target[key] = value.clone(),
        }
    }
}
