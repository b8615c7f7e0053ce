//! Everything that is built before a cluster can start, and how long that still takes.
//!
//! Programs take the processors and images mostly wait for the network and the disk, so the two are built side by side,
//! and beside them the sources of the next programs are downloaded.

use std::collections::BTreeSet;
use std::fmt;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use crate::doctor;
use crate::error::{Error, Result};
use crate::images::{Image, Images};
use crate::keycloak::{self, Distribution};
use crate::lock::Lock;
use crate::part::{self, Part};
use crate::paths::{self, Layout};
use crate::programs::{Missing, Programs};
use crate::progress::{Progress, Report, about, note};

/// What was built, now or before.
pub(crate) struct Built {
    pub(crate) programs: Programs,
    /// `None` where there is no node.
    pub(crate) images: Option<Images>,
    /// `None` where no Keycloak is wanted.
    keycloak: Option<Distribution>,
}

/// Builds what is not in the cache yet of what these parts need.
pub(crate) fn ensure(layout: &Layout, parts: &BTreeSet<Part>, report: &mut Report<'_>) -> Result<Built> {
    let built = Built::cached(parts)?;
    let mut locks = Vec::new();
    for lock in built.locks(&built.queues(parts))? {
        locks.push(Lock::take(&lock, report)?);
    }
    // Somebody else may have built them while we waited.
    let queues = built.queues(parts);
    if queues.iter().any(|queue| !queue.is_empty()) {
        built.build(layout, queues, report)?;
        built.programs.prune();
        built.images.iter().for_each(Images::prune);
        built.keycloak.iter().for_each(Distribution::prune);
    }
    Ok(built)
}

/// Whether everything is in the cache that a cluster with these parts consists of.
pub fn is_everything_built(parts: &BTreeSet<Part>) -> Result<bool> {
    let parts = part::closure(parts);
    Ok(Built::cached(&parts)?.queues(&parts).iter().all(Vec::is_empty))
}

/// Downloads the sources of the programs that a cluster with these parts lacks, with the least priority: for the time in
/// which something else is built. What can't be had is told by the build.
pub fn fetch_sources(parts: &BTreeSet<Part>) -> Result<()> {
    // Of this thread alone, and of the commands that it starts.
    let _ = rustix::process::nice(19);
    let layout = Layout::of("default")?;
    let programs = Programs::cached()?;
    let mut modules = programs.missing(&part::closure(parts));
    modules.dedup_by_key(|missing| missing.module());
    programs.prepare(modules.iter().copied())?;
    modules.into_iter().try_for_each(|missing| programs.download(&layout, missing, "early-download.log"))
}

/// Something to build.
#[derive(Clone, Copy)]
enum Unit {
    Program(Missing),
    Image(Image),
    Keycloak,
}

impl Unit {
    /// How long it takes on two cores.
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
            Self::Keycloak => write!(out, "Keycloak {}", keycloak::VERSION),
        }
    }
}

/// What a queue tells of the unit that it is at.
enum Event {
    Building(Duration),
    Built(Duration),
    Failed(Error),
}

impl Built {
    fn cached(parts: &BTreeSet<Part>) -> Result<Self> {
        let wanted = |part| parts.contains(&part);
        Ok(Self {
            programs: Programs::cached()?,
            images: if wanted(Part::Node) { Some(Images::cached()?) } else { None },
            keycloak: if wanted(Part::Keycloak) { Some(Distribution::cached()?) } else { None },
        })
    }

    /// What is to be built one after the other: the programs, and beside them the rest.
    fn queues(&self, parts: &BTreeSet<Part>) -> [Vec<Unit>; 2] {
        let programs = self.programs.missing(parts).into_iter().map(Unit::Program).collect();
        let mut rest = Vec::new();
        for image in self.images.iter().flat_map(|images| images.missing(parts)) {
            rest.extend(image.missing_program(&self.programs).map(Unit::Program));
            rest.push(Unit::Image(image));
        }
        let keycloak = self.keycloak.iter().filter(|keycloak| !keycloak.is_complete());
        rest.extend(keycloak.map(|_| Unit::Keycloak));
        [programs, rest]
    }

