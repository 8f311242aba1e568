//! [`Recorder`]: records the calls of one worker.

use std::any::Any;
use std::borrow::Cow;
use std::fmt;
use std::future::Future;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Weak};

use parking_lot::Mutex;
use rpc_core::{
    CallContext, Client, FollowedCall, Follower, Group, MadeCall, Observers, ServedCall, WorkerId,
};

use tokio::time::Instant;

use super::ambient::Ambient;
use super::clock::Clock;
use super::log::{Log, Origin};
use super::making::MakingCall;
use super::notes;
use super::profiling::Profiling;
use super::serving::{ServingCall, Within};
use super::span_guard::{InSpan, Open, SpanGuard};
use crate::model::{MachineId, SpanId, Tick};

/// How many calls a worker keeps for the profiles that are under way, unless told otherwise: about 140 bytes each.
pub const CALLS_KEPT_DEFAULT: usize = 1 << 20;

/// Numbers below this one are those of calls and spans, above it is the rank.
const RANK_SHIFT: u32 = 48;

/// Records the calls of one worker while somebody profiles: here, or in a process that calls it.
pub struct Recorder {
    me: WorkerId,
    group: Group,
    observers: Weak<Observers>,
    clock: Clock,
    calls_kept: usize,
    next: AtomicU64,
    /// Profiles under way of what this worker does, and of what it serves.
    own: AtomicUsize,
    serving: AtomicUsize,
    /// Calls that are followed and have not ended.
    followed: AtomicU64,
    /// `None` while nobody profiles here.
    pub(super) log: Mutex<Option<Log>>,
}

impl Recorder {
    /// Has the calls of `client`'s worker recorded when somebody asks. To be called on every worker whose part in the
    /// calls of others is to be seen. There is one for each worker: a second one of the same is the first.
    ///
    /// `None` if the worker has a [`Follower`] of another kind.
    pub fn start(client: &Client) -> Option<Arc<Self>> {
        Self::start_keeping(client, CALLS_KEPT_DEFAULT)
    }

    /// As [`start`](Self::start), for a worker that keeps the last `calls` calls, and as many spans, for the profiles that
    /// are under way. What they need is allocated as it comes, and given back when nobody profiles any more.
    pub fn start_keeping(client: &Client, calls: usize) -> Option<Arc<Self>> {
        if let Some(recorder) = Self::of(client) {
            return Some(recorder);
        }
        Self::start_with(client, calls, Clock::new())
    }

    pub(super) fn start_with(client: &Client, calls_kept: usize, clock: Clock) -> Option<Arc<Self>> {
        let observers = client.observers();
        let recorder = Arc::new(Self {
            me: client.agent().id(),
            group: client.agent().group().clone(),
            observers: Arc::downgrade(observers),
            clock,
            calls_kept,
            next: AtomicU64::new(1),
            own: AtomicUsize::new(0),
            serving: AtomicUsize::new(0),
            followed: AtomicU64::new(0),
            log: Mutex::new(None),
        });
        let follower = Arc::new(Following(Arc::clone(&recorder)));
        match observers.set_follower(follower) {
            true => Some(recorder),
            false => Self::of(client),
        }
    }

    /// The recorder of `client`'s worker, if it has one.
    pub fn of(client: &Client) -> Option<Arc<Self>> {
        let following = client.observers().follower::<Following>()?;
        Some(Arc::clone(&following.0))
    }

    /// The recorder of the worker that runs the calling handler, if it has one.
    pub fn current() -> Option<Arc<Self>> {
        Self::of(&CallContext::current()?.client()?)
    }

    /// Records what this worker does from now on, on any thread: the calls that it makes, what their handlers do on other
    /// workers, and its own spans. A call is in it if it ends while it is under way, whenever it began; calls that are not
    /// made, because there is no such worker or their arguments cannot be encoded, are not.
    ///
    /// What a handler and those below it do comes back with its response, which carries some 300 calls or 900 spans; the
    /// others are counted as [dropped](crate::Profile::dropped).
    pub fn profile(self: &Arc<Self>) -> Profiling {
        Profiling::begin(self, Origin::Made)
    }

    /// Records what this worker serves from now on, for whomever, and what its handlers do.
    pub fn server_profile(self: &Arc<Self>) -> Profiling {
        Profiling::begin(self, Origin::Served)
    }

    /// A span called `name`, from now until the guard is dropped: below the span in which this thread is, or the call whose
    /// handler this is. While nobody profiles it allocates nothing and reads no clock.
    pub fn record_function(self: &Arc<Self>, name: impl Into<Cow<'static, str>>) -> SpanGuard {
        match self.open(|| name.into()) {
            Some(open) => SpanGuard::enter(open),
            None => SpanGuard::OFF,
        }
    }

    /// As [`record_function`](Self::record_function), for `future`: from its first poll until it has ended or is dropped.
    /// A call has to be made in there to be in the span: give it `async { client.rpc_async(..).await }`, not the call's future.
    pub fn record_future<F: Future>(
        self: &Arc<Self>,
        name: impl Into<Cow<'static, str>>,
        future: F,
    ) -> InSpan<F> {
        let (recorder, name) = (Arc::clone(self), name.into());
        InSpan::new(future, move || recorder.open(|| name))
    }

    pub(super) fn open(self: &Arc<Self>, name: impl FnOnce() -> Cow<'static, str>) -> Option<Open> {
        let context = CallContext::current();
        let within = context.as_ref().and_then(CallContext::within).and_then(within_of);
        self.is_wanted(within.as_deref()).then(|| Open::begin(self, within, name()))
    }

