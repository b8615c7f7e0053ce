use crate::limits::Limits;
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

/// Why the sandbox could not load or call a plugin. The variant is told from the type of the failure; no text that
/// a plugin wrote decides it. Texts of a plugin are escaped and cut before they come here.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The bytes are no component.
    #[error("this is no WebAssembly component: {found}")]
    NotAComponent {
        /// What they are instead, and what to do.
        found: &'static str,
    },
    /// The file is larger than `component_bytes`.
    #[error("the component has {size} bytes, at most {limit} are taken")]
    TooLarge {
        /// Its size in bytes.
        size: usize,
        /// The limit in bytes.
        limit: usize,
    },
    /// It is a component, but of another world than `thinkube:plugin/plugin`.
    #[error("this component does not fit the world thinkube:plugin/plugin: {fault}; {advice}")]
    WrongWorld {
        /// The export that is missing or the import that is not offered.
        fault: String,
        /// What its author can do.
        advice: &'static str,
    },
    /// It was built for another version of the contract.
    #[error(
        "this plugin speaks version {found} of thinkube:plugin, this host speaks {}; rebuild the plugin or use a \
         host that speaks {found}",
        supported.join(", ")
    )]
    UnsupportedContract {
        /// The version of its `lifecycle` export.
        found: String,
        /// The versions of this host.
        supported: &'static [&'static str],
    },
    /// The compiler refused it.
    #[error("the component cannot be compiled: {message}")]
    Compile {
        /// What the compiler said.
        message: String,
    },
    /// Its compilation took longer than `compile_time`.
    #[error("the component was not compiled within {} s", limit.as_secs_f64())]
    CompileTimeout {
        /// The limit.
        limit: Duration,
    },
    /// It is valid, but needs more instances, memories or tables than a call may have.
    #[error("the component needs more than a call may have: {message}")]
    TooComplex {
        /// Which limit, in the words of the allocator.
        message: String,
    },
    /// An optional interface was called that the plugin does not export.
    #[error("the plugin does not export {interface}")]
    NotOffered {
        /// The interface.
        interface: &'static str,
    },
    /// No place among the concurrent calls became free within `queue_time`.
    #[error("no place for a call became free within {} s", waited.as_secs_f64())]
    Busy {
        /// How long it waited.
        waited: Duration,
    },
    /// The guest did something that WebAssembly ends: a panic, a division by zero, too deep a recursion.
    #[error("the plugin failed in `{call}`: {trap}{}", said(stderr))]
    Trap {
        /// The function that was called.
        call: &'static str,
        /// What ended it.
        trap: TrapKind,
        /// The last lines that the guest wrote.
        stderr: Vec<String>,
    },
    /// The guest called `exit`.
    #[error("the plugin left `{call}` by exit({code}); a plugin returns{}", said(stderr))]
    Exit {
        /// The function that was called.
        call: &'static str,
        /// The code it gave.
        code: i32,
        /// The last lines that the guest wrote.
        stderr: Vec<String>,
    },
    /// It computed longer than `cpu_time`.
    #[error("the plugin computed for more than {} s in `{call}`{}", limit.as_secs_f64(), said(stderr))]
    CpuTime {
        /// The function that was called.
        call: &'static str,
        /// The limit.
        limit: Duration,
        /// The last lines that the guest wrote.
        stderr: Vec<String>,
    },
    /// The call took longer than `wall_time`.
    #[error("the plugin did not return from `{call}` within {} s{}", limit.as_secs_f64(), said(stderr))]
    Timeout {
        /// The function that was called.
        call: &'static str,
        /// The limit.
        limit: Duration,
        /// The last lines that the guest wrote.
        stderr: Vec<String>,
    },
    /// It executed more than `fuel` instructions.
    #[error("the plugin used up its {limit} units of fuel in `{call}`{}", said(stderr))]
    OutOfFuel {
        /// The function that was called.
        call: &'static str,
        /// The limit.
        limit: u64,
        /// The last lines that the guest wrote.
        stderr: Vec<String>,
    },
    /// It failed after it was refused memory beyond `memory_bytes`.
    #[error("the plugin needed more than {limit} bytes of memory in `{call}`{}", said(stderr))]
    Memory {
        /// The function that was called.
        call: &'static str,
        /// The limit in bytes.
        limit: usize,
        /// The last lines that the guest wrote.
        stderr: Vec<String>,
    },
    /// It wrote, asked for or returned too much.
    #[error("the plugin exceeded the limit `{which}` of {limit} in `{call}`")]
    Quota {
        /// The function that was called.
        call: &'static str,
        /// Which limit.
        which: Quota,
        /// The limit, in the unit of its row in [`Limits`].
        limit: usize,
    },
    /// What it returned, or passed to the host, is no value of the contract.
    #[error("the plugin broke the contract in `{call}`{}: {message}", at(place))]
    Malformed {
        /// The function that was called.
        call: &'static str,
        /// Where in the result: stage, step, field. Empty where the result could not be read at all.
        place: String,
        /// What is wrong with it.
        message: String,
    },
    /// The cache of compiled components cannot be used; the sandbox works without it.
    #[error("the cache of compiled components {} is not used: {reason}", path.display())]
    Cache {
        /// The directory.
        path: PathBuf,
        /// Why, and what to do.
        reason: String,
        /// What the system said, if it said something.
        source: Option<std::io::Error>,
    },
    /// The engine could not be made on this machine.
    #[error("the WebAssembly engine cannot be started: {message}")]
    Engine {
        /// What it said.
        message: String,
    },
    /// The host itself failed during the call. A fault of the host, never of the plugin's author.
    #[error("the host failed during `{call}`: {message}")]
    Host {
        /// The function that was called.
        call: &'static str,
        /// What happened.
        message: String,
    },
}

