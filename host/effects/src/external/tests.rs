//! External resources against a stand-in for Keycloak.

use super::error::Error;
use super::{
    ExternalAction, ExternalOutcome, ExternalRemoval, ExternalResource, ExternalState, ObservedExternal,
};
use crate::http::auth::AuthError;
use crate::http::client::{Http, HttpOptions, Limits};
use crate::http::error::Error as HttpError;
use crate::http::response::ResponseError;
use crate::testing::mock_server::{ADMIN, Answer, Keycloak, SECRET, Server};
use serde_json::{Value, json};
use std::sync::{Arc, Mutex};
use thinkube_plan::{ExternalStep, FieldChange, FieldEdit, Output, OutputRef, SecretText, Values};

const PASSWORD: &str = "hunter 2&3";

fn http(servers: &[&Server]) -> Http {
    let granted = servers.iter().map(|server| server.url.clone()).collect();
    Http::with_limits(&HttpOptions { granted, ..HttpOptions::default() }, Limits::SHORT).unwrap()
}

fn values() -> Values {
    let mut values = Values::default();
    values.inputs.insert("admin-password", SecretText::new(PASSWORD.into()));
    values
}

/// The client of DevPI's dashboard.
fn client(server: &Server) -> ExternalStep {
    let request = |method: &str, path: &str| json!({"method": method, "path": path});
    serde_json::from_value(json!({
        "name": "client",
        "baseUrl": format!("{}{ADMIN}", server.url),
        "auth": {"passwordGrant": {
            "tokenUrl": format!("{}/realms/master/protocol/openid-connect/token", server.url),
            "clientId": "admin-cli", "username": "admin", "passwordInput": "admin-password"}},
        "find": request("GET", "/clients?clientId=oauth2-proxy-devpi"),
        "select": "json.size() > 0 ? json[0] : null",
        "create": request("POST", "/clients"),
        "update": request("PUT", "/clients/${id}"),
        "delete": request("DELETE", "/clients/${id}"),
        "desired": {"clientId": "oauth2-proxy-devpi", "enabled": true, "publicClient": false,
            "redirectUris": ["https://devpi.example.org/oauth2/callback", "https://devpi.example.org/x"],
            "attributes": {"post.logout.redirect.uris": "+"}},
        "outputs": [
            {"name": "id", "select": "json.id", "secret": false},
            {"name": "secret", "request": request("GET", "/clients/${id}/client-secret"), "select": "json.value",
                "secret": true}],
        "onUninstall": "delete",
    }))
    .unwrap()
}

fn mapper(server: &Server) -> ExternalStep {
    let models = "/clients/${steps.client.id}/protocol-mappers/models";
    let mut step = serde_json::to_value(client(server)).unwrap();
    step["name"] = "mapper".into();
    step["find"]["path"] = models.into();
    let named = "json.filter(m, m.name == 'audience-mapper')";
    step["select"] = format!("{named}.size() > 0 ? {named}[0] : null").into();
    step["desired"] = json!({"name": "audience-mapper", "protocol": "openid-connect",
        "config": {"included.client.audience": "oauth2-proxy-devpi", "id.token.claim": "true"}});
    step["create"]["path"] = models.into();
    let mut body = step["desired"].clone();
    body["id"] = "${id}".into();
    let path = format!("{models}/${{id}}");
    step["update"] = json!({"method": "PUT", "path": path, "body": body.to_string()});
    step["delete"]["path"] = path.into();
    step["outputs"] = json!([]);
    serde_json::from_value(step).unwrap()
}

fn changed(step: &ExternalStep, changes: Value) -> ExternalStep {
    let mut step = serde_json::to_value(step).unwrap();
    for (field, value) in changes.as_object().unwrap() {
        step[field] = value.clone();
    }
    serde_json::from_value(step).unwrap()
}

struct World {
    keycloak: Arc<Mutex<Keycloak>>,
    server: Server,
    http: Http,
    values: Values,
}

impl World {
    async fn new() -> Self {
        let keycloak = Keycloak::new("hunter%202%263");
        let server = Keycloak::serve(&keycloak).await;
        Self { http: http(&[&server]), keycloak, server, values: values() }
    }

    async fn observe(&self, step: &ExternalStep) -> Result<ObservedExternal, Error> {
        ExternalResource::new(&self.http, step, &self.values).observe().await
    }

