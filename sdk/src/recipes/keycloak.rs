//! A Keycloak client as two external resources.

use crate::contract::Permission;
use crate::external::External;
use crate::template::template;
use serde_json::{Value, json};

/// A confidential OpenID Connect client of a Keycloak realm, by the admin REST API of Keycloak 26. Its audience mapper adds
/// the client to the audience of its tokens; oauth2-proxy rejects tokens without it.
#[derive(Debug, Clone)]
pub struct KeycloakClient {
    url: String,
    realm: String,
    client: String,
    admin: (String, String),
    representation: Value,
}

impl KeycloakClient {
    /// `url` is Keycloak's, without a trailing slash. `admin_input` is the secret input with the password of `admin`, a user
    /// of the realm `master`. `redirects` are the allowed redirect URIs.
    pub fn new(
        url: impl Into<String>,
        realm: impl Into<String>,
        client: impl Into<String>,
        (admin, admin_input): (impl Into<String>, impl Into<String>),
        redirects: &[&str],
    ) -> Self {
        let client = client.into();
        let representation = template(
            stringify!(
                {
                  "clientId": "${client}",
                  "enabled": true,
                  "protocol": "openid-connect",
                  "publicClient": false,
                  "standardFlowEnabled": true,
                  "directAccessGrantsEnabled": false,
                  "redirectUris": "${redirects}",
                  "attributes": {"post.logout.redirect.uris": "+", "pkce.code.challenge.method": "S256"}
                }
            ),
            &json!({"client": client, "redirects": redirects}),
        );
        Self {
            url: url.into(),
            realm: realm.into(),
            client,
            admin: (admin.into(), admin_input.into()),
            representation,
        }
    }

    /// Sets a field of Keycloak's ClientRepresentation.
    pub fn field(mut self, field: &str, value: Value) -> Self {
        self.representation[field] = value;
        self
    }

    /// The permission that the descriptor must request.
    pub fn permission(&self) -> Permission {
        let origin = self.url.splitn(4, '/').take(3).collect::<Vec<_>>().join("/");
        Permission::Connect(origin)
    }

    /// The client. Outputs: `id`, and the secret `client-secret`, which Keycloak generates.
    pub fn client(&self) -> External {
        let step = External::new(
            self.client.clone(),
            self.base(),
            format!("/clients?clientId={}", self.client),
            "json.size() > 0 ? json[0] : null",
            "/clients",
            &self.representation,
        );
        self.authenticated(step)
            .update("/clients/${id}")
            .delete("/clients/${id}")
            .output("id", "json.id")
            .secret_output("client-secret", "/clients/${id}/client-secret", "json.value")
    }

    /// The audience mapper. Keycloak deletes it with the client.
    pub fn audience(&self) -> External {
        let mappers = format!("/clients/${{steps.{}.id}}/protocol-mappers/models", self.client);
        let desired = template(
            stringify!(
                {
                  "name": "audience-mapper",
                  "protocol": "openid-connect",
                  "protocolMapper": "oidc-audience-mapper",
                  "config": {
                    "included.client.audience": "${client}", "id.token.claim": "true", "access.token.claim": "true"
                  }
                }
            ),
            &json!({"client": self.client}),
        );
        let step = External::new(
            format!("{}-audience", self.client),
            self.base(),
            mappers.clone(),
            "json.exists(m, m.name == 'audience-mapper') ? json.filter(m, m.name == 'audience-mapper')[0] : null",
            mappers.clone(),
            &desired,
        );
        self.authenticated(step).update(format!("{mappers}/${{id}}")).retain()
    }

    fn base(&self) -> String {
        format!("{}/admin/realms/{}", self.url, self.realm)
    }

    fn authenticated(&self, step: External) -> External {
        let (user, input) = self.admin.clone();
        step.password_grant(
            format!("{}/realms/master/protocol/openid-connect/token", self.url),
            "admin-cli",
            user,
            input,
        )
    }
}
