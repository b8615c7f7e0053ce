//! The objects, one function each. Values are those of the Ansible component unless a comment says why not.

use crate::settings::Site;
use crate::{ADMIN_PASSWORD, discovery};
use serde_json::{Map, Value, json};
use thinkube_sdk::{Object, Secret};

/// The Secret with root's password, and its key.
pub(crate) const ROOT_SECRET: &str = "devpi-root";
pub(crate) const ROOT_SECRET_KEY: &str = "password";
/// The only port there is: the image's entrypoint listens on no other.
pub(crate) const PORT: u16 = 3141;
/// What else the namespace calls by this name is the platform's: control takes it for the sign of an installed service.
pub(crate) const DISCOVERY: &str = "thinkube-service-config";
/// A part of the original that this version does not install; the dashboard's Ingress asks it.
pub(crate) const OAUTH2_PROXY: &str = "oauth2-proxy";
const NGINX_HEADERS: &str = "nginx-headers";
const CLAIM: &str = "devpi-data-pvc";
const VOLUME: &str = "devpi-data";
/// The volume's mount point. The image's own place is another; DEVPISERVER_SERVERDIR moves it here.
const MOUNT: &str = "/devpi";
/// The user `devpi` of the image.
const USER_ID: u32 = 1000;

pub(crate) fn namespace(site: &Site) -> Object {
    Object::of(&json!({
        "apiVersion": "v1",
        "kind": "Namespace",
        "metadata": {"name": site.namespace},
    }))
}

/// The original hands the password to a Job's script in clear. Here only its origin is said.
pub(crate) fn root_password(site: &Site) -> Secret {
    Secret::new(&site.namespace, ROOT_SECRET).input(ROOT_SECRET_KEY, ADMIN_PASSWORD)
}

/// Retained on uninstall: it holds packages that exist nowhere else, which the original's removal deletes unasked.
pub(crate) fn volume_claim(site: &Site) -> Object {
    Object::of(&json!({
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": CLAIM, "namespace": site.namespace},
        "spec": {
            "accessModes": ["ReadWriteOnce"],
            "resources": {"requests": {"storage": site.storage}},
        },
    }))
    .retain()
}

/// In effect nothing reads this: ingress-nginx knows no annotation `proxy-set-headers` on an Ingress. The component's
/// documentation lists it, so it is kept, and it is the same bytes.
pub(crate) fn nginx_headers(site: &Site) -> Object {
    Object::of(&json!({
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": NGINX_HEADERS, "namespace": site.namespace},
        "data": {
            "X-Real-IP": "$remote_addr",
            "X-Forwarded-For": "$proxy_add_x_forwarded_for",
            "X-Forwarded-Proto": "$scheme",
            "X-Forwarded-Host": "$host",
            "X-Outside-URL": "https://$host",
        },
    }))
}

/// One stage, where the original deploys twice. Its reason was to set root's password from inside before the outside
/// URL sends clients through DNS and public TLS; DEVPISERVER_ROOT_PASSWD sets it before the server first listens, so
/// there is no moment with an empty password either, and a second run is no outage.
pub(crate) fn deployment(site: &Site) -> Object {
    let server_dir = format!("{MOUNT}/server");
    // Without it the entrypoint ends at its `chmod` of a directory that is not there. A subPath mount would not do:
    // the kubelet makes its directory as root. fsGroup also opens the server's secret file to the group once, when a
    // volume of the original first gets it, and devpi-server refuses to start on a secret that others can read.
    let prepare = format!(
        "mkdir -p {server_dir} && chmod 700 {server_dir} && \
         if [ -e {server_dir}/secret ]; then chmod 600 {server_dir}/secret; fi"
    );
    let security = json!({
        "allowPrivilegeEscalation": false,
        "capabilities": {"drop": ["ALL"]},
    });
    let mounts = json!([{"name": VOLUME, "mountPath": MOUNT}]);
    let probe = |delay: u32, period: u32| json!({"httpGet": {"path": "/", "port": PORT}, "initialDelaySeconds": delay, "periodSeconds": period});
    Object::of(&json!({
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "devpi", "namespace": site.namespace},
        "spec": {
            "replicas": 1,
            "selector": {"matchLabels": {"app": "devpi"}},
            // The volume is ReadWriteOnce and the server's database has one writer.
            "strategy": {"type": "Recreate"},
            "template": {
                "metadata": {"labels": {"app": "devpi"}},
                "spec": {
                    "imagePullSecrets": [{"name": "harbor-pull-secret"}],
                    // The original runs as the image says, after a busybox of no fixed version has chowned the volume
                    // as root. With a group on the volume nothing has to be root. OnRootMismatch: the default would
                    // open the server's secret file to the group at every start, not only once.
                    "securityContext": {
                        "runAsNonRoot": true,
                        "runAsUser": USER_ID,
                        "runAsGroup": USER_ID,
                        "fsGroup": USER_ID,
                        "fsGroupChangePolicy": "OnRootMismatch",
                        "seccompProfile": {"type": "RuntimeDefault"},
                    },
                    // The server never asks the API server for anything.
                    "automountServiceAccountToken": false,
                    "initContainers": [{
                        "name": "prepare-volume",
                        "image": site.image,
                        "imagePullPolicy": "IfNotPresent",
                        "command": ["sh", "-c", prepare],
                        "securityContext": security,
                        // The namespace may have a quota, which refuses a container without.
                        "resources": {
                            "requests": {"cpu": "10m", "memory": "16Mi"},
                            "limits": {"cpu": "100m", "memory": "64Mi"},
                        },
                        "volumeMounts": mounts,
                    }],
                    "containers": [{
                        "name": "devpi",
                        "image": site.image,
                        // The original's `latest` is pulled at every start; a fixed tag need not be.
                        "imagePullPolicy": "IfNotPresent",
                        "ports": [{"containerPort": PORT}],
                        // Not from the original: DEVPI_PORT, which nothing reads, and DEVPI_TRUSTED_PROXY=10.0.0.0/8,
                        // which the server compares with a peer's address as text, so that no range ever matches.
                        "env": [
                            {"name": "DEVPISERVER_SERVERDIR", "value": server_dir},
                            {"name": "DEVPI_OUTSIDE_URL", "value": format!("https://{}", site.api)},
                            // Else anybody who reaches the open API makes users and indexes.
                            {"name": "DEVPI_EXTRA_ARGS", "value": "--restrict-modify=root"},
                            // Takes effect on the first start only.
                            {"name": "DEVPISERVER_ROOT_PASSWD", "valueFrom": {
                                "secretKeyRef": {"name": ROOT_SECRET, "key": ROOT_SECRET_KEY},
                            }},
                        ],
                        "volumeMounts": mounts,
                        // The first start makes a database for some 14 seconds before it listens, more on a slow disk;
                        // the liveness probe alone would end it. Five minutes at most.
                        "startupProbe": {
                            "httpGet": {"path": "/", "port": PORT},
                            "periodSeconds": 5,
                            "failureThreshold": 60,
                        },
                        "livenessProbe": probe(30, 10),
                        "readinessProbe": probe(10, 5),
                        // The original's first generation sets none; its second had to, because building the search
                        // index at start-up takes more than a namespace's usual default of 1Gi.
                        "resources": {
                            "requests": {"cpu": "200m", "memory": "1Gi"},
                            "limits": {"cpu": "2", "memory": "4Gi"},
                        },
                        "securityContext": security,
                    }],
                    "volumes": [{"name": VOLUME, "persistentVolumeClaim": {"claimName": CLAIM}}],
                },
            },
        },
    }))
}

