//! The objects and the operations, compared with those of the Ansible component (*the original*).

use crate::{minimal, plan, plan_with};
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{ConfigMap, Namespace, PersistentVolumeClaim, Service};
use k8s_openapi::api::networking::v1::Ingress;
use plugin_devpi::DevPi;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use thinkube_sdk::testing::{Case, PlanError, Planned, plan as plan_of};
use thinkube_sdk::{OnUninstall, Step};

#[test]
fn the_namespace_is_bare() {
    let expected = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "devpi"}});
    assert_eq!(plan().object("Namespace", "devpi"), expected);
}

#[test]
fn the_pvc_requests_5gi_of_the_default_storage_class() {
    assert_eq!(
        plan().object("PersistentVolumeClaim", "devpi-data-pvc"),
        json!({
            "apiVersion": "v1",
            "kind": "PersistentVolumeClaim",
            "metadata": {"name": "devpi-data-pvc", "namespace": "devpi"},
            "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "5Gi"}}},
        })
    );
}

#[test]
fn the_deployment_is_the_second_stage_of_the_original_without_root() {
    let image = "harbor.example.com/library/devpi:6.20.1";
    let mounts = json!([{"name": "devpi-data", "mountPath": "/devpi"}]);
    let confined = json!({"allowPrivilegeEscalation": false, "capabilities": {"drop": ["ALL"]}});
    let http = json!({"path": "/", "port": 3141});
    assert_eq!(
        plan().object("Deployment", "devpi"),
        json!({
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": {"name": "devpi", "namespace": "devpi"},
            "spec": {
                "replicas": 1,
                "selector": {"matchLabels": {"app": "devpi"}},
                "strategy": {"type": "Recreate"},
                "template": {
                    "metadata": {"labels": {"app": "devpi"}},
                    "spec": {
                        "imagePullSecrets": [{"name": "harbor-pull-secret"}],
                        "automountServiceAccountToken": false,
                        "securityContext": {
                            "runAsNonRoot": true,
                            "runAsUser": 1000,
                            "runAsGroup": 1000,
                            "fsGroup": 1000,
                            "fsGroupChangePolicy": "OnRootMismatch",
                            "seccompProfile": {"type": "RuntimeDefault"},
                        },
                        "initContainers": [{
                            "name": "prepare-volume",
                            "image": image,
                            "imagePullPolicy": "IfNotPresent",
                            "command": [
                                "sh",
                                "-c",
                                "mkdir -p /devpi/server && chmod 700 /devpi/server && \
                                 if [ -e /devpi/server/secret ]; then chmod 600 /devpi/server/secret; fi",
                            ],
                            "securityContext": confined,
                            "resources": {
                                "requests": {"cpu": "10m", "memory": "16Mi"},
                                "limits": {"cpu": "100m", "memory": "64Mi"},
                            },
                            "volumeMounts": mounts,
                        }],
                        "containers": [{
                            "name": "devpi",
                            "image": image,
                            "imagePullPolicy": "IfNotPresent",
                            "ports": [{"containerPort": 3141}],
                            "env": [
                                {"name": "DEVPISERVER_SERVERDIR", "value": "/devpi/server"},
                                {"name": "DEVPI_OUTSIDE_URL", "value": "https://devpi-api.example.com"},
                                {"name": "DEVPI_EXTRA_ARGS", "value": "--restrict-modify=root"},
                                {
                                    "name": "DEVPISERVER_ROOT_PASSWD",
                                    "valueFrom": {"secretKeyRef": {"name": "devpi-root", "key": "password"}},
                                },
                            ],
                            "volumeMounts": mounts,
                            "startupProbe": {"httpGet": http, "periodSeconds": 5, "failureThreshold": 60},
                            "livenessProbe": {"httpGet": http, "initialDelaySeconds": 30, "periodSeconds": 10},
                            "readinessProbe": {"httpGet": http, "initialDelaySeconds": 10, "periodSeconds": 5},
                            "resources": {
                                "requests": {"cpu": "200m", "memory": "1Gi"},
                                "limits": {"cpu": "2", "memory": "4Gi"},
                            },
                            "securityContext": confined,
                        }],
                        "volumes": [{
                            "name": "devpi-data",
                            "persistentVolumeClaim": {"claimName": "devpi-data-pvc"},
                        }],
                    },
                },
            },
        })
    );
}

