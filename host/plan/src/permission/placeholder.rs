//! Text that names settings: the permissions of a plugin, and the defaults of settings that follow from other settings.

use crate::template::{Segment, Template};
use serde_json::Value;
use std::fmt;
use std::str::FromStr;

/// A text over settings.
pub(super) struct SettingText(Vec<Part>);

enum Part {
    Text(String),
    Setting(String, Modifier),
}

/// What a placeholder stands for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Modifier {
    /// `${NAME}`: the value.
    Value,
    /// `${NAME:dashed}`: the value with a dash for each dot. The platform names Secrets after domains in this way.
    Dashed,
    /// `${NAME:if}`: no text; the whole counts only if the setting is truthy.
    If,
    /// `${NAME:unless}`: no text; the whole counts only if the setting is not truthy.
    Unless,
}

impl Modifier {
    const NAMED: [(&str, Self); 3] = [("dashed", Self::Dashed), ("if", Self::If), ("unless", Self::Unless)];

    fn suffix(self) -> String {
        let named = Self::NAMED.iter().find(|(_, modifier)| *modifier == self);
        named.map_or_else(String::new, |(name, _)| format!(":{name}"))
    }

    fn is_condition(self) -> bool {
        matches!(self, Self::If | Self::Unless)
    }
}

impl SettingText {
    /// The settings that the text names.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.0.iter().filter_map(|part| match part {
            Part::Text(_) => None,
            Part::Setting(name, _) => Some(name.as_str()),
        })
    }

    /// The conditions for people: `if ${sign_on}`.
    pub(super) fn conditions(&self) -> impl Iterator<Item = String> {
        self.0.iter().filter_map(|part| match part {
            Part::Setting(name, Modifier::If) => Some(format!("if ${{{name}}}")),
            Part::Setting(name, Modifier::Unless) => Some(format!("unless ${{{name}}}")),
            _ => None,
        })
    }

    /// The source of the text, its conditions left out.
    pub(super) fn without_conditions(&self) -> String {
        let shown = |part: &&Part| !matches!(part, Part::Setting(_, modifier) if modifier.is_condition());
        self.0.iter().filter(shown).map(ToString::to_string).collect()
    }

    /// The text for these settings. None if a setting has no text, or a condition does not hold.
    fn fill(&self, settings: &Value) -> Option<String> {
        self.0.iter().map(|part| part.text(settings)).collect()
    }
}

impl FromStr for SettingText {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let template: Template = text.parse().map_err(|error| format!("{error}"))?;
        template.segments().iter().map(Part::parse).collect::<Result<_, _>>().map(Self)
    }
}

impl Part {
    fn parse(segment: &Segment) -> Result<Self, String> {
        let placeholder = match segment {
            Segment::Text(text) => return Ok(Self::Text(text.clone())),
            Segment::Placeholder(placeholder) => placeholder,
        };
        // A setting has no dot in its name, and `steps.` begins an output in other templates.
        if placeholder.starts_with("steps.") {
            return Err(format!("`${{{placeholder}}}` is the output of a step, not a setting"));
        }
        let Some((name, suffix)) = placeholder.split_once(':') else {
            return Ok(Self::Setting(placeholder.clone(), Modifier::Value));
        };
        match Modifier::NAMED.iter().find(|(named, _)| *named == suffix) {
            Some((_, modifier)) => Ok(Self::Setting(name.to_owned(), *modifier)),
            None => Err(format!(
                "`${{{placeholder}}}` has an unknown modifier: expected ${{{name}}}, ${{{name}:dashed}}, ${{{name}:if}} or \
                 ${{{name}:unless}}"
            )),
        }
    }

