//! DevPI, a private Python package index, as a thinkube plugin. It replaces an Ansible component, which comments call *the
//! original*; docs/devpi/migration-from-ansible.md compares the two part by part.

mod checks;
mod objects;
mod settings;
mod workstation;

pub use settings::{RoutingKind, SessionStoreKind, Settings};

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{ConfigMap, Namespace, Node, PersistentVolumeClaim, Secret, Service};
use k8s_openapi::api::networking::v1::{Ingress, IngressClass};
use k8s_openapi::api::storage::v1::StorageClass;
use thinkube_sdk::{
    Arguments, Context, Descriptor, Evaluate, Observation, Operation, Operations, Outcome, Permission, Plan,
    Plugin, Problem, Scope, Stage, Status, TypeMeta, Verdict, Workstation, WorkstationPlan, export_plugin,
};

/// The secret input with root's password.
const ADMIN_PASSWORD: &str = "admin-password";
/// The secret input with the password of Keycloak's administrator. The original uses one password for both, so that a change of
/// root's locks its playbooks out.
const KEYCLOAK_PASSWORD: &str = "keycloak-admin-password";

/// The DevPI plugin.
#[derive(Debug)]
pub struct DevPi;

impl Plugin for DevPi {
    type Settings = Settings;

    fn describe() -> Descriptor {
        let gateway_api = |kind| TypeMeta::new("gateway.networking.k8s.io/v1", kind);
        let descriptor = Descriptor::new("devpi", env!("CARGO_PKG_VERSION"))
            .title("DevPI")
            .summary("A private Python package index that also caches the public one.")
            .license(env!("CARGO_PKG_LICENSE"))
            .source(env!("CARGO_PKG_REPOSITORY"))
            .namespace_setting("devpi_namespace")
            .secret_input(
                ADMIN_PASSWORD,
                "ADMIN_PASSWORD",
                "The password of root in DevPI; the server sets it on its first start",
            )
            .secret_input_or(
                KEYCLOAK_PASSWORD,
                "KEYCLOAK_ADMIN_PASSWORD",
                ADMIN_PASSWORD,
                "The password of Keycloak's administrator",
            )
            .deployment_order(25)
            .depends_on("k8s", 6)
            .depends_on("acme-certificates", 12)
            .depends_on("ingress", 13)
            .depends_on("keycloak", 15)
            .depends_on("harbor", 16)
            .emits(TypeMeta::of::<Namespace>(), Scope::OwnNamespace)
            .emits(TypeMeta::of::<Secret>(), Scope::OwnNamespace)
            .emits(TypeMeta::of::<PersistentVolumeClaim>(), Scope::OwnNamespace)
            .emits(TypeMeta::of::<ConfigMap>(), Scope::OwnNamespace)
            .emits(TypeMeta::of::<Deployment>(), Scope::OwnNamespace)
            .emits(TypeMeta::of::<Service>(), Scope::OwnNamespace)
            .emits(TypeMeta::of::<Job>(), Scope::OwnNamespace)
            .emits(TypeMeta::of::<Ingress>(), Scope::OwnNamespace)
            .emits(gateway_api("HTTPRoute"), Scope::OwnNamespace)
            // Needed by the check index-config, which the plugin evaluates.
            .reads(TypeMeta::of::<Service>(), Scope::OwnNamespace)
            .reads(TypeMeta::of::<Node>(), Scope::Cluster)
            .reads(TypeMeta::of::<StorageClass>(), Scope::Cluster)
            .reads(TypeMeta::of::<IngressClass>(), Scope::Cluster)
            .reads(gateway_api("Gateway"), Scope::Namespaces(vec!["${gateway_namespace}".to_owned()]));
        permissions().into_iter().fold(descriptor, Descriptor::permission)
    }

    fn plan(context: &Context<Settings>) -> Result<Outcome, Problem> {
        let settings = &context.settings;
        settings.validate()?;
        let plan = Plan::new().notes(notes(settings));
        let plan = checks::dependencies(settings).into_iter().fold(plan, Plan::preflight);
        // The first stage, so that a failed build changes nothing.
        let plan = match objects::image(settings) {
            Some(image) => plan.stage(Stage::new("image").image(image)),
            None => plan,
        };
        let plan = server(plan, settings, &context.release);
        let plan = if settings.oauth2_proxy_enabled { sign_on(plan, settings) } else { plan };
        Ok(routes(plan, settings).into())
    }

    /// Generated from [`Settings`]; a test compares them. The generator would be a sixth of the component.
    fn settings_schema() -> String {
        include_str!("settings.schema.json").to_owned()
    }
}

