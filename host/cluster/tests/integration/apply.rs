use crate::support::{Said, bench, on_change, password, plan, random, secrets, step};
use serde_json::json;
use std::time::Duration;
use thinkube_cluster::{Adopt, ApplyError, ApplyOptions, CopyState, DiffError, Error};
use thinkube_plan::{
    Action, Binding, Diagnostic as _, Hint, ObjectRef, OnChange, Output, OutputRef, Plan, Probe, Query,
    SecretKey, SecretSource, SecretText, Selection, Step, Values,
};

#[tokio::test]
async fn a_second_apply_sends_no_write_and_one_list_a_kind() {
    let Some(bench) = bench().await else { return };
    let plan = bench.usual();
    let before = bench.audit_end();
    let release = bench.apply(&plan).await.unwrap().expect("the first apply writes");
    let first = bench.asked_since(before, "tester").await;
    assert_eq!(release.revision, 1);
    assert!(release.inventory.iter().all(|entry| entry.uid.is_some()), "{release:#?}");
    assert_eq!(
        bench.labelled().await,
        [
            "configmaps/settings".to_owned(),
            "deployments/deployment".into(),
            format!("namespaces/{}", bench.namespace),
            "secrets/root".into(),
            "services/web".into(),
            "statefulsets/statefulset".into()
        ]
    );
    // The record comes before the first object.
    let position = |path: &str, verb: &str| {
        first.iter().position(|asked| asked.uri.contains(path) && asked.verb == verb)
    };
    let state_namespace = format!("/namespaces/{}/configmaps", bench.state_namespace);
    assert!(position(&state_namespace, "create").unwrap() < position("", "patch").unwrap(), "{first:#?}");

    let before = bench.audit_end();
    assert!(bench.apply(&plan).await.unwrap().is_none(), "the second has nothing to do");
    let asked = bench.asked_since(before, "tester").await;
    assert!(asked.iter().all(|asked| matches!(asked.verb.as_str(), "get" | "list")), "{asked:#?}");
    let lists = asked.iter().filter(|asked| asked.verb == "list").count();
    assert_eq!((lists, asked.len()), (6, 7), "one LIST a kind and the parent: {asked:#?}");

    // Another process knows no more than the cluster, and sees the same.
    let said = Said::default();
    let again = bench.cluster.dry_run(&plan, &secrets()).await.unwrap();
    assert!(again.iter().all(|change| change.action == Action::Unchanged), "{again:#?}{}", said.all());
    bench.uninstall(true).await.unwrap();
    bench.clean().await;
}

#[tokio::test]
async fn a_change_is_shown_by_field_and_writes_that_object_alone() {
    let Some(bench) = bench().await else { return };
    let first = bench
        .plan(vec![("one", vec![bench.namespace_step(), bench.config("a", "1"), bench.config("b", "1")])]);
    let dry = bench.cluster.dry_run(&first, &secrets()).await.unwrap();
    assert!(dry.iter().all(|change| change.action == Action::Create), "{dry:#?}");
    assert!(dry[1].note.as_deref().unwrap().contains("this plan creates its namespace"), "{dry:#?}");
    assert!(
        bench.get(&format!("/api/v1/namespaces/{}", bench.namespace)).await.is_none(),
        "a dry run made it"
    );
    bench.apply(&first).await.unwrap();

    let second = bench
        .plan(vec![("one", vec![bench.namespace_step(), bench.config("b", "2"), bench.config("c", "1")])]);
    let before = bench.audit_end();
    let dry = bench.cluster.dry_run(&second, &secrets()).await.unwrap();
    assert_eq!(bench.writes_since(before, "tester").await.len(), 0);
    let shown: Vec<(String, Action, usize)> = dry
        .iter()
        .map(|change| (change.object().expect("an object").name.clone(), change.action, change.fields.len()))
        .collect();
    assert_eq!(shown[0].1, Action::Unchanged);
    assert_eq!(shown[1], ("b".into(), Action::Update, 1));
    assert_eq!(dry[1].fields[0].path, "data.key");
    assert_eq!((shown[2].0.as_str(), shown[2].1), ("c", Action::Create));
    assert_eq!((shown[3].0.as_str(), shown[3].1), ("a", Action::Delete));

    let before = bench.audit_end();
    let release = bench.apply(&second).await.unwrap().unwrap();
    let patched: Vec<String> = bench
        .writes_since(before, "tester")
        .await
        .into_iter()
        .filter(|asked| asked.verb == "patch")
        .map(|asked| asked.uri)
        .collect();
    assert_eq!(patched.len(), 2, "{patched:#?}");
    assert_eq!(release.revision, 2);
    assert!(bench.get(&bench.core("configmaps", "a")).await.is_none(), "what the plan no longer has goes");
    assert_eq!(bench.labelled().await.len(), 3);
    assert_eq!(release.inventory.len(), 3);
    bench.uninstall(true).await.unwrap();
    bench.clean().await;
}

