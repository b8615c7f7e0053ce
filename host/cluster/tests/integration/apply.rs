//! Comparing and applying plans.

use crate::support::{Reports, fixture, on_change, password, plan, random, secrets, step};
use serde_json::json;
use std::time::Duration;
use thinkube_cluster::{Adopt, ApplyError, ApplyOptions, CopyState, DiffError, Error};
use thinkube_plan::{
    Action, Binding, Diagnostic as _, Hint, ObjectRef, OnChange, Output, OutputRef, Plan, Probe, Query,
    SecretKey, SecretSource, SecretText, Selection, Step, Values,
};

#[tokio::test]
async fn a_second_apply_sends_no_write_and_one_list_a_kind() {
    let Some(fixture) = fixture().await else { return };
    let plan = fixture.usual();
    let before = fixture.audit_end();
    let release = fixture.apply(&plan).await.unwrap().expect("the first apply writes");
    let first = fixture.requests_since(before, "tester").await;
    assert_eq!(release.revision, 1);
    assert!(release.inventory.iter().all(|entry| entry.uid.is_some()), "{release:#?}");
    assert_eq!(
        fixture.labelled().await,
        [
            "configmaps/settings".to_owned(),
            "deployments/deployment".into(),
            format!("namespaces/{}", fixture.namespace),
            "secrets/root".into(),
            "services/web".into(),
            "statefulsets/statefulset".into()
        ]
    );
    // The record comes before the first object.
    let position = |path: &str, verb: &str| {
        first.iter().position(|asked| asked.uri.contains(path) && asked.verb == verb)
    };
    let state_namespace = format!("/namespaces/{}/configmaps", fixture.state_namespace);
    assert!(position(&state_namespace, "create").unwrap() < position("", "patch").unwrap(), "{first:#?}");

    let before = fixture.audit_end();
    assert!(fixture.apply(&plan).await.unwrap().is_none(), "the second has nothing to do");
    let asked = fixture.requests_since(before, "tester").await;
    assert!(asked.iter().all(|asked| matches!(asked.verb.as_str(), "get" | "list")), "{asked:#?}");
    let lists = asked.iter().filter(|asked| asked.verb == "list").count();
    assert_eq!((lists, asked.len()), (6, 7), "one LIST a kind and the parent: {asked:#?}");

    // Another process knows no more than the cluster, and sees the same.
    let reports = Reports::default();
    let again = fixture.cluster.dry_run(&plan, &secrets()).await.unwrap();
    assert!(again.iter().all(|change| change.action == Action::Unchanged), "{again:#?}{}", reports.all());
    fixture.uninstall(true).await.unwrap();
    fixture.clean().await;
}

