//! [`Shown`]: what the timeline shows of a profile, so that a page stays one that a browser opens.

use std::cmp::Reverse;
use std::collections::HashSet;

use crate::model::{Call, Node, Profile, SpanId, Tick};

/// Slices of the timeline: what a browser draws smoothly, in a page of a few megabytes.
pub(super) const SLICES_MAX: usize = 20_000;

/// Levels above a call that is shown for its own sake.
const LEVELS_MAX: usize = 16;

/// Calls and spans of the timeline, by their indices, in order.
#[derive(Debug)]
pub(super) struct Shown {
    pub(super) calls: Vec<usize>,
    pub(super) spans: Vec<usize>,
    /// How many slices they have.
    pub(super) slices: usize,
    /// How many all have.
    pub(super) of: usize,
}

impl Shown {
    /// What is shown of `calls` and of the profile's spans if there is room for `max` slices. First `rows`, what they are in, and what
    /// is in them; then, in half of the room that is left, all that was done next to the first row, so that one place is seen as it was;
    /// and then what took longest.
    pub(super) fn of(profile: &Profile, calls: &[&Call], rows: &[&Call], max: usize) -> Self {
        let nodes = || calls.iter().map(|call| Node::Call(call)).chain(profile.spans.iter().map(Node::Span));
        let of = nodes().map(slices).sum();
        if of <= max {
            return Self {
                calls: (0..calls.len()).collect(),
                spans: (0..profile.spans.len()).collect(),
                slices: of,
                of,
            };
        }
        let mut choice = Choice { taken: HashSet::new(), room: max };
        let row_ids: HashSet<_> = rows.iter().map(|row| row.id).collect();
        let above = above(rows.iter().filter_map(|row| row.parent), nodes);
        let is_row = |node: Node<'_>| row_ids.contains(&node.id()) || above.contains(&node.id());
        let is_below = |node: Node<'_>| node.parent().is_some_and(|parent| row_ids.contains(&parent));
        let around = nodes().enumerate().filter(|(_, node)| is_row(*node) || is_below(*node));
        choice
            .take(max, around.map(|(index, node)| (!is_row(node), Reverse(took(node)), index, slices(node))));

        if let Some(place) = rows.first().and_then(|row| row.times.first()) {
            let near = nodes().enumerate().map(|(index, node)| (away(node, place), (), index, slices(node)));
            choice.take(choice.room / 2, near);
        }
        let long = nodes().enumerate().map(|(index, node)| (Reverse(took(node)), (), index, slices(node)));
        choice.take(choice.room, long);
        choice.finish(calls.len(), max, of)
    }
}

/// Indices that count on from calls to spans.
struct Choice {
    taken: HashSet<usize>,
    /// For slices.
    room: usize,
}

impl Choice {
    /// Takes the first ones of `nodes`, in the order of what is before their indices and numbers of slices, and none twice, until `room`
    /// is filled.
    fn take<A: Ord + Copy, B: Ord + Copy>(
        &mut self,
        room: usize,
        nodes: impl Iterator<Item = (A, B, usize, usize)>,
    ) {
        let mut room = room.min(self.room);
        let mut nodes: Vec<_> = nodes.filter(|(.., index, _)| !self.taken.contains(index)).collect();
        if nodes.len() > room {
            nodes.select_nth_unstable(room);
            nodes.truncate(room);
        }
        nodes.sort_unstable();
        for (.., index, slices) in nodes {
            let Some(rest) = room.checked_sub(slices) else { break };
            self.room -= room - rest;
            room = rest;
            self.taken.insert(index);
        }
    }

    fn finish(self, calls: usize, max: usize, of: usize) -> Shown {
        let mut taken: Vec<_> = self.taken.into_iter().collect();
        taken.sort_unstable();
        let first_span = taken.partition_point(|index| *index < calls);
        let spans = taken.split_off(first_span).iter().map(|index| index - calls).collect();
        Shown { calls: taken, spans, slices: max - self.room, of }
    }
}

/// All of the nodes that `parents` stand for, and what these are in, some levels up.
pub(super) fn above<'a, I: Iterator<Item = Node<'a>>>(
    parents: impl Iterator<Item = SpanId>,
    nodes: impl Fn() -> I,
) -> HashSet<SpanId> {
    let mut above = HashSet::new();
    let mut level: HashSet<_> = parents.collect();
    for _ in 0..LEVELS_MAX {
        if level.is_empty() {
            break;
        }
        above.extend(&level);
        let found = nodes().filter(|node| level.contains(&node.id())).filter_map(|node| node.parent());
        level = found.filter(|parent| !above.contains(parent)).collect();
    }
    above
}

fn slices(node: Node<'_>) -> usize {
    match node {
        Node::Call(Call { times, .. }) => {
            usize::from(times.began.is_some()) + usize::from(times.arrived.or(times.ran).is_some())
        }
        Node::Span(_) => 1,
    }
}

/// How far from `place` a node began, in nanoseconds.
fn away(node: Node<'_>, place: Tick) -> u64 {
    let began = match node {
        Node::Call(call) => call.times.first(),
        Node::Span(span) => Some(span.began),
    };
    began.map_or(u64::MAX, |began| began.unix_ns().abs_diff(place.unix_ns()))
}