#[tokio::test]
async fn what_somebody_changes_in_our_fields_is_seen_and_reported_with_its_holder() {
    let Some(bench) = bench().await else { return };
    let plan = bench.plan(vec![("one", vec![bench.namespace_step(), bench.config("a", "1")])]);
    bench.apply(&plan).await.unwrap();
    let path = bench.core("configmaps", "a");
    // Beside our fields: none of our business.
    bench
        .ask("PATCH", &format!("{path}?fieldManager=someone"), Some(json!({"data": {"other": "x"}})))
        .await
        .unwrap();
    assert!(bench.compare(&plan).await.unwrap().up_to_date());
    bench
        .ask("PATCH", &format!("{path}?fieldManager=someone"), Some(json!({"data": {"key": "2"}})))
        .await
        .unwrap();
    assert!(!bench.compare(&plan).await.unwrap().up_to_date());
    let dry = bench.cluster.dry_run(&plan, &secrets()).await.unwrap();
    assert!(dry[1].note.as_deref().unwrap().contains(".data.key by someone"), "{dry:#?}");
    match bench.apply(&plan).await {
        Err(Error::Apply(ApplyError::Conflict { object, fields })) => {
            assert_eq!(object.name, "a");
            assert_eq!(fields[0].field, ".data.key");
            assert!(fields[0].manager.starts_with("someone"), "{fields:?}");
        }
        other => panic!("{other:?}"),
    }
    let release = bench.cluster.release("demo").await.unwrap().unwrap();
    assert_eq!(release.phase, thinkube_cluster::Phase::Failed);
    assert!(release.message.unwrap().contains("ConfigMap"), "the reason is recorded");
    // What was deleted by hand comes back.
    bench.ask("DELETE", &path, None).await.unwrap();
    bench.apply(&plan).await.unwrap().unwrap();
    assert!(bench.get(&path).await.is_some());
    bench.uninstall(true).await.unwrap();
    bench.clean().await;
}

#[tokio::test]
async fn secrets_are_composed_kept_followed_and_never_recorded() {
    let Some(bench) = bench().await else { return };
    let copy = SecretKey { namespace: bench.namespace.clone(), name: "root".into(), key: "password".into() };
    let mut plan = bench.usual();
    plan.plugin_plan.stages[1]
        .steps
        .push(bench.secret("copied", vec![("p", SecretSource::Copy(copy)), ("own", random())]));
    bench.apply(&plan).await.unwrap();
    let of = |secret: &serde_json::Value, key: &str| {
        use base64::Engine as _;
        let text = secret["data"][key].as_str().unwrap().to_owned();
        String::from_utf8(base64::engine::general_purpose::STANDARD.decode(text).unwrap()).unwrap()
    };
    let root = bench.get(&bench.core("secrets", "root")).await.unwrap();
    assert_eq!(of(&root, "url"), "http://admin:hunter2-and-more@x");
    assert_eq!(of(&bench.get(&bench.core("secrets", "copied")).await.unwrap(), "p"), "hunter2-and-more");
    assert!(bench.compare(&plan).await.unwrap().up_to_date());

    // A new value of the input reaches the Secret and its copies; the random value stays.
    let changed = password("changed");
    let dry = bench.cluster.dry_run(&plan, &changed).await.unwrap();
    let text = format!("{dry:?}");
    assert!(
        text.contains("data.password") && !text.contains("hunter2") && !text.contains("changed-"),
        "{text}"
    );
    let said = Said::default();
    bench.apply_with(&plan, &changed, &ApplyOptions::default(), &said).await.unwrap().unwrap();
    let after = bench.get(&bench.core("secrets", "root")).await.unwrap();
    assert_eq!(of(&after, "url"), "http://admin:changed@x");
    assert_eq!(of(&after, "cookie"), of(&root, "cookie"));
    // The copy, in a later stage, follows its source in the same apply.
    assert_eq!(of(&bench.get(&bench.core("secrets", "copied")).await.unwrap(), "p"), "changed");

    let state_namespace =
        bench.get(&format!("/api/v1/namespaces/{}/configmaps", bench.state_namespace)).await.unwrap();
    let kept = format!("{state_namespace}{}", said.all());
    for value in ["hunter2", "changed@", &of(&root, "cookie")] {
        assert!(!kept.contains(value), "{value}");
    }
    let missing = bench.cluster.compare(&plan, &Values::default()).await.err().unwrap();
    assert!(
        matches!(&missing, Error::Diff(DiffError::MissingInput { input, .. }) if input == "admin-password"),
        "{missing}"
    );
    bench.uninstall(true).await.unwrap();
    bench.clean().await;
}

