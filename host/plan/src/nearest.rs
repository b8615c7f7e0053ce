//! Names like one that a person mistyped.

/// The least likeness at which a name is suggested: cargo and clap use the same measure and bound.
const LIKELY: f64 = 0.8;

/// The name that is most like `wrong`, if one is likely meant. Case does not count.
pub fn nearest<'a>(wrong: &str, names: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    names
        .map(|name| (likeness(wrong, name), name))
        .filter(|(likeness, _)| *likeness >= LIKELY)
        .max_by(|(a, _), (b, _)| a.total_cmp(b))
        .map(|(_, name)| name)
}

/// The names, the most like `wrong` first; those that are equally like it by name.
pub fn nearest_first(wrong: &str, mut names: Vec<String>) -> Vec<String> {
    names.sort_by(|a, b| likeness(wrong, b).total_cmp(&likeness(wrong, a)).then_with(|| a.cmp(b)));
    names
}

fn likeness(wrong: &str, name: &str) -> f64 {
    strsim::jaro_winkler(&wrong.to_lowercase(), &name.to_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_name_comes_first() {
        let names = ["gitlab", "devpi-2", "devpi"].map(str::to_owned).to_vec();
        assert_eq!(nearest_first("devpy", names), ["devpi", "devpi-2", "gitlab"]);
    }

    #[test]
    fn a_name_that_is_not_like_it_is_not_suggested() {
        assert_eq!(nearest("DEVPY", ["gitlab", "devpi"].into_iter()), Some("devpi"));
        assert_eq!(nearest("x", ["gitlab", "devpi"].into_iter()), None);
    }
}