#[test]
fn a_built_image_is_used_by_its_digest_everywhere() {
    let plan = plan_of::<DevPi>(json!({"domain_name": "example.com"}));
    let Some(Step::Image(image)) = plan.plan.stages[0].steps.first() else {
        panic!("{:?}", plan.plan.stages[0])
    };
    assert_eq!(image.destination, "harbor.example.com/library/devpi:6.20.1");
    assert_eq!(image.dockerfile, "dockerfile/Dockerfile");
    assert_eq!(
        image.push_credentials.as_ref().map(|secret| secret.name.as_str()),
        Some("harbor-pull-secret")
    );
    let bound: Vec<_> = plan
        .steps()
        .filter_map(|step| match step {
            Step::Object(object) => Some(&object.bindings),
            _ => None,
        })
        .flatten()
        .map(|binding| {
            (binding.pointer.as_str(), binding.source.step.as_str(), binding.source.output.as_str())
        })
        .collect();
    assert_eq!(
        bound,
        [
            ("/spec/template/spec/initContainers/0/image", "image", "reference"),
            ("/spec/template/spec/containers/0/image", "image", "reference"),
            ("/spec/template/spec/containers/0/image", "image", "reference"),
        ]
    );
    assert!(plan_of::<DevPi>(minimal()).steps().all(|step| !matches!(step, Step::Image(_))));
}

#[test]
fn the_service_leads_port_3141_to_the_server() {
    assert_eq!(
        plan().object("Service", "devpi"),
        json!({
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": "devpi", "namespace": "devpi"},
            "spec": {
                "selector": {"app": "devpi"},
                "ports": [{"port": 3141, "targetPort": 3141, "protocol": "TCP"}],
            },
        })
    );
}

fn ingress(name: &str, host: &str, annotations: Value) -> Value {
    json!({
        "apiVersion": "networking.k8s.io/v1",
        "kind": "Ingress",
        "metadata": {"name": name, "namespace": "devpi", "annotations": annotations},
        "spec": {
            "ingressClassName": "nginx",
            "tls": [{"hosts": [host], "secretName": "devpi-tls-secret"}],
            "rules": [{
                "host": host,
                "http": {"paths": [{
                    "path": "/",
                    "pathType": "Prefix",
                    "backend": {"service": {"name": "devpi", "port": {"number": 3141}}},
                }]},
            }],
        },
    })
}

/// The headers in which the proxy names the user.
const IDENTITY: [&str; 8] = [
    "X-Auth-Request-User",
    "X-Auth-Request-Email",
    "X-Auth-Request-Groups",
    "X-Auth-Request-Preferred-Username",
    "X-Forwarded-User",
    "X-Forwarded-Email",
    "X-Forwarded-Groups",
    "X-Forwarded-Preferred-Username",
];

#[test]
fn behind_a_gateway_a_client_cannot_impersonate_a_user() {
    let rules = |plan: &Planned| plan.object("HTTPRoute", "devpi-http-httproute")["spec"]["rules"].clone();
    let removed = &rules(&plan_with("routing", "gateway"))[0]["filters"][0];
    assert_eq!(removed["type"], "RequestHeaderModifier");
    assert_eq!(removed["requestHeaderModifier"]["remove"], json!(IDENTITY));
}

/// The annotations of an open host: DevPI accepts every request, and its answer lacks the header.
fn open_annotations() -> Value {
    json!({
        "nginx.ingress.kubernetes.io/auth-url": "http://devpi.devpi.svc.cluster.local:3141/+authcheck",
        "nginx.ingress.kubernetes.io/auth-cache-key": "all",
        "nginx.ingress.kubernetes.io/auth-response-headers": "X-Outside-URL",
        "nginx.ingress.kubernetes.io/proxy-body-size": "50m",
        "nginx.ingress.kubernetes.io/force-ssl-redirect": "true",
    })
}

