//! [`Tree`]: who is below whom, for any profile.
//!
//! A profile may have been read from anywhere, so that its parents may be missing, stand twice, or form circles. Here
//! every call and span has at most one parent, and no way up is endless. Nothing recurses, however deep a profile is.

use crate::model::{Call, Profile, SpanId};

/// A call or span of a profile by number: calls first, in their order, then spans in theirs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Entry(pub(crate) u32);

/// Stands for no entry.
const NONE: u32 = u32::MAX;

/// The parents of all calls and spans of a profile.
#[derive(Debug)]
pub(crate) struct Tree<'a> {
    profile: &'a Profile,
    parents: Vec<u32>,
    depths: Vec<u32>,
    /// Calls that both caller and callee have recorded, apart: what the callee has recorded, and the other one.
    twins: Vec<(u32, u32)>,
    /// The same the other way round. Both are sorted.
    twins_of_callers: Vec<(u32, u32)>,
}

impl<'a> Tree<'a> {
    /// That of `profile`.
    pub(crate) fn new(profile: &'a Profile) -> Self {
        let index = Index::new(profile);
        let calls = profile.calls.iter().map(|call| call.parent);
        let above = calls.chain(profile.spans.iter().map(|span| span.parent));
        let parents: Vec<_> = above.map(|id| id.and_then(|id| index.find(id)).unwrap_or(NONE)).collect();
        let twins = index.twins(profile);
        let mut twins_of_callers: Vec<_> =
            twins.iter().map(|&(callees, callers)| (callers, callees)).collect();
        twins_of_callers.sort_unstable();
        let mut tree = Self { profile, depths: vec![NONE; parents.len()], parents, twins, twins_of_callers };
        tree.measure();
        tree
    }

    /// The call at `index`, with what its callee has recorded of it. `None` if that is all that this one is.
    pub(crate) fn call(&self, index: usize) -> Option<Call> {
        let mut call = *self.profile.calls.get(index)?;
        if self.twins.is_empty() {
            return Some(call);
        }
        let number = u32::try_from(index).ok()?;
        if self.twins.binary_search_by_key(&number, |&(callees, _)| callees).is_ok() {
            return None;
        }
        let at = self.twins_of_callers.partition_point(|&(callers, _)| callers < number);
        if let Some(&(_, callees)) = self.twins_of_callers.get(at).filter(|&&(callers, _)| callers == number)
        {
            let seen = self.profile.calls.get(callees as usize)?.times;
            call.times.arrived = call.times.arrived.or(seen.arrived);
            call.times.ran = call.times.ran.or(seen.ran);
            call.times.replied = call.times.replied.or(seen.replied);
        }
        Some(call)
    }

    /// All calls with their indexes, each once.
    pub(crate) fn calls(&self) -> impl Iterator<Item = (u32, Call)> {
        let numbers = 0..self.profile.calls.len();
        numbers.filter_map(|index| Some((u32::try_from(index).ok()?, self.call(index)?)))
    }

    /// The entry of the span at `index`.
    pub(crate) fn span(&self, index: usize) -> Entry {
        Entry(u32::try_from(self.profile.calls.len() + index).unwrap_or(NONE))
    }

    /// What `entry` is in.
    pub(crate) fn parent(&self, entry: Entry) -> Option<Entry> {
        self.parents.get(entry.0 as usize).copied().filter(|&parent| parent != NONE).map(Entry)
    }

    /// How many entries `entry` is in.
    pub(crate) fn depth(&self, entry: Entry) -> u32 {
        self.depths.get(entry.0 as usize).copied().unwrap_or(0)
    }

    /// How many entries there are.
    pub(crate) fn len(&self) -> usize {
        self.parents.len()
    }

    /// Finds all depths, and opens circles: who would be its own ancestor has no parent.
    fn measure(&mut self) {
        const ON_THE_WAY: u32 = NONE - 1;
        let mut way = Vec::new();
        for start in 0..self.parents.len() {
            let mut at = start;
            while self.depths[at] == NONE {
                self.depths[at] = ON_THE_WAY;
                way.push(at);
                match self.parents[at] {
                    NONE => break,
                    parent if self.depths[parent as usize] == ON_THE_WAY => self.parents[at] = NONE,
                    parent => at = parent as usize,
                }
            }
            while let Some(at) = way.pop() {
                self.depths[at] = match self.parents[at] {
                    NONE => 0,
                    parent => self.depths[parent as usize].saturating_add(1).min(ON_THE_WAY - 1),
                };
            }
        }
    }
}

/// All ids, sorted; of those that stand more than once, the caller's record of a call comes first.
struct Index(Vec<(SpanId, u8, u32)>);

impl Index {
    fn new(profile: &Profile) -> Self {
        let calls = profile.calls.iter().map(|call| (call.id, u8::from(call.times.began.is_none())));
        let all = calls.chain(profile.spans.iter().map(|span| (span.id, 2)));
        let mut ids: Vec<_> = all.zip(0..NONE - 1).map(|((id, rank), number)| (id, rank, number)).collect();
        ids.sort_unstable();
        Self(ids)
    }