    async fn ensure(&self, step: &ExternalStep) -> Result<ExternalOutcome, Error> {
        let seen = self.observe(step).await?;
        ExternalResource::new(&self.http, step, &self.values).ensure(seen).await
    }

    async fn remove(&self, step: &ExternalStep) -> Result<ExternalRemoval, Error> {
        ExternalResource::new(&self.http, step, &self.values).remove().await
    }

    fn mood(&self, method: &'static str, end: &'static str, answer: Answer) {
        self.keycloak.lock().unwrap().moods.push((method, end, answer));
    }

    /// The error after a prepared answer, which shows no secret.
    async fn fails(&self, method: &'static str, end: &'static str, answer: Answer) -> Error {
        self.mood(method, end, answer);
        let error = self.ensure(&client(&self.server)).await.unwrap_err();
        for text in [error.to_string(), format!("{error:?}")] {
            for secret in [PASSWORD, "token-1", SECRET] {
                assert!(!text.contains(secret), "{text}");
            }
        }
        error
    }
}

fn output(outputs: &thinkube_plan::Outputs, step: &str, output: &str) -> String {
    match outputs.get(&OutputRef { step: step.into(), output: output.into() }).unwrap() {
        Output::Open(text) => text.clone(),
        Output::Secret(text) => format!("secret {}", text.expose()),
    }
}

#[tokio::test]
async fn a_client_is_created_found_the_same_updated_and_removed() {
    let world = World::new().await;
    let step = client(&world.server);
    assert_eq!(world.observe(&step).await.unwrap().state, ExternalState::Absent);

    let outcome = world.ensure(&step).await.unwrap();
    assert_eq!(outcome.action, ExternalAction::Created);
    assert_eq!(output(&outcome.outputs, "client", "id"), "0000-1");
    assert_eq!(output(&outcome.outputs, "client", "secret"), format!("secret {SECRET}"));

    world.server.forget();
    let again = world.ensure(&step).await.unwrap();
    assert_eq!(again.action, ExternalAction::Unchanged);
    assert!(world.server.asked().iter().all(|line| line.starts_with("GET ")), "{:?}", world.server.asked());

    world.keycloak.lock().unwrap().clients[0]["redirectUris"] = json!(["https://old/callback"]);
    let ExternalState::Differs(changes) = world.observe(&step).await.unwrap().state else {
        panic!("the resource differs")
    };
    let change = FieldEdit::Replace {
        before: json!("https://old/callback"),
        after: json!("https://devpi.example.org/oauth2/callback"),
    };
    assert_eq!(changes[0], FieldChange { path: "redirectUris[0]".into(), change });
    assert_eq!(world.ensure(&step).await.unwrap().action, ExternalAction::Updated);
    assert_eq!(world.observe(&step).await.unwrap().state, ExternalState::InSync);

    assert_eq!(world.remove(&step).await.unwrap(), ExternalRemoval::Deleted);
    assert_eq!(world.remove(&step).await.unwrap(), ExternalRemoval::NotFound);
    // All requests share one token.
    assert_eq!(world.server.tokens(), 0);
    assert_eq!(world.keycloak.lock().unwrap().token, 1);
}

#[tokio::test]
async fn a_second_step_is_found_below_the_first_by_its_output() {
    let mut world = World::new().await;
    let (client, mapper) = (client(&world.server), mapper(&world.server));
    let error = world.observe(&mapper).await.unwrap_err();
    assert!(
        matches!(&error, Error::MissingOutput { step, output, .. } if step == "client" && output == "id"),
        "{error}"
    );
    world.values.outputs.extend(world.ensure(&client).await.unwrap().outputs);
    assert_eq!(world.ensure(&mapper).await.unwrap().action, ExternalAction::Created);
    world.keycloak.lock().unwrap().clients[0]["protocolMappers"][0]["config"]["id.token.claim"] =
        json!("false");
    assert_eq!(world.ensure(&mapper).await.unwrap().action, ExternalAction::Updated);
    assert_eq!(world.ensure(&mapper).await.unwrap().action, ExternalAction::Unchanged);
    assert_eq!(world.remove(&mapper).await.unwrap(), ExternalRemoval::Deleted);
    assert_eq!(world.remove(&client).await.unwrap(), ExternalRemoval::Deleted);
    // The parent of the mapper is deleted as well.
    assert_eq!(world.remove(&mapper).await.unwrap(), ExternalRemoval::NotFound);
}

