use crate::cache::{self, Cache};
use crate::convert::{self, Fault};
use crate::engine::{self, Allocation};
use crate::error::{Error, Quota, TrapKind};
use crate::guest::{Breach, LogLine, Seed, State};
use crate::limits::Limits;
use crate::text;
use crate::wit::{checks, lifecycle, operations, workstation};
use crate::world::{self, World};
use futures::FutureExt;
use futures::future::BoxFuture;
use serde_json::Value;
use std::fmt;
use std::panic::AssertUnwindSafe;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};
use thinkube_plan::{
    Context, Descriptor, Digest, Observation, Operation, Outcome, Problem, Verdict, WorkstationPlan,
};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;
use wasmtime::component::{Component, Instance, InstancePre, Linker, ResourceTableError};
use wasmtime::{Engine, OutOfMemory, PoolConcurrencyLimitError, Store, Trap};
use wasmtime_wasi::I32Exit;

/// What a sandbox is made from.
#[derive(Debug, Clone)]
pub struct Config {
    /// What each plugin may use.
    pub limits: Limits,
    /// The directory of the compiled-component cache. None: every load compiles.
    pub cache: Option<PathBuf>,
    /// How instances get their memory.
    pub allocation: Allocation,
}

impl Default for Config {
    /// The default limits, [`Cache::default_dir`] and a pool.
    fn default() -> Self {
        Self { limits: Limits::default(), cache: Cache::default_dir(), allocation: Allocation::default() }
    }
}

/// Loads plugins. One for a process: it holds the engine, the pool and the thread that ticks.
///
/// Cheap to clone; clones share everything.
#[derive(Clone)]
pub struct Sandbox(Arc<Shared>);

struct Shared {
    engine: Engine,
    linker: Linker<State>,
    limits: Limits,
    allocation: Allocation,
    cache: Option<Cache>,
    cache_fault: Option<Error>,
    /// One compilation at a time: each may take 400 MB and every core.
    compiling: Arc<Semaphore>,
    calls: Arc<Semaphore>,
}

impl Sandbox {
    /// Starts an engine.
    ///
    /// A cache that cannot be used is no error: it is warned about, kept for [`Sandbox::cache_fault`], and plugins
    /// are compiled at each load.
    ///
    /// # Errors
    /// [`Error::Engine`] where the machine or the limits allow none.
    pub fn new(config: Config) -> Result<Self, Error> {
        let Config { limits, cache, allocation } = config;
        let (engine, allocation) = engine::start(&limits, allocation)?;
        let linker =
            State::linker(&engine).map_err(|error| Error::Engine { message: format!("{error:#}") })?;
        let (cache, cache_fault) = match cache.map(|path| Cache::open(&path, limits.cache_bytes)) {
            None => (None, None),
            Some(Ok(cache)) => (Some(cache), None),
            Some(Err(error)) => {
                tracing::warn!("{error}");
                (None, Some(error))
            }
        };
        Ok(Self(Arc::new(Shared {
            compiling: Arc::new(Semaphore::new(1)),
            calls: Arc::new(Semaphore::new(limits.concurrent_calls.min(Semaphore::MAX_PERMITS))),
            engine,
            linker,
            limits,
            allocation,
            cache,
            cache_fault,
        })))
    }

    /// The limits it holds plugins to.
    pub fn limits(&self) -> &Limits {
        &self.0.limits
    }

    /// The allocation it got, which is [`Allocation::OnDemand`] where a pool was asked for and is not possible.
    pub fn allocation(&self) -> Allocation {
        self.0.allocation
    }

    /// Why there is no cache though one was asked for.
    pub fn cache_fault(&self) -> Option<&Error> {
        self.0.cache_fault.as_ref()
    }

    /// How many calls could start now without waiting; for metrics.
    pub fn free_calls(&self) -> usize {
        self.0.calls.available_permits()
    }

