//! What several tests put into their namespace.

use serde_json::{Value, json};
use std::process::{Command, Stdio};
use thinkube_e2e::{Run, finish};
use thinkube_test_cluster::{Cluster, TestNamespace};

/// The Secret with the wildcard certificate.
const CERTIFICATE: &str = "thinkube-test-tls";

/// Where a site listens.
pub(crate) const PORT: u16 = 8080;

/// Found in a site's page and nowhere else.
pub(crate) const PAGE: &str = "the page of the site";

/// A site's programs: what it was told, how much of a body has come, and a doorkeeper who knows one session.
const HEADERS: &str = "#!/bin/sh\nprintf 'Content-Type: text/plain\\r\\n\\r\\n'\nenv | grep ^HTTP_\n";
const SIZE: &str = "#!/bin/sh\nprintf 'Content-Type: text/plain\\r\\n\\r\\n'\nwc -c\n";
const DOORKEEPER: &str = "#!/bin/sh\ncase \"$HTTP_COOKIE\" in\n\
    *session=known*) printf 'Status: 200 OK\\r\\nX-Auth-Request-User: ann\\r\\n\\r\\n' ;;\n\
    *) printf 'Status: 401 Unauthorized\\r\\n\\r\\n' ;;\nesac\n";

/// The image with a shell and a web server.
pub(crate) fn toolbox(namespace: &TestNamespace) -> &str {
    namespace.cluster().toolbox_image().expect("a node has the image")
}

/// The image with Python, whose TLS is OpenSSL's and whose resolver is the C library's.
pub(crate) fn python(namespace: &TestNamespace) -> &str {
    namespace.cluster().devpi_image().expect("a node has the image")
}

/// A pod with one container that is not started again.
pub(crate) fn pod(name: &str, image: &str, command: &[&str]) -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": { "name": name, "labels": { "app": name } },
        "spec": {
            "restartPolicy": "Never",
            "terminationGracePeriodSeconds": 0,
            "automountServiceAccountToken": false,
            "containers": [{ "name": "main", "image": image, "command": command }]
        }
    })
}

/// The Service of the pod of that name.
pub(crate) fn service(name: &str) -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": { "name": name },
        "spec": { "selector": { "app": name }, "ports": [{ "port": PORT }] }
    })
}

/// A web server with a page and three programs, and its Service.
pub(crate) fn site(namespace: &TestNamespace, name: &str) -> Value {
    let server = format!(
        "mkdir -p /tmp/www/cgi-bin && cp /site/page /tmp/www/index.html && cd /site && \
         cp headers size doorkeeper /tmp/www/cgi-bin && chmod +x /tmp/www/cgi-bin/* && \
         exec httpd -f -p {PORT} -h /tmp/www"
    );
    let mut pod = pod(name, toolbox(namespace), &["sh", "-c", &server]);
    pod["spec"]["volumes"] = json!([{ "name": "site", "configMap": { "name": name } }]);
    pod["spec"]["containers"][0]["volumeMounts"] = json!([{ "name": "site", "mountPath": "/site" }]);
    pod["spec"]["containers"][0]["readinessProbe"] =
        json!({ "httpGet": { "path": "/", "port": PORT }, "periodSeconds": 1 });
    let files = json!({ "page": PAGE, "headers": HEADERS, "size": SIZE, "doorkeeper": DOORKEEPER });
    let files =
        json!({ "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "name": name }, "data": files });
    json!([files, pod, service(name)])
}

/// A site that answers.
pub(crate) fn open_site(namespace: &TestNamespace, name: &str) {
    apply(namespace, site(namespace, name));
    wait(namespace, "condition=Ready", &format!("pod/{name}"));
}

/// An Ingress with TLS that leads a host name to the Service `site`. The annotations are ingress-nginx's, without its
/// prefix.
pub(crate) fn ingress(namespace: &TestNamespace, name: &str, host: &str, annotations: &[(&str, &str)]) {
    copy_certificate(namespace);
    let mut ingress = plain_ingress(name, host, annotations);
    ingress["spec"]["tls"] = json!([{ "hosts": [host], "secretName": CERTIFICATE }]);
    apply(namespace, json!([ingress]));
}

/// The same without TLS, not applied.
pub(crate) fn plain_ingress(name: &str, host: &str, annotations: &[(&str, &str)]) -> Value {
    let prefixed = annotations
        .iter()
        .map(|(name, value)| (format!("nginx.ingress.kubernetes.io/{name}"), Value::from(*value)));
    let backend = json!({ "service": { "name": "site", "port": { "number": PORT } } });
    json!({
        "apiVersion": "networking.k8s.io/v1",
        "kind": "Ingress",
        "metadata": { "name": name, "annotations": prefixed.collect::<serde_json::Map<_, _>>() },
        "spec": {
            "ingressClassName": "nginx",
            "rules": [{ "host": host, "http": { "paths": [{ "path": "/", "pathType": "Prefix", "backend": backend }] } }]
        }
    })
}

/// As Thinkube's installers do: an Ingress finds certificates in its own namespace only.
fn copy_certificate(namespace: &TestNamespace) {
    copy_secret(namespace, CERTIFICATE);
}

/// Copies a Secret of the namespace `default`.
pub(crate) fn copy_secret(namespace: &TestNamespace, name: &str) {
    let found = admin(namespace.cluster(), &["get", "secret", name, "--namespace=default", "-o", "json"]);
    let found = found.ends_with(0).json();
    let mut copy = json!({ "apiVersion": "v1", "kind": "Secret", "metadata": { "name": name } });
    for part in ["type", "data"] {
        copy[part] = found[part].clone();
    }
    apply(namespace, json!([copy]));
}

/// Applies a list of objects.
pub(crate) fn apply(namespace: &TestNamespace, objects: Value) {
    namespace.apply(objects).unwrap_or_else(|error| panic!("{error}"));
}

/// What kubectl prints for the namespace's user; it must not fail.
pub(crate) fn run(namespace: &TestNamespace, arguments: &[&str]) -> String {
    namespace.run(arguments).unwrap_or_else(|error| panic!("kubectl {arguments:?}: {error}"))
}

/// Waits for an object as `kubectl wait` does.
pub(crate) fn wait(namespace: &TestNamespace, condition: &str, object: &str) {
    run(namespace, &["wait", &format!("--for={condition}"), object, "--timeout=90s"]);
}

/// Waits for a pod that does something and ends; returns what it printed.
pub(crate) fn printed(namespace: &TestNamespace, pod: &str) -> String {
    let ended = "jsonpath={.status.containerStatuses[0].state.terminated}";
    wait(namespace, ended, &format!("pod/{pod}"));
    run(namespace, &["logs", pod])
}

/// A kubectl of the namespace's user on the machine itself, as a person runs it.
pub(crate) fn kubectl(namespace: &TestNamespace, arguments: &[&str]) -> Command {
    let mut kubectl = Command::new(namespace.cluster().kubectl());
    kubectl.args(arguments).env("KUBECONFIG", namespace.kubeconfig()).stdin(Stdio::null());
    kubectl
}

/// How a kubectl of the administrator ends.
pub(crate) fn admin(cluster: &Cluster, arguments: &[&str]) -> Run {
    finish(cluster.command(cluster.kubectl()).args(arguments).stdin(Stdio::null()))
}
