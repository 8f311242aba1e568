//! [`Table`]: one worker's part, for all values that it owns or uses.

#[cfg(test)]
pub(super) mod canonical;
mod counts;
mod deaths;
mod owner;
mod transfers;
mod user;

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use rpc_core::WorkerId;

pub use self::counts::{Counts, PeerCounts};

use super::ids::{RRefId, Transfer};
use super::map::RRefMap;
use super::owned::{self, Owned};
use super::seen::Seen;
use super::used::{self, Used};
use super::{Access, Event, Msg, Violation, Why};

/// One worker's part in the counting of all shared values.
///
/// `O` is what the driver keeps with a value of this worker's, `U` what it keeps with another's. An `O` is
/// never dropped here, so that no destructor of a user's runs under the driver's lock: it is handed out with
/// [`Event::Free`]. A `U` is dropped here, with its entry.
///
/// After any call, take [`poll_transmit`](Self::poll_transmit) and [`poll_event`](Self::poll_event) until they
/// yield `None`.
///
/// # Cost
/// All methods take the time of a look-up, whatever the number of values, except for
/// [`peer_dead`](Self::peer_dead) and the iterators. A value costs its owner 48 bytes and its `O`, and a user
/// 40 bytes and its `U`, beside rounding up and what [`Transfer`]s that are on their way cost.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Table<O, U> {
    me: WorkerId,
    /// The size of the group: ids of workers are below it.
    workers: u32,
    pub(super) owned: RRefMap<Owned<O>>,
    pub(super) used: RRefMap<Used<U>>,
    /// By id; none with those that there has been nothing with.
    peers: Vec<Option<Box<Peer>>>,
    dead: BTreeSet<WorkerId>,
    /// Handles on their way to all peers.
    pins: usize,
    registrations: u64,
    outbox: VecDeque<(WorkerId, Msg)>,
    events: VecDeque<Event<O>>,
    pub(super) limits: Limits,
    /// Rule RC-2 can be switched off, so that tests can show that it is needed.
    #[cfg(test)]
    pub(super) parents_wait: bool,
}

/// What a worker may have outstanding with another. The same on all workers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Limits {
    /// How far its newest transfer, or creation, may be ahead of its oldest unsettled one.
    pub(super) window: u64,
    /// Registrations for values that have not been created yet.
    pub(super) parked: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self { window: 1 << 24, parked: 1 << 20 }
    }
}

/// What there is between this worker and another.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
struct Peer {
    /// Transfers to it.
    sent: u64,
    /// Those that it has not adopted.
    pinned: BTreeMap<Transfer, Pin>,
    /// Those of them that went in answers and have not been revoked, by the link of the request.
    answers: BTreeSet<(u32, Transfer)>,
    /// All links up to this one are down.
    down: Option<u32>,
    /// Creations asked of it.
    asked: u64,
    /// Those that it is known to have noted.
    settled: Seen,
    /// Transfers from it.
    received: Seen,
    /// Its creations here: those that have come or will not.
    created: Seen,
    /// Its registrations that wait for a creation here.
    parked: u32,
}

/// A handle on its way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Pin {
    rref: RRefId,
    /// The link of the request that it answers.
    answer_on: Option<u32>,
}

/// Room that an empty queue keeps.
const QUEUE_KEPT: usize = 1024;

impl<O: Default, U: Default> Table<O, U> {
    /// The part of worker `me`, in a group of `workers`.
    ///
    /// # Panics
    /// If `me` is not in the group.
    pub fn new(me: WorkerId, workers: u32) -> Self {
        assert!(me.0 < workers, "worker {me} is not in a group of {workers}");
        Self {
            me,
            workers,
            owned: RRefMap::default(),
            used: RRefMap::default(),
            peers: (0..workers).map(|_| None).collect(),
            dead: BTreeSet::new(),
            pins: 0,
            registrations: 0,
            outbox: VecDeque::new(),
            events: VecDeque::new(),
            limits: Limits::default(),
            #[cfg(test)]
            parents_wait: true,
        }
    }

    /// The next message to send. May be to this worker itself.
    pub fn poll_transmit(&mut self) -> Option<(WorkerId, Msg)> {
        let next = self.outbox.pop_front();
        if next.is_none() && self.outbox.capacity() > QUEUE_KEPT {
            self.outbox.shrink_to(QUEUE_KEPT);
        }
        next
    }

