use super::{pod_security, pull_secrets, restricted};
use crate::Object;
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
        let labels = json!({"app": self.name, "component": "valkey"});
        Object::of(&json!({
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": {"name": self.name, "namespace": self.namespace, "labels": labels},
            "spec": {
                "replicas": 1,
                "selector": {"matchLabels": {"app": self.name}},
                "template": {
                    "metadata": {"labels": labels},
                    "spec": {
                        "imagePullSecrets": pull_secrets(self.pull_secret.as_ref()),
                        "securityContext": pod_security(USER),
                        "automountServiceAccountToken": false,
                        "containers": [{
                            "name": "valkey",
                            "image": self.image,
                            "command": ["valkey-server", "--save", "", "--appendonly", "no"],
                            "ports": [{"name": "valkey", "containerPort": PORT}],
                            "livenessProbe": {
                                "tcpSocket": {"port": "valkey"}, "initialDelaySeconds": 30, "periodSeconds": 10,
                            },
                            "readinessProbe": {
                                "exec": {"command": ["sh", "-c", "valkey-cli ping"]},
                                "initialDelaySeconds": 5,
                                "periodSeconds": 5,
                            },
                            "resources": {
                                "requests": {"cpu": "50m", "memory": "64Mi"},
                                "limits": {"cpu": "200m", "memory": "256Mi"},
                            },
                            "securityContext": restricted(),
                        }],
                    },
                },
            },
        }))
    }

    /// The Service.
    pub fn service(&self) -> Object {
        Object::of(&json!({
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {
                "name": self.name, "namespace": self.namespace, "labels": {"app": self.name, "component": "valkey"},
            },
            "spec": {
                "selector": {"app": self.name},
                "ports": [{"name": "valkey", "port": PORT, "targetPort": PORT, "protocol": "TCP"}],
            },
        }))
    }
}