#[tokio::test]
async fn observe_requests_no_secret_and_changes_nothing() {
    let world = World::new().await;
    let step = client(&world.server);
    world.ensure(&step).await.unwrap();
    world.server.forget();
    let seen = world.observe(&step).await.unwrap();
    assert_eq!(output(&seen.outputs, "client", "id"), "0000-1");
    assert_eq!(world.server.asked(), [format!("GET {ADMIN}/clients?clientId=oauth2-proxy-devpi")]);
    assert!(!format!("{seen:?}").contains(SECRET));
}

#[tokio::test]
async fn a_resource_that_another_client_creates_first_is_compared() {
    let world = World::new().await;
    let step = client(&world.server);
    // Observed twice as absent, and created between.
    let seen = world.observe(&step).await.unwrap();
    let stale = world.observe(&step).await.unwrap();
    let theirs = ExternalResource::new(&world.http, &step, &world.values).ensure(seen).await.unwrap();
    assert_eq!(theirs.action, ExternalAction::Created);
    let ours = ExternalResource::new(&world.http, &step, &world.values).ensure(stale).await.unwrap();
    assert_eq!(ours.action, ExternalAction::Unchanged);

    let mut stale = world.observe(&step).await.unwrap();
    stale.state = ExternalState::Absent;
    world.keycloak.lock().unwrap().clients[0]["enabled"] = json!(false);
    let ours = ExternalResource::new(&world.http, &step, &world.values).ensure(stale).await.unwrap();
    assert_eq!(ours.action, ExternalAction::Updated);

    let hidden = changed(&step, json!({"select": "null"}));
    assert!(matches!(world.ensure(&hidden).await.unwrap_err(), Error::NotShown { .. }));
}

#[tokio::test]
async fn a_difference_that_stays_is_an_error_that_names_the_field() {
    let world = World::new().await;
    let step = client(&world.server);
    world.ensure(&step).await.unwrap();
    world.keycloak.lock().unwrap().clients[0]["enabled"] = json!(false);
    let fixed = changed(&step, json!({"update": null}));
    let error = world.ensure(&fixed).await.unwrap_err();
    assert!(matches!(&error, Error::NoUpdate { fields, .. } if fields == &["enabled"]), "{error}");
    // A server that accepts the change and does nothing.
    world.mood("PUT", "0000-1", Answer::status(204));
    let error = world.ensure(&step).await.unwrap_err();
    assert!(matches!(&error, Error::NotKept { fields, .. } if fields == &["enabled"]), "{error}");
    world.mood("DELETE", "0000-1", Answer::status(204));
    assert!(matches!(world.remove(&step).await.unwrap_err(), Error::NotDeleted { .. }));
}

#[tokio::test]
async fn a_retained_resource_gets_no_request() {
    let world = World::new().await;
    let step = client(&world.server);
    for kept in [json!({"onUninstall": "retain"}), json!({"delete": null})] {
        assert_eq!(world.remove(&changed(&step, kept)).await.unwrap(), ExternalRemoval::Retained);
    }
    assert!(world.server.asked().is_empty());
}

#[tokio::test]
async fn a_resource_that_another_client_deletes_is_not_found() {
    let world = World::new().await;
    let step = client(&world.server);
    world.ensure(&step).await.unwrap();
    let keycloak = world.keycloak.clone();
    // The resource is deleted before the request arrives.
    world.mood("DELETE", "0000-1", Answer::status(404));
    world.mood("GET", "never", Answer::status(500));
    assert!(matches!(world.remove(&step).await.unwrap_err(), Error::NotDeleted { .. }));
    keycloak.lock().unwrap().clients.clear();
    assert_eq!(world.remove(&step).await.unwrap(), ExternalRemoval::NotFound);
}

#[tokio::test]
async fn a_wrong_password_names_the_input_and_is_tried_once() {
    let mut world = World::new().await;
    world.values.inputs.insert("admin-password", SecretText::new("wrong-5a".into()));
    let error = world.observe(&client(&world.server)).await.unwrap_err();
    let Error::Auth(AuthError::WrongPassword { username, input, origin, .. }) = &error else {
        panic!("{error}")
    };
    assert_eq!((username.as_str(), input.as_str(), origin), ("admin", "admin-password", &world.server.url));
    assert!(!error.to_string().contains("wrong-5a"));
    assert_eq!((world.server.tokens(), world.server.asked().len()), (1, 0));
    world.values = Values::default();
    assert!(matches!(
        world.observe(&client(&world.server)).await.unwrap_err(),
        Error::Auth(AuthError::MissingInput { .. })
    ));
}

