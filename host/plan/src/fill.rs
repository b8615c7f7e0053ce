//! Text that names settings: what a plugin asks for, and the defaults of settings that follow from others.

use crate::{KindPermission, Part, Permission, Scope, Template};
use serde_json::Value;
use std::fmt;

/// A piece of such a text.
enum Piece {
    Text(String),
    Setting(String, Form),
}

/// What a placeholder stands for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Form {
    /// `${NAME}`: the value.
    Value,
    /// `${NAME:dashed}`: with a dash for each dot, how the platform calls Secrets after domains.
    Dashed,
    /// `${NAME:if}`: no text, and nothing is asked for unless the setting says so.
    If,
    /// `${NAME:unless}`: the same where the setting does not say so.
    Unless,
}

impl Form {
    const NAMED: [(&str, Self); 3] = [("dashed", Self::Dashed), ("if", Self::If), ("unless", Self::Unless)];

    /// As it stands behind the name.
    fn suffix(self) -> String {
        let named = Self::NAMED.iter().find(|(_, form)| *form == self);
        named.map_or_else(String::new, |(name, _)| format!(":{name}"))
    }

    fn is_condition(self) -> bool {
        matches!(self, Self::If | Self::Unless)
    }
}

impl fmt::Display for Piece {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) => f.write_str(&text.replace('$', "$$")),
            Self::Setting(name, form) => write!(f, "${{{name}{}}}", form.suffix()),
        }
    }
}

impl Piece {
    fn read(part: &Part) -> Result<Self, String> {
        let text = match part {
            Part::Text(text) => return Ok(Self::Text(text.clone())),
            Part::Found(text) => text,
            Part::Output(output) => {
                return Err(format!(
                    "`{}.{}` is an output of a step, not a setting",
                    output.step, output.output
                ));
            }
        };
        let Some((name, form)) = text.split_once(':') else {
            return Ok(Self::Setting(text.clone(), Form::Value));
        };
        match Form::NAMED.iter().find(|(named, _)| *named == form) {
            Some((_, form)) => Ok(Self::Setting(name.to_owned(), *form)),
            None => Err(format!(
                "`${{{text}}}` has no form that is known: expected ${{{name}}}, ${{{name}:dashed}}, ${{{name}:if}} or \
                 ${{{name}:unless}}"
            )),
        }
    }

    /// The text that it stands for. None: there is none, or it is a condition that does not hold.
    fn text(&self, settings: &Value) -> Option<String> {
        let (name, form) = match self {
            Self::Text(text) => return Some(text.clone()),
            Self::Setting(name, form) => (name, form),
        };
        let value = settings.get(name);
        match form {
            Form::Value => scalar(value?),
            Form::Dashed => Some(scalar(value?)?.replace('.', "-")),
            Form::If => says_so(value).then(String::new),
            Form::Unless => (!says_so(value)).then(String::new),
        }
    }
}

fn pieces(text: &str) -> Result<Vec<Piece>, String> {
    Template::parse(text)?.parts().iter().map(Piece::read).collect()
}

fn scalar(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(_) | Value::Bool(_) => Some(value.to_string()),
        _ => None,
    }
}

/// Whether a setting is true, or set to something that is not empty.
fn says_so(value: Option<&Value>) -> bool {
    match value {
        None | Some(Value::Null) => false,
        Some(Value::Bool(value)) => *value,
        Some(Value::Number(_)) => true,
        Some(Value::String(text)) => !text.is_empty(),
        Some(Value::Array(list)) => !list.is_empty(),
        Some(Value::Object(map)) => !map.is_empty(),
    }
}

/// The settings that `text`, a default, names: `${NAME}` and `${NAME:dashed}` are settings, `$$` is a dollar sign. It has no
/// conditions: a default that is there only now and then would be none to rely on.
///
/// # Errors
/// What is wrong with the text, in words.
pub fn settings_in(text: &str) -> Result<Vec<String>, String> {
    let names = pieces(text)?.into_iter().filter_map(|piece| match piece {
        Piece::Text(_) => None,
        Piece::Setting(_, form) if form.is_condition() => {
            Some(Err(format!("`{piece}` is a condition, which only a permission can have")))
        }
        Piece::Setting(name, _) => Some(Ok(name)),
    });
    names.collect()
}

/// `text` with the values of the settings that it names. None: one of them is not set, or no text, number or bool; or a
/// condition does not hold.
pub fn with_settings(text: &str, settings: &Value) -> Option<String> {
    pieces(text).ok()?.iter().map(|piece| piece.text(settings)).collect()
}

impl Permission {
    /// Every text of it that may name settings. A kind never does: what may be applied is known before any setting is.
    fn texts(&mut self) -> Vec<&mut String> {
        match self {
            Self::Emit(KindPermission { scope, .. }) | Self::Read(KindPermission { scope, .. }) => {
                match scope {
                    Scope::Namespaces(names) => names.iter_mut().collect(),
                    Scope::Cluster | Scope::OwnNamespace => Vec::new(),
                }
            }
            Self::CopySecret(text)
            | Self::Disclose(text)
            | Self::Connect(text)
            | Self::PushImage(text)
            | Self::WritePodFiles(text)
            | Self::WriteHome(text)
            | Self::BuildFrom(text)
            | Self::PythonPackage(text) => vec![text],
            Self::SecretInput { .. } => Vec::new(),
        }
    }

    /// The settings that it names, those of its conditions too.
    ///
    /// # Errors
    /// What is wrong with its text, in words.
    pub fn settings(&self) -> Result<Vec<String>, String> {
        let mut names = Vec::new();
        for text in self.clone().texts() {
            names.extend(pieces(text)?.into_iter().filter_map(|piece| match piece {
                Piece::Text(_) => None,
                Piece::Setting(name, _) => Some(name),
            }));
        }
        Ok(names)
    }

