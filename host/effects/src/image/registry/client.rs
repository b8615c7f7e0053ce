//! What a registry has, by the OCI distribution API. The tools that build do not answer this: they have no command for it
//! that all versions share, and say why it failed in words only.

use crate::Error;
use crate::http::client::{Ask, Http, HttpOptions, Reply, origin_of, parse};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use reqwest::Url;
use reqwest::header::{
    ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderValue, LOCATION, WWW_AUTHENTICATE,
};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use thinkube_plan::{Digest, HttpMethod, ImageName, SecretText};

/// The kinds of manifest that an image can have.
const MANIFESTS: &str = "application/vnd.oci.image.manifest.v1+json, \
                         application/vnd.docker.distribution.manifest.v2+json, \
                         application/vnd.oci.image.index.v1+json, \
                         application/vnd.docker.distribution.manifest.list.v2+json";

/// Who pushes.
#[derive(Clone)]
pub(in crate::image) struct Login {
    username: String,
    password: SecretText,
}

#[derive(Deserialize)]
struct DockerConfig {
    auths: BTreeMap<String, DockerAuth>,
}

#[derive(Deserialize)]
struct DockerAuth {
    auth: Option<SecretString>,
    username: Option<String>,
    password: Option<SecretString>,
}

/// So that no Debug is ever made for it.
#[derive(Deserialize)]
struct SecretString(String);

impl Login {
    /// The login for an image's registry in a `.dockerconfigjson`: the most specific one, as container tools read it.
    pub(in crate::image) fn of(
        config: &SecretText,
        destination: &ImageName,
        what: &str,
    ) -> Result<Self, Error> {
        let none = || Error::NoLogin { what: what.to_owned(), registry: destination.registry.clone() };
        // What the parser says may quote a password.
        let config: DockerConfig = serde_json::from_str(config.expose()).map_err(|_| none())?;
        let mut places = vec![destination.name()];
        while let Some((parent, _)) = places[places.len() - 1].rsplit_once('/') {
            places.push(parent.to_owned());
        }
        let mut auths: BTreeMap<String, DockerAuth> =
            config.auths.into_iter().map(|(place, auth)| (plain(&place).to_owned(), auth)).collect();
        let auth = places.iter().find_map(|place| auths.remove(place)).ok_or_else(none)?;
        if let (Some(username), Some(password)) = (auth.username, auth.password) {
            return Ok(Self { username, password: SecretText::new(password.0) });
        }
        let auth = auth.auth.ok_or_else(none)?;
        let decoded = STANDARD.decode(auth.0.trim()).map_err(|_| none())?;
        let decoded = String::from_utf8(decoded).map_err(|_| none())?;
        let (username, password) = decoded.split_once(':').ok_or_else(none)?;
        Ok(Self { username: username.to_owned(), password: SecretText::new(password.to_owned()) })
    }

    fn encoded(&self) -> String {
        STANDARD.encode(format!("{}:{}", self.username, self.password.expose()))
    }

    /// What a tool may say of it and nobody should read.
    pub(in crate::image) fn secrets(&self) -> Vec<SecretText> {
        vec![self.password.clone(), SecretText::new(self.encoded())]
    }

    /// The file that container tools read it from. It has this registry's login alone, whatever else the Secret holds.
    pub(in crate::image) fn auth_file(&self, registry: &str) -> SecretText {
        let auth = serde_json::json!({"auths": {registry: {"auth": self.encoded()}}});
        SecretText::new(auth.to_string())
    }
}

/// `https://registry/v1/` → `registry`: the older ways to write a place.
fn plain(place: &str) -> &str {
    let place = place.strip_prefix("https://").or_else(|| place.strip_prefix("http://")).unwrap_or(place);
    let place = place.trim_end_matches('/');
    place.strip_suffix("/v1").or_else(|| place.strip_suffix("/v2")).unwrap_or(place)
}

/// An image's manifest as the registry keeps it.
pub(in crate::image) struct Manifest {
    pub(in crate::image) digest: Digest,
    kind: HeaderValue,
    bytes: Vec<u8>,
}