    /// The next thing to do or to tell.
    pub fn poll_event(&mut self) -> Option<Event<O>> {
        let next = self.events.pop_front();
        if next.is_none() && self.events.capacity() > QUEUE_KEPT {
            self.events.shrink_to(QUEUE_KEPT);
        }
        next
    }

    /// Whether this worker's handles to `rref` are confirmed: a function that takes one starts only then.
    pub fn is_confirmed(&self, rref: RRefId) -> bool {
        if rref.owner == self.me {
            self.owned.get(rref).is_some_and(|owned| owned.phase == owned::Phase::Held)
        } else {
            self.used.get(rref).is_some_and(|used| matches!(used.phase, used::Phase::Listed { .. }))
        }
    }

    /// Whether this worker has asked for the value and has had no answer.
    pub fn is_creating(&self, rref: RRefId) -> bool {
        self.used.get(rref).is_some_and(|used| used.phase == used::Phase::Creating)
    }

    /// Why this worker's handles to `rref` are of no use, if they are.
    pub fn failure(&self, rref: RRefId) -> Option<Why> {
        if rref.owner == self.me {
            match self.owned.get(rref)?.phase {
                owned::Phase::Failed(why) => Some(why),
                owned::Phase::Expected | owned::Phase::Held => None,
            }
        } else {
            match self.used.get(rref)?.phase {
                used::Phase::Failed { why, .. } => Some(why),
                _ => None,
            }
        }
    }

    /// Whether worker `from` may use the value `rref` of this worker's now.
    ///
    /// A user may once it is listed. This worker may while it has a live handle, or one on its way.
    pub fn access(&self, from: WorkerId, rref: RRefId) -> Access {
        if self.dead.contains(&from) || !self.is_member(from) || rref.owner != self.me {
            return Access::Gone;
        }
        let Some(owned) = self.owned.get(rref) else {
            return if self.may_come(rref) { Access::NotYet } else { Access::Gone };
        };
        let has =
            if from == self.me { owned.handles > 0 || owned.pins > 0 } else { owned.users.contains(from) };
        match owned.phase {
            owned::Phase::Failed(_) => Access::Gone,
            owned::Phase::Held if has => Access::Yes,
            owned::Phase::Held | owned::Phase::Expected => Access::NotYet,
        }
    }

    /// The driver's data of a value of this worker's. `None` if nothing is known of it, or no longer.
    pub fn owned(&self, rref: RRefId) -> Option<&O> {
        self.owned.get(rref).map(|owned| &owned.data)
    }

    /// As [`owned`](Self::owned), to be changed.
    pub fn owned_mut(&mut self, rref: RRefId) -> Option<&mut O> {
        self.owned.get_mut(rref).map(|owned| &mut owned.data)
    }

    /// The driver's data of another worker's value. `None` if this worker has nothing to do with it, or no
    /// longer.
    pub fn used(&self, rref: RRefId) -> Option<&U> {
        self.used.get(rref).map(|used| &used.data)
    }

    /// As [`used`](Self::used), to be changed.
    pub fn used_mut(&mut self, rref: RRefId) -> Option<&mut U> {
        self.used.get_mut(rref).map(|used| &mut used.data)
    }

    /// All values of this worker's, also expected ones, with the users that are listed; in the order of the
    /// ids.
    pub fn iter_owned(&self) -> impl Iterator<Item = (RRefId, &O, &[WorkerId])> {
        self.owned.iter().map(|(rref, owned)| (rref, &owned.data, owned.users.as_slice()))
    }

    /// All other workers' values that this one has to do with, in the order of the ids.
    pub fn iter_used(&self) -> impl Iterator<Item = (RRefId, &U)> {
        self.used.iter().map(|(rref, used)| (rref, &used.data))
    }

    /// Whether nothing is shared, used or on its way.
    pub fn is_idle(&self) -> bool {
        self.owned.is_empty() && self.used.is_empty() && self.pins == 0
    }

    /// A handle was cloned on this worker.
    ///
    /// # Panics
    /// If there is none: a bug of the driver.
    pub fn clone_handle(&mut self, rref: RRefId) {
        count_up(self.handles_mut(rref));
    }

    /// A handle was dropped on this worker.
    ///
    /// # Panics
    /// If there is none: a bug of the driver.
    pub fn drop_handle(&mut self, rref: RRefId) {
        *self.handles_mut(rref) -= 1;
        self.settle(rref);
    }

