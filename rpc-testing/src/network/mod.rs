//! [`MemoryNetwork`]: workers of one process connected without sockets, and everything that can go wrong.

mod conditions;
mod flight;
mod inspect;
mod link;
mod rule;
mod transport;

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::sync::Arc;
use std::task::Waker;
use std::time::Duration;

use parking_lot::Mutex;
use rpc_core::{Link, TransportBackend};
use tokio::sync::{Notify, mpsc};
use tokio::time::Instant;

pub use self::inspect::{InFlight, Stage};
pub use self::rule::{ActiveRule, Rule};
pub use self::transport::MemoryTransport;

use self::conditions::Conditions;
use self::link::{At, LinkState, SideIndex};
use self::rule::RuleId;
use self::transport::End;

/// Links that may wait at one transport to be accepted; one more dial is refused.
const BACKLOG_MAX: usize = 1_024;

/// A network within this process. Clones are handles to the same one.
///
/// Its [transports](MemoryTransport) keep every promise of [`Transport`](rpc_core::Transport) and have a
/// socket's habits: a bounded window, so that a slow reader is felt by the sender; a listener with a
/// backlog; links that outlive neither end. Frames move by sharing their bytes, so a part has the alignment
/// that its sender gave it.
///
/// Time is tokio's, which a test can pause. Under `#[tokio::test(start_paused = true)]` a run is the same
/// every time: chance comes from the seed, and addresses are numbered from `memory:0` in the order in which
/// transports are made.
///
/// # Faults
/// By pair of addresses: [`set_delay`](Self::set_delay), [`partition`](Self::partition),
/// [`cut`](Self::cut). By transport: [`kill`](Self::kill), [`refuse`](Self::refuse). By frame:
/// [`Rule`]. All take effect at once, for links that exist and those to come.
#[derive(Clone)]
pub struct MemoryNetwork {
    shared: Arc<Shared>,
}

struct Shared {
    state: Mutex<State>,
    /// Something happened that a dial or [`MemoryNetwork::until`] may be waiting for.
    changed: Notify,
}

struct State {
    conditions: Conditions,
    links: BTreeMap<u64, LinkState>,
    listeners: BTreeMap<Arc<str>, Listener>,
    next_address: u64,
    next_link: u64,
    wakes: Vec<Waker>,
}

struct Listener {
    backlog: mpsc::Sender<Link>,
    refusing: bool,
}

/// Bounds and seed of a [`MemoryNetwork`].
///
/// ```
/// use rpc_testing::MemoryNetwork;
/// let network = MemoryNetwork::builder().seed(7).window_bytes(64 << 10).build();
/// ```
#[derive(Clone, Debug)]
pub struct NetworkBuilder {
    seed: u64,
    window_bytes: u64,
    silence_max: Duration,
}

impl NetworkBuilder {
    /// Where chance comes from: probabilities and drawn delays. Default 0.
    #[must_use]
    pub fn seed(self, seed: u64) -> Self {
        Self { seed, ..self }
    }

    /// Bytes of one direction of a link that may be under way and not yet read; a frame that does not fit
    /// waits in its sender's outbox, except that one larger than all of it travels alone. Default 256 KiB.
    #[must_use]
    pub fn window_bytes(self, window_bytes: u64) -> Self {
        Self { window_bytes, ..self }
    }

    /// How long a link survives a partition, a dial waits for its end, and a closing link waits for its
    /// peer to read: the time of LK-3. Default 30 s.
    #[must_use]
    pub fn silence_max(self, silence_max: Duration) -> Self {
        Self { silence_max, ..self }
    }

    /// The network.
    pub fn build(self) -> MemoryNetwork {
        let state = State {
            conditions: Conditions::new(self.seed, self.window_bytes, self.silence_max),
            links: BTreeMap::new(),
            listeners: BTreeMap::new(),
            next_address: 0,
            next_link: 0,
            wakes: Vec::new(),
        };
        MemoryNetwork { shared: Arc::new(Shared { state: Mutex::new(state), changed: Notify::new() }) }
    }
}

