//! Traefik as the ingress controller, for the class `nginx` with ingress-nginx's annotations, and for the Gateway API.

use serde_json::{Value, json};

use crate::access::domain::{self, DOMAIN, TLS_SECRET};
use crate::access::kubeconfig;
use crate::access::pki;
use crate::build::programs::Programs;
use crate::error::Result;
use crate::http;
use crate::paths::Layout;
use crate::process::server::{RunningServer, ServerCommand};
use crate::readiness::Readiness;
use crate::record::ClusterRecord;

/// The port of its health check.
const PING: u16 = 8082;

/// The gateway, with the name of Thinkube's.
const GATEWAY: &str = "thinkube-gateway";
const NAMESPACE: &str = "gateway-system";
const GATEWAY_TLS_SECRET: &str = "gateway-tls-secret";

pub(crate) fn start(layout: &Layout, record: &ClusterRecord, programs: &Programs) -> Result<RunningServer> {
    let access = layout.path("ingress.kubeconfig");
    let pair = pki::trusted(layout, "ingress")?;
    kubeconfig::write(&access, &record.server(), &layout.pki("ca.crt"), "ingress", &pair)?;
    let address = record.address;
    // With the resolver, because `auth-url` names a Service.
    ServerCommand::with_resolver(layout, "ingress", &programs.traefik(), record.netns_file().as_deref())
        .env("KUBECONFIG", &access)
        .arg(format!("--entryPoints.web.address={address}:80"))
        .arg(format!("--entryPoints.websecure.address={address}:443"))
        .arg(format!("--entryPoints.traefik.address={address}:{PING}"))
        .arg("--ping=true")
        .arg("--providers.kubernetesIngressNGINX=true")
        .arg(format!("--providers.kubernetesIngressNGINX.publishStatusAddress={address}"))
        .arg("--providers.kubernetesIngressNGINX.httpEntryPoint=web")
        .arg("--providers.kubernetesIngressNGINX.httpsEntryPoint=websecure")
        // As nginx; without it proxy-body-size has no effect.
        .arg("--providers.kubernetesIngressNGINX.proxyRequestBuffering=true")
        .arg("--providers.kubernetesGateway=true")
        .arg(format!("--providers.kubernetesGateway.statusAddress.ip={address}"))
        // Both would contact Traefik's servers.
        .args(["--global.checkNewVersion=false", "--global.sendAnonymousUsage=false"])
        .args(["--log.level=INFO", "--accesslog=true"])
        .start()
}

/// Class, certificates and gateway.
pub(crate) fn objects(layout: &Layout) -> Result<Vec<Value>> {
    let listener = |name: &str, protocol: &str, port: u16| {
        json!({
            "name": name,
            "protocol": protocol,
            "port": port,
            "hostname": format!("*.{DOMAIN}"),
            "allowedRoutes": { "namespaces": { "from": "All" } }
        })
    };
    let mut https = listener("https", "HTTPS", 443);
    https["tls"] = json!({ "mode": "Terminate", "certificateRefs": [{ "name": GATEWAY_TLS_SECRET }] });
    let mut objects = announced(layout)?;
    objects.extend([
        json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": NAMESPACE } }),
        domain::tls_secret(layout, NAMESPACE, GATEWAY_TLS_SECRET)?,
        json!({
            "apiVersion": "gateway.networking.k8s.io/v1",
            "kind": "GatewayClass",
            "metadata": { "name": "traefik" },
            "spec": { "controllerName": "traefik.io/gateway-controller" }
        }),
        json!({
            "apiVersion": "gateway.networking.k8s.io/v1",
            "kind": "Gateway",
            "metadata": { "name": GATEWAY, "namespace": NAMESPACE },
            "spec": { "gatewayClassName": "traefik", "listeners": [listener("http", "HTTP", 80), https] }
        }),
    ]);
    Ok(objects)
}

/// What a service's preflight needs: the class, and the wildcard certificate in the namespace from which Thinkube's services copy
/// it.
pub(crate) fn announced(layout: &Layout) -> Result<Vec<Value>> {
    Ok(vec![
        json!({
            "apiVersion": "networking.k8s.io/v1",
            "kind": "IngressClass",
            "metadata": { "name": "nginx" },
            "spec": { "controller": "k8s.io/ingress-nginx" }
        }),
        domain::tls_secret(layout, "default", TLS_SECRET)?,
    ])
}

pub(crate) fn readiness(record: &ClusterRecord) -> Readiness {
    http::readiness(record.address, PING, "/ping")
}
