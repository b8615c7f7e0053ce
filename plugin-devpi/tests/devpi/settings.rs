//! The settings: schema, defaults, effects and limits.

use crate::{minimal, plan, plan_with, properties, with, with_settings};
use plugin_devpi::DevPi;
use serde_json::{Value, json};
use thinkube_sdk::testing::{self, Case, PlanError};
use thinkube_sdk::{Problem, Step};

const UNUSED: &str = "x-thinkube-unused";

/// A value other than the default for each setting with an effect, and the settings on which the effect depends.
fn other_values(name: &str) -> Value {
    match name {
        "domain_name" => json!({"domain_name": "example.org"}),
        "devpi_namespace" => json!({name: "packages"}),
        "devpi_dashboard_hostname" | "devpi_api_hostname" => json!({name: "packages.example.com"}),
        "devpi_index_name" => json!({name: "dev"}),
        "devpi_image" | "oauth2_proxy_image" | "oauth2_proxy_redis_image" => {
            json!({name: format!("registry.example.com:5000/other:1@sha256:{}", "0".repeat(64))})
        }
        "devpi_git_url" => json!({"devpi_image": null, name: "https://git.example.com/devpi.git"}),
        "devpi_git_revision" => json!({"devpi_image": null, name: "main"}),
        "devpi_image_tag" => json!({"devpi_image": null, name: "latest"}),
        "devpi_dockerfile" => json!({"devpi_image": null, name: "Containerfile"}),
        "auth_realm_username" => json!({name: "other"}),
        "nginx_headers_config_map" => json!({name: false}),
        "devpi_ca_file" => json!({name: "/etc/ssl/platform.crt"}),
        "pip_trusted_host" => json!({name: true}),
        "devpi_password_in_clear" => json!({name: true}),
        "code_server_env" => json!({name: false}),
        "code_server_namespace" => json!({name: "vscode"}),
        "code_server_home" => json!({name: "/home/other"}),
        "devpi_storage_size" => json!({name: "20Gi"}),
        "routing" => json!({name: "gateway"}),
        "gateway_name" | "gateway_namespace" => json!({"routing": "gateway", name: "other"}),
        "tls_secret_name" => json!({name: "wildcard"}),
        "tls_source_secret" | "harbor_pull_secret" | "keycloak_ca_secret" => json!({name: "platform/other"}),
        "oauth2_proxy_enabled" => json!({name: false}),
        "oauth2_proxy_client_id" => json!({name: "packages"}),
        "oauth2_proxy_provider" => json!({name: "oidc"}),
        "oauth2_proxy_redirect_url" => json!({name: "https://other.example.com/oauth2/callback"}),
        "oauth2_proxy_session_store_type" => json!({name: "cookie"}),
        "oauth2_proxy_redis_service" => json!({name: "sessions"}),
        "harbor_registry" => json!({name: "registry.example.com:5000"}),
        "harbor_project" => json!({name: "thinkube"}),
        "keycloak_url" => json!({name: "https://auth.example.com"}),
        "keycloak_realm" => json!({name: "other"}),
        "admin_username" => json!({name: "tkadmin"}),
        other => panic!("{other} has neither a value in this test nor {UNUSED}"),
    }
}

/// The original has settings that nothing reads.
#[test]
fn every_setting_changes_the_plan_or_explains_why_not() {
    for (name, property) in properties() {
        match property.get(UNUSED) {
            None => {
                let mut values = other_values(&name);
                let changed = testing::plan::<DevPi>(with_settings(values.clone()));
                values.as_object_mut().expect("a mapping").remove(&name);
                let without = if name == "domain_name" { minimal() } else { with_settings(values.clone()) };
                let workstation = |settings| testing::plan_workstation::<DevPi>(settings);
                let on_workstation =
                    workstation(with_settings(other_values(&name))) != workstation(without.clone());
                assert!(
                    on_workstation || changed.plan != testing::plan::<DevPi>(without).plan,
                    "{name} has no effect"
                );
            }
            Some(reason) => {
                assert!(reason.as_str().is_some_and(|reason| reason.ends_with('.')), "{name}: {reason}");
                assert_eq!(plan_with(&name, "https://other.example.com").plan, plan().plan, "{name}");
            }
        }
    }
}

/// `UPDATE_SCHEMA=1 cargo test -p plugin-devpi` writes the file.
#[test]
fn the_component_holds_the_schema_of_its_settings() {
    let mut made: Value = serde_json::from_str(&thinkube_sdk::schema_of::<plugin_devpi::Settings>())
        .expect("the schema is JSON");
    made.sort_all_objects();
    // One line for each setting; spaces would become bytes of the component.
    let made =
        made.to_string().replace("\"properties\":{", "\"properties\":{\n").replace("},\"", "},\n\"") + "\n";
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/src/settings.schema.json");
    if std::env::var_os("UPDATE_SCHEMA").is_some() {
        std::fs::write(path, &made).expect("the schema can be written");
    }
    assert_eq!(
        std::fs::read_to_string(path).expect("the schema can be read"),
        made,
        "UPDATE_SCHEMA=1 writes it"
    );
}