/// The permissions beyond kinds of objects. Each is requested only if the settings use it.
fn permissions() -> Vec<Permission> {
    vec![
        Permission::BuildFrom("${devpi_git_url}${devpi_image:unless}".to_owned()),
        Permission::PushImage("${harbor_registry}/${harbor_project}/devpi${devpi_image:unless}".to_owned()),
        Permission::Disclose(
            "${devpi_password_in_clear:if}${devpi_namespace}/thinkube-service-config".to_owned(),
        ),
        Permission::WritePodFiles("${code_server_namespace}${code_server_env:if}".to_owned()),
        Permission::WriteHome(".local/bin/devpi".to_owned()),
        Permission::WriteHome(".config/fish/conf.d/devpi.fish".to_owned()),
        Permission::WriteHome("devpi-scripts".to_owned()),
        Permission::WriteHome(".devpi.ini".to_owned()),
        Permission::WriteHome(".pip/pip.conf".to_owned()),
        Permission::PythonPackage("devpi-client".to_owned()),
        Permission::CopySecret("${tls_source_secret}".to_owned()),
        Permission::CopySecret("${harbor_pull_secret}".to_owned()),
        Permission::CopySecret("${keycloak_ca_secret}${oauth2_proxy_enabled:if}".to_owned()),
        Permission::Connect("${keycloak_url}${oauth2_proxy_enabled:if}".to_owned()),
        Permission::Connect("https://${harbor_registry}".to_owned()),
        Permission::Connect("https://${devpi_dashboard_hostname}${oauth2_proxy_enabled:if}".to_owned()),
        Permission::Connect("https://${devpi_api_hostname}".to_owned()),
    ]
}

impl Evaluate for DevPi {
    fn evaluate(observation: Observation) -> Verdict {
        let observed = serde_json::from_str(&observation.json);
        match (observation.check.as_str(), observed) {
            (checks::INDEX_CONFIG, Ok(observed)) => checks::evaluate_index(&observed),
            (check, _) => {
                Verdict { status: Status::Unknown, message: format!("unknown check `{check}`"), remedy: None }
            }
        }
    }
}

impl Workstation for DevPi {
    fn plan_workstation(context: &Context<Settings>) -> Result<WorkstationPlan, Problem> {
        context.settings.validate()?;
        Ok(workstation::plan_workstation(&context.settings, &context.release))
    }
}

impl Operations for DevPi {
    fn operations() -> Vec<Operation> {
        vec![
            Operation::new("reset-root-password", "Set the password of root in DevPI to the supplied one")
                .secret_input(ADMIN_PASSWORD),
            Operation::new("rotate-cookie-secret", "Replace the cookie secret; people must log in again"),
            Operation::new(
                "refresh-image",
                "Rebuild the server's image from the present commit of its revision, and run it",
            ),
        ]
    }

    fn plan_operation(
        name: &str,
        _arguments: Arguments,
        context: &Context<Settings>,
    ) -> Result<Outcome, Problem> {
        let settings = &context.settings;
        let plan = Plan::new();
        Ok(match (name, objects::image(settings)) {
            ("reset-root-password", _) => plan
                .stage(reset_secrets(settings))
                .stage(Stage::new("server").object(objects::password_reset(settings))),
            ("rotate-cookie-secret", _) if settings.oauth2_proxy_enabled => plan
                .stage(Stage::new("secret").secret(objects::new_cookie_secret(settings)))
                .stage(Stage::new("proxy").restart(objects::proxy_workload(settings))),
            ("rotate-cookie-secret", _) => {
                return Err(Problem::other("the release has no OAuth2 proxy: oauth2_proxy_enabled is false"));
            }
            ("refresh-image", Some(image)) => plan.stage(Stage::new("image").image(image)).stage(
                Stage::new("server").object(objects::deployment(settings)).gate(checks::answers(settings)),
            ),
            ("refresh-image", None) => {
                return Err(Problem::other("devpi_image names a ready image; apply another value instead"));
            }
            _ => return Err(Problem::other(format!("unknown operation `{name}`"))),
        }
        .into())
    }
}

/// Every object that holds root's password.
fn reset_secrets(settings: &Settings) -> Stage {
    let stage = Stage::new("secret").secret(objects::root_password(settings));
    if settings.devpi_password_in_clear { stage.step(objects::discovery(settings)) } else { stage }
}

