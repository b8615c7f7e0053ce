//! The CEL expressions of checks and external steps: validated before anything runs, evaluated on observations.

use cel::common::ast::{EntryExpr, Expr, IdedExpr};
use cel::{Context, ExecutionError, Program, Value};
use thinkube_plan::{Check, Expectation, Fault, Observation, PluginPlan, Probe, Status, Step, Verdict};

/// Most bytes of an expression. The longest of the DevPI plugin has about 200.
const MAX_EXPRESSION_BYTES: usize = 2048;
/// Most nested loops: objects, their containers, their variables. Each level multiplies the time by the length of a list.
const MAX_LOOP_DEPTH: usize = 3;

/// Every CEL expression of the plan that does not compile, names an unknown variable, or could run for too long.
pub fn check_expressions(plugin_plan: &PluginPlan) -> Vec<Fault> {
    let fault = |stage: &str, what: String, message: String| Fault {
        stage: stage.to_owned(),
        what,
        path: String::new(),
        message,
    };
    let checks = plugin_plan.checks().filter_map(|(stage, check)| {
        let Expectation::Cel(source) = &check.expect else { return None };
        let message = compile(source, variables(&check.probe)).err()?;
        Some(fault(stage, format!("check {}", check.name), message))
    });
    let steps = plugin_plan.stages.iter().flat_map(|stage| stage.steps.iter().map(move |step| (stage, step)));
    let external = steps.flat_map(|(stage, step)| {
        let Step::External(external) = step else { return Vec::new() };
        let outputs = external.outputs.iter().map(|output| {
            let known = if output.request.is_some() { ANSWER } else { FOUND };
            (format!("{}, output {}", step.title(), output.name), &output.select, known)
        });
        std::iter::once((step.title(), &external.select, ANSWER))
            .chain(outputs)
            .filter_map(|(what, source, known)| Some(fault(&stage.name, what, compile(source, known).err()?)))
            .collect()
    });
    checks.chain(external).collect()
}

/// The verdict of `check` on what its probe observed. [`Status::Unknown`] for [`Expectation::Evaluate`], which only the plugin
/// can decide.
///
/// ```
/// use serde_json::json;
/// use thinkube_plan::{Check, Observation, Status};
///
/// let check: Check = serde_json::from_value(json!({"name": "answers", "title": "The server answers",
///     "probe": {"http": {"target": {"url": "https://example.org"}, "method": "GET"}},
///     "expect": {"cel": "status == 200"}, "timeoutSeconds": 1, "severity": "error"}))?;
/// let observation = Observation::of_response(200, "OK", [], b"", "");
/// assert_eq!(thinkube_validate::evaluate(&check, &observation).status, Status::Passed);
/// # Ok::<(), serde_json::Error>(())
/// ```
pub fn evaluate(check: &Check, observation: &Observation) -> Verdict {
    let verdict = |status, message| Verdict { status, message, remedy: None };
    match &check.expect {
        Expectation::Holds if observation.holds => verdict(Status::Passed, observation.summary.clone()),
        Expectation::Holds => verdict(Status::Failed, observation.summary.clone()),
        Expectation::Evaluate => {
            verdict(Status::Unknown, "only the plugin can evaluate this check".to_owned())
        }
        Expectation::Cel(source) => match evaluate_cel(source, &check.probe, observation) {
            Ok(true) => verdict(Status::Passed, observation.summary.clone()),
            Ok(false) => verdict(Status::Failed, format!("{}; expected {source}", observation.summary)),
            // A state that does not exist yet often shows as a missing key, so the host must repeat the probe.
            Err(message) => {
                verdict(Status::Failed, format!("{}; {message} in {source}", observation.summary))
            }
        },
    }
}

/// The variables of an HTTP response.
pub(crate) const ANSWER: &[&str] = &["status", "headers", "body", "json"];
/// The variables of an output without a request of its own.
const FOUND: &[&str] = &["json"];

fn variables(probe: &Probe) -> &'static [&'static str] {
    match probe {
        Probe::Ready(_) => &["object"],
        Probe::Object(_) => &["certificate", "object"],
        Probe::Objects(_) => &["objects"],
        Probe::Http(_) => ANSWER,
    }
}

pub(crate) fn compile(source: &str, known: &[&str]) -> Result<Program, String> {
    if source.len() > MAX_EXPRESSION_BYTES {
        return Err(format!("the CEL expression is longer than {MAX_EXPRESSION_BYTES} bytes"));
    }
    let program = Program::compile(source)
        .map_err(|errors| format!("the CEL expression does not compile: {errors}"))?;
    if loop_depth(program.expression()) > MAX_LOOP_DEPTH {
        return Err(format!("the CEL expression has more than {MAX_LOOP_DEPTH} loops within one another"));
    }
    // Macros add variables of loops, and names with an `@`.
    let bound = loop_variables(program.expression());
    if let Some(unknown) =
        program.references().variables().into_iter().find(|name| {
            !known.contains(name) && !name.starts_with('@') && !bound.iter().any(|own| own == name)
        })
    {
        return Err(format!("the CEL expression names `{unknown}`; expected one of: {}", known.join(", ")));
    }
    Ok(program)
}

