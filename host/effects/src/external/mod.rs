//! Resources behind HTTP APIs, kept like objects: found, compared, created, updated, deleted.

pub(crate) mod diff;
#[cfg(test)]
mod tests;

use crate::Error;
use crate::http::auth::{Credential, RESERVED, refusal};
use crate::http::client::{Ask, Http, Reply, origin_of, parse};
use diff::differences;
use percent_encoding::utf8_percent_encode;
use reqwest::Url;
use reqwest::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderValue};
use serde_json::Value;
use std::fmt;
use thinkube_plan::{
    Auth, ExternalOutput, ExternalStep, FieldChange, HttpRequest, Observation, OnUninstall, Output, Outputs,
    RequestSegment, SecretText, Values, request_segments, url_path_fault,
};
use thinkube_validate::Selector;

/// Characters of what a server says about a refusal that are repeated at most.
const REPEATED: usize = 200;

/// What a look at an external resource showed.
pub struct ObservedExternal {
    /// How it is.
    pub state: ExternalState,
    /// The outputs that are no secrets. None of a resource that is absent.
    pub outputs: Outputs,
    found: Option<Value>,
}

/// How an external resource is.
#[derive(Debug, Clone, PartialEq)]
pub enum ExternalState {
    /// It is not there.
    Absent,
    /// It has every field as desired.
    InSync,
    /// It has not.
    Differs(Vec<FieldChange>),
}

/// What became of an external resource.
pub struct ExternalOutcome {
    /// What was done.
    pub action: ExternalAction,
    /// Everything that the step yields.
    pub outputs: Outputs,
}

/// What was done to an external resource.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExternalAction {
    /// It was not there.
    Created,
    /// It was there and differed.
    Updated,
    /// Nothing: it was as desired.
    Unchanged,
}

/// What became of an external resource that should go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExternalRemoval {
    /// It was there and is no more.
    Deleted,
    /// It was not there.
    NotFound,
    /// The plan says that it stays.
    Retained,
}

impl fmt::Debug for ObservedExternal {
    /// Without what was found: an API answers with more than anybody asked for.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ObservedExternal").field("state", &self.state).finish_non_exhaustive()
    }
}

impl fmt::Debug for ExternalOutcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ExternalOutcome").field("action", &self.action).finish_non_exhaustive()
    }
}

/// A resource of a plan, with what its requests may hold.
pub struct ExternalResource<'a> {
    http: &'a Http,
    step: &'a ExternalStep,
    values: &'a Values,
    title: String,
}

fn title(step: &ExternalStep) -> String {
    format!("external resource {}", step.name)
}

/// An answer, with what it takes to speak of it.
struct Answer {
    what: String,
    reply: Reply,
    credential: Credential,
}

impl<'a> ExternalResource<'a> {
    /// A resource of `step`. Its requests hold `values`: the secret inputs, and what earlier steps have yielded.
    pub fn new(http: &'a Http, step: &'a ExternalStep, values: &'a Values) -> Self {
        Self { http, step, values, title: title(step) }
    }

    /// Whether `step` can be carried out at all: to be called before the first change.
    ///
    /// # Errors
    /// [`Error::Invalid`] or [`Error::NotGranted`].
    pub fn validate(http: &Http, step: &ExternalStep) -> Result<(), Error> {
        let what = title(step);
        if let Some(message) = step.faults().into_iter().next() {
            return Err(Error::Invalid { what, message });
        }
        http.granted(&what, &parse(&what, &step.base_url)?)?;
        if let Auth::PasswordGrant { token_url, .. } = &step.auth {
            http.granted(&what, &parse(&what, token_url)?)?;
        }
        Ok(())
    }

    /// Reads the resource and changes nothing. Secret outputs are not requested.
    ///
    /// # Errors
    /// Why the resource cannot be read. [`Error::NoOutput`] if the request needs an output that an earlier step has not
    /// yielded, perhaps because that step's resource does not exist yet.
    pub async fn observe(&self) -> Result<ObservedExternal, Error> {
        Self::validate(self.http, self.step)?;
        let Some(found) = self.find().await? else {
            return Ok(ObservedExternal {
                state: ExternalState::Absent,
                outputs: Outputs::default(),
                found: None,
            });
        };
        let changes = differences(&self.step.desired, &found);
        let state = if changes.is_empty() { ExternalState::InSync } else { ExternalState::Differs(changes) };
        let outputs = self.outputs(&found, |output| !output.secret).await?;
        Ok(ObservedExternal { state, outputs, found: Some(found) })
    }

