//! What the operator can set: the inventory variables of the Ansible component, so that an inventory can be handed
//! over as it is, and what it hard-codes. The host works out what is not set: nothing here is empty but an `Option`.

use schemars::{JsonSchema, Schema};
use serde::Deserialize;
use thinkube_sdk::recipes::Routing;
use thinkube_sdk::{Problem, default_from};

/// A label of RFC 1123: 63 characters at most. DNS and certificates have none that is longer.
macro_rules! label {
    () => {
        "[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?"
    };
}
/// Names of most objects: labels of any length, 253 characters together.
macro_rules! subdomain {
    () => {
        r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*"
    };
}
/// RFC 1123, as an Ingress wants its hosts.
macro_rules! host {
    () => {
        concat!(label!(), r"(\.", label!(), ")*")
    };
}
macro_rules! registry {
    () => {
        concat!(host!(), "(:[0-9]{1,5})?")
    };
}
/// A server of a URL: people also write it with capitals.
macro_rules! server {
    () => {
        r"https://[A-Za-z0-9]([-A-Za-z0-9]{0,61}[A-Za-z0-9])?(\.[A-Za-z0-9]([-A-Za-z0-9]{0,61}[A-Za-z0-9])?)*(:[0-9]{1,5})?"
    };
}

const HOST: &str = concat!("^", host!(), "$");
const DNS_LABEL: &str = concat!("^", label!(), "$");
/// RFC 1035: the name of a Service begins with a letter.
const SERVICE: &str = "^[a-z]([-a-z0-9]{0,61}[a-z0-9])?$";
const SUBDOMAIN: &str = concat!("^", subdomain!(), "$");
/// NAMESPACE/NAME.
const SECRET: &str = concat!("^", label!(), "/", subdomain!(), "$");
/// The longest name of an object.
const LONGEST_NAME: usize = 253;
/// Narrower than devpi, which also takes spaces: the name becomes a part of URLs and of pip's configuration.
const INDEX: &str = r"^[A-Za-z0-9][A-Za-z0-9._-]*$";
const REGISTRY: &str = concat!("^", registry!(), "$");
const PROJECT: &str = r"^[a-z0-9]+([._-][a-z0-9]+)*$";
/// With its registry: what a short name means is another thing on every node.
const IMAGE: &str = concat!(
    "^",
    registry!(),
    r"(/[a-z0-9]+([._-]+[a-z0-9]+)*)+(:[A-Za-z0-9_][-A-Za-z0-9_.]{0,127})?(@sha256:[0-9a-f]{64})?$"
);
const TAG: &str = "^[A-Za-z0-9_][-A-Za-z0-9_.]{0,127}$";
const GIT_URL: &str = "https://github.com/thinkube/thinkube-devpi.git";
const GIT_REVISION: &str = "7bbfb7950cb1e07398866614004fba162a36c1fe";
const DOCKERFILE_PATH: &str = "dockerfile/Dockerfile";
/// The longest tag of an image.
const LONGEST_TAG: usize = 128;
const SHORT_COMMIT: usize = 12;
/// The devpi-server of the default revision, whose behaviour this plugin was written for.
const SERVER_VERSION: &str = "6.20.1";
const QUANTITY: &str = r"^[1-9][0-9]*([kMGTPE]|[KMGTPE]i)?$";
/// Without a slash at its end, so that paths can follow.
const URL: &str = concat!("^", server!(), "(/[A-Za-z0-9._~-]+)*$");
const GIT: &str = concat!("^(", server!(), "|file://)(/[A-Za-z0-9._~-]+)+$");
const REVISION: &str = r"^[A-Za-z0-9][A-Za-z0-9._/-]*$";
/// Hidden folders are paths too; `..` is not.
const PATH: &str = r"^(/\.?[A-Za-z0-9_-][A-Za-z0-9._-]*)+$";
const DOCKERFILE: &str = r"^[A-Za-z0-9._-]+(/[A-Za-z0-9._-]+)*$";
/// A name of a user, a client or a realm that needs no escape anywhere.
const NAME: &str = r"^[A-Za-z0-9][A-Za-z0-9._-]*$";

