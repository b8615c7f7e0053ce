//! Inventories: what they give, and what is wrong with one.

use super::*;
use serde_json::json;
use std::fmt::Write as _;
use std::time::{Duration, Instant};

fn schema() -> SettingsSchema {
    SettingsSchema::new(json!({
        "type": "object",
        "properties": {
            "domain_name": {"type": "string"},
            "devpi_namespace": {"type": "string", "default": "devpi"},
            "devpi_api_hostname": {"type": "string"},
            "devpi_extras": {"type": "array"},
            "oauth2_proxy_enabled": {"type": "boolean"},
            "oauth2_proxy_session_store_type": {"type": "string"},
            "harbor_pull_secret": {"type": "string"},
            "harbor_registry": {"type": "string"},
            "routing": {"enum": ["ingress", "gateway"]},
            "tls_source_secret": {"type": "string"},
            "gateway_name": {"type": "string"},
            "size": {"type": "object", "properties": {"gib": {"type": "integer", "maximum": 9}}},
            "gateway_image": {"type": "string", "pattern": "^[a-z0-9.]+/devpi$", "x-thinkube-default": "${harbor_registry}/devpi"},
            "root_password": {"type": "string", "x-thinkube-unused": "The environment has it."},
            "kubeconfig": {"type": "string", "x-thinkube-unused": "The host has its own."}
        },
        "additionalProperties": false
    }))
    .expect("it is a schema")
}

fn take_with(texts: &[&str], given: Value) -> Result<InventorySettings, Vec<String>> {
    let mut inventory = Inventory::default();
    for (number, text) in texts.iter().enumerate() {
        inventory.add(&format!("{number}.yaml"), text).map_err(|fault| vec![fault.to_string()])?;
    }
    let Value::Object(given) = given else { panic!("a mapping") };
    let expected = |faults: Vec<InventoryFault>| faults.iter().map(ToString::to_string).collect();
    inventory.settings_for("devpi", &schema(), &given).map_err(expected)
}

fn take(text: &str) -> Result<InventorySettings, Vec<String>> {
    take_with(&[text], json!({}))
}

fn settings(text: &str) -> Value {
    Value::Object(take(text).expect("it is fine").settings)
}

#[track_caller]
fn refused(text: &str, expected: &str) {
    let faults = take(text).expect_err("it is refused");
    assert!(faults.iter().any(|fault| fault.contains(expected)), "{expected} is not in {faults:?}");
}

#[test]
fn variables_of_other_components_are_left_out_and_listed() {
    let taken =
        take("domain_name: a.org\npostgres_hostname: db.a.org\nansible_user: admin\nkubeconfig: /k\n")
            .unwrap();
    assert_eq!(Value::Object(taken.settings.clone()), json!({"domain_name": "a.org"}));
    assert_eq!(taken.taken, ["domain_name"]);
    assert_eq!(taken.without_effect, ["kubeconfig"]);
    assert_eq!(taken.foreign, ["ansible_user", "postgres_hostname"]);
    assert_eq!(taken.variables(), 4);
}

#[test]
fn an_inventory_of_ansible_gives_the_variables_of_its_groups_and_hosts() {
    let text = "
all:
  vars:
    domain_name: a.org
  children:
    k8s:
      children:
        k8s_control_plane:
          hosts:
            node1:
              ansible_host: 10.0.0.1
              harbor_registry: registry.a.org
            node2:
      vars:
        devpi_namespace: packages
    arm64:
      hosts: {node3: {ansible_host: 10.0.0.3}}
";
    assert_eq!(
        settings(text),
        json!({"domain_name": "a.org", "harbor_registry": "registry.a.org", "devpi_namespace": "packages"})
    );
    refused(
        "all:\n  vars: {domain_name: a.org}\ndevpi_namespace: x\n",
        "0.yaml:3: `devpi_namespace` stands beside `all`, which is a group of hosts, and is not a group: a group holds",
    );
    refused(
        "all:\n  children:\n    devpi_namespace: x\n",
        "0.yaml:3: `devpi_namespace` is one of the children of a group and is not a group",
    );
}

