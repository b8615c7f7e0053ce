//! Why the sandbox cannot load or call a plugin. The type of the failure decides the variant; no text of a plugin does.

use crate::limits::Limits;
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;
use thinkube_plan::{Diagnostic, ErrorKind, Hint};

/// Why the sandbox cannot load or call a plugin. Text of the plugin in a variant is already escaped and cut.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The bytes are not a component.
    #[error("this is not a WebAssembly component: {found}")]
    NotAComponent {
        /// What the bytes are instead.
        found: &'static str,
        /// What the author can do.
        advice: Option<&'static str>,
    },
    /// The file is larger than `component_bytes`.
    #[error("the component has {size} bytes; at most {limit} are allowed")]
    TooLarge {
        /// The size in bytes.
        size: usize,
        /// The limit in bytes.
        limit: usize,
    },
    /// The component does not implement the world `thinkube:plugin/plugin`.
    #[error("this component does not implement the world thinkube:plugin/plugin: {fault}")]
    WrongWorld {
        /// The missing export or the import that the host does not offer.
        fault: String,
        /// What the author can do.
        advice: &'static str,
    },
    /// The plugin was built for another version of the contract.
    #[error("this plugin uses version {found} of thinkube:plugin; this host supports {}", supported.join(", "))]
    UnsupportedContract {
        /// The version of the `lifecycle` export.
        found: String,
        /// The versions that this host supports.
        supported: &'static [&'static str],
    },
    /// The compiler refuses the component.
    #[error("the component cannot be compiled: {message}")]
    Compile {
        /// The message of the compiler.
        message: String,
    },
    /// The compilation takes longer than `compile_time`.
    #[error("the component could not be compiled within {} s", limit.as_secs_f64())]
    CompileTimeout {
        /// The limit.
        limit: Duration,
    },
    /// The component needs more instances, memories or tables than a call may have.
    #[error("the component needs more resources than a call may have: {message}")]
    TooComplex {
        /// The message of the allocator, which names the limit.
        message: String,
    },
    /// The host called an optional interface that the plugin does not export.
    #[error("the plugin does not export {interface}")]
    NotOffered {
        /// The interface.
        interface: &'static str,
    },
    /// Every concurrent call was in use for `queue_time`.
    #[error("the sandbox had no free call for {} s", waited.as_secs_f64())]
    Busy {
        /// How long the call waited.
        waited: Duration,
    },
    /// A WebAssembly trap ended the guest: a panic, a division by zero, too deep a recursion.
    #[error("the plugin failed in `{call}`: {trap}{}", last_line(stderr))]
    Trap {
        /// The function that was called.
        call: &'static str,
        /// The kind of trap.
        trap: TrapKind,
        /// The last lines that the guest wrote.
        stderr: Vec<String>,
    },
    /// The guest called `exit`.
    #[error("the plugin called exit({code}) in `{call}` instead of returning{}", last_line(stderr))]
    Exit {
        /// The function that was called.
        call: &'static str,
        /// The exit code.
        code: i32,
        /// The last lines that the guest wrote.
        stderr: Vec<String>,
    },
    /// The guest used more than `cpu_time`.
    #[error("the plugin used more than {} s of CPU time in `{call}`{}", limit.as_secs_f64(), last_line(stderr))]
    CpuTime {
        /// The function that was called.
        call: &'static str,
        /// The limit.
        limit: Duration,
        /// The last lines that the guest wrote.
        stderr: Vec<String>,
    },
    /// The call took longer than `wall_time`.
    #[error("the plugin did not return from `{call}` within {} s{}", limit.as_secs_f64(), last_line(stderr))]
    Timeout {
        /// The function that was called.
        call: &'static str,
        /// The limit.
        limit: Duration,
        /// The last lines that the guest wrote.
        stderr: Vec<String>,
    },
    /// The guest executed more than `fuel` instructions.
    #[error("the plugin used more than {limit} units of fuel in `{call}`{}", last_line(stderr))]
    OutOfFuel {
        /// The function that was called.
        call: &'static str,
        /// The limit.
        limit: u64,
        /// The last lines that the guest wrote.
        stderr: Vec<String>,
    },
    /// The guest failed after the sandbox refused it memory beyond `memory_bytes`.
    #[error("the plugin needed more than {limit} bytes of memory in `{call}`{}", last_line(stderr))]
    Memory {
        /// The function that was called.
        call: &'static str,
        /// The limit in bytes.
        limit: usize,
        /// The last lines that the guest wrote.
        stderr: Vec<String>,
    },
    /// The guest wrote, requested or returned more than a limit allows.
    #[error("the plugin exceeded the limit `{which}` of {limit} in `{call}`")]
    Quota {
        /// The function that was called.
        call: &'static str,
        /// The limit that was exceeded.
        which: Quota,
        /// The limit, in the unit of its row in [`Limits`].
        limit: usize,
    },
    /// The guest returned, or passed to the host, something that is not a value of the contract.
    #[error("the plugin broke the contract in `{call}`{}: {message}", at(place))]
    Malformed {
        /// The function that was called.
        call: &'static str,
        /// Stage, step and field in the result. Empty if the result could not be read at all.
        place: String,
        /// What is wrong.
        message: String,
    },
    /// The cache of compiled components cannot be used; the sandbox works without it.
    #[error("the cache of compiled plugins, {}, is not used: {reason}", path.display())]
    Cache {
        /// The directory.
        path: PathBuf,
        /// What is wrong with the directory.
        reason: String,
        /// What a person can do.
        advice: Option<&'static str>,
        /// The error of the system, if there is one.
        source: Option<std::io::Error>,
    },
    /// The engine cannot be started on this machine.
    #[error("the WebAssembly engine cannot be started: {message}")]
    Engine {
        /// The message of the engine.
        message: String,
    },
    /// The host failed during the call. This is never a fault of the plugin.
    #[error("the host failed during `{call}`: {message}")]
    Host {
        /// The function that was called.
        call: &'static str,
        /// What happened.
        message: String,
    },
}

