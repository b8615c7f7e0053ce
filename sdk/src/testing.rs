//! Runs a plugin natively, as the host would: it checks the settings against the schema, fills in defaults, and
//! answers facts until there is a plan. No WebAssembly, no cluster.

use crate::bindings::plugin::exports::thinkube::plugin::lifecycle;
use crate::bindings::plugin::thinkube::plugin::plan::SecretStep;
use crate::log::Level;
use crate::{
    Answer, Arguments, Check, Context, Descriptor, Fact, Installed, Operations, Outcome, Plan, Plugin,
    Problem, Query, Step, Workstation, WorkstationPlan,
};
use serde_json::Value;
use std::fmt;
use std::marker::PhantomData;
use thinkube_validate::SettingsSchema;

/// The host bounds the rounds too. A plugin that needs more does not ask for what it can know it will need.
const MAX_ROUNDS: usize = 8;

/// Plans with these settings and no facts.
///
/// # Panics
/// If there is no plan; the message says why. Use [`Case`] to look at the reason.
pub fn plan<P: Plugin>(settings: Value) -> Planned {
    Case::<P>::new(settings).run().unwrap_or_else(|refusal| panic!("no plan: {refusal}"))
}

/// Plans the operation of this name on a release with these settings, with these arguments and no facts.
///
/// # Panics
/// If there is no plan; the message says why. Use [`Case::operate`] to look at the reason.
pub fn operate<P: Operations>(name: &str, settings: Value, arguments: Value) -> Planned {
    let planned = Case::<P>::new(settings).operate(name, arguments);
    planned.unwrap_or_else(|refusal| panic!("no plan: {refusal}"))
}

/// What the plugin wants in a home with these settings.
///
/// # Panics
/// If there is no setup; the message says why.
pub fn plan_workstation<P: Workstation>(settings: Value) -> WorkstationPlan {
    Case::<P>::new(settings).plan_workstation().unwrap_or_else(|refusal| panic!("no setup: {refusal}"))
}

/// What the plugin says of itself, with its schema.
pub fn describe<P: Plugin>() -> Descriptor {
    <crate::Adapter<P> as lifecycle::Guest>::describe()
}

/// The settings schema, parsed.
///
/// # Panics
/// If it is no JSON.
pub fn schema<P: Plugin>() -> Value {
    serde_json::from_str(&P::settings_schema()).expect("the settings schema is JSON")
}

/// Why there is no plan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    /// The settings, or the arguments of an operation, do not fit the schema: the host would not call the plugin. Each is
    /// `PATH: MESSAGE`.
    Schema(Vec<String>),
    /// The plugin has no operation of this name.
    NoOperation(String),
    /// The plugin's own answer.
    Problem(Problem),
    /// The plugin asked for a fact that this case does not answer.
    Unanswered(Query),
    /// The plugin asked again and again.
    Rounds,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Schema(faults) => {
                write!(f, "what was given does not fit the schema: {}", faults.join("; "))
            }
            Self::NoOperation(name) => write!(f, "the plugin has no operation `{name}`"),
            Self::Problem(problem) => write!(f, "{problem:?}"),
            Self::Unanswered(query) => write!(f, "the plugin asks for {query:?}; answer it with Case::facts"),
            Self::Rounds => write!(f, "the plugin still asks for facts after {MAX_ROUNDS} rounds"),
        }
    }
}

type Answering = dyn Fn(&Query) -> Option<Answer>;

/// One run of a plugin.
pub struct Case<P> {
    settings: Value,
    release: Option<String>,
    kubernetes_version: String,
    installed: Option<Installed>,
    answer: Box<Answering>,
    plugin: PhantomData<P>,
}

impl<P: Plugin> Case<P> {
    /// The first install with these settings, on a cluster that nothing is known of.
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

    /// How the cluster answers. None is no answer at all, which ends the run; an object that does not exist is
    /// [`Answer::Absent`].
    pub fn facts(mut self, answer: impl Fn(&Query) -> Option<Answer> + 'static) -> Self {
        self.answer = Box::new(answer);
        self
    }

