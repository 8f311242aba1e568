//! [`Agent`]: what sends requests to other workers and hands theirs to handlers.

use std::fmt;
use std::pin::Pin;
use std::sync::{Arc, Weak};
use std::task::{Context, Poll};
use std::time::Duration;

use crate::context::CallContext;
use crate::error::Failure;
use crate::function::BoxFuture;
use crate::info::AgentInfo;
use crate::message::{Body, Kind, Request, Response};
use crate::observe::WriteMark;
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
    /// Complete the promise of every reply, whatever happens to the peer. Requests to one worker leave in call
    /// order, except that one with [bulk](crate::framing) may be overtaken; responses may come in any order. A response that arrives when its call has ended, by a timeout
    /// ([`Promise::give_up`](crate::Promise::give_up)) or a cancellation, completes its promise all the same: if it
    /// is dropped, the [handles](crate::handles) in it stay pinned by the callee until the link goes.
    fn send(&self, to: WorkerId, request: Request) -> Reply;

    /// As [`send`](Self::send), and tells `mark` when the request is written. The default does not.
    fn send_marked(&self, to: WorkerId, request: Request, mark: WriteMark) -> Reply {
        let _ = mark;
        self.send(to, request)
    }

    /// Has `handler` serve all requests of `kind`; it replaces the one that was there.
    fn serve(&self, kind: Kind, handler: Arc<dyn Handler>);

    /// Why a message with `body` could not be sent to anybody, if so: it is too large. For who has to know
    /// before the message is given away.
    fn refusal(&self, body: &Body) -> Option<Failure> {
        let _ = body;
        None
    }

    /// Tells `watcher` from now on what happens to the links and to the peers, for as long as it lives.
    ///
    /// # For implementors
    /// Hold the watcher weakly, and no lock while it is called. Report [`PeerEvent::LinkDown`] for each loss after
    /// which a response may not arrive that its handler has given, with the number that [`Incoming::link`] had
    /// for its request.
    ///
    /// An agent that cannot lose a response needs none of this. One that can and reports nothing keeps
    /// correct, but [handles](crate::handles) in results that were lost on the way stay pinned by who sent them
    /// until this agent fails a request to that peer as [`Failure::Unreachable`] or [`Failure::Departed`].
    fn watch(&self, watcher: Weak<dyn PeerWatcher>) {
        let _ = watcher;
    }

    /// Whether the current thread may wait for a reply of this agent: false on the thread that would have
    /// to bring it. [`RpcFuture::wait`](crate::RpcFuture::wait) asks before it blocks.
    fn may_block(&self) -> bool {
        true
    }

    /// Runs `job` soon, on a thread that it may block, and never in here: what users give to be
    /// [called back](crate::futures#callbacks).
    ///
    /// # For implementors
    /// Run it whatever happens, also after the shutdown, and however many others block: a job may wait for what another
    /// one does. The default starts a thread for each.
    fn run(&self, job: Box<dyn FnOnce() + Send>) {
        crate::futures::on_new_thread(job);
    }

    /// Leaves the group (see [`Shutdown`]). A second call ends like the first.
    ///
    /// # Cancel safety
    /// Dropping the future leaves the shutdown to go on in the background.
    fn shutdown(&self, how: Shutdown) -> BoxFuture<'static, Result<ShutdownReport, ShutdownError>>;

    /// What is going on: state of peers, calls in flight, queues. Empty for an agent that does not tell.
    fn info(&self) -> AgentInfo {
        AgentInfo::default()
    }

    /// The same as names and values, for people.
    fn debug_info(&self) -> Vec<(String, String)> {
        self.info().flat()
    }
}

/// What has happened to a peer. What happens at almost the same time may be told in any order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum PeerEvent {
    /// The links of this pair up to this number are gone. What was sent on them and has not arrived never
    /// will, the answers to requests that came on them included. A handler may still run for such a
    /// request, and answers in vain.
    LinkDown {
        /// As in [`Incoming::link`].
        link: u32,
    },
    /// The peer has left the group and does not come back.
    Departed,
    /// There is a new link, and the peer serves other functions than this worker, or others beside them. Told for each
    /// link; not if one of the two serves none.
    OtherFunctions,
}

