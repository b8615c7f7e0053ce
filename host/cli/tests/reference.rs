//! docs/reference/cli.md is the command line as clap has it. `cargo xtask reference` writes it; this test fails when it is old.

use clap::{Arg, ArgAction, Command};
use std::fmt::Write as _;
use std::path::PathBuf;

/// Set by `cargo xtask reference`: writes the page instead of comparing it.
const UPDATE: &str = "THINKUBE_UPDATE_REFERENCE";

const HEAD: &str = "# Command line

Made by `cargo xtask reference` from the program; `thinkube-host COMMAND --help` prints the same.
";

#[test]
fn the_reference_is_that_of_the_program() {
    let page = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../docs/reference/cli.md");
    let current = reference();
    if std::env::var_os(UPDATE).is_some() {
        std::fs::write(&page, current).expect("the page is writable");
        return;
    }
    let written = std::fs::read_to_string(&page).expect("the page exists");
    assert!(written == current, "docs/reference/cli.md is not current; run `cargo xtask reference`");
}

fn reference() -> String {
    let mut root = thinkube_host::command("thinkube-host").disable_help_subcommand(true);
    root.build();
    let mut page = HEAD.to_owned();
    let about = text(root.get_long_about().or(root.get_about()));
    line(&mut page, &format!("\n{about}\n\n## Global options\n"));
    let globals: Vec<&Arg> = root.get_arguments().filter(|arg| arg.is_global_set()).collect();
    globals.iter().for_each(|arg| option(&mut page, arg));
    for command in root.get_subcommands().filter(|command| command.get_name() != "help") {
        section(&mut page, command, "##");
    }
    let codes = text(root.get_after_help());
    let codes = codes.strip_prefix("Exit codes:\n").expect("the help ends with the exit codes");
    line(&mut page, "\n## Exit codes\n\n| code | meaning |\n|---|---|");
    for code in codes.lines() {
        let (code, meaning) = code.trim().split_once(' ').expect("a code has a meaning");
        line(&mut page, &format!("| {code} | {} |", meaning.trim()));
    }
    page
}

fn section(page: &mut String, command: &Command, level: &str) {
    let name = command.get_bin_name().unwrap_or(command.get_name());
    let name = name.strip_prefix("thinkube-host ").unwrap_or(name);
    line(page, &format!("\n{level} {name}\n\n{}.", text(command.get_about())));
    if command.has_subcommands() {
        for command in command.get_subcommands().filter(|command| command.get_name() != "help") {
            section(page, command, &format!("{level}#"));
        }
        return;
    }
    let usage = command.clone().render_usage().to_string();
    line(page, &format!("\n```text\n{}\n```\n", usage.trim_start_matches("Usage: ")));
    let own = |arg: &&Arg| !arg.is_global_set() && !matches!(arg.get_id().as_str(), "help" | "version");
    command.get_arguments().filter(own).for_each(|arg| option(page, arg));
}

fn option(page: &mut String, arg: &Arg) {
    let short = arg.get_short().map(|short| format!("-{short}"));
    let long = arg.get_long().map(|long| format!("--{long}"));
    let names: Vec<String> = [short, long].into_iter().flatten().collect();
    let takes_value = matches!(arg.get_action(), ArgAction::Set | ArgAction::Append);
    let value = arg.get_value_names().filter(|_| takes_value).map(|names| names.join(" "));
    let title = match (names.is_empty(), value) {
        (true, value) => value.unwrap_or_default(),
        (false, Some(value)) => format!("{} {value}", names.join(", ")),
        (false, None) => names.join(", "),
    };
    let mut more = Vec::new();
    let possible: Vec<String> =
        arg.get_possible_values().iter().map(|value| format!("`{}`", value.get_name())).collect();
    if takes_value && !possible.is_empty() {
        more.push(format!("One of {}.", possible.join(", ")));
    }
    let default: Vec<String> =
        arg.get_default_values().iter().map(|value| format!("`{}`", value.to_string_lossy())).collect();
    if takes_value && !default.is_empty() {
        more.push(format!("Default {}.", default.join(", ")));
    }
    if let Some(variable) = arg.get_env() {
        more.push(format!("Environment `{}`.", variable.to_string_lossy()));
    }
    if matches!(arg.get_action(), ArgAction::Append) {
        more.push("May be given several times.".to_owned());
    }
    let help = text(arg.get_help());
    line(page, format!("- `{title}`: {help}. {}", more.join(" ")).replace(". .", ".").trim_end());
}

fn text(styled: Option<&clap::builder::StyledStr>) -> String {
    styled.map(ToString::to_string).unwrap_or_default().trim().to_owned()
}

fn line(page: &mut String, text: &str) {
    writeln!(page, "{text}").expect("a String can be written");
}
