use super::yaml::Yaml;
use crate::{Object, ObjectRef, Secret, SecretKey, Step, TypeMeta, template};
use serde_json::json;

/// What the platform's control reads to show a service, and what development environments get to know of it.
#[derive(Debug)]
pub struct ServiceDiscovery {
    namespace: String,
    name: String,
    version: String,
    head: Vec<(&'static str, Yaml)>,
    endpoints: Vec<Yaml>,
    scaling: Yaml,
    variables: Vec<Yaml>,
    /// Variables with secrets in clear, and the secret inputs that they have.
    disclosed: Vec<(String, String)>,
}

/// One address of a service.
#[derive(Debug, Clone, Copy)]
pub struct Endpoint<'a> {
    /// For example `web`.
    pub name: &'a str,
    /// Where it is.
    pub url: &'a str,
    /// For people.
    pub description: &'a str,
    /// What control asks whether it is well.
    pub health_url: Option<&'a str>,
    /// Whether it is the one that people open.
    pub primary: bool,
}

impl ServiceDiscovery {
    /// The ConfigMap by which control takes a service as installed.
    pub const NAME: &'static str = "thinkube-service-config";

    /// A core service without endpoints. `category` and `icon` are control's; `deployment` is what it scales, at least one.
    pub fn new(
        namespace: impl Into<String>,
        name: &str,
        title: &str,
        description: &str,
        version: &str,
        (category, icon): (&str, &str),
        deployment: &str,
    ) -> Self {
        let namespace = namespace.into();
        let head = vec![
            ("name", name.into()),
            ("display_name", title.into()),
            ("description", description.into()),
            ("type", "core".into()),
            ("category", category.into()),
            ("icon", icon.into()),
            ("component_version", version.into()),
        ];
        let scaling = Yaml::Map(vec![
            ("resource_type", "deployment".into()),
            ("resource_name", deployment.into()),
            ("namespace", namespace.as_str().into()),
            ("min_replicas", Yaml::Number(1)),
            ("can_disable", Yaml::Bool(false)),
        ]);
        Self {
            namespace,
            name: name.to_owned(),
            version: version.to_owned(),
            head,
            endpoints: Vec::new(),
            scaling,
            variables: Vec::new(),
            disclosed: Vec::new(),
        }
    }

    /// An address.
    pub fn endpoint(mut self, endpoint: Endpoint<'_>) -> Self {
        let mut fields =
            vec![("name", endpoint.name.into()), ("type", "http".into()), ("url", endpoint.url.into())];
        fields.extend(endpoint.health_url.map(|url| ("health_url", url.into())));
        fields.push(("description", endpoint.description.into()));
        if endpoint.primary {
            fields.push(("primary", Yaml::Bool(true)));
        }
        self.endpoints.push(Yaml::Map(fields));
        self
    }

    /// An environment variable for development environments. No secret: every service account may read ConfigMaps somewhere.
    pub fn variable(mut self, name: &str, value: &str) -> Self {
        self.variables.push(Yaml::Map(vec![("name", name.into()), ("value", value.into())]));
        self
    }

    /// One whose value is a key of a Secret: who may read that may know it.
    pub fn secret_variable(mut self, name: &str, key: SecretKey) -> Self {
        let SecretKey { namespace, name: secret, key } = key;
        let reference = Yaml::Map(vec![
            ("namespace", namespace.as_str().into()),
            ("name", secret.as_str().into()),
            ("key", key.as_str().into()),
        ]);
        let from = Yaml::Map(vec![("secretKeyRef", reference)]);
        self.variables.push(Yaml::Map(vec![("name", name.into()), ("valueFrom", from)]));
        self
    }

    /// One with a secret input in clear, for consumers that follow no reference. Everybody who may read the ConfigMap then
    /// knows it, so let a setting ask for it. Needs [`Permission::Disclose`](crate::Permission).
    pub fn disclosed_variable(mut self, name: &str, input: &str) -> Self {
        let value = Yaml::Entry(name.to_owned());
        self.variables.push(Yaml::Map(vec![("name", name.into()), ("value", value)]));
        self.disclosed.push((name.to_owned(), input.to_owned()));
        self
    }

    /// What checks name the ConfigMap by.
    pub fn reference(&self) -> ObjectRef {
        TypeMeta::new("v1", "ConfigMap").namespaced(&self.namespace, Self::NAME)
    }
}

/// The ConfigMap. Put it into the last stage: it is what makes control show the service as installed.
impl From<ServiceDiscovery> for Step {
    fn from(discovery: ServiceDiscovery) -> Self {
        let ServiceDiscovery { namespace, name, version, mut head, endpoints, scaling, variables, disclosed } =
            discovery;
        head.extend([
            ("endpoints", Yaml::List(endpoints)),
            // The names that control would resolve here are not a plugin's to guess; its descriptor states the real ones.
            ("dependencies", Yaml::List(vec![])),
            ("scaling", scaling),
            ("environment_variables", Yaml::List(variables)),
        ]);
        let document = Yaml::Map(vec![("service", Yaml::Map(head))]);
        let labels = [
            ("thinkube.io/managed", "true"),
            ("thinkube.io/service-type", "core"),
            ("thinkube.io/service-name", &name),
            ("thinkube.io/component-version", &version),
        ];
        if disclosed.is_empty() {
            let mut config = template(
                stringify!(
                    {
                      "apiVersion": "v1",
                      "kind": "ConfigMap",
                      "metadata": {"name": "${config}", "namespace": "${namespace}", "labels": {}},
                      "data": {"service.yaml": "${text}"}
                    }
                ),
                &json!({"config": ServiceDiscovery::NAME, "namespace": namespace, "text": document.document()}),
            );
            for (key, value) in labels {
                config["metadata"]["labels"][key] = value.into();
            }
            return Object::of(&config).into();
        }
        let config = Secret::disclosed(namespace, ServiceDiscovery::NAME)
            .template("service.yaml", document.template());
        let config = labels.into_iter().fold(config, |config, (key, value)| config.label(key, value));
        disclosed.into_iter().fold(config, |config, (name, input)| config.input(name, input)).into()
    }
}
