//! The rules for credentials of probes. A password goes from a Secret of the plan to a Service of the plan in the same
//! namespace; anything else could send a secret of the cluster to a server of the plugin's choice.

use crate::check::{Check, Credentials, Expectation, HttpProbe, HttpTarget, Probe, ServiceTarget};
use crate::plan::PluginPlan;
use crate::plan::secret::{SecretContent, SecretKey, SecretSource};
use crate::plan::stage::Step;
use crate::validate::Fault;

/// Every rule that the credentials of a plan's probes break.
pub fn credential_faults(plugin_plan: &PluginPlan) -> Vec<Fault> {
    let mut faults = Vec::new();
    for (stage, check) in plugin_plan.checks() {
        let Probe::Http(probe) = &check.probe else { continue };
        let Some(credentials) = &probe.credentials else { continue };
        let mut messages = check_faults(stage, check);
        messages.extend(target_fault(plugin_plan, probe, &credentials.password));
        messages.extend(secret_faults(plugin_plan, credentials));
        faults.extend(messages.into_iter().map(|message| Fault {
            stage: stage.to_owned(),
            what: format!("check {}", check.name),
            path: String::new(),
            message,
        }));
    }
    faults
}

fn check_faults(list: &str, check: &Check) -> Vec<String> {
    let mut faults = Vec::new();
    if list == PluginPlan::PREFLIGHT {
        faults.push(
            "a preflight check must not send a key of a Secret: it runs before the plan's Secrets exist"
                .to_owned(),
        );
    }
    if check.expect == Expectation::Evaluate {
        faults.push(
            "the response may contain the secret, so the plugin must not evaluate it; use CEL".to_owned(),
        );
    }
    faults
}

fn target_fault(plugin_plan: &PluginPlan, probe: &HttpProbe, password: &SecretKey) -> Option<String> {
    let service = match &probe.target {
        HttpTarget::Url(_) => {
            return Some("a key of a Secret must not be sent to a URL, only to a Service".to_owned());
        }
        HttpTarget::Service(service) => service,
    };
    if service.namespace != password.namespace {
        return Some(format!(
            "a key of a Secret in {} must be sent to a Service in the namespace of the Secret, not in {}",
            password.namespace, service.namespace
        ));
    }
    (!makes_service(plugin_plan, service)).then(|| {
        format!(
            "a key of a Secret must be sent to a Service that the plan applies with a selector; {}/{} is not one",
            service.namespace, service.name
        )
    })
}

fn secret_faults(plugin_plan: &PluginPlan, credentials: &Credentials) -> Vec<String> {
    let mut faults = Vec::new();
    let SecretKey { namespace, name, key } = &credentials.password;
    if !makes_key(plugin_plan, &credentials.password) {
        faults.push(format!(
            "the key `{key}` of Secret {namespace}/{name} must not be sent: the plan does not make it from an input, an output \
             or at random"
        ));
    }
    if credentials.username.contains(':') {
        faults.push(format!("the user name of header `{}` must not have a colon", credentials.header));
    }
    faults
}

/// Whether the plan applies this Service. One without a selector or of type ExternalName can lead to any server.
fn makes_service(plugin_plan: &PluginPlan, service: &ServiceTarget) -> bool {
    plugin_plan.steps().any(|step| match step {
        Step::Object(object) => {
            let manifest = &object.manifest;
            let selector = manifest["spec"]["selector"].as_object();
            manifest["apiVersion"] == "v1"
                && manifest["kind"] == "Service"
                && manifest["metadata"]["namespace"] == service.namespace.as_str()
                && manifest["metadata"]["name"] == service.name.as_str()
                && manifest["spec"]["type"] != "ExternalName"
                && selector.is_some_and(|selector| !selector.is_empty())
        }
        _ => false,
    })
}

/// Whether the plan makes this key itself. The permission to copy a Secret does not allow to send the copy.
fn makes_key(plugin_plan: &PluginPlan, at: &SecretKey) -> bool {
    plugin_plan.steps().any(|step| match step {
        Step::Secret(secret) => {
            let SecretContent::Entries(entries) = &secret.content else { return false };
            let made = |source: &SecretSource| {
                matches!(source, SecretSource::Input(_) | SecretSource::Random(_) | SecretSource::Output(_))
            };
            !secret.discloses()
                && secret.target.namespace.as_ref() == Some(&at.namespace)
                && secret.target.name == at.name
                && entries.iter().any(|entry| entry.key == at.key && made(&entry.source))
        }
        _ => false,
    })
}

#[cfg(test)]
mod tests {
    use crate::plan::PluginPlan;
    use crate::validate::validate_plan;
    use serde_json::{Value, json};

