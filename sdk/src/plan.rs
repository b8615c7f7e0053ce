//! Plans and stages.

use crate::contract::{Check, ObjectRef, Outcome, Plan, Stage, Step};
use crate::external::External;
use crate::image::Image;
use crate::object::Object;
use crate::pod_files::PodFiles;
use crate::secret::Secret;

/// ```
/// use thinkube_sdk::{Check, HttpMethod, HttpProbe, Object, Plan, Stage, serde_json::json};
///
/// let namespace = Object::of(&json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "demo"}}));
/// let probe = HttpProbe::service(HttpMethod::Get, "demo", "server", 80, "/health");
/// let plan = Plan::new()
///     .stage(Stage::new("namespace").object(namespace))
///     .health(Check::http("answers", "The server answers", probe))
///     .notes("Open https://demo.example.com");
/// assert_eq!(plan.stages.len(), 1);
/// ```
impl Plan {
    /// An empty plan.
    pub fn new() -> Self {
        Self { preflight: Vec::new(), stages: Vec::new(), health: Vec::new(), tests: Vec::new(), notes: None }
    }

    /// Appends a stage.
    pub fn stage(mut self, stage: Stage) -> Self {
        self.stages.push(stage);
        self
    }

    /// A check that must pass before the first write.
    pub fn preflight(mut self, check: Check) -> Self {
        self.preflight.push(check);
        self
    }

    /// A check that shows whether the service works, after an apply and at any later time.
    pub fn health(mut self, check: Check) -> Self {
        self.health.push(check);
        self
    }

    /// A check that runs only when the operator asks for tests.
    pub fn test(mut self, check: Check) -> Self {
        self.tests.push(check);
        self
    }

    /// Text for the operator after an install: addresses, next steps.
    pub fn notes(mut self, notes: impl Into<String>) -> Self {
        self.notes = Some(notes.into());
        self
    }
}

impl Default for Plan {
    fn default() -> Self {
        Self::new()
    }
}

impl From<Plan> for Outcome {
    fn from(plan: Plan) -> Self {
        Self::Plan(plan)
    }
}

impl Stage {
    /// A stage without steps. `name` is a DNS label, unique in the plan.
    pub fn new(name: impl Into<String>) -> Self {
        Self { name: name.into(), steps: Vec::new(), gates: Vec::new(), skip_if: Vec::new() }
    }

    /// Any step, for example of a recipe.
    pub fn step(mut self, step: impl Into<Step>) -> Self {
        self.steps.push(step.into());
        self
    }

    /// A desired object.
    pub fn object(self, object: Object) -> Self {
        self.step(object)
    }

    /// A Secret that the host composes.
    pub fn secret(self, secret: Secret) -> Self {
        self.step(secret)
    }

    /// A resource behind an HTTP API.
    pub fn external(self, external: External) -> Self {
        self.step(external)
    }

    /// Files in running pods.
    pub fn pod_files(self, files: PodFiles) -> Self {
        self.step(files)
    }

    /// Restarts a Deployment, StatefulSet or DaemonSet of the release. Valid only in an operation.
    pub fn restart(self, workload: ObjectRef) -> Self {
        self.step(Step::Restart(workload))
    }

    /// An image that the host builds and pushes.
    pub fn image(self, image: Image) -> Self {
        self.step(image)
    }

    /// A check that must pass before the next stage starts. The host waits for every object to be ready without a gate.
    pub fn gate(mut self, check: Check) -> Self {
        self.gates.push(check);
        self
    }

    /// The host skips the stage if all such checks pass.
    pub fn skip_if(mut self, check: Check) -> Self {
        self.skip_if.push(check);
        self
    }
}