#[tokio::test]
async fn each_reason_for_no_token_has_a_message_without_secrets() {
    let world = World::new().await;
    let echo = |status: u16, code: &str| {
        let message = format!("you sent {PASSWORD}");
        Answer::json(status, json!({"error": code, "errorMessage": message, "error_description": message}))
    };
    for (answer, expected) in [
        (echo(400, "invalid_grant"), "does not accept the password"),
        (echo(401, "anything"), "does not accept the password"),
        (Answer::page(401), "does not accept the password"),
        (echo(401, "invalid_client"), "does not know this client"),
        (echo(400, "unauthorized_client"), "may not use the password grant"),
        (echo(400, "unsupported_grant_type"), "does not support the password grant"),
        (echo(400, "invalid_scope"), "does not understand"),
        (echo(400, PASSWORD), "responds with 400"),
        (echo(500, "x"), "responds with 500"),
        (Answer::status(404), "does not know this path"),
        (Answer::page(200), "not JSON"),
        (Answer::json(200, json!({"access": "token-1"})), "its response has no access token"),
        (Answer::json(200, json!({"access_token": "a\nb"})), "its response has no access token"),
        (Answer::json(200, json!({"access_token": "a", "token_type": "mac"})), "not a bearer token"),
        (Answer::to(302, "https://evil.io/?token-1"), "redirects (302) to https://evil.io;"),
        (Answer::Cut, "cannot reach"),
        (Answer::Endless, "exceeds 4 MiB"),
        (Answer::Silence, "no response within 5 s"),
    ] {
        let error = world.fails("POST", "/token", answer).await;
        assert!(error.to_string().contains(expected), "{expected}: {error}");
        assert!(world.server.asked().is_empty());
    }
}

#[tokio::test]
async fn each_refusal_names_the_request_and_shows_no_secret() {
    let world = World::new().await;
    let echo =
        |status: u16, message: &str| Answer::json(status, json!({"errorMessage": message, "secret": SECRET}));
    let find = "clientId=oauth2-proxy-devpi";
    for (method, end, answer, expected) in [
        ("GET", find, Answer::status(401), "does not accept the credentials"),
        ("GET", find, Answer::status(403), "forbids this to admin (403)"),
        (
            "GET",
            find,
            Answer::json(404, json!({"error": "Realm not found."})),
            "does not know this path (404)",
        ),
        ("GET", find, Answer::page(200), "not JSON"),
        ("GET", find, Answer::json(200, json!({"a": SECRET})), "in json.size()"),
        ("GET", find, Answer::to(301, "/other?x=token-1"), "redirects (301) to another path"),
        ("GET", find, Answer::Endless, "exceeds 4 MiB"),
        ("GET", find, Answer::Silence, "no response within 5 s"),
        ("GET", find, Answer::Cut, "cannot reach"),
        ("POST", "/clients", echo(400, "bad\n  \u{1b}[31mthing"), "responds with 400: bad [31mthing"),
        ("POST", "/clients", echo(400, &format!("no, {PASSWORD}")), "responds with 400"),
        ("POST", "/clients", echo(500, "token-1 is yours"), "responds with 500"),
        ("POST", "/clients", echo(418, &"x".repeat(5000)), "responds with 418: xxx"),
        ("POST", "/clients", Answer::status(404), "does not know this path"),
        ("POST", "/clients", Answer::status(409), "do not find it"),
        ("POST", "/clients", Answer::status(204), "do not find it"),
    ] {
        let error = world.fails(method, end, answer).await.to_string();
        assert!(error.contains(expected), "{expected}: {error}");
        assert!(error.starts_with("external resource client: ") && error.len() < 600, "{error}");
        if !expected.contains("find it") {
            assert!(error.contains(&format!(" {method} ")) && error.contains(ADMIN), "{error}");
        }
        assert!(world.keycloak.lock().unwrap().clients.is_empty());
    }
}

