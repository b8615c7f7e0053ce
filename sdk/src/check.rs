use crate::{
    Check, Credentials, Expectation, HttpMethod, HttpProbe, HttpTarget, ObjectRef, Probe, SecretKey,
    Selection, ServiceTarget, Severity,
};

/// Long enough for an image to be pulled and a server to start, short enough to wait for at a terminal.
const DEFAULT_TIMEOUT_SECONDS: u32 = 120;

impl Check {
    /// Holds when the object is ready, by the rules of kstatus.
    pub fn ready(name: impl Into<String>, title: impl Into<String>, object: impl Into<ObjectRef>) -> Self {
        Self::new(name, title, Probe::Ready(object.into()))
    }

    /// Holds when the object exists. CEL variables: `object`, and `certificate` of a TLS Secret: `dnsNames`, `notAfter` and
    /// `secondsLeft`.
    pub fn object(name: impl Into<String>, title: impl Into<String>, object: impl Into<ObjectRef>) -> Self {
        Self::new(name, title, Probe::Object(object.into()))
    }

    /// Holds when there is such an object. CEL variable: `objects`.
    pub fn objects(name: impl Into<String>, title: impl Into<String>, selection: Selection) -> Self {
        Self::new(name, title, Probe::Objects(selection))
    }

    /// Holds when the answer's status is 200 to 299. CEL variables: `status`, `headers`, `body` and `json`, which is
    /// null when the body is none.
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

    /// The same check under another name: a name is unique in a plan.
    pub fn named(mut self, name: impl Into<String>) -> Self {
        self.name = name.into();
        self
    }

    /// Holds when this CEL expression yields true.
    pub fn cel(mut self, expression: impl Into<String>) -> Self {
        self.expect = Expectation::Cel(expression.into());
        self
    }

    /// The plugin judges itself what was observed: see [`Evaluate`](crate::Evaluate).
    pub fn evaluated(mut self) -> Self {
        self.expect = Expectation::Evaluate;
        self
    }

    /// The host asks again until it holds or this time is over. 120 seconds if not said.
    pub fn timeout_seconds(mut self, seconds: u32) -> Self {
        self.timeout_seconds = seconds;
        self
    }

    /// Its failure is reported and stops nothing.
    pub fn warning(mut self) -> Self {
        self.severity = Severity::Warning;
        self
    }

    /// What a person can do when it fails.
    pub fn remedy(mut self, remedy: impl Into<String>) -> Self {
        self.remedy = Some(remedy.into());
        self
    }
}

impl HttpProbe {
    /// Asks a Service through the API server's proxy. `path` begins with `/` and may have a query.
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

    /// Asks a URL. Needs [`Permission::Connect`](crate::Permission) for its origin.
    pub fn url(method: HttpMethod, url: impl Into<String>) -> Self {
        Self::new(method, HttpTarget::Url(url.into()))
    }

    fn new(method: HttpMethod, target: HttpTarget) -> Self {
        Self { target, method, headers: Vec::new(), credentials: None, body: None, follow_redirects: false }
    }

    /// A header to send. No secret, because a plan is shown and recorded: see [`credentials`](Self::credentials).
    pub fn header(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    /// A header with the Base64 of USERNAME:PASSWORD (RFC 7617). The password is a key of a Secret that this plan composes,
    /// and goes to a Service that this plan makes. The host reads it when it asks, and shows nothing of the answer but its
    /// status.
    pub fn credentials(
        mut self,
        header: impl Into<String>,
        username: impl Into<String>,
        password: SecretKey,
    ) -> Self {
        self.credentials = Some(Credentials { header: header.into(), username: username.into(), password });
        self
    }

    /// A JSON body to send.
    pub fn json(mut self, body: &serde_json::Value) -> Self {
        self.body = Some(body.to_string());
        self.header("content-type", "application/json")
    }

    /// Redirects are followed instead of being the answer.
    pub fn follow_redirects(mut self) -> Self {
        self.follow_redirects = true;
        self
    }
}
