//! Gives every listed test of a binary an outcome, even if the binary died.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;

use super::libtest::{Ending, Event};

/// A test with this reason in its `#[ignore]` runs as a process that another test starts.
const PART: &str = "a part of another test";

/// The outcome of a test.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Outcome {
    Passed,
    /// With the test's output.
    Failed(String),
    /// With the reason.
    Skipped(String),
}

/// One test.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Tested {
    pub(crate) test: String,
    pub(crate) outcome: Outcome,
    pub(crate) seconds: f64,
}

/// A line of the file that `thinkube_test_cluster::skip` writes.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub(crate) struct Skip {
    pub(crate) test: String,
    pub(crate) reason: String,
}

/// How a test binary ended.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum End {
    Exited(i32),
    /// By a signal.
    Killed(i32),
    /// The runner stopped it after this many seconds without a report.
    Silent(u64),
    /// The runner stopped it because the run was interrupted.
    Interrupted,
}

impl End {
    fn reason(self) -> String {
        match self {
            Self::Exited(code) => format!("the test binary ended with exit code {code}"),
            Self::Killed(signal) => format!("signal {signal} ended the test binary"),
            Self::Silent(seconds) => {
                format!("the test binary reported nothing for {seconds} s and was ended")
            }
            Self::Interrupted => "the run was interrupted".to_owned(),
        }
    }
}

/// Collects the events of one test binary.
#[derive(Debug)]
pub(crate) struct Account {
    listed: BTreeSet<String>,
    begun: BTreeSet<String>,
    ended: BTreeMap<String, (Ending, f64, String)>,
    done: bool,
}

impl Account {
    pub(crate) fn new(listed: impl IntoIterator<Item = String>) -> Self {
        Self {
            listed: listed.into_iter().collect(),
            begun: BTreeSet::new(),
            ended: BTreeMap::new(),
            done: false,
        }
    }

    pub(crate) fn take(&mut self, event: Event) {
        match event {
            Event::Started(test) => drop(self.begun.insert(test)),
            Event::Opened | Event::Slow(_) => {}
            Event::Ended { test, ending, seconds, output } => {
                self.ended.insert(test, (ending, seconds, output));
            }
            Event::Done => self.done = true,
        }
    }

    /// The outcome of every test, by name.
    pub(crate) fn close(mut self, end: End, skips: &[Skip]) -> Vec<Tested> {
        let mut tested = Vec::new();
        for (test, (ending, seconds, output)) in std::mem::take(&mut self.ended) {
            self.listed.remove(&test);
            let reasons: Vec<&str> =
                skips.iter().filter(|skip| skip.test == test).map(|skip| skip.reason.as_str()).collect();
            let outcome = match ending {
                Ending::Failed => Outcome::Failed(output),
                Ending::Ignored(reason) if reason == PART => continue,
                Ending::Ignored(reason) => Outcome::Skipped(ignored(&reason)),
                Ending::Passed if reasons.is_empty() => Outcome::Passed,
                Ending::Passed => Outcome::Skipped(joined(&reasons)),
            };
            tested.push(Tested { test, outcome, seconds });
        }
        tested.extend(self.without_a_result(end));
        tested.extend(unknown(skips, &tested));
        let failed = tested.iter().any(|tested| matches!(tested.outcome, Outcome::Failed(_)));
        if (!self.done || end != End::Exited(0)) && !failed {
            let why = format!("{}, and no test of it failed", end.reason());
            tested.push(Tested { test: WHOLE.to_owned(), outcome: Outcome::Failed(why), seconds: 0.0 });
        }
        tested
    }

    fn without_a_result(&self, end: End) -> Vec<Tested> {
        let failed = |test: &String| {
            let when =
                if self.begun.contains(test) { "while this test ran" } else { "before this test began" };
            let outcome = Outcome::Failed(format!("{} {when}", end.reason()));
            Tested { test: test.clone(), outcome, seconds: 0.0 }
        };
        self.listed.iter().map(failed).collect()
    }
}

/// The name of a failure of the binary itself.
pub(crate) const WHOLE: &str = "(the test binary)";

fn ignored(reason: &str) -> String {
    if reason.is_empty() { "ignored, without a reason".to_owned() } else { format!("ignored: {reason}") }
}

/// Each reason once, in the order in which the test gave them.
fn joined(reasons: &[&str]) -> String {
    let mut seen = Vec::new();
    for reason in reasons {
        if !seen.contains(reason) {
            seen.push(*reason);
        }
    }
    seen.join("; ")
}

/// A skip that belongs to no test would hide that some test did nothing.
fn unknown(skips: &[Skip], tested: &[Tested]) -> Vec<Tested> {
    let is_unknown = |skip: &&Skip| !tested.iter().any(|tested| tested.test == skip.test);
    let failed = |skip: &Skip| Tested {
        test: skip.test.clone(),
        outcome: Outcome::Failed(format!("a test of this name was skipped and not listed: {}", skip.reason)),
        seconds: 0.0,
    };
    skips.iter().filter(is_unknown).map(failed).collect()
}