    /// Makes a plugin of a component's bytes: judges its imports and exports, compiles it or takes it from the
    /// cache, and links it. Nothing of it runs.
    ///
    /// # Errors
    /// [`Error::TooLarge`], [`Error::NotAComponent`], [`Error::Compile`], [`Error::CompileTimeout`],
    /// [`Error::TooComplex`], [`Error::WrongWorld`], [`Error::UnsupportedContract`].
    pub async fn load(&self, bytes: &[u8]) -> Result<Plugin, Error> {
        let limit = self.0.limits.component_bytes;
        if bytes.len() > limit {
            return Err(Error::TooLarge { size: bytes.len(), limit });
        }
        world::check_header(bytes)?;
        let (digest, component, from_cache) = self.component(bytes.into()).await?;

        let world = World::of(&self.0.engine, &component)?;
        let unlinked = |error: wasmtime::Error| world::does_not_link(&error);
        let pre = self.0.linker.instantiate_pre(&component).map_err(unlinked)?;
        let lifecycle = lifecycle::GuestIndices::new(&pre).map_err(unlinked)?;
        let checks = match world.capabilities.contains(&Capability::Checks) {
            true => Some(checks::GuestIndices::new(&pre).map_err(unlinked)?),
            false => None,
        };
        let workstation = match world.capabilities.contains(&Capability::Workstation) {
            true => Some(workstation::GuestIndices::new(&pre).map_err(unlinked)?),
            false => None,
        };
        let operations = match world.capabilities.contains(&Capability::Operations) {
            true => Some(operations::GuestIndices::new(&pre).map_err(unlinked)?),
            false => None,
        };
        Ok(Plugin(Arc::new(Loaded {
            sandbox: Arc::clone(&self.0),
            digest,
            world,
            pre,
            lifecycle,
            checks,
            workstation,
            operations,
            from_cache,
        })))
    }

    /// The compiled component of `bytes`, and whether the cache had it. Waits no longer than `compile_time`.
    async fn component(&self, bytes: Arc<[u8]>) -> Result<(Digest, Component, bool), Error> {
        let limit = self.0.limits.compile_time;
        let work = async {
            let shared = Arc::clone(&self.0);
            let for_digest = Arc::clone(&bytes);
            let (digest, cached) = on_thread("sandbox-cache", move || {
                let digest = Digest::of(&for_digest);
                let cached = shared.cached(&digest);
                (digest, cached)
            })
            .await?;
            if let Some(component) = cached {
                return Ok((digest, component, true));
            }
            let turn = Arc::clone(&self.0.compiling).acquire_owned().await.expect("it is never closed");
            let shared = Arc::clone(&self.0);
            on_thread("sandbox-compile", move || {
                // A compilation that nobody waits for any more goes on, so it keeps its turn until it ends.
                let _turn: OwnedSemaphorePermit = turn;
                // The one before may have compiled the same component.
                if let Some(component) = shared.cached(&digest) {
                    return Ok((digest, component, true));
                }
                let component = cache::compile(&shared.engine, shared.cache.as_ref(), &digest, &bytes)?;
                Ok((digest, component, false))
            })
            .await?
        };
        timeout(limit, work).await.map_err(|_| Error::CompileTimeout { limit })?
    }
}

impl fmt::Debug for Sandbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sandbox")
            .field("limits", &self.0.limits)
            .field("allocation", &self.0.allocation)
            .finish_non_exhaustive()
    }
}

impl Shared {
    fn cached(&self, digest: &Digest) -> Option<Component> {
        self.cache.as_ref()?.load(&self.engine, digest)
    }
}

/// Runs `work` on a thread of its own. Not on the runtime's: a runtime waits for its blocking tasks when it shuts
/// down, and a command that gave up on a compilation must be able to end.
async fn on_thread<T: Send + 'static>(
    name: &str,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, Error> {
    let (done, result) = tokio::sync::oneshot::channel();
    std::thread::Builder::new()
        .name(name.into())
        // Cranelift recurses over the guest's control flow; rustc gives its own threads as much.
        .stack_size(8 << 20)
        .spawn(move || {
            // Nobody may be waiting any more.
            let _ = done.send(work());
        })
        .map_err(|error| Error::Engine { message: format!("no thread to compile on: {error}") })?;
    // The sender is dropped without a word only when the thread panicked.
    result.await.map_err(|_| Error::Compile { message: "the compiler panicked".into() })
}