/// The settings of the DevPI plugin.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// The platform's domain.
    #[schemars(regex(pattern = HOST), length(max = 253))]
    pub domain_name: String,

    /// The namespace that DevPI gets.
    #[serde(default = "devpi")]
    #[schemars(regex(pattern = DNS_LABEL))]
    pub devpi_namespace: String,

    /// Where people look at packages, behind single sign-on.
    #[serde(default)]
    #[schemars(regex(pattern = HOST), length(max = 253), transform = default_from("devpi.${domain_name}"))]
    pub devpi_dashboard_hostname: String,

    /// Where pip and devpi find packages, without sign-on.
    #[serde(default)]
    #[schemars(regex(pattern = HOST), length(max = 253), transform = default_from("devpi-api.${domain_name}"))]
    pub devpi_api_hostname: String,

    /// The index of user root that the platform uses.
    #[serde(default = "stable")]
    #[schemars(regex(pattern = INDEX), length(max = 100))]
    pub devpi_index_name: String,

    /// A ready image of the server. If not set, one is built from git.
    ///
    /// A tag that moves is not pulled again.
    #[serde(default)]
    #[schemars(regex(pattern = IMAGE), transform = unset)]
    pub devpi_image: Option<String>,

    /// The git repository that the server's image is built from.
    #[serde(default = "git_url")]
    #[schemars(regex(pattern = GIT))]
    pub devpi_git_url: String,

    /// The commit, tag or branch that it is built from.
    #[serde(default = "git_revision")]
    #[schemars(regex(pattern = REVISION))]
    pub devpi_git_revision: String,

    /// The tag of the image that is built. If not set, the version of the default revision, or else the revision itself.
    #[serde(default)]
    #[schemars(regex(pattern = TAG), transform = unset)]
    pub devpi_image_tag: Option<String>,

    /// The Dockerfile in the repository.
    #[serde(default = "dockerfile")]
    #[schemars(regex(pattern = DOCKERFILE))]
    pub devpi_dockerfile: String,

    /// How much room packages get. A volume can grow if its StorageClass allows it, and never shrink.
    #[serde(default = "storage_size")]
    #[schemars(regex(pattern = QUANTITY))]
    pub devpi_storage_size: String,

    /// How requests come into the cluster: by Ingresses of class nginx, or by HTTPRoutes of a Gateway.
    #[serde(default)]
    pub routing: By,

    /// Whether the ConfigMap nginx-headers is made, for an ingress controller whose own names it as proxy-set-headers.
    #[serde(default = "yes")]
    pub nginx_headers_config_map: bool,

    /// The Gateway of routing `gateway`. It ends TLS with a certificate of its own.
    #[serde(default = "gateway_name")]
    #[schemars(regex(pattern = SUBDOMAIN), length(max = LONGEST_NAME))]
    pub gateway_name: String,

    /// The Gateway's namespace.
    #[serde(default = "gateway_namespace")]
    #[schemars(regex(pattern = DNS_LABEL))]
    pub gateway_namespace: String,

    /// The TLS Secret of both host names, in DevPI's namespace.
    #[serde(default)]
    #[schemars(
        regex(pattern = SUBDOMAIN),
        length(max = LONGEST_NAME),
        transform = default_from("${devpi_namespace}-tls-secret")
    )]
    pub tls_secret_name: String,

    /// The platform's TLS Secret, which that one mirrors.
    #[serde(default)]
    #[schemars(regex(pattern = SECRET), transform = default_from("default/${domain_name:dashed}-tls"))]
    pub tls_source_secret: String,

    /// The registry that the server's image is pushed to, and that images are pulled from.
    #[serde(default)]
    #[schemars(regex(pattern = REGISTRY), transform = default_from("harbor.${domain_name}"))]
    pub harbor_registry: String,

    /// The project in that registry.
    #[serde(default = "library")]
    #[schemars(regex(pattern = PROJECT))]
    pub harbor_project: String,

    /// The Secret with the registry's login, to push with and to pull: it is mirrored into DevPI's namespace.
    #[serde(default = "pull_secret")]
    #[schemars(regex(pattern = SECRET))]
    pub harbor_pull_secret: String,

    /// Whether people log in to see the dashboard. If not, everybody may see it.
    #[serde(default = "yes")]
    pub oauth2_proxy_enabled: bool,

    /// The OAuth2 proxy's client in Keycloak.
    #[serde(default = "client_id")]
    #[schemars(regex(pattern = NAME))]
    pub oauth2_proxy_client_id: String,

    /// The proxy's kind of provider.
    #[serde(default = "provider")]
    #[schemars(regex(pattern = NAME))]
    pub oauth2_proxy_provider: String,

    /// Where people come back to from Keycloak.
    #[serde(default)]
    #[schemars(regex(pattern = URL), transform = default_from("https://${devpi_dashboard_hostname}/oauth2/callback"))]
    pub oauth2_proxy_redirect_url: String,

    /// Where the proxy keeps sessions: in a Valkey of the namespace, or in the cookie.
    #[serde(default)]
    pub oauth2_proxy_session_store_type: Sessions,

    /// The name of that Valkey.
    #[serde(default = "redis_service")]
    #[schemars(regex(pattern = SERVICE))]
    pub oauth2_proxy_redis_service: String,

    /// The proxy's image.
    #[serde(default = "proxy_image")]
    #[schemars(regex(pattern = IMAGE))]
    pub oauth2_proxy_image: String,

    /// Valkey's image.
    #[serde(default)]
    #[schemars(
        regex(pattern = IMAGE),
        transform = default_from("${harbor_registry}/${harbor_project}/valkey:7.2-alpine")
    )]
    pub oauth2_proxy_redis_image: String,

    /// Keycloak's address.
    #[serde(default)]
    #[schemars(regex(pattern = URL), transform = default_from("https://keycloak.${domain_name}"))]
    pub keycloak_url: String,

    /// The realm whose users may see the dashboard.
    #[serde(default = "realm")]
    #[schemars(regex(pattern = NAME))]
    pub keycloak_realm: String,

    /// A Secret, NAMESPACE/NAME, whose key ca.crt the proxy trusts for Keycloak. Needed where no public authority vouches.
    #[serde(default)]
    #[schemars(regex(pattern = SECRET), transform = unset)]
    pub keycloak_ca_secret: Option<String>,

    /// Keycloak's administrator, in realm master.
    #[serde(default = "admin")]
    #[schemars(regex(pattern = NAME))]
    pub admin_username: String,

    /// The user whose index the scripts in an operator's home make.
    #[serde(default = "realm")]
    #[schemars(regex(pattern = NAME))]
    pub auth_realm_username: String,

    /// A file with the authorities that pip and devpi trust for the API, by its absolute path on a person's machine.
    #[serde(default)]
    #[schemars(regex(pattern = PATH), transform = unset)]
    pub devpi_ca_file: Option<String>,

    /// Whether pip takes any certificate of the API's host: who answers in its place can then install any program.
    #[serde(default)]
    pub pip_trusted_host: bool,

    /// Whether root's password is in the discovery ConfigMap, for consumers that follow no reference to a Secret. Everybody
    /// who may read ConfigMaps in DevPI's namespace then knows it.
    #[serde(default)]
    pub devpi_password_in_clear: bool,

    /// Whether the shells of running code-servers get to know where DevPI is.
    #[serde(default = "yes")]
    pub code_server_env: bool,

    /// The namespace of code-server.
    #[serde(default = "code_server")]
    #[schemars(regex(pattern = DNS_LABEL))]
    pub code_server_namespace: String,

    /// The home in code-server's container.
    #[serde(default = "code_server_home")]
    #[schemars(regex(pattern = PATH))]
    pub code_server_home: String,

    // What nothing reads has no default: it would be recorded as if it had been used.
    /// The user that owns an operator's files in the Ansible playbooks.
    #[serde(default)]
    #[schemars(transform = unset, extend("x-thinkube-unused" = "The host writes files as the user who runs it."))]
    pub system_username: Option<String>,

    /// The kubeconfig of the Ansible playbooks.
    #[serde(default)]
    #[schemars(
        transform = unset,
        extend("x-thinkube-unused" = "The host speaks to the cluster, with the kubeconfig that it is given.")
    )]
    pub kubeconfig: Option<String>,

    /// The kubectl of the Ansible playbooks.
    #[serde(default)]
    #[schemars(transform = unset, extend("x-thinkube-unused" = "Nothing runs kubectl."))]
    pub kubectl_bin: Option<String>,

    /// The helm of the Ansible playbooks.
    #[serde(default)]
    #[schemars(transform = unset, extend("x-thinkube-unused" = "Nothing runs helm."))]
    pub helm_bin: Option<String>,
}

