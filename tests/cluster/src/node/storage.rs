//! local-path-provisioner, for the default storage class: volumes are folders in the cluster's folder.

use std::fs;

use serde_json::{Value, json};

use crate::access::kubeconfig;
use crate::access::pki;
use crate::build::images::TOOLBOX_IMAGE;
use crate::build::programs::Programs;
use crate::error::{At, Result};
use crate::paths::{self, Layout};
use crate::process::server::{RunningServer, ServerCommand};
use crate::record::ClusterRecord;

/// The namespace of the pods that make and remove a volume's folder.
pub(crate) const NAMESPACE: &str = "local-path-storage";

const PROVISIONER: &str = "rancher.io/local-path";

pub(crate) fn start(layout: &Layout, record: &ClusterRecord, programs: &Programs) -> Result<RunningServer> {
    let access = layout.path("storage.kubeconfig");
    let pair = pki::trusted(layout, "storage")?;
    kubeconfig::write(&access, &record.server(), &layout.pki("ca.crt"), "storage", &pair)?;
    let volumes = layout.volumes();
    fs::create_dir_all(&volumes).at(&volumes)?;
    let config = layout.path("storage.json");
    let paths = json!([{ "node": "DEFAULT_PATH_FOR_NON_LISTED_NODES", "paths": [volumes] }]);
    paths::write(&config, json!({ "nodePathMap": paths }).to_string())?;
    let pod = layout.path("storage-pod.json");
    paths::write(&pod, helper().to_string())?;
    ServerCommand::new(layout, "storage", &programs.local_path_provisioner(), record.netns_file().as_deref())
        .arg("start")
        .file("--config=", &config)
        .file("--helper-pod-file=", &pod)
        .file("--kubeconfig=", &access)
        .arg(format!("--namespace={NAMESPACE}"))
        .arg(format!("--provisioner-name={PROVISIONER}"))
        .arg(format!("--helper-image={TOOLBOX_IMAGE}"))
        .arg("--service-account-name=default")
        .start()
}

/// The pod that makes or removes a folder on the node; the provisioner adds volumes and command.
fn helper() -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": { "name": "helper-pod" },
        "spec": {
            "automountServiceAccountToken": false,
            // The pod needs no orderly end, and a PersistentVolumeClaim waits for it.
            "terminationGracePeriodSeconds": 0,
            "containers": [{ "name": "helper-pod", "image": TOOLBOX_IMAGE, "imagePullPolicy": "Never" }]
        }
    })
}

pub(crate) fn objects() -> Vec<Value> {
    vec![
        json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": NAMESPACE } }),
        json!({
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": { "name": "local-path-config", "namespace": NAMESPACE },
            "data": {
                // As a new disk: only root may write, until fsGroup changes that.
                "setup": "#!/bin/sh\nset -eu\nmkdir -m 0755 -p \"$VOL_DIR\"\n",
                "teardown": "#!/bin/sh\nset -eu\nrm -rf \"$VOL_DIR\"\n"
            }
        }),
        json!({
            "apiVersion": "storage.k8s.io/v1",
            "kind": "StorageClass",
            "metadata": {
                "name": "local-path",
                "annotations": {
                    "storageclass.kubernetes.io/is-default-class": "true",
                    // On a volume of type hostPath fsGroup does nothing: a process of uid 1000 could not write.
                    "defaultVolumeType": "local"
                }
            },
            "provisioner": PROVISIONER,
            "reclaimPolicy": "Delete",
            "volumeBindingMode": "WaitForFirstConsumer"
        }),
    ]
}
