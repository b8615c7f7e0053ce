//! An image built from a git repository or a folder, and a Deployment that runs it. The tests of image builds install it.

use serde_json::json;
use thinkube_sdk::{
    Context, Descriptor, Image, Object, Outcome, Permission, Plan, Plugin, Problem, Scope, Secret, Stage,
    TypeMeta, export_plugin,
};

/// The settings of the tests.
#[derive(serde::Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// The URL of a git repository. If not set, the image is built from `folder`.
    url: Option<String>,
    /// The commit, tag or branch.
    #[serde(default = "revision")]
    revision: String,
    /// The absolute path of a folder.
    folder: Option<String>,
    /// REGISTRY/REPOSITORY:TAG.
    destination: String,
    /// The namespace of the Secret with the push credentials.
    #[serde(default = "login_namespace")]
    login_namespace: String,
    /// The name of that Secret.
    #[serde(default = "login_name")]
    login_name: String,
}

fn revision() -> String {
    "main".to_owned()
}

fn login_namespace() -> String {
    "default".to_owned()
}

fn login_name() -> String {
    LOGIN.to_owned()
}

/// The Secret in `default` that the test cluster's registry leaves for pods, and the name of its mirror.
const LOGIN: &str = "harbor-pull-secret";

/// The plugin.
pub struct Built;

impl Plugin for Built {
    type Settings = Settings;

    fn describe() -> Descriptor {
        Descriptor::new("built", "1.0.0")
            .title("Built")
            .summary("An image that is built, and runs")
            .license("Apache-2.0")
            .source("https://github.com/thinkube/thinkube-host")
            .emits(TypeMeta::new("v1", "Namespace"), Scope::OwnNamespace)
            .emits(TypeMeta::new("v1", "Secret"), Scope::OwnNamespace)
            .emits(TypeMeta::new("apps/v1", "Deployment"), Scope::OwnNamespace)
            .permission(Permission::CopySecret(format!("default/{LOGIN}")))
            .permission(Permission::PushImage("registry.thinkube.test:5000/library".to_owned()))
    }

    fn plan(context: &Context<Settings>) -> Result<Outcome, Problem> {
        let Settings { url, revision, folder, destination, login_namespace, login_name } = &context.settings;
        let image = match (url, folder) {
            (Some(url), None) => Image::from_git("web", url, revision, destination),
            (None, Some(folder)) => Image::from_folder("web", folder, destination),
            _ => return Err(Problem::invalid_settings("/url", "one of url and folder is expected")),
        };
        let namespace = Object::of(&json!({
            "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": context.namespace }
        }));
        let source = TypeMeta::new("v1", "Secret").namespaced("default", LOGIN);
        let login =
            Secret::mirror(&context.namespace, LOGIN, source).of_type("kubernetes.io/dockerconfigjson");
        let web = Object::of(&json!({
            "apiVersion": "apps/v1", "kind": "Deployment",
            "metadata": { "name": "web", "namespace": context.namespace },
            "spec": {
                "selector": { "matchLabels": { "app": "web" } },
                "template": {
                    "metadata": { "labels": { "app": "web" } },
                    "spec": {
                        "terminationGracePeriodSeconds": 0,
                        "automountServiceAccountToken": false,
                        "imagePullSecrets": [{ "name": LOGIN }],
                        "containers": [{ "name": "web", "image": "" }]
                    }
                }
            }
        }));
        let web = web.bind("/spec/template/spec/containers/0/image", "web", "reference");
        Ok(Plan::new()
            .stage(Stage::new("namespace").object(namespace).secret(login))
            .stage(Stage::new("web").image(image.push_credentials(login_namespace, login_name)).object(web))
            .into())
    }
}

export_plugin!(Built);
