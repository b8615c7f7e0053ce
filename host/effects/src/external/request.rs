//! Fills in the URL and the body of a request. A filled-in value can neither leave its path segment nor the base URL.

use super::error::Error;
use crate::http::auth::RESERVED;
use crate::http::client::parse_url;
use percent_encoding::utf8_percent_encode;
use reqwest::Url;
use serde_json::Value;
use thinkube_plan::{HttpRequest, Output, Outputs, RequestSegment, request_segments, url_path_fault};

/// The values that the placeholders of a request refer to.
pub(super) struct RequestValues<'a> {
    /// Names the request in errors.
    pub(super) what: &'a str,
    pub(super) base_url: &'a str,
    /// The outputs of earlier steps.
    pub(super) outputs: &'a Outputs,
    /// The resource that `select` found.
    pub(super) found: Option<&'a Value>,
}

impl RequestValues<'_> {
    fn invalid(&self, message: impl Into<String>) -> Error {
        Error::Invalid { what: self.what.to_owned(), message: message.into() }
    }

    pub(super) fn url(&self, request: &HttpRequest) -> Result<Url, Error> {
        let mut path = String::new();
        let segments = request_segments(&request.path).map_err(|message| self.invalid(message))?;
        for segment in &segments {
            if let RequestSegment::Text(text) = segment {
                path.push_str(text);
                continue;
            }
            let value = text_of(&self.value(segment)?).unwrap_or_default();
            let in_query = path.contains('?');
            // A proxy may decode the path and parse the result again, so characters of structure are refused.
            let is_plain = !value.is_empty()
                && !value.chars().any(|each| each.is_control() || ['/', '\\', '%'].contains(&each));
            if !in_query && !is_plain {
                return Err(
                    self.invalid("a value for its path is empty, or holds a slash, `%` or control character")
                );
            }
            path.extend(utf8_percent_encode(&value, RESERVED));
        }
        if let Some(fault) = url_path_fault(&path) {
            return Err(self.invalid(format!("its path with values {fault}")));
        }
        let base = parse_url(self.what, self.base_url)?;
        let url = parse_url(self.what, &format!("{}{path}", self.base_url.trim_end_matches('/')))?;
        let below = format!("{}/", base.path().trim_end_matches('/'));
        if url.origin() != base.origin() || !url.path().starts_with(&below) {
            return Err(self.invalid("its path leads out of the base URL"));
        }
        Ok(url)
    }

    pub(super) fn body(&self, body: &str) -> Result<Value, Error> {
        let mut body = serde_json::from_str(body).map_err(|_| self.invalid("its body is not JSON"))?;
        self.fill(&mut body)?;
        Ok(body)
    }

    fn fill(&self, value: &mut Value) -> Result<(), Error> {
        match value {
            Value::Array(items) => items.iter_mut().try_for_each(|item| self.fill(item)),
            Value::Object(fields) => fields.values_mut().try_for_each(|field| self.fill(field)),
            Value::String(text) => {
                let segments = request_segments(text).map_err(|message| self.invalid(message))?;
                *value = match segments.as_slice() {
                    [] => Value::String(String::new()),
                    [segment] => self.value(segment)?,
                    segments => {
                        let texts = segments
                            .iter()
                            .map(|segment| Ok(text_of(&self.value(segment)?).unwrap_or_default()));
                        Value::String(texts.collect::<Result<String, Error>>()?)
                    }
                };
                Ok(())
            }
            Value::Null | Value::Bool(_) | Value::Number(_) => Ok(()),
        }
    }

    /// The value of a segment: a string, a number or a bool.
    fn value(&self, segment: &RequestSegment) -> Result<Value, Error> {
        match segment {
            RequestSegment::Text(text) => Ok(Value::String(text.clone())),
            RequestSegment::Field(name) => {
                let field = self.found.and_then(|found| found.get(name));
                field.filter(|field| text_of(field).is_some()).cloned().ok_or_else(|| {
                    self.invalid(format!(
                        "`${{{name}}}`: `select` found no string, number or bool of this name"
                    ))
                })
            }
            RequestSegment::Output(at) => match self.outputs.get(at) {
                Some(Output::Open(text)) => Ok(Value::String(text.clone())),
                Some(Output::Secret(_)) => Err(self.invalid(format!(
                    "`${{steps.{}.{}}}` is secret, and only a Secret may hold it",
                    at.step, at.output
                ))),
                None => {
                    let (step, output) = (at.step.clone(), at.output.clone());
                    Err(Error::MissingOutput { what: self.what.to_owned(), step, output })
                }
            },
        }
    }
}

/// A string, number or bool as text.
pub(super) fn text_of(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(bool) => Some(bool.to_string()),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}
