//! The smallest part of Jinja: `{{ name }}`, alone or within text. Nothing is computed, so no template can run code.

/// A piece of a text with templates.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Piece<'a> {
    Text(&'a str),
    Variable(&'a str),
}

/// More than `{{ name }}`: a filter, an expression, a statement, a comment.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Unfit;

pub(super) fn parse(text: &str) -> Result<Vec<Piece<'_>>, Unfit> {
    if text.contains("{%") || text.contains("{#") {
        return Err(Unfit);
    }
    let mut pieces = Vec::new();
    let mut rest = text;
    while let Some(begin) = rest.find("{{") {
        let (before, inner) = (&rest[..begin], &rest[begin + 2..]);
        let end = inner.find("}}").ok_or(Unfit)?;
        let name = inner[..end].trim();
        if !is_name(name) {
            return Err(Unfit);
        }
        if !before.is_empty() {
            pieces.push(Piece::Text(before));
        }
        pieces.push(Piece::Variable(name));
        rest = &inner[end + 2..];
    }
    if !rest.is_empty() || pieces.is_empty() {
        pieces.push(Piece::Text(rest));
    }
    Ok(pieces)
}

/// Whether Ansible takes it for a variable's name.
pub(super) fn is_name(text: &str) -> bool {
    let mut bytes = text.bytes();
    bytes.next().is_some_and(|first| first.is_ascii_alphabetic() || first == b'_')
        && bytes.all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

#[cfg(test)]
mod tests {
    use super::Piece::{Text, Variable};
    use super::*;

    #[test]
    fn names_within_text_are_found() {
        assert_eq!(parse("a"), Ok(vec![Text("a")]));
        assert_eq!(parse(""), Ok(vec![Text("")]));
        assert_eq!(parse("{{ a }}"), Ok(vec![Variable("a")]));
        assert_eq!(
            parse("x-{{a}}.{{ b_2 }}!"),
            Ok(vec![Text("x-"), Variable("a"), Text("."), Variable("b_2"), Text("!")])
        );
        assert_eq!(parse("}} {"), Ok(vec![Text("}} {")]));
    }

    #[test]
    fn whatever_would_be_computed_is_unfit() {
        for text in [
            "{{ a | default('b') }}",
            "{{ a.b }}",
            "{{ a['b'] }}",
            "{{ 'a' }}",
            "{{ 1 }}",
            "{{ }}",
            "{{ a b }}",
            "{{- a -}}",
            "{{ lookup('env', 'HOME') }}",
            "{{ a",
            "{{ {{ a }} }}",
            "{% if a %}b{% endif %}",
            "a{# b #}",
        ] {
            assert_eq!(parse(text), Err(Unfit), "{text}");
        }
    }
}
