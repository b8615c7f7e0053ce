//! Settings: validated by the plugin's schema, with the defaults filled in.

use crate::error::Error;
use jsonschema::error::ValidationErrorKind;
use jsonschema::{Draft, Validator};
use serde::Serialize;
use serde_json::{Map, Value};
use std::fmt;
use thinkube_plan::{nearest, settings_in, with_settings};

/// The annotation of a setting that the plugin accepts without effect; its text is the reason.
const UNUSED_KEYWORD: &str = "x-thinkube-unused";

/// The annotation with a default that follows from other settings, as text that names them.
const DERIVED_KEYWORD: &str = "x-thinkube-default";

/// The compiled settings schema of a plugin.
///
/// ```
/// use serde_json::json;
/// use thinkube_validate::SettingsSchema;
///
/// let schema = SettingsSchema::new(json!({"type": "object", "additionalProperties": false,
///     "properties": {"domain": {"type": "string"}, "port": {"type": "integer", "default": 443}}}))?;
/// assert_eq!(schema.resolve(json!({"domain": "a.org"})), Ok(json!({"domain": "a.org", "port": 443})));
/// let faults = schema.resolve(json!({"domian": "a.org"})).expect_err("a mistyped name");
/// assert_eq!(faults[0].path, "/domian");
/// # Ok::<(), thinkube_validate::Error>(())
/// ```
#[derive(Debug)]
pub struct SettingsSchema {
    schema: Value,
    validator: Validator,
    /// Settings and their derived defaults, each after those that it names.
    derived: Vec<(String, String)>,
}

/// A rule of the schema that the settings break.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SettingFault {
    /// JSON Pointer into the settings.
    pub path: String,
    /// What is wrong and what is expected.
    pub message: String,
}

impl fmt::Display for SettingFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.path.is_empty() {
            f.write_str(&self.message)
        } else {
            write!(f, "{}: {}", self.path, self.message)
        }
    }
}

/// A given setting without effect.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Unused {
    /// The setting's name.
    pub name: String,
    /// The reason, as the plugin states it.
    pub reason: String,
}

impl SettingsSchema {
    /// Compiles `schema`. References to other documents are refused: nothing is ever fetched.
    ///
    /// # Errors
    /// [`Error::Schema`] if it is not a valid JSON Schema 2020-12 of an object.
    pub fn new(schema: Value) -> Result<Self, Error> {
        let faulty = |path: String, message: String| Error::Schema { path, message };
        jsonschema::draft202012::meta::validate(&schema)
            .map_err(|error| faulty(error.instance_path().to_string(), error.to_string()))?;
        if schema.get("type").and_then(Value::as_str) != Some("object") {
            return Err(faulty("/type".into(), "settings are an object, so this must be \"object\"".into()));
        }
        let validator = jsonschema::options()
            .with_draft(Draft::Draft202012)
            .should_validate_formats(true)
            // This engine takes linear time: a pattern of a plugin must not hang the host.
            .with_pattern_options(jsonschema::PatternOptions::regex())
            .build(&schema)
            .map_err(|error| faulty(error.instance_path().to_string(), error.to_string()))?;
        let derived = derived_defaults(&schema)?;
        Ok(Self { schema, validator, derived })
    }

    /// Whether there is a setting of this name at the top level.
    pub fn has(&self, name: &str) -> bool {
        self.schema.get("properties").is_some_and(|properties| properties.get(name).is_some())
    }

