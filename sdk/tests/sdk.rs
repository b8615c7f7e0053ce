//! What the SDK promises to authors.

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};
use thinkube_sdk::k8s_openapi::api::apps::v1::Deployment;
use thinkube_sdk::k8s_openapi::api::core::v1::{ConfigMap, Namespace};
use thinkube_sdk::k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use thinkube_sdk::testing::{Case, PlanError, describe, plan, schema};
use thinkube_sdk::{
    Answer, Check, Context, Descriptor, Encoding, Expectation, HttpMethod, HttpProbe, HttpTarget, Installed,
    Object, ObjectFact, ObjectRef, OnChange, OnUninstall, Outcome, Plan, Plugin, Probe, Problem, Query,
    Scope, Secret, SecretKey, Severity, Stage, Step, TypeMeta,
};

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Settings {
    /// The namespace.
    #[serde(default)]
    #[expect(dead_code, reason = "the host reads the namespace setting")]
    space: String,
    /// A nested setting.
    #[serde(default)]
    part: Part,
    /// The number of queries, one in each round.
    #[serde(default)]
    rounds: u32,
}

#[derive(Default, Deserialize, serde::Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Part {
    /// Whether it is on.
    #[serde(default = "yes")]
    on: bool,
    /// Only lower-case letters.
    #[serde(default)]
    #[schemars(regex(pattern = "^[a-z]*$"))]
    word: String,
}

fn yes() -> bool {
    true
}

struct Probing;

fn numbered(number: u32) -> ObjectRef {
    TypeMeta::of::<ConfigMap>().namespaced("other", format!("number-{number}"))
}

impl Plugin for Probing {
    type Settings = Settings;

    fn describe() -> Descriptor {
        Descriptor::new("probing", "1.2.3").namespace_setting("space").depends_on("k8s", 6)
    }

    fn plan(context: &Context<Settings>) -> Result<Outcome, Problem> {
        let mut known = 0;
        for number in 0..context.settings.rounds {
            match context.object(&numbered(number)) {
                ObjectFact::Unknown => return Ok(Outcome::needs_facts([Query::Object(numbered(number))])),
                ObjectFact::Present(_) => known += 1,
                ObjectFact::Absent => {}
            }
        }
        let text = Object::of(&json!({
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": "seen", "namespace": context.namespace},
            "data": {
                "release": context.release,
                "kubernetes": context.kubernetes_version,
                "installed": context.installed.as_ref().map(|installed| &installed.version),
                "on": context.settings.part.on,
                "word": context.settings.part.word,
                "known": known,
            },
        }));
        Ok(Plan::new().stage(Stage::new("all").object(text)).into())
    }
}

fn seen(case: Case<Probing>) -> Value {
    case.plan().expect("the settings have a plan").object("ConfigMap", "seen")
}

#[test]
fn an_object_can_be_a_kubernetes_type_or_json() {
    let name = Some("demo".to_owned());
    let typed = Namespace { metadata: ObjectMeta { name, ..ObjectMeta::default() }, ..Namespace::default() };
    let text = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "demo"}});
    assert_eq!(Object::of(&typed), Object::of(&text));
    assert_eq!(Object::of(&typed).reference(), TypeMeta::of::<Namespace>().cluster_scoped("demo"));
}

#[test]
#[should_panic(expected = "a manifest has no /metadata/name")]
fn an_object_without_a_name_panics() {
    Object::of(&json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {}}));
}

#[test]
fn an_object_states_what_happens_on_change_and_on_uninstall() {
    let object = || Object::of(&json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}}));
    let policies = |object: Object| match Step::from(object) {
        Step::Object(step) => (step.on_change, step.on_uninstall),
        other => panic!("{other:?}"),
    };
    assert_eq!(policies(object()), (OnChange::Update, OnUninstall::Delete));
    assert_eq!(policies(object().retain()), (OnChange::Update, OnUninstall::Retain));
    assert_eq!(policies(object().create_only()), (OnChange::CreateOnly, OnUninstall::Delete));
    assert_eq!(policies(object().recreate()), (OnChange::Recreate, OnUninstall::Delete));
}

