//! The exit codes: one a class of outcome, documented in `docs/reference/README.md` and in `--help`.

use std::process::ExitCode;
use thinkube_engine::Class;

/// `--help` shows this.
pub(crate) const HELP: &str = "\
Exit codes:
  0    done
  1    the cluster or the machine failed
  2    the command line is wrong
  3    what you named is wrong or missing: a file, a setting, a secret, a fact, a release, an operation
  4    refused: nobody granted it, or it belongs to somebody else
  5    the plugin is at fault: no component, trapped, out of time or memory, not a valid plan
  6    a check does not hold
  7    plan --exit-code: an apply would change something
  130  interrupted";

/// What clap answers too.
pub(crate) const USAGE: u8 = 2;
/// What `plan --exit-code` answers when something would change.
pub(crate) const CHANGES: u8 = 7;

pub(crate) fn code(class: Class) -> ExitCode {
    ExitCode::from(match class {
        Class::Failure => 1,
        Class::Input => 3,
        Class::Refused => 4,
        Class::Plugin => 5,
        Class::Check => 6,
        Class::Interrupted => 130,
    })
}
