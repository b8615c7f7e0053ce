//! Skips: a test that cannot run on this machine is counted as skipped, and never passes in silence.

use std::fs::OpenOptions;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::{env, thread};

use serde_json::json;

/// The environment variable by which `cargo xtask test` names the file that collects the skips of one test binary.
pub const SKIPS_VARIABLE: &str = "THINKUBE_TEST_SKIPS";

/// Records that the test of this thread cannot run here, or not completely, and why. The test then returns.
///
/// Call it in the test's own thread: the thread's name is the test's name.
///
/// # Panics
///
/// Panics where no runner counts skips, so that a plain `cargo test` never shows a skipped test as passed.
#[track_caller]
pub fn skip(why: &str) {
    let file = env::var_os(SKIPS_VARIABLE).map(PathBuf::from);
    record(file.as_deref(), thread::current().name(), why);
}

#[track_caller]
fn record(file: Option<&Path>, test: Option<&str>, why: &str) {
    let Some(file) = file else {
        panic!("this test cannot run here: {why}. `cargo xtask test` counts such a test as skipped")
    };
    let test = test.unwrap_or_else(|| panic!("only a test's own thread can skip it: {why}"));
    let line = format!("{}\n", json!({ "test": test, "reason": why }));
    let written = append(file, &line);
    written.unwrap_or_else(|error| panic!("{}: a skip cannot be recorded: {error}", file.display()));
}

/// Appends with one write, so that lines of several processes do not mix.
pub(crate) fn append(file: &Path, line: &str) -> io::Result<()> {
    OpenOptions::new().create(true).append(true).open(file)?.write_all(line.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_skip_is_recorded_with_its_test_and_its_reason() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("skips");
        record(Some(&file), Some("a::test"), "there is no \"cluster\"");
        record(Some(&file), Some("another"), "two\nlines");
        let text = std::fs::read_to_string(&file).expect("a file");
        let lines: Vec<serde_json::Value> =
            text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
        assert_eq!(
            lines,
            [
                json!({ "test": "a::test", "reason": "there is no \"cluster\"" }),
                json!({ "test": "another", "reason": "two\nlines" })
            ]
        );
    }

    #[test]
    #[should_panic(expected = "this test cannot run here: there is no cluster. `cargo xtask test` counts")]
    fn a_skip_that_no_runner_counts_fails_the_test() {
        record(None, Some("a::test"), "there is no cluster");
    }

    #[test]
    #[should_panic(expected = "a skip cannot be recorded")]
    fn a_skip_that_cannot_be_recorded_fails_the_test() {
        record(Some(Path::new("/nonexistent/skips")), Some("a::test"), "there is no cluster");
    }

    #[test]
    #[should_panic(expected = "only a test's own thread can skip it")]
    fn a_thread_without_a_name_cannot_skip_a_test() {
        record(Some(Path::new("/nonexistent/skips")), None, "there is no cluster");
    }
}
