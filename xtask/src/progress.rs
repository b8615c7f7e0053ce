//! Prints the progress of the harness.

use std::io::Write as _;
use std::time::Instant;
use thinkube_test_cluster::Progress;

/// Writes each step to standard error with the time since the first.
pub(crate) fn on_stderr() -> impl FnMut(Progress) {
    let begin = Instant::now();
    move |progress| {
        // A closed standard error is not a failure.
        let _ = writeln!(std::io::stderr().lock(), "[{:6.1} s] {progress}", begin.elapsed().as_secs_f32());
    }
}