#[tokio::test]
async fn a_change_is_shown_by_field_and_writes_that_object_alone() {
    let Some(fixture) = fixture().await else { return };
    let first = fixture.plan(vec![(
        "one",
        vec![fixture.namespace_step(), fixture.config("a", "1"), fixture.config("b", "1")],
    )]);
    let dry = fixture.cluster.dry_run(&first, &secrets()).await.unwrap();
    assert!(dry.iter().all(|change| change.action == Action::Create), "{dry:#?}");
    assert!(dry[1].note.as_deref().unwrap().contains("this plan creates its namespace"), "{dry:#?}");
    assert!(
        fixture.get(&format!("/api/v1/namespaces/{}", fixture.namespace)).await.is_none(),
        "a dry run made it"
    );
    fixture.apply(&first).await.unwrap();

    let second = fixture.plan(vec![(
        "one",
        vec![fixture.namespace_step(), fixture.config("b", "2"), fixture.config("c", "1")],
    )]);
    let before = fixture.audit_end();
    let dry = fixture.cluster.dry_run(&second, &secrets()).await.unwrap();
    assert_eq!(fixture.writes_since(before, "tester").await.len(), 0);
    let shown: Vec<(String, Action, usize)> = dry
        .iter()
        .map(|change| (change.object().expect("an object").name.clone(), change.action, change.fields.len()))
        .collect();
    assert_eq!(shown[0].1, Action::Unchanged);
    assert_eq!(shown[1], ("b".into(), Action::Update, 1));
    assert_eq!(dry[1].fields[0].path, "data.key");
    assert_eq!((shown[2].0.as_str(), shown[2].1), ("c", Action::Create));
    assert_eq!((shown[3].0.as_str(), shown[3].1), ("a", Action::Delete));

    let before = fixture.audit_end();
    let release = fixture.apply(&second).await.unwrap().unwrap();
    let patched: Vec<String> = fixture
        .writes_since(before, "tester")
        .await
        .into_iter()
        .filter(|asked| asked.verb == "patch")
        .map(|asked| asked.uri)
        .collect();
    assert_eq!(patched.len(), 2, "{patched:#?}");
    assert_eq!(release.revision, 2);
    assert!(
        fixture.get(&fixture.core("configmaps", "a")).await.is_none(),
        "what the plan no longer has goes"
    );
    assert_eq!(fixture.labelled().await.len(), 3);
    assert_eq!(release.inventory.len(), 3);
    fixture.uninstall(true).await.unwrap();
    fixture.clean().await;
}

#[tokio::test]
async fn a_changed_field_is_found_and_reported_with_its_manager() {
    let Some(fixture) = fixture().await else { return };
    let plan = fixture.plan(vec![("one", vec![fixture.namespace_step(), fixture.config("a", "1")])]);
    fixture.apply(&plan).await.unwrap();
    let path = fixture.core("configmaps", "a");
    // Beside our fields: none of our business.
    fixture
        .ask("PATCH", &format!("{path}?fieldManager=someone"), Some(json!({"data": {"other": "x"}})))
        .await
        .unwrap();
    assert!(fixture.compare(&plan).await.unwrap().up_to_date());
    fixture
        .ask("PATCH", &format!("{path}?fieldManager=someone"), Some(json!({"data": {"key": "2"}})))
        .await
        .unwrap();
    assert!(!fixture.compare(&plan).await.unwrap().up_to_date());
    let dry = fixture.cluster.dry_run(&plan, &secrets()).await.unwrap();
    assert!(dry[1].note.as_deref().unwrap().contains(".data.key by someone"), "{dry:#?}");
    match fixture.apply(&plan).await {
        Err(Error::Apply(ApplyError::Conflict { object, fields })) => {
            assert_eq!(object.name, "a");
            assert_eq!(fields[0].field, ".data.key");
            assert!(fields[0].manager.starts_with("someone"), "{fields:?}");
        }
        other => panic!("{other:?}"),
    }
    let release = fixture.cluster.release("demo").await.unwrap().unwrap();
    assert_eq!(release.phase, thinkube_cluster::Phase::Failed);
    assert!(release.message.unwrap().contains("ConfigMap"), "the reason is recorded");
    // What was deleted by hand comes back.
    fixture.ask("DELETE", &path, None).await.unwrap();
    fixture.apply(&plan).await.unwrap().unwrap();
    assert!(fixture.get(&path).await.is_some());
    fixture.uninstall(true).await.unwrap();
    fixture.clean().await;
}