fn evaluate_cel(source: &str, probe: &Probe, observation: &Observation) -> Result<bool, String> {
    let known = variables(probe);
    let program = compile(source, known)?;
    match run(&program, source, known, &observation.variables)? {
        Value::Bool(holds) => Ok(holds),
        other => Err(format!("the result is a {}, not a bool", other.type_of())),
    }
}

/// The result of `program`. A variable of `known` that `seen` lacks is null.
pub(crate) fn run(
    program: &Program,
    source: &str,
    known: &[&str],
    seen: &serde_json::Map<String, serde_json::Value>,
) -> Result<Value, String> {
    let mut context = Context::default();
    for name in known {
        let unreadable = |_| "a variable could not be read".to_owned();
        let value = cel::to_value(seen.get(*name)).map_err(|_| "a variable could not be read".to_owned())?;
        context.add_variable(*name, value).map_err(unreadable)?;
    }
    program.execute(&context).map_err(|error| explain(&error, source))
}

/// Why an expression has no result. The errors of the library contain observed values, and those may be secret or large. The
/// message repeats only names that the expression itself has.
fn explain(error: &ExecutionError, source: &str) -> String {
    match error {
        ExecutionError::NoSuchKey(key) if source.contains(key.as_str()) => {
            format!("the value has no key `{key}`")
        }
        ExecutionError::UndeclaredReference(name) if source.contains(name.as_str()) => {
            format!("`{name}` is unknown")
        }
        ExecutionError::InvalidArgumentCount { expected, actual } => {
            format!("a function takes {expected} arguments, not {actual}")
        }
        ExecutionError::IndexOutOfBounds(_) => "a list is shorter than the index".to_owned(),
        _ => "the observed values do not fit the expression".to_owned(),
    }
}

fn children(expression: &IdedExpr) -> Vec<&IdedExpr> {
    match &expression.expr {
        Expr::Unspecified | Expr::Ident(_) | Expr::Literal(_) => Vec::new(),
        Expr::Call(call) => call.target.as_deref().into_iter().chain(&call.args).collect(),
        Expr::List(list) => list.elements.iter().collect(),
        Expr::Select(select) => vec![&*select.operand],
        Expr::Map(map) => map.entries.iter().flat_map(|entry| entry_children(&entry.expr)).collect(),
        Expr::Struct(message) => {
            message.entries.iter().flat_map(|entry| entry_children(&entry.expr)).collect()
        }
        Expr::Comprehension(inner) => {
            vec![&inner.iter_range, &inner.accu_init, &inner.loop_cond, &inner.loop_step, &inner.result]
        }
    }
}

fn entry_children(entry: &EntryExpr) -> Vec<&IdedExpr> {
    match entry {
        EntryExpr::StructField(field) => vec![&field.value],
        EntryExpr::MapEntry(entry) => vec![&entry.key, &entry.value],
    }
}

fn loop_depth(expression: &IdedExpr) -> usize {
    let own = usize::from(matches!(expression.expr, Expr::Comprehension(_)));
    own + children(expression).into_iter().map(loop_depth).max().unwrap_or(0)
}

