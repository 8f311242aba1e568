//! [`Observers`]: who hears of the calls of one worker.

use std::any::Any;
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use tracing::Level;

use super::follow::{FollowedCall, Follower};
use super::note::{self, Note};
use super::observed::{Observed, Side};
use super::{CALLS_TARGET, CallObserver, SpanHook};
use crate::agent::{Incoming, Served};
use crate::client::RequestHead;
use crate::context::CallContext;
use crate::message::{Outcome, Response};
use crate::worker::{Group, WorkerId, WorkerInfo};

/// Who observes the calls of one worker, and who follows them. Its [`Client`](crate::Client) has it
/// ([`Client::observers`](crate::Client::observers)), and what serves calls is given it.
pub struct Observers {
    me: WorkerId,
    group: Group,
    observer: OnceLock<Arc<dyn CallObserver>>,
    follower: OnceLock<Arc<dyn Follower>>,
    span_hook: OnceLock<Box<dyn SpanHook>>,
    /// The follower asks for all calls.
    follows: AtomicBool,
    /// There is an observer, or the follower asks for all calls.
    listens: AtomicBool,
}

impl Observers {
    pub(crate) fn new(me: WorkerId, group: Group) -> Arc<Self> {
        Arc::new(Self {
            me,
            group,
            observer: OnceLock::new(),
            follower: OnceLock::new(),
            span_hook: OnceLock::new(),
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

    /// Has `hook` told of the spans of calls: for a tracing system, the other end of the
    /// [trace source](crate::Client::set_trace_source). It is not told of spans that no subscriber takes. The first one
    /// stays; returns whether this is it.
    pub fn set_span_hook(&self, hook: impl SpanHook) -> bool {
        self.span_hook.set(Box::new(hook)).is_ok()
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
        head: &RequestHead,
        context: Option<&CallContext>,
    ) -> Option<Box<Observed>> {
        let is_followed = context.is_some_and(|context| context.within().is_some());
        if is_followed || self.is_on() { self.observe(to, head, context) } else { None }
    }

    #[cold]
    fn observe(
        self: &Arc<Self>,
        to: WorkerId,
        head: &RequestHead,
        context: Option<&CallContext>,
    ) -> Option<Box<Observed>> {
        let RequestHead { kind, operation, function, .. } = *head;
        let (worker, peer) = (self.worker(self.me)?, self.worker(to)?);
        let within = context.and_then(CallContext::within);
        let call = FollowedCall { worker, peer, kind, operation, function, within };
        let wanted = within.is_some() || self.follows.load(Ordering::Relaxed);
        let follower = self.follower.get().filter(|_| wanted);
        let made = follower.and_then(|follower| follower.making(&call));
        let observed = Box::new(Observed::new(self, &call, Side::Caller(made)));
        if let (Some(hook), Some(span)) = (self.span_hook(), observed.span()) {
            hook.made(span, &call);
        }
        Some(observed)
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
        let served = follower.and_then(|follower| follower.serving(&call, note.map(Note::bytes)));
        if let Some(served) = &served {
            incoming.context = incoming.context.with_within(served.within());
        }
        let mut observed = Box::new(Observed::new(self, &call, Side::Callee(served)));
        if let (Some(hook), Some(span)) = (self.span_hook(), observed.span()) {
            hook.serving(span, &call, incoming.context.trace());
        }
        observed.is_begun(incoming.context.call(), incoming.request.body.len_bytes());
        let served = observed.run(|| serve(incoming));
        observed.follow(served)
    }

    pub(super) fn observer(&self) -> Option<&Arc<dyn CallObserver>> {
        self.observer.get()
    }

    pub(super) fn span_hook(&self) -> Option<&dyn SpanHook> {
        self.span_hook.get().map(|hook| &**hook)
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
