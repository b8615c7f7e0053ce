//! Authentication to external HTTP APIs: Basic, and the OAuth 2.0 password grant (RFC 6749 section 4.3).
//!
//! The `oauth2` crate is not used: its errors hold the response, which may repeat the password. From the response of a token
//! server this reads only the token, its type, its lifetime and the error code.

use super::client::{Http, Request, Response, origin_of, parse_url};
use super::error::Error as HttpError;
use super::response::ResponseError;
use super::token_cache::Token;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use reqwest::header::{ACCEPT, CONTENT_TYPE, HeaderMap, HeaderValue};
use serde_json::Value;
use thinkube_plan::{Auth, Diagnostic, ErrorKind, Hint, HttpMethod, SecretInputs, SecretText, Untrusted};

/// Every character but the unreserved ones of RFC 3986.
pub(crate) const RESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// Why there are no credentials for a request.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AuthError {
    /// A secret input has no value.
    #[error("{}: the secret input `{}` has no value", Untrusted(.what), Untrusted(.input))]
    MissingInput {
        /// The step.
        what: String,
        /// The input's name.
        input: String,
    },
    /// The server rejects the password.
    #[error(
        "{}: {} does not accept the password of {} (secret input `{}`)",
        Untrusted(.what), Untrusted(.origin), Untrusted(.username), Untrusted(.input)
    )]
    WrongPassword {
        /// The step.
        what: String,
        /// The origin that the password was sent to.
        origin: String,
        /// The user.
        username: String,
        /// The secret input with the password.
        input: String,
    },
    /// The token server gives no usable token, for another reason than the password.
    #[error("{}: {} gives the client {} no token: {reason}", Untrusted(.what), Untrusted(.origin), Untrusted(.client_id))]
    NoToken {
        /// The step.
        what: String,
        /// The token server.
        origin: String,
        /// The OAuth client.
        client_id: String,
        /// Why.
        reason: &'static str,
    },
    /// The token server's response is not a success.
    #[error(transparent)]
    Response(#[from] ResponseError),
    /// There is no response.
    #[error(transparent)]
    Http(#[from] HttpError),
}

impl Diagnostic for AuthError {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::MissingInput { .. } => ErrorKind::SecretMissing,
            Self::WrongPassword { .. } => ErrorKind::WrongPassword,
            Self::NoToken { .. } => ErrorKind::NoToken,
            Self::Response(error) => error.kind(),
            Self::Http(error) => error.kind(),
        }
    }

    fn hint(&self) -> Option<Hint> {
        match self {
            Self::MissingInput { .. } => {
                Some(Hint::Advice("set the environment variable of the secret input".to_owned()))
            }
            Self::WrongPassword { .. } => {
                Some(Hint::Advice("check the value of the secret input".to_owned()))
            }
            Self::NoToken { .. } => None,
            Self::Response(error) => error.hint(),
            Self::Http(error) => error.hint(),
        }
    }
}

/// The credentials of a request.
pub(crate) struct Credentials {
    /// The `Authorization` header.
    pub(crate) header: Option<HeaderValue>,
    /// Texts that no message may repeat.
    pub(crate) secrets: Vec<SecretText>,
    /// Whether they were used before, so that a token may have expired.
    pub(crate) reused: bool,
}