#[tokio::test]
async fn secrets_are_composed_kept_copied_and_never_recorded() {
    let Some(fixture) = fixture().await else { return };
    let copy =
        SecretKey { namespace: fixture.namespace.clone(), name: "root".into(), key: "password".into() };
    let mut plan = fixture.usual();
    plan.plugin_plan.stages[1]
        .steps
        .push(fixture.secret("copied", vec![("p", SecretSource::Copy(copy)), ("own", random())]));
    fixture.apply(&plan).await.unwrap();
    let of = |secret: &serde_json::Value, key: &str| {
        use base64::Engine as _;
        let text = secret["data"][key].as_str().unwrap().to_owned();
        String::from_utf8(base64::engine::general_purpose::STANDARD.decode(text).unwrap()).unwrap()
    };
    let root = fixture.get(&fixture.core("secrets", "root")).await.unwrap();
    assert_eq!(of(&root, "url"), "http://admin:hunter2-and-more@x");
    assert_eq!(of(&fixture.get(&fixture.core("secrets", "copied")).await.unwrap(), "p"), "hunter2-and-more");
    assert!(fixture.compare(&plan).await.unwrap().up_to_date());

    // A new value of the input reaches the Secret and its copies; the random value stays.
    let changed = password("changed");
    let dry = fixture.cluster.dry_run(&plan, &changed).await.unwrap();
    let text = format!("{dry:?}");
    assert!(
        text.contains("data.password") && !text.contains("hunter2") && !text.contains("changed-"),
        "{text}"
    );
    let reports = Reports::default();
    fixture.apply_with(&plan, &changed, &ApplyOptions::default(), &reports).await.unwrap().unwrap();
    let after = fixture.get(&fixture.core("secrets", "root")).await.unwrap();
    assert_eq!(of(&after, "url"), "http://admin:changed@x");
    assert_eq!(of(&after, "cookie"), of(&root, "cookie"));
    // The copy, in a later stage, follows its source in the same apply.
    assert_eq!(of(&fixture.get(&fixture.core("secrets", "copied")).await.unwrap(), "p"), "changed");

    let state_namespace =
        fixture.get(&format!("/api/v1/namespaces/{}/configmaps", fixture.state_namespace)).await.unwrap();
    let kept = format!("{state_namespace}{}", reports.all());
    for value in ["hunter2", "changed@", &of(&root, "cookie")] {
        assert!(!kept.contains(value), "{value}");
    }
    let missing = fixture.cluster.compare(&plan, &Values::default()).await.err().unwrap();
    assert!(
        matches!(&missing, Error::Diff(DiffError::MissingInput { input, .. }) if input == "admin-password"),
        "{missing}"
    );
    fixture.uninstall(true).await.unwrap();
    fixture.clean().await;
}