#[tokio::test]
async fn a_rejected_token_is_renewed_once() {
    let world = World::new().await;
    let step = client(&world.server);
    world.ensure(&step).await.unwrap();
    // As after a restart of the server.
    world.keycloak.lock().unwrap().token = 7;
    assert_eq!(world.observe(&step).await.unwrap().state, ExternalState::InSync);
    assert_eq!(world.server.tokens(), 2);
    // A token in its last seconds is not used.
    world.keycloak.lock().unwrap().life = 4;
    world.keycloak.lock().unwrap().token = 9;
    world.observe(&step).await.unwrap();
    world.observe(&step).await.unwrap();
    assert_eq!(world.server.tokens(), 4);
}

#[tokio::test]
async fn basic_authentication_reports_a_wrong_password() {
    let found = json!([{"id": "1", "clientId": "a"}]);
    let server = Server::start(move |request| {
        // base64 of `admin:hunter 2&3`
        match request.headers.get("authorization").map(String::as_str) {
            Some("Basic YWRtaW46aHVudGVyIDImMw==") => Answer::json(200, found.clone()),
            sent => Answer::json(401, json!({"error": format!("not {}", sent.unwrap_or_default())})),
        }
    })
    .await;
    let auth = json!({"basic": {"username": "admin", "passwordInput": "admin-password"}});
    let step = changed(&client(&server), json!({"auth": auth, "desired": {"clientId": "a"}}));
    let http = http(&[&server]);
    assert_eq!(
        ExternalResource::new(&http, &step, &values()).observe().await.unwrap().state,
        ExternalState::InSync
    );
    let mut wrong = values();
    wrong.inputs.insert("admin-password", SecretText::new("wrong".into()));
    let error = ExternalResource::new(&http, &step, &wrong).observe().await.unwrap_err();
    assert!(matches!(error, Error::Auth(AuthError::WrongPassword { .. })), "{error}");
    assert!(!error.to_string().contains("YWRt"), "{error}");
    let anonymous = changed(&step, json!({"auth": "anonymous"}));
    assert!(matches!(
        ExternalResource::new(&http, &anonymous, &values()).observe().await.unwrap_err(),
        Error::Response(ResponseError::Unauthorized { .. })
    ));
}

#[tokio::test]
async fn an_origin_that_is_not_granted_gets_no_request() {
    let world = World::new().await;
    let other = Server::start(|_| Answer::json(200, json!([]))).await;
    let step = client(&world.server);
    let mut auth = serde_json::to_value(&step).unwrap()["auth"].clone();
    auth["passwordGrant"]["tokenUrl"] = format!("{}/token", other.url).into();
    for step in [changed(&step, json!({"baseUrl": other.url})), changed(&step, json!({"auth": auth}))] {
        let error = world.observe(&step).await.unwrap_err();
        assert!(
            matches!(&error, Error::Http(HttpError::NotGranted { origin, .. }) if *origin == other.url),
            "{error}"
        );
        assert!(matches!(
            ExternalResource::validate(&world.http, &step),
            Err(Error::Http(HttpError::NotGranted { .. }))
        ));
    }
    // A redirect is not followed even to the same origin, and least of all to another.
    world.mood("GET", "devpi", Answer::to(307, &other.url));
    let error = world.observe(&step).await.unwrap_err();
    assert!(
        matches!(&error, Error::Response(ResponseError::Redirected { status: 307, to, .. }) if *to == other.url),
        "{error}"
    );
    assert_eq!((other.asked().len(), other.tokens()), (0, 0));
}

