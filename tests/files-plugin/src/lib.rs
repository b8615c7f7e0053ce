//! Files on a workstation and in a running pod. The tests of both install it.

use serde_json::json;
use thinkube_sdk::{
    Arguments, Check, Context, Descriptor, Evaluate, Object, Observation, Operation, Operations, Outcome,
    Permission, Plan, Plugin, PodFiles, Problem, Scope, Stage, Status, TypeMeta, Verdict, Workstation,
    WorkstationPlan, export_plugin,
};

/// The settings of the tests.
#[derive(serde::Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// The content of the files.
    #[serde(default = "hello")]
    greeting: String,
    /// The path of one file in $HOME.
    #[serde(default = "greeting")]
    file: String,
    /// A folder in $HOME for another file.
    #[serde(default)]
    folder: Option<String>,
    /// A Python package for the workstation.
    #[serde(default)]
    package: Option<String>,
    /// The image of the pod; it must have a shell.
    #[serde(default)]
    image: Option<String>,
    /// The label selector of the pods that get files.
    #[serde(default = "selector")]
    selector: String,
    /// A line for a file in the pods.
    #[serde(default)]
    line: Option<String>,
}

fn hello() -> String {
    "hello".to_owned()
}

fn greeting() -> String {
    ".config/greeting/text".to_owned()
}

fn selector() -> String {
    "app=shell".to_owned()
}

/// The plugin.
pub struct Files;

impl Plugin for Files {
    type Settings = Settings;

    fn describe() -> Descriptor {
        Descriptor::new("files", "1.0.0")
            .title("Files")
            .summary("Files on a workstation and in a pod")
            .license("Apache-2.0")
            .source("https://github.com/thinkube/thinkube-host")
            .emits(TypeMeta::new("v1", "Namespace"), Scope::OwnNamespace)
            .emits(TypeMeta::new("apps/v1", "Deployment"), Scope::OwnNamespace)
            .permission(Permission::WriteHome(".config/greeting".into()))
            .permission(Permission::WriteHome("greeting".into()))
            .permission(Permission::WriteHome("${folder}".into()))
            .permission(Permission::PythonPackage("iniconfig".into()))
    }

    fn plan(context: &Context<Settings>) -> Result<Outcome, Problem> {
        let Settings { image, line, .. } = &context.settings;
        let plan = Plan::new().stage(Stage::new("namespace").object(namespace(context)));
        let Some(image) = image else { return Ok(plan.into()) };
        let labels = json!({ "app": "shell" });
        let shell = Object::of(&json!({
            "apiVersion": "apps/v1", "kind": "Deployment",
            "metadata": { "name": "shell", "namespace": context.namespace },
            "spec": {
                "selector": { "matchLabels": labels },
                "template": {
                    "metadata": { "labels": labels },
                    "spec": {
                        "terminationGracePeriodSeconds": 0,
                        "containers": [{
                            "name": "shell", "image": image, "imagePullPolicy": "IfNotPresent",
                            "command": ["sleep", "86400"]
                        }]
                    }
                }
            }
        }));
        let mut files = files(context);
        if let Some(line) = line {
            files = files.line("/tmp/profile", line);
        }
        Ok(plan.stage(Stage::new("shell").object(shell)).stage(Stage::new("files").pod_files(files)).into())
    }
}

fn namespace(context: &Context<Settings>) -> Object {
    Object::of(&json!({
        "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": context.namespace }
    }))
}

fn files(context: &Context<Settings>) -> PodFiles {
    let Settings { greeting, selector, .. } = &context.settings;
    PodFiles::new("greeting", &context.namespace, selector).container("shell").file(
        "/tmp/greeting/text",
        0o640,
        format!("{greeting}\n"),
    )
}

impl Evaluate for Files {
    fn evaluate(_: Observation) -> Verdict {
        Verdict { status: Status::Passed, message: String::new(), remedy: None }
    }
}

impl Operations for Files {
    fn operations() -> Vec<Operation> {
        vec![
            Operation::new("pass-by", "Skip a stage with the name of the one with the files"),
            Operation::new("write", "Write files in pods"),
        ]
    }

    fn plan_operation(name: &str, _: Arguments, context: &Context<Settings>) -> Result<Outcome, Problem> {
        let stage = Stage::new("files");
        let stage = match name {
            "write" => stage.pod_files(files(context)),
            _ => stage.skip_if(Check::object("there", "The namespace is there", &namespace(context))),
        };
        Ok(Plan::new().stage(stage).into())
    }
}

impl Workstation for Files {
    fn plan_workstation(context: &Context<Settings>) -> Result<WorkstationPlan, Problem> {
        let Settings { greeting, file, folder, package, .. } = &context.settings;
        if greeting.is_empty() {
            return Err(Problem::invalid_settings("/greeting", "the greeting is empty"));
        }
        let plan = WorkstationPlan::new()
            .directory("greeting", 0o755)
            .file(file, 0o644, format!("{greeting}\n"))
            .file("greeting/say", 0o755, format!("#!/bin/sh\necho {greeting}\n"));
        let plan = match folder {
            Some(folder) => plan.file(format!("{folder}/greeting"), 0o644, format!("{greeting}\n")),
            None => plan,
        };
        Ok(match package {
            Some(package) => plan.python_package(package),
            None => plan,
        })
    }
}

export_plugin!(Files, workstation, operations, checks);

#[cfg(test)]
mod tests {
    use super::*;
    use thinkube_sdk::testing::{Case, PlanError, plan_workstation};

    #[test]
    fn a_workstation_is_planned_natively_with_the_schema_defaults() {
        let plan = plan_workstation::<Files>(json!({ "package": "iniconfig==2.1.0" }));
        assert_eq!((plan.files[0].path.as_str(), plan.files[0].mode), (".config/greeting/text", 0o644));
        assert_eq!(plan.files[0].content, "hello\n");
        assert_eq!(plan.python_packages, ["iniconfig==2.1.0"]);
    }

    #[test]
    fn settings_without_a_workstation_plan_are_rejected() {
        let error = Case::<Files>::new(json!({ "greeting": "" })).plan_workstation().unwrap_err();
        assert_eq!(
            error,
            PlanError::Problem(Problem::invalid_settings("/greeting", "the greeting is empty"))
        );
        let error = Case::<Files>::new(json!({ "greetings": "" })).plan_workstation().unwrap_err();
        assert!(matches!(error, PlanError::InvalidInput(_)), "{error}");
    }
}