#[tokio::test]
async fn secrets_in_a_config_map_are_never_shown() {
    let Some(fixture) = fixture().await else { return };
    let disclosed = |text: &str| {
        let entries = vec![
            ("PASSWORD", SecretSource::Input("admin-password".into())),
            ("service.yaml", SecretSource::Template(text.into())),
        ];
        fixture.plan(vec![("one", vec![fixture.namespace_step(), fixture.disclosed("discovery", entries)])])
    };
    let plan = disclosed("password: ${PASSWORD:json}");
    let reports = Reports::default();
    let path = fixture.core("configmaps", "discovery");
    let mut shown = format!("{:?}", fixture.cluster.dry_run(&plan, &secrets()).await.unwrap());
    fixture.apply_with(&plan, &secrets(), &ApplyOptions::default(), &reports).await.unwrap().unwrap();
    let live = fixture.get(&path).await.unwrap();
    assert_eq!(
        live["data"],
        json!({"PASSWORD": "hunter2-and-more", "service.yaml": "password: \"hunter2-and-more\""})
    );
    assert_eq!(live["metadata"]["labels"]["of"], "discovery");
    assert!(fixture.cluster.compare(&plan, &secrets()).await.unwrap().up_to_date());

    let object = ObjectRef::of(&live).unwrap();
    shown += &format!("{:?}", fixture.cluster.answer(&Query::Object(object.clone())).await.unwrap());
    let selection = Selection {
        api_version: "v1".into(),
        kind: "ConfigMap".into(),
        namespace: object.namespace.clone(),
        label_selector: "of=discovery".into(),
    };
    shown += &format!("{:?}", fixture.cluster.answer(&Query::Objects(selection)).await.unwrap());
    let seen = fixture.cluster.observe(&Probe::Object(object)).await.unwrap();
    assert_eq!(seen.variables["object"]["keys"], json!(["PASSWORD", "service.yaml"]));
    shown += &format!("{seen:?}");

    // A foreign write into it is found, and its value is not shown either.
    for changed in [disclosed("${PASSWORD}"), fixture.plan(vec![("one", vec![fixture.namespace_step()])])] {
        shown += &format!("{:?}", fixture.cluster.dry_run(&changed, &secrets()).await.unwrap());
    }
    shown += &format!("{:?}", fixture.cluster.dry_run(&plan, &password("hunter3")).await.unwrap());
    let kubectl = |arguments: &[&str]| {
        let done = fixture.kubectl(&[&["--namespace", &fixture.namespace], arguments].concat());
        assert!(done.status.success(), "{done:?}");
    };
    kubectl(&["patch", "configmap", "discovery", "--patch", r#"{"data": {"PASSWORD": "hunter4"}}"#]);
    assert!(!fixture.cluster.compare(&plan, &secrets()).await.unwrap().up_to_date());
    shown += &format!("{:?}", fixture.cluster.dry_run(&plan, &secrets()).await.unwrap());

    // The plan after next has an open ConfigMap here: the existing one still holds a secret.
    let open =
        fixture.plan(vec![("one", vec![fixture.namespace_step(), fixture.config("discovery", "open")])]);
    let dry = format!("{:?}", fixture.cluster.dry_run(&open, &secrets()).await.unwrap());
    assert!(dry.contains("service.yaml"), "{dry}");
    shown += &dry;
    fixture.apply_with(&open, &secrets(), &ApplyOptions::default(), &reports).await.unwrap().unwrap();
    let live = fixture.get(&path).await.unwrap();
    assert_eq!(live["data"], json!({"key": "open"}));
    assert_eq!(live["metadata"].get("annotations"), None);

    let state_namespace =
        fixture.get(&format!("/api/v1/namespaces/{}/configmaps", fixture.state_namespace)).await.unwrap();
    shown += &format!("{state_namespace}{}", reports.all());
    for value in ["hunter2", "hunter3", "hunter4"] {
        assert!(!shown.contains(value), "{value}: {shown}");
    }
    fixture.uninstall(true).await.unwrap();
    fixture.clean().await;
}

#[tokio::test]
async fn outputs_of_a_step_reach_a_secret_and_a_manifest() {
    let Some(fixture) = fixture().await else { return };
    let at = |output: &str| OutputRef { step: "other".into(), output: output.into() };
    let Step::Object(mut config) = fixture.config("bound", "") else { panic!() };
    config.bindings = vec![Binding { pointer: "/data/key".into(), source: at("digest") }];
    let secret = fixture.secret("yielded", vec![("p", SecretSource::Output(at("password")))]);
    let plan = fixture.plan(vec![("one", vec![fixture.namespace_step(), Step::Object(config), secret])]);
    // Before the step has run, both need a write of a value that is not known.
    let dry = fixture.cluster.dry_run(&plan, &secrets()).await.unwrap();
    assert!(
        dry[1..].iter().all(|change| change.note.as_deref().unwrap_or("").contains("needs the output")),
        "{dry:?}"
    );

    let mut values = secrets();
    let missing =
        fixture.apply_with(&plan, &values, &ApplyOptions::default(), &Reports::default()).await.unwrap_err();
    assert!(missing.to_string().contains("step other has no output `digest`"), "{missing}");

    values.outputs.insert("other", "digest", Output::Open("sha256:0".into()));
    values.outputs.insert("other", "password", Output::Secret(SecretText::new("from-other".into())));
    let reports = Reports::default();
    fixture.apply_with(&plan, &values, &ApplyOptions::default(), &reports).await.unwrap().unwrap();
    assert_eq!(fixture.get(&fixture.core("configmaps", "bound")).await.unwrap()["data"]["key"], "sha256:0");
    assert_eq!(
        fixture.get(&fixture.core("secrets", "yielded")).await.unwrap()["data"]["p"],
        "ZnJvbS1vdGhlcg=="
    );
    assert!(fixture.cluster.compare(&plan, &values).await.unwrap().up_to_date());
    let state_namespace =
        fixture.get(&format!("/api/v1/namespaces/{}/configmaps", fixture.state_namespace)).await.unwrap();
    assert!(!format!("{state_namespace}{}", reports.all()).contains("from-other"));
    fixture.uninstall(true).await.unwrap();
    fixture.clean().await;
}

#[tokio::test]
async fn a_mirror_follows_its_source_and_keeps_its_type() {
    let Some(fixture) = fixture().await else { return };
    let wildcard = |key: &str| {
        json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "wildcard"}, "type": "kubernetes.io/tls",
            "stringData": {"tls.crt": "certificate", "tls.key": key}})
    };
    fixture.make_namespace(&fixture.state_namespace).await;
    let source = format!("/api/v1/namespaces/{}/secrets", fixture.state_namespace);
    let mut plan =
        fixture.plan(vec![("one", vec![fixture.namespace_step(), fixture.mirror("tls", "wildcard")])]);
    let missing = fixture.compare(&plan).await.err().unwrap();
    assert!(
        matches!(&missing, Error::Diff(DiffError::Invalid { message, .. }) if message.contains("does not exist")),
        "{missing}"
    );

    fixture.make(&source, wildcard("first")).await;
    fixture.apply(&plan).await.unwrap();
    let path = fixture.core("secrets", "tls");
    let first = fixture.get(&path).await.unwrap();
    let source_path = format!("{source}/wildcard");
    let state = async |plan: &Plan| {
        let mut copied = fixture.cluster.secret_copies(plan).await;
        assert_eq!(copied.len(), 1);
        copied.remove(0).state.unwrap()
    };
    assert_eq!(state(&plan).await, CopyState::Current);
    assert_eq!(first["type"], "kubernetes.io/tls");
    assert_eq!(first["data"], fixture.get(&source_path).await.unwrap()["data"]);
    assert!(fixture.compare(&plan).await.unwrap().up_to_date());

    fixture.ask("DELETE", &source_path, None).await.unwrap();
    assert_eq!(state(&plan).await, CopyState::NoSource);
    fixture.make(&source, wildcard("second")).await;
    assert_eq!(state(&plan).await, CopyState::Stale);
    let dry = format!("{:?}", fixture.cluster.dry_run(&plan, &secrets()).await.unwrap());
    assert!(dry.contains("tls.key") && !dry.contains("second"), "{dry}");
    fixture.apply(&plan).await.unwrap();
    assert_ne!(fixture.get(&path).await.unwrap()["data"], first["data"]);
    assert_eq!(state(&plan).await, CopyState::Current);

    let Step::Secret(step) = &mut plan.plugin_plan.stages[0].steps[1] else { panic!() };
    step.secret_type = "Opaque".into();
    let other = fixture.compare(&plan).await.err().unwrap();
    assert!(
        matches!(&other, Error::Diff(DiffError::Invalid { message, .. }) if message.contains("kubernetes.io/tls")),
        "{other}"
    );
    fixture.uninstall(true).await.unwrap();
    fixture.clean().await;
}

