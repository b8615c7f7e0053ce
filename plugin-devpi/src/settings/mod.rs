//! The settings: the inventory variables of the Ansible component, so that an inventory works as it is, and values that the
//! component hard-codes. The host fills in every default, so that only an `Option` can be empty.

mod pattern;

use pattern::{
    DNS_LABEL, DOCKERFILE, GIT, HOST, IMAGE, INDEX, NAME, PATH, PROJECT, QUANTITY, REGISTRY, REVISION,
    SECRET, SERVICE, SUBDOMAIN, TAG, URL,
};
use schemars::{JsonSchema, Schema};
use serde::Deserialize;
use thinkube_sdk::recipes::Routing;
use thinkube_sdk::{Problem, default_from};

/// The longest name of an object.
const MAX_NAME: usize = 253;
const GIT_URL: &str = "https://github.com/thinkube/thinkube-devpi.git";
const GIT_REVISION: &str = "7bbfb7950cb1e07398866614004fba162a36c1fe";
const DOCKERFILE_PATH: &str = "dockerfile/Dockerfile";
/// The longest tag of an image.
const MAX_TAG: usize = 128;
const SHORT_COMMIT: usize = 12;
/// The devpi-server of the default revision, against which this plugin is tested.
const SERVER_VERSION: &str = "6.20.1";

