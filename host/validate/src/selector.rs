use crate::Error;
use crate::expectation::{ANSWER, compile, run};
use cel::Program;
use serde_json::{Map, Value};

/// A CEL expression that takes a value out of an HTTP answer: `select` of an external step or of its outputs. It has the
/// limits of the expressions of checks.
#[derive(Debug)]
pub struct Selector {
    source: String,
    program: Program,
}

impl Selector {
    /// Compiles it.
    ///
    /// # Errors
    /// [`Error::Expression`] if it does not compile, names anything but `status`, `headers`, `body` and `json`, or could
    /// run for too long.
    pub fn new(source: &str) -> Result<Self, Error> {
        let program = compile(source, ANSWER).map_err(Error::Expression)?;
        Ok(Self { source: source.to_owned(), program })
    }

    /// Whether it looks at a variable.
    pub fn names(&self, variable: &str) -> bool {
        self.program.references().variables().contains(&variable)
    }

    /// The value for `variables`. One that is not among them is null.
    ///
    /// # Errors
    /// [`Error::Expression`] if there is no result, or one that JSON cannot say.
    pub fn apply(&self, variables: &Map<String, Value>) -> Result<Value, Error> {
        let result = run(&self.program, &self.source, ANSWER, variables).map_err(Error::Expression)?;
        result.json().map_err(|_| Error::Expression("the result is nothing that JSON can say".to_owned()))
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
    fn the_first_of_a_list_comes_out_as_it_went_in() {
        let client = json!({"id": "0-1", "n": 1, "below": -1, "part": 0.5, "on": true, "none": null,
            "uris": ["a", "b"], "attributes": {"a.b": "+"}});
        assert_eq!(select(FIRST, json!([client, {}])).unwrap(), client);
        assert_eq!(select(FIRST, json!([])).unwrap(), Value::Null);
    }

    #[test]
    fn one_of_many_is_found_by_its_name_and_new_objects_can_be_made() {
        let mappers = json!([{"name": "a", "id": 1}, {"name": "b", "id": 2}]);
        let named = "json.filter(m, m.name == 'b').size() > 0 ? json.filter(m, m.name == 'b')[0] : null";
        assert_eq!(select(named, mappers.clone()).unwrap(), json!({"name": "b", "id": 2}));
        assert_eq!(select("{'ids': json.map(m, m.id)}", mappers).unwrap(), json!({"ids": [1, 2]}));
    }

    #[test]
    fn what_is_wrong_with_it_is_said_without_the_values() {
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
    fn the_variables_that_it_looks_at_are_known() {
        let selector = Selector::new("status == 404 ? null : json").unwrap();
        assert!(selector.names("status") && selector.names("json") && !selector.names("body"));
    }
}