#[tokio::test]
async fn secrets_in_a_config_map_are_hidden_from_everybody_who_asks_this_host() {
    let Some(bench) = bench().await else { return };
    let disclosed = |text: &str| {
        let entries = vec![
            ("PASSWORD", SecretSource::Input("admin-password".into())),
            ("service.yaml", SecretSource::Template(text.into())),
        ];
        bench.plan(vec![("one", vec![bench.namespace_step(), bench.disclosed("discovery", entries)])])
    };
    let plan = disclosed("password: ${PASSWORD:json}");
    let said = Said::default();
    let path = bench.core("configmaps", "discovery");
    let mut shown = format!("{:?}", bench.cluster.dry_run(&plan, &secrets()).await.unwrap());
    bench.apply_with(&plan, &secrets(), &ApplyOptions::default(), &said).await.unwrap().unwrap();
    let live = bench.get(&path).await.unwrap();
    assert_eq!(
        live["data"],
        json!({"PASSWORD": "hunter2-and-more", "service.yaml": "password: \"hunter2-and-more\""})
    );
    assert_eq!(live["metadata"]["labels"]["of"], "discovery");
    assert!(bench.cluster.compare(&plan, &secrets()).await.unwrap().up_to_date());

    let object = ObjectRef::of(&live).unwrap();
    shown += &format!("{:?}", bench.cluster.answer(&Query::Object(object.clone())).await.unwrap());
    let selection = Selection {
        api_version: "v1".into(),
        kind: "ConfigMap".into(),
        namespace: object.namespace.clone(),
        label_selector: "of=discovery".into(),
    };
    shown += &format!("{:?}", bench.cluster.answer(&Query::Objects(selection)).await.unwrap());
    let seen = bench.cluster.observe(&Probe::Object(object)).await.unwrap();
    assert_eq!(seen.variables["object"]["keys"], json!(["PASSWORD", "service.yaml"]));
    shown += &format!("{seen:?}");

    // What somebody else writes into it is noticed, and shown no more than a new value is.
    for changed in [disclosed("${PASSWORD}"), bench.plan(vec![("one", vec![bench.namespace_step()])])] {
        shown += &format!("{:?}", bench.cluster.dry_run(&changed, &secrets()).await.unwrap());
    }
    shown += &format!("{:?}", bench.cluster.dry_run(&plan, &password("hunter3")).await.unwrap());
    let kubectl = |arguments: &[&str]| {
        let done = bench.kubectl(&[&["--namespace", &bench.namespace], arguments].concat());
        assert!(done.status.success(), "{done:?}");
    };
    kubectl(&["patch", "configmap", "discovery", "--patch", r#"{"data": {"PASSWORD": "hunter4"}}"#]);
    assert!(!bench.cluster.compare(&plan, &secrets()).await.unwrap().up_to_date());
    shown += &format!("{:?}", bench.cluster.dry_run(&plan, &secrets()).await.unwrap());

    // The plan after next has an open ConfigMap in its place: what was there is a secret still.
    let open = bench.plan(vec![("one", vec![bench.namespace_step(), bench.config("discovery", "open")])]);
    let dry = format!("{:?}", bench.cluster.dry_run(&open, &secrets()).await.unwrap());
    assert!(dry.contains("service.yaml"), "{dry}");
    shown += &dry;
    bench.apply_with(&open, &secrets(), &ApplyOptions::default(), &said).await.unwrap().unwrap();
    let live = bench.get(&path).await.unwrap();
    assert_eq!(live["data"], json!({"key": "open"}));
    assert_eq!(live["metadata"].get("annotations"), None);

    let state_namespace =
        bench.get(&format!("/api/v1/namespaces/{}/configmaps", bench.state_namespace)).await.unwrap();
    shown += &format!("{state_namespace}{}", said.all());
    for value in ["hunter2", "hunter3", "hunter4"] {
        assert!(!shown.contains(value), "{value}: {shown}");
    }
    bench.uninstall(true).await.unwrap();
    bench.clean().await;
}

#[tokio::test]
async fn what_a_step_yields_reaches_a_secret_and_a_place_in_a_manifest() {
    let Some(bench) = bench().await else { return };
    let at = |output: &str| OutputRef { step: "elsewhere".into(), output: output.into() };
    let Step::Object(mut config) = bench.config("bound", "") else { panic!() };
    config.bindings = vec![Binding { pointer: "/data/key".into(), source: at("digest") }];
    let secret = bench.secret("yielded", vec![("p", SecretSource::Output(at("password")))]);
    let plan = bench.plan(vec![("one", vec![bench.namespace_step(), Step::Object(config), secret])]);
    // Before the step has run, both are to be written, and nobody knows with what.
    let dry = bench.cluster.dry_run(&plan, &secrets()).await.unwrap();
    assert!(
        dry[1..].iter().all(|change| change.note.as_deref().unwrap_or("").contains("needs the output")),
        "{dry:?}"
    );

    let mut values = secrets();
    let missing =
        bench.apply_with(&plan, &values, &ApplyOptions::default(), &Said::default()).await.unwrap_err();
    assert!(missing.to_string().contains("step elsewhere has not yielded the output `digest`"), "{missing}");

    values.outputs.insert("elsewhere", "digest", Output::Open("sha256:0".into()));
    values.outputs.insert("elsewhere", "password", Output::Secret(SecretText::new("from-elsewhere".into())));
    let said = Said::default();
    bench.apply_with(&plan, &values, &ApplyOptions::default(), &said).await.unwrap().unwrap();
    assert_eq!(bench.get(&bench.core("configmaps", "bound")).await.unwrap()["data"]["key"], "sha256:0");
    assert_eq!(
        bench.get(&bench.core("secrets", "yielded")).await.unwrap()["data"]["p"],
        "ZnJvbS1lbHNld2hlcmU="
    );
    assert!(bench.cluster.compare(&plan, &values).await.unwrap().up_to_date());
    let state_namespace =
        bench.get(&format!("/api/v1/namespaces/{}/configmaps", bench.state_namespace)).await.unwrap();
    assert!(!format!("{state_namespace}{}", said.all()).contains("from-elsewhere"));
    bench.uninstall(true).await.unwrap();
    bench.clean().await;
}

#[tokio::test]
async fn a_mirror_follows_its_source_and_keeps_its_type() {
    let Some(bench) = bench().await else { return };
    let wildcard = |key: &str| {
        json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "wildcard"}, "type": "kubernetes.io/tls",
            "stringData": {"tls.crt": "certificate", "tls.key": key}})
    };
    bench.make_namespace(&bench.state_namespace).await;
    let source = format!("/api/v1/namespaces/{}/secrets", bench.state_namespace);
    let mut plan = bench.plan(vec![("one", vec![bench.namespace_step(), bench.mirror("tls", "wildcard")])]);
    let missing = bench.compare(&plan).await.err().unwrap();
    assert!(
        matches!(&missing, Error::Diff(DiffError::Invalid { message, .. }) if message.contains("does not exist")),
        "{missing}"
    );

    bench.make(&source, wildcard("first")).await;
    bench.apply(&plan).await.unwrap();
    let path = bench.core("secrets", "tls");
    let first = bench.get(&path).await.unwrap();
    let source_path = format!("{source}/wildcard");
    let state = async |plan: &Plan| {
        let mut copied = bench.cluster.secret_copies(plan).await;
        assert_eq!(copied.len(), 1);
        copied.remove(0).state.unwrap()
    };
    assert_eq!(state(&plan).await, CopyState::Current);
    assert_eq!(first["type"], "kubernetes.io/tls");
    assert_eq!(first["data"], bench.get(&source_path).await.unwrap()["data"]);
    assert!(bench.compare(&plan).await.unwrap().up_to_date());

    bench.ask("DELETE", &source_path, None).await.unwrap();
    assert_eq!(state(&plan).await, CopyState::NoSource);
    bench.make(&source, wildcard("second")).await;
    assert_eq!(state(&plan).await, CopyState::Stale);
    let dry = format!("{:?}", bench.cluster.dry_run(&plan, &secrets()).await.unwrap());
    assert!(dry.contains("tls.key") && !dry.contains("second"), "{dry}");
    bench.apply(&plan).await.unwrap();
    assert_ne!(bench.get(&path).await.unwrap()["data"], first["data"]);
    assert_eq!(state(&plan).await, CopyState::Current);

    let Step::Secret(step) = &mut plan.plugin_plan.stages[0].steps[1] else { panic!() };
    step.secret_type = "Opaque".into();
    let other = bench.compare(&plan).await.err().unwrap();
    assert!(
        matches!(&other, Error::Diff(DiffError::Invalid { message, .. }) if message.contains("kubernetes.io/tls")),
        "{other}"
    );
    bench.uninstall(true).await.unwrap();
    bench.clean().await;
}

