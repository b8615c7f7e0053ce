//! A plugin that misbehaves in every way that the sandbox must survive. The setting `do` names the behaviour, `amount` its
//! size. The notes of the plan report what the plugin could observe.

mod behaviour;
mod bindings;

use behaviour::Behaviour;
use bindings::exports::thinkube::plugin::checks::{Guest as Checks, Observation, Status, Verdict};
use bindings::exports::thinkube::plugin::lifecycle::{Context, Descriptor, Guest as Lifecycle, Outcome};
use bindings::thinkube::plugin::log::{Level, log};
use bindings::thinkube::plugin::plan::{
    Auth, Check, Credentials, Expectation, ExternalStep, HttpMethod, HttpProbe, HttpTarget, ObjectStep,
    OnChange, OnUninstall, Plan, Probe, Request, ServiceTarget, Severity, Stage, Step,
};
use bindings::thinkube::plugin::types::{FieldError, ObjectRef, Problem, Query, SecretKey};
use bindings::wasi::clocks::monotonic_clock;
use std::collections::HashMap;
use std::fmt::Write as _;
use std::hint::black_box;
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream, ToSocketAddrs, UdpSocket};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant, SystemTime};

struct Hostile;

bindings::export!(Hostile with_types_in bindings);

const HOUR: Duration = Duration::from_secs(3600);

static CALLS: AtomicU32 = AtomicU32::new(0);

impl Lifecycle for Hostile {
    fn describe() -> Descriptor {
        CALLS.fetch_add(1, Ordering::Relaxed);
        Descriptor {
            name: "hostile".into(),
            version: "1.0.0".into(),
            title: "Hostile".into(),
            summary: "Misbehaves.".into(),
            license: "Apache-2.0".into(),
            source: "https://example.com/hostile".into(),
            settings_schema: r#"{"type":"object"}"#.into(),
            namespace_setting: None,
            secret_inputs: Vec::new(),
            dependencies: Vec::new(),
            deployment_order: None,
            permissions: Vec::new(),
        }
    }

    fn plan_release(context: Context) -> Result<Outcome, Problem> {
        let wanted = text_of(&context.settings, "do");
        let amount = amount_of(&context.settings);
        let behaviour = Behaviour::ALL.iter().find(|behaviour| behaviour.name() == wanted);
        match behaviour {
            Some(behaviour) => act(*behaviour, amount, &context),
            None => Err(Problem::Other(format!("unknown behaviour `{wanted}`"))),
        }
    }
}

impl Checks for Hostile {
    fn evaluate(observation: Observation) -> Verdict {
        if observation.check == "panic" {
            panic!("asked to");
        }
        Verdict { status: Status::Passed, message: observation.json, remedy: None }
    }
}

