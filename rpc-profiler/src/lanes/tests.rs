//! What lanes promise, for profiles made by hand and for any.

use std::collections::HashMap;

use proptest::prelude::*;

use super::*;
use crate::arbitrary::{any_profile, profile, span, tick, whole_call};
use crate::model::Span;

/// Ranks, lanes and levels of all slices, with what they are of.
fn placed(profile: &Profile) -> Vec<(u32, Part, u32, u32)> {
    let workers = profile.lanes().workers;
    let of_one = |worker: WorkerLanes| {
        worker.slices.into_iter().map(move |slice| (worker.rank, slice.part, slice.lane, slice.level))
    };
    workers.into_iter().flat_map(of_one).collect()
}

fn span_of(id: u64, parent: Option<u64>, worker: u32, began: u64, ended: u64) -> Span {
    let mut span = span(id, parent, worker);
    (span.began, span.ended) = (tick(began), tick(ended));
    span
}

#[test]
fn a_call_is_on_both_workers_and_what_its_handler_did_is_below_it() {
    let mut profile = profile(3);
    let mut nested = whole_call(2, Some(3), 1, 2, 0);
    nested.times = crate::model::CallTimes::default();
    (nested.times.began, nested.times.answered) = (Some(tick(12)), Some(tick(13)));
    profile.calls = vec![whole_call(1, Some(4), 0, 1, 0), nested];
    profile.spans = vec![span_of(3, Some(1), 1, 11, 14), span_of(4, None, 0, 0, 50)];
    let expected = [
        (0, Part::Span(1), 0, 0),
        (0, Part::Caller(0), 0, 1),
        (1, Part::Handler(0), 0, 0),
        (1, Part::Span(0), 0, 1),
        (1, Part::Caller(1), 0, 2),
    ];
    assert_eq!(placed(&profile), expected);
}

#[test]
fn calls_at_the_same_time_have_lanes_of_their_own_and_later_ones_take_them_again() {
    let mut profile = profile(2);
    profile.calls =
        vec![whole_call(1, None, 0, 1, 0), whole_call(2, None, 0, 1, 5), whole_call(3, None, 0, 1, 28)];
    let lanes: Vec<_> =
        placed(&profile).into_iter().map(|(rank, part, lane, _)| (rank, part, lane)).collect();
    let expected = [
        (0, Part::Caller(0), 0),
        (0, Part::Caller(1), 1),
        (0, Part::Caller(2), 0),
        (1, Part::Handler(0), 0),
        (1, Part::Handler(1), 1),
        (1, Part::Handler(2), 0),
    ];
    assert_eq!(lanes, expected);
}

/// A second thing that a handler does at the same time is not drawn in the first, where it would look like its part.
#[test]
fn what_is_at_the_same_time_in_one_parent_is_not_drawn_in_a_sibling() {
    let mut profile = profile(1);
    profile.spans = vec![
        span_of(1, None, 0, 0, 100),
        span_of(2, Some(1), 0, 10, 50),
        span_of(3, Some(1), 0, 20, 30),
        span_of(4, Some(1), 0, 60, 70),
    ];
    let lanes: Vec<_> = placed(&profile).into_iter().map(|(_, _, lane, level)| (lane, level)).collect();
    assert_eq!(lanes, [(0, 0), (0, 1), (1, 0), (0, 1)]);
}

#[test]
fn what_a_worker_does_for_others_is_apart_with_all_below_it() {
    let mut profile = profile(2);
    profile.calls = vec![whole_call(1, None, 0, 1, 0)];
    profile.spans = vec![span_of(2, None, 1, 0, 100), span_of(3, Some(1), 1, 11, 80)];
    let lanes = profile.lanes();
    assert_eq!((lanes.workers[1].own, lanes.workers[1].serving), (1, 2));
    let on_callee: Vec<_> = lanes.workers[1].slices.iter().map(|slice| (slice.part, slice.lane)).collect();
    assert_eq!(on_callee, [(Part::Span(0), 0), (Part::Handler(0), 1), (Part::Span(1), 2)]);
}

proptest! {
    /// In one lane, slices nest or do not overlap; the order is that in which a viewer meets them; nothing is lost.
    #[test]
    fn slices_of_a_lane_nest_or_are_apart(profile in any_profile()) {
        let lanes = profile.lanes();
        let mut parts = Vec::new();
        for worker in &lanes.workers {
            prop_assert!(worker.slices.iter().all(|slice| slice.lane < worker.own + worker.serving));
            prop_assert!(worker.slices.is_sorted_by_key(|slice| slice.began));
            for (index, slice) in worker.slices.iter().enumerate() {
                prop_assert!(slice.began <= slice.ended);
                parts.push(slice.part);
                let around = worker.slices[..index].iter().filter(|earlier| earlier.lane == slice.lane);
                let around: Vec<_> = around.filter(|earlier| earlier.ended > slice.began).collect();
                for earlier in &around {
                    prop_assert!(slice.ended <= earlier.ended, "{slice:?} sticks out of {earlier:?}");
                }
                prop_assert_eq!(slice.level as usize, around.len(), "{:?} is in {:?}", slice, around);
            }
        }
        let mut once = parts.clone();
        once.sort_unstable();
        once.dedup();
        prop_assert_eq!(once.len(), parts.len());
        let spans = parts.iter().filter(|part| matches!(part, Part::Span(_))).count();
        prop_assert_eq!(spans, profile.spans.len());
    }

    /// What is not alone in its lane is in what it was done in.
    #[test]
    fn what_is_drawn_in_something_was_done_in_it(profile in any_profile()) {
        let tree = Tree::new(&profile);
        for worker in profile.lanes().workers {
            let mut open: HashMap<u32, Vec<Slice>> = HashMap::new();
            for slice in worker.slices {
                let inside = open.entry(slice.lane).or_default();
                inside.truncate(slice.level as usize);
                if let Some(around) = inside.last() {
                    let entry = |part| match part {
                        Part::Caller(call) | Part::Handler(call) => crate::tree::Entry(call),
                        Part::Span(index) => tree.span(index as usize),
                    };
                    prop_assert!(!matches!(around.part, Part::Caller(_)), "{slice:?} is in {around:?}");
                    prop_assert_eq!(tree.parent(entry(slice.part)), Some(entry(around.part)));
                }
                inside.push(slice);
            }
        }
    }
}
