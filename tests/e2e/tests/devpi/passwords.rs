//! Passwords that a shell, YAML or JSON could read as more than text.

use crate::clients::{clients, terminal, typed};
use crate::release::Devpi;
use serde_json::Value;
use thinkube_e2e::{Run, devpi, finish};

/// 200 characters: quotes, expansions of shells, escapes, blanks at both ends, other alphabets, and what YAML reads as its own.
fn hostile() -> [String; 2] {
    let shell = " 'single' \"double\" $HOME ${HOME} $(id) `id` \\ \\n %s %d & ; | > < * ? ! # ~ é ß 漢字 🔑 ";
    let yaml = "- {key: [value]} &anchor *alias !tag | > : # @ ` % \"\\u0041\" \\\"quoted\\\" '' ${password} {{ password }}";
    [shell, yaml].map(|text| {
        let missing = 200 - text.chars().count();
        format!("{text}{}", "x".repeat(missing))
    })
}

/// The Secret, the server, the form of the discovery document with the password in clear, and a person who types it.
fn is_everywhere_the_same(release: &Devpi, password: &str) {
    assert_eq!(release.secret("devpi-root", "password"), password);
    assert_eq!(release.login(password), 200);
    let get = ["get", "configmap", "thinkube-service-config", "-n", &release.name, "-o", "json"];
    let config = release.kubectl(&get).ends_with(0).json();
    let document: Value =
        serde_norway::from_str(config["data"]["service.yaml"].as_str().expect("it is text")).expect("YAML");
    let variables = document["service"]["environment_variables"].as_array().expect("it is a list");
    let in_clear = variables.iter().find(|variable| variable["name"] == "DEVPI_PASSWORD").expect("it exists");
    assert_eq!(in_clear["value"], password);

    let folder = release.path("typed-login");
    let folder = folder.to_str().expect("it is text");
    let devpi = |arguments: &[&str]| {
        let mut command = terminal(release.cluster());
        command.arg(clients().join("devpi")).args(arguments).args(["--clientdir", folder]);
        command
    };
    typed(&mut devpi(&["use", &release.api()]), &[]).ends_with(0);
    let printed = typed(&mut devpi(&["login", "root"]), &[("password", password)]).ends_with(0);
    assert!(printed.stdout.contains("logged in 'root'"), "{}", printed.stdout);
}

/// The check that logs in as root, among the outcomes of others.
fn root_login(outcomes: &Value) -> &Value {
    let outcomes = outcomes.as_array().expect("it is a list");
    outcomes.iter().find(|outcome| outcome["name"] == "root-login").expect("it is among them")
}

/// A changed password reaches the Secret with an apply. The stage that makes the index is skipped, and the server keeps the
/// one before: apply and check say so, and name the operation that cures it.
fn says_that_the_server_has_another_password(release: &Devpi, settings: &[&str], other: &str) -> [Run; 2] {
    let mut apply = release.plugin_command(&["apply", "--yes", "-o", "json"], settings);
    let applied = finish(apply.env("ADMIN_PASSWORD", other)).ends_with(0);
    assert_eq!((release.secret("devpi-root", "password").as_str(), release.login(other)), (other, 401));
    assert_eq!(root_login(&applied.json()["health"])["status"], "failed");
    let checked = release.run(&["check", &release.name]).ends_with(0);
    let operation = format!("run reset-root-password --release {}", release.name);
    assert!(checked.stdout.contains(&operation), "{}", checked.stdout);
    [applied, checked]
}

#[test]
fn a_password_of_any_characters_is_the_same_in_secret_server_and_document() {
    let [first, second] = hostile();
    let Some(release) = Devpi::with_password(Some(&first)) else { return };
    let settings =
        [release.ready_image(), "oauth2_proxy_enabled=false".into(), "devpi_password_in_clear=true".into()];
    let settings: Vec<&str> = settings.iter().map(String::as_str).collect();

    // A line break cannot be typed at a login, so it is refused before anything is changed.
    let mut broken = release.plugin_command(&["apply", "--yes", "-o", "json"], &settings);
    let refused = finish(broken.env("ADMIN_PASSWORD", "two\nlines")).ends_with(3);
    assert!(
        refused.stderr.contains("ADMIN_PASSWORD") && refused.stderr.contains("line break"),
        "{}",
        refused.stderr
    );
    assert!(!refused.stderr.contains("two"), "{}", refused.stderr);
    release.assert_nothing_made();

    let printed = release.apply(&settings).ends_with(0);
    is_everywhere_the_same(&release, &first);
    // The index is made by the Job, which logs in with it.
    release.devpi_client(&["index", "root/stable", "bases="]).ends_with(0);
    release.apply(&settings).ends_with(0);

    let drift = says_that_the_server_has_another_password(&release, &settings, &second);

    let component = devpi().to_str().expect("it is text");
    let reset = ["run", "reset-root-password", "--release", &release.name, "--plugin", component, "--yes"];
    let reset = finish(release.command(&reset).env("ADMIN_PASSWORD", &second)).ends_with(0);
    is_everywhere_the_same(&release, &second);
    assert_eq!(release.login(&first), 401);
    let checked = release.run(&["check", &release.name, "-o", "json"]).ends_with(0);
    assert_eq!(root_login(&checked.json())["status"], "passed");
    for run in [&printed, &reset, &drift[0], &drift[1], &checked] {
        for password in [&first, &second] {
            assert!(!run.stdout.contains(password) && !run.stderr.contains(password), "it is reported");
        }
    }
}