impl Error {
    /// The last lines that the guest wrote to stderr and stdout. Empty for a failure outside a call.
    pub fn stderr(&self) -> &[String] {
        match self {
            Self::Trap { stderr, .. }
            | Self::Exit { stderr, .. }
            | Self::CpuTime { stderr, .. }
            | Self::Timeout { stderr, .. }
            | Self::OutOfFuel { stderr, .. }
            | Self::Memory { stderr, .. } => stderr,
            Self::NotAComponent { .. }
            | Self::TooLarge { .. }
            | Self::WrongWorld { .. }
            | Self::UnsupportedContract { .. }
            | Self::Compile { .. }
            | Self::CompileTimeout { .. }
            | Self::TooComplex { .. }
            | Self::NotOffered { .. }
            | Self::Busy { .. }
            | Self::Quota { .. }
            | Self::Malformed { .. }
            | Self::Cache { .. }
            | Self::Engine { .. }
            | Self::Host { .. } => &[],
        }
    }
}

impl Diagnostic for Error {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::NotAComponent { .. } => ErrorKind::NotAComponent,
            Self::TooLarge { .. } => ErrorKind::TooLarge,
            Self::WrongWorld { .. } => ErrorKind::WrongWorld,
            Self::UnsupportedContract { .. } => ErrorKind::UnsupportedContract,
            Self::Compile { .. } => ErrorKind::Compile,
            Self::CompileTimeout { .. } => ErrorKind::CompileTimeout,
            Self::TooComplex { .. } => ErrorKind::TooComplex,
            Self::NotOffered { .. } => ErrorKind::NotOffered,
            Self::Busy { .. } => ErrorKind::SandboxBusy,
            Self::Trap { .. } => ErrorKind::Trap,
            Self::Exit { .. } => ErrorKind::Exit,
            Self::CpuTime { .. } => ErrorKind::CpuTime,
            Self::Timeout { .. } => ErrorKind::Timeout,
            Self::OutOfFuel { .. } => ErrorKind::OutOfFuel,
            Self::Memory { .. } => ErrorKind::Memory,
            Self::Quota { .. } => ErrorKind::Quota,
            Self::Malformed { .. } => ErrorKind::Malformed,
            Self::Cache { .. } => ErrorKind::Cache,
            Self::Engine { .. } => ErrorKind::Engine,
            Self::Host { .. } => ErrorKind::Host,
        }
    }

    fn hint(&self) -> Option<Hint> {
        let advice = match self {
            Self::NotAComponent { advice, .. } | Self::Cache { advice, .. } => (*advice)?.to_owned(),
            Self::WrongWorld { advice, .. } => (*advice).to_owned(),
            Self::UnsupportedContract { found, .. } => {
                format!("rebuild the plugin, or use a host that supports version {found}")
            }
            Self::Busy { .. } => "try again later".to_owned(),
            _ => return None,
        };
        Some(Hint::Advice(advice))
    }
}

