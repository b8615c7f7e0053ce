//! The identity of the plugin, its secret inputs and the permissions it requests.

use crate::{plan, plan_with};
use plugin_devpi::DevPi;
use thinkube_sdk::testing::describe;
use thinkube_sdk::{Permission, Scope};

#[test]
fn it_comes_25th_after_the_five_services_it_needs() {
    let descriptor = describe::<DevPi>();
    assert_eq!((descriptor.name.as_str(), descriptor.deployment_order), ("devpi", Some(25)));
    assert_eq!(descriptor.namespace_setting.as_deref(), Some("devpi_namespace"));
    let needed: Vec<_> = descriptor
        .dependencies
        .iter()
        .map(|dependency| (dependency.service.as_str(), dependency.deployment_order, dependency.optional))
        .collect();
    assert_eq!(
        needed,
        [
            ("k8s", Some(6), false),
            ("acme-certificates", Some(12), false),
            ("ingress", Some(13), false),
            ("keycloak", Some(15), false),
            ("harbor", Some(16), false),
        ]
    );
    assert!(
        descriptor.dependencies.iter().all(|needed| needed.deployment_order < descriptor.deployment_order)
    );
}

#[test]
fn one_password_is_enough_and_two_are_possible() {
    let inputs: Vec<_> = describe::<DevPi>()
        .secret_inputs
        .into_iter()
        .map(|input| (input.name, input.env, input.falls_back_to, input.required))
        .collect();
    let input = |name: &str, env: &str, other: Option<&str>| {
        (name.to_owned(), env.to_owned(), other.map(str::to_owned), true)
    };
    let expected = [
        input("admin-password", "ADMIN_PASSWORD", None),
        input("keycloak-admin-password", "KEYCLOAK_ADMIN_PASSWORD", Some("admin-password")),
    ];
    assert_eq!(inputs, expected);
}

#[test]
fn it_requests_exactly_the_kinds_of_its_plans() {
    let mut emitted: Vec<String> = [plan(), plan_with("routing", "gateway")]
        .iter()
        .flat_map(|plan| plan.objects())
        .map(|object| object["kind"].as_str().expect("a manifest has a kind").to_owned())
        .chain(["Secret".to_owned()])
        .collect();
    emitted.sort();
    emitted.dedup();
    let mut asked = Vec::new();
    for permission in describe::<DevPi>().permissions {
        if let Permission::Emit(kind) = permission {
            assert_eq!(kind.scope, Scope::OwnNamespace, "{}", kind.kind);
            asked.push(kind.kind);
        }
    }
    asked.sort();
    assert_eq!(asked, emitted);
}

/// The operator's settings decide what the plugin may change outside its namespace.
#[test]
fn permissions_outside_the_namespace_name_a_setting_or_only_read() {
    for permission in describe::<DevPi>().permissions {
        match permission {
            Permission::Emit(_) => {}
            Permission::Read(kind) => assert!(
                ["Service", "Node", "StorageClass", "IngressClass", "Gateway"].contains(&kind.kind.as_str()),
                "{kind:?}"
            ),
            Permission::CopySecret(text)
            | Permission::Connect(text)
            | Permission::BuildFrom(text)
            | Permission::PushImage(text)
            | Permission::WritePodFiles(text) => {
                assert!(text.trim_start_matches("https://").starts_with("${"), "{text}");
            }
            // Files of a workstation are requested one by one.
            Permission::WriteHome(path) => {
                assert!(path.contains("devpi") || path == ".pip/pip.conf", "{path}")
            }
            Permission::Disclose(name) => {
                assert_eq!(name, "${devpi_password_in_clear:if}${devpi_namespace}/thinkube-service-config");
            }
            Permission::PythonPackage(name) => assert_eq!(name, "devpi-client"),
        }
    }
}
