//! Runs a plugin natively like the host does, without WebAssembly and without a cluster: validates the settings against the
//! schema, fills in the defaults, and answers queries until the plugin returns a plan.
//!
//! ```
//! # use thinkube_sdk::{Context, Descriptor, Outcome, Plan, Plugin, Problem};
//! # #[derive(serde::Deserialize, schemars::JsonSchema)]
//! # struct Settings { text: String }
//! # struct Note;
//! # impl Plugin for Note {
//! #     type Settings = Settings;
//! #     fn describe() -> Descriptor { Descriptor::new("note", "1.0.0") }
//! #     fn plan(context: &Context<Settings>) -> Result<Outcome, Problem> {
//! #         Ok(Plan::new().notes(&context.settings.text).into())
//! #     }
//! # }
//! use thinkube_sdk::serde_json::json;
//! use thinkube_sdk::testing::{Case, PlanError, plan};
//!
//! assert_eq!(plan::<Note>(json!({"text": "hello"})).plan.notes.as_deref(), Some("hello"));
//! let error = Case::<Note>::new(json!({"text": 1})).plan().unwrap_err();
//! assert!(matches!(error, PlanError::InvalidInput(_)));
//! ```

use crate::bindings::plugin::exports::thinkube::plugin::lifecycle;
use crate::bindings::plugin::thinkube::plugin::plan::SecretStep;
use crate::context::Context;
use crate::contract::{
    Answer, Check, Descriptor, Fact, Installed, Outcome, Plan, Problem, Query, Step, WorkstationPlan,
};
use crate::log::Level;
use crate::operation::{Arguments, Operations};
use crate::plugin::Plugin;
use crate::workstation::Workstation;
use serde_json::Value;
use std::fmt;
use std::marker::PhantomData;
use thinkube_validate::SettingsSchema;

/// The host limits the rounds too. A plugin that needs more does not ask for everything that it can know it needs.
const MAX_ROUNDS: usize = 8;

/// Plans with these settings and no facts.
///
/// # Panics
/// If there is no plan. [`Case::plan`] returns the reason instead.
pub fn plan<P: Plugin>(settings: Value) -> Planned {
    Case::<P>::new(settings).plan().unwrap_or_else(|error| panic!("no plan: {error}"))
}

/// Plans the named operation of a release with these settings, with these arguments and no facts.
///
/// # Panics
/// If there is no plan. [`Case::plan_operation`] returns the reason instead.
pub fn plan_operation<P: Operations>(name: &str, settings: Value, arguments: Value) -> Planned {
    let planned = Case::<P>::new(settings).plan_operation(name, arguments);
    planned.unwrap_or_else(|error| panic!("no plan: {error}"))
}

/// Plans a workstation with these settings.
///
/// # Panics
/// If there is no plan. [`Case::plan_workstation`] returns the reason instead.
pub fn plan_workstation<P: Workstation>(settings: Value) -> WorkstationPlan {
    Case::<P>::new(settings).plan_workstation().unwrap_or_else(|error| panic!("no plan: {error}"))
}

/// The descriptor, with the settings schema.
pub fn describe<P: Plugin>() -> Descriptor {
    <crate::Adapter<P> as lifecycle::Guest>::describe()
}

/// The settings schema, parsed.
///
/// # Panics
/// If it is not JSON.
pub fn schema<P: Plugin>() -> Value {
    serde_json::from_str(&P::settings_schema()).expect("the settings schema is JSON")
}

/// Why there is no plan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PlanError {
    /// The settings, or the arguments of an operation, do not match the schema, so that the host would not call the plugin.
    /// Each is `PATH: MESSAGE`.
    InvalidInput(Vec<String>),
    /// The plugin has no operation of this name.
    UnknownOperation(String),
    /// The plugin returned a problem.
    Problem(Problem),
    /// The plugin asked for a fact that [`Case::facts`] does not answer.
    UnansweredQuery(Query),
    /// The plugin asked for facts in every round.
    TooManyRounds,
}

