//! The state of one call: WASI, limits, log and output. [`StoreState::store`] alone makes it, and the end of the call drops it.

use crate::error::Quota;
use crate::limits::Limits;
use crate::output::Tail;
use crate::wit::{log, plan, types};
use bytes::Bytes;
use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::SeedableRng;
use sha2::{Digest as _, Sha256};
use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};
use thinkube_plan::Untrusted;
use tokio::io::AsyncWrite;
use wasmtime::component::{HasData, Linker, Resource, ResourceTable};
use wasmtime::{Engine, ResourceLimiter, Store, UpdateDeadline};
use wasmtime_wasi::cli::{IsTerminal, StdoutStream};
use wasmtime_wasi::p2::bindings::clocks::monotonic_clock;
use wasmtime_wasi::p2::{DynPollable, OutputStream, Pollable, StreamError, StreamResult, subscribe};
use wasmtime_wasi::{HostMonotonicClock, HostWallClock, WasiCtx, WasiCtxView, WasiView, async_trait};

/// One tick of the epoch: how often a running guest checks its limits. The value is that of Spin.
pub(crate) const TICK: Duration = Duration::from_millis(10);

/// The wall clock of every plugin: 2026-01-01T00:00:00Z. Some libraries refuse a time in the distant past.
const WALL_CLOCK: Duration = Duration::from_secs(1_767_225_600);

/// The first reading of the monotonic clock and the step between readings, in nanoseconds. Go's runtime fails on 0; a
/// millisecond lets a guest that polls the clock in a loop end.
const CLOCK_STEP: u64 = 1_000_000;

/// The bytes that each line adds to its text in `log_flood_bytes`, so that empty lines are bounded too.
const LINE_COST: usize = 64;

/// The limit because of which a host function ends a call. It passes through wasmtime and is recognized by its type.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum LimitExceeded {
    #[error("wall time")]
    WallTime,
    #[error("{0}")]
    Quota(Quota),
}

/// The level of a log line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
#[serde(rename_all = "lowercase")]
#[expect(missing_docs, reason = "the levels of every logger")]
pub enum Level {
    Trace,
    Debug,
    Info,
    Warn,
    Error,
}

/// A line that a plugin logged.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct LogLine {
    /// The level.
    pub level: Level,
    /// The text; control characters are escaped.
    pub message: String,
}

/// The data of a wasmtime store.
pub(crate) struct StoreState {
    wasi: WasiCtx,
    table: ResourceTable,
    clock: Clock,
    output: Output,
    pub(crate) meter: Meter,
    pub(crate) log: Log,
}

impl StoreState {
    /// Makes a store. No other function does, so every call has limits. The same seed gives the same randomness.
    pub(crate) fn store(engine: &Engine, limits: &Limits, seed: &Seed) -> wasmtime::Result<Store<Self>> {
        let clock = Clock::default();
        let output = Output::new(limits);
        let wasi = WasiCtx::builder()
            .stdout(output.clone())
            .stderr(output.clone())
            .wall_clock(FixedClock)
            .monotonic_clock(clock.clone())
            .secure_random(seed.random("secure"))
            .insecure_random(seed.random("insecure"))
            .insecure_random_seed(seed.number("insecure-seed"))
            .max_random_size(limits.transfer_bytes as u64)
            .build();
        let mut table = ResourceTable::new();
        table.set_max_capacity(limits.handles);
        let state = Self { wasi, table, clock, output, meter: Meter::new(limits), log: Log::new(limits) };

        let mut store = Store::new(engine, state);
        store.limiter(|state| &mut state.meter);
        store.set_hostcall_fuel(limits.transfer_bytes);
        store.set_fuel(limits.fuel)?;
        store.set_epoch_deadline(1);
        // None: the limit is beyond the range of the clock.
        let end = Instant::now().checked_add(limits.wall_time);
        // The first tick may come at once, so one more tick keeps the whole time.
        let mut ticks = limits.cpu_time.as_nanos() / TICK.as_nanos() + 1;
        // The callback runs only while the guest runs, so time without a CPU does not count. Yielding lets other guests use
        // the worker thread.
        store.epoch_deadline_callback(move |_| {
            if end.is_some_and(|end| Instant::now() >= end) {
                return Err(LimitExceeded::WallTime.into());
            }
            ticks = ticks.saturating_sub(1);
            Ok(if ticks == 0 { UpdateDeadline::Interrupt } else { UpdateDeadline::Yield(1) })
        });
        Ok(store)
    }

    /// Links what a plugin may import: WASI 0.2, denied and deterministic, and the log.
    pub(crate) fn linker(engine: &Engine) -> wasmtime::Result<Linker<Self>> {
        let mut linker = Linker::new(engine);
        wasmtime_wasi::p2::add_to_linker_async(&mut linker)?;
        // The clock of wasmtime-wasi sleeps in real time.
        linker.allow_shadowing(true);
        monotonic_clock::add_to_linker::<Self, VirtualClocks>(&mut linker, |state| ClockView {
            clock: &state.clock,
            table: &mut state.table,
        })?;
        linker.allow_shadowing(false);
        crate::wit::plugin::Everything::add_to_linker::<Self, wasmtime::component::HasSelf<Self>>(
            &mut linker,
            |state| state,
        )?;
        Ok(linker)
    }