#[cfg(test)]
mod tests {
    use super::super::libtest::event;
    use super::*;

    const LISTED: [&str; 6] = ["t::bad", "t::good", "t::noise", "t::part", "t::plain", "t::sp"];

    fn account(text: &str) -> Account {
        let mut account = Account::new(LISTED.map(str::to_owned));
        text.lines().filter_map(|line| event(line).1).for_each(|event| account.take(event));
        account
    }

    fn skip(test: &str, reason: &str) -> Skip {
        Skip { test: test.to_owned(), reason: reason.to_owned() }
    }

    fn outcomes(tested: &[Tested]) -> BTreeMap<&str, &Outcome> {
        tested.iter().map(|tested| (tested.test.as_str(), &tested.outcome)).collect()
    }

    fn whole() -> &'static str {
        include_str!("recorded/all.txt")
    }

    #[test]
    fn every_test_of_a_recorded_run_has_one_outcome() {
        let tested = account(whole()).close(End::Exited(101), &[]);
        let outcomes = outcomes(&tested);
        assert_eq!(tested.len(), 5);
        assert_eq!(outcomes["t::good"], &Outcome::Passed);
        assert_eq!(outcomes["t::noise"], &Outcome::Passed);
        assert_eq!(outcomes["t::plain"], &Outcome::Skipped("ignored, without a reason".to_owned()));
        assert!(matches!(outcomes["t::bad"], Outcome::Failed(output) if output.contains("panicked")));
        assert!(matches!(outcomes["t::sp"], Outcome::Failed(_)));
        assert!(!outcomes.contains_key("t::part"));
    }

    #[test]
    fn a_passed_test_that_recorded_skips_has_each_reason_once() {
        let skips =
            [skip("t::good", "no cluster"), skip("t::good", "no cluster"), skip("t::good", "no node")];
        let tested = account(whole()).close(End::Exited(101), &skips);
        assert_eq!(outcomes(&tested)["t::good"], &Outcome::Skipped("no cluster; no node".to_owned()));
    }

    #[test]
    fn a_test_that_failed_stays_failed_although_it_recorded_a_skip() {
        let tested = account(whole()).close(End::Exited(101), &[skip("t::bad", "no cluster")]);
        assert!(matches!(outcomes(&tested)["t::bad"], Outcome::Failed(_)));
    }

    #[test]
    fn a_skip_of_a_test_that_is_not_listed_is_a_failure() {
        let tested = account(whole()).close(End::Exited(101), &[skip("t::other", "no cluster")]);
        assert!(
            matches!(outcomes(&tested)["t::other"], Outcome::Failed(why) if why.contains("was skipped and not listed"))
        );
    }

    #[test]
    fn a_binary_that_a_signal_ended_half_way_fails_each_test_without_a_result() {
        let half: String = whole().lines().take(5).map(|line| format!("{line}\n")).collect();
        let tested = account(&half).close(End::Killed(9), &[]);
        let outcomes = outcomes(&tested);
        assert_eq!(outcomes["t::good"], &Outcome::Passed);
        for (test, when) in [("t::noise", "while this test ran"), ("t::sp", "before this test began")] {
            let Outcome::Failed(why) = outcomes[test] else { panic!("{test}: {:?}", outcomes[test]) };
            assert_eq!(*why, format!("signal 9 ended the test binary {when}"));
        }
        assert_eq!(outcomes.len(), LISTED.len());
    }

    #[test]
    fn a_binary_that_ends_before_its_first_test_fails_all_of_them() {
        let tested = account("thread 'main' panicked at src/lib.rs\n").close(End::Exited(101), &[]);
        assert!(tested.iter().all(|tested| matches!(tested.outcome, Outcome::Failed(_))));
        assert_eq!(tested.len(), LISTED.len());
    }

    #[test]
    fn a_binary_whose_tests_passed_and_that_then_fails_is_a_failure() {
        let good = r#"{ "type": "test", "name": "t::good", "event": "ok", "exec_time": 0.1 }
{ "type": "suite", "event": "ok", "passed": 1, "failed": 0 }"#;
        for (text, end) in [(good, End::Killed(11)), (good, End::Exited(3)), ("", End::Exited(0))] {
            let mut account = Account::new([]);
            text.lines().filter_map(|line| event(line).1).for_each(|event| account.take(event));
            let tested = account.close(end, &[]);
            assert!(matches!(outcomes(&tested)[WHOLE], Outcome::Failed(_)), "{end:?}: {tested:?}");
        }
    }

    #[test]
    fn a_binary_that_was_silent_or_interrupted_says_so_in_each_test_that_ran() {
        let half: String = whole().lines().take(3).map(|line| format!("{line}\n")).collect();
        for (end, reason) in
            [(End::Silent(900), "reported nothing for 900 s"), (End::Interrupted, "interrupted")]
        {
            let tested = account(&half).close(end, &[]);
            assert!(matches!(outcomes(&tested)["t::bad"], Outcome::Failed(why) if why.contains(reason)));
            assert!(matches!(outcomes(&tested)["t::good"], Outcome::Failed(why) if why.contains("while")));
        }
    }
}
