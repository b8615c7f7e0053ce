//! What the operator can set: the inventory variables of the Ansible component, so that an inventory can be handed
//! over as it is. What derives from other settings has no default in the schema and is worked out in [`Site`].

use schemars::{JsonSchema, Schema};
use serde::Deserialize;
use thinkube_sdk::Problem;

/// RFC 1123, as an Ingress wants its hosts.
const HOST: &str = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$";
const DNS_LABEL: &str = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$";
/// Narrower than devpi, which also takes spaces: the name becomes a part of URLs and of pip's configuration.
const INDEX: &str = r"^[A-Za-z0-9][A-Za-z0-9._-]*$";
const REGISTRY: &str = r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?(:[0-9]{1,5})?$";
const PROJECT: &str = r"^[a-z0-9]+([._-][a-z0-9]+)*$";
/// With its registry: what a short name means is another thing on every node.
const IMAGE: &str = concat!(
    r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?(:[0-9]{1,5})?(/[a-z0-9]+([._-]+[a-z0-9]+)*)+",
    r"(:[A-Za-z0-9_][-A-Za-z0-9_.]{0,127})?(@sha256:[0-9a-f]{64})?$"
);
const QUANTITY: &str = r"^[1-9][0-9]*([kMGTPE]|[KMGTPE]i)?$";

/// The settings of the DevPI plugin.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// The platform's domain. Host names that are not set lie in it.
    #[schemars(regex(pattern = HOST), length(max = 253))]
    pub domain_name: String,

    /// The namespace that DevPI gets.
    #[serde(default = "devpi_namespace")]
    #[schemars(regex(pattern = DNS_LABEL), length(max = 63))]
    pub devpi_namespace: String,

    /// Where people look at packages, behind single sign-on. If not set: devpi.DOMAIN_NAME.
    #[schemars(regex(pattern = HOST), length(max = 253), transform = derived)]
    pub devpi_dashboard_hostname: Option<String>,

    /// Where pip and devpi find packages, without sign-on. If not set: devpi-api.DOMAIN_NAME.
    #[schemars(regex(pattern = HOST), length(max = 253), transform = derived)]
    pub devpi_api_hostname: Option<String>,

    /// The index of user root that the platform uses.
    #[serde(default = "devpi_index_name")]
    #[schemars(regex(pattern = INDEX), length(max = 100))]
    pub devpi_index_name: String,

    /// The server's image. If not set: HARBOR_REGISTRY/HARBOR_PROJECT/devpi:6.20.1.
    ///
    /// A tag that moves is not pulled again.
    #[schemars(regex(pattern = IMAGE), transform = derived)]
    pub devpi_image: Option<String>,

    /// How much room packages get. A volume can grow if its StorageClass allows it, and never shrink.
    #[serde(default = "devpi_storage_size")]
    #[schemars(regex(pattern = QUANTITY))]
    pub devpi_storage_size: String,

    /// The TLS Secret of both host names, in DevPI's namespace. If not set: DEVPI_NAMESPACE-tls-secret.
    #[schemars(regex(pattern = HOST), length(max = 253), transform = derived)]
    pub tls_secret_name: Option<String>,

    /// Whether the dashboard asks the OAuth2 proxy of its namespace who may come in. If not, everybody may.
    #[serde(default = "oauth2_proxy_enabled")]
    pub oauth2_proxy_enabled: bool,

    /// The registry that the server's image is pulled from. If not set: harbor.DOMAIN_NAME.
    #[schemars(regex(pattern = REGISTRY), transform = derived)]
    pub harbor_registry: Option<String>,

    /// The project in that registry.
    #[serde(default = "harbor_project")]
    #[schemars(regex(pattern = PROJECT))]
    pub harbor_project: String,

    /// The proxy's client in Keycloak.
    #[serde(default = "oauth2_proxy_client_id")]
    #[schemars(extend("x-thinkube-unused" = "This version does not install the OAuth2 proxy."))]
    pub oauth2_proxy_client_id: String,

    /// Keycloak's address. If not set: https://keycloak.DOMAIN_NAME.
    #[schemars(
        transform = derived,
        extend("x-thinkube-unused" = "This version does not register a client in Keycloak.")
    )]
    pub keycloak_url: Option<String>,

    /// The realm whose users may see the dashboard.
    #[serde(default = "keycloak_realm")]
    #[schemars(extend("x-thinkube-unused" = "This version does not register a client in Keycloak."))]
    pub keycloak_realm: String,

    /// Keycloak's administrator.
    #[serde(default = "admin_username")]
    #[schemars(extend("x-thinkube-unused" = "This version does not register a client in Keycloak."))]
    pub admin_username: String,

    // The next three have no default: a path on the operator's machine that nothing reads would be recorded as if it
    // had been used.
    /// The kubeconfig of the Ansible playbooks.
    #[schemars(
        transform = derived,
        extend("x-thinkube-unused" = "The host speaks to the cluster, with the kubeconfig that it is given.")
    )]
    pub kubeconfig: Option<String>,

    /// The kubectl of the Ansible playbooks.
    #[schemars(transform = derived, extend("x-thinkube-unused" = "Nothing runs kubectl."))]
    pub kubectl_bin: Option<String>,

    /// The helm of the Ansible playbooks.
    #[schemars(transform = derived, extend("x-thinkube-unused" = "Nothing runs helm."))]
    pub helm_bin: Option<String>,
}

