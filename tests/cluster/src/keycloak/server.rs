//! Keycloak as a server of a cluster: start, readiness, reset, and its objects in the cluster.

use std::error::Error as _;
use std::fs;
use std::io;
use std::net::SocketAddr;
use std::path::Path;

use serde_json::{Value, json};

use crate::access::domain::{self, TLS_SECRET};
use crate::error::{At, Error, Result};
use crate::http;
use crate::keycloak::admin::{Admin, credential, refused};
use crate::keycloak::distribution::{Distribution, STORE, serving};
use crate::keycloak::{ADMIN, Keycloak, NAME, REALM, URL, USER, access};
use crate::paths::{self, Layout};
use crate::process::server::{RunningServer, ServerCommand};
use crate::readiness::Readiness;
use crate::record::ClusterRecord;

pub(crate) const PORT: u16 = 8080;

pub(crate) const MANAGEMENT_PORT: u16 = 9000;

/// Files below the folder `keycloak` of a cluster.
pub(crate) const DATABASE: &str = "data/h2/keycloakdb.mv.db";

pub(crate) const DOCUMENT: &str = "realm.json";

/// Files of the seed. The archive of classes is missing where this machine's Java makes none.
pub(crate) const SEED_DATABASE: &str = "keycloakdb.mv.db";

/// The administrator's password in the seed, and in a cluster until it has one of its own.
pub(crate) const SEED_PASSWORD: &str = "seed-password";

/// Starts it. The first start of a cluster copies the database of the seed.
pub(crate) fn start(layout: &Layout, record: &ClusterRecord) -> Result<RunningServer> {
    let distribution = Distribution::cached()?;
    let folder = layout.path(NAME);
    distribution.link_into(&folder)?;
    if !folder.join(DATABASE).exists() {
        copy_seed(layout, &distribution.seed(), &folder)?;
    }
    let arguments = [
        distribution.arguments(&folder),
        distribution.program(),
        serving(address_of(record), MANAGEMENT_PORT),
    ];
    let server = ServerCommand::new(layout, NAME, &distribution.java, record.netns_file().as_deref());
    arguments.into_iter().flatten().fold(server, ServerCommand::arg).arg(STORE).start()
}

/// Copies realm and database of the seed into a cluster.
pub(crate) fn copy_seed(layout: &Layout, seed: &Path, folder: &Path) -> Result<()> {
    let password = access(layout)?.user_password;
    let mut realm = read_json(&seed.join(DOCUMENT))?;
    for user in realm["users"].as_array_mut().into_iter().flatten() {
        user["credentials"] = json!([credential(&password)]);
    }
    paths::write(&folder.join(DOCUMENT), realm.to_string())?;
    for (from, to) in [(SEED_PASSWORD, SEED_PASSWORD), (SEED_DATABASE, DATABASE)] {
        let from = seed.join(from);
        // The database last: a database means that the copy is complete.
        paths::write(&folder.join(to), fs::read(&from).at(from)?)?;
    }
    Ok(())
}

/// Whether it is ready. The first time it is, its users get the passwords of this cluster.
pub(crate) fn readiness(layout: &Layout, record: &ClusterRecord) -> Readiness {
    let address = address_of(record);
    match readiness_of(address, SocketAddr::new(record.address, MANAGEMENT_PORT)) {
        Readiness::Ready => {}
        not_yet => return not_yet,
    }
    match set_passwords(layout, address) {
        Ok(()) => Readiness::Ready,
        Err(error) => Readiness::NotReady(match error.source() {
            Some(source) => format!("{error}: {source}"),
            None => error.to_string(),
        }),
    }
}

/// Whether it is ready, with the issuer that browsers and pods use.
pub(crate) fn readiness_of(address: SocketAddr, management: SocketAddr) -> Readiness {
    match http::readiness(management.ip(), management.port(), "/health/ready") {
        Readiness::Ready => {}
        not_yet => return not_yet,
    }
    let path = format!("/realms/{REALM}/.well-known/openid-configuration");
    match http::get(address.ip(), address.port(), &path) {
        Ok((200, answer)) => match &serde_json::from_str::<Value>(&answer).unwrap_or_default()["issuer"] {
            Value::String(issuer) if *issuer == format!("{URL}/realms/{REALM}") => Readiness::Ready,
            issuer => Readiness::NotReady(format!("the issuer is {issuer}")),
        },
        Ok((status, answer)) => Readiness::NotReady(format!("the realm answers with {status} {answer}")),
        Err(error) => Readiness::NotReady(error.to_string()),
    }
}

pub(crate) fn set_passwords(layout: &Layout, address: SocketAddr) -> Result<()> {
    let file = layout.path(NAME).join(SEED_PASSWORD);
    let seed_password = match fs::read_to_string(&file) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        read => read.at(&file)?,
    };
    // `None` after an interruption between the change of the password and the removal of the file.
    if let Some(admin) = Admin::login(address, &seed_password)? {
        let Keycloak { admin_password, user_password, .. } = access(layout)?;
        admin.set_password(USER, &user_password)?;
        admin.set_password(ADMIN, &admin_password)?;
    }
    match fs::remove_file(&file) {
        // A parallel check of the readiness has removed it.
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        removed => removed.at(file),
    }
}

/// Recreates the realm as after the start, with the same keys, identifiers and passwords. It ends every session.
pub(crate) fn reset(layout: &Layout, record: &ClusterRecord) -> Result<()> {
    let address = address_of(record);
    let realm = read_json(&layout.path(NAME).join(DOCUMENT))?;
    let password = access(layout)?.admin_password;
    let admin = Admin::login(address, &password)?.ok_or_else(|| refused(address))?;
    let realms = admin.call("GET", "/admin/realms?briefRepresentation=true", None)?;
    for realm in realms.as_array().into_iter().flatten().filter_map(|realm| realm["realm"].as_str()) {
        if realm != ADMIN.0 {
            admin.call("DELETE", &format!("/admin/realms/{realm}"), None)?;
        }
    }
    admin.call("POST", "/admin/realms", Some(&realm)).map(drop)
}

/// The namespace, Service and Ingress of its host name.
pub(crate) fn objects(layout: &Layout, record: &ClusterRecord) -> Result<Vec<Value>> {
    let host = URL.trim_start_matches("https://");
    let mut objects = vec![
        json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": NAME } }),
        domain::tls_secret(layout, NAME, TLS_SECRET)?,
        json!({
            "apiVersion": "networking.k8s.io/v1",
            "kind": "Ingress",
            "metadata": { "name": NAME, "namespace": NAME },
            "spec": {
                "ingressClassName": "nginx",
                "tls": [{ "hosts": [host], "secretName": TLS_SECRET }],
                "rules": [{ "host": host, "http": { "paths": [{
                    "path": "/",
                    "pathType": "Prefix",
                    "backend": { "service": { "name": NAME, "port": { "number": PORT } } }
                }] } }]
            }
        }),
    ];
    objects.extend(domain::service(NAME, NAME, None, record.address, &[("http", "TCP", PORT)]));
    Ok(objects)
}

pub(crate) fn address_of(record: &ClusterRecord) -> SocketAddr {
    SocketAddr::new(record.address, PORT)
}

pub(crate) fn read_json(file: &Path) -> Result<Value> {
    let text = fs::read_to_string(file).at(file)?;
    serde_json::from_str(&text).map_err(|source| Error::Json { what: file.display().to_string(), source })
}