/// What a plugin can do beyond describe and plan.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Capability {
    /// `thinkube:plugin/checks`.
    Checks,
    /// `thinkube:plugin/workstation`.
    Workstation,
    /// `thinkube:plugin/operations`.
    Operations,
}

/// A loaded plugin: judged, compiled and linked. Every call gets a fresh instance, so no call can see another.
///
/// Cheap to clone.
#[derive(Clone)]
pub struct Plugin(Arc<Loaded>);

struct Loaded {
    sandbox: Arc<Shared>,
    digest: Digest,
    world: World,
    pre: InstancePre<State>,
    lifecycle: lifecycle::GuestIndices,
    checks: Option<checks::GuestIndices>,
    workstation: Option<workstation::GuestIndices>,
    operations: Option<operations::GuestIndices>,
    from_cache: bool,
}

impl Loaded {
    fn operates(&self) -> Result<operations::GuestIndices, Error> {
        self.operations.clone().ok_or(Error::NotOffered { interface: "thinkube:plugin/operations" })
    }
}

impl fmt::Debug for Plugin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Plugin")
            .field("digest", &self.0.digest)
            .field("world", &self.0.world)
            .finish_non_exhaustive()
    }
}

/// A call's value, and what it took.
#[derive(Debug, Clone, PartialEq)]
pub struct Called<T> {
    /// What the plugin answered.
    pub value: T,
    /// What it logged, in order.
    pub log: Vec<LogLine>,
    /// Whether it logged more than is kept.
    pub log_truncated: bool,
    /// The last lines it wrote to stderr and stdout, escaped.
    pub output: Vec<String>,
    /// Fuel: about the instructions it executed. The same input takes the same fuel with the same engine.
    pub fuel: u64,
    /// Most linear memory it had, in bytes.
    pub peak_memory: usize,
    /// How long the call took, without waiting for its place.
    pub elapsed: Duration,
}

/// An error of a call, with where it came from: the same type means another thing while a guest starts.
enum Failure {
    /// While its instances were made.
    Starting(wasmtime::Error),
    /// Its functions have other types than the contract's.
    Unfit(wasmtime::Error),
    /// In the function or in reading its result.
    Running(wasmtime::Error),
}

impl Plugin {
    /// The digest of the component's bytes: what a plugin is known by.
    pub fn digest(&self) -> &Digest {
        &self.0.digest
    }

    /// The version of the contract it was built for, read from its exports.
    pub fn contract_version(&self) -> &str {
        self.0.world.contract
    }

    /// The interfaces it imports functions or resources from, read from its type, sorted.
    pub fn imports(&self) -> Vec<String> {
        self.0.world.imports.clone()
    }

    /// The optional interfaces it exports. Unknown exports are ignored.
    pub fn capabilities(&self) -> Vec<Capability> {
        self.0.world.capabilities.clone()
    }

    /// Whether its machine code came from the cache.
    pub fn from_cache(&self) -> bool {
        self.0.from_cache
    }

    /// Asks the plugin what it is.
    ///
    /// # Errors
    /// Any failure of a call: see [`Error`].
    pub async fn describe(&self) -> Result<Called<Descriptor>, Error> {
        const CALL: &str = "describe";
        let indices = self.0.lifecycle.clone();
        let called = self
            .call(CALL, b"", |store, instance| {
                async move {
                    let lifecycle = indices.load(&mut *store, &instance).map_err(Failure::Unfit)?;
                    lifecycle.call_describe(store).await.map_err(Failure::Running)
                }
                .boxed()
            })
            .await?;
        self.read(CALL, called, convert::descriptor)
    }

    /// Asks the plugin for its plan, or for the facts it needs first. The inner error is the plugin's own: it
    /// understood and cannot go on.
    ///
    /// # Errors
    /// Any failure of a call: see [`Error`].
    pub async fn plan(&self, context: &Context) -> Result<Called<Result<Outcome, Problem>>, Error> {
        const CALL: &str = "plan-release";
        let indices = self.0.lifecycle.clone();
        let input = convert::context(context);
        let called = self
            .call(CALL, &convert::context_bytes(context), |store, instance| {
                async move {
                    let lifecycle = indices.load(&mut *store, &instance).map_err(Failure::Unfit)?;
                    lifecycle.call_plan_release(store, &input).await.map_err(Failure::Running)
                }
                .boxed()
            })
            .await?;
        self.read(CALL, called, convert::outcome)
    }

