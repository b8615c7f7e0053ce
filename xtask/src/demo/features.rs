//! Reads which features of a cluster DevPI can use: nodes, storage, routing.

use serde_json::Value;

/// The features of one cluster.
pub(super) struct Features {
    nodes: Vec<String>,
    storage: Option<String>,
    routing: Option<Routing>,
}

/// How requests reach the cluster.
enum Routing {
    Ingress,
    Gateway { namespace: String, name: String },
}

/// The class of the plugin's Ingresses.
const CLASS: &str = "nginx";

const NO_STORAGE: &str = "no StorageClass is the default, and DevPI keeps packages in a volume; annotate one with \
                          storageclass.kubernetes.io/is-default-class=true";
const NO_IMAGE: &str = "no image of DevPI's server is named that the cluster can pull; give one with --image REF, or load \
                        one into the nodes (`kind load docker-image`, `k3d image import`) and name it";

impl Features {
    /// From lists as `kubectl get -o json` prints them; `gateways` is null if the server does not know the kind.
    pub(super) fn of(nodes: &Value, classes: &Value, ingress: &Value, gateways: &Value) -> Self {
        let default = "/metadata/annotations/storageclass.kubernetes.io~1is-default-class";
        let nodes = items(nodes).filter(|node| holds(node, "Ready") && node["spec"]["unschedulable"] != true);
        let storage = items(classes).find(|class| class.pointer(default) == Some(&"true".into()));
        let gateway = items(gateways).find(|gateway| holds(gateway, "Programmed"));
        let routing = if items(ingress).any(|class| name(class) == CLASS) {
            Some(Routing::Ingress)
        } else {
            gateway.map(|gateway| Routing::Gateway {
                namespace: gateway["metadata"]["namespace"].as_str().unwrap_or_default().to_owned(),
                name: name(gateway).to_owned(),
            })
        };
        Self {
            nodes: nodes.map(name).map(str::to_owned).collect(),
            storage: storage.map(name).map(str::to_owned),
            routing,
        }
    }

    /// The features that the demo uses, a line each.
    pub(super) fn used(&self) -> Vec<String> {
        let mut used = vec![format!("nodes that take pods: {}", self.nodes.join(", "))];
        used.extend(self.storage.iter().map(|class| format!("default StorageClass: {class}")));
        used.extend(self.routing.iter().map(|routing| match routing {
            Routing::Ingress => format!("IngressClass: {CLASS}"),
            Routing::Gateway { namespace, name } => format!("Gateway: {namespace}/{name}"),
        }));
        used
    }

    /// Reasons why DevPI cannot run on the cluster, with advice.
    pub(super) fn obstacles(&self, image: Option<&str>) -> Vec<&'static str> {
        [
            (self.nodes.is_empty(), "no node is ready and takes pods; `kubectl get nodes` says why"),
            (self.storage.is_none(), NO_STORAGE),
            (image.is_none(), NO_IMAGE),
        ]
        .into_iter()
        .filter_map(|(lacking, text)| lacking.then_some(text))
        .collect()
    }

    /// The plugin's settings for these features.
    pub(super) fn settings(&self) -> Vec<String> {
        match &self.routing {
            Some(Routing::Gateway { namespace, name }) => vec![
                "routing=gateway".to_owned(),
                format!("gateway_name={name}"),
                format!("gateway_namespace={namespace}"),
            ],
            Some(Routing::Ingress) | None => vec!["routing=ingress".to_owned()],
        }
    }

    /// The preflight checks to ignore, each with the feature that the demo omits.
    pub(super) fn left_out(&self) -> Vec<(&'static str, String)> {
        let mut left_out = vec![(
            "harbor",
            "registry: the cluster itself pulls the image that you name, so the host asks no registry"
                .to_owned(),
        )];
        if self.routing.is_none() {
            let what = format!(
                "routes: there is neither the IngressClass {CLASS} nor a Gateway that is programmed, so nothing serves \
                 the Ingresses; DevPI is reached by `kubectl port-forward`"
            );
            left_out.push(("ingress", what));
        }
        left_out
    }
}

fn items(list: &Value) -> impl Iterator<Item = &Value> {
    list["items"].as_array().into_iter().flatten()
}

fn name(object: &Value) -> &str {
    object["metadata"]["name"].as_str().unwrap_or_default()
}

fn holds(object: &Value, condition: &str) -> bool {
    let conditions = object["status"]["conditions"].as_array();
    conditions.into_iter().flatten().any(|found| found["type"] == condition && found["status"] == "True")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn node(ready: &str) -> Value {
        json!({"items": [{"metadata": {"name": "n1"}, "status": {"conditions": [{"type": "Ready", "status": ready}]}}]})
    }

    fn class() -> Value {
        let annotations = json!({"storageclass.kubernetes.io/is-default-class": "true"});
        json!({"items": [{"metadata": {"name": "other"}}, {"metadata": {"name": "standard", "annotations": annotations}}]})
    }

    #[test]
    fn a_cluster_like_kinds_lacks_nothing_that_the_pod_needs_and_has_no_route() {
        let found = Features::of(&node("True"), &class(), &json!({"items": []}), &Value::Null);
        assert!(found.obstacles(Some("example.org/devpi:1")).is_empty());
        assert_eq!(found.used(), ["nodes that take pods: n1", "default StorageClass: standard"]);
        let checks: Vec<_> = found.left_out().into_iter().map(|(check, _)| check).collect();
        assert_eq!(checks, ["harbor", "ingress"]);
    }

    #[test]
    fn without_an_image_a_volume_or_a_node_each_obstacle_is_named() {
        let found = Features::of(&node("False"), &json!({}), &json!({}), &Value::Null);
        let obstacles = found.obstacles(None).join("\n");
        for expected in ["kubectl get nodes", "is-default-class", "--image REF"] {
            assert!(obstacles.contains(expected), "{obstacles}");
        }
        let mut cordoned = node("True");
        cordoned["items"][0]["spec"]["unschedulable"] = true.into();
        assert_eq!(Features::of(&cordoned, &class(), &json!({}), &Value::Null).obstacles(Some("i")).len(), 1);
    }

    #[test]
    fn an_ingress_class_wins_over_a_programmed_gateway() {
        let nginx = json!({"items": [{"metadata": {"name": "nginx"}}]});
        let gateway = |status: &str| {
            json!({"items": [{"metadata": {"name": "g", "namespace": "ns"},
                "status": {"conditions": [{"type": "Programmed", "status": status}]}}]})
        };
        let of = |ingress: &Value, gateways: &Value| {
            Features::of(&node("True"), &class(), ingress, gateways).settings()
        };
        assert_eq!(of(&nginx, &gateway("True")), ["routing=ingress"]);
        let by_gateway = ["routing=gateway", "gateway_name=g", "gateway_namespace=ns"];
        assert_eq!(of(&json!({}), &gateway("True")), by_gateway);
        assert_eq!(of(&json!({}), &gateway("False")), ["routing=ingress"]);
    }
}
