//! What many services need, ready to put into a plan.

mod keycloak;
mod namespace;
mod oauth2_proxy;
pub mod platform;
mod python_job;
mod route;
mod service_discovery;
mod session_store;
mod yaml;

pub use keycloak::KeycloakClient;
pub use namespace::Namespace;
pub use oauth2_proxy::OAuth2Proxy;
pub use python_job::PythonJob;
pub use route::{Route, Routing};
pub use service_discovery::{Endpoint, ServiceDiscovery};
pub use session_store::SessionStore;

use crate::{Object, ObjectRef, TypeMeta, template};
use serde_json::{Value, json};

/// The Secret that text as NAMESPACE/NAME means: how settings name one.
///
/// # Panics
/// If there is no slash; the schema of such a setting has a pattern that wants one.
pub fn secret_ref(text: &str) -> ObjectRef {
    let (namespace, name) = text.split_once('/').expect("a Secret is named as NAMESPACE/NAME");
    TypeMeta::new("v1", "Secret").namespaced(namespace, name)
}

/// What the Restricted level of the Pod Security Standards wants of a container.
fn restricted() -> Value {
    let text = stringify!(
        {"allowPrivilegeEscalation": false, "capabilities": {"drop": ["ALL"]}, "readOnlyRootFilesystem": true}
    );
    template(text, &Value::Null)
}

/// What it wants of a pod. `user` is the number that everything in it runs as.
fn pod_security(user: u32) -> Value {
    let text = stringify!(
        {
          "runAsNonRoot": true, "runAsUser": "${user}", "runAsGroup": "${user}",
          "seccompProfile": {"type": "RuntimeDefault"}
        }
    );
    template(text, &json!({"user": user}))
}

fn pull_secrets(name: Option<&String>) -> Value {
    name.map_or_else(|| json!([]), |name| json!([{"name": name}]))
}

/// A Service for the pods with the label `app` of its name.
fn service(namespace: &str, name: &str, labels: Value, port: &str, number: u16, target: Value) -> Object {
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
