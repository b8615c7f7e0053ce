//! A volume that the Ansible component has left.

use crate::clients::wheel;
use crate::release::Devpi;
use serde_json::json;
use std::fs;
use thinkube_e2e::{finish, web};

/// The original's objects as far as the volume is concerned: root gives the volume to the image's user, and the server starts
/// without a password.
fn original(release: &Devpi) {
    let image = release.cluster().devpi_image().expect("a node has the image");
    let namespace = &release.name;
    let mount = json!([{"name": "devpi-data", "mountPath": "/devpi"}]);
    let objects = json!({"apiVersion": "v1", "kind": "List", "items": [
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}},
        {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "harbor-pull-secret", "namespace": namespace},
         "stringData": {"copied": "by the original"}},
        {"apiVersion": "v1", "kind": "PersistentVolumeClaim",
         "metadata": {"name": "devpi-data-pvc", "namespace": namespace},
         "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "5Gi"}}}},
        {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "devpi", "namespace": namespace},
         "spec": {"selector": {"app": "devpi"}, "ports": [{"port": 3141, "targetPort": 3141, "protocol": "TCP"}]}},
        {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "devpi", "namespace": namespace},
         "spec": {
            "replicas": 1,
            "strategy": {"type": "Recreate"},
            "selector": {"matchLabels": {"app": "devpi"}},
            "template": {"metadata": {"labels": {"app": "devpi"}}, "spec": {
                "initContainers": [{
                    "name": "fix-permissions", "image": image, "securityContext": {"runAsUser": 0},
                    "command": ["sh", "-c", "mkdir -p /devpi/server && chown -R 1000:1000 /devpi"],
                    "volumeMounts": mount
                }],
                "containers": [{
                    "name": "devpi", "image": image, "ports": [{"containerPort": 3141}], "volumeMounts": mount,
                    "env": [
                        {"name": "DEVPISERVER_SERVERDIR", "value": "/devpi/server"},
                        {"name": "DEVPI_PORT", "value": "3141"},
                        {"name": "DEVPI_TRUSTED_PROXY", "value": "10.0.0.0/8"}
                    ],
                    "readinessProbe": {"httpGet": {"path": "/", "port": 3141}, "periodSeconds": 1, "timeoutSeconds": 10}
                }],
                "volumes": [{"name": "devpi-data", "persistentVolumeClaim": {"claimName": "devpi-data-pvc"}}]
            }}
         }}
    ]});
    let file = release.path("original.json");
    fs::write(&file, objects.to_string()).expect("the folder is writable");
    release.kubectl(&["apply", "-f", file.to_str().expect("it is text")]).ends_with(0);
    let status = ["rollout", "status", "deployment/devpi", "-n", namespace, "--timeout=300s"];
    release.kubectl(&status).ends_with(0);
}

/// What a person has published there, as root without a password.
fn publish(release: &Devpi) {
    let file = wheel(release.folder(), "thinkube_before");
    let script = "cat > /tmp/thinkube_before-1.0-py3-none-any.whl && export HOME=/tmp && \
        devpi use http://localhost:3141 && devpi login root --password= && \
        devpi index -c stable bases=root/pypi && devpi use root/stable && devpi upload /tmp/*.whl";
    let mut exec = std::process::Command::new(release.cluster().kubectl());
    exec.args(["exec", "-i", "deploy/devpi", "-c", "devpi", "-n", &release.name, "--", "sh", "-c", script]);
    exec.env("KUBECONFIG", release.cluster().kubeconfig()).stdin(fs::File::open(file).expect("it exists"));
    finish(&mut exec).ends_with(0);
}

#[test]
fn a_volume_of_the_original_keeps_its_packages_and_root_gets_a_password() {
    let Some(release) = Devpi::new() else { return };
    original(&release);
    publish(&release);
    let settings = [release.ready_image(), "oauth2_proxy_enabled=false".into()];
    let settings: Vec<&str> = settings.iter().map(String::as_str).collect();

    // What is another's is not taken unless it is named.
    let refused = release.apply(&settings);
    assert_ne!(refused.code, 0);
    assert!(refused.stderr.contains("--adopt"), "{}", refused.stderr);
    let name = &release.name;
    let apart_from_the_volume = "deployments,services,ingresses,configmaps,secrets,jobs";
    release.kubectl(&["delete", apart_from_the_volume, "--all", "-n", name, "--wait"]).ends_with(0);
    let pvc = format!("PersistentVolumeClaim/{name}/devpi-data-pvc");
    let applied = release.plugin(&["apply", "--yes", "-o", "json", "--adopt", &pvc], &settings).ends_with(0);
    let health = &applied.json()["health"];
    assert!(
        health.as_array().expect("it is a list").iter().all(|check| check["status"] == "passed"),
        "{health}"
    );

    assert_eq!((release.login(&release.password), release.login("")), (200, 401));
    let kept = format!("{}/root/stable/thinkube-before/1.0", release.api());
    web::get(release.cluster(), &kept).expect("the server answers").with(200);
    release.pip_install("root/stable", "thinkube_before", "kept").ends_with(0);
    release.upload(&wheel(release.folder(), "thinkube_after"));
    assert_eq!(release.apply(&settings).ends_with(0).json()["changed"], false);

    release.run(&["uninstall", name, "--yes"]).ends_with(0);
    assert_eq!(release.left(), ["persistentvolumeclaim/devpi-data-pvc"]);
}
