use super::{pod_security, pull_secrets, restricted, service};
use crate::{Encoding, Object, Secret, template};
use serde_json::json;

/// The name of all its objects, as its Helm chart calls them.
const NAME: &str = "oauth2-proxy";
const PORT: u16 = 4180;
/// The user of the image, and of the chart.
const USER: u32 = 2000;
const CA_FOLDER: &str = "/etc/provider-ca";

/// An oauth2-proxy 7 that lets in whom an OpenID Connect provider knows. A route asks it
/// ([`Route::guarded_by`](super::Route::guarded_by)), or it stands before the service itself ([`upstream`](Self::upstream)).
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
    /// `image` is the proxy's; `client_id` is the client that the provider knows it by, and `client_step` the step of the
    /// plan that yields its `client-secret`: see [`KeycloakClient`](super::KeycloakClient).
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

    /// Who knows people: the kind of provider, for example `keycloak-oidc`, and its issuer.
    pub fn provider(self, kind: &str, issuer: &str) -> Self {
        self.argument("provider", kind).argument("oidc-issuer-url", issuer)
    }

    /// Where people come back to, and the domain of the cookie that they then have.
    pub fn redirect(self, url: &str, cookie_domain: &str) -> Self {
        self.argument("redirect-url", url).argument("cookie-domain", cookie_domain)
    }

    /// Sessions are kept there and not in the cookie.
    pub fn session_store(self, redis_url: &str) -> Self {
        self.argument("session-store-type", "redis").argument("redis-connection-url", redis_url)
    }

    /// Whoever has logged in is passed on to this URL. Without, it only answers whether somebody has.
    pub fn upstream(self, url: &str) -> Self {
        self.argument("upstream", url)
    }

    /// The Secret of its namespace with the registry's credentials.
    pub fn pull_secret(mut self, name: impl Into<String>) -> Self {
        self.pull_secret = Some(name.into());
        self
    }

    /// A Secret of its namespace whose key `ca.crt` is trusted for the provider too.
    pub fn provider_ca(mut self, secret: impl Into<String>) -> Self {
        self.provider_ca = Some(secret.into());
        self.argument("provider-ca-file", &format!("{CA_FOLDER}/ca.crt"))
            .argument("use-system-trust-store", "true")
    }

    /// Another of its flags, without the dashes. No secret: see [`secret`](Self::secret).
    pub fn argument(mut self, flag: &str, value: &str) -> Self {
        self.arguments.push(format!("--{flag}={value}"));
        self
    }

    /// Its Service in the cluster.
    pub fn url(&self) -> String {
        format!("http://{NAME}.{}.svc.cluster.local", self.namespace)
    }

    /// The Secret with the client and 32 random bytes that encrypt its cookies, made once.
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
            // It wants one; with this it answers 202 itself.
            arguments.push("--upstream=static://202".to_owned());
        }
        Object::of(&template(
            stringify!(
                {
                  "apiVersion": "apps/v1",
                  "kind": "Deployment",
                  "metadata": {"name": "${name}", "namespace": "${namespace}", "labels": {"app": "${name}"}},
                  "spec": {
                    "replicas": 1,
                    "selector": {"matchLabels": {"app": "${name}"}},
                    "template": {
                      "metadata": {"labels": {"app": "${name}"}},
                      "spec": {
                        "imagePullSecrets": "${pull_secrets}",
                        "securityContext": "${pod_security}",
                        "automountServiceAccountToken": false,
                        "containers": [{
                          "name": "${name}",
                          "image": "${image}",
                          "args": "${arguments}",
                          // Arguments are in the pod's specification, which many may read; these are not.
                          "env": [
                            {"name": "OAUTH2_PROXY_CLIENT_ID", "valueFrom": {"secretKeyRef": {"name": "${name}", "key": "client-id"}}},
                            {
                              "name": "OAUTH2_PROXY_CLIENT_SECRET",
                              "valueFrom": {"secretKeyRef": {"name": "${name}", "key": "client-secret"}}
                            },
                            {
                              "name": "OAUTH2_PROXY_COOKIE_SECRET",
                              "valueFrom": {"secretKeyRef": {"name": "${name}", "key": "cookie-secret"}}
                            }
                          ],
                          "ports": [{"name": "http", "containerPort": "${port}"}],
                          "livenessProbe": {"httpGet": {"path": "/ping", "port": "http"}},
                          "readinessProbe": {"httpGet": {"path": "/ready", "port": "http"}, "timeoutSeconds": 5},
                          "resources": {
                            "requests": {"cpu": "20m", "memory": "32Mi"},
                            "limits": {"cpu": "200m", "memory": "128Mi"}
                          },
                          "securityContext": "${restricted}",
                          "volumeMounts": "${mounts}"
                        }],
                        "volumes": "${volumes}"
                      }
                    }
                  }
                }
            ),
            &json!({
                "namespace": self.namespace,
                "name": NAME,
                "image": self.image,
                "port": PORT,
                "arguments": arguments,
                "pull_secrets": pull_secrets(self.pull_secret.as_ref()),
                "pod_security": pod_security(USER),
                "restricted": restricted(),
                "mounts": ca["mounts"],
                "volumes": ca["volumes"],
            }),
        ))
    }

    /// The Service, on port 80.
    pub fn service(&self) -> Object {
        service(&self.namespace, NAME, json!({"app": NAME}), "http", 80, "http".into())
    }
}