    /// The settings at the top level.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        let properties = self.schema.get("properties").and_then(Value::as_object);
        properties.into_iter().flat_map(Map::keys).map(String::as_str)
    }

    /// Whether the schema marks this setting as accepted without effect.
    pub fn is_unused(&self, name: &str) -> bool {
        self.unused_because(name).is_some()
    }

    fn unused_because(&self, name: &str) -> Option<&str> {
        self.schema.get("properties")?.get(name)?.get(UNUSED_KEYWORD)?.as_str()
    }

    /// The schema's text, as the plugin stated it.
    pub fn schema(&self) -> &Value {
        &self.schema
    }

    /// `given` with the defaults filled in: those of the schema at the top level and in given objects, then the derived ones at
    /// the top level.
    ///
    /// # Errors
    /// Every rule of the schema that the result breaks.
    pub fn resolve(&self, given: Value) -> Result<Value, Vec<SettingFault>> {
        let named: Vec<String> = given.as_object().into_iter().flat_map(Map::keys).cloned().collect();
        let resolved = self.filled(given);
        let faults = self
            .faults(&resolved, &|name| (!named.iter().any(|given| given == name)).then_some("its default"));
        if faults.is_empty() { Ok(resolved) } else { Err(faults) }
    }

    /// The faults of the settings `taken`, each with the name of the setting and without its value. `given` are the other settings.
    pub(crate) fn masked_faults(
        &self,
        given: &Map<String, Value>,
        taken: &Map<String, Value>,
    ) -> Vec<(String, SettingFault)> {
        let all = given.iter().chain(taken).map(|(name, value)| (name.clone(), value.clone()));
        let resolved = self.filled(Value::Object(all.collect()));
        let of_taken = |fault: SettingFault| {
            let name = setting_of(&fault.path).to_owned();
            taken.contains_key(&name).then_some((name, fault))
        };
        self.faults(&resolved, &|_| Some("the value")).into_iter().filter_map(of_taken).collect()
    }

    fn filled(&self, given: Value) -> Value {
        let mut resolved = given;
        fill_defaults(&self.schema, &mut resolved);
        for (name, text) in &self.derived {
            // If a setting that it needs is missing, the fault of that setting says more.
            if resolved.get(name).is_none()
                && let Some(value) = with_settings(text, &resolved)
                && let Some(resolved) = resolved.as_object_mut()
            {
                resolved.insert(name.clone(), value.into());
            }
        }
        resolved
    }

    /// The faults of `resolved`. `mask` gives the words for the value of a setting; None shows the value.
    fn faults(&self, resolved: &Value, mask: &dyn Fn(&str) -> Option<&'static str>) -> Vec<SettingFault> {
        let explained = |error: jsonschema::ValidationError<'_>| {
            let path = error.instance_path().to_string();
            // A fault of the whole would repeat every setting.
            let mask = if path.is_empty() { Some("the settings") } else { mask(setting_of(&path)) };
            self.explain(&error, path, mask)
        };
        let mut faults: Vec<SettingFault> =
            self.validator.iter_errors(resolved).flat_map(explained).collect();
        faults.sort_by(|a, b| a.path.cmp(&b.path));
        faults
    }

    /// The settings of `given` that the schema marks as accepted without effect.
    pub fn unused(&self, given: &Value) -> Vec<Unused> {
        let Some(given) = given.as_object() else { return Vec::new() };
        given
            .keys()
            .filter_map(|name| {
                let reason = self.unused_because(name)?;
                Some(Unused { name: name.clone(), reason: reason.to_owned() })
            })
            .collect()
    }

    /// The value that `text`, given on a command line, means for the setting `name`: the text itself where the schema
    /// wants text, otherwise what it is as JSON, if it is JSON.
    pub fn read_argument(&self, name: &str, text: &str) -> Value {
        let as_text = || Value::String(text.to_owned());
        if self.takes(name, "string") {
            as_text()
        } else {
            serde_json::from_str(text).unwrap_or_else(|_| as_text())
        }
    }

    /// The value that Ansible's `value` means for the setting `name`: it takes `yes` and `on` for truth, quoted or not, and a
    /// whole number for its digits where a text is expected.
    pub(crate) fn read_inventory(&self, name: &str, value: Value) -> Value {
        match value {
            Value::Number(number) if self.takes(name, "string") && !number.is_f64() => {
                number.to_string().into()
            }
            Value::String(text) if self.takes(name, "boolean") && !self.takes(name, "string") => {
                match text.to_ascii_lowercase().as_str() {
                    "yes" | "on" | "true" => true.into(),
                    "no" | "off" | "false" => false.into(),
                    _ => text.into(),
                }
            }
            Value::String(text) => self.read_argument(name, &text),
            value => value,
        }
    }

    /// Whether the schema says that values of this type are expected.
    fn takes(&self, name: &str, kind: &str) -> bool {
        match self.schema.get("properties").and_then(|properties| properties.get(name)?.get("type")) {
            Some(Value::String(wanted)) => wanted == kind,
            Some(Value::Array(wanted)) => wanted.iter().any(|wanted| wanted == kind),
            _ => false,
        }
    }

    fn explain(
        &self,
        error: &jsonschema::ValidationError<'_>,
        path: String,
        mask: Option<&str>,
    ) -> Vec<SettingFault> {
        let fault = |path: String, message: String| SettingFault { path, message };
        match error.kind() {
            ValidationErrorKind::AdditionalProperties { unexpected }
            | ValidationErrorKind::UnevaluatedProperties { unexpected } => {
                let known = self.known_settings(&path);
                unexpected
                    .iter()
                    .map(|name| {
                        let hint = match nearest(name, known.iter().map(String::as_str)) {
                            Some(near) => format!("; did you mean `{near}`?"),
                            None => "; `thinkube-host inspect` lists the settings".to_owned(),
                        };
                        fault(format!("{path}/{}", escape(name)), format!("unknown setting{hint}"))
                    })
                    .collect()
            }
            ValidationErrorKind::Required { property } => {
                let name = property.as_str().unwrap_or_default();
                let described = self
                    .schema
                    .pointer(&format!("/properties/{}/description", escape(name)))
                    .and_then(Value::as_str)
                    .map(|text| {
                        format!(" ({})", text.lines().next().unwrap_or_default().trim_end_matches('.'))
                    })
                    .unwrap_or_default();
                vec![fault(
                    format!("{path}/{}", escape(name)),
                    format!("this setting is required{described}"),
                )]
            }
            ValidationErrorKind::Enum { options } => {
                let near = error.instance().as_str().and_then(|text| {
                    nearest(text, options.as_array().into_iter().flatten().filter_map(Value::as_str))
                        .map(|near| format!("; did you mean \"{near}\"?"))
                });
                let value = mask.map_or_else(|| error.instance().to_string(), str::to_owned);
                vec![fault(path, format!("{value} is not one of {options}{}", near.unwrap_or_default()))]
            }
            _ => vec![fault(
                path,
                mask.map_or_else(|| error.to_string(), |mask| error.masked_with(mask).to_string()),
            )],
        }
    }

    /// The names that the schema knows at the object at `path`, where the schema says so directly.
    fn known_settings(&self, path: &str) -> Vec<String> {
        let mut schema = &self.schema;
        for token in path.split('/').skip(1) {
            match schema.get("properties").and_then(|properties| properties.get(token)) {
                Some(inner) => schema = inner,
                None => return Vec::new(),
            }
        }
        schema
            .get("properties")
            .and_then(Value::as_object)
            .map_or_else(Vec::new, |map| map.keys().cloned().collect())
    }
}