#[tokio::test]
async fn objects_are_kept_or_recreated_as_the_plan_says() {
    let Some(fixture) = fixture().await else { return };
    let job = |text: &str| {
        let job = fixture.object(json!({"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "j"},
            "spec": {"suspend": true, "template": {"spec": {"restartPolicy": "Never", "containers": [
                {"name": "c", "image": "none", "args": [text]}]}}}}));
        on_change(job, OnChange::Recreate)
    };
    let kept = |text: &str| on_change(fixture.config("kept", text), OnChange::CreateOnly);
    let first = fixture.plan(vec![("one", vec![fixture.namespace_step(), kept("1"), job("1")])]);
    fixture.apply(&first).await.unwrap();
    let uid = |object: &serde_json::Value| object["metadata"]["uid"].as_str().unwrap().to_owned();
    let path = format!("/apis/batch/v1/namespaces/{}/jobs/j", fixture.namespace);
    let before = fixture.get(&path).await.unwrap();

    let second = fixture.plan(vec![("one", vec![fixture.namespace_step(), kept("2"), job("2")])]);
    let dry = fixture.cluster.dry_run(&second, &secrets()).await.unwrap();
    assert_eq!((dry[1].action, dry[2].action), (Action::Keep, Action::Recreate), "{dry:#?}");
    fixture.apply(&second).await.unwrap();
    let after = fixture.get(&path).await.unwrap();
    assert_ne!(uid(&before), uid(&after));
    assert_eq!(after["spec"]["template"]["spec"]["containers"][0]["args"][0], "2");
    assert_eq!(fixture.get(&fixture.core("configmaps", "kept")).await.unwrap()["data"]["key"], "1");

    // An invalid manifest is no reason to delete the existing object.
    let mut wrong = second.clone();
    if let Step::Object(job) = &mut wrong.plugin_plan.stages[0].steps[2] {
        job.manifest["spec"]["template"]["spec"]["restartPolicy"] = json!("Sometimes");
    }
    let error = fixture.apply(&wrong).await.unwrap_err();
    assert!(matches!(error, Error::Apply(ApplyError::Rejected { .. })), "{error}");
    assert_eq!(uid(&fixture.get(&path).await.unwrap()), uid(&after));
    fixture.uninstall(true).await.unwrap();
    fixture.clean().await;
}

