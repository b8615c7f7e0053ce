//! Runs plugins: engine, limits, compiled-component cache, calls. The only crate that names wasmtime.
//!
//! What it guarantees:
//! * **A call sees its arguments and nothing else.** No file, environment, argument, network, clock or randomness of
//!   the machine; no other call, because each has an instance of its own that is dropped afterwards.
//! * **The same arguments give the same answer**, on any machine: clocks are fixed or virtual, randomness is seeded
//!   from the plugin and its arguments, floating point is canonical.
//! * **A call ends**, within the limits of one table ([`Limits`]), whatever the plugin does; and the failure says
//!   which limit, told from its type.
//!
//! What it does not: judge what a plugin *asks for*. A plan that comes out of here is well-formed, not allowed.
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
mod convert;
mod engine;
mod error;
mod guest;
mod limits;
mod sandbox;
mod text;
mod wit;
mod world;

pub use cache::Cache;
pub use engine::Allocation;
pub use error::{Error, Quota, TrapKind};
pub use guest::{Level, LogLine};
pub use limits::{Limit, Limits};
pub use sandbox::{Called, Capability, Config, Plugin, Sandbox};
