//! What all parts of one engine share.

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Weak};

use parking_lot::Mutex;
use tokio::runtime::{Handle, RuntimeFlavor};
use tokio::task::AbortHandle;

use super::config::EngineConfig;
use super::handlers::Handlers;
use super::leave::Leaving;
use super::peer::Peer;
use super::pool::Pool;
use super::timer::Timer;
use super::watchers::Watchers;
use crate::backend::AgentStart;
use crate::error::Failure;
use crate::message::{Body, Kind};
use crate::observe::note;
use crate::proto::shutdown::Counts;
use crate::transport::Transport;
use crate::worker::{Group, Incarnation, WorkerId};

/// The state of one engine.
pub(super) struct Shared {
    pub(super) id: WorkerId,
    pub(super) incarnation: Incarnation,
    pub(super) group: Group,
    pub(super) functions_digest: u64,
    pub(super) config: EngineConfig,
    pub(super) transport: Arc<dyn Transport>,
    pub(super) runtime: Handle,
    pub(super) peers: Box<[Arc<Peer>]>,
    pub(super) handlers: Handlers,
    pub(super) pool: Pool,
    pub(super) timer: Timer,
    pub(super) watchers: Watchers,
    pub(super) leaving: Leaving,
    /// No more requests, in either direction.
    pub(super) closed: AtomicBool,
    /// Tasks that live as long as the engine: accepting, expiring.
    pub(super) tasks: Mutex<Vec<AbortHandle>>,
    /// Goes on after the shutdown, to tell diallers of it, and ends with this.
    pub(super) accepting: std::sync::OnceLock<AbortHandle>,
    counters: Counters,
    driver_thread: AtomicUsize,
}

/// Requests other than those of the shutdown protocol.
#[derive(Default)]
struct Counters {
    sent: AtomicU64,
    replied: AtomicU64,
    received: AtomicU64,
    answered: AtomicU64,
}

impl Shared {
    pub(super) fn new(
        transport: Arc<dyn Transport>,
        start: AgentStart,
        incarnation: Incarnation,
        runtime: Handle,
    ) -> Arc<Self> {
        let AgentStart { id, group, config, functions_digest, .. } = start;
        Arc::new_cyclic(|shared: &Weak<Self>| {
            let peer = |member: &crate::worker::Member| Arc::new(Peer::new(member.clone(), shared.clone()));
            Self {
                id,
                incarnation,
                functions_digest,
                transport,
                runtime,
                peers: group.members().iter().map(peer).collect(),
                handlers: Handlers::default(),
                pool: Pool::new(format!("rpc-{id}"), config.blocking_threads_max),
                timer: Timer::new(),
                watchers: Watchers::default(),
                leaving: Leaving::new(id, &group),
                closed: AtomicBool::new(false),
                tasks: Mutex::default(),
                accepting: std::sync::OnceLock::new(),
                counters: Counters::default(),
                driver_thread: AtomicUsize::new(0),
                group,
                config,
            }
        })
    }

    /// Runs `task` on the engine's runtime.
    pub(super) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) -> AbortHandle {
        self.runtime.spawn(task).abort_handle()
    }

    pub(super) fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Acquire)
    }

    pub(super) fn peer(&self, id: WorkerId) -> Option<&Arc<Peer>> {
        self.peers.get(id.0 as usize)
    }

    /// Why `body` cannot be sent, if so.
    pub(super) fn too_large(&self, body: &Body) -> Option<Failure> {
        let bytes = body.len_bytes();
        let limit = self.config.message_bytes_max;
        if bytes > limit || body.payload.len() > u32::MAX as usize {
            return Some(Failure::TooLarge { bytes, limit: limit.min(u64::from(u32::MAX)) });
        }
        let parts = usize::from(u16::MAX);
        (body.parts.len() > parts)
            .then(|| Failure::Overloaded { bound: "parts of one message".into(), limit: parts as u64 })
    }

    /// As [`too_large`](Self::too_large), for a message that is sent rather without its note than not at all.
    pub(super) fn refuses(&self, codec: &mut u8, body: &mut Body) -> Option<Failure> {
        let failure = self.too_large(body)?;
        match note::split(codec, &mut body.payload) {
            Ok(Some(_)) => self.too_large(body),
            Ok(None) | Err(_) => Some(failure),
        }
    }

    pub(super) fn count_sent(&self, kind: Kind) {
        if kind != Kind::SHUTDOWN {
            self.counters.sent.fetch_add(1, Ordering::SeqCst);
        }
    }

    /// A request of `kind` is being completed: it counts until what this returns is dropped.
    #[must_use]
    pub(super) fn until_replied(&self, kind: Kind) -> UntilReplied<'_> {
        UntilReplied { shared: self, kind }
    }

    pub(super) fn count_received(&self, kind: Kind) {
        if kind != Kind::SHUTDOWN {
            self.counters.received.fetch_add(1, Ordering::SeqCst);
        }
    }

    pub(super) fn count_answered(&self, kind: Kind) {
        if kind != Kind::SHUTDOWN {
            self.counters.answered.fetch_add(1, Ordering::SeqCst);
        }
    }

    /// What this worker is doing. What ends is read before what begins, so that a request that begins
    /// meanwhile shows as active rather than being missed.
    pub(super) fn counts(&self) -> Counts {
        let replied = self.counters.replied.load(Ordering::SeqCst);
        let answered = self.counters.answered.load(Ordering::SeqCst);
        let sent = self.counters.sent.load(Ordering::SeqCst);
        let received = self.counters.received.load(Ordering::SeqCst);
        let active = sent.saturating_sub(replied) + received.saturating_sub(answered);
        Counts { sent, received, active }
    }

    /// Notes that the current thread drives the engine's tasks.
    pub(super) fn mark_driver_thread(&self) {
        self.driver_thread.store(thread_mark(), Ordering::Relaxed);
    }

    /// Whether the current thread may wait for a reply. On a current-thread runtime the thread that
    /// drives it may not; other runtimes have threads to spare.
    pub(super) fn may_block(&self) -> bool {
        self.runtime.runtime_flavor() != RuntimeFlavor::CurrentThread
            || (self.driver_thread.load(Ordering::Relaxed) != thread_mark()
                && Handle::try_current().map_or(true, |here| here.id() != self.runtime.id()))
    }
}

/// A request that waits for its reply, which is being handed over. Whoever gets it may begin more work at
/// once, and that has to count before this does no more (SD-1).
pub(super) struct UntilReplied<'a> {
    shared: &'a Shared,
    kind: Kind,
}

impl Drop for UntilReplied<'_> {
    fn drop(&mut self) {
        if self.kind != Kind::SHUTDOWN {
            self.shared.counters.replied.fetch_add(1, Ordering::SeqCst);
        }
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        if let Some(accepting) = self.accepting.get() {
            accepting.abort();
        }
    }
}

/// A number that no other living thread has: the address of a thread-local.
fn thread_mark() -> usize {
    thread_local! {
        static MARK: u8 = const { 0 };
    }
    MARK.with(|mark| std::ptr::from_ref(mark).addr())
}