    /// It for these settings. None: a setting that it names is not set, or a condition does not hold, so nothing of it is
    /// asked for.
    pub fn with_settings(&self, settings: &Value) -> Option<Self> {
        let mut filled = self.clone();
        for text in filled.texts() {
            *text = with_settings(text, settings).filter(|text| !text.is_empty())?;
        }
        Some(filled)
    }

    /// It in words, as the plugin states it over settings, with its conditions at the end.
    pub fn stated(&self) -> String {
        let mut bare = self.clone();
        let mut conditions = Vec::new();
        for text in bare.texts() {
            // What cannot be read is shown as it stands; no such plugin is loaded.
            let Ok(pieces) = pieces(text) else { continue };
            text.clear();
            for piece in &pieces {
                match piece {
                    Piece::Setting(name, Form::If) => conditions.push(format!("if ${{{name}}}")),
                    Piece::Setting(name, Form::Unless) => conditions.push(format!("unless ${{{name}}}")),
                    _ => text.push_str(&piece.to_string()),
                }
            }
        }
        if conditions.is_empty() { bare.to_string() } else { format!("{bare}, {}", conditions.join(" and ")) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_setting_stands_for_its_value_and_dashed_for_the_name_of_a_secret() {
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
    fn a_permission_over_a_setting_that_is_not_set_is_not_asked_for() {
        let asked = Permission::Connect("${keycloak_url}".into());
        assert_eq!(asked.with_settings(&json!({})), None);
        assert_eq!(asked.with_settings(&json!({"keycloak_url": ""})), None);
        assert_eq!(
            asked.with_settings(&json!({"keycloak_url": "https://a"})),
            Some(Permission::Connect("https://a".into()))
        );
    }

    #[test]
    fn a_permission_on_condition_is_asked_for_when_the_setting_says_so_and_no_text_comes_of_it() {
        let when = Permission::Connect("${a:if}https://x".into());
        let unless = Permission::Connect("https://x${a:unless}".into());
        let asked = Some(Permission::Connect("https://x".into()));
        for yes in [json!(true), json!("no"), json!(0), json!(["b"])] {
            let settings = json!({ "a": yes });
            assert_eq!(when.with_settings(&settings), asked, "{settings}");
            assert_eq!(unless.with_settings(&settings), None, "{settings}");
        }
        for no in [json!({"a": false}), json!({"a": ""}), json!({"a": null}), json!({"a": []}), json!({})] {
            assert_eq!(when.with_settings(&no), None, "{no}");
            assert_eq!(unless.with_settings(&no), asked, "{no}");
        }
    }

    #[test]
    fn every_condition_must_hold_and_none_makes_a_permission_of_nothing() {
        let both = Permission::Connect("${a:if}${b:unless}${url}".into());
        let settings = |a, b| json!({"a": a, "b": b, "url": "https://x"});
        assert!(both.with_settings(&settings(true, false)).is_some());
        assert_eq!(both.with_settings(&settings(true, true)), None);
        assert_eq!(both.with_settings(&settings(false, false)), None);
        assert_eq!(Permission::Connect("${a:if}".into()).with_settings(&json!({"a": true})), None);
    }

    #[test]
    fn the_settings_that_a_permission_names_are_known_before_any_is_given() {
        let kind = |scope| KindPermission { api_version: "v1".into(), kind: "Secret".into(), scope };
        let read = Permission::Read(kind(Scope::Namespaces(vec!["${a}".into(), "b-${c:dashed}".into()])));
        assert_eq!(read.settings(), Ok(vec!["a".into(), "c".into()]));
        let conditional = Permission::Connect("${d:if}${e:unless}https://x".into());
        assert_eq!(conditional.settings(), Ok(vec!["d".into(), "e".into()]));
        assert!(Permission::Connect("https://$x".into()).settings().is_err());
        assert!(Permission::Connect("https://${steps.a.b}".into()).settings().is_err());
    }

    #[test]
    fn another_form_of_a_placeholder_is_refused_with_those_that_there_are() {
        for text in ["https://${a:foo}", "${a:}", "${a:IF}", "${a:if:unless}"] {
            let fault = Permission::Connect(text.into()).settings().unwrap_err();
            assert!(fault.contains("${a:unless}") && fault.contains("${a:dashed}"), "{fault}");
            assert_eq!(with_settings(text, &json!({"a": "b", "a:foo": "b", "a:": "b"})), None, "{text}");
        }
    }

    #[test]
    fn a_default_has_no_conditions() {
        assert_eq!(settings_in("${a}-${b:dashed}"), Ok(vec!["a".into(), "b".into()]));
        for text in ["${a:if}x", "x${a:unless}"] {
            let fault = settings_in(text).unwrap_err();
            assert!(fault.contains("${a:") && fault.contains("only a permission"), "{fault}");
        }
    }

    #[test]
    fn a_permission_is_shown_with_its_conditions_in_words() {
        for (text, shown) in [
            ("https://${host:dashed}$$", "connect to https://${host:dashed}$$"),
            ("${sign_on:if}${url}", "connect to ${url}, if ${sign_on}"),
            ("${url}${sign_on:if}${image:unless}", "connect to ${url}, if ${sign_on} and unless ${image}"),
            // It is text, and must not be shown as if it were a condition.
            ("https://x$${a:if}", "connect to https://x$${a:if}"),
        ] {
            assert_eq!(Permission::Connect(text.into()).stated(), shown);
        }
    }
}
