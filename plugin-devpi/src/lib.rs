//! DevPI, a private Python package index, as a thinkube plugin.
//!
//! A first part of the Ansible component: namespace, root's password, volume, server, Service, both Ingresses and the
//! discovery ConfigMap. Not yet: the copies of the TLS and pull Secrets, the OAuth2 proxy with its session store and
//! Keycloak client, the index, the image, and the operator's own files.

mod checks;
mod discovery;
mod objects;
mod settings;
mod yaml;

pub use settings::{Settings, Site};

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{ConfigMap, Namespace, PersistentVolumeClaim, Secret, Service};
use k8s_openapi::api::networking::v1::{Ingress, IngressClass};
use k8s_openapi::api::storage::v1::StorageClass;
use thinkube_sdk::{Context, Descriptor, Kind, Outcome, Plan, Plugin, Problem, Scope, Stage, export_plugin};

/// The secret input with root's password.
const ADMIN_PASSWORD: &str = "admin-password";

/// The plugin.
#[derive(Debug)]
pub struct DevPi;

impl Plugin for DevPi {
    type Settings = Settings;

    fn describe() -> Descriptor {
        Descriptor::new("devpi", env!("CARGO_PKG_VERSION"))
            .title("DevPI")
            .summary("A private Python package index that also caches the public one.")
            .license(env!("CARGO_PKG_LICENSE"))
            .source(env!("CARGO_PKG_REPOSITORY"))
            .namespace_setting("devpi_namespace")
            .secret_input(
                ADMIN_PASSWORD,
                "ADMIN_PASSWORD",
                "Root's password in DevPI, set on the first start; a later change does not reach the server.",
            )
            .deployment_order(25)
            .depends_on("k8s", 6)
            .depends_on("acme-certificates", 12)
            .depends_on("ingress", 13)
            .depends_on("keycloak", 15)
            .depends_on("harbor", 16)
            .emits(Kind::of::<Namespace>(), Scope::OwnNamespace)
            .emits(Kind::of::<Secret>(), Scope::OwnNamespace)
            .emits(Kind::of::<PersistentVolumeClaim>(), Scope::OwnNamespace)
            .emits(Kind::of::<ConfigMap>(), Scope::OwnNamespace)
            .emits(Kind::of::<Deployment>(), Scope::OwnNamespace)
            .emits(Kind::of::<Service>(), Scope::OwnNamespace)
            .emits(Kind::of::<Ingress>(), Scope::OwnNamespace)
            .reads(Kind::of::<IngressClass>(), Scope::Cluster)
            .reads(Kind::of::<StorageClass>(), Scope::Cluster)
    }

    fn plan(context: &Context<Settings>) -> Result<Outcome, Problem> {
        let site = Site::new(&context.settings, &context.namespace)?;
        let namespace = objects::namespace(&site);
        let root_password = objects::root_password(&site);
        let claim = objects::volume_claim(&site);
        let headers = objects::nginx_headers(&site);
        let deployment = objects::deployment(&site);
        let service = objects::service(&site);
        let dashboard = objects::dashboard_ingress(&site);
        let api = objects::api_ingress(&site);
        let discovery = objects::discovery(&site);

        let mut plan = Plan::new()
            .preflight(checks::ingress_class())
            .preflight(checks::default_storage_class())
            .health(checks::namespace(&namespace))
            .health(checks::root_password(&root_password))
            .health(checks::volume_bound(&claim))
            .health(checks::nginx_headers(&headers))
            .health(checks::server(&deployment))
            .health(checks::service(&service))
            .health(checks::outside_url(&site))
            .health(checks::ingress(
                "dashboard-ingress",
                "The dashboard has a route",
                &dashboard,
                &site.dashboard,
            ))
            .health(checks::ingress("api-ingress", "The API has a route", &api, &site.api))
            .health(checks::discovery(&discovery))
            .health(checks::tls_secret(&site))
            .test(checks::empty_password_refused(&site))
            .test(checks::anonymous_users_refused(&site))
            .notes(notes(&site));
        if site.sign_on {
            plan = plan.health(checks::oauth2_proxy(&site));
        }
        // Discovery comes last: it is what makes control show the service as installed.
        Ok(plan
            .stage(Stage::new("namespace").object(namespace))
            .stage(
                Stage::new("server")
                    .secret(root_password)
                    .object(claim)
                    .object(headers)
                    .object(deployment)
                    .object(service)
                    .gate(checks::answers(&site)),
            )
            .stage(Stage::new("routes").object(dashboard).object(api))
            .stage(Stage::new("discovery").object(discovery))
            .into())
    }
}

fn notes(site: &Site) -> String {
    format!(
        "Dashboard: https://{dashboard}/\n\
         API: https://{api}/\n\
         This version does not make the index {index}. Once:\n\
         \x20 devpi use https://{api} && devpi login root && devpi index -c {index} bases=root/pypi volatile=False\n\
         Then: pip install --index-url https://{api}/{index}/+simple/ PACKAGE",
        dashboard = site.dashboard,
        api = site.api,
        index = site.index,
    )
}

export_plugin!(DevPi);
