//! Writes `service.yaml`, which thinkube-control parses and people read.
//!
//! A writer of our own. JSON is YAML, but serde_json sorts the keys, so that people would find the name of a service in the
//! middle of its description. A YAML crate would not fit into the 400,000 bytes of the DevPI component. Mappings keep their
//! order, and every text is quoted, so that no value (`no`, `1.0`, `a: b`) is read as another type.

#[derive(Debug)]
pub(super) enum Yaml {
    Text(String),
    Number(u32),
    Bool(bool),
    /// The value of an entry of the composed ConfigMap that holds the document.
    Entry(String),
    List(Vec<Yaml>),
    Map(Vec<(&'static str, Yaml)>),
}

impl From<&str> for Yaml {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<String> for Yaml {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

/// Marks a placeholder until every dollar sign is escaped. A quoted text cannot contain it: it is written as `\u0000`.
const PLACEHOLDER: char = '\0';

impl Yaml {
    /// The document as a template of a composed ConfigMap.
    pub(super) fn template(&self) -> String {
        self.document().replace('$', "$$").replace(PLACEHOLDER, "$")
    }

    /// The document, with a newline at its end.
    pub(super) fn document(&self) -> String {
        let mut out = String::new();
        self.block(0, &mut out);
        out
    }

    /// Writes the value on separate lines, each indented by `depth`.
    fn block(&self, depth: usize, out: &mut String) {
        match self {
            Self::Map(entries) if !entries.is_empty() => {
                for (key, value) in entries {
                    indent(depth, out);
                    out.push_str(key);
                    out.push(':');
                    value.after_key(depth, out);
                }
            }
            Self::List(items) if !items.is_empty() => {
                for item in items {
                    let start = out.len();
                    item.block(depth + 1, out);
                    // The first line of an item has two columns of indent; the dash replaces the first of them.
                    out.replace_range(start + depth * 2..start + depth * 2 + 1, "-");
                }
            }
            scalar => {
                indent(depth, out);
                scalar.scalar(out);
            }
        }
    }

    fn after_key(&self, depth: usize, out: &mut String) {
        match self {
            Self::Map(entries) if !entries.is_empty() => {
                out.push('\n');
                self.block(depth + 1, out);
            }
            Self::List(items) if !items.is_empty() => {
                out.push('\n');
                self.block(depth + 1, out);
            }
            scalar => {
                out.push(' ');
                scalar.scalar(out);
            }
        }
    }

    fn scalar(&self, out: &mut String) {
        match self {
            // A JSON string is a double-quoted YAML scalar.
            Self::Text(text) => out.push_str(&serde_json::Value::from(text.as_str()).to_string()),
            Self::Number(number) => out.push_str(&number.to_string()),
            Self::Bool(bool) => out.push_str(if *bool { "true" } else { "false" }),
            Self::Entry(key) => {
                out.push(PLACEHOLDER);
                out.push_str(&["{", key, ":json}"].concat());
            }
            Self::List(_) => out.push_str("[]"),
            Self::Map(_) => out.push_str("{}"),
        }
        out.push('\n');
    }
}

fn indent(depth: usize, out: &mut String) {
    out.extend(std::iter::repeat_n("  ", depth));
}

#[cfg(test)]
mod tests {
    use super::Yaml;
    use serde_json::{Value, json};

    fn parsed(yaml: &Yaml) -> Value {
        serde_norway::from_str(&yaml.document()).expect("the document is YAML")
    }

    #[test]
    fn texts_that_look_like_other_types_stay_texts() {
        for text in
            ["no", "1.0", "a: b # c", "", " x ", "\"'\\", "line\nline", "- a", "ä\u{7}", "{{ x }}", "null"]
        {
            assert_eq!(parsed(&Yaml::Map(vec![("key", text.into())])), json!({"key": text}), "{text:?}");
        }
    }

    #[test]
    fn lists_and_mappings_nest() {
        let inner =
            || Yaml::Map(vec![("a", Yaml::Number(1)), ("b", Yaml::List(vec![Yaml::Bool(true), "x".into()]))]);
        let yaml = Yaml::Map(vec![
            ("list", Yaml::List(vec![inner(), inner(), Yaml::List(vec!["deep".into()])])),
            ("map", Yaml::Map(vec![("in", inner())])),
            ("none", Yaml::List(vec![])),
            ("empty", Yaml::Map(vec![])),
        ]);
        let inner = json!({"a": 1, "b": [true, "x"]});
        assert_eq!(
            parsed(&yaml),
            json!({"list": [inner, inner, ["deep"]], "map": {"in": inner}, "none": [], "empty": {}})
        );
    }

    #[test]
    fn in_a_template_only_an_entry_is_a_placeholder() {
        let yaml = Yaml::Map(vec![
            ("costs", "5 $, ${PASSWORD}\0{PASSWORD:json}".into()),
            ("password", Yaml::Entry("PASSWORD".to_owned())),
        ]);
        let expected = "costs: \"5 $$, $${PASSWORD}\\u0000{PASSWORD:json}\"\npassword: ${PASSWORD:json}\n";
        assert_eq!(yaml.template(), expected);
    }

    #[test]
    fn mappings_keep_their_order() {
        let yaml = Yaml::Map(vec![("z", Yaml::Number(1)), ("a", Yaml::Number(2))]);
        assert_eq!(yaml.document(), "z: 1\na: 2\n");
    }
}
