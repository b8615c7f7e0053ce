//! External steps against a real Keycloak, where the harness's cluster runs with one.

use serde_json::{Value, json};
use std::net::IpAddr;
use std::path::PathBuf;
use thinkube_effects::{
    AuthError, ExternalAction, ExternalError, ExternalRemoval, ExternalResource, ExternalState, Http,
    HttpError, HttpOptions, ResponseError,
};
use thinkube_plan::{
    ExternalStep, HttpMethod, HttpProbe, HttpTarget, Output, OutputRef, Outputs, SecretText, Values,
};
use thinkube_test_cluster::{Addon, Keycloak, TestNamespace};

struct World {
    keycloak: Keycloak,
    options: HttpOptions,
    http: Http,
    values: Values,
    client_id: String,
    _namespace: TestNamespace,
}

fn world() -> Option<World> {
    let namespace = TestNamespace::with([Addon::Keycloak])?;
    let cluster = namespace.cluster();
    let keycloak = cluster.keycloak().unwrap().unwrap();
    let address: IpAddr = cluster.address().unwrap();
    let authority: PathBuf = cluster.authority().unwrap();
    let host = keycloak.url.trim_start_matches("https://").to_owned();
    let options = HttpOptions {
        granted: vec![keycloak.url.clone()],
        ca_file: Some(authority),
        resolve: [(host, address)].into_iter().collect(),
    };
    let mut values = Values::default();
    values.inputs.insert("admin-password", SecretText::new(keycloak.admin_password.clone()));
    values.inputs.insert("user-password", SecretText::new(keycloak.user_password.clone()));
    values.inputs.insert("wrong-password", SecretText::new("wrong-5a".into()));
    Some(World {
        http: Http::new(&options).unwrap(),
        client_id: format!("effects-{:08x}", rand::random::<u32>()),
        keycloak,
        options,
        values,
        _namespace: namespace,
    })
}

impl World {
    fn step(&self, changes: Value) -> ExternalStep {
        let Keycloak { url, realm, admin, .. } = &self.keycloak;
        let request = |method: &str, path: &str| json!({"method": method, "path": path});
        let mut step = json!({
            "name": "client",
            "baseUrl": format!("{url}/admin/realms/{realm}"),
            "auth": {"passwordGrant": {"tokenUrl": format!("{url}/realms/master/protocol/openid-connect/token"),
                "clientId": "admin-cli", "username": admin, "passwordInput": "admin-password"}},
            "find": request("GET", &format!("/clients?clientId={}", self.client_id)),
            "select": "json.size() > 0 ? json[0] : null",
            "create": request("POST", "/clients"),
            "update": request("PUT", "/clients/${id}"),
            "delete": request("DELETE", "/clients/${id}"),
            "desired": {"clientId": self.client_id, "enabled": true, "protocol": "openid-connect",
                "publicClient": false, "baseUrl": "https://devpi.thinkube.test",
                "redirectUris": ["https://devpi.thinkube.test/oauth2/callback", "https://devpi.thinkube.test/a"],
                "attributes": {"post.logout.redirect.uris": "+"}},
            "outputs": [
                {"name": "id", "select": "json.id", "secret": false},
                {"name": "secret", "request": request("GET", "/clients/${id}/client-secret"),
                    "select": "json.value", "secret": true}],
            "onUninstall": "delete",
        });
        for (field, value) in changes.as_object().unwrap() {
            step[field] = value.clone();
        }
        serde_json::from_value(step).unwrap()
    }

