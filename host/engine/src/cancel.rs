//! Ends work early on Ctrl-C or SIGTERM.

use crate::error::Error;
use std::future::Future;
use tokio_util::sync::CancellationToken;

/// Runs `work` until it ends or `cancel` is cancelled. `work` must be safe to drop at any await.
///
/// # Errors
/// Those of `work`, and [`Error::Interrupted`].
pub async fn unless_cancelled<T, E: From<Error>>(
    cancel: &CancellationToken,
    work: impl Future<Output = Result<T, E>>,
) -> Result<T, E> {
    let interrupted = || Err(Error::Interrupted { recorded: false }.into());
    cancel.run_until_cancelled(work).await.unwrap_or_else(interrupted)
}
