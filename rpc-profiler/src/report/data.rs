//! [`Data`]: all that the page shows, in the form in which its script reads it.

use std::collections::HashMap;

use serde::Serialize;

use super::all::all_calls;
use super::functions::{Functions, function_key};
use super::matrix::Matrix;
use super::notable::{Failure, failures, slowest};
use super::shown::{SLICES_MAX, Shown};
use super::spans::Spans;
use super::strings::Strings;
use super::timeline::Timeline;
use super::workers::Workers;
use crate::model::{Call, Profile, Stage};

/// The page's data. Times are nanoseconds, from when the profile began.
#[derive(Debug, Serialize)]
pub(super) struct Data {
    pub(super) facts: Facts,
    pub(super) workers: Workers,
    pub(super) stages: [&'static str; 7],
    pub(super) functions: Functions,
    pub(super) spans: Spans,
    pub(super) matrix: Matrix,
    pub(super) failures: Failures,
    /// Indices of the timeline's calls.
    pub(super) slowest: Vec<usize>,
    pub(super) timeline: Timeline,
    /// What the timeline's labels and outcomes stand for.
    pub(super) strings: Vec<String>,
}

/// What the head of the page says.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub(super) struct Facts {
    pub(super) home: String,
    /// Milliseconds since the Unix epoch, which JavaScript reads exactly.
    pub(super) began_unix_ms: u64,
    pub(super) wall_ns: u64,
    pub(super) calls: usize,
    pub(super) spans: usize,
    pub(super) failed: usize,
    pub(super) timed_out: usize,
    pub(super) dropped: u64,
    pub(super) bytes: u64,
}

/// What failed.
#[derive(Debug, Serialize)]
pub(super) struct Failures {
    pub(super) rows: Vec<FailureRow>,
    /// How many kinds there are beside them.
    pub(super) left_out: usize,
}

/// One kind of it.
#[derive(Debug, Serialize)]
pub(super) struct FailureRow {
    outcome: String,
    /// As in `rpc_async#my_app::add`.
    key: String,
    count: u64,
    /// What the first of them says of it, if anything.
    error: Option<String>,
    /// Index of the first of them among the timeline's calls.
    example: Option<usize>,
}

impl Data {
    pub(super) fn of(profile: &Profile) -> Self {
        let calls = all_calls(profile);
        let calls: Vec<_> = calls.iter().collect();
        let slowest = slowest(&calls);
        let (failures, failures_left_out) = failures(profile, &calls);
        let rows: Vec<_> =
            slowest.iter().copied().chain(failures.iter().map(|failure| failure.first)).collect();
        let shown = Shown::of(profile, &calls, &rows, SLICES_MAX);
        let ids = shown.calls.iter().map(|index| calls[*index].id);
        let index: HashMap<_, _> = ids.enumerate().map(|(index, id)| (id, index)).collect();
        let row_of = |call: &Call| index.get(&call.id).copied();

        let workers = Workers::of(profile, &calls);
        let mut strings = Strings::default();
        Self {
            facts: Facts::of(profile, &calls),
            stages: Stage::ALL.map(Stage::name),
            functions: Functions::of(profile, &calls),
            spans: Spans::of(profile),
            matrix: Matrix::of(profile, &calls),
            failures: Failures {
                rows: failures.iter().map(|row| FailureRow::of(profile, row, row_of(row.first))).collect(),
                left_out: failures_left_out,
            },
            slowest: slowest.into_iter().filter_map(row_of).collect(),
            timeline: Timeline::of(profile, &calls, &shown, &workers, &mut strings),
            strings: strings.into_inner(),
            workers,
        }
    }
}

impl FailureRow {
    fn of(profile: &Profile, failure: &Failure<'_>, example: Option<usize>) -> Self {
        Self {
            outcome: profile.name(failure.outcome).to_owned(),
            key: function_key(profile, failure.operation, failure.function),
            count: failure.count,
            error: failure.first.error.map(|error| profile.name(error).to_owned()),
            example,
        }
    }
}

