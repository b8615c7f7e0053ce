use crate::{minimal, plan, plan_with, properties, with};
use plugin_devpi::DevPi;
use serde_json::{Value, json};
use thinkube_sdk::Problem;
use thinkube_sdk::testing::{self, Case, Refusal};

const UNUSED: &str = "x-thinkube-unused";

/// Another value than the default for each setting that has an effect.
fn other_value(name: &str) -> Value {
    match name {
        "domain_name" => json!("example.org"),
        "devpi_namespace" => json!("packages"),
        "devpi_dashboard_hostname" => json!("packages.example.com"),
        "devpi_api_hostname" => json!("pip.example.com"),
        "devpi_index_name" => json!("dev"),
        "devpi_image" => json!(format!("registry.example.com:5000/devpi:1@sha256:{}", "0".repeat(64))),
        "devpi_storage_size" => json!("20Gi"),
        "tls_secret_name" => json!("wildcard"),
        "oauth2_proxy_enabled" => json!(false),
        "harbor_registry" => json!("registry.example.com:5000"),
        "harbor_project" => json!("thinkube"),
        other => panic!("{other} has neither a value in this test nor the mark {UNUSED}"),
    }
}

#[test]
fn every_setting_changes_the_plan_or_says_why_not() {
    for (name, property) in properties() {
        match property.get(UNUSED) {
            None => {
                assert_ne!(plan_with(&name, other_value(&name)).plan, plan().plan, "{name} has no effect")
            }
            Some(reason) => {
                assert!(reason.as_str().is_some_and(|reason| reason.ends_with('.')), "{name}: {reason}");
                assert_eq!(plan_with(&name, "https://other.example.com").plan, plan().plan, "{name}");
            }
        }
    }
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
kubeconfig: /var/snap/k8s/common/etc/admin.conf
kubectl_bin: /snap/k8s/current/bin/kubectl
helm_bin: /snap/k8s/current/bin/helm
",
    )
    .expect("it is YAML");
    assert_eq!(testing::plan::<DevPi>(inventory).plan, plan().plan);
}

#[test]
fn the_example_inventory_gives_a_plan() {
    let inventory =
        serde_norway::from_str(include_str!("../../examples/inventory.yaml")).expect("it is YAML");
    testing::plan::<DevPi>(inventory);
}

#[test]
fn what_is_not_set_derives_from_the_domain_and_the_namespace() {
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
    assert_eq!(container["image"], "harbor.example.org/library/devpi:6.20.1");
    assert!(plan.objects().iter().all(|object| {
        object["metadata"].get("namespace").is_none_or(|namespace| namespace == "packages")
    }));
}

#[test]
fn a_host_name_that_is_set_reaches_the_discovery_too() {
    let plan = plan_with("devpi_api_hostname", "pip.example.com");
    let config = plan.object("ConfigMap", "thinkube-service-config");
    let text = config["data"]["service.yaml"].as_str().expect("YAML is text");
    assert!(text.contains("https://pip.example.com") && !text.contains("devpi-api"), "{text}");
}

#[test]
fn an_image_that_is_set_wins_over_registry_and_project() {
    let mut settings = with("devpi_image", "registry.example.com/devpi:1");
    settings["harbor_project"] = json!("thinkube");
    let template =
        &testing::plan::<DevPi>(settings).object("Deployment", "devpi")["spec"]["template"]["spec"];
    for container in ["containers", "initContainers"] {
        assert_eq!(template[container][0]["image"], "registry.example.com/devpi:1");
    }
}

#[test]
fn one_name_for_both_hosts_is_refused_with_its_place() {
    let refusal = Case::<DevPi>::new(with("devpi_api_hostname", "devpi.example.com")).run();
    let Err(Refusal::Problem(Problem::InvalidSettings(located))) = refusal else { panic!("{refusal:?}") };
    assert_eq!(located.path, "/devpi_api_hostname");
}

#[test]
fn settings_that_are_unknown_missing_or_of_another_form_are_refused() {
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
    ];
    for settings in cases {
        let refusal = Case::<DevPi>::new(settings.clone()).run();
        assert!(matches!(refusal, Err(Refusal::Schema(_))), "{settings}: {refusal:?}");
    }
}

#[test]
fn the_schema_is_draft_2020_12_and_every_setting_is_explained() {
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
            "devpi_storage_size": "5Gi",
            "oauth2_proxy_enabled": true,
            "oauth2_proxy_client_id": "oauth2-proxy-devpi",
            "harbor_project": "library",
            "keycloak_realm": "thinkube",
            "admin_username": "admin",
        })
    );
}

#[test]
fn the_documentation_lists_every_setting() {
    let page = include_str!("../../../docs/plugin-devpi.md");
    for (name, property) in properties() {
        let row = page.lines().find(|line| line.starts_with(&format!("| `{name}` |")));
        let row = row.unwrap_or_else(|| panic!("docs/plugin-devpi.md has no row for {name}"));
        if let Some(default) = property.get("default") {
            let default = default.as_str().map_or_else(|| default.to_string(), str::to_owned);
            assert!(row.contains(&format!("| `{default}` |")), "{name}: the default is {default}");
        }
        assert_eq!(property.get(UNUSED).is_some(), row.contains("no effect"), "{name}");
    }
}

#[test]
fn the_namespace_is_that_of_the_release_even_without_its_setting() {
    let plan = Case::<DevPi>::new(minimal()).release("second").run().expect("it has a plan");
    assert_eq!(plan.object("Namespace", "devpi")["metadata"]["name"], "devpi");
}
