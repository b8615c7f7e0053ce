//! Requests to a stand-in for Harbor.

use super::auth::Login;
use super::client::Registry;
use super::error::RegistryError;
use crate::http::client::HttpOptions;
use crate::http::error::Error as HttpError;
use crate::testing::mock_server::{Answer, Request, Server, secure};
use serde_json::json;
use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex};
use thinkube_plan::{Digest, ImageName, SecretText};

const HOST: &str = "registry.example.org";
const PASSWORD: &str = "canary-5d1e";
const TOKEN: &str = "token-canary";
const MANIFEST: &str = r#"{"schemaVersion":2}"#;

/// Gives a token for a repository and an action, for a user and a password.
struct Harbor {
    /// The URL of its token server.
    realm: String,
    tags: BTreeMap<String, String>,
    pushers: bool,
    /// Whether it refuses every deletion.
    frozen: bool,
}

impl Harbor {
    fn answer(&mut self, request: &Request) -> Answer {
        let (method, path) = (request.method.as_str(), request.path.as_str());
        if let Some(query) = path.strip_prefix("/service/token?") {
            assert!(query.contains("service=harbor-registry"), "{query}");
            let actions = query.split("%3A").last().expect("a scope");
            let known = request.headers.get("authorization").map(String::as_str)
                == Some("Basic YW5uOmNhbmFyeS01ZDFl");
            return match (known, actions) {
                (false, _) if request.headers.contains_key("authorization") => Answer::status(401),
                _ => Answer::json(200, json!({"token": format!("{TOKEN}-{known}-{actions}")})),
            };
        }
        let shown = request.headers.get("authorization").cloned().unwrap_or_default();
        let Some(shown) = shown.strip_prefix(&format!("Bearer {TOKEN}-")) else {
            let challenge = format!(
                r#"Bearer realm="{}",service="harbor-registry",scope="repository:library/devpi:pull""#,
                self.realm
            );
            return Answer::Reply(401, vec![("www-authenticate", challenge)], String::new());
        };
        let may_push = self.pushers && shown == "true-pull%2Cpush";
        match (method, path.strip_prefix("/v2/library/devpi/").unwrap_or(path)) {
            ("POST", "blobs/uploads/") if may_push => Answer::Reply(
                202,
                vec![("location", "/v2/library/devpi/blobs/uploads/1?_state=x".into())],
                String::new(),
            ),
            ("DELETE", "blobs/uploads/1?_state=x") => Answer::status(204),
            ("PUT", tag) if may_push => {
                assert_eq!(request.headers["content-type"], "application/vnd.oci.image.manifest.v1+json");
                self.tags.insert(tag.trim_start_matches("manifests/").to_owned(), request.body.clone());
                Answer::status(201)
            }
            ("DELETE", _) if self.frozen => Answer::status(405),
            ("DELETE", digest) if shown == "true-delete" => {
                let digest = digest.trim_start_matches("manifests/");
                let before = self.tags.len();
                self.tags.retain(|_, manifest| Digest::of(manifest.as_bytes()).to_string() != digest);
                Answer::status(if self.tags.len() < before { 202 } else { 404 })
            }
            ("GET", tag) => match self.tags.get(tag.trim_start_matches("manifests/")) {
                Some(manifest) => Answer::Reply(
                    200,
                    vec![("content-type", "application/vnd.oci.image.manifest.v1+json".into())],
                    manifest.clone(),
                ),
                None => Answer::status(404),
            },
            _ => Answer::status(403),
        }
    }
}

struct Place {
    folder: tempfile::TempDir,
    harbor: Arc<Mutex<Harbor>>,
    options: HttpOptions,
    name: ImageName,
    server: Server,
}

async fn harbor() -> Place {
    let folder = tempfile::tempdir().expect("a temporary directory");
    let tags = [("known".to_owned(), MANIFEST.to_owned())].into();
    let harbor = Arc::new(Mutex::new(Harbor { realm: String::new(), tags, pushers: true, frozen: false }));
    let own = harbor.clone();
    let (server, ca_file) =
        secure(HOST, folder.path(), move |request| own.lock().expect("no thread panicked").answer(request))
            .await;
    harbor.lock().expect("no thread panicked").realm =
        format!("https://{HOST}:{}/service/token", server.port);
    let resolve = [(HOST.to_owned(), Ipv4Addr::LOCALHOST.into())].into();
    let options = HttpOptions { ca_file: Some(ca_file), resolve, ..HttpOptions::default() };
    let name = format!("{HOST}:{}/library/devpi:1", server.port).parse().expect("a name");
    Place { folder, harbor, options, name, server }
}