#[tokio::test]
async fn keep_and_recreate() {
    let Some(bench) = bench().await else { return };
    let job = |text: &str| {
        let job = bench.object(json!({"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "j"},
            "spec": {"suspend": true, "template": {"spec": {"restartPolicy": "Never", "containers": [
                {"name": "c", "image": "none", "args": [text]}]}}}}));
        on_change(job, OnChange::Recreate)
    };
    let kept = |text: &str| on_change(bench.config("kept", text), OnChange::CreateOnly);
    let first = bench.plan(vec![("one", vec![bench.namespace_step(), kept("1"), job("1")])]);
    bench.apply(&first).await.unwrap();
    let uid = |object: &serde_json::Value| object["metadata"]["uid"].as_str().unwrap().to_owned();
    let path = format!("/apis/batch/v1/namespaces/{}/jobs/j", bench.namespace);
    let before = bench.get(&path).await.unwrap();

    let second = bench.plan(vec![("one", vec![bench.namespace_step(), kept("2"), job("2")])]);
    let dry = bench.cluster.dry_run(&second, &secrets()).await.unwrap();
    assert_eq!((dry[1].action, dry[2].action), (Action::Keep, Action::Recreate), "{dry:#?}");
    bench.apply(&second).await.unwrap();
    let after = bench.get(&path).await.unwrap();
    assert_ne!(uid(&before), uid(&after));
    assert_eq!(after["spec"]["template"]["spec"]["containers"][0]["args"][0], "2");
    assert_eq!(bench.get(&bench.core("configmaps", "kept")).await.unwrap()["data"]["key"], "1");

    // What is wrong in itself is never a reason to delete what is there.
    let mut wrong = second.clone();
    if let Step::Object(job) = &mut wrong.plugin_plan.stages[0].steps[2] {
        job.manifest["spec"]["template"]["spec"]["restartPolicy"] = json!("Sometimes");
    }
    let error = bench.apply(&wrong).await.unwrap_err();
    assert!(matches!(error, Error::Apply(ApplyError::Rejected { .. })), "{error}");
    assert_eq!(uid(&bench.get(&path).await.unwrap()), uid(&after));
    bench.uninstall(true).await.unwrap();
    bench.clean().await;
}

