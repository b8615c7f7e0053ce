//! Lines for the person who runs the host. They are no part of the plan, and the host bounds them.
//!
//! Natively they are collected for [`testing::Planned`](crate::testing::Planned).

pub use crate::bindings::plugin::thinkube::plugin::log::Level;

/// What only the plugin's author wants to know.
pub fn debug(message: impl AsRef<str>) {
    write(Level::Debug, message.as_ref());
}

/// What was decided and why.
pub fn info(message: impl AsRef<str>) {
    write(Level::Info, message.as_ref());
}

/// What the operator should look at.
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
        // A thread's own, because tests run side by side and each wants its lines only.
        static LINES: RefCell<Vec<(Level, String)>> = const { RefCell::new(Vec::new()) };
    }

    pub(super) fn write(level: Level, message: &str) {
        LINES.with_borrow_mut(|lines| lines.push((level, message.to_owned())));
    }

    pub(crate) fn take() -> Vec<(Level, String)> {
        LINES.take()
    }
}
