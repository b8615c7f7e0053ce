use crate::{External, Permission, template};
use serde_json::{Value, json};

/// A confidential OpenID Connect client of a Keycloak realm, made by the admin REST API of Keycloak 26, and the mapper that
/// puts it into the audience of its tokens, without which oauth2-proxy refuses them.
#[derive(Debug, Clone)]
pub struct KeycloakClient {
    url: String,
    realm: String,
    client: String,
    admin: (String, String),
    representation: Value,
}

impl KeycloakClient {
    /// A client that sends people back to these URLs. `url` is Keycloak's, without a slash at its end; `admin_input` is the
    /// secret input with the password of `admin`, a user of the realm `master`.
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

    /// Another field of Keycloak's ClientRepresentation.
    pub fn with(mut self, field: &str, value: Value) -> Self {
        self.representation[field] = value;
        self
    }

    /// What the plan must be allowed.
    pub fn permission(&self) -> Permission {
        let origin = self.url.splitn(4, '/').take(3).collect::<Vec<_>>().join("/");
        Permission::Connect(origin)
    }

    /// The step that keeps the client. It yields `id` and the secret `client-secret`, which Keycloak makes.
    pub fn client(&self) -> External {
        let step = External::new(
            self.client.clone(),
            self.base(),
            format!("/clients?clientId={}", self.client),
            "json.size() > 0 ? json[0] : null",
            "/clients",
            &self.representation,
        );
        self.logged_in(step)
            .update("/clients/${id}")
            .delete("/clients/${id}")
            .output("id", "json.id")
            .secret_output("client-secret", "/clients/${id}/client-secret", "json.value")
    }

    /// The step that keeps the mapper; it goes with the client.
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
        self.logged_in(step).update(format!("{mappers}/${{id}}")).retain()
    }

    fn base(&self) -> String {
        format!("{}/admin/realms/{}", self.url, self.realm)
    }

    fn logged_in(&self, step: External) -> External {
        let (user, input) = self.admin.clone();
        step.password_grant(
            format!("{}/realms/master/protocol/openid-connect/token", self.url),
            "admin-cli",
            user,
            input,
        )
    }
}
