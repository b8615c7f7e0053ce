//! What every plugin of a sandbox shares: the engine, the linker, the cache and the places for calls.

use crate::cache::Cache;
use crate::engine::Allocation;
use crate::error::Error;
use crate::limits::Limits;
use crate::store_state::StoreState;
use std::sync::Arc;
use thinkube_plan::Digest;
use tokio::sync::Semaphore;
use wasmtime::Engine;
use wasmtime::component::{Component, Linker};

pub(crate) struct Shared {
    pub(crate) engine: Engine,
    pub(crate) linker: Linker<StoreState>,
    pub(crate) limits: Limits,
    pub(crate) allocation: Allocation,
    pub(crate) cache: Option<Cache>,
    pub(crate) cache_fault: Option<Error>,
    /// One compilation at a time: each may take 400 MB and every core.
    pub(crate) compiling: Arc<Semaphore>,
    pub(crate) calls: Arc<Semaphore>,
}

impl Shared {
    /// The compiled form of a component, if the cache has it.
    pub(crate) fn cached(&self, digest: &Digest) -> Option<Component> {
        self.cache.as_ref()?.load(&self.engine, digest)
    }
}
