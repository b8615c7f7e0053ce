//! Resources behind HTTP APIs, treated like objects of a cluster: observed, compared, created, updated, deleted.
//!
//! The rules of what may be written and who owns it are not here: the engine decides before it calls
//! [`ExternalResource::ensure`] or [`ExternalResource::remove`].

mod diff;
pub(crate) mod error;
mod request;
#[cfg(test)]
mod tests;

use crate::http::auth::{AuthError, Credentials, credentials};
use crate::http::client::{Http, Request, Response, origin_of, parse_url};
use crate::http::response::ResponseError;
use diff::differences;
use error::Error;
use request::{RequestValues, text_of};
use reqwest::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderValue};
use serde_json::Value;
use std::fmt;
use thinkube_plan::{
    Auth, ExternalOutput, ExternalStep, FieldChange, HttpRequest, Observation, OnUninstall, Output, Outputs,
    SecretText, Values,
};
use thinkube_validate::Selector;

/// Characters of a server's message that are shown.
const MAX_MESSAGE_CHARS: usize = 200;

/// The present state of an external resource.
pub struct ObservedExternal {
    /// How the resource compares with the plan.
    pub state: ExternalState,
    /// The outputs that are not secret; none of an absent resource.
    pub outputs: Outputs,
    found: Option<Value>,
}

/// How an external resource compares with the plan.
#[derive(Debug, Clone, PartialEq)]
pub enum ExternalState {
    /// It does not exist.
    Absent,
    /// Every field of the plan has the desired value.
    InSync,
    /// These fields differ.
    Differs(Vec<FieldChange>),
}

/// The result of [`ExternalResource::ensure`].
pub struct ExternalOutcome {
    /// What was done.
    pub action: ExternalAction,
    /// Every output of the step.
    pub outputs: Outputs,
}

/// What [`ExternalResource::ensure`] did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExternalAction {
    /// Created an absent resource.
    Created,
    /// Updated a resource that differed.
    Updated,
    /// Nothing.
    Unchanged,
}

/// What [`ExternalResource::remove`] did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExternalRemoval {
    /// Deleted the resource.
    Deleted,
    /// Nothing: the resource does not exist.
    NotFound,
    /// Nothing: the plan retains the resource.
    Retained,
}

impl fmt::Debug for ObservedExternal {
    /// Without the resource: a server shows more fields than the plan has, and some may be secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ObservedExternal").field("state", &self.state).finish_non_exhaustive()
    }
}

impl fmt::Debug for ExternalOutcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ExternalOutcome").field("action", &self.action).finish_non_exhaustive()
    }
}

/// The resource of a step, with the values that its requests hold.
pub struct ExternalResource<'a> {
    http: &'a Http,
    step: &'a ExternalStep,
    values: &'a Values,
    title: String,
}

/// A response, with what an error about it needs.
struct Exchange {
    what: String,
    response: Response,
    credentials: Credentials,
}

impl<'a> ExternalResource<'a> {
    /// The resource of `step`. `values` has the secret inputs, and the outputs of earlier steps.
    pub fn new(http: &'a Http, step: &'a ExternalStep, values: &'a Values) -> Self {
        Self { http, step, values, title: title(step) }
    }

    /// Whether the step can be carried out at all: to be called before the first change.
    ///
    /// # Errors
    /// [`Error::Invalid`], or that an origin is not granted.
    pub fn validate(http: &Http, step: &ExternalStep) -> Result<(), Error> {
        let what = title(step);
        if let Some(message) = step.faults().into_iter().next() {
            return Err(Error::Invalid { what, message });
        }
        http.require_granted(&what, &parse_url(&what, &step.base_url)?)?;
        if let Auth::PasswordGrant { token_url, .. } = &step.auth {
            http.require_granted(&what, &parse_url(&what, token_url)?)?;
        }
        Ok(())
    }

    /// Reads the resource and changes nothing. Requests no secret output.
    ///
    /// # Errors
    /// Why the resource cannot be read. [`Error::MissingOutput`] if its request needs an output that an earlier step has not
    /// yielded, perhaps because the resource of that step does not exist yet.
    pub async fn observe(&self) -> Result<ObservedExternal, Error> {
        Self::validate(self.http, self.step)?;
        let mut observed = self.read().await?;
        if let Some(found) = &observed.found {
            observed.outputs = self.outputs(found, |output| !output.secret).await?;
        }
        Ok(observed)
    }

    /// Creates or updates the resource, and reads it again until it is as desired. `observed` is the result of
    /// [`observe`](Self::observe).
    ///
    /// # Errors
    /// Why the resource is not as desired. Most errors come before the first change; [`Error::NotKept`],
    /// [`Error::NotShown`] and a timeout may follow a change.
    pub async fn ensure(&self, observed: ObservedExternal) -> Result<ExternalOutcome, Error> {
        Self::validate(self.http, self.step)?;
        let (action, found) = self.converge(observed).await?;
        let outputs = self.outputs(&found, |_| true).await?;
        Ok(ExternalOutcome { action, outputs })
    }

