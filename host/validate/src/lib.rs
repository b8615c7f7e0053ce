//! Validates what people and plugins write, without a cluster: settings by a plugin's schema, the settings of one plugin in a
//! platform's inventory, and the CEL expressions of checks and external steps. Pure: no I/O, no clock.

mod error;
mod expectation;
mod inventory;
mod selector;
mod settings;

pub use error::Error;
pub use expectation::{check_expressions, evaluate};
pub use inventory::{INVENTORY_BYTES, Inventory, InventoryFault, InventorySettings, Location};
pub use selector::Selector;
pub use settings::{SettingFault, SettingsSchema, Unused};