    fn text(&self, settings: &Value) -> Option<String> {
        let (name, modifier) = match self {
            Self::Text(text) => return Some(text.clone()),
            Self::Setting(name, modifier) => (name, modifier),
        };
        let value = settings.get(name);
        match modifier {
            Modifier::Value => scalar(value?),
            Modifier::Dashed => Some(scalar(value?)?.replace('.', "-")),
            Modifier::If => is_truthy(value).then(String::new),
            Modifier::Unless => (!is_truthy(value)).then(String::new),
        }
    }
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) => Segment::Text(text.clone()).fmt(f),
            Self::Setting(name, modifier) => {
                Segment::Placeholder(format!("{name}{}", modifier.suffix())).fmt(f)
            }
        }
    }
}

fn scalar(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(_) | Value::Bool(_) => Some(value.to_string()),
        _ => None,
    }
}

/// Whether a setting is `true`, a number, or not empty.
fn is_truthy(value: Option<&Value>) -> bool {
    match value {
        None | Some(Value::Null) => false,
        Some(Value::Bool(value)) => *value,
        Some(Value::Number(_)) => true,
        Some(Value::String(text)) => !text.is_empty(),
        Some(Value::Array(list)) => !list.is_empty(),
        Some(Value::Object(map)) => !map.is_empty(),
    }
}

/// The settings that `text` names, where `text` is the default of another setting: `${NAME}` and `${NAME:dashed}` are
/// settings, `$$` is a dollar sign. Conditions are refused, because a default must not come and go.
///
/// # Errors
/// What is wrong with the text.
pub fn settings_in(text: &str) -> Result<Vec<String>, String> {
    let parts = text.parse::<SettingText>()?.0.into_iter();
    let names = parts.filter_map(|part| match part {
        Part::Text(_) => None,
        Part::Setting(_, modifier) if modifier.is_condition() => {
            Some(Err(format!("`{part}` is a condition; only a permission can have one")))
        }
        Part::Setting(name, _) => Some(Ok(name)),
    });
    names.collect()
}

/// `text` with the values of the settings that it names. None if one of them is not set or is neither a string, a number nor
/// a bool, or if a condition does not hold.
pub fn with_settings(text: &str, settings: &Value) -> Option<String> {
    text.parse::<SettingText>().ok()?.fill(settings)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_setting_stands_for_its_value_and_dashed_for_a_secret_name() {
        let settings = json!({"domain_name": "a.example.com", "port": 8443, "list": []});
        for (text, filled) in [
            ("https://auth.${domain_name}:${port}", Some("https://auth.a.example.com:8443")),
            ("default/${domain_name:dashed}-tls", Some("default/a-example-com-tls")),
            ("$${domain_name}", Some("${domain_name}")),
            ("${missing}", None),
            ("${list}", None),
            ("${steps.a.b}", None),
            ("${open", None),
        ] {
            assert_eq!(with_settings(text, &settings).as_deref(), filled, "{text}");
        }
    }

    #[test]
    fn a_value_is_never_read_as_a_placeholder() {
        let settings = json!({"a": "${b}", "b": "secret"});
        assert_eq!(with_settings("x${a}", &settings).as_deref(), Some("x${b}"));
        let settings = json!({"a": "${b:unless}"});
        assert_eq!(with_settings("x${a}", &settings).as_deref(), Some("x${b:unless}"));
    }

    #[test]
    fn an_unknown_modifier_is_refused_with_the_known_ones() {
        for text in ["https://${a:foo}", "${a:}", "${a:IF}", "${a:if:unless}"] {
            let fault = text.parse::<SettingText>().err().expect("an unknown modifier is refused");
            assert!(fault.contains("${a:unless}") && fault.contains("${a:dashed}"), "{fault}");
            assert_eq!(with_settings(text, &json!({"a": "b", "a:foo": "b", "a:": "b"})), None, "{text}");
        }
    }

    #[test]
    fn a_default_has_no_conditions() {
        assert_eq!(settings_in("${a}-${b:dashed}"), Ok(vec!["a".into(), "b".into()]));
        for text in ["${a:if}x", "x${a:unless}"] {
            let fault = settings_in(text).expect_err("a condition is refused");
            assert!(fault.contains("${a:") && fault.contains("only a permission"), "{fault}");
        }
    }
}
