//! The discovery document as the platform's control reads it.

use crate::release::Devpi;
use serde_json::{Value, json};
use std::process::Command;
use thinkube_e2e::{finish, web};
use thinkube_test_cluster::Cluster;

/// Compares the ConfigMap on the cluster with the original's values, field by field, and follows everything that it names.
pub(crate) fn control_finds_everything_that_the_document_names(release: &Devpi) {
    let get = ["get", "configmap", "-A", "-l", "thinkube.io/managed=true", "-o", "json"];
    let listed = release.kubectl(&get).ends_with(0).json();
    let configs = listed["items"].as_array().expect("it is a list").iter();
    let config = configs.clone().find(|config| config["metadata"]["namespace"] == release.name.as_str());
    let config = config.expect("control finds it by its label");
    assert_eq!(config["metadata"]["name"], "thinkube-service-config");
    for (label, value) in [("service-type", "core"), ("service-name", "devpi")] {
        assert_eq!(config["metadata"]["labels"][format!("thinkube.io/{label}")], value);
    }
    let text = config["data"]["service.yaml"].as_str().expect("it is text");
    let mut document: Value = serde_norway::from_str(text).expect("YAML");
    let version = document["service"].as_object_mut().expect("a mapping").remove("component_version");
    assert_eq!(version.as_ref(), Some(&config["metadata"]["labels"]["thinkube.io/component-version"]));
    assert_eq!(document, expected(release));

    let service = &document["service"];
    for endpoint in service["endpoints"].as_array().expect("it is a list") {
        let url = endpoint["health_url"].as_str().unwrap_or(endpoint["url"].as_str().expect("it is text"));
        web::get(release.cluster(), url).expect("the server answers").with(200);
    }
    let scaled = &service["scaling"];
    let name = scaled["resource_name"].as_str().expect("it is text");
    let namespace = scaled["namespace"].as_str().expect("it is text");
    let replicas = ["get", "deployment", name, "-n", namespace, "-o", "jsonpath={.status.readyReplicas}"];
    assert_eq!(release.kubectl(&replicas).ends_with(0).stdout, scaled["min_replicas"].to_string());
    variables_lead_a_client_to_the_index(release, service);
}

fn expected(release: &Devpi) -> Value {
    let (api, dashboard, namespace) = (release.api(), release.dashboard(), &release.name);
    let password = json!({"namespace": namespace, "name": "devpi-root", "key": "password"});
    json!({"service": {
        "name": "devpi",
        "display_name": "DevPI",
        "description": "Private Python package repository",
        "type": "core",
        "category": "development",
        "icon": "/icons/tk_artifact.svg",
        "endpoints": [
            {"name": "web", "type": "http", "url": dashboard, "health_url": format!("{dashboard}/"),
             "description": "Web interface", "primary": true},
            {"name": "api", "type": "http", "url": api, "description": "API endpoint (no auth)"},
        ],
        "dependencies": [],
        "scaling": {"resource_type": "deployment", "resource_name": "devpi", "namespace": namespace,
                    "min_replicas": 1, "can_disable": false},
        "environment_variables": [
            {"name": "DEVPI_URL", "value": api},
            {"name": "DEVPI_INDEX", "value": format!("{api}/root/stable")},
            {"name": "DEVPI_USERNAME", "value": "root"},
            {"name": "DEVPI_PASSWORD", "valueFrom": {"secretKeyRef": password}},
        ],
    }})
}

/// As JupyterHub's init container does: values as they are, references by the Secret that they name.
fn variables_lead_a_client_to_the_index(release: &Devpi, service: &Value) {
    let value = |name: &str| {
        let variables = service["environment_variables"].as_array().expect("it is a list");
        let variable = variables.iter().find(|variable| variable["name"] == name).expect("it exists");
        let reference = &variable["valueFrom"]["secretKeyRef"];
        match variable["value"].as_str() {
            Some(value) => value.to_owned(),
            None => {
                assert_eq!(reference["namespace"], release.name.as_str());
                let text = |key: &str| reference[key].as_str().expect("it is text");
                release.secret(text("name"), text("key"))
            }
        }
    };
    let login = json!({"user": value("DEVPI_USERNAME"), "password": value("DEVPI_PASSWORD")}).to_string();
    let headers = ["--header", "Content-Type: application/json", "--header", "Accept: application/json"];
    let url = format!("{}/+login", value("DEVPI_URL"));
    let arguments = [&headers[..], &["--data-binary", &login, &url]].concat();
    web::curl(release.cluster(), &arguments).expect("the server answers").with(200);
    let used = devpi_use(release.cluster(), release, &value("DEVPI_INDEX"));
    assert!(used.contains("root/stable"), "{used}");
}

fn devpi_use(cluster: &Cluster, release: &Devpi, index: &str) -> String {
    let folder = release.path("discovered");
    let mut devpi: Command = cluster.command(crate::clients::clients().join("devpi"));
    devpi.args(["use", "--clientdir"]).arg(folder).env("DEVPI_INDEX", index);
    finish(&mut devpi).ends_with(0).stdout
}
