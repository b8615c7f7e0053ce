//! A registry of images with TLS and a login, standing in for Harbor.

use std::fs;
use std::net::IpAddr;
use std::path::PathBuf;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::domain::{self, DOMAIN};
use crate::error::{At, Error, Result};
use crate::http;
use crate::paths::{self, Layout};
use crate::pki;
use crate::process::{Answer, Running, Server};
use crate::programs::Programs;
use crate::random;
use crate::state::Record;

/// The kind of name that Harbor gives its robots.
const USER: &str = "robot$thinkube";

/// The Secret that pods pull with, where Thinkube's installation of Harbor leaves it.
const PULL_SECRET: &str = "harbor-pull-secret";

/// Not 443, which is the ingress's.
const PORT: u16 = 5000;

/// The registry's host and port, as references of images begin.
pub(crate) fn host() -> String {
    format!("registry.{DOMAIN}:{PORT}")
}

/// A registry and who may push to it and pull from it.
#[derive(Debug, Clone)]
pub struct Registry {
    /// How references of its images begin: host and port.
    pub host: String,
    /// The user's name.
    pub user: String,
    /// The password; made anew for every cluster.
    pub password: String,
    /// The same as container tools read it (`buildah --authfile`).
    pub auth_file: PathBuf,
    /// A folder with the certificate to trust (`buildah --cert-dir`).
    pub certificates: PathBuf,
}

pub(crate) fn access(layout: &Layout) -> Result<Registry> {
    Ok(Registry {
        host: host(),
        user: USER.to_owned(),
        password: random::password(&layout.path("registry/password"))?,
        auth_file: layout.path("registry/auth.json"),
        certificates: layout.path("registry/certificates"),
    })
}

pub(crate) fn start(layout: &Layout, record: &Record, programs: &Programs) -> Result<Running> {
    let Registry { user, password, certificates, auth_file, .. } = access(layout)?;
    paths::write(&auth_file, credentials(layout)?.to_string())?;
    let authority = domain::authority(layout);
    paths::write(&certificates.join("ca.crt"), fs::read(&authority).at(authority)?)?;
    // The cheapest hash there is: a password of 128 random bits is not found by trying.
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
            // What is there is what lies on the disk: `reset` empties it under the running server.
            "cache": {}
        },
        "http": {
            "addr": format!("{}:{PORT}", record.address),
            "tls": { "certificate": pair.certificate, "key": pair.key },
            // Signs the state of an upload; without it every restart breaks those that are under way.
            "secret": password
        },
        "auth": { "htpasswd": { "realm": "thinkube", "path": users } }
    });
    // JSON is YAML.
    paths::write(&config, settings.to_string())?;
    Server::new(layout, "registry", &programs.registry(), record.netns_file().as_deref())
        // It would send traces to a collector that is not there.
        .env("OTEL_TRACES_EXPORTER", "none")
        .arg("serve")
        .arg(&config)
        .start()
}

/// Tells containerd, which reads it at every pull, where the registry is and whose certificates count. By address:
/// containerd asks the machine's resolver, which does not know the test domain.
fn trust(layout: &Layout, address: IpAddr) -> Result<()> {
    let text = |value: &dyn ToString| Value::from(value.to_string()).to_string();
    let server = text(&format!("https://{address}:{PORT}"));
    let authority = text(&domain::authority(layout).display());
    let hosts = format!(
        "server = {server}\n\n[host.{server}]\ncapabilities = [\"pull\", \"resolve\"]\nca = {authority}\n"
    );
    paths::write(&layout.path(&format!("registries/{}/hosts.toml", host())), hosts)
}

/// The credentials in the form that container tools and Kubernetes read.
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

pub(crate) fn answers(record: &Record) -> Answer {
    http::listens(record.address, PORT)
}

/// Forgets every image.
pub(crate) fn reset(layout: &Layout) -> Result<()> {
    let data = layout.path("registry/data");
    match fs::remove_dir_all(&data) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error).at(data),
        _ => Ok(()),
    }
}
