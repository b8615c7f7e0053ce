//! Files for people who work with DevPI, on their own machines and in code-server. None holds a password: the original
//! writes root's into three of them.

use crate::settings::Settings;
use thinkube_sdk::{PodFiles, WorkstationPlan};

/// The client that was tried with the server's version.
const CLIENT: &str = "devpi-client==7.3.0";

/// `devpi` in code-server, where DEVPI_INDEX is set: the client takes that before what `devpi use` has chosen.
const IN_SHELLS: &str = include_str!("workstation/code-server.sh");
const IN_FISH: &str = include_str!("workstation/code-server.fish");

/// The home of an operator or a developer.
pub(crate) fn plan_workstation(settings: &Settings, release: &str) -> WorkstationPlan {
    let authorities = settings.devpi_ca_file.as_ref();
    let authorities =
        authorities.map_or_else(String::new, |file| format!("export REQUESTS_CA_BUNDLE='{file}'\n"));
    let fill = |text: &str| {
        let values = [
            ("api", settings.api()),
            ("dashboard", settings.dashboard()),
            ("index", settings.index()),
            ("index_name", settings.devpi_index_name.clone()),
            ("user", settings.auth_realm_username.clone()),
            ("release", release.to_owned()),
            ("authorities", authorities.clone()),
        ];
        // Each has a pattern that leaves out whatever a shell could read as more than text.
        values
            .iter()
            .fold(text.to_owned(), |text, (name, value)| text.replace(&format!("${{{name}}}"), value))
    };
    // The later original also has the public index beside this one, from which anybody could then offer a package by the
    // name of a private one.
    let mut pip = format!("[global]\nindex-url = {}/{}/+simple/\n", settings.api(), settings.index());
    if let Some(file) = &settings.devpi_ca_file {
        pip += &format!("cert = {file}\n");
    }
    if settings.pip_trusted_host {
        pip += &format!("trusted-host = {}\n", settings.devpi_api_hostname);
    }
    let client = format!("[devpi]\nindex = {}/{}\n", settings.auth_realm_username, settings.devpi_index_name);
    WorkstationPlan::new()
        .directory("devpi-scripts", 0o755)
        .file(".local/bin/devpi", 0o755, fill(include_str!("workstation/devpi.sh")))
        .file(".config/fish/conf.d/devpi.fish", 0o644, fill(include_str!("workstation/devpi.fish")))
        .file(
            "devpi-scripts/devpi-init-admin.sh",
            0o755,
            fill(include_str!("workstation/devpi-init-admin.sh")),
        )
        .file(".devpi.ini", 0o600, client)
        .file(".pip/pip.conf", 0o644, pip)
        .python_package(CLIENT)
}

/// The environment of code-server's shells.
pub(crate) fn code_server(settings: &Settings) -> PodFiles {
    let home = &settings.code_server_home;
    let variables = [
        ("DEVPI_URL", settings.api()),
        ("DEVPI_INDEX", format!("{}/{}", settings.api(), settings.index())),
        ("DEVPI_USERNAME", "root".to_owned()),
    ];
    let lines = |line: fn(&str, &str) -> String| {
        variables.iter().map(|(name, value)| line(name, value)).collect::<String>()
    };
    let (sh, fish) =
        (format!("{home}/.config/thinkube/devpi-env.sh"), format!("{home}/.config/thinkube/devpi-env.fish"));
    PodFiles::new("code-server", &settings.code_server_namespace, "app=code-server")
        .file(&sh, 0o600, lines(|name, value| format!("export {name}='{value}'\n")) + IN_SHELLS)
        .file(&fish, 0o600, lines(|name, value| format!("set -gx {name} '{value}'\n")) + IN_FISH)
        .line(format!("{home}/.bashrc"), format!("[ ! -f {sh} ] || . {sh}"))
        .line(format!("{home}/.zshrc"), format!("[ ! -f {sh} ] || . {sh}"))
        .line(format!("{home}/.config/fish/config.fish"), format!("test -f {fish}; and source {fish}"))
}
