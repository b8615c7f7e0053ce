//! The files for a workstation and for code-server, some of them run in a shell.

use crate::{minimal, plan, plan_with, properties, with};
use plugin_devpi::DevPi;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::{Mutex, PoisonError};
use thinkube_sdk::{Step, WorkstationPlan, testing};

/// A file that is open for writing cannot be executed, and a forked process inherits open files. So tests that run programs
/// take turns.
static ONE_PROCESS: Mutex<()> = Mutex::new(());

fn plan_workstation() -> WorkstationPlan {
    testing::plan_workstation::<DevPi>(minimal())
}

fn content(path: &str) -> String {
    plan_workstation()
        .files
        .into_iter()
        .find(|file| file.path == path)
        .unwrap_or_else(|| panic!("no {path}"))
        .content
}

#[test]
fn a_workstation_gets_the_files_of_the_original() {
    let workstation_plan = plan_workstation();
    let files: Vec<(&str, u32)> =
        workstation_plan.files.iter().map(|file| (file.path.as_str(), file.mode)).collect();
    assert_eq!(
        files,
        [
            (".local/bin/devpi", 0o755),
            (".config/fish/conf.d/devpi.fish", 0o644),
            ("devpi-scripts/devpi-init-admin.sh", 0o755),
            (".devpi.ini", 0o600),
            (".pip/pip.conf", 0o644),
        ]
    );
    assert_eq!(workstation_plan.python_packages, ["devpi-client==7.3.0"]);
    assert!(
        content(".config/fish/conf.d/devpi.fish")
            .contains("set -gx DEVPI_URL 'https://devpi-api.example.com'")
    );
    for function in ["devpi-env", "devpi-init-admin", "devpi-upload-pkg"] {
        assert!(
            content(".config/fish/conf.d/devpi.fish").contains(&format!("function {function} ")),
            "{function}"
        );
    }
}

/// The original writes root's password into three files of a workstation.
#[test]
fn no_file_holds_a_password_or_an_unfilled_placeholder() {
    for file in plan_workstation().files {
        let lines: Vec<&str> =
            file.content.lines().filter(|line| !line.trim_start().starts_with('#')).collect();
        assert!(
            lines.iter().all(|line| !line.contains("--password") && !line.contains("password=")),
            "{}",
            file.path
        );
        assert!(!file.content.contains("${"), "{}", file.path);
    }
    let text = format!("{:?}", plan().plan.stages.last());
    assert!(text.contains("DEVPI_USERNAME") && !text.contains("DEVPI_PASSWORD="), "{text}");
}

/// The original turns the certificate's verification off.
#[test]
fn pip_verifies_the_certificate_and_uses_only_this_index() {
    assert_eq!(
        content(".pip/pip.conf"),
        "[global]\nindex-url = https://devpi-api.example.com/root/stable/+simple/\n"
    );
}

#[test]
fn pip_and_the_client_trust_a_private_authority() {
    let workstation_plan =
        testing::plan_workstation::<DevPi>(with("devpi_ca_file", "/home/me/.local/platform.crt"));
    let text = |path: &str| {
        let file = workstation_plan.files.iter().find(|file| file.path == path);
        file.unwrap_or_else(|| panic!("no {path}")).content.clone()
    };
    let pip = "[global]\nindex-url = https://devpi-api.example.com/root/stable/+simple/\ncert = /home/me/.local/platform.crt\n";
    assert_eq!(text(".pip/pip.conf"), pip);
    assert!(
        text(".local/bin/devpi").contains("\nexport REQUESTS_CA_BUNDLE='/home/me/.local/platform.crt'\n")
    );
    assert!(!content(".local/bin/devpi").contains("REQUESTS_CA_BUNDLE"));
}

/// The setting's description and the plan's notes state the risk.
#[test]
fn only_a_setting_turns_verification_off_and_the_risk_is_stated() {
    let workstation_plan = testing::plan_workstation::<DevPi>(with("pip_trusted_host", true));
    let pip = workstation_plan
        .files
        .iter()
        .find(|file| file.path == ".pip/pip.conf")
        .expect("the plan has pip.conf");
    assert!(pip.content.ends_with("\ntrusted-host = devpi-api.example.com\n"), "{}", pip.content);
    let notes = |plan: testing::Planned| plan.plan.notes.unwrap_or_default();
    assert!(notes(plan_with("pip_trusted_host", true)).contains("can install any program"));
    assert!(!notes(plan()).contains("any certificate"));
    let described = properties()["pip_trusted_host"]["description"].to_string();
    assert!(described.contains("install any program"), "{described}");
}

/// A folder with the wrapper, and a program in place of the client's Python that prints its arguments.
fn home_with_the_wrapper() -> tempfile::TempDir {
    let home = tempfile::tempdir().expect("a temporary folder can be created");
    let put = |path: &str, text: &str| {
        let path = home.path().join(path);
        fs::create_dir_all(path.parent().expect("the path has a parent")).expect("the folder is writable");
        fs::write(&path, text).expect("the folder is writable");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("the file belongs to this user");
    };
    put(".local/bin/devpi", &content(".local/bin/devpi"));
    let python = "#!/bin/sh\necho \"$@, DEVPI_INDEX=$DEVPI_INDEX\"\n";
    put(".local/share/thinkube/venvs/devpi/bin/python", python);
    home
}

