//! Starts the engine and the ticker of its epochs. Every setting of compiled code is here.

use crate::error::Error;
use crate::limits::Limits;
use crate::store_state::TICK;
use wasmtime::{Config, Engine, InstanceAllocationStrategy, PoolingAllocationConfig};

/// How instances get memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Allocation {
    /// From a pool that reserves address space at the start: fast for many concurrent calls. The sandbox falls back to
    /// [`Allocation::OnDemand`] if the machine denies the address space (`ulimit -v`, some containers).
    #[default]
    Pooling,
    /// Mapped for each call: for commands that make few calls.
    OnDemand,
}

/// Stacks of a call: one for the call, one for an async task of the component.
const STACKS: usize = 2;

/// Most bytes of bookkeeping for a core instance and for a component. The value is that of Spin.
const INSTANCE_SIZE: usize = 10 << 20;

/// Bytes of a pooled memory that stay mapped between calls: what a Rust or a small JavaScript plugin touches.
const KEEP_RESIDENT: usize = 1 << 20;

/// A page of linear memory.
const PAGE: usize = 64 << 10;

/// Starts the engine and its ticker. Returns the allocation in use.
pub(crate) fn start(limits: &Limits, allocation: Allocation) -> Result<(Engine, Allocation), Error> {
    let mut config = Config::new();
    config
        // QuickJS components contain async built-ins.
        .concurrency_support(true)
        .wasm_component_model_async(true)
        .epoch_interruption(true)
        .consume_fuel(true)
        // NaN payloads and relaxed SIMD differ between CPUs otherwise, and a plan must not.
        .cranelift_nan_canonicalization(true)
        .relaxed_simd_deterministic(true)
        .max_wasm_stack(limits.stack_bytes)
        // Host functions run on the guest's stack too.
        .async_stack_size(limits.stack_bytes + (3 << 19))
        // Plugins are stripped, so a backtrace would only have numbers.
        .wasm_backtrace_max_frames(None);

    let (engine, allocation) = match allocation {
        Allocation::OnDemand => (Engine::new(&config), Allocation::OnDemand),
        Allocation::Pooling => {
            let mut pooled = config.clone();
            pooled.allocation_strategy(InstanceAllocationStrategy::Pooling(pool(limits)));
            // The pool maps all of its address space here, so this is the test.
            match Engine::new(&pooled) {
                Ok(engine) => (Ok(engine), Allocation::Pooling),
                Err(error) => {
                    tracing::info!(%error, "this machine has no address space for a pool of instances; memory is mapped for each call");
                    (Engine::new(&config), Allocation::OnDemand)
                }
            }
        }
    };
    let engine = engine.map_err(|error| Error::Engine { message: format!("{error:#}") })?;

    let weak = engine.weak();
    // A thread ticks even if every worker of the runtime is busy. It does not catch up after a pause: a burst of ticks would end
    // guests that did nothing wrong.
    std::thread::Builder::new()
        .name("sandbox-epoch".into())
        .spawn(move || {
            while let Some(engine) = weak.upgrade() {
                engine.increment_epoch();
                drop(engine);
                std::thread::sleep(TICK);
            }
        })
        .map_err(|error| Error::Engine {
            message: format!("the ticker thread cannot be started: {error}"),
        })?;
    Ok((engine, allocation))
}

/// The pool has room for the most that `concurrent_calls` calls may use, so it is never empty.
fn pool(limits: &Limits) -> PoolingAllocationConfig {
    let count = |each: usize| u32::try_from(limits.concurrent_calls.saturating_mul(each)).unwrap_or(u32::MAX);
    let each = |count: usize| u32::try_from(count).unwrap_or(u32::MAX);
    let mut pool = PoolingAllocationConfig::new();
    pool.total_component_instances(count(1))
        .total_core_instances(count(limits.instances))
        .total_memories(count(limits.memories))
        .total_tables(count(limits.tables))
        .total_stacks(count(STACKS))
        .max_core_instances_per_component(each(limits.instances))
        .max_memories_per_component(each(limits.memories))
        .max_tables_per_component(each(limits.tables))
        .max_memories_per_module(each(limits.memories))
        .max_tables_per_module(each(limits.tables))
        .max_memory_size(limits.memory_bytes.next_multiple_of(PAGE))
        .table_elements(limits.table_elements)
        .max_core_instance_size(INSTANCE_SIZE)
        .max_component_instance_size(INSTANCE_SIZE)
        .linear_memory_keep_resident(KEEP_RESIDENT)
        .table_keep_resident(PAGE);
    pool
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::{Duration, Instant};

    #[test]
    fn the_ticker_ends_with_the_engine() {
        let (engine, _) = start(&Limits::default(), Allocation::OnDemand).unwrap();
        let weak = engine.weak();
        drop(engine);
        let deadline = Instant::now() + Duration::from_secs(60);
        while weak.upgrade().is_some() {
            assert!(Instant::now() < deadline, "the ticker keeps the engine");
            std::thread::sleep(TICK);
        }
    }
}
