//! The rows of DevPI's specification in docs/devpi/specification.md, and the tests that prove them.

use crate::command::root;
use anyhow::Context as _;
use std::collections::BTreeSet;
use std::fs;

/// A row of the table: `| NUMBER | STATEMENT | PROOF |`.
struct Row {
    number: usize,
    /// The names of the tests in PROOF: the words in backticks that have the form of a test's name.
    tests: Vec<String>,
    /// PROOF begins with `Answered:`. No test shows the row, and PROOF says why.
    answered: bool,
}

impl Row {
    fn why_unproven(&self, passed: &BTreeSet<String>) -> Option<String> {
        if self.tests.is_empty() {
            return (!self.answered).then(|| "it names no test and gives no answer".to_owned());
        }
        let not_passed: Vec<&str> =
            self.tests.iter().filter(|test| !passed.contains(*test)).map(String::as_str).collect();
        (!not_passed.is_empty()).then(|| format!("these tests did not pass: {}", not_passed.join(", ")))
    }
}

fn page() -> anyhow::Result<String> {
    let path = root().join("docs/devpi/specification.md");
    fs::read_to_string(&path).with_context(|| path.display().to_string())
}

fn rows(page: &str) -> Vec<Row> {
    page.lines().filter_map(row).collect()
}

fn row(line: &str) -> Option<Row> {
    let cells: Vec<&str> = line.strip_prefix('|')?.strip_suffix('|')?.split('|').map(str::trim).collect();
    let [number, _, proof] = cells[..] else { return None };
    let number = number.parse().ok()?;
    let quoted = proof.split('`').skip(1).step_by(2);
    let tests = quoted.filter(|word| is_name_of_a_test(word)).map(str::to_owned).collect();
    Some(Row { number, tests, answered: proof.starts_with("Answered:") })
}

/// A test is named by a sentence: three words or more.
fn is_name_of_a_test(word: &str) -> bool {
    word.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
        && word.matches('_').count() >= 2
}

/// The rows of the page for which a named test did not pass, one sentence for each row. `passed` holds the tests' function
/// names.
///
/// # Errors
///
/// The page cannot be read.
pub(crate) fn unproven(passed: &BTreeSet<String>) -> anyhow::Result<Vec<String>> {
    Ok(unproven_rows(&rows(&page()?), passed))
}

fn unproven_rows(rows: &[Row], passed: &BTreeSet<String>) -> Vec<String> {
    let unproven = |row: &Row| {
        let why = row.why_unproven(passed)?;
        Some(format!("docs/devpi/specification.md, row {}: {why}", row.number))
    };
    rows.iter().filter_map(unproven).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    use crate::house::shape::tests;

    /// The number of rows that the audit of the specification counted.
    const ROWS: usize = 140;

    fn all_tests(folder: &Path, found: &mut BTreeSet<String>) {
        for entry in fs::read_dir(folder).expect("readable").flatten() {
            let path = entry.path();
            if path.is_dir() && !path.ends_with("target") && !path.ends_with(".git") {
                all_tests(&path, found);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = fs::read_to_string(&path).expect("source is text");
                found.extend(tests(&text).into_iter().map(|(_, name)| name.to_owned()));
            }
        }
    }

    #[test]
    fn each_row_of_the_specification_names_tests_that_exist_or_is_answered() {
        let rows = rows(&page().expect("the page"));
        assert_eq!(
            rows.iter().map(|row| row.number).collect::<Vec<_>>(),
            (1..=ROWS).collect::<Vec<_>>(),
            "a row is missing, doubled or out of order"
        );
        let mut tests = BTreeSet::new();
        all_tests(&root(), &mut tests);
        assert_eq!(unproven_rows(&rows, &tests), [""; 0]);
    }

    #[test]
    fn every_skip_that_ci_allows_names_a_test() {
        let script = fs::read_to_string(root().join(".ci/run")).expect("CI has a script");
        let mut tests = BTreeSet::new();
        all_tests(&root(), &mut tests);
        let allowed = script.split("--allow-skip '").skip(1).filter_map(|rest| rest.split('\'').next());
        let unknown: Vec<&str> =
            allowed.filter(|name| !tests.contains(name.rsplit("::").next().unwrap_or(name))).collect();
        assert_eq!(unknown, [""; 0]);
    }

    #[test]
    fn a_row_is_unproven_when_one_of_its_tests_did_not_pass() {
        let page = "# Page\n\n| # | it says | proof |\n|---|---|---|\n\
            | 1 | `devpi_namespace` | `a_first_test` and `a_second_test` of `DevPI` |\n\
            | 2 | Helm | Answered: four objects need no Helm |\n| 3 | Redis | it runs |\n";
        let rows = rows(page);
        assert_eq!(rows.len(), 3);
        let passed = ["a_first_test".to_owned()].into();
        let unproven = unproven_rows(&rows, &passed);
        assert_eq!(unproven.len(), 2);
        assert!(unproven[0].contains("row 1") && unproven[0].contains("a_second_test"), "{unproven:?}");
        assert!(unproven[1].contains("row 3") && unproven[1].contains("no answer"), "{unproven:?}");
    }
}
