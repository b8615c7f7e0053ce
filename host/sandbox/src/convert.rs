//! Converts between the types of the contract and those of the plan, field by field. A new field on one side does not compile
//! until it is converted here.
//!
//! Long because it is a table: every type of the contract, one conversion each.

use crate::error::Quota;
use crate::limits::Limits;
use crate::wit::{checks, lifecycle, operations, plan as wire, types, workstation};
use serde::Serialize;
use serde_json::Value;
use std::collections::BTreeMap;
use std::io;
use thinkube_plan as plan;

/// Why a result cannot be converted.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    Quota(Quota),
    Malformed { place: String, message: String },
}

type Read<T> = Result<T, Fault>;

/// Converts one result and counts its parts.
struct Reader<'a> {
    limits: &'a Limits,
    json: usize,
    steps: usize,
    checks: usize,
}

pub(crate) fn descriptor(from: lifecycle::Descriptor, limits: &Limits) -> Read<plan::Descriptor> {
    let lifecycle::Descriptor {
        name,
        version,
        title,
        summary,
        license,
        source,
        settings_schema,
        namespace_setting,
        secret_inputs,
        dependencies,
        deployment_order,
        permissions,
    } = from;
    let descriptor = plan::Descriptor {
        name,
        version,
        title,
        summary,
        license,
        source,
        settings_schema: Reader::new(limits).json(&settings_schema, || "settings schema".into())?,
        namespace_setting,
        secret_inputs: all(secret_inputs),
        dependencies: all(dependencies),
        deployment_order,
        permissions: all(permissions),
    };
    bounded(descriptor, limits)
}

pub(crate) fn outcome(
    from: Result<wire::Outcome, types::Problem>,
    limits: &Limits,
) -> Read<Result<plan::Outcome, plan::Problem>> {
    Ok(match from {
        Ok(wire::Outcome::NeedsFacts(queries)) => {
            within(queries.len(), limits.queries, Quota::Queries)?;
            Ok(plan::Outcome::NeedsFacts(bounded(all(queries), limits)?))
        }
        Ok(wire::Outcome::Plan(plan)) => {
            let plugin_plan = Reader::new(limits).plugin_plan(plan)?;
            Ok(plan::Outcome::Plan(bounded(plugin_plan, limits)?))
        }
        Err(problem) => Err(bounded_problem(problem, limits)?),
    })
}

pub(crate) fn operations(from: Vec<operations::Operation>, limits: &Limits) -> Read<Vec<plan::Operation>> {
    let mut reader = Reader::new(limits);
    let read = |from: operations::Operation| {
        let operations::Operation { name, title, secret_inputs, arguments_schema } = from;
        let schema = reader.json(&arguments_schema, || format!("operation {name}, arguments schema"))?;
        Ok(plan::Operation { name, title, secret_inputs, arguments_schema: schema })
    };
    bounded(from.into_iter().map(read).collect::<Read<Vec<_>>>()?, limits)
}

pub(crate) fn verdict(from: checks::Verdict, limits: &Limits) -> Read<plan::Verdict> {
    let checks::Verdict { status, message, remedy } = from;
    let status = match status {
        checks::Status::Passed => plan::Status::Passed,
        checks::Status::Failed => plan::Status::Failed,
        checks::Status::Unknown => plan::Status::Unknown,
    };
    bounded(plan::Verdict { status, message, remedy }, limits)
}

pub(crate) fn workstation_plan(
    from: Result<workstation::WorkstationPlan, types::Problem>,
    limits: &Limits,
) -> Read<Result<plan::WorkstationPlan, plan::Problem>> {
    Ok(match from {
        Ok(plan) => Ok(bounded(plan::WorkstationPlan::from(plan), limits)?),
        Err(problem) => Err(bounded_problem(problem, limits)?),
    })
}

fn bounded_problem(from: types::Problem, limits: &Limits) -> Read<plan::Problem> {
    let problem = plan::Problem::from(from);
    within(problem.to_string().len(), limits.result_bytes, Quota::ResultBytes)?;
    Ok(problem)
}

impl<'a> Reader<'a> {
    fn new(limits: &'a Limits) -> Self {
        Self { limits, json: 0, steps: 0, checks: 0 }
    }

