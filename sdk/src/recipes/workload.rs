//! Templates that the workloads of recipes share: hardened pods, single-container Deployments and Services.

use crate::object::Object;
use crate::template::template;
use serde_json::{Value, json};

/// The security context of a container at the level Restricted of the Pod Security Standards.
pub(super) fn container_security() -> Value {
    let text = stringify!(
        {"allowPrivilegeEscalation": false, "capabilities": {"drop": ["ALL"]}, "readOnlyRootFilesystem": true}
    );
    template(text, &Value::Null)
}

/// The security context of a pod at the same level. `user` is the numeric user and group of every container.
pub(super) fn pod_security(user: u32) -> Value {
    let text = stringify!(
        {
          "runAsNonRoot": true, "runAsUser": "${user}", "runAsGroup": "${user}",
          "seccompProfile": {"type": "RuntimeDefault"}
        }
    );
    template(text, &json!({"user": user}))
}

/// `imagePullSecrets` of a pod.
pub(super) fn pull_secrets(name: Option<&String>) -> Value {
    name.map_or_else(|| json!([]), |name| json!([{"name": name}]))
}

/// A Deployment of one replica without an API token. `labels` include `app`, the name; `pod` holds the rest of the pod's
/// specification. Its first container gets the security context.
pub(super) fn deployment(
    namespace: &str,
    name: &str,
    labels: Value,
    pull_secret: Option<&String>,
    user: u32,
    pod: Value,
) -> Object {
    let mut manifest = template(
        stringify!(
            {
              "apiVersion": "apps/v1",
              "kind": "Deployment",
              "metadata": {"name": "${name}", "namespace": "${namespace}", "labels": "${labels}"},
              "spec": {
                "replicas": 1,
                "selector": {"matchLabels": {"app": "${name}"}},
                "template": {"metadata": {"labels": "${labels}"}, "spec": "${pod}"}
              }
            }
        ),
        &json!({"namespace": namespace, "name": name, "labels": labels, "pod": pod}),
    );
    let spec = &mut manifest["spec"]["template"]["spec"];
    spec["imagePullSecrets"] = pull_secrets(pull_secret);
    spec["securityContext"] = pod_security(user);
    spec["automountServiceAccountToken"] = false.into();
    spec["containers"][0]["securityContext"] = container_security();
    Object::of(&manifest)
}

/// A Service for the pods whose label `app` is `name`.
pub(super) fn service(
    namespace: &str,
    name: &str,
    labels: Value,
    port: &str,
    number: u16,
    target: Value,
) -> Object {
    let values = json!({
        "namespace": namespace, "name": name, "labels": labels, "port": port, "number": number, "target": target,
    });
    Object::of(&template(
        stringify!(
            {
              "apiVersion": "v1",
              "kind": "Service",
              "metadata": {"name": "${name}", "namespace": "${namespace}", "labels": "${labels}"},
              "spec": {
                "selector": {"app": "${name}"},
                "ports": [{"name": "${port}", "port": "${number}", "targetPort": "${target}", "protocol": "TCP"}]
              }
            }
        ),
        &values,
    ))
}
