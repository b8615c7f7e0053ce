//! Reads the events of libtest's JSON format among other output of a test binary and its children.

use serde_json::Value;

/// How one test ended.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Ending {
    Passed,
    Failed,
    /// With the reason that its `#[ignore]` gives.
    Ignored(String),
}

/// An event that libtest reports.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Event {
    /// The binary begins.
    Opened,
    Started(String),
    /// The test has run for a minute and continues.
    Slow(String),
    Ended {
        test: String,
        ending: Ending,
        seconds: f64,
        output: String,
    },
    /// The binary has run all its tests.
    Done,
}

/// The event of a line, and what precedes it: a child of a test may have printed text without a line feed.
pub(crate) fn event(line: &str) -> (&str, Option<Event>) {
    for (at, _) in line.match_indices("{ \"type\": \"") {
        if let Some(event) = serde_json::from_str(&line[at..]).ok().as_ref().and_then(of_json) {
            return (&line[..at], Some(event));
        }
    }
    (line, None)
}

fn of_json(json: &Value) -> Option<Event> {
    let text = |field: &str| json[field].as_str().unwrap_or_default().to_owned();
    let ended = |ending: Ending| {
        let output = [text("stdout"), text("message"), text("reason")];
        let output = output.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join("\n");
        let seconds = json["exec_time"].as_f64().unwrap_or_default();
        Some(Event::Ended { test: text("name"), ending, seconds, output })
    };
    match (json["type"].as_str()?, json["event"].as_str()?) {
        ("test", "started") => Some(Event::Started(text("name"))),
        ("test", "timeout") => Some(Event::Slow(text("name"))),
        ("test", "ok") => ended(Ending::Passed),
        ("test", "failed") => ended(Ending::Failed),
        ("test", "ignored") => ended(Ending::Ignored(text("message"))),
        ("suite", "ok" | "failed") => Some(Event::Done),
        ("suite", "started") => Some(Event::Opened),
        _ => None,
    }
}

/// The tests that a binary lists with `--list --format terse`.
pub(crate) fn listed(text: &str) -> Vec<String> {
    text.lines().filter_map(|line| line.strip_suffix(": test")).map(str::to_owned).collect()
}

/// The events of the text that `cargo test --doc` prints: doctests have no other format on a stable toolchain.
pub(crate) fn doctests(text: &str) -> Vec<Event> {
    let mut events = Vec::new();
    for line in text.lines() {
        let Some((test, result)) = line.strip_prefix("test ").and_then(|line| line.rsplit_once(" ... "))
        else {
            continue;
        };
        let ending = match result {
            "ok" => Ending::Passed,
            "FAILED" => Ending::Failed,
            _ => match result.strip_prefix("ignored") {
                Some(reason) => Ending::Ignored(reason.trim_start_matches(", ").to_owned()),
                None => continue,
            },
        };
        let output = if ending == Ending::Failed { section(text, test) } else { String::new() };
        events.push(Event::Ended { test: test.to_owned(), ending, seconds: 0.0, output });
    }
    events
}

/// What a failed doctest printed.
fn section(text: &str, test: &str) -> String {
    let head = format!("---- {test} stdout ----");
    let lines = text.lines().skip_while(|line| *line != head).skip(1);
    lines.take_while(|line| !line.starts_with("---- ") && *line != "failures:").collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Of a real run: two tests that pass, one that panics, one that should have, and two that are ignored.
    const RECORDED: &str = include_str!("recorded/all.txt");

    fn events(text: &str) -> Vec<Event> {
        text.lines().filter_map(|line| event(line).1).collect()
    }

    fn ended(events: &[Event]) -> Vec<(&str, &Ending)> {
        let ended = events.iter().filter_map(|event| match event {
            Event::Ended { test, ending, .. } => Some((test.as_str(), ending)),
            _ => None,
        });
        ended.collect()
    }

    #[test]
    fn every_result_of_a_recorded_run_is_read() {
        let events = events(RECORDED);
        assert_eq!(
            ended(&events),
            [
                ("t::good", &Ending::Passed),
                ("t::bad", &Ending::Failed),
                ("t::part", &Ending::Ignored("a part of another test".to_owned())),
                ("t::plain", &Ending::Ignored(String::new())),
                ("t::sp", &Ending::Failed),
                ("t::noise", &Ending::Passed),
            ]
        );
        assert_eq!(events.last(), Some(&Event::Done));
    }

    #[test]
    fn a_failed_test_has_its_output_its_message_and_its_time() {
        let outputs: Vec<_> = events(RECORDED)
            .into_iter()
            .filter_map(|event| match event {
                Event::Ended { ending: Ending::Failed, output, seconds, .. } => Some((output, seconds)),
                _ => None,
            })
            .collect();
        assert!(outputs[0].0.starts_with("said \"x\"\n"), "{outputs:?}");
        assert_eq!(outputs[0].1, 0.000_542_75);
        assert!(outputs[1].0.contains("test did not panic as expected"), "{outputs:?}");
    }

    #[test]
    fn an_event_behind_text_without_a_line_feed_is_read_and_the_text_kept() {
        let line = r#"from a child{ "type": "test", "name": "t::noise", "event": "ok", "exec_time": 0.5 }"#;
        let (before, event) = event(line);
        assert_eq!(before, "from a child");
        let expected = Event::Ended {
            test: "t::noise".to_owned(),
            ending: Ending::Passed,
            seconds: 0.5,
            output: String::new(),
        };
        assert_eq!(event, Some(expected));
    }

    #[test]
    fn output_that_quotes_an_event_is_not_an_event() {
        let quoted = r#"{ "type": "test", "name": "a", "event": "ok" }"#;
        let output = serde_json::Value::from(quoted).to_string();
        let line = format!(r#"{{ "type": "test", "name": "b", "event": "failed", "stdout": {output} }}"#);
        let (_, event) = event(&line);
        assert_eq!(
            event,
            Some(Event::Ended {
                test: "b".to_owned(),
                ending: Ending::Failed,
                seconds: 0.0,
                output: quoted.to_owned()
            })
        );
    }

    #[test]
    fn other_lines_are_no_events() {
        for line in
            ["", "running 3 tests", "{}", r#"{ "type": "x" }"#, r#"{ "type": "test", "#, "{ \"type\": \"é"]
        {
            assert_eq!(event(line), (line, None));
        }
    }

    #[test]
    fn a_test_that_runs_for_a_minute_is_slow_and_not_ended() {
        let line = r#"{ "type": "test", "event": "timeout", "name": "t::long" }"#;
        assert_eq!(event(line).1, Some(Event::Slow("t::long".to_owned())));
    }

    #[test]
    fn the_list_of_a_binary_has_its_tests_and_not_its_benchmarks() {
        assert_eq!(listed("a::b: test\nc: benchmark\nd: test\n\n2 tests, 1 benchmark\n"), ["a::b", "d"]);
    }

    #[test]
    fn doctests_are_read_from_the_text_of_cargo() {
        let text = include_str!("recorded/doctests.txt");
        let events = doctests(text);
        assert_eq!(
            ended(&events),
            [
                ("src/lib.rs - bad (line 6)", &Ending::Failed),
                ("src/lib.rs - left_out (line 11)", &Ending::Ignored(String::new())),
                ("src/lib.rs - only_compiled (line 16) - compile", &Ending::Passed),
                ("src/lib.rs - good (line 1)", &Ending::Passed),
            ]
        );
        let Event::Ended { output, .. } = &events[0] else { panic!("it ended") };
        assert!(output.contains("assertion `left == right` failed"), "{output}");
        assert!(!output.contains("test result"), "{output}");
    }
}
