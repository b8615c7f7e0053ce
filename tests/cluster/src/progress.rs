//! Progress of the harness, for the person who waits.

use std::fmt;
use std::time::Duration;

/// One message of progress.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Progress {
    /// A step has begun.
    Step(String),
    /// A program or an image is being built. Repeated every ten seconds.
    Building {
        /// What is built.
        what: String,
        /// Its number among the builds, from 1.
        number: usize,
        /// The number of builds.
        of: usize,
        /// The time of this build so far.
        elapsed: Duration,
        /// The expected time until everything is built.
        left: Duration,
    },
    /// Something that the person may not expect.
    Note(String),
}

impl fmt::Display for Progress {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Step(text) => out.write_str(text),
            Self::Note(text) => write!(out, "note: {text}"),
            Self::Building { what, number, of, elapsed, left } => {
                write!(out, "building {what} ({number} of {of})")?;
                match elapsed.as_secs() {
                    0 => {}
                    seconds => write!(out, ", {seconds} s so far")?,
                }
                write!(out, ", {} left", about(*left))
            }
        }
    }
}

/// An expected time, in minutes.
pub(crate) fn about(time: Duration) -> String {
    match time.as_secs().div_ceil(60) {
        0 | 1 => "less than a minute".to_owned(),
        minutes => format!("about {minutes} min"),
    }
}

/// The receiver of progress.
pub type Report<'a> = dyn FnMut(Progress) + 'a;

pub(crate) fn step(report: &mut Report<'_>, text: impl Into<String>) {
    report(Progress::Step(text.into()));
}

pub(crate) fn note(report: &mut Report<'_>, text: impl Into<String>) {
    report(Progress::Note(text.into()));
}
