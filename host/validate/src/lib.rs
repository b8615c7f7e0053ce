//! Judges what people and plugins wrote, with no cluster: settings against the plugin's schema, a platform's inventory for the
//! settings of one plugin, and expectations against what a probe saw; and takes values out of answers by CEL. Pure: no I/O, no clock.

mod expectation;
mod inventory;
mod selector;
mod settings;

pub use expectation::{check_expressions, judge};
pub use inventory::{INVENTORY_BYTES, Inventory, InventoryFault, Place, Taken};
pub use selector::Selector;
pub use settings::{SettingFault, SettingsSchema, Unused};

/// Why something could not be judged at all. A judgement that something is wrong is no error.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The plugin's settings schema is no JSON Schema 2020-12. The plugin's author must mend it.
    #[error("the plugin's settings schema is no valid JSON Schema 2020-12: at {path}: {message}")]
    Schema {
        /// JSON Pointer into the schema.
        path: String,
        /// What is wrong.
        message: String,
    },
    /// A CEL expression is wrong, or has no result. Never repeats a value that it was about.
    #[error("{0}")]
    Expression(String),
}
