//! `cargo xtask reference`: writes docs/reference/cli.md.
//!
//! The page is made by a test of the host's crate, not here: xtask must not depend on the host, which takes minutes to build.

use crate::command::{cargo, run, say};
use std::process::ExitCode;

/// Tells the test to write the page.
const UPDATE: &str = "THINKUBE_UPDATE_REFERENCE";

/// Writes the page.
///
/// # Errors
///
/// The host cannot be built, or the page cannot be written.
pub(crate) fn reference() -> anyhow::Result<ExitCode> {
    let mut test = cargo(["test", "--workspace", "--quiet", "--test", "reference"]);
    run(test.env(UPDATE, "1"))?;
    say("docs/reference/cli.md is that of the program");
    Ok(ExitCode::SUCCESS)
}
