//! [`Follower`]: follows single calls through their stages, on both sides.

use std::any::Any;
use std::fmt;
use std::sync::Arc;

use tokio::time::Instant;

use crate::message::{Body, Kind};
use crate::worker::WorkerInfo;

/// What the follower of a worker knows of a call that it serves, for what is called in there.
pub type Within = Arc<dyn Any + Send + Sync>;

/// Follows calls of one worker through their stages: the hook of a profiler.
///
/// It is asked about calls that the worker makes and serves while it is [on](crate::Observers::follow), about those that
/// handlers make while they serve a call that is followed, and about those that it serves whose caller has sent a note.
///
/// Called where calls are made, answered and served, the loops that read links included: it must be quick and must not
/// block, and neither may what it returns. Calls that fail before they are given to the agent are dropped without an end.
pub trait Follower: Any + Send + Sync {
    /// This worker is about to make a call, whose arguments are not encoded yet. `None` lets it go.
    fn making(&self, call: &FollowedCall<'_>) -> Option<Box<dyn MadeCall>>;

    /// This worker has read a request, and is about to serve it. `note` is what the [`MadeCall`] has sent, which may be
    /// anything: it comes from a peer. `None` lets it go.
    fn serving(&self, call: &FollowedCall<'_>, note: Option<&[u8]>) -> Option<Box<dyn ServedCall>>;
}

/// A call that begins, as a [`Follower`] sees it.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct FollowedCall<'a> {
    /// The worker whose follower is asked.
    pub worker: &'a WorkerInfo,
    /// Whom it calls, or who called it.
    pub peer: &'a WorkerInfo,
    /// [`Kind::CALL`], or the kind of a request for references.
    pub kind: Kind,
    /// What the caller did, for people: `rpc_sync`, `rpc_async`, `rpc_remote` and so on; empty on the callee.
    pub operation: &'static str,
    /// The function or method.
    pub function: &'static str,
    /// That of the call in whose handler it is made ([`ServedCall::within`]).
    pub within: Option<&'a Within>,
}

/// A call that is followed on the caller. Dropped when nothing more happens to it.
pub trait MadeCall: Send {
    /// By what the follower knows the call, if its spans are to say so: their field `profile.id`, in hexadecimal.
    fn id(&self) -> Option<u64> {
        None
    }

    /// Its arguments are encoded, with that many bytes, parts included. What is appended to `note` travels with it, if it
    /// is no longer than 65,535 bytes.
    fn encoded(&mut self, bytes: u64, parts: usize, note: &mut Vec<u8>);

    /// It has ended for who made it.
    fn ended(&mut self, end: &MadeEnd<'_>);

    /// Its result has been decoded for who waited, or the function's own `error`: its text if that is a `String` or a
    /// [`CallError`](crate::CallError), or else the name of its type.
    fn taken(&mut self, error: Option<&dyn fmt::Display>);
}

/// How a call has ended that is followed on the caller.
#[derive(Clone, Copy)]
#[non_exhaustive]
pub struct MadeEnd<'a> {
    /// As in [`CallEnd`](crate::CallEnd).
    pub outcome: &'static str,
    /// What went wrong, unless that is the function's own error: that is told when it is [taken](MadeCall::taken).
    pub failure: Option<&'a dyn fmt::Display>,
    /// What came back, if something did.
    pub response: Option<&'a Body>,
    /// When the request was written, if that is known.
    pub written: Option<Instant>,
    /// What the [`ServedCall`] has sent, which may be anything: it comes from a peer.
    pub note: Option<&'a [u8]>,
}

impl fmt::Debug for MadeEnd<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MadeEnd").field("outcome", &self.outcome).finish_non_exhaustive()
    }
}

/// A call that is followed on the callee. Dropped when nothing more happens to it; without an [end](Self::ended) if it
/// was given up.
pub trait ServedCall: Send {
    /// As [`MadeCall::id`], and best the same one.
    fn id(&self) -> Option<u64> {
        None
    }

    /// What calls that are made in the handler are to know.
    fn within(&self) -> Within;

    /// The function begins now, and not when the request was [read](Follower::serving): it had to wait for its arguments,
    /// or for a thread. Told more than once, the last time counts: whether what it waited for has come shows only
    /// afterwards.
    fn runs(&mut self);

    /// It has ended, and its result is encoded. What is appended to `note` travels back, if it is no longer than 65,535
    /// bytes.
    fn ended(&mut self, outcome: &'static str, response: &Body, note: &mut Vec<u8>);
}