#[tokio::test]
async fn an_existing_object_is_adopted_only_by_name() {
    let Some(fixture) = fixture().await else { return };
    fixture.make_namespace(&fixture.namespace).await;
    let body =
        json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}, "data": {"mine": "x"}});
    fixture.make(&fixture.core("configmaps", ""), body).await;
    let plan = fixture.plan(vec![("one", vec![fixture.namespace_step(), fixture.config("a", "1")])]);
    let before = fixture.audit_end();
    let error = fixture.apply(&plan).await.unwrap_err();
    assert!(
        matches!(&error, Error::Diff(DiffError::NotOwned { objects, .. }) if objects.len() == 1),
        "{error}"
    );
    assert_eq!(error.hint(), Some(Hint::Adopt(format!("ConfigMap/{}/a", fixture.namespace))), "{error}");
    assert_eq!(fixture.writes_since(before, "tester").await.len(), 0);

    let adopt: Adopt = format!("ConfigMap/{}/a", fixture.namespace).parse().unwrap();
    let reports = Reports::default();
    let options = ApplyOptions { adopt: vec![adopt], ..Default::default() };
    fixture.apply_with(&plan, &secrets(), &options, &reports).await.unwrap().unwrap();
    assert!(reports.all().contains("Used { object"), "the Namespace is used: {}", reports.all());
    assert!(fixture.compare(&plan).await.unwrap().up_to_date());
    assert_eq!(fixture.labelled().await, ["configmaps/a"]);
    let gone = fixture.uninstall(true).await.unwrap();
    assert_eq!(gone.deleted.len(), 1);
    assert!(gone.kept[0].1.contains("existed before"), "{gone:?}");
    fixture.clean().await;
}

