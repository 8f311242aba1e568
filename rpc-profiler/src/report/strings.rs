//! [`Strings`]: texts of which each is in the page once.

use std::collections::HashMap;

/// Texts, each with an index.
#[derive(Debug, Default)]
pub(super) struct Strings {
    indices: HashMap<String, usize>,
}

impl Strings {
    /// The index of `text`.
    pub(super) fn add(&mut self, text: impl Into<String>) -> usize {
        let next = self.indices.len();
        *self.indices.entry(text.into()).or_insert(next)
    }

    /// All of them, by index.
    pub(super) fn into_inner(self) -> Vec<String> {
        let mut texts: Vec<_> = self.indices.into_iter().collect();
        texts.sort_unstable_by_key(|(_, index)| *index);
        texts.into_iter().map(|(text, _)| text).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_has_one_index() {
        let mut strings = Strings::default();
        assert_eq!(["b", "a", "b", "c"].map(|text| strings.add(text)), [0, 1, 0, 2]);
        assert_eq!(strings.into_inner(), ["b", "a", "c"]);
    }
}
