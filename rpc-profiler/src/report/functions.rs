//! [`Functions`]: how long which function took, and where that time went.

use std::cmp::Reverse;
use std::collections::HashMap;

use serde::Serialize;

use super::distribution::{Counts, Distribution, Percentiles};
use crate::model::{Call, NameId, Profile, Stage};

/// Latencies by function.
#[derive(Debug, Serialize)]
pub(super) struct Functions {
    pub(super) all: Latencies,
    /// Those that took most of the time, the one that took most first.
    pub(super) rows: Vec<Function>,
    /// How many there are beside them.
    pub(super) left_out: usize,
}

/// The calls of one operation of one function.
#[derive(Debug, Serialize)]
pub(super) struct Function {
    /// As in `rpc_async#my_app::add`.
    pub(super) key: String,
    #[serde(flatten)]
    pub(super) latencies: Latencies,
}

/// What some calls took.
#[derive(Debug, Serialize)]
pub(super) struct Latencies {
    pub(super) failed: u64,
    pub(super) total: Option<Distribution>,
    /// By [`Stage::ALL`]. Calls of which a stage is not known are not in that.
    pub(super) stages: [Option<Distribution>; 7],
}

impl Functions {
    /// Functions that have rows of their own. A page has to stay one that a browser opens.
    pub(super) const ROWS_MAX: usize = 100;

    pub(super) fn of(profile: &Profile, calls: &[&Call]) -> Self {
        let Keys { keys, left_out } = Keys::of(calls);
        let row_of: HashMap<_, usize> = keys.iter().zip(0..).map(|(key, row)| (*key, row)).collect();
        let row_of = |call: &Call| row_of.get(&(call.operation, call.function)).copied();

        let (mut all, mut rows) = (Counting::new(), vec![Counting::new(); keys.len()]);
        for call in calls {
            let failed = !call.is_ok(&profile.names);
            let durations = durations(call);
            all.add(&durations, failed);
            if let Some(row) = row_of(call) {
                rows[row].add(&durations, failed);
            }
        }
        let mut all = all.again();
        let mut rows: Vec<_> = rows.into_iter().map(Counting::again).collect();
        for call in calls {
            let durations = durations(call);
            all.add(&durations);
            if let Some(row) = row_of(call) {
                rows[row].add(&durations);
            }
        }
        let function = |((operation, function), row): ((NameId, NameId), Ranking)| Function {
            key: function_key(profile, operation, function),
            latencies: row.finish(),
        };
        Self { all: all.finish(), rows: keys.into_iter().zip(rows).map(function).collect(), left_out }
    }
}

/// As in `rpc_async#my_app::add`.
pub(super) fn function_key(profile: &Profile, operation: NameId, function: NameId) -> String {
    format!("{}#{}", profile.name(operation), profile.name(function))
}

/// Operations and functions that have rows, in order, and how many have none.
struct Keys {
    keys: Vec<(NameId, NameId)>,
    left_out: usize,
}

impl Keys {
    fn of(calls: &[&Call]) -> Self {
        let mut took: HashMap<_, u64> = HashMap::new();
        for call in calls {
            let took = took.entry((call.operation, call.function)).or_default();
            *took = took.saturating_add(call.times.total_ns());
        }
        let mut keys: Vec<_> = took.into_iter().collect();
        keys.sort_unstable_by_key(|(key, took)| (Reverse(*took), *key));
        let left_out = keys.len().saturating_sub(Functions::ROWS_MAX);
        keys.truncate(Functions::ROWS_MAX);
        Self { keys: keys.into_iter().map(|(key, _)| key).collect(), left_out }
    }
}

/// All of a call, and then by [`Stage::ALL`].
type Durations = [Option<u64>; 8];

fn durations(call: &Call) -> Durations {
    let mut durations = [Some(call.times.total_ns()); 8];
    for (duration, stage) in durations[1..].iter_mut().zip(Stage::ALL) {
        *duration = call.times.stage_ns(stage);
    }
    durations
}

/// Calls that are seen for the first time.
#[derive(Clone)]
struct Counting {
    failed: u64,
    counts: [Counts; 8],
}

impl Counting {
    fn new() -> Self {
        Self { failed: 0, counts: std::array::from_fn(|_| Counts::new()) }
    }

    fn add(&mut self, durations: &Durations, failed: bool) {
        self.failed += u64::from(failed);
        for (counts, duration) in self.counts.iter_mut().zip(durations) {
            if let Some(ns) = duration {
                counts.add(*ns);
            }
        }
    }

    fn again(self) -> Ranking {
        Ranking { failed: self.failed, percentiles: self.counts.map(Counts::again) }
    }
}

