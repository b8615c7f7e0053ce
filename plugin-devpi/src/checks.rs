//! The checks: preflight, gates, health and tests. No check requests `+simple/` of an index: it lists every name of the public
//! index through the mirror, and hangs if that is unreachable.

use crate::objects::{PASSWORD_VARIABLE, PORT, PULL_SECRET, ROOT_SECRET, ROOT_SECRET_KEY};
use crate::settings::Settings;
use k8s_openapi::api::core::v1::Secret;
use serde_json::{Value, json};
use thinkube_sdk::recipes::{ServiceDiscovery, platform, secret_ref};
use thinkube_sdk::{Check, HttpMethod, HttpProbe, Object, ObjectRef, SecretKey, Status, TypeMeta, Verdict};

/// For a check whose result does not change while the host waits.
const STATIC_TIMEOUT_SECONDS: u32 = 5;
/// The check that the plugin evaluates.
pub(crate) const INDEX_CONFIG: &str = "index-config";

/// One check or more for each service on which DevPI depends.
pub(crate) fn dependencies(settings: &Settings) -> Vec<Check> {
    let mut checks = vec![
        platform::node(),
        platform::default_storage_class(),
        platform::certificate(secret_ref(&settings.tls_source_secret), &hosts(settings)),
        platform::routing(&settings.routing()),
    ];
    if settings.oauth2_proxy_enabled {
        checks.push(platform::realm(&settings.keycloak_url, &settings.keycloak_realm));
    }
    checks.push(platform::registry(&settings.harbor_registry));
    checks.push(
        Check::object(
            "registry-credentials",
            "The registry credentials exist",
            secret_ref(&settings.harbor_pull_secret),
        )
        .cel("object.type == 'kubernetes.io/dockerconfigjson'")
        .timeout_seconds(STATIC_TIMEOUT_SECONDS)
        .remedy("Install the platform's registry first, or set harbor_pull_secret to the Secret."),
    );
    checks
}

fn hosts(settings: &Settings) -> [&str; 2] {
    [&settings.devpi_dashboard_hostname, &settings.devpi_api_hostname]
}

pub(crate) fn answers(settings: &Settings) -> Check {
    Check::http("api-answers", "The server answers", get(settings, "/+api")).remedy(
        "`kubectl logs deploy/devpi` shows why. A first start creates the database before it listens.",
    )
}

pub(crate) fn namespace(namespace: ObjectRef) -> Check {
    Check::object("namespace", "The namespace is active", namespace)
        .cel("object.status.phase == 'Active'")
        .timeout_seconds(STATIC_TIMEOUT_SECONDS)
}

pub(crate) fn root_password(settings: &Settings) -> Check {
    Check::object("root-password", "The Secret with root's password exists", secret(settings, ROOT_SECRET))
        .timeout_seconds(STATIC_TIMEOUT_SECONDS)
}

/// An apply writes a changed password into the Secret, but only an operation writes it into the server. A warning, because the
/// server works, and a correct index needs no login.
pub(crate) fn root_login(settings: &Settings, release: &str) -> Check {
    let password = SecretKey {
        namespace: settings.devpi_namespace.clone(),
        name: ROOT_SECRET.to_owned(),
        key: ROOT_SECRET_KEY.to_owned(),
    };
    let ask = get(settings, "/+api").credentials("x-devpi-auth", "root", password);
    Check::http("root-login", "The password of root in DevPI is that of the Secret devpi-root", ask)
        .cel("status == 200 && json.result.authstatus[0] == 'ok' && json.result.authstatus[1] == 'root'")
        .timeout_seconds(STATIC_TIMEOUT_SECONDS)
        .warning()
        .remedy(format!(
            "Write the password into the server: `thinkube-host run reset-root-password --release {release} --plugin PLUGIN`. \
             Or apply with the server's password.",
        ))
}

pub(crate) fn tls_secret(settings: &Settings) -> Check {
    platform::certificate(secret(settings, &settings.tls_secret_name), &hosts(settings))
        .named("tls-secret")
        .remedy("`thinkube-host apply` copies the platform's certificate again. If that has expired, renew it first.")
}

pub(crate) fn pull_secret(settings: &Settings) -> Check {
    Check::object("pull-secret", "The registry credentials exist", secret(settings, PULL_SECRET))
        .cel("object.type == 'kubernetes.io/dockerconfigjson'")
        .timeout_seconds(STATIC_TIMEOUT_SECONDS)
}

fn secret(settings: &Settings, name: &str) -> ObjectRef {
    TypeMeta::of::<Secret>().namespaced(&settings.devpi_namespace, name)
}