pub(crate) fn service(site: &Site) -> Object {
    Object::of(&json!({
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "devpi", "namespace": site.namespace},
        "spec": {
            "selector": {"app": "devpi"},
            "ports": [{"port": PORT, "targetPort": PORT, "protocol": "TCP"}],
        },
    }))
}

/// For people in a browser. The original always asks the OAuth2 proxy, because it never reads oauth2_proxy_enabled.
pub(crate) fn dashboard_ingress(site: &Site) -> Object {
    let mut annotations = vec![("force-ssl-redirect", "true".to_owned())];
    if site.sign_on {
        let proxy = format!("http://{OAUTH2_PROXY}.{}.svc.cluster.local", site.namespace);
        annotations.push(("auth-url", format!("{proxy}/oauth2/auth")));
        let start = format!("https://{}/oauth2/start?rd=$escaped_request_uri", site.dashboard);
        annotations.push(("auth-signin", start));
    }
    ingress(site, "devpi-http-ingress", &site.dashboard, annotations)
}

/// For pip and devpi, which cannot sign on in a browser.
pub(crate) fn api_ingress(site: &Site) -> Object {
    ingress(site, "devpi-api-ingress", &site.api, vec![])
}

fn ingress(site: &Site, name: &str, host: &str, more: Vec<(&str, String)>) -> Object {
    let both = [
        ("proxy-body-size", "50m".to_owned()),
        // Without effect, see `nginx_headers`. The original says `devpi` whatever the namespace is.
        ("proxy-set-headers", format!("{}/{NGINX_HEADERS}", site.namespace)),
    ];
    let annotations: Map<String, Value> = both
        .into_iter()
        .chain(more)
        .map(|(name, value)| (format!("nginx.ingress.kubernetes.io/{name}"), value.into()))
        .collect();
    Object::of(&json!({
        "apiVersion": "networking.k8s.io/v1",
        "kind": "Ingress",
        "metadata": {"name": name, "namespace": site.namespace, "annotations": annotations},
        "spec": {
            "ingressClassName": "nginx",
            "tls": [{"hosts": [host], "secretName": site.tls_secret}],
            "rules": [{
                "host": host,
                "http": {"paths": [{
                    "path": "/",
                    "pathType": "Prefix",
                    "backend": {"service": {"name": "devpi", "port": {"number": PORT}}},
                }]},
            }],
        },
    }))
}

pub(crate) fn discovery(site: &Site) -> Object {
    Object::of(&json!({
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {
            "name": DISCOVERY,
            "namespace": site.namespace,
            "labels": {
                "thinkube.io/managed": "true",
                "thinkube.io/service-type": "core",
                "thinkube.io/service-name": "devpi",
                "thinkube.io/component-version": discovery::COMPONENT_VERSION,
            },
        },
        "data": {"service.yaml": discovery::service(site).document()},
    }))
}
