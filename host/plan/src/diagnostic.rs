//! What an error tells beside its message: a stable kind, the class that decides the exit code, and a hint.
//!
//! The rooms that own the errors answer [`Diagnostic`]. Only the command line renders a [`Hint`], because only it knows its
//! flags.

use std::fmt;

/// What class of failure an error is. The command line has one exit code for each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FailureClass {
    /// The cluster, another server or the machine failed.
    Environment,
    /// The person who runs the command named something wrong or missing.
    Input,
    /// A permission, an owner or a rule refuses the work.
    Refused,
    /// The plugin is at fault.
    Plugin,
    /// A check does not hold.
    Check,
    /// A person or the system interrupted the work.
    Interrupted,
}

/// Defines [`ErrorKind`]: a variant, its stable name and its class in one row.
macro_rules! error_kinds {
    ($($variant:ident, $name:literal, $class:ident;)*) => {
        /// The kind of an error. Its name is stable: programs match on it, and `thinkube-host explain NAME` shows its page.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum ErrorKind {
            $(#[doc = concat!("`", $name, "`")] $variant,)*
        }

        impl ErrorKind {
            /// Every kind, in the order of the documentation.
            pub const ALL: &[Self] = &[$(Self::$variant),*];

            /// The stable name.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }

            /// The class, which decides the exit code.
            pub const fn class(self) -> FailureClass {
                match self { $(Self::$variant => FailureClass::$class,)* }
            }
        }
    };
}

error_kinds! {
    // What a person wrote.
    Usage, "usage", Input;
    Input, "input", Input;
    Inventory, "inventory", Input;
    Read, "read", Input;
    ReleaseName, "release-name", Input;
    Settings, "settings", Input;
    Arguments, "arguments", Input;
    NoOperation, "no-operation", Input;
    NoPreflight, "no-preflight", Input;
    NothingToOrphan, "nothing-to-orphan", Input;
    NothingToOverwrite, "nothing-to-overwrite", Input;
    SecretMissing, "secret-missing", Input;
    FactsNeeded, "facts-needed", Input;
    OtherPlugin, "other-plugin", Input;
    NoRelease, "no-release", Input;
    Unfinished, "unfinished", Input;
    NoHome, "no-home", Input;
    NoRevision, "no-revision", Input;
    ImageSource, "image-source", Input;
    RegistryLogin, "registry-login", Input;
    Problem, "problem", Input;
    // What is refused.
    Denied, "denied", Refused;
    QueryDenied, "query-denied", Refused;
    Moved, "moved", Refused;
    NotOwned, "not-owned", Refused;
    NotGranted, "not-granted", Refused;
    ForeignHome, "foreign-home", Refused;
    // The plugin.
    Descriptor, "descriptor", Plugin;
    SettingsSchema, "settings-schema", Plugin;
    TooManyFacts, "too-many-facts", Plugin;
    InvalidPlan, "invalid-plan", Plugin;
    InvalidWorkstationPlan, "invalid-workstation-plan", Plugin;
    Unsupported, "unsupported", Plugin;
    NotAComponent, "not-a-component", Plugin;
    TooLarge, "too-large", Plugin;
    WrongWorld, "wrong-world", Plugin;
    UnsupportedContract, "unsupported-contract", Plugin;
    Compile, "compile", Plugin;
    CompileTimeout, "compile-timeout", Plugin;
    TooComplex, "too-complex", Plugin;
    NotOffered, "not-offered", Plugin;
    SandboxBusy, "sandbox-busy", Plugin;
    Trap, "trap", Plugin;
    Exit, "exit", Plugin;
    CpuTime, "cpu-time", Plugin;
    Timeout, "timeout", Plugin;
    OutOfFuel, "out-of-fuel", Plugin;
    Memory, "memory", Plugin;
    Quota, "quota", Plugin;
    Malformed, "malformed", Plugin;
    // A check.
    ChecksFailed, "checks-failed", Check;
    // The cluster.
    NoKubeconfig, "no-kubeconfig", Environment;
    Kubeconfig, "kubeconfig", Environment;
    Unreachable, "unreachable", Environment;
    Unauthorized, "unauthorized", Environment;
    Forbidden, "forbidden", Environment;
    NotServed, "not-served", Environment;
    Undiscovered, "undiscovered", Environment;
    Rejected, "rejected", Environment;
    AdmissionDenied, "admission-denied", Environment;
    Immutable, "immutable", Environment;
    Conflict, "conflict", Environment;
    Terminating, "terminating", Environment;
    NoNamespace, "no-namespace", Environment;
    Busy, "busy", Environment;
    LostRace, "lost-race", Environment;
    NotReady, "not-ready", Environment;
    NotGone, "not-gone", Environment;
    NoShell, "no-shell", Environment;
    NoAnswer, "no-answer", Environment;
    PodFile, "pod-file", Environment;
    Corrupt, "corrupt", Environment;
    Api, "api", Environment;
    Several, "several", Environment;
    // Other servers and the machine.
    Certificates, "certificates", Environment;
    NotTrusted, "not-trusted", Environment;
    NoResponse, "no-response", Environment;
    ResponseTooLarge, "response-too-large", Environment;
    Redirected, "redirected", Environment;
    NotFound, "not-found", Environment;
    UnexpectedStatus, "unexpected-status", Environment;
    UnexpectedResponse, "unexpected-response", Environment;
    WrongPassword, "wrong-password", Environment;
    NoToken, "no-token", Environment;
    MissingOutput, "missing-output", Environment;
    NotUpdatable, "not-updatable", Environment;
    NotKept, "not-kept", Environment;
    BuildDir, "build-dir", Environment;
    ImageBuild, "image-build", Environment;
    ImageMoved, "image-moved", Environment;
    ImagePush, "image-push", Environment;
    RegistryRefused, "registry-refused", Environment;
    Git, "git", Environment;
    Python, "python", Environment;
    NoProgram, "no-program", Environment;
    Program, "program", Environment;
    Build, "build", Environment;
    Workstation, "workstation", Environment;
    WorkstationBusy, "workstation-busy", Environment;
    WorkstationMoved, "workstation-moved", Environment;
    WorkstationRecord, "workstation-record", Environment;
    Cache, "cache", Environment;
    Engine, "engine", Environment;
    Host, "host", Environment;
    Io, "io", Environment;
    Interrupted, "interrupted", Interrupted;
}

