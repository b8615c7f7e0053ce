//! Resources behind an HTTP API.

use crate::bindings::plugin::thinkube::plugin::plan::{
    Auth, BasicAuth, ExternalOutput, ExternalStep, PasswordGrant, Request,
};
use crate::contract::{HttpMethod, OnUninstall, Step};
use serde_json::Value;

/// A resource behind an HTTP API. The host observes it, compares it, and creates, updates or deletes it. Needs
/// [`Permission::Connect`](crate::Permission) for the origin of its URL.
///
/// Paths and bodies may hold `${name}` for a field of what was found, and `${steps.NAME.OUTPUT}` for an output of an
/// earlier step.
///
/// ```
/// use thinkube_sdk::serde_json::json;
/// use thinkube_sdk::{External, Stage};
///
/// let desired = json!({"name": "packages", "quota": 5});
/// let project = External::new(
///     "project",
///     "https://forge.example.com/api",
///     "/projects?name=packages",
///     "json.size() > 0 ? json[0] : null",
///     "/projects",
///     &desired,
/// )
/// .basic_auth("admin", "forge-password")
/// .update("/projects/${id}")
/// .delete("/projects/${id}")
/// .output("id", "json.id");
/// let stage = Stage::new("forge").external(project);
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct External(ExternalStep);

impl External {
    /// `find` and `create` are paths that are appended to `base_url`. `select` is a CEL expression over the response of
    /// `find`; it yields the resource, or null if there is none. Each field of `desired` must equal the resource's; the
    /// resource may have more. At uninstall the host deletes the resource if [`delete`](Self::delete) is called.
    pub fn new(
        name: impl Into<String>,
        base_url: impl Into<String>,
        find: impl Into<String>,
        select: impl Into<String>,
        create: impl Into<String>,
        desired: &Value,
    ) -> Self {
        Self(ExternalStep {
            name: name.into(),
            base_url: base_url.into(),
            auth: Auth::Anonymous,
            find: request(HttpMethod::Get, find),
            select: select.into(),
            create: request(HttpMethod::Post, create),
            update: None,
            delete: None,
            desired: desired.to_string(),
            outputs: Vec::new(),
            on_uninstall: OnUninstall::Delete,
        })
    }

    /// Authenticates with the password of a secret input, by the OAuth 2.0 password grant (RFC 6749 section 4.3).
    pub fn password_grant(
        mut self,
        token_url: impl Into<String>,
        client_id: impl Into<String>,
        username: impl Into<String>,
        password_input: impl Into<String>,
    ) -> Self {
        self.0.auth = Auth::PasswordGrant(PasswordGrant {
            token_url: token_url.into(),
            client_id: client_id.into(),
            username: username.into(),
            password_input: password_input.into(),
        });
        self
    }

    /// Authenticates with the password of a secret input, by HTTP Basic authentication (RFC 7617).
    pub fn basic_auth(mut self, username: impl Into<String>, password_input: impl Into<String>) -> Self {
        self.0.auth =
            Auth::Basic(BasicAuth { username: username.into(), password_input: password_input.into() });
        self
    }

    /// The path of the PUT request that changes the resource. Without it, a difference is an error.
    pub fn update(mut self, path: impl Into<String>) -> Self {
        self.0.update = Some(request(HttpMethod::Put, path));
        self
    }

    /// The path of the DELETE request.
    pub fn delete(mut self, path: impl Into<String>) -> Self {
        self.0.delete = Some(request(HttpMethod::Delete, path));
        self
    }

    /// The resource outlives an uninstall.
    pub fn retain(mut self) -> Self {
        self.0.on_uninstall = OnUninstall::Retain;
        self
    }

    /// An output for other steps: a CEL expression over the resource, as `json`. The value is not secret.
    pub fn output(mut self, name: impl Into<String>, select: impl Into<String>) -> Self {
        let (name, select) = (name.into(), select.into());
        self.0.outputs.push(ExternalOutput { name, request: None, select, secret: false });
        self
    }

    /// An output that only a Secret may use: a CEL expression over the response to a GET of `path`.
    pub fn secret_output(
        mut self,
        name: impl Into<String>,
        path: impl Into<String>,
        select: impl Into<String>,
    ) -> Self {
        self.0.outputs.push(ExternalOutput {
            name: name.into(),
            request: Some(request(HttpMethod::Get, path)),
            select: select.into(),
            secret: true,
        });
        self
    }
}

impl From<External> for Step {
    fn from(external: External) -> Self {
        Self::External(external.0)
    }
}

fn request(method: HttpMethod, path: impl Into<String>) -> Request {
    Request { method, path: path.into(), body: None }
}