#[tokio::test]
async fn a_definition_and_its_objects_are_applied_and_deleted() {
    let Some(fixture) = fixture().await else { return };
    let group = format!("g{}.thinkube.test", fixture.id);
    let plan = plan(&fixture.namespace, vec![("all", vec![
        fixture.namespace_step(),
        step(json!({"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
            "metadata": {"name": format!("things.{group}")}, "spec": {"group": group, "scope": "Namespaced",
                "names": {"plural": "things", "singular": "thing", "kind": "Thing", "listKind": "ThingList"},
                "versions": [{"name": "v1", "served": true, "storage": true, "schema": {"openAPIV3Schema": {"type": "object",
                    "properties": {"spec": {"type": "object", "properties": {"size": {"type": "integer"}}}}}}}]}})),
        fixture.object(json!({"apiVersion": format!("{group}/v1"), "kind": "Thing", "metadata": {"name": "t"}, "spec": {"size": 3}})),
    ])]);
    let dry = fixture.cluster.dry_run(&plan, &secrets()).await.unwrap();
    assert!(dry.iter().all(|change| change.action == Action::Create), "{dry:#?}");
    fixture.apply(&plan).await.unwrap().unwrap();
    assert!(fixture.compare(&plan).await.unwrap().up_to_date());
    let gone = fixture.uninstall(false).await.unwrap();
    assert!(gone.kept.iter().any(|(object, _)| object.kind == "CustomResourceDefinition"), "{gone:?}");
    fixture.apply(&plan).await.unwrap().unwrap();
    let gone = fixture.uninstall(true).await.unwrap();
    assert_eq!((gone.deleted.len(), gone.kept.len()), (3, 0), "{gone:?}");
    fixture.clean().await;
}

#[tokio::test]
async fn a_skipped_stage_is_neither_applied_nor_compared_again() {
    let Some(fixture) = fixture().await else { return };
    let plan = fixture.plan(vec![
        ("one", vec![fixture.namespace_step(), fixture.config("a", "1")]),
        ("two", vec![fixture.config("b", "1")]),
    ]);
    let inputs = secrets();
    let diff = fixture.compare(&plan).await.unwrap();
    let options = ApplyOptions::default();
    let mut apply = fixture.cluster.begin(&plan, &inputs, diff, &options, &|_| {}).await.unwrap();
    apply.apply_stage(0).await.unwrap();
    apply.wait(0, Duration::from_secs(30)).await.unwrap();
    apply.skip_stage(1).await;
    apply.prune_objects().await.unwrap();
    let release = apply.finish().await.unwrap();
    assert_eq!(release.inventory.len(), 3, "it may exist all the same");
    assert!(fixture.get(&fixture.core("configmaps", "b")).await.is_none());
    let diff = fixture.compare(&plan).await.unwrap();
    assert!(diff.up_to_date());
    assert_eq!(diff.skipped_stages(), ["two"]);
    // When its `skip_if` no longer holds it is applied.
    let mut apply = fixture.cluster.begin(&plan, &inputs, diff, &options, &|_| {}).await.unwrap();
    for stage in 0..2 {
        apply.apply_stage(stage).await.unwrap();
    }
    apply.finish().await.unwrap();
    assert!(fixture.get(&fixture.core("configmaps", "b")).await.is_some());
    assert!(fixture.compare(&plan).await.unwrap().skipped_stages().is_empty());
    fixture.uninstall(true).await.unwrap();
    fixture.clean().await;
}

#[tokio::test]
async fn a_retained_object_is_deleted_only_with_the_data() {
    let Some(fixture) = fixture().await else { return };
    let mut kept = fixture.config("kept", "1");
    if let Step::Object(object) = &mut kept {
        object.on_uninstall = thinkube_plan::OnUninstall::Retain;
    }
    let first = fixture.plan(vec![("one", vec![fixture.namespace_step(), kept, fixture.config("a", "1")])]);
    fixture.apply(&first).await.unwrap();
    let second = fixture.plan(vec![("one", vec![fixture.namespace_step(), fixture.config("a", "1")])]);
    let dry = fixture.cluster.dry_run(&second, &secrets()).await.unwrap();
    assert_eq!(dry[2].action, Action::Keep, "{dry:#?}");
    let release = fixture.apply(&second).await.unwrap().unwrap();
    assert_eq!(release.inventory.len(), 3);
    assert!(fixture.compare(&second).await.unwrap().up_to_date());
    let gone = fixture.uninstall(true).await.unwrap();
    assert!(gone.deleted.iter().any(|object| object.name == "kept"), "{gone:?}");
    fixture.clean().await;
}

