//! YAML as Ansible reads it, with the line of each variable.

use super::limits;
use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::Value;
use serde_saphyr::budget::BudgetBreach;
use serde_saphyr::options::AliasLimits;
use serde_saphyr::{Budget, DuplicateKeyPolicy, MergeKeyPolicy, NonFiniteFloatPolicy, Options, Spanned};
use std::fmt;

/// A value, with the line of each entry of a mapping.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Node {
    /// Neither a list nor a mapping.
    Scalar(Value),
    List(Vec<Node>),
    Map(Vec<Entry>),
}

#[derive(Debug, Clone)]
pub(super) struct Entry {
    pub(super) name: String,
    pub(super) line: u64,
    pub(super) value: Node,
}

/// The line is where a value stands, not a part of it.
impl PartialEq for Entry {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name && self.value == other.value
    }
}

/// What the file holds, or the line and the reason why it cannot be read. The reason repeats no line of the file: the line may
/// be a password.
pub(super) fn read(text: &str) -> Result<Node, (u64, String)> {
    if text.len() as u64 > limits::FILE_BYTES {
        return Err((1, format!("the file is longer than {} KiB", limits::FILE_BYTES >> 10)));
    }
    serde_saphyr::from_str_with_options(text, options()).map_err(|error| {
        let line = error.location().map_or(1, |location| location.line().max(1));
        (line, reason(&error))
    })
}

fn options() -> Options {
    let mut budget = Budget::default();
    budget.max_depth = limits::DEPTH;
    budget.max_nodes = limits::NODES;
    budget.max_aliases = limits::ALIASES;
    budget.max_recorded_anchor_bytes = limits::ANCHOR_BYTES;
    budget.max_total_scalar_bytes = limits::TEXT_BYTES;
    budget.max_documents = 1;
    // One domain in a hundred host names is not an attack, and the limits of aliases below bound what they add.
    budget.enforce_alias_anchor_ratio = false;
    let mut aliases = AliasLimits::default();
    aliases.max_total_replayed_events = limits::REPEATED_NODES;
    aliases.max_alias_expansions_per_anchor = limits::REPEATS;
    let mut options = Options::default();
    options.budget = Some(budget);
    options.alias_limits = aliases;
    options.duplicate_keys = DuplicateKeyPolicy::Error;
    options.merge_keys = MergeKeyPolicy::Merge;
    // `007` and `1_000` stay the text that the person wrote.
    options.leading_zero_numbers_as_strings = true;
    options.underscored_numbers_as_strings = true;
    options.ignore_binary_tag_for_string = true;
    options.non_finite_float_policy = NonFiniteFloatPolicy::AsString;
    options.with_snippet = false;
    options.emit_comments = false;
    options
}

/// Only the kind of the error: the library's own text may repeat what stands in the file.
fn reason(error: &serde_saphyr::Error) -> String {
    use serde_saphyr::Error as E;
    match error.without_snippet() {
        E::AliasError { error, .. } => reason(error),
        E::DuplicateMappingKey { .. } => "a name is there twice in one mapping".to_owned(),
        E::Budget { breach, .. } => format!("the file exceeds a limit of inventories ({})", limit(breach)),
        E::AliasReplayLimitExceeded { .. }
        | E::AliasExpansionLimitExceeded { .. }
        | E::AliasReplayStackDepthExceeded { .. } => {
            "the file repeats too much by aliases (`*name`)".to_owned()
        }
        E::MultipleDocuments { .. } => "the file holds more than one YAML document".to_owned(),
        // The scanner has a limit of its own for nested brackets, and no error of its own for it.
        _ => format!("this is not valid YAML, or is nested more than {} levels deep", limits::DEPTH),
    }
}

fn limit(breach: &BudgetBreach) -> String {
    match breach {
        BudgetBreach::Depth { .. } => format!("at most {} levels of nesting", limits::DEPTH),
        BudgetBreach::Nodes { .. } | BudgetBreach::Events { .. } => {
            format!("at most {} values", limits::NODES)
        }
        BudgetBreach::Aliases { .. } => format!("at most {} aliases", limits::ALIASES),
        BudgetBreach::RecordedAnchorBytes { .. } | BudgetBreach::RecordedAnchorEvents { .. } => {
            format!("at most {} KiB below anchors", limits::ANCHOR_BYTES >> 10)
        }
        BudgetBreach::ScalarBytes { .. } => {
            format!("at most {} MiB of text with aliases filled in", limits::TEXT_BYTES >> 20)
        }
        BudgetBreach::Documents { .. } => "one YAML document".to_owned(),
        _ => "its size".to_owned(),
    }
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_any(AnyNode)
    }
}

struct AnyNode;

impl<'de> Visitor<'de> for AnyNode {
    type Value = Node;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_unit<E: Error>(self) -> Result<Node, E> {
        Ok(Node::Scalar(Value::Null))
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Node, E> {
        Ok(Node::Scalar(value.into()))
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Node, E> {
        Ok(Node::Scalar(value.into()))
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Node, E> {
        Ok(Node::Scalar(value.into()))
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Node, E> {
        Ok(Node::Scalar(value.into()))
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<Node, E> {
        Ok(Node::Scalar(value.into()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<Node, A::Error> {
        let mut list = Vec::new();
        while let Some(node) = access.next_element()? {
            list.push(node);
        }
        Ok(Node::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Node, A::Error> {
        let mut entries = Vec::new();
        while let Some(name) = access.next_key::<String>()? {
            let Spanned { value, referenced, .. } = access.next_value::<Spanned<Node>>()?;
            entries.push(Entry { name, line: referenced.line(), value });
        }
        Ok(Node::Map(entries))
    }
}
