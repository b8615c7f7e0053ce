//! Components that no compiler emits: a core module by hand, wrapped by wit-component.

use crate::support::{context, patiently, sandbox};
use std::path::Path;
use thinkube_plan::{Diagnostic as _, Outcome};
use thinkube_sandbox::{Allocation, Capability, Config, Error, Limits, Plugin, Quota, Sandbox, TrapKind};
use wit_component::{ComponentEncoder, StringEncoding, embed_component_metadata};
use wit_parser::Resolve;

const PLUGIN: &str = "package test:raw; world raw { include thinkube:plugin/plugin@0.1.0; }";

/// What every core module of a component has.
const USUAL: &str = r#"
    (memory (export "memory") 1)
    (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32) i32.const 1024)
"#;

const DESCRIBE: &str =
    r#"(func (export "thinkube:plugin/lifecycle@0.1.0#describe") (result i32) unreachable)"#;

/// A context, flattened by the canonical ABI.
const CONTEXT: &str = "(param i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32)";

fn component(world: &str, core: &str) -> Vec<u8> {
    encoded(world, core, StringEncoding::UTF8)
}

/// Wraps a core module. The contract is known to `world` unless it brings its own.
fn encoded(world: &str, core: &str, strings: StringEncoding) -> Vec<u8> {
    let mut resolve = Resolve::default();
    if !world.contains("package thinkube:plugin@0.1.0 {") {
        let contract = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../wit/0.1.0");
        resolve.push_dir(contract).unwrap();
    }
    let package = resolve.push_str("raw.wit", world).unwrap();
    let world = resolve.select_world(&[package], None).unwrap();
    let mut module = wat::parse_str(format!("(module {core})")).unwrap();
    embed_component_metadata(&mut module, &resolve, world, strings).unwrap();
    ComponentEncoder::default().module(&module).unwrap().validate(true).encode().unwrap()
}

