//! Ctrl-C and SIGTERM.

use crate::exit;
use thinkube_engine::CancellationToken;
use tokio::signal::unix::{SignalKind, signal};

/// Cancelled by the first Ctrl-C or SIGTERM. A second one ends the process at once.
///
/// # Errors
/// The system refuses to install the signal handlers.
pub(crate) fn listen() -> std::io::Result<CancellationToken> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let token = CancellationToken::new();
    let cancel = token.clone();
    tokio::spawn(async move {
        for _ in 0..2 {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            }
            if cancel.is_cancelled() {
                std::process::exit(exit::INTERRUPTED.into());
            }
            cancel.cancel();
        }
    });
    Ok(token)
}
