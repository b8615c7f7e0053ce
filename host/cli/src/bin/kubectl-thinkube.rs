//! The same command line as `thinkube-host`, under the name by which kubectl finds it.

use std::process::ExitCode;

fn main() -> ExitCode {
    thinkube_host::main("kubectl thinkube")
}
