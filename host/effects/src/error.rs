use std::path::PathBuf;
use std::time::Duration;
use std::{fmt, io};
use thinkube_plan::WorkstationFault;

/// Why an effect outside the cluster could not be brought about. Every message says what, where, and what to do; none
/// holds a secret. `what` is the step or check, and the request as the plan wrote it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// What a plan asks for and nobody could do, found before anything was done.
    #[error("{what}: {message}")]
    Invalid {
        /// The step or check.
        what: String,
        /// What is wrong and what is expected.
        message: String,
    },
    /// The certificates that are to be trusted cannot be read.
    #[error("the certificates to trust cannot be read: {message}")]
    Certificates {
        /// Which, and why.
        message: String,
    },
    /// A secret input was not supplied.
    #[error("{what}: the secret input {input} was not supplied; set its environment variable")]
    NoInput {
        /// The step.
        what: String,
        /// The input's name.
        input: String,
    },
    /// What an earlier step yields is needed, and that step has not yielded it.
    #[error("{what}: it needs the output {output} of step {step}, which is not there yet")]
    NoOutput {
        /// The step.
        what: String,
        /// The other step.
        step: String,
        /// The other step's output.
        output: String,
    },
    /// An origin was not granted.
    #[error(
        "{what}: connecting to {origin} was not granted; nothing was sent there. If that is where it should go, grant it"
    )]
    NotGranted {
        /// The step or check.
        what: String,
        /// The origin.
        origin: String,
    },
    /// A name leads nowhere.
    #[error("{what}: the name in {origin} leads nowhere: {message}; check the name, and this machine's DNS")]
    NotResolved {
        /// The step or check, and the request.
        what: String,
        /// The origin.
        origin: String,
        /// What the resolver said.
        message: String,
    },
    /// Nobody listens there.
    #[error("{what}: nothing listens at {origin}; check that the server runs, and the port")]
    Refused {
        /// The step or check, and the request.
        what: String,
        /// The origin.
        origin: String,
    },
    /// The connection could not be made, or broke.
    #[error("{what}: {origin} cannot be reached: {message}")]
    Unreachable {
        /// The step or check, and the request.
        what: String,
        /// The origin.
        origin: String,
        /// What the connection said.
        message: String,
    },
    /// The server's certificate is not trusted.
    #[error(
        "{what}: {origin} is not trusted: {reason}. Have the server's certificate mended; or, if its authority is your \
         own, add that to the system's authorities or name it in a CA file"
    )]
    NotTrusted {
        /// The step or check, and the request.
        what: String,
        /// The origin.
        origin: String,
        /// Why.
        reason: &'static str,
    },
    /// There was no whole answer in time.
    #[error("{what}: there was no answer within {} s; what was asked may have been done", after.as_secs())]
    TimedOut {
        /// The step or check, and the request.
        what: String,
        /// How long was waited.
        after: Duration,
    },
    /// The answer does not end.
    #[error("{what}: the answer has more than {} MiB, so it is not what was asked for", most >> 20)]
    TooLarge {
        /// The step or check, and the request.
        what: String,
        /// Bytes that are read at most.
        most: usize,
    },
    /// The server sends whoever asks elsewhere.
    #[error(
        "{what}: the server answers {status} and points to {to}, which is not followed: an API is asked where the plan \
         says. Have the plugin's author check the URL"
    )]
    Redirected {
        /// The step, and the request.
        what: String,
        /// The status.
        status: u16,
        /// The origin that it points to.
        to: String,
    },
    /// The password is wrong.
    #[error(
        "{what}: {origin} does not accept the password of {username}; check the secret input {input}. Nothing was \
         changed by this request"
    )]
    WrongPassword {
        /// The step.
        what: String,
        /// Where the password went.
        origin: String,
        /// Whose it is.
        username: String,
        /// The secret input that holds it.
        input: String,
    },
    /// No token is given, for another reason than the password.
    #[error("{what}: {origin} gives {client_id} no token: {reason}")]
    NoToken {
        /// The step.
        what: String,
        /// Where it was asked for.
        origin: String,
        /// The OAuth client.
        client_id: String,
        /// Why.
        reason: &'static str,
    },
    /// The server does not know who is asking, though the password was accepted or none was needed.
    #[error("{what}: the server does not accept who is asking (401)")]
    Unauthorized {
        /// The step, and the request.
        what: String,
    },
    /// Whoever asks may not do that.
    #[error("{what}: the server forbids it (403) to {username}; give that user the right to do this")]
    Forbidden {
        /// The step, and the request.
        what: String,
        /// Who asked.
        username: String,
    },
    /// What a request is about is not there: a realm, a parent, an API.
    #[error(
        "{what}: the server knows no such place (404); check the URL, and that what the path names exists"
    )]
    Missing {
        /// The step, and the request.
        what: String,
    },
    /// Any other refusal.
    #[error("{what}: the server answers {status}{}", said.as_ref().map(|said| format!(": {said}")).unwrap_or_default())]
    Status {
        /// The step, and the request.
        what: String,
        /// The status.
        status: u16,
        /// What the server says of it, where that cannot be a secret.
        said: Option<String>,
    },
    /// The answer is no JSON.
    #[error("{what}: the answer is no JSON, so this is not the API that the plan means; check the URL")]
    NotJson {
        /// The step, and the request.
        what: String,
    },
    /// A CEL expression has no result for the answer.
    #[error("{what}: {message} in {expression}")]
    Select {
        /// The step, and the request.
        what: String,
        /// The expression.
        expression: String,
        /// Why.
        message: String,
    },
    /// The resource differs and the plan has no way to change it.
    #[error(
        "{what}: it is there and differs in {}; the plan has no request to update it. Change it by hand, or delete it \
         and run this again", fields.join(", ")
    )]
    NoUpdate {
        /// The step.
        what: String,
        /// Which fields.
        fields: Vec<String>,
    },
    /// The server took the change and does not show it.
    #[error(
        "{what}: the server accepted the change, and {} still differs from what the plan wants: it may keep such fields \
         in another form, or not at all", fields.join(", ")
    )]
    NotKept {
        /// The step.
        what: String,
        /// Which fields.
        fields: Vec<String>,
    },
    /// The server took the resource and does not show it, or says that it is there and does not show it.
    #[error("{what}: the server says that it is there, but `find` and `select` of the plan do not find it")]
    NotFound {
        /// The step.
        what: String,
    },
    /// The server took the deletion and still shows the resource.
    #[error("{what}: the server accepted the deletion, and it is still there")]
    NotGone {
        /// The step.
        what: String,
    },
    /// A program that is needed is not on PATH.
    #[error("there is no {program} on PATH; {cure}")]
    NoProgram {
        /// Which one.
        program: &'static str,
        /// What to do.
        cure: &'static str,
    },
    /// A program did not run.
    #[error("{what} could not be run: {source}")]
    NotRun {
        /// What it was to do.
        what: &'static str,
        /// Why.
        source: io::Error,
    },
    /// A program took too long.
    #[error("{what} was ended: it took longer than {} minutes", limit.as_secs().div_ceil(60))]
    TooSlow {
        /// What it did.
        what: &'static str,
        /// How long it may take.
        limit: Duration,
    },
    /// A program never stopped talking.
    #[error("{what} was ended: it said more than {} MiB", most >> 20)]
    Flooded {
        /// What it did.
        what: &'static str,
        /// Bytes that it may say.
        most: usize,
    },
    /// HOME does not say where the home is.
    #[error("HOME is not set to an absolute path; set it to the home that files are to be put into")]
    NoHome,
    /// The home is another user's.
    #[error("{} belongs to another user; run this as that user, or the files would belong to the wrong one", path.display())]
    ForeignHome {
        /// Which one.
        path: PathBuf,
    },
    /// Something in a home could not be read or written.
    #[error("{path}: {source}")]
    Workstation {
        /// Where.
        path: String,
        /// Why.
        source: io::Error,
    },
    /// Another host is at work.
    #[error("another thinkube-host is at work there; wait until it is done ({} is locked)", state.display())]
    WorkstationBusy {
        /// The folder of the records.
        state: PathBuf,
    },
    /// The record of what was written into a home cannot be read or written.
    #[error("the record {}: {source}", path.display())]
    Record {
        /// Its file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The record says what no host of this version has written.
    #[error(
        "the record {} cannot be used: {message}. Nothing was changed. If it cannot be mended, remove it: what was written \
         is then nobody's, and stays until it is overwritten or removed by hand", path.display()
    )]
    RecordMalformed {
        /// Its file.
        path: PathBuf,
        /// What is wrong.
        message: String,
    },
    /// A setup holds what is hostile, wrong or not granted.
    #[error("nothing was done in the home, for the setup holds what may not be done:{}", each(.0))]
    WorkstationRefused(Vec<WorkstationFault>),
    /// The home is no longer what was shown.
    #[error("nothing was done: the home has changed since it was looked at ({}). Run this again", .0.join(", "))]
    WorkstationMoved(Vec<String>),
    /// A file is to be overwritten that nobody would overwrite.
    #[error(
        "there is nothing at {path:?} to be overwritten: name a file that was changed by hand or is not of this release, \
         relative to the home"
    )]
    NothingToOverwrite {
        /// What was named.
        path: String,
    },
    /// A folder for a build could not be made or used.
    #[error("the temporary folder for the build: {source}; TMPDIR says where it is made")]
    BuildDir {
        /// Why.
        source: io::Error,
    },
    /// git failed.
    #[error("{what} failed for {url}:{}", each(lines))]
    Git {
        /// What it did.
        what: &'static str,
        /// The repository.
        url: String,
        /// Its last lines.
        lines: Vec<String>,
    },
    /// A repository does not have a revision.
    #[error("{url} has no tag and no branch {revision}; a commit is named by all of its digits")]
    NoRevision {
        /// The repository.
        url: String,
        /// What was asked for.
        revision: String,
    },
    /// Something in the source of an image cannot be built from.
    #[error("the source of the image, {path}: {message}")]
    Source {
        /// What.
        path: String,
        /// Why.
        message: String,
    },
    /// The folder that an image is built from has changed.
    #[error("{} has changed since it was looked at; nothing was built. Run this again", source_folder.display())]
    SourceMoved {
        /// The folder.
        source_folder: PathBuf,
    },
    /// An image could not be built.
    #[error("{what} could not be built:{}", each(lines))]
    Build {
        /// The step.
        what: String,
        /// The tool's last lines.
        lines: Vec<String>,
    },
    /// An image was built and could not be pushed.
    #[error("{destination} could not be pushed:{}", each(lines))]
    Push {
        /// To where.
        destination: String,
        /// The tool's last lines.
        lines: Vec<String>,
    },
    /// A Secret has no login for a registry.
    #[error(
        "{what}: the push credentials hold no login for {registry}; they must be a .dockerconfigjson with one, as \
         `kubectl create secret docker-registry` makes it"
    )]
    NoLogin {
        /// The step.
        what: String,
        /// Which one.
        registry: String,
    },
    /// A registry does not let the login do something.
    #[error(
        "{what}: the registry does not let {} {action} {destination} ({status}); {}",
        if *login { "this login" } else { "somebody without a login" },
        if *login { "check the Secret of the push credentials, and the rights of its user" } else { "name push credentials" }
    )]
    RegistryRefused {
        /// The step.
        what: String,
        /// REGISTRY/REPOSITORY.
        destination: String,
        /// The status.
        status: u16,
        /// `pull`, `push` or `delete`.
        action: &'static str,
        /// Somebody was logged in.
        login: bool,
    },
    /// A registry has no place for a repository.
    #[error(
        "{what}: the registry has no place for {destination} (404); make the project first, or check its name"
    )]
    NoRepository {
        /// The step.
        what: String,
        /// REGISTRY/REPOSITORY.
        destination: String,
    },
    /// A registry deletes nothing.
    #[error(
        "{what}: the registry deletes no images (405), so {destination} stays; have it allow that, or run this again without \
         deleting images"
    )]
    NoDeletion {
        /// The step.
        what: String,
        /// REGISTRY/REPOSITORY.
        destination: String,
    },
    /// Python or pip failed.
    #[error("{what} failed for {}:{}", path.display(), each(lines))]
    Python {
        /// Which of the two.
        what: &'static str,
        /// The virtual environment.
        path: PathBuf,
        /// Its last lines.
        lines: Vec<String>,
    },
}