fn loop_variables(expression: &IdedExpr) -> Vec<String> {
    let mut names = match &expression.expr {
        Expr::Comprehension(inner) => {
            let second = inner.iter_var2.clone();
            [inner.iter_var.clone(), inner.accu_var.clone()].into_iter().chain(second).collect()
        }
        _ => Vec::new(),
    };
    names.extend(children(expression).into_iter().flat_map(loop_variables));
    names
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};
    use thinkube_plan::{HttpMethod, HttpProbe, HttpTarget, ObjectRef, Severity};

    fn check(probe: Probe, cel: &str) -> Check {
        Check {
            name: "a".into(),
            title: "A".into(),
            probe,
            expect: Expectation::Cel(cel.into()),
            timeout_seconds: 1,
            severity: Severity::Error,
            remedy: None,
        }
    }

    fn http() -> Probe {
        let target = HttpTarget::Url("https://example.org".into());
        Probe::Http(HttpProbe {
            target,
            method: HttpMethod::Get,
            headers: vec![],
            credentials: None,
            body: None,
            follow_redirects: false,
        })
    }

    fn object() -> Probe {
        let (api_version, kind, name) = ("v1".into(), "Pod".into(), "a".into());
        Probe::Object(ObjectRef { api_version, kind, namespace: None, name })
    }

    fn saw(variables: serde_json::Value) -> Observation {
        let serde_json::Value::Object(variables) = variables else { panic!("variables are an object") };
        Observation { holds: false, summary: "200 OK".into(), variables }
    }

    fn answer() -> Observation {
        saw(json!({"status": 200, "headers": {"server": "x"}, "body": "{}",
            "json": {"type": "apiconfig", "result": {"login": "https://api/+login"}}}))
    }

    #[test]
    fn an_expression_over_an_http_response_passes_or_fails() {
        let passing = "status == 200 && json.result.login.startsWith('https://api/')";
        assert_eq!(evaluate(&check(http(), passing), &answer()).status, Status::Passed);
        let verdict = evaluate(&check(http(), "status == 404"), &answer());
        assert_eq!(
            (verdict.status, verdict.message.as_str()),
            (Status::Failed, "200 OK; expected status == 404")
        );
    }

    #[test]
    fn a_missing_field_fails_and_is_named() {
        let verdict = evaluate(&check(http(), "json.result.nothing == 1"), &answer());
        assert_eq!(verdict.status, Status::Failed);
        assert!(verdict.message.contains("nothing"), "{}", verdict.message);
    }

    #[test]
    fn an_error_never_repeats_an_observed_value() {
        let seen =
            saw(json!({"status": 200, "headers": {}, "body": "token-5a", "json": {"token": "token-5a"}}));
        for source in [
            "json + 1 == 2",
            "body + 1 == 2",
            "-json == 1",
            "json.token[0] == 'a'",
            "[1][body] == 1",
            "json < 1",
            "json[body] == 1",
        ] {
            let verdict = evaluate(&check(http(), source), &seen);
            assert_eq!(verdict.status, Status::Failed);
            assert!(!verdict.message.contains("token-5a"), "{source}: {}", verdict.message);
        }
    }

    #[test]
    fn an_expression_can_expect_an_absent_object() {
        let verdict = evaluate(&check(object(), "object == null"), &saw(json!({"object": null})));
        assert_eq!(verdict.status, Status::Passed);
    }

    #[test]
    fn a_result_that_is_not_a_bool_fails() {
        let verdict = evaluate(&check(http(), "status"), &answer());
        assert_eq!(verdict.status, Status::Failed);
        assert!(verdict.message.contains("not a bool"), "{}", verdict.message);
    }

    fn fault(cel: &str) -> Option<String> {
        let health = vec![check(http(), cel)];
        let plugin_plan =
            PluginPlan { preflight: vec![], stages: vec![], health, tests: vec![], notes: None };
        check_expressions(&plugin_plan).pop().map(|fault| fault.to_string())
    }

    #[test]
    fn an_expression_that_does_not_compile_is_a_fault() {
        assert!(fault("status ==").unwrap().contains("does not compile"));
    }

    #[test]
    fn an_unknown_variable_is_a_fault() {
        assert_eq!(
            fault("object.status.phase == 'Bound'").unwrap(),
            "stage health, check a: the CEL expression names `object`; expected one of: status, headers, body, json"
        );
        assert_eq!(fault("json.items.all(item, item.name != '' && has(item.tags))"), None);
    }

    #[test]
    fn expressions_of_external_steps_are_validated() {
        let step = |select: &str, output: &str, request: Value| {
            let step = json!({"external": {"name": "client", "baseUrl": "https://a.io", "auth": "anonymous",
                "find": {"method": "GET", "path": "/a"}, "select": select,
                "create": {"method": "POST", "path": "/a"}, "desired": {}, "onUninstall": "delete",
                "outputs": [{"name": "id", "request": request, "select": output, "secret": false}]}});
            let stage = json!({"name": "sso", "steps": [step]});
            let plugin_plan = json!({"preflight": [], "stages": [stage], "health": [], "tests": []});
            let faults = check_expressions(&serde_json::from_value(plugin_plan).unwrap());
            faults.iter().map(ToString::to_string).collect::<Vec<_>>()
        };
        let own = json!({"method": "GET", "path": "/a/secret"});
        assert_eq!(step("json.size() > 0 ? json[0] : null", "json.id", Value::Null), Vec::<String>::new());
        assert_eq!(step("json", "headers.location", own), Vec::<String>::new());
        assert_eq!(
            step("found", "status", Value::Null),
            [
                "stage sso, external resource client: the CEL expression names `found`; expected one of: status, \
                 headers, body, json",
                "stage sso, external resource client, output id: the CEL expression names `status`; expected one of: \
                 json",
            ]
        );
    }

    #[test]
    fn nested_loops_are_bounded() {
        let three = "json.a.all(x, json.a.all(y, json.a.all(z, x == y && y == z)))";
        assert_eq!(fault(three), None);
        assert!(
            fault("json.a.all(x, json.a.all(y, json.a.all(z, json.a.all(w, x == w))))")
                .unwrap()
                .contains("loops")
        );
        assert!(fault(&format!("'{}' == ''", "a".repeat(MAX_EXPRESSION_BYTES))).unwrap().contains("longer"));
    }
}
