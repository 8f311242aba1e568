//! Invariants are stated in module comments, in bold and with an id: two to four capital letters, a hyphen, a
//! number. Each has to be named, by its id, in the code of some test; otherwise nobody would notice when it
//! stops being true.

use std::collections::BTreeMap;

use crate::tidy::source::Source;

/// The invariants that no test names.
pub(crate) fn without_test(sources: &[Source]) -> Vec<String> {
    let mut stated = BTreeMap::new();
    for source in sources {
        for line in source.text.lines().filter(|line| line.starts_with("//!")) {
            for id in bold_ids(line) {
                stated.entry(id).or_insert(&source.path);
            }
        }
    }
    let is_named = |id: &str| sources.iter().any(|source| names(source.test_part(), id));
    let unnamed = stated.into_iter().filter(|(id, _)| !is_named(id));
    unnamed.map(|(id, path)| format!("{}: no test names the invariant {id}", path.display())).collect()
}

/// The ids that begin a bold span of `line`.
fn bold_ids(line: &str) -> impl Iterator<Item = &str> {
    line.split("**").skip(1).filter_map(|span| {
        let letters = span.bytes().take_while(u8::is_ascii_uppercase).count();
        let digits = span[letters..].strip_prefix('-')?.bytes().take_while(u8::is_ascii_digit).count();
        ((2..=4).contains(&letters) && digits > 0).then(|| &span[..letters + 1 + digits])
    })
}

/// Whether `text` has `id` as a word of its own: `A-1` is not in `A-12`.
fn names(text: &str, id: &str) -> bool {
    text.match_indices(id).any(|(at, _)| {
        let before = text[..at].chars().next_back();
        let after = text[at + id.len()..].chars().next();
        !before.is_some_and(char::is_alphanumeric) && !after.is_some_and(char::is_alphanumeric)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_invariant_that_no_test_names_is_found() {
        let sources = [
            Source::new(
                "a/src/proto.rs",
                "//! - **AB-1, kept.** Text.\n//! - **AB-2.** Text.\n//! **Bold**, **X-1**.\n",
            ),
            Source::new("a/src/proto/tests.rs", "/// AB-1: holds.\n"),
        ];
        assert_eq!(without_test(&sources), ["a/src/proto.rs: no test names the invariant AB-2"]);
    }

    #[test]
    fn a_longer_id_does_not_name_a_shorter_one() {
        assert!(names("see AB-1.", "AB-1") && names("AB-1", "AB-1"));
        assert!(!names("AB-12", "AB-1") && !names("CAB-1", "AB-1"));
    }

    #[test]
    fn code_outside_of_tests_does_not_count() {
        let stated = "//! **AB-1**\n// AB-1\n";
        assert_eq!(without_test(&[Source::new("a/src/b.rs", stated)]).len(), 1);
        let tested = format!("{stated}#[cfg(test)]\nmod tests {{ // AB-1\n}}");
        assert_eq!(without_test(&[Source::new("a/src/b.rs", &tested)]), Vec::<String>::new());
    }
}
