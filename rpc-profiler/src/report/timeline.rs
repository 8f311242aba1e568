//! [`Timeline`]: what is drawn, as rows of numbers.

use std::collections::{HashMap, HashSet};

use serde::Serialize;

use super::shown::{Shown, above};
use super::strings::Strings;
use super::workers::Workers;
use crate::label::Labels;
use crate::lanes::{Part, WorkerLanes};
use crate::model::{Call, Node, Profile, Span, SpanId, Tick};

/// Slices by worker, and the calls and spans that they belong to.
#[derive(Debug, Serialize)]
pub(super) struct Timeline {
    /// How many slices are here, of how many that there are.
    pub(super) shown: usize,
    pub(super) of: usize,
    pub(super) groups: Vec<Group>,
    pub(super) calls: Vec<CallRow>,
    pub(super) spans: Vec<SpanRow>,
}

/// The slices of one worker.
#[derive(Debug, Default, PartialEq, Eq, Serialize)]
pub(super) struct Group {
    /// Index of the worker.
    pub(super) worker: usize,
    /// Slices of one row do not overlap.
    pub(super) rows: u32,
    /// How many of them show what the worker did by itself. They come before those with what it did for others.
    pub(super) own: u32,
    pub(super) slices: Vec<Slice>,
}

/// Row, [side](Side), and index of the call or span.
pub(super) type Slice = (u32, u8, u32);

/// Which side of what a slice is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Side {
    Caller = 0,
    Callee = 1,
    Span = 2,
}

/// Label, function, outcome, caller, callee, parent, depth; bytes and parts there and back; [when](Moments); and what went
/// wrong.
pub(super) type CallRow =
    (usize, usize, usize, usize, usize, Option<usize>, u16, [u64; 4], Moments, Option<usize>);

/// Label, name, worker, parent, depth, and when it began and ended.
pub(super) type SpanRow = (usize, usize, usize, Option<usize>, u16, [i64; 2]);

/// Nanoseconds since the profile began, in the order of [`CallTimes`](crate::model::CallTimes).
pub(super) type Moments = [Option<i64>; 8];

impl Timeline {
    pub(super) fn of(
        profile: &Profile,
        calls: &[&Call],
        shown: &Shown,
        workers: &Workers,
        strings: &mut Strings,
    ) -> Self {
        let (part, labels) = part(profile, calls, shown);
        let ids = part.calls.iter().map(|call| call.id).chain(part.spans.iter().map(|span| span.id));
        let rows =
            Rows { workers, index: ids.enumerate().map(|(index, id)| (id, index)).collect(), part: &part };
        let calls = part.calls.iter().enumerate();
        let spans = part.spans.iter().enumerate();
        Self {
            shown: shown.slices,
            of: shown.of,
            groups: part.lanes().workers.iter().map(|lanes| Group::of(lanes, workers)).collect(),
            calls: calls.map(|(index, call)| rows.call(call, labels.call(index), strings)).collect(),
            spans: spans.map(|(index, span)| rows.span(span, labels.span(index), strings)).collect(),
        }
    }
}

/// A profile of that alone which is shown, and what it is called. Labels name what a call is in, shown or not.
fn part(profile: &Profile, calls: &[&Call], shown: &Shown) -> (Profile, Labels) {
    let mut part = Profile::new(profile.home, profile.began, profile.ended);
    part.workers.clone_from(&profile.workers);
    part.names.clone_from(&profile.names);
    part.calls = shown.calls.iter().map(|index| *calls[*index]).collect();
    part.spans = shown.spans.iter().map(|index| profile.spans[*index]).collect();
    let (shown_calls, shown_spans) = (part.calls.len(), part.spans.len());

    let nodes = || calls.iter().map(|call| Node::Call(call)).chain(profile.spans.iter().map(Node::Span));
    let shown = part.calls.iter().map(Node::Call).chain(part.spans.iter().map(Node::Span));
    let ids: HashSet<_> = shown.clone().map(|node| node.id()).collect();
    let missing = above(shown.filter_map(|node| node.parent()).filter(|parent| !ids.contains(parent)), nodes);
    if !missing.is_empty() {
        let is_missing = |id| missing.contains(&id) && !ids.contains(&id);
        part.calls.extend(calls.iter().filter(|call| is_missing(call.id)).map(|call| **call));
        part.spans.extend(profile.spans.iter().filter(|span| is_missing(span.id)));
    }
    let labels = part.labels();
    part.calls.truncate(shown_calls);
    part.spans.truncate(shown_spans);
    (part, labels)
}

