use crate::{minimal, plan, plan_with};
use plugin_devpi::DevPi;
use std::process::{Command, Stdio};
use thinkube_sdk::{Setup, Step, testing};

fn setup() -> Setup {
    testing::setup::<DevPi>(minimal())
}

fn content(path: &str) -> String {
    setup().files.into_iter().find(|file| file.path == path).unwrap_or_else(|| panic!("no {path}")).content
}

#[test]
fn a_home_gets_what_the_original_puts_there() {
    let setup = setup();
    let files: Vec<(&str, u32)> = setup.files.iter().map(|file| (file.path.as_str(), file.mode)).collect();
    assert_eq!(
        files,
        [
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
    for file in setup().files {
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
fn the_script_is_one_that_a_shell_reads() {
    let mut shell =
        Command::new("sh").args(["-n", "/dev/stdin"]).stdin(Stdio::piped()).spawn().expect("sh runs");
    let script = content("devpi-scripts/devpi-init-admin.sh");
    std::io::Write::write_all(&mut shell.stdin.take().expect("piped"), script.as_bytes()).expect("it reads");
    assert!(shell.wait().expect("it ends").success());
}

#[test]
fn code_server_learns_where_devpi_is_unless_it_is_not_to() {
    let files = |plan: &testing::Planned| plan.steps().any(|step| matches!(step, Step::PodFiles(_)));
    assert!(files(&plan()));
    assert!(!files(&plan_with("code_server_env", false)));
}