    /// Creates or updates the resource, and reads it again to see that it is as desired. `observed` is the result of
    /// [`observe`](Self::observe).
    ///
    /// # Errors
    /// Why the resource is not as desired. Most are found before the first change; [`Error::NotKept`],
    /// [`Error::NotFound`] and [`Error::TimedOut`] may follow a change.
    pub async fn ensure(&self, observed: ObservedExternal) -> Result<ExternalOutcome, Error> {
        Self::validate(self.http, self.step)?;
        let (action, found) = self.converge(observed).await?;
        let outputs = self.outputs(&found, |_| true).await?;
        Ok(ExternalOutcome { action, outputs })
    }

    /// Deletes the resource unless the plan retains it, and reads it again to see that it is deleted.
    ///
    /// # Errors
    /// Why the resource is not deleted; [`Error::NoOutput`] as for [`observe`](Self::observe).
    pub async fn remove(&self) -> Result<ExternalRemoval, Error> {
        let Some(delete) =
            self.step.delete.as_ref().filter(|_| self.step.on_uninstall == OnUninstall::Delete)
        else {
            return Ok(ExternalRemoval::Retained);
        };
        Self::validate(self.http, self.step)?;
        let Some(found) = self.find().await? else { return Ok(ExternalRemoval::NotFound) };
        let answer = self.send(delete, Some(&found), None).await?;
        let not_found = answer.reply.status == 404;
        if !not_found {
            self.accepted(&answer)?;
        }
        match self.find().await? {
            Some(_) => Err(Error::NotGone { what: self.title.clone() }),
            None if not_found => Ok(ExternalRemoval::NotFound),
            None => Ok(ExternalRemoval::Deleted),
        }
    }

    /// What was done, and the resource as it then is. At most one create and one update: a server that shows neither
    /// would be written to for ever.
    async fn converge(&self, mut seen: ObservedExternal) -> Result<(ExternalAction, Value), Error> {
        let mut done = ExternalAction::Unchanged;
        let (mut may_create, mut may_update) = (true, true);
        loop {
            let changes = match (seen.state, seen.found) {
                (ExternalState::InSync, Some(found)) => return Ok((done, found)),
                (ExternalState::Differs(changes), Some(found)) => Some((changes, found)),
                _ => None,
            };
            match changes {
                None if !may_create => return Err(Error::NotFound { what: self.title.clone() }),
                None => {
                    may_create = false;
                    let answer = self.send(&self.step.create, None, Some(&self.step.desired)).await?;
                    // 409: somebody was faster. What is there now is judged like anything that is there.
                    if answer.reply.status != 409 {
                        self.accepted(&answer)?;
                        done = ExternalAction::Created;
                    }
                }
                Some((changes, found)) => {
                    let fields = changes.into_iter().map(|change| change.path).collect();
                    let what = self.title.clone();
                    let update = match &self.step.update {
                        Some(update) if may_update => update,
                        None if done == ExternalAction::Unchanged => {
                            return Err(Error::NoUpdate { what, fields });
                        }
                        _ => return Err(Error::NotKept { what, fields }),
                    };
                    may_update = false;
                    let answer = self.send(update, Some(&found), Some(&self.step.desired)).await?;
                    self.accepted(&answer)?;
                    if done == ExternalAction::Unchanged {
                        done = ExternalAction::Updated;
                    }
                }
            }
            seen = self.look_again().await?;
        }
    }