fn login(place: &Place, password: &str) -> Login {
    let config = json!({"auths": {&place.name.registry: {"username": "ann", "password": password}}});
    Login::of(&SecretText::new(config.to_string()), &place.name, "image devpi").expect("a login")
}

#[tokio::test]
async fn a_token_has_the_scope_of_its_request() {
    let place = harbor().await;
    let login = login(&place, PASSWORD);
    let registry =
        Registry::new(&place.options, &place.name, Some(&login), "image devpi").expect("a registry");
    let manifest = registry.manifest("known").await.expect("a response").expect("the manifest exists");
    assert_eq!(manifest.digest, Digest::of(MANIFEST.as_bytes()));
    assert!(registry.manifest("unknown").await.expect("a response").is_none());
    registry.require_push().await.expect("ann may do this");
    registry.tag("1", &manifest).await.expect("ann may do this");
    assert_eq!(
        registry.manifest("1").await.expect("a response").expect("the manifest exists").digest,
        manifest.digest
    );
    assert!(place.server.asked().contains(&"DELETE /v2/library/devpi/blobs/uploads/1?_state=x".to_owned()));
    drop(place.folder);
}

#[tokio::test]
async fn a_refused_push_is_an_error_before_the_build() {
    let place = harbor().await;
    let refused = |error: RegistryError, status: u16, with: bool| {
        assert!(
            matches!(&error, RegistryError::Refused { status: found, login, .. } if *found == status && *login == with),
            "{error:?}"
        );
        assert!(!format!("{error} {error:?}").contains("canary"), "{error:?}");
    };
    let anonymous = Registry::new(&place.options, &place.name, None, "image devpi").expect("a registry");
    assert!(anonymous.manifest("known").await.expect("everyone may pull").is_some());
    refused(anonymous.require_push().await.expect_err("an anonymous user may not push"), 403, false);

    let wrong = login(&place, "canary-wrong");
    let registry =
        Registry::new(&place.options, &place.name, Some(&wrong), "image devpi").expect("a registry");
    refused(registry.require_push().await.expect_err("the password is wrong"), 401, true);

    place.harbor.lock().expect("no thread panicked").pushers = false;
    let ann = login(&place, PASSWORD);
    let registry = Registry::new(&place.options, &place.name, Some(&ann), "image devpi").expect("a registry");
    refused(registry.require_push().await.expect_err("ann may no longer push"), 403, true);
}

#[tokio::test]
async fn an_image_is_deleted_with_its_tags() {
    let place = harbor().await;
    let ann = login(&place, PASSWORD);
    let registry = Registry::new(&place.options, &place.name, Some(&ann), "image devpi").expect("a registry");
    let digest = Digest::of(MANIFEST.as_bytes());
    place.harbor.lock().expect("no thread panicked").frozen = true;
    let error = registry.delete(&digest).await.expect_err("the registry deletes nothing");
    assert!(matches!(error, RegistryError::DeletionUnsupported { .. }), "{error}");
    place.harbor.lock().expect("no thread panicked").frozen = false;
    assert!(registry.delete(&digest).await.expect("ann may do this"));
    assert!(registry.manifest("known").await.expect("a response").is_none());
    assert!(!registry.delete(&digest).await.expect("a response"));
}

#[tokio::test]
async fn a_token_server_without_tls_gets_no_password() {
    let place = harbor().await;
    let thief = Server::start(|_| Answer::json(200, json!({"token": "x"}))).await;
    place.harbor.lock().expect("no thread panicked").realm = format!("{}/service/token", thief.url);
    let ann = login(&place, PASSWORD);
    let registry = Registry::new(&place.options, &place.name, Some(&ann), "image devpi").expect("a registry");
    let error = registry.manifest("known").await.err().expect("the token server is refused");
    assert!(matches!(error, RegistryError::InsecureTokenServer { .. }), "{error}");
    assert_eq!(thief.asked(), Vec::<String>::new());
}

#[tokio::test]
async fn a_registry_that_is_not_trusted_gets_no_request() {
    let place = harbor().await;
    let ann = login(&place, PASSWORD);
    let options = HttpOptions { ca_file: None, ..place.options.clone() };
    let registry = Registry::new(&options, &place.name, Some(&ann), "image devpi").expect("a registry");
    let error = registry.manifest("known").await.err().expect("the registry is not trusted");
    assert!(matches!(error, RegistryError::Http(HttpError::NotTrusted { .. })), "{error}");
    assert_eq!(place.server.asked(), Vec::<String>::new());
}
