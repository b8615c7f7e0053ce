//! The objects, one function each. Values are those of the Ansible component unless a comment says why not.

use crate::settings::{By, Sessions, Settings};
use crate::{ADMIN_PASSWORD, KEYCLOAK_PASSWORD};
use serde_json::json;
use thinkube_sdk::recipes::{
    Endpoint, KeycloakClient, Namespace, OAuth2Proxy, PythonJob, Route, ServiceDiscovery, SessionStore,
    secret_ref,
};
use thinkube_sdk::{Encoding, Image, Object, ObjectRef, Secret, SecretKey, TypeMeta, template};

/// The Secret with root's password, and its key.
pub(crate) const ROOT_SECRET: &str = "devpi-root";
pub(crate) const ROOT_SECRET_KEY: &str = "password";
pub(crate) const PASSWORD_VARIABLE: &str = "DEVPI_PASSWORD";
/// The only port there is: the image's entrypoint listens on no other.
pub(crate) const PORT: u16 = 3141;
pub(crate) const PULL_SECRET: &str = "harbor-pull-secret";
const PROXY: &str = "oauth2-proxy";
/// The header that outranks the server's own setting: its links lead where a client says that may set it.
const OUTSIDE_URL: &str = "X-Outside-URL";
const KEYCLOAK_CA: &str = "keycloak-ca";
const CLAIM: &str = "devpi-data-pvc";
/// The volume's mount point. The image's own place is another; DEVPISERVER_SERVERDIR moves it here.
const MOUNT: &str = "/devpi";
/// The user `devpi` of the image.
const USER_ID: u32 = 1000;

pub(crate) fn namespace(settings: &Settings) -> Namespace {
    let namespace = Namespace::new(&settings.devpi_namespace)
        .certificate(&settings.tls_secret_name, &settings.tls_source_secret)
        .pull_secret(PULL_SECRET, &settings.harbor_pull_secret);
    match &settings.keycloak_ca_secret {
        Some(source) if settings.oauth2_proxy_enabled => namespace.mirror(KEYCLOAK_CA, source, "Opaque"),
        _ => namespace,
    }
}

/// The step that builds the server's image.
const IMAGE: &str = "image";

/// None where a ready image is named. The original builds whatever its branch is at, at every run, and pushes it without
/// looking at the registry's certificate.
pub(crate) fn image(settings: &Settings) -> Option<Image> {
    let destination =
        format!("{}/{}/devpi:{}", settings.harbor_registry, settings.harbor_project, settings.image_tag());
    let login = secret_ref(&settings.harbor_pull_secret);
    let image = Image::from_git(IMAGE, &settings.devpi_git_url, &settings.devpi_git_revision, destination)
        .dockerfile(&settings.devpi_dockerfile)
        .push_credentials(login.namespace.unwrap_or_default(), login.name);
    settings.devpi_image.is_none().then_some(image)
}

/// What stands for the image until it is known.
fn image_name(settings: &Settings) -> &str {
    settings.devpi_image.as_deref().unwrap_or("")
}

/// The image that is built, by its digest, in the first container of each of these lists.
fn with_image(object: Object, settings: &Settings, lists: &[&str]) -> Object {
    let built = lists.iter().filter(|_| settings.devpi_image.is_none());
    built.fold(object, |object, list| {
        object.bind(format!("/spec/template/spec/{list}/0/image"), IMAGE, "reference")
    })
}

/// The original hands the password to a Job's script in clear. Here only its origin is said.
pub(crate) fn root_password(settings: &Settings) -> Secret {
    Secret::new(&settings.devpi_namespace, ROOT_SECRET).input(ROOT_SECRET_KEY, ADMIN_PASSWORD)
}

/// Retained on uninstall: it holds packages that exist nowhere else, which the original's removal deletes unasked.
pub(crate) fn volume_claim(settings: &Settings) -> Object {
    Object::of(&template(
        stringify!(
            {
              "apiVersion": "v1",
              "kind": "PersistentVolumeClaim",
              "metadata": {"name": "${claim}", "namespace": "${namespace}"},
              "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "${size}"}}}
            }
        ),
        &json!({"claim": CLAIM, "namespace": settings.devpi_namespace, "size": settings.devpi_storage_size}),
    ))
    .retain()
}