    /// Deletes the resource unless the plan retains it, and checks that it is deleted.
    ///
    /// # Errors
    /// Why the resource is not deleted; [`Error::MissingOutput`] as for [`observe`](Self::observe).
    pub async fn remove(&self) -> Result<ExternalRemoval, Error> {
        let deletes = self.step.on_uninstall == OnUninstall::Delete;
        let Some(delete) = self.step.delete.as_ref().filter(|_| deletes) else {
            return Ok(ExternalRemoval::Retained);
        };
        Self::validate(self.http, self.step)?;
        let Some(found) = self.find().await? else { return Ok(ExternalRemoval::NotFound) };
        let exchange = self.send(delete, Some(&found), None).await?;
        let not_found = exchange.response.status == 404;
        if !not_found {
            self.require_success(&exchange)?;
        }
        match self.find().await? {
            Some(_) => Err(Error::NotDeleted { what: self.title.clone() }),
            None if not_found => Ok(ExternalRemoval::NotFound),
            None => Ok(ExternalRemoval::Deleted),
        }
    }

    /// The resource, without outputs.
    async fn read(&self) -> Result<ObservedExternal, Error> {
        let found = self.find().await?;
        let state = match &found {
            None => ExternalState::Absent,
            Some(found) => match differences(&self.step.desired, found) {
                changes if changes.is_empty() => ExternalState::InSync,
                changes => ExternalState::Differs(changes),
            },
        };
        Ok(ObservedExternal { state, outputs: Outputs::default(), found })
    }

    /// Creates at most once and updates at most once, so that a server that shows neither is not written to for ever.
    async fn converge(&self, mut observed: ObservedExternal) -> Result<(ExternalAction, Value), Error> {
        let mut action = ExternalAction::Unchanged;
        let (mut may_create, mut may_update) = (true, true);
        loop {
            match (observed.state, observed.found) {
                (ExternalState::InSync, Some(found)) => return Ok((action, found)),
                (ExternalState::Differs(changes), Some(found)) => {
                    let fields = changes.into_iter().map(|change| change.path).collect();
                    let what = self.title.clone();
                    let update = match &self.step.update {
                        Some(update) if may_update => update,
                        None if action == ExternalAction::Unchanged => {
                            return Err(Error::NoUpdate { what, fields });
                        }
                        _ => return Err(Error::NotKept { what, fields }),
                    };
                    may_update = false;
                    let exchange = self.send(update, Some(&found), Some(&self.step.desired)).await?;
                    self.require_success(&exchange)?;
                    if action == ExternalAction::Unchanged {
                        action = ExternalAction::Updated;
                    }
                }
                _ if !may_create => return Err(Error::NotShown { what: self.title.clone() }),
                _ => {
                    may_create = false;
                    let exchange = self.send(&self.step.create, None, Some(&self.step.desired)).await?;
                    // 409: another client created the resource first. It is compared like any existing resource.
                    if exchange.response.status != 409 {
                        self.require_success(&exchange)?;
                        action = ExternalAction::Created;
                    }
                }
            }
            observed = self.read().await?;
        }
    }

    async fn find(&self) -> Result<Option<Value>, Error> {
        let exchange = self.send(&self.step.find, None, None).await?;
        let selector = self.selector(&exchange.what, &self.step.select)?;
        if exchange.response.status == 404 {
            let judges_status = selector.names("status");
            if !judges_status && !self.step.find.path.contains('?') {
                return Ok(None);
            }
            if !judges_status {
                return Err(ResponseError::NotFound { what: exchange.what }.into());
            }
        } else {
            self.require_success(&exchange)?;
        }
        let found = self.select(&exchange, &selector, &self.step.select)?;
        Ok((!found.is_null()).then_some(found))
    }

    /// The `wanted` outputs of an existing resource.
    async fn outputs(
        &self,
        found: &Value,
        wanted: impl Fn(&ExternalOutput) -> bool,
    ) -> Result<Outputs, Error> {
        let mut outputs = Outputs::default();
        for output in self.step.outputs.iter().filter(|output| wanted(output)) {
            let (what, value) = match &output.request {
                None => {
                    let what = format!("{}: output {}", self.title, output.name);
                    let variables = [("json".to_owned(), found.clone())].into_iter().collect();
                    let selector = self.selector(&what, &output.select)?;
                    let value = selector.apply(&variables);
                    (what.clone(), value.map_err(|error| select_error(what, &output.select, &error))?)
                }
                Some(request) => {
                    let exchange = self.send(request, Some(found), None).await?;
                    self.require_success(&exchange)?;
                    let selector = self.selector(&exchange.what, &output.select)?;
                    let value = self.select(&exchange, &selector, &output.select)?;
                    (exchange.what, value)
                }
            };
            let Some(text) = text_of(&value) else {
                let message = "the result is not a string, number or bool".to_owned();
                return Err(Error::Select { what, expression: output.select.clone(), message });
            };
            let value =
                if output.secret { Output::Secret(SecretText::new(text)) } else { Output::Open(text) };
            outputs.insert(&self.step.name, &output.name, value);
        }
        Ok(outputs)
    }