impl fmt::Display for PlanError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::InvalidInput(faults) => {
                write!(f, "the input does not match the schema: {}", faults.join("; "))
            }
            Self::UnknownOperation(name) => write!(f, "the plugin has no operation `{name}`"),
            Self::Problem(problem) => write!(f, "{problem:?}"),
            Self::UnansweredQuery(query) => {
                write!(f, "the plugin asks {query:?}, which Case::facts does not answer")
            }
            Self::TooManyRounds => write!(f, "the plugin still asks for facts after {MAX_ROUNDS} rounds"),
        }
    }
}

type AnswerQuery = dyn Fn(&Query) -> Option<Answer>;

/// One run of a plugin.
pub struct Case<P> {
    settings: Value,
    release: Option<String>,
    kubernetes_version: String,
    installed: Option<Installed>,
    answer: Box<AnswerQuery>,
    plugin: PhantomData<P>,
}

impl<P: Plugin> Case<P> {
    /// The first install with these settings, without facts.
    pub fn new(settings: Value) -> Self {
        Self {
            settings,
            release: None,
            kubernetes_version: "1.34".to_owned(),
            installed: None,
            answer: Box::new(|_| None),
            plugin: PhantomData,
        }
    }

    /// Answers queries. None ends the run without a plan; the answer for an object that does not exist is
    /// [`Answer::Absent`].
    pub fn facts(mut self, answer: impl Fn(&Query) -> Option<Answer> + 'static) -> Self {
        self.answer = Box::new(answer);
        self
    }

    /// Sets the release name. The default is the name of the plugin.
    pub fn release(mut self, release: impl Into<String>) -> Self {
        self.release = Some(release.into());
        self
    }

    /// Sets the version of Kubernetes. The default is 1.34.
    pub fn kubernetes_version(mut self, version: impl Into<String>) -> Self {
        self.kubernetes_version = version.into();
        self
    }

    /// Makes the run an upgrade from this revision.
    pub fn installed(mut self, installed: Installed) -> Self {
        self.installed = Some(installed);
        self
    }

    /// Plans an install or upgrade.
    ///
    /// # Errors
    /// A [`PlanError`] if there is no plan.
    pub fn plan(self) -> Result<Planned, PlanError> {
        self.ask(|context| P::plan(context))
    }

    /// Plans the named operation.
    ///
    /// # Errors
    /// A [`PlanError`] if there is no plan.
    pub fn plan_operation(self, name: &str, arguments: Value) -> Result<Planned, PlanError>
    where
        P: Operations,
    {
        let operation = P::operations().into_iter().find(|operation| operation.name == name);
        let operation = operation.ok_or_else(|| PlanError::UnknownOperation(name.to_owned()))?;
        let schema = serde_json::from_str(&operation.arguments_schema)
            .map_err(|error| PlanError::InvalidInput(vec![format!("the schema is invalid: {error}")]))?;
        let arguments = resolve_settings(schema, arguments)?.to_string();
        self.ask(|context| P::plan_operation(name, Arguments::new(arguments.clone()), context))
    }

    /// Plans a workstation.
    ///
    /// # Errors
    /// A [`PlanError`] if there is no plan.
    pub fn plan_workstation(self) -> Result<WorkstationPlan, PlanError>
    where
        P: Workstation,
    {
        let (context, _) = self.context()?;
        P::plan_workstation(&Context::parse(context).map_err(PlanError::Problem)?).map_err(PlanError::Problem)
    }

    fn ask(
        self,
        plan: impl Fn(&Context<P::Settings>) -> Result<Outcome, Problem>,
    ) -> Result<Planned, PlanError> {
        let (mut context, answer) = self.context()?;
        for _ in 0..MAX_ROUNDS {
            let parsed = Context::parse(context.clone()).map_err(PlanError::Problem)?;
            match plan(&parsed).map_err(PlanError::Problem)? {
                Outcome::Plan(plan) => return Ok(Planned { plan, log: crate::log::native::take() }),
                Outcome::NeedsFacts(queries) => {
                    for query in queries {
                        let answer = answer(&query).ok_or(PlanError::UnansweredQuery(query.clone()))?;
                        context.facts.push(Fact { query, answer });
                    }
                }
            }
        }
        Err(PlanError::TooManyRounds)
    }

