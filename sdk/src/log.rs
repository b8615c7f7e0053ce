//! Log lines for the operator. They are not part of the plan, and the host limits their number and length.
//!
//! In a native test, [`testing::Planned`](crate::testing::Planned) collects them.

pub use crate::bindings::plugin::thinkube::plugin::log::Level;

/// A line for the plugin's author.
pub fn debug(message: impl AsRef<str>) {
    write(Level::Debug, message.as_ref());
}

/// A decision and its reason.
pub fn info(message: impl AsRef<str>) {
    write(Level::Info, message.as_ref());
}

/// Something that the operator should check.
pub fn warn(message: impl AsRef<str>) {
    write(Level::Warn, message.as_ref());
}

#[cfg(target_family = "wasm")]
fn write(level: Level, message: &str) {
    crate::bindings::plugin::thinkube::plugin::log::log(level, message);
}

#[cfg(not(target_family = "wasm"))]
use native::write;

#[cfg(not(target_family = "wasm"))]
pub(crate) mod native {
    use super::Level;
    use std::cell::RefCell;

    thread_local! {
        // Per thread, because tests run in parallel and each expects only its own lines.
        static LINES: RefCell<Vec<(Level, String)>> = const { RefCell::new(Vec::new()) };
    }

    pub(super) fn write(level: Level, message: &str) {
        LINES.with_borrow_mut(|lines| lines.push((level, message.to_owned())));
    }

    pub(crate) fn take() -> Vec<(Level, String)> {
        LINES.take()
    }
}
