//! The ConfigMap by which thinkube-control finds DevPI.

use super::{PASSWORD_VARIABLE, ROOT_SECRET, ROOT_SECRET_KEY};
use crate::ADMIN_PASSWORD;
use crate::settings::Settings;
use thinkube_sdk::SecretKey;
use thinkube_sdk::recipes::{Endpoint, ServiceDiscovery};

/// The original derives the addresses from the domain, so that they are wrong when a host name is set.
pub(crate) fn discovery(settings: &Settings) -> ServiceDiscovery {
    let (dashboard, api) = (settings.dashboard(), settings.api());
    let discovery = ServiceDiscovery::new(
        &settings.devpi_namespace,
        "devpi",
        "DevPI",
        "Private Python package repository",
        env!("CARGO_PKG_VERSION"),
        ("development", "/icons/tk_artifact.svg"),
        "devpi",
    )
    .endpoint(Endpoint {
        name: "web",
        url: &dashboard,
        description: "Web interface",
        health_url: Some(&format!("{dashboard}/")),
        primary: true,
    })
    .endpoint(Endpoint {
        name: "api",
        url: &api,
        description: "API endpoint (no auth)",
        health_url: None,
        primary: false,
    })
    .variable("DEVPI_URL", &api)
    // A whole URL: with the original's `root/stable` every devpi command fails until a server is chosen.
    .variable("DEVPI_INDEX", &format!("{api}/{}", settings.index()))
    .variable("DEVPI_USERNAME", "root");
    // The original always writes the password in clear text.
    if settings.devpi_password_in_clear {
        return discovery.disclosed_variable(PASSWORD_VARIABLE, ADMIN_PASSWORD);
    }
    let (namespace, name) = (settings.devpi_namespace.clone(), ROOT_SECRET.to_owned());
    let key = ROOT_SECRET_KEY.to_owned();
    discovery.secret_variable(PASSWORD_VARIABLE, SecretKey { namespace, name, key })
}
