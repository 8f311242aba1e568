//! What workers tell each other of their handles, and what is kept of it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use rpc_core::WorkerId;
use serde::{Deserialize, Serialize};

use super::cycles::Edges;
use super::list::{HandlePlace, Handles};
use super::roll::Word;
use crate::proto::RRefId;
use crate::registry::PLACE_BYTES_MAX;

/// Handles that one worker tells an owner of, and edges that it tells any other worker of.
pub(super) const TOLD_MAX: usize = 1024;
/// Edges that are known on one worker.
const EDGES_MAX: usize = 16_384;
/// A type that another worker names is cut to this.
const TYPE_BYTES_MAX: usize = 256;

/// An entry of a control stream that serves the leak check.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) enum Tell {
    /// Of the roll call.
    Word(Word),
    /// The sender has a handle to a value of the receiver's.
    Handle(HandleAt),
    /// It has so many more.
    Counted(u64),
    /// A value has a handle to another inside.
    Edge(Edge),
}

/// A handle, as the worker that has it tells of it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct HandleAt {
    pub(super) rref: RRefId,
    pub(super) place: String,
    pub(super) inside: Option<RRefId>,
    /// Since when the worker has handles to that value, in seconds. `None` if that is not noted.
    pub(super) age_s: Option<u32>,
}

/// A value that has a handle to another inside.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Edge {
    pub(super) holder: RRefId,
    /// The type of the holder.
    pub(super) type_name: String,
    pub(super) held: RRefId,
}

/// Some of the handles of one worker, and a count of the others.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Holdings {
    pub(super) handles: Vec<HandleAt>,
    pub(super) more: u64,
}

/// What others have told this worker of their handles to its values. Bounded by [`TOLD_MAX`] for each of them.
#[derive(Debug, Default)]
pub(crate) struct Told(BTreeMap<WorkerId, ToldBy>);

#[derive(Debug, Default)]
struct ToldBy {
    handles: BTreeMap<RRefId, Vec<Heard>>,
    listed: usize,
    counted: u64,
}

#[derive(Debug)]
struct Heard {
    handle: HandlePlace,
    /// In seconds of this worker's registry. May be before its start.
    since_s: Option<i64>,
}

impl Told {
    /// At `now_s`, `from` has told of a handle.
    pub(super) fn handle(&mut self, from: WorkerId, handle: &HandleAt, now_s: u32) {
        let by = self.0.entry(from).or_default();
        if by.listed >= TOLD_MAX {
            by.counted = by.counted.saturating_add(1);
            return;
        }
        by.listed += 1;
        let HandleAt { rref, place, inside, age_s } = handle;
        let place = place[..place.floor_char_boundary(PLACE_BYTES_MAX)].into();
        let since_s = age_s.map(|age_s| i64::from(now_s) - i64::from(age_s));
        let heard = Heard { handle: HandlePlace { place, inside: *inside }, since_s };
        by.handles.entry(*rref).or_default().push(heard);
    }

    /// `from` has told of `n` handles without more.
    pub(super) fn counted(&mut self, from: WorkerId, n: u64) {
        let by = self.0.entry(from).or_default();
        by.counted = by.counted.saturating_add(n);
    }

    /// As if `from` had told nothing.
    pub(super) fn forget(&mut self, from: WorkerId) {
        self.0.remove(&from);
    }

    pub(super) fn holdings(&mut self, from: WorkerId, holdings: &Holdings, now_s: u32) {
        for handle in &holdings.handles {
            self.handle(from, handle, now_s);
        }
        self.counted(from, holdings.more);
    }

    /// Where worker `holder` has its handles to `rref`, and for how many seconds.
    pub(super) fn look_up(&self, holder: WorkerId, rref: RRefId, now_s: u32) -> (Handles, Option<u64>) {
        let Some(by) = self.0.get(&holder) else { return (Handles::Unknown, None) };
        match by.handles.get(&rref) {
            Some(heard) => {
                let since = heard.iter().filter_map(|heard| heard.since_s).min();
                let age_s = since.map(|since| u64::try_from(i64::from(now_s) - since).unwrap_or_default());
                (Handles::At(heard.iter().map(|heard| heard.handle.clone()).collect()), age_s)
            }
            None if by.counted > 0 => (Handles::Counted(by.counted), None),
            None => (Handles::Unknown, None),
        }
    }
}

