use crate::bindings::plugin::thinkube::plugin::plan::{
    Auth, BasicAuth, ExternalOutput, ExternalStep, PasswordGrant, Request,
};
use crate::{HttpMethod, OnUninstall, Step};
use serde_json::Value;

/// A resource behind an HTTP API, kept like an object: the host finds it, compares it, creates, updates and deletes it.
/// Needs [`Permission::Connect`](crate::Permission) for the origin of its URL.
///
/// Paths and bodies may hold `${name}` for a field of what was found, and `${steps.NAME.OUTPUT}` for what an earlier step
/// yields.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct External(ExternalStep);

impl External {
    /// A resource that is to have these fields; what else it has is left alone. `find` and `create` are paths below
    /// `base_url`; `select` is CEL over the answer of `find` that yields the resource, or null. It is deleted on uninstall
    /// if [`delete`](Self::delete) says how.
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

    /// The host logs in with the password of a secret input (OAuth 2.0, RFC 6749 section 4.3).
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

    /// The host logs in with name and password (RFC 7617).
    pub fn basic(mut self, username: impl Into<String>, password_input: impl Into<String>) -> Self {
        self.0.auth =
            Auth::Basic(BasicAuth { username: username.into(), password_input: password_input.into() });
        self
    }

    /// How it is changed, by PUT. Without this a difference is an error.
    pub fn update(mut self, path: impl Into<String>) -> Self {
        self.0.update = Some(request(HttpMethod::Put, path));
        self
    }

    /// How it is taken away.
    pub fn delete(mut self, path: impl Into<String>) -> Self {
        self.0.delete = Some(request(HttpMethod::Delete, path));
        self
    }

    /// Outlives an uninstall.
    pub fn retain(mut self) -> Self {
        self.0.on_uninstall = OnUninstall::Retain;
        self
    }

    /// Yields a value of what was found, by CEL, for other steps. Anybody may see it.
    pub fn output(mut self, name: impl Into<String>, select: impl Into<String>) -> Self {
        let (name, select) = (name.into(), select.into());
        self.0.outputs.push(ExternalOutput { name, request: None, select, secret: false });
        self
    }

    /// Yields a value of the answer to a GET, by CEL, that only a Secret may hold.
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
