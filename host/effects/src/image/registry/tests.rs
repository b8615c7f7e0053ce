//! Registries that want to be shown different things.

use super::client::{Login, Registry};
use crate::Error;
use crate::http::client::HttpOptions;
use crate::testing::mock_server::{Answer, Request, secure};
use serde_json::json;
use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex};
use thinkube_plan::{Digest, ImageName, SecretText};

const HOST: &str = "registry.example.org";
const PASSWORD: &str = "canary-5d1e";
const TOKEN: &str = "token-canary";
const MANIFEST: &str = r#"{"schemaVersion":2}"#;

/// As Harbor does it: a token for each repository and what is done there, for a name and a password.
struct Harbor {
    /// Where it says that tokens are given.
    realm: String,
    tags: BTreeMap<String, String>,
    pushers: bool,
    /// It deletes nothing.
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
    server: crate::testing::mock_server::Server,
}

async fn harbor() -> Place {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let tags = [("known".to_owned(), MANIFEST.to_owned())].into();
    let harbor = Arc::new(Mutex::new(Harbor { realm: String::new(), tags, pushers: true, frozen: false }));
    let own = harbor.clone();
    let (server, ca_file) =
        secure(HOST, folder.path(), move |request| own.lock().expect("nobody panics").answer(request)).await;
    harbor.lock().expect("nobody panics").realm = format!("https://{HOST}:{}/service/token", server.port);
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
async fn a_token_is_asked_for_what_is_done_and_a_tag_is_put_where_another_is() {
    let place = harbor().await;
    let login = login(&place, PASSWORD);
    let registry =
        Registry::new(&place.options, &place.name, Some(&login), "image devpi").expect("a registry");
    let manifest = registry.manifest("known").await.expect("an answer").expect("it is there");
    assert_eq!(manifest.digest, Digest::of(MANIFEST.as_bytes()));
    assert!(registry.manifest("unknown").await.expect("an answer").is_none());
    registry.may_push().await.expect("ann may");
    registry.tag("1", &manifest).await.expect("ann may");
    assert_eq!(
        registry.manifest("1").await.expect("an answer").expect("it is there").digest,
        manifest.digest
    );
    assert!(place.server.asked().contains(&"DELETE /v2/library/devpi/blobs/uploads/1?_state=x".to_owned()));
    drop(place.folder);
}

#[tokio::test]
async fn whoever_may_not_push_is_told_before_anything_is_built() {
    let place = harbor().await;
    let refused = |error: Error, status: u16, with: bool| {
        assert!(
            matches!(&error, Error::RegistryRefused { status: found, login, .. } if *found == status && *login == with),
            "{error:?}"
        );
        assert!(!format!("{error} {error:?}").contains("canary"), "{error:?}");
    };
    let nobody = Registry::new(&place.options, &place.name, None, "image devpi").expect("a registry");
    assert!(nobody.manifest("known").await.expect("anybody may look").is_some());
    refused(nobody.may_push().await.expect_err("nobody may"), 403, false);

    let wrong = login(&place, "canary-wrong");
    let registry =
        Registry::new(&place.options, &place.name, Some(&wrong), "image devpi").expect("a registry");
    refused(registry.may_push().await.expect_err("the password is wrong"), 401, true);

    place.harbor.lock().expect("nobody panics").pushers = false;
    let ann = login(&place, PASSWORD);
    let registry = Registry::new(&place.options, &place.name, Some(&ann), "image devpi").expect("a registry");
    refused(registry.may_push().await.expect_err("ann may not any more"), 403, true);
}

#[tokio::test]
async fn an_image_is_deleted_with_its_tags_where_the_registry_deletes_any() {
    let place = harbor().await;
    let ann = login(&place, PASSWORD);
    let registry = Registry::new(&place.options, &place.name, Some(&ann), "image devpi").expect("a registry");
    let digest = Digest::of(MANIFEST.as_bytes());
    place.harbor.lock().expect("nobody panics").frozen = true;
    let error = registry.forget(&digest).await.expect_err("it deletes nothing");
    assert!(matches!(error, Error::NoDeletion { .. }), "{error}");
    place.harbor.lock().expect("nobody panics").frozen = false;
    assert!(registry.forget(&digest).await.expect("ann may"));
    assert!(registry.manifest("known").await.expect("an answer").is_none());
    assert!(!registry.forget(&digest).await.expect("it is not there"));
}

#[tokio::test]
async fn no_password_goes_to_a_realm_without_tls() {
    let place = harbor().await;
    let thief =
        crate::testing::mock_server::Server::start(|_| Answer::json(200, json!({"token": "x"}))).await;
    place.harbor.lock().expect("nobody panics").realm = format!("{}/service/token", thief.url);
    let ann = login(&place, PASSWORD);
    let registry = Registry::new(&place.options, &place.name, Some(&ann), "image devpi").expect("a registry");
    let error = registry.manifest("known").await.err().expect("it is not asked");
    assert!(matches!(error, Error::Invalid { .. }), "{error}");
    assert_eq!(thief.asked(), Vec::<String>::new());
}

#[tokio::test]
async fn a_registry_whose_certificate_nobody_vouches_for_is_shown_nothing() {
    let place = harbor().await;
    let ann = login(&place, PASSWORD);
    let options = HttpOptions { ca_file: None, ..place.options.clone() };
    let registry = Registry::new(&options, &place.name, Some(&ann), "image devpi").expect("a registry");
    let error = registry.manifest("known").await.err().expect("it is not trusted");
    assert!(matches!(error, Error::NotTrusted { .. }), "{error}");
    assert_eq!(place.server.asked(), Vec::<String>::new());
}
