//! An oauth2-proxy in front of a service.

use super::workload::{deployment, service};
use crate::contract::Encoding;
use crate::object::Object;
use crate::secret::Secret;
use crate::template::template;
use serde_json::json;

/// The name of all objects of the proxy; its Helm chart uses the same.
const NAME: &str = "oauth2-proxy";
const PORT: u16 = 4180;
/// The numeric user of the image.
const USER: u32 = 2000;
const CA_FOLDER: &str = "/etc/provider-ca";

/// An oauth2-proxy 7 that requires a login at an OpenID Connect provider. An Ingress asks the proxy about each request
/// ([`Route::guarded_by`](super::Route::guarded_by)), or the proxy forwards requests itself
/// ([`upstream`](Self::upstream)).
#[derive(Debug, Clone)]
pub struct OAuth2Proxy {
    namespace: String,
    image: String,
    pull_secret: Option<String>,
    client_step: String,
    client_id: String,
    provider_ca: Option<String>,
    arguments: Vec<String>,
}

impl OAuth2Proxy {
    /// `image` is the proxy's image. `client_id` is its client at the provider. `client_step` is the step of the plan with the
    /// output `client-secret`: see [`KeycloakClient`](super::KeycloakClient).
    pub fn new(
        namespace: impl Into<String>,
        image: impl Into<String>,
        client_id: impl Into<String>,
        client_step: impl Into<String>,
    ) -> Self {
        let fixed = [
            "--http-address=0.0.0.0:4180",
            "--reverse-proxy=true",
            "--email-domain=*",
            "--skip-provider-button=true",
            "--set-xauthrequest=true",
            "--code-challenge-method=S256",
            "--cookie-secure=true",
            "--cookie-samesite=lax",
            "--cookie-refresh=1h",
            "--session-cookie-minimal=false",
        ];
        Self {
            namespace: namespace.into(),
            image: image.into(),
            pull_secret: None,
            client_step: client_step.into(),
            client_id: client_id.into(),
            provider_ca: None,
            arguments: fixed.map(str::to_owned).to_vec(),
        }
    }

    /// The kind of provider, for example `keycloak-oidc`, and the URL of its issuer.
    pub fn provider(self, kind: &str, issuer: &str) -> Self {
        self.argument("provider", kind).argument("oidc-issuer-url", issuer)
    }

    /// The redirect URL after a login, and the domain of the session cookie.
    pub fn redirect(self, url: &str, cookie_domain: &str) -> Self {
        self.argument("redirect-url", url).argument("cookie-domain", cookie_domain)
    }

    /// Keeps sessions in a Redis-compatible store. By default the cookie holds them.
    pub fn session_store(self, redis_url: &str) -> Self {
        self.argument("session-store-type", "redis").argument("redis-connection-url", redis_url)
    }

    /// Forwards authenticated requests to this URL. By default the proxy only answers whether a request is authenticated.
    pub fn upstream(self, url: &str) -> Self {
        self.argument("upstream", url)
    }

    /// The Secret of the namespace with the registry credentials.
    pub fn pull_secret(mut self, name: impl Into<String>) -> Self {
        self.pull_secret = Some(name.into());
        self
    }

    /// A Secret of the namespace. The proxy trusts the authority in its key `ca.crt` for the provider.
    pub fn provider_ca(mut self, secret: impl Into<String>) -> Self {
        self.provider_ca = Some(secret.into());
        self.argument("provider-ca-file", &format!("{CA_FOLDER}/ca.crt"))
            .argument("use-system-trust-store", "true")
    }

    /// Adds a flag, named without dashes. The value cannot be secret, because many accounts may read a pod's arguments.
    pub fn argument(mut self, flag: &str, value: &str) -> Self {
        self.arguments.push(format!("--{flag}={value}"));
        self
    }

    /// The URL of the Service in the cluster.
    pub fn url(&self) -> String {
        format!("http://{NAME}.{}.svc.cluster.local", self.namespace)
    }

    /// The Secret with the client's credentials and 32 random bytes that encrypt the cookies.
    pub fn secret(&self) -> Secret {
        Secret::new(&self.namespace, NAME)
            .plain("client-id", &self.client_id)
            .output("client-secret", &self.client_step, "client-secret")
            .random("cookie-secret", 32, Encoding::Base64url)
    }

    /// The Deployment.
    pub fn deployment(&self) -> Object {
        let ca = match &self.provider_ca {
            Some(secret) => template(
                stringify!(
                    {
                      "volumes": [{"name": "provider-ca", "secret": {
                        "secretName": "${secret}", "items": [{"key": "ca.crt", "path": "ca.crt"}]
                      }}],
                      "mounts": [{"name": "provider-ca", "mountPath": "${folder}", "readOnly": true}]
                    }
                ),
                &json!({"secret": secret, "folder": CA_FOLDER}),
            ),
            None => json!({"volumes": [], "mounts": []}),
        };
        let mut arguments = self.arguments.clone();
        if !arguments.iter().any(|argument| argument.starts_with("--upstream=")) {
            // The flag is required; with this value the proxy answers 202 itself.
            arguments.push("--upstream=static://202".to_owned());
        }
        // From the Secret, because many accounts may read a pod's arguments.
        let environment = ["client-id", "client-secret", "cookie-secret"].map(|key| {
            let variable = format!("OAUTH2_PROXY_{}", key.replace('-', "_").to_ascii_uppercase());
            json!({"name": variable, "valueFrom": {"secretKeyRef": {"name": NAME, "key": key}}})
        });
        let pod = template(
            stringify!(
                {
                  "containers": [{
                    "name": "${name}",
                    "image": "${image}",
                    "args": "${arguments}",
                    "env": "${environment}",
                    "ports": [{"name": "http", "containerPort": "${port}"}],
                    "livenessProbe": {"httpGet": {"path": "/ping", "port": "http"}},
                    "readinessProbe": {"httpGet": {"path": "/ready", "port": "http"}, "timeoutSeconds": 5},
                    "resources": {
                      "requests": {"cpu": "20m", "memory": "32Mi"},
                      "limits": {"cpu": "200m", "memory": "128Mi"}
                    },
                    "volumeMounts": "${mounts}"
                  }],
                  "volumes": "${volumes}"
                }
            ),
            &json!({
                "name": NAME,
                "image": self.image,
                "port": PORT,
                "arguments": arguments,
                "environment": environment,
                "mounts": ca["mounts"],
                "volumes": ca["volumes"],
            }),
        );
        deployment(&self.namespace, NAME, json!({"app": NAME}), self.pull_secret.as_ref(), USER, pod)
    }

    /// The Service, on port 80.
    pub fn service(&self) -> Object {
        service(&self.namespace, NAME, json!({"app": NAME}), "http", 80, "http".into())
    }
}
