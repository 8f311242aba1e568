//! Who hears of calls: observers, for metrics; followers, for profilers; and the `tracing` spans of calls.
//!
//! All are off unless somebody asks: an observer is set, a follower is on, a request says that its caller follows it, or
//! a `tracing` subscriber takes [`CALLS_TARGET`] at debug level. Off costs a call two loads and a branch on each side;
//! nothing is allocated, and no clock is read.
//!
//! ```text
//!   Client ──► begin ──► encode ──► Agent::send ──► ReplyCell ──► ended ──► decode ──► taken     span `call`
//!                          │ note                       ▲ note
//!   Handler              serve ──► function ──────────► ended                                    span `serve`
//! ```
//! A call that is observed ends exactly once, whatever happens to it: what is dropped without a response ends as
//! `given_up`.

mod follow;
pub(crate) mod note;
mod observed;
mod observers;
mod outcome;
mod span_hook;
mod write_mark;

use std::time::Duration;

pub use self::follow::{FollowedCall, Follower, MadeCall, MadeEnd, ServedCall, Within};
pub(crate) use self::observed::Observed;
pub use self::observers::Observers;
pub use self::span_hook::{SpanEnd, SpanHook};
pub use self::write_mark::WriteMark;
use crate::message::Kind;
use crate::worker::WorkerInfo;

/// The `tracing` target of the spans and events of single calls, which are at debug level: apart from all others, because
/// there are as many as calls.
pub const CALLS_TARGET: &str = "rpc::calls";

/// Hears of calls, for metrics and the like.
///
/// Called where calls are made, answered and served, the loops that read links included: it must be quick and must not
/// block. Calls that fail before they are given to the agent (an unknown worker, arguments that cannot be encoded), and
/// requests for functions that are not there, are not told.
pub trait CallObserver: Send + Sync + 'static {
    /// This worker has made a call.
    fn made(&self, call: &ObservedCall<'_>) {
        let _ = call;
    }

    /// A call that was [made](Self::made) has ended for who made it.
    fn ended(&self, call: &ObservedCall<'_>, end: &CallEnd) {
        let _ = (call, end);
    }

    /// This worker has begun to serve a call.
    fn serving(&self, call: &ObservedCall<'_>) {
        let _ = call;
    }

    /// A call that this worker was [serving](Self::serving) has ended here.
    fn served(&self, call: &ObservedCall<'_>, end: &CallEnd) {
        let _ = (call, end);
    }
}

/// A call, as a [`CallObserver`] hears of it.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct ObservedCall<'a> {
    /// The worker that tells.
    pub worker: &'a WorkerInfo,
    /// Whom it calls, or who called it.
    pub peer: &'a WorkerInfo,
    /// [`Kind::CALL`], or the kind of a request for references or of a collective.
    pub kind: Kind,
    /// The function or method.
    pub function: &'static str,
    /// The number of the call, the same on both sides; 0 if the agent does not tell.
    pub call: u64,
    /// Payload and parts of the request, in bytes.
    pub request_bytes: u64,
}

/// How a call ended, as a [`CallObserver`] hears of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct CallEnd {
    /// `ok`, `error` for the handler's own, or what went wrong in a word or two: `panicked`, `timed_out`, `link_lost` and so
    /// on. A handler that was dropped because nobody waits for it any more has `given_up`.
    pub outcome: &'static str,
    /// For as long as this worker knows it.
    pub took: Duration,
    /// Payload and parts of the response, in bytes; 0 without one.
    pub response_bytes: u64,
}

#[cfg(test)]
mod tests;