#[tokio::test]
async fn what_is_there_is_adopted_only_by_name() {
    let Some(bench) = bench().await else { return };
    bench.make_namespace(&bench.namespace).await;
    let body =
        json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}, "data": {"mine": "x"}});
    bench.make(&bench.core("configmaps", ""), body).await;
    let plan = bench.plan(vec![("one", vec![bench.namespace_step(), bench.config("a", "1")])]);
    let before = bench.audit_end();
    let error = bench.apply(&plan).await.unwrap_err();
    assert!(
        matches!(&error, Error::Diff(DiffError::NotOwned { objects, .. }) if objects.len() == 1),
        "{error}"
    );
    assert_eq!(error.hint(), Some(Hint::Adopt(format!("ConfigMap/{}/a", bench.namespace))), "{error}");
    assert_eq!(bench.writes_since(before, "tester").await.len(), 0);

    let adopt: Adopt = format!("ConfigMap/{}/a", bench.namespace).parse().unwrap();
    let said = Said::default();
    let options = ApplyOptions { adopt: vec![adopt], ..Default::default() };
    bench.apply_with(&plan, &secrets(), &options, &said).await.unwrap().unwrap();
    assert!(said.all().contains("Used { object"), "the Namespace is used: {}", said.all());
    assert!(bench.compare(&plan).await.unwrap().up_to_date());
    assert_eq!(bench.labelled().await, ["configmaps/a"]);
    let gone = bench.uninstall(true).await.unwrap();
    assert_eq!(gone.deleted.len(), 1);
    assert!(gone.kept[0].1.contains("was there before"), "{gone:?}");
    bench.clean().await;
}

