//! Recipes: ready-made steps and checks that many services need.

mod keycloak;
mod namespace;
mod oauth2_proxy;
pub mod platform;
mod python_job;
mod route;
mod service_discovery;
mod session_store;
mod workload;
mod yaml;

pub use keycloak::KeycloakClient;
pub use namespace::Namespace;
pub use oauth2_proxy::OAuth2Proxy;
pub use python_job::PythonJob;
pub use route::{Route, Routing};
pub use service_discovery::{Endpoint, ServiceDiscovery};
pub use session_store::SessionStore;

use crate::contract::{ObjectRef, TypeMeta};

/// The Secret that a setting names as NAMESPACE/NAME.
///
/// # Panics
/// If the text has no slash. The schema of such a setting needs a pattern that demands one.
pub fn secret_ref(text: &str) -> ObjectRef {
    let (namespace, name) = text.split_once('/').expect("a Secret is named as NAMESPACE/NAME");
    TypeMeta::new("v1", "Secret").namespaced(namespace, name)
}
