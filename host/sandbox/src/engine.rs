//! The one function that makes an engine, and with it the ticker that its epochs need.

use crate::error::Error;
use crate::guest::TICK;
use crate::limits::Limits;
use wasmtime::{Config, Engine, InstanceAllocationStrategy, PoolingAllocationConfig};

/// How instances get their memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Allocation {
    /// From a pool that reserves address space at the start: fast under many calls at once. Falls back to
    /// [`Allocation::OnDemand`] where the machine does not give the address space (`ulimit -v`, some containers).
    #[default]
    Pooling,
    /// Mapped for each call: for commands that make a few calls and end.
    OnDemand,
}

/// Stacks of a concurrent call: one, and one for an async task of a component that has such.
const STACKS: usize = 2;

/// Largest bookkeeping of one core instance and of one component, in bytes. Spin's value.
const INSTANCE_SIZE: usize = 10 << 20;

/// Kept mapped in a pooled memory between calls, in bytes: what a Rust or small JavaScript plugin touches.
const KEEP_RESIDENT: usize = 1 << 20;

/// A page of linear memory.
const PAGE: usize = 64 << 10;

/// Makes the engine and starts its ticker. Says which allocation it got.
///
/// Everything that decides whether compiled code fits is set here and only here.
pub(crate) fn start(limits: &Limits, allocation: Allocation) -> Result<(Engine, Allocation), Error> {
    let mut config = Config::new();
    config
        // QuickJS components contain async built-ins and load only with it.
        .concurrency_support(true)
        .wasm_component_model_async(true)
        .epoch_interruption(true)
        .consume_fuel(true)
        // The same plugin gives the same plan on every CPU: NaN payloads and relaxed SIMD differ otherwise.
        .cranelift_nan_canonicalization(true)
        .relaxed_simd_deterministic(true)
        .max_wasm_stack(limits.stack_bytes)
        // Host functions run on the guest's stack, so it is larger than what the guest may use.
        .async_stack_size(limits.stack_bytes + (3 << 19))
        // Plugins are stripped: a backtrace would be numbers, and costs on each trap.
        .wasm_backtrace_max_frames(None);

    let (engine, allocation) = match allocation {
        Allocation::OnDemand => (Engine::new(&config), Allocation::OnDemand),
        Allocation::Pooling => {
            let mut pooled = config.clone();
            pooled.allocation_strategy(InstanceAllocationStrategy::Pooling(pool(limits)));
            // The pool maps all of its address space here: this is the probe.
            match Engine::new(&pooled) {
                Ok(engine) => (Ok(engine), Allocation::Pooling),
                Err(error) => {
                    tracing::info!(%error, "no pool of instances on this machine, memory is mapped for each call");
                    (Engine::new(&config), Allocation::OnDemand)
                }
            }
        }
    };
    let engine = engine.map_err(|error| Error::Engine { message: format!("{error:#}") })?;

    let weak = engine.weak();
    // A thread, not a task: it ticks on when every worker of the runtime is held. It sleeps between ticks and never
    // catches up, because a burst after a pause would end innocent guests. It ends with the engine.
    std::thread::Builder::new()
        .name("sandbox-epoch".into())
        .spawn(move || {
            while let Some(engine) = weak.upgrade() {
                engine.increment_epoch();
                drop(engine);
                std::thread::sleep(TICK);
            }
        })
        .map_err(|error| Error::Engine { message: format!("no thread for its ticks: {error}") })?;
    Ok((engine, allocation))
}

/// The pool holds what `concurrent_calls` calls may have at the most, so an empty pool cannot happen: calls wait for
/// a place first.
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
        let patience = Instant::now() + Duration::from_secs(60);
        while weak.upgrade().is_some() {
            assert!(Instant::now() < patience, "the ticker keeps the engine");
            std::thread::sleep(TICK);
        }
    }
}
