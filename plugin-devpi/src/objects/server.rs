//! The server: namespace, image, password, volume, Deployment, Service and Jobs.

use super::{PORT, PULL_SECRET, ROOT_SECRET, ROOT_SECRET_KEY};
use crate::ADMIN_PASSWORD;
use crate::settings::Settings;
use serde_json::json;
use thinkube_sdk::recipes::{Namespace, PythonJob, secret_ref};
use thinkube_sdk::{Image, Object, Secret, template};

/// The Secret with the authority of Keycloak's certificate.
pub(super) const KEYCLOAK_CA: &str = "keycloak-ca";
const PVC: &str = "devpi-data-pvc";
/// The mount path of the volume. The image's default is another; DEVPISERVER_SERVERDIR changes it.
const MOUNT: &str = "/devpi";
/// The numeric user `devpi` of the image.
const USER_ID: u32 = 1000;

const DEPLOYMENT: &str = stringify!(
    {
      "apiVersion": "apps/v1",
      "kind": "Deployment",
      "metadata": {"name": "devpi", "namespace": "${namespace}"},
      "spec": {
        "replicas": 1,
        "selector": {"matchLabels": {"app": "devpi"}},
        // The volume is ReadWriteOnce, and the server's database allows one writer.
        "strategy": {"type": "Recreate"},
        "template": {
          "metadata": {"labels": {"app": "devpi"}},
          "spec": {
            "imagePullSecrets": [{"name": "${pull_secret}"}],
            // The original chowns the volume as root, in a busybox without a fixed version. With fsGroup nothing runs as
            // root. OnRootMismatch: the default would open the server's secret file to the group at every start.
            "securityContext": {
              "runAsNonRoot": true,
              "runAsUser": "${user}",
              "runAsGroup": "${user}",
              "fsGroup": "${user}",
              "fsGroupChangePolicy": "OnRootMismatch",
              "seccompProfile": {"type": "RuntimeDefault"}
            },
            // The server sends no requests to the API server.
            "automountServiceAccountToken": false,
            "initContainers": [{
              "name": "prepare-volume",
              "image": "${image}",
              "imagePullPolicy": "IfNotPresent",
              "command": ["sh", "-c", "${prepare}"],
              "securityContext": {"allowPrivilegeEscalation": false, "capabilities": {"drop": ["ALL"]}},
              // A quota of the namespace would reject a container without resources.
              "resources": {
                "requests": {"cpu": "10m", "memory": "16Mi"},
                "limits": {"cpu": "100m", "memory": "64Mi"}
              },
              "volumeMounts": [{"name": "devpi-data", "mountPath": "${mount}"}]
            }],
            "containers": [{
              "name": "devpi",
              "image": "${image}",
              // The original pulls `latest` at every start; a fixed tag needs no pull.
              "imagePullPolicy": "IfNotPresent",
              "ports": [{"containerPort": "${port}"}],
              // Left out from the original: DEVPI_PORT, which nothing reads, and DEVPI_TRUSTED_PROXY=10.0.0.0/8, which the
              // server compares with the peer's address as text, so that a range never matches. --restrict-modify=root:
              // without it, every client of the open API may create users and indexes. The server reads
              // DEVPISERVER_ROOT_PASSWD on its first start only.
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
              // The first start creates a database for 14 seconds or more before it listens; the liveness probe alone would
              // stop it. The limit is five minutes.
              "startupProbe": {
                "httpGet": {"path": "/", "port": "${port}"}, "periodSeconds": 5, "failureThreshold": 60
              },
              "livenessProbe": {
                "httpGet": {"path": "/", "port": "${port}"}, "initialDelaySeconds": 30, "periodSeconds": 10
              },
              "readinessProbe": {
                "httpGet": {"path": "/", "port": "${port}"}, "initialDelaySeconds": 10, "periodSeconds": 5
              },
              // From the original's second generation: building the search index at start-up takes more than the usual
              // default of 1Gi.
              "resources": {
                "requests": {"cpu": "200m", "memory": "1Gi"},
                "limits": {"cpu": "2", "memory": "4Gi"}
              },
              "securityContext": {"allowPrivilegeEscalation": false, "capabilities": {"drop": ["ALL"]}}
            }],
            "volumes": [{"name": "devpi-data", "persistentVolumeClaim": {"claimName": "${pvc}"}}]
          }
        }
      }
    }
);

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