    /// The last lines that the guest wrote to stderr and stdout.
    pub(crate) fn last_lines(&self, limits: &Limits) -> Vec<String> {
        self.output.lock().tail.lines(limits.output_lines)
    }
}

impl WasiView for StoreState {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView { ctx: &mut self.wasi, table: &mut self.table }
    }
}

impl types::Host for StoreState {}
impl plan::Host for StoreState {}

impl log::Host for StoreState {
    async fn log(&mut self, level: log::Level, message: String) -> wasmtime::Result<()> {
        let level = match level {
            log::Level::Trace => Level::Trace,
            log::Level::Debug => Level::Debug,
            log::Level::Info => Level::Info,
            log::Level::Warn => Level::Warn,
            log::Level::Error => Level::Error,
        };
        Ok(self.log.push(level, &message)?)
    }
}

/// The lines of one call, bounded.
pub(crate) struct Log {
    pub(crate) lines: Vec<LogLine>,
    pub(crate) truncated: bool,
    kept: usize,
    seen: usize,
    max_lines: usize,
    max_bytes: usize,
    flood: usize,
}

impl Log {
    fn new(limits: &Limits) -> Self {
        Self {
            lines: Vec::new(),
            truncated: false,
            kept: 0,
            seen: 0,
            max_lines: limits.log_lines,
            max_bytes: limits.log_bytes,
            flood: limits.log_flood_bytes,
        }
    }

    fn push(&mut self, level: Level, message: &str) -> Result<(), LimitExceeded> {
        self.seen = self.seen.saturating_add(message.len() + LINE_COST);
        if self.seen > self.flood {
            return Err(LimitExceeded::Quota(Quota::LogFloodBytes));
        }
        let room = self.lines.len() < self.max_lines && self.kept + message.len() <= self.max_bytes;
        if !room {
            self.truncated = true;
            return Ok(());
        }
        self.kept += message.len();
        let message = Untrusted(message).to_string();
        // A failed call returns no log, so the lines are traced as they come.
        tracing::debug!(target: "thinkube::plugin", ?level, message);
        self.lines.push(LogLine { level, message });
        Ok(())
    }
}

/// Counts memory over all memories of a store; wasmtime's own limits are per memory.
pub(crate) struct Meter {
    /// Bytes of linear memory. Memories never shrink, so this is the peak too.
    pub(crate) memory: usize,
    pub(crate) memory_denied: bool,
    pub(crate) table_denied: bool,
    max_memory: usize,
    max_table: usize,
    instances: usize,
    memories: usize,
    tables: usize,
}

impl Meter {
    fn new(limits: &Limits) -> Self {
        Self {
            memory: 0,
            memory_denied: false,
            table_denied: false,
            max_memory: limits.memory_bytes,
            max_table: limits.table_elements,
            instances: limits.instances,
            memories: limits.memories,
            tables: limits.tables,
        }
    }
}

impl ResourceLimiter for Meter {
    // A refused growth does not end the guest: interpreters collect garbage and continue. `memory_denied` is the cause if the
    // guest fails later.
    fn memory_growing(
        &mut self,
        current: usize,
        desired: usize,
        maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        let total = self.memory.saturating_add(desired.saturating_sub(current));
        if total > self.max_memory {
            self.memory_denied = true;
            return Ok(false);
        }
        // wasmtime refuses a growth beyond the memory's own maximum after it was counted here.
        if maximum.is_some_and(|maximum| desired > maximum) {
            return Ok(false);
        }
        self.memory = total;
        Ok(true)
    }

    // The count stays: wasmtime also calls this function for a growth that it did not announce, so a guest could lower the count
    // by requesting an impossible size.
    fn memory_grow_failed(&mut self, _: wasmtime::Error) -> wasmtime::Result<()> {
        self.memory_denied = true;
        Ok(())
    }

    fn table_growing(&mut self, _: usize, desired: usize, _: Option<usize>) -> wasmtime::Result<bool> {
        let allowed = desired <= self.max_table;
        self.table_denied |= !allowed;
        Ok(allowed)
    }

    fn instances(&self) -> usize {
        self.instances
    }

    fn memories(&self) -> usize {
        self.memories
    }

    fn tables(&self) -> usize {
        self.tables
    }
}

/// The seed of the randomness of a call: plugin, function and input. The same call has the same randomness on every machine.
pub(crate) struct Seed(Sha256);