fn took(node: Node<'_>) -> u64 {
    match node {
        Node::Call(call) => call.times.total_ns(),
        Node::Span(span) => span.ended.since(span.began),
    }
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;
    use crate::report::sample::{ProfileBuilder, at, stages};

    fn took(ns: u64) -> [u64; 7] {
        [0, 0, 0, 0, ns, 0, 0]
    }

    fn ids(sample: &ProfileBuilder, shown: &Shown) -> Vec<u64> {
        let calls = shown.calls.iter().map(|index| sample.profile.calls[*index].id.0);
        calls.chain(shown.spans.iter().map(|index| sample.profile.spans[*index].id.0)).collect()
    }

    #[test]
    fn all_is_shown_if_there_is_room() {
        let mut sample = ProfileBuilder::new();
        sample.call("add", 0, 1, stages(0, took(5)));
        sample.call("add", 0, 1, [at(0), at(3), at(4), None, None, None, at(20), None]);
        sample.span("step", 0, 0, 9);
        let calls: Vec<_> = sample.profile.calls.iter().collect();

        let shown = Shown::of(&sample.profile, &calls, &[], 4);
        assert_eq!((ids(&sample, &shown), shown.slices, shown.of), (vec![1, 2, 3], 4, 4));
    }

    #[test]
    fn the_longest_are_shown() {
        let mut sample = ProfileBuilder::new();
        for ns in [5, 40, 7, 30] {
            sample.call("add", 0, 1, stages(0, took(ns)));
        }
        sample.span("step", 0, 0, 35);
        let calls: Vec<_> = sample.profile.calls.iter().collect();

        let shown = Shown::of(&sample.profile, &calls, &[], 5);
        assert_eq!((ids(&sample, &shown), shown.slices, shown.of), (vec![2, 4, 5], 5, 9));
    }

    #[test]
    fn what_has_a_row_is_shown_with_what_is_around_it() {
        let mut sample = ProfileBuilder::new();
        let span = sample.span("step", 0, 0, 2);
        let outer = sample.call("outer", 0, 1, stages(0, took(3)));
        sample.last().parent = Some(span);
        let row = sample.call("row", 1, 2, stages(0, took(2)));
        sample.last().parent = Some(outer);
        let inner = sample.call("inner", 2, 0, stages(0, took(1)));
        sample.last().parent = Some(row);
        for _ in 0..10 {
            sample.call("long", 0, 1, stages(0, took(1000)));
        }
        let calls: Vec<_> = sample.profile.calls.iter().collect();
        let rows = [calls[1]];
        assert_eq!(rows[0].id, row);

        let shown = Shown::of(&sample.profile, &calls, &rows, 7);
        assert_eq!(ids(&sample, &shown), [outer, row, inner, span].map(|id| id.0));
    }

    /// Of the four slices that are left beside the row's, half are next to it and half are long.
    #[test]
    fn what_was_done_next_to_the_first_row_is_shown_in_half_of_the_room() {
        let mut sample = ProfileBuilder::new();
        let far = sample.call("far", 0, 1, stages(9_000, took(30)));
        sample.call("far", 0, 1, stages(8_000, took(20)));
        let near = sample.call("near", 0, 1, stages(101, took(1)));
        sample.call("less near", 0, 1, stages(110, took(1)));
        let row = sample.call("row", 0, 1, stages(100, took(10)));
        let calls: Vec<_> = sample.profile.calls.iter().collect();

        let shown = Shown::of(&sample.profile, &calls, &calls[4..], 6);
        assert_eq!(ids(&sample, &shown), [far, near, row].map(|id| id.0));
    }

    #[test]
    fn parents_that_go_round_in_a_circle_end() {
        let mut sample = ProfileBuilder::new();
        sample.call("a", 0, 1, stages(0, took(1)));
        sample.last().parent = Some(SpanId(2));
        sample.call("b", 0, 1, stages(0, took(1)));
        sample.last().parent = Some(SpanId(1));
        let calls: Vec<_> = sample.profile.calls.iter().collect();
        assert_eq!(ids(&sample, &Shown::of(&sample.profile, &calls, &calls[..1], 3)), [1]);
    }

    proptest! {
        #[test]
        fn no_more_are_shown_than_there_is_room_for(durations in vec(0_u64..50, 0..60), max in 0_usize..100) {
            let mut sample = ProfileBuilder::new();
            for ns in &durations {
                sample.call("add", 0, 1, stages(0, took(*ns)));
                sample.span("step", 0, 0, *ns);
            }
            let calls: Vec<_> = sample.profile.calls.iter().collect();
            let shown = Shown::of(&sample.profile, &calls, &[], max);
            prop_assert_eq!(shown.of, 3 * durations.len());
            prop_assert_eq!(shown.slices, 2 * shown.calls.len() + shown.spans.len());
            prop_assert!(shown.slices <= max);
            prop_assert!(shown.slices + 1 >= max.min(shown.of));
        }
    }
}
