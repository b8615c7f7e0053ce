//! Reports a test run: each failure at once; at the end failures, skips, the slowest tests and the totals.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use anyhow::Context as _;
use serde_json::{Value, json};

use super::account::{Outcome, Tested};
use super::run::{News, Ran};

/// Which skips a run allows.
#[derive(Debug, Clone, Default)]
pub(crate) struct Policy {
    /// A skip is a failure, unless it is allowed.
    pub(crate) no_skips: bool,
    /// Names of tests, with `*` for any text.
    pub(crate) allowed: Vec<String>,
}

impl Policy {
    fn allows(&self, binary: &str, test: &str) -> bool {
        let whole = format!("{binary}::{test}");
        !self.no_skips
            || self.allowed.iter().any(|pattern| matches(pattern, test) || matches(pattern, &whole))
    }
}

/// Whether a text matches a pattern in which `*` stands for any text.
fn matches(pattern: &str, text: &str) -> bool {
    let mut parts = pattern.split('*');
    let Some(mut rest) = parts.next().and_then(|first| text.strip_prefix(first)) else { return false };
    let Some(last) = parts.next_back() else { return rest.is_empty() };
    for part in parts {
        match rest.find(part) {
            Some(at) => rest = &rest[at + part.len()..],
            None => return false,
        }
    }
    rest.ends_with(last)
}

/// The results of a run.
#[derive(Debug, Default)]
pub(crate) struct Report {
    ran: Vec<Ran>,
}

impl Report {
    /// The results, with each skip that `policy` does not allow as a failure.
    pub(crate) fn new(mut ran: Vec<Ran>, policy: &Policy) -> Self {
        ran.sort_by(|a, b| a.binary.cmp(&b.binary));
        for Ran { binary, tested, .. } in &mut ran {
            for Tested { test, outcome, .. } in tested {
                if let Outcome::Skipped(why) = outcome
                    && !policy.allows(binary, test)
                {
                    *outcome = Outcome::Failed(format!("skipped, which this run does not allow: {why}"));
                }
            }
        }
        Self { ran }
    }

    fn all(&self) -> impl Iterator<Item = (&str, &Tested)> {
        self.ran.iter().flat_map(|ran| ran.tested.iter().map(|tested| (ran.binary.as_str(), tested)))
    }

    /// The function names of the tests that passed.
    pub(crate) fn passed(&self) -> BTreeSet<String> {
        self.functions(|outcome| *outcome == Outcome::Passed)
    }

    /// The function names of the tests that were skipped, and were allowed to be.
    pub(crate) fn skipped(&self) -> BTreeSet<String> {
        self.functions(|outcome| matches!(outcome, Outcome::Skipped(_)))
    }

    fn functions(&self, have: impl Fn(&Outcome) -> bool) -> BTreeSet<String> {
        let function = |test: &str| test.rsplit("::").next().unwrap_or(test).to_owned();
        let those = self.all().filter(|(_, tested)| have(&tested.outcome));
        those.map(|(_, tested)| function(&tested.test)).collect()
    }

    /// Counts the specification as one test: passed where this run proved each row, skipped where skips alone are the cause
    /// that it did not. `unproven` are the rows that are not proven, `with_skips` those that would not be if each test that
    /// was skipped had passed.
    pub(crate) fn add_specification(&mut self, unproven: &[String], with_skips: &[String]) {
        let outcome = match (unproven.len(), with_skips) {
            (0, _) => Outcome::Passed,
            (rows, []) => Outcome::Skipped(format!(
                "rows of docs/devpi/specification.md without a proof, because tests of them were skipped: {rows}"
            )),
            (_, failed) => Outcome::Failed(failed.join("\n")),
        };
        let test = "each_row_is_proven_by_this_run".to_owned();
        self.ran.push(Ran {
            binary: "specification".to_owned(),
            tested: vec![Tested { test, outcome, seconds: 0.0 }],
            seconds: 0.0,
            noise: String::new(),
        });
    }

    pub(crate) fn totals(&self) -> Totals {
        Totals::of(self.all().map(|(_, tested)| tested))
    }

    /// The report at the end; its last line has the totals.
    pub(crate) fn text(&self) -> String {
        let mut text = String::new();
        self.failures(&mut text);
        self.skips(&mut text);
        self.slowest(&mut text);
        let _ = writeln!(text, "\n{}", self.totals());
        text
    }

    fn failures(&self, text: &mut String) {
        for (binary, Tested { test, outcome, seconds }) in self.all() {
            if let Outcome::Failed(output) = outcome {
                let _ = writeln!(text, "\nFAILED {binary} {test} ({seconds:.1} s)\n{}", end_of(output));
            }
        }
    }