#[test]
fn the_dashboard_asks_the_oauth2_proxy() {
    let answered = format!("{},X-Outside-URL", IDENTITY.join(","));
    let annotations = json!({
        "nginx.ingress.kubernetes.io/auth-url": "http://oauth2-proxy.devpi.svc.cluster.local/oauth2/auth",
        "nginx.ingress.kubernetes.io/auth-signin":
            "https://devpi.example.com/oauth2/start?rd=$escaped_request_uri",
        "nginx.ingress.kubernetes.io/auth-response-headers": answered,
        "nginx.ingress.kubernetes.io/proxy-body-size": "50m",
        "nginx.ingress.kubernetes.io/force-ssl-redirect": "true",
    });
    let expected = ingress("devpi-http-ingress", "devpi.example.com", annotations);
    assert_eq!(plan().object("Ingress", "devpi-http-ingress"), expected);
}

#[test]
fn the_dashboard_is_open_if_the_proxy_is_disabled() {
    let expected = ingress("devpi-http-ingress", "devpi.example.com", open_annotations());
    assert_eq!(plan_with("oauth2_proxy_enabled", false).object("Ingress", "devpi-http-ingress"), expected);
}

#[test]
fn the_api_is_open() {
    let expected = ingress("devpi-api-ingress", "devpi-api.example.com", open_annotations());
    assert_eq!(plan().object("Ingress", "devpi-api-ingress"), expected);
}

/// The server builds its links with the header of any client.
#[test]
fn a_client_cannot_set_the_address_of_links() {
    for (name, value) in [("oauth2_proxy_enabled", true), ("oauth2_proxy_enabled", false)] {
        let mut settings = minimal();
        settings["routing"] = json!("gateway");
        settings[name] = json!(value);
        let plan = plan_of::<DevPi>(settings);
        for (route, address) in [
            ("devpi-http-httproute", "https://devpi.example.com"),
            ("devpi-api-httproute", "https://devpi-api.example.com"),
        ] {
            let rules = &plan.object("HTTPRoute", route)["spec"]["rules"];
            assert_eq!(rules.as_array().map(Vec::len), Some(1), "{route}");
            let [filter] = rules[0]["filters"].as_array().expect("filters are a list").as_slice() else {
                panic!("{rules}")
            };
            assert_eq!(filter["type"], "RequestHeaderModifier", "{route}");
            let set = json!([{"name": "X-Outside-URL", "value": address}]);
            assert_eq!(filter["requestHeaderModifier"]["set"], set, "{route}");
        }
    }
    // The answer to `auth-url` lacks the header, so ingress-nginx drops the client's.
    for object in plan().objects().iter().filter(|object| object["kind"] == "Ingress") {
        let annotations = &object["metadata"]["annotations"];
        let login = object["metadata"]["name"] == "oauth2-proxy-ingress";
        let dropped = annotations["nginx.ingress.kubernetes.io/auth-response-headers"]
            .as_str()
            .is_some_and(|names| names.split(',').any(|name| name == "X-Outside-URL"));
        let asked = annotations["nginx.ingress.kubernetes.io/auth-url"].is_string();
        assert!(login != (dropped && asked), "{annotations}");
    }
}

#[test]
fn ingress_nginx_can_use_the_headers_of_the_original() {
    let config = plan().object("ConfigMap", "nginx-headers");
    assert_eq!(
        config["data"],
        json!({
            "X-Real-IP": "$remote_addr",
            "X-Forwarded-For": "$proxy_add_x_forwarded_for",
            "X-Forwarded-Proto": "$scheme",
            "X-Forwarded-Host": "$host",
            "X-Outside-URL": "https://$host",
        })
    );
    let notes = |plan: &Planned| plan.plan.notes.clone().unwrap_or_default();
    assert!(notes(&plan()).contains("proxy-set-headers: devpi/nginx-headers"), "{}", notes(&plan()));
    for without in [plan_with("nginx_headers_config_map", false), plan_with("routing", "gateway")] {
        assert!(without.objects().iter().all(|object| object["metadata"]["name"] != "nginx-headers"));
        assert!(!notes(&without).contains("nginx-headers"));
    }
}

