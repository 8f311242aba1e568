//! [`Observed`]: one call that somebody wants to know of.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use tokio::time::Instant;
use tracing::{Span, field};

use super::follow::{FollowedCall, MadeCall, MadeEnd, ServedCall};
use super::observers::Observers;
use super::outcome::{failure_name, outcome_name};
use super::{CALLS_TARGET, CallEnd, CallObserver, ObservedCall, SpanEnd, WriteMark, note};
use crate::agent::Served;
use crate::error::Failure;
use crate::function::BoxFuture;
use crate::message::{Kind, Outcome, Response};
use crate::part::Part;
use crate::reply::ReplyResult;
use crate::worker::WorkerId;

/// How a call ends of which nothing else is known.
const GIVEN_UP: &str = "given_up";

/// One call that somebody wants to know of. Tells the observer that it has ended when it is dropped, if not before.
pub(crate) struct Observed {
    observers: Arc<Observers>,
    peer: WorkerId,
    kind: Kind,
    function: &'static str,
    side: Side,
    call: u64,
    request_bytes: u64,
    /// `None` if nobody is told how long it takes.
    began: Option<Instant>,
    span: Span,
    told: Told,
    /// Of a call that is followed on the caller.
    mark: Option<WriteMark>,
}

/// On which side, and what follows it there.
pub(super) enum Side {
    Caller(Option<Box<dyn MadeCall>>),
    Callee(Option<Box<dyn ServedCall>>),
}

impl Side {
    fn id(&self) -> Option<u64> {
        match self {
            Self::Caller(made) => made.as_ref()?.id(),
            Self::Callee(served) => served.as_ref()?.id(),
        }
    }
}

/// What the observer has been told of it.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Told {
    Nothing,
    Begun,
    Ended,
}

impl Observed {
    pub(super) fn new(observers: &Arc<Observers>, call: &FollowedCall<'_>, side: Side) -> Self {
        let FollowedCall { worker, peer, kind, function, .. } = *call;
        let span = match side {
            Side::Caller(_) => {
                tracing::debug_span!(target: CALLS_TARGET, "call", worker = %worker.name, peer = %peer.name, function, call = field::Empty, profile.id = field::Empty, otel.kind = field::Empty, otel.name = field::Empty)
            }
            Side::Callee(_) => {
                tracing::debug_span!(target: CALLS_TARGET, "serve", worker = %worker.name, peer = %peer.name, function, call = field::Empty, profile.id = field::Empty, otel.kind = field::Empty, otel.name = field::Empty)
            }
        };
        if !span.is_disabled()
            && let Some(id) = side.id()
        {
            span.record("profile.id", field::display(format_args!("{id:016x}")));
        }
        let observers = Arc::clone(observers);
        let mark = matches!(side, Side::Caller(Some(_))).then(WriteMark::default);
        let is_timed = observers.observer().is_some() || !span.is_disabled();
        let (call, request_bytes, began, told) = (0, 0, is_timed.then(Instant::now), Told::Nothing);
        Self { observers, peer: peer.id, kind, function, side, call, request_bytes, began, span, told, mark }
    }

    /// The span of the call, unless nobody takes it.
    pub(super) fn span(&self) -> Option<&Span> {
        (!self.span.is_disabled()).then_some(&self.span)
    }

    /// Runs `run` in the span of the call.
    pub(crate) fn in_span<R>(&self, run: impl FnOnce() -> R) -> R {
        self.span.in_scope(run)
    }

    /// Its arguments are encoded: appends to them what travels to who follows it there, and returns the codec to go with
    /// it.
    pub(crate) fn is_encoded(&mut self, codec: u8, payload: &mut Vec<u8>, parts: &[Part]) -> u8 {
        let bytes = parts.iter().fold(payload.len() as u64, |sum, part| sum + part.len() as u64);
        self.request_bytes = bytes;
        match &mut self.side {
            Side::Caller(Some(made)) => {
                note::append(codec, payload, |payload| made.encoded(bytes, parts.len(), payload))
            }
            _ => codec,
        }
    }

    /// Learns when the request is written.
    pub(crate) fn mark(&self) -> Option<WriteMark> {
        self.mark.clone()
    }

    /// It has its number.
    pub(crate) fn is_made(&mut self, call: u64) {
        self.is_begun(call, self.request_bytes);
    }

    pub(super) fn is_begun(&mut self, call: u64, request_bytes: u64) {
        (self.call, self.request_bytes, self.told) = (call, request_bytes, Told::Begun);
        self.span.record("call", call);
        tracing::debug!(target: CALLS_TARGET, parent: &self.span, request_bytes, "begun");
        self.tell(|observer, call| match self.side {
            Side::Caller(_) => observer.made(call),
            Side::Callee(_) => observer.serving(call),
        });
    }

