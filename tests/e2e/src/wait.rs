//! Waits.

use std::thread;
use std::time::{Duration, Instant};

/// Longer than anything that a test waits for takes, on a machine that also builds.
const TIMEOUT: Duration = Duration::from_secs(90);

/// Repeats a check until it succeeds. After 90 seconds fails with the last reason.
pub fn eventually<T>(what: &str, mut check: impl FnMut() -> Result<T, String>) -> T {
    let begin = Instant::now();
    loop {
        match check() {
            Ok(answer) => return answer,
            Err(last) => {
                assert!(begin.elapsed() < TIMEOUT, "no {what} within {TIMEOUT:?}; the last was {last}")
            }
        }
        thread::sleep(Duration::from_millis(200));
    }
}