    /// The locks that whoever builds these must hold, in an order that is the same for all.
    fn locks(&self, queues: &[Vec<Unit>; 2]) -> Result<Vec<PathBuf>> {
        let has = |wanted: fn(&Unit) -> bool| queues.iter().flatten().any(wanted);
        let mut locks = Vec::new();
        if has(|unit| matches!(unit, Unit::Program(_))) {
            doctor::go()?;
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

    fn build(&self, layout: &Layout, queues: [Vec<Unit>; 2], report: &mut Report<'_>) -> Result<()> {
        let programs = || {
            queues.iter().flatten().filter_map(|unit| match unit {
                Unit::Program(missing) => Some(*missing),
                Unit::Image(_) | Unit::Keycloak => None,
            })
        };
        // Before anything runs: two that run at once may be of one module.
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
                // Nobody listens only after a panic.
                let tell = move |event| drop(sender.send((at, event)));
                scope.spawn(move || self.work(layout, queue, stop, &tell));
            }
            drop(sender);
            scope.spawn(|| {
                let mut modules: Vec<Missing> = programs().collect();
                modules.dedup_by_key(|missing| missing.module());
                // The first one's are downloaded by its own build.
                for missing in modules.into_iter().skip(1) {
                    if stop.load(Ordering::Relaxed) {
                        break;
                    }
                    // What can't be had is told by the build.
                    let _ = self.programs.download(layout, missing, "download.log");
                }
            });
            follow(&queues, clocks, events, &stop, report)
        })
    }

    /// Builds one after the other, until one fails in this queue or in another.
    fn work(&self, layout: &Layout, queue: &[Unit], stop: &AtomicBool, tell: &dyn Fn(Event)) {
        for unit in queue {
            if stop.load(Ordering::Relaxed) {
                return;
            }
            let begin = Instant::now();
            // Not what it is told: some are built in two steps, each with a time of its own.
            let beat = |_| tell(Event::Building(begin.elapsed()));
            let result = match unit {
                Unit::Program(missing) => self.programs.build(layout, *missing, beat),
                Unit::Image(image) => self
                    .images
                    .iter()
                    .try_for_each(|images| images.build(layout, &self.programs, *image, beat)),
                Unit::Keycloak => self.keycloak.iter().try_for_each(|keycloak| keycloak.build(layout, beat)),
            };
            match result {
                Ok(()) => tell(Event::Built(begin.elapsed())),
                Err(error) => return tell(Event::Failed(error)),
            }
        }
    }
}

/// Reports what the queues tell, until all have ended. The first failure makes every queue end after its present unit.
fn follow<U: fmt::Display>(
    queues: &[Vec<U>; 2],
    mut clocks: [Clock; 2],
    events: impl IntoIterator<Item = (usize, Event)>,
    stop: &AtomicBool,
    report: &mut Report<'_>,
) -> Result<()> {
    let of = queues.iter().flatten().count();
    let mut begun = 0;
    // The unit that is being built in each queue, as its place among all.
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
                    note(
                        report,
                        format!("{unit} could not be built; the unit beside it is still built: {error}"),
                    );
                }
                failure.get_or_insert(error);
            }
        }
    }
    failure.map_or(Ok(()), Err)
}

/// How far a queue is.
struct Clock {
    /// How long each of its units takes on two cores.
    times: Vec<Duration>,
    built: usize,
    /// How long the built ones took.
    took: Duration,
    /// How long the next one has been building.
    running: Duration,
}

impl Clock {
    fn new(times: impl Iterator<Item = Duration>) -> Self {
        Self { times: times.collect(), built: 0, took: Duration::ZERO, running: Duration::ZERO }
    }

    fn next(&mut self, took: Duration) {
        self.built += 1;
        self.took += took;
        self.running = Duration::ZERO;
    }

    /// How long the rest takes if it is as fast or as slow as what was built so far.
    fn left(&self) -> Duration {
        /// What the measured times weigh, lest a small unit that took a second longer count for much.
        const PRIOR: Duration = Duration::from_secs(60);
        let (built, rest) = self.times.split_at(self.built);
        let Some((now, later)) = rest.split_first() else { return Duration::ZERO };
        let mut real = PRIOR + self.took;
        let mut told = PRIOR + built.iter().sum::<Duration>();
        if self.running > *now {
            real += self.running;
            told += *now;
        }
        let pace = real.div_duration_f64(told);
        // One that should be there by now is given a fifth of its time more, again and again.
        let now = now.mul_f64(pace).saturating_sub(self.running).max(self.running / 5);
        now + later.iter().sum::<Duration>().mul_f64(pace)
    }
}