    fn mapper(&self) -> ExternalStep {
        let models = "/clients/${steps.client.id}/protocol-mappers/models";
        let one = format!("{models}/${{id}}");
        let named = "json.filter(m, m.name == 'audience-mapper')";
        let desired = json!({"name": "audience-mapper", "protocol": "openid-connect",
            "protocolMapper": "oidc-audience-mapper", "consentRequired": false,
            "config": {"included.client.audience": self.client_id, "id.token.claim": "true",
                "access.token.claim": "true"}});
        let mut body = desired.clone();
        body["id"] = "${id}".into();
        self.step(json!({
            "name": "mapper",
            "find": {"method": "GET", "path": models},
            "select": format!("{named}.size() > 0 ? {named}[0] : null"),
            "create": {"method": "POST", "path": models},
            "update": {"method": "PUT", "path": one, "body": body.to_string()},
            "delete": {"method": "DELETE", "path": one},
            "desired": desired,
            "outputs": [],
        }))
    }

    async fn state(&self, step: &ExternalStep) -> ExternalState {
        ExternalResource::new(&self.http, step, &self.values).observe().await.unwrap().state
    }

    async fn ensure(&self, step: &ExternalStep) -> (ExternalAction, Outputs) {
        let seen = ExternalResource::new(&self.http, step, &self.values).observe().await.unwrap();
        let outcome = ExternalResource::new(&self.http, step, &self.values).ensure(seen).await.unwrap();
        (outcome.action, outcome.outputs)
    }

    async fn fails(&self, changes: Value) -> ExternalError {
        let error =
            ExternalResource::new(&self.http, &self.step(changes), &self.values).observe().await.unwrap_err();
        let text = format!("{error} {error:?}");
        let secrets = [&self.keycloak.admin_password, &self.keycloak.user_password, "wrong-5a"];
        assert!(!secrets.iter().any(|secret| text.contains(*secret)), "a secret is shown");
        error
    }
}

fn run(test: impl Future<Output = ()>) {
    tokio::runtime::Runtime::new().unwrap().block_on(test);
}

#[test]
fn a_client_and_its_mapper_are_created_kept_and_removed() {
    let Some(mut world) = world() else { return };
    run(async {
        let client = world.step(json!({}));
        let mapper = world.mapper();
        assert_eq!(world.state(&client).await, ExternalState::Absent);
        let (action, outputs) = world.ensure(&client).await;
        assert_eq!(action, ExternalAction::Created);
        let at = |output: &str| OutputRef { step: "client".into(), output: output.into() };
        let Some(Output::Secret(secret)) = outputs.get(&at("secret")) else { panic!("there is a secret") };
        assert_eq!(secret.expose().len(), 32);
        assert!(matches!(outputs.get(&at("id")), Some(Output::Open(id)) if id.len() == 36));
        assert_eq!(world.state(&client).await, ExternalState::InSync);

        // By hand.
        let mut other = serde_json::to_value(&client).unwrap();
        other["desired"]["redirectUris"] = json!(["https://old.thinkube.test/oauth2/callback"]);
        assert_eq!(world.ensure(&serde_json::from_value(other).unwrap()).await.0, ExternalAction::Updated);
        let ExternalState::Differs(changes) = world.state(&client).await else { panic!("it was changed") };
        assert!(changes.iter().all(|change| change.path.starts_with("redirectUris[")), "{changes:?}");
        assert_eq!(world.ensure(&client).await.0, ExternalAction::Updated);
        assert_eq!(world.ensure(&client).await.0, ExternalAction::Unchanged);

        world.values.outputs.extend(outputs);
        assert_eq!(world.ensure(&mapper).await.0, ExternalAction::Created);
        let mut other = serde_json::to_value(&mapper).unwrap();
        other["desired"]["config"]["id.token.claim"] = json!("false");
        let mut body: Value = serde_json::from_str(other["update"]["body"].as_str().unwrap()).unwrap();
        body["config"]["id.token.claim"] = json!("false");
        other["update"]["body"] = body.to_string().into();
        assert_eq!(world.ensure(&serde_json::from_value(other).unwrap()).await.0, ExternalAction::Updated);
        assert_eq!(world.ensure(&mapper).await.0, ExternalAction::Updated);
        assert_eq!(world.ensure(&mapper).await.0, ExternalAction::Unchanged);

        let remove = async |step: &ExternalStep| {
            ExternalResource::new(&world.http, step, &world.values).remove().await.unwrap()
        };
        assert_eq!(remove(&mapper).await, ExternalRemoval::Deleted);
        assert_eq!(remove(&mapper).await, ExternalRemoval::NotFound);
        assert_eq!(remove(&client).await, ExternalRemoval::Deleted);
        assert_eq!(remove(&client).await, ExternalRemoval::NotFound);
    });
}