fn plan_release(body: &str) -> String {
    format!(r#"(func (export "thinkube:plugin/lifecycle@0.1.0#plan-release") {CONTEXT} (result i32) {body})"#)
}

/// A plugin whose `plan-release` has this body; it returns the address of its result, which lies in zeroed memory:
/// untouched it reads as `ok(needs([]))`.
fn plugin(plan_body: &str) -> Vec<u8> {
    component(PLUGIN, &format!("{USUAL} {DESCRIBE} {}", plan_release(plan_body)))
}

async fn load(bytes: &[u8]) -> Result<Plugin, Error> {
    patiently(sandbox(|_| {}).load(bytes)).await
}

async fn refusal(bytes: &[u8]) -> Error {
    load(bytes).await.expect_err("it is refused")
}

async fn failure(bytes: &[u8]) -> Error {
    let plugin = load(bytes).await.unwrap();
    match patiently(plugin.plan(&context("raw", 0))).await {
        Ok(called) => panic!("it went well: {:?}", called.value),
        Err(error) => error,
    }
}

#[tokio::test]
async fn the_smallest_plugin_works() {
    let plugin = load(&plugin("i32.const 2048")).await.unwrap();
    let called = patiently(plugin.plan(&context("raw", 0))).await.unwrap();
    assert_eq!(called.value, Ok(Outcome::NeedsFacts(Vec::new())));
    assert_eq!(plugin.imports(), [""; 0]);
    assert_eq!(plugin.capabilities(), []);
    assert_eq!(called.peak_memory, 64 << 10);
    let error = patiently(plugin.evaluate("c", &observation())).await.unwrap_err();
    assert_eq!(error.kind().as_str(), "not-offered");
}

fn observation() -> thinkube_plan::Observation {
    thinkube_plan::Observation { holds: true, summary: String::new(), variables: serde_json::Map::new() }
}

#[tokio::test]
async fn a_result_that_is_not_a_value_of_its_type_is_malformed() {
    for (fault, body) in [
        (
            "a result that is neither ok nor error",
            "(i32.store8 (i32.const 2048) (i32.const 9)) i32.const 2048",
        ),
        ("an unknown outcome", "(i32.store8 (i32.const 2052) (i32.const 9)) i32.const 2048"),
        (
            "a list outside of memory",
            "(i32.store (i32.const 2056) (i32.const -4096)) (i32.store (i32.const 2060) (i32.const 9)) i32.const 2048",
        ),
        (
            "a list that is not aligned",
            "(i32.store (i32.const 2056) (i32.const 1)) (i32.store (i32.const 2060) (i32.const 9)) i32.const 2048",
        ),
        ("an address that is not aligned", "i32.const 2049"),
        ("an address outside of memory", "i32.const -64"),
    ] {
        let error = failure(&plugin(body)).await;
        assert!(matches!(error, Error::Malformed { call: "plan-release", .. }), "{fault}: {error:?}");
    }
}

#[tokio::test]
async fn a_text_that_is_not_utf16_is_malformed_as_well() {
    // `err(other("\u{d800}"))`: half of a surrogate pair.
    let body = "
        (i32.store8 (i32.const 2048) (i32.const 1)) (i32.store8 (i32.const 2052) (i32.const 2))
        (i32.store (i32.const 2056) (i32.const 4096)) (i32.store (i32.const 2060) (i32.const 1))
        (i32.store16 (i32.const 4096) (i32.const 0xd800)) i32.const 2048";
    let core = format!("{USUAL} {DESCRIBE} {}", plan_release(body));
    let error = failure(&encoded(PLUGIN, &core, StringEncoding::UTF16)).await;
    assert!(matches!(error, Error::Malformed { .. }), "{error:?}");
}

#[tokio::test]
async fn a_text_that_a_result_repeats_cannot_fill_the_hosts_memory() {
    // Five hundred queries whose name is the same 1 MiB of memory: half a gigabyte on the side of the host.
    let body = r#"
        (local $at i32)
        (drop (memory.grow (i32.const 40)))
        (local.set $at (i32.const 4096))
        (loop $more
            (i32.store offset=32 (local.get $at) (i32.const 65536))
            (i32.store offset=36 (local.get $at) (i32.const 1048576))
            (local.set $at (i32.add (local.get $at) (i32.const 40)))
            (br_if $more (i32.lt_u (local.get $at) (i32.const 24096))))
        (i32.store (i32.const 2056) (i32.const 4096))
        (i32.store (i32.const 2060) (i32.const 500))
        i32.const 2048
    "#;
    let error = failure(&plugin(body)).await;
    assert!(matches!(error, Error::Quota { which: Quota::TransferBytes, .. }), "{error:?}");
}

#[tokio::test]
async fn traps_are_told_apart_by_their_kind() {
    for (body, expected) in [
        ("unreachable", TrapKind::Unreachable),
        ("(i32.div_u (i32.const 1) (i32.const 0))", TrapKind::Arithmetic),
        ("(i32.trunc_f32_s (f32.const nan))", TrapKind::Arithmetic),
        ("(i32.load (i32.const -64))", TrapKind::MemoryOutOfBounds),
    ] {
        match failure(&plugin(body)).await {
            Error::Trap { trap, .. } => assert_eq!(trap, expected),
            other => panic!("{body}: {other:?}"),
        }
    }
    let core = format!(
        "(type $f (func)) (table 4 funcref) {USUAL} {DESCRIBE} {}",
        plan_release("(call_indirect (type $f) (i32.const 1)) i32.const 0")
    );
    let error = failure(&component(PLUGIN, &core)).await;
    assert!(matches!(error, Error::Trap { trap: TrapKind::BadCall, .. }), "{error:?}");
    let core = format!("(func $f (call $f)) {USUAL} {DESCRIBE} {}", plan_release("(call $f) i32.const 0"));
    let error = failure(&component(PLUGIN, &core)).await;
    assert!(matches!(error, Error::Trap { trap: TrapKind::StackOverflow, .. }), "{error:?}");
}

#[tokio::test]
async fn a_component_that_fails_or_spins_at_its_start_is_ended() {
    let started = |start: &str| {
        let core =
            format!("{USUAL} {DESCRIBE} {} (start $s) (func $s {start})", plan_release("i32.const 2048"));
        component(PLUGIN, &core)
    };
    let error = failure(&started("unreachable")).await;
    assert!(matches!(error, Error::Trap { trap: TrapKind::Unreachable, .. }), "{error:?}");
    let plugin =
        patiently(sandbox(|limits| limits.fuel = 1_000_000).load(&started("(loop $l (br $l))"))).await;
    let error = patiently(plugin.unwrap().describe()).await.unwrap_err();
    assert!(matches!(error, Error::OutOfFuel { call: "describe", .. }), "{error:?}");
}

#[tokio::test]
async fn memory_is_counted_over_all_memories() {
    // Forty megabytes each; one alone is allowed.
    let core = |count: usize| {
        let more = "(memory 640)".repeat(count);
        component(PLUGIN, &format!("{USUAL} {more} {DESCRIBE} {}", plan_release("i32.const 2048")))
    };
    let one = load(&core(1)).await.unwrap();
    let called = patiently(one.plan(&context("raw", 0))).await.unwrap();
    assert_eq!(called.peak_memory, 641 << 16);
    let error = failure(&core(2)).await;
    assert!(matches!(error, Error::Memory { .. }), "{error:?}");
}

#[tokio::test]
async fn a_refused_growth_leaves_the_granted_memory_counted() {
    // Forty megabytes, then more than a memory can ever have, then forty in another memory.
    let body = "
        (drop (memory.grow 0 (i32.const 640)))
        (drop (memory.grow 0 (i32.const -1)))
        (drop (memory.grow 1 (i32.const 1000)))
        (br_if 0 (i32.ne (memory.grow 2 (i32.const 640)) (i32.const -1)))
        unreachable";
    let core = format!(
        "{USUAL} (memory 1 16) (memory 1) {DESCRIBE} {}",
        plan_release(&format!("(block {body}) i32.const 2048"))
    );
    let error = failure(&component(PLUGIN, &core)).await;
    assert!(matches!(error, Error::Memory { .. }), "{error:?}");

    // What only its own maximum refuses is not counted: the rest is still there to be had.
    let body = "
        (drop (memory.grow 1 (i32.const 600)))
        (drop (memory.grow 1 (i32.const 600)))
        (br_if 0 (i32.eq (memory.grow 0 (i32.const 1000)) (i32.const -1)))
        (return (i32.const 2048))";
    let core =
        format!("{USUAL} (memory 1 16) {DESCRIBE} {}", plan_release(&format!("(block {body}) unreachable")));
    let plugin = load(&component(PLUGIN, &core)).await.unwrap();
    let called = patiently(plugin.plan(&context("raw", 0))).await.unwrap();
    assert_eq!(called.peak_memory, 1002 << 16);
}

#[tokio::test]
async fn components_with_async_built_ins_as_quickjs_makes_them_are_compiled() {
    let bytes = wat::parse_str("(component (core func (canon task.cancel)))").unwrap();
    // It is refused for what it lacks, not for what it has.
    let error = refusal(&bytes).await;
    assert!(error.to_string().contains("lacks the export"), "{error}");
}

fn on_demand() -> Sandbox {
    let config = Config { limits: Limits::default(), cache: None, allocation: Allocation::OnDemand };
    Sandbox::new(config).unwrap()
}

#[tokio::test]
async fn a_component_with_too_many_memories_is_too_complex() {
    let memories = "(memory 1)".repeat(8);
    let bytes =
        component(PLUGIN, &format!("{USUAL} {memories} {DESCRIBE} {}", plan_release("i32.const 2048")));
    assert_eq!(refusal(&bytes).await.kind().as_str(), "too-complex");
    let plugin = patiently(on_demand().load(&bytes)).await.unwrap();
    assert_eq!(patiently(plugin.plan(&context("raw", 0))).await.unwrap_err().kind().as_str(), "too-complex");
}

#[tokio::test]
async fn a_component_that_starts_with_too_much_memory_is_refused() {
    let core = USUAL.replace("1)", "2000)");
    let bytes = component(PLUGIN, &format!("{core} {DESCRIBE} {}", plan_release("i32.const 2048")));
    assert_eq!(refusal(&bytes).await.kind().as_str(), "too-complex");
    let plugin = patiently(on_demand().load(&bytes)).await.unwrap();
    let error = patiently(plugin.plan(&context("raw", 0))).await.unwrap_err();
    assert!(matches!(error, Error::Memory { .. }), "{error:?}");
}

#[tokio::test]
async fn a_table_that_grows_too_large_names_that_limit() {
    let grow =
        "(br_if 0 (i32.ne (table.grow (ref.null func) (i32.const 200000)) (i32.const -1))) unreachable";
    let core = format!(
        "(table 4 funcref) {USUAL} {DESCRIBE} {}",
        plan_release(&format!("(block {grow}) i32.const 2048"))
    );
    let error = failure(&component(PLUGIN, &core)).await;
    assert!(matches!(error, Error::Quota { which: Quota::TableElements, limit: 100_000, .. }), "{error:?}");
}

#[tokio::test]
async fn a_message_to_the_log_that_is_not_text_or_too_long_is_refused() {
    let logs = |level: i32, at: i32, length: i32| {
        let call = format!(
            "(drop (memory.grow (i32.const 320))) (i32.store8 (i32.const 4096) (i32.const 255))
             (call $log (i32.const {level}) (i32.const {at}) (i32.const {length})) i32.const 2048"
        );
        let import = r#"(import "thinkube:plugin/log@0.1.0" "log" (func $log (param i32 i32 i32)))"#;
        component(PLUGIN, &format!("{import} {USUAL} {DESCRIBE} {}", plan_release(&call)))
    };
    for (fault, bytes) in [
        ("no level", logs(99, 0, 10)),
        ("outside of memory", logs(0, -1, 10)),
        ("no UTF-8", logs(0, 4096, 1)),
    ] {
        let error = failure(&bytes).await;
        assert!(matches!(error, Error::Malformed { call: "plan-release", .. }), "{fault}: {error:?}");
    }
    let error = failure(&logs(0, 65536, 20_000_000)).await;
    assert!(matches!(error, Error::Quota { which: Quota::TransferBytes, .. }), "{error:?}");
}

#[tokio::test]
async fn a_component_of_another_world_is_told_which_export_it_lacks() {
    let bytes = component("package test:raw; world raw { export run: func(); }", r#"(func (export "run"))"#);
    let error = refusal(&bytes).await;
    assert_eq!(error.kind().as_str(), "wrong-world");
    assert!(error.to_string().contains("lacks the export thinkube:plugin/lifecycle@0.1.0"), "{error}");
}

#[tokio::test]
async fn a_plugin_of_another_version_of_the_contract_is_told_which_are_spoken() {
    let world = "package test:raw;
        world raw { export thinkube:plugin/lifecycle@0.9.0; }
        package thinkube:plugin@0.9.0 { interface lifecycle { describe: func(); } }";
    let bytes = component(world, r#"(func (export "thinkube:plugin/lifecycle@0.9.0#describe"))"#);
    let error = refusal(&bytes).await;
    let Error::UnsupportedContract { found, supported } = &error else { panic!("{error:?}") };
    assert_eq!((found.as_str(), *supported), ("0.9.0", &["0.1.0"][..]));
    assert!(format!("{:?}", error.hint()).contains("rebuild the plugin"), "{error}");
}

#[tokio::test]
async fn an_export_without_its_functions_or_with_others_is_of_another_world() {
    let world = "package test:raw;
        world raw { export thinkube:plugin/lifecycle@0.1.0; }
        package thinkube:plugin@0.1.0 { interface lifecycle { describe: func(); } }";
    let lacks = component(world, r#"(func (export "thinkube:plugin/lifecycle@0.1.0#describe"))"#);
    let error = refusal(&lacks).await;
    assert_eq!(error.kind().as_str(), "wrong-world");
    assert!(error.to_string().contains("plan-release"), "{error}");

    let world = world.replace("describe: func();", "describe: func(); plan-release: func();");
    let differs = component(
        &world,
        r#"(func (export "thinkube:plugin/lifecycle@0.1.0#describe"))
           (func (export "thinkube:plugin/lifecycle@0.1.0#plan-release"))"#,
    );
    let plugin = load(&differs).await.unwrap();
    assert_eq!(patiently(plugin.describe()).await.unwrap_err().kind().as_str(), "wrong-world");
}

#[tokio::test]
async fn an_import_that_is_not_offered_is_named_with_what_to_do() {
    let imports = |package: &str, interface: &str| {
        let (name, version) = package.split_once('@').unwrap();
        let world = format!(
            "package test:raw;
             world raw {{ include thinkube:plugin/plugin@0.1.0; import {name}/{interface}@{version}; }}
             package {package} {{ interface {interface} {{ get: func() -> u32; }} }}"
        );
        let import = format!(r#"(import "{name}/{interface}@{version}" "get" (func (result i32)))"#);
        component(&world, &format!("{import} {USUAL} {DESCRIBE} {}", plan_release("i32.const 2048")))
    };
    for (package, interface, hint) in [
        ("wasi:http@0.2.10", "types", "a plugin has no network: build it without HTTP"),
        ("acme:secrets@1.0.0", "read", "only WASI 0.2 and thinkube:plugin/log"),
        ("wasi:cli@0.3.0", "stdout", "built for WASI 0.2"),
        // Offered by name, but not with this function.
        ("wasi:cli@0.2.6", "stdout", "export the interfaces of wit/0.1.0"),
    ] {
        let error = refusal(&imports(package, interface)).await;
        assert_eq!(error.kind().as_str(), "wrong-world", "{error}");
        let told = format!("{error}; {:?}", error.hint());
        assert!(told.contains(hint) && told.contains(interface), "{told}");
    }
}

#[tokio::test]
async fn optional_interfaces_are_found_by_name_and_unknown_ones_ignored() {
    let world = "package test:raw;
        interface other { ping: func(); }
        world raw {
            include thinkube:plugin/plugin@0.1.0;
            export thinkube:plugin/workstation@0.1.0;
            export thinkube:plugin/operations@0.1.0;
            export other;
        }";
    let core = format!(
        r#"{USUAL} {DESCRIBE} {}
        (func (export "thinkube:plugin/workstation@0.1.0#plan-workstation") {CONTEXT} (result i32) unreachable)
        (func (export "thinkube:plugin/operations@0.1.0#operations") (result i32) unreachable)
        (func (export "thinkube:plugin/operations@0.1.0#plan-operation") (param i32) (result i32) unreachable)
        (func (export "test:raw/other#ping"))"#,
        plan_release("i32.const 2048")
    );
    let plugin = load(&component(world, &core)).await.unwrap();
    assert_eq!(plugin.capabilities(), [Capability::Workstation, Capability::Operations]);
}

#[tokio::test]
async fn a_checks_export_of_another_type_is_of_another_world_when_it_is_called() {
    let world = "package test:raw;
        world raw { export thinkube:plugin/lifecycle@0.1.0; export thinkube:plugin/checks@0.1.0; }
        package thinkube:plugin@0.1.0 {
            interface lifecycle { describe: func(); plan-release: func(); }
            interface checks { evaluate: func(); }
        }";
    let bytes = component(
        world,
        r#"(func (export "thinkube:plugin/lifecycle@0.1.0#describe"))
           (func (export "thinkube:plugin/lifecycle@0.1.0#plan-release"))
           (func (export "thinkube:plugin/checks@0.1.0#evaluate"))"#,
    );
    let plugin = load(&bytes).await.unwrap();
    assert_eq!(plugin.capabilities(), [Capability::Checks]);
    let error = patiently(plugin.evaluate("c", &observation())).await.unwrap_err();
    assert_eq!(error.kind().as_str(), "wrong-world");
}