#[tokio::test]
async fn warnings_of_the_server_are_reported() {
    let Some(fixture) = fixture().await else { return };
    let old = fixture.object(json!({"apiVersion": "networking.k8s.io/v1", "kind": "Ingress",
        "metadata": {"name": "web", "annotations": {"kubernetes.io/ingress.class": "none"}},
        "spec": {"defaultBackend": {"service": {"name": "web", "port": {"number": 80}}}}}));
    fixture.make_namespace(&fixture.namespace).await;
    let plan = fixture.plan(vec![("one", vec![old])]);
    let dry = fixture.cluster.dry_run(&plan, &secrets()).await.unwrap();
    assert!(dry[0].note.as_deref().unwrap().contains("ingress.class"), "{dry:#?}");
    let reports = Reports::default();
    fixture.apply_with(&plan, &secrets(), &ApplyOptions::default(), &reports).await.unwrap();
    assert!(
        reports.all().contains("Warning(\"") && reports.all().contains("ingress.class"),
        "{}",
        reports.all()
    );
    fixture.uninstall(true).await.unwrap();
    fixture.clean().await;
}

/// A figure that does not depend on the machine: requests an object.
#[tokio::test]
async fn many_objects_cost_one_write_each_and_then_none() {
    let Some(fixture) = fixture().await else { return };
    let mut steps = vec![fixture.namespace_step()];
    steps.extend((0..300).map(|number| fixture.config(&format!("c{number}"), "1")));
    let plan = fixture.plan(vec![("one", steps)]);
    let before = fixture.audit_end();
    let started = std::time::Instant::now();
    fixture.apply(&plan).await.unwrap().unwrap();
    let first = (fixture.requests_since(before, "tester").await.len(), started.elapsed());
    assert!(first.0 < 300 * 105 / 100 + 30, "{first:?}");
    let before = fixture.audit_end();
    assert!(fixture.apply(&plan).await.unwrap().is_none());
    let second = fixture.requests_since(before, "tester").await.len();
    assert_eq!(second, 3, "two kinds and the record");
    fixture.uninstall(true).await.unwrap();
    fixture.clean().await;
}

/// What a release leaves in the cluster is an ApplySet to kubectl, and one that is not its own.
#[tokio::test]
async fn kubectl_lists_the_members_and_refuses_the_set() {
    let Some(fixture) = fixture().await else { return };
    let plan = fixture.plan(vec![("one", vec![fixture.namespace_step(), fixture.config("a", "1")])]);
    let release = fixture.apply(&plan).await.unwrap().unwrap();
    let selector = format!("applyset.kubernetes.io/part-of={}", release.applyset_id);
    let listed = fixture.kubectl(&["get", "configmaps,namespaces", "-A", "-o", "name", "-l", &selector]);
    let listed = String::from_utf8(listed.stdout).unwrap();
    assert_eq!(listed, format!("configmap/a\nnamespace/{}\n", fixture.namespace));

    let file = fixture.folder.path().join("x.yaml");
    std::fs::write(&file, "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: x}\n").unwrap();
    let file = file.display().to_string();
    let set = "--applyset=configmap/release-demo";
    let taken = fixture.kubectl(&[
        "apply",
        "--server-side",
        "-n",
        &fixture.state_namespace,
        "--prune",
        set,
        "-f",
        &file,
    ]);
    let reports = String::from_utf8(taken.stderr).unwrap();
    assert!(!taken.status.success() && reports.contains("\"thinkube-host\" instead of"), "{reports}");
    assert!(fixture.compare(&plan).await.unwrap().up_to_date());
    fixture.uninstall(true).await.unwrap();
    fixture.clean().await;
}
