//! The scenarios that a text names as proof, each of which has to exist.

use crate::tidy::source::Source;

/// Scenarios that `text`, called `name`, has in backticks as `group::scenario`, and that are nowhere in `integration`.
pub(crate) fn absent(name: &str, text: &str, sources: &[Source]) -> Vec<String> {
    let scenarios: Vec<&Source> =
        sources.iter().filter(|source| source.path.starts_with("integration/src")).collect();
    let exists = |scenario: &str| {
        let quoted = format!("\"{scenario}\"");
        scenarios.iter().any(|source| source.text.contains(&quoted))
    };
    named(text)
        .filter(|scenario| !exists(scenario))
        .map(|scenario| format!("{name}: there is no scenario {scenario}"))
        .collect()
}

/// What stands in backticks and looks like the name of a scenario: small words around one `::`.
fn named(text: &str) -> impl Iterator<Item = &str> {
    let word = |word: &str| {
        !word.is_empty() && word.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
    };
    text.lines()
        .flat_map(|line| line.split('`').skip(1).step_by(2))
        .filter(move |code| code.split_once("::").is_some_and(|(group, name)| word(group) && word(name)))
        .filter(|code| !code.starts_with("rpc::"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scenario_that_does_not_exist_is_found_and_code_is_left_alone() {
        let sources = [Source::new("integration/src/groups/a.rs", "//! A.\nnew(\"basic::add\", 2)\n")];
        let text = "`basic::add` and `basic::gone`; `rpc::init`, `Worker::builder`, plain basic::text\n";
        assert_eq!(absent("a.md", text, &sources), ["a.md: there is no scenario basic::gone"]);
    }
}
