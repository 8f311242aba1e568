//! What the clocks of workers are off, from the round trips of their calls.
//!
//! A request cannot arrive before it was sent, nor an answer. With `o` for what the callee's clock shows more:
//!
//! ```text
//! caller   encoded ─────────────────────────────► answered        arrived - o >= encoded     o <= arrived - encoded
//!               ╲                               ╱                 replied - o <= answered    o >= replied - answered
//! callee         ► arrived ──────────► replied
//! ```
//! Each call bounds `o` from both sides, and all calls of a pair together bound it more closely (Marzullo and Owicki,
//! *Maintaining the time in a distributed system*, 1983: the intersection of intervals that are each correct is). Between
//! workers that have not called each other, offsets and errors add up along the way with the least error.
//!
//! # Invariants (each named by a test; `cargo xtask tidy` checks that)
//! - **CO-1, within the bound.** As long as clocks run equally fast, the true offset is no further from the estimate than
//!   its error.
//! - **CO-2, nothing is made up.** A worker that no chain of answered calls leads to has an unknown error and no offset.

use std::collections::{BTreeMap, BTreeSet};

use crate::model::{Call, ClockOffset, Profile, Tick};

/// What the clock of one worker can show more than that of another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Bounds {
    least: i64,
    most: i64,
}

impl Bounds {
    fn of(call: &Call) -> Option<Self> {
        let times = &call.times;
        let (sent, arrived) = (times.encoded?, times.arrived?);
        let (replied, answered) = (times.replied?, times.answered?);
        Some(Self { least: difference(replied, answered), most: difference(arrived, sent) })
    }

    fn both(self, other: Self) -> Self {
        Self { least: self.least.max(other.least), most: self.most.min(other.most) }
    }

    /// Seen from the other side.
    fn reversed(self) -> Self {
        Self { least: self.most.saturating_neg(), most: self.least.saturating_neg() }
    }

    /// The middle, and how far from it the bounds are. Clocks that do not run equally fast may have crossed bounds: what
    /// they are apart is then no less of an error.
    fn estimate(self) -> (i64, u64) {
        let sum = i128::from(self.least) + i128::from(self.most);
        let apart = self.least.abs_diff(self.most);
        ((sum / 2) as i64, apart.div_ceil(2)) // half of the sum of two is one again
    }
}

/// How much later `a` is than `b`, as two clocks have them.
fn difference(a: Tick, b: Tick) -> i64 {
    let difference = i128::from(a.unix_ns()) - i128::from(b.unix_ns());
    difference.clamp(i64::MIN.into(), i64::MAX.into()) as i64 // it is within now
}

/// Estimates the clocks of all workers, and moves all times to that of the one that recorded.
pub(crate) fn apply(profile: &mut Profile) {
    let offsets = estimate(profile.home, &profile.calls);
    for worker in &mut profile.workers {
        worker.clock = offsets.get(&worker.rank).copied().unwrap_or_default();
    }
    let back = |rank: u32| offsets.get(&rank).map_or(0, |offset| offset.offset_ns.saturating_neg());
    for call in &mut profile.calls {
        let (from, to) = (back(call.from), back(call.to));
        let times = &mut call.times;
        for tick in [
            &mut times.began,
            &mut times.encoded,
            &mut times.written,
            &mut times.answered,
            &mut times.decoded,
        ] {
            *tick = tick.map(|tick| tick.shifted(from));
        }
        for tick in [&mut times.arrived, &mut times.ran, &mut times.replied] {
            *tick = tick.map(|tick| tick.shifted(to));
        }
        // Who writes learns of it when it has its turn again, and the callee may have been quicker.
        if let (Some(written), Some(arrived)) = (times.written, times.arrived) {
            times.written = Some(written.min(arrived));
        }
    }
    for span in &mut profile.spans {
        let back = back(span.worker);
        (span.began, span.ended) = (span.began.shifted(back), span.ended.shifted(back));
    }
}

/// What the clock of each worker is off from that of `home`.
fn estimate(home: u32, calls: &[Call]) -> BTreeMap<u32, ClockOffset> {
    let mut pairs: BTreeMap<(u32, u32), Bounds> = BTreeMap::new();
    for call in calls.iter().filter(|call| call.from != call.to) {
        let Some(bounds) = Bounds::of(call) else { continue };
        let (pair, bounds) = match call.from < call.to {
            true => ((call.from, call.to), bounds),
            false => ((call.to, call.from), bounds.reversed()),
        };
        pairs.entry(pair).and_modify(|known| *known = known.both(bounds)).or_insert(bounds);
    }
    let mut neighbours: BTreeMap<u32, Vec<(u32, i64, u64)>> = BTreeMap::new();
    for ((a, b), bounds) in pairs {
        let (offset, error) = bounds.estimate();
        neighbours.entry(a).or_default().push((b, offset, error));
        neighbours.entry(b).or_default().push((a, offset.saturating_neg(), error));
    }
    least_errors(home, &neighbours)
}