    /// Has the plugin judge what the host observed for `check`.
    ///
    /// # Errors
    /// [`Error::NotOffered`] if it does not export `checks`, or any failure of a call: see [`Error`].
    pub async fn evaluate(&self, check: &str, observation: &Observation) -> Result<Called<Verdict>, Error> {
        const CALL: &str = "evaluate";
        let Some(indices) = self.0.checks.clone() else {
            return Err(Error::NotOffered { interface: "thinkube:plugin/checks" });
        };
        let input = convert::observation(check, observation);
        let seed = thinkube_plan::canonical_bytes(&(check, &observation.variables));
        let called = self
            .call(CALL, &seed, |store, instance| {
                async move {
                    let checks = indices.load(&mut *store, &instance).map_err(Failure::Unfit)?;
                    checks.call_evaluate(store, &input).await.map_err(Failure::Running)
                }
                .boxed()
            })
            .await?;
        self.read(CALL, called, convert::verdict)
    }

    /// Asks the plugin what it wants in a home. The inner error is the plugin's own: it understood and cannot go on.
    ///
    /// # Errors
    /// [`Error::NotOffered`] if it does not export `workstation`, or any failure of a call: see [`Error`].
    pub async fn plan_workstation(
        &self,
        context: &Context,
    ) -> Result<Called<Result<WorkstationPlan, Problem>>, Error> {
        const CALL: &str = "plan-workstation";
        let Some(indices) = self.0.workstation.clone() else {
            return Err(Error::NotOffered { interface: "thinkube:plugin/workstation" });
        };
        let input = convert::context(context);
        let called = self
            .call(CALL, &convert::context_bytes(context), |store, instance| {
                async move {
                    let workstation = indices.load(&mut *store, &instance).map_err(Failure::Unfit)?;
                    workstation.call_plan_workstation(store, &input).await.map_err(Failure::Running)
                }
                .boxed()
            })
            .await?;
        self.read(CALL, called, convert::workstation_plan)
    }

    /// Asks the plugin which operations there are.
    ///
    /// # Errors
    /// [`Error::NotOffered`] if it does not export `operations`, or any failure of a call: see [`Error`].
    pub async fn operations(&self) -> Result<Called<Vec<Operation>>, Error> {
        const CALL: &str = "operations";
        let indices = self.0.operates()?;
        let called = self
            .call(CALL, b"", |store, instance| {
                async move {
                    let operations = indices.load(&mut *store, &instance).map_err(Failure::Unfit)?;
                    operations.call_operations(store).await.map_err(Failure::Running)
                }
                .boxed()
            })
            .await?;
        self.read(CALL, called, convert::operations)
    }

    /// Asks the plugin for the plan of the operation `name`, or for the facts it needs first. `arguments` fit its schema.
    /// The inner error is the plugin's own: it understood and cannot go on.
    ///
    /// # Errors
    /// [`Error::NotOffered`] if it does not export `operations`, or any failure of a call: see [`Error`].
    pub async fn plan_operation(
        &self,
        name: &str,
        arguments: &Value,
        context: &Context,
    ) -> Result<Called<Result<Outcome, Problem>>, Error> {
        const CALL: &str = "plan-operation";
        let indices = self.0.operates()?;
        let (name, text, input) = (name.to_owned(), arguments.to_string(), convert::context(context));
        let seed = thinkube_plan::canonical_bytes(&(&name, arguments, convert::context_bytes(context)));
        let called = self
            .call(CALL, &seed, |store, instance| {
                async move {
                    let operations = indices.load(&mut *store, &instance).map_err(Failure::Unfit)?;
                    let called = operations.call_plan_operation(store, &name, &text, &input);
                    called.await.map_err(Failure::Running)
                }
                .boxed()
            })
            .await?;
        self.read(CALL, called, convert::outcome)
    }