struct Rows<'a> {
    part: &'a Profile,
    workers: &'a Workers,
    /// Of calls, and after them of spans.
    index: HashMap<SpanId, usize>,
}

impl Rows<'_> {
    fn call(&self, call: &Call, label: &str, strings: &mut Strings) -> CallRow {
        let times = &call.times;
        let moments = [
            times.began,
            times.encoded,
            times.written,
            times.arrived,
            times.ran,
            times.replied,
            times.answered,
            times.decoded,
        ];
        let [request, response] = [call.request, call.response];
        (
            strings.add(label),
            strings.add(self.part.name(call.function)),
            strings.add(self.part.name(call.outcome)),
            self.workers.index(call.from),
            self.workers.index(call.to),
            self.parent(call.parent),
            call.depth,
            [request.bytes, request.parts.into(), response.bytes, response.parts.into()],
            moments.map(|moment| moment.map(|moment| self.since_began(moment))),
            call.error.map(|error| strings.add(self.part.name(error))),
        )
    }

    fn span(&self, span: &Span, label: &str, strings: &mut Strings) -> SpanRow {
        (
            strings.add(label),
            strings.add(self.part.name(span.name)),
            self.workers.index(span.worker),
            self.parent(span.parent),
            span.depth,
            [span.began, span.ended].map(|moment| self.since_began(moment)),
        )
    }

    fn parent(&self, parent: Option<SpanId>) -> Option<usize> {
        self.index.get(&parent?).copied()
    }

    /// Negative for what was before.
    fn since_began(&self, moment: Tick) -> i64 {
        moment.unix_ns().wrapping_sub(self.part.began.unix_ns()).cast_signed()
    }
}

