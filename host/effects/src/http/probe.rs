//! Checks of a plan that request a URL. They change nothing but what the plan's own request changes.

use super::client::{Http, Request, Response, origin_of, parse_url};
use super::error::Error;
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, COOKIE, HeaderMap, HeaderName, HeaderValue, LOCATION};
use reqwest::{StatusCode, Url};
use thinkube_plan::{HttpMethod, HttpProbe, HttpTarget, Observation};

/// Redirects that a probe follows. A sign-on has three.
const MAX_REDIRECTS: usize = 5;

/// Whether [`probe`] can carry out a probe: to be called before the first change.
///
/// # Errors
/// [`Error::InvalidRequest`] or [`Error::NotGranted`].
pub fn validate_probe(http: &Http, probe: &HttpProbe) -> Result<(), Error> {
    let (what, url) = target(probe)?;
    headers(&what, probe)?;
    http.require_granted(&what, &url)
}

/// Sends the request of a probe once. A server that does not respond gives an observation with the reason. A redirect that is
/// not followed is an observation with its `location` header. Redirects carry no cookies.
///
/// # Errors
/// [`Error::InvalidRequest`]; [`Error::NotGranted`], also for an origin that a redirect leads to.
pub async fn probe(http: &Http, probe: &HttpProbe) -> Result<Observation, Error> {
    let (what, url) = target(probe)?;
    let headers = headers(&what, probe)?;
    let body = probe.body.clone().map(String::into_bytes);
    let request = Request { what: &what, method: probe.method, url, headers, body };
    let after = http.deadline();
    match tokio::time::timeout(after, follow(http, probe, request)).await {
        Ok(observed) => observed,
        Err(_) => Ok(Observation::of_no_response(Error::TimedOut { what: what.clone(), after }.to_string())),
    }
}

async fn follow(http: &Http, probe: &HttpProbe, request: Request<'_>) -> Result<Observation, Error> {
    let Request { what, mut method, mut url, mut headers, mut body } = request;
    for _ in 0..=MAX_REDIRECTS {
        let request =
            Request { what, method, url: url.clone(), headers: headers.clone(), body: body.clone() };
        let response = match http.exchange(request).await {
            Ok(response) => response,
            Err(error) if error.is_refused_here() => return Err(error),
            Err(error) => return Ok(Observation::of_no_response(error.to_string())),
        };
        let Some(next) = redirect_of(probe, &url, &response) else { return Ok(observation(&response)) };
        let next = parse_url(what, next.as_str())?;
        // As browsers do (Fetch standard): 303, and 301 and 302 after a POST, become a GET.
        let becomes_get = response.status == 303 && method != HttpMethod::Head
            || matches!(response.status, 301 | 302) && method == HttpMethod::Post;
        if becomes_get {
            (method, body) = (HttpMethod::Get, None);
            headers.remove(CONTENT_TYPE);
        }
        if origin_of(&next) != origin_of(&url) {
            headers.remove(AUTHORIZATION);
            headers.remove(COOKIE);
        }
        url = next;
    }
    Ok(Observation::of_no_response(format!("{what}: more than {MAX_REDIRECTS} redirects")))
}

/// The name of the exchange in messages, and its URL.
fn target(probe: &HttpProbe) -> Result<(String, Url), Error> {
    match &probe.target {
        HttpTarget::Url(url) => {
            let method = probe.method.as_str();
            // The URL is shown only once it is known to hold no password.
            let parsed = parse_url(method, url)?;
            Ok((format!("{method} {url}"), parsed))
        }
        HttpTarget::Service(service) => Err(Error::InvalidRequest {
            what: format!("check of Service {}/{}", service.namespace, service.name),
            message: "a Service is reachable only through the API server".to_owned(),
        }),
    }
}

/// Whether a probe may set a header: not one of the connection.
fn is_allowed(name: &HeaderName) -> bool {
    let of_connection =
        ["host", "connection", "upgrade", "transfer-encoding", "content-length", "te", "trailer"];
    !of_connection.contains(&name.as_str()) && !name.as_str().starts_with("proxy-")
}

fn headers(what: &str, probe: &HttpProbe) -> Result<HeaderMap, Error> {
    if probe.credentials.is_some() {
        let message =
            "a key of a Secret may be sent to a Service of the release, but not to a URL".to_owned();
        return Err(Error::InvalidRequest { what: what.to_owned(), message });
    }
    let mut headers = HeaderMap::new();
    for (name, value) in &probe.headers {
        // The value is not shown: it may be a credential.
        let invalid = |message: &str| Error::InvalidRequest {
            what: what.to_owned(),
            message: format!("the header `{name}` {message}"),
        };
        let (Ok(key), Ok(value)) = (name.parse::<HeaderName>(), value.parse::<HeaderValue>()) else {
            return Err(invalid("or its value is not valid in HTTP"));
        };
        if !is_allowed(&key) {
            return Err(invalid("belongs to the connection and cannot be set"));
        }
        headers.append(key, value);
    }
    Ok(headers)
}

/// The URL that a response redirects to, if the probe follows redirects.
fn redirect_of(probe: &HttpProbe, url: &Url, response: &Response) -> Option<Url> {
    let follows = probe.follow_redirects && matches!(response.status, 301 | 302 | 303 | 307 | 308);
    let location = response.headers.get(LOCATION).filter(|_| follows)?;
    url.join(location.to_str().ok()?).ok()
}

fn observation(response: &Response) -> Observation {
    let reason = StatusCode::from_u16(response.status).ok();
    let reason = reason.and_then(|status| status.canonical_reason()).unwrap_or_default();
    let headers = response.headers.iter().map(|(name, value)| (name.as_str(), value.as_bytes()));
    let text = String::from_utf8_lossy(&response.body);
    // An HTML page is not a message.
    let message = if text.trim_start().starts_with('<') { "" } else { &text };
    Observation::of_response(response.status, reason, headers, &response.body, message)
}