impl Facts {
    fn of(profile: &Profile, calls: &[&Call]) -> Self {
        let count = |which: &dyn Fn(&Call) -> bool| calls.iter().filter(|call| which(call)).count();
        let bytes = calls.iter().map(|call| call.request.bytes.saturating_add(call.response.bytes));
        Self {
            home: profile.worker_name(profile.home),
            began_unix_ms: profile.began.unix_ns() / 1_000_000,
            wall_ns: profile.ended.since(profile.began),
            calls: calls.len(),
            spans: profile.spans.len(),
            failed: count(&|call| !call.is_ok(&profile.names)),
            timed_out: count(&|call| profile.name(call.outcome) == "timed_out"),
            dropped: profile.dropped,
            bytes: bytes.fold(0, u64::saturating_add),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::arbitrary::any_profile;
    use crate::report::sample::{ProfileBuilder, at, stages};

    #[test]
    fn the_head_has_the_facts_of_a_profile() {
        let mut sample = ProfileBuilder::new();
        sample.call("add", 0, 1, stages(0, [1; 7]));
        sample.call("add", 0, 1, [at(0), at(1), None, None, None, None, at(9), None]);
        sample.outcome("timed_out");
        sample.call("add", 0, 1, stages(3, [1; 7]));
        sample.outcome("error");
        sample.span("step", 0, 0, 9);
        sample.profile.dropped = 4;

        let facts = Data::of(&sample.profile).facts;
        let expected = Facts {
            home: "worker0".to_owned(),
            began_unix_ms: 1_700_000_000_000,
            wall_ns: 1_000_000,
            calls: 3,
            spans: 1,
            failed: 2,
            timed_out: 1,
            dropped: 4,
            bytes: 90,
        };
        assert_eq!(facts, expected);
    }

    #[test]
    fn tables_and_timeline_speak_of_the_same_calls() {
        let mut sample = ProfileBuilder::new();
        sample.call("quick", 0, 1, stages(0, [1; 7]));
        sample.outcome("error");
        sample.call("slow", 0, 1, stages(0, [2; 7]));

        let data = Data::of(&sample.profile);
        let label = |index: usize| data.strings[data.timeline.calls[index].0].as_str();
        let slowest: Vec<_> = data.slowest.iter().map(|index| label(*index)).collect();
        assert_eq!(slowest, ["rpc_async#slow(worker0 -> worker1)", "rpc_async#quick(worker0 -> worker1)"]);
        let failed = data.failures.rows.iter().map(|row| label(row.example.unwrap()));
        assert_eq!(failed.collect::<Vec<_>>(), ["rpc_async#quick(worker0 -> worker1)"]);
    }

    proptest! {
        /// Also one that was put together by hand, or by somebody who means harm.
        #[test]
        fn any_profile_has_a_page_whose_numbers_agree(profile in any_profile()) {
            let data = Data::of(&profile);
            let calls = data.facts.calls as u64;
            prop_assert_eq!(data.matrix.cells.iter().map(|cell| cell.calls).sum::<u64>(), calls);
            prop_assert_eq!(data.functions.all.total.as_ref().map_or(0, |total| total.count), calls);
            prop_assert_eq!(data.failures.rows.iter().map(|row| row.count).sum::<u64>(), data.facts.failed as u64);

            let spans = data.spans.rows.iter().map(|row| row.took.count).sum::<u64>();
            prop_assert!(data.spans.left_out > 0 || spans == profile.spans.len() as u64);

            let Timeline { calls, spans, groups, shown, .. } = &data.timeline;
            prop_assert_eq!(groups.iter().map(|group| group.slices.len()).sum::<usize>(), *shown);
            for (row, side, index) in groups.iter().flat_map(|group| &group.slices) {
                let of = if *side == 2 { spans.len() } else { calls.len() };
                prop_assert!((*index as usize) < of && groups.iter().any(|group| *row < group.rows));
            }
            prop_assert!(data.slowest.iter().all(|index| *index < calls.len()));
            profile.write_report(std::io::sink())?;
        }
    }
}