#[test]
fn a_variable_with_several_values_is_refused_where_it_is_needed() {
    let text = |name: &str| {
        format!(
            "a:\n  vars:\n    {name}: one\nb:\n  vars:\n    {name}: two\nc:\n  vars:\n    domain_name: a.org\n"
        )
    };
    refused(&text("harbor_registry"), "0.yaml:3: `harbor_registry` has another value at 0.yaml:6");
    assert_eq!(settings(&text("gitea_hostname")), json!({"domain_name": "a.org"}));
    let same = "a: {vars: {domain_name: a.org}}\nb: {vars: {domain_name: a.org}}\n";
    assert_eq!(settings(same), json!({"domain_name": "a.org"}));
}

#[test]
fn a_later_file_wins_and_what_is_given_by_hand_wins_over_both() {
    let files = ["domain_name: a.org\nharbor_registry: r.{{ domain_name }}\n", "domain_name: b.org\n"];
    let taken = take_with(&files, json!({})).unwrap();
    assert_eq!(Value::Object(taken.settings), json!({"domain_name": "b.org", "harbor_registry": "r.b.org"}));
    let quoted = ["domain_name: a.org\nharbor_registry: \"r.{{ domain_name }}\"\n"];
    let taken = take_with(&quoted, json!({"domain_name": "c.org"})).unwrap();
    assert_eq!(taken.overridden, ["domain_name"]);
    assert_eq!(Value::Object(taken.settings), json!({"harbor_registry": "r.c.org"}));
}

#[test]
fn templates_of_other_variables_are_filled_in() {
    let text = "
domain_name: '{{ zone }}.org'
zone: a
devpi_api_hostname: \"devpi-{{api}}.{{ domain_name }}\"
api: 8
oauth2_proxy_enabled: '{{ sso }}'
sso: yes
devpi_extras: ['{{ zone }}', {'k': '{{ api }}'}]
";
    assert_eq!(
        settings(text),
        json!({"domain_name": "a.org", "devpi_api_hostname": "devpi-8.a.org", "oauth2_proxy_enabled": true,
            "devpi_extras": ["a", {"k": 8}]})
    );
}

#[test]
fn a_value_to_compute_is_refused_with_its_line_where_it_is_needed() {
    refused(
        "domain_name: a.org\ndevpi_api_hostname: \"{{ domain_name | upper }}\"\n",
        "0.yaml:2: `devpi_api_hostname` has a template with a filter",
    );
    refused(
        "domain_name: '{{ zone }}'\nzone: \"{{ lookup('env', 'ZONE') }}\"\n",
        "0.yaml:2: `zone`, which `domain_name` needs, has a template with a filter",
    );
    let foreign =
        "domain_name: a.org\nx: '{{ y | z }}'\nkubeconfig: \"{{ lookup('env', 'HOME') }}/.kube/config\"\n";
    assert_eq!(settings(foreign), json!({"domain_name": "a.org"}));
    let given = take_with(&["domain_name: '{{ x | y }}'\n"], json!({"domain_name": "a.org"})).unwrap();
    assert_eq!(given.overridden, ["domain_name"]);
}

#[test]
fn templates_that_lead_nowhere_or_in_a_circle_are_refused() {
    refused(
        "domain_name: '{{ zone }}'\n",
        "0.yaml:1: `domain_name` names `zone`, which the inventory does not have",
    );
    refused("domain_name: '{{ domain_name }}'\n", "follows from itself: domain_name → domain_name");
    refused(
        "domain_name: 'a{{ b }}'\nb: '{{ c }}'\nc: '{{ b }}'\n",
        "`b`, which `domain_name` needs, follows from itself: b → c → b",
    );
    refused("domain_name: 'a{{ b }}'\nb: [1]\n", "puts `b` into text");
    // A circle of other components is theirs.
    assert_eq!(settings("domain_name: a.org\nx: '{{ y }}'\ny: '{{ x }}'\n"), json!({"domain_name": "a.org"}));
}