pub(crate) fn volume_bound(pvc: &Object) -> Check {
    Check::object("volume", "The volume is bound", pvc)
        .cel("object.status.phase == 'Bound'")
        .remedy("`kubectl describe pvc` shows which StorageClass or volume it waits for.")
}

pub(crate) fn runs(name: &str, title: &str, deployment: &Object) -> Check {
    Check::ready(name, title, deployment)
        .remedy(format!("`kubectl logs deploy/{}` shows why.", deployment.reference().name))
}

/// An HTTP request, because the Service object does not show whether a pod answers.
pub(crate) fn service(settings: &Settings) -> Check {
    Check::http("service", "The Service reaches the server", get(settings, "/+api"))
        .cel("status == 200 && json.type == 'apiconfig'")
        .remedy("`kubectl get endpointslices` shows which pods the Service reaches.")
}

pub(crate) fn route(name: &str, title: &str, route: &Object, host: &str) -> Check {
    let named = match route.reference().kind.as_str() {
        "Ingress" => format!("object.spec.rules.exists(rule, rule.host == '{host}')"),
        _ => format!(
            "'{host}' in object.spec.hostnames && object.status.parents.exists(parent, \
             parent.conditions.exists(c, c.type == 'Accepted' && c.status == 'True'))"
        ),
    };
    Check::object(name, title, route).cel(named).timeout_seconds(30).remedy(
        "`kubectl describe` the route: its events and conditions show whether the platform's ingress accepted it.",
    )
}

pub(crate) fn nginx_headers(headers: &Object) -> Check {
    Check::object("nginx-headers", "The ConfigMap with headers for ingress-nginx is complete", headers)
        .cel("object.data['X-Outside-URL'] == 'https://$host' && object.data.size() == 5")
        .timeout_seconds(STATIC_TIMEOUT_SECONDS)
}

pub(crate) fn discovery(settings: &Settings, config: &ServiceDiscovery) -> Check {
    // The host shows only the keys of a ConfigMap that it wrote secrets into.
    let (complete, title) = if settings.devpi_password_in_clear {
        let keys = format!(" && object.keys == ['{PASSWORD_VARIABLE}', 'service.yaml']");
        (keys, "with the password in clear text")
    } else {
        let parts = [
            "name: \"devpi\"",
            "endpoints:",
            "scaling:",
            "DEVPI_URL",
            "DEVPI_INDEX",
            "DEVPI_USERNAME",
            "secretKeyRef",
        ];
        let all = parts.map(|text| format!(" && object.data['service.yaml'].contains('{text}')")).concat();
        (all, "without a password")
    };
    let title = format!("thinkube-control finds DevPI by {}, {title}", ServiceDiscovery::NAME);
    Check::object("discovery", title, config.reference())
        .cel(format!("object.metadata.labels['thinkube.io/managed'] == 'true'{complete}"))
        .timeout_seconds(STATIC_TIMEOUT_SECONDS)
}

/// The server builds its links with an address that clients can reach.
pub(crate) fn outside_url(settings: &Settings) -> Check {
    Check::http("outside-url", "The server links to the API's host", get(settings, "/+api")).cel(format!(
        "status == 200 && json.type == 'apiconfig' && json.result.login.startsWith('{}/')",
        settings.api()
    ))
}

/// The index is as the bootstrap Job leaves it. The stage `bootstrap` is skipped if it passes.
pub(crate) fn index(settings: &Settings) -> Check {
    let path = format!("/{}?no_projects=", settings.index());
    Check::http(
        "index",
        format!("The index {} has the base root/pypi", settings.index()),
        get(settings, &path),
    )
    .cel(
        "status == 200 && json.result.type == 'stage' && json.result.bases == ['root/pypi'] \
             && json.result.volatile == false",
    )
    .timeout_seconds(30)
    .remedy("`thinkube-host apply` creates and repairs it.")
}

/// The address at which pip finds packages.
pub(crate) fn simple_index(settings: &Settings) -> Check {
    let index = settings.index();
    Check::http("simple-index", "pip finds the index", get(settings, &format!("/{index}/+api")))
        .cel(format!("status == 200 && json.result.simpleindex.endsWith('/{index}/+simple/')"))
        .timeout_seconds(STATIC_TIMEOUT_SECONDS)
}

/// Like [`index`], but names each wrong field.
pub(crate) fn index_config(settings: &Settings) -> Check {
    let path = format!("/{}?no_projects=", settings.index());
    Check::http(INDEX_CONFIG, "Only root may upload, and an upload cannot be replaced", get(settings, &path))
        .evaluated()
        .timeout_seconds(STATIC_TIMEOUT_SECONDS)
        .remedy("`devpi index` changes the named fields; `thinkube-host apply` repairs bases and volatile.")
}

