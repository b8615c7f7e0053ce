//! Requests to one repository: read, tag and delete manifests, and check the right to push.

use super::auth::{Challenge, Login, SecretString, sensitive};
use super::error::RegistryError;
use crate::http::client::{Http, HttpOptions, Request, Response, origin_of, parse_url};
use crate::http::response::ResponseError;
use reqwest::Url;
use reqwest::header::{
    ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderValue, LOCATION, WWW_AUTHENTICATE,
};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use thinkube_plan::{Digest, HttpMethod, ImageName};

/// The media types of an image's manifest.
const MANIFEST_TYPES: &str = "application/vnd.oci.image.manifest.v1+json, \
                              application/vnd.docker.distribution.manifest.v2+json, \
                              application/vnd.oci.image.index.v1+json, \
                              application/vnd.docker.distribution.manifest.list.v2+json";

/// A manifest in a registry.
pub(in crate::image) struct Manifest {
    pub(in crate::image) digest: Digest,
    media_type: HeaderValue,
    bytes: Vec<u8>,
}

/// A repository in a registry.
pub(in crate::image) struct Registry<'a> {
    options: &'a HttpOptions,
    http: Http,
    name: &'a ImageName,
    login: Option<&'a Login>,
    what: &'a str,
    /// The credentials that the registry accepted, by the actions of their scope.
    accepted: Mutex<BTreeMap<&'static str, HeaderValue>>,
}

impl<'a> Registry<'a> {
    pub(in crate::image) fn new(
        options: &'a HttpOptions,
        name: &'a ImageName,
        login: Option<&'a Login>,
        what: &'a str,
    ) -> Result<Self, RegistryError> {
        let origin = parse_url(what, &format!("https://{}", name.registry))?;
        let granted = vec![origin_of(&origin)];
        let http = Http::new(&HttpOptions { granted, ..options.clone() })?;
        Ok(Self { options, http, name, login, what, accepted: Mutex::default() })
    }

    fn url(&self, path: &str) -> Result<Url, RegistryError> {
        let url = format!("https://{}/v2/{}/{path}", self.name.registry, self.name.repository);
        Ok(parse_url(self.what, &url)?)
    }

    /// The manifest of a tag.
    pub(in crate::image) async fn manifest(&self, tag: &str) -> Result<Option<Manifest>, RegistryError> {
        let mut headers = HeaderMap::new();
        headers.insert(ACCEPT, HeaderValue::from_static(MANIFEST_TYPES));
        let url = self.url(&format!("manifests/{tag}"))?;
        let response = self.request(HttpMethod::Get, url, headers, None).await?;
        match response.status {
            200 => {
                let digest = Digest::of(&response.body);
                let media_type = response.headers.get(CONTENT_TYPE).cloned();
                let media_type = media_type.unwrap_or_else(|| {
                    HeaderValue::from_static("application/vnd.oci.image.manifest.v1+json")
                });
                Ok(Some(Manifest { digest, media_type, bytes: response.body }))
            }
            404 => Ok(None),
            status => Err(self.refusal(status, "pull")),
        }
    }