/// A repository in a registry.
pub(in crate::image) struct Registry<'a> {
    options: &'a HttpOptions,
    http: Http,
    name: &'a ImageName,
    login: Option<&'a Login>,
    what: &'a str,
    /// What the registry has been shown once, and wants to be shown again, by what was to be done.
    shown: Mutex<BTreeMap<&'static str, HeaderValue>>,
}

impl<'a> Registry<'a> {
    pub(in crate::image) fn new(
        options: &'a HttpOptions,
        name: &'a ImageName,
        login: Option<&'a Login>,
        what: &'a str,
    ) -> Result<Self, Error> {
        let origin = parse(what, &format!("https://{}", name.registry))?;
        let granted = vec![origin_of(&origin)];
        let http = Http::new(&HttpOptions { granted, ..options.clone() })?;
        Ok(Self { options, http, name, login, what, shown: Mutex::default() })
    }

    fn url(&self, path: &str) -> Result<Url, Error> {
        parse(self.what, &format!("https://{}/v2/{}/{path}", self.name.registry, self.name.repository))
    }

    /// The manifest that a tag leads to.
    pub(in crate::image) async fn manifest(&self, tag: &str) -> Result<Option<Manifest>, Error> {
        let mut headers = HeaderMap::new();
        headers.insert(ACCEPT, HeaderValue::from_static(MANIFESTS));
        let reply = self.ask(HttpMethod::Get, self.url(&format!("manifests/{tag}"))?, headers, None).await?;
        match reply.status {
            200 => {
                let digest = Digest::of(&reply.body);
                let kind = reply.headers.get(CONTENT_TYPE).cloned();
                let kind = kind.unwrap_or_else(|| {
                    HeaderValue::from_static("application/vnd.oci.image.manifest.v1+json")
                });
                Ok(Some(Manifest { digest, kind, bytes: reply.body }))
            }
            404 => Ok(None),
            status => Err(self.refusal(status, "pull")),
        }
    }

