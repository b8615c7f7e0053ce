//! What the sandbox loads, refuses to load, and keeps in its cache.

use crate::support::{HOSTILE, context, notes, patiently, sandbox};
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;
use thinkube_plan::{Diagnostic as _, Digest};
use thinkube_sandbox::{Allocation, Config, Error, Limits, Sandbox};

fn cached_in(directory: &Path) -> Sandbox {
    let config = Config {
        limits: Limits { concurrent_calls: 2, ..Limits::default() },
        cache: Some(directory.to_owned()),
        allocation: Allocation::OnDemand,
    };
    Sandbox::new(config).unwrap()
}

fn private() -> tempfile::TempDir {
    let directory = tempfile::tempdir().unwrap();
    fs::set_permissions(directory.path(), Permissions::from_mode(0o700)).unwrap();
    directory
}

fn the_one(directory: &Path, extension: &str) -> PathBuf {
    let mut found: Vec<_> = fs::read_dir(directory)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|found| found == extension))
        .collect();
    assert_eq!(found.len(), 1, "{found:?}");
    found.remove(0)
}

#[tokio::test]
async fn the_second_load_comes_from_the_cache_also_in_another_sandbox() {
    let directory = private();
    let sandbox = cached_in(directory.path());
    let first = patiently(sandbox.load(&HOSTILE)).await.unwrap();
    assert!(!first.from_cache());
    assert_eq!(*first.digest(), Digest::of(&HOSTILE));
    assert!(patiently(sandbox.load(&HOSTILE)).await.unwrap().from_cache());

    let other = patiently(cached_in(directory.path()).load(&HOSTILE)).await.unwrap();
    assert!(other.from_cache());
    assert_eq!(notes(patiently(other.plan(&context("behave", 0))).await), "I am good.");
    assert_eq!(fs::metadata(the_one(directory.path(), "cwasm")).unwrap().permissions().mode() & 0o077, 0);
}

#[tokio::test]
async fn a_pooling_and_an_on_demand_engine_share_the_cache() {
    let directory = private();
    let pooled = Config {
        limits: Limits { concurrent_calls: 2, ..Limits::default() },
        cache: Some(directory.path().to_owned()),
        allocation: Allocation::Pooling,
    };
    assert!(!patiently(Sandbox::new(pooled).unwrap().load(&HOSTILE)).await.unwrap().from_cache());
    assert!(patiently(cached_in(directory.path()).load(&HOSTILE)).await.unwrap().from_cache());
}

#[tokio::test]
async fn a_damaged_file_of_the_cache_is_compiled_again_and_never_loaded() {
    let directory = private();
    patiently(cached_in(directory.path()).load(&HOSTILE)).await.unwrap();
    let compiled = the_one(directory.path(), "cwasm");
    let whole = fs::read(&compiled).unwrap();

    let cut = whole[..whole.len() / 2].to_vec();
    let mut flipped = whole.clone();
    let middle = flipped.len() / 2;
    flipped[middle] ^= 1;
    for damaged in [cut, flipped, Vec::new(), b"\x7fELF".to_vec()] {
        fs::write(&compiled, &damaged).unwrap();
        let plugin = patiently(cached_in(directory.path()).load(&HOSTILE)).await.unwrap();
        assert!(!plugin.from_cache());
        assert_eq!(notes(patiently(plugin.plan(&context("behave", 0))).await), "I am good.");
        // And it is whole again.
        assert!(patiently(cached_in(directory.path()).load(&HOSTILE)).await.unwrap().from_cache());
    }

    fs::remove_file(the_one(directory.path(), "sha256")).unwrap();
    assert!(!patiently(cached_in(directory.path()).load(&HOSTILE)).await.unwrap().from_cache());

    // A file that others can write: it was not this host that made it so.
    fs::set_permissions(&compiled, Permissions::from_mode(0o622)).unwrap();
    assert!(!patiently(cached_in(directory.path()).load(&HOSTILE)).await.unwrap().from_cache());
    assert!(patiently(cached_in(directory.path()).load(&HOSTILE)).await.unwrap().from_cache());

    // A sum that fits bytes which are no compiled component: wasmtime refuses them.
    fs::write(&compiled, b"no code").unwrap();
    fs::write(the_one(directory.path(), "sha256"), Digest::of(b"no code").hex()).unwrap();
    assert!(!patiently(cached_in(directory.path()).load(&HOSTILE)).await.unwrap().from_cache());
}

