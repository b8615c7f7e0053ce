//! The tests of the DevPI plugin, without a cluster. Expected values are those of the Ansible component, written out.

mod checks;
mod descriptor;
mod manifests;
mod objects;
mod settings;
mod workstation;

use plugin_devpi::DevPi;
use serde_json::{Map, Value, json};
use thinkube_sdk::testing::{self, Planned};

/// The ready image that the smallest settings name.
const READY: &str = "harbor.example.com/library/devpi:6.20.1";

/// The smallest settings, with a ready image.
fn minimal() -> Value {
    json!({"domain_name": "example.com", "devpi_image": READY})
}

/// The plan of the smallest settings.
fn plan() -> Planned {
    testing::plan::<DevPi>(minimal())
}

/// The plan with one more setting.
fn plan_with(name: &str, value: impl Into<Value>) -> Planned {
    testing::plan::<DevPi>(with(name, value))
}

fn with(name: &str, value: impl Into<Value>) -> Value {
    let mut settings = minimal();
    settings[name] = value.into();
    settings
}

/// The smallest settings with these; null removes one.
fn with_settings(values: Value) -> Value {
    let mut settings = minimal();
    for (name, value) in values.as_object().expect("settings are an object") {
        settings[name] = value.clone();
        if value.is_null() {
            settings.as_object_mut().expect("settings are an object").remove(name);
        }
    }
    settings
}

/// The settings of the schema, by name.
fn properties() -> Map<String, Value> {
    let schema = testing::schema::<DevPi>();
    schema["properties"].as_object().expect("a settings schema has properties").clone()
}