    /// Turns a lifted result into the plan's types.
    fn read<T, U>(
        &self,
        call: &'static str,
        called: Called<T>,
        convert: impl FnOnce(T, &Limits) -> Result<U, Fault>,
    ) -> Result<Called<U>, Error> {
        let Called { value, log, log_truncated, output, fuel, peak_memory, elapsed } = called;
        let limits = &self.0.sandbox.limits;
        match convert(value, limits) {
            Ok(value) => Ok(Called { value, log, log_truncated, output, fuel, peak_memory, elapsed }),
            Err(Fault::Quota(which)) => Err(Error::Quota { call, which, limit: which.of(limits) }),
            Err(Fault::Malformed { place, message }) => {
                Err(Error::Malformed { call, place: text::line(&place), message: text::line(&message) })
            }
        }
    }

    /// One call: a place, a fresh store, an instance, the function, and the store is gone.
    async fn call<T, F>(&self, call: &'static str, input: &[u8], function: F) -> Result<Called<T>, Error>
    where
        F: for<'a> FnOnce(&'a mut Store<State>, Instance) -> BoxFuture<'a, Result<T, Failure>> + Send,
    {
        let Shared { engine, limits, calls, .. } = &*self.0.sandbox;
        let _place = timeout(limits.queue_time, calls.acquire())
            .await
            .map_err(|_| Error::Busy { waited: limits.queue_time })?
            .expect("it is never closed");

        let started = Instant::now();
        let seed = Seed::new(self.0.digest.hex(), call, input);
        let host = |message: String| Error::Host { call, message };
        let mut store = State::store(engine, limits, &seed).map_err(|error| host(format!("{error:#}")))?;
        let run = async {
            let instance = self.0.pre.instantiate_async(&mut store).await.map_err(Failure::Starting)?;
            function(&mut store, instance).await
        };
        match guarded(limits.wall_time, run).await {
            Ok(Some(Ok(value))) => {
                let left = store.get_fuel().expect("the engine counts fuel");
                let output = store.data().last_words(limits);
                let State { log, meter, .. } = store.into_data();
                Ok(Called {
                    value,
                    log: log.lines,
                    log_truncated: log.truncated,
                    output,
                    fuel: limits.fuel - left,
                    peak_memory: meter.memory,
                    elapsed: started.elapsed(),
                })
            }
            Ok(Some(Err(failure))) => Err(classify(call, &failure, store.data(), limits)),
            Ok(None) => {
                Err(Error::Timeout { call, limit: limits.wall_time, stderr: store.data().last_words(limits) })
            }
            Err(panic) => Err(host(panic)),
        }
    }
}

/// Runs a call to its end, to its panic (`Err`, in its words) or no longer than `limit` (`None`).
///
/// The epoch ends a guest that runs; this ends one that waits. A panic is a fault of the host or of wasmtime and
/// must not take the other plugins along.
async fn guarded<T>(limit: Duration, call: impl Future<Output = T>) -> Result<Option<T>, String> {
    match AssertUnwindSafe(timeout(limit, call)).catch_unwind().await {
        Ok(ended) => Ok(ended.ok()),
        Err(panic) => Err(panic_text(&*panic)),
    }
}