/// How long it takes until both queues have ended, on two cores: a program takes both, everything else takes one.
fn left([programs, rest]: &[Clock; 2]) -> Duration {
    let (programs, rest) = (programs.left(), rest.left());
    (programs + rest / 2).max(rest)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::process::Command;

    use super::*;
    use crate::cluster::Cluster;
    use crate::programs::version;

    fn clock(times: &[u64]) -> Clock {
        Clock::new(times.iter().map(|time| Duration::from_secs(*time)))
    }

    #[test]
    fn the_time_left_is_first_what_was_measured_and_then_goes_by_this_machine() {
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
    fn a_unit_that_takes_longer_than_it_should_makes_the_rest_longer() {
        let mut clock = clock(&[30, 60]);
        clock.running = Duration::from_secs(90);
        let (later, fast) = (clock.left(), Duration::from_secs(60));
        assert!(later > fast, "{later:?}");
    }

    #[test]
    fn what_is_built_beside_the_programs_makes_them_slower() {
        assert_eq!(left(&[clock(&[60]), clock(&[10, 10])]).as_secs(), 70);
        assert_eq!(left(&[clock(&[10]), clock(&[20, 30])]).as_secs(), 50);
    }

    #[test]
    fn a_failure_is_told_at_once_and_ends_the_other_queue_after_its_present_unit() {
        let failure = || Error::Name("x".to_owned());
        let events = [
            (0, Event::Building(Duration::ZERO)),
            (1, Event::Building(Duration::ZERO)),
            (1, Event::Failed(failure())),
            (0, Event::Built(Duration::from_secs(1))),
        ];
        let (stop, mut told) = (AtomicBool::new(false), Vec::new());
        let queues = [vec!["a", "b"], vec!["c"]];
        let clocks = [clock(&[1, 1]), clock(&[1])];
        let result = follow(&queues, clocks, events, &stop, &mut |progress| told.push(progress.to_string()));
        assert!(matches!(result, Err(Error::Name(_))));
        assert!(stop.into_inner());
        assert!(told[0].starts_with("building a (1 of 3)"), "{told:?}");
        assert!(told[1].starts_with("building c (2 of 3)"), "{told:?}");
        assert!(told[2].contains("c could not be built"), "{told:?}");
        assert_eq!(told.len(), 3);
    }

    /// Where no cluster with a node has been built, building all of it would take a quarter of an hour.
    #[test]
    #[expect(clippy::print_stderr, reason = "a build that takes minutes shows how far it is")]
    fn every_program_starts_and_tells_the_release_that_it_is_built_from() {
        let Some(_) = Cluster::with(Part::ALL) else { return };
        let layout = Layout::of("build").expect("a name");
        let built =
            ensure(&layout, &Part::ALL.into(), &mut |progress| eprintln!("{progress}")).expect("programs");
        let programs = &built.programs;
        for (name, path, argument) in [
            ("etcd", programs.etcd(), "--version"),
            ("kube-apiserver", programs.kube("kube-apiserver"), "--version"),
            ("kubelet", programs.kube("kubelet"), "--version"),
            ("coredns", programs.coredns(), "-version"),
            ("local-path-provisioner", programs.local_path_provisioner(), "--version"),
            ("registry", programs.registry(), "--version"),
            ("traefik", programs.traefik(), "version"),
            ("oauth2-proxy", programs.oauth2_proxy(), "--version"),
        ] {
            let output = Command::new(&path).arg(argument).output().expect(name);
            let said = String::from_utf8_lossy(&output.stdout);
            let release = version(name).trim_start_matches('v');
            assert!(output.status.success() && said.contains(release), "{name}: {said}");
        }
        let kinds = fs::read_to_string(programs.gateway_api()).expect("manifests");
        assert!(kinds.contains("name: httproutes.gateway.networking.k8s.io"));
        for archive in built.images.expect("a node").archives(&Part::ALL.into()) {
            assert!(archive.is_file(), "{}", archive.display());
        }
    }
}