impl Seed {
    pub(crate) fn new(plugin: &str, call: &str, input: &[u8]) -> Self {
        let mut hash = Sha256::new();
        // The lengths keep the parts apart.
        for part in [b"thinkube sandbox 1".as_slice(), plugin.as_bytes(), call.as_bytes(), input] {
            hash.update((part.len() as u64).to_le_bytes());
            hash.update(part);
        }
        Self(hash)
    }

    fn bytes(&self, purpose: &str) -> [u8; 32] {
        self.0.clone().chain_update(purpose).finalize().into()
    }

    fn random(&self, purpose: &str) -> ChaCha20Rng {
        ChaCha20Rng::from_seed(self.bytes(purpose))
    }

    fn number(&self, purpose: &str) -> u128 {
        let bytes = self.bytes(purpose);
        u128::from_le_bytes(*bytes.first_chunk().expect("32 bytes hold 16"))
    }
}

struct FixedClock;

impl HostWallClock for FixedClock {
    fn resolution(&self) -> Duration {
        Duration::from_secs(1)
    }

    fn now(&self) -> Duration {
        WALL_CLOCK
    }
}

/// A clock that moves only when it is read or slept on.
#[derive(Clone, Default)]
struct Clock(Arc<AtomicU64>);

impl Clock {
    fn advance_to(&self, instant: u64) {
        self.0.fetch_max(instant, Ordering::Relaxed);
    }
}

impl HostMonotonicClock for Clock {
    fn resolution(&self) -> u64 {
        CLOCK_STEP
    }

    fn now(&self) -> u64 {
        let step = |now: u64| Some(now.saturating_add(CLOCK_STEP));
        self.0
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, step)
            .map_or(u64::MAX, |before| before.saturating_add(CLOCK_STEP))
    }
}

/// `wasi:clocks/monotonic-clock` without real sleep: the clock jumps to the end of the sleep.
struct VirtualClocks;

impl HasData for VirtualClocks {
    type Data<'a> = ClockView<'a>;
}

struct ClockView<'a> {
    clock: &'a Clock,
    table: &'a mut ResourceTable,
}

impl monotonic_clock::Host for ClockView<'_> {
    fn now(&mut self) -> wasmtime::Result<u64> {
        Ok(self.clock.now())
    }

    fn resolution(&mut self) -> wasmtime::Result<u64> {
        Ok(self.clock.resolution())
    }

    fn subscribe_instant(&mut self, when: u64) -> wasmtime::Result<Resource<DynPollable>> {
        let sleep = self.table.push(Sleep { clock: self.clock.clone(), until: when })?;
        subscribe(self.table, sleep)
    }

    fn subscribe_duration(&mut self, duration: u64) -> wasmtime::Result<Resource<DynPollable>> {
        let until = self.clock.now().saturating_add(duration);
        self.subscribe_instant(until)
    }
}

struct Sleep {
    clock: Clock,
    until: u64,
}

#[async_trait]
impl Pollable for Sleep {
    async fn ready(&mut self) {
        self.clock.advance_to(self.until);
        // The timeout around the call must get its turn if a guest sleeps in a loop.
        tokio::task::yield_now().await;
    }
}

/// stdout and stderr in the order of the writes. The tail is kept, the rest is counted.
#[derive(Clone)]
struct Output(Arc<Mutex<Written>>);

struct Written {
    tail: Tail,
    seen: usize,
    flood: usize,
}

impl Output {
    fn new(limits: &Limits) -> Self {
        Self(Arc::new(Mutex::new(Written {
            tail: Tail::new(limits.output_bytes),
            seen: 0,
            flood: limits.output_flood_bytes,
        })))
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Written> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn push(&self, bytes: &[u8]) -> Result<(), LimitExceeded> {
        let mut written = self.lock();
        written.seen = written.seen.saturating_add(bytes.len());
        if written.seen > written.flood {
            return Err(LimitExceeded::Quota(Quota::OutputFloodBytes));
        }
        written.tail.push(bytes);
        Ok(())
    }
}

impl IsTerminal for Output {
    fn is_terminal(&self) -> bool {
        false
    }
}

impl StdoutStream for Output {
    fn async_stream(&self) -> Box<dyn AsyncWrite + Send + Sync> {
        Box::new(self.clone())
    }

    fn p2_stream(&self) -> Box<dyn OutputStream> {
        Box::new(self.clone())
    }
}

#[async_trait]
impl Pollable for Output {
    async fn ready(&mut self) {}
}

impl OutputStream for Output {
    fn write(&mut self, bytes: Bytes) -> StreamResult<()> {
        self.push(&bytes).map_err(|exceeded| StreamError::Trap(exceeded.into()))
    }

    fn flush(&mut self) -> StreamResult<()> {
        Ok(())
    }

    fn check_write(&mut self) -> StreamResult<usize> {
        // The value of wasmtime's own streams; it bounds the buffer of `write_zeroes`.
        Ok(64 << 10)
    }
}

impl AsyncWrite for Output {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Poll::Ready(self.push(bytes).map(|()| bytes.len()).map_err(io::Error::other))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}
