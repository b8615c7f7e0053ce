use super::{pod_security, pull_secrets, restricted};
use crate::Object;
use serde_json::{Value, json};

/// The exit code by which a script says that trying again is of no use.
const FINAL: u8 = 2;

/// A Job that sets a service up by its own API, from inside the cluster, in Python. It is gone five minutes after it ended, so
/// its stage needs a check of what it is to bring about: [`Stage::done_when`](crate::Stage::done_when).
#[derive(Debug, Clone)]
pub struct Bootstrap {
    namespace: String,
    name: String,
    image: String,
    user: u32,
    pull_secret: Option<String>,
    environment: Vec<Value>,
}

impl Bootstrap {
    /// `image` has `python3`; `user` is the number that it runs as.
    pub fn new(
        namespace: impl Into<String>,
        name: impl Into<String>,
        image: impl Into<String>,
        user: u32,
    ) -> Self {
        Self {
            namespace: namespace.into(),
            name: name.into(),
            image: image.into(),
            user,
            pull_secret: None,
            environment: Vec::new(),
        }
    }

    /// The Secret of its namespace with the registry's credentials.
    pub fn pull_secret(mut self, name: Option<String>) -> Self {
        self.pull_secret = name;
        self
    }

    /// An environment variable of the script.
    pub fn variable(mut self, name: &str, value: &str) -> Self {
        self.environment.push(json!({"name": name, "value": value}));
        self
    }

    /// One that comes from a key of a Secret of its namespace.
    pub fn secret(mut self, name: &str, secret: &str, key: &str) -> Self {
        self.environment
            .push(json!({"name": name, "valueFrom": {"secretKeyRef": {"name": secret, "key": key}}}));
        self
    }

    /// The Job that runs this script. It ends with 2 where trying again is of no use; anything else but 0 is tried three
    /// times more. What it prints last is shown when it fails.
    pub fn job(self, script: &str) -> Object {
        Object::of(&json!({
            "apiVersion": "batch/v1",
            "kind": "Job",
            "metadata": {"name": self.name, "namespace": self.namespace},
            "spec": {
                "ttlSecondsAfterFinished": 300,
                "activeDeadlineSeconds": 300,
                "backoffLimit": 3,
                "podFailurePolicy": {"rules": [{
                    "action": "FailJob", "onExitCodes": {"operator": "In", "values": [FINAL]},
                }]},
                "template": {
                    "metadata": {"labels": {"app": self.name}},
                    "spec": {
                        "restartPolicy": "Never",
                        "imagePullSecrets": pull_secrets(self.pull_secret.as_ref()),
                        "securityContext": pod_security(self.user),
                        "automountServiceAccountToken": false,
                        "containers": [{
                            "name": self.name,
                            "image": self.image,
                            "command": ["python3", "-c", script],
                            "env": self.environment,
                            "resources": {
                                "requests": {"cpu": "50m", "memory": "64Mi"},
                                "limits": {"cpu": "500m", "memory": "256Mi"},
                            },
                            "securityContext": restricted(),
                        }],
                    },
                },
            },
        }))
        .recreate()
    }
}
