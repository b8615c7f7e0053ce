//! The queues of a build: programs in one, and beside them images and Keycloak.

use std::collections::BTreeSet;
use std::fmt;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use crate::addon::Addon;
use crate::build::clock::{Clock, left};
use crate::build::images::{Image, Images};
use crate::build::programs::{Missing, Programs};
use crate::error::{Error, Result};
use crate::keycloak::distribution::{self, Distribution};
use crate::keycloak::seed;
use crate::machine::tools;
use crate::paths::{self, Layout};
use crate::progress::{Progress, Report, about, note};

/// What a cluster consists of, in the cache.
pub(crate) struct Built {
    pub(crate) programs: Programs,
    /// `None` without a node.
    pub(crate) images: Option<Images>,
    /// `None` without Keycloak.
    pub(crate) keycloak: Option<Distribution>,
}

/// Something that is built.
#[derive(Clone, Copy)]
pub(crate) enum Unit {
    Program(Missing),
    Image(Image),
    Keycloak,
}

impl Unit {
    /// Its expected time on two cores.
    fn time(self) -> Duration {
        Duration::from_secs(
            match self {
                Self::Program(missing) => missing.seconds(),
                Self::Image(image) => image.seconds(),
                Self::Keycloak => Distribution::SECONDS,
            }
            .into(),
        )
    }
}

impl fmt::Display for Unit {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Program(missing) => missing.fmt(out),
            Self::Image(image) => image.fmt(out),
            Self::Keycloak => write!(out, "Keycloak {}", distribution::VERSION),
        }
    }
}

/// What a queue reports of its present unit.
enum Event {
    Building(Duration),
    Built(Duration),
    Failed(Error),
}

impl Built {
    pub(crate) fn cached(addons: &BTreeSet<Addon>) -> Result<Self> {
        let wanted = |addon| addons.contains(&addon);
        Ok(Self {
            programs: Programs::cached()?,
            images: if wanted(Addon::Node) { Some(Images::cached()?) } else { None },
            keycloak: if wanted(Addon::Keycloak) { Some(Distribution::cached()?) } else { None },
        })
    }

    /// The two queues: the programs, and beside them the rest.
    pub(crate) fn queues(&self, addons: &BTreeSet<Addon>) -> [Vec<Unit>; 2] {
        let programs = self.programs.missing(addons).into_iter().map(Unit::Program).collect();
        let mut rest = Vec::new();
        for image in self.images.iter().flat_map(|images| images.missing(addons)) {
            rest.extend(image.missing_program(&self.programs).map(Unit::Program));
            rest.push(Unit::Image(image));
        }
        let keycloak = self.keycloak.iter().filter(|keycloak| !keycloak.is_complete());
        rest.extend(keycloak.map(|_| Unit::Keycloak));
        [programs, rest]
    }

    /// The locks of these builds, always in the same order, so that two processes do not block each other.
    pub(crate) fn locks(&self, queues: &[Vec<Unit>; 2]) -> Result<Vec<PathBuf>> {
        let has = |wanted: fn(&Unit) -> bool| queues.iter().flatten().any(wanted);
        let mut locks = Vec::new();
        if has(|unit| matches!(unit, Unit::Program(_))) {
            tools::require_go()?;
            locks.push(self.programs.lock());
        }
        if has(|unit| matches!(unit, Unit::Image(_))) {
            locks.extend(self.images.as_ref().map(Images::lock));
        }
        if has(|unit| matches!(unit, Unit::Keycloak)) {
            locks.extend(self.keycloak.as_ref().map(Distribution::lock));
        }
        Ok(locks)
    }

    pub(crate) fn build(
        &self,
        layout: &Layout,
        queues: [Vec<Unit>; 2],
        report: &mut Report<'_>,
    ) -> Result<()> {
        let programs = || {
            queues.iter().flatten().filter_map(|unit| match unit {
                Unit::Program(missing) => Some(*missing),
                Unit::Image(_) | Unit::Keycloak => None,
            })
        };
        // Before the builds, because two of them may use one module.
        self.programs.prepare(programs())?;
        let clocks = queues.each_ref().map(|queue| Clock::new(queue.iter().map(|unit| unit.time())));
        note(
            report,
            format!(
                "{} programs and images are built and kept in {}; on two cores this takes {}",
                queues.iter().flatten().count(),
                paths::cache()?.display(),
                about(left(&clocks)),
            ),
        );
        let stop = AtomicBool::new(false);
        thread::scope(|scope| {
            let (sender, events) = mpsc::channel();
            for (at, queue) in queues.iter().enumerate() {
                let (sender, stop) = (sender.clone(), &stop);
                // The send fails only after a panic of the receiver.
                let send = move |event| drop(sender.send((at, event)));
                scope.spawn(move || self.work(layout, queue, stop, &send));
            }
            drop(sender);
            scope.spawn(|| {
                let mut modules: Vec<Missing> = programs().collect();
                modules.dedup_by_key(|missing| missing.module());
                // The first build downloads its own.
                for missing in modules.into_iter().skip(1) {
                    if stop.load(Ordering::Relaxed) {
                        break;
                    }
                    // The build reports a failure.
                    let _ = self.programs.download(layout, missing, "download.log");
                }
            });
            follow(&queues, clocks, events, &stop, report)
        })
    }