impl Default for MemoryNetwork {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for MemoryNetwork {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.shared.state.lock();
        f.debug_struct("MemoryNetwork")
            .field("transports", &state.listeners.keys())
            .field("links", &state.links.len())
            .finish_non_exhaustive()
    }
}

impl MemoryNetwork {
    /// A network without faults.
    pub fn new() -> Self {
        Self::builder().build()
    }

    /// A network with bounds or a seed of one's own.
    pub fn builder() -> NetworkBuilder {
        NetworkBuilder { seed: 0, window_bytes: 256 << 10, silence_max: Duration::from_secs(30) }
    }

    /// A transport with a new address.
    pub fn transport(&self) -> MemoryTransport {
        let (backlog, incoming) = mpsc::channel(BACKLOG_MAX);
        let address = self.change(|state, _| {
            let address: Arc<str> = format!("memory:{}", state.next_address).into();
            state.next_address += 1;
            state.listeners.insert(Arc::clone(&address), Listener { backlog, refusing: false });
            address
        });
        MemoryTransport::new(self.clone(), address, incoming)
    }

    /// A backend named `memory`, each bind of which makes a [`transport`](Self::transport). It ignores the
    /// address that it is told to bind.
    pub fn backend(&self) -> TransportBackend {
        let network = self.clone();
        TransportBackend::new("memory", move |_| std::future::ready(Ok(network.transport())))
    }

    /// Frames and dials from `from` to `to` take `delay`. Frames that are on their way keep their time.
    pub fn set_delay(&self, from: &str, to: &str, delay: Duration) {
        self.change(|state, _| state.conditions.set_delay(from, to, delay));
    }

    /// Nothing gets from `a` to `b` or back until [`heal`](Self::heal), and nobody is told.
    ///
    /// As behind a router that drops packets: dials hang, and frames that were sent arrive after the
    /// healing, because the sending system repeats them. After
    /// [`silence_max`](NetworkBuilder::silence_max) both sides give up, and links and dials end as
    /// [`TimedOut`](io::ErrorKind::TimedOut). For frames that are lost for good there is [`Rule::drop`].
    pub fn partition(&self, a: &str, b: &str) {
        self.change(|state, now| {
            state.conditions.block(a, b);
            state.conditions.block(b, a);
            state.conditions_changed(now);
        });
    }

    /// Like [`partition`](Self::partition), but what `to` sends still reaches `from`.
    pub fn partition_one_way(&self, from: &str, to: &str) {
        self.change(|state, now| {
            state.conditions.block(from, to);
            state.conditions_changed(now);
        });
    }

    /// Ends all partitions between `a` and `b`.
    pub fn heal(&self, a: &str, b: &str) {
        self.change(|state, now| {
            state.conditions.unblock(a, b);
            state.conditions.unblock(b, a);
            state.conditions_changed(now);
        });
    }

    /// Resets the links between `a` and `b`: both sides get an error at once, and what was under way is
    /// lost. New dials succeed. Returns how many links there were.
    pub fn cut(&self, a: &str, b: &str) -> usize {
        self.change(|state, now| state.reset(now, "the link was cut", |link| link.joins(a, b)))
    }

    /// The transport at `address` dies as its process would: its links are reset, and dials from and to it
    /// are refused for ever. Its `accept` stays pending.
    pub fn kill(&self, address: &str) {
        // Dropped after the network is unlocked: it may be what keeps links alive.
        let _listener = self.change(|state, now| {
            state.reset(now, "the process was killed", |link| {
                let (a, b) = link.addresses();
                a == address || b == address
            });
            state.listeners.remove(address)
        });
    }

    /// Dials to `address` are refused until [`admit`](Self::admit); links that exist stay.
    pub fn refuse(&self, address: &str) {
        self.set_refusing(address, true);
    }

