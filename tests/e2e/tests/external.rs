//! External resources in the real Keycloak: planned, made, kept, deleted.

use serde_json::{Value, json};
use std::ops::Deref;
use std::path::Path;
use std::process::Command;
use thinkube_e2e::keycloak::Admin;
use thinkube_e2e::release::Release;
use thinkube_e2e::{Run, finish};
use thinkube_test_cluster::Addon;

fn plugin() -> &'static Path {
    thinkube_e2e::plugin("tests/sign-on-plugin")
}

/// A release of the sign-on plugin, whose client no other test has.
struct SignOn {
    release: Release,
    admin: Admin,
}

impl Deref for SignOn {
    type Target = Release;

    fn deref(&self) -> &Release {
        &self.release
    }
}

impl SignOn {
    /// `None` without Keycloak.
    fn new() -> Option<Self> {
        let release = Release::with("so", [Addon::Node, Addon::Keycloak])?;
        let admin = Admin::of(release.cluster());
        let password = admin.password().to_owned();
        Some(Self { release: release.reaching(["auth"]).env("ADMIN_PASSWORD", password), admin })
    }

    fn with_inputs(&self, before: &str, after: &[&str]) -> Vec<String> {
        let component = plugin().to_str().expect("it is text");
        let mut arguments = [before, component, "--release", &self.name, "--set"].join("\n");
        arguments
            .push_str(&format!("\nclient={}\n--set\nredirect=https://a.thinkube.test/callback", self.name));
        arguments.split('\n').map(str::to_owned).chain(after.iter().map(ToString::to_string)).collect()
    }

    fn plugin(&self, before: &str, after: &[&str]) -> Command {
        let arguments = self.with_inputs(before, after);
        self.command(&arguments.iter().map(String::as_str).collect::<Vec<_>>())
    }

    fn apply(&self, after: &[&str]) -> Run {
        finish(&mut self.plugin("apply", &[&["--yes", "-o", "json"][..], after].concat()))
    }

    fn plan(&self) -> Value {
        finish(&mut self.plugin("plan", &["--cluster", "-o", "json"])).ends_with(0).json()
    }

    /// What would be done with each external resource.
    fn external(&self) -> Vec<(String, String)> {
        let plan = self.plan();
        let text = |value: &Value| value.as_str().expect("it is text").to_owned();
        let all = plan["external"].as_array().expect("it is a list").iter();
        all.map(|change| (text(&change["name"]).replace(&self.name, "C"), text(&change["action"]))).collect()
    }

    /// The client in Keycloak.
    fn client(&self) -> Option<Value> {
        self.admin.find_client(&self.name)
    }

    fn key(&self, kind: &str, key: &str) -> String {
        self.field(kind, "client", &format!(".data['{key}']"))
    }
}

impl Drop for SignOn {
    fn drop(&mut self) {
        self.admin.delete_client(&self.release.name);
    }
}

fn made(action: &str) -> Vec<(String, String)> {
    ["C", "C-audience"].map(|name| (name.to_owned(), action.to_owned())).to_vec()
}

