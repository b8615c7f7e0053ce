//! The behaviours. The sandbox's tests include this file too: their `match` names the test of each behaviour, so that a
//! behaviour without a test does not compile.

macro_rules! behaviours {
    ($($variant:ident = $name:literal, $what:literal;)*) => {
        /// What the plugin does instead of planning.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub(crate) enum Behaviour {
            $(#[doc = $what] $variant,)*
        }

        impl Behaviour {
            /// Every behaviour.
            #[allow(dead_code, reason = "each of the two crates uses a part")]
            pub(crate) const ALL: &[Self] = &[$(Self::$variant),*];

            /// The value of the setting `do`.
            #[allow(dead_code, reason = "each of the two crates uses a part")]
            pub(crate) fn name(self) -> &'static str {
                match self { $(Self::$variant => $name),* }
            }
        }
    };
}

behaviours! {
    Behave = "behave", "Returns a small correct plan.";
    Refuse = "refuse", "Returns a problem with the settings.";

    Spin = "spin", "Computes without end.";
    Sleep = "sleep", "Sleeps for an hour, then reports the elapsed time.";
    SleepForever = "sleep-forever", "Sleeps an hour again and again.";
    NeedsForever = "needs-forever", "Asks for one more fact in every round.";

    Allocate = "allocate", "Allocates memory without end.";
    AllocateAndRecover = "allocate-and-recover", "Tries to allocate too much memory, and continues.";
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
    HugeProblem = "huge-problem", "Returns a problem of `amount` bytes.";
    ManyStages = "many-stages", "Returns `amount` stages.";
    ManySteps = "many-steps", "Returns `amount` steps.";
    ManyChecks = "many-checks", "Returns `amount` checks.";
    ManyQueries = "many-queries", "Asks for `amount` facts.";
    BigManifest = "big-manifest", "Returns one manifest of `amount` bytes.";
    InvalidJson = "invalid-json", "Returns a manifest that is not JSON.";
    DeepJson = "deep-json", "Returns a manifest of a thousand nested lists.";
    SendSecret = "send-secret", "Returns a check that sends a Secret of another owner to its own Service.";
    InvalidDesired = "invalid-desired", "Returns an external step whose desired state is not JSON.";
    InvalidUtf8 = "invalid-utf8", "Returns text that is not UTF-8.";

    ReadFile = "read-file", "Tries to read files of the host.";
    WriteFile = "write-file", "Tries to write a file.";
    ReadEnvironment = "read-environment", "Reports the environment, the arguments and the working directory.";
    ReadStdin = "read-stdin", "Reads its standard input to the end.";
    OpenSocket = "open-socket", "Tries to connect, to listen, to send a datagram and to resolve a name.";
    ReadClock = "read-clock", "Reports the clocks.";
    ReadRandom = "read-random", "Reports the order of a hash map, which is random.";
    Remember = "remember", "Counts its calls in a static.";
}