/// And for the second time.
struct Ranking {
    failed: u64,
    percentiles: [Option<Percentiles>; 8],
}

impl Ranking {
    fn add(&mut self, durations: &Durations) {
        for (percentiles, duration) in self.percentiles.iter_mut().zip(durations) {
            if let Some((percentiles, ns)) = percentiles.as_mut().zip(*duration) {
                percentiles.add(ns);
            }
        }
    }

    fn finish(self) -> Latencies {
        let finish = |percentiles: Option<Percentiles>| percentiles.and_then(Percentiles::finish);
        let [total, stages @ ..] = self.percentiles.map(finish);
        Latencies { failed: self.failed, total, stages }
    }
}

#[cfg(test)]
mod tests {
    use proptest::array::uniform7;
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;
    use crate::report::sample::{ProfileBuilder, at, stages};

    fn functions(sample: &ProfileBuilder) -> Functions {
        Functions::of(&sample.profile, &sample.profile.calls.iter().collect::<Vec<_>>())
    }

    #[test]
    fn the_function_that_took_most_is_first() {
        let mut sample = ProfileBuilder::new();
        sample.call("quick", 0, 1, stages(0, [1, 1, 1, 1, 1, 1, 1]));
        sample.call("quick", 0, 1, stages(0, [1, 1, 1, 1, 3, 1, 1]));
        sample.outcome("timed_out");
        sample.call("slow", 0, 1, stages(0, [0, 0, 0, 0, 100, 0, 0]));

        let functions = functions(&sample);
        let rows = functions.rows.iter().map(|row| {
            let total = row.latencies.total.as_ref().unwrap();
            (row.key.as_str(), total.count, row.latencies.failed, total.sum, total.p50, total.max)
        });
        assert_eq!(
            rows.collect::<Vec<_>>(),
            [("rpc_async#slow", 1, 0, 100, 100, 100), ("rpc_async#quick", 2, 1, 16, 7, 9)]
        );
        let all = functions.all.total.unwrap();
        assert_eq!((all.count, all.sum, functions.all.failed, functions.left_out), (3, 116, 1, 0));
    }

    #[test]
    fn stages_that_are_not_known_are_not_counted() {
        let mut sample = ProfileBuilder::new();
        sample.call("add", 0, 1, stages(0, [1, 2, 3, 4, 5, 6, 7]));
        sample.call("add", 0, 1, [at(0), at(3), at(4), None, None, None, at(20), at(21)]);

        let all = functions(&sample).all;
        let stages = all.stages.map(|stage| stage.map_or((0, 0), |stage| (stage.count, stage.sum)));
        assert_eq!(stages, [(2, 4), (2, 3), (1, 3), (1, 4), (1, 5), (1, 6), (2, 8)]);
    }

    #[test]
    fn functions_beyond_the_bound_are_counted() {
        let mut sample = ProfileBuilder::new();
        for function in 0..Functions::ROWS_MAX as u64 + 3 {
            sample.call(&format!("f{function}"), 0, 1, stages(0, [0, 0, 0, 0, function, 0, 0]));
        }
        let functions = functions(&sample);
        assert_eq!((functions.rows.len(), functions.left_out), (Functions::ROWS_MAX, 3));
        assert_eq!(functions.rows.last().unwrap().key, "rpc_async#f3");
        assert_eq!(functions.all.total.unwrap().count, Functions::ROWS_MAX as u64 + 3);
    }

    #[test]
    fn no_calls_have_no_latencies() {
        let functions = functions(&ProfileBuilder::new());
        assert!(functions.rows.is_empty() && functions.all.total.is_none());
    }

    proptest! {
        #[test]
        fn functions_together_are_all_calls(calls in vec((0_u8..5, uniform7(0_u64..1000)), 1..50)) {
            let mut sample = ProfileBuilder::new();
            for (function, took) in &calls {
                sample.call(&format!("f{function}"), 0, 1, stages(0, *took));
            }
            let functions = functions(&sample);
            let totals = || functions.rows.iter().map(|row| row.latencies.total.as_ref().unwrap());
            prop_assert_eq!(totals().map(|total| total.count).sum::<u64>(), calls.len() as u64);

            let took: u64 = calls.iter().flat_map(|(_, took)| took).sum();
            prop_assert_eq!(totals().map(|total| total.sum).sum::<u64>(), took);
            let by_stage = functions.all.stages.iter().map(|stage| stage.as_ref().unwrap().sum);
            prop_assert_eq!(by_stage.sum::<u64>(), took);
        }
    }
}
