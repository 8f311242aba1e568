//! [`Slice`]: an interval in a lane.

use crate::model::{Call, CallTimes, Span, Tick};

/// An interval in a lane of a worker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Slice {
    /// Of what.
    pub part: Part,
    /// In which lane of its worker.
    pub lane: u32,
    /// How many slices of the same lane it is in.
    pub level: u32,
    /// When it began.
    pub began: Tick,
    /// When it ended; never before it began.
    pub ended: Tick,
}

/// What a slice shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Part {
    /// The caller's side of the call with this index in `Profile::calls`: from the encoding of its arguments until it has
    /// the decoded result.
    Caller(u32),
    /// The callee's side of the call with this index: from its arrival until its result is on its way.
    Handler(u32),
    /// The span with this index in `Profile::spans`.
    Span(u32),
}

/// A time that began and ended, in this order.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Interval {
    pub(crate) began: Tick,
    pub(crate) ended: Tick,
}

impl Interval {
    fn new(began: Tick, ended: Tick) -> Self {
        Self { began, ended: ended.max(began) }
    }

    /// The caller's part of a call; `None` if the caller has not recorded it.
    pub(crate) fn of_caller(times: &CallTimes) -> Option<Self> {
        let ended = times.decoded.or(times.answered).or(times.written).or(times.encoded);
        times.began.map(|began| Self::new(began, ended.unwrap_or(began)))
    }

    /// The handler's part of a call; `None` if the callee has not recorded it.
    pub(crate) fn of_handler(times: &CallTimes) -> Option<Self> {
        let began = times.arrived.or(times.ran)?;
        Some(Self::new(began, times.replied.or(times.ran).unwrap_or(began)))
    }

    /// The time of the function itself, in that of its handler. All of it, if it is not known when the function began.
    pub(crate) fn of_run(handler: Self, call: &Call) -> Self {
        let ran = call.times.ran.unwrap_or(handler.began);
        Self { began: ran.clamp(handler.began, handler.ended), ended: handler.ended }
    }

    pub(crate) fn of_span(span: &Span) -> Self {
        Self::new(span.began, span.ended)
    }
}
