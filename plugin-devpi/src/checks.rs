//! What must hold before, during and after. No check looks at an index's `+simple/`: it lists every name of the
//! public index through the mirror, and hangs where that cannot be reached.

use crate::objects::{PASSWORD_VARIABLE, PORT, PULL_SECRET, ROOT_SECRET, ROOT_SECRET_KEY};
use crate::settings::Settings;
use k8s_openapi::api::core::v1::Secret;
use serde_json::{Value, json};
use thinkube_sdk::recipes::{ServiceDiscovery, platform, secret_ref};
use thinkube_sdk::{Check, HttpMethod, HttpProbe, Object, ObjectRef, SecretKey, Status, TypeMeta, Verdict};

/// What is either so or not: asking again for longer helps nobody.
const AT_ONCE_SECONDS: u32 = 5;
/// The check that the plugin judges itself.
pub(crate) const INDEX_CONFIG: &str = "index-config";

/// Every service that this one depends on, by something real.
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
            "The registry's credentials are there",
            secret_ref(&settings.harbor_pull_secret),
        )
        .cel("object.type == 'kubernetes.io/dockerconfigjson'")
        .timeout_seconds(AT_ONCE_SECONDS)
        .remedy(
            "Install the platform's registry first, or name the Secret with the setting harbor_pull_secret.",
        ),
    );
    checks
}

fn hosts(settings: &Settings) -> [&str; 2] {
    [&settings.devpi_dashboard_hostname, &settings.devpi_api_hostname]
}

pub(crate) fn answers(settings: &Settings) -> Check {
    Check::http("api-answers", "The server answers", get(settings, "/+api"))
        .remedy("Look at the pod's log: a first start prepares the database before it listens.")
}

pub(crate) fn namespace(namespace: ObjectRef) -> Check {
    Check::object("namespace", "The namespace is there and not on its way out", namespace)
        .cel("object.status.phase == 'Active'")
        .timeout_seconds(AT_ONCE_SECONDS)
}

pub(crate) fn root_password(settings: &Settings) -> Check {
    Check::object("root-password", "The Secret with root's password is there", secret(settings, ROOT_SECRET))
        .timeout_seconds(AT_ONCE_SECONDS)
}

/// A password that is changed reaches the Secret with an apply, and the server with an operation alone. A warning: the
/// server works, and an index that is as it should be takes no login.
pub(crate) fn root_login(settings: &Settings, release: &str) -> Check {
    let password = SecretKey {
        namespace: settings.devpi_namespace.clone(),
        name: ROOT_SECRET.to_owned(),
        key: ROOT_SECRET_KEY.to_owned(),
    };
    let ask = get(settings, "/+api").credentials("x-devpi-auth", "root", password);
    Check::http("root-login", "Root's password in DevPI is the one in the Secret devpi-root", ask)
        .cel("status == 200 && json.result.authstatus[0] == 'ok' && json.result.authstatus[1] == 'root'")
        .timeout_seconds(AT_ONCE_SECONDS)
        .warning()
        .remedy(format!(
            "Give the server the password that is supplied now: `thinkube-host run reset-root-password --release {release} \
             --plugin PLUGIN`. Or apply with the password that the server has.",
        ))
}

pub(crate) fn tls_secret(settings: &Settings) -> Check {
    platform::certificate(secret(settings, &settings.tls_secret_name), &hosts(settings))
        .named("tls-secret")
        .remedy("`thinkube-host apply` copies the platform's certificate again; if that one is old, renew it first.")
}

pub(crate) fn pull_secret(settings: &Settings) -> Check {
    Check::object("pull-secret", "The registry's credentials are there", secret(settings, PULL_SECRET))
        .cel("object.type == 'kubernetes.io/dockerconfigjson'")
        .timeout_seconds(AT_ONCE_SECONDS)
}

fn secret(settings: &Settings, name: &str) -> ObjectRef {
    TypeMeta::of::<Secret>().namespaced(&settings.devpi_namespace, name)
}

pub(crate) fn volume_bound(claim: &Object) -> Check {
    Check::object("volume", "The volume is bound", claim)
        .cel("object.status.phase == 'Bound'")
        .remedy("`kubectl describe` the claim: it says which class or volume it waits for.")
}

pub(crate) fn runs(name: &str, title: &str, deployment: &Object) -> Check {
    Check::ready(name, title, deployment)
        .remedy(format!("`kubectl logs deploy/{}` in the namespace says why.", deployment.reference().name))
}

/// By what answers behind it: an object says where a Service leads to, and not whether anything is there.
pub(crate) fn service(settings: &Settings) -> Check {
    Check::http("service", "The Service leads to the server", get(settings, "/+api"))
        .cel("status == 200 && json.type == 'apiconfig'")
        .remedy("`kubectl get endpointslices` in the namespace says which pods are behind the Service.")
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
        "`kubectl describe` the route: its events and conditions say whether the platform's ingress took it.",
    )
}

pub(crate) fn nginx_headers(headers: &Object) -> Check {
    Check::object("nginx-headers", "The headers for the ingress controller are there", headers)
        .cel("object.data['X-Outside-URL'] == 'https://$host' && object.data.size() == 5")
        .timeout_seconds(AT_ONCE_SECONDS)
}

pub(crate) fn discovery(settings: &Settings, config: &ServiceDiscovery) -> Check {
    // With a password in it, the host shows no more of it than its keys.
    let (complete, title) = if settings.devpi_password_in_clear {
        let keys = format!(" && object.keys == ['{PASSWORD_VARIABLE}', 'service.yaml']");
        (keys, "with the password in clear")
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
        (all, "with all of its parts and no password")
    };
    let title = format!("Control finds DevPI by {}, {title}", ServiceDiscovery::NAME);
    Check::object("discovery", title, config.reference())
        .cel(format!("object.metadata.labels['thinkube.io/managed'] == 'true'{complete}"))
        .timeout_seconds(AT_ONCE_SECONDS)
}

