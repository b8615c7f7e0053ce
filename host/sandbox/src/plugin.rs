//! A loaded plugin and its calls. Every call gets a fresh instance with its own limits, which is dropped afterwards.

use crate::call_error::{CallFailure, classify};
use crate::component_type::{Capability, ComponentType};
use crate::convert::{self, Fault};
use crate::error::Error;
use crate::limits::Limits;
use crate::output::line;
use crate::shared::Shared;
use crate::store_state::{LogLine, Seed, StoreState};
use crate::wit::{checks, lifecycle, operations, workstation};
use futures::FutureExt;
use futures::future::BoxFuture;
use serde_json::Value;
use std::fmt;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::{Duration, Instant};
use thinkube_plan::{
    Context, Descriptor, Digest, Observation, Operation, Outcome, Problem, Verdict, WorkstationPlan,
};
use tokio::time::timeout;
use wasmtime::Store;
use wasmtime::component::{Instance, InstancePre};

/// A loaded plugin: checked, compiled and linked.
///
/// Cheap to clone.
#[derive(Clone)]
pub struct Plugin(pub(crate) Arc<Loaded>);

pub(crate) struct Loaded {
    pub(crate) sandbox: Arc<Shared>,
    pub(crate) digest: Digest,
    pub(crate) component_type: ComponentType,
    pub(crate) pre: InstancePre<StoreState>,
    pub(crate) lifecycle: lifecycle::GuestIndices,
    pub(crate) checks: Option<checks::GuestIndices>,
    pub(crate) workstation: Option<workstation::GuestIndices>,
    pub(crate) operations: Option<operations::GuestIndices>,
    pub(crate) from_cache: bool,
}

/// The indices of an optional interface, or the error that the plugin does not export it.
fn offered<T: Clone>(indices: &Option<T>, capability: Capability) -> Result<T, Error> {
    indices.clone().ok_or(Error::NotOffered { interface: capability.interface() })
}

impl fmt::Debug for Plugin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Plugin")
            .field("digest", &self.0.digest)
            .field("type", &self.0.component_type)
            .finish_non_exhaustive()
    }
}

/// The result of a call, with its log and the resources that it used.
#[derive(Debug, Clone, PartialEq)]
pub struct Called<T> {
    /// The plugin's answer.
    pub value: T,
    /// The log lines, in order.
    pub log: Vec<LogLine>,
    /// Whether log lines were dropped.
    pub log_truncated: bool,
    /// The last lines of stderr and stdout, escaped.
    pub output: Vec<String>,
    /// The fuel, which is about the number of instructions. The same input needs the same fuel on the same engine.
    pub fuel: u64,
    /// The peak of linear memory, in bytes.
    pub peak_memory: usize,
    /// The duration of the call, without the wait for a free call.
    pub elapsed: Duration,
}

impl Plugin {
    /// The digest of the component's bytes; it identifies the plugin.
    pub fn digest(&self) -> &Digest {
        &self.0.digest
    }

    /// The version of the contract, read from the exports.
    pub fn contract_version(&self) -> &str {
        self.0.component_type.contract
    }

    /// The interfaces from which the plugin imports functions or resources, sorted.
    pub fn imports(&self) -> Vec<String> {
        self.0.component_type.imports.clone()
    }

    /// The optional interfaces that the plugin exports. Unknown exports are ignored.
    pub fn capabilities(&self) -> Vec<Capability> {
        self.0.component_type.capabilities.clone()
    }

    /// Whether the machine code came from the cache.
    pub fn from_cache(&self) -> bool {
        self.0.from_cache
    }

    /// Asks the plugin for its descriptor.
    ///
    /// # Errors
    /// Any failure of a call: see [`Error`].
    pub async fn describe(&self) -> Result<Called<Descriptor>, Error> {
        const CALL: &str = "describe";
        let indices = self.0.lifecycle.clone();
        let called = self
            .call(CALL, b"", |store, instance| {
                async move {
                    let lifecycle = indices.load(&mut *store, &instance).map_err(CallFailure::WrongTypes)?;
                    lifecycle.call_describe(store).await.map_err(CallFailure::Running)
                }
                .boxed()
            })
            .await?;
        self.read(CALL, called, convert::descriptor)
    }

