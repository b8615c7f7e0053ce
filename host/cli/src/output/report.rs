//! Notes on what a plan was made from: the plugin's log, settings without effect, the inventory, changed grants.

use crate::output::printer::Printer;
use crate::output::terminal::{BAD, CARE, FAINT};
use crate::output::text::{Text, line, styled, text, untrusted};
use thinkube_engine::model::{Permission, widened};
use thinkube_engine::{InventorySettings, Level, LogLine, Unused};

/// Reports what the plugin logged, and settings without effect.
pub(crate) fn report_log(printer: Printer, log: &[LogLine], unused: &[Unused]) {
    for line in log {
        printer.note(&log_line(line));
    }
    for unused in unused {
        printer.warn(&untrusted(format!("the setting {} has no effect: {}", unused.name, unused.reason)));
    }
}

/// Reports what an inventory gave; with `-v` each of its variables.
pub(crate) fn report_inventory(printer: Printer, taken: Option<&InventorySettings>) {
    if let Some(taken) = taken {
        printer.note(&inventory(taken, printer.verbose > 0));
    }
}

/// Reports how the permissions of a release follow its settings, and what its plugin requests beyond them.
pub(crate) fn report_grants(
    printer: Printer,
    release: &str,
    before: &[Permission],
    granted: &[Permission],
    requested: &[Permission],
) {
    for (permissions, what) in [
        (widened(before, granted), "follows its settings and may now:"),
        (widened(granted, before), "follows its settings and may no longer:"),
        (
            widened(granted, requested),
            "is not granted, though its plugin requests it (--grant-requested grants it):",
        ),
    ] {
        if !permissions.is_empty() {
            printer.warn(&grants(release, what, &permissions));
        }
    }
}

fn grants(release: &str, what: &'static str, permissions: &[&Permission]) -> Text {
    let mut lines = vec![text!("release {} {}", untrusted(release), what)];
    lines.extend(permissions.iter().map(untrusted));
    Text::join(&lines, "\n  ")
}

/// A line of the plugin's log, marked as the plugin's.
pub(crate) fn log_line(line: &LogLine) -> Text {
    let style = match line.level {
        Level::Error => BAD,
        Level::Warn => CARE,
        Level::Trace | Level::Debug | Level::Info => FAINT,
    };
    text!("{}\n", styled(style, untrusted(format!("plugin: {}", line.message))))
}

/// How many variables of an inventory are used, and with `names` their names. Never a value.
pub(crate) fn inventory(taken: &InventorySettings, names: bool) -> Text {
    let mut text = Text::default();
    line!(
        text,
        "inventory: {} of {} variables belong to other components{}; {} settings come from it",
        taken.foreign.len(),
        taken.variables(),
        if names || taken.foreign.is_empty() { "" } else { " (-v lists them)" },
        taken.taken.len(),
    );
    for (what, listed) in [
        ("used", &taken.taken),
        ("overridden by -f or --set", &taken.overridden),
        ("without effect", &taken.without_effect),
        ("of other components", &taken.foreign),
    ] {
        if names && !listed.is_empty() {
            line!(text, "  {}: {}", what, untrusted(listed.join(", ")));
        }
    }
    text
}
