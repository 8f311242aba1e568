//! [`CallObserver`]: hears of each call that a worker makes and of each that it serves; and the `tracing` spans of calls.
//!
//! Both are off unless somebody asks: an observer is set, or a `tracing` subscriber takes [`CALLS_TARGET`] at debug
//! level. Off costs a call two loads and a branch on each side; nothing is allocated, and no clock is read.
//!
//! ```text
//!   Client ──► begin ──► Agent::send ──► ReplyCell ──► ended        span `call`, on the caller
//!   Handler ─► serve ──► function ─────────────────► ended          span `serve`, on the callee, around the function
//! ```
//! A call that is observed ends exactly once, whatever happens to it: what is dropped without a response ends as
//! `given_up`.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::time::Instant;
use tracing::{Level, Span, field};

use crate::agent::{Incoming, Served};
use crate::error::Failure;
use crate::function::BoxFuture;
use crate::message::{Kind, Outcome, Response};
use crate::reply::ReplyResult;
use crate::worker::{Group, WorkerId, WorkerInfo};

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
    /// [`Kind::CALL`], or the kind of a request for references.
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

/// Who observes the calls of one worker. Its [`Client`](crate::Client) has it
/// ([`Client::observers`](crate::Client::observers)), and what serves calls is given it.
pub struct Observers {
    me: WorkerId,
    group: Group,
    observer: OnceLock<Arc<dyn CallObserver>>,
}

impl Observers {
    pub(crate) fn new(me: WorkerId, group: Group) -> Arc<Self> {
        Arc::new(Self { me, group, observer: OnceLock::new() })
    }

    /// Has `observer` hear of all calls from now on. The first one stays; returns whether this is it.
    pub fn set(&self, observer: Arc<dyn CallObserver>) -> bool {
        self.observer.set(observer).is_ok()
    }

    /// Whether somebody wants to know of a call now.
    #[inline]
    pub fn is_on(&self) -> bool {
        self.observer.get().is_some() || tracing::enabled!(target: CALLS_TARGET, Level::DEBUG)
    }

    /// A call that is about to be made, if somebody wants to know.
    #[inline]
    pub(crate) fn begin(
        self: &Arc<Self>,
        to: WorkerId,
        kind: Kind,
        function: &'static str,
    ) -> Option<Box<Observed>> {
        if self.is_on() { self.observe(to, kind, function, Side::Caller) } else { None }
    }

    /// Serves `incoming` by `serve`, and follows what comes of it if somebody wants to know. The function runs in a span then.
    #[inline]
    pub fn serve(
        self: &Arc<Self>,
        incoming: Incoming,
        function: &'static str,
        serve: impl FnOnce(Incoming) -> Served,
    ) -> Served {
        if self.is_on() { self.serve_observed(incoming, function, serve) } else { serve(incoming) }
    }

    fn serve_observed(
        self: &Arc<Self>,
        incoming: Incoming,
        function: &'static str,
        serve: impl FnOnce(Incoming) -> Served,
    ) -> Served {
        let kind = incoming.request.kind;
        let Some(mut observed) = self.observe(incoming.from, kind, function, Side::Callee) else {
            return serve(incoming);
        };
        observed.is_begun(incoming.context.call(), incoming.request.body.len_bytes());
        let served = observed.span.in_scope(|| serve(incoming));
        observed.follow(served)
    }

    #[cold]
    fn observe(
        self: &Arc<Self>,
        peer: WorkerId,
        kind: Kind,
        function: &'static str,
        side: Side,
    ) -> Option<Box<Observed>> {
        let me = self.worker(self.me)?;
        let them = self.worker(peer)?;
        let span = match side {
            Side::Caller => {
                tracing::debug_span!(target: CALLS_TARGET, "call", worker = %me.name, peer = %them.name, function, call = field::Empty)
            }
            Side::Callee => {
                tracing::debug_span!(target: CALLS_TARGET, "serve", worker = %me.name, peer = %them.name, function, call = field::Empty)
            }
        };
        let (call, request_bytes, ending, began) = (0, 0, GIVEN_UP, Instant::now());
        let observers = Arc::clone(self);
        Some(Box::new(Observed {
            observers,
            peer,
            kind,
            function,
            side,
            call,
            request_bytes,
            began,
            span,
            ending,
        }))
    }

    fn worker(&self, id: WorkerId) -> Option<&WorkerInfo> {
        self.group.get(id).map(|member| &member.info)
    }
}

impl fmt::Debug for Observers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Observers").field("is_on", &self.is_on()).finish_non_exhaustive()
    }
}

/// How a call ends of which nothing else is known.
const GIVEN_UP: (&str, u64) = ("given_up", 0);

#[derive(Clone, Copy, PartialEq, Eq)]
enum Side {
    Caller,
    Callee,
}