#[tokio::test]
async fn a_value_in_a_path_stays_within_its_segment() {
    let mut world = World::new().await;
    let step = |path: &str| {
        changed(&client(&world.server), json!({"auth": "anonymous", "find": {"method": "GET", "path": path}}))
    };
    let put = |values: &mut Values, text: &str| values.outputs.insert("a", "b", Output::Open(text.into()));
    let (in_path, in_query) = (step("/x/${steps.a.b}/y"), step("/x?y=${steps.a.b}"));
    for (text, sent) in
        [("a b&c=d?#é", "a%20b%26c%3Dd%3F%23%C3%A9"), ("a..b", "a..b"), ("a;b:c@d", "a%3Bb%3Ac%40d")]
    {
        put(&mut world.values, text);
        drop(world.observe(&in_path).await);
        assert_eq!(world.server.last().path, format!("{ADMIN}/x/{sent}/y"));
        drop(world.observe(&in_query).await);
        assert_eq!(world.server.last().path, format!("{ADMIN}/x?y={sent}"));
    }
    world.server.forget();
    for text in ["", ".", "..", "../../x", "a/b", "a\\b", "%2e%2e", "a%2fb", "a\r\nb"] {
        put(&mut world.values, text);
        let error = world.observe(&in_path).await.unwrap_err();
        assert!(matches!(error, Error::Invalid { .. }), "{text}: {error}");
        assert!(text.len() < 3 || !error.to_string().contains(text), "{error}");
    }
    let split = step("/x/${steps.a.b}${steps.a.b}/y");
    put(&mut world.values, ".");
    assert!(matches!(world.observe(&split).await.unwrap_err(), Error::Invalid { .. }));
    world.values.outputs.insert("a", "b", Output::Secret(SecretText::new("x".into())));
    assert!(matches!(world.observe(&in_path).await.unwrap_err(), Error::Invalid { .. }));
    assert!(world.server.asked().is_empty());
    // In a query every character is allowed, and stays in the value.
    put(&mut world.values, "../../%2f&x");
    drop(world.observe(&in_query).await);
    assert_eq!(world.server.last().path, format!("{ADMIN}/x?y=..%2F..%2F%252f%26x"));
}

#[tokio::test]
async fn a_value_in_a_body_stays_within_its_string() {
    let world = World::new().await;
    let mut step = client(&world.server);
    world.ensure(&step).await.unwrap();
    let body = json!({"whole": "${id}", "part": "<${id}> $$", "on": "${enabled}", "clientId": "oauth2-proxy-devpi",
        "deep": [{"x": "${name}"}], "enabled": true});
    step.update.as_mut().unwrap().body = Some(body.to_string());
    world.keycloak.lock().unwrap().clients[0]["name"] = json!("\", \"admin\": \"true\\");
    world.keycloak.lock().unwrap().clients[0]["enabled"] = json!(false);
    world.ensure(&step).await.unwrap();
    let sent = world.keycloak.lock().unwrap().clients[0].clone();
    assert_eq!(
        (&sent["whole"], &sent["part"], &sent["on"]),
        (&json!("0000-1"), &json!("<0000-1> $"), &json!(false))
    );
    assert_eq!(sent["deep"][0]["x"], "\", \"admin\": \"true\\");
    assert_eq!(sent.get("admin"), None);

    for undefined in ["${nothing}", "${attributes}"] {
        step.update.as_mut().unwrap().path = format!("/clients/{undefined}");
        world.keycloak.lock().unwrap().clients[0]["enabled"] = json!(false);
        let error = world.ensure(&step).await.unwrap_err();
        assert!(matches!(error, Error::Invalid { .. }) && error.to_string().contains(undefined), "{error}");
    }
}

#[tokio::test]
async fn a_404_means_absent_only_for_a_path_without_a_query() {
    let world = World::new().await;
    let find = |path: &str, select: &str| {
        let find = json!({"method": "GET", "path": path});
        changed(&client(&world.server), json!({"find": find, "select": select}))
    };
    assert_eq!(world.observe(&find("/clients/none", "json")).await.unwrap().state, ExternalState::Absent);
    let searched = "/clients/none?x=y";
    assert!(matches!(
        world.observe(&find(searched, "json")).await.unwrap_err(),
        Error::Response(ResponseError::NotFound { .. })
    ));
    let judged = find(searched, "status == 404 ? null : json");
    assert_eq!(world.observe(&judged).await.unwrap().state, ExternalState::Absent);
}

#[tokio::test]
async fn an_output_that_is_not_text_is_an_error_without_its_value() {
    let world = World::new().await;
    let output = |select: &str| {
        let outputs = json!([{"name": "x", "select": select, "secret": true}]);
        changed(&client(&world.server), json!({"outputs": outputs}))
    };
    for select in ["json", "json.nothing", "json.secret + 1"] {
        let error = world.ensure(&output(select)).await.unwrap_err();
        assert!(matches!(error, Error::Select { .. }), "{error}");
        assert!(!error.to_string().contains(SECRET), "{error}");
    }
    let number = world.ensure(&output("json.redirectUris.size()")).await.unwrap();
    assert_eq!(self::output(&number.outputs, "client", "x"), "secret 2");
}