impl fmt::Display for ErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What a person can do about an error. A variant that needs a flag of the command line carries what the flag takes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Hint {
    /// Advice that names no flag: one sentence.
    Advice(String),
    /// Name a kubeconfig.
    NameKubeconfig,
    /// Give the facts in a file, or name a cluster that answers them.
    GiveFacts,
    /// Grant what is missing in the grants file, or grant everything that the plugin requests.
    Grant,
    /// Grant everything that the plugin requests, because the release moves to another namespace.
    GrantAgain,
    /// Supply a secret input.
    SupplySecret {
        /// The input's name.
        input: String,
        /// The environment variable that the host reads.
        env: String,
    },
    /// Let the release take over what exists, as `KIND/NAME`, `KIND/NAMESPACE/NAME` or `External/STEP`.
    Adopt(String),
    /// Leave something behind at uninstall, as `External/STEP` or `PodFiles/STEP`.
    Orphan(String),
    /// Keep the images in their registry at uninstall.
    KeepImages,
}

/// What every error of the host's crates tells beside its message.
pub trait Diagnostic: std::error::Error {
    /// The stable kind.
    fn kind(&self) -> ErrorKind;

    /// What a person can do, if the error knows it.
    fn hint(&self) -> Option<Hint> {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn every_kind_has_a_name_of_its_own_in_lower_case_and_dashes() {
        let names: BTreeSet<&str> = ErrorKind::ALL.iter().map(|kind| kind.as_str()).collect();
        assert_eq!(names.len(), ErrorKind::ALL.len());
        assert!(names.iter().all(|name| name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'-')));
    }
}