#[test]
fn templates_that_multiply_or_follow_without_end_are_refused_at_once() {
    let begin = Instant::now();
    let mut doubling = String::from("domain_name: '{{ v0 }}'\n");
    for level in 0..30 {
        let next = level + 1;
        writeln!(doubling, "v{level}: '{{{{ v{next} }}}}{{{{ v{next} }}}}'").unwrap();
    }
    refused(&(doubling + "v30: aaaaaaaaaaaaaaaa\n"), "longer than 64 KiB");
    let mut lists = String::from("devpi_extras: '{{ v0 }}'\n");
    for level in 0..20 {
        let many = vec![format!("'{{{{ v{} }}}}'", level + 1); 30].join(", ");
        writeln!(lists, "v{level}: [{many}]").unwrap();
    }
    refused(&(lists + "v20: aaaaaaaaaaaaaaaa\n"), "longer than 64 KiB");
    let mut chain = String::from("domain_name: '{{ v0 }}'\n");
    for level in 0..1000 {
        writeln!(chain, "v{level}: '{{{{ v{} }}}}'", level + 1).unwrap();
    }
    refused(&(chain + "v1000: a\n"), "more than 32 templates");
    assert!(begin.elapsed() < Duration::from_secs(5), "{:?}", begin.elapsed());
}

#[test]
fn a_name_that_was_most_likely_meant_for_the_plugin_is_refused() {
    refused(
        "domain_name: a.org\ndevpi_namspace: x\n",
        "0.yaml:2: `devpi_namspace` begins like a variable of devpi, which has no such setting; did you mean `devpi_namespace`?",
    );
    refused("domain_name: a.org\ndevpi_zzz: x\n", "`devpi_zzz` begins like a variable of devpi");
    refused("domian_name: a.org\n", "`domian_name` resembles the setting `domain_name`, which is not given");
    refused("oauth2_proxy_sesion_store_typ: x\n", "resembles the setting `oauth2_proxy_session_store_type`");
    // The setting itself is there, so the other variable is another component's.
    assert_eq!(settings("domain_name: a.org\ndomain_names: [a.org]\n"), json!({"domain_name": "a.org"}));
    assert!(take_with(&["domain_names: [a]\n"], json!({"domain_name": "a.org"})).is_ok());
    // Nothing comes of a setting without effect.
    assert_eq!(settings("kubeconfigs: a\n"), json!({}));
}

#[test]
fn booleans_and_numbers_are_read_as_ansible_reads_them() {
    for (written, value) in [("yes", true), ("'no'", false), ("On", true), ("False", false), ("'true'", true)]
    {
        assert_eq!(
            settings(&format!("oauth2_proxy_enabled: {written}\n")),
            json!({"oauth2_proxy_enabled": value})
        );
    }
    assert_eq!(settings("devpi_namespace: 25\n"), json!({"devpi_namespace": "25"}));
    assert_eq!(settings("devpi_namespace: 007\n"), json!({"devpi_namespace": "007"}));
    assert_eq!(settings("devpi_extras: '[1, 2]'\n"), json!({"devpi_extras": [1, 2]}));
}

#[test]
fn a_password_is_neither_taken_into_a_setting_nor_repeated_in_a_fault() {
    let canary = "hunter2-canary";
    for text in [
        format!("domain_name: '{{{{ admin_password }}}}'\nadmin_password: {canary}\n"),
        format!("domain_name: 'x{{{{ api_key }}}}'\napi_key: {canary}\n"),
        format!("domain_name: \"{{{{ '{canary}' | hash }}}}\"\n"),
        format!("devpi_x: {canary}\n"),
        format!("a: {{vars: {{domain_name: {canary}}}}}\nb: {{vars: {{domain_name: other}}}}\n"),
        format!("domain_name: !vault |\n  $ANSIBLE_VAULT;1.1;AES256\n  {canary}\n"),
        format!("p: {canary}\np: {canary}\n"),
        format!("p: {canary}: {canary}\n"),
        format!("p: \"{canary}\n"),
        format!("p: [{canary}\n"),
        format!("p: *{canary}\n"),
        format!("p:\n\t{canary}\n"),
        format!("p: &{canary} [*{canary}]\n"),
        format!("p: !!int {canary}\n"),
        format!("? [{canary}]\n: x\n"),
        format!("- {canary}\n"),
        format!("--- {canary}\n--- {canary}\n"),
        canary.to_owned(),
    ] {
        let faults = take(&text).expect_err(&text);
        assert!(!format!("{faults:?}").contains(canary), "{faults:?}");
        assert!(faults[0].starts_with("0.yaml:"), "{faults:?}");
    }
}