fn output_of(home: &Path, environment: &[(&str, &str)]) -> String {
    let mut devpi = Command::new(home.join(".local/bin/devpi"));
    devpi
        .args(["upload", "a b.whl"])
        .env("HOME", home)
        .env_remove("DEVPI_CLIENTDIR")
        .env_remove("DEVPI_INDEX");
    let output = devpi.envs(environment.iter().copied()).output().expect("the program runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("the output is text")
}

#[test]
fn devpi_runs_the_client_of_the_release_after_home_moves() {
    let _one = ONE_PROCESS.lock().unwrap_or_else(PoisonError::into_inner);
    let home = home_with_the_wrapper();
    assert_eq!(output_of(home.path(), &[]), "-I -m devpi upload a b.whl, DEVPI_INDEX=\n");
    let moved = home.path().with_extension("moved");
    fs::rename(home.path(), &moved).expect("the file belongs to this user");
    assert_eq!(output_of(&moved, &[]), "-I -m devpi upload a b.whl, DEVPI_INDEX=\n");
    fs::rename(&moved, home.path()).expect("the file belongs to this user");
}

/// The client itself prefers the variable to the choice of `devpi use`.
#[test]
fn the_choice_of_devpi_use_wins_over_the_environment() {
    let _one = ONE_PROCESS.lock().unwrap_or_else(PoisonError::into_inner);
    let home = home_with_the_wrapper();
    let index = [("DEVPI_INDEX", "https://a/root/stable")];
    let chosen = |folder: &Path, text: &str| {
        fs::create_dir_all(folder).expect("the folder is writable");
        fs::write(folder.join("current.json"), text).expect("the folder is writable");
    };
    let folder = home.path().join(".devpi/client");
    assert!(output_of(home.path(), &index).ends_with("DEVPI_INDEX=https://a/root/stable\n"));
    // As the client writes it.
    chosen(&folder, "{\n  \"index\": null,\n  \"simpleindex\": \"https://a/x/+simple/\"\n}");
    assert!(output_of(home.path(), &index).ends_with("DEVPI_INDEX=https://a/root/stable\n"));
    chosen(&folder, "{\n  \"index\": \"https://a/me/dev\",\n  \"login\": \"https://a/+login\"\n}");
    assert!(output_of(home.path(), &index).ends_with("DEVPI_INDEX=\n"));
    let other = home.path().join("other client");
    let with_folder = [index[0], ("DEVPI_CLIENTDIR", other.to_str().expect("the output is text"))];
    assert!(output_of(home.path(), &with_folder).ends_with("DEVPI_INDEX=https://a/root/stable\n"));
    chosen(&other, "{\"index\": \"https://a/me/dev\"}");
    assert!(output_of(home.path(), &with_folder).ends_with("DEVPI_INDEX=\n"));
}

/// The content of the code-server file whose path ends with `end`.
fn in_pods(end: &str) -> String {
    let found = plan().steps().find_map(|step| match step {
        Step::PodFiles(files) => files.files.iter().find(|file| file.path.ends_with(end)).cloned(),
        _ => None,
    });
    found.unwrap_or_else(|| panic!("no {end}")).content
}

#[test]
fn code_server_reads_the_choice_from_the_folder_in_the_environment() {
    let _one = ONE_PROCESS.lock().unwrap_or_else(PoisonError::into_inner);
    let home = tempfile::tempdir().expect("a temporary folder can be created");
    let program = home.path().join("devpi");
    fs::write(&program, "#!/bin/sh\necho \"DEVPI_INDEX=$DEVPI_INDEX\"\n").expect("the folder is writable");
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).expect("the file belongs to this user");
    let path = format!("{}:{}", home.path().display(), std::env::var("PATH").expect("PATH is set"));
    let script = in_pods(".sh") + "devpi use\n";
    let output_with = |folder: Option<&Path>| {
        let mut shell = Command::new("sh");
        shell.args(["-c", &script]).env("HOME", home.path()).env("PATH", &path);
        shell.env_remove("DEVPI_CLIENTDIR").envs(folder.map(|folder| ("DEVPI_CLIENTDIR", folder)));
        let output = shell.output().expect("the program runs");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).expect("the output is text")
    };
    let (unset, other) = ("DEVPI_INDEX=\n", home.path().join("other client"));
    let default = home.path().join(".devpi/client");
    fs::create_dir_all(&other).expect("the folder is writable");
    fs::create_dir_all(&default).expect("the folder is writable");
    assert_ne!(output_with(Some(&other)), unset);
    fs::write(other.join("current.json"), "{\"index\": \"https://a/me/dev\"}")
        .expect("the folder is writable");
    assert_eq!(output_with(Some(&other)), unset);
    assert_ne!(output_with(None), unset);
    fs::rename(other.join("current.json"), default.join("current.json"))
        .expect("the file belongs to this user");
    assert_eq!(output_with(None), unset);
    assert_ne!(output_with(Some(&other)), unset);
    // An e2e test runs the function in fish.
    let fish = in_pods(".fish");
    assert!(fish.contains("test -n \"$DEVPI_CLIENTDIR\"; and set client $DEVPI_CLIENTDIR\n"), "{fish}");
    assert!(fish.contains(" $client/current.json\n"), "{fish}");
}

#[test]
fn a_shell_can_parse_the_scripts() {
    let _one = ONE_PROCESS.lock().unwrap_or_else(PoisonError::into_inner);
    for script in [content("devpi-scripts/devpi-init-admin.sh"), content(".local/bin/devpi"), in_pods(".sh")]
    {
        let mut shell =
            Command::new("sh").args(["-n", "/dev/stdin"]).stdin(Stdio::piped()).spawn().expect("sh runs");
        std::io::Write::write_all(&mut shell.stdin.take().expect("stdin is piped"), script.as_bytes())
            .expect("sh reads its input");
        assert!(shell.wait().expect("sh ends").success(), "{script}");
    }
}

#[test]
fn code_server_gets_the_addresses_unless_disabled() {
    let files = |plan: &testing::Planned| plan.steps().any(|step| matches!(step, Step::PodFiles(_)));
    assert!(files(&plan()));
    assert!(!files(&plan_with("code_server_env", false)));
}