/// The server and its index.
fn server(plan: Plan, settings: &Settings, release: &str) -> Plan {
    let namespace = objects::namespace(settings);
    let pvc = objects::pvc(settings);
    let deployment = objects::deployment(settings);
    let service = objects::service(settings);
    plan.health(checks::namespace(namespace.reference()))
        .health(checks::tls_secret(settings))
        .health(checks::pull_secret(settings))
        .health(checks::root_password(settings))
        .health(checks::volume_bound(&pvc))
        .health(checks::runs("server", "The server runs", &deployment))
        .health(checks::service(settings))
        .health(checks::outside_url(settings))
        .health(checks::index(settings))
        .health(checks::simple_index(settings))
        .health(checks::root_login(settings, release))
        .test(checks::index_config(settings))
        .test(checks::empty_password_refused(settings))
        .test(checks::anonymous_users_refused(settings))
        .stage(namespace.stage())
        .stage(
            Stage::new("server")
                .secret(objects::root_password(settings))
                .object(pvc)
                .object(deployment)
                .object(service)
                .gate(checks::answers(settings)),
        )
        .stage(
            Stage::new("bootstrap")
                .object(objects::bootstrap(settings))
                .skip_if(checks::index(settings).named("bootstrapped")),
        )
}

/// Single sign-on for the dashboard.
fn sign_on(plan: Plan, settings: &Settings) -> Plan {
    let client = objects::keycloak_client(settings);
    let proxy = objects::oauth2_proxy(settings);
    let deployment = proxy.deployment();
    let mut plan = plan
        .health(checks::runs("oauth2-proxy", "The OAuth2 proxy runs", &deployment))
        .test(checks::callback(settings));
    // An earlier stage, because the proxy exits at start-up if the store does not answer.
    if let Some(store) = objects::session_store(settings) {
        let deployment = store.deployment();
        plan = plan.health(checks::runs("session-store", "The session store runs", &deployment));
        plan = plan.stage(Stage::new("session-store").object(deployment).object(store.service()));
    }
    let stage = Stage::new("sign-on").external(client.client()).external(client.audience());
    plan.stage(stage.secret(proxy.secret()).object(deployment).object(proxy.service()))
}

/// The routes, then the discovery ConfigMap. The latter is last, because thinkube-control takes it as the end of the install.
fn routes(plan: Plan, settings: &Settings) -> Plan {
    let dashboard = objects::dashboard_route(settings);
    let api = objects::api_route(settings);
    let discovery = objects::discovery(settings);
    let dashboard_host = &settings.devpi_dashboard_hostname;
    let mut plan = plan
        .health(checks::route("dashboard-route", "The dashboard has a route", &dashboard, dashboard_host))
        .health(checks::route("api-route", "The API has a route", &api, &settings.devpi_api_hostname))
        .health(checks::api_from_outside(settings))
        .health(checks::discovery(settings, &discovery));
    let mut stage = Stage::new("routes");
    if let Some(headers) = objects::nginx_headers(settings) {
        plan = plan.health(checks::nginx_headers(&headers));
        stage = stage.object(headers);
    }
    stage = stage.object(dashboard).object(api);
    if let Some(login) = objects::login_route(settings) {
        plan = plan.health(checks::route("login-route", "The login has a route", &login, dashboard_host));
        stage = stage.object(login);
    }
    if settings.oauth2_proxy_enabled {
        plan = plan.health(checks::login_asked_for(settings));
    }
    let mut discovery = Stage::new("discovery").step(discovery);
    if settings.code_server_env {
        discovery = discovery.pod_files(workstation::code_server(settings));
    }
    plan.stage(stage).stage(discovery)
}

fn notes(settings: &Settings) -> String {
    let mut notes = format!(
        "Dashboard: {dashboard}/\nAPI: {api}/\n\
         pip install --index-url {api}/{index}/+simple/ PACKAGE\n\
         devpi use {api}/{index} && devpi login root && devpi upload",
        dashboard = settings.dashboard(),
        api = settings.api(),
        index = settings.index(),
    );
    if settings.nginx_headers_config_map && settings.routing == RoutingKind::Ingress {
        notes.push_str("\nThe dashboard links to the API's host, unless the ConfigMap of ingress-nginx has\nproxy-set-headers: ");
        notes.push_str(&settings.devpi_namespace);
        notes.push_str("/nginx-headers");
    }
    if settings.pip_trusted_host {
        notes.push_str("\npip on workstations accepts any certificate of the API's host: a server that impersonates it can install any program.");
    }
    notes
}

export_plugin!(DevPi, checks, operations, workstation);
