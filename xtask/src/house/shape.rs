//! Rules over the form of Rust files. They rely on rustfmt: a body ends at the brace that has the indent of its `fn`.

use crate::source::{Offence, Source};

const FUNCTION_LINES: usize = 60;
const FILE_LINES: usize = 400;
const TEST_NAME: usize = 70;

/// A file or function may be longer when the comment at its head gives a reason that begins so.
const REASON: &str = "Long because";

pub(super) fn judge(source: &Source, found: &mut Vec<Offence>) {
    if !source.is_rust() {
        return;
    }
    let mut report = |rule, line, what: String| {
        found.push(Offence { rule, path: source.path.clone(), line, what });
    };
    if !source.text.starts_with("//!") {
        report("file-head", 1, "the file does not begin with `//!`".into());
    }
    let product = source.product_lines();
    let head = source.text.lines().take_while(|line| line.starts_with("//!"));
    if product.len() > FILE_LINES && !head.clone().any(|line| line.contains(REASON)) {
        report("file-length", 0, format!("{} lines, at most {FILE_LINES}", product.len()));
    }
    for (index, line) in product.iter().enumerate() {
        if let Some(name) = function(line) {
            let length = length(&product[index..]);
            if length > FUNCTION_LINES && !has_reason(&product[..index]) {
                report(
                    "function-length",
                    index + 1,
                    format!("`{name}` has {length} lines, at most {FUNCTION_LINES}"),
                );
            }
        }
    }
    forbidden(source, &mut report);
    for (line, name) in tests(&source.text) {
        if name.len() > TEST_NAME {
            report("test-name", line, format!("`{name}` has {} characters, at most {TEST_NAME}", name.len()));
        }
    }
}

/// Text that no Rust file may hold, tests included.
fn forbidden(source: &Source, report: &mut impl FnMut(&'static str, usize, String)) {
    // In two pieces, so that this file does not hold them.
    let many = concat!("clippy::too_many", "_arguments");
    let nested = concat!("Option<", "Option<");
    for (index, line) in source.text.lines().enumerate() {
        if line.contains(many) {
            report("arguments", index + 1, format!("`{many}` is silenced"));
        }
        if line.contains(nested) {
            report("nested-option", index + 1, "an Option of an Option; use an enum".into());
        }
    }
}

/// The name of the function that begins on this line.
fn function(line: &str) -> Option<&str> {
    let code = line.trim_start();
    if code.starts_with("//") {
        return None;
    }
    let before = &code[..code.find("fn ")?];
    let qualifiers = ["pub", "const", "async", "unsafe", "extern", "default"];
    let is_item = before.split_whitespace().all(|word| {
        qualifiers.iter().any(|known| word == *known || word.starts_with("pub(")) || word.starts_with('"')
    });
    let name = code[before.len() + 3..].split(['(', '<']).next()?;
    (is_item && !name.is_empty()).then_some(name)
}

/// The lines of the function that begins on the first line: up to the closing brace with the same indent.
fn length(lines: &[&str]) -> usize {
    let indent = lines[0].len() - lines[0].trim_start().len();
    if lines[0].ends_with(';') || lines[0].ends_with('}') {
        return 1;
    }
    let ends = |line: &&str| {
        line.len() - line.trim_start().len() == indent
            && (line.trim_start() == "}" || line.trim_start().ends_with(';'))
    };
    lines.iter().skip(1).position(ends).map_or(lines.len(), |position| position + 2)
}

fn has_reason(before: &[&str]) -> bool {
    let head = before.iter().rev().map(|line| line.trim_start());
    head.take_while(|line| line.starts_with("//") || line.starts_with('#')).any(|line| line.contains(REASON))
}

/// The functions that follow a test attribute, with their lines.
pub(crate) fn tests(text: &str) -> Vec<(usize, &str)> {
    let mut names = Vec::new();
    let mut after_attribute = false;
    for (index, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.starts_with("#[test]") || line.starts_with("#[tokio::test") {
            after_attribute = true;
        } else if let Some(name) = function(line) {
            names.extend(after_attribute.then_some((index + 1, name)));
            after_attribute = false;
        } else if !line.starts_with('#') && !line.starts_with("//") {
            after_attribute = false;
        }
    }
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules(path: &str, text: &str) -> Vec<(&'static str, usize)> {
        let mut found = Vec::new();
        judge(&Source { path: path.into(), text: text.into() }, &mut found);
        found.into_iter().map(|offence| (offence.rule, offence.line)).collect()
    }

    #[test]
    fn a_function_of_more_than_sixty_lines_needs_a_reason() {
        let body = "    a();\n".repeat(59);
        let text = |head: &str| format!("//! A.\n\n{head}pub(crate) async fn long() {{\n{body}}}\n");
        assert_eq!(rules("a/src/a.rs", &text("")), [("function-length", 3)]);
        assert_eq!(rules("a/src/a.rs", &text("/// Long because it is a table.\n")), []);
        assert_eq!(rules("a/tests/a.rs", &text("")), []);
    }

    #[test]
    fn a_file_of_more_than_four_hundred_lines_needs_a_reason() {
        let text = |head: &str| format!("//! A.{head}\n{}", "const A: u8 = 1;\n".repeat(400));
        assert_eq!(rules("a/src/a.rs", &text("")), [("file-length", 0)]);
        assert_eq!(rules("a/src/a.rs", &text(" Long because it is a table.")), []);
    }

    #[test]
    fn a_file_without_a_head_and_a_silenced_lint_are_found() {
        let lint = concat!("#[allow(clippy::too_many", "_arguments)]\n");
        let nested = concat!("type A = Option<", "Option<u8>>;\n");
        assert_eq!(
            rules("a/src/a.rs", &format!("{lint}{nested}")),
            [("file-head", 1), ("arguments", 1), ("nested-option", 2)]
        );
    }

    #[test]
    fn a_test_is_a_function_after_a_test_attribute() {
        let source = "#[test]\n#[ignore = \"x\"]\nfn one_is_found() {\n}\nfn helper_is_not() {}\n\
            #[tokio::test(flavor = \"current_thread\")]\nasync fn two_is_found() {}\n";
        assert_eq!(tests(source), [(3, "one_is_found"), (7, "two_is_found")]);
        let long = format!("//! A.\n#[test]\nfn {}() {{}}\n", "a".repeat(71));
        assert_eq!(rules("a/tests/a.rs", &long), [("test-name", 3)]);
    }
}