#[test]
fn a_keycloak_client_is_planned_made_kept_corrected_and_deleted() {
    let Some(release) = SignOn::new() else { return };
    assert_eq!(release.external(), made("create"));
    assert!(release.client().is_none(), "a plan changes nothing");

    let applied = release.apply(&[]).ends_with(0);
    let client = release.client().expect("the client was made");
    assert_eq!(client["redirectUris"], json!(["https://a.thinkube.test/callback"]));
    assert_eq!(client["protocolMappers"][0]["config"]["included.client.audience"], release.name.as_str());
    assert_eq!(release.key("configmap", "id"), client["id"].as_str().expect("it is text"));
    let secret = release.admin.call(
        "GET",
        &format!("/clients/{}/client-secret", release.key("configmap", "id")),
        None,
    );
    let secret = secret.json()["value"].as_str().expect("Keycloak has made one").to_owned();
    let decode = |text: &str| {
        let run = finish(Command::new("sh").args(["-c", "printf %s \"$0\" | base64 -d", text]));
        run.ends_with(0).stdout
    };
    assert_eq!(decode(&release.key("secret", "client-secret")), secret);
    assert!(decode(&release.key("secret", "url")).contains(&secret));

    // Nothing is done twice.
    let mark = release.audit_mark();
    assert_eq!(release.external(), made("unchanged"));
    let again = release.apply(&[]).ends_with(0);
    assert_eq!(again.json()["changed"], false, "{again:?}");
    release.assert_nothing_changed_since(mark);

    // A change by hand is shown by its field and corrected; a field that the plan does not have stays.
    let path = format!("/clients/{}", client["id"].as_str().expect("it is text"));
    let mut changed = client.clone();
    changed["redirectUris"] = json!(["https://evil.thinkube.test/"]);
    changed["description"] = json!("by hand");
    release.admin.call("PUT", &path, Some(&changed)).with(204);
    let plan = release.plan();
    assert_eq!(plan["external"][0]["action"], "update", "{plan}");
    assert!(plan["external"][0]["fields"].to_string().contains("redirectUris"), "{plan}");
    release.apply(&[]).ends_with(0);
    let mended = release.client().expect("it exists");
    assert_eq!(mended["redirectUris"], client["redirectUris"]);
    assert_eq!(mended["description"], "by hand");

    // The secret is nowhere but in its Secret.
    let status = release.run(&["status", &release.name, "-o", "json"]).ends_with(0);
    assert!(status.json()["external"].to_string().contains(&release.name), "{status:?}");
    let state = release.state_namespace();
    let kept = release.kubectl(&["get", "configmaps,leases", "-n", &state, "-o", "yaml"]).ends_with(0).stdout;
    for printed in [&applied.stdout, &applied.stderr, &again.stdout, &status.stdout, &kept, &plan.to_string()]
    {
        assert!(!printed.contains(&secret), "{printed}");
    }

    let taken = release.run(&["uninstall", &release.name, "--yes", "-o", "json"]).ends_with(0);
    assert!(release.client().is_none(), "the client is gone");
    assert_eq!(taken.json()["external"][1]["action"], "delete", "{taken:?}");
    let nothing = release.run(&["status", "-o", "json"]).ends_with(0);
    assert_eq!(nothing.json(), json!([]));
}

#[test]
fn an_external_resource_that_the_plan_no_longer_has_is_deleted() {
    let Some(release) = SignOn::new() else { return };
    release.apply(&[]).ends_with(0);
    assert!(release.client().is_some());
    let unwanted = ["--set", "wanted=false"];
    let plan = finish(&mut release.plugin("plan", &[&["--cluster", "-o", "json"][..], &unwanted].concat()));
    assert_eq!(plan.ends_with(0).json()["external"][0]["action"], "delete");
    release.apply(&unwanted).ends_with(0);
    assert!(release.client().is_none());
    assert_eq!(
        release.run(&["status", &release.name, "-o", "json"]).ends_with(0).json()["external"],
        json!([])
    );
    release.uninstall(&[]);
}

#[test]
fn an_external_resource_that_cannot_be_made_stops_the_apply_first() {
    let Some(release) = SignOn::new() else { return };
    let password = release.admin.password().to_owned();
    let refused = |command: &mut Command, code: i32, printed: &[&str]| {
        let run = finish(command).ends_with(code);
        for word in printed {
            assert!(run.stderr.contains(word), "{word} is not in {}", run.stderr);
        }
        assert!(!run.stderr.contains(&password), "{}", run.stderr);
    };
    let apply = |more: &[&str]| release.plugin("apply", &[&["--yes"][..], more].concat());
    refused(apply(&[]).env("ADMIN_PASSWORD", "wrong-5e1f0c"), 1, &["password"]);
    let or = "KEYCLOAK_PASSWORD or ADMIN_PASSWORD";
    refused(apply(&[]).env_remove("ADMIN_PASSWORD"), 3, &["keycloak-password", or]);
    refused(apply(&[]).env("KEYCLOAK_PASSWORD", "wrong-5e1f0c"), 1, &["password"]);
    refused(&mut apply(&["--set", "realm=nowhere"]), 1, &["nowhere"]);
    // No server, or another one, listens there.
    refused(apply(&[]).args(["--resolve", "auth.thinkube.test=127.0.0.1"]), 1, &["auth.thinkube.test"]);
    let grants = release.write("grants.yaml", "permissions: []\n");
    refused(
        &mut apply(&["--grants", grants.to_str().expect("it is text")]),
        4,
        &["https://auth.thinkube.test"],
    );
    release.assert_nothing_made();
    assert!(release.client().is_none());
}