impl Group {
    /// Each lane has as many rows as there are slices inside of slices.
    fn of(lanes: &WorkerLanes, workers: &Workers) -> Self {
        let mut heights = vec![0; (lanes.own + lanes.serving) as usize];
        for slice in &lanes.slices {
            let height = &mut heights[slice.lane as usize];
            *height = slice.level.max(*height);
        }
        let mut rows = 0;
        let mut first_rows = Vec::with_capacity(heights.len());
        for height in heights {
            first_rows.push(rows);
            rows += height + 1;
        }
        let slice = |slice: &crate::lanes::Slice| {
            let (side, index) = match slice.part {
                Part::Caller(index) => (Side::Caller, index),
                Part::Handler(index) => (Side::Callee, index),
                Part::Span(index) => (Side::Span, index),
            };
            (first_rows[slice.lane as usize] + slice.level, side as u8, index)
        };
        Self {
            worker: workers.index(lanes.rank),
            rows,
            own: first_rows.get(lanes.own as usize).copied().unwrap_or(rows),
            slices: lanes.slices.iter().map(slice).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::sample::{ProfileBuilder, at, stages};

    fn timeline(sample: &ProfileBuilder) -> (Timeline, Vec<String>) {
        timeline_of(sample, 100)
    }

    fn timeline_of(sample: &ProfileBuilder, max: usize) -> (Timeline, Vec<String>) {
        let profile = &sample.profile;
        let calls: Vec<_> = profile.calls.iter().collect();
        let shown = Shown::of(profile, &calls, &[], max);
        let mut strings = Strings::default();
        let timeline = Timeline::of(profile, &calls, &shown, &Workers::of(profile, &calls), &mut strings);
        (timeline, strings.into_inner())
    }

    #[test]
    fn rows_have_what_the_page_says_of_a_call() {
        let mut sample = ProfileBuilder::new();
        let span = sample.span("step", 0, 2, 90);
        sample.call("add", 0, 1, stages(10, [1, 2, 3, 4, 5, 6, 7]));
        (sample.last().parent, sample.last().depth) = (Some(span), 1);
        sample.call("add", 0, 1, [at(50), at(51), None, None, None, None, at(60), None]);
        sample.outcome("timed_out");
        let error = sample.name("no reply");
        sample.last().error = Some(error);

        let (timeline, strings) = timeline(&sample);
        assert_eq!(
            strings,
            ["rpc_async#add(worker0 -> worker1)", "add", "ok", "timed_out", "no reply", "step"]
        );
        let good = [10, 11, 13, 16, 20, 25, 31, 38].map(Some);
        let late = [Some(50), Some(51), None, None, None, None, Some(60), None];
        let calls = [
            (0, 1, 2, 0, 1, Some(2), 1, [10, 0, 20, 0], good, None),
            (0, 1, 3, 0, 1, None, 0, [10, 0, 20, 0], late, Some(4)),
        ];
        assert_eq!(timeline.calls, calls);
        assert_eq!(timeline.spans, [(5, 5, 0, None, 0, [2, 90])]);
        assert_eq!((timeline.shown, timeline.of), (4, 4));
    }

    #[test]
    fn a_call_is_on_its_caller_and_on_its_callee() {
        let mut sample = ProfileBuilder::new();
        let span = sample.span("step", 0, 2, 90);
        for began in [10, 20, 40] {
            sample.call("add", 0, 1, stages(began, [1, 2, 3, 4, 5, 6, 7]));
            sample.last().parent = Some(span);
        }
        sample.call("back", 1, 0, stages(50, [0, 0, 0, 1, 1, 0, 0]));

        let (timeline, _) = timeline(&sample);
        let of_first = Group {
            worker: 0,
            own: 3, // the span with two of its calls in turn, and the one that overlaps both
            rows: 4,
            slices: vec![(0, 2, 0), (1, 0, 0), (2, 0, 1), (1, 0, 2), (3, 1, 3)],
        };
        assert_eq!(timeline.groups[0], of_first);
        let of_second =
            Group { worker: 1, own: 1, rows: 2, slices: vec![(1, 1, 0), (1, 1, 1), (1, 1, 2), (0, 0, 3)] };
        assert_eq!(timeline.groups[1], of_second);
    }

    #[test]
    fn labels_name_what_a_call_is_in_if_that_is_shown_or_not() {
        let mut sample = ProfileBuilder::new();
        let outer = sample.call("outer", 0, 1, stages(0, [1; 7]));
        let load = sample.span("load", 1, 4, 5);
        sample.profile.spans[0].parent = Some(outer);
        sample.call("detached", 1, 2, stages(4, [100; 7]));
        sample.last().parent = Some(load);

        let (timeline, strings) = timeline_of(&sample, 2);
        assert_eq!((timeline.calls.len(), timeline.spans.len()), (1, 0));
        assert_eq!(timeline.groups.iter().map(|group| group.slices.len()).sum::<usize>(), 2);
        let label = &strings[timeline.calls[0].0];
        assert_eq!(
            label,
            "rpc_async#outer(worker0 -> worker1)#remote_op: rpc_async#detached(worker1 -> worker2)"
        );
        assert_eq!(timeline.calls[0].5, None, "what is not shown is no row");
    }

    #[test]
    fn what_was_before_the_profile_began_is_negative() {
        let mut sample = ProfileBuilder::new();
        sample.span("step", 0, 0, 5);
        sample.profile.began = sample.profile.began.shifted(3);
        assert_eq!(timeline(&sample).0.spans[0].5, [-3, 2]);
    }
}
