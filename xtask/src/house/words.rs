//! Words that were retired. `docs/glossary.md` and `docs/style.md` have the word to use in place of each.
//!
//! Identifiers count as well: `taken_back` and `TakenBack` hold the words `taken back`.

use crate::source::{Offence, Source};

/// A phrase, and longer phrases within which it is good English.
const PHRASES: &[(&str, &[&str])] = &[
    ("anew", &[]),
    ("by now", &[]),
    ("by then", &[]),
    ("claim", &["volume claim", "claim templates", "claim name"]),
    ("claims", &["volume claims"]),
    ("corner", &[]),
    ("done when", &[]),
    ("elsewhere", &[]),
    ("go away", &[]),
    ("goes away", &[]),
    ("gone away", &[]),
    ("home namespace", &[]),
    ("is no", &["there is no", "is no longer", "is no more", "is no other", "is no way", "is no need"]),
    ("is none of", &[]),
    ("last words", &[]),
    ("look", &["look up", "look ahead", "look like"]),
    ("looked", &["looked up"]),
    ("looking", &[]),
    ("looks", &["looks up", "looks like"]),
    ("nobody", &[]),
    ("of then", &[]),
    ("outside the cluster", &[]),
    ("patience", &[]),
    ("said", &[]),
    ("settle", &[]),
    ("settled", &[]),
    ("somebody", &[]),
    ("take back", &[]),
    ("taken back", &[]),
    ("takes back", &[]),
    ("what is there", &[]),
    ("what was there", &[]),
    ("whoever", &[]),
];

/// Names of types and functions that were renamed; prose may use the words.
const NAMES: &[&str] = &[
    "Comparison",
    "Corner",
    "Granting",
    "HomeChange",
    "HomeDirectory",
    "HomeFile",
    "Lack",
    "LeftBecause",
    "Offer",
    "Offered",
    "Outline",
    "Setup",
    "TakenBack",
    "Workshop",
    "check_operation",
    "check_outline",
    "ensure_home",
];

/// Files that are about the retired words.
const ABOUT_WORDS: [&str; 4] =
    ["CHANGELOG.md", "docs/glossary.md", "docs/style.md", "xtask/src/house/words.rs"];

/// Files where one phrase is another field's own term: phrase, start of the path, reason.
const ALLOWED: &[(&str, &str, &str)] = &[
    ("done when", "host/plan/src/plan/stage.rs", "the key of older records"),
    ("claim", "host/effects/src/external/tests.rs", "a claim of an OIDC token"),
    (
        "somebody",
        "tests/cluster/images/devpi/entrypoint.sh",
        "a change of the text is a new image for every cluster",
    ),
    ("claim", "host/effects/tests/keycloak.rs", "a claim of an OIDC token"),
    ("claims", "host/effects/tests/keycloak.rs", "a claim of an OIDC token"),
    ("claim", "sdk/src/recipes/keycloak.rs", "a claim of an OIDC token"),
    ("claims", "sdk/src/recipes/keycloak.rs", "a claim of an OIDC token"),
    ("claim", "tests/e2e/tests/platform/sign_in.rs", "a claim of an OIDC token"),
    ("claims", "tests/e2e/", "claims of an OIDC token"),
    ("said", "xtask/src/test/libtest.rs", "a recorded output"),
    ("looks", "host/engine/src/outcome.rs", "a key in the JSON of `check`, which is a stable interface"),
    ("look", "docs/devpi/migration-from-ansible.md", "the name of an Ansible lookup"),
];

pub(super) fn judge(source: &Source, found: &mut Vec<Offence>) {
    if ABOUT_WORDS.contains(&source.path.as_str()) {
        return;
    }
    let words = words(&source.text);
    for (index, (_, line)) in words.iter().enumerate() {
        for (phrase, exceptions) in PHRASES {
            if starts(&words[index..], phrase)
                && !exceptions.iter().any(|longer| covers(&words, index, longer))
                && !is_allowed(phrase, &source.path)
            {
                let what = format!("`{phrase}` is retired");
                found.push(Offence { rule: "word", path: source.path.clone(), line: *line, what });
            }
        }
    }
    if source.is_rust() {
        names(source, found);
    }
}

fn names(source: &Source, found: &mut Vec<Offence>) {
    for (index, line) in source.text.lines().enumerate() {
        let code = line.split("//").next().unwrap_or_default();
        for name in code.split(|c: char| !c.is_alphanumeric() && c != '_') {
            if NAMES.contains(&name) {
                let what = format!("the name `{name}` is retired");
                found.push(Offence { rule: "name", path: source.path.clone(), line: index + 1, what });
            }
        }
    }
}

fn is_allowed(phrase: &str, path: &str) -> bool {
    ALLOWED.iter().any(|(allowed, start, _)| *allowed == phrase && path.starts_with(start))
}

/// The words of a text in lower case, with their lines; identifiers are taken apart.
fn words(text: &str) -> Vec<(String, usize)> {
    let mut words = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let mut word = String::new();
        let mut previous = ' ';
        for c in line.chars().chain([' ']) {
            let begins = c.is_uppercase() && (previous.is_lowercase() || previous.is_numeric());
            if (!c.is_alphabetic() || begins) && !word.is_empty() {
                words.push((std::mem::take(&mut word), index + 1));
            }
            if c.is_alphabetic() {
                word.extend(c.to_lowercase());
            }
            previous = c;
        }
    }
    words
}

fn starts(words: &[(String, usize)], phrase: &str) -> bool {
    let mut phrase = phrase.split(' ');
    let same = words.iter().zip(phrase.by_ref()).all(|((word, _), expected)| word == expected);
    same && phrase.next().is_none()
}

/// Whether `longer` stands in the text so that it includes the word at `index`.
fn covers(words: &[(String, usize)], index: usize, longer: &str) -> bool {
    let length = longer.split(' ').count();
    (index.saturating_sub(length - 1)..=index).any(|start| starts(&words[start..], longer))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judged(path: &str, text: &str) -> Vec<String> {
        let mut found = Vec::new();
        judge(&Source { path: path.into(), text: text.into() }, &mut found);
        found.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_retired_phrase_is_found_in_prose_and_in_identifiers() {
        let found = judged("a.rs", "//! What is\n//! there.\nfn taken_back(a: TakenBack) {}\n");
        assert_eq!(
            found,
            [
                "a.rs:1: word: `what is there` is retired",
                "a.rs:3: word: `taken back` is retired",
                "a.rs:3: word: `taken back` is retired",
                "a.rs:3: name: the name `TakenBack` is retired",
            ]
        );
    }

    #[test]
    fn a_phrase_is_good_english_within_a_longer_one() {
        assert_eq!(judged("a.md", "There is no cluster, and it is no longer needed.").len(), 0);
        assert_eq!(judged("a.md", "It is no cluster.").len(), 1);
        assert_eq!(judged("a.md", "A PersistentVolumeClaim.").len(), 0);
        assert_eq!(judged("a.md", "A claim.").len(), 1);
    }

    #[test]
    fn the_glossary_may_name_retired_words() {
        assert_eq!(judged("docs/glossary.md", "somebody").len(), 0);
    }
}