/// One stage, where the original deploys twice, at each run. Its reason was to set root's password from inside before
/// the outside URL sends clients through DNS and public TLS; DEVPISERVER_ROOT_PASSWD sets it before the server first
/// listens, so there is no moment with an empty password either, and a second run is no outage.
pub(crate) fn deployment(settings: &Settings) -> Object {
    let server_dir = format!("{MOUNT}/server");
    // Without it the entrypoint ends at its `chmod` of a directory that is not there. A subPath mount would not do:
    // the kubelet makes its directory as root. fsGroup also opens the server's secret file to the group once, when a
    // volume of the original first gets it, and devpi-server refuses to start on a secret that others can read.
    let prepare = format!(
        "mkdir -p {server_dir} && chmod 700 {server_dir} && \
         if [ -e {server_dir}/secret ]; then chmod 600 {server_dir}/secret; fi"
    );
    let deployment = Object::of(&template(
        stringify!(
            {
              "apiVersion": "apps/v1",
              "kind": "Deployment",
              "metadata": {"name": "devpi", "namespace": "${namespace}"},
              "spec": {
                "replicas": 1,
                "selector": {"matchLabels": {"app": "devpi"}},
                // The volume is ReadWriteOnce and the server's database has one writer.
                "strategy": {"type": "Recreate"},
                "template": {
                  "metadata": {"labels": {"app": "devpi"}},
                  "spec": {
                    "imagePullSecrets": [{"name": "${pull_secret}"}],
                    // The original runs as the image says, after a busybox of no fixed version has chowned the volume
                    // as root. With a group on the volume nothing has to be root. OnRootMismatch: the default would
                    // open the server's secret file to the group at every start, not only once.
                    "securityContext": {
                      "runAsNonRoot": true,
                      "runAsUser": "${user}",
                      "runAsGroup": "${user}",
                      "fsGroup": "${user}",
                      "fsGroupChangePolicy": "OnRootMismatch",
                      "seccompProfile": {"type": "RuntimeDefault"}
                    },
                    // The server never asks the API server for anything.
                    "automountServiceAccountToken": false,
                    "initContainers": [{
                      "name": "prepare-volume",
                      "image": "${image}",
                      "imagePullPolicy": "IfNotPresent",
                      "command": ["sh", "-c", "${prepare}"],
                      "securityContext": {"allowPrivilegeEscalation": false, "capabilities": {"drop": ["ALL"]}},
                      // The namespace may have a quota, which refuses a container without.
                      "resources": {
                        "requests": {"cpu": "10m", "memory": "16Mi"},
                        "limits": {"cpu": "100m", "memory": "64Mi"}
                      },
                      "volumeMounts": [{"name": "devpi-data", "mountPath": "${mount}"}]
                    }],
                    "containers": [{
                      "name": "devpi",
                      "image": "${image}",
                      // The original's `latest` is pulled at every start; a fixed tag need not be.
                      "imagePullPolicy": "IfNotPresent",
                      "ports": [{"containerPort": "${port}"}],
                      // Not from the original: DEVPI_PORT, which nothing reads, and DEVPI_TRUSTED_PROXY=10.0.0.0/8,
                      // which the server compares with a peer's address as text, so that no range ever matches.
                      // DEVPI_EXTRA_ARGS: else anybody who reaches the open API makes users and indexes.
                      // DEVPISERVER_ROOT_PASSWD takes effect on the first start only.
                      "env": [
                        {"name": "DEVPISERVER_SERVERDIR", "value": "${server_dir}"},
                        {"name": "DEVPI_OUTSIDE_URL", "value": "${api}"},
                        {"name": "DEVPI_EXTRA_ARGS", "value": "--restrict-modify=root"},
                        {
                          "name": "DEVPISERVER_ROOT_PASSWD",
                          "valueFrom": {"secretKeyRef": {"name": "${root_secret}", "key": "${root_secret_key}"}}
                        }
                      ],
                      "volumeMounts": [{"name": "devpi-data", "mountPath": "${mount}"}],
                      // The first start makes a database for some 14 seconds before it listens, more on a slow disk;
                      // the liveness probe alone would end it. Five minutes at most.
                      "startupProbe": {
                        "httpGet": {"path": "/", "port": "${port}"}, "periodSeconds": 5, "failureThreshold": 60
                      },
                      "livenessProbe": {
                        "httpGet": {"path": "/", "port": "${port}"}, "initialDelaySeconds": 30, "periodSeconds": 10
                      },
                      "readinessProbe": {
                        "httpGet": {"path": "/", "port": "${port}"}, "initialDelaySeconds": 10, "periodSeconds": 5
                      },
                      // The original's first generation sets none; its second had to, because building the search
                      // index at start-up takes more than a namespace's usual default of 1Gi.
                      "resources": {
                        "requests": {"cpu": "200m", "memory": "1Gi"},
                        "limits": {"cpu": "2", "memory": "4Gi"}
                      },
                      "securityContext": {"allowPrivilegeEscalation": false, "capabilities": {"drop": ["ALL"]}}
                    }],
                    "volumes": [{"name": "devpi-data", "persistentVolumeClaim": {"claimName": "${claim}"}}]
                  }
                }
              }
            }
        ),
        &json!({
            "namespace": settings.devpi_namespace,
            "image": image_name(settings),
            "pull_secret": PULL_SECRET,
            "user": USER_ID,
            "prepare": prepare,
            "server_dir": server_dir,
            "api": settings.api(),
            "root_secret": ROOT_SECRET,
            "root_secret_key": ROOT_SECRET_KEY,
            "port": PORT,
            "mount": MOUNT,
            "claim": CLAIM,
        }),
    ));
    with_image(deployment, settings, &["initContainers", "containers"])
}

