//! A session store for the OAuth2 proxy.

use super::workload::{deployment, service};
use crate::object::Object;
use crate::template::template;
use serde_json::{Value, json};

const PORT: u16 = 6379;
/// The numeric user `valkey` of the image.
const USER: u32 = 999;

/// A Valkey that keeps sessions in memory only. After a restart, people must log in again.
#[derive(Debug, Clone)]
pub struct SessionStore {
    namespace: String,
    name: String,
    image: String,
    pull_secret: Option<String>,
}

impl SessionStore {
    /// `name` is the name of the Deployment and the Service. `image` must contain `valkey-server`, `valkey-cli` and `sh`.
    pub fn new(
        namespace: impl Into<String>,
        name: impl Into<String>,
        image: impl Into<String>,
        pull_secret: Option<String>,
    ) -> Self {
        Self { namespace: namespace.into(), name: name.into(), image: image.into(), pull_secret }
    }

    /// The URL for clients in the cluster.
    pub fn url(&self) -> String {
        format!("redis://{}.{}.svc.cluster.local:{PORT}", self.name, self.namespace)
    }

    /// The Deployment.
    pub fn deployment(&self) -> Object {
        let pod = template(
            stringify!(
                {
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
                    }
                  }]
                }
            ),
            &json!({"image": self.image, "port": PORT}),
        );
        deployment(&self.namespace, &self.name, self.labels(), self.pull_secret.as_ref(), USER, pod)
    }

    fn labels(&self) -> Value {
        json!({"app": self.name, "component": "valkey"})
    }

    /// The Service.
    pub fn service(&self) -> Object {
        service(&self.namespace, &self.name, self.labels(), "valkey", PORT, json!(PORT))
    }
}
