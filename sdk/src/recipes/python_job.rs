//! A Job that configures a service through its API.

use super::workload::{container_security, pod_security, pull_secrets};
use crate::object::Object;
use crate::template::template;
use serde_json::{Value, json};

/// The exit code of a script whose failure a retry cannot fix.
const NO_RETRY: u8 = 2;

/// A Job that runs a Python script in the cluster, for example to configure a service through its API. Kubernetes deletes it
/// five minutes after it ends, so its stage needs a check of the result: [`Stage::skip_if`](crate::Stage::skip_if).
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
    /// `image` must contain `python3`. `user` is the numeric user and group of the pod.
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

    /// The Secret of the namespace with the registry credentials.
    pub fn pull_secret(mut self, name: impl Into<String>) -> Self {
        self.pull_secret = Some(name.into());
        self
    }

    /// Mounts a PersistentVolumeClaim of the namespace, whose files belong to `group`, at the path `mount`.
    pub fn volume(mut self, pvc: &str, mount: &str, group: u32) -> Self {
        let data = template(
            stringify!(
                {
                  "volumes": [{"name": "data", "persistentVolumeClaim": {"claimName": "${pvc}"}}],
                  "mounts": [{"name": "data", "mountPath": "${mount}"}]
                }
            ),
            &json!({"pvc": pvc, "mount": mount}),
        );
        (self.volumes, self.mounts) = (data["volumes"].clone(), data["mounts"].clone());
        self.security["fsGroup"] = group.into();
        self.security["fsGroupChangePolicy"] = "OnRootMismatch".into();
        self
    }

    /// Schedules the pod on the node of the pods with this label `app`, because a ReadWriteOnce volume can be mounted on one
    /// node only.
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

    /// Sets an environment variable of the script.
    pub fn variable(mut self, name: &str, value: &str) -> Self {
        self.environment.push(json!({"name": name, "value": value}));
        self
    }

    /// Sets an environment variable from a key of a Secret of the namespace.
    pub fn secret_variable(mut self, name: &str, secret: &str, key: &str) -> Self {
        self.environment
            .push(json!({"name": name, "valueFrom": {"secretKeyRef": {"name": secret, "key": key}}}));
        self
    }

    /// The Job that runs this script. Kubernetes retries a failure three times, unless the exit code is 2. The host shows the
    /// last lines of output of a failed script.
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
                      "rules": [{"action": "FailJob", "onExitCodes": {"operator": "In", "values": ["${no_retry}"]}}]
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
                          "securityContext": "${container_security}",
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
                "no_retry": NO_RETRY,
                "environment": self.environment,
                "pull_secrets": pull_secrets(self.pull_secret.as_ref()),
                "pod_security": self.security,
                "container_security": container_security(),
                "affinity": self.affinity,
                "mounts": self.mounts,
                "volumes": self.volumes,
            }),
        ))
        .recreate()
    }
}
