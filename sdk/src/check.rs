//! Checks, and the HTTP requests that they send.

use crate::contract::{
    Check, Credentials, Expectation, HttpMethod, HttpProbe, HttpTarget, ObjectRef, Probe, SecretKey,
    Selection, ServiceTarget, Severity,
};

/// Long enough to pull an image and start a server, short enough to wait at a terminal.
const DEFAULT_TIMEOUT_SECONDS: u32 = 120;

/// ```
/// use thinkube_sdk::{Check, HttpMethod, HttpProbe};
///
/// let probe = HttpProbe::service(HttpMethod::Get, "demo", "server", 80, "/health");
/// let check = Check::http("healthy", "The server is healthy", probe)
///     .cel("status == 200 && json.state == 'ok'")
///     .timeout_seconds(30)
///     .remedy("`kubectl logs deploy/server` shows why.");
/// ```
impl Check {
    /// Passes when the object is ready, by the rules of kstatus.
    pub fn ready(name: impl Into<String>, title: impl Into<String>, object: impl Into<ObjectRef>) -> Self {
        Self::new(name, title, Probe::Ready(object.into()))
    }

    /// Passes when the object exists. CEL variables: `object`, and for a TLS Secret `certificate` with `dnsNames`,
    /// `notAfter` and `secondsLeft`.
    pub fn object(name: impl Into<String>, title: impl Into<String>, object: impl Into<ObjectRef>) -> Self {
        Self::new(name, title, Probe::Object(object.into()))
    }

    /// Passes when at least one object is selected. CEL variable: `objects`.
    pub fn objects(name: impl Into<String>, title: impl Into<String>, selection: Selection) -> Self {
        Self::new(name, title, Probe::Objects(selection))
    }

    /// Passes when the status is 200 to 299. CEL variables: `status`, `headers`, `body` and `json`, which is null if the
    /// body is not JSON.
    pub fn http(name: impl Into<String>, title: impl Into<String>, request: HttpProbe) -> Self {
        Self::new(name, title, Probe::Http(request))
    }

    fn new(name: impl Into<String>, title: impl Into<String>, probe: Probe) -> Self {
        Self {
            name: name.into(),
            title: title.into(),
            probe,
            expect: Expectation::Holds,
            timeout_seconds: DEFAULT_TIMEOUT_SECONDS,
            severity: Severity::Error,
            remedy: None,
        }
    }

    /// The same check with another name. Names are unique in a plan.
    pub fn named(mut self, name: impl Into<String>) -> Self {
        self.name = name.into();
        self
    }

    /// Passes when this CEL expression yields true.
    pub fn cel(mut self, expression: impl Into<String>) -> Self {
        self.expect = Expectation::Cel(expression.into());
        self
    }

    /// The plugin decides whether the check passes: see [`Evaluate`](crate::Evaluate).
    pub fn evaluated(mut self) -> Self {
        self.expect = Expectation::Evaluate;
        self
    }

    /// The host repeats the check until it passes or this time ends. The default is 120 seconds.
    pub fn timeout_seconds(mut self, seconds: u32) -> Self {
        self.timeout_seconds = seconds;
        self
    }

    /// A failure is reported and stops nothing.
    pub fn warning(mut self) -> Self {
        self.severity = Severity::Warning;
        self
    }

    /// What the operator can do about a failure.
    pub fn remedy(mut self, remedy: impl Into<String>) -> Self {
        self.remedy = Some(remedy.into());
        self
    }
}

impl HttpProbe {
    /// A request to a Service through the API server's proxy. `path` begins with `/` and may have a query.
    pub fn service(
        method: HttpMethod,
        namespace: impl Into<String>,
        name: impl Into<String>,
        port: u16,
        path: impl Into<String>,
    ) -> Self {
        let (namespace, name, path) = (namespace.into(), name.into(), path.into());
        Self::new(method, HttpTarget::Service(ServiceTarget { namespace, name, port, path }))
    }

    /// A request to a URL. Needs [`Permission::Connect`](crate::Permission) for its origin.
    pub fn url(method: HttpMethod, url: impl Into<String>) -> Self {
        Self::new(method, HttpTarget::Url(url.into()))
    }

    fn new(method: HttpMethod, target: HttpTarget) -> Self {
        Self { target, method, headers: Vec::new(), credentials: None, body: None, follow_redirects: false }
    }

    /// Adds a header. It cannot hold a secret, because plans are shown and recorded: see [`credentials`](Self::credentials).
    pub fn header(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    /// Adds a header with the Base64 of USERNAME:PASSWORD (RFC 7617). The password is a key of a Secret that this plan
    /// composes, and the target a Service that this plan creates. The host reads the password before the request, and shows
    /// only the status of the response.
    pub fn credentials(
        mut self,
        header: impl Into<String>,
        username: impl Into<String>,
        password: SecretKey,
    ) -> Self {
        self.credentials = Some(Credentials { header: header.into(), username: username.into(), password });
        self
    }

    /// Adds a JSON body.
    pub fn json(mut self, body: &serde_json::Value) -> Self {
        self.body = Some(body.to_string());
        self.header("content-type", "application/json")
    }

    /// Follows redirects. By default a redirect is the response.
    pub fn follow_redirects(mut self) -> Self {
        self.follow_redirects = true;
        self
    }
}