    /// Lets a tag lead to a manifest that the registry has.
    pub(in crate::image) async fn tag(&self, tag: &str, manifest: &Manifest) -> Result<(), Error> {
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, manifest.kind.clone());
        let url = self.url(&format!("manifests/{tag}"))?;
        let reply = self.ask(HttpMethod::Put, url, headers, Some(manifest.bytes.clone())).await?;
        match reply.status {
            200..=299 => Ok(()),
            status => Err(self.refusal(status, "push")),
        }
    }

    /// Forgets an image with all of its tags; false where there is none.
    pub(in crate::image) async fn forget(&self, digest: &Digest) -> Result<bool, Error> {
        let url = self.url(&format!("manifests/{digest}"))?;
        let reply = self.ask(HttpMethod::Delete, url, HeaderMap::new(), None).await?;
        match reply.status {
            200..=299 => Ok(true),
            404 => Ok(false),
            status => Err(self.refusal(status, "delete")),
        }
    }

    /// Begins an upload and gives it up: who may do that may push. Known before an hour is spent on a build.
    pub(in crate::image) async fn may_push(&self) -> Result<(), Error> {
        let url = self.url("blobs/uploads/")?;
        let reply = self.ask(HttpMethod::Post, url.clone(), HeaderMap::new(), None).await?;
        if reply.status != 202 {
            return Err(self.refusal(reply.status, "push"));
        }
        let location = reply.headers.get(LOCATION).and_then(|location| location.to_str().ok());
        if let Some(upload) = location.and_then(|location| url.join(location).ok())
            && origin_of(&upload) == origin_of(&url)
        {
            // It would go by itself, in a while.
            self.ask(HttpMethod::Delete, upload, HeaderMap::new(), None).await.ok();
        }
        Ok(())
    }

    fn refusal(&self, status: u16, action: &'static str) -> Error {
        let (what, destination) = (self.what.to_owned(), self.name.name());
        match status {
            401 | 403 => {
                Error::RegistryRefused { what, destination, status, action, login: self.login.is_some() }
            }
            404 => Error::NoRepository { what, destination },
            // OCI distribution specification, section "Deleting Manifests".
            405 if action == "delete" => Error::NoDeletion { what, destination },
            status => Error::Status { what: format!("{what}, {action} {destination}"), status, said: None },
        }
    }

    /// Asks, and asks again with what the registry says that it wants to be shown (RFC 9110 section 11.6.1).
    async fn ask(
        &self,
        method: HttpMethod,
        url: Url,
        mut headers: HeaderMap,
        body: Option<Vec<u8>>,
    ) -> Result<Reply, Error> {
        let actions = match method {
            HttpMethod::Get => "pull",
            HttpMethod::Delete if url.path().contains("/manifests/") => "delete",
            _ => "pull,push",
        };
        let shown = self.shown.lock().unwrap_or_else(PoisonError::into_inner).get(actions).cloned();
        if let Some(shown) = shown {
            headers.insert(AUTHORIZATION, shown);
        }
        let ask = |headers: HeaderMap| Ask {
            what: self.what,
            method,
            url: url.clone(),
            headers,
            body: body.clone(),
        };
        let reply = self.http.exchange(ask(headers.clone())).await?;
        if reply.status != 401 {
            return Ok(reply);
        }
        let challenges =
            reply.headers.get_all(WWW_AUTHENTICATE).iter().filter_map(|value| value.to_str().ok());
        let Some(challenge) = challenges.filter_map(Challenge::parse).next() else { return Ok(reply) };
        let Some(credential) = self.credential(&challenge, actions).await? else { return Ok(reply) };
        headers.insert(AUTHORIZATION, credential.clone());
        let reply = self.http.exchange(ask(headers)).await?;
        if reply.status != 401 {
            self.shown.lock().unwrap_or_else(PoisonError::into_inner).insert(actions, credential);
        }
        Ok(reply)
    }

    /// What to show for a challenge; none where there is nothing to show.
    async fn credential(&self, challenge: &Challenge, actions: &str) -> Result<Option<HeaderValue>, Error> {
        let Challenge::Bearer { realm, service } = challenge else {
            return Ok(self.login.and_then(|login| sensitive(&format!("Basic {}", login.encoded()))));
        };
        // The realm is what the registry says, and the password goes there: with TLS or not at all.
        let mut url = parse(self.what, realm)?;
        if url.scheme() != "https" {
            return Err(Error::Invalid {
                what: self.what.to_owned(),
                message: format!(
                    "the registry {} gives tokens at {realm}, without TLS; nothing was sent there",
                    self.name.registry
                ),
            });
        }
        url.query_pairs_mut()
            .append_pair("service", service)
            .append_pair("scope", &format!("repository:{}:{actions}", self.name.repository));
        let mut headers = HeaderMap::new();
        if let Some(login) = self.login
            && let Some(basic) = sensitive(&format!("Basic {}", login.encoded()))
        {
            headers.insert(AUTHORIZATION, basic);
        }
        let http = Http::new(&HttpOptions { granted: vec![origin_of(&url)], ..self.options.clone() })?;
        let ask = Ask { what: self.what, method: HttpMethod::Get, url, headers, body: None };
        let reply = http.exchange(ask).await?;
        if reply.status != 200 {
            return Err(self.refusal(reply.status, "log in for"));
        }
        #[derive(Deserialize)]
        struct Token {
            token: Option<SecretString>,
            access_token: Option<SecretString>,
        }
        // What the parser says may quote the token.
        let token: Token = serde_json::from_slice(&reply.body).map_err(|_| Error::NotJson {
            what: format!("{}, token of {}", self.what, self.name.registry),
        })?;
        let token = token.token.or(token.access_token);
        Ok(token.and_then(|token| sensitive(&format!("Bearer {}", token.0))))
    }
}

fn sensitive(text: &str) -> Option<HeaderValue> {
    let mut value = HeaderValue::from_str(text).ok()?;
    value.set_sensitive(true);
    Some(value)
}

/// What a registry wants to be shown.
#[derive(Debug, PartialEq)]
enum Challenge {
    Basic,
    Bearer { realm: String, service: String },
}

