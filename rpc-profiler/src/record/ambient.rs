//! [`Ambient`]: the spans in which a thread is.

use std::cell::RefCell;

use crate::model::SpanId;

thread_local! {
    /// The innermost last. As many as there are guards on this thread, and futures that are being polled.
    static OPEN: RefCell<Vec<Ambient>> = const { RefCell::new(Vec::new()) };
}

/// A span of this thread. Calls and spans that begin in it are below it.
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
    /// The innermost span of this thread, if it is one of `recorder` in the handler of `within`.
    pub(super) fn current(recorder: u64, within: Option<SpanId>) -> Option<Self> {
        let innermost = OPEN.with_borrow(|open| open.last().copied());
        innermost.filter(|ambient| (ambient.recorder, ambient.within) == (recorder, within))
    }

    /// Makes this the innermost span of the thread.
    pub(super) fn enter(self) {
        OPEN.with_borrow_mut(|open| open.push(self));
    }

    /// The thread is in this no longer. Guards may end in any order.
    pub(super) fn leave(self) {
        OPEN.with_borrow_mut(|open| {
            if let Some(at) = open.iter().rposition(|ambient| *ambient == self) {
                open.remove(at);
            }
        });
    }
}