/// How requests come into the cluster.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, serde::Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[expect(missing_docs, reason = "with them the schema has a list of schemas instead of one of names")]
pub enum By {
    #[default]
    Ingress,
    Gateway,
}

/// Where the proxy keeps sessions.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, serde::Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[expect(missing_docs, reason = "with them the schema has a list of schemas instead of one of names")]
pub enum Sessions {
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

/// A setting that may be left out, but not be null: schemars makes both of an `Option`.
fn unset(schema: &mut Schema) {
    schema.insert("type".to_owned(), "string".into());
    schema.remove("default");
}

fn yes() -> bool {
    true
}

impl Settings {
    /// What no schema can say.
    ///
    /// # Errors
    /// If the two hosts are one: the API's route has no authentication, so it would open the dashboard. If the name of a
    /// Secret is longer than one can be.
    pub fn check(&self) -> Result<(), Problem> {
        for (path, secret) in [
            ("/tls_source_secret", self.tls_source_secret.as_str()),
            ("/harbor_pull_secret", &self.harbor_pull_secret),
            ("/keycloak_ca_secret", self.keycloak_ca_secret.as_deref().unwrap_or_default()),
        ] {
            if secret.split('/').any(|name| name.len() > LONGEST_NAME) {
                let message = "no name of a Secret has more than 253 characters";
                return Err(Problem::invalid_settings(path, message));
            }
        }
        if self.devpi_dashboard_hostname == self.devpi_api_hostname {
            let message = format!(
                "the dashboard has this name too ({}); the API is open, so they must differ",
                self.devpi_api_hostname
            );
            return Err(Problem::invalid_settings("/devpi_api_hostname", message));
        }
        Ok(())
    }