impl Challenge {
    fn parse(text: &str) -> Option<Self> {
        let (scheme, parameters) = text.split_once(' ').unwrap_or((text, ""));
        if scheme.eq_ignore_ascii_case("basic") {
            return Some(Self::Basic);
        }
        if !scheme.eq_ignore_ascii_case("bearer") {
            return None;
        }
        let mut realm = None;
        let mut service = String::new();
        let mut rest = parameters.trim_start();
        while let Some((name, after)) = rest.split_once('=') {
            let (value, after) = match after.strip_prefix('"') {
                Some(quoted) => quoted.split_once('"')?,
                None => {
                    after.split_once(',').map_or((after, ""), |(value, _)| (value, &after[value.len()..]))
                }
            };
            match name.trim().to_ascii_lowercase().as_str() {
                "realm" => realm = Some(value.to_owned()),
                "service" => value.clone_into(&mut service),
                _ => {}
            }
            rest = after.trim_start().trim_start_matches(',').trim_start();
        }
        Some(Self::Bearer { realm: realm?, service })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn destination() -> ImageName {
        "registry.example.org:5000/library/devpi:1".parse().expect("a name")
    }

    fn login(config: &str) -> Result<Login, Error> {
        Login::of(&SecretText::new(config.to_owned()), &destination(), "image devpi")
    }

    #[test]
    fn the_most_specific_login_counts_in_every_way_to_write_it() {
        for (config, username) in [
            (r#"{"auths":{"registry.example.org:5000":{"auth":"YW5uOndvcmQ6"}}}"#, "ann"),
            (
                r#"{"auths":{"https://registry.example.org:5000/v2/":{"username":"bob","password":"word:"}}}"#,
                "bob",
            ),
            (
                r#"{"auths":{"registry.example.org:5000":{"username":"no","password":"no"},
                    "registry.example.org:5000/library":{"username":"cyd","password":"word:"}}}"#,
                "cyd",
            ),
        ] {
            let login = login(config).unwrap_or_else(|error| panic!("{error}"));
            assert_eq!((login.username.as_str(), login.password.expose()), (username, "word:"));
        }
    }

    #[test]
    fn what_is_no_login_says_so_and_quotes_nothing_of_it() {
        for config in [
            r#"{"auths":{"other.example.org":{"auth":"Y2FuYXJ5OmNhbmFyeQ=="}}}"#,
            r#"{"auths":"canary"}"#,
            r#"canary"#,
            r#"{"auths":{"registry.example.org:5000":{"auth":"canary"}}}"#,
            r#"{"auths":{"registry.example.org:5000":{"auth":["canary"]}}}"#,
            r#"{"auths":{"registry.example.org":{"username":"canary","password":"canary"}}}"#,
        ] {
            let error = login(config).err().expect("it is none");
            assert!(!format!("{error} {error:?}").contains("canary"), "{error:?}");
            assert!(error.to_string().contains("registry.example.org:5000"));
        }
    }

    #[test]
    fn the_file_for_the_tool_has_one_registry_only() {
        let config = r#"{"auths":{"registry.example.org:5000":{"username":"ann","password":"w"},
                                  "other.example.org":{"username":"bob","password":"other"}}}"#;
        let file = login(config).expect("a login").auth_file("registry.example.org:5000");
        let file: serde_json::Value = serde_json::from_str(file.expose()).expect("JSON");
        assert_eq!(file, serde_json::json!({"auths": {"registry.example.org:5000": {"auth": "YW5uOnc="}}}));
    }

    #[test]
    fn challenges_are_read_as_registries_write_them() {
        assert_eq!(Challenge::parse(r#"Basic realm="thinkube""#), Some(Challenge::Basic));
        let harbor = r#"Bearer realm="https://harbor.example.org/service/token",service="harbor-registry",scope="repository:library/devpi:pull""#;
        let (realm, service) =
            ("https://harbor.example.org/service/token".to_owned(), "harbor-registry".to_owned());
        assert_eq!(Challenge::parse(harbor), Some(Challenge::Bearer { realm: realm.clone(), service }));
        let bare = "bearer service=x, realm=https://harbor.example.org/service/token";
        assert_eq!(Challenge::parse(bare), Some(Challenge::Bearer { realm, service: "x".into() }));
        for none in ["Negotiate", "Bearer", r#"Bearer realm="open"#, ""] {
            assert_eq!(Challenge::parse(none), None, "{none}");
        }
    }
}
