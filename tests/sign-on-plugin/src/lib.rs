//! A client of the test cluster's Keycloak, its secret in a Secret, and its ID in a ConfigMap. The tests of external
//! resources install it.

use serde_json::json;
use thinkube_sdk::recipes::KeycloakClient;
use thinkube_sdk::{
    Check, Context, Descriptor, HttpMethod, HttpProbe, Object, Outcome, Plan, Plugin, Problem, Scope, Secret,
    Stage, TypeMeta, export_plugin,
};

/// The settings of the tests.
#[derive(serde::Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// The client ID.
    client: String,
    /// The redirect URL.
    redirect: String,
    /// The realm.
    #[serde(default = "realm")]
    realm: String,
    /// Whether the plan has a client.
    #[serde(default = "wanted")]
    wanted: bool,
}

fn realm() -> String {
    "thinkube".to_owned()
}

fn wanted() -> bool {
    true
}

const KEYCLOAK: &str = "https://auth.thinkube.test";

/// The plugin.
pub struct SignOn;

impl Plugin for SignOn {
    type Settings = Settings;

    fn describe() -> Descriptor {
        Descriptor::new("sign-on", "1.0.0")
            .title("Sign-on")
            .summary("A client of the test cluster's Keycloak")
            .license("Apache-2.0")
            .source("https://github.com/thinkube/thinkube-host")
            .secret_input("admin-password", "ADMIN_PASSWORD", "The password of the platform's administrator")
            .secret_input_or(
                "keycloak-password",
                "KEYCLOAK_PASSWORD",
                "admin-password",
                "The password of Keycloak's administrator",
            )
            .emits(TypeMeta::new("v1", "Namespace"), Scope::OwnNamespace)
            .emits(TypeMeta::new("v1", "Secret"), Scope::OwnNamespace)
            .emits(TypeMeta::new("v1", "ConfigMap"), Scope::OwnNamespace)
            .permission(client("", "", "").permission())
    }

    fn plan(context: &Context<Settings>) -> Result<Outcome, Problem> {
        let Settings { client: name, redirect, realm, wanted } = &context.settings;
        let namespace = Object::of(&json!({
            "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": context.namespace }
        }));
        let plan = Plan::new().stage(Stage::new("namespace").object(namespace));
        if !wanted {
            return Ok(plan.into());
        }
        let client = client(realm, name, redirect);
        let secret = Secret::new(&context.namespace, "client")
            .output("client-secret", name, "client-secret")
            .template("url", format!("https://{name}:${{client-secret}}@thinkube.test"));
        let id = Object::of(&json!({
            "apiVersion": "v1", "kind": "ConfigMap",
            "metadata": { "name": "client", "namespace": context.namespace },
            "data": { "id": "" }
        }));
        let sign_on = Stage::new("sign-on")
            .external(client.client())
            .external(client.audience())
            .secret(secret)
            .object(id.bind("/data/id", name, "id"));
        let issuer = format!("{KEYCLOAK}/realms/{realm}");
        let configuration = format!("{issuer}/.well-known/openid-configuration");
        let issuer =
            Check::http("issuer", "The realm answers", HttpProbe::url(HttpMethod::Get, configuration))
                .cel(format!("json.issuer == '{issuer}'"));
        Ok(plan.stage(sign_on).health(issuer).into())
    }
}

fn client(realm: &str, name: &str, redirect: &str) -> KeycloakClient {
    KeycloakClient::new(KEYCLOAK, realm, name, ("admin", "keycloak-password"), &[redirect])
}

export_plugin!(SignOn);
