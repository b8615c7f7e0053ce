//! The templates of a Secret's keys: `${KEY}`, `${KEY:json}` (as a JSON string) and `$$`. A template may name another one.

use crate::secrets::value::{Bytes, ComposeError, text_of};
use std::collections::BTreeMap;
use thinkube_plan::{Segment, Template};
use zeroize::Zeroizing;

/// Adds the value of a template, and of those that it names, to `values`. `above` has the templates that are being filled.
///
/// # Errors
/// [`ComposeError::Template`] or [`ComposeError::NotText`].
pub(crate) fn fill<'a>(
    key: &'a str,
    templates: &'a BTreeMap<&'a str, Template>,
    values: &mut BTreeMap<&'a str, Bytes>,
    above: &mut Vec<&'a str>,
) -> Result<(), ComposeError> {
    let (false, Some(template)) = (values.contains_key(key), templates.get(key)) else { return Ok(()) };
    let wrong = |message: String| ComposeError::Template { key: key.to_owned(), message };
    if above.contains(&key) {
        return Err(wrong(format!("it refers to itself: {} → {key}", above.join(" → "))));
    }
    above.push(key);
    let mut text: Bytes = Zeroizing::new(Vec::new());
    for segment in template.segments() {
        let placeholder = match segment {
            Segment::Text(literal) => {
                text.extend_from_slice(literal.as_bytes());
                continue;
            }
            Segment::Placeholder(placeholder) => placeholder.as_str(),
        };
        // No key has a colon.
        let (name, quoted) =
            placeholder.strip_suffix(":json").map_or((placeholder, false), |name| (name, true));
        fill(name, templates, values, above)?;
        let Some(value) = values.get(name) else {
            let known: Vec<&str> = values.keys().copied().collect();
            return Err(wrong(format!(
                "`${{{name}}}` is not a key of this Secret; it has {}",
                known.join(", ")
            )));
        };
        if quoted {
            let quoted = serde_json::to_vec(text_of(name, value)?).map(Zeroizing::new);
            text.extend_from_slice(&quoted.map_err(|error| wrong(error.to_string()))?);
        } else {
            text.extend_from_slice(value);
        }
    }
    above.pop();
    values.insert(key, text);
    Ok(())
}