/// The kind of a WebAssembly trap.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum TrapKind {
    /// `unreachable`: a panic, an abort or a failed assertion.
    Unreachable,
    /// The call stack is exhausted.
    StackOverflow,
    /// An access outside the guest's memory; a stack overflow of a C or Rust guest shows as this trap.
    MemoryOutOfBounds,
    /// A division by zero, an overflow of a division, or a float that is not an integer.
    Arithmetic,
    /// A call through a table that lacks the function.
    BadCall,
    /// The guest waits for an event that can never happen.
    Deadlock,
    /// Another trap, with the message of the engine.
    Other(String),
}

impl fmt::Display for TrapKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Unreachable => "it panicked or aborted",
            Self::StackOverflow => "its call stack is exhausted",
            Self::MemoryOutOfBounds => "it accessed memory outside its own",
            Self::Arithmetic => "it divided by zero or overflowed an integer",
            Self::BadCall => "it called a function that does not exist",
            Self::Deadlock => "it waits for an event that can never happen",
            Self::Other(message) => message,
        })
    }
}

/// A limit on what a plugin writes, requests or returns; each is a field of [`Limits`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "the fields of Limits of the same names are documented")]
#[non_exhaustive]
pub enum Quota {
    TableElements,
    Handles,
    TransferBytes,
    ResultBytes,
    ManifestBytes,
    Stages,
    Steps,
    Checks,
    Queries,
    LogFloodBytes,
    OutputFloodBytes,
}

impl Quota {
    /// The name of the field of [`Limits`].
    pub fn as_str(self) -> &'static str {
        match self {
            Self::TableElements => "table_elements",
            Self::Handles => "handles",
            Self::TransferBytes => "transfer_bytes",
            Self::ResultBytes => "result_bytes",
            Self::ManifestBytes => "manifest_bytes",
            Self::Stages => "stages",
            Self::Steps => "steps",
            Self::Checks => "checks",
            Self::Queries => "queries",
            Self::LogFloodBytes => "log_flood_bytes",
            Self::OutputFloodBytes => "output_flood_bytes",
        }
    }

    /// The value in `limits`.
    pub(crate) fn of(self, limits: &Limits) -> usize {
        match self {
            Self::TableElements => limits.table_elements,
            Self::Handles => limits.handles,
            Self::TransferBytes => limits.transfer_bytes,
            Self::ResultBytes => limits.result_bytes,
            Self::ManifestBytes => limits.manifest_bytes,
            Self::Stages => limits.stages,
            Self::Steps => limits.steps,
            Self::Checks => limits.checks,
            Self::Queries => limits.queries,
            Self::LogFloodBytes => limits.log_flood_bytes,
            Self::OutputFloodBytes => limits.output_flood_bytes,
        }
    }
}

impl fmt::Display for Quota {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The guest's last line of output, as the end of a message.
fn last_line(lines: &[String]) -> String {
    lines.last().map_or_else(String::new, |last| format!("; its last output: {last}"))
}

fn at(place: &str) -> String {
    if place.is_empty() { String::new() } else { format!(", {place}") }
}