/// Tells a failure from its type.
///
/// What wasmtime returns from a call is one of: a [`Trap`]; an error of a host function, which is a [`Breach`] or
/// [`I32Exit`] here or comes from WASI; and an error of lifting, that is of reading the result out of the guest's
/// memory. Lifting fails with a message (`bail!("invalid option discriminant")`), a standard error of decoding, or
/// `HostcallFuelExhausted`. The last is a type private to wasmtime, so it is told by what is left: it is the only
/// one that is neither. Tests hold that, for results and for arguments of the log.
fn classify(call: &'static str, failure: &Failure, state: &State, limits: &Limits) -> Error {
    let (starting, error) = match failure {
        Failure::Starting(error) => (true, error),
        Failure::Running(error) => (false, error),
        Failure::Unfit(error) => return world::does_not_link(error),
    };
    let stderr = state.last_words(limits);
    let quota = |which: Quota| Error::Quota { call, which, limit: which.of(limits) };
    let message = || text::line(&error.root_cause().to_string());

    if let Some(breach) = error.downcast_ref::<Breach>() {
        return match *breach {
            Breach::WallTime => Error::Timeout { call, limit: limits.wall_time, stderr },
            Breach::Quota(which) => quota(which),
        };
    }
    match error.downcast_ref::<Trap>() {
        Some(Trap::OutOfFuel) => return Error::OutOfFuel { call, limit: limits.fuel, stderr },
        Some(Trap::Interrupt) => return Error::CpuTime { call, limit: limits.cpu_time, stderr },
        _ => {}
    }
    // From here on the guest ended by itself. If it was refused memory before, that is why.
    if state.meter.memory_denied {
        return Error::Memory { call, limit: limits.memory_bytes, stderr };
    }
    if state.meter.table_denied {
        return quota(Quota::TableElements);
    }
    if let Some(trap) = error.downcast_ref::<Trap>() {
        return match kind_of(*trap) {
            Some(trap) => Error::Trap { call, trap, stderr },
            None => Error::Malformed { call, place: String::new(), message: message() },
        };
    }
    if let Some(I32Exit(code)) = error.downcast_ref::<I32Exit>() {
        return Error::Exit { call, code: *code, stderr };
    }
    match error.downcast_ref::<ResourceTableError>() {
        Some(ResourceTableError::Full) => return quota(Quota::Handles),
        Some(_) => return Error::Malformed { call, place: String::new(), message: message() },
        None => {}
    }
    if error.is::<PoolConcurrencyLimitError>() || error.is::<OutOfMemory>() {
        return Error::Host { call, message: message() };
    }
    if starting {
        return Error::TooComplex { message: message() };
    }
    let decoding = error.is::<String>()
        || error.is::<&'static str>()
        || error.is::<std::str::Utf8Error>()
        || error.is::<std::char::DecodeUtf16Error>()
        || error.is::<std::num::TryFromIntError>();
    if decoding {
        Error::Malformed { call, place: String::new(), message: message() }
    } else {
        quota(Quota::TransferBytes)
    }
}

/// None for the traps that say that a value broke the component model's rules.
fn kind_of(trap: Trap) -> Option<TrapKind> {
    Some(match trap {
        Trap::UnreachableCodeReached => TrapKind::Unreachable,
        Trap::StackOverflow => TrapKind::StackOverflow,
        Trap::MemoryOutOfBounds => TrapKind::MemoryOutOfBounds,
        Trap::IntegerOverflow | Trap::IntegerDivisionByZero | Trap::BadConversionToInteger => {
            TrapKind::Arithmetic
        }
        Trap::TableOutOfBounds | Trap::IndirectCallToNull | Trap::BadSignature => TrapKind::BadCall,
        Trap::AsyncDeadlock => TrapKind::Deadlock,
        Trap::InvalidChar
        | Trap::InvalidDiscriminant
        | Trap::StringOutOfBounds
        | Trap::ListOutOfBounds
        | Trap::UnalignedPointer => return None,
        other => TrapKind::Other(other.to_string()),
    })
}

fn panic_text(panic: &(dyn std::any::Any + Send)) -> String {
    let said = panic.downcast_ref::<&str>().copied();
    let said = said.or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    text::line(said.unwrap_or("a panic without words"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_panic_of_the_host_during_a_call_is_an_error_of_that_call() {
        let limit = Duration::from_secs(60);
        let panics = async {
            tokio::task::yield_now().await;
            panic!("a table is {}", "broken")
        };
        assert_eq!(guarded::<()>(limit, panics).await, Err("a table is broken".into()));
        assert_eq!(guarded(limit, async { 7 }).await, Ok(Some(7)));
    }

    #[tokio::test]
    async fn a_call_that_waits_for_ever_is_ended_by_the_wall_time() {
        assert_eq!(guarded(Duration::from_millis(1), std::future::pending::<()>()).await, Ok(None));
    }

    /// Compiles only as long as every call can be made from a task that moves between threads.
    const _: fn(&Sandbox, &Plugin, &Context, &Observation) = |sandbox, plugin, context, observation| {
        fn moves(_: impl Send) {}
        moves(sandbox.load(b""));
        moves(plugin.describe());
        moves(plugin.plan(context));
        moves(plugin.evaluate("", observation));
        moves(plugin.operations());
        moves(plugin.plan_operation("", &Value::Null, context));
    };
}
