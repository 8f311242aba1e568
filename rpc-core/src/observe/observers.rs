//! [`Observers`]: who hears of the calls of one worker.

use std::any::Any;
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use tracing::{Level, Span};

use super::follow::{FollowedCall, Follower};
use super::observed::{Observed, Side};
use super::{CALLS_TARGET, CallObserver, note};
use crate::agent::{Incoming, Served};
use crate::context::CallContext;
use crate::message::{Kind, Outcome, Response};
use crate::trace::TraceParent;
use crate::worker::{Group, WorkerId, WorkerInfo};

/// Who observes the calls of one worker, and who follows them. Its [`Client`](crate::Client) has it
/// ([`Client::observers`](crate::Client::observers)), and what serves calls is given it.
pub struct Observers {
    me: WorkerId,
    group: Group,
    observer: OnceLock<Arc<dyn CallObserver>>,
    follower: OnceLock<Arc<dyn Follower>>,
    trace_sink: OnceLock<Box<TraceSink>>,
    /// The follower asks for all calls.
    follows: AtomicBool,
    /// There is an observer, or the follower asks for all calls.
    listens: AtomicBool,
}

/// Takes what the span of a call that is served is a child of.
type TraceSink = dyn Fn(&Span, TraceParent) + Send + Sync;

impl Observers {
    pub(crate) fn new(me: WorkerId, group: Group) -> Arc<Self> {
        Arc::new(Self {
            me,
            group,
            observer: OnceLock::new(),
            follower: OnceLock::new(),
            trace_sink: OnceLock::new(),
            follows: AtomicBool::new(false),
            listens: AtomicBool::new(false),
        })
    }

    /// Has `observer` hear of all calls from now on. The first one stays; returns whether this is it.
    pub fn set(&self, observer: Arc<dyn CallObserver>) -> bool {
        let is_first = self.observer.set(observer).is_ok();
        self.listens.store(true, Ordering::Relaxed);
        is_first
    }

    /// Has `follower` asked about calls that are served whose callers follow them, and, once it is [on](Self::follow),
    /// about all. The first one stays; returns whether this is it.
    pub fn set_follower(&self, follower: Arc<dyn Follower>) -> bool {
        self.follower.set(follower).is_ok()
    }

    /// The follower, if there is one and it is an `F`.
    pub fn follower<F: Follower>(&self) -> Option<Arc<F>> {
        let follower: Arc<dyn Any + Send + Sync> = Arc::clone(self.follower.get()?) as _;
        follower.downcast().ok()
    }

    /// Has `sink` told what the span of a call that is served is a child of, before anything happens in it: the hook of a
    /// tracing system, the other end of the [trace source](crate::Client::set_trace_source). It is not told of calls that
    /// carry no trace, and of spans that no subscriber takes. The first one stays; returns whether this is it.
    ///
    /// It runs in the loops that read links, so it must be quick and must not block.
    pub fn set_trace_sink(&self, sink: impl Fn(&Span, TraceParent) + Send + Sync + 'static) -> bool {
        self.trace_sink.set(Box::new(sink)).is_ok()
    }

    /// Has the follower asked about all calls from now on, or no longer.
    pub fn follow(&self, all: bool) {
        self.follows.store(all, Ordering::Relaxed);
        self.listens.store(all || self.observer.get().is_some(), Ordering::Relaxed);
    }

    /// Whether somebody wants to know of all calls now.
    #[inline]
    pub fn is_on(&self) -> bool {
        self.listens.load(Ordering::Relaxed) || tracing::enabled!(target: CALLS_TARGET, Level::DEBUG)
    }

    /// Whether somebody wants to know of `incoming`.
    #[inline]
    pub fn want(&self, incoming: &Incoming) -> bool {
        incoming.request.codec & note::FLAG != 0 || self.is_on() || incoming.context.note().is_some()
    }

    /// A call that is about to be made in `context`, if somebody wants to know.
    #[inline]
    pub(crate) fn begin(
        self: &Arc<Self>,
        to: WorkerId,
        kind: Kind,
        operation: &'static str,
        function: &'static str,
        context: Option<&CallContext>,
    ) -> Option<Box<Observed>> {
        let is_followed = context.is_some_and(|context| context.within().is_some());
        if is_followed || self.is_on() { self.observe(to, kind, operation, function, context) } else { None }
    }

    #[cold]
    fn observe(
        self: &Arc<Self>,
        to: WorkerId,
        kind: Kind,
        operation: &'static str,
        function: &'static str,
        context: Option<&CallContext>,
    ) -> Option<Box<Observed>> {
        let (worker, peer) = (self.worker(self.me)?, self.worker(to)?);
        let within = context.and_then(CallContext::within);
        let call = FollowedCall { worker, peer, kind, operation, function, within };
        let wanted = within.is_some() || self.follows.load(Ordering::Relaxed);
        let follower = self.follower.get().filter(|_| wanted);
        let made = follower.and_then(|follower| follower.making(&call));
        Some(Box::new(Observed::new(self, &call, Side::Caller(made))))
    }

    /// Serves `incoming` by `serve`, and follows what comes of it if somebody wants to know. The function runs in a span then.
    #[inline]
    pub fn serve(
        self: &Arc<Self>,
        incoming: Incoming,
        function: &'static str,
        serve: impl FnOnce(Incoming) -> Served,
    ) -> Served {
        if self.want(&incoming) { self.serve_observed(incoming, function, serve) } else { serve(incoming) }
    }

    #[cold]
    fn serve_observed(
        self: &Arc<Self>,
        mut incoming: Incoming,
        function: &'static str,
        serve: impl FnOnce(Incoming) -> Served,
    ) -> Served {
        if let Err(error) = incoming.take_trailers() {
            return Served::Now(Response::failed(Outcome::BadArguments, &[&error.to_string()]));
        }
        let (Some(worker), Some(peer)) = (self.worker(self.me), self.worker(incoming.from)) else {
            return serve(incoming);
        };
        let kind = incoming.request.kind;
        let call = FollowedCall { worker, peer, kind, operation: "", function, within: None };
        let note = incoming.context.note();
        let wanted = note.is_some() || self.follows.load(Ordering::Relaxed);
        let follower = self.follower.get().filter(|_| wanted);
        let served = follower.and_then(|follower| follower.serving(&call, note.as_deref()));
        if let Some(served) = &served {
            incoming.context = incoming.context.with_within(served.within());
        }
        let mut observed = Box::new(Observed::new(self, &call, Side::Callee(served)));
        let (sink, trace) = (self.trace_sink.get(), incoming.context.trace());
        if let (Some(sink), Some(trace), Some(span)) = (sink, trace, observed.span()) {
            sink(span, trace);
        }
        observed.is_begun(incoming.context.call(), incoming.request.body.len_bytes());
        let served = observed.run(|| serve(incoming));
        observed.follow(served)
    }

    pub(super) fn observer(&self) -> Option<&Arc<dyn CallObserver>> {
        self.observer.get()
    }

    pub(super) fn me(&self) -> Option<&WorkerInfo> {
        self.worker(self.me)
    }

    pub(super) fn worker(&self, id: WorkerId) -> Option<&WorkerInfo> {
        self.group.get(id).map(|member| &member.info)
    }
}

impl fmt::Debug for Observers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Observers").field("is_on", &self.is_on()).finish_non_exhaustive()
    }
}
