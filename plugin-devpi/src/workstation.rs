//! Files for people who use DevPI: on a workstation and in code-server. No file holds a password; the original writes root's
//! into three of them.

use crate::settings::Settings;
use serde_json::json;
use thinkube_sdk::{PodFiles, WorkstationPlan, fill_text};

/// The client that is tested with the server's version.
const CLIENT: &str = "devpi-client==7.3.0";

/// The function `devpi` of code-server's shells, which set DEVPI_INDEX: the client prefers that to the choice of `devpi use`.
const SH_FUNCTION: &str = include_str!("workstation/code-server.sh");
const FISH_FUNCTION: &str = include_str!("workstation/code-server.fish");

/// The files for the $HOME of an operator or a developer.
pub(crate) fn plan_workstation(settings: &Settings, release: &str) -> WorkstationPlan {
    let authorities = settings.devpi_ca_file.as_ref();
    let authorities =
        authorities.map_or_else(String::new, |file| format!("export REQUESTS_CA_BUNDLE='{file}'\n"));
    // The settings' patterns exclude whatever a shell could read as more than text.
    let values = json!({
        "api": settings.api(),
        "dashboard": settings.dashboard(),
        "index": settings.index(),
        "index_name": settings.devpi_index_name,
        "user": settings.auth_realm_username,
        "release": release,
        "authorities": authorities,
    });
    let fill = |text: &str| fill_text(text, &values);
    // Without the public index, which the later original adds: an attacker could publish a package there under the name of a
    // private one.
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

/// The shell configuration of code-server.
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
        .file(&sh, 0o600, lines(|name, value| format!("export {name}='{value}'\n")) + SH_FUNCTION)
        .file(&fish, 0o600, lines(|name, value| format!("set -gx {name} '{value}'\n")) + FISH_FUNCTION)
        .line(format!("{home}/.bashrc"), format!("[ ! -f {sh} ] || . {sh}"))
        .line(format!("{home}/.zshrc"), format!("[ ! -f {sh} ] || . {sh}"))
        .line(format!("{home}/.config/fish/config.fish"), format!("test -f {fish}; and source {fish}"))
}
