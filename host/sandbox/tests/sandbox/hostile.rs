//! One plugin that misbehaves in every way it is told, against the limits.

#[path = "../../../../tests/hostile-plugin/src/behaviour.rs"]
mod behaviour;

use crate::support::{Answer, HOUR, context, hostile, notes, patiently, plugin_plan};
use behaviour::Behaviour;
use serde_json::json;
use std::time::Duration;
use thinkube_plan::{
    Answer as FactAnswer, Diagnostic as _, Fact, Observation, Outcome, Probe, Problem, Status,
};
use thinkube_sandbox::{Capability, Error, Level, Limits, Quota, TrapKind};

const SHORT: Duration = Duration::from_millis(200);

/// The test of each behaviour. A behaviour without a test does not compile.
const _: fn(Behaviour) -> fn() = |behaviour| match behaviour {
    Behaviour::Behave => a_plan_comes_back_with_what_it_took,
    Behaviour::Refuse => the_plugins_own_refusal_is_not_a_failure_of_the_sandbox,
    Behaviour::Spin => a_plugin_that_spins_is_ended_by_its_cpu_time,
    Behaviour::Sleep => a_plugin_that_sleeps_an_hour_returns_at_once,
    Behaviour::SleepForever => a_plugin_that_never_stops_sleeping_is_ended_by_the_wall_time,
    Behaviour::NeedsForever => a_plugin_may_ask_for_ever_because_the_host_bounds_the_rounds,
    Behaviour::Allocate => a_plugin_that_takes_all_memory_is_ended_and_told_so,
    Behaviour::AllocateAndRecover => a_plugin_that_can_do_without_more_memory_goes_on,
    Behaviour::Recurse => a_plugin_that_recurses_without_end_traps,
    Behaviour::Panic => a_panic_is_a_trap_that_carries_the_last_lines_of_stderr,
    Behaviour::Exit => a_plugin_that_exits_is_told_apart_from_one_that_traps,
    Behaviour::OpenHandles => a_plugin_that_leaks_handles_is_ended_by_their_number,
    Behaviour::FloodLog => a_plugin_that_floods_its_log_is_ended,
    Behaviour::TalkTooMuch => a_log_that_is_too_long_is_cut_and_says_so,
    Behaviour::FloodStderr => a_plugin_that_floods_stderr_is_ended,
    Behaviour::FloodStdout => a_plugin_that_floods_stdout_is_ended,
    Behaviour::ForgeOutput => control_characters_of_a_plugin_are_escaped,
    Behaviour::HugeResult => a_result_of_a_hundred_megabytes_is_refused_before_it_is_copied,
    Behaviour::HugeProblem => a_refusal_is_bounded_like_a_plan,
    Behaviour::ManyStages => a_plan_with_too_many_stages_names_that_limit,
    Behaviour::ManySteps => a_plan_with_too_many_steps_names_that_limit,
    Behaviour::ManyChecks => a_plan_with_too_many_checks_names_that_limit,
    Behaviour::ManyQueries => a_question_for_too_many_facts_names_that_limit,
    Behaviour::BigManifest => a_manifest_that_no_api_server_would_take_names_that_limit,
    Behaviour::InvalidJson => a_manifest_that_is_not_json_is_named_by_stage_and_step,
    Behaviour::DeepJson => a_deeply_nested_manifest_is_malformed_and_not_a_stack_overflow,
    Behaviour::SendSecret => a_secret_that_a_check_would_send_is_in_the_plan_by_its_name,
    Behaviour::InvalidDesired => a_desired_state_that_is_not_json_is_named,
    Behaviour::InvalidUtf8 => a_text_that_is_not_utf8_is_malformed,
    Behaviour::ReadFile => a_plugin_finds_no_file,
    Behaviour::WriteFile => a_plugin_writes_no_file,
    Behaviour::ReadEnvironment => a_plugin_sees_no_environment_and_no_arguments,
    Behaviour::ReadStdin => the_standard_input_is_empty_and_does_not_block,
    Behaviour::OpenSocket => a_plugin_has_no_network,
    Behaviour::ReadClock => the_clocks_say_the_same_at_every_call_and_stand_above_zero,
    Behaviour::ReadRandom => randomness_is_the_same_for_the_same_input_and_differs_for_another,
    Behaviour::Remember => no_call_sees_what_another_left_behind,
};