pub(crate) fn service(settings: &Settings) -> Object {
    Object::of(&template(
        stringify!(
            {
              "apiVersion": "v1",
              "kind": "Service",
              "metadata": {"name": "devpi", "namespace": "${namespace}"},
              "spec": {
                "selector": {"app": "devpi"},
                "ports": [{"port": "${port}", "targetPort": "${port}", "protocol": "TCP"}]
              }
            }
        ),
        &json!({"namespace": settings.devpi_namespace, "port": PORT}),
    ))
}

/// The original waits without end for the server, swallows every failure at the index, and never mends one.
pub(crate) fn bootstrap(settings: &Settings) -> Object {
    let job = job(settings, "devpi-init")
        .variable("SERVER", &server(settings))
        .variable("INDEX", &settings.index())
        .job(include_str!("bootstrap.py"));
    with_image(job, settings, &["containers"])
}

/// Writes root's password into the server's database, as `devpi-passwd` does: nobody needs to know the old one.
pub(crate) fn password_reset(settings: &Settings) -> Object {
    let job = job(settings, "devpi-passwd")
        .volume(CLAIM, MOUNT, USER_ID)
        .on_node_of("devpi")
        .variable("SERVERDIR", &format!("{MOUNT}/server"))
        .job(include_str!("passwd.py"));
    with_image(job, settings, &["containers"])
}

fn job(settings: &Settings, name: &str) -> PythonJob {
    PythonJob::new(&settings.devpi_namespace, name, image_name(settings), USER_ID)
        .pull_secret(PULL_SECRET)
        .secret_variable("PASSWORD", ROOT_SECRET, ROOT_SECRET_KEY)
}

/// Another cookie secret for the proxy. Who is logged in logs in again.
pub(crate) fn new_cookie_secret(settings: &Settings) -> Secret {
    Secret::new(&settings.devpi_namespace, PROXY).rotated("cookie-secret", 32, Encoding::Base64url)
}

pub(crate) fn proxy_workload(settings: &Settings) -> ObjectRef {
    TypeMeta::new("apps/v1", "Deployment").namespaced(&settings.devpi_namespace, PROXY)
}

fn server(settings: &Settings) -> String {
    format!("http://devpi.{}.svc.cluster.local:{PORT}", settings.devpi_namespace)
}

/// The original makes it once and never updates it, so that another host name breaks the login.
pub(crate) fn keycloak_client(settings: &Settings) -> KeycloakClient {
    KeycloakClient::new(
        &settings.keycloak_url,
        &settings.keycloak_realm,
        &settings.oauth2_proxy_client_id,
        (&settings.admin_username, KEYCLOAK_PASSWORD),
        &[&settings.oauth2_proxy_redirect_url],
    )
    .field("baseUrl", settings.dashboard().into())
}

/// None where sessions are in the cookie.
pub(crate) fn session_store(settings: &Settings) -> Option<SessionStore> {
    (settings.oauth2_proxy_session_store_type == Sessions::Redis).then(|| {
        SessionStore::new(
            &settings.devpi_namespace,
            &settings.oauth2_proxy_redis_service,
            &settings.oauth2_proxy_redis_image,
            Some(PULL_SECRET.to_owned()),
        )
    })
}

pub(crate) fn oauth2_proxy(settings: &Settings) -> OAuth2Proxy {
    let client = &settings.oauth2_proxy_client_id;
    let issuer = format!("{}/realms/{}", settings.keycloak_url, settings.keycloak_realm);
    let mut proxy = OAuth2Proxy::new(&settings.devpi_namespace, &settings.oauth2_proxy_image, client, client)
        .provider(&settings.oauth2_proxy_provider, &issuer)
        .redirect(&settings.oauth2_proxy_redirect_url, &settings.domain_name)
        .pull_secret(PULL_SECRET);
    if let Some(store) = session_store(settings) {
        proxy = proxy.session_store(&store.url());
    }
    if settings.keycloak_ca_secret.is_some() {
        proxy = proxy.provider_ca(KEYCLOAK_CA);
    }
    // A Gateway asks nobody whether somebody may come in, which left the original's dashboard open: the proxy stands
    // before it instead.
    if settings.routing == By::Gateway { proxy.upstream(&server(settings)) } else { proxy }
}

