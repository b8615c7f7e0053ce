//! The diagnostic log on stderr: `-v`, `-vv`, `RUST_LOG`, `--log-format`. docs/reference/cli.md says what is logged.
//!
//! A log event may hold text of a server or a plugin, so its line is escaped like all foreign text.

use crate::output::format::Format;
use crate::output::terminal;
use crate::output::text::{Text, text, untrusted};
use std::fmt;
use std::io::{self, Write};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::fmt::FmtContext;
use tracing_subscriber::fmt::format::{FormatEvent, FormatFields, Writer};
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::SubscriberInitExt as _;

/// The prefix of the log targets of the host's own crates.
const OWN_TARGETS: &str = "thinkube";

/// Starts the log. Without `RUST_LOG` it shows the host's own crates: warnings, with `-v` steps, with `-vv` details.
pub(crate) fn start(verbose: u8, quiet: bool, format: Format) {
    let own = match verbose {
        0 if quiet => LevelFilter::ERROR,
        0 => LevelFilter::WARN,
        1 => LevelFilter::INFO,
        _ => LevelFilter::DEBUG,
    };
    let chosen = std::env::var("RUST_LOG").ok().filter(|filter| !filter.is_empty());
    let (filter, invalid) = match chosen.map(|filter| filter.parse::<Targets>()) {
        Some(Ok(filter)) => (filter, None),
        Some(Err(error)) => (Targets::new().with_target(OWN_TARGETS, own), Some(error)),
        None => (Targets::new().with_target(OWN_TARGETS, own), None),
    };
    let registry = tracing_subscriber::registry().with(filter);
    let layer =
        tracing_subscriber::fmt::layer().with_writer(move || EscapedStderr { format, line: Vec::new() });
    // A second start, in a test of the library, keeps the first log.
    let _ = match format {
        Format::Text => registry.with(layer.event_format(TextLine)).try_init(),
        Format::Json => registry.with(layer.json()).try_init(),
    };
    if let Some(error) = invalid {
        tracing::warn!(target: "thinkube", "RUST_LOG is not a valid filter: {error}");
    }
}

/// `warning: MESSAGE FIELD=VALUE…`, like the other warnings of the command line.
struct TextLine;

impl<S, N> FormatEvent<S, N> for TextLine
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let level = match *event.metadata().level() {
            Level::ERROR => "error",
            Level::WARN => "warning",
            Level::INFO => "info",
            Level::DEBUG => "debug",
            Level::TRACE => "trace",
        };
        write!(writer, "{level}: ")?;
        context.format_fields(writer.by_ref(), event)?;
        writeln!(writer)
    }
}

/// Collects one event and prints its escaped text.
struct EscapedStderr {
    format: Format,
    line: Vec<u8>,
}

impl Write for EscapedStderr {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.line.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for EscapedStderr {
    fn drop(&mut self) {
        let line = String::from_utf8_lossy(&self.line);
        match self.format {
            Format::Text => terminal::to_stderr(&event_text(&line)),
            Format::Json => terminal::json_to_stderr(&line),
        }
    }
}

/// One line: a line break within an event could forge a line of the host.
fn event_text(event: &str) -> Text {
    text!("{}\n", untrusted(event.trim_end_matches('\n')))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_with_a_line_break_stays_on_one_line() {
        let text = event_text("warning: x\nerror: forged\u{1b}[2K\n");
        assert_eq!(text.as_str(), "warning: x\\nerror: forged\\u{1b}[2K\n");
    }
}
