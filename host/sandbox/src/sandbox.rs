//! Loads plugins: checks, compiles and links a component. No code of the component runs.

use crate::cache::{self, Cache};
use crate::component_type::{self, Capability, ComponentType};
use crate::engine::{self, Allocation};
use crate::error::Error;
use crate::limits::Limits;
use crate::plugin::{Loaded, Plugin};
use crate::shared::Shared;
use crate::store_state::StoreState;
use crate::wit::{checks, lifecycle, operations, workstation};
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use thinkube_plan::Digest;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;
use wasmtime::component::{Component, InstancePre};

/// The configuration of a sandbox.
#[derive(Debug, Clone)]
pub struct Config {
    /// The limits of each plugin.
    pub limits: Limits,
    /// The directory of the cache of compiled plugins. None: every load compiles.
    pub cache: Option<PathBuf>,
    /// How instances get memory.
    pub allocation: Allocation,
}

impl Default for Config {
    /// The default limits, [`Cache::default_dir`] and a pool.
    fn default() -> Self {
        Self { limits: Limits::default(), cache: Cache::default_dir(), allocation: Allocation::default() }
    }
}

/// Loads plugins. A process needs one: it has the engine, the pool of instances and the ticker thread.
///
/// Cheap to clone; clones share everything.
#[derive(Clone)]
pub struct Sandbox(Arc<Shared>);

impl Sandbox {
    /// Starts an engine.
    ///
    /// An unusable cache is a warning in the log, not an error: [`Sandbox::cache_fault`] has the reason, and each load compiles.
    ///
    /// # Errors
    /// [`Error::Engine`] if the engine cannot be started on this machine or with these limits.
    pub fn new(config: Config) -> Result<Self, Error> {
        let Config { limits, cache, allocation } = config;
        let (engine, allocation) = engine::start(&limits, allocation)?;
        let linker =
            StoreState::linker(&engine).map_err(|error| Error::Engine { message: format!("{error:#}") })?;
        let (cache, cache_fault) = match cache.map(|path| Cache::open(&path, limits.cache_bytes)) {
            None => (None, None),
            Some(Ok(cache)) => (Some(cache), None),
            Some(Err(error)) => {
                tracing::warn!(target: "thinkube::sandbox", "{error}");
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

    /// The limits of each plugin.
    pub fn limits(&self) -> &Limits {
        &self.0.limits
    }

    /// The allocation in use: [`Allocation::OnDemand`] if a pool was configured and is not possible.
    pub fn allocation(&self) -> Allocation {
        self.0.allocation
    }

    /// Why the configured cache is not used.
    pub fn cache_fault(&self) -> Option<&Error> {
        self.0.cache_fault.as_ref()
    }

    /// Loads a plugin from the bytes of a component: checks its imports and exports, compiles it or takes it from the cache, and
    /// links it. No code of the component runs.
    ///
    /// # Errors
    /// [`Error::TooLarge`], [`Error::NotAComponent`], [`Error::Compile`], [`Error::CompileTimeout`],
    /// [`Error::TooComplex`], [`Error::WrongWorld`], [`Error::UnsupportedContract`].
    pub async fn load(&self, bytes: &[u8]) -> Result<Plugin, Error> {
        let limit = self.0.limits.component_bytes;
        if bytes.len() > limit {
            return Err(Error::TooLarge { size: bytes.len(), limit });
        }
        component_type::check_header(bytes)?;
        let (digest, component, from_cache) = self.component(bytes.into()).await?;

        let component_type = ComponentType::of(&self.0.engine, &component)?;
        let unlinked = |error: wasmtime::Error| component_type::wrong_types(&error);
        let pre = self.0.linker.instantiate_pre(&component).map_err(unlinked)?;
        let lifecycle = lifecycle::GuestIndices::new(&pre).map_err(unlinked)?;
        let has = |capability| component_type.capabilities.contains(&capability);
        let checks = optional(has(Capability::Checks), &pre, checks::GuestIndices::new)?;
        let workstation = optional(has(Capability::Workstation), &pre, workstation::GuestIndices::new)?;
        let operations = optional(has(Capability::Operations), &pre, operations::GuestIndices::new)?;
        Ok(Plugin(Arc::new(Loaded {
            sandbox: Arc::clone(&self.0),
            digest,
            component_type,
            pre,
            lifecycle,
            checks,
            workstation,
            operations,
            from_cache,
        })))
    }

    /// The compiled component of `bytes`, and whether the cache had it, within `compile_time`.
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
            let turn =
                Arc::clone(&self.0.compiling).acquire_owned().await.expect("the semaphore is never closed");
            let shared = Arc::clone(&self.0);
            on_thread("sandbox-compile", move || {
                // After a timeout the compilation continues, so the thread keeps the permit until its end.
                let _turn: OwnedSemaphorePermit = turn;
                // The previous compilation may have been of the same component.
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

/// The indices of an optional interface, if the component exports it.
fn optional<T>(
    is_exported: bool,
    pre: &InstancePre<StoreState>,
    indices: impl FnOnce(&InstancePre<StoreState>) -> wasmtime::Result<T>,
) -> Result<Option<T>, Error> {
    if !is_exported {
        return Ok(None);
    }
    indices(pre).map(Some).map_err(|error| component_type::wrong_types(&error))
}

/// Runs `work` on a thread of its own. A runtime waits for its blocking tasks when it shuts down, and a command must be able to
/// end after a compilation timed out.
async fn on_thread<T: Send + 'static>(
    name: &str,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, Error> {
    let (done, result) = tokio::sync::oneshot::channel();
    std::thread::Builder::new()
        .name(name.into())
        // Cranelift recurses over the guest's control flow. rustc's own threads have the same stack.
        .stack_size(8 << 20)
        .spawn(move || {
            // The receiver is gone after a timeout.
            let _ = done.send(work());
        })
        .map_err(|error| Error::Engine {
            message: format!("the compiler thread cannot be started: {error}"),
        })?;
    // The sender is dropped without a value only if the thread panicked.
    result.await.map_err(|_| Error::Compile { message: "the compiler panicked".into() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value;
    use thinkube_plan::{Context, Observation};

    /// Compiles only if every call can be made from a task that moves between threads.
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