async fn run(behaviour: Behaviour, amount: usize, change: impl FnOnce(&mut Limits)) -> Answer {
    let plugin = hostile(change).await;
    patiently(plugin.plan(&context(behaviour.name(), amount))).await
}

async fn failure(behaviour: Behaviour, amount: usize, change: impl FnOnce(&mut Limits)) -> Error {
    match run(behaviour, amount, change).await {
        Ok(called) => panic!("it went well: {:?}", called.value),
        Err(error) => error,
    }
}

fn default(_: &mut Limits) {}

/// Only time ends it.
fn tireless(limits: &mut Limits) {
    limits.fuel = u64::MAX;
    limits.cpu_time = HOUR;
    limits.wall_time = HOUR;
}

#[tokio::test]
async fn a_plan_comes_back_with_what_it_took() {
    let (plugin_plan, called) = plugin_plan(run(Behaviour::Behave, 0, default).await);
    assert_eq!(plugin_plan.notes.as_deref(), Some("I am good."));
    assert_eq!(plugin_plan.stages.len(), 1);
    assert_eq!(plugin_plan.stages[0].name, "base");
    assert!(called.fuel > 1000, "{called:?}");
    assert!(called.peak_memory >= 1 << 20 && called.peak_memory <= Limits::default().memory_bytes);
    assert!(called.elapsed > Duration::ZERO);
    assert!(!called.log_truncated && called.log.is_empty() && called.output.is_empty());
}

#[tokio::test]
async fn the_descriptor_and_the_world_are_read() {
    let plugin = hostile(default).await;
    let descriptor = patiently(plugin.describe()).await.unwrap().value;
    assert_eq!((descriptor.name.as_str(), descriptor.version.as_str()), ("hostile", "1.0.0"));
    assert_eq!(descriptor.settings_schema, json!({"type": "object"}));
    assert_eq!(plugin.contract_version(), "0.1.0");
    assert_eq!(plugin.capabilities(), [Capability::Checks]);
    let imports = plugin.imports();
    assert!(imports.contains(&"thinkube:plugin/log@0.1.0".to_owned()), "{imports:?}");
    assert!(imports.iter().any(|import| import.starts_with("wasi:cli/stderr@0.2.")), "{imports:?}");
    assert!(!imports.iter().any(|import| import.contains("plugin/types")), "types only: {imports:?}");
    assert!(imports.is_sorted());
}

