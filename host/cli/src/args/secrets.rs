//! Where the values of secret inputs come from. A value is never an argument: every process of the machine can read a
//! command line, and shells keep it.

use clap::Args;
use std::fmt;

#[derive(Args)]
pub(crate) struct SecretArgs {
    /// Source of a secret input instead of its environment variable: file:PATH, env:VARIABLE,
    /// secret:NAMESPACE/NAME/KEY, or - for stdin
    #[arg(long = "secret", value_name = "NAME=SOURCE")]
    pub sources: Vec<String>,
}

/// The argument may hold a secret value by mistake.
impl fmt::Debug for SecretArgs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SecretArgs").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_output_holds_no_argument() {
        let args = SecretArgs { sources: vec!["p=hunter2".into()] };
        assert!(!format!("{args:?}").contains("hunter2"));
    }
}