    fn skips(&self, text: &mut String) {
        let mut by_reason: BTreeMap<&str, Vec<String>> = BTreeMap::new();
        for (binary, Tested { test, outcome, .. }) in self.all() {
            if let Outcome::Skipped(why) = outcome {
                by_reason.entry(why).or_default().push(format!("{binary} {test}"));
            }
        }
        for (why, tests) in by_reason {
            let _ = writeln!(text, "\nskipped, {}: {why}", tests.len());
            for test in tests {
                let _ = writeln!(text, "  {test}");
            }
        }
    }

    fn slowest(&self, text: &mut String) {
        let mut all: Vec<_> = self.all().collect();
        all.sort_by(|(_, a), (_, b)| b.seconds.total_cmp(&a.seconds));
        let _ = writeln!(text, "\nthe slowest tests:");
        for (binary, Tested { test, seconds, .. }) in all.into_iter().take(SHOWN) {
            let _ = writeln!(text, "  {seconds:7.1} s  {binary} {test}");
        }
    }

    /// For programs: every test with its outcome, and `about`, which describes the run.
    pub(crate) fn json(&self, about: Value) -> Value {
        let test = |(binary, Tested { test, outcome, seconds }): (&str, &Tested)| {
            let (outcome, reason) = match outcome {
                Outcome::Passed => ("passed", None),
                Outcome::Failed(why) => ("failed", Some(why)),
                Outcome::Skipped(why) => ("skipped", Some(why)),
            };
            json!({ "binary": binary, "test": test, "outcome": outcome, "seconds": seconds, "reason": reason })
        };
        let Totals { passed, failed, skipped } = self.totals();
        json!({
            "run": about,
            "passed": passed,
            "failed": failed,
            "skipped": skipped,
            "tests": self.all().map(test).collect::<Vec<_>>(),
        })
    }
}

const SHOWN: usize = 10;

/// How many lines of a failure the end of a run repeats.
const REPEATED: usize = 40;

fn end_of(output: &str) -> String {
    let lines: Vec<&str> = output.trim_end().lines().collect();
    match lines.len().checked_sub(REPEATED) {
        None | Some(0) => lines.join("\n"),
        Some(more) => format!("… {more} lines more above\n{}", lines[more..].join("\n")),
    }
}

/// The number of tests for each outcome.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Totals {
    pub(crate) passed: usize,
    pub(crate) failed: usize,
    pub(crate) skipped: usize,
}

impl Totals {
    fn of<'a>(tested: impl Iterator<Item = &'a Tested>) -> Self {
        let mut totals = Self::default();
        for Tested { outcome, .. } in tested {
            match outcome {
                Outcome::Passed => totals.passed += 1,
                Outcome::Failed(_) => totals.failed += 1,
                Outcome::Skipped(_) => totals.skipped += 1,
            }
        }
        totals
    }
}

impl std::fmt::Display for Totals {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} passed, {} failed, {} skipped", self.passed, self.failed, self.skipped)
    }
}

/// The line for one event.
pub(crate) fn line(news: &News) -> String {
    match news {
        News::Failed { binary, test, seconds, output } => {
            format!("FAILED {binary} {test} ({seconds:.1} s)\n{}", output.trim_end())
        }
        News::Slow { binary, test } => format!("{binary} {test} has run for a minute"),
        News::Ended(Ran { binary, tested, seconds, noise }) => {
            let totals = Totals::of(tested.iter());
            let line = format!("{seconds:7.1} s  {binary}: {totals}");
            if totals.failed == 0 || noise.is_empty() {
                line
            } else {
                format!("{line}\nwhat the tests of {binary} and their children wrote besides:\n{noise}")
            }
        }
    }
}