#[test]
fn the_inventory_of_the_documentation_is_accepted_as_it_is() {
    let inventory: Value = serde_norway::from_str(
        "devpi_namespace: devpi
devpi_dashboard_hostname: devpi.example.com
devpi_api_hostname: devpi-api.example.com
devpi_index_name: stable
oauth2_proxy_client_id: oauth2-proxy-devpi
oauth2_proxy_enabled: true
harbor_registry: harbor.example.com
harbor_project: library
keycloak_url: https://keycloak.example.com
keycloak_realm: thinkube
admin_username: admin
domain_name: example.com
system_username: alexmc
kubeconfig: /var/snap/k8s/common/etc/admin.conf
kubectl_bin: /snap/k8s/current/bin/kubectl
helm_bin: /snap/k8s/current/bin/helm
",
    )
    .expect("the inventory is YAML");
    let mut inventory: Value = inventory;
    inventory["devpi_image"] = json!(crate::READY);
    assert_eq!(testing::plan::<DevPi>(inventory).plan, plan().plan);
}

#[test]
fn the_example_inventory_gives_a_plan() {
    let inventory =
        serde_norway::from_str(include_str!("../../examples/inventory.yaml")).expect("the inventory is YAML");
    testing::plan::<DevPi>(inventory);
}

#[test]
fn defaults_derive_from_the_domain_and_the_namespace() {
    let mut settings = with("devpi_namespace", "packages");
    settings["domain_name"] = json!("example.org");
    let plan = testing::plan::<DevPi>(settings);
    let ingress = plan.object("Ingress", "devpi-http-ingress");
    assert_eq!(ingress["metadata"]["namespace"], "packages");
    assert_eq!(
        ingress["spec"]["tls"],
        json!([{"hosts": ["devpi.example.org"], "secretName": "packages-tls-secret"}])
    );
    assert_eq!(
        ingress["metadata"]["annotations"]["nginx.ingress.kubernetes.io/auth-url"],
        "http://oauth2-proxy.packages.svc.cluster.local/oauth2/auth"
    );
    assert_eq!(
        plan.object("Ingress", "devpi-api-ingress")["spec"]["rules"][0]["host"],
        "devpi-api.example.org"
    );
    let container = &plan.object("Deployment", "devpi")["spec"]["template"]["spec"]["containers"][0];
    assert_eq!(container["image"], crate::READY);
    assert!(plan.objects().iter().all(|object| {
        object["metadata"].get("namespace").is_none_or(|namespace| namespace == "packages")
    }));
}

#[test]
fn a_set_host_name_reaches_the_discovery() {
    let plan = plan_with("devpi_api_hostname", "pip.example.com");
    let config = plan.object("ConfigMap", "thinkube-service-config");
    let text = config["data"]["service.yaml"].as_str().expect("YAML is text");
    assert!(text.contains("https://pip.example.com") && !text.contains("devpi-api"), "{text}");
}

#[test]
fn a_set_image_wins_over_registry_and_project() {
    let mut settings = with("devpi_image", "registry.example.com/devpi:1");
    settings["harbor_project"] = json!("thinkube");
    let template =
        &testing::plan::<DevPi>(settings).object("Deployment", "devpi")["spec"]["template"]["spec"];
    for container in ["containers", "initContainers"] {
        assert_eq!(template[container][0]["image"], "registry.example.com/devpi:1");
    }
}

#[test]
fn one_name_for_both_hosts_is_rejected_with_its_path() {
    let result = Case::<DevPi>::new(with("devpi_api_hostname", "devpi.example.com")).plan();
    let Err(PlanError::Problem(Problem::InvalidSettings(located))) = result else { panic!("{result:?}") };
    assert_eq!(located.path, "/devpi_api_hostname");
}

