use super::{pod_security, pull_secrets, restricted, service};
use crate::{Object, template};
use serde_json::json;

const PORT: u16 = 6379;
/// The user `valkey` of the image.
const USER: u32 = 999;

/// A Valkey that keeps sessions in memory and nothing on disk: who is logged in when it restarts logs in again.
#[derive(Debug, Clone)]
pub struct SessionStore {
    namespace: String,
    name: String,
    image: String,
    pull_secret: Option<String>,
}

impl SessionStore {
    /// `name` is that of its Deployment and its Service; `image` has `valkey-server`, `valkey-cli` and `sh`.
    pub fn new(
        namespace: impl Into<String>,
        name: impl Into<String>,
        image: impl Into<String>,
        pull_secret: Option<String>,
    ) -> Self {
        Self { namespace: namespace.into(), name: name.into(), image: image.into(), pull_secret }
    }

    /// Where clients find it.
    pub fn url(&self) -> String {
        format!("redis://{}.{}.svc.cluster.local:{PORT}", self.name, self.namespace)
    }

    /// The Deployment.
    pub fn deployment(&self) -> Object {
        Object::of(&template(
            stringify!(
                {
                  "apiVersion": "apps/v1",
                  "kind": "Deployment",
                  "metadata": {"name": "${name}", "namespace": "${namespace}", "labels": {"app": "${name}", "component": "valkey"}},
                  "spec": {
                    "replicas": 1,
                    "selector": {"matchLabels": {"app": "${name}"}},
                    "template": {
                      "metadata": {"labels": {"app": "${name}", "component": "valkey"}},
                      "spec": {
                        "imagePullSecrets": "${pull_secrets}",
                        "securityContext": "${pod_security}",
                        "automountServiceAccountToken": false,
                        "containers": [{
                          "name": "valkey",
                          "image": "${image}",
                          "command": ["valkey-server", "--save", "", "--appendonly", "no"],
                          "ports": [{"name": "valkey", "containerPort": "${port}"}],
                          "livenessProbe": {"tcpSocket": {"port": "valkey"}, "initialDelaySeconds": 30, "periodSeconds": 10},
                          "readinessProbe": {
                            "exec": {"command": ["sh", "-c", "valkey-cli ping"]}, "initialDelaySeconds": 5, "periodSeconds": 5
                          },
                          "resources": {
                            "requests": {"cpu": "50m", "memory": "64Mi"},
                            "limits": {"cpu": "200m", "memory": "256Mi"}
                          },
                          "securityContext": "${restricted}"
                        }]
                      }
                    }
                  }
                }
            ),
            &json!({
                "namespace": self.namespace,
                "name": self.name,
                "image": self.image,
                "port": PORT,
                "pull_secrets": pull_secrets(self.pull_secret.as_ref()),
                "pod_security": pod_security(USER),
                "restricted": restricted(),
            }),
        ))
    }

    /// The Service.
    pub fn service(&self) -> Object {
        let labels = json!({"app": self.name, "component": "valkey"});
        service(&self.namespace, &self.name, labels, "valkey", PORT, json!(PORT))
    }
}