/// Writes the results for programs.
pub(crate) fn write(file: &Path, results: &Value) -> anyhow::Result<()> {
    fs::write(file, format!("{results:#}\n")).with_context(|| file.display().to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tested(test: &str, outcome: Outcome, seconds: f64) -> Tested {
        Tested { test: test.to_owned(), outcome, seconds }
    }

    fn ran() -> Vec<Ran> {
        let binary = |binary: &str, tested| Ran {
            binary: binary.to_owned(),
            tested,
            seconds: 1.0,
            noise: "noise\n".to_owned(),
        };
        vec![
            binary(
                "thinkube-e2e::devpi",
                vec![
                    tested("life::used", Outcome::Passed, 90.5),
                    tested("sign_on::login", Outcome::Skipped("no browser".to_owned()), 0.1),
                ],
            ),
            binary(
                "thinkube-cluster",
                vec![
                    tested("a", Outcome::Failed("why\n".to_owned()), 2.0),
                    tested("b", Outcome::Skipped("no browser".to_owned()), 0.0),
                ],
            ),
        ]
    }

    #[test]
    fn a_report_has_failures_skips_slowest_tests_and_totals_in_this_order() {
        let text = Report::new(ran(), &Policy::default()).text();
        let places: Vec<_> = [
            "FAILED thinkube-cluster a (2.0 s)\nwhy",
            "skipped, 2: no browser\n  thinkube-cluster b\n  thinkube-e2e::devpi sign_on::login",
            "the slowest tests:\n     90.5 s  thinkube-e2e::devpi life::used",
        ]
        .map(|part| text.find(part).unwrap_or_else(|| panic!("{part} is not in {text}")))
        .to_vec();
        assert!(places.is_sorted(), "{text}");
        assert_eq!(text.lines().last(), Some("1 passed, 1 failed, 2 skipped"));
    }

    #[test]
    fn a_skip_is_a_failure_where_none_is_allowed_unless_its_name_is() {
        let policy = |allowed: &[&str]| Policy {
            no_skips: true,
            allowed: allowed.iter().map(ToString::to_string).collect(),
        };
        let failed = |allowed: &[&str]| Report::new(ran(), &policy(allowed)).totals().failed;
        assert_eq!(failed(&[]), 3);
        assert_eq!(failed(&["b"]), 2);
        assert_eq!(failed(&["sign_on::*"]), 2);
        assert_eq!(failed(&["thinkube-e2e::devpi::*", "thinkube-cluster::b"]), 1);
        assert_eq!(failed(&["*"]), 1);
        // A pattern allows skips, never failures.
        assert_eq!(failed(&["a", "other"]), 3);
        let text = Report::new(ran(), &policy(&[])).text();
        assert!(text.contains("skipped, which this run does not allow: no browser"), "{text}");
    }

    #[test]
    fn an_unproven_row_of_the_specification_is_a_failure() {
        let mut report = Report::new(ran(), &Policy::default());
        assert_eq!(report.passed(), ["used".to_owned()].into());
        let (seven, eight) = ("row 7: login did not pass".to_owned(), "row 8: a did not pass".to_owned());
        report.add_specification(&[seven, eight.clone()], &[eight]);
        assert_eq!(report.totals().failed, 2);
        assert!(report.text().contains("row 8") && !report.text().contains("row 7"));
        report.add_specification(&[], &[]);
        assert_eq!(report.totals().passed, 2);
    }

    #[test]
    fn rows_that_only_allowed_skips_leave_unproven_are_a_skip() {
        let rows = ["row 7: login did not pass".to_owned()];
        let mut report = Report::new(ran(), &Policy::default());
        assert_eq!(report.skipped(), ["b".to_owned(), "login".to_owned()].into());
        report.add_specification(&rows, &[]);
        let Totals { failed, skipped, .. } = report.totals();
        assert_eq!((failed, skipped), (1, 3));
        assert!(report.text().contains("because tests of them were skipped: 1"), "{}", report.text());
        let strict = Policy { no_skips: true, ..Policy::default() };
        assert_eq!(Report::new(ran(), &strict).skipped(), BTreeSet::new());
    }

    #[test]
    fn a_pattern_without_a_star_is_a_whole_name() {
        for (pattern, text, is_match) in [
            ("a", "a", true),
            ("a", "ab", false),
            ("", "a", false),
            ("*", "", true),
            ("a*", "ab", true),
            ("*b", "ab", true),
            ("a*c", "abc", true),
            ("a*b*c", "axbxc", true),
            ("a*b*c", "acb", false),
            ("a*a", "a", false),
        ] {
            assert_eq!(matches(pattern, text), is_match, "{pattern} {text}");
        }
    }

    #[test]
    fn the_results_for_programs_have_every_test() {
        let results = Report::new(ran(), &Policy::default()).json(json!({ "seed": 7 }));
        assert_eq!(results["run"]["seed"], 7);
        assert_eq!(
            (&results["passed"], &results["failed"], &results["skipped"]),
            (&json!(1), &json!(1), &json!(2))
        );
        assert_eq!(
            results["tests"][1],
            json!({ "binary": "thinkube-cluster", "test": "b", "outcome": "skipped", "seconds": 0.0, "reason": "no browser" })
        );
        assert_eq!(results["tests"].as_array().map(Vec::len), Some(4));
    }

    #[test]
    fn a_long_failure_is_told_whole_at_once_and_its_end_again() {
        let output: String = (0..100).map(|number| format!("line {number}\n")).collect();
        let news = News::Failed {
            binary: "x".to_owned(),
            test: "t".to_owned(),
            seconds: 1.0,
            output: output.clone(),
        };
        assert!(line(&news).contains("line 0\n") && line(&news).ends_with("line 99"));
        assert_eq!(end_of(&output).lines().next(), Some("… 60 lines more above"));
        assert!(end_of(&output).ends_with("line 99"));
    }

    #[test]
    fn what_a_binary_wrote_is_told_where_a_test_of_it_failed() {
        let [good, bad] = <[Ran; 2]>::try_from(ran()).expect("two");
        assert!(!line(&News::Ended(good)).contains("noise"));
        assert!(line(&News::Ended(bad)).contains("noise"));
    }
}
