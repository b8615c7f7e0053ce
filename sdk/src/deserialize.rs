//! Reads JSON that the host has validated into a type of the plugin.
//!
//! A deserializer of our own, because serde_json's error type makes a component 20 KB larger: it formats floats, for
//! messages about mistakes that the schema has excluded.

use crate::contract::Problem;
use serde::de::value::{MapAccessDeserializer, MapDeserializer, SeqDeserializer};
use serde::de::{DeserializeOwned, Deserializer, Error, Expected, IntoDeserializer, Unexpected, Visitor};
use serde::forward_to_deserialize_any;
use serde_json::{Map, Value};
use std::fmt;

/// Reads JSON text as an `S`. Maps must have text keys.
///
/// # Errors
/// If the schema accepts a value that the type does not, which is a mistake of the plugin's author.
pub(crate) fn from_json<S: DeserializeOwned>(json: &str) -> Result<S, Problem> {
    let value: Value =
        serde_json::from_str(json).map_err(|error| Problem::invalid_settings("", error.to_string()))?;
    S::deserialize(Reader(&value)).map_err(|mismatch| Problem::invalid_settings("", mismatch.0))
}

#[derive(Debug)]
struct Mismatch(String);

impl fmt::Display for Mismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Mismatch {}

impl Error for Mismatch {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self(message.to_string())
    }

    fn invalid_type(_: Unexpected<'_>, expected: &dyn Expected) -> Self {
        Self(format!("{expected} is expected"))
    }

    fn invalid_value(_: Unexpected<'_>, expected: &dyn Expected) -> Self {
        Self(format!("{expected} is expected"))
    }
}

struct Reader<'de>(&'de Value);

impl<'de> IntoDeserializer<'de, Mismatch> for Reader<'de> {
    type Deserializer = Self;

    fn into_deserializer(self) -> Self {
        self
    }
}

fn entries(
    map: &Map<String, Value>,
) -> MapDeserializer<'_, impl Iterator<Item = (&str, Reader<'_>)>, Mismatch> {
    MapDeserializer::new(map.iter().map(|(name, value)| (name.as_str(), Reader(value))))
}

impl<'de> Deserializer<'de> for Reader<'de> {
    type Error = Mismatch;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Mismatch> {
        match self.0 {
            Value::Null => visitor.visit_unit(),
            Value::Bool(bool) => visitor.visit_bool(*bool),
            Value::Number(number) => match (number.as_u64(), number.as_i64()) {
                (Some(number), _) => visitor.visit_u64(number),
                (None, Some(number)) => visitor.visit_i64(number),
                (None, None) => visitor.visit_f64(number.as_f64().unwrap_or(f64::NAN)),
            },
            Value::String(text) => visitor.visit_str(text),
            Value::Array(items) => SeqDeserializer::new(items.iter().map(Reader)).deserialize_any(visitor),
            Value::Object(map) => visitor.visit_map(entries(map)),
        }
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Mismatch> {
        if self.0.is_null() { visitor.visit_none() } else { visitor.visit_some(self) }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Mismatch> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Mismatch> {
        match self.0 {
            Value::Object(map) => visitor.visit_enum(MapAccessDeserializer::new(entries(map))),
            Value::String(name) => visitor.visit_enum(name.as_str().into_deserializer()),
            _ => Err(Mismatch("a variant name is expected".to_owned())),
        }
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit unit_struct seq tuple
        tuple_struct map struct identifier ignored_any
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde::Deserialize;
    use std::collections::BTreeMap;

    #[derive(Debug, PartialEq, Deserialize)]
    #[serde(rename_all = "camelCase", deny_unknown_fields)]
    struct Settings {
        text: String,
        count: u16,
        ratio: f32,
        below_zero: i64,
        yes: bool,
        #[serde(default)]
        maybe: Option<String>,
        list: Vec<Named>,
        map: BTreeMap<String, u8>,
        tuple: (String, u8),
        plain: Kind,
        holding: Kind,
    }

    #[derive(Debug, PartialEq, Deserialize)]
    struct Named(String);

    #[derive(Debug, PartialEq, Deserialize)]
    #[serde(rename_all = "camelCase")]
    enum Kind {
        Plain,
        Holding { port: u16 },
    }

    const JSON: &str = r#"{"text": "a", "count": 65535, "ratio": 0.5, "belowZero": -1, "yes": true, "maybe": null,
        "list": ["x", "y"], "map": {"a": 1}, "tuple": ["t", 2], "plain": "plain", "holding": {"holding": {"port": 1}}}"#;

    #[test]
    fn values_are_read_as_serde_json_reads_them() {
        let given: Settings = from_json(JSON).expect("the JSON matches the type");
        assert_eq!(given, serde_json::from_str(JSON).expect("the JSON matches the type"));
        let maybe: Settings = from_json(&JSON.replace("null", "\"b\"")).expect("the JSON matches the type");
        assert_eq!(maybe.maybe.as_deref(), Some("b"));
    }

    #[test]
    fn a_mismatch_is_explained() {
        for (given, wrong, expected) in [
            ("\"text\": \"a\"", "\"text\": 1", "a string is expected"),
            ("65535", "65536", "u16 is expected"),
            ("0.5", "\"x\"", "f32 is expected"),
            ("\"plain\", \"holding\"", "\"other\", \"holding\"", "unknown variant `other`"),
            ("\"plain\", \"holding\"", "[], \"holding\"", "a variant name is expected"),
            ("\"yes\"", "\"no\"", "unknown field `no`"),
            ("\"yes\": true,", "", "missing field `yes`"),
            ("[\"t\", 2]", "[\"t\", 2, 3]", "invalid length 3"),
        ] {
            let Err(Problem::InvalidSettings(located)) = from_json::<Settings>(&JSON.replace(given, wrong))
            else {
                panic!("{wrong} was accepted")
            };
            assert!(located.message.contains(expected), "{expected}: {}", located.message);
        }
    }
}
