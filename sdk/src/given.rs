//! JSON that the host has judged already, read into a type of the plugin. With serde_json's own errors a component carries
//! what it takes to write a float, for a message about a mistake that cannot happen there: some 20 KB.

use crate::Problem;
use serde::de::value::{MapAccessDeserializer, MapDeserializer, SeqDeserializer};
use serde::de::{DeserializeOwned, Deserializer, Error, Expected, IntoDeserializer, Unexpected, Visitor};
use serde::forward_to_deserialize_any;
use serde_json::{Map, Value};
use std::fmt;

/// JSON text as an `S`. The keys of its maps are text.
///
/// # Errors
/// If the type does not fit what the schema lets through, which is a mistake of the plugin's author.
pub(crate) fn read<S: DeserializeOwned>(json: &str) -> Result<S, Problem> {
    let value: Value =
        serde_json::from_str(json).map_err(|error| Problem::invalid_settings("", error.to_string()))?;
    S::deserialize(Given(&value)).map_err(|mismatch| Problem::invalid_settings("", mismatch.0))
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

struct Given<'de>(&'de Value);

impl<'de> IntoDeserializer<'de, Mismatch> for Given<'de> {
    type Deserializer = Self;

    fn into_deserializer(self) -> Self {
        self
    }
}

fn entries(
    map: &Map<String, Value>,
) -> MapDeserializer<'_, impl Iterator<Item = (&str, Given<'_>)>, Mismatch> {
    MapDeserializer::new(map.iter().map(|(name, value)| (name.as_str(), Given(value))))
}

impl<'de> Deserializer<'de> for Given<'de> {
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
            Value::Array(items) => SeqDeserializer::new(items.iter().map(Given)).deserialize_any(visitor),
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
            _ => Err(Mismatch("one of the names is expected".to_owned())),
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
    fn what_serde_json_reads_is_read_alike() {
        let given: Settings = read(JSON).expect("it fits");
        assert_eq!(given, serde_json::from_str(JSON).expect("it fits"));
        let maybe: Settings = read(&JSON.replace("null", "\"b\"")).expect("it fits");
        assert_eq!(maybe.maybe.as_deref(), Some("b"));
    }

    #[test]
    fn what_does_not_fit_is_said_in_words() {
        for (given, wrong, expected) in [
            ("\"text\": \"a\"", "\"text\": 1", "a string is expected"),
            ("65535", "65536", "u16 is expected"),
            ("0.5", "\"x\"", "f32 is expected"),
            ("\"plain\", \"holding\"", "\"other\", \"holding\"", "unknown variant `other`"),
            ("\"plain\", \"holding\"", "[], \"holding\"", "one of the names is expected"),
            ("\"yes\"", "\"no\"", "unknown field `no`"),
            ("\"yes\": true,", "", "missing field `yes`"),
            ("[\"t\", 2]", "[\"t\", 2, 3]", "invalid length 3"),
        ] {
            let Err(Problem::InvalidSettings(located)) = read::<Settings>(&JSON.replace(given, wrong)) else {
                panic!("{wrong} fits")
            };
            assert!(located.message.contains(expected), "{expected}: {}", located.message);
        }
    }
}