    /// Points a tag to a manifest that the registry has.
    pub(in crate::image) async fn tag(&self, tag: &str, manifest: &Manifest) -> Result<(), RegistryError> {
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, manifest.media_type.clone());
        let url = self.url(&format!("manifests/{tag}"))?;
        let response = self.request(HttpMethod::Put, url, headers, Some(manifest.bytes.clone())).await?;
        match response.status {
            200..=299 => Ok(()),
            status => Err(self.refusal(status, "push")),
        }
    }

    /// Deletes a manifest with all of its tags. False: it does not exist.
    pub(in crate::image) async fn delete(&self, digest: &Digest) -> Result<bool, RegistryError> {
        let url = self.url(&format!("manifests/{digest}"))?;
        let response = self.request(HttpMethod::Delete, url, HeaderMap::new(), None).await?;
        match response.status {
            200..=299 => Ok(true),
            404 => Ok(false),
            status => Err(self.refusal(status, "delete")),
        }
    }

    /// Starts an upload and cancels it, which proves the right to push before an hour is spent on a build.
    pub(in crate::image) async fn require_push(&self) -> Result<(), RegistryError> {
        let url = self.url("blobs/uploads/")?;
        let response = self.request(HttpMethod::Post, url.clone(), HeaderMap::new(), None).await?;
        if response.status != 202 {
            return Err(self.refusal(response.status, "push"));
        }
        let location = response.headers.get(LOCATION).and_then(|location| location.to_str().ok());
        if let Some(upload) = location.and_then(|location| url.join(location).ok())
            && origin_of(&upload) == origin_of(&url)
        {
            // A registry also discards an upload by itself, later.
            self.request(HttpMethod::Delete, upload, HeaderMap::new(), None).await.ok();
        }
        Ok(())
    }

    fn refusal(&self, status: u16, action: &'static str) -> RegistryError {
        let (what, destination) = (self.what.to_owned(), self.name.name());
        match status {
            401 | 403 => {
                RegistryError::Refused { what, destination, status, action, login: self.login.is_some() }
            }
            404 => RegistryError::NoRepository { what, destination },
            405 if action == "delete" => RegistryError::DeletionUnsupported { what, destination },
            status => {
                let what = format!("{what}, {action} {destination}");
                ResponseError::Status { what, status, message: None }.into()
            }
        }
    }

    /// Sends a request, and once more with credentials if the registry asks for them.
    async fn request(
        &self,
        method: HttpMethod,
        url: Url,
        mut headers: HeaderMap,
        body: Option<Vec<u8>>,
    ) -> Result<Response, RegistryError> {
        let actions = match method {
            HttpMethod::Get => "pull",
            HttpMethod::Delete if url.path().contains("/manifests/") => "delete",
            _ => "pull,push",
        };
        let accepted = self.accepted.lock().unwrap_or_else(PoisonError::into_inner).get(actions).cloned();
        if let Some(accepted) = accepted {
            headers.insert(AUTHORIZATION, accepted);
        }
        let request = |headers: HeaderMap| Request {
            what: self.what,
            method,
            url: url.clone(),
            headers,
            body: body.clone(),
        };
        let response = self.http.exchange(request(headers.clone())).await?;
        if response.status != 401 {
            return Ok(response);
        }
        let challenges =
            response.headers.get_all(WWW_AUTHENTICATE).iter().filter_map(|value| value.to_str().ok());
        let Some(challenge) = challenges.filter_map(Challenge::parse).next() else { return Ok(response) };
        let Some(credentials) = self.credentials(&challenge, actions).await? else { return Ok(response) };
        headers.insert(AUTHORIZATION, credentials.clone());
        let response = self.http.exchange(request(headers)).await?;
        if response.status != 401 {
            self.accepted.lock().unwrap_or_else(PoisonError::into_inner).insert(actions, credentials);
        }
        Ok(response)
    }

    /// The credentials for a challenge. None: the challenge needs a login and there is none.
    async fn credentials(
        &self,
        challenge: &Challenge,
        actions: &str,
    ) -> Result<Option<HeaderValue>, RegistryError> {
        let Challenge::Bearer { realm, service } = challenge else {
            return Ok(self.login.and_then(Login::basic));
        };
        // The registry chooses the token server, which receives the password: only with TLS.
        let url = parse_url(self.what, realm).ok().filter(|url| url.scheme() == "https");
        let mut url = url.ok_or_else(|| RegistryError::InsecureTokenServer {
            what: self.what.to_owned(),
            registry: self.name.registry.clone(),
            realm: realm.clone(),
        })?;
        url.query_pairs_mut()
            .append_pair("service", service)
            .append_pair("scope", &format!("repository:{}:{actions}", self.name.repository));
        let mut headers = HeaderMap::new();
        if let Some(basic) = self.login.and_then(Login::basic) {
            headers.insert(AUTHORIZATION, basic);
        }
        let http = Http::new(&HttpOptions { granted: vec![origin_of(&url)], ..self.options.clone() })?;
        let request = Request { what: self.what, method: HttpMethod::Get, url, headers, body: None };
        let response = http.exchange(request).await?;
        if response.status != 200 {
            return Err(self.refusal(response.status, "log in for"));
        }
        // The parser's message may quote the token.
        let token: TokenResponse = serde_json::from_slice(&response.body).map_err(|_| {
            ResponseError::NotJson { what: format!("{}, token of {}", self.what, self.name.registry) }
        })?;
        let token = token.token.or(token.access_token);
        Ok(token.and_then(|token| sensitive(&format!("Bearer {}", token.0))))
    }
}

/// The response of a token server (distribution specification, "Token Authentication").
#[derive(Deserialize)]
struct TokenResponse {
    token: Option<SecretString>,
    access_token: Option<SecretString>,
}