    /// It has ended for its caller; `note` came with the response. Returns whether it is to be told too when the result
    /// [has been taken](Self::taken).
    pub(crate) fn has_ended(&mut self, result: &ReplyResult, note: Option<&[u8]>) -> bool {
        let failure = FailureOf(result);
        let (outcome, response) = match result {
            Ok(response) => (outcome_name(response.outcome), Some(&response.body)),
            Err(failure) => (failure_name(failure), None),
        };
        let bytes = response.map_or(0, |body| body.len_bytes());
        let failure = failure.is_known().then_some(&failure as &dyn fmt::Display);
        let is_followed = match &mut self.side {
            Side::Caller(Some(made)) => {
                let written = self.mark.as_ref().and_then(WriteMark::at);
                made.ended(&MadeEnd { outcome, failure, response, written, note });
                true
            }
            _ => false,
        };
        self.tell_end(outcome, failure, bytes);
        is_followed
    }

    /// Whoever waited has the result, or the function's own `error`.
    pub(crate) fn taken(&mut self, error: Option<&dyn fmt::Display>) {
        if let Side::Caller(Some(made)) = &mut self.side {
            made.taken(error);
        }
    }

    fn tell_end(&mut self, outcome: &'static str, failure: Option<&dyn fmt::Display>, response_bytes: u64) {
        let Some(began) = self.began else { return };
        if std::mem::replace(&mut self.told, Told::Ended) != Told::Begun {
            return;
        }
        let took = began.elapsed();
        let took_us = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        // In the span, because there are systems to which a span has ended when it was last left.
        self.in_span(|| tracing::debug!(target: CALLS_TARGET, outcome, took_us, response_bytes, "ended"));
        if let (Some(hook), Some(span)) = (self.observers.span_hook(), self.span()) {
            let is_served = matches!(self.side, Side::Callee(_));
            hook.ended(span, &SpanEnd { is_served, outcome, failure });
        }
        let end = CallEnd { outcome, took, response_bytes };
        self.tell(|observer, call| match self.side {
            Side::Caller(_) => observer.ended(call, &end),
            Side::Callee(_) => observer.served(call, &end),
        });
    }

    fn tell(&self, tell: impl FnOnce(&dyn CallObserver, &ObservedCall<'_>)) {
        let observers = &self.observers;
        let known = (observers.observer(), observers.me(), observers.worker(self.peer));
        if let (Some(observer), Some(worker), Some(peer)) = known {
            let Self { kind, function, call, request_bytes, .. } = *self;
            tell(&**observer, &ObservedCall { worker, peer, kind, function, call, request_bytes });
        }
    }

    /// Runs what may be the function itself.
    pub(super) fn run<R>(&self, run: impl FnOnce() -> R) -> R {
        self.span.in_scope(run)
    }

    /// What is next is the function, and it was not before. The last time counts.
    fn runs(&mut self) {
        if let Side::Callee(Some(served)) = &mut self.side {
            served.runs();
        }
    }

    /// The function has ended with `response`, to which it appends what travels back.
    fn served(mut self, mut response: Response) -> Response {
        let (outcome, bytes) = (outcome_name(response.outcome), response.body.len_bytes());
        if let Side::Callee(Some(served)) = &mut self.side {
            let mut note = note::scratch();
            served.ended(outcome, &response.body, &mut note);
            note::append_to(&mut response.codec, &mut response.body.payload, note);
        }
        self.tell_end(outcome, None, bytes);
        response
    }

    /// Has the rest of what serves the call run in the span.
    pub(super) fn follow(mut self: Box<Self>, served: Served) -> Served {
        match served {
            Served::Now(response) => Served::Now(self.served(response)),
            Served::Later(future) => Served::Later(Box::pin(async move {
                let response = InSpan { span: self.span.clone(), future }.await;
                self.served(response)
            })),
            Served::Blocking(job) => Served::Blocking(Box::new(move || {
                self.runs();
                let response = self.run(job);
                self.served(response)
            })),
            Served::After(mut future) => Served::After(Box::pin(async move {
                let mut is_first = true;
                let served = std::future::poll_fn(|cx| {
                    // The function may be all that this poll does: an inline one runs when its arguments have come.
                    if !std::mem::replace(&mut is_first, false) {
                        self.runs();
                    }
                    self.run(|| future.as_mut().poll(cx))
                })
                .await;
                drop(future);
                if !matches!(served, Served::Now(_)) {
                    self.runs();
                }
                self.follow(served)
            })),
        }
    }
}

/// Why a call has no result, for people. Formatted if somebody asks.
struct FailureOf<'a>(&'a ReplyResult);

impl FailureOf<'_> {
    /// The function's own error is known to its caller alone, who decodes it.
    fn is_known(&self) -> bool {
        !matches!(self.0, Ok(Response { outcome: Outcome::Ok | Outcome::HandlerError, .. }))
    }
}

impl fmt::Display for FailureOf<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Ok(response) => Failure::from_response(response).fmt(f),
            Err(failure) => failure.fmt(f),
        }
    }
}

/// It has ended, whatever became of it.
impl Drop for Observed {
    fn drop(&mut self) {
        self.tell_end(GIVEN_UP, None, 0);
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