/// For people in a browser. The original always asks the proxy, because it never reads oauth2_proxy_enabled.
pub(crate) fn dashboard_route(settings: &Settings) -> Object {
    let behind = settings.oauth2_proxy_enabled && settings.routing == By::Gateway;
    let backend = if behind { (PROXY, 80) } else { ("devpi", PORT) };
    let route = route(settings, "devpi-http", &settings.devpi_dashboard_hostname, backend);
    let route = if settings.oauth2_proxy_enabled {
        route.guarded_by(&oauth2_proxy(settings))
    } else {
        route.auth_url(&always_yes(settings))
    };
    route.request_header(OUTSIDE_URL, settings.dashboard()).object(&settings.routing())
}

/// What answers 200 to everybody, whatever they accept, and without the header [`OUTSIDE_URL`].
fn always_yes(settings: &Settings) -> String {
    format!("{}/+authcheck", server(settings))
}

/// Where people log in. A Gateway sends all of the host's requests to the proxy anyway.
pub(crate) fn login_route(settings: &Settings) -> Option<Object> {
    let route = (settings.oauth2_proxy_enabled && settings.routing == By::Ingress).then(|| {
        let host = &settings.devpi_dashboard_hostname;
        Route::new(&settings.devpi_namespace, PROXY, host, (PROXY, 80)).path("/oauth2")
    });
    route.map(|route| route.tls(&settings.tls_secret_name).object(&settings.routing()))
}

/// For pip and devpi, which cannot sign on in a browser.
pub(crate) fn api_route(settings: &Settings) -> Object {
    route(settings, "devpi-api", &settings.devpi_api_hostname, ("devpi", PORT))
        .auth_url(&always_yes(settings))
        .request_header(OUTSIDE_URL, settings.api())
        .object(&settings.routing())
}

/// The headers of the original, for a controller of ingress-nginx whose own ConfigMap names this one as
/// `proxy-set-headers`. The annotation of that name, by which the original's Ingresses name it, does not exist.
pub(crate) fn nginx_headers(settings: &Settings) -> Option<Object> {
    let named = settings.nginx_headers_config_map && settings.routing == By::Ingress;
    named.then(|| {
        Object::of(&template(
            stringify!(
                {
                  "apiVersion": "v1",
                  "kind": "ConfigMap",
                  "metadata": {"name": "nginx-headers", "namespace": "${namespace}"},
                  "data": {
                    "X-Real-IP": "$remote_addr",
                    "X-Forwarded-For": "$proxy_add_x_forwarded_for",
                    "X-Forwarded-Proto": "$scheme",
                    "X-Forwarded-Host": "$host",
                    "X-Outside-URL": "https://$host"
                  }
                }
            ),
            &json!({"namespace": settings.devpi_namespace}),
        ))
    })
}

fn route(settings: &Settings, name: &str, host: &str, backend: (&str, u16)) -> Route {
    Route::new(&settings.devpi_namespace, name, host, backend).tls(&settings.tls_secret_name).body_size("50m")
}

/// The original builds the addresses from the domain and so misses host names that are set otherwise.
pub(crate) fn discovery(settings: &Settings) -> ServiceDiscovery {
    let (dashboard, api) = (settings.dashboard(), settings.api());
    let discovery = ServiceDiscovery::new(
        &settings.devpi_namespace,
        "devpi",
        "DevPI",
        "Private Python package repository",
        env!("CARGO_PKG_VERSION"),
        ("development", "/icons/tk_artifact.svg"),
        "devpi",
    )
    .endpoint(Endpoint {
        name: "web",
        url: &dashboard,
        description: "Web interface",
        health_url: Some(&format!("{dashboard}/")),
        primary: true,
    })
    .endpoint(Endpoint {
        name: "api",
        url: &api,
        description: "API endpoint (no auth)",
        health_url: None,
        primary: false,
    })
    .variable("DEVPI_URL", &api)
    // The original's `root/stable` makes every devpi command fail where no server was chosen before: the client wants
    // a whole URL.
    .variable("DEVPI_INDEX", &format!("{api}/{}", settings.index()))
    .variable("DEVPI_USERNAME", "root");
    // The original writes the password itself, for everybody who may read ConfigMaps.
    if settings.devpi_password_in_clear {
        return discovery.disclosed_variable(PASSWORD_VARIABLE, ADMIN_PASSWORD);
    }
    let (namespace, name) = (settings.devpi_namespace.clone(), ROOT_SECRET.to_owned());
    let key = ROOT_SECRET_KEY.to_owned();
    discovery.secret_variable(PASSWORD_VARIABLE, SecretKey { namespace, name, key })
}