/// Hears what happens to peers (see [`Agent::watch`]).
pub trait PeerWatcher: Send + Sync {
    /// Called without locks held, from where it happens: it must not block.
    ///
    /// A request that is sent from in here takes the next link. The calls that were lost with the link fail
    /// after this returns, so that work which this begins is counted before they end.
    fn peer_event(&self, peer: WorkerId, event: PeerEvent);
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
    /// Number of the link that it came on, by which [`PeerEvent::LinkDown`] names it. The links of a pair are
    /// numbered upwards from 1; 0 where there is none, as for requests of a worker to itself.
    pub link: u32,
}

/// What became of a request.
pub enum Served {
    /// It is answered.
    Now(Response),
    /// Polled once where it is, then spawned. Dropped if the call is cancelled or its deadline passes.
    Later(BoxFuture<'static, Response>),
    /// Runs on a thread of its own.
    Blocking(Box<dyn FnOnce() -> Response + Send>),
    /// Something has to be waited for before it is known how the request runs. Polled and dropped like
    /// [`Later`](Self::Later); what it yields is served in its turn, and may be `After` again. An agent written by
    /// hand awaits it, or leaves all of that to [`response`](Self::response).
    After(BoxFuture<'static, Served>),
}

impl fmt::Debug for Served {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Now(_) => "Now",
            Self::Later(_) => "Later",
            Self::Blocking(_) => "Blocking",
            Self::After(_) => "After",
        })
    }
}

impl Served {
    /// Waits for the response, on behalf of an agent that has no more to do than that. `block` is given what
    /// has to run on a thread of its own, and says what came of it.
    ///
    /// ```
    /// # use rpc_core::{Outcome, Response, Served};
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() {
    /// # let served = Served::Blocking(Box::new(|| Response::failed(Outcome::Cancelled, &[])));
    /// let block = async |job| match tokio::task::spawn_blocking(job).await {
    ///     Ok(response) => response,
    ///     Err(error) => Response::failed(Outcome::Panicked, &[&error.to_string()]),
    /// };
    /// let response = served.response(block).await;
    /// # assert_eq!(response.outcome, Outcome::Cancelled);
    /// # }
    /// ```
    ///
    /// # Cancel safety
    /// Dropping the future drops the handler's; what `block` was given may still run.
    pub async fn response<F>(self, block: impl FnOnce(Box<dyn FnOnce() -> Response + Send>) -> F) -> Response
    where
        F: Future<Output = Response>,
    {
        match self.settle().await {
            Settled::Answer(response) => response,
            Settled::Blocking(handler) => block(handler).await,
        }
    }

    pub(crate) fn settle(self) -> Settle {
        Settle(Some(self))
    }
}

/// Polls what there is to poll of a request, until it is answered or needs a thread.
pub(crate) struct Settle(Option<Served>);

/// See [`Settle`].
pub(crate) enum Settled {
    Answer(Response),
    Blocking(Box<dyn FnOnce() -> Response + Send>),
}

impl Future for Settle {
    type Output = Settled;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Settled> {
        loop {
            match self.0.take() {
                Some(Served::Now(response)) => return Poll::Ready(Settled::Answer(response)),
                Some(Served::Blocking(handler)) => return Poll::Ready(Settled::Blocking(handler)),
                Some(Served::Later(mut future)) => match future.as_mut().poll(cx) {
                    Poll::Ready(response) => return Poll::Ready(Settled::Answer(response)),
                    Poll::Pending => self.0 = Some(Served::Later(future)),
                },
                Some(Served::After(mut future)) => match future.as_mut().poll(cx) {
                    Poll::Ready(next) => {
                        self.0 = Some(next);
                        continue;
                    }
                    Poll::Pending => self.0 = Some(Served::After(future)),
                },
                None => panic!("a request was polled after it was settled"),
            }
            return Poll::Pending;
        }
    }
}

/// A timeout as users give it: zero means "for ever", as in torch.
pub fn timeout_or_forever(timeout: Duration) -> Option<Duration> {
    (!timeout.is_zero()).then_some(timeout)
}
