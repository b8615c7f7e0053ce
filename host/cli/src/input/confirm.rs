//! Asks the user for confirmation.

use crate::error::CliError;
use crate::output::terminal;
use crate::output::text::{text, untrusted};
use std::io::{IsTerminal, Write};

/// Asks on the terminal. Without a terminal only `--yes` confirms.
pub(crate) async fn confirm(question: &str) -> Result<(), CliError> {
    let stdin = std::io::stdin();
    if !stdin.is_terminal() {
        return Err(CliError::input("there is no terminal to ask for confirmation")
            .advise("confirm in advance with --yes"));
    }
    terminal::to_stderr(&text!("{} [y/N] ", untrusted(question)));
    std::io::stderr().flush()?;
    // On a thread of its own, so that Ctrl-C is heard while the user types.
    let answer = tokio::task::spawn_blocking(move || {
        let mut answer = String::new();
        stdin.read_line(&mut answer).map(|_| answer)
    });
    let answer = answer.await.map_err(std::io::Error::other)??;
    if matches!(answer.trim(), "y" | "Y" | "yes") {
        return Ok(());
    }
    Err(CliError::input("not confirmed; nothing was changed"))
}
