//! Resources behind HTTP APIs, kept like objects: found, compared, created, updated, deleted.

use crate::Error;
use crate::compare::differences;
use crate::http::{Ask, Http, Reply, origin_of, parse};
use crate::token::{Credential, RESERVED, refusal};
use percent_encoding::utf8_percent_encode;
use reqwest::Url;
use reqwest::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderValue};
use serde_json::Value;
use std::fmt;
use thinkube_plan::{
    Auth, ExternalOutput, ExternalStep, FieldChange, HttpRequest, Observation, OnUninstall, Output, Outputs,
    Part, SecretText, Template, Values, path_fault,
};
use thinkube_validate::Selector;

/// Characters of what a server says about a refusal that are repeated at most.
const REPEATED: usize = 200;

/// What a look at an external resource showed.
pub struct Seen {
    /// How it is.
    pub state: State,
    /// The outputs that are no secrets. None of a resource that is absent.
    pub outputs: Outputs,
    found: Option<Value>,
}

/// How an external resource is.
#[derive(Debug, Clone, PartialEq)]
pub enum State {
    /// It is not there.
    Absent,
    /// It has every field as desired.
    Same,
    /// It has not.
    Differs(Vec<FieldChange>),
}

/// What became of an external resource.
pub struct Outcome {
    /// What was done.
    pub action: Action,
    /// Everything that the step yields.
    pub outputs: Outputs,
}

/// What was done to an external resource.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// It was not there.
    Created,
    /// It was there and differed.
    Updated,
    /// Nothing: it was as desired.
    Unchanged,
}

/// What became of an external resource that should go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Removed {
    /// It was there and is no more.
    Gone,
    /// It was not there.
    WasAbsent,
    /// The plan says that it stays.
    Kept,
}

impl fmt::Debug for Seen {
    /// Without what was found: an API answers with more than anybody asked for.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Seen").field("state", &self.state).finish_non_exhaustive()
    }
}

impl fmt::Debug for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Outcome").field("action", &self.action).finish_non_exhaustive()
    }
}

impl Http {
    /// Whether [`Http::look`] and the others could carry out `step` at all: to be asked before anything is changed.
    ///
    /// # Errors
    /// [`Error::Invalid`] or [`Error::NotGranted`].
    pub fn supported(&self, step: &ExternalStep) -> Result<(), Error> {
        let what = title(step);
        if let Some(message) = step.faults().into_iter().next() {
            return Err(Error::Invalid { what, message });
        }
        self.granted(&what, &parse(&what, &step.base_url)?)?;
        if let Auth::PasswordGrant { token_url, .. } = &step.auth {
            self.granted(&what, &parse(&what, token_url)?)?;
        }
        Ok(())
    }

    /// Looks at the resource and changes nothing. Secret outputs are not asked for.
    ///
    /// # Errors
    /// Why it could not be seen; [`Error::NoOutput`] if it is found by an output of a step that has yielded none, perhaps
    /// because what that step makes is not there yet.
    pub async fn look(&self, step: &ExternalStep, values: &Values) -> Result<Seen, Error> {
        self.supported(step)?;
        Run { http: self, step, values, title: title(step) }.look().await
    }

    /// Creates or updates the resource, and looks whether it then is as desired. `seen` is what [`Http::look`] showed.
    ///
    /// # Errors
    /// Why it could not be brought about. Most were found before anything was changed; [`Error::NotKept`],
    /// [`Error::NotFound`] and [`Error::TimedOut`] may follow a change.
    pub async fn bring_about(
        &self,
        step: &ExternalStep,
        seen: Seen,
        values: &Values,
    ) -> Result<Outcome, Error> {
        self.supported(step)?;
        let run = Run { http: self, step, values, title: title(step) };
        let (action, found) = run.bring_about(seen).await?;
        let outputs = run.outputs(&found, |_| true).await?;
        Ok(Outcome { action, outputs })
    }