fn act(behaviour: Behaviour, amount: usize, context: &Context) -> Result<Outcome, Problem> {
    let notes = match behaviour {
        Behaviour::Behave => "I am good.".into(),
        Behaviour::Refuse => return refuse(),
        Behaviour::Spin => forever(|| ()),
        Behaviour::Sleep => sleep(),
        Behaviour::SleepForever => forever(|| std::thread::sleep(HOUR)),
        Behaviour::NeedsForever => return Ok(Outcome::NeedsFacts(queries(context.facts.len() + 1))),
        Behaviour::Allocate => allocate(),
        Behaviour::AllocateAndRecover => allocate_and_recover(),
        Behaviour::Recurse => recurse(1).to_string(),
        Behaviour::Panic => panic_after_lines(&context.release),
        Behaviour::Exit => std::process::exit(3),
        Behaviour::OpenHandles => open_handles(),
        Behaviour::FloodLog => forever(|| log(Level::Info, "more and more")),
        Behaviour::TalkTooMuch => talk_too_much(amount),
        Behaviour::FloodStderr => forever(|| eprintln!("more and more")),
        Behaviour::FloodStdout => forever(|| println!("more and more")),
        Behaviour::ForgeOutput => forge_output(amount),
        Behaviour::HugeResult => "x".repeat(amount),
        Behaviour::HugeProblem => return Err(Problem::Other("x".repeat(amount))),
        Behaviour::ManyStages => return planned((0..amount).map(|_| stage(Vec::new())).collect()),
        Behaviour::ManySteps => {
            return planned(vec![stage((0..amount).map(|_| object("{}".into())).collect())]);
        }
        Behaviour::ManyChecks => return many_checks(amount),
        Behaviour::ManyQueries => return Ok(Outcome::NeedsFacts(queries(amount))),
        Behaviour::BigManifest => return one(object(format!("\"{}\"", "x".repeat(amount)))),
        Behaviour::InvalidJson => {
            let bad = object("{\"kind\": Pod}".into());
            return planned(vec![stage(vec![object("{}".into()), bad])]);
        }
        Behaviour::DeepJson => return one(object("[".repeat(1000) + &"]".repeat(1000))),
        Behaviour::SendSecret => return Ok(Outcome::Plan(sending_a_secret())),
        Behaviour::InvalidDesired => return one(external("{")),
        // SAFETY: none. The text is invalid on purpose.
        Behaviour::InvalidUtf8 => unsafe { String::from_utf8_unchecked(vec![b'a', 0xff, 0xfe]) },
        Behaviour::ReadFile => read_file(),
        Behaviour::WriteFile => {
            try_paths(&["/tmp/hostile", "hostile", "/hostile"], |path| std::fs::write(path, "mine"))
        }
        Behaviour::ReadEnvironment => read_environment(),
        Behaviour::ReadStdin => read_stdin(),
        Behaviour::OpenSocket => open_socket(),
        Behaviour::ReadClock => read_clock(),
        Behaviour::ReadRandom => read_random(),
        Behaviour::Remember => format!("call {}", CALLS.fetch_add(1, Ordering::Relaxed) + 1),
    };
    let _ = std::io::stdout().flush();
    let config = object(r#"{"kind":"ConfigMap","apiVersion":"v1"}"#.into());
    Ok(Outcome::Plan(plan(vec![stage(vec![config])], notes)))
}

fn forever(mut act: impl FnMut()) -> ! {
    loop {
        act();
        black_box(());
    }
}

fn refuse() -> Result<Outcome, Problem> {
    Err(Problem::InvalidSettings(FieldError { path: "/do".into(), message: "no".into() }))
}

fn sleep() -> String {
    let before = Instant::now();
    std::thread::sleep(HOUR);
    format!("slept {} s", before.elapsed().as_secs())
}

fn allocate() -> ! {
    let mut memory = Vec::new();
    forever(|| memory.push(black_box(vec![1_u8; 1 << 20])))
}

fn allocate_and_recover() -> String {
    let mut memory = Vec::<u8>::new();
    let refused = black_box(&mut memory).try_reserve_exact(1 << 30).is_err();
    format!("refused: {refused}")
}

fn panic_after_lines(release: &str) -> ! {
    for line in 0..100 {
        eprintln!("line {line}");
    }
    panic!("the {release} is wrong")
}

fn open_handles() -> ! {
    let mut open = Vec::new();
    forever(|| open.push(monotonic_clock::subscribe_duration(1)))
}

fn talk_too_much(amount: usize) -> String {
    for line in 0..amount {
        log(Level::Debug, &format!("line {line}"));
    }
    String::new()
}

fn forge_output(amount: usize) -> String {
    log(Level::Warn, "\u{1b}[2J\u{1b}[32mAPPLIED\r\n\u{202e}");
    eprintln!("\u{1b}[2J\u{1b}[32mAPPLIED\u{202e}");
    assert_eq!(amount, 0, "\u{1b}[31m");
    String::new()
}

fn many_checks(amount: usize) -> Result<Outcome, Problem> {
    let mut plan = plan(Vec::new(), String::new());
    plan.health = (0..amount).map(|_| check()).collect();
    Ok(Outcome::Plan(plan))
}

fn read_file() -> String {
    try_paths(&["/etc/passwd", "/proc/self/environ", ".", "/", "Cargo.toml"], |path| {
        std::fs::read(path).map(|bytes| bytes.len())
    }) + &try_paths(&["/", "."], |path| std::fs::read_dir(path).map(Iterator::count))
}

fn read_environment() -> String {
    let environment: Vec<_> = std::env::vars_os().collect();
    let arguments: Vec<_> = std::env::args_os().collect();
    let directory = std::env::current_dir();
    format!("environment {environment:?}, arguments {arguments:?}, directory {directory:?}")
}

fn read_stdin() -> String {
    let mut input = Vec::new();
    format!("{:?} {input:?}", std::io::stdin().read_to_end(&mut input))
}

fn open_socket() -> String {
    let denied = [
        TcpStream::connect("127.0.0.1:22").is_err(),
        TcpListener::bind("127.0.0.1:0").is_err(),
        UdpSocket::bind("127.0.0.1:0").is_err(),
        "localhost:80".to_socket_addrs().is_err(),
    ];
    format!("denied: {denied:?}")
}

fn read_clock() -> String {
    let wall = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    let first = monotonic_clock::now();
    let second = monotonic_clock::now();
    format!("wall {wall:?}, monotonic {first} {second}")
}

fn read_random() -> String {
    let map: HashMap<u32, u32> = (0..20).map(|number| (number, number)).collect();
    let order: Vec<_> = map.into_keys().collect();
    format!("{order:?}")
}

#[expect(unconditional_recursion, reason = "the stack must overflow")]
fn recurse(depth: u64) -> u64 {
    black_box(depth) + recurse(black_box(depth + 1))
}

fn try_paths<T: std::fmt::Debug>(paths: &[&str], access: impl Fn(&str) -> std::io::Result<T>) -> String {
    let mut report = String::new();
    for path in paths {
        match access(path) {
            Ok(found) => write!(report, "{path}: FOUND {found:?}; "),
            Err(error) => write!(report, "{path}: {:?}; ", error.kind()),
        }
        .expect("a String accepts text");
    }
    report
}

fn one(step: Step) -> Result<Outcome, Problem> {
    planned(vec![stage(vec![step])])
}

fn planned(stages: Vec<Stage>) -> Result<Outcome, Problem> {
    Ok(Outcome::Plan(plan(stages, String::new())))
}

fn plan(stages: Vec<Stage>, notes: String) -> Plan {
    Plan { preflight: Vec::new(), stages, health: Vec::new(), tests: Vec::new(), notes: Some(notes) }
}

fn stage(steps: Vec<Step>) -> Stage {
    Stage { name: "base".into(), steps, gates: Vec::new(), skip_if: Vec::new() }
}

fn object(manifest: String) -> Step {
    Step::Object(ObjectStep {
        manifest,
        on_change: OnChange::Update,
        on_uninstall: OnUninstall::Delete,
        bindings: Vec::new(),
    })
}

fn external(desired: &str) -> Step {
    let request = Request { method: HttpMethod::Get, path: "/".into(), body: None };
    Step::External(ExternalStep {
        name: "realm".into(),
        base_url: "https://example.com".into(),
        auth: Auth::Anonymous,
        find: request.clone(),
        select: "null".into(),
        create: request,
        update: None,
        delete: None,
        desired: desired.into(),
        outputs: Vec::new(),
        on_uninstall: OnUninstall::Delete,
    })
}

fn check() -> Check {
    Check {
        name: "c".into(),
        title: "The ConfigMap exists".into(),
        probe: Probe::Object(config_map(0)),
        expect: Expectation::Holds,
        timeout_seconds: 1,
        severity: Severity::Error,
        remedy: None,
    }
}

fn sending_a_secret() -> Plan {
    let service = r#"{"apiVersion":"v1","kind":"Service","metadata":{"name":"mine","namespace":"hostile"},"spec":{"selector":{"app":"mine"}}}"#;
    let password = SecretKey { namespace: "kube-system".into(), name: "theirs".into(), key: "token".into() };
    let target =
        ServiceTarget { namespace: "hostile".into(), name: "mine".into(), port: 80, path: "/".into() };
    let probe = Probe::Http(HttpProbe {
        target: HttpTarget::Service(target),
        method: HttpMethod::Get,
        headers: Vec::new(),
        credentials: Some(Credentials { header: "x-loot".into(), username: "root".into(), password }),
        body: None,
        follow_redirects: false,
    });
    let mut plan = plan(vec![stage(vec![object(service.into())])], String::new());
    plan.health = vec![Check { probe, ..check() }];
    plan
}

fn queries(count: usize) -> Vec<Query> {
    (0..count).map(|number| Query::Object(config_map(number))).collect()
}

fn config_map(number: usize) -> ObjectRef {
    ObjectRef {
        api_version: "v1".into(),
        kind: "ConfigMap".into(),
        namespace: Some("default".into()),
        name: format!("c{number}"),
    }
}

/// The text of a field of a flat, compact JSON object without escapes, as the host writes it.
fn text_of<'a>(settings: &'a str, field: &str) -> &'a str {
    let start = format!("\"{field}\":\"");
    let rest = settings.split_once(&start).map_or("", |(_, rest)| rest);
    rest.split('"').next().unwrap_or_default()
}

fn amount_of(settings: &str) -> usize {
    let rest = settings.split_once("\"amount\":").map_or("", |(_, rest)| rest);
    let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
    digits.parse().unwrap_or(0)
}