/// One call that somebody wants to know of.
pub(crate) struct Observed {
    observers: Arc<Observers>,
    peer: WorkerId,
    kind: Kind,
    function: &'static str,
    side: Side,
    call: u64,
    request_bytes: u64,
    began: Instant,
    span: Span,
    /// How it ends, and the bytes of the response.
    ending: (&'static str, u64),
}

impl Observed {
    /// It has its number.
    pub(crate) fn is_begun(&mut self, call: u64, request_bytes: u64) {
        (self.call, self.request_bytes) = (call, request_bytes);
        self.span.record("call", call);
        tracing::debug!(target: CALLS_TARGET, parent: &self.span, request_bytes, "begun");
        self.tell(|observer, call| match self.side {
            Side::Caller => observer.made(call),
            Side::Callee => observer.serving(call),
        });
    }

    /// It ends with this, when it is dropped.
    #[cold]
    pub(crate) fn note(&mut self, result: &ReplyResult) {
        self.ending = match result {
            Ok(response) => (outcome_name(response.outcome), response.body.len_bytes()),
            Err(failure) => (failure_name(failure), 0),
        };
    }

    fn end(&self) {
        let (outcome, response_bytes) = self.ending;
        let took = self.began.elapsed();
        let took_us = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        tracing::debug!(target: CALLS_TARGET, parent: &self.span, outcome, took_us, response_bytes, "ended");
        let end = CallEnd { outcome, took, response_bytes };
        self.tell(|observer, call| match self.side {
            Side::Caller => observer.ended(call, &end),
            Side::Callee => observer.served(call, &end),
        });
    }

    fn tell(&self, tell: impl FnOnce(&dyn CallObserver, &ObservedCall<'_>)) {
        let observers = &self.observers;
        let known = (observers.observer.get(), observers.worker(observers.me), observers.worker(self.peer));
        if let (Some(observer), Some(worker), Some(peer)) = known {
            let Self { kind, function, call, request_bytes, .. } = *self;
            tell(&**observer, &ObservedCall { worker, peer, kind, function, call, request_bytes });
        }
    }

    fn served(mut self, response: &Response) {
        self.ending = (outcome_name(response.outcome), response.body.len_bytes());
    }

    /// Has the rest of what serves the call run in the span.
    fn follow(self: Box<Self>, served: Served) -> Served {
        match served {
            Served::Now(response) => {
                self.served(&response);
                Served::Now(response)
            }
            Served::Later(future) => Served::Later(Box::pin(async move {
                let response = InSpan { span: self.span.clone(), future }.await;
                self.served(&response);
                response
            })),
            Served::Blocking(job) => Served::Blocking(Box::new(move || {
                let response = self.span.in_scope(job);
                self.served(&response);
                response
            })),
            Served::After(future) => Served::After(Box::pin(async move {
                let served = InSpan { span: self.span.clone(), future }.await;
                self.follow(served)
            })),
        }
    }
}

/// It has ended, whatever became of it.
impl Drop for Observed {
    fn drop(&mut self) {
        self.end();
    }
}

impl fmt::Debug for Observed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Observed({} {:#x})", self.function, self.call)
    }
}

/// A future that is polled, and dropped, in a span.
struct InSpan<T> {
    span: Span,
    future: BoxFuture<'static, T>,
}

impl<T> Future for InSpan<T> {
    type Output = T;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<T> {
        let Self { span, future } = &mut *self;
        span.in_scope(|| future.as_mut().poll(cx))
    }
}

fn outcome_name(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Ok => "ok",
        Outcome::HandlerError => "error",
        Outcome::Panicked => "panicked",
        Outcome::UnknownFunction => "unknown_function",
        Outcome::SignatureMismatch => "signature_mismatch",
        Outcome::BadArguments => "bad_arguments",
        Outcome::Overloaded => "overloaded",
        Outcome::DeadlineExceeded => "timed_out",
        Outcome::Cancelled => "cancelled",
        Outcome::ShuttingDown => "shut_down",
        Outcome::UnknownCodec => "unknown_codec",
        Outcome::UnknownKind => "unknown_kind",
        Outcome::BadResult => "bad_result",
        Outcome::Reference => "reference",
        Outcome::Denied => "denied",
    }
}

fn failure_name(failure: &Failure) -> &'static str {
    match failure {
        Failure::UnknownWorker { .. } => "unknown_worker",
        Failure::UnknownFunction { .. } => "unknown_function",
        Failure::SignatureMismatch { .. } => "signature_mismatch",
        Failure::Encode { .. } => "encode",
        Failure::BadArguments { .. } => "bad_arguments",
        Failure::BadResult { .. } => "bad_result",
        Failure::BadReply { .. } => "bad_reply",
        Failure::UnknownCodec { .. } => "unknown_codec",
        Failure::UnknownKind => "unknown_kind",
        Failure::Panicked { .. } => "panicked",
        Failure::TimedOut { .. } => "timed_out",
        Failure::Cancelled { .. } => "cancelled",
        Failure::Unreachable { .. } => "unreachable",
        Failure::LinkLost { .. } => "link_lost",
        Failure::Departed => "departed",
        Failure::Overloaded { .. } => "overloaded",
        Failure::TooLarge { .. } => "too_large",
        Failure::ShutDown => "shut_down",
        Failure::Reference(_) => "reference",
        Failure::WouldBlock => "would_block",
        Failure::Denied { .. } => "denied",
        Failure::Future(_) => "future",
    }
}