/// Which values are known to have handles to which others inside. Bounded by [`EDGES_MAX`].
#[derive(Clone, Debug, Default)]
pub(crate) struct Graph {
    edges: Edges<RRefId>,
    types: BTreeMap<RRefId, Arc<str>>,
    len: usize,
}

impl Graph {
    /// Whether the edge is new, and there was room for it.
    pub(super) fn insert(&mut self, edge: &Edge) -> bool {
        let Edge { holder, type_name, held } = edge;
        let known = self.edges.get(holder).is_some_and(|held_by| held_by.contains(held));
        if known || self.len >= EDGES_MAX {
            return false;
        }
        self.len += 1;
        self.edges.entry(*holder).or_default().insert(*held);
        self.types
            .entry(*holder)
            .or_insert_with(|| type_name[..type_name.floor_char_boundary(TYPE_BYTES_MAX)].into());
        true
    }

    /// All values at either end of an edge.
    pub(super) fn nodes(&self) -> BTreeSet<RRefId> {
        self.edges.iter().flat_map(|(holder, held)| held.iter().chain([holder])).copied().collect()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = Edge> {
        self.edges.iter().flat_map(|(holder, held)| {
            let type_name = self.type_name(*holder).unwrap_or_default();
            held.iter().map(move |held| Edge {
                holder: *holder,
                type_name: type_name.as_ref().to_owned(),
                held: *held,
            })
        })
    }

    /// With those edges alone, from a value to one inside of it, for which `holds` says so.
    pub(super) fn filtered(&self, holds: impl Fn(RRefId, RRefId) -> bool) -> Self {
        let mut filtered = self.clone();
        for (holder, held) in &mut filtered.edges {
            held.retain(|held| holds(*holder, *held));
        }
        filtered.len = filtered.edges.values().map(BTreeSet::len).sum();
        filtered
    }

    pub(super) fn edges(&self) -> &Edges<RRefId> {
        &self.edges
    }

    pub(super) fn type_name(&self, rref: RRefId) -> Option<Arc<str>> {
        self.types.get(&rref).cloned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rref(number: u64) -> RRefId {
        RRefId { owner: WorkerId(0), creator: WorkerId(1), number }
    }

    fn handle(number: u64, place: &str) -> HandleAt {
        HandleAt { rref: rref(number), place: place.to_owned(), inside: None, age_s: Some(5) }
    }

    #[test]
    fn one_worker_fills_only_its_own_room() {
        let mut told = Told::default();
        for number in 0..5_000 {
            told.handle(WorkerId(1), &handle(number, "here"), 10);
        }
        told.counted(WorkerId(1), 7);
        told.handle(WorkerId(2), &handle(4_999, &"é".repeat(10_000)), 3);
        let (handles, age_s) = told.look_up(WorkerId(1), rref(TOLD_MAX as u64 - 1), 12);
        assert!(matches!(handles, Handles::At(places) if &*places[0].place == "here"));
        assert_eq!(age_s, Some(7));
        let (handles, _) = told.look_up(WorkerId(1), rref(TOLD_MAX as u64), 12);
        assert_eq!(handles, Handles::Counted(5_000 - TOLD_MAX as u64 + 7));
        let (handles, age_s) = told.look_up(WorkerId(2), rref(4_999), 3);
        assert!(matches!(handles, Handles::At(places) if places[0].place.len() == PLACE_BYTES_MAX));
        assert_eq!(age_s, Some(5));
        assert_eq!(told.look_up(WorkerId(3), rref(0), 3), (Handles::Unknown, None));
    }

    #[test]
    fn edges_are_kept_once_and_not_without_bound() {
        let mut graph = Graph::default();
        let edge = |held| Edge { holder: rref(0), type_name: "x".repeat(1_000), held: rref(held) };
        assert!(graph.insert(&edge(1)));
        assert!(!graph.insert(&edge(1)));
        assert_eq!(graph.type_name(rref(0)).unwrap().len(), TYPE_BYTES_MAX);
        for held in 0..20_000 {
            graph.insert(&edge(held));
        }
        assert_eq!(graph.iter().count(), EDGES_MAX);
    }
}
