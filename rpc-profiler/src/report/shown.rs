//! [`Shown`]: what the timeline shows of a profile, so that a page stays one that a browser opens.

use std::cmp::Reverse;
use std::collections::HashSet;

use crate::model::{Call, Node, Profile, Span, SpanId};

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

/// Why something is shown, the best reason first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Reason {
    /// It, or something in it, has a row in a table.
    Row,
    /// It is in something that has one.
    BelowRow,
    /// It took long.
    Long,
}

impl Shown {
    /// What is shown of `calls` and of the profile's spans if there is room for `max` slices: `rows` with what they are in and
    /// what is in them, and of the others those that took longest.
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
        let rows_ids: HashSet<_> = rows.iter().map(|row| row.id).collect();
        let above = above(rows, nodes);
        let reason = |node: Node<'_>| {
            if rows_ids.contains(&node.id()) || above.contains(&node.id()) {
                Reason::Row
            } else if node.parent().is_some_and(|parent| rows_ids.contains(&parent)) {
                Reason::BelowRow
            } else {
                Reason::Long
            }
        };
        let mut order: Vec<_> =
            nodes().enumerate().map(|(index, node)| (reason(node), Reverse(took(node)), index)).collect();
        if order.len() > max {
            order.select_nth_unstable(max);
            order.truncate(max);
        }
        order.sort_unstable();
        Self::first(order.into_iter().map(|(.., index)| index), calls, &profile.spans, max, of)
    }

    /// As many of those at `indices`, which count on from calls to spans, as have room.
    fn first(
        indices: impl Iterator<Item = usize>,
        calls: &[&Call],
        spans: &[Span],
        max: usize,
        of: usize,
    ) -> Self {
        let node = |index: usize| match calls.get(index) {
            Some(call) => Node::Call(call),
            None => Node::Span(&spans[index - calls.len()]),
        };
        let mut room = max;
        let fits = indices.map_while(|index| {
            room = room.checked_sub(slices(node(index)))?;
            Some(index)
        });
        let mut fits: Vec<_> = fits.collect();
        fits.sort_unstable();
        let first_span = fits.partition_point(|index| *index < calls.len());
        let spans = fits.split_off(first_span).iter().map(|index| index - calls.len()).collect();
        Self { calls: fits, spans, slices: max - room, of }
    }
}

/// What `rows` are in.
fn above<'a, I: Iterator<Item = Node<'a>>>(rows: &[&Call], nodes: impl Fn() -> I) -> HashSet<SpanId> {
    let mut above = HashSet::new();
    let mut level: HashSet<_> = rows.iter().filter_map(|row| row.parent).collect();
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