    /// A plan with a Secret and a Service of its own, and a check that sends the one to the other, after `change`.
    fn messages(change: impl FnOnce(&mut Value)) -> Vec<String> {
        let reference =
            |name: &str| json!({"apiVersion": "v1", "kind": "Secret", "namespace": "demo", "name": name});
        let secret = |name: &str, content: Value| {
            json!({"secret": {"name": name, "target": reference(name), "secretType": "Opaque", "content": content,
                "onUninstall": "delete"}})
        };
        let copy = json!({"copy": {"namespace": "kube-system", "name": "theirs", "key": "token"}});
        let service = json!({"object": {"manifest": {"apiVersion": "v1", "kind": "Service",
            "metadata": {"name": "server", "namespace": "demo"}, "spec": {"selector": {"app": "server"}}},
            "onChange": "update", "onUninstall": "delete"}});
        let entries = json!([{"key": "password", "source": {"input": "admin-password"}},
            {"key": "theirs", "source": copy}, {"key": "both", "source": {"template": "${password}${theirs}"}}]);
        let steps = [
            secret("root", json!({"entries": entries})),
            secret(
                "mirrored",
                json!({"mirror": {"apiVersion": "v1", "kind": "Secret", "namespace": "default",
                "name": "platform"}}),
            ),
            service,
        ];
        let probe = json!({"http": {"method": "GET",
            "target": {"service": {"namespace": "demo", "name": "server", "port": 80, "path": "/"}},
            "credentials": {"header": "x-auth", "username": "root",
                "password": {"namespace": "demo", "name": "root", "key": "password"}}}});
        let check = json!({"name": "login", "title": "", "probe": probe, "expect": "holds", "timeoutSeconds": 1,
            "severity": "warning"});
        let mut plugin_plan = json!({"preflight": [], "tests": [], "health": [check],
            "stages": [{"name": "all", "steps": steps, "gates": [], "skipIf": []}]});
        change(&mut plugin_plan);
        let plugin_plan: PluginPlan = serde_json::from_value(plugin_plan).expect("a plan");
        validate_plan(&plugin_plan, &["admin-password"], true)
            .iter()
            .map(|fault| fault.message.clone())
            .collect()
    }

    #[test]
    fn a_key_of_the_plan_is_sent_to_a_service_of_the_plan() {
        assert_eq!(messages(|_| ()), [""; 0]);
    }

    #[test]
    fn a_password_stays_in_the_namespace_of_its_secret() {
        let messages = messages(|plugin_plan| {
            plugin_plan["health"][0]["probe"]["http"]["target"]["service"]["namespace"] = json!("other");
            plugin_plan["stages"][0]["steps"][2]["object"]["manifest"]["metadata"]["namespace"] =
                json!("other");
        });
        assert!(
            matches!(&messages[..], [only] if only.contains("a Secret in demo must be sent to a Service in the namespace of the Secret, not in other")),
            "{messages:?}"
        );
    }

    #[test]
    fn only_own_keys_are_sent_and_only_to_own_services() {
        const AT: &str = "/health/0/probe/http";
        let refused = |pointer: &str, value: Value, expected: &str| {
            let messages = messages(|plugin_plan| {
                *plugin_plan.pointer_mut(pointer).unwrap_or_else(|| panic!("no {pointer}")) = value.clone();
            });
            assert!(
                messages.iter().any(|message| message.contains(expected)),
                "{pointer} {value}: {messages:?}"
            );
        };
        let key = |namespace: &str, name: &str, key: &str| json!({"namespace": namespace, "name": name, "key": key});
        let secret = format!("{AT}/credentials/password");
        for others in [
            key("kube-system", "root", "password"),
            key("demo", "other", "password"),
            key("demo", "root", "other"),
            key("demo", "mirrored", "tls.key"),
            key("demo", "root", "theirs"),
            key("demo", "root", "both"),
        ] {
            refused(&secret, others, "must not be sent: the plan does not make it");
        }
        let service = format!("{AT}/target/service");
        refused(&format!("{service}/namespace"), json!("kube-system"), "in the namespace of the Secret");
        refused(&format!("{service}/name"), json!("other"), "is not one");
        refused("/stages/0/steps/2/object/manifest/spec", json!({"ports": []}), "with a selector");
        refused("/stages/0/steps/2/object/manifest/spec", json!({"selector": {}}), "with a selector");
        refused(
            "/stages/0/steps/2/object/manifest/spec",
            json!({"type": "ExternalName", "externalName": "evil.example", "selector": {"a": "b"}}),
            "with a selector",
        );
        refused(
            &format!("{AT}/target"),
            json!({"url": "https://server.demo.svc/"}),
            "must not be sent to a URL",
        );
        refused("/health/0/expect", json!("evaluate"), "use CEL");
        refused(&format!("{AT}/credentials/username"), json!("root:x"), "colon");
        let moved = messages(|plugin_plan| {
            let check = plugin_plan["health"][0].take();
            (plugin_plan["health"], plugin_plan["preflight"]) = (json!([]), json!([check]));
        });
        assert!(moved.iter().any(|message| message.contains("preflight")), "{moved:?}");
    }
}
