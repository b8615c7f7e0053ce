//! Volumes for claims, as long as the cluster has no provisioner.
//!
//! Of the type `local`, because kubelet gives those to a pod's fsGroup; on the type hostPath a process of uid 1000 can't
//! write. No storage class: a claim that names none gets one of them.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use serde_json::{Value, json};

use crate::error::{At, Result};
use crate::kubectl::Kubectl;
use crate::paths::Layout;
use crate::state::NODE;

/// As many claims as can be there at once.
const COUNT: usize = 32;

/// Marks our volumes among others.
const LABEL: &str = "thinkube.test/pool";

fn name(number: usize) -> String {
    format!("thinkube-test-{number}")
}

/// Makes the volumes.
pub(crate) fn make(layout: &Layout, kubectl: &Kubectl) -> Result<()> {
    let mut items = Vec::new();
    for number in 0..COUNT {
        items.push(volume(layout, &name(number))?);
    }
    kubectl.apply(&json!({ "apiVersion": "v1", "kind": "List", "items": items }))
}

/// Makes those anew whose claim is gone: a released volume keeps its claim's UID and is never bound again.
pub(crate) fn free(layout: &Layout, kubectl: &Kubectl) -> Result<()> {
    let list = kubectl.json(&["get", "persistentvolumes", "--selector", LABEL])?;
    let gone = list["items"]
        .as_array()
        .into_iter()
        .flatten()
        .filter(|volume| matches!(volume["status"]["phase"].as_str(), Some("Released" | "Failed")));
    for name in gone.filter_map(|volume| volume["metadata"]["name"].as_str()) {
        kubectl.run(&["delete", "persistentvolume", name, "--wait=true", "--timeout=30s"])?;
        let folder = layout.volumes().join(name);
        fs::remove_dir_all(&folder).at(&folder)?;
        kubectl.apply(&volume(layout, name)?)?;
    }
    Ok(())
}

/// The folder and the object.
fn volume(layout: &Layout, name: &str) -> Result<Value> {
    let folder = layout.volumes().join(name);
    fs::create_dir_all(&folder).at(&folder)?;
    // As a fresh disk: root's, and open to nobody until fsGroup opens it.
    fs::set_permissions(&folder, fs::Permissions::from_mode(0o755)).at(&folder)?;
    Ok(json!({
        "apiVersion": "v1",
        "kind": "PersistentVolume",
        "metadata": { "name": name, "labels": { LABEL: "true" } },
        "spec": {
            "capacity": { "storage": "10Gi" },
            "accessModes": ["ReadWriteOnce"],
            // What Delete would need, a provisioner, is what there is not.
            "persistentVolumeReclaimPolicy": "Retain",
            "local": { "path": folder },
            "nodeAffinity": { "required": { "nodeSelectorTerms": [{ "matchExpressions": [
                { "key": "kubernetes.io/hostname", "operator": "In", "values": [NODE] }
            ] }] } }
        }
    }))
}