#[tokio::test]
async fn a_definition_and_its_objects_go_together() {
    let Some(bench) = bench().await else { return };
    let group = format!("g{}.thinkube.test", bench.id);
    let plan = plan(&bench.namespace, vec![("all", vec![
        bench.namespace_step(),
        step(json!({"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
            "metadata": {"name": format!("things.{group}")}, "spec": {"group": group, "scope": "Namespaced",
                "names": {"plural": "things", "singular": "thing", "kind": "Thing", "listKind": "ThingList"},
                "versions": [{"name": "v1", "served": true, "storage": true, "schema": {"openAPIV3Schema": {"type": "object",
                    "properties": {"spec": {"type": "object", "properties": {"size": {"type": "integer"}}}}}}}]}})),
        bench.object(json!({"apiVersion": format!("{group}/v1"), "kind": "Thing", "metadata": {"name": "t"}, "spec": {"size": 3}})),
    ])]);
    let dry = bench.cluster.dry_run(&plan, &secrets()).await.unwrap();
    assert!(dry.iter().all(|change| change.action == Action::Create), "{dry:#?}");
    bench.apply(&plan).await.unwrap().unwrap();
    assert!(bench.compare(&plan).await.unwrap().up_to_date());
    let gone = bench.uninstall(false).await.unwrap();
    assert!(gone.kept.iter().any(|(object, _)| object.kind == "CustomResourceDefinition"), "{gone:?}");
    bench.apply(&plan).await.unwrap().unwrap();
    let gone = bench.uninstall(true).await.unwrap();
    assert_eq!((gone.deleted.len(), gone.kept.len()), (3, 0), "{gone:?}");
    bench.clean().await;
}

#[tokio::test]
async fn a_stage_that_was_found_done_is_not_applied_and_not_asked_for_again() {
    let Some(bench) = bench().await else { return };
    let plan = bench.plan(vec![
        ("one", vec![bench.namespace_step(), bench.config("a", "1")]),
        ("two", vec![bench.config("b", "1")]),
    ]);
    let inputs = secrets();
    let comparison = bench.compare(&plan).await.unwrap();
    let options = ApplyOptions::default();
    let mut apply = bench.cluster.begin(&plan, &inputs, comparison, &options, &|_| {}).await.unwrap();
    apply.stage(0).await.unwrap();
    apply.wait(0, Duration::from_secs(30)).await.unwrap();
    apply.skip(1).await;
    apply.prune().await.unwrap();
    let release = apply.finish().await.unwrap();
    assert_eq!(release.inventory.len(), 3, "it may exist all the same");
    assert!(bench.get(&bench.core("configmaps", "b")).await.is_none());
    let comparison = bench.compare(&plan).await.unwrap();
    assert!(comparison.up_to_date());
    assert_eq!(comparison.skipped_stages(), ["two"]);
    // When its `skip_if` no longer holds it is applied.
    let mut apply = bench.cluster.begin(&plan, &inputs, comparison, &options, &|_| {}).await.unwrap();
    for stage in 0..2 {
        apply.stage(stage).await.unwrap();
    }
    apply.finish().await.unwrap();
    assert!(bench.get(&bench.core("configmaps", "b")).await.is_some());
    assert!(bench.compare(&plan).await.unwrap().skipped_stages().is_empty());
    bench.uninstall(true).await.unwrap();
    bench.clean().await;
}

