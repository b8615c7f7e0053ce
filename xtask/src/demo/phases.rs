//! Measures the phases of a demo.

use crate::command::say;
use std::fs;
use std::time::{Duration, Instant};

/// The phases up to the present one.
pub(super) struct Phases {
    begin: Instant,
    /// cargo replaces itself by this program after building it, so the process's age includes the build.
    before: Duration,
    rows: Vec<Row>,
}

struct Row {
    name: &'static str,
    took: Duration,
    /// The time from the typed command to its end.
    at: Duration,
    goal: Option<Duration>,
    done: bool,
}

impl Phases {
    pub(super) fn begin() -> Self {
        let read = |file: &str| fs::read_to_string(file).unwrap_or_default();
        let before = age(&read("/proc/self/stat"), &read("/proc/uptime")).unwrap_or_default();
        let built = Row { name: "xtask is built", took: before, at: before, goal: None, done: true };
        Self { begin: Instant::now(), before, rows: vec![built] }
    }

    /// Runs `work` as a phase. `goal` is the time for its end, from the typed command.
    pub(super) fn run<T>(
        &mut self,
        name: &'static str,
        goal: Option<Duration>,
        work: impl FnOnce() -> anyhow::Result<T>,
    ) -> anyhow::Result<T> {
        say(&format!("[{}] phase: {name}", minutes(self.before + self.begin.elapsed())));
        let begin = Instant::now();
        let result = work();
        let at = self.before + self.begin.elapsed();
        self.rows.push(Row { name, took: begin.elapsed(), at, goal, done: result.is_ok() });
        result
    }

    pub(super) fn table(&self) -> String {
        let mut table = format!("  {:<46}{:>7}{:>7}  goal\n", "phase", "took", "at");
        for Row { name, took, at, goal, done } in &self.rows {
            let verdict = match (done, goal) {
                (false, _) => "failed".to_owned(),
                (true, Some(goal)) if at <= goal => format!("{}, met", minutes(*goal)),
                (true, Some(goal)) => format!("{}, missed", minutes(*goal)),
                (true, None) => String::new(),
            };
            let row = format!("  {name:<46}{:>7}{:>7}  {verdict}", minutes(*took), minutes(*at));
            table += row.trim_end();
            table.push('\n');
        }
        table
    }
}

/// Minutes and seconds.
fn minutes(time: Duration) -> String {
    format!("{}:{:02}", time.as_secs() / 60, time.as_secs() % 60)
}

/// The age of a process, by `/proc/PID/stat` and `/proc/uptime`.
fn age(stat: &str, uptime: &str) -> Option<Duration> {
    // proc_pid_stat(5): the name in parentheses may hold anything; the start is field 22, in ticks since boot.
    let start: f64 = stat.rsplit_once(')')?.1.split_whitespace().nth(19)?.parse().ok()?;
    let now: f64 = uptime.split_whitespace().next()?.parse().ok()?;
    let ticks = rustix::param::clock_ticks_per_second() as f64;
    Duration::try_from_secs_f64(now - start / ticks).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_tells_of_each_phase_whether_its_goal_was_met_and_which_failed() {
        let begin = Instant::now();
        let mut phases = Phases { begin, before: Duration::from_secs(30), rows: Vec::new() };
        phases.run("quick", Some(Duration::from_secs(60)), || Ok(())).expect("it does nothing");
        phases.run("late", Some(Duration::from_secs(5)), || Ok(())).expect("it does nothing");
        assert!(phases.run::<()>("broken", None, || anyhow::bail!("no")).is_err());
        let table = phases.table();
        let of = |name: &str| table.lines().find(|line| line.contains(name)).expect(name).to_owned();
        assert!(of("quick").ends_with("0:00   0:30  1:00, met"), "{table}");
        assert!(of("late").ends_with("0:05, missed"), "{table}");
        assert!(of("broken").ends_with("failed"), "{table}");
    }

    #[test]
    fn the_age_of_a_process_with_blanks_in_its_name_is_read() {
        let ticks = rustix::param::clock_ticks_per_second();
        let fields = vec!["0"; 18].join(" ");
        let stat = format!("7 (a b) c) S {fields} {} 0 0\n", 10 * ticks);
        assert_eq!(age(&stat, "25.50 100.00\n"), Some(Duration::from_millis(15_500)));
        assert_eq!(age("", ""), None);
        assert_eq!(age(&stat, "1.0 1.0"), None);
    }
}