#[test]
fn the_login_has_its_own_route_without_authentication() {
    let login = plan().object("Ingress", "oauth2-proxy-ingress");
    let path = &login["spec"]["rules"][0]["http"]["paths"][0];
    assert_eq!(login["spec"]["rules"][0]["host"], "devpi.example.com");
    assert_eq!(path["path"], "/oauth2");
    assert_eq!(path["backend"]["service"], json!({"name": "oauth2-proxy", "port": {"number": 80}}));
    assert!(!login["metadata"]["annotations"].to_string().contains("auth-url"), "{login}");
}

fn backend(plan: &Planned, route: &str) -> Value {
    plan.object("HTTPRoute", route)["spec"]["rules"][0]["backendRefs"][0].clone()
}

fn proxy_arguments(plan: &Planned) -> Vec<String> {
    let proxy = plan.object("Deployment", "oauth2-proxy");
    let arguments = &proxy["spec"]["template"]["spec"]["containers"][0]["args"];
    serde_json::from_value(arguments.clone()).expect("arguments are a list of texts")
}

/// The original's move to the Gateway API left the dashboard open.
#[test]
fn behind_a_gateway_the_dashboard_is_reached_through_the_proxy_only() {
    let plan = plan_with("routing", "gateway");
    assert_eq!(backend(&plan, "devpi-http-httproute"), json!({"name": "oauth2-proxy", "port": 80}));
    assert_eq!(backend(&plan, "devpi-api-httproute"), json!({"name": "devpi", "port": 3141}));
    let upstream = "--upstream=http://devpi.devpi.svc.cluster.local:3141";
    assert!(proxy_arguments(&plan).iter().any(|argument| argument == upstream));
    assert!(plan.objects().iter().all(|object| object["kind"] != "Ingress"));
    let route = plan.object("HTTPRoute", "devpi-http-httproute");
    assert_eq!(
        route["spec"]["parentRefs"],
        json!([{"name": "thinkube-gateway", "namespace": "gateway-system", "sectionName": "https"}])
    );
    assert_eq!(route["spec"]["hostnames"], json!(["devpi.example.com"]));
}

#[test]
fn without_sign_on_there_is_neither_proxy_nor_client_nor_session_store() {
    for routing in ["ingress", "gateway"] {
        let mut settings = minimal();
        settings["routing"] = json!(routing);
        settings["oauth2_proxy_enabled"] = json!(false);
        let plan = plan_of::<DevPi>(settings);
        assert!(plan.steps().all(|step| !matches!(step, Step::External(_))));
        let text = format!("{:?}", plan.plan);
        assert!(!text.contains("oauth2-proxy") && !text.contains("redis"), "{text}");
    }
}

#[test]
fn the_proxy_has_the_arguments_of_the_original_and_no_secret() {
    let arguments = proxy_arguments(&plan());
    for wanted in [
        "--provider=keycloak-oidc",
        "--redirect-url=https://devpi.example.com/oauth2/callback",
        "--oidc-issuer-url=https://keycloak.example.com/realms/thinkube",
        "--cookie-domain=example.com",
        "--cookie-secure=true",
        "--cookie-samesite=lax",
        "--cookie-refresh=1h",
        "--reverse-proxy=true",
        "--set-xauthrequest=true",
        "--session-cookie-minimal=false",
        "--code-challenge-method=S256",
        "--session-store-type=redis",
        "--redis-connection-url=redis://ephemeral-redis.devpi.svc.cluster.local:6379",
        "--upstream=static://202",
    ] {
        assert!(arguments.iter().any(|argument| argument == wanted), "{wanted}: {arguments:?}");
    }
    assert!(!arguments.iter().any(|argument| argument.contains("secret")), "{arguments:?}");
}