#[tokio::test]
async fn what_is_retained_outlives_the_plan_that_had_it_and_goes_with_the_data() {
    let Some(bench) = bench().await else { return };
    let mut kept = bench.config("kept", "1");
    if let Step::Object(object) = &mut kept {
        object.on_uninstall = thinkube_plan::OnUninstall::Retain;
    }
    let first = bench.plan(vec![("one", vec![bench.namespace_step(), kept, bench.config("a", "1")])]);
    bench.apply(&first).await.unwrap();
    let second = bench.plan(vec![("one", vec![bench.namespace_step(), bench.config("a", "1")])]);
    let dry = bench.cluster.dry_run(&second, &secrets()).await.unwrap();
    assert_eq!(dry[2].action, Action::Keep, "{dry:#?}");
    let release = bench.apply(&second).await.unwrap().unwrap();
    assert_eq!(release.inventory.len(), 3);
    assert!(bench.compare(&second).await.unwrap().up_to_date());
    let gone = bench.uninstall(true).await.unwrap();
    assert!(gone.deleted.iter().any(|object| object.name == "kept"), "{gone:?}");
    bench.clean().await;
}

#[tokio::test]
async fn warnings_of_the_server_are_passed_on() {
    let Some(bench) = bench().await else { return };
    let old = bench.object(json!({"apiVersion": "networking.k8s.io/v1", "kind": "Ingress",
        "metadata": {"name": "web", "annotations": {"kubernetes.io/ingress.class": "none"}},
        "spec": {"defaultBackend": {"service": {"name": "web", "port": {"number": 80}}}}}));
    bench.make_namespace(&bench.namespace).await;
    let plan = bench.plan(vec![("one", vec![old])]);
    let dry = bench.cluster.dry_run(&plan, &secrets()).await.unwrap();
    assert!(dry[0].note.as_deref().unwrap().contains("ingress.class"), "{dry:#?}");
    let said = Said::default();
    bench.apply_with(&plan, &secrets(), &ApplyOptions::default(), &said).await.unwrap();
    assert!(said.all().contains("Warning(\"") && said.all().contains("ingress.class"), "{}", said.all());
    bench.uninstall(true).await.unwrap();
    bench.clean().await;
}

/// A figure that does not depend on the machine: requests an object.
#[tokio::test]
async fn many_objects_cost_one_request_each_and_none_when_they_are_there() {
    let Some(bench) = bench().await else { return };
    let mut steps = vec![bench.namespace_step()];
    steps.extend((0..300).map(|number| bench.config(&format!("c{number}"), "1")));
    let plan = bench.plan(vec![("one", steps)]);
    let before = bench.audit_end();
    let started = std::time::Instant::now();
    bench.apply(&plan).await.unwrap().unwrap();
    let first = (bench.asked_since(before, "tester").await.len(), started.elapsed());
    assert!(first.0 < 300 * 105 / 100 + 30, "{first:?}");
    let before = bench.audit_end();
    assert!(bench.apply(&plan).await.unwrap().is_none());
    let second = bench.asked_since(before, "tester").await.len();
    assert_eq!(second, 3, "two kinds and the record");
    bench.uninstall(true).await.unwrap();
    bench.clean().await;
}

/// What a release leaves in the cluster is an ApplySet to kubectl, and one that is not its own.
#[tokio::test]
async fn kubectl_lists_the_members_and_refuses_to_take_the_set_over() {
    let Some(bench) = bench().await else { return };
    let plan = bench.plan(vec![("one", vec![bench.namespace_step(), bench.config("a", "1")])]);
    let release = bench.apply(&plan).await.unwrap().unwrap();
    let selector = format!("applyset.kubernetes.io/part-of={}", release.applyset_id);
    let listed = bench.kubectl(&["get", "configmaps,namespaces", "-A", "-o", "name", "-l", &selector]);
    let listed = String::from_utf8(listed.stdout).unwrap();
    assert_eq!(listed, format!("configmap/a\nnamespace/{}\n", bench.namespace));

    let file = bench.folder.path().join("x.yaml");
    std::fs::write(&file, "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: x}\n").unwrap();
    let file = file.display().to_string();
    let set = "--applyset=configmap/release-demo";
    let taken =
        bench.kubectl(&["apply", "--server-side", "-n", &bench.state_namespace, "--prune", set, "-f", &file]);
    let said = String::from_utf8(taken.stderr).unwrap();
    assert!(!taken.status.success() && said.contains("\"thinkube-host\" instead of"), "{said}");
    assert!(bench.compare(&plan).await.unwrap().up_to_date());
    bench.uninstall(true).await.unwrap();
    bench.clean().await;
}