    /// Takes the resource away, unless the plan says that it stays, and looks whether it is gone.
    ///
    /// # Errors
    /// Why it could not be taken away; [`Error::NoOutput`] as for [`Http::look`].
    pub async fn remove(&self, step: &ExternalStep, values: &Values) -> Result<Removed, Error> {
        let Some(delete) = step.delete.as_ref().filter(|_| step.on_uninstall == OnUninstall::Delete) else {
            return Ok(Removed::Kept);
        };
        self.supported(step)?;
        let run = Run { http: self, step, values, title: title(step) };
        let Some(found) = run.find().await? else { return Ok(Removed::WasAbsent) };
        let answer = run.send(delete, Some(&found), None).await?;
        let was_absent = answer.reply.status == 404;
        if !was_absent {
            run.accepted(&answer)?;
        }
        match run.find().await? {
            Some(_) => Err(Error::NotGone { what: run.title }),
            None if was_absent => Ok(Removed::WasAbsent),
            None => Ok(Removed::Gone),
        }
    }
}

fn title(step: &ExternalStep) -> String {
    format!("external resource {}", step.name)
}

/// One step that is being carried out.
struct Run<'a> {
    http: &'a Http,
    step: &'a ExternalStep,
    values: &'a Values,
    title: String,
}

/// An answer, with what it takes to speak of it.
struct Answer {
    what: String,
    reply: Reply,
    credential: Credential,
}

impl Run<'_> {
    async fn look(&self) -> Result<Seen, Error> {
        let Some(found) = self.find().await? else {
            return Ok(Seen { state: State::Absent, outputs: Outputs::default(), found: None });
        };
        let changes = differences(&self.step.desired, &found);
        let state = if changes.is_empty() { State::Same } else { State::Differs(changes) };
        let outputs = self.outputs(&found, |output| !output.secret).await?;
        Ok(Seen { state, outputs, found: Some(found) })
    }

    /// What was done, and the resource as it then is. At most one create and one update: a server that shows neither
    /// would be written to for ever.
    async fn bring_about(&self, mut seen: Seen) -> Result<(Action, Value), Error> {
        let mut done = Action::Unchanged;
        let (mut may_create, mut may_update) = (true, true);
        loop {
            let changes = match (seen.state, seen.found) {
                (State::Same, Some(found)) => return Ok((done, found)),
                (State::Differs(changes), Some(found)) => Some((changes, found)),
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
                        done = Action::Created;
                    }
                }
                Some((changes, found)) => {
                    let fields = changes.into_iter().map(|change| change.path).collect();
                    let what = self.title.clone();
                    let update = match &self.step.update {
                        Some(update) if may_update => update,
                        None if done == Action::Unchanged => return Err(Error::NoUpdate { what, fields }),
                        _ => return Err(Error::NotKept { what, fields }),
                    };
                    may_update = false;
                    let answer = self.send(update, Some(&found), Some(&self.step.desired)).await?;
                    self.accepted(&answer)?;
                    if done == Action::Unchanged {
                        done = Action::Updated;
                    }
                }
            }
            seen = self.look_again().await?;
        }
    }

    async fn look_again(&self) -> Result<Seen, Error> {
        let found = self.find().await?;
        let state = match &found {
            None => State::Absent,
            Some(found) => match differences(&self.step.desired, found) {
                changes if changes.is_empty() => State::Same,
                changes => State::Differs(changes),
            },
        };
        Ok(Seen { state, outputs: Outputs::default(), found })
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
        let seen = Observation::of_answer(reply.status, "", headers, &reply.body, "");
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
        for part in Template::parse(&request.path).map_err(invalid)?.parts() {
            if let Part::Text(text) = part {
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
        if let Some(fault) = path_fault(&path) {
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
                let template = Template::parse(text).map_err(invalid)?;
                *value = match template.parts() {
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
    fn value(&self, what: &str, part: &Part, found: Option<&Value>) -> Result<Value, Error> {
        let invalid = |message: String| Error::Invalid { what: what.to_owned(), message };
        match part {
            Part::Text(text) => Ok(Value::String(text.clone())),
            Part::Found(name) => {
                let field = found.and_then(|found| found.get(name)).filter(|field| text_of(field).is_some());
                field.cloned().ok_or_else(|| {
                    invalid(format!("`${{{name}}}` is no string, number or bool of what `select` found"))
                })
            }
            Part::Output(at) => match self.values.outputs.get(at) {
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