#[test]
fn a_file_that_is_not_an_inventory_is_refused_at_once() {
    let begin = Instant::now();
    let nested = |open: &str, close: &str| format!("x: {}{}", open.repeat(100_000), close.repeat(100_000));
    let block: String = (0..1_200).fold(String::new(), |text, depth| text + &" ".repeat(depth) + "a:\n");
    let mut bomb = String::from("a0: &a0 [x, x, x, x, x, x, x, x, x]\n");
    for level in 1..12 {
        let many = vec![format!("*a{}", level - 1); 9].join(", ");
        writeln!(bomb, "a{level}: &a{level} [{many}]").unwrap();
    }
    let long = format!("a: &a {}\nb: [{}]\n", "x".repeat(200_000), vec!["*a"; 900].join(", "));
    let wide = format!(
        "a: &a {}\nb: &b [{1}]\nc: [{2}]\n",
        "x".repeat(200_000),
        ["*a"; 50].join(", "),
        ["*b"; 50].join(", ")
    );
    let aliases = (0..11).fold(String::new(), |text, number| {
        text + &format!(
            "a{number}: &a{number} x\nb{number}: [{}]\n",
            vec![format!("*a{number}"); 95].join(", ")
        )
    });
    for (text, expected) in [
        (wide, "16 MiB of text"),
        (aliases, "at most 1000 aliases)"),
        (nested("[", "]"), "nest"),
        (nested("{a: ", "}"), "nest"),
        (block, "nest"),
        (bomb, "alias"),
        (long, "alias"),
        (format!("x: [{}]", "1,".repeat(150_000)), "at most 100000 values"),
        ("x: ".to_owned() + &"y".repeat(2 << 20), "longer than 1024 KiB"),
        ("a: 1\na: 2\n".to_owned(), "twice"),
        ("? [a]\n: b\n".to_owned(), "not valid YAML"),
        ("? {a: b}\n: c\n".to_owned(), "not valid YAML"),
        ("- a\n".to_owned(), "a mapping of names to values"),
        ("just text\n".to_owned(), "a mapping of names to values"),
        ("a: &a [*a]\n".to_owned(), "YAML"),
        ("a: 1\n---\nb: 2\n".to_owned(), "one YAML document"),
        ("[web]\nhost ansible_user=x\n".to_owned(), "YAML"),
    ] {
        let faults = take(&text).expect_err(expected);
        assert!(faults[0].contains(expected), "{expected} is not in {faults:?}");
    }
    assert!(begin.elapsed() < Duration::from_secs(20), "{:?}", begin.elapsed());
}

#[test]
fn an_empty_file_gives_nothing_and_anchors_and_merges_work() {
    assert_eq!(settings(""), json!({}));
    assert_eq!(settings("---\n# nothing\n"), json!({}));
    let merged =
        "common: &common {domain_name: a.org}\nall:\n  vars:\n    <<: *common\n    devpi_namespace: x\n";
    refused(merged, "`common` stands beside `all`, which is a group of hosts,");
    let merged = "all:\n  vars: &common\n    domain_name: a.org\nother:\n  vars:\n    <<: *common\n    devpi_namespace: x\n";
    assert_eq!(settings(merged), json!({"domain_name": "a.org", "devpi_namespace": "x"}));
}

