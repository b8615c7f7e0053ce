//! What must hold before, during and after. No check looks at an index's `+simple/`: it lists every name of the
//! public index through the mirror, and hangs where that cannot be reached.

use crate::objects::{DISCOVERY, OAUTH2_PROXY, PORT};
use crate::settings::Site;
use k8s_openapi::api::core::v1::{Secret, Service};
use k8s_openapi::api::networking::v1::IngressClass;
use k8s_openapi::api::storage::v1::StorageClass;
use serde_json::json;
use thinkube_sdk::{Check, HttpMethod, HttpProbe, Kind, Object, ObjectRef};

/// What is either so or not: asking again for longer helps nobody.
const AT_ONCE_SECONDS: u32 = 5;

pub(crate) fn ingress_class() -> Check {
    Check::object(
        "ingress-class",
        "The IngressClass nginx is there",
        Kind::of::<IngressClass>().cluster_wide("nginx"),
    )
    .timeout_seconds(AT_ONCE_SECONDS)
    .warning()
    .remedy("Install the platform's ingress first; until then DevPI answers inside the cluster only.")
}

/// A warning only: a volume that an administrator made by hand binds without any class.
pub(crate) fn default_storage_class() -> Check {
    let default = "'storageclass.kubernetes.io/is-default-class'";
    Check::objects("default-storage-class", "A StorageClass is the default", Kind::of::<StorageClass>().all())
        .cel(format!(
            "objects.exists(class, has(class.metadata.annotations) && {default} in class.metadata.annotations \
             && class.metadata.annotations[{default}] == 'true')"
        ))
        .timeout_seconds(AT_ONCE_SECONDS)
        .warning()
        .remedy(format!("Annotate one StorageClass with {default}: 'true', or make a volume for the claim by hand."))
}

pub(crate) fn answers(site: &Site) -> Check {
    Check::http("api-answers", "The server answers", get(site, "/+api"))
        .remedy("Look at the pod's log: a first start prepares the database before it listens.")
}

pub(crate) fn namespace(namespace: &Object) -> Check {
    Check::object("namespace", "The namespace is there and not on its way out", namespace)
        .cel("object.status.phase == 'Active'")
        .timeout_seconds(AT_ONCE_SECONDS)
}

pub(crate) fn root_password(secret: impl Into<ObjectRef>) -> Check {
    Check::object("root-password", "The Secret with root's password is there", secret)
        .timeout_seconds(AT_ONCE_SECONDS)
}

pub(crate) fn volume_bound(claim: &Object) -> Check {
    Check::object("volume", "The volume is bound", claim)
        .cel("object.status.phase == 'Bound'")
        .remedy("`kubectl describe` the claim: it says which class or volume it waits for.")
}

pub(crate) fn nginx_headers(headers: &Object) -> Check {
    Check::object("nginx-headers", "The header settings are there", headers).timeout_seconds(AT_ONCE_SECONDS)
}

pub(crate) fn server(deployment: &Object) -> Check {
    Check::ready("server", "The server runs", deployment)
}

pub(crate) fn service(service: &Object) -> Check {
    Check::object("service", "The Service leads to the server", service)
        .cel(format!("object.spec.ports.exists(port, port.port == {PORT})"))
        .timeout_seconds(AT_ONCE_SECONDS)
}

pub(crate) fn ingress(name: &str, title: &str, ingress: &Object, host: &str) -> Check {
    Check::object(name, title, ingress)
        .cel(format!("object.spec.rules.exists(rule, rule.host == '{host}')"))
        .timeout_seconds(AT_ONCE_SECONDS)
}

pub(crate) fn discovery(config: &Object) -> Check {
    Check::object("discovery", format!("Control finds DevPI by {DISCOVERY}"), config)
        .cel("object.metadata.labels['thinkube.io/managed'] == 'true' && 'service.yaml' in object.data")
        .timeout_seconds(AT_ONCE_SECONDS)
}

/// Links that the server writes lead to where clients can follow them.
pub(crate) fn outside_url(site: &Site) -> Check {
    Check::http("outside-url", "The server knows its address", get(site, "/+api")).cel(format!(
        "status == 200 && json.type == 'apiconfig' && json.result.login.startsWith('https://{}/')",
        site.api
    ))
}

pub(crate) fn tls_secret(site: &Site) -> Check {
    Check::object(
        "tls-secret",
        "The certificate's Secret is there",
        Kind::of::<Secret>().namespaced(&site.namespace, &site.tls_secret),
    )
    .timeout_seconds(AT_ONCE_SECONDS)
    .warning()
    .remedy("This version does not copy it: copy the platform's wildcard certificate into the namespace.")
}

pub(crate) fn oauth2_proxy(site: &Site) -> Check {
    Check::object(
        OAUTH2_PROXY,
        "The OAuth2 proxy that guards the dashboard is there",
        Kind::of::<Service>().namespaced(&site.namespace, OAUTH2_PROXY),
    )
    .timeout_seconds(AT_ONCE_SECONDS)
    .warning()
    .remedy("This version does not install it. Without it the dashboard lets nobody in; the API is not concerned.")
}

/// A Status of the API server has a `kind`, devpi's answers have none: a refusal by the former must not pass for one
/// by the latter.
const ANSWERED_BY_DEVPI: &str = "!has(json.kind)";

pub(crate) fn empty_password_refused(site: &Site) -> Check {
    let login = request(site, HttpMethod::Post, "/+login").json(&json!({"user": "root", "password": ""}));
    Check::http("empty-password-refused", "Root cannot log in with an empty password", login)
        .cel(format!("status == 401 && {ANSWERED_BY_DEVPI}"))
        .timeout_seconds(AT_ONCE_SECONDS)
        .remedy("Set one in the pod with `devpi-passwd root`.")
}

/// Harmless where it fails: devpi looks at the permission first, and then makes no user without a password.
pub(crate) fn anonymous_users_refused(site: &Site) -> Check {
    let create = request(site, HttpMethod::Put, "/thinkube-check").json(&json!({}));
    Check::http("anonymous-users-refused", "Nobody can make a user without logging in", create)
        .cel(format!("status == 403 && {ANSWERED_BY_DEVPI}"))
        .timeout_seconds(AT_ONCE_SECONDS)
        .remedy("The server runs without --restrict-modify=root; look at DEVPI_EXTRA_ARGS of the Deployment.")
}

fn get(site: &Site, path: &str) -> HttpProbe {
    request(site, HttpMethod::Get, path)
}

fn request(site: &Site, method: HttpMethod, path: &str) -> HttpProbe {
    // devpi answers a browser in HTML otherwise.
    HttpProbe::service(method, &site.namespace, "devpi", PORT, path).header("accept", "application/json")
}
