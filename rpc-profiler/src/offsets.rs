//! What the clocks of workers are off, from the round trips of their calls, and from where they are.
//!
//! Workers of one machine read one clock, and what they read differs by no more than [`SHARED_NS`]. They tell each other
//! on which machine they are ([`MachineId`]). Between all others calls tell: a request cannot arrive before it was sent, nor an answer. With `o` for what the callee's clock shows more:
//!
//! ```text
//! caller   encoded ─────────────────────────────► answered        arrived - o >= encoded     o <= arrived - encoded
//!               ╲                               ╱                 replied - o <= answered    o >= replied - answered
//! callee         ► arrived ──────────► replied
//! ```
//! Each call bounds `o` from both sides, and all calls of a pair together bound it more closely (Marzullo and Owicki,
//! *Maintaining the time in a distributed system*, 1983: the intersection of intervals that are each correct is), of which
//! the middle is taken. Between workers that have not called each other, offsets and errors add up along the way with the
//! least error.
//!
//! On one machine the few microseconds that a round trip leaves open are thereby not shared out evenly, as if the way back
//! took as long as the way there, but known to be nothing. It takes a clock that somebody has set between the start of two
//! workers to make that wrong. Where calls show it, being impossible otherwise, nothing is concluded from that machine.
//!
//! # Invariants (each named by a test; `cargo xtask tidy` checks that)
//! - **CO-1, within the bound.** As long as clocks run equally fast, the true offset is no further from the estimate than
//!   its error.
//! - **CO-2, nothing is made up.** A worker that no chain of answered calls and of shared machines leads to has an unknown
//!   error and no offset.
//! - **CO-3, one machine, one clock.** Workers of one machine have no offset that is more than an error of [`SHARED_NS`] for
//!   each step, however slow their calls were.
//! - **CO-4, calls go before machines.** Where what calls allow and a shared clock exclude each other, calls count alone.

use std::collections::{BTreeMap, BTreeSet};

use crate::model::{Call, ClockOffset, MachineId, Profile, Tick};

/// What two workers of one machine may read at the same moment, apart from each other: each has read the two clocks of the
/// system together as closely as half of that.
pub(crate) const SHARED_NS: u64 = 1_000;

