//! Instantiate, describe and plan of the DevPI plugin, and a whole `plan` process, each beside its floor.

use criterion::{Criterion, criterion_group, criterion_main};
use serde_json::json;
use std::hint::black_box;
use std::process::{Command, Stdio};
use thinkube_plan::Context;
use thinkube_sandbox::{Config, Plugin, Sandbox};
use tokio::runtime::Runtime;

/// The floor: what bare wasmtime takes for the same component. No limits, epochs, fuel, quotas or conversions; WASI as it
/// comes.
mod bare {
    use wasmtime::component::{Component, HasSelf, Linker, ResourceTable};
    use wasmtime::{Config, Engine, InstanceAllocationStrategy, Store};
    use wasmtime_wasi::{WasiCtx, WasiCtxView, WasiView};

    wasmtime::component::bindgen!({ path: "../wit/0.1.0", world: "thinkube:plugin/plugin" });

    pub(crate) use exports::thinkube::plugin::lifecycle::Context;
    use thinkube::plugin::log;

    pub(crate) struct State {
        wasi: WasiCtx,
        table: ResourceTable,
    }

    impl WasiView for State {
        fn ctx(&mut self) -> WasiCtxView<'_> {
            WasiCtxView { ctx: &mut self.wasi, table: &mut self.table }
        }
    }

    impl log::Host for State {
        fn log(&mut self, _: log::Level, _: String) {}
    }

    pub(crate) struct Bare {
        engine: Engine,
        pre: PluginPre<State>,
    }

    impl Bare {
        pub(crate) fn new(bytes: &[u8]) -> wasmtime::Result<Self> {
            let mut config = Config::new();
            config.allocation_strategy(InstanceAllocationStrategy::pooling());
            let engine = Engine::new(&config)?;
            let mut linker = Linker::new(&engine);
            wasmtime_wasi::p2::add_to_linker_sync(&mut linker)?;
            log::add_to_linker::<_, HasSelf<_>>(&mut linker, |state| state)?;
            let component = Component::new(&engine, bytes)?;
            Ok(Self { pre: PluginPre::new(linker.instantiate_pre(&component)?)?, engine })
        }

        pub(crate) fn instantiate(&self) -> wasmtime::Result<(Store<State>, Plugin)> {
            let state = State { wasi: WasiCtx::builder().build(), table: ResourceTable::new() };
            let mut store = Store::new(&self.engine, state);
            let plugin = self.pre.instantiate(&mut store)?;
            Ok((store, plugin))
        }

        pub(crate) fn describe(&self) -> wasmtime::Result<usize> {
            let (mut store, plugin) = self.instantiate()?;
            Ok(plugin.thinkube_plugin_lifecycle().call_describe(&mut store)?.permissions.len())
        }

        pub(crate) fn plan(&self, context: &Context) -> wasmtime::Result<bool> {
            let (mut store, plugin) = self.instantiate()?;
            Ok(plugin.thinkube_plugin_lifecycle().call_plan_release(&mut store, context)?.is_ok())
        }
    }
}

/// The settings as the host gives them, so that the two plan the same.
fn context(runtime: &Runtime, plugin: &Plugin) -> Context {
    let described = runtime.block_on(plugin.describe()).expect("DevPI describes itself").value;
    let mut settings = json!({ "domain_name": "example.com" });
    for (name, property) in
        described.settings_schema["properties"].as_object().expect("settings are an object")
    {
        if let Some(default) = property.get("default").filter(|default| !default.is_null()) {
            settings[name] = default.clone();
        }
    }
    settings["domain_name"] = json!("example.com");
    Context {
        release: "devpi".into(),
        namespace: "devpi".into(),
        settings,
        facts: vec![],
        kubernetes_version: "1.34".into(),
        installed: None,
    }
}

fn calls(criterion: &mut Criterion) {
    let bytes = std::fs::read(thinkube_e2e::devpi()).expect("DevPI is built");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let sandbox = Sandbox::new(Config { cache: None, ..Config::default() }).expect("a sandbox");
    let plugin = runtime.block_on(sandbox.load(&bytes)).expect("DevPI loads");
    let context = context(&runtime, &plugin);
    let bare = bare::Bare::new(&bytes).expect("DevPI loads bare");
    let bare_context = bare::Context {
        release: context.release.clone(),
        namespace: context.namespace.clone(),
        settings: context.settings.to_string(),
        facts: vec![],
        kubernetes_version: context.kubernetes_version.clone(),
        installed: None,
    };
    assert!(bare.plan(&bare_context).expect("DevPI plans bare"));

    criterion
        .bench_function("instantiate/bare", |bencher| bencher.iter(|| black_box(bare.instantiate().is_ok())));
    let mut group = criterion.benchmark_group("describe");
    group.bench_function("bare", |bencher| bencher.iter(|| bare.describe().expect("describes")));
    group.bench_function("host", |bencher| {
        bencher.to_async(&runtime).iter(async || plugin.describe().await.expect("describes").value);
    });
    group.finish();
    let mut group = criterion.benchmark_group("plan warm");
    group.bench_function("bare", |bencher| bencher.iter(|| bare.plan(&bare_context).expect("plans")));
    group.bench_function("host", |bencher| {
        bencher.to_async(&runtime).iter(async || plugin.plan(&context).await.expect("plans").value);
    });
    group.finish();
    let mut group = criterion.benchmark_group("compile");
    group.sample_size(10);
    group.bench_function("bare", |bencher| bencher.iter(|| bare::Bare::new(&bytes).is_ok()));
    group.bench_function("host", |bencher| {
        bencher.to_async(&runtime).iter(async || sandbox.load(&bytes).await.expect("loads"));
    });
    group.finish();
}

fn processes(criterion: &mut Criterion) {
    let component = thinkube_e2e::devpi().to_str().expect("a path of the workspace is text").to_owned();
    let host = thinkube_e2e::root().join("target/release/thinkube-host");
    assert!(host.exists(), "run this with `cargo xtask bench`, which builds the host as it is shipped");
    let plan = |more: &[&str]| {
        let status = Command::new(&host)
            .args(["plan", &component, "--set", "domain_name=example.com"])
            .args(more)
            .stdout(Stdio::null())
            .status()
            .expect("the host runs");
        assert!(status.success());
    };
    plan(&[]);
    let mut group = criterion.benchmark_group("process");
    group.sample_size(20);
    // The floor: a process of the same program that does nothing.
    group.bench_function("floor", |bencher| {
        bencher.iter(|| {
            Command::new(&host).arg("--version").stdout(Stdio::null()).status().expect("the host runs")
        });
    });
    group.bench_function("plan warm", |bencher| bencher.iter(|| plan(&[])));
    group.bench_function("plan cold", |bencher| bencher.iter(|| plan(&["--no-cache"])));
    group.finish();
}

criterion_group!(benches, calls, processes);
criterion_main!(benches);
