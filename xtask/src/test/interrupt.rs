//! Ctrl-C and the signals by which CI ends a run: the run ends its children, takes its cluster down, and says what ran.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, LazyLock};

use anyhow::Context as _;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::flag;

static ASKED: LazyLock<Arc<AtomicBool>> = LazyLock::new(Arc::default);

/// From now on a first signal is noted, and a second one ends this process at once.
pub(crate) fn watch() -> anyhow::Result<()> {
    for signal in [SIGINT, SIGTERM, SIGHUP] {
        // The order counts: the first signal must not find the flag set by itself.
        flag::register_conditional_shutdown(signal, 128 + signal, Arc::clone(&ASKED))
            .and_then(|_| flag::register(signal, Arc::clone(&ASKED)))
            .with_context(|| format!("signal {signal} cannot be watched"))?;
    }
    Ok(())
}

/// Whether the run was asked to end.
pub(crate) fn asked() -> bool {
    ASKED.load(Ordering::Relaxed)
}