    /// USER/INDEX of the platform's index.
    pub fn index(&self) -> String {
        format!("root/{}", self.devpi_index_name)
    }

    /// The tag of the image that is built. Only an image of the default revision has that version as its tag.
    pub fn image_tag(&self) -> String {
        let default = self.devpi_git_url == GIT_URL
            && self.devpi_git_revision == GIT_REVISION
            && self.devpi_dockerfile == DOCKERFILE_PATH;
        match &self.devpi_image_tag {
            Some(tag) => tag.clone(),
            None if default => SERVER_VERSION.to_owned(),
            None => {
                // The pattern of a revision is of ASCII characters.
                let mut tag = self.devpi_git_revision.replace('/', "-");
                let whole_commit = tag.len() >= 40 && tag.bytes().all(|byte| byte.is_ascii_hexdigit());
                // The host finds an image again by its whole commit, and lets nothing else have a tag like it.
                tag.truncate(if whole_commit { SHORT_COMMIT } else { LONGEST_TAG });
                tag
            }
        }
    }

    /// The API's address.
    pub fn api(&self) -> String {
        format!("https://{}", self.devpi_api_hostname)
    }

    /// The dashboard's address.
    pub fn dashboard(&self) -> String {
        format!("https://{}", self.devpi_dashboard_hostname)
    }

    /// How requests come into the cluster.
    pub fn routing(&self) -> Routing {
        match self.routing {
            By::Ingress => Routing::Ingress { class: "nginx".to_owned() },
            By::Gateway => Routing::Gateway {
                namespace: self.gateway_namespace.clone(),
                name: self.gateway_name.clone(),
            },
        }
    }
}
