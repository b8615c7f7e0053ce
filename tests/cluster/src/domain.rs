//! The test domain: the names by which a cluster's front doors are known, and the certificates behind them.

use std::net::IpAddr;
use std::path::PathBuf;

use serde_json::{Value, json};

use crate::error::{At, Result};
use crate::paths::Layout;
use crate::pki;

/// Every name below it leads to the node. `.test` is reserved for this (RFC 6761), so it never leads anywhere else.
pub const DOMAIN: &str = "thinkube.test";

/// The Secret with the wildcard certificate, in the namespace where Thinkube's acme-certificates leaves it.
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

/// A Service without a selector that leads to a server of the harness, and the slice with its address.
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