    /// Whether somebody wants to know what is done now, in the handler of `within` or outside of handlers.
    fn is_wanted(&self, within: Option<&Within>) -> bool {
        let own = self.own.load(Ordering::Relaxed) > 0;
        let served = || within.is_some() && self.serving.load(Ordering::Relaxed) > 0;
        own || within.is_some_and(Within::is_gathered) || served()
    }

    /// Adds to the log, if somebody profiles here who wants a record of `origin`.
    pub(super) fn record(&self, origin: Origin, add: impl FnOnce(&mut Log)) {
        let own = || self.own.load(Ordering::Relaxed) > 0;
        let serving = || self.serving.load(Ordering::Relaxed) > 0;
        let is_wanted = match origin {
            Origin::Made => own(),
            Origin::MadeInHandler => own() || serving(),
            Origin::Served => serving(),
        };
        if is_wanted && let Some(log) = &mut *self.log.lock() {
            add(log);
        }
    }

    /// One more profile of what `what` stands for is under way.
    pub(super) fn begin(&self, what: Origin) {
        let mut log = self.log.lock();
        log.get_or_insert_with(|| Log::new(self.calls_kept, self.group.members().len()));
        self.count_of(what).fetch_add(1, Ordering::Relaxed);
        self.follow(true);
    }

    /// One fewer. What nobody needs any more is freed.
    pub(super) fn end(&self, what: Origin) {
        let mut log = self.log.lock();
        self.count_of(what).fetch_sub(1, Ordering::Relaxed);
        if self.own.load(Ordering::Relaxed) + self.serving.load(Ordering::Relaxed) == 0 {
            self.follow(false);
            let unused = log.take();
            drop(log);
            drop(unused);
        }
    }

    fn count_of(&self, what: Origin) -> &AtomicUsize {
        match what {
            Origin::Served => &self.serving,
            Origin::Made | Origin::MadeInHandler => &self.own,
        }
    }

    fn follow(&self, all: bool) {
        if let Some(observers) = self.observers.upgrade() {
            observers.follow(all);
        }
    }

    /// Where something is that begins now, and how deep.
    pub(super) fn place(&self, within: Option<&Within>) -> (Option<SpanId>, u16) {
        let id = within.map(|within| within.id);
        match (Ambient::current(self.number(), id), within) {
            (Some(ambient), _) => (Some(ambient.span), ambient.depth.saturating_add(1)),
            (None, Some(within)) => (id, within.depth.saturating_add(1)),
            (None, None) => (None, 0),
        }
    }

    /// Counts a call that is followed until what this returns is dropped.
    pub(super) fn count(self: &Arc<Self>) -> Followed {
        self.followed.fetch_add(1, Ordering::Relaxed);
        Followed(Arc::clone(self))
    }

    pub(super) fn under_way(&self) -> u64 {
        self.followed.load(Ordering::Relaxed)
    }

    pub(super) fn next_id(&self) -> SpanId {
        let number = self.next.fetch_add(1, Ordering::Relaxed) & ((1 << RANK_SHIFT) - 1);
        SpanId(u64::from(self.me.0) << RANK_SHIFT | number)
    }

    /// Distinguishes the recorders of this process: where it is.
    pub(super) fn number(&self) -> u64 {
        std::ptr::from_ref(self).addr() as u64
    }

    pub(super) fn now(&self) -> Tick {
        self.clock.now()
    }

    pub(super) fn tick(&self, at: Instant) -> Tick {
        self.clock.tick(at)
    }

    pub(super) fn rank(&self) -> u32 {
        self.me.0
    }

    /// On which machine this is, if that says something of its clock.
    pub(super) fn machine(&self) -> Option<MachineId> {
        self.clock.machine()
    }

    pub(super) fn group(&self) -> &Group {
        &self.group
    }
}

impl fmt::Debug for Recorder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Recorder")
            .field("worker", &self.me)
            .field("profiles", &self.own.load(Ordering::Relaxed))
            .field("server_profiles", &self.serving.load(Ordering::Relaxed))
            .finish_non_exhaustive()
    }
}

/// A call that is followed and has not ended, with its recorder.
pub(super) struct Followed(Arc<Recorder>);

impl std::ops::Deref for Followed {
    type Target = Arc<Recorder>;

    fn deref(&self) -> &Arc<Recorder> {
        &self.0
    }
}

impl Drop for Followed {
    fn drop(&mut self) {
        self.0.followed.fetch_sub(1, Ordering::Relaxed);
    }
}

/// What the worker's [`Observers`] hold.
struct Following(Arc<Recorder>);

impl Follower for Following {
    fn making(&self, call: &FollowedCall<'_>) -> Option<Box<dyn MadeCall>> {
        let within = call.within.and_then(within_of);
        let is_wanted = self.0.is_wanted(within.as_deref());
        is_wanted.then(|| Box::new(MakingCall::begin(&self.0, within, call)) as _)
    }

    fn serving(&self, call: &FollowedCall<'_>, note: Option<&[u8]>) -> Option<Box<dyn ServedCall>> {
        let note = note.and_then(notes::read);
        let is_wanted = note.is_some() || self.0.serving.load(Ordering::Relaxed) > 0;
        is_wanted.then(|| Box::new(ServingCall::begin(&self.0, note, call)) as _)
    }
}

fn within_of(within: &rpc_core::Within) -> Option<Arc<Within>> {
    let within: Arc<dyn Any + Send + Sync> = Arc::clone(within);
    within.downcast().ok()
}