#[test]
fn each_refusal_of_keycloak_has_an_error_of_its_own() {
    let Some(world) = world() else { return };
    run(async {
        let Keycloak { url, realm, admin, user, .. } = &world.keycloak;
        let auth = |realm: &str, client_id: &str, username: &str, input: &str| {
            let token_url = format!("{url}/realms/{realm}/protocol/openid-connect/token");
            json!({"auth": {"passwordGrant": {"tokenUrl": token_url, "clientId": client_id, "username": username,
                "passwordInput": input}}})
        };
        let error = world.fails(auth("master", "admin-cli", admin, "wrong-password")).await;
        assert!(matches!(error, ExternalError::Auth(AuthError::WrongPassword { .. })), "{error}");
        let error = world.fails(auth("master", "absent", admin, "admin-password")).await;
        assert!(matches!(error, ExternalError::Auth(AuthError::NoToken { .. })), "{error}");
        let error = world.fails(auth("absent", "admin-cli", admin, "admin-password")).await;
        let not_found =
            |error: &AuthError| matches!(error, AuthError::Response(ResponseError::NotFound { .. }));
        assert!(matches!(&error, ExternalError::Auth(error) if not_found(error)), "{error}");
        let error = world.fails(auth(realm, "admin-cli", user, "user-password")).await;
        assert!(matches!(error, ExternalError::Response(ResponseError::Forbidden { .. })), "{error}");
        let error = world.fails(json!({"auth": "anonymous"})).await;
        assert!(matches!(error, ExternalError::Response(ResponseError::Unauthorized { .. })), "{error}");
        let error = world.fails(json!({"baseUrl": format!("{url}/admin/realms/nowhere")})).await;
        assert!(matches!(error, ExternalError::Response(ResponseError::NotFound { .. })), "{error}");

        let no_authority = HttpOptions { ca_file: None, ..world.options.clone() };
        let http = Http::new(&no_authority).unwrap();
        let error =
            ExternalResource::new(&http, &world.step(json!({})), &world.values).observe().await.unwrap_err();
        assert!(
            matches!(error, ExternalError::Auth(AuthError::Http(HttpError::NotTrusted { .. }))),
            "{error}"
        );
    });
}

#[test]
fn a_probe_observes_the_realm_and_the_redirect_to_the_sign_on() {
    let Some(world) = world() else { return };
    run(async {
        let probe = |path: &str, follow_redirects: bool| HttpProbe {
            target: HttpTarget::Url(format!("{}{path}", world.keycloak.url)),
            method: HttpMethod::Get,
            headers: vec![],
            credentials: None,
            body: None,
            follow_redirects,
        };
        let issuer = format!("{}/realms/{}", world.keycloak.url, world.keycloak.realm);
        let path = format!("/realms/{}/.well-known/openid-configuration", world.keycloak.realm);
        let seen = thinkube_effects::probe(&world.http, &probe(&path, false)).await.unwrap();
        assert_eq!((seen.holds, &seen.variables["json"]["issuer"]), (true, &json!(issuer)));
        let seen = thinkube_effects::probe(&world.http, &probe("/admin", false)).await.unwrap();
        assert!(!seen.holds && seen.variables["headers"]["location"].is_string(), "{}", seen.summary);
        let seen = thinkube_effects::probe(&world.http, &probe("/admin", true)).await.unwrap();
        assert!(seen.holds, "{}", seen.summary);
    });
}
