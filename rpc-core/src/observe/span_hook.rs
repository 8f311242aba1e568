//! [`SpanHook`]: what a tracing system does with the spans of calls.

use std::fmt;

use tracing::Span;

use super::follow::FollowedCall;
use crate::trace::TraceParent;

/// Hears of the spans of calls that a subscriber takes, to say in a tracing system's own words what they are.
///
/// Their fields `otel.kind` and `otel.name` are empty, for who has a use for them. Runs where calls are made, answered and
/// served, the loops that read links included: it must be quick and must not block.
pub trait SpanHook: Send + Sync + 'static {
    /// `span` is that of a call that this worker makes. Nothing has happened in it.
    fn made(&self, span: &Span, call: &FollowedCall<'_>);

    /// `span` is that of a call that this worker serves, and a child of `parent`, if the call carries a trace. Nothing has
    /// happened in it.
    fn serving(&self, span: &Span, call: &FollowedCall<'_>, parent: Option<TraceParent>);

    /// The call of `span` has ended.
    fn ended(&self, span: &Span, end: &SpanEnd<'_>);
}

/// How a call ended that has a span.
#[derive(Clone, Copy)]
#[non_exhaustive]
pub struct SpanEnd<'a> {
    /// This worker has served it, and has not made it.
    pub is_served: bool,
    /// As in [`CallEnd`](crate::CallEnd).
    pub outcome: &'static str,
    /// What went wrong, where that is known: on the caller, unless it is the function's own error.
    pub failure: Option<&'a dyn fmt::Display>,
}

impl fmt::Debug for SpanEnd<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SpanEnd").field("outcome", &self.outcome).finish_non_exhaustive()
    }
}