/// None if a setting names a ready image. The original builds the head of a branch at every run, and pushes without verifying
/// the registry's certificate.
pub(crate) fn image(settings: &Settings) -> Option<Image> {
    let destination =
        format!("{}/{}/devpi:{}", settings.harbor_registry, settings.harbor_project, settings.image_tag());
    let login = secret_ref(&settings.harbor_pull_secret);
    let image = Image::from_git(IMAGE, &settings.devpi_git_url, &settings.devpi_git_revision, destination)
        .dockerfile(&settings.devpi_dockerfile)
        .push_credentials(login.namespace.unwrap_or_default(), login.name);
    settings.devpi_image.is_none().then_some(image)
}

/// The ready image, or the text that a binding replaces with the built image.
fn image_or_placeholder(settings: &Settings) -> &str {
    settings.devpi_image.as_deref().unwrap_or("")
}

/// Binds the built image, by digest, into the first container of each of these lists.
fn bind_image(object: Object, settings: &Settings, lists: &[&str]) -> Object {
    let built = lists.iter().filter(|_| settings.devpi_image.is_none());
    built.fold(object, |object, list| {
        object.bind(format!("/spec/template/spec/{list}/0/image"), IMAGE, "reference")
    })
}

/// The original writes the password into a Job's script in clear text.
pub(crate) fn root_password(settings: &Settings) -> Secret {
    Secret::new(&settings.devpi_namespace, ROOT_SECRET).input(ROOT_SECRET_KEY, ADMIN_PASSWORD)
}

/// Retained at uninstall, because it may hold the only copy of a package. The original deletes it without asking.
pub(crate) fn pvc(settings: &Settings) -> Object {
    Object::of(&template(
        stringify!(
            {
              "apiVersion": "v1",
              "kind": "PersistentVolumeClaim",
              "metadata": {"name": "${pvc}", "namespace": "${namespace}"},
              "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "${size}"}}}
            }
        ),
        &json!({"pvc": PVC, "namespace": settings.devpi_namespace, "size": settings.devpi_storage_size}),
    ))
    .retain()
}

/// One stage; the original deploys twice at each run, which is an outage. It sets root's password from inside the cluster
/// before the outside URL leads clients through DNS and public TLS. DEVPISERVER_ROOT_PASSWD sets the password before the
/// server first listens, so it is never empty.
pub(crate) fn deployment(settings: &Settings) -> Object {
    let server_dir = format!("{MOUNT}/server");
    // Without the directory the entrypoint fails at its `chmod`. The kubelet would create the directory of a subPath mount as
    // root. When a volume of the original first gets an fsGroup, that opens the server's secret file to the group, and
    // devpi-server does not start with a secret that others can read.
    let prepare = format!(
        "mkdir -p {server_dir} && chmod 700 {server_dir} && \
         if [ -e {server_dir}/secret ]; then chmod 600 {server_dir}/secret; fi"
    );
    let deployment = Object::of(&template(
        DEPLOYMENT,
        &json!({
            "namespace": settings.devpi_namespace,
            "image": image_or_placeholder(settings),
            "pull_secret": PULL_SECRET,
            "user": USER_ID,
            "prepare": prepare,
            "server_dir": server_dir,
            "api": settings.api(),
            "root_secret": ROOT_SECRET,
            "root_secret_key": ROOT_SECRET_KEY,
            "port": PORT,
            "mount": MOUNT,
            "pvc": PVC,
        }),
    ));
    bind_image(deployment, settings, &["initContainers", "containers"])
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

/// Sets root's password and the index. The original's Job waits for the server without a limit and ignores every failure at
/// the index.
pub(crate) fn bootstrap(settings: &Settings) -> Object {
    let job = job(settings, "devpi-init")
        .variable("SERVER", &server_url(settings))
        .variable("INDEX", &settings.index())
        .job(include_str!("bootstrap.py"));
    bind_image(job, settings, &["containers"])
}

/// Writes root's password into the server's database like `devpi-passwd`, so that the old password is not needed.
pub(crate) fn password_reset(settings: &Settings) -> Object {
    let job = job(settings, "devpi-passwd")
        .volume(PVC, MOUNT, USER_ID)
        .on_node_of("devpi")
        .variable("SERVERDIR", &format!("{MOUNT}/server"))
        .job(include_str!("passwd.py"));
    bind_image(job, settings, &["containers"])
}

fn job(settings: &Settings, name: &str) -> PythonJob {
    PythonJob::new(&settings.devpi_namespace, name, image_or_placeholder(settings), USER_ID)
        .pull_secret(PULL_SECRET)
        .secret_variable("PASSWORD", ROOT_SECRET, ROOT_SECRET_KEY)
}

/// The URL of the server in the cluster.
pub(super) fn server_url(settings: &Settings) -> String {
    format!("http://devpi.{}.svc.cluster.local:{PORT}", settings.devpi_namespace)
}