/// The original uses one cookie secret on every platform.
#[test]
fn the_cookie_secret_is_32_random_bytes_of_the_release_s_own() {
    let secret = format!("{:?}", plan().secret("oauth2-proxy"));
    assert!(
        secret.contains(r#"key: "cookie-secret", source: SecretSource::Random(RandomText { bytes: 32"#),
        "{secret}"
    );
    assert!(secret.contains(r#"step: "oauth2-proxy-devpi", output: "client-secret""#), "{secret}");
}

/// The original writes secrets into pods, ConfigMaps and files.
#[test]
fn every_workload_reads_its_secrets_by_reference() {
    let plan = plan();
    for object in plan.objects() {
        let containers = object.pointer("/spec/template/spec/containers").and_then(Value::as_array);
        for variable in
            containers.into_iter().flatten().flat_map(|container| container["env"].as_array()).flatten()
        {
            let name = variable["name"].as_str().expect("a variable has a name");
            let secret = ["PASS", "SECRET"].iter().any(|word| name.contains(word));
            assert_eq!(
                secret,
                variable["valueFrom"]["secretKeyRef"].is_object() && name != "OAUTH2_PROXY_CLIENT_ID",
                "{name}"
            );
        }
    }
}

/// The original pulls `latest`, clones a branch and installs the newest versions.
#[test]
fn every_image_has_a_tag_that_is_not_latest() {
    for object in plan().objects() {
        let template = &object["spec"]["template"]["spec"];
        for kind in ["containers", "initContainers"] {
            for container in template[kind].as_array().into_iter().flatten() {
                let image = container["image"].as_str().expect("a container has an image");
                let tag = image.rsplit_once(':').map(|(_, tag)| tag).unwrap_or_default();
                assert!(!tag.is_empty() && !tag.contains('/') && tag != "latest", "{image}");
            }
        }
    }
}

/// In the original a shell expands the password.
#[test]
fn the_bootstrap_reads_the_password_from_its_environment() {
    let job = plan().object("Job", "devpi-init");
    assert_eq!(job["spec"]["ttlSecondsAfterFinished"], 300);
    let container = &job["spec"]["template"]["spec"]["containers"][0];
    assert_eq!(container["command"][0], "python3");
    assert_eq!(
        container["env"],
        json!([
            {"name": "PASSWORD", "valueFrom": {"secretKeyRef": {"name": "devpi-root", "key": "password"}}},
            {"name": "SERVER", "value": "http://devpi.devpi.svc.cluster.local:3141"},
            {"name": "INDEX", "value": "root/stable"},
        ])
    );
}

#[test]
fn the_client_redirects_to_the_dashboard_only() {
    let client = plan()
        .steps()
        .find_map(|step| match step {
            Step::External(client) if client.name == "oauth2-proxy-devpi" => Some(client.clone()),
            _ => None,
        })
        .expect("the plan has the client");
    assert_eq!(client.base_url, "https://keycloak.example.com/admin/realms/thinkube");
    let desired: Value = serde_json::from_str(&client.desired).expect("desired is JSON");
    assert_eq!(desired["redirectUris"], json!(["https://devpi.example.com/oauth2/callback"]));
    assert_eq!(desired["baseUrl"], "https://devpi.example.com");
    assert_eq!(desired["publicClient"], false);
    assert!(client.delete.is_some(), "the original never deletes it");
}

#[test]
fn the_certificate_and_the_credentials_are_mirrors_of_the_platform_s() {
    for (name, secret_type, source) in [
        ("devpi-tls-secret", "kubernetes.io/tls", "example-com-tls"),
        ("harbor-pull-secret", "kubernetes.io/dockerconfigjson", "harbor-pull-secret"),
    ] {
        let secret = plan().secret(name);
        assert_eq!(secret.secret_type, secret_type);
        let content = format!("{:?}", secret.content);
        assert!(
            content.contains("Mirror") && content.contains(source) && content.contains("default"),
            "{content}"
        );
    }
}

#[test]
fn the_password_is_in_clear_text_only_with_the_setting() {
    let config = plan_with("devpi_password_in_clear", true).secret("thinkube-service-config");
    assert_eq!((config.target.kind.as_str(), config.secret_type.as_str()), ("ConfigMap", ""));
    let label = ("thinkube.io/managed".to_owned(), "true".to_owned());
    assert!(config.labels.contains(&label), "{:?}", config.labels);
    let content = format!("{:?}", config.content);
    for part in [
        r#"key: "DEVPI_PASSWORD", source: SecretSource::Input("admin-password")"#,
        r#"- name: \"DEVPI_PASSWORD\"\n      value: ${DEVPI_PASSWORD:json}\n"#,
    ] {
        assert!(content.contains(part), "{part} is not in {content}");
    }
    assert!(!content.contains("secretKeyRef"), "{content}");
}

#[test]
fn discovery_has_the_fields_that_thinkube_control_reads() {
    let mut config = plan().object("ConfigMap", "thinkube-service-config");
    let data =
        config.as_object_mut().and_then(|config| config.remove("data")).expect("the ConfigMap has data");
    assert_eq!(
        config,
        json!({
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {
                "name": "thinkube-service-config",
                "namespace": "devpi",
                "labels": {
                    "thinkube.io/managed": "true",
                    "thinkube.io/service-type": "core",
                    "thinkube.io/service-name": "devpi",
                    "thinkube.io/component-version": "0.1.0",
                },
            },
        })
    );
    assert_eq!(data.as_object().expect("data is a mapping").len(), 1);
    let text = data["service.yaml"].as_str().expect("YAML is text");
    let service: Value = serde_norway::from_str(text).expect("service.yaml is YAML");
    assert_eq!(
        service,
        json!({"service": {
            "name": "devpi",
            "display_name": "DevPI",
            "description": "Private Python package repository",
            "type": "core",
            "category": "development",
            "icon": "/icons/tk_artifact.svg",
            "component_version": "0.1.0",
            "endpoints": [
                {
                    "name": "web",
                    "type": "http",
                    "url": "https://devpi.example.com",
                    "health_url": "https://devpi.example.com/",
                    "description": "Web interface",
                    "primary": true,
                },
                {
                    "name": "api",
                    "type": "http",
                    "url": "https://devpi-api.example.com",
                    "description": "API endpoint (no auth)",
                },
            ],
            "dependencies": [],
            "scaling": {
                "resource_type": "deployment",
                "resource_name": "devpi",
                "namespace": "devpi",
                "min_replicas": 1,
                "can_disable": false,
            },
            "environment_variables": [
                {"name": "DEVPI_URL", "value": "https://devpi-api.example.com"},
                {"name": "DEVPI_INDEX", "value": "https://devpi-api.example.com/root/stable"},
                {"name": "DEVPI_USERNAME", "value": "root"},
                {"name": "DEVPI_PASSWORD", "valueFrom": {
                    "secretKeyRef": {"namespace": "devpi", "name": "devpi-root", "key": "password"},
                }},
            ],
        }})
    );
}

#[test]
fn roots_password_comes_only_from_the_secret_input() {
    let plan = plan();
    let secret = format!("{:?}", plan.secret("devpi-root"));
    assert!(
        secret.contains(r#"SecretEntry { key: "password", source: SecretSource::Input("admin-password")"#),
        "{secret}"
    );
    assert!(plan.objects().iter().all(|object| object["kind"] != "Secret"));
}

#[test]
fn only_the_volume_outlives_an_uninstall() {
    let retained: Vec<Value> = plan()
        .steps()
        .filter_map(|step| match step {
            Step::Object(object) if object.on_uninstall == OnUninstall::Retain => Some(
                serde_json::from_str::<Value>(&object.manifest).expect("a manifest is JSON")["kind"].clone(),
            ),
            Step::Secret(secret) if secret.on_uninstall == OnUninstall::Retain => Some(json!("Secret")),
            _ => None,
        })
        .collect();
    assert_eq!(retained, ["PersistentVolumeClaim"]);
}

#[test]
fn the_stages_go_from_the_namespace_to_discovery() {
    let plan = plan().plan;
    let stages: Vec<&str> = plan.stages.iter().map(|stage| stage.name.as_str()).collect();
    assert_eq!(
        stages,
        ["namespace", "server", "bootstrap", "session-store", "sign-on", "routes", "discovery"]
    );
    let gates: Vec<&str> =
        plan.stages.iter().flat_map(|stage| &stage.gates).map(|gate| gate.name.as_str()).collect();
    assert_eq!(gates, ["api-answers"]);
}

/// A typed struct drops unknown fields, so a field that survives is spelt correctly.
#[test]
fn every_field_is_one_that_kubernetes_knows() {
    fn through<T: Serialize + DeserializeOwned>(object: &Value) -> Value {
        let typed: T = serde_json::from_value(object.clone()).expect("the manifest matches its type");
        serde_json::to_value(typed).expect("the object serialises")
    }
    for object in plan().objects() {
        let typed = match object["kind"].as_str().expect("a manifest has a kind") {
            "Namespace" => through::<Namespace>(&object),
            "PersistentVolumeClaim" => through::<PersistentVolumeClaim>(&object),
            "ConfigMap" => through::<ConfigMap>(&object),
            "Deployment" => through::<Deployment>(&object),
            "Service" => through::<Service>(&object),
            "Ingress" => through::<Ingress>(&object),
            "Job" => through::<Job>(&object),
            other => panic!("unknown kind: {other}"),
        };
        assert_eq!(typed, object);
    }
}

#[test]
fn the_same_settings_give_the_same_plan() {
    assert_eq!(plan_of::<DevPi>(minimal()).plan, plan_of::<DevPi>(minimal()).plan);
}

fn operation(name: &str, settings: Value) -> Result<Planned, PlanError> {
    Case::<DevPi>::new(settings).plan_operation(name, json!({}))
}

#[test]
fn a_reset_writes_the_supplied_password_into_the_secret_and_the_server() {
    let plan = operation("reset-root-password", minimal()).expect("the operation has a plan");
    assert!(format!("{:?}", plan.secret("devpi-root")).contains(r#"SecretSource::Input("admin-password")"#));
    let pod = &plan.object("Job", "devpi-passwd")["spec"]["template"]["spec"];
    assert_eq!(pod["volumes"][0]["persistentVolumeClaim"]["claimName"], "devpi-data-pvc");
    assert_eq!(pod["containers"][0]["env"][0]["valueFrom"]["secretKeyRef"]["name"], "devpi-root");
    assert_eq!(plan.steps().count(), 2);
    let mut in_clear = minimal();
    in_clear["devpi_password_in_clear"] = json!(true);
    let plan = operation("reset-root-password", in_clear).expect("the operation has a plan");
    assert_eq!(plan.secret("thinkube-service-config").target.kind, "ConfigMap");
}

#[test]
fn a_rotation_replaces_the_cookie_secret_and_restarts_the_proxy() {
    let plan = operation("rotate-cookie-secret", minimal()).expect("the operation has a plan");
    let secret = format!("{:?}", plan.secret("oauth2-proxy"));
    assert!(secret.contains("cookie-secret") && !secret.contains("client"), "{secret}");
    assert!(
        plan.steps().any(|step| matches!(step, Step::Restart(workload) if workload.name == "oauth2-proxy"))
    );
    let mut without = minimal();
    without["oauth2_proxy_enabled"] = json!(false);
    assert!(matches!(operation("rotate-cookie-secret", without), Err(PlanError::Problem(_))));
}

#[test]
fn a_refresh_builds_what_the_plan_builds_and_runs_it() {
    let settings = json!({"domain_name": "example.com"});
    let plan = operation("refresh-image", settings.clone()).expect("the operation has a plan");
    assert_eq!(plan.object("Deployment", "devpi"), plan_of::<DevPi>(settings).object("Deployment", "devpi"));
    assert!(plan.steps().any(|step| matches!(step, Step::Image(_))));
    assert!(matches!(operation("refresh-image", minimal()), Err(PlanError::Problem(_))));
}