    /// Takes a message of the protocol.
    ///
    /// # Errors
    /// [`Violation`]: a bug of the peer. Nothing has changed.
    pub fn handle(&mut self, from: WorkerId, msg: Msg) -> Result<(), Violation> {
        self.check_member(from, from)?;
        if self.dead.contains(&from) {
            return Ok(());
        }
        match msg {
            Msg::Register { rref, id } => self.handle_register(from, rref, id),
            Msg::Release { rref } => self.handle_release(from, rref),
            Msg::Abort { rref } => self.handle_abort(from, rref),
            Msg::Registered { rref, id } => self.handle_registered(from, rref, id),
            Msg::NotCreated { rref, id } => self.handle_not_created(from, rref, id),
            Msg::Gone { rref, id } => self.handle_gone(from, rref, id),
            Msg::Aborted { rref } => self.handle_aborted(from, rref),
            Msg::Adopted { transfer } => self.handle_adopted(from, transfer),
            Msg::Revoke { transfer } => self.handle_revoke(from, transfer),
        }
    }

    #[cfg(test)]
    pub(super) fn has_received(&self, from: WorkerId, transfer: Transfer) -> bool {
        self.dead.contains(&from) || self.known(from).is_some_and(|peer| peer.received.contains(transfer.0))
    }

    #[cfg(test)]
    pub(super) fn is_dead(&self, id: WorkerId) -> bool {
        self.dead.contains(&id)
    }

    /// Whether there is nothing to poll.
    #[cfg(test)]
    pub(super) fn is_polled(&self) -> bool {
        self.outbox.is_empty() && self.events.is_empty()
    }

    /// Values whose handles are on their way to `to`.
    #[cfg(test)]
    pub(super) fn pinned_to(&self, to: WorkerId) -> impl Iterator<Item = RRefId> {
        self.known(to).into_iter().flat_map(|peer| peer.pinned.values().map(|pin| pin.rref))
    }

    /// Others' values that somebody else may lose if this worker dies now.
    #[cfg(test)]
    pub(super) fn with_dependents(&self) -> impl Iterator<Item = RRefId> {
        let depended =
            self.used.iter().filter(|(_, used)| used.pins > 0 || used.phase == used::Phase::Creating);
        depended.map(|(rref, _)| rref)
    }

    /// Numbers that came out of order and have not been joined by those before them.
    #[cfg(test)]
    pub(super) fn gaps(&self) -> u64 {
        let seen = |peer: &Peer| [&peer.received, &peer.created, &peer.settled].map(Seen::out_of_order);
        self.peers.iter().flatten().flat_map(|peer| seen(peer)).sum()
    }

    fn handles_mut(&mut self, rref: RRefId) -> &mut u32 {
        let handles = if rref.owner == self.me {
            self.owned.get_mut(rref).map(|owned| &mut owned.handles)
        } else {
            self.used.get_mut(rref).map(|used| &mut used.handles)
        };
        let Some(handles) = handles.filter(|handles| **handles > 0) else {
            panic!("there is no live handle to {rref} here")
        };
        handles
    }

    /// # Panics
    /// If `id` is not in the group.
    fn peer(&mut self, id: WorkerId) -> &mut Peer {
        self.peers[id.0 as usize].get_or_insert_default()
    }

    fn known(&self, id: WorkerId) -> Option<&Peer> {
        self.peers.get(id.0 as usize)?.as_deref()
    }

    fn push(&mut self, to: WorkerId, msg: Msg) {
        if !self.dead.contains(&to) {
            self.outbox.push_back((to, msg));
        }
    }

    fn is_member(&self, id: WorkerId) -> bool {
        id.0 < self.workers
    }

    fn check_member(&self, from: WorkerId, id: WorkerId) -> Result<(), Violation> {
        if self.is_member(id) { Ok(()) } else { Err(Violation::OutsideGroup { from, id }) }
    }

    fn settle(&mut self, rref: RRefId) {
        if rref.owner == self.me { self.settle_owned(rref) } else { self.settle_used(rref) }
    }
}

/// # Panics
/// At 2^32. Each that is counted takes memory elsewhere, so a peer cannot bring that about.
fn count_up(count: &mut u32) {
    *count = count.checked_add(1).expect("fewer than 2^32 handles to one value");
}