    /// Ends [`refuse`](Self::refuse).
    pub fn admit(&self, address: &str) {
        self.set_refusing(address, false);
    }

    fn set_refusing(&self, address: &str, refusing: bool) {
        self.change(|state, _| {
            if let Some(listener) = state.listeners.get_mut(address) {
                listener.refusing = refusing;
            }
        });
    }

    /// Puts a rule for single frames into force, behind those that are.
    pub fn add(&self, rule: Rule) -> ActiveRule {
        let id = self.change(|state, _| state.conditions.rules.add(rule));
        ActiveRule::new(self.clone(), id)
    }

    fn rule_hits(&self, id: RuleId) -> u64 {
        self.with(|state, _| state.conditions.rules.hits(id))
    }

    fn release(&self, id: RuleId) {
        self.change(|state, now| state.each_link(now, |link, at| link.release(id, at)));
    }

    fn remove_rule(&self, id: RuleId) {
        self.change(|state, _| state.conditions.rules.remove(id));
        self.release(id);
    }

    /// All frames that were sent and have not been received: by link, then by direction, then in the order
    /// in which they left.
    pub fn in_flight(&self) -> Vec<InFlight> {
        self.with(|state, now| state.in_flight(now))
    }

    /// The frames that rules or partitions keep back.
    pub fn held(&self) -> Vec<InFlight> {
        let mut frames = self.in_flight();
        frames.retain(|frame| matches!(frame.stage, Stage::Held | Stage::Partitioned));
        frames
    }

    /// Waits until what is [in flight](Self::in_flight) satisfies `enough`, and returns it.
    ///
    /// It is asked whenever something happens on the network, but not when time alone passes.
    pub async fn until(&self, mut enough: impl FnMut(&[InFlight]) -> bool) -> Vec<InFlight> {
        loop {
            let changed = self.shared.changed.notified();
            let frames = self.in_flight();
            if enough(&frames) {
                return frames;
            }
            changed.await;
        }
    }

    /// Waits until at least `frames` are [held](Self::held).
    pub async fn until_held(&self, frames: usize) -> Vec<InFlight> {
        let kept = |frame: &&InFlight| matches!(frame.stage, Stage::Held | Stage::Partitioned);
        self.until(|all| all.iter().filter(kept).count() >= frames).await;
        self.held()
    }

    /// Random bytes out of the seed.
    pub(crate) fn random_bytes(&self) -> [u8; 16] {
        self.with(|state, _| {
            let rng = &mut state.conditions.rng;
            let (high, low) = (rng.next_u64(), rng.next_u64());
            ((u128::from(high) << 64) | u128::from(low)).to_le_bytes()
        })
    }

    async fn dial(&self, from: &Arc<str>, to: &str) -> io::Result<Link> {
        self.travel(from, to).await;
        let give_up = Instant::now() + self.with(|state, _| state.conditions.silence_max);
        let (listener, link) = loop {
            let changed = self.shared.changed.notified();
            if let Some(opened) = self.with(|state, _| state.open(from, to))? {
                break opened;
            }
            if tokio::time::timeout_at(give_up, changed).await.is_err() {
                return Err(io::Error::new(io::ErrorKind::TimedOut, format!("{to} does not answer")));
            }
        };
        let [dialler, acceptor] = [0, 1].map(|side| End::new(self.clone(), link, side));
        let dialler = dialler.into_link(to);
        listener.try_send(acceptor.into_link(from)).map_err(|_| refused(to, "its backlog is full"))?;
        self.travel(to, from).await;
        Ok(dialler)
    }

    /// Waits as long as something takes from `from` to `to`.
    async fn travel(&self, from: &str, to: &str) {
        let delay = self.with(|state, _| state.conditions.delay(from, to));
        if !delay.is_zero() {
            tokio::time::sleep(delay).await;
        }
    }