/// Links that the server writes lead to where clients can follow them.
pub(crate) fn outside_url(settings: &Settings) -> Check {
    Check::http("outside-url", "The server knows its address", get(settings, "/+api")).cel(format!(
        "status == 200 && json.type == 'apiconfig' && json.result.login.startsWith('{}/')",
        settings.api()
    ))
}

/// The index as the bootstrap makes it: when it is so, there is nothing to do.
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
    .remedy("`thinkube-host apply` makes and mends it.")
}

/// Where pip looks for packages in it.
pub(crate) fn simple_index(settings: &Settings) -> Check {
    let index = settings.index();
    Check::http("simple-index", "pip finds the index", get(settings, &format!("/{index}/+api")))
        .cel(format!("status == 200 && json.result.simpleindex.endsWith('/{index}/+simple/')"))
        .timeout_seconds(AT_ONCE_SECONDS)
}

/// The same as [`index`], said by the field.
pub(crate) fn index_config(settings: &Settings) -> Check {
    let path = format!("/{}?no_projects=", settings.index());
    Check::http(
        INDEX_CONFIG,
        "Only root uploads to the index, and nothing is uploaded twice",
        get(settings, &path),
    )
    .evaluated()
    .timeout_seconds(AT_ONCE_SECONDS)
    .remedy("`devpi index` changes what is said here; `thinkube-host apply` mends bases and volatile.")
}

/// What [`index_config`] saw.
pub(crate) fn judge_index(seen: &Value) -> Verdict {
    let result = &seen["json"]["result"];
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
    match (seen["status"] == 200, wrong.is_empty()) {
        (false, _) => verdict(Status::Failed, format!("the server answers {}, expected 200", seen["status"])),
        (true, false) => verdict(Status::Failed, wrong.join("; ")),
        (true, true) => {
            verdict(Status::Passed, "type, bases, volatile and acl_upload are as they should be".into())
        }
    }
}

fn verdict(status: Status, message: String) -> Verdict {
    Verdict { status, message, remedy: None }
}

/// Through name, certificate and route, as pip comes in.
pub(crate) fn api_from_outside(settings: &Settings) -> Check {
    let probe = HttpProbe::url(HttpMethod::Get, format!("{}/+api", settings.api()))
        .header("accept", "application/json");
    Check::http("api", "The API answers at its address", probe)
        .cel("status == 200 && json.type == 'apiconfig'")
        .remedy("Look at the name in DNS, at the certificate, and at the route of the API.")
}

/// With 200 it would be open to everybody, as the original's was once and its test did not see.
pub(crate) fn login_asked_for(settings: &Settings) -> Check {
    let dashboard = HttpProbe::url(HttpMethod::Get, format!("{}/", settings.dashboard()));
    Check::http("dashboard-asks-for-login", "The dashboard sends who has not logged in to do so", dashboard)
        .cel(format!(
            "status in [302, 303, 307] && (headers['location'].startsWith('{}/realms/{}/') \
             || headers['location'].contains('/oauth2/start'))",
            settings.keycloak_url, settings.keycloak_realm
        ))
        .remedy("With 200 everybody can see it: look at the route of the dashboard and at the OAuth2 proxy.")
}

/// Without a login that it began it refuses; devpi would not know the path at all.
pub(crate) fn callback(settings: &Settings) -> Check {
    let callback = HttpProbe::url(HttpMethod::Get, format!("{}/oauth2/callback", settings.dashboard()));
    Check::http("oauth2-callback", "The OAuth2 proxy answers where Keycloak sends people back to", callback)
        .cel("status == 403 || status == 500")
        .timeout_seconds(AT_ONCE_SECONDS)
        .remedy("Look at the route to /oauth2 and at the proxy's log.")
}

/// A Status of the API server has a `kind`, devpi's answers have none: a refusal by the former must not pass for one
/// by the latter.
const ANSWERED_BY_DEVPI: &str = "!has(json.kind)";

pub(crate) fn empty_password_refused(settings: &Settings) -> Check {
    let login = request(settings, HttpMethod::Post, "/+login").json(&json!({"user": "root", "password": ""}));
    Check::http("empty-password-refused", "Root cannot log in with an empty password", login)
        .cel(format!("status == 401 && {ANSWERED_BY_DEVPI}"))
        .timeout_seconds(AT_ONCE_SECONDS)
        .remedy("Set one in the pod with `devpi-passwd root`.")
}

/// Harmless where it fails: devpi looks at the permission first, and then makes no user without a password.
pub(crate) fn anonymous_users_refused(settings: &Settings) -> Check {
    let create = request(settings, HttpMethod::Put, "/thinkube-check").json(&json!({}));
    Check::http("anonymous-users-refused", "Nobody can make a user without logging in", create)
        .cel(format!("status == 403 && {ANSWERED_BY_DEVPI}"))
        .timeout_seconds(AT_ONCE_SECONDS)
        .remedy("The server runs without --restrict-modify=root; look at DEVPI_EXTRA_ARGS of the Deployment.")
}

fn get(settings: &Settings, path: &str) -> HttpProbe {
    request(settings, HttpMethod::Get, path)
}

fn request(settings: &Settings, method: HttpMethod, path: &str) -> HttpProbe {
    // devpi answers a browser in HTML otherwise.
    HttpProbe::service(method, &settings.devpi_namespace, "devpi", PORT, path)
        .header("accept", "application/json")
}
