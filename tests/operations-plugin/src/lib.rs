//! A workload with a Secret, and operations of every kind on them. The tests of operations install it.

use serde_json::{Value, json};
use thinkube_sdk::{
    Arguments, Check, Context, Descriptor, Encoding, Evaluate, Object, Observation, Operation, Operations,
    Outcome, Plan, Plugin, Problem, Scope, Secret, Stage, Status, TypeMeta, Verdict, export_plugin,
};

/// The settings of the tests.
#[derive(serde::Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// An image with a shell.
    image: String,
    /// Whether the last check never ends, so that a test can inspect the memory of the host.
    #[serde(default)]
    ponder: bool,
}

/// The arguments of the operation `say`.
#[derive(serde::Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Say {
    /// The text to write.
    text: String,
    /// The number of repetitions.
    #[serde(default = "once")]
    times: u32,
}

fn once() -> u32 {
    1
}

/// The plugin.
pub struct Keeper;

impl Plugin for Keeper {
    type Settings = Settings;

    fn describe() -> Descriptor {
        let kinds = [
            ("v1", "Namespace"),
            ("v1", "Secret"),
            ("v1", "ConfigMap"),
            ("apps/v1", "Deployment"),
            ("batch/v1", "Job"),
        ];
        let described = Descriptor::new("keeper", "1.0.0")
            .title("Keeper")
            .summary("A workload with a Secret, for tests")
            .license("Apache-2.0")
            .source("https://github.com/thinkube/thinkube-host")
            .secret_input("password", "KEEPER_PASSWORD", "The password that is kept");
        let described = described
            .reads(TypeMeta::new("v1", "ConfigMap"), Scope::OwnNamespace)
            .reads(TypeMeta::new("v1", "Secret"), Scope::OwnNamespace);
        kinds.into_iter().fold(described, |described, (api_version, kind)| {
            described.emits(TypeMeta::new(api_version, kind), Scope::OwnNamespace)
        })
    }

    fn plan(context: &Context<Settings>) -> Result<Outcome, Problem> {
        let namespace = Object::of(&json!({
            "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": context.namespace }
        }));
        let keys = Secret::new(&context.namespace, "keys")
            .random("cookie", 16, Encoding::Hex)
            .random("other", 16, Encoding::Hex)
            .input("password", "password")
            .template("url", "https://${cookie}@keeper.test");
        let keeper = json!({
            "apiVersion": "apps/v1", "kind": "Deployment",
            "metadata": { "name": "keeper", "namespace": context.namespace },
            "spec": {
                "selector": { "matchLabels": { "app": "keeper" } },
                "template": {
                    "metadata": { "labels": { "app": "keeper" } },
                    "spec": pod(context, "exec sleep 100000", &["cookie"]),
                },
            },
        });
        let planned = note(context, "as planned");
        let health = Check::object("note", "The note says what is planned", &planned).evaluated();
        let secret = Check::object("ponder", "The Secret bears thinking about", &keys).evaluated();
        let things = Stage::new("things").secret(keys).object(planned);
        let plan = Plan::new();
        let plan = if context.settings.ponder { plan.health(secret) } else { plan };
        Ok(plan
            .stage(Stage::new("namespace").object(namespace))
            .stage(things)
            .stage(Stage::new("keeper").object(Object::of(&keeper)))
            .health(health)
            .into())
    }
}

impl Evaluate for Keeper {
    fn evaluate(observation: Observation) -> Verdict {
        if observation.check == "ponder" {
            // As one text it exists only in the memory of the running check.
            let thought = ["it", "is", &observation.check, "ing", &observation.json].join("-");
            loop {
                std::thread::sleep(std::time::Duration::from_secs(3600));
                std::hint::black_box(&thought);
            }
        }
        let observed: Value = serde_json::from_str(&observation.json).unwrap_or_default();
        let text = observed["object"]["data"]["text"].as_str().unwrap_or_default();
        let status = if text == "as planned" { Status::Passed } else { Status::Failed };
        Verdict { status, message: format!("the text is `{text}`"), remedy: None }
    }
}

impl Operations for Keeper {
    fn operations() -> Vec<Operation> {
        vec![
            Operation::new("rotate-cookie", "Make a new cookie and restart what reads it"),
            Operation::new("set-password", "Keep another password").secret_input("password"),
            Operation::new("say", "Say something").arguments::<Say>(),
            Operation::new("fail", "Fail after some output"),
            Operation::new("borrow", "Change an object until the operation ends"),
            Operation::new("use-a-password", "Use a secret input that it does not state"),
            Operation::new("reach-out", "Request more than was granted"),
            Operation::new("restart-another", "Restart a workload of another release"),
        ]
    }