/// The settings of the DevPI plugin.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// The platform's domain.
    #[schemars(regex(pattern = HOST), length(max = 253))]
    pub domain_name: String,

    /// The namespace of DevPI.
    #[serde(default = "devpi")]
    #[schemars(regex(pattern = DNS_LABEL))]
    pub devpi_namespace: String,

    /// The host name of the dashboard, behind single sign-on.
    #[serde(default)]
    #[schemars(regex(pattern = HOST), length(max = 253), transform = default_from("devpi.${domain_name}"))]
    pub devpi_dashboard_hostname: String,

    /// The host name of the API for pip and devpi, without single sign-on.
    #[serde(default)]
    #[schemars(regex(pattern = HOST), length(max = 253), transform = default_from("devpi-api.${domain_name}"))]
    pub devpi_api_hostname: String,

    /// The platform's index, which belongs to the user root.
    #[serde(default = "stable")]
    #[schemars(regex(pattern = INDEX), length(max = 100))]
    pub devpi_index_name: String,

    /// A ready image of the server. If not set, the host builds one from git.
    ///
    /// Nodes do not pull a moved tag again.
    #[serde(default)]
    #[schemars(regex(pattern = IMAGE), transform = optional)]
    pub devpi_image: Option<String>,

    /// The git repository from which the server's image is built.
    #[serde(default = "git_url")]
    #[schemars(regex(pattern = GIT))]
    pub devpi_git_url: String,

    /// The commit, tag or branch from which the image is built.
    #[serde(default = "git_revision")]
    #[schemars(regex(pattern = REVISION))]
    pub devpi_git_revision: String,

    /// The tag of the built image. If not set, the server's version for the default revision, else the revision itself.
    #[serde(default)]
    #[schemars(regex(pattern = TAG), transform = optional)]
    pub devpi_image_tag: Option<String>,

    /// The Dockerfile in the repository.
    #[serde(default = "dockerfile")]
    #[schemars(regex(pattern = DOCKERFILE))]
    pub devpi_dockerfile: String,

    /// The size of the volume for packages. It can grow if the StorageClass allows it, and never shrink.
    #[serde(default = "storage_size")]
    #[schemars(regex(pattern = QUANTITY))]
    pub devpi_storage_size: String,

    /// How requests enter the cluster: by Ingresses of class nginx, or by HTTPRoutes of a Gateway.
    #[serde(default)]
    pub routing: RoutingKind,

    /// Whether to create the ConfigMap nginx-headers, for an ingress-nginx that names it as proxy-set-headers.
    #[serde(default = "yes")]
    pub nginx_headers_config_map: bool,

    /// The Gateway of routing `gateway`. It terminates TLS with its own certificate.
    #[serde(default = "gateway_name")]
    #[schemars(regex(pattern = SUBDOMAIN), length(max = MAX_NAME))]
    pub gateway_name: String,

    /// The namespace of the Gateway.
    #[serde(default = "gateway_namespace")]
    #[schemars(regex(pattern = DNS_LABEL))]
    pub gateway_namespace: String,

    /// The TLS Secret of both host names, in DevPI's namespace.
    #[serde(default)]
    #[schemars(
        regex(pattern = SUBDOMAIN),
        length(max = MAX_NAME),
        transform = default_from("${devpi_namespace}-tls-secret")
    )]
    pub tls_secret_name: String,

    /// The platform's TLS Secret, NAMESPACE/NAME, from which tls_secret_name is copied.
    #[serde(default)]
    #[schemars(regex(pattern = SECRET), transform = default_from("default/${domain_name:dashed}-tls"))]
    pub tls_source_secret: String,

    /// The registry to which the server's image is pushed, and from which images are pulled.
    #[serde(default)]
    #[schemars(regex(pattern = REGISTRY), transform = default_from("harbor.${domain_name}"))]
    pub harbor_registry: String,

    /// The project in the registry.
    #[serde(default = "library")]
    #[schemars(regex(pattern = PROJECT))]
    pub harbor_project: String,

    /// The Secret, NAMESPACE/NAME, with the registry's credentials to push and pull. It is copied into DevPI's namespace.
    #[serde(default = "pull_secret")]
    #[schemars(regex(pattern = SECRET))]
    pub harbor_pull_secret: String,

    /// Whether the dashboard requires a login. If not, everyone can see it.
    #[serde(default = "yes")]
    pub oauth2_proxy_enabled: bool,

    /// The OAuth2 proxy's client in Keycloak.
    #[serde(default = "client_id")]
    #[schemars(regex(pattern = NAME))]
    pub oauth2_proxy_client_id: String,

    /// The kind of provider of the OAuth2 proxy.
    #[serde(default = "provider")]
    #[schemars(regex(pattern = NAME))]
    pub oauth2_proxy_provider: String,

    /// The URL to which Keycloak redirects after a login.
    #[serde(default)]
    #[schemars(regex(pattern = URL), transform = default_from("https://${devpi_dashboard_hostname}/oauth2/callback"))]
    pub oauth2_proxy_redirect_url: String,

    /// Where the OAuth2 proxy keeps sessions: in a Valkey of the namespace, or in the cookie.
    #[serde(default)]
    pub oauth2_proxy_session_store_type: SessionStoreKind,

    /// The name of the Valkey Deployment and Service.
    #[serde(default = "redis_service")]
    #[schemars(regex(pattern = SERVICE))]
    pub oauth2_proxy_redis_service: String,

    /// The image of the OAuth2 proxy.
    #[serde(default = "proxy_image")]
    #[schemars(regex(pattern = IMAGE))]
    pub oauth2_proxy_image: String,

    /// The image of Valkey.
    #[serde(default)]
    #[schemars(
        regex(pattern = IMAGE),
        transform = default_from("${harbor_registry}/${harbor_project}/valkey:7.2-alpine")
    )]
    pub oauth2_proxy_redis_image: String,

    /// The URL of Keycloak.
    #[serde(default)]
    #[schemars(regex(pattern = URL), transform = default_from("https://keycloak.${domain_name}"))]
    pub keycloak_url: String,

    /// The realm whose users may see the dashboard.
    #[serde(default = "realm")]
    #[schemars(regex(pattern = NAME))]
    pub keycloak_realm: String,

    /// A Secret, NAMESPACE/NAME, with a certificate authority in the key ca.crt, which the OAuth2 proxy trusts for Keycloak.
    /// Required if no public authority signed Keycloak's certificate.
    #[serde(default)]
    #[schemars(regex(pattern = SECRET), transform = optional)]
    pub keycloak_ca_secret: Option<String>,

    /// Keycloak's administrator, in realm master.
    #[serde(default = "admin")]
    #[schemars(regex(pattern = NAME))]
    pub admin_username: String,

    /// The DevPI user whose index the workstation scripts create.
    #[serde(default = "realm")]
    #[schemars(regex(pattern = NAME))]
    pub auth_realm_username: String,

    /// The absolute path, on a workstation, of a file with the certificate authorities that pip and devpi trust for the API.
    #[serde(default)]
    #[schemars(regex(pattern = PATH), transform = optional)]
    pub devpi_ca_file: Option<String>,

    /// Whether pip accepts any certificate of the API's host. A server that impersonates it can then install any program.
    #[serde(default)]
    pub pip_trusted_host: bool,

    /// Whether the discovery ConfigMap holds root's password in clear text, for a consumer that cannot read a Secret. Every
    /// account that may read ConfigMaps in DevPI's namespace can then read it.
    #[serde(default)]
    pub devpi_password_in_clear: bool,

    /// Whether to write DevPI's addresses into the shell configuration of running code-server pods.
    #[serde(default = "yes")]
    pub code_server_env: bool,

    /// The namespace of code-server.
    #[serde(default = "code_server")]
    #[schemars(regex(pattern = DNS_LABEL))]
    pub code_server_namespace: String,

    /// The home directory in code-server's container.
    #[serde(default = "code_server_home")]
    #[schemars(regex(pattern = PATH))]
    pub code_server_home: String,

    // A setting without effect has no default, which would be recorded as if it had one.
    /// The user that owns an operator's files in the Ansible playbooks.
    #[serde(default)]
    #[schemars(transform = optional, extend("x-thinkube-unused" = "The host writes files as the user who runs it."))]
    pub system_username: Option<String>,

    /// The kubeconfig of the Ansible playbooks.
    #[serde(default)]
    #[schemars(
        transform = optional,
        extend("x-thinkube-unused" = "The host uses its own kubeconfig.")
    )]
    pub kubeconfig: Option<String>,

    /// The kubectl of the Ansible playbooks.
    #[serde(default)]
    #[schemars(transform = optional, extend("x-thinkube-unused" = "Nothing runs kubectl."))]
    pub kubectl_bin: Option<String>,

    /// The helm of the Ansible playbooks.
    #[serde(default)]
    #[schemars(transform = optional, extend("x-thinkube-unused" = "Nothing runs helm."))]
    pub helm_bin: Option<String>,
}

