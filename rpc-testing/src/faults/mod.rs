//! [`Faults`]: what befalls the messages and links of workers, over any transport.

mod board;
mod fault;
mod gate;
mod held;
mod link;
mod message;
mod own;
mod plan;
mod transport;

use std::fmt;
use std::io;
use std::sync::Arc;
use std::task::Waker;
use std::time::Duration;

use parking_lot::Mutex;
use rpc_core::{BackendRegistry, Group, RegistryError, Transport, WrapTransport};
use tokio::sync::Notify;
use tokio::time::Instant;

pub use self::fault::Fault;
pub use self::message::{Message, UnknownMessage};
pub use self::plan::Injected;
pub use self::transport::FaultyTransport;

use self::board::{Board, Condition};
use self::fault::Passing;
use self::plan::{Plan, Verdict};

/// How long a link survives a partition unless told otherwise.
const SILENCE_MAX: Duration = Duration::from_secs(30);

/// Faults that workers meet. Clones are handles to the same ones.
///
/// A worker meets them if its backend was put [`around`](Self::around) them; everything happens where messages arrive.
/// Workers of one process share one of these. Workers of several processes each make their own, alike: then what is
/// said of messages holds everywhere, and [`cut`](Self::cut), [`kill`](Self::kill) and [`partition`](Self::partition)
/// are done by each process to its own ends of the links.
///
/// What a program asks of its own worker takes no link, and meets faults all the same where it is served, but those of
/// links.
#[derive(Clone)]
pub struct Faults {
    shared: Arc<Shared>,
}

struct Shared {
    state: Mutex<State>,
    /// Something that somebody may be waiting for: a fault has acted, a partition has ended.
    changed: Notify,
}

struct State {
    plan: Plan,
    board: Board,
}

impl Faults {
    /// No faults yet; all chance comes from `seed`.
    pub fn seeded(seed: u64) -> Self {
        let state = State { plan: Plan::new(seed), board: Board::new(SILENCE_MAX) };
        Self { shared: Arc::new(Shared { state: Mutex::new(state), changed: Notify::new() }) }
    }

    /// How long a link survives a [`partition`](Self::partition), and a dial waits for its end, in place of 30 s.
    #[must_use]
    pub fn silence_max(self, silence_max: Duration) -> Self {
        self.shared.state.lock().board.silence_max = silence_max;
        self
    }

    /// The same backends with these faults on what arrives over their transports, under the same names.
    ///
    /// ```
    /// # use rpc_core::BackendRegistry;
    /// # use rpc_testing::{Faults, MemoryNetwork};
    /// # let mut backends = BackendRegistry::new();
    /// # backends.register(MemoryNetwork::new().backend())?;
    /// let faults = Faults::seeded(7);
    /// let backends = faults.around(&backends)?; // in a program: &rpc::default_backends()
    /// // Worker::builder("worker0").backends(backends)..
    /// # Ok::<(), rpc_core::RegistryError>(())
    /// ```
    ///
    /// # Errors
    /// [`RegistryError::NoTransport`] for a backend that is an agent by itself.
    pub fn around(&self, backends: &BackendRegistry) -> Result<BackendRegistry, RegistryError> {
        let faults = self.clone();
        let wrap: WrapTransport =
            Arc::new(move |inner| Arc::new(FaultyTransport::new(inner, &faults)) as Arc<dyn Transport>);
        backends.wrapped(&wrap)
    }

    /// Puts a fault into force, behind those that are. Of several that would act on a message the first does; all of them
    /// count it.
    pub fn add(&self, fault: Fault) -> ActiveFault {
        let id = self.shared.state.lock().plan.add(fault);
        ActiveFault { faults: self.clone(), id }
    }

    /// Ends the links between two workers; the next message between them dials anew. Calls that are in flight there
    /// fail as [`Failure::LinkLost`](rpc_core::Failure::LinkLost).
    ///
    /// # Panics
    /// If there is no such worker.
    #[track_caller]
    pub fn cut(&self, a: &str, b: &str) {
        self.assert_members([a, b]);
        self.cut_pair(a, b);
    }

    /// `worker` is dead to all others: its links end, and it is dialled in vain, as a process that has died. What runs
    /// on it goes on, unheard.
    ///
    /// # Panics
    /// If there is no such worker.
    #[track_caller]
    pub fn kill(&self, worker: &str) {
        self.assert_members([worker]);
        self.kill_one(worker);
    }

    /// Keeps each worker of `some` apart from each of `others` until [`heal`](Self::heal), as behind a router that
    /// drops packets: nobody is told, what is sent arrives after the healing, and dials wait for it. After
    /// [`silence_max`](Self::silence_max) links and dials end.
    ///
    /// # Panics
    /// If there is no such worker.
    #[track_caller]
    pub fn partition(&self, some: &[&str], others: &[&str]) {
        self.assert_members(some.iter().chain(others).copied());
        let now = Instant::now();
        self.change(|state| {
            for a in some {
                others.iter().filter(|b| *b != a).for_each(|b| state.board.part(a, b, now));
            }
        });
    }

