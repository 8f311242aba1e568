//! Puts all slices of a profile into lanes.

use std::cmp::Reverse;
use std::collections::BTreeSet;

use super::group::Group;
use super::slice::{Interval, Part, Slice};
use super::{Lanes, WorkerLanes};
use crate::model::{Profile, Tick};
use crate::tree::{Entry, Tree};

/// A slice that has no lane yet.
#[derive(Clone, Copy)]
struct Item {
    /// Index into the workers.
    worker: u32,
    depth: u32,
    part: Part,
    interval: Interval,
    /// From when on there is room for what was done in it.
    inside: Tick,
}

/// Where the slice is that shows what was done in an entry: that of a span, or of the handler of a call.
#[derive(Clone, Copy)]
struct Home {
    worker: u32,
    lane: u32,
    is_serving: bool,
    inside: Tick,
}

impl Lanes {
    pub(crate) fn of_tree(profile: &Profile, tree: &Tree<'_>) -> Self {
        let ranks = ranks(profile);
        let items = items(profile, tree, &ranks);
        let mut workers: Vec<_> = ranks.iter().map(|&rank| WorkerLanes::empty(rank)).collect();
        let mut homes = vec![None; tree.len()];
        for of_one in items.chunk_by(|one, other| one.worker == other.worker) {
            workers[of_one[0].worker as usize].fill(of_one, tree, &mut homes);
        }
        Self { workers }
    }
}

impl WorkerLanes {
    const fn empty(rank: u32) -> Self {
        Self { rank, own: 0, serving: 0, slices: Vec::new() }
    }

    fn fill(&mut self, items: &[Item], tree: &Tree<'_>, homes: &mut [Option<Home>]) {
        let mut groups = [Group::default(), Group::default()];
        let mut is_serving = Vec::with_capacity(items.len());
        self.slices.reserve_exact(items.len());
        for item in items {
            let holder = item.holder(tree);
            let parent = item.parent(tree);
            let home =
                parent.and_then(|parent| homes[parent.0 as usize]).filter(|home| home.worker == item.worker);
            let serving = matches!(item.part, Part::Handler(_)) || home.is_some_and(|home| home.is_serving);
            let group = &mut groups[usize::from(serving)];
            let below = parent.zip(home).filter(|(_, home)| item.interval.began >= home.inside);
            let placed = below
                .and_then(|(parent, home)| group.put_into(home.lane, parent.0, holder, item.interval))
                .unwrap_or_else(|| group.put_apart(holder, item.interval));
            if !matches!(item.part, Part::Caller(_)) {
                let Item { worker, inside, .. } = *item;
                homes[holder as usize] =
                    Some(Home { worker, lane: placed.lane, is_serving: serving, inside });
            }
            let Interval { began, ended } = item.interval;
            self.slices.push(Slice { part: item.part, lane: placed.lane, level: placed.level, began, ended });
            is_serving.push(serving);
        }
        [self.own, self.serving] = [groups[0].len(), groups[1].len()];
        for (slice, _) in self.slices.iter_mut().zip(is_serving).filter(|(_, serving)| *serving) {
            slice.lane += self.own;
        }
    }
}

impl Item {
    /// Who is told to hold what is put into this slice: nobody is put into the caller's part of a call.
    fn holder(&self, tree: &Tree<'_>) -> u32 {
        match self.part {
            Part::Caller(_) => u32::MAX,
            Part::Handler(call) => call,
            Part::Span(span) => tree.span(span as usize).0,
        }
    }

    /// What this slice is drawn in. A handler's part is in nothing of its worker.
    fn parent(&self, tree: &Tree<'_>) -> Option<Entry> {
        match self.part {
            Part::Caller(call) => tree.parent(Entry(call)),
            Part::Handler(_) => None,
            Part::Span(span) => tree.parent(tree.span(span as usize)),
        }
    }
}

/// Of all workers that appear, sorted.
fn ranks(profile: &Profile) -> Vec<u32> {
    let known = profile.workers.iter().map(|worker| worker.rank);
    let calling = profile.calls.iter().flat_map(|call| [call.from, call.to]);
    let ranks: BTreeSet<_> =
        known.chain(calling).chain(profile.spans.iter().map(|span| span.worker)).collect();
    ranks.into_iter().collect()
}

/// All slices by worker, and in the order in which they are put into lanes: what others may be put into comes first.
fn items(profile: &Profile, tree: &Tree<'_>, ranks: &[u32]) -> Vec<Item> {
    let worker = |rank| u32::try_from(ranks.binary_search(&rank).unwrap_or(0)).unwrap_or(0);
    let mut items = Vec::with_capacity(2 * profile.calls.len() + profile.spans.len());
    for (index, call) in tree.calls() {
        let depth = tree.depth(Entry(index));
        if let Some(interval) = Interval::of_caller(&call.times) {
            let (part, inside) = (Part::Caller(index), interval.ended);
            items.push(Item { worker: worker(call.from), depth, part, interval, inside });
        }
        if let Some(interval) = Interval::of_handler(&call.times) {
            let (part, inside) = (Part::Handler(index), Interval::of_run(interval, &call).began);
            items.push(Item { worker: worker(call.to), depth, part, interval, inside });
        }
    }
    for (index, span) in (0..).zip(&profile.spans) {
        let interval = Interval::of_span(span);
        let (worker, depth) = (worker(span.worker), tree.depth(tree.span(index as usize)));
        items.push(Item { worker, depth, part: Part::Span(index), interval, inside: interval.began });
    }
    items.sort_unstable_by_key(|item| {
        let Interval { began, ended } = item.interval;
        (item.worker, began, Reverse(ended), item.depth, item.part)
    });
    items
}