    async fn look_again(&self) -> Result<ObservedExternal, Error> {
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

    async fn find(&self) -> Result<Option<Value>, Error> {
        let answer = self.send(&self.step.find, None, None).await?;
        let selector = self.selector(&answer.what, &self.step.select)?;
        if answer.reply.status == 404 {
            let judges = selector.names("status");
            if !judges && !self.step.find.path.contains('?') {
                return Ok(None);
            }
            if !judges {
                return Err(Error::Missing { what: answer.what });
            }
        } else {
            self.accepted(&answer)?;
        }
        let found = self.select(&answer, &selector, &self.step.select)?;
        Ok((!found.is_null()).then_some(found))
    }

    /// The outputs that are `wanted`, of a resource that is there.
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
                    (what.clone(), value.map_err(|error| unselected(what, &output.select, error))?)
                }
                Some(request) => {
                    let answer = self.send(request, Some(found), None).await?;
                    self.accepted(&answer)?;
                    let selector = self.selector(&answer.what, &output.select)?;
                    let value = self.select(&answer, &selector, &output.select)?;
                    (answer.what, value)
                }
            };
            let Some(text) = text_of(&value) else {
                let message = "the result is no string, number or bool".to_owned();
                return Err(Error::Select { what, expression: output.select.clone(), message });
            };
            let value =
                if output.secret { Output::Secret(SecretText::new(text)) } else { Output::Open(text) };
            outputs.insert(&self.step.name, &output.name, value);
        }
        Ok(outputs)
    }

    fn selector(&self, what: &str, source: &str) -> Result<Selector, Error> {
        Selector::new(source).map_err(|error| unselected(what.to_owned(), source, error))
    }

    fn select(&self, answer: &Answer, selector: &Selector, source: &str) -> Result<Value, Error> {
        let Answer { what, reply, .. } = answer;
        let headers = reply.headers.iter().map(|(name, value)| (name.as_str(), value.as_bytes()));
        let seen = Observation::of_response(reply.status, "", headers, &reply.body, "");
        // A page for people, of a proxy for example. An empty body is null.
        let is_page = seen.variables["json"].is_null() && !["", "null"].contains(&body_of(reply));
        if is_page && selector.names("json") {
            return Err(Error::NotJson { what: what.clone() });
        }
        selector.apply(&seen.variables).map_err(|error| unselected(what.clone(), source, error))
    }

    /// Sends a request of the step. A token that has become void is renewed once.
    async fn send(
        &self,
        request: &HttpRequest,
        found: Option<&Value>,
        default_body: Option<&Value>,
    ) -> Result<Answer, Error> {
        let base = self.step.base_url.trim_end_matches('/');
        let what = format!("{}: {} {base}{}", self.title, request.method.as_str(), request.path);
        let url = self.url(&what, request, found)?;
        let body = match &request.body {
            Some(body) => Some(self.body(&what, body, found)?),
            None => default_body.cloned(),
        };
        let body = body.map(|body| body.to_string().into_bytes());
        let mut renew = false;
        loop {
            let inputs = &self.values.inputs;
            let credential = self.http.credential(self.step, &self.title, inputs, renew).await?;
            let mut headers = HeaderMap::new();
            headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
            if body.is_some() {
                headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
            }
            if let Some(header) = &credential.header {
                headers.insert(AUTHORIZATION, header.clone());
            }
            let ask =
                Ask { what: &what, method: request.method, url: url.clone(), headers, body: body.clone() };
            let reply = self.http.exchange(ask).await?;
            // A 401 says that nothing was done.
            if reply.status != 401 || !credential.used {
                return Ok(Answer { what, reply, credential });
            }
            renew = true;
        }
    }

    /// # Errors
    /// What an answer that is no success means.
    fn accepted(&self, answer: &Answer) -> Result<(), Error> {
        let Answer { what, reply, credential } = answer;
        if (200..300).contains(&reply.status) {
            return Ok(());
        }
        let username = match &self.step.auth {
            Auth::Anonymous => "nobody in particular",
            Auth::Basic { username, .. } | Auth::PasswordGrant { username, .. } => username,
        };
        if let (401, Auth::Basic { password_input, .. }) = (reply.status, &self.step.auth) {
            return Err(Error::WrongPassword {
                what: what.clone(),
                origin: origin_of(&parse(what, &self.step.base_url)?),
                username: username.to_owned(),
                input: password_input.clone(),
            });
        }
        let inputs = &self.values.inputs;
        let secrets = inputs.names().filter_map(|name| inputs.get(name)).chain(&credential.secrets);
        Err(refusal(what, reply, username, said(&reply.body, secrets)))
    }

    /// Where a request goes. What is filled in can neither leave its segment nor the base URL.
    fn url(&self, what: &str, request: &HttpRequest, found: Option<&Value>) -> Result<Url, Error> {
        let invalid = |message: String| Error::Invalid { what: what.to_owned(), message };
        let mut path = String::new();
        for part in &request_segments(&request.path).map_err(invalid)? {
            if let RequestSegment::Text(text) = part {
                path.push_str(text);
                continue;
            }
            let value = text_of(&self.value(what, part, found)?).unwrap_or_default();
            let in_query = path.contains('?');
            // Proxies undo percent-encoding and read the result anew: what they could take for structure is refused.
            let stays = !value.is_empty()
                && !value.chars().any(|each| each.is_control() || ['/', '\\', '%'].contains(&each));
            if !in_query && !stays {
                return Err(invalid(
                    "a value for its path is empty, or has a slash, `%` or control character in it"
                        .to_owned(),
                ));
            }
            path.extend(utf8_percent_encode(&value, RESERVED));
        }
        if let Some(fault) = url_path_fault(&path) {
            return Err(invalid(format!("its path, filled in, {fault}")));
        }
        let base = parse(what, &self.step.base_url)?;
        let url = parse(what, &format!("{}{path}", self.step.base_url.trim_end_matches('/')))?;
        let below = format!("{}/", base.path().trim_end_matches('/'));
        if url.origin() != base.origin() || !url.path().starts_with(&below) {
            return Err(invalid("its path leads out of the base URL".to_owned()));
        }
        Ok(url)
    }

    fn body(&self, what: &str, body: &str, found: Option<&Value>) -> Result<Value, Error> {
        let invalid = |message: String| Error::Invalid { what: what.to_owned(), message };
        let mut body = serde_json::from_str(body).map_err(|_| invalid("its body is no JSON".to_owned()))?;
        self.fill(what, &mut body, found)?;
        Ok(body)
    }

    fn fill(&self, what: &str, value: &mut Value, found: Option<&Value>) -> Result<(), Error> {
        match value {
            Value::Array(items) => items.iter_mut().try_for_each(|item| self.fill(what, item, found)),
            Value::Object(fields) => fields.values_mut().try_for_each(|field| self.fill(what, field, found)),
            Value::String(text) => {
                let invalid = |message| Error::Invalid { what: what.to_owned(), message };
                let segments = request_segments(text).map_err(invalid)?;
                *value = match segments.as_slice() {
                    [] => Value::String(String::new()),
                    [part] => self.value(what, part, found)?,
                    parts => {
                        let texts = parts
                            .iter()
                            .map(|part| Ok(text_of(&self.value(what, part, found)?).unwrap_or_default()));
                        Value::String(texts.collect::<Result<String, Error>>()?)
                    }
                };
                Ok(())
            }
            Value::Null | Value::Bool(_) | Value::Number(_) => Ok(()),
        }
    }

    /// What a part of a template stands for: a string, a number or a bool.
    fn value(&self, what: &str, part: &RequestSegment, found: Option<&Value>) -> Result<Value, Error> {
        let invalid = |message: String| Error::Invalid { what: what.to_owned(), message };
        match part {
            RequestSegment::Text(text) => Ok(Value::String(text.clone())),
            RequestSegment::Field(name) => {
                let field = found.and_then(|found| found.get(name)).filter(|field| text_of(field).is_some());
                field.cloned().ok_or_else(|| {
                    invalid(format!("`${{{name}}}` is no string, number or bool of what `select` found"))
                })
            }
            RequestSegment::Output(at) => match self.values.outputs.get(at) {
                Some(Output::Open(text)) => Ok(Value::String(text.clone())),
                Some(Output::Secret(_)) => Err(invalid(format!(
                    "`${{steps.{}.{}}}` is secret, and only a Secret may hold it",
                    at.step, at.output
                ))),
                None => {
                    let (step, output) = (at.step.clone(), at.output.clone());
                    Err(Error::NoOutput { what: what.to_owned(), step, output })
                }
            },
        }
    }
}

fn unselected(what: String, expression: &str, error: thinkube_validate::Error) -> Error {
    Error::Select { what, expression: expression.to_owned(), message: error.to_string() }
}

fn body_of(reply: &Reply) -> &str {
    str::from_utf8(&reply.body).unwrap_or("?").trim()
}

fn text_of(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(bool) => Some(bool.to_string()),
        _ => None,
    }
}

/// What a server says about a refusal, in the fields that are made for it; nothing if a secret is in it.
fn said<'a>(body: &[u8], mut secrets: impl Iterator<Item = &'a SecretText>) -> Option<String> {
    let body: Value = serde_json::from_slice(body).ok()?;
    let text = ["errorMessage", "error"].into_iter().find_map(|field| body.get(field)?.as_str())?;
    let repeats = |secret: &SecretText| !secret.expose().is_empty() && text.contains(secret.expose());
    if secrets.any(repeats) {
        return None;
    }
    let words = text.split(|each: char| each.is_control() || each.is_whitespace());
    let line = words.filter(|word| !word.is_empty()).collect::<Vec<_>>().join(" ");
    Some(line.chars().take(REPEATED).collect())
}
