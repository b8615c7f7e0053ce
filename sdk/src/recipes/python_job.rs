use super::{pod_security, pull_secrets, restricted};
use crate::{Object, template};
use serde_json::{Value, json};

/// The exit code by which a script says that trying again is of no use.
const FINAL: u8 = 2;

/// A Job that sets a service up by its own API, from inside the cluster, in Python. It is gone five minutes after it ended, so
/// its stage needs a check of what it is to bring about: [`Stage::skip_if`](crate::Stage::done_when).
#[derive(Debug, Clone)]
pub struct PythonJob {
    namespace: String,
    name: String,
    image: String,
    pull_secret: Option<String>,
    environment: Vec<Value>,
    security: Value,
    volumes: Value,
    mounts: Value,
    affinity: Value,
}

impl PythonJob {
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
            pull_secret: None,
            environment: Vec::new(),
            security: pod_security(user),
            volumes: json!([]),
            mounts: json!([]),
            affinity: json!({}),
        }
    }

    /// The Secret of its namespace with the registry's credentials.
    pub fn pull_secret(mut self, name: impl Into<String>) -> Self {
        self.pull_secret = Some(name.into());
        self
    }

    /// A volume of its namespace, at this place, that files of `group` are on.
    pub fn volume(mut self, claim: &str, mount: &str, group: u32) -> Self {
        let data = template(
            stringify!(
                {
                  "volumes": [{"name": "data", "persistentVolumeClaim": {"claimName": "${claim}"}}],
                  "mounts": [{"name": "data", "mountPath": "${mount}"}]
                }
            ),
            &json!({"claim": claim, "mount": mount}),
        );
        (self.volumes, self.mounts) = (data["volumes"].clone(), data["mounts"].clone());
        self.security["fsGroup"] = group.into();
        self.security["fsGroupChangePolicy"] = "OnRootMismatch".into();
        self
    }

    /// On the node of the pods with this label `app`: only there can a ReadWriteOnce volume be had that they have.
    pub fn on_node_of(mut self, app: &str) -> Self {
        self.affinity = template(
            stringify!(
                {"podAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [{
                  "labelSelector": {"matchLabels": {"app": "${app}"}}, "topologyKey": "kubernetes.io/hostname"
                }]}}
            ),
            &json!({"app": app}),
        );
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
        Object::of(&template(
            stringify!(
                {
                  "apiVersion": "batch/v1",
                  "kind": "Job",
                  "metadata": {"name": "${name}", "namespace": "${namespace}"},
                  "spec": {
                    "ttlSecondsAfterFinished": 300,
                    "activeDeadlineSeconds": 300,
                    "backoffLimit": 3,
                    "podFailurePolicy": {
                      "rules": [{"action": "FailJob", "onExitCodes": {"operator": "In", "values": ["${final}"]}}]
                    },
                    "template": {
                      "metadata": {"labels": {"app": "${name}"}},
                      "spec": {
                        "restartPolicy": "Never",
                        "imagePullSecrets": "${pull_secrets}",
                        "securityContext": "${pod_security}",
                        "automountServiceAccountToken": false,
                        "affinity": "${affinity}",
                        "containers": [{
                          "name": "${name}",
                          "image": "${image}",
                          "command": ["python3", "-c", "${script}"],
                          "env": "${environment}",
                          "resources": {
                            "requests": {"cpu": "50m", "memory": "64Mi"},
                            "limits": {"cpu": "500m", "memory": "256Mi"}
                          },
                          "securityContext": "${restricted}",
                          "volumeMounts": "${mounts}"
                        }],
                        "volumes": "${volumes}"
                      }
                    }
                  }
                }
            ),
            &json!({
                "namespace": self.namespace,
                "name": self.name,
                "image": self.image,
                "script": script,
                "final": FINAL,
                "environment": self.environment,
                "pull_secrets": pull_secrets(self.pull_secret.as_ref()),
                "pod_security": self.security,
                "restricted": restricted(),
                "affinity": self.affinity,
                "mounts": self.mounts,
                "volumes": self.volumes,
            }),
        ))
        .recreate()
    }
}
