//! Credentials of probes, with a password that no plan holds.

use crate::{
    Check, Expectation, Fault, HttpProbe, HttpTarget, PluginPlan, Probe, SecretContent, SecretKey,
    SecretSource, ServiceTarget, Step,
};
use serde::{Deserialize, Serialize};

/// A header with the Base64 of USERNAME:PASSWORD (RFC 7617), whose password the host reads from a Secret when it asks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Credentials {
    /// The header's name.
    pub header: String,
    /// The username.
    pub username: String,
    /// The key of a Secret that holds the password.
    pub password: SecretKey,
}

/// What is wrong with the credentials in an outline: a password goes from the plan's own Secret to the plan's own Service
/// in the same namespace, and to nothing else.
pub fn faults(plugin_plan: &PluginPlan) -> Vec<Fault> {
    let mut faults = Vec::new();
    for (stage, check) in plugin_plan.checks() {
        let Probe::Http(probe) = &check.probe else { continue };
        let Some(credentials) = &probe.credentials else { continue };
        faults.extend(wrong(plugin_plan, stage, check, probe, credentials).into_iter().map(|message| {
            Fault {
                stage: stage.to_owned(),
                what: format!("check {}", check.name),
                path: String::new(),
                message,
            }
        }));
    }
    faults
}

fn wrong(
    plugin_plan: &PluginPlan,
    stage: &str,
    check: &Check,
    probe: &HttpProbe,
    credentials: &Credentials,
) -> Vec<String> {
    let mut wrong = Vec::new();
    if stage == "preflight" {
        wrong.push("a preflight check comes before the plan's Secrets, so it sends none of them".to_owned());
    }
    if check.expect == Expectation::Evaluate {
        wrong.push(
            "an answer may hold the secret that was sent, so the plugin cannot evaluate it: use CEL"
                .to_owned(),
        );
    }
    match &probe.target {
        HttpTarget::Url(_) => {
            wrong.push("a key of a Secret goes to a Service of the plan, and never to a URL".to_owned());
        }
        HttpTarget::Service(service) if service.namespace != credentials.password.namespace => {
            wrong.push(format!(
                "a key of a Secret goes to a Service in the namespace of the Secret, which is {}, and never to one in {}",
                credentials.password.namespace, service.namespace
            ));
        }
        HttpTarget::Service(service) if !makes_service(plugin_plan, service) => wrong.push(format!(
            "a key of a Secret goes to a Service that the plan makes with a selector, and {}/{} is none",
            service.namespace, service.name
        )),
        HttpTarget::Service(_) => {}
    }
    let SecretKey { namespace, name, key } = &credentials.password;
    if !makes_key(plugin_plan, &credentials.password) {
        wrong.push(format!(
            "the key `{key}` of Secret {namespace}/{name} is none that the plan makes of an input, of an output or at \
             random: no other is sent"
        ));
    }
    if credentials.username.contains(':') {
        wrong
            .push(format!("the username of header `{}` has a colon, which would end it", credentials.header));
    }
    wrong
}

fn steps(plugin_plan: &PluginPlan) -> impl Iterator<Item = &Step> {
    plugin_plan.stages.iter().flat_map(|stage| &stage.steps)
}

/// A Service without a selector leads to addresses that other people write, and an ExternalName to any server.
fn makes_service(plugin_plan: &PluginPlan, service: &ServiceTarget) -> bool {
    steps(plugin_plan).any(|step| match step {
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

/// A copy of another Secret was agreed to as a copy, and is sent nowhere.
fn makes_key(plugin_plan: &PluginPlan, at: &SecretKey) -> bool {
    steps(plugin_plan).any(|step| match step {
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
    use crate::{PluginPlan, validate_plan};
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
        let plugin_plan: PluginPlan = serde_json::from_value(plugin_plan).expect("an outline");
        validate_plan(&plugin_plan, &["admin-password"], true)
            .iter()
            .map(|fault| fault.message.clone())
            .collect()
    }

    #[test]
    fn a_key_of_the_plan_s_own_secret_goes_to_the_plan_s_own_service() {
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
            matches!(&messages[..], [only] if only.contains("which is demo, and never to one in other")),
            "{messages:?}"
        );
    }

    #[test]
    fn a_secret_of_others_is_never_sent_and_none_goes_to_a_service_of_others_or_to_a_url() {
        const AT: &str = "/health/0/probe/http";
        let refused = |pointer: &str, value: Value, said: &str| {
            let messages = messages(|plugin_plan| {
                *plugin_plan.pointer_mut(pointer).unwrap_or_else(|| panic!("no {pointer}")) = value.clone();
            });
            assert!(messages.iter().any(|message| message.contains(said)), "{pointer} {value}: {messages:?}");
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
            refused(&secret, others, "no other is sent");
        }
        let service = format!("{AT}/target/service");
        refused(&format!("{service}/namespace"), json!("kube-system"), "in the namespace of the Secret");
        refused(&format!("{service}/name"), json!("other"), "is none");
        refused("/stages/0/steps/2/object/manifest/spec", json!({"ports": []}), "with a selector");
        refused("/stages/0/steps/2/object/manifest/spec", json!({"selector": {}}), "with a selector");
        refused(
            "/stages/0/steps/2/object/manifest/spec",
            json!({"type": "ExternalName", "externalName": "evil.example", "selector": {"a": "b"}}),
            "with a selector",
        );
        refused(&format!("{AT}/target"), json!({"url": "https://server.demo.svc/"}), "never to a URL");
        refused("/health/0/expect", json!("evaluate"), "use CEL");
        refused(&format!("{AT}/credentials/username"), json!("root:x"), "colon");
        let moved = messages(|plugin_plan| {
            let check = plugin_plan["health"][0].take();
            (plugin_plan["health"], plugin_plan["preflight"]) = (json!([]), json!([check]));
        });
        assert!(moved.iter().any(|message| message.contains("preflight")), "{moved:?}");
    }
}
