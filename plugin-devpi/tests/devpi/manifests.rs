//! Snapshots of the whole plan, so that a review sees every manifest that a change alters. `INSTA_UPDATE=always cargo test -p
//! plugin-devpi --test devpi` writes them.

use crate::with_settings;
use plugin_devpi::DevPi;
use serde_json::{Value, json};
use std::fmt::Write as _;
use thinkube_sdk::{Step, testing};

/// The steps of the plan by stage: manifests as JSON, other steps as Rust prints them.
fn render(settings: Value) -> String {
    let mut text = String::new();
    for stage in testing::plan::<DevPi>(settings).plan.stages {
        writeln!(text, "# stage {}", stage.name).expect("a String accepts text");
        for step in stage.steps {
            match step {
                Step::Object(object) => {
                    let manifest: Value = serde_json::from_str(&object.manifest).expect("a manifest is JSON");
                    writeln!(text, "{manifest:#}\n{:?}, {:?}", object.on_change, object.on_uninstall)
                }
                step => writeln!(text, "{step:#?}"),
            }
            .expect("a String accepts text");
        }
    }
    text
}

#[test]
fn manifests_with_default_settings() {
    insta::assert_snapshot!(render(with_settings(json!({}))));
}

#[test]
fn manifests_with_sign_on_behind_an_ingress() {
    let settings = json!({"routing": "ingress", "oauth2_proxy_session_store_type": "cookie"});
    insta::assert_snapshot!(render(with_settings(settings)));
}

#[test]
fn manifests_with_sign_on_behind_a_gateway() {
    let settings = json!({"routing": "gateway", "oauth2_proxy_session_store_type": "cookie"});
    insta::assert_snapshot!(render(with_settings(settings)));
}

#[test]
fn manifests_with_every_option_switched_on() {
    let settings = json!({
        "devpi_image": null,
        "keycloak_ca_secret": "platform/ca",
        "devpi_password_in_clear": true,
        "devpi_ca_file": "/etc/ssl/platform.crt",
        "pip_trusted_host": true,
    });
    insta::assert_snapshot!(render(with_settings(settings)));
}
