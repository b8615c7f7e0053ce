use crate::{Check, External, Image, Object, ObjectRef, Outcome, Plan, PodFiles, Secret, Stage, Step};

impl Plan {
    /// A plan that wants nothing.
    pub fn new() -> Self {
        Self { preflight: Vec::new(), stages: Vec::new(), health: Vec::new(), tests: Vec::new(), notes: None }
    }

    /// The next stage.
    pub fn stage(mut self, stage: Stage) -> Self {
        self.stages.push(stage);
        self
    }

    /// A check that must hold before anything is changed.
    pub fn preflight(mut self, check: Check) -> Self {
        self.preflight.push(check);
        self
    }

    /// A check that says whether the service works, now and at any later time.
    pub fn health(mut self, check: Check) -> Self {
        self.health.push(check);
        self
    }

    /// A check that runs when the operator asks for tests.
    pub fn test(mut self, check: Check) -> Self {
        self.tests.push(check);
        self
    }

    /// Text for the person who installed it.
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
    /// A stage without steps. `name` is a DNS label and unique in the plan.
    pub fn new(name: impl Into<String>) -> Self {
        Self { name: name.into(), steps: Vec::new(), gates: Vec::new(), skip_if: Vec::new() }
    }

    /// What a recipe makes.
    pub fn step(mut self, step: impl Into<Step>) -> Self {
        self.steps.push(step.into());
        self
    }

    /// An object that is wanted.
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

    /// Only in an operation: new pods for a Deployment, StatefulSet or DaemonSet of the release.
    pub fn restart(self, workload: ObjectRef) -> Self {
        self.step(Step::Restart(workload))
    }

    /// An image that the host builds and pushes.
    pub fn image(self, image: Image) -> Self {
        self.step(image)
    }

    /// A check that must hold before the next stage starts. That every object is ready is waited for anyway.
    pub fn gate(mut self, check: Check) -> Self {
        self.gates.push(check);
        self
    }

    /// A check that says that this stage is done already and can be skipped. All of them must hold.
    pub fn skip_if(mut self, check: Check) -> Self {
        self.skip_if.push(check);
        self
    }
}