    fn selector(&self, what: &str, source: &str) -> Result<Selector, Error> {
        Selector::new(source).map_err(|error| select_error(what.to_owned(), source, &error))
    }

    fn select(&self, exchange: &Exchange, selector: &Selector, source: &str) -> Result<Value, Error> {
        let Exchange { what, response, .. } = exchange;
        let headers = response.headers.iter().map(|(name, value)| (name.as_str(), value.as_bytes()));
        let observed = Observation::of_response(response.status, "", headers, &response.body, "");
        // A proxy, say, responds with an HTML page. An empty body is null.
        let text = str::from_utf8(&response.body).unwrap_or("?").trim();
        let is_page = observed.variables["json"].is_null() && !["", "null"].contains(&text);
        if is_page && selector.names("json") {
            return Err(ResponseError::NotJson { what: what.clone() }.into());
        }
        selector.apply(&observed.variables).map_err(|error| select_error(what.clone(), source, &error))
    }

    /// Sends a request of the step. Renews a token once if the server rejects it.
    async fn send(
        &self,
        request: &HttpRequest,
        found: Option<&Value>,
        default_body: Option<&Value>,
    ) -> Result<Exchange, Error> {
        let base_url = &self.step.base_url;
        let what = format!(
            "{}: {} {}{}",
            self.title,
            request.method.as_str(),
            base_url.trim_end_matches('/'),
            request.path
        );
        let values = RequestValues { what: &what, base_url, outputs: &self.values.outputs, found };
        let url = values.url(request)?;
        let body = match &request.body {
            Some(body) => Some(values.body(body)?),
            None => default_body.cloned(),
        };
        let body = body.map(|body| body.to_string().into_bytes());
        let mut renew = false;
        loop {
            let inputs = &self.values.inputs;
            let credentials = credentials(self.http, &self.step.auth, &self.title, inputs, renew).await?;
            let mut headers = HeaderMap::new();
            headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
            if body.is_some() {
                headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
            }
            if let Some(header) = &credentials.header {
                headers.insert(AUTHORIZATION, header.clone());
            }
            let (method, url, body) = (request.method, url.clone(), body.clone());
            let response = self.http.exchange(Request { what: &what, method, url, headers, body }).await?;
            // After a 401 nothing has changed, so the request may be sent again.
            if response.status != 401 || !credentials.reused {
                return Ok(Exchange { what, response, credentials });
            }
            renew = true;
        }
    }

    /// # Errors
    /// What a response means that is not a success.
    fn require_success(&self, exchange: &Exchange) -> Result<(), Error> {
        let Exchange { what, response, credentials } = exchange;
        if (200..300).contains(&response.status) {
            return Ok(());
        }
        let username = match &self.step.auth {
            Auth::Anonymous => "an anonymous user",
            Auth::Basic { username, .. } | Auth::PasswordGrant { username, .. } => username,
        };
        if let (401, Auth::Basic { password_input, .. }) = (response.status, &self.step.auth) {
            let error = AuthError::WrongPassword {
                what: what.clone(),
                origin: origin_of(&parse_url(what, &self.step.base_url)?),
                username: username.to_owned(),
                input: password_input.clone(),
            };
            return Err(error.into());
        }
        let inputs = &self.values.inputs;
        let secrets = inputs.names().filter_map(|name| inputs.get(name)).chain(&credentials.secrets);
        Err(ResponseError::of(what, response, username, message_of(&response.body, secrets)).into())
    }
}

fn title(step: &ExternalStep) -> String {
    format!("external resource {}", step.name)
}

fn select_error(what: String, expression: &str, error: &thinkube_validate::Error) -> Error {
    Error::Select { what, expression: expression.to_owned(), message: error.to_string() }
}

/// The server's message, from the fields that APIs use for one. None if it holds a secret.
fn message_of<'a>(body: &[u8], mut secrets: impl Iterator<Item = &'a SecretText>) -> Option<String> {
    let body: Value = serde_json::from_slice(body).ok()?;
    let text = ["errorMessage", "error"].into_iter().find_map(|field| body.get(field)?.as_str())?;
    let repeats = |secret: &SecretText| !secret.expose().is_empty() && text.contains(secret.expose());
    if secrets.any(repeats) {
        return None;
    }
    let words = text.split(|each: char| each.is_control() || each.is_whitespace());
    let line = words.filter(|word| !word.is_empty()).collect::<Vec<_>>().join(" ");
    Some(line.chars().take(MAX_MESSAGE_CHARS).collect())
}
