//! CEL expressions that take a value out of an HTTP response.

use crate::error::Error;
use crate::expectation::{ANSWER, compile, run};
use cel::Program;
use serde_json::{Map, Value};

/// A CEL expression that takes a value out of an HTTP response: `select` of an external step or of one of its outputs. The limits
/// are those of the expressions of checks.
///
/// ```
/// use serde_json::json;
/// use thinkube_validate::Selector;
///
/// let selector = Selector::new("json.size() > 0 ? json[0] : null")?;
/// let variables = json!({"json": [{"id": "a"}]});
/// let variables = variables.as_object().expect("the variables are an object");
/// assert_eq!(selector.apply(variables)?, json!({"id": "a"}));
/// # Ok::<(), thinkube_validate::Error>(())
/// ```
#[derive(Debug)]
pub struct Selector {
    source: String,
    program: Program,
}

impl Selector {
    /// Compiles `source`.
    ///
    /// # Errors
    /// [`Error::Expression`] if it does not compile, names a variable other than `status`, `headers`, `body` and `json`, or
    /// could run for too long.
    pub fn new(source: &str) -> Result<Self, Error> {
        let program = compile(source, ANSWER).map_err(Error::Expression)?;
        Ok(Self { source: source.to_owned(), program })
    }

    /// Whether the expression names a variable.
    pub fn names(&self, variable: &str) -> bool {
        self.program.references().variables().contains(&variable)
    }

    /// The result for `variables`. An absent variable is null.
    ///
    /// # Errors
    /// [`Error::Expression`] if there is no result, or one without a JSON form.
    pub fn apply(&self, variables: &Map<String, Value>) -> Result<Value, Error> {
        let result = run(&self.program, &self.source, ANSWER, variables).map_err(Error::Expression)?;
        result.json().map_err(|_| Error::Expression("the result has no JSON form".to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn select(source: &str, json: Value) -> Result<Value, Error> {
        let mut variables = Map::new();
        variables.insert("status".into(), json!(200));
        variables.insert("json".into(), json);
        Selector::new(source)?.apply(&variables)
    }

    const FIRST: &str = "json.size() > 0 ? json[0] : null";

    #[test]
    fn an_element_of_a_list_is_selected_unchanged() {
        let client = json!({"id": "0-1", "n": 1, "below": -1, "part": 0.5, "on": true, "none": null,
            "uris": ["a", "b"], "attributes": {"a.b": "+"}});
        assert_eq!(select(FIRST, json!([client, {}])).unwrap(), client);
        assert_eq!(select(FIRST, json!([])).unwrap(), Value::Null);
    }

    #[test]
    fn elements_are_found_by_name_and_objects_are_built() {
        let mappers = json!([{"name": "a", "id": 1}, {"name": "b", "id": 2}]);
        let named = "json.filter(m, m.name == 'b').size() > 0 ? json.filter(m, m.name == 'b')[0] : null";
        assert_eq!(select(named, mappers.clone()).unwrap(), json!({"name": "b", "id": 2}));
        assert_eq!(select("{'ids': json.map(m, m.id)}", mappers).unwrap(), json!({"ids": [1, 2]}));
    }

    #[test]
    fn an_error_repeats_no_value() {
        let secret = json!({"value": "token-5a"});
        for source in ["json + 1", "json.value + 1", "json[json.value]", "json.token"] {
            let error = select(source, secret.clone()).unwrap_err().to_string();
            assert!(!error.contains("token-5a"), "{source}: {error}");
        }
        for wrong in
            ["json[", "object.kind", "status.a.all(x, status.b.all(y, status.c.all(z, z.all(w, w))))"]
        {
            assert!(matches!(Selector::new(wrong), Err(Error::Expression(_))), "{wrong}");
        }
    }

    #[test]
    fn the_named_variables_are_known() {
        let selector = Selector::new("status == 404 ? null : json").unwrap();
        assert!(selector.names("status") && selector.names("json") && !selector.names("body"));
    }
}