/// How requests enter the cluster.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, serde::Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[expect(missing_docs, reason = "schemars would write a list of schemas instead of a list of names")]
pub enum RoutingKind {
    #[default]
    Ingress,
    Gateway,
}

/// Where the OAuth2 proxy keeps sessions.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, serde::Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[expect(missing_docs, reason = "schemars would write a list of schemas instead of a list of names")]
pub enum SessionStoreKind {
    #[default]
    Redis,
    Cookie,
}

macro_rules! defaults {
    ($($name:ident = $value:expr;)*) => {$(
        fn $name() -> String {
            $value.to_owned()
        }
    )*};
}

defaults! {
    devpi = "devpi";
    stable = "stable";
    git_url = GIT_URL;
    git_revision = GIT_REVISION;
    dockerfile = DOCKERFILE_PATH;
    storage_size = "5Gi";
    gateway_name = "thinkube-gateway";
    gateway_namespace = "gateway-system";
    library = "library";
    pull_secret = "default/harbor-pull-secret";
    client_id = "oauth2-proxy-devpi";
    provider = "keycloak-oidc";
    redis_service = "ephemeral-redis";
    proxy_image = "quay.io/oauth2-proxy/oauth2-proxy:v7.15.6";
    realm = "thinkube";
    admin = "admin";
    code_server = "code-server";
    code_server_home = "/home/coder";
}

/// An optional setting that must not be null; schemars allows both for an `Option`.
fn optional(schema: &mut Schema) {
    schema.insert("type".to_owned(), "string".into());
    schema.remove("default");
}

fn yes() -> bool {
    true
}

impl Settings {
    /// Validates what the schema cannot express.
    ///
    /// # Errors
    /// If both host names are equal: the route of the API has no authentication and would open the dashboard. If the name of a
    /// Secret is too long.
    pub fn validate(&self) -> Result<(), Problem> {
        for (path, secret) in [
            ("/tls_source_secret", self.tls_source_secret.as_str()),
            ("/harbor_pull_secret", &self.harbor_pull_secret),
            ("/keycloak_ca_secret", self.keycloak_ca_secret.as_deref().unwrap_or_default()),
        ] {
            if secret.split('/').any(|name| name.len() > MAX_NAME) {
                let message = "the name of a Secret has at most 253 characters";
                return Err(Problem::invalid_settings(path, message));
            }
        }
        if self.devpi_dashboard_hostname == self.devpi_api_hostname {
            let message = format!(
                "must differ from devpi_dashboard_hostname ({}), because the API has no login",
                self.devpi_api_hostname
            );
            return Err(Problem::invalid_settings("/devpi_api_hostname", message));
        }
        Ok(())
    }

    /// The platform's index, USER/INDEX.
    pub fn index(&self) -> String {
        format!("root/{}", self.devpi_index_name)
    }

    /// The tag of the built image. It is the server's version only for the default revision.
    pub fn image_tag(&self) -> String {
        let default = self.devpi_git_url == GIT_URL
            && self.devpi_git_revision == GIT_REVISION
            && self.devpi_dockerfile == DOCKERFILE_PATH;
        match &self.devpi_image_tag {
            Some(tag) => tag.clone(),
            None if default => SERVER_VERSION.to_owned(),
            None => {
                // The pattern of a revision allows ASCII only, so `truncate` cannot split a character.
                let mut tag = self.devpi_git_revision.replace('/', "-");
                let whole_commit = tag.len() >= 40 && tag.bytes().all(|byte| byte.is_ascii_hexdigit());
                // The host reserves tags of a whole commit: it finds a built image by them.
                tag.truncate(if whole_commit { SHORT_COMMIT } else { MAX_TAG });
                tag
            }
        }
    }

    /// The URL of the API.
    pub fn api(&self) -> String {
        format!("https://{}", self.devpi_api_hostname)
    }

    /// The URL of the dashboard.
    pub fn dashboard(&self) -> String {
        format!("https://{}", self.devpi_dashboard_hostname)
    }

    /// How requests enter the cluster.
    pub fn routing(&self) -> Routing {
        match self.routing {
            RoutingKind::Ingress => Routing::Ingress { class: "nginx".to_owned() },
            RoutingKind::Gateway => Routing::Gateway {
                namespace: self.gateway_namespace.clone(),
                name: self.gateway_name.clone(),
            },
        }
    }
}