#[test]
fn a_name_that_cannot_be_a_variable_counts_as_another_components() {
    let taken = take("domain_name: a.org\nkube-vip: {x: 1}\nnode.cpu: 2\n1: a\na b: 1\n").unwrap();
    assert_eq!(taken.taken, ["domain_name"]);
    assert_eq!(taken.foreign, ["1", "a b", "kube-vip", "node.cpu"]);
    let grouped = take("all:\n  vars: {domain_name: a.org, kube-vip: x}\n  hosts: {n1: {a.b: 1}}\n").unwrap();
    assert_eq!(grouped.foreign, ["a.b", "kube-vip"]);
    refused("domain-name: a.org\n", "`domain-name` resembles the setting `domain_name`");
}

#[test]
fn a_variable_with_the_name_of_a_password_stays_out_of_settings() {
    for name in [
        "password",
        "admin_password",
        "adminPassword",
        "ADMIN_PASSWORD",
        "dbpassword",
        "admin_password2",
        "admin_passwd",
        "keyPassphrase",
        "git_url_token",
        "registry_username_password",
        "file_token",
        "name_secret",
        "clientSecret",
        "api_key",
        "apiKey",
        "myapikey",
        "db_pw",
        "vault_pass",
        "aws_credentials",
        "root_password",
    ] {
        refused(
            &format!("domain_name: 'x{{{{ {name} }}}}'\n{name}: hunter2\n"),
            &format!("0.yaml:2: `{name}`, which `domain_name` needs, looks like a password"),
        );
    }
    for name in ["tls_secret_name", "password_file", "token_url", "token_username", "compass", "monkey"] {
        assert_eq!(
            settings(&format!("domain_name: '{{{{ {name} }}}}'\n{name}: a\n")),
            json!({"domain_name": "a"}),
            "{name}"
        );
    }
}

#[test]
fn what_looks_like_a_password_does_not_depend_on_the_order_of_names() {
    // Another setting is shown and recorded anyway, whatever its name.
    for name in ["gateway_name", "tls_source_secret"] {
        let text = format!("{name}: '{{{{ harbor_pull_secret }}}}'\nharbor_pull_secret: a/b\n");
        assert_eq!(settings(&text), json!({name: "a/b", "harbor_pull_secret": "a/b"}));
    }
    let text =
        |name: &str| format!("devpi_extras: [1]\n{name}: '{{{{ api_secret }}}}'\napi_secret: hunter2\n");
    for name in ["domain_name", "tls_source_secret"] {
        refused(&text(name), "looks like a password");
    }
}

#[test]
fn a_refused_setting_is_named_with_its_line_and_without_its_value() {
    for (text, expected) in [
        (
            "x: hunter2\noauth2_proxy_enabled: '{{ x }}'\n",
            "0.yaml:2: `oauth2_proxy_enabled`: the value is not of type \"boolean\"; give the setting itself with --set",
        ),
        (
            "x: hunter2\nrouting: '{{ x }}'\n",
            "0.yaml:2: `routing`: the value is not one of [\"ingress\",\"gateway\"]",
        ),
        (
            "x: HUNTER2\ngateway_image: '{{ x }}'\n",
            "0.yaml:2: `gateway_image`: the value does not match \"^[a-z0-9.]+/devpi$\"",
        ),
        (
            "x: 31337\nsize: {gib: '{{ x }}'}\n",
            "0.yaml:2: `size/gib`: the value is greater than the maximum of 9",
        ),
    ] {
        let faults = take(text).expect_err("it is refused");
        assert_eq!(faults.len(), 1, "{faults:?}");
        assert!(faults[0].starts_with(expected), "{expected} is not in {faults:?}");
        assert!(!faults[0].to_lowercase().contains("hunter2") && !faults[0].contains("31337"), "{faults:?}");
    }
    // What is given by hand and what is missing is not the inventory's fault.
    let given = json!({"routing": "none"});
    assert!(take_with(&["domain_name: a.org\n"], given).is_ok());
}

#[test]
fn one_anchor_may_be_repeated_a_hundred_times() {
    let repeated = |times: usize| {
        let mut text = String::from("domain_name: &domain a.org\n");
        (0..times).for_each(|number| writeln!(text, "x{number}: *domain").unwrap());
        text
    };
    assert_eq!(settings(&repeated(100)), json!({"domain_name": "a.org"}));
    refused(&repeated(101), "0.yaml:102: the file repeats too much by aliases");
}
