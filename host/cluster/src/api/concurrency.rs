//! How many requests run at the same time.
//!
//! Additive increase, multiplicative decrease (AIMD), as TCP has it. A fixed number starves single requests for minutes on a
//! server that admits one at a time. No crate was found that does this over a semaphore: `tower`'s limits are fixed.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::{Semaphore, SemaphorePermit};

const INITIAL: usize = 8;
/// The largest window, and so the most futures that are worth polling together.
pub(crate) const MAX_CONCURRENT: usize = 64;
/// Requests that run together are refused together, so refusals within this time count once.
const CUT_INTERVAL: Duration = Duration::from_millis(100);

/// The window of all requests of a client. It grows by one each round trip and halves at an overload.
pub(crate) struct Limiter {
    free: Semaphore,
    state: Mutex<Window>,
}

struct Window {
    size: f64,
    /// Permits that exist: `size` rounded down, plus those in use that a cut has not removed yet.
    permits: usize,
    last_cut: Option<Instant>,
}

pub(crate) struct Permit<'a> {
    permit: Option<SemaphorePermit<'a>>,
    limiter: &'a Limiter,
}

impl Limiter {
    pub(crate) fn new() -> Self {
        let window = Window { size: INITIAL as f64, permits: INITIAL, last_cut: None };
        Self { free: Semaphore::new(INITIAL), state: Mutex::new(window) }
    }

    pub(crate) async fn enter(&self) -> Permit<'_> {
        // The semaphore is never closed; without a permit the request would only not be counted.
        Permit { permit: self.free.acquire().await.ok(), limiter: self }
    }

    pub(crate) fn succeeded(&self) {
        let mut window = self.window();
        window.size = (window.size + 1.0 / window.size).min(MAX_CONCURRENT as f64);
        let missing = (window.size as usize).saturating_sub(window.permits);
        window.permits += missing;
        self.free.add_permits(missing);
    }

    pub(crate) fn overloaded(&self) {
        let now = Instant::now();
        let mut window = self.window();
        if window.last_cut.is_some_and(|cut| now.duration_since(cut) < CUT_INTERVAL) {
            return;
        }
        window.last_cut = Some(now);
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
    async fn the_window_grows_with_success_up_to_its_limit() {
        let limiter = Limiter::new();
        for _ in 0..10_000 {
            let _permit = limiter.enter().await;
            limiter.succeeded();
        }
        assert_eq!((limiter.size(), limiter.free.available_permits()), (MAX_CONCURRENT, MAX_CONCURRENT));
    }

    #[tokio::test]
    async fn one_overload_halves_the_window_once_down_to_one() {
        let limiter = Limiter::new();
        let permits = [limiter.enter().await, limiter.enter().await, limiter.enter().await];
        limiter.overloaded();
        limiter.overloaded();
        assert_eq!(limiter.size(), 4);
        drop(permits);
        assert_eq!(limiter.free.available_permits(), 4);
        for _ in 0..9 {
            limiter.window().last_cut = None;
            limiter.overloaded();
        }
        assert_eq!((limiter.size(), limiter.free.available_permits()), (1, 1));
    }

    #[tokio::test]
    async fn a_cut_removes_permits_in_use_when_they_return() {
        let limiter = Limiter::new();
        let mut permits = Vec::new();
        for _ in 0..INITIAL {
            permits.push(limiter.enter().await);
        }
        limiter.overloaded();
        assert_eq!(limiter.free.available_permits(), 0);
        drop(permits);
        assert_eq!(limiter.free.available_permits(), 4);
    }
}