    /// Builds the units of a queue, until one fails in any queue.
    fn work(&self, layout: &Layout, queue: &[Unit], stop: &AtomicBool, send: &dyn Fn(Event)) {
        for unit in queue {
            if stop.load(Ordering::Relaxed) {
                return;
            }
            let begin = Instant::now();
            // Not the time that `beat` gets: some units have two steps, each with its own.
            let beat = |_| send(Event::Building(begin.elapsed()));
            let result = match unit {
                Unit::Program(missing) => self.programs.build(layout, *missing, beat),
                Unit::Image(image) => self
                    .images
                    .iter()
                    .try_for_each(|images| images.build(layout, &self.programs, *image, beat)),
                Unit::Keycloak => {
                    self.keycloak.iter().try_for_each(|keycloak| seed::build(keycloak, layout, beat))
                }
            };
            match result {
                Ok(()) => send(Event::Built(begin.elapsed())),
                Err(error) => return send(Event::Failed(error)),
            }
        }
    }
}

/// Reports the events of the queues until all end. After a failure every queue ends with its present unit.
fn follow<U: fmt::Display>(
    queues: &[Vec<U>; 2],
    mut clocks: [Clock; 2],
    events: impl IntoIterator<Item = (usize, Event)>,
    stop: &AtomicBool,
    report: &mut Report<'_>,
) -> Result<()> {
    let of = queues.iter().flatten().count();
    let mut begun = 0;
    // The number of each queue's present unit.
    let mut numbers = [None; 2];
    let mut failure = None;
    for (at, event) in events {
        match event {
            Event::Building(elapsed) => {
                let number = *numbers[at].get_or_insert_with(|| {
                    begun += 1;
                    begun
                });
                clocks[at].running = elapsed;
                let what = queues[at][clocks[at].built].to_string();
                report(Progress::Building { what, number, of, elapsed, left: left(&clocks) });
            }
            Event::Built(took) => {
                clocks[at].next(took);
                numbers[at] = None;
            }
            Event::Failed(error) => {
                stop.store(true, Ordering::Relaxed);
                numbers[at] = None;
                if numbers.iter().any(Option::is_some) {
                    let unit = &queues[at][clocks[at].built];
                    note(report, format!("{unit} could not be built; the build beside it goes on: {error}"));
                }
                failure.get_or_insert(error);
            }
        }
    }
    failure.map_or(Ok(()), Err)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn clock(times: &[u64]) -> Clock {
        Clock::new(times.iter().map(|time| Duration::from_secs(*time)))
    }

    #[test]
    fn a_failure_is_reported_and_ends_the_other_queue_after_its_unit() {
        let failure = || Error::Name("x".to_owned());
        let events = [
            (0, Event::Building(Duration::ZERO)),
            (1, Event::Building(Duration::ZERO)),
            (1, Event::Failed(failure())),
            (0, Event::Built(Duration::from_secs(1))),
        ];
        let (stop, mut reported) = (AtomicBool::new(false), Vec::new());
        let queues = [vec!["a", "b"], vec!["c"]];
        let clocks = [clock(&[1, 1]), clock(&[1])];
        let result =
            follow(&queues, clocks, events, &stop, &mut |progress| reported.push(progress.to_string()));
        assert!(matches!(result, Err(Error::Name(_))));
        assert!(stop.into_inner());
        assert!(reported[0].starts_with("building a (1 of 3)"), "{reported:?}");
        assert!(reported[1].starts_with("building c (2 of 3)"), "{reported:?}");
        assert!(reported[2].contains("c could not be built"), "{reported:?}");
        assert_eq!(reported.len(), 3);
    }
}
