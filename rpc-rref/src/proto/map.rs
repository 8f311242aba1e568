//! [`RRefMap`]: entries by [`RRefId`], small and in order.
//!
//! A creator counts its values, so their numbers lie close together. Entries are kept in pages of 64
//! numbers, each a bit for what is there and the entries themselves without holes between them: a million
//! values cost their entries and about two bytes each, which neither a hash table (twice its entries, just
//! after it has grown) nor a B-tree with one key for each (half full when it is filled in order) gives. The
//! order of iteration is that of the ids, so that a simulation repeats.

use std::collections::BTreeMap;

use rpc_core::WorkerId;

use super::ids::RRefId;

/// A map from ids of values.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct RRefMap<T> {
    pages: BTreeMap<PageId, Page<T>>,
    len: usize,
}

/// Stands for 64 numbers of one creator on one owner.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct PageId {
    owner: WorkerId,
    creator: WorkerId,
    /// The high bits of the numbers.
    high: u64,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Page<T> {
    /// A bit for each number that has an entry.
    present: u64,
    /// Those entries, by number.
    entries: Vec<T>,
}

const PAGE: u64 = u64::BITS as u64;

impl PageId {
    fn of(rref: RRefId) -> Self {
        Self { owner: rref.owner, creator: rref.creator, high: rref.number / PAGE }
    }

    fn rref(self, slot: u32) -> RRefId {
        RRefId { owner: self.owner, creator: self.creator, number: self.high * PAGE + u64::from(slot) }
    }
}

impl<T> Page<T> {
    /// Where the entry of `number` is, or would be.
    fn find(&self, number: u64) -> Result<usize, usize> {
        let bit = 1 << (number % PAGE);
        let at = (self.present & (bit - 1)).count_ones() as usize;
        if self.present & bit == 0 { Err(at) } else { Ok(at) }
    }

    fn slots(&self) -> impl Iterator<Item = u32> {
        let present = self.present;
        (0..u64::BITS).filter(move |slot| present >> slot & 1 == 1)
    }
}

impl<T> Default for RRefMap<T> {
    fn default() -> Self {
        Self { pages: BTreeMap::new(), len: 0 }
    }
}

impl<T> RRefMap<T> {
    pub(super) fn is_empty(&self) -> bool {
        self.len == 0
    }

    pub(super) fn get(&self, rref: RRefId) -> Option<&T> {
        let page = self.pages.get(&PageId::of(rref))?;
        page.find(rref.number).ok().and_then(|at| page.entries.get(at))
    }

    pub(super) fn get_mut(&mut self, rref: RRefId) -> Option<&mut T> {
        let page = self.pages.get_mut(&PageId::of(rref))?;
        page.find(rref.number).ok().and_then(|at| page.entries.get_mut(at))
    }

    /// The entry of `rref`, which is made if there is none.
    pub(super) fn get_or_insert_with(&mut self, rref: RRefId, make: impl FnOnce() -> T) -> &mut T {
        let page = self.pages.entry(PageId::of(rref)).or_insert(Page { present: 0, entries: Vec::new() });
        let at = page.find(rref.number).unwrap_or_else(|at| {
            page.entries.insert(at, make());
            page.present |= 1 << (rref.number % PAGE);
            self.len += 1;
            at
        });
        &mut page.entries[at]
    }

    pub(super) fn remove(&mut self, rref: RRefId) -> Option<T> {
        let id = PageId::of(rref);
        let page = self.pages.get_mut(&id)?;
        let at = page.find(rref.number).ok()?;
        let entry = page.entries.remove(at);
        page.present &= !(1 << (rref.number % PAGE));
        self.len -= 1;
        if page.present == 0 {
            self.pages.remove(&id);
        } else if page.entries.len() <= page.entries.capacity() / 4 {
            page.entries.shrink_to(page.entries.len() * 2);
        }
        Some(entry)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (RRefId, &T)> {
        self.pages.iter().flat_map(|(id, page)| page.slots().map(|slot| id.rref(slot)).zip(&page.entries))
    }

    pub(super) fn ids(&self) -> Vec<RRefId> {
        self.iter().map(|(rref, _)| rref).collect()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn rref((owner, creator, number): (u32, u32, u64)) -> RRefId {
        RRefId { owner: WorkerId(owner), creator: WorkerId(creator), number }
    }

    proptest! {
        #[test]
        fn it_is_a_map(steps in prop::collection::vec(((0..2_u32, 0..2_u32, 0..150_u64), any::<bool>()), 0..300)) {
            let (mut map, mut model) = (RRefMap::default(), BTreeMap::new());
            for (value, (id, insert)) in steps.into_iter().enumerate() {
                let id = rref(id);
                if insert {
                    let here = *map.get_or_insert_with(id, || value);
                    prop_assert_eq!(here, *model.entry(id).or_insert(value));
                } else {
                    prop_assert_eq!(map.remove(id), model.remove(&id));
                }
                prop_assert_eq!(map.get(id), model.get(&id));
                prop_assert_eq!(map.get_mut(id), model.get_mut(&id));
                prop_assert_eq!((map.len, map.is_empty()), (model.len(), model.is_empty()));
            }
            prop_assert!(map.iter().map(|(id, value)| (id, *value)).eq(model));
        }
    }

    #[test]
    fn pages_without_entries_are_gone() {
        let mut map = RRefMap::default();
        for number in [0, 63, 64, u64::MAX] {
            map.get_or_insert_with(rref((0, 0, number)), || ());
        }
        assert_eq!(map.pages.len(), 3);
        for id in map.ids() {
            map.remove(id);
        }
        assert!(map.pages.is_empty() && map.is_empty());
    }
}