#[tokio::test]
async fn a_cache_directory_of_others_is_not_used_and_plugins_load_without() {
    let directory = tempfile::tempdir().unwrap();
    fs::set_permissions(directory.path(), Permissions::from_mode(0o777)).unwrap();
    let sandbox = cached_in(directory.path());
    let fault = sandbox.cache_fault().expect("it is refused");
    assert_eq!(fault.kind().as_str(), "cache");
    assert!(fault.to_string().contains("0777"), "{fault}");
    for _ in 0..2 {
        assert!(!patiently(sandbox.load(&HOSTILE)).await.unwrap().from_cache());
    }
    assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 0);
}

#[tokio::test]
async fn without_a_cache_every_load_compiles() {
    let config = Config {
        limits: Limits { concurrent_calls: 2, ..Limits::default() },
        cache: None,
        allocation: Allocation::OnDemand,
    };
    let sandbox = Sandbox::new(config).unwrap();
    assert!(sandbox.cache_fault().is_none());
    for _ in 0..2 {
        assert!(!patiently(sandbox.load(&HOSTILE)).await.unwrap().from_cache());
    }
}

#[tokio::test]
async fn loads_at_the_same_time_compile_once() {
    let directory = private();
    let sandbox = cached_in(directory.path());
    let (one, two) = patiently(async { tokio::join!(sandbox.load(&HOSTILE), sandbox.load(&HOSTILE)) }).await;
    let (one, two) = (one.unwrap().from_cache(), two.unwrap().from_cache());
    assert!(one != two, "from the cache: {one}, {two}");
}

#[tokio::test]
async fn a_file_that_is_not_a_component_says_what_it_is() {
    let sandbox = sandbox(|_| {});
    let module = wat::parse_str("(module)").unwrap();
    let error = patiently(sandbox.load(&module)).await.unwrap_err();
    assert_eq!(error.kind().as_str(), "not-a-component");
    assert!(error.to_string().contains("core module"), "{error}");
    let error = patiently(sandbox.load(b"kind: Pod")).await.unwrap_err();
    assert_eq!(error.kind().as_str(), "not-a-component");
}

#[tokio::test]
async fn a_component_that_is_cut_short_is_refused() {
    let half = &HOSTILE[..HOSTILE.len() / 2];
    let error = patiently(sandbox(|_| {}).load(half)).await.unwrap_err();
    assert_eq!(error.kind().as_str(), "compile");
}

#[tokio::test]
async fn a_component_that_is_too_large_is_refused_before_anything_is_read_of_it() {
    let sandbox = sandbox(|limits| limits.component_bytes = 1000);
    let error = patiently(sandbox.load(&[0; 1001])).await.unwrap_err();
    assert!(matches!(error, Error::TooLarge { size: 1001, limit: 1000 }), "{error:?}");
    let error = patiently(sandbox.load(&[0; 1000])).await.unwrap_err();
    assert_eq!(error.kind().as_str(), "not-a-component");
}

#[tokio::test]
async fn a_compilation_that_takes_too_long_is_given_up() {
    let config = Config {
        limits: Limits { concurrent_calls: 2, compile_time: Duration::from_nanos(1), ..Limits::default() },
        cache: None,
        allocation: Allocation::OnDemand,
    };
    let error = patiently(Sandbox::new(config).unwrap().load(&HOSTILE)).await.unwrap_err();
    assert!(matches!(error, Error::CompileTimeout { .. }), "{error:?}");
}

/// Set in the second run of [`a_machine_without_address_space_gets_no_pool_and_works`], which `ulimit` confines.
const CONFINED: &str = "THINKUBE_TEST_CONFINED";

#[tokio::test]
async fn a_machine_without_address_space_gets_no_pool_and_works() {
    // Built before it is confined, because the compiler does not fit into the limit.
    assert!(!HOSTILE.is_empty());
    if std::env::var_os(CONFINED).is_some() {
        let config = Config { limits: Limits::default(), cache: None, allocation: Allocation::Pooling };
        let sandbox = Sandbox::new(config).unwrap();
        assert_eq!(sandbox.allocation(), Allocation::OnDemand);
        let plugin = patiently(sandbox.load(&HOSTILE)).await.unwrap();
        assert_eq!(notes(patiently(plugin.plan(&context("behave", 0))).await), "I am good.");
        return;
    }
    // 32 GiB: enough for one instance of a few memories, not for a pool of 64.
    let run = std::process::Command::new("sh")
        .args(["-c", "ulimit -v 33554432 && exec \"$0\" --exact \"$1\""])
        .arg(std::env::current_exe().unwrap())
        .arg("loading::a_machine_without_address_space_gets_no_pool_and_works")
        .env(CONFINED, "1")
        .output()
        .unwrap();
    let told = format!("{}{}", String::from_utf8_lossy(&run.stdout), String::from_utf8_lossy(&run.stderr));
    assert!(run.status.success() && told.contains("1 passed"), "{told}");
}
