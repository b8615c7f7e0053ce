//! What the platform's control reads to show DevPI and to hand its address to development environments.

use crate::objects::{ROOT_SECRET, ROOT_SECRET_KEY};
use crate::settings::Site;
use crate::yaml::Yaml;

/// The original's number and this plugin's are the same so far; what is installed is this plugin.
pub(crate) const COMPONENT_VERSION: &str = env!("CARGO_PKG_VERSION");

pub(crate) fn service(site: &Site) -> Yaml {
    // The original builds both from the domain and so misses host names that are set otherwise.
    let dashboard = format!("https://{}", site.dashboard);
    let api = format!("https://{}", site.api);
    Yaml::Map(vec![(
        "service",
        Yaml::Map(vec![
            ("name", "devpi".into()),
            ("display_name", "DevPI".into()),
            ("description", "Private Python package repository".into()),
            ("type", "core".into()),
            ("category", "development".into()),
            ("icon", "/icons/tk_artifact.svg".into()),
            ("component_version", COMPONENT_VERSION.into()),
            (
                "endpoints",
                Yaml::List(vec![
                    Yaml::Map(vec![
                        ("name", "web".into()),
                        ("type", "http".into()),
                        ("url", dashboard.as_str().into()),
                        ("health_url", format!("{dashboard}/").into()),
                        ("description", "Web interface".into()),
                        ("primary", Yaml::Bool(true)),
                    ]),
                    Yaml::Map(vec![
                        ("name", "api".into()),
                        ("type", "http".into()),
                        ("url", api.as_str().into()),
                        ("description", "API endpoint (no auth)".into()),
                    ]),
                ]),
            ),
            // Empty as in the original: the names that control would resolve here are not ours to guess, and the
            // descriptor states the real ones.
            ("dependencies", Yaml::List(vec![])),
            (
                "scaling",
                Yaml::Map(vec![
                    ("resource_type", "deployment".into()),
                    ("resource_name", "devpi".into()),
                    ("namespace", site.namespace.as_str().into()),
                    ("min_replicas", Yaml::Number(1)),
                    ("can_disable", Yaml::Bool(false)),
                ]),
            ),
            (
                "environment_variables",
                Yaml::List(vec![
                    variable("DEVPI_URL", &api),
                    // The original's `root/stable` makes every devpi command fail where no server was chosen before:
                    // the client wants a whole URL.
                    variable("DEVPI_INDEX", &format!("{api}/{}", site.index)),
                    variable("DEVPI_USERNAME", "root"),
                    // The original writes the password itself, for everybody who may read ConfigMaps.
                    Yaml::Map(vec![
                        ("name", "DEVPI_PASSWORD".into()),
                        (
                            "valueFrom",
                            Yaml::Map(vec![(
                                "secretKeyRef",
                                Yaml::Map(vec![
                                    ("namespace", site.namespace.as_str().into()),
                                    ("name", ROOT_SECRET.into()),
                                    ("key", ROOT_SECRET_KEY.into()),
                                ]),
                            )]),
                        ),
                    ]),
                ]),
            ),
        ]),
    )])
}

fn variable(name: &str, value: &str) -> Yaml {
    Yaml::Map(vec![("name", name.into()), ("value", value.into())])
}
