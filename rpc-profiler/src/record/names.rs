//! [`Names`]: each name once.

use std::collections::HashMap;
use std::fmt;

use crate::model::NameId;

/// Different names that are kept. Programs have as many as functions and spans; who makes them up has them all called
/// [`TOO_MANY`] from here on.
pub(super) const NAMES_MAX: usize = 1 << 16;
pub(super) const TOO_MANY: &str = "(too many names)";
/// A longer name is cut.
pub(super) const NAME_BYTES_MAX: usize = 256;
/// Different texts of errors that are kept, since they may have anything in them; of all others it says that.
pub(super) const ERRORS_MAX: usize = 1 << 10;
pub(super) const TOO_MANY_ERRORS: &str = "(too many different errors)";
/// Places in which names are looked for by where they are.
const CACHED: usize = 1 << CACHED_BITS;
const CACHED_BITS: u32 = 8;

/// What a call is called, and how it ended.
pub(super) struct Words<'a> {
    pub(super) operation: &'static str,
    pub(super) function: &'static str,
    pub(super) outcome: &'static str,
    pub(super) error: Option<&'a str>,
}

/// What `error` says, as far as it is kept.
pub(super) fn text(error: &dyn fmt::Display) -> Box<str> {
    cut(&error.to_string()).into()
}

/// As much of a name as is kept.
pub(super) fn cut(name: &str) -> &str {
    &name[..name.floor_char_boundary(NAME_BYTES_MAX)]
}

/// The names of a log.
#[derive(Debug)]
pub(super) struct Names {
    ids: HashMap<Box<str>, NameId>,
    list: Vec<String>,
    /// How many of them are texts of errors.
    errors: usize,
    /// By address and length: names of functions are the same bytes each time, which is faster than to compare them.
    cache: [(usize, usize, NameId); CACHED],
}

impl Default for Names {
    fn default() -> Self {
        let (ids, list, cache) = (HashMap::new(), Vec::new(), [(0, 0, NameId(0)); CACHED]);
        let mut names = Self { ids, list, errors: 0, cache };
        names.id(TOO_MANY);
        names
    }
}

impl Names {
    /// The id of a name that stays where it is.
    pub(super) fn fixed_id(&mut self, name: &'static str) -> NameId {
        let at = name.as_ptr().addr();
        // Names stand close to each other in the program, and each call has three: two in one place would look each other's up
        // for ever. The odd number is 2^64 over the golden ratio, which spreads what is close.
        let spread = (at as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let place = (spread >> (u64::BITS - CACHED_BITS)) as usize; // below CACHED
        let (address, len, id) = self.cache[place];
        if (address, len) == (at, name.len()) && !name.is_empty() {
            return id;
        }
        let id = self.id(name);
        self.cache[place] = (at, name.len(), id);
        id
    }

    /// The id of any name.
    pub(super) fn id(&mut self, name: &str) -> NameId {
        let name = cut(name);
        if let Some(id) = self.ids.get(name) {
            return *id;
        }
        if self.list.len() >= NAMES_MAX {
            return NameId(0);
        }
        let id = NameId(self.list.len() as u32);
        self.list.push(name.to_owned());
        self.ids.insert(name.into(), id);
        id
    }

    /// The id of the text of an error.
    pub(super) fn error_id(&mut self, text: &str) -> NameId {
        let text = cut(text);
        if let Some(id) = self.ids.get(text) {
            return *id;
        }
        if self.errors == ERRORS_MAX {
            return self.id(TOO_MANY_ERRORS);
        }
        self.errors += 1;
        self.id(text)
    }

    pub(super) fn list(&self) -> &[String] {
        &self.list
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn each_name_has_one_id() {
        let mut names = Names::default();
        let ids = ["a", "b", "a", "b"].map(|name| names.fixed_id(name));
        assert_eq!(ids, [ids[0], ids[1], ids[0], ids[1]]);
        assert_eq!((names.id("b"), names.list()[ids[0].0 as usize].as_str()), (ids[1], "a"));
    }

    /// PR-2.
    #[test]
    fn pr2_names_are_bounded_in_number_and_length() {
        let mut names = Names::default();
        for n in 0..2 * NAMES_MAX {
            names.id(&n.to_string());
        }
        assert_eq!(names.list().len(), NAMES_MAX);
        assert_eq!((names.id("one more"), names.list()[0].as_str()), (NameId(0), TOO_MANY));
        let mut names = Names::default();
        let ids: HashSet<NameId> = (0..2 * ERRORS_MAX).map(|n| names.error_id(&n.to_string())).collect();
        let too_many = names.error_id("one more");
        assert_eq!(
            (ids.len(), names.list()[too_many.0 as usize].as_str()),
            (ERRORS_MAX + 1, TOO_MANY_ERRORS)
        );
        assert_ne!(names.id("a function"), too_many, "errors leave room for names");
        let mut names = Names::default();
        let id = names.id(&"é".repeat(NAME_BYTES_MAX));
        assert_eq!(names.list()[id.0 as usize].len(), NAME_BYTES_MAX);
    }
}