/// A setting that may be left out, but not be null: schemars makes both of an `Option`.
fn derived(schema: &mut Schema) {
    schema.insert("type".to_owned(), "string".into());
    schema.remove("default");
}

fn devpi_namespace() -> String {
    "devpi".to_owned()
}

fn devpi_index_name() -> String {
    "stable".to_owned()
}

fn devpi_storage_size() -> String {
    "5Gi".to_owned()
}

fn oauth2_proxy_enabled() -> bool {
    true
}

fn harbor_project() -> String {
    "library".to_owned()
}

fn oauth2_proxy_client_id() -> String {
    "oauth2-proxy-devpi".to_owned()
}

fn keycloak_realm() -> String {
    "thinkube".to_owned()
}

fn admin_username() -> String {
    "admin".to_owned()
}

/// The settings with everything worked out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Site {
    /// DevPI's namespace.
    pub namespace: String,
    /// The dashboard's host name.
    pub dashboard: String,
    /// The API's host name.
    pub api: String,
    /// USER/INDEX of the platform's index.
    pub index: String,
    /// The server's image.
    pub image: String,
    /// The size of the volume.
    pub storage: String,
    /// The Secret with the certificate of both host names.
    pub tls_secret: String,
    /// Whether the dashboard is behind the OAuth2 proxy.
    pub sign_on: bool,
}

/// The devpi-server of the image whose behaviour this plugin was written for.
const SERVER_VERSION: &str = "6.20.1";

impl Site {
    /// Works out what is not set.
    ///
    /// # Errors
    /// If the two hosts are one: the API's Ingress has no authentication, so it would open the dashboard.
    pub fn new(settings: &Settings, namespace: &str) -> Result<Self, Problem> {
        let in_domain = |set: &Option<String>, host: &str| {
            set.clone().unwrap_or_else(|| format!("{host}.{}", settings.domain_name))
        };
        let dashboard = in_domain(&settings.devpi_dashboard_hostname, "devpi");
        let api = in_domain(&settings.devpi_api_hostname, "devpi-api");
        if dashboard == api {
            return Err(Problem::invalid_settings(
                "/devpi_api_hostname",
                format!("the dashboard has this name too ({api}); the API is open, so they must differ"),
            ));
        }
        let registry = in_domain(&settings.harbor_registry, "harbor");
        // The original pulls `/library/devpi:latest` whatever harbor_project says. A tag that moves makes two nodes
        // run two servers and an upgrade a matter of chance, so the server's version is the tag.
        let image = settings
            .devpi_image
            .clone()
            .unwrap_or_else(|| format!("{registry}/{}/devpi:{SERVER_VERSION}", settings.harbor_project));
        let tls_secret =
            settings.tls_secret_name.clone().unwrap_or_else(|| format!("{namespace}-tls-secret"));
        Ok(Self {
            namespace: namespace.to_owned(),
            dashboard,
            api,
            index: format!("root/{}", settings.devpi_index_name),
            image,
            storage: settings.devpi_storage_size.clone(),
            tls_secret,
            sign_on: settings.oauth2_proxy_enabled,
        })
    }
}
