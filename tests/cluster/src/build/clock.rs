//! How long the rest of a build takes, by the pace of what is built already.

use std::time::Duration;

/// The progress of a queue.
pub(crate) struct Clock {
    /// The expected time of each unit on two cores.
    pub(crate) times: Vec<Duration>,
    pub(crate) built: usize,
    /// The time of the built units.
    pub(crate) took: Duration,
    /// The time of the present unit so far.
    pub(crate) running: Duration,
}

impl Clock {
    pub(crate) fn new(times: impl Iterator<Item = Duration>) -> Self {
        Self { times: times.collect(), built: 0, took: Duration::ZERO, running: Duration::ZERO }
    }

    pub(crate) fn next(&mut self, took: Duration) {
        self.built += 1;
        self.took += took;
        self.running = Duration::ZERO;
    }

    /// The time that the rest takes at the pace of the units so far.
    pub(crate) fn left(&self) -> Duration {
        /// The weight of the expected times, so that one slow small unit changes little.
        const PRIOR: Duration = Duration::from_secs(60);
        let (built, rest) = self.times.split_at(self.built);
        let Some((now, later)) = rest.split_first() else { return Duration::ZERO };
        let mut real = PRIOR + self.took;
        let mut expected = PRIOR + built.iter().sum::<Duration>();
        if self.running > *now {
            real += self.running;
            expected += *now;
        }
        let pace = real.div_duration_f64(expected);
        // A late unit is expected to take a fifth of its time more.
        let now = now.mul_f64(pace).saturating_sub(self.running).max(self.running / 5);
        now + later.iter().sum::<Duration>().mul_f64(pace)
    }
}

/// The time until both queues end, on two cores: a program takes both cores, every other unit one.
pub(crate) fn left([programs, rest]: &[Clock; 2]) -> Duration {
    let (programs, rest) = (programs.left(), rest.left());
    (programs + rest / 2).max(rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn clock(times: &[u64]) -> Clock {
        Clock::new(times.iter().map(|time| Duration::from_secs(*time)))
    }

    #[test]
    fn the_time_left_follows_the_pace_of_this_machine() {
        let mut clock = clock(&[120, 60]);
        assert_eq!(clock.left().as_secs(), 180);
        clock.running = Duration::from_secs(50);
        assert_eq!(clock.left().as_secs(), 130);
        // Half as fast as measured.
        clock.next(Duration::from_secs(240));
        assert_eq!(clock.left().as_secs(), 60 * 300 / 180);
        clock.next(Duration::from_secs(120));
        assert_eq!(clock.left(), Duration::ZERO);
    }

    #[test]
    fn a_late_unit_makes_the_rest_longer() {
        let mut clock = clock(&[30, 60]);
        clock.running = Duration::from_secs(90);
        let (later, fast) = (clock.left(), Duration::from_secs(60));
        assert!(later > fast, "{later:?}");
    }

    #[test]
    fn images_beside_the_programs_make_them_slower() {
        assert_eq!(left(&[clock(&[60]), clock(&[10, 10])]).as_secs(), 70);
        assert_eq!(left(&[clock(&[10]), clock(&[20, 30])]).as_secs(), 50);
    }
}
