//! Preflight checks that the services on which a plugin depends work. Each states the permission it needs.

use super::Routing;
use crate::contract::{Check, HttpMethod, HttpProbe, ObjectRef, TypeMeta};

/// For a check whose result does not change while the host waits.
const STATIC_TIMEOUT_SECONDS: u32 = 5;
/// ACME clients renew 30 days before the end, so a certificate that ends within a week was not renewed.
const CERTIFICATE_SECONDS: u64 = 7 * 24 * 3600;

fn without_wait(check: Check) -> Check {
    check.timeout_seconds(STATIC_TIMEOUT_SECONDS)
}

/// Service `k8s`: at least one node accepts pods. Needs `read` of Nodes in the scope `cluster`.
pub fn node() -> Check {
    without_wait(Check::objects("k8s", "A node accepts pods", TypeMeta::new("v1", "Node").all()))
        .cel(
            "objects.exists(node, node.status.conditions.exists(c, c.type == 'Ready' && c.status == 'True') \
             && !(has(node.spec.unschedulable) && node.spec.unschedulable))",
        )
        .remedy(
            "`kubectl get nodes` shows which nodes are ready; `kubectl uncordon` makes a node schedulable.",
        )
}

/// A default StorageClass exists. A warning only, because a PersistentVolumeClaim can bind to a volume that an administrator
/// created. Needs `read` of StorageClasses in the scope `cluster`.
pub fn default_storage_class() -> Check {
    let default = "'storageclass.kubernetes.io/is-default-class'";
    let classes = TypeMeta::new("storage.k8s.io/v1", "StorageClass").all();
    without_wait(Check::objects("storage", "A default StorageClass exists", classes))
        .cel(format!(
            "objects.exists(class, has(class.metadata.annotations) && {default} in class.metadata.annotations \
             && class.metadata.annotations[{default}] == 'true')"
        ))
        .warning()
        .remedy(format!("Annotate one StorageClass with {default}: 'true', or create a PersistentVolume by hand."))
}

/// Service `ingress`: a controller serves the routes. Needs `read` of IngressClasses in the scope `cluster`, or of Gateways in
/// the Gateway's namespace.
pub fn routing(routing: &Routing) -> Check {
    match routing {
        Routing::Ingress { class } => without_wait(Check::object(
            "ingress",
            format!("The IngressClass {class} exists"),
            TypeMeta::new("networking.k8s.io/v1", "IngressClass").cluster_scoped(class),
        ))
        .remedy("Install the platform's ingress first."),
        Routing::Gateway { namespace, name } => without_wait(Check::object(
            "ingress",
            format!("The Gateway {namespace}/{name} is programmed"),
            TypeMeta::new("gateway.networking.k8s.io/v1", "Gateway").namespaced(namespace, name),
        ))
        .cel("object.status.conditions.exists(c, c.type == 'Programmed' && c.status == 'True')")
        .remedy("Install the platform's gateway first; `kubectl describe gateway` shows why it is not programmed."),
    }
}

/// Service `acme-certificates`: the certificate in a TLS Secret names these hosts and is valid for at least a week. Needs
/// `copy-secret` of the Secret.
pub fn certificate(secret: ObjectRef, hosts: &[&str]) -> Check {
    let named = hosts.iter().map(|host| {
        // RFC 6125: a wildcard matches the first label only.
        let wildcard = host.split_once('.').map(|(_, domain)| format!("*.{domain}")).unwrap_or_default();
        format!(" && ('{host}' in certificate.dnsNames || '{wildcard}' in certificate.dnsNames)")
    });
    let expected = format!("certificate.secondsLeft > {CERTIFICATE_SECONDS}{}", named.collect::<String>());
    let title = format!("The certificate names {} and is valid for at least a week", hosts.join(" and "));
    without_wait(Check::object("acme-certificates", title, secret)).cel(expected).remedy(
        "Install or renew the platform's certificates first; `openssl x509 -text` shows the names and the end of one.",
    )
}

/// Service `keycloak`: the realm answers. Needs `connect` to the origin of `url`.
pub fn realm(url: &str, realm: &str) -> Check {
    let issuer = format!("{url}/realms/{realm}");
    let about = HttpProbe::url(HttpMethod::Get, format!("{issuer}/.well-known/openid-configuration"));
    Check::http("keycloak", format!("Keycloak has the realm {realm}"), about)
        .cel(format!("status == 200 && json.issuer == '{issuer}'"))
        .timeout_seconds(STATIC_TIMEOUT_SECONDS)
        .remedy("Install the platform's Keycloak first; the realm is the setting keycloak_realm.")
}

/// Service `harbor`: the registry answers (OCI distribution specification, end-1). Needs `connect` to it.
pub fn registry(registry: &str) -> Check {
    let root = HttpProbe::url(HttpMethod::Get, format!("https://{registry}/v2/"));
    Check::http("harbor", format!("The registry {registry} answers"), root)
        .cel("status == 200 || status == 401")
        .timeout_seconds(STATIC_TIMEOUT_SECONDS)
        .remedy("Install the platform's registry first; its name is the setting harbor_registry.")
}