    /// Parses a JSON text. The size is checked first, because a value takes several times the memory of its text. serde_json
    /// bounds the depth at 128.
    fn json(&mut self, text: &str, place: impl Fn() -> String) -> Read<Value> {
        within(text.len(), self.limits.manifest_bytes, Quota::ManifestBytes)?;
        self.json += text.len();
        within(self.json, self.limits.result_bytes, Quota::ResultBytes)?;
        serde_json::from_str(text)
            .map_err(|error| Fault::Malformed { place: place(), message: format!("not JSON: {error}") })
    }

    fn plugin_plan(&mut self, from: wire::Plan) -> Read<plan::PluginPlan> {
        let wire::Plan { preflight, stages, health, tests, notes } = from;
        within(stages.len(), self.limits.stages, Quota::Stages)?;
        Ok(plan::PluginPlan {
            preflight: self.checks(preflight)?,
            stages: stages.into_iter().map(|stage| self.stage(stage)).collect::<Read<_>>()?,
            health: self.checks(health)?,
            tests: self.checks(tests)?,
            notes,
        })
    }

    fn stage(&mut self, from: wire::Stage) -> Read<plan::Stage> {
        let wire::Stage { name, steps, gates, skip_if } = from;
        self.steps += steps.len();
        within(self.steps, self.limits.steps, Quota::Steps)?;
        let steps = steps
            .into_iter()
            .enumerate()
            .map(|(index, step)| self.step(&name, index + 1, step))
            .collect::<Read<_>>()?;
        Ok(plan::Stage { steps, gates: self.checks(gates)?, skip_if: self.checks(skip_if)?, name })
    }

    fn checks(&mut self, from: Vec<wire::Check>) -> Read<Vec<plan::Check>> {
        self.checks += from.len();
        within(self.checks, self.limits.checks, Quota::Checks)?;
        Ok(all(from))
    }

    fn step(&mut self, stage: &str, number: usize, from: wire::Step) -> Read<plan::Step> {
        Ok(match from {
            wire::Step::Object(from) => {
                let wire::ObjectStep { manifest, on_change, on_uninstall, bindings } = from;
                plan::Step::Object(plan::ObjectStep {
                    manifest: self.json(&manifest, || format!("stage {stage}, step {number}, manifest"))?,
                    on_change: match on_change {
                        wire::OnChange::Update => plan::OnChange::Update,
                        wire::OnChange::Recreate => plan::OnChange::Recreate,
                        wire::OnChange::CreateOnly => plan::OnChange::CreateOnly,
                    },
                    on_uninstall: on_uninstall.into(),
                    bindings: all(bindings),
                })
            }
            wire::Step::Secret(from) => plan::Step::Secret(from.into()),
            wire::Step::Image(from) => plan::Step::Image(from.into()),
            wire::Step::External(from) => {
                let wire::ExternalStep {
                    name,
                    base_url,
                    auth,
                    find,
                    select,
                    create,
                    update,
                    delete,
                    desired,
                    outputs,
                    on_uninstall,
                } = from;
                plan::Step::External(Box::new(plan::ExternalStep {
                    desired: self.json(&desired, || {
                        format!("stage {stage}, step {number} (external resource {name}), desired")
                    })?,
                    name,
                    base_url,
                    auth: auth.into(),
                    find: find.into(),
                    select,
                    create: create.into(),
                    update: update.map(Into::into),
                    delete: delete.map(Into::into),
                    outputs: all(outputs),
                    on_uninstall: on_uninstall.into(),
                }))
            }
            wire::Step::PodFiles(from) => plan::Step::PodFiles(from.into()),
            wire::Step::Restart(from) => plan::Step::Restart(from.into()),
        })
    }
}

fn all<T, U: From<T>>(from: Vec<T>) -> Vec<U> {
    from.into_iter().map(U::from).collect()
}

fn within(count: usize, limit: usize, quota: Quota) -> Read<()> {
    if count > limit { Err(Fault::Quota(quota)) } else { Ok(()) }
}