impl Error {
    /// A stable name for programs.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::NoHome => "no-home",
            Self::ForeignHome { .. } => "foreign-home",
            Self::Workstation { .. } => "home",
            Self::WorkstationBusy { .. } => "home-busy",
            Self::WorkstationMoved(_) => "home-moved",
            Self::WorkstationRefused(faults) if faults.iter().all(|fault| fault.denied) => "denied",
            Self::WorkstationRefused(_) => "invalid-setup",
            Self::NothingToOverwrite { .. } => "nothing-to-overwrite",
            Self::Record { .. } | Self::RecordMalformed { .. } => "home-record",
            Self::NoProgram { .. } => "no-program",
            Self::NotRun { .. } | Self::TooSlow { .. } | Self::Flooded { .. } => "program",
            Self::Python { .. } => "python",
            Self::Git { .. } => "git",
            Self::NoRevision { .. } => "no-revision",
            Self::Source { .. } | Self::SourceMoved { .. } => "image-source",
            Self::Build { .. } => "image-build",
            Self::Push { .. } => "image-push",
            Self::NoLogin { .. } => "registry-login",
            Self::RegistryRefused { .. } | Self::NoRepository { .. } | Self::NoDeletion { .. } => {
                "registry-refused"
            }
            _ => "external",
        }
    }
}

/// Each on a line of its own.
fn each(lines: &[impl fmt::Display]) -> String {
    lines.iter().map(|line| format!("\n  {line}")).collect()
}