    fn plan_operation(
        name: &str,
        arguments: Arguments,
        context: &Context<Settings>,
    ) -> Result<Outcome, Problem> {
        let deployment = TypeMeta::new("apps/v1", "Deployment");
        let keys = || Secret::new(&context.namespace, "keys");
        let plan = match name {
            "rotate-cookie" => {
                let keeper = deployment.namespaced(&context.namespace, "keeper");
                Plan::new()
                    .stage(Stage::new("secret").secret(keys().rotated("cookie", 16, Encoding::Hex)))
                    .stage(Stage::new("keeper").restart(keeper))
            }
            "set-password" => {
                Plan::new().stage(Stage::new("secret").secret(keys().input("password", "password")))
            }
            "say" => {
                let Say { text, times } = arguments.read()?;
                if text.is_empty() {
                    return Err(Problem::invalid_settings("/text", "there is nothing to say"));
                }
                let words = Object::of(&json!({
                    "apiVersion": "v1", "kind": "ConfigMap",
                    "metadata": { "name": "words", "namespace": context.namespace },
                    "data": { "text": text.repeat(times as usize) },
                }));
                Plan::new().stage(Stage::new("say").object(words).object(job(context, "exec true")))
            }
            "fail" => {
                let script =
                    "echo it begins; echo the password is $password; echo it cannot go on >&2; exit 3";
                Plan::new().stage(Stage::new("fail").object(job(context, script)))
            }
            "borrow" => Plan::new()
                .stage(Stage::new("borrow").object(note(context, "borrowed")))
                .stage(Stage::new("wait").object(job(context, "sleep 3"))),
            "use-a-password" => {
                Plan::new().stage(Stage::new("secret").secret(keys().input("password", "password")))
            }
            "reach-out" => {
                let ungranted = json!({
                    "apiVersion": "v1", "kind": "ConfigMap",
                    "metadata": { "name": "ungranted", "namespace": "kube-system" },
                });
                Plan::new().stage(Stage::new("ungranted").object(Object::of(&ungranted)))
            }
            "restart-another" => {
                let other = deployment.namespaced(&context.namespace, "other");
                Plan::new().stage(Stage::new("other").restart(other))
            }
            other => return Err(Problem::other(format!("unknown operation `{other}`"))),
        };
        Ok(plan.into())
    }
}

fn note(context: &Context<Settings>, text: &str) -> Object {
    Object::of(&json!({
        "apiVersion": "v1", "kind": "ConfigMap",
        "metadata": { "name": "note", "namespace": context.namespace },
        "data": { "text": text },
    }))
}

fn job(context: &Context<Settings>, script: &str) -> Object {
    let mut pod = pod(context, script, &["password"]);
    pod["restartPolicy"] = json!("Never");
    Object::of(&json!({
        "apiVersion": "batch/v1", "kind": "Job",
        "metadata": { "name": "work", "namespace": context.namespace },
        "spec": { "backoffLimit": 0, "template": { "spec": pod } },
    }))
}

/// A pod whose container runs `script` with these keys of the Secret in its environment.
fn pod(context: &Context<Settings>, script: &str, keys: &[&str]) -> Value {
    let env: Vec<Value> = keys
        .iter()
        .map(|key| json!({ "name": key, "valueFrom": { "secretKeyRef": { "name": "keys", "key": key } } }))
        .collect();
    json!({
        "terminationGracePeriodSeconds": 0,
        "containers": [{
            "name": "main", "image": context.settings.image, "command": ["sh", "-c", script], "env": env,
        }],
    })
}

export_plugin!(Keeper, checks, operations);

#[cfg(test)]
mod tests {
    use super::*;
    use thinkube_sdk::testing::{Case, PlanError, plan_operation};

    fn case() -> Case<Keeper> {
        Case::new(json!({"image": "shell"}))
    }

    #[test]
    fn arguments_have_their_defaults_and_reach_the_plan() {
        let planned = plan_operation::<Keeper>("say", json!({"image": "shell"}), json!({"text": "a"}));
        assert_eq!(planned.object("ConfigMap", "words")["data"]["text"], "a");
        let twice =
            case().plan_operation("say", json!({"text": "a", "times": 2})).expect("the operation has a plan");
        assert_eq!(twice.object("ConfigMap", "words")["data"]["text"], "aa");
    }

    #[test]
    fn invalid_arguments_and_unknown_operations_are_rejected() {
        for wrong in [json!({}), json!({"text": 1}), json!({"text": "a", "other": 1})] {
            assert!(matches!(case().plan_operation("say", wrong), Err(PlanError::InvalidInput(_))));
        }
        assert!(matches!(
            case().plan_operation("fail", json!({"text": "a"})),
            Err(PlanError::InvalidInput(_))
        ));
        assert_eq!(
            case().plan_operation("shout", json!({})),
            Err(PlanError::UnknownOperation("shout".to_owned()))
        );
        let problem = Problem::invalid_settings("/text", "there is nothing to say");
        assert_eq!(case().plan_operation("say", json!({"text": ""})), Err(PlanError::Problem(problem)));
    }
}
