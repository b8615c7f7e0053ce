//! The ConfigMap by which Thinkube's control panel, thinkube-control, finds a service.

use super::yaml::Yaml;
use crate::contract::{ObjectRef, SecretKey, Step, TypeMeta};
use crate::object::Object;
use crate::secret::Secret;
use crate::template::template;
use serde_json::json;

/// The description of a service: what thinkube-control shows, and the variables that development environments get.
#[derive(Debug)]
pub struct ServiceDiscovery {
    namespace: String,
    name: String,
    version: String,
    head: Vec<(&'static str, Yaml)>,
    endpoints: Vec<Yaml>,
    scaling: Yaml,
    variables: Vec<Yaml>,
    /// Variables with secrets in clear text, and their secret inputs.
    disclosed: Vec<(String, String)>,
}

/// One address of a service.
#[derive(Debug, Clone, Copy)]
pub struct Endpoint<'a> {
    /// For example `web`.
    pub name: &'a str,
    /// The URL.
    pub url: &'a str,
    /// A description for people.
    pub description: &'a str,
    /// The URL that thinkube-control requests to see whether the service is healthy.
    pub health_url: Option<&'a str>,
    /// Whether thinkube-control links to this endpoint.
    pub primary: bool,
}

impl ServiceDiscovery {
    /// The name of the ConfigMap.
    pub const NAME: &'static str = "thinkube-service-config";

    /// A core service without endpoints. thinkube-control defines the values of `category` and `icon`, and scales `deployment`
    /// to one replica or more.
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

    /// Adds an endpoint.
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

    /// Adds an environment variable of development environments. The value cannot be secret: many accounts may read ConfigMaps.
    pub fn variable(mut self, name: &str, value: &str) -> Self {
        self.variables.push(Yaml::Map(vec![("name", name.into()), ("value", value.into())]));
        self
    }

    /// Adds an environment variable whose value is a key of a Secret, by reference.
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

    /// Adds an environment variable with the value of a secret input in clear text, for a consumer that cannot read a Secret.
    /// Every account that may read the ConfigMap can then read it, so let a setting decide. Needs
    /// [`Permission::Disclose`](crate::Permission).
    pub fn disclosed_variable(mut self, name: &str, input: &str) -> Self {
        let value = Yaml::Entry(name.to_owned());
        self.variables.push(Yaml::Map(vec![("name", name.into()), ("value", value)]));
        self.disclosed.push((name.to_owned(), input.to_owned()));
        self
    }

    /// The name by which checks refer to the ConfigMap.
    pub fn reference(&self) -> ObjectRef {
        TypeMeta::new("v1", "ConfigMap").namespaced(&self.namespace, Self::NAME)
    }
}

/// The ConfigMap. It belongs into the last stage, because thinkube-control takes the service as installed when it exists.
impl From<ServiceDiscovery> for Step {
    fn from(discovery: ServiceDiscovery) -> Self {
        let ServiceDiscovery { namespace, name, version, mut head, endpoints, scaling, variables, disclosed } =
            discovery;
        head.extend([
            ("endpoints", Yaml::List(endpoints)),
            // Empty as in the Ansible component. The descriptor states the dependencies.
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
