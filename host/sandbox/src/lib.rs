//! Runs plugins in a sandbox: engine, limits, cache of compiled plugins, calls. The only crate that names wasmtime.
//!
//! Guarantees:
//! * **A call sees only its arguments.** It has no file, environment, network, clock or randomness of the machine, and no
//!   state of another call, because each call has a fresh instance.
//! * **The same arguments give the same answer** on every machine: clocks are fixed or virtual, randomness is seeded from the
//!   plugin and its arguments, floating point is canonical.
//! * **A call ends** within the limits of one table ([`Limits`]), whatever the plugin does. The error names the limit.
//!
//! The sandbox does not decide what a plugin may do: a plan that it returns is well-formed, not permitted.
//!
//! ```no_run
//! # async fn run(bytes: &[u8], context: thinkube_plan::Context) -> Result<(), thinkube_sandbox::Error> {
//! let sandbox = thinkube_sandbox::Sandbox::new(thinkube_sandbox::Config::default())?;
//! let plugin = sandbox.load(bytes).await?;
//! let descriptor = plugin.describe().await?.value;
//! let answer = plugin.plan(&context).await?.value;
//! # Ok(())
//! # }
//! ```

mod cache;
mod call_error;
mod component_type;
mod convert;
mod engine;
mod error;
mod limits;
mod output;
mod plugin;
mod sandbox;
mod shared;
mod store_state;
mod wit;

pub use cache::Cache;
pub use component_type::Capability;
pub use engine::Allocation;
pub use error::{Error, Quota, TrapKind};
pub use limits::{Limit, Limits};
pub use plugin::{Called, Plugin};
pub use sandbox::{Config, Sandbox};
pub use store_state::{Level, LogLine};