#[test]
fn unknown_missing_and_malformed_settings_are_rejected() {
    let cases = [
        json!({}),
        with("devpi_namspace", "devpi"),
        with("devpi_namespace", "DevPI"),
        with("devpi_namespace", "devpi.one"),
        with("devpi_namespace", 7),
        with("domain_name", "https://example.com"),
        with("domain_name", "example.com/"),
        with("domain_name", "-example.com"),
        with("devpi_api_hostname", Value::Null),
        with("devpi_api_hostname", "a'b.example.com"),
        with("devpi_dashboard_hostname", "devpi.example.com:443"),
        with("devpi_index_name", "a/b"),
        with("devpi_index_name", ""),
        with("devpi_storage_size", "5 GB"),
        with("devpi_storage_size", "0"),
        with("oauth2_proxy_enabled", "yes"),
        with("harbor_registry", "https://harbor.example.com"),
        with("harbor_project", "Library"),
        with("devpi_image", "https://harbor.example.com/library/devpi"),
        with("devpi_image", "devpi:6.20.1"),
        with("devpi_image", "harbor.example.com/library/devpi@sha256:00"),
        with("kubeconfig", 1),
        with("devpi_git_url", "git@example.com:devpi"),
        with("devpi_git_url", "https://user:password@git.example.com/devpi"),
        with("devpi_dockerfile", "../Dockerfile/"),
        with("routing", "gatway"),
        with("tls_source_secret", "wildcard"),
        with("keycloak_url", "http://keycloak.example.com"),
        with("keycloak_url", "https://keycloak.example.com/"),
        with("keycloak_url", "https://user@keycloak.example.com"),
        with("keycloak_realm", "a'b"),
        with("oauth2_proxy_session_store_type", "memory"),
        with("devpi_ca_file", "ca.crt"),
        with("devpi_ca_file", "/etc/it's.crt"),
        with("devpi_ca_file", "/etc/../ca.crt"),
        with("devpi_ca_file", "/etc/./ca.crt"),
        with("pip_trusted_host", "devpi-api.example.com"),
    ];
    for settings in cases {
        let result = Case::<DevPi>::new(settings.clone()).plan();
        assert!(matches!(result, Err(PlanError::InvalidInput(_))), "{settings}: {result:?}");
    }
}

/// DNS and certificates allow no longer label, and the API server rejects a longer name.
#[test]
fn names_have_the_limits_of_dns_and_kubernetes() {
    let label = |length: usize| "a".repeat(length);
    let accepted = |name: &str, value: String| Case::<DevPi>::new(with(name, value)).plan().is_ok();
    let host = |length: usize| format!("{}.example.com", label(length));
    for name in ["devpi_dashboard_hostname", "devpi_api_hostname", "domain_name", "harbor_registry"] {
        assert!(accepted(name, host(63)), "{name}");
        assert!(!accepted(name, host(64)), "{name}");
        assert!(!accepted(name, format!("b.{}.com", label(64))), "{name}");
    }
    let long = ["a"; 127].join(".");
    assert!(accepted("devpi_api_hostname", long.clone()), "253 characters");
    assert!(!accepted("devpi_api_hostname", format!("{long}.a")), "255 characters");
    for name in
        ["devpi_namespace", "gateway_namespace", "code_server_namespace", "oauth2_proxy_redis_service"]
    {
        assert!(accepted(name, label(63)), "{name}");
        assert!(!accepted(name, label(64)), "{name}");
    }
    assert!(!accepted("oauth2_proxy_redis_service", "1a".to_owned()), "a Service begins with a letter");
    for name in ["keycloak_url", "oauth2_proxy_redirect_url"] {
        assert!(accepted(name, format!("https://{}", host(63))), "{name}");
        assert!(!accepted(name, format!("https://{}", host(64))), "{name}");
    }
    for name in ["tls_source_secret", "harbor_pull_secret", "keycloak_ca_secret"] {
        assert!(accepted(name, format!("{}/{}", label(63), label(253))), "{name}");
        assert!(!accepted(name, format!("{}/{}", label(64), "a")), "{name}");
        assert!(!accepted(name, format!("a/{}", label(254))), "{name}");
        assert!(!accepted(name, "a/b..c".to_owned()), "{name}");
    }
    for name in ["tls_secret_name", "gateway_name"] {
        assert!(accepted(name, label(253)), "{name}");
        assert!(!accepted(name, label(254)), "{name}");
    }
}

/// A tag must name its content.
#[test]
fn only_the_default_revision_is_tagged_with_the_server_version() {
    let tag = |settings: &[(&str, &str)]| {
        let mut all = json!({"domain_name": "example.com"});
        for (name, value) in settings {
            all[*name] = json!(value);
        }
        let plan = testing::plan::<DevPi>(all);
        let image = plan.steps().find_map(|step| match step {
            Step::Image(image) => Some(image.destination.clone()),
            _ => None,
        });
        image
            .expect("the plan builds an image")
            .rsplit_once(':')
            .expect("the destination has a tag")
            .1
            .to_owned()
    };
    // The host reserves tags of a whole commit.
    let commit = "7bbfb7950cb1";
    assert_eq!(tag(&[]), "6.20.1");
    assert_eq!(tag(&[("devpi_git_revision", "release/6.21")]), "release-6.21");
    assert_eq!(tag(&[("devpi_git_url", "https://git.example.com/devpi")]), commit);
    assert_eq!(tag(&[("devpi_dockerfile", "Containerfile")]), commit);
    assert_eq!(tag(&[("devpi_image_tag", "latest")]), "latest");
    assert_eq!(tag(&[("devpi_git_revision", "main"), ("devpi_image_tag", "6.21.0")]), "6.21.0");
    assert_eq!(tag(&[("devpi_git_revision", &"v".repeat(200))]).len(), 128);
    for wrong in ["", "-a", "a b", "a/b", &"a".repeat(129)] {
        let result = Case::<DevPi>::new(with("devpi_image_tag", wrong)).plan();
        assert!(matches!(result, Err(PlanError::InvalidInput(_))), "{wrong}: {result:?}");
    }
}

