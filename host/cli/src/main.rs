//! The command line of the host.

use std::process::ExitCode;

fn main() -> ExitCode {
    thinkube_host::main("thinkube-host")
}