    /// Another release name than the plugin's.
    pub fn release(mut self, release: impl Into<String>) -> Self {
        self.release = Some(release.into());
        self
    }

    /// Another version than 1.34.
    pub fn kubernetes_version(mut self, version: impl Into<String>) -> Self {
        self.kubernetes_version = version.into();
        self
    }

    /// An upgrade from this.
    pub fn installed(mut self, installed: Installed) -> Self {
        self.installed = Some(installed);
        self
    }

    /// Runs it.
    ///
    /// # Errors
    /// A [`Refusal`] when there is no plan.
    pub fn run(self) -> Result<Planned, Refusal> {
        self.ask(|context| P::plan(context))
    }

    /// Runs the operation of this name on the release, instead of installing it.
    ///
    /// # Errors
    /// A [`Refusal`] when there is no plan.
    pub fn operate(self, name: &str, arguments: Value) -> Result<Planned, Refusal>
    where
        P: Operations,
    {
        let operation = P::operations().into_iter().find(|operation| operation.name == name);
        let operation = operation.ok_or_else(|| Refusal::NoOperation(name.to_owned()))?;
        let schema = serde_json::from_str(&operation.arguments_schema)
            .map_err(|error| Refusal::Schema(vec![format!("the schema itself: {error}")]))?;
        let arguments = settled(schema, arguments)?.to_string();
        self.ask(|context| P::plan_operation(name, Arguments::new(arguments.clone()), context))
    }

    /// Asks for the setup of a home.
    ///
    /// # Errors
    /// A [`Refusal`] when there is none.
    pub fn plan_workstation(self) -> Result<WorkstationPlan, Refusal>
    where
        P: Workstation,
    {
        let (context, _) = self.context()?;
        P::plan_workstation(&Context::parse(context).map_err(Refusal::Problem)?).map_err(Refusal::Problem)
    }

    fn ask(
        self,
        plan: impl Fn(&Context<P::Settings>) -> Result<Outcome, Problem>,
    ) -> Result<Planned, Refusal> {
        let (mut context, answer) = self.context()?;
        for _ in 0..MAX_ROUNDS {
            let parsed = Context::parse(context.clone()).map_err(Refusal::Problem)?;
            match plan(&parsed).map_err(Refusal::Problem)? {
                Outcome::Plan(plan) => return Ok(Planned { plan, log: crate::log::native::take() }),
                Outcome::NeedsFacts(queries) => {
                    for query in queries {
                        let answer = answer(&query).ok_or(Refusal::Unanswered(query.clone()))?;
                        context.facts.push(Fact { query, answer });
                    }
                }
            }
        }
        Err(Refusal::Rounds)
    }

    /// What the host would tell the plugin before it asks for facts, and who answers those.
    fn context(self) -> Result<(lifecycle::Context, Box<Answering>), Refusal> {
        crate::log::native::take();
        let settings = settled(schema::<P>(), self.settings)?;
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

/// A plan and how it came about.
#[derive(Debug, Clone, PartialEq)]
pub struct Planned {
    /// What the plugin returned.
    pub plan: Plan,
    /// What it logged.
    pub log: Vec<(Level, String)>,
}

impl Planned {
    /// Every manifest, in the order of the stages.
    ///
    /// # Panics
    /// If a manifest is no JSON.
    pub fn objects(&self) -> Vec<Value> {
        let parse = |step: &Step| match step {
            Step::Object(object) => Some(serde_json::from_str(&object.manifest).expect("a manifest is JSON")),
            _ => None,
        };
        self.steps().filter_map(parse).collect()
    }

    /// The one manifest of this kind and name.
    ///
    /// # Panics
    /// If there is none; the message lists those there are.
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
    /// If there is none.
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
    /// If there is none.
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

/// What was given with the defaults, judged by the code that the host uses: what it refuses must fail here too.
fn settled(schema: Value, given: Value) -> Result<Value, Refusal> {
    let schema = SettingsSchema::new(schema).map_err(|error| Refusal::Schema(vec![error.to_string()]))?;
    schema.settle(given).map_err(|faults| Refusal::Schema(faults.iter().map(ToString::to_string).collect()))
}
