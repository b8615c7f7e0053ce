use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::{Semaphore, SemaphorePermit};

const START: usize = 8;
const MOST: usize = 64;
/// Requests that were in flight together are refused together: one overload is one cut.
const ONE_CUT: Duration = Duration::from_millis(100);

/// One window for all requests of a host. It grows by one a round trip and halves when the server says that it is
/// too much: a fixed concurrency starves single requests for minutes on a server that admits one at a time.
pub(crate) struct Limiter {
    free: Semaphore,
    state: Mutex<Window>,
}

struct Window {
    size: f64,
    /// Permits that exist: `size` rounded down, plus those in use that a cut has yet to take back.
    permits: usize,
    cut: Option<Instant>,
}

pub(crate) struct Permit<'a> {
    permit: Option<SemaphorePermit<'a>>,
    limiter: &'a Limiter,
}

impl Limiter {
    pub(crate) fn new() -> Self {
        let window = Window { size: START as f64, permits: START, cut: None };
        Self { free: Semaphore::new(START), state: Mutex::new(window) }
    }

    pub(crate) async fn enter(&self) -> Permit<'_> {
        // The semaphore is never closed; without a permit the request would merely not be counted.
        Permit { permit: self.free.acquire().await.ok(), limiter: self }
    }

    pub(crate) fn succeeded(&self) {
        let mut window = self.window();
        window.size = (window.size + 1.0 / window.size).min(MOST as f64);
        let missing = (window.size as usize).saturating_sub(window.permits);
        window.permits += missing;
        self.free.add_permits(missing);
    }

    pub(crate) fn overloaded(&self) {
        let now = Instant::now();
        let mut window = self.window();
        if window.cut.is_some_and(|cut| now.duration_since(cut) < ONE_CUT) {
            return;
        }
        window.cut = Some(now);
        window.size = (window.size / 2.0).max(1.0);
        let excess = window.permits - window.size as usize;
        window.permits -= self.free.forget_permits(excess);
    }

    #[cfg(test)]
    pub(crate) fn size(&self) -> usize {
        self.window().size as usize
    }

    fn window(&self) -> MutexGuard<'_, Window> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Permit<'_> {
    fn drop(&mut self) {
        let mut window = self.limiter.window();
        if window.permits > window.size as usize
            && let Some(permit) = self.permit.take()
        {
            permit.forget();
            window.permits -= 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_window_grows_with_success_and_never_beyond_its_limit() {
        let limiter = Limiter::new();
        for _ in 0..10_000 {
            let _permit = limiter.enter().await;
            limiter.succeeded();
        }
        assert_eq!((limiter.size(), limiter.free.available_permits()), (MOST, MOST));
    }

    #[tokio::test]
    async fn one_overload_halves_the_window_once_and_never_to_nothing() {
        let limiter = Limiter::new();
        let held = [limiter.enter().await, limiter.enter().await, limiter.enter().await];
        limiter.overloaded();
        limiter.overloaded();
        assert_eq!(limiter.size(), 4);
        drop(held);
        assert_eq!(limiter.free.available_permits(), 4);
        for _ in 0..9 {
            limiter.window().cut = None;
            limiter.overloaded();
        }
        assert_eq!((limiter.size(), limiter.free.available_permits()), (1, 1));
    }

    #[tokio::test]
    async fn permits_in_use_are_taken_back_when_they_return() {
        let limiter = Limiter::new();
        let mut held = Vec::new();
        for _ in 0..START {
            held.push(limiter.enter().await);
        }
        limiter.overloaded();
        assert_eq!(limiter.free.available_permits(), 0);
        drop(held);
        assert_eq!(limiter.free.available_permits(), 4);
    }
}
