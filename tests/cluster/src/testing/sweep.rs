//! Sweeps over many cases: all cases in `cargo xtask sweep`, a seeded sample in other runs.

use std::env;
use std::path::Path;
use std::sync::OnceLock;
use std::time::{SystemTime, UNIX_EPOCH};

use crate::content_hash::content_hash;
use crate::testing::skip::append;

/// The environment variable that repeats the sample of an earlier run.
pub const SEED_VARIABLE: &str = "THINKUBE_TEST_SEED";

/// The environment variable by which `cargo xtask sweep` asks for every case. It names the file that collects how many
/// cases each sweep has.
pub const SWEEP_VARIABLE: &str = "THINKUBE_TEST_SWEEP";

/// Every case in a sweep; in other runs `count` cases, spread over all and chosen by the seed of the run.
///
/// Prints the seed, so that the output of a failed test says how to repeat it.
pub fn sample<T>(what: &str, cases: Vec<T>, count: usize) -> Vec<T> {
    let seed = seed();
    if let Some(file) = env::var_os(SWEEP_VARIABLE) {
        let line = format!("{}\t{what}\n", cases.len());
        append(Path::new(&file), &line).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
        return cases;
    }
    let all = cases.len();
    let chosen = chosen(what, seed, all, count);
    print(&format!("{what}: cases {chosen:?} of {all}; {SEED_VARIABLE}={seed} repeats them"));
    cases.into_iter().enumerate().filter(|(index, _)| chosen.contains(index)).map(|(_, case)| case).collect()
}

#[allow(clippy::print_stdout, reason = "libtest shows it when the test fails")]
fn print(text: &str) {
    println!("{text}");
}

/// The seed of this run: the given one, or one from the clock.
///
/// # Panics
///
/// Panics when [`SEED_VARIABLE`] is not a number.
pub fn seed() -> u64 {
    static SEED: OnceLock<u64> = OnceLock::new();
    *SEED.get_or_init(|| seed_of_environment().unwrap_or_else(|why| panic!("{why}")))
}

/// The seed that [`SEED_VARIABLE`] gives, or one from the clock.
///
/// # Errors
///
/// A sentence, where the variable is not a number.
pub fn seed_of_environment() -> Result<u64, String> {
    match env::var(SEED_VARIABLE) {
        Ok(text) => text.parse().map_err(|_| format!("{SEED_VARIABLE}={text:?} is not a number")),
        Err(_) => Ok(SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())),
    }
}

/// One index in each of `count` equal parts of `0..all`.
fn chosen(what: &str, seed: u64, all: usize, count: usize) -> Vec<usize> {
    let count = count.min(all);
    (0..count)
        .map(|part| {
            let (begin, end) = (part * all / count, (part + 1) * all / count);
            let digest = content_hash(&[what.as_bytes(), &seed.to_be_bytes(), &(part as u64).to_be_bytes()]);
            let number = usize::from_str_radix(&digest[..8], 16).unwrap_or_default();
            begin + number % (end - begin)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sample_has_one_case_of_each_part_and_a_seed_repeats_it() {
        for seed in 0..200 {
            let first = chosen("requests", seed, 50, 8);
            assert_eq!(first, chosen("requests", seed, 50, 8));
            assert_eq!(first.len(), 8);
            for (part, index) in first.iter().enumerate() {
                assert!((part * 50 / 8..(part + 1) * 50 / 8).contains(index), "{first:?}");
            }
        }
    }

    #[test]
    fn every_case_is_in_the_sample_of_some_seed() {
        let seen: std::collections::BTreeSet<usize> =
            (0..500).flat_map(|seed| chosen("requests", seed, 50, 8)).collect();
        assert_eq!(seen.len(), 50);
        assert_ne!(chosen("requests", 1, 50, 8), chosen("moments", 1, 50, 8));
    }

    #[test]
    fn a_sample_is_never_larger_than_what_it_is_taken_from() {
        assert_eq!(chosen("requests", 7, 3, 8), [0, 1, 2]);
        assert_eq!(chosen("requests", 7, 0, 8), Vec::<usize>::new());
    }
}
