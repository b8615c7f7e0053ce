//! Checks that ask a URL: one exchange, no change but what the plan's probe itself sends.

use crate::Error;
use crate::http::client::{Ask, Http, Reply, origin_of, parse};
use reqwest::Url;
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, COOKIE, HeaderMap, HeaderName, HeaderValue, LOCATION};
use thinkube_plan::{HttpMethod, HttpProbe, HttpTarget, Observation};

/// Redirects that are followed at most. A sign-on has three.
const MOST_REDIRECTS: usize = 5;

/// Whether [`probe`] could ask this at all: to be known before anything is changed for whose sake it would be
/// asked.
///
/// # Errors
/// [`Error::Invalid`] or [`Error::NotGranted`].
pub fn validate_probe(http: &Http, probe: &HttpProbe) -> Result<(), Error> {
    let (what, url) = target(probe)?;
    headers(&what, probe)?;
    http.granted(&what, &url)
}

/// Asks once. Who does not answer is an observation that does not hold; a redirect that is not followed is one, with
/// its `location` among the headers. No cookies are kept between redirects.
///
/// # Errors
/// [`Error::Invalid`]; [`Error::NotGranted`], also for an origin that a redirect leads to.
pub async fn probe(http: &Http, probe: &HttpProbe) -> Result<Observation, Error> {
    let (what, url) = target(probe)?;
    let mut headers = headers(&what, probe)?;
    let (mut method, mut body) = (probe.method, probe.body.clone().map(String::into_bytes));
    let mut url = url;
    let exchanges = async {
        for _ in 0..=MOST_REDIRECTS {
            let ask =
                Ask { what: &what, method, url: url.clone(), headers: headers.clone(), body: body.clone() };
            let reply = match http.exchange(ask).await {
                Ok(reply) => reply,
                Err(error @ (Error::NotGranted { .. } | Error::Invalid { .. })) => return Err(error),
                Err(error) => return Ok(Observation::of_no_response(error.to_string())),
            };
            let Some(next) = next(probe, &url, &reply) else { return Ok(observation(&reply)) };
            let next = parse(&what, next.as_str())?;
            // As browsers do: 303 asks anew, and so do 301 and 302 after a POST.
            let anew = reply.status == 303 && method != HttpMethod::Head
                || matches!(reply.status, 301 | 302) && method == HttpMethod::Post;
            if anew {
                (method, body) = (HttpMethod::Get, None);
                headers.remove(CONTENT_TYPE);
            }
            if origin_of(&next) != origin_of(&url) {
                headers.remove(AUTHORIZATION);
                headers.remove(COOKIE);
            }
            url = next;
        }
        Ok(Observation::of_no_response(format!("{what}: more than {MOST_REDIRECTS} redirects")))
    };
    let after = http.deadline();
    match tokio::time::timeout(after, exchanges).await {
        Ok(observed) => observed,
        Err(_) => Ok(Observation::of_no_response(Error::TimedOut { what: what.clone(), after }.to_string())),
    }
}

/// The exchange in words, and its URL.
fn target(probe: &HttpProbe) -> Result<(String, Url), Error> {
    match &probe.target {
        HttpTarget::Url(url) => {
            let method = probe.method.as_str();
            // Not shown before it is known to hold no password.
            let parsed = parse(method, url)?;
            Ok((format!("{method} {url}"), parsed))
        }
        HttpTarget::Service(service) => Err(Error::Invalid {
            what: format!("check of Service {}/{}", service.namespace, service.name),
            message: "a Service is asked through the API server, not from here".to_owned(),
        }),
    }
}

/// What belongs to the connection, which is not the probe's.
fn may_be_sent(name: &HeaderName) -> bool {
    let own = ["host", "connection", "upgrade", "transfer-encoding", "content-length", "te", "trailer"];
    !own.contains(&name.as_str()) && !name.as_str().starts_with("proxy-")
}

fn headers(what: &str, probe: &HttpProbe) -> Result<HeaderMap, Error> {
    if probe.credentials.is_some() {
        let message = "a key of a Secret goes to a Service of the release, and never to a URL".to_owned();
        return Err(Error::Invalid { what: what.to_owned(), message });
    }
    let mut headers = HeaderMap::new();
    for (name, value) in &probe.headers {
        // The value is not shown: it may be a credential of what is asked.
        let invalid = |message: &str| Error::Invalid {
            what: what.to_owned(),
            message: format!("the header `{name}` {message}"),
        };
        let (Ok(key), Ok(value)) = (name.parse::<HeaderName>(), value.parse::<HeaderValue>()) else {
            return Err(invalid("or its value is no HTTP header"));
        };
        if !may_be_sent(&key) {
            return Err(invalid("belongs to the connection and cannot be set"));
        }
        headers.append(key, value);
    }
    Ok(headers)
}

/// Where an answer sends whoever asks, if the probe is to follow.
fn next(probe: &HttpProbe, url: &Url, reply: &Reply) -> Option<Url> {
    let follows = probe.follow_redirects && matches!(reply.status, 301 | 302 | 303 | 307 | 308);
    let location = reply.headers.get(LOCATION).filter(|_| follows)?;
    url.join(location.to_str().ok()?).ok()
}

fn observation(reply: &Reply) -> Observation {
    let reason = reqwest::StatusCode::from_u16(reply.status).ok();
    let reason = reason.and_then(|status| status.canonical_reason()).unwrap_or_default();
    let headers = reply.headers.iter().map(|(name, value)| (name.as_str(), value.as_bytes()));
    let text = String::from_utf8_lossy(&reply.body);
    // A page for people is no message.
    let message = if text.trim_start().starts_with('<') { "" } else { &text };
    Observation::of_response(reply.status, reason, headers, &reply.body, message)
}
