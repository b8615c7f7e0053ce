//! Formats the lists in error messages.

use std::fmt;
use thinkube_plan::Untrusted;

/// Each item on an indented line of its own, escaped.
pub(crate) fn each(items: &[impl fmt::Display]) -> String {
    items.iter().map(|item| format!("\n  {}", Untrusted(&item.to_string()))).collect()
}
