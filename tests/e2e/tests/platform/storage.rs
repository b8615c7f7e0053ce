//! Volumes of the default storage class.

use crate::fixtures::{admin, apply, pod, printed, run, toolbox};
use serde_json::{Value, json};
use std::path::Path;
use thinkube_e2e::eventually;
use thinkube_test_cluster::{Addon, TestNamespace};

/// A PVC of the default class, which it does not name.
fn pvc(name: &str) -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": { "name": name },
        "spec": { "accessModes": ["ReadWriteOnce"], "resources": { "requests": { "storage": "1Gi" } } }
    })
}

/// A pod of user 1000 that runs a script with the PVC's volume mounted.
fn user(namespace: &TestNamespace, name: &str, pvc: &str, script: &str) -> Value {
    let mut pod = pod(name, toolbox(namespace), &["sh", "-c", script]);
    pod["spec"]["securityContext"] =
        json!({ "runAsNonRoot": true, "runAsUser": 1000, "runAsGroup": 1000, "fsGroup": 1000 });
    pod["spec"]["volumes"] = json!([{ "name": "data", "persistentVolumeClaim": { "claimName": pvc } }]);
    pod["spec"]["containers"][0]["volumeMounts"] = json!([{ "name": "data", "mountPath": "/data" }]);
    pod
}

#[test]
fn a_volume_keeps_an_ordinary_users_files_and_is_deleted_with_its_pvc() {
    let Some(namespace) = TestNamespace::with([Addon::Node]) else { return };
    let write = "(echo kept > /data/file && ls -n /data) 2>/dev/null || echo refused";
    // A fresh disk is root's, so that what fsGroup does is seen.
    let mut outsider = user(&namespace, "outsider", "other", write);
    outsider["spec"]["securityContext"].as_object_mut().expect("an object").remove("fsGroup");
    apply(
        &namespace,
        json!([pvc("data"), pvc("other"), outsider, user(&namespace, "writer", "data", write)]),
    );
    assert_eq!(printed(&namespace, "outsider"), "refused\n");
    let written = printed(&namespace, "writer");
    assert!(written.contains("1000     1000") && written.contains("file"), "{written}");

    run(&namespace, &["delete", "pod", "writer"]);
    apply(&namespace, json!([user(&namespace, "reader", "data", "id -u && cat /data/file")]));
    assert_eq!(printed(&namespace, "reader"), "1000\nkept\n");

    let volume = run(&namespace, &["get", "pvc", "data", "-o", "jsonpath={.spec.volumeName}"]);
    let found = admin(namespace.cluster(), &["get", "pv", &volume, "-o", "json"]).ends_with(0).json();
    assert_eq!(found["spec"]["storageClassName"], "local-path");
    let folder = Path::new(found["spec"]["local"]["path"].as_str().expect("a folder of the node"));
    assert_eq!(std::fs::read_to_string(folder.join("file")).expect("the file in it"), "kept\n");
    run(&namespace, &["delete", "pod", "reader", "outsider"]);
    run(&namespace, &["delete", "pvc", "data", "other"]);
    eventually("end of volume and folder", || {
        let listed = admin(namespace.cluster(), &["get", "pv", &volume, "-o", "name"]);
        if listed.code != 0 && listed.stderr.contains("NotFound") && !folder.exists() {
            Ok(())
        } else {
            Err(format!("{listed:?}, folder there: {}", folder.exists()))
        }
    });
}
