use cel::common::ast::{EntryExpr, Expr, IdedExpr};
use cel::{Context, ExecutionError, Program, Value};
use thinkube_plan::{Check, Expectation, Fault, Observation, Outline, Probe, Status, Verdict};

/// Bytes of one expression. The longest of the DevPI plugin has about 200.
const MAX_EXPRESSION: usize = 2048;
/// Loops within loops: `objects`, their containers, their variables. Each level multiplies the time by the length
/// of a list.
const MAX_LOOP_DEPTH: usize = 3;

/// Every CEL expression of `outline` that does not compile, names a variable that its probe does not yield, or could
/// run for too long.
pub fn check_expressions(outline: &Outline) -> Vec<Fault> {
    outline
        .checks()
        .filter_map(|(stage, check)| {
            let Expectation::Cel(source) = &check.expect else { return None };
            let message = compile(source, &check.probe).err()?;
            Some(Fault {
                stage: stage.to_owned(),
                what: format!("check {}", check.name),
                path: String::new(),
                message,
            })
        })
        .collect()
}

/// Judges what the probe of `check` saw. Not for [`Expectation::Evaluate`], which only the plugin can judge: that
/// yields [`Status::Unknown`].
pub fn judge(check: &Check, observation: &Observation) -> Verdict {
    let verdict = |status, message| Verdict { status, message, remedy: None };
    match &check.expect {
        Expectation::Holds if observation.holds => verdict(Status::Passed, observation.summary.clone()),
        Expectation::Holds => verdict(Status::Failed, observation.summary.clone()),
        Expectation::Evaluate => verdict(Status::Unknown, "only the plugin can judge this".to_owned()),
        Expectation::Cel(source) => match evaluate(source, &check.probe, observation) {
            Ok(true) => verdict(Status::Passed, observation.summary.clone()),
            Ok(false) => verdict(Status::Failed, format!("{}; expected {source}", observation.summary)),
            // What is not there yet often shows as a missing key, so this is a failure to be asked again.
            Err(message) => {
                verdict(Status::Failed, format!("{}; {message} in {source}", observation.summary))
            }
        },
    }
}

fn variables(probe: &Probe) -> &'static [&'static str] {
    match probe {
        Probe::Ready(_) | Probe::Object(_) => &["object"],
        Probe::Objects(_) => &["objects"],
        Probe::Http(_) => &["status", "headers", "body", "json"],
    }
}

fn compile(source: &str, probe: &Probe) -> Result<Program, String> {
    if source.len() > MAX_EXPRESSION {
        return Err(format!("the CEL expression is longer than {MAX_EXPRESSION} bytes"));
    }
    let program = Program::compile(source)
        .map_err(|errors| format!("the CEL expression does not compile: {errors}"))?;
    if loop_depth(program.expression()) > MAX_LOOP_DEPTH {
        return Err(format!("the CEL expression has more than {MAX_LOOP_DEPTH} loops within one another"));
    }
    let known = variables(probe);
    // Macros introduce names of their own, with an `@`, and those of the loops.
    let bound = loop_variables(program.expression());
    if let Some(unknown) =
        program.references().variables().into_iter().find(|name| {
            !known.contains(name) && !name.starts_with('@') && !bound.iter().any(|own| own == name)
        })
    {
        return Err(format!(
            "the CEL expression names `{unknown}`, but this probe yields only {}",
            known.join(", ")
        ));
    }
    Ok(program)
}

fn evaluate(source: &str, probe: &Probe, observation: &Observation) -> Result<bool, String> {
    let program = compile(source, probe)?;
    let mut context = Context::default();
    for name in variables(probe) {
        let value = observation.variables.get(*name).cloned().unwrap_or_default();
        context
            .add_variable(*name, cel::to_value(value).map_err(|error| error.to_string())?)
            .map_err(|_| "a variable could not be read".to_owned())?;
    }
    match program.execute(&context) {
        Ok(Value::Bool(holds)) => Ok(holds),
        Ok(other) => Err(format!("the result is a {}, not a bool", other.type_of())),
        Err(error) => Err(explain(&error, source)),
    }
}