#[tokio::test]
async fn a_plugin_judges_an_observation_by_its_variables() {
    let plugin = hostile(default).await;
    let mut variables = serde_json::Map::new();
    variables.insert("status".into(), json!(200));
    let observation = Observation { holds: true, summary: "200 OK".into(), variables };
    let verdict = patiently(plugin.evaluate("ready", &observation)).await.unwrap().value;
    assert_eq!(verdict.status, Status::Passed);
    assert_eq!(verdict.message, r#"{"status":200}"#);

    let error = patiently(plugin.evaluate("panic", &observation)).await.unwrap_err();
    assert_eq!(error.kind().as_str(), "trap");
    assert!(error.to_string().contains("`evaluate`"), "{error}");
}

#[tokio::test]
async fn the_plugins_own_refusal_is_not_a_failure_of_the_sandbox() {
    let called = run(Behaviour::Refuse, 0, default).await.unwrap();
    let expected = Problem::InvalidSettings { path: "/do".into(), message: "no".into() };
    assert_eq!(called.value, Err(expected));
}

#[tokio::test]
async fn a_plugin_that_spins_is_ended_by_its_cpu_time() {
    let error = failure(Behaviour::Spin, 0, |limits| {
        tireless(limits);
        limits.cpu_time = SHORT;
    })
    .await;
    assert!(matches!(error, Error::CpuTime { call: "plan-release", limit: SHORT, .. }), "{error:?}");
    assert_eq!(error.kind().as_str(), "cpu-time");
}

#[tokio::test]
async fn a_plugin_that_spins_is_ended_by_its_fuel() {
    let error = failure(Behaviour::Spin, 0, |limits| {
        tireless(limits);
        limits.fuel = 10_000_000;
    })
    .await;
    assert!(matches!(error, Error::OutOfFuel { limit: 10_000_000, .. }), "{error:?}");
}

#[tokio::test]
async fn a_plugin_that_spins_is_ended_by_the_wall_time() {
    let error = failure(Behaviour::Spin, 0, |limits| {
        tireless(limits);
        limits.wall_time = SHORT;
    })
    .await;
    assert!(matches!(error, Error::Timeout { limit: SHORT, .. }), "{error:?}");
}

#[tokio::test]
async fn a_plugin_that_spins_does_not_keep_others_from_running() {
    let plugin = hostile(|limits| {
        tireless(limits);
        limits.cpu_time = Duration::from_secs(2);
    })
    .await;
    // One thread: the second call runs only if the first yields.
    let spins = plugin.clone();
    let spinning = tokio::spawn(async move { spins.plan(&context("spin", 0)).await });
    tokio::task::yield_now().await;
    let (plugin_plan, _) = plugin_plan(patiently(plugin.plan(&context("behave", 0))).await);
    assert!(plugin_plan.notes.is_some());
    assert!(!spinning.is_finished(), "the other had to wait for it");
    assert_eq!(patiently(spinning).await.unwrap().unwrap_err().kind().as_str(), "cpu-time");
}

#[tokio::test]
async fn a_plugin_that_sleeps_an_hour_returns_at_once() {
    // If the sleep took real time, the time limit of the test would end first.
    assert_eq!(notes(run(Behaviour::Sleep, 0, default).await), "slept 3600 s");
}

#[tokio::test]
async fn a_plugin_that_never_stops_sleeping_is_ended_by_the_wall_time() {
    let error = failure(Behaviour::SleepForever, 0, |limits| {
        tireless(limits);
        limits.wall_time = SHORT;
    })
    .await;
    assert!(matches!(error, Error::Timeout { limit: SHORT, .. }), "{error:?}");
}

#[tokio::test]
async fn a_plugin_may_ask_for_ever_because_the_host_bounds_the_rounds() {
    let plugin = hostile(default).await;
    let mut context = context(Behaviour::NeedsForever.name(), 0);
    for round in 1..4 {
        let asked = patiently(plugin.plan(&context)).await.unwrap().value;
        let Ok(Outcome::NeedsFacts(queries)) = asked else { panic!("{asked:?}") };
        assert_eq!(queries.len(), round);
        let query = queries[round - 1].clone();
        context.facts.push(Fact { query, answer: FactAnswer::Absent });
    }
}

#[tokio::test]
async fn a_plugin_that_takes_all_memory_is_ended_and_told_so() {
    let error = failure(Behaviour::Allocate, 0, |limits| limits.memory_bytes = 8 << 20).await;
    assert!(matches!(error, Error::Memory { limit: 8_388_608, .. }), "{error:?}");
    assert!(error.stderr().iter().any(|line| line.contains("memory allocation")), "{error:?}");
}

#[tokio::test]
async fn a_plugin_that_can_do_without_more_memory_goes_on() {
    let (plugin_plan, called) = plugin_plan(run(Behaviour::AllocateAndRecover, 0, default).await);
    assert_eq!(plugin_plan.notes.as_deref(), Some("refused: true"));
    assert!(called.peak_memory <= Limits::default().memory_bytes);
}

#[tokio::test]
async fn a_plugin_that_recurses_without_end_traps() {
    let error = failure(Behaviour::Recurse, 0, default).await;
    let Error::Trap { trap, .. } = &error else { panic!("{error:?}") };
    // Which of its two stacks ends first is the compiler's choice.
    assert!(matches!(trap, TrapKind::StackOverflow | TrapKind::MemoryOutOfBounds), "{trap:?}");
}

#[tokio::test]
async fn a_panic_is_a_trap_that_carries_the_last_lines_of_stderr() {
    let error = failure(Behaviour::Panic, 0, default).await;
    let Error::Trap { call: "plan-release", trap: TrapKind::Unreachable, stderr } = &error else {
        panic!("{error:?}")
    };
    let text = stderr.join("\n");
    assert!(text.contains("the mine is wrong"), "{text}");
    assert!(text.contains("line 99") && !text.contains("line 1\n"), "only the last lines: {text}");
    assert_eq!(stderr.len(), Limits::default().output_lines);
    assert!(error.to_string().starts_with("the plugin failed in `plan-release`: it panicked"), "{error}");
}

#[tokio::test]
async fn a_plugin_that_exits_is_told_apart_from_one_that_traps() {
    let error = failure(Behaviour::Exit, 0, default).await;
    // WASI 0.2's stable exit knows success and failure only.
    assert!(matches!(error, Error::Exit { code: 1, .. }), "{error:?}");
}

#[tokio::test]
async fn a_plugin_that_leaks_handles_is_ended_by_their_number() {
    let error = failure(Behaviour::OpenHandles, 0, default).await;
    assert!(matches!(error, Error::Quota { which: Quota::Handles, .. }), "{error:?}");
}

#[tokio::test]
async fn a_plugin_that_floods_its_log_is_ended() {
    let error = failure(Behaviour::FloodLog, 0, default).await;
    assert!(matches!(error, Error::Quota { which: Quota::LogFloodBytes, limit: 8_388_608, .. }), "{error:?}");
    assert!(error.to_string().contains("log_flood_bytes"), "{error}");
}

#[tokio::test]
async fn a_log_that_is_too_long_is_cut_and_says_so() {
    let (_, called) = plugin_plan(run(Behaviour::TalkTooMuch, 60, |limits| limits.log_lines = 50).await);
    assert!(called.log_truncated);
    assert_eq!(called.log.len(), 50);
    assert_eq!(called.log[49].message, "line 49");
    assert_eq!(called.log[49].level, Level::Debug);

    let (_, called) = plugin_plan(run(Behaviour::TalkTooMuch, 60, |limits| limits.log_bytes = 20).await);
    assert!(called.log_truncated);
    assert_eq!(called.log.len(), 3);

    let (_, called) = plugin_plan(run(Behaviour::TalkTooMuch, 50, |limits| limits.log_lines = 50).await);
    assert!(!called.log_truncated);
}

#[tokio::test]
async fn a_plugin_that_floods_stderr_is_ended() {
    let error = failure(Behaviour::FloodStderr, 0, |limits| limits.output_flood_bytes = 1 << 20).await;
    assert!(matches!(error, Error::Quota { which: Quota::OutputFloodBytes, .. }), "{error:?}");
}

#[tokio::test]
async fn a_plugin_that_floods_stdout_is_ended() {
    let error = failure(Behaviour::FloodStdout, 0, |limits| limits.output_flood_bytes = 1 << 20).await;
    assert!(matches!(error, Error::Quota { which: Quota::OutputFloodBytes, .. }), "{error:?}");
}

#[tokio::test]
async fn control_characters_of_a_plugin_are_escaped() {
    let (_, called) = plugin_plan(run(Behaviour::ForgeOutput, 0, default).await);
    let escaped = "\\u{1b}[2J\\u{1b}[32mAPPLIED";
    assert_eq!(called.log[0].message, format!("{escaped}\\r\\n\\u{{202e}}"));
    assert_eq!(called.output, [format!("{escaped}\\u{{202e}}")]);

    let error = failure(Behaviour::ForgeOutput, 1, default).await;
    let told = format!("{error}\n{}", error.stderr().join("\n"));
    assert!(told.contains("\\u{1b}[31m"), "{told}");
    assert!(!told.contains('\u{1b}') && !told.contains('\u{202e}'), "{told}");
}

#[tokio::test]
async fn a_result_of_a_hundred_megabytes_is_refused_before_it_is_copied() {
    // The plugin may have the memory for it; the host does not take it.
    let error = failure(Behaviour::HugeResult, 100_000_000, |limits| limits.memory_bytes = 512 << 20).await;
    assert!(matches!(error, Error::Quota { which: Quota::TransferBytes, .. }), "{error:?}");

    // Under the default limits it does not even have the memory.
    let error = failure(Behaviour::HugeResult, 100_000_000, default).await;
    assert!(matches!(error, Error::Memory { .. }), "{error:?}");
}

#[tokio::test]
async fn a_result_that_can_be_copied_but_is_too_large_names_that_limit() {
    let limit = Limits::default().result_bytes;
    let error = failure(Behaviour::HugeResult, limit, default).await;
    assert!(matches!(error, Error::Quota { which: Quota::ResultBytes, .. }), "{error:?}");
    assert_eq!(notes(run(Behaviour::HugeResult, limit - 1000, default).await).len(), limit - 1000);
}

#[tokio::test]
async fn a_refusal_is_bounded_like_a_plan() {
    let error = failure(Behaviour::HugeProblem, Limits::default().result_bytes + 1, default).await;
    assert!(matches!(error, Error::Quota { which: Quota::ResultBytes, .. }), "{error:?}");
}

#[tokio::test]
async fn a_plan_with_too_many_stages_names_that_limit() {
    let error = failure(Behaviour::ManyStages, 101, default).await;
    assert!(matches!(error, Error::Quota { which: Quota::Stages, limit: 100, .. }), "{error:?}");
    assert_eq!(plugin_plan(run(Behaviour::ManyStages, 100, default).await).0.stages.len(), 100);
}

#[tokio::test]
async fn a_plan_with_too_many_steps_names_that_limit() {
    let error = failure(Behaviour::ManySteps, 2001, default).await;
    assert!(matches!(error, Error::Quota { which: Quota::Steps, limit: 2000, .. }), "{error:?}");
    assert_eq!(plugin_plan(run(Behaviour::ManySteps, 2000, default).await).0.stages[0].steps.len(), 2000);
}

#[tokio::test]
async fn a_plan_with_too_many_checks_names_that_limit() {
    let error = failure(Behaviour::ManyChecks, 2001, default).await;
    assert!(matches!(error, Error::Quota { which: Quota::Checks, limit: 2000, .. }), "{error:?}");
    assert_eq!(plugin_plan(run(Behaviour::ManyChecks, 2000, default).await).0.health.len(), 2000);
}

#[tokio::test]
async fn a_question_for_too_many_facts_names_that_limit() {
    let error = failure(Behaviour::ManyQueries, 501, default).await;
    assert!(matches!(error, Error::Quota { which: Quota::Queries, limit: 500, .. }), "{error:?}");
}

#[tokio::test]
async fn a_manifest_that_no_api_server_would_take_names_that_limit() {
    let error = failure(Behaviour::BigManifest, 1536 << 10, default).await;
    assert!(matches!(error, Error::Quota { which: Quota::ManifestBytes, .. }), "{error:?}");
}

#[tokio::test]
async fn a_manifest_that_is_not_json_is_named_by_stage_and_step() {
    let error = failure(Behaviour::InvalidJson, 0, default).await;
    let Error::Malformed { place, message, .. } = &error else { panic!("{error:?}") };
    assert_eq!(place, "stage base, step 2, manifest");
    assert!(message.contains("line 1 column 10"), "{message}");
}

#[tokio::test]
async fn a_deeply_nested_manifest_is_malformed_and_not_a_stack_overflow() {
    let error = failure(Behaviour::DeepJson, 0, default).await;
    assert!(matches!(&error, Error::Malformed { place, .. } if place.contains("step 1")), "{error:?}");
}

#[tokio::test]
async fn a_secret_that_a_check_would_send_is_in_the_plan_by_its_name() {
    let (plugin_plan, _) = plugin_plan(run(Behaviour::SendSecret, 0, default).await);
    let Probe::Http(probe) = &plugin_plan.health[0].probe else { panic!("{plugin_plan:?}") };
    let sent = probe.credentials.as_ref().expect("it sends some");
    assert_eq!((sent.header.as_str(), sent.username.as_str()), ("x-loot", "root"));
    assert_eq!((sent.password.name.as_str(), sent.password.key.as_str()), ("theirs", "token"));
}

#[tokio::test]
async fn a_desired_state_that_is_not_json_is_named() {
    let error = failure(Behaviour::InvalidDesired, 0, default).await;
    let Error::Malformed { place, .. } = &error else { panic!("{error:?}") };
    assert_eq!(place, "stage base, step 1 (external resource realm), desired");
}

#[tokio::test]
async fn a_text_that_is_not_utf8_is_malformed() {
    let error = failure(Behaviour::InvalidUtf8, 0, default).await;
    assert!(matches!(error, Error::Malformed { call: "plan-release", .. }), "{error:?}");
    assert!(error.to_string().contains("utf-8"), "{error}");
}

#[tokio::test]
async fn a_plugin_finds_no_file() {
    let told = notes(run(Behaviour::ReadFile, 0, default).await);
    assert!(!told.contains("FOUND"), "{told}");
    assert_eq!(told.matches(": ").count(), 7, "{told}");
}

#[tokio::test]
async fn a_plugin_writes_no_file() {
    let told = notes(run(Behaviour::WriteFile, 0, default).await);
    assert!(!told.contains("FOUND"), "{told}");
    assert_eq!(told.matches(": ").count(), 3, "{told}");
}

#[tokio::test]
async fn a_plugin_sees_no_environment_and_no_arguments() {
    let told = notes(run(Behaviour::ReadEnvironment, 0, default).await);
    assert!(told.starts_with("environment [], arguments [], directory "), "{told}");
    let here = std::env::current_dir().unwrap();
    assert!(!told.contains(here.to_str().unwrap()), "{told}");
}

#[tokio::test]
async fn the_standard_input_is_empty_and_does_not_block() {
    assert_eq!(notes(run(Behaviour::ReadStdin, 0, default).await), "Ok(0) []");
}

#[tokio::test]
async fn a_plugin_has_no_network() {
    // Someone listens, so a connection would succeed if it were tried.
    let _listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    assert_eq!(notes(run(Behaviour::OpenSocket, 0, default).await), "denied: [true, true, true, true]");
}

#[tokio::test]
async fn the_clocks_say_the_same_at_every_call_and_stand_above_zero() {
    let plugin = hostile(default).await;
    let told = notes(patiently(plugin.plan(&context("read-clock", 0))).await);
    assert_eq!(told, "wall Ok(1767225600s), monotonic 1000000 2000000");
    assert_eq!(notes(patiently(plugin.plan(&context("read-clock", 0))).await), told);
}

#[tokio::test]
async fn randomness_is_the_same_for_the_same_input_and_differs_for_another() {
    let plugin = hostile(default).await;
    let told = notes(patiently(plugin.plan(&context("read-random", 0))).await);
    assert_eq!(notes(patiently(plugin.plan(&context("read-random", 0))).await), told);
    // Another sandbox, as on another machine.
    let other = hostile(|limits| limits.fuel /= 2).await;
    assert_eq!(notes(patiently(other.plan(&context("read-random", 0))).await), told);
    assert_ne!(notes(patiently(plugin.plan(&context("read-random", 1))).await), told);
}

#[tokio::test]
async fn fuel_is_the_same_for_the_same_input() {
    let plugin = hostile(default).await;
    let first = patiently(plugin.plan(&context("read-random", 0))).await.unwrap();
    let second = patiently(plugin.plan(&context("read-random", 0))).await.unwrap();
    assert_eq!(first.fuel, second.fuel);
    assert_eq!(first.peak_memory, second.peak_memory);
}

#[tokio::test]
async fn no_call_sees_what_another_left_behind() {
    let plugin = hostile(default).await;
    for _ in 0..3 {
        assert_eq!(notes(patiently(plugin.plan(&context("remember", 0))).await), "call 1");
        patiently(plugin.describe()).await.unwrap();
    }
}

#[tokio::test]
async fn a_plugin_that_failed_works_at_the_next_call() {
    let plugin = hostile(default).await;
    assert_eq!(patiently(plugin.plan(&context("panic", 0))).await.unwrap_err().kind().as_str(), "trap");
    assert_eq!(notes(patiently(plugin.plan(&context("behave", 0))).await), "I am good.");
}

#[tokio::test]
async fn a_call_that_finds_no_place_in_time_says_that_the_host_is_busy() {
    let plugin = hostile(|limits| {
        tireless(limits);
        limits.concurrent_calls = 1;
        limits.queue_time = SHORT;
        limits.cpu_time = Duration::from_secs(5);
    })
    .await;
    let spins = plugin.clone();
    let spinning = tokio::spawn(async move { spins.plan(&context("spin", 0)).await });
    tokio::task::yield_now().await;
    let error = patiently(plugin.plan(&context("behave", 0))).await.unwrap_err();
    assert!(matches!(error, Error::Busy { waited: SHORT }), "{error:?}");
    spinning.abort();
    let _ = patiently(spinning).await;
    // The place of a call that was given up is free again.
    assert_eq!(notes(patiently(plugin.plan(&context("behave", 0))).await), "I am good.");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_calls_at_once_all_get_their_answer() {
    let plugin = hostile(default).await;
    let calls: Vec<_> = (0..100)
        .map(|_| {
            let plugin = plugin.clone();
            tokio::spawn(async move { notes(plugin.plan(&context("behave", 0)).await) })
        })
        .collect();
    for call in calls {
        assert_eq!(patiently(call).await.unwrap(), "I am good.");
    }
}
