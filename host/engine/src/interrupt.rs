use crate::Error;
use std::future::Future;
use tokio::sync::watch;

/// Becomes true when the person wants an end.
pub type Interrupted = watch::Receiver<bool>;

/// Ends `work` early when the person wants an end. For work that can be dropped wherever it is.
///
/// # Errors
/// Those of `work`, and [`Error::Interrupted`].
pub async fn unless_interrupted<T, E: From<Error>>(
    interrupted: &Interrupted,
    work: impl Future<Output = Result<T, E>>,
) -> Result<T, E> {
    let mut interrupted = interrupted.clone();
    let wanted = async {
        if interrupted.wait_for(|wanted| *wanted).await.is_err() {
            // Nobody is left who could want an end.
            std::future::pending::<()>().await;
        }
    };
    tokio::select! {
        outcome = work => outcome,
        () = wanted => Err(Error::Interrupted { recorded: false }.into()),
    }
}