#[test]
fn a_secret_states_the_source_of_each_value() {
    let from = SecretKey { namespace: "default".into(), name: "source".into(), key: "token".into() };
    let secret = Secret::new("demo", "login")
        .of_type("kubernetes.io/basic-auth")
        .plain("username", "root")
        .input("password", "admin-password")
        .random("cookie", 32, Encoding::Base64url)
        .copy("token", from)
        .template("url", "https://${username}:${password}@db")
        .retain();
    assert_eq!(secret.reference(), TypeMeta::new("v1", "Secret").namespaced("demo", "login"));
    let Step::Secret(step) = Step::from(secret) else { panic!("a Secret becomes a secret step") };
    assert_eq!(
        (step.secret_type.as_str(), step.on_uninstall),
        ("kubernetes.io/basic-auth", OnUninstall::Retain)
    );
    let text = format!("{:?}", step.content);
    for part in [
        r#"key: "username", source: SecretSource::Plain("root")"#,
        r#"key: "password", source: SecretSource::Input("admin-password")"#,
        r#"key: "cookie", source: SecretSource::Random(RandomText { bytes: 32, encoding: Encoding::Base64url })"#,
        r#"key: "token", source: SecretSource::Copy(SecretKey { namespace: "default", name: "source", key: "token" })"#,
        r#"key: "url", source: SecretSource::Template("https://${username}:${password}@db")"#,
    ] {
        assert!(text.contains(part), "{part} is not in {text}");
    }
}

#[test]
fn by_default_a_check_expects_existence_and_is_an_error() {
    let check = Check::ready("runs", "It runs", TypeMeta::of::<Deployment>().namespaced("demo", "server"));
    assert_eq!(
        (check.expect, check.severity, check.timeout_seconds),
        (Expectation::Holds, Severity::Error, 120)
    );
    let check = Check::objects("any", "There is one", TypeMeta::of::<Namespace>().all())
        .cel("size(objects) > 1")
        .warning()
        .timeout_seconds(3)
        .remedy("Make one.");
    assert_eq!(check.expect, Expectation::Cel("size(objects) > 1".into()));
    assert_eq!((check.severity, check.timeout_seconds), (Severity::Warning, 3));
    assert_eq!(check.remedy.as_deref(), Some("Make one."));
}