/// Bounds a whole result by its size in a plan file, so that no text in it is forgotten.
fn bounded<T: Serialize>(value: T, limits: &Limits) -> Read<T> {
    struct Count(usize);
    impl io::Write for Count {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0 += bytes.len();
            Ok(bytes.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let mut count = Count(0);
    serde_json::to_writer(&mut count, &value)
        .expect("the plan's types have string keys and counting cannot fail");
    within(count.0, limits.result_bytes, Quota::ResultBytes)?;
    Ok(value)
}

impl From<types::Problem> for plan::Problem {
    fn from(from: types::Problem) -> Self {
        match from {
            types::Problem::InvalidSettings(types::FieldError { path, message }) => {
                Self::InvalidSettings { path, message }
            }
            types::Problem::UnmetRequirement(message) => Self::UnmetRequirement(message),
            types::Problem::Other(message) => Self::Other(message),
        }
    }
}

fn into<T, U: From<T>>(from: T) -> U {
    from.into()
}

fn maybe<T, U: From<T>>(from: Option<T>) -> Option<U> {
    from.map(U::from)
}

/// The last of two equal keys counts, as in JSON.
fn mapped(from: Vec<(String, String)>) -> BTreeMap<String, String> {
    from.into_iter().collect()
}

/// Converts records with the same fields. Both patterns are complete, so neither side can have another field.
macro_rules! records {
    ($($from:path => $to:path { $($field:ident $(: $via:ident)?),* $(,)? })*) => {$(
        impl From<$from> for $to {
            fn from(from: $from) -> Self {
                use $from as From;
                use $to as To;
                let From { $($field),* } = from;
                To { $($field: records!(@ $field $($via)?)),* }
            }
        }
    )*};
    (@ $field:ident) => { $field };
    (@ $field:ident $via:ident) => { $via($field) };
}

records! {
    types::ObjectRef => plan::ObjectRef { api_version, kind, namespace, name }
    types::TypeMeta => plan::TypeMeta { api_version, kind }
    types::Selection => plan::Selection { api_version, kind, namespace, label_selector }
    types::SecretKey => plan::SecretKey { namespace, name, key }

    lifecycle::SecretInput => plan::SecretInput { name, env, falls_back_to, summary, required }
    lifecycle::Dependency => plan::Dependency { service, deployment_order, optional }
    lifecycle::KindPermission => plan::KindPermission { api_version, kind, scope: into }

    wire::Binding => plan::Binding { pointer, source: into }
    wire::OutputRef => plan::OutputRef { step, output }
    wire::SecretStep => plan::SecretStep {
        name, target: into, secret_type, labels: mapped, content: into, on_uninstall: into,
    }
    wire::SecretEntry => plan::SecretEntry { key, source: into }
    wire::RandomText => plan::RandomText { bytes, encoding: into }
    wire::ImageStep => plan::ImageStep {
        name, source: into, dockerfile, context, destination, push_credentials: maybe,
    }
    wire::GitSource => plan::GitSource { url, revision }
    wire::Request => plan::HttpRequest { method: into, path, body }
    wire::ExternalOutput => plan::ExternalOutput { name, request: maybe, select, secret }
    wire::PodFilesStep => plan::PodFilesStep {
        name, namespace, label_selector, container, files: all, lines: all,
    }
    wire::PodFile => plan::PodFile { path, mode, content }
    wire::PodLine => plan::PodLine { path, text }
    workstation::WorkstationPlan => plan::WorkstationPlan { directories: all, files: all, python_packages }
    workstation::WorkstationDirectory => plan::WorkstationDirectory { path, mode }
    workstation::WorkstationFile => plan::WorkstationFile { path, mode, content }
    wire::Check => plan::Check {
        name, title, probe: into, expect: into, timeout_seconds, severity: into, remedy,
    }
    wire::HttpProbe => plan::HttpProbe {
        target: into, method: into, headers, credentials: maybe, body, follow_redirects,
    }
    wire::Credentials => plan::Credentials { header, username, password: into }
    wire::ServiceTarget => plan::ServiceTarget { namespace, name, port, path }

    plan::ObjectRef => types::ObjectRef { api_version, kind, namespace, name }
    plan::TypeMeta => types::TypeMeta { api_version, kind }
    plan::Selection => types::Selection { api_version, kind, namespace, label_selector }
}

/// Converts variants with the same cases, each with at most one value.
macro_rules! variants {
    ($($from:path => $to:path {
        $($case:ident $(= $as:ident)? $(($value:ident $(: $via:ident)?))?),* $(,)?
    })*) => {$(
        impl From<$from> for $to {
            fn from(from: $from) -> Self {
                use $from as From;
                use $to as To;
                match from {
                    $(From::$case $(($value))? =>
                        variants!(@ To $case $($as)?) $((records!(@ $value $($via)?)))?,)*
                }
            }
        }
    )*};
    (@ $to:ident $case:ident) => { $to::$case };
    (@ $to:ident $case:ident $as:ident) => { $to::$as };
}

variants! {
    types::Query => plan::Query { Object(query: into), Objects(query: into), Served(query: into) }
    lifecycle::Scope => plan::Scope { Cluster, Namespaces(names), OwnNamespace }
    lifecycle::Permission => plan::Permission {
        Emit(kind: into), Read(kind: into), CopySecret(name), Disclose(name), Connect(origin), PushImage(prefix),
        WritePodFiles(namespace), WriteHome(path), BuildFrom(source), PythonPackage(name),
    }
    wire::OnUninstall => plan::OnUninstall { Delete, Retain }
    wire::SecretContent => plan::SecretContent { Entries(entries: all), Mirror(source: into) }
    wire::SecretSource => plan::SecretSource {
        Input(name), Random(text: into), Rotated(text: into), Copy(key: into), Output(output: into), Template(text), Plain(text),
    }
    wire::ImageSource => plan::ImageSource { Git(source: into), Folder(path) }
    wire::Encoding => plan::Encoding { Hex, Base64, Base64url = Base64Url }
    wire::Severity => plan::Severity { Error, Warning }
    wire::Probe => plan::Probe { Ready(object: into), Object(object: into), Objects(selection: into), Http(probe: into) }
    wire::HttpMethod => plan::HttpMethod { Get, Head, Post, Put, Patch, Delete }
    wire::HttpTarget => plan::HttpTarget { Service(target: into), Url(url) }
    wire::Expectation => plan::Expectation { Holds, Cel(expression), Evaluate }

    plan::Query => types::Query { Object(query: into), Objects(query: into), Served(query: into) }
}

impl From<wire::Auth> for plan::Auth {
    fn from(from: wire::Auth) -> Self {
        match from {
            wire::Auth::Anonymous => Self::Anonymous,
            wire::Auth::PasswordGrant(wire::PasswordGrant {
                token_url,
                client_id,
                username,
                password_input,
            }) => Self::PasswordGrant { token_url, client_id, username, password_input },
            wire::Auth::Basic(wire::BasicAuth { username, password_input }) => {
                Self::Basic { username, password_input }
            }
        }
    }
}

/// The context for a plugin.
pub(crate) fn context(from: &plan::Context) -> types::Context {
    let plan::Context { release, namespace, settings, facts, kubernetes_version, installed } = from;
    types::Context {
        release: release.clone(),
        namespace: namespace.clone(),
        settings: settings.to_string(),
        facts: facts.iter().map(fact).collect(),
        kubernetes_version: kubernetes_version.clone(),
        installed: installed.as_ref().map(|plan::Installed { version, settings, revision }| {
            types::Installed { version: version.clone(), settings: settings.to_string(), revision: *revision }
        }),
    }
}

fn fact(from: &plan::Fact) -> types::Fact {
    let plan::Fact { query, answer } = from;
    types::Fact {
        query: query.clone().into(),
        answer: match answer {
            plan::Answer::Absent => types::Answer::Absent,
            plan::Answer::Object(object) => types::Answer::Object(object.to_string()),
            plan::Answer::Objects(objects) => {
                types::Answer::Objects(objects.iter().map(Value::to_string).collect())
            }
            plan::Answer::Served(served) => types::Answer::Served(*served),
        },
    }
}

/// The context as bytes, for the seed of the randomness.
pub(crate) fn context_bytes(from: &plan::Context) -> Vec<u8> {
    let plan::Context { release, namespace, settings, facts, kubernetes_version, installed } = from;
    plan::canonical_bytes(&(release, namespace, settings, facts, kubernetes_version, installed))
}

/// The observation for a plugin: the CEL variables.
pub(crate) fn observation(check: &str, from: &plan::Observation) -> checks::Observation {
    let plan::Observation { holds: _, summary: _, variables } = from;
    checks::Observation { check: check.to_owned(), json: Value::Object(variables.clone()).to_string() }
}