#[test]
fn a_password_of_its_own_goes_before_the_one_that_it_falls_back_to() {
    let Some(release) = SignOn::new() else { return };
    let password = release.admin.password().to_owned();
    let mut apply = release.plugin("apply", &["--yes"]);
    finish(apply.env("ADMIN_PASSWORD", "another").env("KEYCLOAK_PASSWORD", &password)).ends_with(0);
    assert!(release.client().is_some());
    // A release remembers which falls back to which.
    let from = ["--secret", "admin-password=env:ANOTHER_VARIABLE"];
    let mut uninstall = release.command(&[&["uninstall", &release.name, "--yes"], &from[..]].concat());
    finish(uninstall.env_remove("ADMIN_PASSWORD").env("ANOTHER_VARIABLE", &password)).ends_with(0);
    assert!(release.client().is_none());
}

#[test]
fn a_client_of_another_is_neither_changed_nor_deleted_unless_adopted() {
    let Some(release) = SignOn::new() else { return };
    let theirs = json!({"clientId": release.name, "redirectUris": ["https://theirs.thinkube.test/"]});
    release.admin.call("POST", "/clients", Some(&theirs)).with(201);
    let plan = release.plan();
    let note = plan["external"][0]["note"].as_str().unwrap_or_default();
    assert!(note.contains(&format!("adopt External/{}", release.name)), "{plan}");

    let refused = release.apply(&[]).ends_with(4);
    assert!(refused.stderr.contains("--adopt External/"), "{refused:?}");
    assert_eq!(release.client().expect("it stays")["redirectUris"], theirs["redirectUris"]);
    let state = release.state_namespace();
    release.kubectl(&["get", "namespace", &state]).ends_with(1);

    let adopt = ["--adopt", &format!("External/{}", release.name)];
    release.apply(&adopt).ends_with(0);
    let ours = release.client().expect("it exists");
    assert_eq!(ours["redirectUris"], json!(["https://a.thinkube.test/callback"]));
    // From now on it is the release's.
    release.apply(&[]).ends_with(0);
    release.uninstall(&[]);
    assert!(release.client().is_none());
}

#[test]
fn a_release_can_be_uninstalled_without_its_external_server() {
    let Some(release) = SignOn::new() else { return };
    release.apply(&[]).ends_with(0);
    let uninstall = |more: &[&str]| {
        let mut command =
            release.command(&[&["uninstall", &release.name, "--yes", "-o", "json"][..], more].concat());
        // No server listens there.
        finish(command.args(["--resolve", "auth.thinkube.test=127.0.0.1"]))
    };
    let leave = format!("External/{}", release.name);
    let stuck = uninstall(&[]).ends_with(1);
    assert!(stuck.stderr.contains(&format!("--orphan {leave}")), "{}", stuck.stderr);
    let unknown = uninstall(&["--orphan", "External/other"]).ends_with(3);
    assert!(unknown.stderr.contains(&leave), "{}", unknown.stderr);

    let left = uninstall(&["--orphan", &leave]).ends_with(0).json();
    let external = left["external"].as_array().expect("it is a list");
    let printed =
        |change: &Value| change["action"] == "keep" && change["note"].to_string().contains("left in place");
    assert!(external.len() == 2 && external.iter().all(printed), "{left}");
    assert_eq!(release.run(&["status", "-o", "json"]).ends_with(0).json(), json!([]));
    assert!(release.client().is_some(), "nothing was asked of its server");
}