#[test]
fn a_json_body_sets_the_content_type() {
    let request = HttpProbe::service(HttpMethod::Post, "demo", "server", 80, "/login?a=b")
        .header("accept", "text/plain")
        .json(&json!({"user": "root"}))
        .follow_redirects();
    let Probe::Http(request) = Check::http("login", "It answers", request).probe else {
        panic!("the check has an HTTP probe")
    };
    let HttpTarget::Service(service) = &request.target else { panic!("the target is a Service") };
    assert_eq!((service.port, service.path.as_str()), (80, "/login?a=b"));
    assert_eq!(
        request.headers,
        [
            ("accept".to_owned(), "text/plain".to_owned()),
            ("content-type".to_owned(), "application/json".to_owned()),
        ]
    );
    assert_eq!(request.body.as_deref(), Some(r#"{"user":"root"}"#));
    assert!(request.follow_redirects);
    let plain = HttpProbe::url(HttpMethod::Get, "https://example.com/");
    assert!(plain.headers.is_empty() && plain.body.is_none() && !plain.follow_redirects);
}

#[test]
fn the_descriptor_gets_the_schema_of_the_settings_type() {
    let descriptor = describe::<Probing>();
    assert_eq!((descriptor.title.as_str(), descriptor.version.as_str()), ("probing", "1.2.3"));
    let stated: Value = serde_json::from_str(&descriptor.settings_schema).expect("a schema is JSON");
    assert_eq!(stated, schema::<Probing>());
    thinkube_validate::SettingsSchema::new(stated.clone()).expect("the host accepts the schema");
    assert_eq!(stated["additionalProperties"], false);
    assert_eq!(stated["properties"]["space"]["description"], "The namespace.");
    assert!(!descriptor.settings_schema.contains("$ref"), "every setting is described in place");
}

#[test]
fn the_test_kit_fills_in_defaults_as_the_host_does() {
    let seen = seen(Case::new(json!({"part": {"word": "x"}})));
    assert_eq!((&seen["data"]["on"], &seen["data"]["word"]), (&json!(true), &json!("x")));
}

#[test]
fn the_test_kit_rejects_what_the_host_rejects() {
    for settings in [
        json!({"spaec": "a"}),
        json!({"space": 1}),
        json!({"part": {"word": "A"}}),
        json!({"part": {"of": true}}),
        json!([]),
    ] {
        let result = Case::<Probing>::new(settings.clone()).plan();
        assert!(matches!(result, Err(PlanError::InvalidInput(_))), "{settings}: {result:?}");
    }
}

#[test]
fn the_namespace_is_the_settings_or_the_releases() {
    let namespace = |case| seen(case)["metadata"]["namespace"].clone();
    assert_eq!(namespace(Case::new(json!({"space": "mine"}))), "mine");
    assert_eq!(
        plan::<Probing>(json!({"space": "mine"})).object("ConfigMap", "seen")["data"]["release"],
        "probing"
    );
}

#[test]
fn a_case_sets_every_input_of_a_plan() {
    let installed = Installed { version: "1.0.0".into(), settings: "{}".into(), revision: 3 };
    let case = Case::new(json!({})).release("second").kubernetes_version("1.30").installed(installed);
    let data = seen(case)["data"].clone();
    assert_eq!((&data["release"], &data["kubernetes"]), (&json!("second"), &json!("1.30")));
    assert_eq!(data["installed"], "1.0.0");
}

#[test]
fn facts_are_answered_until_there_is_a_plan() {
    let answer = |query: &Query| match query {
        Query::Object(object) if object.name == "number-1" => {
            Some(Answer::Object(json!({"metadata": {"name": "number-1"}}).to_string()))
        }
        _ => Some(Answer::Absent),
    };
    assert_eq!(seen(Case::new(json!({"rounds": 3})).facts(answer))["data"]["known"], 1);
}

#[test]
fn an_unanswered_query_and_endless_queries_end_the_run() {
    let unanswered = Case::<Probing>::new(json!({"rounds": 1})).plan();
    assert_eq!(unanswered, Err(PlanError::UnansweredQuery(Query::Object(numbered(0)))));
    let endless = Case::<Probing>::new(json!({"rounds": 99})).facts(|_| Some(Answer::Absent)).plan();
    assert_eq!(endless, Err(PlanError::TooManyRounds));
}

#[test]
fn several_queries_can_be_asked_at_once() {
    struct Both;
    impl Plugin for Both {
        type Settings = Settings;
        fn describe() -> Descriptor {
            Descriptor::new("both", "1.0.0").reads(TypeMeta::of::<ConfigMap>(), Scope::Cluster)
        }
        fn plan(context: &Context<Settings>) -> Result<Outcome, Problem> {
            let all = TypeMeta::of::<ConfigMap>().all();
            let queries = [Query::Objects(all.clone()), Query::Served(TypeMeta::of::<ConfigMap>())];
            if let Some(needs) = context.missing(queries) {
                return Ok(needs);
            }
            let count = context.objects(&all).map(|objects| objects.len());
            Err(Problem::other(format!("{count:?} {:?}", context.served(&TypeMeta::of::<ConfigMap>()))))
        }
    }
    let answer = |query: &Query| match query {
        Query::Objects(_) => Some(Answer::Objects(vec!["{}".into(), "{}".into()])),
        _ => Some(Answer::Served(true)),
    };
    let outcome = Case::<Both>::new(json!({})).facts(answer).plan();
    assert_eq!(outcome, Err(PlanError::Problem(Problem::other("Some(2) Some(true)"))));
}

#[test]
fn the_tutorial_shows_the_tested_example() {
    let page = include_str!("../../docs/write-a-plugin/README.md");
    let code = include_str!("../examples/greeting.rs");
    assert!(
        page.contains(code),
        "docs/write-a-plugin/README.md and sdk/examples/greeting.rs have drifted apart"
    );
}
