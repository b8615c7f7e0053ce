//! The exit codes: one for each class of outcome, listed in `--help` and docs/reference/cli.md.

use thinkube_engine::model::{ErrorKind, FailureClass};

/// The table that `--help` prints.
pub(crate) const HELP: &str = "\
Exit codes:
  0    done
  1    the cluster, another server or the machine failed
  2    the command line is wrong
  3    something you named is wrong or missing: a file, a setting, a secret, a fact, a release, an operation
  4    refused: a permission is not granted, or another owner has it
  5    the plugin is at fault: not a component, trapped, over a limit, not a valid plan
  6    a check failed
  7    plan --exit-code: an apply would change something
  130  interrupted";

/// A failed check that the command reports as its result.
pub(crate) const CHECK: u8 = 6;
/// The answer of `plan --exit-code` when an apply would change something.
pub(crate) const CHANGES: u8 = 7;
/// Something was left out because it is refused.
pub(crate) const REFUSED: u8 = 4;
/// An interrupted command.
pub(crate) const INTERRUPTED: u8 = 130;

/// The exit code of an error. A wrong command line has 2, as clap has it.
pub(crate) fn code(kind: ErrorKind) -> u8 {
    if kind == ErrorKind::Usage {
        return 2;
    }
    match kind.class() {
        FailureClass::Environment => 1,
        FailureClass::Input => 3,
        FailureClass::Refused => REFUSED,
        FailureClass::Plugin => 5,
        FailureClass::Check => CHECK,
        FailureClass::Interrupted => INTERRUPTED,
    }
}
