// Shared with the sandbox's tests, which include this file: there a `match` without a wildcard names the test of
// each behaviour, so a behaviour without a test does not compile.

macro_rules! behaviours {
    ($($variant:ident = $name:literal, $what:literal;)*) => {
        /// What the plugin does when it is asked for a plan.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub(crate) enum Behaviour {
            $(#[doc = $what] $variant,)*
        }

        impl Behaviour {
            /// All of them.
            #[allow(dead_code, reason = "each of the two crates that include this file uses its part")]
            pub(crate) const ALL: &[Self] = &[$(Self::$variant),*];

            /// The value of the setting `do`.
            #[allow(dead_code, reason = "each of the two crates that include this file uses its part")]
            pub(crate) fn name(self) -> &'static str {
                match self { $(Self::$variant => $name),* }
            }
        }
    };
}

behaviours! {
    Behave = "behave", "Returns a small correct plan.";
    Refuse = "refuse", "Says that the settings are wrong.";

    Spin = "spin", "Computes for ever.";
    Sleep = "sleep", "Sleeps for an hour, then says how far the clock went.";
    SleepForever = "sleep-forever", "Sleeps an hour again and again.";
    NeedsForever = "needs-forever", "Asks for one more fact, however many it was given.";

    Allocate = "allocate", "Takes memory until there is no more.";
    AllocateAndRecover = "allocate-and-recover", "Tries to take too much memory, and goes on without.";
    Recurse = "recurse", "Calls itself without end.";
    Panic = "panic", "Panics, after a few lines on stderr.";
    Exit = "exit", "Calls exit(3).";
    OpenHandles = "open-handles", "Opens WASI resources and closes none.";

    FloodLog = "flood-log", "Logs without end.";
    TalkTooMuch = "talk-too-much", "Logs more lines than are kept, then returns a plan.";
    FloodStderr = "flood-stderr", "Writes to stderr without end.";
    FloodStdout = "flood-stdout", "Writes to stdout without end.";
    ForgeOutput = "forge-output", "Logs and writes control characters, then panics if `amount` is not 0.";

    HugeResult = "huge-result", "Returns a text of `amount` bytes.";
    HugeProblem = "huge-problem", "Refuses with a text of `amount` bytes.";
    ManyStages = "many-stages", "Returns `amount` stages.";
    ManySteps = "many-steps", "Returns `amount` steps.";
    ManyChecks = "many-checks", "Returns `amount` checks.";
    ManyQueries = "many-queries", "Asks for `amount` facts.";
    BigManifest = "big-manifest", "Returns one manifest of `amount` bytes.";
    InvalidJson = "invalid-json", "Returns a manifest that is no JSON.";
    DeepJson = "deep-json", "Returns a manifest of a thousand nested lists.";
    SendSecret = "send-secret", "Returns a check that sends a Secret of somebody else to a Service of its own.";
    InvalidDesired = "invalid-desired", "Returns an external step whose desired state is no JSON.";
    InvalidUtf8 = "invalid-utf8", "Returns a text that is no UTF-8.";

    ReadFile = "read-file", "Tries to read files of the host.";
    WriteFile = "write-file", "Tries to write a file.";
    ReadEnvironment = "read-environment", "Tells the environment, the arguments and the working directory.";
    ReadStdin = "read-stdin", "Reads its standard input to the end.";
    OpenSocket = "open-socket", "Tries to connect, to listen, to send a datagram and to resolve a name.";
    ReadClock = "read-clock", "Tells what the clocks say.";
    ReadRandom = "read-random", "Tells random numbers and the order of a hash map.";
    Remember = "remember", "Counts its calls in a static.";
}