/// Dijkstra's algorithm, with errors for lengths.
fn least_errors(home: u32, neighbours: &BTreeMap<u32, Vec<(u32, i64, u64)>>) -> BTreeMap<u32, ClockOffset> {
    let mut known = BTreeMap::new();
    let mut open = BTreeSet::from([(0_u64, home, 0_i64)]);
    while let Some((error, rank, offset)) = open.pop_first() {
        if known.contains_key(&rank) {
            continue;
        }
        known.insert(rank, ClockOffset::new(offset, Some(error)));
        for (next, more, wider) in neighbours.get(&rank).into_iter().flatten() {
            open.insert((error.saturating_add(*wider), *next, offset.saturating_add(*more)));
        }
    }
    known
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::model::{NameId, SpanId};

    /// A call as two clocks see it, which show `ahead` more than the true time.
    fn call(from: u32, to: u32, ahead: &[i64], truth: [u64; 4]) -> Call {
        let [sent, arrived, replied, answered] = truth;
        let at = |rank: u32, time: u64| {
            Some(Tick::from_unix_ns(1 << 60).shifted(time as i64).shifted(ahead[rank as usize]))
        };
        let mut call = Call::new(SpanId(1), from, to, NameId(0), NameId(0), NameId(0));
        call.times.encoded = at(from, sent);
        call.times.arrived = at(to, arrived);
        call.times.replied = at(to, replied);
        call.times.answered = at(from, answered);
        call
    }

    /// Who calls whom, when, how long each way and the handler take.
    fn trips() -> impl Strategy<Value = Vec<(u32, u32, u64, [u64; 3])>> {
        let trip = (0_u32..4, 0_u32..4, 0_u64..1_000_000, [0_u64..5_000, 0..5_000, 0..5_000]);
        proptest::collection::vec(trip, 1..40)
    }

    proptest! {
        /// CO-1.
        #[test]
        fn co1_the_true_offset_is_within_the_error(
            ahead in proptest::collection::vec(-1_000_000_000_i64..1_000_000_000, 4),
            trips in trips(),
        ) {
            let calls: Vec<Call> = trips.iter().map(|(from, to, at, [out, run, back])| {
                call(*from, *to, &ahead, [*at, at + out, at + out + run, at + out + run + back])
            }).collect();
            for (rank, offset) in estimate(0, &calls) {
                let truth = ahead[rank as usize] - ahead[0];
                let error = offset.error_ns.unwrap();
                prop_assert!(truth.abs_diff(offset.offset_ns) <= error, "{truth} is not {offset:?}");
            }
        }
    }

    /// CO-1. And so no stage is longer than the call, and all together are not.
    #[test]
    fn co1_a_request_is_written_before_it_arrives_however_late_that_is_noticed() {
        let mut late = call(0, 1, &[0, 1_000], [0, 10, 20, 30]);
        late.times.began = late.times.encoded;
        late.times.written = late.times.answered;
        late.times.ran = late.times.arrived;
        let mut profile = Profile::new(0, Tick::from_unix_ns(1), Tick::from_unix_ns(2));
        profile.calls = vec![late];
        apply(&mut profile);
        let times = &profile.calls[0].times;
        assert_eq!(times.written, times.arrived);
        let stages: u64 = crate::model::Stage::ALL.iter().filter_map(|stage| times.stage_ns(*stage)).sum();
        assert_eq!((stages, times.total_ns()), (30, 30));
    }

    #[test]
    fn errors_are_half_of_what_the_shortest_trips_leave() {
        let ahead = [0, 1_000];
        let slow = call(0, 1, &ahead, [0, 50, 60, 100]);
        assert_eq!(estimate(0, &[slow])[&1], ClockOffset::new(1_005, Some(45)));
        let quick = call(0, 1, &ahead, [200, 204, 300, 306]);
        assert_eq!(estimate(0, &[slow, quick])[&1], ClockOffset::new(999, Some(5)));
        assert_eq!(estimate(1, &[slow, quick])[&0], ClockOffset::new(-999, Some(5)));
    }

    #[test]
    fn errors_add_up_along_the_way() {
        let ahead = [0, 1_000, -500];
        let calls = [call(0, 1, &ahead, [0, 10, 20, 30]), call(1, 2, &ahead, [0, 20, 20, 40])];
        assert_eq!(estimate(0, &calls)[&2], ClockOffset::new(-500, Some(30)));
    }

    /// CO-2.
    #[test]
    fn co2_who_was_never_reached_is_unknown() {
        let mut unanswered = call(0, 1, &[0, 1_000], [0, 10, 20, 30]);
        unanswered.times.replied = None;
        let mut profile = Profile::new(0, Tick::from_unix_ns(1), Tick::from_unix_ns(2));
        profile.workers = vec![crate::model::Worker::new(1, "worker1", ClockOffset::new(7, Some(7)))];
        profile.calls = vec![unanswered, call(2, 3, &[0; 4], [0, 10, 20, 30])];
        let before = profile.calls.clone();
        apply(&mut profile);
        assert_eq!(profile.workers[0].clock, ClockOffset::default());
        assert_eq!(profile.calls, before);
    }
}
