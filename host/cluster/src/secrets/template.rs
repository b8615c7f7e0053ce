//! The templates of a Secret's keys: `${KEY}`, `${KEY:json}` (as a JSON string) and `$$`. A template may name another one.

use crate::secrets::value::{Bytes, ComposeError, text_of};
use std::collections::BTreeMap;
use zeroize::Zeroizing;

/// Adds the value of a template, and of those that it names, to `values`. `above` has the templates that are being filled.
///
/// # Errors
/// [`ComposeError::Template`] or [`ComposeError::NotText`].
pub(crate) fn fill<'a>(
    key: &'a str,
    templates: &BTreeMap<&'a str, &'a str>,
    values: &mut BTreeMap<&'a str, Bytes>,
    above: &mut Vec<&'a str>,
) -> Result<(), ComposeError> {
    if values.contains_key(key) {
        return Ok(());
    }
    let wrong = |message: String| ComposeError::Template { key: key.to_owned(), message };
    if above.contains(&key) {
        return Err(wrong(format!("it refers to itself: {} → {key}", above.join(" → "))));
    }
    above.push(key);
    let mut text: Bytes = Zeroizing::new(Vec::new());
    let mut rest = templates.get(key).copied().unwrap_or_default();
    while let Some(at) = rest.find('$') {
        text.extend_from_slice(&rest.as_bytes()[..at]);
        rest = &rest[at + 1..];
        if let Some(after) = rest.strip_prefix('$') {
            text.push(b'$');
            rest = after;
        } else if let Some(after) = rest.strip_prefix('{') {
            let (name, after) = after.split_once('}').ok_or_else(|| wrong("a `${` has no `}`".into()))?;
            // No key has a colon.
            let (name, quoted) = name.strip_suffix(":json").map_or((name, false), |name| (name, true));
            if templates.contains_key(name) {
                fill(name, templates, values, above)?;
            }
            let known: Vec<&str> = values.keys().copied().collect();
            let value = values.get(name).ok_or_else(|| {
                wrong(format!("`${{{name}}}` is not a key of this Secret; it has {}", known.join(", ")))
            })?;
            if quoted {
                let quoted = serde_json::to_vec(text_of(name, value)?).map(Zeroizing::new);
                text.extend_from_slice(&quoted.map_err(|error| wrong(error.to_string()))?);
            } else {
                text.extend_from_slice(value);
            }
            rest = after;
        } else {
            return Err(wrong("a `$` must be followed by `{` or another `$`".into()));
        }
    }
    text.extend_from_slice(rest.as_bytes());
    above.pop();
    values.insert(key, text);
    Ok(())
}
