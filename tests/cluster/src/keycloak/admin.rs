//! Keycloak's REST API as its administrator uses it, over plain HTTP inside the cluster.

use std::io::{self, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;
use std::time::Duration;

use serde_json::{Value, json};

use crate::error::{At, Error, Result};
use crate::http;
use crate::keycloak::ADMIN;

pub(crate) fn credential(password: &str) -> Value {
    json!({ "type": "password", "value": password, "temporary": false })
}

/// A session of the administrator; its token is valid for a minute.
pub(crate) struct Admin {
    address: SocketAddr,
    token: String,
}

impl Admin {
    /// `None` where the password is wrong.
    pub(crate) fn login(address: SocketAddr, password: &str) -> Result<Option<Self>> {
        let (realm, name) = ADMIN;
        let path = format!("/realms/{realm}/protocol/openid-connect/token");
        let form = format!("grant_type=password&client_id=admin-cli&username={name}&password={password}");
        let kind = "application/x-www-form-urlencoded";
        let request = Request { method: "POST", path: &path, token: None, body: Some((kind, form)) };
        let (status, answer) = request.send(address)?;
        if status == 401 {
            return Ok(None);
        }
        let answer = request.json_of(address, status, &answer)?;
        let token = answer["access_token"].as_str().ok_or_else(|| refused(address))?.to_owned();
        Ok(Some(Self { address, token }))
    }

    pub(crate) fn call(&self, method: &str, path: &str, body: Option<&Value>) -> Result<Value> {
        let body = body.map(|body| ("application/json", body.to_string()));
        let request = Request { method, path, token: Some(&self.token), body };
        let (status, answer) = request.send(self.address)?;
        request.json_of(self.address, status, &answer)
    }

    pub(crate) fn identifier(&self, (realm, name): (&str, &str)) -> Result<String> {
        let path = format!("/admin/realms/{realm}/users?exact=true&username={name}");
        let answer = self.call("GET", &path, None)?;
        let missing = || io::Error::other(format!("realm {realm} has no user {name}"));
        answer[0]["id"].as_str().map(str::to_owned).ok_or_else(missing).at(place(self.address, &path))
    }

    pub(crate) fn set_password(&self, user: (&str, &str), password: &str) -> Result<()> {
        let path = format!("/admin/realms/{}/users/{}/reset-password", user.0, self.identifier(user)?);
        self.call("PUT", &path, Some(&credential(password))).map(drop)
    }
}

pub(crate) fn refused(address: SocketAddr) -> Error {
    Error::Io { path: place(address, ""), source: io::Error::other("the administrator is refused") }
}

pub(crate) struct Request<'a> {
    method: &'a str,
    path: &'a str,
    token: Option<&'a str>,
    /// Content type and content.
    body: Option<(&'static str, String)>,
}

impl Request<'_> {
    /// Status and body of the answer.
    fn send(&self, address: SocketAddr) -> Result<(u16, String)> {
        self.exchange(address).at(place(address, self.path))
    }

    fn exchange(&self, address: SocketAddr) -> io::Result<(u16, String)> {
        // A realm takes half a second, and several on a machine that also builds.
        let timeout = Some(Duration::from_secs(30));
        let mut stream = TcpStream::connect_timeout(&address, Duration::from_secs(2))?;
        stream.set_read_timeout(timeout)?;
        stream.set_write_timeout(timeout)?;
        stream.write_all(self.text(address).as_bytes())?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        http::parse(&answer)
            .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "not a valid HTTP answer"))
    }

    /// HTTP 1.0, so that the end of the connection ends the answer.
    fn text(&self, address: SocketAddr) -> String {
        let mut text = format!("{} {} HTTP/1.0\r\nHost: {address}\r\n", self.method, self.path);
        if let Some(token) = self.token {
            text.push_str(&format!("Authorization: Bearer {token}\r\n"));
        }
        if let Some((kind, body)) = &self.body {
            text.push_str(&format!("Content-Type: {kind}\r\nContent-Length: {}\r\n\r\n{body}", body.len()));
        } else {
            text.push_str("\r\n");
        }
        text
    }

    /// The JSON of a successful answer; null without a body.
    fn json_of(&self, address: SocketAddr, status: u16, answer: &str) -> Result<Value> {
        if (200..300).contains(&status) {
            return Ok(serde_json::from_str(answer).unwrap_or_default());
        }
        let source = io::Error::other(format!("the answer to {} is {status} {answer}", self.method));
        Err(source).at(place(address, self.path))
    }
}

pub(crate) fn place(address: SocketAddr, path: &str) -> PathBuf {
    PathBuf::from(format!("http://{address}{path}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::Ipv4Addr;

    #[test]
    fn the_content_length_counts_bytes() {
        let body = Some(("application/json", "\"ä\"".to_owned()));
        let request = Request { method: "PUT", path: "/x", token: Some("t"), body };
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, 80));
        assert_eq!(
            request.text(address),
            "PUT /x HTTP/1.0\r\nHost: 127.0.0.1:80\r\nAuthorization: Bearer t\r\n\
             Content-Type: application/json\r\nContent-Length: 4\r\n\r\n\"ä\""
        );
        let request = Request { method: "DELETE", path: "/x", token: None, body: None };
        assert_eq!(request.text(address), "DELETE /x HTTP/1.0\r\nHost: 127.0.0.1:80\r\n\r\n");
    }
}