/// The top-level setting of a JSON Pointer. A name with `~` or `/` stays escaped, so its value counts as not given.
fn setting_of(path: &str) -> &str {
    path.split('/').nth(1).unwrap_or_default()
}

/// RFC 6901.
fn escape(token: &str) -> String {
    token.replace('~', "~0").replace('/', "~1")
}

/// The derived defaults of `schema`, each after the settings that it names.
fn derived_defaults(schema: &Value) -> Result<Vec<(String, String)>, Error> {
    let Some(properties) = schema.get("properties").and_then(Value::as_object) else {
        return Ok(Vec::new());
    };
    let at = |name: &str, message: String| Error::Schema {
        path: format!("/properties/{}/{DERIVED_KEYWORD}", escape(name)),
        message,
    };
    let mut waiting = Vec::new();
    for (name, property) in properties {
        let Some(text) = property.get(DERIVED_KEYWORD) else { continue };
        let text = text.as_str().ok_or_else(|| at(name, "it is not text".into()))?;
        let names = settings_in(text).map_err(|fault| at(name, fault))?;
        if let Some(unknown) = names.iter().find(|name| !properties.contains_key(*name)) {
            return Err(at(name, format!("it names `{unknown}`, which is not a setting")));
        }
        if property.get("default").is_some() {
            return Err(at(name, "the setting has a `default` too".into()));
        }
        waiting.push((name.clone(), text.to_owned(), names));
    }
    let mut ordered: Vec<(String, String)> = Vec::new();
    while !waiting.is_empty() {
        let open: Vec<String> = waiting.iter().map(|(name, ..)| name.clone()).collect();
        let (ready, later): (Vec<_>, Vec<_>) =
            waiting.into_iter().partition(|(_, _, names)| names.iter().all(|name| !open.contains(name)));
        if ready.is_empty() {
            return Err(at(&open[0], "it follows from itself".into()));
        }
        ordered.extend(ready.into_iter().map(|(name, text, _)| (name, text)));
        waiting = later;
    }
    Ok(ordered)
}

