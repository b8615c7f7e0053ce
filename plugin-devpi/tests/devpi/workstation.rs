use crate::{minimal, plan, plan_with, properties, with};
use plugin_devpi::DevPi;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::{Mutex, PoisonError};
use thinkube_sdk::{Step, WorkstationPlan, testing};

/// A program that is being written cannot be run, and a process that is just made has the files of this one open.
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
fn a_home_gets_what_the_original_puts_there() {
    let setup = plan_workstation();
    let files: Vec<(&str, u32)> = setup.files.iter().map(|file| (file.path.as_str(), file.mode)).collect();
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
    assert_eq!(setup.python_packages, ["devpi-client==7.3.0"]);
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

/// W3: the original writes root's password into three files of the home.
#[test]
fn no_file_of_a_home_or_a_pod_has_a_password_or_a_place_that_was_not_filled() {
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

/// W8: the original has pip look at no certificate.
#[test]
fn pip_looks_at_the_certificate_and_at_this_index_alone() {
    assert_eq!(
        content(".pip/pip.conf"),
        "[global]\nindex-url = https://devpi-api.example.com/root/stable/+simple/\n"
    );
}

#[test]
fn an_authority_that_is_not_public_is_named_to_pip_and_to_the_client() {
    let setup = testing::plan_workstation::<DevPi>(with("devpi_ca_file", "/home/me/.local/platform.crt"));
    let text = |path: &str| {
        let file = setup.files.iter().find(|file| file.path == path);
        file.unwrap_or_else(|| panic!("no {path}")).content.clone()
    };
    let pip = "[global]\nindex-url = https://devpi-api.example.com/root/stable/+simple/\ncert = /home/me/.local/platform.crt\n";
    assert_eq!(text(".pip/pip.conf"), pip);
    assert!(
        text(".local/bin/devpi").contains("\nexport REQUESTS_CA_BUNDLE='/home/me/.local/platform.crt'\n")
    );
    assert!(!content(".local/bin/devpi").contains("REQUESTS_CA_BUNDLE"));
}

/// W8: by the opt-in alone, which says what it risks where it is described and where it is used.
#[test]
fn a_certificate_goes_unverified_only_where_a_setting_asks_for_it_and_the_risk_is_said() {
    let setup = testing::plan_workstation::<DevPi>(with("pip_trusted_host", true));
    let pip = setup.files.iter().find(|file| file.path == ".pip/pip.conf").expect("it is there");
    assert!(pip.content.ends_with("\ntrusted-host = devpi-api.example.com\n"), "{}", pip.content);
    let notes = |plan: testing::Planned| plan.plan.notes.unwrap_or_default();
    assert!(notes(plan_with("pip_trusted_host", true)).contains("can install any program"));
    assert!(!notes(plan()).contains("any certificate"));
    let described = properties()["pip_trusted_host"]["description"].to_string();
    assert!(described.contains("install any program"), "{described}");
}

/// A folder with the wrapper in it, and in place of the client's Python a program that says how it was called.
fn home_with_the_wrapper() -> tempfile::TempDir {
    let home = tempfile::tempdir().expect("a temporary folder");
    let put = |path: &str, text: &str| {
        let path = home.path().join(path);
        fs::create_dir_all(path.parent().expect("it is below the home")).expect("writable");
        fs::write(&path, text).expect("writable");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("ours");
    };
    put(".local/bin/devpi", &content(".local/bin/devpi"));
    let python = "#!/bin/sh\necho \"$@, DEVPI_INDEX=$DEVPI_INDEX\"\n";
    put(".local/share/thinkube/venvs/devpi/bin/python", python);
    home
}

fn said(home: &Path, environment: &[(&str, &str)]) -> String {
    let mut devpi = Command::new(home.join(".local/bin/devpi"));
    devpi
        .args(["upload", "a b.whl"])
        .env("HOME", home)
        .env_remove("DEVPI_CLIENTDIR")
        .env_remove("DEVPI_INDEX");
    let output = devpi.envs(environment.iter().copied()).output().expect("it runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("text")
}

#[test]
fn devpi_on_the_path_runs_the_client_of_the_release_wherever_the_home_is() {
    let _one = ONE_PROCESS.lock().unwrap_or_else(PoisonError::into_inner);
    let home = home_with_the_wrapper();
    assert_eq!(said(home.path(), &[]), "-I -m devpi upload a b.whl, DEVPI_INDEX=\n");
    let moved = home.path().with_extension("moved");
    fs::rename(home.path(), &moved).expect("ours");
    assert_eq!(said(&moved, &[]), "-I -m devpi upload a b.whl, DEVPI_INDEX=\n");
    fs::rename(&moved, home.path()).expect("ours");
}

/// The client takes the variable before what `devpi use` has chosen.
#[test]
fn what_devpi_use_has_chosen_counts_and_the_environment_only_where_nothing_was() {
    let _one = ONE_PROCESS.lock().unwrap_or_else(PoisonError::into_inner);
    let home = home_with_the_wrapper();
    let index = [("DEVPI_INDEX", "https://a/root/stable")];
    let chosen = |folder: &Path, text: &str| {
        fs::create_dir_all(folder).expect("writable");
        fs::write(folder.join("current.json"), text).expect("writable");
    };
    let folder = home.path().join(".devpi/client");
    assert!(said(home.path(), &index).ends_with("DEVPI_INDEX=https://a/root/stable\n"));
    // As the client writes it.
    chosen(&folder, "{\n  \"index\": null,\n  \"simpleindex\": \"https://a/x/+simple/\"\n}");
    assert!(said(home.path(), &index).ends_with("DEVPI_INDEX=https://a/root/stable\n"));
    chosen(&folder, "{\n  \"index\": \"https://a/me/dev\",\n  \"login\": \"https://a/+login\"\n}");
    assert!(said(home.path(), &index).ends_with("DEVPI_INDEX=\n"));
    let other = home.path().join("other client");
    let elsewhere = [index[0], ("DEVPI_CLIENTDIR", other.to_str().expect("text"))];
    assert!(said(home.path(), &elsewhere).ends_with("DEVPI_INDEX=https://a/root/stable\n"));
    chosen(&other, "{\"index\": \"https://a/me/dev\"}");
    assert!(said(home.path(), &elsewhere).ends_with("DEVPI_INDEX=\n"));
}

/// The content of the file in pods of code-server whose name ends with `end`.
fn in_pods(end: &str) -> String {
    let found = plan().steps().find_map(|step| match step {
        Step::PodFiles(files) => files.files.iter().find(|file| file.path.ends_with(end)).cloned(),
        _ => None,
    });
    found.unwrap_or_else(|| panic!("no {end}")).content
}

#[test]
fn code_server_reads_what_was_chosen_in_the_folder_that_the_environment_names() {
    let _one = ONE_PROCESS.lock().unwrap_or_else(PoisonError::into_inner);
    let home = tempfile::tempdir().expect("a temporary folder");
    let program = home.path().join("devpi");
    fs::write(&program, "#!/bin/sh\necho \"DEVPI_INDEX=$DEVPI_INDEX\"\n").expect("writable");
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).expect("ours");
    let path = format!("{}:{}", home.path().display(), std::env::var("PATH").expect("it is set"));
    let script = in_pods(".sh") + "devpi use\n";
    let said = |folder: Option<&Path>| {
        let mut shell = Command::new("sh");
        shell.args(["-c", &script]).env("HOME", home.path()).env("PATH", &path);
        shell.env_remove("DEVPI_CLIENTDIR").envs(folder.map(|folder| ("DEVPI_CLIENTDIR", folder)));
        let output = shell.output().expect("it runs");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).expect("text")
    };
    let (unset, other) = ("DEVPI_INDEX=\n", home.path().join("other client"));
    let default = home.path().join(".devpi/client");
    fs::create_dir_all(&other).expect("writable");
    fs::create_dir_all(&default).expect("writable");
    assert_ne!(said(Some(&other)), unset);
    fs::write(other.join("current.json"), "{\"index\": \"https://a/me/dev\"}").expect("writable");
    assert_eq!(said(Some(&other)), unset);
    assert_ne!(said(None), unset);
    fs::rename(other.join("current.json"), default.join("current.json")).expect("ours");
    assert_eq!(said(None), unset);
    assert_ne!(said(Some(&other)), unset);
    // A test with a cluster runs the function in fish.
    let fish = in_pods(".fish");
    assert!(fish.contains("test -n \"$DEVPI_CLIENTDIR\"; and set client $DEVPI_CLIENTDIR\n"), "{fish}");
    assert!(fish.contains(" $client/current.json\n"), "{fish}");
}

#[test]
fn the_scripts_are_ones_that_a_shell_reads() {
    let _one = ONE_PROCESS.lock().unwrap_or_else(PoisonError::into_inner);
    for script in [content("devpi-scripts/devpi-init-admin.sh"), content(".local/bin/devpi"), in_pods(".sh")]
    {
        let mut shell =
            Command::new("sh").args(["-n", "/dev/stdin"]).stdin(Stdio::piped()).spawn().expect("sh runs");
        std::io::Write::write_all(&mut shell.stdin.take().expect("piped"), script.as_bytes())
            .expect("it reads");
        assert!(shell.wait().expect("it ends").success(), "{script}");
    }
}

#[test]
fn code_server_learns_where_devpi_is_unless_it_is_not_to() {
    let files = |plan: &testing::Planned| plan.steps().any(|step| matches!(step, Step::PodFiles(_)));
    assert!(files(&plan()));
    assert!(!files(&plan_with("code_server_env", false)));
}
