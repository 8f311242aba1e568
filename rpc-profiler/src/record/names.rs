//! [`Names`]: each name once.

use std::collections::HashMap;

use crate::model::NameId;

/// Different names that are kept. Programs have as many as functions and spans; who makes them up has them all called
/// [`TOO_MANY`] from here on.
pub(super) const NAMES_MAX: usize = 1 << 16;
pub(super) const TOO_MANY: &str = "(too many names)";
/// A longer name is cut.
pub(super) const NAME_BYTES_MAX: usize = 256;
/// Places in which names are looked for by where they are.
const CACHED: usize = 64;

/// The names of a log.
#[derive(Debug)]
pub(super) struct Names {
    ids: HashMap<Box<str>, NameId>,
    list: Vec<String>,
    /// By address and length: names of functions are the same bytes each time, which is faster than to compare them.
    cache: [(usize, usize, NameId); CACHED],
}

impl Default for Names {
    fn default() -> Self {
        let mut names = Self { ids: HashMap::new(), list: Vec::new(), cache: [(0, 0, NameId(0)); CACHED] };
        names.id(TOO_MANY);
        names
    }
}

impl Names {
    /// The id of a name that stays where it is.
    pub(super) fn fixed_id(&mut self, name: &'static str) -> NameId {
        let at = name.as_ptr().addr();
        let place = (at >> 3 ^ at >> 9 ^ name.len()) % CACHED;
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
        let name = &name[..name.floor_char_boundary(NAME_BYTES_MAX)];
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

    pub(super) fn list(&self) -> &[String] {
        &self.list
    }
}

#[cfg(test)]
mod tests {
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
        let id = names.id(&"é".repeat(NAME_BYTES_MAX));
        assert_eq!(names.list()[id.0 as usize].len(), NAME_BYTES_MAX);
    }
}