fn fill_defaults(schema: &Value, value: &mut Value) {
    let (Some(Value::Object(properties)), Value::Object(object)) = (schema.get("properties"), value) else {
        return;
    };
    for (name, property) in properties {
        if let Some(default) = property.get("default").filter(|default| !default.is_null()) {
            object.entry(name).or_insert_with(|| default.clone());
        }
        if let Some(inner) = object.get_mut(name) {
            fill_defaults(property, inner);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn schema() -> SettingsSchema {
        SettingsSchema::new(json!({
            "$schema": "https://json-schema.org/draft/2020-12/schema",
            "type": "object",
            "properties": {
                "domain_name": {"type": "string", "description": "The platform's domain.\nMore."},
                "devpi_index_name": {"type": "string", "default": "stable", "pattern": "^[a-z]+$"},
                "routing": {"enum": ["ingress", "gateway"], "default": "ingress"},
                "helm_bin": {"type": "string", "x-thinkube-unused": "the host needs no helm"},
                "oauth2_proxy_enabled": {"type": "boolean", "default": true},
                "nested": {"type": "object", "properties": {"size": {"type": "integer", "default": 1}},
                    "additionalProperties": false}
            },
            "required": ["domain_name"],
            "additionalProperties": false
        }))
        .unwrap()
    }

    fn faults(given: Value) -> Vec<String> {
        schema().resolve(given).unwrap_err().iter().map(ToString::to_string).collect()
    }

    #[test]
    fn defaults_are_filled_in_and_given_values_stay() {
        let resolved =
            schema().resolve(json!({"domain_name": "a.org", "nested": {}, "routing": "gateway"})).unwrap();
        assert_eq!(
            resolved,
            json!({"domain_name": "a.org", "devpi_index_name": "stable", "routing": "gateway",
                "oauth2_proxy_enabled": true, "nested": {"size": 1}})
        );
    }

    fn derived(properties: Value) -> Result<SettingsSchema, Error> {
        SettingsSchema::new(json!({"type": "object", "properties": properties}))
    }

    #[test]
    fn a_default_may_follow_from_other_settings() {
        let schema = derived(json!({
            "a_image": {"type": "string", "x-thinkube-default": "${registry}/devpi"},
            "registry": {"type": "string", "x-thinkube-default": "harbor.${domain}"},
            "domain": {"type": "string", "default": "a.org"},
        }))
        .unwrap();
        assert_eq!(
            schema.resolve(json!({})).unwrap(),
            json!({"domain": "a.org", "registry": "harbor.a.org", "a_image": "harbor.a.org/devpi"})
        );
        assert_eq!(
            schema.resolve(json!({"registry": "r"})).unwrap(),
            json!({"domain": "a.org", "registry": "r", "a_image": "r/devpi"})
        );
    }

    #[test]
    fn a_default_that_follows_from_a_missing_setting_hides_nothing() {
        let schema = SettingsSchema::new(json!({
            "type": "object",
            "properties": {"domain": {"type": "string"}, "host": {"type": "string", "x-thinkube-default": "a.${domain}"}},
            "required": ["domain", "host"],
        }))
        .unwrap();
        let faults = schema.resolve(json!({})).unwrap_err();
        assert_eq!(faults[0].path, "/domain");
    }

    #[test]
    fn a_default_that_can_follow_from_nothing_is_the_plugins_fault() {
        let text = |text: &str| json!({"type": "string", "x-thinkube-default": text});
        for (properties, fault) in [
            (json!({"a": text("${b}"), "b": text("${a}")}), "follows from itself"),
            (json!({"a": text("${a}")}), "follows from itself"),
            (json!({"a": text("${zzz}")}), "`zzz`, which is not a setting"),
            (json!({"a": text("$")}), "placeholder"),
            (json!({"a": text("${b:upper}"), "b": {}}), "${b:dashed}"),
            (json!({"a": text("${b:if}x"), "b": {}}), "only a permission"),
            (json!({"a": {"x-thinkube-default": 1}}), "not text"),
            (json!({"a": {"x-thinkube-default": "x", "default": "y"}}), "`default` too"),
        ] {
            let error = derived(properties.clone()).unwrap_err().to_string();
            assert!(error.contains(fault), "{properties}: {error}");
        }
    }

    #[test]
    fn an_unknown_setting_is_named_with_the_nearest_right_name() {
        assert_eq!(
            faults(json!({"domain_name": "a.org", "devpi_index_nmae": "x"})),
            ["/devpi_index_nmae: unknown setting; did you mean `devpi_index_name`?"]
        );
        assert_eq!(
            faults(json!({"domain_name": "a.org", "nested": {"sise": 2}})),
            ["/nested/sise: unknown setting; did you mean `size`?"]
        );
    }

    #[test]
    fn a_setting_unlike_all_others_gets_no_guess() {
        assert_eq!(
            faults(json!({"domain_name": "a.org", "zzz": 1})),
            ["/zzz: unknown setting; `thinkube-host inspect` lists the settings"]
        );
    }

    #[test]
    fn a_setting_of_the_wrong_type_is_named_with_the_expected_one() {
        assert_eq!(
            faults(json!({"domain_name": 5, "oauth2_proxy_enabled": "yes"})),
            [
                "/domain_name: 5 is not of type \"string\"",
                "/oauth2_proxy_enabled: \"yes\" is not of type \"boolean\""
            ]
        );
    }

    #[test]
    fn a_missing_setting_is_named_with_what_it_is() {
        assert_eq!(faults(json!({})), ["/domain_name: this setting is required (The platform's domain)"]);
    }

    #[test]
    fn a_value_outside_the_choices_is_told_the_choices() {
        assert_eq!(
            faults(json!({"domain_name": "a.org", "routing": "gatway"})),
            ["/routing: \"gatway\" is not one of [\"ingress\",\"gateway\"]; did you mean \"gateway\"?"]
        );
    }

    #[test]
    fn a_fault_of_a_value_that_was_not_given_repeats_no_value() {
        let properties = json!({
            "registry": {"type": "string"},
            "image": {"type": "string", "pattern": "^[a-z]+$", "x-thinkube-default": "${registry}/devpi"},
        });
        let schema = derived(properties).unwrap();
        let faults = schema.resolve(json!({"registry": "hunter2"})).unwrap_err();
        assert_eq!(faults[0].to_string(), "/image: its default does not match \"^[a-z]+$\"");
        let whole = SettingsSchema::new(json!({"type": "object", "not": {"required": ["a"]}})).unwrap();
        let faults = whole.resolve(json!({"a": "hunter2"})).unwrap_err();
        assert_eq!(faults[0].to_string(), "{\"required\":[\"a\"]} is not allowed for the settings");
    }

    #[test]
    fn settings_without_effect_are_reported() {
        let unused = schema().unused(&json!({"domain_name": "a.org", "helm_bin": "/bin/helm"}));
        assert_eq!(unused, [Unused { name: "helm_bin".into(), reason: "the host needs no helm".into() }]);
    }

    #[test]
    fn an_argument_is_read_as_the_schema_wants_it() {
        let schema = schema();
        assert_eq!(schema.read_argument("domain_name", "25"), json!("25"));
        assert_eq!(schema.read_argument("oauth2_proxy_enabled", "false"), json!(false));
        assert_eq!(schema.read_argument("routing", "ingress"), json!("ingress"));
    }

    #[test]
    fn a_schema_that_is_none_is_the_plugins_fault() {
        assert!(SettingsSchema::new(json!({"type": "objekt"})).is_err());
        assert!(SettingsSchema::new(json!({"type": "string"})).is_err());
        assert!(
            SettingsSchema::new(json!({"type": "object", "$ref": "https://example.org/schema"})).is_err()
        );
    }
}