/// Evaluates the observation of [`index_config`].
pub(crate) fn evaluate_index(observed: &Value) -> Verdict {
    let result = &observed["json"]["result"];
    let wanted = [
        ("type", json!("stage")),
        ("bases", json!(["root/pypi"])),
        ("volatile", json!(false)),
        ("acl_upload", json!(["root"])),
    ];
    let wrong: Vec<String> = wanted
        .iter()
        .filter(|(field, wanted)| result[*field] != *wanted)
        .map(|(field, wanted)| format!("{field} is {}, expected {wanted}", result[*field]))
        .collect();
    match (observed["status"] == 200, wrong.is_empty()) {
        (false, _) => {
            verdict(Status::Failed, format!("the server answers {}, expected 200", observed["status"]))
        }
        (true, false) => verdict(Status::Failed, wrong.join("; ")),
        (true, true) => {
            verdict(Status::Passed, "type, bases, volatile and acl_upload are as expected".into())
        }
    }
}

fn verdict(status: Status, message: String) -> Verdict {
    Verdict { status, message, remedy: None }
}

/// Tests DNS, certificate and route, like pip.
pub(crate) fn api_from_outside(settings: &Settings) -> Check {
    let probe = HttpProbe::url(HttpMethod::Get, format!("{}/+api", settings.api()))
        .header("accept", "application/json");
    Check::http("api", "The API answers at its URL", probe)
        .cel("status == 200 && json.type == 'apiconfig'")
        .remedy("Check the host name in DNS, the certificate, and the route of the API.")
}

/// A status of 200 means an open dashboard, which the original's test accepted.
pub(crate) fn login_asked_for(settings: &Settings) -> Check {
    let dashboard = HttpProbe::url(HttpMethod::Get, format!("{}/", settings.dashboard()));
    Check::http("dashboard-asks-for-login", "The dashboard requires a login", dashboard)
        .cel(format!(
            "status in [302, 303, 307] && (headers['location'].startsWith('{}/realms/{}/') \
             || headers['location'].contains('/oauth2/start'))",
            settings.keycloak_url, settings.keycloak_realm
        ))
        .remedy("A status of 200 means that everyone can see it. Check the route of the dashboard and the OAuth2 proxy.")
}

/// The proxy rejects a callback without a login; DevPI would answer 404.
pub(crate) fn callback(settings: &Settings) -> Check {
    let callback = HttpProbe::url(HttpMethod::Get, format!("{}/oauth2/callback", settings.dashboard()));
    Check::http("oauth2-callback", "The OAuth2 proxy answers at the redirect URL", callback)
        .cel("status == 403 || status == 500")
        .timeout_seconds(STATIC_TIMEOUT_SECONDS)
        .remedy("Check the route to /oauth2; `kubectl logs deploy/oauth2-proxy` shows errors.")
}

/// Distinguishes a rejection by DevPI from one by the API server, whose Status has a `kind`.
const ANSWERED_BY_DEVPI: &str = "!has(json.kind)";

pub(crate) fn empty_password_refused(settings: &Settings) -> Check {
    let login = request(settings, HttpMethod::Post, "/+login").json(&json!({"user": "root", "password": ""}));
    Check::http("empty-password-refused", "Root cannot log in with an empty password", login)
        .cel(format!("status == 401 && {ANSWERED_BY_DEVPI}"))
        .timeout_seconds(STATIC_TIMEOUT_SECONDS)
        .remedy("`thinkube-host run reset-root-password` sets a password.")
}

/// Creates no user even if the check fails: after the permission DevPI demands a password.
pub(crate) fn anonymous_users_refused(settings: &Settings) -> Check {
    let create = request(settings, HttpMethod::Put, "/thinkube-check").json(&json!({}));
    Check::http("anonymous-users-refused", "Creating a user requires a login", create)
        .cel(format!("status == 403 && {ANSWERED_BY_DEVPI}"))
        .timeout_seconds(STATIC_TIMEOUT_SECONDS)
        .remedy("The server runs without --restrict-modify=root. Check DEVPI_EXTRA_ARGS of the Deployment.")
}

fn get(settings: &Settings, path: &str) -> HttpProbe {
    request(settings, HttpMethod::Get, path)
}

fn request(settings: &Settings, method: HttpMethod, path: &str) -> HttpProbe {
    // Without it devpi answers in HTML.
    HttpProbe::service(method, &settings.devpi_namespace, "devpi", PORT, path)
        .header("accept", "application/json")
}
