//! [`Ambient`]: the span in which a thread is.

use std::cell::Cell;

use crate::model::SpanId;

thread_local! {
    static CURRENT: Cell<Option<Ambient>> = const { Cell::new(None) };
}

/// The innermost span of this thread. Calls and spans that begin in it are below it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Ambient {
    /// Whose span, as [`Recorder::number`](super::Recorder) has it: a process may have several workers.
    pub(super) recorder: u64,
    /// The call in whose handler it is. A thread that is in a span may poll handlers, which are not in it.
    pub(super) within: Option<SpanId>,
    pub(super) span: SpanId,
    pub(super) depth: u16,
}

impl Ambient {
    /// The span of this thread, if it is one of `recorder` in the handler of `within`.
    pub(super) fn current(recorder: u64, within: Option<SpanId>) -> Option<Self> {
        CURRENT.get().filter(|ambient| (ambient.recorder, ambient.within) == (recorder, within))
    }

    /// Makes this the span of the thread, and returns what it was before.
    pub(super) fn replace(ambient: Option<Self>) -> Option<Self> {
        CURRENT.replace(ambient)
    }
}