/// The bounds of two workers of one machine.
const SHARED: Bounds = Bounds { least: -(SHARED_NS as i64), most: SHARED_NS as i64 };

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

    /// There is nothing between them: not all of what they come from is true.
    fn is_impossible(self) -> bool {
        self.least > self.most
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
    let machines = profile.workers.iter().filter_map(|worker| Some((worker.rank, worker.machine?)));
    let offsets = estimate(profile.home, &profile.calls, machines.collect());
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
fn estimate(home: u32, calls: &[Call], mut machines: BTreeMap<u32, MachineId>) -> BTreeMap<u32, ClockOffset> {
    let mut pairs = bounds_of_pairs(calls);
    distrust(&mut machines, &pairs);
    // One of each machine stands for it; that are as many steps more as it takes to be one clock.
    let mut first_of = BTreeMap::new();
    first_of.extend(machines.get(&home).map(|machine| (*machine, home)));
    for (rank, machine) in &machines {
        let first = *first_of.entry(*machine).or_insert(*rank);
        if first != *rank {
            pairs.entry((first.min(*rank), first.max(*rank))).or_insert(SHARED);
        }
    }
    for ((a, b), bounds) in &mut pairs {
        if machines.contains_key(a) && machines.get(a) == machines.get(b) {
            *bounds = bounds.both(SHARED);
        }
    }
    let mut neighbours: BTreeMap<u32, Vec<(u32, i64, u64)>> = BTreeMap::new();
    for ((a, b), bounds) in pairs {
        let (offset, error) = bounds.estimate();
        neighbours.entry(a).or_default().push((b, offset, error));
        neighbours.entry(b).or_default().push((a, offset.saturating_neg(), error));
    }
    least_errors(home, &neighbours)
}

/// What calls say of each two workers, the one with the smaller rank first.
fn bounds_of_pairs(calls: &[Call]) -> BTreeMap<(u32, u32), Bounds> {
    let mut pairs: BTreeMap<(u32, u32), Bounds> = BTreeMap::new();
    for call in calls.iter().filter(|call| call.from != call.to) {
        let Some(bounds) = Bounds::of(call) else { continue };
        let (pair, bounds) = match call.from < call.to {
            true => ((call.from, call.to), bounds),
            false => ((call.to, call.from), bounds.reversed()),
        };
        pairs.entry(pair).and_modify(|known| *known = known.both(bounds)).or_insert(bounds);
    }
    pairs
}

/// Forgets machines on which calls show two clocks (CO-4).
fn distrust(machines: &mut BTreeMap<u32, MachineId>, pairs: &BTreeMap<(u32, u32), Bounds>) {
    let machine = |rank| machines.get(rank);
    let shared = pairs.iter().filter(|((a, b), _)| machine(a).is_some() && machine(a) == machine(b));
    let set = shared.filter(|(_, bounds)| bounds.both(SHARED).is_impossible());
    let set: BTreeSet<MachineId> = set.filter_map(|((a, _), _)| machine(a).copied()).collect();
    machines.retain(|_, machine| !set.contains(machine));
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

    fn by_calls(home: u32, calls: &[Call]) -> BTreeMap<u32, ClockOffset> {
        estimate(home, calls, BTreeMap::new())
    }

    /// Where each rank is.
    fn on(machines: &[u8]) -> BTreeMap<u32, MachineId> {
        (0..).zip(machines).map(|(rank, machine)| (rank, MachineId::of(&[*machine]))).collect()
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
            for (rank, offset) in estimate(0, &calls, BTreeMap::new()) {
                let truth = ahead[rank as usize] - ahead[0];
                let error = offset.error_ns.unwrap();
                prop_assert!(truth.abs_diff(offset.offset_ns) <= error, "{truth} is not {offset:?}");
            }
        }
    }

    proptest! {
        /// CO-1, CO-3. What two workers of one machine read is up to half of what they may be apart from what the machine
        /// does.
        #[test]
        fn co1_co3_shared_clocks_are_within_the_error_too(
            machines in proptest::collection::vec(0_u8..3, 4),
            clocks in proptest::collection::vec(-1_000_000_000_i64..1_000_000_000, 3),
            read in proptest::collection::vec(-(SHARED_NS as i64) / 2..=SHARED_NS as i64 / 2, 4),
            trips in trips(),
        ) {
            let ahead: Vec<i64> =
                machines.iter().zip(&read).map(|(machine, read)| clocks[usize::from(*machine)] + read).collect();
            let calls: Vec<Call> = trips.iter().map(|(from, to, at, [out, run, back])| {
                call(*from, *to, &ahead, [*at, at + out, at + out + run, at + out + run + back])
            }).collect();
            let offsets = estimate(0, &calls, on(&machines));
            for (rank, offset) in &offsets {
                let (truth, error) = (ahead[*rank as usize] - ahead[0], offset.error_ns.unwrap());
                prop_assert!(truth.abs_diff(offset.offset_ns) <= error, "{truth} is not {offset:?}");
            }
            for rank in (0..4_u32).filter(|rank| machines[*rank as usize] == machines[0]) {
                let error = offsets.get(&rank).and_then(|offset| offset.error_ns);
                prop_assert!(error.is_some_and(|error| error <= SHARED_NS), "{error:?}");
            }
        }
    }

    /// CO-3.
    #[test]
    fn co3_on_one_machine_the_offset_is_nothing_however_slow_the_calls() {
        // By calls alone it would be the middle: 45 ± 55.
        let slow = call(0, 1, &[0; 4], [0, 100_000, 110_000, 120_000]);
        assert_eq!(by_calls(0, &[slow])[&1], ClockOffset::new(45_000, Some(55_000)));
        assert_eq!(estimate(0, &[slow], on(&[7, 7]))[&1], ClockOffset::new(0, Some(SHARED_NS)));
        // Those who have not called each other, too, also beyond one that was called.
        let offsets = estimate(0, &[slow], on(&[1, 2, 2, 1]));
        assert_eq!(offsets[&2], ClockOffset::new(45_000, Some(55_000 + SHARED_NS)));
        assert_eq!(offsets[&3], ClockOffset::new(0, Some(SHARED_NS)));
    }

    /// CO-4.
    #[test]
    fn co4_a_clock_that_was_set_between_two_starts_is_not_shared() {
        let ahead = [0, 5_000_000, 0, 0];
        let call = call(0, 1, &ahead, [0, 10, 20, 30]);
        let offsets = estimate(0, &[call], on(&[7, 7, 7]));
        assert_eq!(offsets[&1], ClockOffset::new(5_000_000, Some(10)));
        assert!(!offsets.contains_key(&2), "which of the two it has is not known");
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
        assert_eq!(by_calls(0, &[slow])[&1], ClockOffset::new(1_005, Some(45)));
        let quick = call(0, 1, &ahead, [200, 204, 300, 306]);
        assert_eq!(by_calls(0, &[slow, quick])[&1], ClockOffset::new(999, Some(5)));
        assert_eq!(by_calls(1, &[slow, quick])[&0], ClockOffset::new(-999, Some(5)));
    }

    #[test]
    fn errors_add_up_along_the_way() {
        let ahead = [0, 1_000, -500];
        let calls = [call(0, 1, &ahead, [0, 10, 20, 30]), call(1, 2, &ahead, [0, 20, 20, 40])];
        assert_eq!(by_calls(0, &calls)[&2], ClockOffset::new(-500, Some(30)));
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