    /// The context of the first round, and the function that answers queries.
    fn context(self) -> Result<(lifecycle::Context, Box<AnswerQuery>), PlanError> {
        crate::log::native::take();
        let settings = resolve_settings(schema::<P>(), self.settings)?;
        let descriptor = P::describe();
        let release = self.release.unwrap_or(descriptor.name);
        let setting = descriptor.namespace_setting.and_then(|name| settings.get(&name));
        let namespace = setting.and_then(Value::as_str).unwrap_or(&release).to_owned();
        let context = lifecycle::Context {
            release,
            namespace,
            settings: settings.to_string(),
            facts: Vec::new(),
            kubernetes_version: self.kubernetes_version,
            installed: self.installed,
        };
        Ok((context, self.answer))
    }
}

/// A plan, and the log of the run.
#[derive(Debug, Clone, PartialEq)]
pub struct Planned {
    /// The plan.
    pub plan: Plan,
    /// The log lines.
    pub log: Vec<(Level, String)>,
}

impl Planned {
    /// Every manifest, in the order of the stages.
    ///
    /// # Panics
    /// If a manifest is not JSON.
    pub fn objects(&self) -> Vec<Value> {
        let parse = |step: &Step| match step {
            Step::Object(object) => Some(serde_json::from_str(&object.manifest).expect("a manifest is JSON")),
            _ => None,
        };
        self.steps().filter_map(parse).collect()
    }

    /// The manifest of this kind and name.
    ///
    /// # Panics
    /// If the plan has none; the message lists those it has.
    pub fn object(&self, kind: &str, name: &str) -> Value {
        let objects = self.objects();
        let found =
            objects.iter().find(|object| object["kind"] == kind && object["metadata"]["name"] == name);
        let names = || {
            let named = |object: &Value| format!("{} {}", object["kind"], object["metadata"]["name"]);
            objects.iter().map(named).collect::<Vec<_>>().join(", ")
        };
        found.cloned().unwrap_or_else(|| panic!("the plan has no {kind} {name}, only {}", names()))
    }

    /// The composed Secret of this name.
    ///
    /// # Panics
    /// If the plan has none.
    pub fn secret(&self, name: &str) -> SecretStep {
        let found = self.steps().find_map(|step| match step {
            Step::Secret(secret) if secret.target.name == name => Some(secret.clone()),
            _ => None,
        });
        found.unwrap_or_else(|| panic!("the plan composes no Secret {name}"))
    }

    /// The check of this name: preflight, gate, health or test.
    ///
    /// # Panics
    /// If the plan has none.
    pub fn check(&self, name: &str) -> Check {
        let found = self.checks().find(|check| check.name == name).cloned();
        found.unwrap_or_else(|| panic!("the plan has no check {name}"))
    }

    /// Every step, in the order of the stages.
    pub fn steps(&self) -> impl Iterator<Item = &Step> {
        self.plan.stages.iter().flat_map(|stage| &stage.steps)
    }

    /// Every check.
    pub fn checks(&self) -> impl Iterator<Item = &Check> {
        let plan = &self.plan;
        let staged = plan.stages.iter().flat_map(|stage| stage.skip_if.iter().chain(&stage.gates));
        plan.preflight.iter().chain(staged).chain(&plan.health).chain(&plan.tests)
    }
}

/// Validates input and fills in the defaults with the code of the host, so that a test fails where the host would.
fn resolve_settings(schema: Value, given: Value) -> Result<Value, PlanError> {
    let schema =
        SettingsSchema::new(schema).map_err(|error| PlanError::InvalidInput(vec![error.to_string()]))?;
    schema
        .resolve(given)
        .map_err(|faults| PlanError::InvalidInput(faults.iter().map(ToString::to_string).collect()))
}
