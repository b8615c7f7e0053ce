//! How this host shows an HTTP API who it is.

use crate::Error;
use crate::http::client::{Ask, Http, origin_of, parse};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use reqwest::header::{ACCEPT, CONTENT_TYPE, HeaderMap, HeaderValue};
use serde_json::Value;
use std::collections::HashMap;
use std::time::Duration;
use thinkube_plan::{Auth, ExternalStep, HttpMethod, SecretInputs, SecretText};
use tokio::sync::Mutex;
use tokio::time::Instant;

/// What RFC 3986 calls unreserved stays as it is: in paths, in queries and in forms.
pub(crate) const RESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// A token is not used in the last seconds of its life: it has to live until the server has read the request.
const MARGIN: Duration = Duration::from_secs(5);

/// The tokens of this run, by token URL, client, user and secret input. They are in memory only.
#[derive(Default)]
pub(crate) struct Tokens(Mutex<HashMap<[String; 4], Token>>);

#[derive(Clone)]
struct Token {
    text: SecretText,
    /// None: the server did not say.
    until: Option<Instant>,
}

/// What goes with a request.
pub(crate) struct Credential {
    /// The `Authorization` header.
    pub(crate) header: Option<HeaderValue>,
    /// What must never be repeated of an answer.
    pub(crate) secrets: Vec<SecretText>,
    /// Whether it was used before, so that it may have become void.
    pub(crate) used: bool,
}

impl Http {
    /// The credential of `step`. `renew`: the one that there was is void.
    pub(crate) async fn credential(
        &self,
        step: &ExternalStep,
        what: &str,
        inputs: &SecretInputs,
        renew: bool,
    ) -> Result<Credential, Error> {
        let password = |input: &String| {
            inputs.get(input).ok_or_else(|| Error::NoInput { what: what.to_owned(), input: input.clone() })
        };
        match &step.auth {
            Auth::Anonymous => Ok(Credential { header: None, secrets: Vec::new(), used: false }),
            Auth::Basic { username, password_input } => {
                let password = password(password_input)?;
                let encoded = STANDARD.encode(format!("{username}:{}", password.expose()));
                let secrets = vec![password.clone(), SecretText::new(encoded.clone())];
                Ok(Credential { header: header("Basic", &encoded), secrets, used: false })
            }
            Auth::PasswordGrant { token_url, client_id, username, password_input } => {
                let password = password(password_input)?;
                let key = [token_url, client_id, username, password_input].map(Clone::clone);
                // Held while a token is asked for: steps that run together share one.
                let mut tokens = self.tokens().0.lock().await;
                let known = tokens.get(&key).filter(|token| {
                    !renew && token.until.is_none_or(|until| Instant::now() + MARGIN < until)
                });
                let used = known.is_some();
                let token = match known.cloned() {
                    Some(token) => token,
                    None => {
                        tokens.remove(&key);
                        let token = self.grant(&step.auth, what, password).await?;
                        tokens.insert(key, token.clone());
                        token
                    }
                };
                let header = header("Bearer", token.text.expose());
                Ok(Credential { header, secrets: vec![password.clone(), token.text], used })
            }
        }
    }

    /// Asks for a token. Nothing of the answer but the token, its life and the error codes of RFC 6749 is looked at.
    async fn grant(&self, auth: &Auth, what: &str, password: &SecretText) -> Result<Token, Error> {
        let Auth::PasswordGrant { token_url, client_id, username, password_input } = auth else {
            return Err(Error::Unauthorized { what: what.to_owned() });
        };
        let what = format!("{what}: POST {token_url}");
        let url = parse(&what, token_url)?;
        let origin = origin_of(&url);
        let encoded = |text: &str| utf8_percent_encode(text, RESERVED).to_string();
        let form = format!(
            "grant_type=password&client_id={}&username={}&password={}",
            encoded(client_id),
            encoded(username),
            encoded(password.expose())
        );
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/x-www-form-urlencoded"));
        headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
        let ask = Ask { what: &what, method: HttpMethod::Post, url, headers, body: Some(form.into_bytes()) };
        let reply = self.exchange(ask).await?;
        let body: Option<Value> = serde_json::from_slice(&reply.body).ok();
        let code = body.as_ref().and_then(|body| body["error"].as_str());
        let no_token = |reason: &'static str| Error::NoToken {
            what: what.clone(),
            origin: origin.clone(),
            client_id: client_id.clone(),
            reason,
        };
        match (reply.status, code) {
            (200..=299, _) => {}
            (400 | 401, Some("invalid_client")) => {
                return Err(no_token(
                    "it does not know this client, or the client needs a secret of its own",
                ));
            }
            (400 | 401, Some("unauthorized_client")) => {
                return Err(no_token("this client may not sign on with a password"));
            }
            (400 | 401, Some("unsupported_grant_type")) => {
                return Err(no_token("it does not sign anybody on with a password"));
            }
            (400 | 401, Some("invalid_request" | "invalid_scope")) => {
                return Err(no_token("it does not understand the request"));
            }
            (401, _) | (400, Some("invalid_grant")) => {
                let (username, input) = (username.clone(), password_input.clone());
                return Err(Error::WrongPassword { what, origin, username, input });
            }
            _ => return Err(refusal(&what, &reply, username, None)),
        }
        let Some(body) = body else { return Err(Error::NotJson { what }) };
        let text = body["access_token"].as_str().filter(|text| header("Bearer", text).is_some());
        let Some(text) = text else { return Err(no_token("its answer has none")) };
        if !body["token_type"].as_str().is_none_or(|kind| kind.eq_ignore_ascii_case("bearer")) {
            return Err(no_token("it is of a kind that this host cannot use"));
        }
        // A life that no clock can hold is for ever.
        let until = body["expires_in"]
            .as_u64()
            .and_then(|life| Instant::now().checked_add(Duration::from_secs(life)));
        Ok(Token { text: SecretText::new(text.to_owned()), until })
    }
}

fn header(scheme: &str, credential: &str) -> Option<HeaderValue> {
    let mut value = HeaderValue::try_from(format!("{scheme} {credential}")).ok()?;
    value.set_sensitive(true);
    Some(value)
}

/// What an answer that is no success means, wherever it came from. `said` is what may be repeated of it.
pub(crate) fn refusal(
    what: &str,
    reply: &crate::http::client::Reply,
    username: &str,
    said: Option<String>,
) -> Error {
    let what = what.to_owned();
    match reply.status {
        300..=399 => {
            let location = reply.headers.get(reqwest::header::LOCATION).and_then(|value| value.to_str().ok());
            let to = match location.map(reqwest::Url::parse) {
                Some(Ok(url)) => origin_of(&url),
                Some(Err(_)) => "another path".to_owned(),
                None => "nowhere".to_owned(),
            };
            Error::Redirected { what, status: reply.status, to }
        }
        401 => Error::Unauthorized { what },
        403 => Error::Forbidden { what, username: username.to_owned() },
        404 => Error::Missing { what },
        status => Error::Status { what, status, said },
    }
}