impl Error {
    /// A stable name of the variant for JSON, metrics and exit codes.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::NotAComponent { .. } => "not-a-component",
            Self::TooLarge { .. } => "too-large",
            Self::WrongWorld { .. } => "wrong-world",
            Self::UnsupportedContract { .. } => "unsupported-contract",
            Self::Compile { .. } => "compile",
            Self::CompileTimeout { .. } => "compile-timeout",
            Self::TooComplex { .. } => "too-complex",
            Self::NotOffered { .. } => "not-offered",
            Self::Busy { .. } => "busy",
            Self::Trap { .. } => "trap",
            Self::Exit { .. } => "exit",
            Self::CpuTime { .. } => "cpu-time",
            Self::Timeout { .. } => "timeout",
            Self::OutOfFuel { .. } => "out-of-fuel",
            Self::Memory { .. } => "memory",
            Self::Quota { .. } => "quota",
            Self::Malformed { .. } => "malformed",
            Self::Cache { .. } => "cache",
            Self::Engine { .. } => "engine",
            Self::Host { .. } => "host",
        }
    }

    /// The last lines that the guest wrote to stderr and stdout, where the failure has them.
    pub fn stderr(&self) -> &[String] {
        match self {
            Self::Trap { stderr, .. }
            | Self::Exit { stderr, .. }
            | Self::CpuTime { stderr, .. }
            | Self::Timeout { stderr, .. }
            | Self::OutOfFuel { stderr, .. }
            | Self::Memory { stderr, .. } => stderr,
            _ => &[],
        }
    }
}

/// What ended a guest.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum TrapKind {
    /// `unreachable`: how a panic, an abort or a failed assertion ends.
    Unreachable,
    /// The call stack is exhausted.
    StackOverflow,
    /// Memory outside of the guest's was accessed; also how the stack of a C or Rust guest ends.
    MemoryOutOfBounds,
    /// Division by zero, overflow of a division, a float that is no integer.
    Arithmetic,
    /// A call through a table that has no such function.
    BadCall,
    /// It waits for something that never comes.
    Deadlock,
    /// Any other, in the words of the engine.
    Other(String),
}

impl fmt::Display for TrapKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Unreachable => "it panicked or aborted",
            Self::StackOverflow => "its call stack is exhausted",
            Self::MemoryOutOfBounds => "it accessed memory outside of its own",
            Self::Arithmetic => "it computed what no integer can hold",
            Self::BadCall => "it called a function that does not exist",
            Self::Deadlock => "it waits for something that never comes",
            Self::Other(words) => words,
        })
    }
}

/// The limits that bound what a plugin writes, asks for and returns; each is a field of [`Limits`].
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
    /// The field of [`Limits`].
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

    /// Its value in `limits`.
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

/// The guest's own words, as the end of a message.
fn said(lines: &[String]) -> String {
    lines.last().map_or_else(String::new, |last| format!("; its last words: {last}"))
}

fn at(place: &str) -> String {
    if place.is_empty() { String::new() } else { format!(", {place}") }
}