    fn stop_listening(&self, address: &str) {
        let _listener = self.change(|state, _| state.listeners.remove(address));
    }

    fn with_link<T>(&self, link: u64, act: impl FnOnce(&mut LinkState, &mut At<'_>) -> T) -> T {
        self.change(|state, now| {
            let State { conditions, links, wakes, .. } = state;
            let link = links.get_mut(&link).expect("a link stays until both of its ends are dropped");
            act(link, &mut At { now, conditions, wakes })
        })
    }

    /// Lets a link catch up with the time, if it is still there.
    fn advance(&self, link: u64) {
        self.change(|state, now| {
            let State { conditions, links, wakes, .. } = state;
            if let Some(link) = links.get_mut(&link) {
                link.advance(&mut At { now, conditions, wakes });
            }
        });
    }

    fn drop_end(&self, link: u64, side: SideIndex) {
        if self.with_link(link, |link, at| link.dropped(side, at)) {
            // Its frames are freed after the network is unlocked.
            let _link = self.change(|state, _| state.links.remove(&link));
        }
    }

    /// Does something that a dial or [`until`](Self::until) may be waiting for.
    fn change<T>(&self, act: impl FnOnce(&mut State, Instant) -> T) -> T {
        let value = self.with(act);
        self.shared.changed.notify_waiters();
        value
    }

    /// Looks at the network, then wakes whom it concerns. `act` must not drop links.
    fn with<T>(&self, act: impl FnOnce(&mut State, Instant) -> T) -> T {
        let now = Instant::now();
        let mut state = self.shared.state.lock();
        let value = act(&mut state, now);
        let wakes = std::mem::take(&mut state.wakes);
        drop(state);
        wakes.into_iter().for_each(Waker::wake);
        value
    }
}

impl State {
    fn each_link(&mut self, now: Instant, mut act: impl FnMut(&mut LinkState, &mut At<'_>)) {
        let Self { conditions, links, wakes, .. } = self;
        for link in links.values_mut() {
            act(link, &mut At { now, conditions, wakes });
        }
    }

    fn conditions_changed(&mut self, now: Instant) {
        self.each_link(now, LinkState::conditions_changed);
    }

    fn reset(&mut self, now: Instant, why: &'static str, which: impl Fn(&LinkState) -> bool) -> usize {
        let mut count = 0;
        self.each_link(now, |link, at| {
            if which(link) && link.is_alive() {
                link.die(io::ErrorKind::ConnectionReset, why, at);
                count += 1;
            }
        });
        count
    }

    fn in_flight(&mut self, now: Instant) -> Vec<InFlight> {
        let mut frames = Vec::new();
        self.each_link(now, |link, at| {
            link.advance(at);
            frames.extend(inspect::under_way(link, 0, at));
            frames.extend(inspect::under_way(link, 1, at));
        });
        frames
    }

    /// Makes a link from `from` to `to`, or `None` while a partition is between them.
    fn open(&mut self, from: &Arc<str>, to: &str) -> io::Result<Option<(mpsc::Sender<Link>, u64)>> {
        if !self.listeners.contains_key(from) {
            return Err(io::Error::new(io::ErrorKind::NetworkDown, format!("{from} was killed")));
        }
        if self.conditions.is_blocked(from, to) || self.conditions.is_blocked(to, from) {
            return Ok(None);
        }
        let (address, listener) =
            self.listeners.get_key_value(to).ok_or_else(|| refused(to, "nobody listens there"))?;
        if listener.refusing {
            return Err(refused(to, "it was told to refuse"));
        }
        let id = self.next_link;
        self.next_link += 1;
        self.links.insert(id, LinkState::new(Arc::clone(from), Arc::clone(address)));
        Ok(Some((listener.backlog.clone(), id)))
    }
}

fn refused(address: &str, why: &str) -> io::Error {
    io::Error::new(io::ErrorKind::ConnectionRefused, format!("{address} refuses the connection: {why}"))
}
