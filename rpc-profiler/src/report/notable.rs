//! The calls that have rows of their own: the slowest ones, and one of each way to fail.

use std::cmp::Reverse;
use std::collections::HashMap;

use crate::model::{Call, NameId, Profile};

/// How many there are of the slowest.
pub(super) const SLOWEST_MAX: usize = 50;

/// The calls that took longest, the slowest first; of two that took the same, the earlier.
pub(super) fn slowest<'a>(calls: &[&'a Call]) -> Vec<&'a Call> {
    let order = |call: &&Call| (Reverse(call.times.total_ns()), call.times.first(), call.id);
    let mut slowest = calls.to_vec();
    if slowest.len() > SLOWEST_MAX {
        slowest.select_nth_unstable_by_key(SLOWEST_MAX, order);
        slowest.truncate(SLOWEST_MAX);
    }
    slowest.sort_unstable_by_key(order);
    slowest
}

/// Calls of one function that ended in one way, which is not a good one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Failure<'a> {
    pub(super) outcome: NameId,
    pub(super) operation: NameId,
    pub(super) function: NameId,
    pub(super) count: u64,
    /// The first of them.
    pub(super) first: &'a Call,
}

/// How many functions and ways to fail are told apart.
pub(super) const FAILURES_MAX: usize = 100;

/// What failed, the most frequent first, and how many kinds of it were left out.
pub(super) fn failures<'a>(profile: &Profile, calls: &[&'a Call]) -> (Vec<Failure<'a>>, usize) {
    let mut kinds: HashMap<_, (u64, &Call)> = HashMap::new();
    for call in calls.iter().filter(|call| !call.is_ok(&profile.names)) {
        let kind = (call.outcome, call.operation, call.function);
        let (count, first) = kinds.entry(kind).or_insert((0, call));
        *count += 1;
        if (call.times.first(), call.id) < (first.times.first(), first.id) {
            *first = call;
        }
    }
    let mut kinds: Vec<_> = kinds.into_iter().collect();
    kinds.sort_unstable_by_key(|(kind, (count, _))| (Reverse(*count), *kind));
    let left_out = kinds.len().saturating_sub(FAILURES_MAX);
    kinds.truncate(FAILURES_MAX);
    let row = |((outcome, operation, function), (count, first))| Failure {
        outcome,
        operation,
        function,
        count,
        first,
    };
    (kinds.into_iter().map(row).collect(), left_out)
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;
    use crate::report::sample::{ProfileBuilder, stages};

    fn took(ns: u64) -> [u64; 7] {
        [0, 0, 0, 0, ns, 0, 0]
    }

    #[test]
    fn the_slowest_are_in_order_and_not_too_many() {
        let mut sample = ProfileBuilder::new();
        for ns in 0..SLOWEST_MAX as u64 + 10 {
            sample.call("add", 0, 1, stages(1000 - ns, took(ns)));
        }
        let calls: Vec<_> = sample.profile.calls.iter().collect();
        let slowest: Vec<_> = slowest(&calls).iter().map(|call| call.times.total_ns()).collect();
        assert_eq!(slowest, (10..60).rev().collect::<Vec<_>>());
    }

    #[test]
    fn of_two_that_took_the_same_the_earlier_is_first() {
        let mut sample = ProfileBuilder::new();
        let late = sample.call("add", 0, 1, stages(500, took(9)));
        let early = sample.call("add", 0, 1, stages(300, took(9)));
        let calls: Vec<_> = sample.profile.calls.iter().collect();
        assert_eq!(slowest(&calls).iter().map(|call| call.id).collect::<Vec<_>>(), [early, late]);
    }

    #[test]
    fn failures_are_told_apart_by_outcome_and_function() {
        let mut sample = ProfileBuilder::new();
        sample.call("add", 0, 1, stages(0, took(1)));
        sample.call("add", 0, 1, stages(9, took(1)));
        sample.outcome("timed_out");
        sample.call("sub", 0, 1, stages(20, took(1)));
        sample.outcome("error");
        sample.call("add", 0, 1, stages(4, took(1)));
        sample.outcome("timed_out");
        let first = sample.last().id;

        let calls: Vec<_> = sample.profile.calls.iter().collect();
        let (failures, left_out) = failures(&sample.profile, &calls);
        let name = |id| sample.profile.name(id);
        let rows = failures.iter().map(|row| (name(row.outcome), name(row.function), row.count));
        assert_eq!(rows.collect::<Vec<_>>(), [("timed_out", "add", 2), ("error", "sub", 1)]);
        assert_eq!((failures[0].first.id, left_out), (first, 0));
    }

    #[test]
    fn kinds_of_failures_beyond_the_bound_are_counted() {
        let mut sample = ProfileBuilder::new();
        for function in 0..FAILURES_MAX + 5 {
            sample.call(&format!("f{function}"), 0, 1, stages(0, took(1)));
            sample.outcome("error");
        }
        let calls: Vec<_> = sample.profile.calls.iter().collect();
        let (failures, left_out) = failures(&sample.profile, &calls);
        assert_eq!((failures.len(), left_out), (FAILURES_MAX, 5));
    }

    proptest! {
        #[test]
        fn the_slowest_are_those_of_a_full_sort(durations in vec(0_u64..100, 0..150)) {
            let mut sample = ProfileBuilder::new();
            for ns in &durations {
                sample.call("add", 0, 1, stages(0, took(*ns)));
            }
            let calls: Vec<_> = sample.profile.calls.iter().collect();
            let mut sorted = durations;
            sorted.sort_unstable_by(|a, b| b.cmp(a));
            sorted.truncate(SLOWEST_MAX);
            let slowest = slowest(&calls).iter().map(|call| call.times.total_ns()).collect::<Vec<_>>();
            prop_assert_eq!(slowest, sorted);
        }
    }
}
