//! What a person gives to the host: a platform's inventory, a crate to build, a home. There is no cluster.

mod build;
mod home;
mod inventory;

use std::path::Path;
use thinkube_e2e::run;

fn text(path: &Path) -> &str {
    path.to_str().expect("a path of a test is text")
}

/// The host refuses with this code and kind, and says this.
#[track_caller]
fn refused(arguments: &[&str], code: i32, kind: &str, printed: &[&str]) -> String {
    let run = run(&[arguments, &["--output", "json"]].concat()).ends_with(code);
    assert_eq!(run.error()["error"]["kind"], kind, "{}", run.stderr);
    let message = run.error_text();
    for printed in printed {
        assert!(message.contains(printed), "{printed} is not in {message}");
    }
    message
}
