//! What the tests of the sandbox share.

use serde_json::json;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::LazyLock;
use std::time::Duration;
use thinkube_plan::{Context, Outcome, PluginPlan, Problem};
use thinkube_sandbox::{Allocation, Called, Config, Error, Limits, Plugin, Sandbox};

/// Long enough for the slowest machine, short enough that a test that hangs says so.
const TEST_LIMIT: Duration = Duration::from_secs(180);

/// A limit that is not meant to be reached in a test of another.
pub(crate) const HOUR: Duration = Duration::from_secs(3600);

/// The bytes of the hostile plugin. Built once a run, by the runner of the tests or here, into the folder where all
/// plugins are built.
pub(crate) static HOSTILE: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    // A sibling in the target folder, wherever that is.
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).with_file_name("plugins");
    if !thinkube_test_cluster::is_built("tests/hostile-plugin") {
        let built = Command::new(env!("CARGO"))
            .args(["build", "--quiet", "--package", "hostile-plugin"])
            .args(["--target", "wasm32-wasip2", "--profile", "plugin", "--target-dir"])
            .arg(&target)
            .env_remove("RUSTC_BOOTSTRAP")
            .current_dir(&root)
            .status()
            .expect("cargo runs");
        assert!(built.success(), "the hostile plugin does not build");
    }
    let path = target.join("wasm32-wasip2/plugin/hostile_plugin.wasm");
    std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
});

/// Below the target folder; kept between runs, so that only the first run compiles.
fn cache() -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join("compiled")
}

pub(crate) fn sandbox(change: impl FnOnce(&mut Limits)) -> Sandbox {
    let mut limits = Limits { wall_time: TEST_LIMIT, cpu_time: TEST_LIMIT, ..Limits::default() };
    // Each pool reserves address space for its places, and tests make many pools.
    limits.concurrent_calls = 4;
    change(&mut limits);
    Sandbox::new(Config { limits, cache: Some(cache()), allocation: Allocation::Pooling }).unwrap()
}

/// The hostile plugin under changed limits.
pub(crate) async fn hostile(change: impl FnOnce(&mut Limits)) -> Plugin {
    patiently(sandbox(change).load(&HOSTILE)).await.unwrap()
}

pub(crate) async fn patiently<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(TEST_LIMIT, future).await.expect("it ends")
}

pub(crate) fn context(behaviour: &str, amount: usize) -> Context {
    Context {
        release: "mine".into(),
        namespace: "mine".into(),
        settings: json!({ "do": behaviour, "amount": amount }),
        facts: Vec::new(),
        kubernetes_version: "1.34".into(),
        installed: None,
    }
}

/// What became of a call of `plan`.
pub(crate) type Answer = Result<Called<Result<Outcome, Problem>>, Error>;

/// The outline of a plan, or a panic that tells what came instead.
pub(crate) fn plugin_plan(answer: Answer) -> (PluginPlan, Called<()>) {
    let Called { value, log, log_truncated, output, fuel, peak_memory, elapsed } =
        answer.unwrap_or_else(|error| panic!("{error}"));
    match value {
        Ok(Outcome::Plan(plugin_plan)) => {
            (plugin_plan, Called { value: (), log, log_truncated, output, fuel, peak_memory, elapsed })
        }
        other => panic!("no plan: {other:?}"),
    }
}

/// The notes of a plan: what the plugin told.
pub(crate) fn notes(answer: Answer) -> String {
    plugin_plan(answer).0.notes.unwrap_or_default()
}
