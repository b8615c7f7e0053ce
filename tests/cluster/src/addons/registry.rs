//! An image registry with TLS and credentials, in the place of Harbor.

use std::fs;
use std::net::IpAddr;
use std::path::PathBuf;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::access::domain::{self, DOMAIN};
use crate::access::pki;
use crate::build::programs::Programs;
use crate::error::{At, Error, Result};
use crate::http;
use crate::password;
use crate::paths::{self, Layout};
use crate::process::server::{RunningServer, ServerCommand};
use crate::readiness::Readiness;
use crate::record::ClusterRecord;

/// A name as Harbor gives its robot accounts.
const USER: &str = "robot$thinkube";

/// The pull Secret, with the name and namespace of Thinkube's Harbor.
const PULL_SECRET: &str = "harbor-pull-secret";

/// Not 443, which the ingress controller has.
const PORT: u16 = 5000;

/// Host and port, with which references of its images begin.
pub(crate) fn host() -> String {
    format!("registry.{DOMAIN}:{PORT}")
}

/// A registry and its credentials.
#[derive(Debug, Clone)]
pub struct Registry {
    /// Host and port, with which references of its images begin.
    pub host: String,
    /// The user's name.
    pub user: String,
    /// The password; each cluster has its own.
    pub password: String,
    /// The credentials for container tools (`buildah --authfile`).
    pub auth_file: PathBuf,
    /// A folder with the certificate to trust (`buildah --cert-dir`).
    pub certificates: PathBuf,
}

pub(crate) fn access(layout: &Layout) -> Result<Registry> {
    Ok(Registry {
        host: host(),
        user: USER.to_owned(),
        password: password::password(&layout.path("registry/password"))?,
        auth_file: layout.path("registry/auth.json"),
        certificates: layout.path("registry/certificates"),
    })
}

pub(crate) fn start(layout: &Layout, record: &ClusterRecord, programs: &Programs) -> Result<RunningServer> {
    let Registry { user, password, certificates, auth_file, .. } = access(layout)?;
    paths::write(&auth_file, credentials(layout)?.to_string())?;
    let authority = domain::authority(layout);
    paths::write(&certificates.join("ca.crt"), fs::read(&authority).at(authority)?)?;
    // The cheapest cost: a password of 128 random bits cannot be guessed.
    let hashed = bcrypt::hash(&password, 4).map_err(|source| Error::Password(source.to_string()))?;
    let users = layout.path("registry/htpasswd");
    paths::write(&users, format!("{user}:{hashed}\n"))?;
    pki::web(layout, "registry", &[&format!("registry.{DOMAIN}")], &[record.address])?;
    trust(layout, record.address)?;
    let pair = pki::pair(layout, "registry");
    let config = layout.path("registry/config.json");
    let settings = json!({
        "version": "0.1",
        "log": { "level": "info", "accesslog": { "disabled": false } },
        "storage": {
            "filesystem": { "rootdirectory": layout.path("registry/data") },
            "delete": { "enabled": true },
            // Without a cache, because `reset` empties the folder under the running server.
            "cache": {}
        },
        "http": {
            "addr": format!("{}:{PORT}", record.address),
            "tls": { "certificate": pair.certificate, "key": pair.key },
            // It signs the state of an upload; without it a restart breaks uploads.
            "secret": password
        },
        "auth": { "htpasswd": { "realm": "thinkube", "path": users } }
    });
    // JSON is YAML.
    paths::write(&config, settings.to_string())?;
    ServerCommand::new(layout, "registry", &programs.registry(), record.netns_file().as_deref())
        // The default sends traces to a collector, which does not exist.
        .env("OTEL_TRACES_EXPORTER", "none")
        .arg("serve")
        .arg(&config)
        .start()
}

/// Writes the registry's address and authority for containerd, which reads them at every pull. By address, because containerd
/// uses the machine's resolver, which does not know the test domain.
fn trust(layout: &Layout, address: IpAddr) -> Result<()> {
    let text = |value: &dyn ToString| Value::from(value.to_string()).to_string();
    let server = text(&format!("https://{address}:{PORT}"));
    let authority = text(&domain::authority(layout).display());
    let hosts = format!(
        "server = {server}\n\n[host.{server}]\ncapabilities = [\"pull\", \"resolve\"]\nca = {authority}\n"
    );
    paths::write(&layout.path(&format!("registries/{}/hosts.toml", host())), hosts)
}

/// The credentials as container tools and Kubernetes read them.
fn credentials(layout: &Layout) -> Result<Value> {
    let Registry { user, password, host, .. } = access(layout)?;
    let auth = STANDARD.encode(format!("{user}:{password}"));
    Ok(json!({ "auths": { host: { "username": user, "password": password, "auth": auth } } }))
}

pub(crate) fn objects(layout: &Layout) -> Result<Vec<Value>> {
    Ok(vec![json!({
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": { "name": PULL_SECRET, "namespace": "default" },
        "type": "kubernetes.io/dockerconfigjson",
        "stringData": { ".dockerconfigjson": credentials(layout)?.to_string() }
    })])
}

pub(crate) fn readiness(record: &ClusterRecord) -> Readiness {
    http::listens(record.address, PORT)
}

/// Removes every image.
pub(crate) fn reset(layout: &Layout) -> Result<()> {
    let data = layout.path("registry/data");
    match fs::remove_dir_all(&data) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error).at(data),
        _ => Ok(()),
    }
}