    /// Ends all partitions.
    pub fn heal(&self) {
        self.change(|state| state.board.heal());
    }

    /// What faults have acted on, in the order in which it happened here; the latest 4,096.
    pub fn injected(&self) -> Vec<Injected> {
        self.shared.state.lock().plan.injected()
    }

    /// The faults that have never acted, in words: a test whose fault did not happen has shown nothing.
    pub fn unfired(&self) -> Vec<String> {
        self.shared.state.lock().plan.unfired()
    }

    /// Checks that every fault in force has acted.
    ///
    /// # Panics
    /// If one has not; the message names each, and how many messages it has picked.
    #[track_caller]
    pub fn assert_fired(&self) {
        let unfired = self.unfired();
        assert!(unfired.is_empty(), "{}", unfired.join("; "));
    }

    #[track_caller]
    fn assert_members<'a>(&self, names: impl IntoIterator<Item = &'a str>) {
        let state = self.shared.state.lock();
        names.into_iter().for_each(|name| state.board.assert_member(name));
    }

    fn add_members(&self, group: &Group) {
        let names = group.members().iter().map(|member| member.info.name.as_str());
        self.shared.state.lock().board.add_members(names);
    }

    fn cut_pair(&self, a: &str, b: &str) {
        self.change(|state| state.board.cut(a, b));
    }

    fn kill_one(&self, name: &str) {
        self.change(|state| state.board.kill(name));
    }

    fn part_pair(&self, a: &str, b: &str) {
        let now = Instant::now();
        self.change(|state| state.board.part(a, b, now));
    }

    fn is_dead(&self, name: &str) -> bool {
        self.shared.state.lock().board.is_dead(name)
    }

    fn judge(&self, passing: &Passing<'_>) -> Verdict {
        let verdict = self.shared.state.lock().plan.judge(passing);
        if verdict != Verdict::Pass {
            self.shared.changed.notify_waiters();
        }
        verdict
    }

    /// Whether a fault in force is about such messages.
    fn picks(&self, passing: &Passing<'_>) -> bool {
        self.shared.state.lock().plan.picks(passing)
    }

    fn open(&self, me: Arc<str>, peer: Arc<str>) -> u64 {
        self.shared.state.lock().board.open(me, peer)
    }

    fn learn(&self, end: u64, peer: Arc<str>) {
        self.shared.state.lock().board.learn(end, Some(peer));
    }

    fn close(&self, end: u64) {
        // Dropped after the lock: it may be what keeps others alive.
        let _waker = self.shared.state.lock().board.close(end);
    }

    fn condition(&self, end: u64, now: Instant, waker: &Waker) -> Condition {
        self.shared.state.lock().board.condition(end, now, waker)
    }

    fn wake(&self, end: u64) {
        let waker = self.shared.state.lock().board.waker(end);
        waker.into_iter().for_each(Waker::wake);
    }

    /// Waits as long as a partition keeps `me` from dialling `to`.
    async fn until_dialled(&self, me: &str, to: &str) -> io::Result<()> {
        let began = Instant::now();
        loop {
            let changed = self.shared.changed.notified();
            let until = self.shared.state.lock().board.dial(me, to, began, Instant::now())?;
            match until {
                None => return Ok(()),
                // Whichever it is, the next look tells.
                Some(until) => drop(tokio::time::timeout_at(until, changed).await),
            }
        }
    }

    /// Changes what links are, and has all of them look.
    fn change<T>(&self, act: impl FnOnce(&mut State) -> T) -> T {
        let mut state = self.shared.state.lock();
        let value = act(&mut state);
        let wakers = state.board.wakers();
        drop(state);
        wakers.into_iter().for_each(Waker::wake);
        self.shared.changed.notify_waiters();
        value
    }
}

impl fmt::Debug for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Faults").field("unfired", &self.unfired()).finish_non_exhaustive()
    }
}

/// A fault that is in force. Dropping this leaves it there.
#[derive(Clone, Debug)]
pub struct ActiveFault {
    faults: Faults,
    id: u64,
}

impl ActiveFault {
    /// On how many messages it has acted; 0 after [`remove`](Self::remove).
    pub fn fired(&self) -> u64 {
        self.faults.shared.state.lock().plan.fired(self.id)
    }

    /// How many messages it has left alone because of the references in them (see [`Fault::duplicate`]).
    pub fn spared(&self) -> u64 {
        self.faults.shared.state.lock().plan.spared(self.id)
    }

    /// Waits until it has acted on so many messages.
    ///
    /// # Cancel safety
    /// Nothing is lost.
    pub async fn until_fired(&self, messages: u64) {
        loop {
            let changed = self.faults.shared.changed.notified();
            if self.fired() >= messages {
                return;
            }
            changed.await;
        }
    }

    /// Takes it out of force. What it has delayed or dropped stays so.
    pub fn remove(&self) {
        self.faults.shared.state.lock().plan.remove(self.id);
    }
}
