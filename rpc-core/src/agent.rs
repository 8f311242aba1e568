//! [`Agent`]: what sends requests to other workers and hands theirs to handlers.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::context::CallContext;
use crate::function::BoxFuture;
use crate::message::{Kind, Request, Response};
use crate::reply::Reply;
use crate::shutdown::{Shutdown, ShutdownError, ShutdownReport};
use crate::worker::{Group, WorkerId};

/// Sends requests to workers and serves theirs.
///
/// Object-safe on purpose: the facade holds an `Arc<dyn Agent>`, so the backend is a run-time choice and
/// everything above is compiled once. [`TransportAgent`](crate::TransportAgent) implements it over any
/// [`Transport`](crate::Transport); one written by hand needs no part of that.
pub trait Agent: fmt::Debug + Send + Sync + 'static {
    /// This worker's rank.
    fn id(&self) -> WorkerId;

    /// Everybody in the job, this worker included.
    fn group(&self) -> &Group;

    /// Sends `request` to `to` and returns the place where the response will appear.
    ///
    /// Never waits. Every failure arrives through the [`Reply`], also those that are known at once.
    /// Requests to this worker itself take the same way without a link.
    ///
    /// # Units
    /// `request.timeout` counts from now. When it is over, the reply fails and the callee is told.
    ///
    /// # Cancel safety
    /// Dropping the reply detaches: the request is sent and served all the same.
    ///
    /// # For implementors
    /// Complete the promise of every reply exactly once, whatever happens to the peer. Requests to one
    /// worker leave in call order; responses may come in any order.
    fn send(&self, to: WorkerId, request: Request) -> Reply;

    /// Has `handler` serve all requests of `kind`; it replaces the one that was there.
    fn serve(&self, kind: Kind, handler: Arc<dyn Handler>);

    /// Whether the current thread may wait for a reply of this agent: false on the thread that would have
    /// to bring it. [`RpcFuture::wait`](crate::RpcFuture::wait) asks before it blocks.
    fn may_block(&self) -> bool {
        true
    }

    /// Leaves the group (see [`Shutdown`]). A second call ends like the first.
    ///
    /// # Cancel safety
    /// Dropping the future leaves the shutdown to go on in the background.
    fn shutdown(&self, how: Shutdown) -> BoxFuture<'static, Result<ShutdownReport, ShutdownError>>;

    /// What is going on, for people: state of peers, calls in flight, queues.
    fn debug_info(&self) -> Vec<(String, String)> {
        Vec::new()
    }
}

/// Serves the requests of one [`Kind`].
pub trait Handler: Send + Sync + 'static {
    /// Takes one request. Runs in the loop that reads the link, so it must not block; what may block is
    /// returned as [`Served::Blocking`].
    fn handle(&self, incoming: Incoming) -> Served;
}

/// A request on the side that serves it.
#[derive(Clone, Debug)]
pub struct Incoming {
    /// Who sent it.
    pub from: WorkerId,
    /// What was sent.
    pub request: Request,
    /// Deadline and cancellation.
    pub context: CallContext,
}

/// What became of a request.
pub enum Served {
    /// It is answered.
    Now(Response),
    /// Polled once where it is, then spawned. Dropped if the call is cancelled or its deadline passes.
    Later(BoxFuture<'static, Response>),
    /// Runs on a thread of its own.
    Blocking(Box<dyn FnOnce() -> Response + Send>),
}

impl fmt::Debug for Served {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Now(_) => "Now",
            Self::Later(_) => "Later",
            Self::Blocking(_) => "Blocking",
        })
    }
}

/// A timeout as users give it: zero means "for ever", as in torch.
pub fn timeout_or_forever(timeout: Duration) -> Option<Duration> {
    (!timeout.is_zero()).then_some(timeout)
}