/// The credentials for a request of a step. `renew`: the server rejected the cached token.
pub(crate) async fn credentials(
    http: &Http,
    auth: &Auth,
    what: &str,
    inputs: &SecretInputs,
    renew: bool,
) -> Result<Credentials, AuthError> {
    let password = |input: &String| {
        inputs
            .get(input)
            .ok_or_else(|| AuthError::MissingInput { what: what.to_owned(), input: input.clone() })
    };
    match auth {
        Auth::Anonymous => Ok(Credentials { header: None, secrets: Vec::new(), reused: false }),
        Auth::Basic { username, password_input } => {
            let password = password(password_input)?;
            let encoded = STANDARD.encode(format!("{username}:{}", password.expose()));
            let secrets = vec![password.clone(), SecretText::new(encoded.clone())];
            Ok(Credentials { header: authorization("Basic", &encoded), secrets, reused: false })
        }
        Auth::PasswordGrant { token_url, client_id, username, password_input } => {
            let password = password(password_input)?;
            let key = [token_url, client_id, username, password_input].map(Clone::clone);
            let mut tokens = http.tokens().0.lock().await;
            let cached = tokens.get(&key).filter(|token| !renew && token.is_fresh()).cloned();
            let reused = cached.is_some();
            let token = match cached {
                Some(token) => token,
                None => {
                    tokens.remove(&key);
                    let grant = PasswordGrant { token_url, client_id, username, password_input, password };
                    let token = grant.request_token(http, what).await?;
                    tokens.insert(key, token.clone());
                    token
                }
            };
            let header = authorization("Bearer", token.text().expose());
            Ok(Credentials { header, secrets: vec![password.clone(), token.text().clone()], reused })
        }
    }
}

/// [`Auth::PasswordGrant`] with its password.
struct PasswordGrant<'a> {
    token_url: &'a str,
    client_id: &'a str,
    username: &'a str,
    password_input: &'a str,
    password: &'a SecretText,
}

impl PasswordGrant<'_> {
    async fn request_token(&self, http: &Http, what: &str) -> Result<Token, AuthError> {
        let what = format!("{what}: POST {}", self.token_url);
        let url = parse_url(&what, self.token_url)?;
        let origin = origin_of(&url);
        let encoded = |text: &str| utf8_percent_encode(text, RESERVED).to_string();
        let form = format!(
            "grant_type=password&client_id={}&username={}&password={}",
            encoded(self.client_id),
            encoded(self.username),
            encoded(self.password.expose())
        );
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/x-www-form-urlencoded"));
        headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
        let (method, body) = (HttpMethod::Post, Some(form.into_bytes()));
        let response = http.exchange(Request { what: &what, method, url, headers, body }).await?;
        let body: Option<Value> = serde_json::from_slice(&response.body).ok();
        if !(200..300).contains(&response.status) {
            let code = body.as_ref().and_then(|body| body["error"].as_str());
            return Err(self.refusal(what, origin, &response, code));
        }
        let Some(body) = body else { return Err(ResponseError::NotJson { what }.into()) };
        let no_token = |reason| self.no_token(what.clone(), origin.clone(), reason);
        let text = body["access_token"].as_str().filter(|text| authorization("Bearer", text).is_some());
        let Some(text) = text else { return Err(no_token("its response has no access token")) };
        if !body["token_type"].as_str().is_none_or(|kind| kind.eq_ignore_ascii_case("bearer")) {
            return Err(no_token("the token is not a bearer token"));
        }
        Ok(Token::new(SecretText::new(text.to_owned()), body["expires_in"].as_u64()))
    }

    /// `code` is an error code of RFC 6749 section 5.2.
    fn refusal(&self, what: String, origin: String, response: &Response, code: Option<&str>) -> AuthError {
        let reason = match (response.status, code) {
            (400 | 401, Some("invalid_client")) => {
                "it does not know this client, or the client needs a secret"
            }
            (400 | 401, Some("unauthorized_client")) => "this client may not use the password grant",
            (400 | 401, Some("unsupported_grant_type")) => "it does not support the password grant",
            (400 | 401, Some("invalid_request" | "invalid_scope")) => "it does not understand the request",
            (401, _) | (400, Some("invalid_grant")) => {
                let (username, input) = (self.username.to_owned(), self.password_input.to_owned());
                return AuthError::WrongPassword { what, origin, username, input };
            }
            _ => return ResponseError::of(&what, response, self.username, None).into(),
        };
        self.no_token(what, origin, reason)
    }

    fn no_token(&self, what: String, origin: String, reason: &'static str) -> AuthError {
        AuthError::NoToken { what, origin, client_id: self.client_id.to_owned(), reason }
    }
}

fn authorization(scheme: &str, credentials: &str) -> Option<HeaderValue> {
    let mut value = HeaderValue::try_from(format!("{scheme} {credentials}")).ok()?;
    value.set_sensitive(true);
    Some(value)
}
