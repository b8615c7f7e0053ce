//! Text that names settings: what a plugin asks for, and the defaults of settings that follow from others.

use crate::{KindPermission, Part, Permission, Scope, Template};
use serde_json::Value;

/// `${NAME:dashed}` is the value with a dash for each dot: how the platform calls Secrets after domains.
const DASHED: &str = ":dashed";

/// The settings that `text` names: `${NAME}` and `${NAME:dashed}` are settings, `$$` is a dollar sign.
///
/// # Errors
/// What is wrong with the text, in words.
pub fn settings_in(text: &str) -> Result<Vec<String>, String> {
    let template = Template::parse(text)?;
    let names = template.parts().iter().filter_map(|part| match part {
        Part::Text(_) => None,
        Part::Found(name) => Some(Ok(name.strip_suffix(DASHED).unwrap_or(name).to_owned())),
        Part::Output(output) => {
            Some(Err(format!("`{}.{}` is an output of a step, not a setting", output.step, output.output)))
        }
    });
    names.collect()
}

/// `text` with the values of the settings that it names. None: one of them is not set, or no text, number or bool.
pub fn with_settings(text: &str, settings: &Value) -> Option<String> {
    let template = Template::parse(text).ok()?;
    template.parts().iter().map(|part| value_of(part, settings)).collect()
}

fn value_of(part: &Part, settings: &Value) -> Option<String> {
    let name = match part {
        Part::Text(text) => return Some(text.clone()),
        Part::Found(name) => name,
        Part::Output(_) => return None,
    };
    let setting = name.strip_suffix(DASHED).unwrap_or(name);
    let value = match settings.get(setting)? {
        Value::String(text) => text.clone(),
        value @ (Value::Number(_) | Value::Bool(_)) => value.to_string(),
        _ => return None,
    };
    Some(if setting.len() < name.len() { value.replace('.', "-") } else { value })
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

    /// The settings that it names.
    ///
    /// # Errors
    /// What is wrong with its text, in words.
    pub fn settings(&self) -> Result<Vec<String>, String> {
        let mut names = Vec::new();
        for text in self.clone().texts() {
            names.extend(settings_in(text)?);
        }
        Ok(names)
    }

    /// It for these settings. None: a setting that it names is not set, so nothing of it is asked for.
    pub fn with_settings(&self, settings: &Value) -> Option<Self> {
        let mut filled = self.clone();
        for text in filled.texts() {
            *text = with_settings(text, settings).filter(|text| !text.is_empty())?;
        }
        Some(filled)
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
    fn the_settings_that_a_permission_names_are_known_before_any_is_given() {
        let kind = |scope| KindPermission { api_version: "v1".into(), kind: "Secret".into(), scope };
        let read = Permission::Read(kind(Scope::Namespaces(vec!["${a}".into(), "b-${c:dashed}".into()])));
        assert_eq!(read.settings(), Ok(vec!["a".into(), "c".into()]));
        assert!(Permission::Connect("https://$x".into()).settings().is_err());
        assert!(Permission::Connect("https://${steps.a.b}".into()).settings().is_err());
    }
}