#[test]
fn the_schema_is_draft_2020_12_and_describes_every_setting() {
    let schema = testing::schema::<DevPi>();
    assert!(jsonschema::draft202012::meta::is_valid(&schema), "{schema:#}");
    assert_eq!(schema["$schema"], "https://json-schema.org/draft/2020-12/schema");
    assert_eq!(schema["additionalProperties"], false);
    assert_eq!(schema["required"], json!(["domain_name"]));
    for (name, property) in properties() {
        assert!(property["description"].as_str().is_some_and(|text| text.len() > 10), "{name}");
        assert!(property["type"].is_string(), "{name} has one type");
    }
}

#[test]
fn the_defaults_are_those_of_the_inventory() {
    let defaults: Value = properties()
        .into_iter()
        .filter_map(|(name, property)| Some((name, property.get("default")?.clone())))
        .collect();
    assert_eq!(
        defaults,
        json!({
            "devpi_namespace": "devpi",
            "devpi_index_name": "stable",
            "devpi_git_url": "https://github.com/thinkube/thinkube-devpi.git",
            "devpi_git_revision": "7bbfb7950cb1e07398866614004fba162a36c1fe",
            "devpi_dockerfile": "dockerfile/Dockerfile",
            "devpi_storage_size": "5Gi",
            "nginx_headers_config_map": true,
            "pip_trusted_host": false,
            "routing": "ingress",
            "gateway_name": "thinkube-gateway",
            "gateway_namespace": "gateway-system",
            "harbor_project": "library",
            "harbor_pull_secret": "default/harbor-pull-secret",
            "oauth2_proxy_enabled": true,
            "oauth2_proxy_client_id": "oauth2-proxy-devpi",
            "oauth2_proxy_provider": "keycloak-oidc",
            "oauth2_proxy_session_store_type": "redis",
            "oauth2_proxy_redis_service": "ephemeral-redis",
            "oauth2_proxy_image": "quay.io/oauth2-proxy/oauth2-proxy:v7.15.6",
            "keycloak_realm": "thinkube",
            "admin_username": "admin",
            "auth_realm_username": "thinkube",
            "devpi_password_in_clear": false,
            "code_server_env": true,
            "code_server_namespace": "code-server",
            "code_server_home": "/home/coder",
        })
    );
}

#[test]
fn derived_defaults_are_those_of_the_original() {
    let derived: Value = properties()
        .into_iter()
        .filter_map(|(name, property)| Some((name, property.get("x-thinkube-default")?.clone())))
        .collect();
    assert_eq!(
        derived,
        json!({
            "devpi_dashboard_hostname": "devpi.${domain_name}",
            "devpi_api_hostname": "devpi-api.${domain_name}",
            "tls_secret_name": "${devpi_namespace}-tls-secret",
            "tls_source_secret": "default/${domain_name:dashed}-tls",
            "harbor_registry": "harbor.${domain_name}",
            "oauth2_proxy_redirect_url": "https://${devpi_dashboard_hostname}/oauth2/callback",
            "oauth2_proxy_redis_image": "${harbor_registry}/${harbor_project}/valkey:7.2-alpine",
            "keycloak_url": "https://keycloak.${domain_name}",
        })
    );
}

#[test]
fn the_documentation_lists_every_setting() {
    let page = include_str!("../../../docs/devpi/README.md");
    for (name, property) in properties() {
        let row = page.lines().find(|line| line.starts_with(&format!("| `{name}` |")));
        let row = row.unwrap_or_else(|| panic!("docs/devpi/README.md has no row for {name}"));
        if let Some(default) = property.get("default").or_else(|| property.get("x-thinkube-default")) {
            let default = default.as_str().map_or_else(|| default.to_string(), str::to_owned);
            assert!(row.contains(&format!("| `{default}` |")), "{name}: the default is {default}");
        }
        assert_eq!(property.get(UNUSED).is_some(), row.contains("no effect"), "{name}");
    }
}

#[test]
fn the_namespace_has_its_default_with_any_release_name() {
    let plan = Case::<DevPi>::new(minimal()).release("second").plan().expect("the settings have a plan");
    assert_eq!(plan.object("Namespace", "devpi")["metadata"]["name"], "devpi");
}
