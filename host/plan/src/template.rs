//! The host's one engine for `${…}`: it splits a text into literal text and placeholders. It gives no meaning to a
//! placeholder; each of its three users does: requests of external steps, permissions over settings, and composed Secrets.

use std::fmt;

/// Text with placeholders: `${NAME}` is a placeholder, `$$` is a dollar sign.
///
/// ```
/// use thinkube_plan::{Segment, Template};
///
/// let template: Template = "http://${host}/$$".parse()?;
/// let expected = [Segment::Text("http://".into()), Segment::Placeholder("host".into()), Segment::Text("/$".into())];
/// assert_eq!(template.segments(), expected);
/// # Ok::<(), thinkube_plan::TemplateError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Template(Vec<Segment>);

/// A part of a [`Template`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Segment {
    /// Literal text; `$$` is already `$`.
    Text(String),
    /// What stands between `${` and `}`; never empty.
    Placeholder(String),
}

/// Why a text is not a template.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TemplateError {
    /// A `$` is followed by neither `$` nor `{NAME}`.
    #[error("a `$` must begin a placeholder, `${{NAME}}`, or be written as `$$`")]
    LoneDollar,
    /// `${}`.
    #[error("the placeholder `${{}}` has no name")]
    NoName,
}

impl Template {
    /// The segments in order. Two literal texts never follow each other.
    pub fn segments(&self) -> &[Segment] {
        &self.0
    }
}

impl std::str::FromStr for Template {
    type Err = TemplateError;

    fn from_str(text: &str) -> Result<Self, TemplateError> {
        let mut segments = Vec::new();
        let mut literal = String::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once('$') {
            literal.push_str(before);
            if let Some(after) = after.strip_prefix('$') {
                literal.push('$');
                rest = after;
                continue;
            }
            let placeholder = after.strip_prefix('{').and_then(|after| after.split_once('}'));
            let (name, after) = placeholder.ok_or(TemplateError::LoneDollar)?;
            if name.is_empty() {
                return Err(TemplateError::NoName);
            }
            if !literal.is_empty() {
                segments.push(Segment::Text(std::mem::take(&mut literal)));
            }
            segments.push(Segment::Placeholder(name.to_owned()));
            rest = after;
        }
        literal.push_str(rest);
        if !literal.is_empty() {
            segments.push(Segment::Text(literal));
        }
        Ok(Self(segments))
    }
}

impl fmt::Display for Segment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) => f.write_str(&text.replace('$', "$$")),
            Self::Placeholder(name) => write!(f, "${{{name}}}"),
        }
    }
}

impl fmt::Display for Template {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|segment| segment.fmt(f))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_template_is_text_and_placeholders_in_order() {
        let text = |text: &str| Segment::Text(text.to_owned());
        let placeholder = |name: &str| Segment::Placeholder(name.to_owned());
        for (source, expected) in [
            ("", vec![]),
            ("a", vec![text("a")]),
            ("$$", vec![text("$")]),
            (
                "/a/${id}/$$${steps.client.id}",
                vec![text("/a/"), placeholder("id"), text("/$"), placeholder("steps.client.id")],
            ),
            ("${a:json}", vec![placeholder("a:json")]),
        ] {
            let template: Template = source.parse().expect("a template");
            assert_eq!(template.segments(), expected, "{source}");
            assert_eq!(template.to_string(), source);
        }
    }

    #[test]
    fn a_dollar_that_begins_no_placeholder_is_an_error() {
        for wrong in ["$", "a$b", "${", "${a", "$x{"] {
            assert_eq!(wrong.parse::<Template>(), Err(TemplateError::LoneDollar), "{wrong}");
        }
        assert_eq!("${}".parse::<Template>(), Err(TemplateError::NoName));
    }
}
