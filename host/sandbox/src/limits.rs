//! The one table of limits. No other file of this crate has a number that bounds a plugin.

use std::time::Duration;

/// A limit with its unit, for people.
trait Shown {
    fn shown(&self, unit: &str) -> String;
}

impl Shown for usize {
    fn shown(&self, unit: &str) -> String {
        match unit {
            "bytes" if self.is_multiple_of(1 << 30) => format!("{} GiB", self >> 30),
            "bytes" if self.is_multiple_of(1 << 20) => format!("{} MiB", self >> 20),
            "bytes" if self.is_multiple_of(1 << 10) => format!("{} KiB", self >> 10),
            _ => format!("{self} {unit}"),
        }
    }
}

impl Shown for u64 {
    fn shown(&self, unit: &str) -> String {
        format!("{self} {unit}")
    }
}

impl Shown for Duration {
    fn shown(&self, _unit: &str) -> String {
        format!("{} s", self.as_secs_f64())
    }
}

/// One row of the table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limit {
    /// The field's name.
    pub name: &'static str,
    /// The value with its unit, for people.
    pub value: String,
    /// What it bounds.
    pub bounds: &'static str,
    /// The reason for the default.
    pub reason: &'static str,
}

macro_rules! limits {
    ($($name:ident: $type:ty = $default:expr, $unit:literal, $bounds:literal, $reason:literal;)*) => {
        /// The limits of a plugin. An error that names a limit names a field of this struct.
        #[derive(Debug, Clone, PartialEq, Eq)]
        pub struct Limits {
            $(
                #[doc = concat!($bounds, "; in ", $unit, ". Default from: ", $reason, ".")]
                pub $name: $type,
            )*
        }

        impl Default for Limits {
            fn default() -> Self {
                Self { $($name: $default,)* }
            }
        }

        impl Limits {
            /// The table of all limits, for documentation.
            pub fn table(&self) -> Vec<Limit> {
                vec![$(Limit {
                    name: stringify!($name),
                    value: self.$name.shown($unit),
                    bounds: $bounds,
                    reason: $reason,
                },)*]
            }
        }
    };
}

limits! {
    component_bytes: usize = 32 << 20, "bytes",
        "size of a component file", "18.6 MB measured for Python, the largest language, with room for libraries";
    compile_time: Duration = Duration::from_secs(60), "seconds",
        "wait for a compilation, its turn included", "12 s measured for Python on one core, five times over";
    cache_bytes: usize = 1 << 30, "bytes",
        "compiled components kept on disk", "40 MB measured for one Python plugin: room for 25";

    wall_time: Duration = Duration::from_secs(10), "seconds",
        "one call from start to end", "7 ms measured for the slowest language; a person waits for it";
    cpu_time: Duration = Duration::from_secs(5), "seconds",
        "time a call computes, in ticks of 10 ms in which it ran", "half of the wall time: a loaded machine does not fail an innocent plugin";
    fuel: u64 = 1_000_000_000, "instructions",
        "instructions of one call, about", "3.2 million measured for the slowest language, three hundred times over";
    queue_time: Duration = Duration::from_secs(60), "seconds",
        "wait for a free place among the concurrent calls", "six times the longest call";
    concurrent_calls: usize = 64, "calls",
        "calls at the same time, all plugins together", "address space: each place reserves 32 GiB";

    memory_bytes: usize = 64 << 20, "bytes",
        "linear memory of one call, all memories together", "13 MiB measured for Python; it fails at 8 MiB";
    memories: usize = 8, "memories",
        "linear memories of one call", "the pool's places for one component; guests use one to three";
    tables: usize = 8, "tables",
        "function tables of one call", "the pool's places for one component";
    table_elements: usize = 100_000, "entries",
        "size of one function table", "over 6000 measured for Python; Spin's value";
    instances: usize = 48, "instances",
        "core instances of one component", "38 measured for Python";
    stack_bytes: usize = 512 << 10, "bytes",
        "stack of a call", "wasmtime's default";
    handles: usize = 1_000, "handles",
        "open WASI resources of one call", "a plugin has nothing to open: streams and pollables only";
    transfer_bytes: usize = 16 << 20, "bytes",
        "data taken out of the guest in one transfer", "twice the largest result";

    result_bytes: usize = 8 << 20, "bytes",
        "a result, as the JSON of the plan file", "8000 objects of 1 KiB";
    manifest_bytes: usize = 1536 << 10, "bytes",
        "one JSON text in a result", "etcd's default for one request, so no API server takes more";
    stages: usize = 100, "stages",
        "stages of one plan", "stages run one after the other";
    steps: usize = 2_000, "steps",
        "steps of one plan", "the largest charts have some hundred objects";
    checks: usize = 2_000, "checks",
        "checks of one plan", "one for each step";
    queries: usize = 500, "queries",
        "facts asked for in one round", "each is a request to the API server";

    log_lines: usize = 1_000, "lines",
        "log lines kept of one call; more are counted, not kept", "more than a person reads";
    log_bytes: usize = 256 << 10, "bytes",
        "log text kept of one call; more is counted, not kept", "256 bytes a line";
    log_flood_bytes: usize = 8 << 20, "bytes",
        "log text of one call, kept or not, 64 bytes added for each line", "the call ends here: a plugin that logs this much is at fault";
    output_bytes: usize = 16 << 10, "bytes",
        "last bytes kept of what the guest wrote to stderr and stdout", "a Python traceback is 2 KiB";
    output_lines: usize = 20, "lines",
        "last lines of that shown with an error", "a screen";
    output_flood_bytes: usize = 8 << 20, "bytes",
        "text written to stderr and stdout, kept or not", "as for the log";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_limit_is_in_the_guide_with_its_default() {
        let guide = include_str!("../../../docs/reference/sandbox.md");
        for Limit { name, value, bounds, .. } in Limits::default().table() {
            let row = format!("| `{name}` | {value} | {bounds} |");
            assert!(guide.contains(&row), "docs/reference/sandbox.md lacks the row\n{row}");
        }
    }

    #[test]
    fn values_are_shown_with_the_largest_unit_that_divides_them() {
        assert_eq!((1536usize << 10).shown("bytes"), "1536 KiB");
        assert_eq!((1usize << 30).shown("bytes"), "1 GiB");
        assert_eq!(8usize.shown("memories"), "8 memories");
        assert_eq!(Duration::from_millis(1500).shown("seconds"), "1.5 s");
    }
}