    /// Asks the plugin for its plan, or for the facts that it needs first. The inner error is an answer of the plugin.
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
                    let lifecycle = indices.load(&mut *store, &instance).map_err(CallFailure::WrongTypes)?;
                    lifecycle.call_plan_release(store, &input).await.map_err(CallFailure::Running)
                }
                .boxed()
            })
            .await?;
        self.read(CALL, called, convert::outcome)
    }

    /// Asks the plugin to evaluate the observation of `check`.
    ///
    /// # Errors
    /// [`Error::NotOffered`] if it does not export `checks`, or any failure of a call: see [`Error`].
    pub async fn evaluate(&self, check: &str, observation: &Observation) -> Result<Called<Verdict>, Error> {
        const CALL: &str = "evaluate";
        let indices = offered(&self.0.checks, Capability::Checks)?;
        let input = convert::observation(check, observation);
        let seed = thinkube_plan::canonical_bytes(&(check, &observation.variables));
        let called = self
            .call(CALL, &seed, |store, instance| {
                async move {
                    let checks = indices.load(&mut *store, &instance).map_err(CallFailure::WrongTypes)?;
                    checks.call_evaluate(store, &input).await.map_err(CallFailure::Running)
                }
                .boxed()
            })
            .await?;
        self.read(CALL, called, convert::verdict)
    }

    /// Asks the plugin for its workstation plan. The inner error is an answer of the plugin.
    ///
    /// # Errors
    /// [`Error::NotOffered`] if it does not export `workstation`, or any failure of a call: see [`Error`].
    pub async fn plan_workstation(
        &self,
        context: &Context,
    ) -> Result<Called<Result<WorkstationPlan, Problem>>, Error> {
        const CALL: &str = "plan-workstation";
        let indices = offered(&self.0.workstation, Capability::Workstation)?;
        let input = convert::context(context);
        let called = self
            .call(CALL, &convert::context_bytes(context), |store, instance| {
                async move {
                    let workstation =
                        indices.load(&mut *store, &instance).map_err(CallFailure::WrongTypes)?;
                    workstation.call_plan_workstation(store, &input).await.map_err(CallFailure::Running)
                }
                .boxed()
            })
            .await?;
        self.read(CALL, called, convert::workstation_plan)
    }

    /// Asks the plugin for its operations.
    ///
    /// # Errors
    /// [`Error::NotOffered`] if it does not export `operations`, or any failure of a call: see [`Error`].
    pub async fn operations(&self) -> Result<Called<Vec<Operation>>, Error> {
        const CALL: &str = "operations";
        let indices = offered(&self.0.operations, Capability::Operations)?;
        let called = self
            .call(CALL, b"", |store, instance| {
                async move {
                    let operations = indices.load(&mut *store, &instance).map_err(CallFailure::WrongTypes)?;
                    operations.call_operations(store).await.map_err(CallFailure::Running)
                }
                .boxed()
            })
            .await?;
        self.read(CALL, called, convert::operations)
    }

    /// Asks the plugin for the plan of the operation `name`, or for the facts that it needs first. `arguments` must be valid by
    /// the operation's schema. The inner error is an answer of the plugin.
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
        let indices = offered(&self.0.operations, Capability::Operations)?;
        let (name, text, input) = (name.to_owned(), arguments.to_string(), convert::context(context));
        let seed = thinkube_plan::canonical_bytes(&(&name, arguments, convert::context_bytes(context)));
        let called = self
            .call(CALL, &seed, |store, instance| {
                async move {
                    let operations = indices.load(&mut *store, &instance).map_err(CallFailure::WrongTypes)?;
                    let called = operations.call_plan_operation(store, &name, &text, &input);
                    called.await.map_err(CallFailure::Running)
                }
                .boxed()
            })
            .await?;
        self.read(CALL, called, convert::outcome)
    }

    /// Converts a lifted result to the types of the plan.
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
                Err(Error::Malformed { call, place: line(&place), message: line(&message) })
            }
        }
    }

    /// Calls `function` with a fresh store and instance. `input` seeds the randomness of the call.
    async fn call<T, F>(&self, call: &'static str, input: &[u8], function: F) -> Result<Called<T>, Error>
    where
        F: for<'a> FnOnce(&'a mut Store<StoreState>, Instance) -> BoxFuture<'a, Result<T, CallFailure>>
            + Send,
    {
        let Shared { engine, limits, calls, .. } = &*self.0.sandbox;
        let _permit = timeout(limits.queue_time, calls.acquire())
            .await
            .map_err(|_| Error::Busy { waited: limits.queue_time })?
            .expect("the semaphore is never closed");

        let started = Instant::now();
        let seed = Seed::new(self.0.digest.hex(), call, input);
        let host = |message: String| Error::Host { call, message };
        let mut store =
            StoreState::store(engine, limits, &seed).map_err(|error| host(format!("{error:#}")))?;
        let run = async {
            let instance = self.0.pre.instantiate_async(&mut store).await.map_err(CallFailure::Starting)?;
            function(&mut store, instance).await
        };
        match guarded(limits.wall_time, run).await {
            Ok(Some(Ok(value))) => {
                let left = store.get_fuel().expect("the engine counts fuel");
                let output = store.data().last_lines(limits);
                let StoreState { log, meter, .. } = store.into_data();
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
                Err(Error::Timeout { call, limit: limits.wall_time, stderr: store.data().last_lines(limits) })
            }
            Err(panic) => Err(host(panic)),
        }
    }
}

/// Runs a call. `None` if it takes longer than `limit`, `Err` with the message if it panics.
///
/// The epoch ends a guest that runs; the timeout ends one that waits. A panic of the host or of wasmtime must not end the calls
/// of other plugins.
async fn guarded<T>(limit: Duration, call: impl Future<Output = T>) -> Result<Option<T>, String> {
    match AssertUnwindSafe(timeout(limit, call)).catch_unwind().await {
        Ok(ended) => Ok(ended.ok()),
        Err(panic) => Err(panic_text(&*panic)),
    }
}

fn panic_text(panic: &(dyn std::any::Any + Send)) -> String {
    let message = panic.downcast_ref::<&str>().copied();
    let message = message.or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    line(message.unwrap_or("a panic without a message"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_panic_during_a_call_is_an_error_of_that_call() {
        let limit = Duration::from_secs(60);
        let panics = async {
            tokio::task::yield_now().await;
            panic!("a table is {}", "broken")
        };
        assert_eq!(guarded::<()>(limit, panics).await, Err("a table is broken".into()));
        assert_eq!(guarded(limit, async { 7 }).await, Ok(Some(7)));
    }

    #[tokio::test]
    async fn a_call_that_waits_forever_is_ended_by_the_wall_time() {
        assert_eq!(guarded(Duration::from_millis(1), std::future::pending::<()>()).await, Ok(None));
    }
}