/// Why an expression has no result. Most errors carry the values that they were about, and those may be anything that
/// a service answers with: a token, a megabyte. So only names are repeated that the expression itself has.
fn explain(error: &ExecutionError, source: &str) -> String {
    match error {
        ExecutionError::NoSuchKey(key) if source.contains(key.as_str()) => format!("there is no `{key}`"),
        ExecutionError::UndeclaredReference(name) if source.contains(name.as_str()) => {
            format!("`{name}` is not known")
        }
        ExecutionError::InvalidArgumentCount { expected, actual } => {
            format!("a function takes {expected} arguments, not {actual}")
        }
        ExecutionError::IndexOutOfBounds(_) => "a list is shorter than the index".to_owned(),
        _ => "the values seen do not fit the expression".to_owned(),
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
    use serde_json::json;
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
    fn an_expression_over_an_http_answer_passes_and_fails() {
        let passing = "status == 200 && json.result.login.startsWith('https://api/')";
        assert_eq!(judge(&check(http(), passing), &answer()).status, Status::Passed);
        let verdict = judge(&check(http(), "status == 404"), &answer());
        assert_eq!(
            (verdict.status, verdict.message.as_str()),
            (Status::Failed, "200 OK; expected status == 404")
        );
    }

    #[test]
    fn a_field_that_is_not_there_fails_and_says_which() {
        let verdict = judge(&check(http(), "json.result.nothing == 1"), &answer());
        assert_eq!(verdict.status, Status::Failed);
        assert!(verdict.message.contains("nothing"), "{}", verdict.message);
    }

    #[test]
    fn an_error_never_repeats_the_values_that_were_seen() {
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
            let verdict = judge(&check(http(), source), &seen);
            assert_eq!(verdict.status, Status::Failed);
            assert!(!verdict.message.contains("token-5a"), "{source}: {}", verdict.message);
        }
    }

    #[test]
    fn an_absent_object_can_be_told() {
        let verdict = judge(&check(object(), "object == null"), &saw(json!({"object": null})));
        assert_eq!(verdict.status, Status::Passed);
    }

    #[test]
    fn an_answer_that_is_no_bool_fails() {
        let verdict = judge(&check(http(), "status"), &answer());
        assert_eq!(verdict.status, Status::Failed);
        assert!(verdict.message.contains("not a bool"), "{}", verdict.message);
    }

    fn fault(cel: &str) -> Option<String> {
        let health = vec![check(http(), cel)];
        let outline = Outline { preflight: vec![], stages: vec![], health, tests: vec![], notes: None };
        check_expressions(&outline).pop().map(|fault| fault.to_string())
    }

    #[test]
    fn an_expression_that_does_not_compile_is_found_before_anything_runs() {
        assert!(fault("status ==").unwrap().contains("does not compile"));
    }

    #[test]
    fn a_variable_that_the_probe_does_not_yield_is_found_before_anything_runs() {
        assert_eq!(
            fault("object.status.phase == 'Bound'").unwrap(),
            "stage health, check a: the CEL expression names `object`, but this probe yields only status, headers, body, json"
        );
        assert_eq!(fault("json.items.all(item, item.name != '' && has(item.tags))"), None);
    }

    #[test]
    fn loops_within_loops_are_bounded() {
        let three = "json.a.all(x, json.a.all(y, json.a.all(z, x == y && y == z)))";
        assert_eq!(fault(three), None);
        assert!(
            fault("json.a.all(x, json.a.all(y, json.a.all(z, json.a.all(w, x == w))))")
                .unwrap()
                .contains("loops")
        );
        assert!(fault(&format!("'{}' == ''", "a".repeat(MAX_EXPRESSION))).unwrap().contains("longer"));
    }
}
