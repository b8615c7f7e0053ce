//! Checks, for before anything is changed, that the services which a plugin depends on are really there. Each says what it
//! needs to be allowed.

use super::Routing;
use crate::{Check, HttpMethod, HttpProbe, ObjectRef, TypeMeta};

/// What is either so or not: asking again for longer helps nobody.
const AT_ONCE_SECONDS: u32 = 5;
/// A certificate that ends sooner was not renewed when it should have been: ACME clients renew 30 days before.
const CERTIFICATE_SECONDS: u64 = 7 * 24 * 3600;

fn at_once(check: Check) -> Check {
    check.timeout_seconds(AT_ONCE_SECONDS)
}

/// k8s: a node can take pods. Needs to read Nodes in the whole cluster.
pub fn node() -> Check {
    at_once(Check::objects("k8s", "A node takes pods", TypeMeta::new("v1", "Node").all()))
        .cel(
            "objects.exists(node, node.status.conditions.exists(c, c.type == 'Ready' && c.status == 'True') \
             && !(has(node.spec.unschedulable) && node.spec.unschedulable))",
        )
        .remedy("`kubectl get nodes` says which are ready; `kubectl uncordon` lets pods onto one again.")
}

/// A StorageClass is the default. A warning only: a volume that an administrator made by hand binds without any. Needs to read
/// StorageClasses in the whole cluster.
pub fn default_storage_class() -> Check {
    let default = "'storageclass.kubernetes.io/is-default-class'";
    let classes = TypeMeta::new("storage.k8s.io/v1", "StorageClass").all();
    at_once(Check::objects("storage", "A StorageClass is the default", classes))
        .cel(format!(
            "objects.exists(class, has(class.metadata.annotations) && {default} in class.metadata.annotations \
             && class.metadata.annotations[{default}] == 'true')"
        ))
        .warning()
        .remedy(format!("Annotate one StorageClass with {default}: 'true', or make a volume for the claim by hand."))
}

/// ingress: somebody serves the routes. Needs to read IngressClasses in the whole cluster, or Gateways in the Gateway's
/// namespace.
pub fn routing(routing: &Routing) -> Check {
    match routing {
        Routing::Ingress { class } => at_once(Check::object(
            "ingress",
            format!("The IngressClass {class} is there"),
            TypeMeta::new("networking.k8s.io/v1", "IngressClass").cluster_scoped(class),
        ))
        .remedy("Install the platform's ingress first."),
        Routing::Gateway { namespace, name } => at_once(Check::object(
            "ingress",
            format!("The Gateway {namespace}/{name} is served"),
            TypeMeta::new("gateway.networking.k8s.io/v1", "Gateway").namespaced(namespace, name),
        ))
        .cel("object.status.conditions.exists(c, c.type == 'Programmed' && c.status == 'True')")
        .remedy("Install the platform's gateway first; `kubectl describe` the Gateway says why it is not programmed."),
    }
}

/// acme-certificates: the certificate in a TLS Secret is for these hosts and good for a week at least. Needs to copy the Secret.
pub fn certificate(secret: ObjectRef, hosts: &[&str]) -> Check {
    let named = hosts.iter().map(|host| {
        // RFC 6125: a wildcard stands for one label, the first.
        let wildcard = host.split_once('.').map(|(_, domain)| format!("*.{domain}")).unwrap_or_default();
        format!(" && ('{host}' in certificate.dnsNames || '{wildcard}' in certificate.dnsNames)")
    });
    let expected = format!("certificate.secondsLeft > {CERTIFICATE_SECONDS}{}", named.collect::<String>());
    let title = format!("The certificate is for {}, and for a week and more", hosts.join(" and "));
    at_once(Check::object("acme-certificates", title, secret)).cel(expected).remedy(
        "Install or renew the platform's certificates first; `openssl x509 -text` shows what one is for.",
    )
}

/// keycloak: the realm answers. Needs to connect there.
pub fn realm(url: &str, realm: &str) -> Check {
    let issuer = format!("{url}/realms/{realm}");
    let about = HttpProbe::url(HttpMethod::Get, format!("{issuer}/.well-known/openid-configuration"));
    Check::http("keycloak", format!("Keycloak has the realm {realm}"), about)
        .cel(format!("status == 200 && json.issuer == '{issuer}'"))
        .timeout_seconds(AT_ONCE_SECONDS)
        .remedy("Install the platform's Keycloak first; the realm is the setting keycloak_realm.")
}

/// harbor: the registry answers as one (OCI distribution specification, end-1). Needs to connect there.
pub fn registry(registry: &str) -> Check {
    let root = HttpProbe::url(HttpMethod::Get, format!("https://{registry}/v2/"));
    Check::http("harbor", format!("The registry {registry} answers"), root)
        .cel("status == 200 || status == 401")
        .timeout_seconds(AT_ONCE_SECONDS)
        .remedy("Install the platform's registry first; its name is the setting harbor_registry.")
}
