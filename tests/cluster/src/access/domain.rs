//! The test domain of a cluster, its certificates, and Services that lead to servers of the harness.

use std::net::IpAddr;
use std::path::PathBuf;

use serde_json::{Value, json};

use crate::access::pki;
use crate::error::{At, Result};
use crate::paths::Layout;

/// Inside a cluster every name below it resolves to the node. `.test` is reserved for tests (RFC 6761).
pub const DOMAIN: &str = "thinkube.test";

/// The Secret with the wildcard certificate, in the namespace of Thinkube's acme-certificates.
pub(crate) const TLS_SECRET: &str = "thinkube-test-tls";

/// The certificate that signs the wildcard certificate and the registry's.
pub(crate) fn authority(layout: &Layout) -> PathBuf {
    layout.pki("web-ca.crt")
}

/// Makes the wildcard certificate.
pub(crate) fn certificates(layout: &Layout, address: IpAddr) -> Result<()> {
    pki::web(layout, "web", &[DOMAIN, &format!("*.{DOMAIN}")], &[address])
}

/// A Secret with the wildcard certificate.
pub(crate) fn tls_secret(layout: &Layout, namespace: &str, name: &str) -> Result<Value> {
    let pair = pki::pair(layout, "web");
    let read = |path: &PathBuf| std::fs::read_to_string(path).at(path);
    Ok(json!({
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": { "name": name, "namespace": namespace },
        "type": "kubernetes.io/tls",
        "stringData": { "tls.crt": read(&pair.certificate)?, "tls.key": read(&pair.key)? }
    }))
}

/// A Service without a selector for a server of the harness, and the EndpointSlice with its address.
pub(crate) fn service(
    namespace: &str,
    name: &str,
    ip: Option<&str>,
    address: IpAddr,
    ports: &[(&str, &str, u16)],
) -> Vec<Value> {
    let port = |(name, protocol, port): &(&str, &str, u16)| json!({ "name": name, "protocol": protocol, "port": port });
    let ports: Vec<Value> = ports.iter().map(port).collect();
    let mut service = json!({
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": { "name": name, "namespace": namespace },
        "spec": { "ports": ports }
    });
    if let Some(ip) = ip {
        service["spec"]["clusterIP"] = ip.into();
    }
    let slice = json!({
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": { "name": format!("{name}-1"), "namespace": namespace, "labels": { "kubernetes.io/service-name": name } },
        "addressType": "IPv4",
        "endpoints": [{ "addresses": [address], "conditions": { "ready": true } }],
        "ports": ports
    });
    vec![service, slice]
}