    fn find(&self, id: SpanId) -> Option<u32> {
        let at = self.0.partition_point(|&(other, ..)| other < id);
        self.0.get(at).filter(|&&(other, ..)| other == id).map(|&(.., number)| number)
    }

    /// Callees' records of calls of which there is a caller's, sorted.
    fn twins(&self, profile: &Profile) -> Vec<(u32, u32)> {
        let mut twins = Vec::new();
        let mut first = None;
        for &(id, rank, number) in &self.0 {
            match first {
                Some((known, callers)) if known == id && rank == 1 => {
                    let (callees, callers_own) =
                        (&profile.calls[number as usize], &profile.calls[callers as usize]);
                    if (callees.from, callees.to) == (callers_own.from, callers_own.to) {
                        twins.push((number, callers));
                    }
                }
                Some((known, _)) if known == id => {}
                _ => first = (rank == 0).then_some((id, number)),
            }
        }
        twins.sort_unstable();
        twins
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::arbitrary::{any_profile, call, profile, span, tick};

    #[test]
    fn calls_and_spans_find_what_they_are_in() {
        let mut profile = profile(2);
        profile.calls = vec![call(1, None, 0, 1), call(3, Some(2), 1, 0)];
        profile.spans = vec![span(2, Some(1), 1)];
        let tree = Tree::new(&profile);
        assert_eq!(tree.parent(Entry(0)), None);
        assert_eq!(tree.parent(Entry(1)), Some(tree.span(0)));
        assert_eq!(tree.parent(tree.span(0)), Some(Entry(0)));
        assert_eq!([0, 1, 2].map(|entry| tree.depth(Entry(entry))), [0, 2, 1]);
    }

    #[test]
    fn circles_are_opened_and_unknown_parents_are_none() {
        let mut profile = profile(1);
        let parents = [Some(2), Some(3), Some(1), Some(4), Some(99)];
        profile.spans = (1..).zip(parents).map(|(id, parent)| span(id, parent, 0)).collect();
        let tree = Tree::new(&profile);
        let above: Vec<_> = (0..5).map(|entry| tree.parent(Entry(entry)).map(|parent| parent.0)).collect();
        assert_eq!(above, [Some(1), Some(2), None, None, None]);
    }

    /// A chain as long as this would overflow the stack of whatever recurses.
    #[test]
    fn a_chain_may_be_very_deep() {
        let mut profile = profile(1);
        profile.spans = (1..=300_000).map(|id| span(id, Some(id - 1), 0)).collect();
        let tree = Tree::new(&profile);
        assert_eq!(tree.depth(Entry(299_999)), 299_999);
    }

    #[test]
    fn what_the_callee_has_recorded_apart_joins_the_callers_record() {
        let mut profile = profile(2);
        let mut callees = call(1, None, 0, 1);
        callees.times.arrived = Some(tick(12));
        callees.times.ran = Some(tick(13));
        let mut callers = call(1, None, 0, 1);
        callers.times.began = Some(tick(10));
        profile.calls = vec![callees, callers];
        let tree = Tree::new(&profile);
        let all: Vec<_> = tree.calls().collect();
        assert_eq!(all.len(), 1);
        assert_eq!((all[0].0, all[0].1.times.began, all[0].1.times.ran), (1, Some(tick(10)), Some(tick(13))));
    }

    #[test]
    fn each_of_many_records_joins_that_of_its_own_caller() {
        let mut profile = profile(2);
        for id in [3, 1, 2] {
            let mut callees = call(id, None, 0, 1);
            callees.times.ran = Some(tick(100 + id));
            profile.calls.push(callees);
        }
        for id in [2, 3, 4, 1] {
            let mut callers = call(id, None, 0, 1);
            callers.times.began = Some(tick(id));
            profile.calls.push(callers);
        }
        let all: Vec<_> = Tree::new(&profile).calls().map(|(_, call)| (call.id.0, call.times.ran)).collect();
        assert_eq!(all, [(2, Some(tick(102))), (3, Some(tick(103))), (4, None), (1, Some(tick(101)))]);
    }

    proptest! {
        /// No way up is endless, and depths go with it.
        #[test]
        fn every_way_up_ends(profile in any_profile()) {
            let tree = Tree::new(&profile);
            prop_assert_eq!(tree.len(), profile.calls.len() + profile.spans.len());
            for entry in 0..tree.len() as u32 {
                let mut steps = 0;
                let mut at = Entry(entry);
                while let Some(parent) = tree.parent(at) {
                    prop_assert_eq!(tree.depth(at), tree.depth(parent) + 1);
                    at = parent;
                    steps += 1;
                    prop_assert!(steps <= tree.len(), "entry {entry} is its own ancestor");
                }
                prop_assert_eq!(tree.depth(Entry(entry)), steps as u32);
            }
        }
    }
}
