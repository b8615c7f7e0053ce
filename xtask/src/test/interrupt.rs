//! Ctrl-C and the signals of CI: the run stops its children and its cluster, and reports what ran.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, LazyLock};

use anyhow::Context as _;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::flag;

static ASKED: LazyLock<Arc<AtomicBool>> = LazyLock::new(Arc::default);

/// Notes a first signal; a second one ends this process at once.
pub(crate) fn watch() -> anyhow::Result<()> {
    for signal in [SIGINT, SIGTERM, SIGHUP] {
        // The order counts: the first signal must not find the flag set by itself.
        flag::register_conditional_shutdown(signal, 128 + signal, Arc::clone(&ASKED))
            .and_then(|_| flag::register(signal, Arc::clone(&ASKED)))
            .with_context(|| format!("signal {signal} cannot be watched"))?;
    }
    Ok(())
}

/// Whether a signal arrived.
pub(crate) fn asked() -> bool {
    ASKED.load(Ordering::Relaxed)
}
