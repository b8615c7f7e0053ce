//! Keycloak's REST API as an administrator uses it, at its host name with TLS.

use crate::host::Run;
use crate::web::{Answer, curl};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use thinkube_test_cluster::{Cluster, Keycloak};

/// Keycloak's administrator.
#[derive(Debug)]
pub struct Admin {
    cluster: Cluster,
    keycloak: Keycloak,
}

impl Admin {
    /// The administrator of the cluster's Keycloak.
    pub fn of(cluster: &Cluster) -> Self {
        let keycloak = cluster.keycloak().expect("the harness's own cluster").expect("it has Keycloak");
        Self { cluster: cluster.clone(), keycloak }
    }

    /// The administrator's password.
    pub fn password(&self) -> &str {
        &self.keycloak.admin_password
    }

    /// A client of the realm by its name.
    pub fn find_client(&self, name: &str) -> Option<Value> {
        self.call("GET", &format!("/clients?clientId={name}"), None).json().get(0).cloned()
    }

    /// Deletes a client by its name, if it exists.
    pub fn delete_client(&self, name: &str) {
        if let Some(client) = self.find_client(name) {
            let id = client["id"].as_str().expect("a client has an id");
            self.call("DELETE", &format!("/clients/{id}"), None);
        }
    }

    /// A request to the REST API of the realm; `path` begins with a slash.
    pub fn call(&self, method: &str, path: &str, body: Option<&Value>) -> Answer {
        self.ask(method, path, body).unwrap_or_else(|run| panic!("{method} {path}: {run:?}"))
    }

    fn ask(&self, method: &str, path: &str, body: Option<&Value>) -> Result<Answer, Run> {
        self.request(method, &format!("/{}{path}", self.keycloak.realm), body)
    }

    /// A request below the list of realms.
    fn request(&self, method: &str, path: &str, body: Option<&Value>) -> Result<Answer, Run> {
        let url = format!("{}/admin/realms{path}", self.keycloak.url);
        let authorization = format!("Authorization: Bearer {}", self.token()?);
        let mut arguments = vec!["--request", method, "--header", &authorization, &url];
        let body = body.map(Value::to_string);
        if let Some(body) = &body {
            arguments.extend(["--header", "Content-Type: application/json", "--data-binary", body]);
        }
        curl(&self.cluster, &arguments)
    }

    /// A new token for each request: it is valid for a minute, and a test takes longer.
    fn token(&self) -> Result<String, Run> {
        let Keycloak { url, admin, admin_password, .. } = &self.keycloak;
        let url = format!("{url}/realms/master/protocol/openid-connect/token");
        // Every user can read arguments, and a test asserts that the host's do not hold this password.
        let file = tempfile::NamedTempFile::new().expect("a temporary file");
        std::fs::write(file.path(), admin_password).expect("the folder is writable");
        let (user, password) = (format!("username={admin}"), format!("password@{}", file.path().display()));
        let form = ["grant_type=password", "client_id=admin-cli", &user, &password];
        let answer = curl(&self.cluster, &[&[url.as_str()][..], &data(&form)].concat())?;
        // A refusal has no token; a request without one is refused as well.
        Ok(answer.json()["access_token"].as_str().unwrap_or_default().to_owned())
    }

    /// Makes another realm, in which `redirect` belongs to the client `client` and one person has an account. It is deleted
    /// when it is dropped.
    pub fn realm(&self, name: &str, client: &str, redirect: &str) -> Realm {
        let (user, password) = (format!("stranger-{name}"), format!("password-{name}"));
        let description = json!({
            "realm": name,
            "enabled": true,
            "clients": [{ "clientId": client, "redirectUris": [redirect], "standardFlowEnabled": true }],
            "users": [{
                "username": user, "enabled": true,
                // Without one of these the first login ends at a form.
                "email": format!("{user}@example.org"), "emailVerified": true, "firstName": "A", "lastName": "Stranger",
                "credentials": [{ "type": "password", "value": password }]
            }]
        });
        let made =
            self.request("POST", "", Some(&description)).unwrap_or_else(|run| panic!("{name}: {run:?}"));
        made.with(201);
        let keycloak = Keycloak { realm: name.to_owned(), ..self.keycloak.clone() };
        Realm {
            admin: Self { cluster: self.cluster.clone(), keycloak },
            name: name.to_owned(),
            user,
            password,
        }
    }

    /// Registers a client that keeps a secret and signs people in by the authorization-code flow. It is deleted when it is
    /// dropped.
    pub fn client(self, name: &str, redirect: &str) -> Client {
        let description = json!({
            "clientId": name,
            "protocol": "openid-connect",
            "publicClient": false,
            "standardFlowEnabled": true,
            "redirectUris": [redirect]
        });
        self.call("POST", "/clients", Some(&description)).with(201);
        let found = self.call("GET", &format!("/clients?clientId={name}"), None).with(200).json();
        let id = found[0]["id"].as_str().expect("an identifier").to_owned();
        let secret = self.call("GET", &format!("/clients/{id}/client-secret"), None).with(200).json();
        let secret = secret["value"].as_str().expect("a secret").to_owned();
        Client { admin: self, id, secret }
    }
}

/// A realm of a test's own.
#[derive(Debug)]
pub struct Realm {
    admin: Admin,
    /// Its name.
    pub name: String,
    /// The one person who has an account.
    pub user: String,
    /// That person's password.
    pub password: String,
}

impl Drop for Realm {
    fn drop(&mut self) {
        // What is left is removed with the cluster.
        let _ = self.admin.ask("DELETE", "", None);
    }
}

/// A client of the realm.
#[derive(Debug)]
pub struct Client {
    admin: Admin,
    id: String,
    /// Its secret.
    pub secret: String,
}

impl Client {
    /// Deletes it now.
    pub fn delete(&self) {
        self.admin.call("DELETE", &self.path(), None).with(204);
        self.admin.call("GET", &self.path(), None).with(404);
    }

    fn path(&self) -> String {
        format!("/clients/{}", self.id)
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        // It may be deleted already; what is left is removed with the cluster.
        let _ = self.admin.ask("DELETE", &self.path(), None);
    }
}

/// curl's arguments for a form.
pub fn data<'a>(fields: &[&'a str]) -> Vec<&'a str> {
    fields.iter().flat_map(|field| ["--data-urlencode", field]).collect()
}

/// The claims of a token. It comes from Keycloak over TLS, so its signature is not verified.
pub fn claims(token: &Value) -> Value {
    let token = token.as_str().expect("a token");
    let payload = token.split('.').nth(1).expect("three parts");
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(payload).expect("base64")).expect("JSON")
}
