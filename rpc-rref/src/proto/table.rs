//! [`Table`]: one worker's part, for all values that it owns or uses.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use rpc_core::WorkerId;

use super::ids::{RRefId, Registration, Seen, Transfer};
use super::owned::{self, Owned};
use super::used::{self, Used};
use super::{Event, Msg, Violation, Why};

/// One worker's part in the counting of all shared values.
///
/// After any call, take [`poll_transmit`](Self::poll_transmit) and [`poll_event`](Self::poll_event) until they
/// yield `None`.
#[derive(Clone, Debug)]
pub struct Table {
    me: WorkerId,
    owned: BTreeMap<RRefId, Owned>,
    pub(super) used: BTreeMap<RRefId, Used>,
    peers: BTreeMap<WorkerId, Peer>,
    dead: BTreeSet<WorkerId>,
    registrations: u64,
    outbox: VecDeque<(WorkerId, Msg)>,
    events: VecDeque<Event>,
    /// Rule RC-2 can be switched off, so that a test can show that it is needed.
    pub(super) parents_wait: bool,
}

/// What there is between this worker and another.
#[derive(Clone, Debug, Default)]
struct Peer {
    /// Transfers to it.
    sent: u64,
    pinned: BTreeMap<Transfer, RRefId>,
    /// Creations asked of it.
    asked: u64,
    /// Transfers from it.
    received: Seen,
    /// Its creations here.
    created: Seen,
}

impl Table {
    /// The part of worker `me`.
    pub fn new(me: WorkerId) -> Self {
        Self {
            me,
            owned: BTreeMap::new(),
            used: BTreeMap::new(),
            peers: BTreeMap::new(),
            dead: BTreeSet::new(),
            registrations: 0,
            outbox: VecDeque::new(),
            events: VecDeque::new(),
            parents_wait: true,
        }
    }

    /// The next message to send.
    pub fn poll_transmit(&mut self) -> Option<(WorkerId, Msg)> {
        self.outbox.pop_front()
    }

    /// The next thing to do or to tell.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// Whether this worker's handles to `rref` are confirmed: a function that takes one starts only then.
    pub fn is_confirmed(&self, rref: RRefId) -> bool {
        match (self.owned.get(&rref), self.used.get(&rref)) {
            (Some(owned), _) => owned.phase == owned::Phase::Held,
            (_, Some(used)) => used.phase == used::Phase::Listed,
            _ => false,
        }
    }

    /// Why this worker's handles to `rref` are of no use, if they are.
    pub fn failure(&self, rref: RRefId) -> Option<Why> {
        match (self.owned.get(&rref), self.used.get(&rref)) {
            (Some(owned), _) if owned.phase == owned::Phase::NotCreated => Some(Why::NotCreated),
            (_, Some(Used { phase: used::Phase::Failed(why), .. })) => Some(*why),
            _ => None,
        }
    }

    /// Shares a value of this worker's; returns its id, with one handle.
    pub fn own(&mut self) -> RRefId {
        let rref = self.next_rref(self.me);
        let created = &mut self.peer(self.me).created;
        created.insert(Transfer(rref.number));
        let mut owned = Owned::new(owned::Phase::Held);
        owned.handles = 1;
        self.owned.insert(rref, owned);
        rref
    }

    /// Asks `owner` for a value; returns its id, with one handle. The request is to carry the id; its end is
    /// to be told with [`created`](Self::created) or [`creation_failed`](Self::creation_failed).
    pub fn create(&mut self, owner: WorkerId) -> RRefId {
        let rref = self.next_rref(owner);
        let phase = if self.dead.contains(&owner) {
            self.events.push_back(Event::Failed(rref, Why::OwnerLost));
            used::Phase::Failed(Why::OwnerLost)
        } else {
            used::Phase::Creating
        };
        self.used.insert(rref, Used::new(phase));
        rref
    }

    fn next_rref(&mut self, owner: WorkerId) -> RRefId {
        let creator = self.me;
        let peer = self.peer(owner);
        let number = peer.asked;
        peer.asked += 1;
        RRefId { owner, creator, number }
    }

    /// The request of [`create`](Self::create) has been answered: the owner has the value, or the error that
    /// its function ended with.
    pub fn created(&mut self, rref: RRefId) {
        if let Some(used) = self.used.get_mut(&rref)
            && used.phase == used::Phase::Creating
        {
            used.phase = used::Phase::Listed;
            self.events.push_back(Event::Confirmed(rref));
            self.settle_used(rref);
        }
    }

    /// The request of [`create`](Self::create) has failed, or nobody knows. It may still arrive.
    pub fn creation_failed(&mut self, rref: RRefId) {
        if let Some(used) = self.used.get_mut(&rref)
            && used.phase == used::Phase::Creating
        {
            used.phase = used::Phase::Failed(Why::NotCreated);
            self.events.push_back(Event::Failed(rref, Why::NotCreated));
            self.push(rref.owner, Msg::Abort { rref });
            self.settle_used(rref);
        }
    }

    /// A request of `from` to create `rref` has come. False if it must not run: it came before, or was aborted.
    ///
    /// # Errors
    /// [`Violation`] if it is not for `from` to ask that of this worker.
    pub fn handle_create(&mut self, from: WorkerId, rref: RRefId) -> Result<bool, Violation> {
        self.expect_owner(from, rref)?;
        if rref.creator != from {
            return Err(Violation::NotCreator { from, rref });
        }
        if self.dead.contains(&from) || !self.peer(from).created.insert(Transfer(rref.number)) {
            return Ok(false);
        }
        let owned = self.owned.entry(rref).or_insert_with(|| Owned::new(owned::Phase::Expected));
        owned.phase = owned::Phase::Held;
        owned.users.insert(from);
        let confirmed = owned.handles > 0;
        self.list_parked(rref);
        if confirmed {
            self.events.push_back(Event::Confirmed(rref));
        }
        Ok(true)
    }

    /// A handle was cloned on this worker.
    ///
    /// # Panics
    /// If there is none: a bug of the driver.
    pub fn clone_handle(&mut self, rref: RRefId) {
        *self.handles_mut(rref) += 1;
    }

    /// A handle was dropped on this worker.
    ///
    /// # Panics
    /// If there is none: a bug of the driver.
    pub fn drop_handle(&mut self, rref: RRefId) {
        *self.handles_mut(rref) -= 1;
        self.settle(rref);
    }

    fn handles_mut(&mut self, rref: RRefId) -> &mut u32 {
        let handles = match (self.owned.get_mut(&rref), self.used.get_mut(&rref)) {
            (Some(owned), _) => &mut owned.handles,
            (_, Some(used)) => &mut used.handles,
            _ => panic!("there is no handle to {rref} here"),
        };
        assert!(*handles > 0, "there is no live handle to {rref} here");
        handles
    }

    /// A live handle is about to be sent to `to`. To be called before its message is queued.
    ///
    /// # Errors
    /// [`Why`] the handle is of no use.
    ///
    /// # Panics
    /// If there is no live handle: a bug of the driver.
    pub fn share(&mut self, rref: RRefId, to: WorkerId) -> Result<Transfer, Why> {
        if let Some(why) = self.failure(rref) {
            return Err(why);
        }
        self.handles_mut(rref);
        if let Some(owned) = self.owned.get_mut(&rref) {
            owned.pins += 1;
        } else if let Some(used) = self.used.get_mut(&rref)
            && self.parents_wait
        {
            used.pins += 1;
        }
        let peer = self.peer(to);
        let transfer = Transfer(peer.sent);
        peer.sent += 1;
        peer.pinned.insert(transfer, rref);
        if self.dead.contains(&to) {
            self.unpin(to, transfer);
        }
        Ok(transfer)
    }

    /// The message that carries `transfer` to `to` has failed, or nobody knows. It may still arrive.
    pub fn transfer_lost(&mut self, to: WorkerId, transfer: Transfer) {
        if self.peer(to).pinned.contains_key(&transfer) {
            self.push(to, Msg::Revoke { transfer });
        }
    }

    /// A message of `from` has brought a handle. True if it is live: it then counts as one more handle here.
    pub fn receive(&mut self, from: WorkerId, rref: RRefId, transfer: Transfer) -> bool {
        if self.dead.contains(&from) || !self.peer(from).received.insert(transfer) {
            return false;
        }
        if rref.owner == self.me {
            self.receive_owned(from, rref, transfer)
        } else {
            self.receive_used(from, rref, transfer)
        }
    }

    fn receive_owned(&mut self, from: WorkerId, rref: RRefId, transfer: Transfer) -> bool {
        self.push(from, Msg::Adopted { transfer });
        let Some(owned) = self.owned_or_expected(rref) else { return false };
        owned.handles += 1;
        true
    }

    fn receive_used(&mut self, from: WorkerId, rref: RRefId, transfer: Transfer) -> bool {
        let by_owner = from == rref.owner;
        if let Some(used) = self.used.get_mut(&rref) {
            match &mut used.phase {
                used::Phase::Registering { waiting, .. } if !by_owner => {
                    waiting.push((from, transfer));
                    used.handles += 1;
                    return true;
                }
                used::Phase::Failed(_) => {
                    self.push(from, Msg::Adopted { transfer });
                    return false;
                }
                _ => used.handles += 1,
            }
            // The owner has pinned it, and hears of the registration before it hears of the adoption.
            if by_owner {
                self.confirm(rref);
            }
            self.push(from, Msg::Adopted { transfer });
            return true;
        }
        if self.dead.contains(&rref.owner) {
            self.push(from, Msg::Adopted { transfer });
            return false;
        }
        let id = Registration(self.registrations);
        self.registrations += 1;
        self.push(rref.owner, Msg::Register { rref, id });
        if by_owner {
            self.used.insert(rref, Used::new(used::Phase::Listed));
            self.push(from, Msg::Adopted { transfer });
        } else {
            let waiting = vec![(from, transfer)];
            self.used.insert(rref, Used::new(used::Phase::Registering { id, waiting }));
        }
        true
    }

    /// Takes a message of the protocol.
    ///
    /// # Errors
    /// [`Violation`]: a bug of the peer. Nothing has changed.
    pub fn handle(&mut self, from: WorkerId, msg: Msg) -> Result<(), Violation> {
        if self.dead.contains(&from) {
            return Ok(());
        }
        match msg {
            Msg::Register { rref, id } => self.handle_register(from, rref, id),
            Msg::Release { rref } => self.handle_release(from, rref),
            Msg::Abort { rref } => self.handle_abort(from, rref),
            Msg::Registered { rref, id } => {
                if self.is_registering(rref, id) {
                    self.confirm(rref);
                    self.settle_used(rref);
                }
                Ok(())
            }
            Msg::Gone { rref, id } => {
                if self.is_registering(rref, id) {
                    self.fail_used(rref, Why::SenderLost);
                }
                Ok(())
            }
            Msg::Adopted { transfer } => {
                if !self.peer(from).pinned.contains_key(&transfer) {
                    return Err(Violation::NotSent { from, transfer });
                }
                self.unpin(from, transfer);
                Ok(())
            }
            Msg::Revoke { transfer } => {
                // One that came before is adopted, or will be.
                if self.peer(from).received.insert(transfer) {
                    self.push(from, Msg::Adopted { transfer });
                }
                Ok(())
            }
        }
    }

    fn handle_register(&mut self, from: WorkerId, rref: RRefId, id: Registration) -> Result<(), Violation> {
        self.expect_owner(from, rref)?;
        let Some(owned) = self.owned_or_expected(rref) else {
            self.push(from, Msg::Gone { rref, id });
            return Ok(());
        };
        if owned.users.contains(&from) {
            return Err(Violation::RegisteredTwice { from, rref });
        }
        if owned.phase == owned::Phase::Expected {
            owned.parked.push((from, id));
        } else {
            owned.users.insert(from);
            self.push(from, Msg::Registered { rref, id });
        }
        Ok(())
    }

    fn handle_release(&mut self, from: WorkerId, rref: RRefId) -> Result<(), Violation> {
        self.expect_owner(from, rref)?;
        if !self.owned.get_mut(&rref).is_some_and(|owned| owned.remove_user(from)) {
            return Err(Violation::NotAUser { from, rref });
        }
        self.settle_owned(rref);
        Ok(())
    }

    fn handle_abort(&mut self, from: WorkerId, rref: RRefId) -> Result<(), Violation> {
        self.expect_owner(from, rref)?;
        if rref.creator != from {
            return Err(Violation::NotCreator { from, rref });
        }
        let will_not_come = self.peer(from).created.insert(Transfer(rref.number));
        if will_not_come {
            self.not_created(rref);
        } else if let Some(owned) = self.owned.get_mut(&rref) {
            owned.users.remove(&from);
            self.settle_owned(rref);
        }
        Ok(())
    }

    /// Worker `id` is dead and will not come back.
    pub fn peer_dead(&mut self, id: WorkerId) {
        if !self.dead.insert(id) {
            return;
        }
        let transfers: Vec<Transfer> = self.peer(id).pinned.keys().copied().collect();
        for transfer in transfers {
            self.unpin(id, transfer);
        }
        // The counts stay, so that ids are not used again.
        let peer = self.peer(id);
        (peer.received, peer.created) = Default::default();
        for rref in self.owned.keys().copied().collect::<Vec<_>>() {
            if let Some(owned) = self.owned.get_mut(&rref) {
                owned.remove_user(id);
                if owned.phase == owned::Phase::Expected && rref.creator == id {
                    self.not_created(rref);
                } else {
                    self.settle_owned(rref);
                }
            }
        }
        for rref in self.used.keys().copied().collect::<Vec<_>>() {
            if rref.owner == id {
                self.fail_used(rref, Why::OwnerLost);
            } else if let Some(Used { phase: used::Phase::Registering { waiting, .. }, .. }) =
                self.used.get_mut(&rref)
            {
                waiting.retain(|(sender, _)| *sender != id);
            }
        }
    }

    /// Whether nothing is shared, used or on its way.
    pub fn is_idle(&self) -> bool {
        let quiet = self.peers.values().all(|peer| peer.pinned.is_empty());
        self.owned.is_empty() && self.used.is_empty() && quiet
    }

    #[cfg(test)]
    pub(super) fn has_received(&self, from: WorkerId, transfer: Transfer) -> bool {
        self.dead.contains(&from)
            || self.peers.get(&from).is_some_and(|peer| peer.received.contains(transfer))
    }

    #[cfg(test)]
    pub(super) fn gaps(&self) -> usize {
        self.peers.values().map(|peer| peer.received.gaps() + peer.created.gaps()).sum()
    }

    fn peer(&mut self, id: WorkerId) -> &mut Peer {
        self.peers.entry(id).or_default()
    }

    fn push(&mut self, to: WorkerId, msg: Msg) {
        if !self.dead.contains(&to) {
            self.outbox.push_back((to, msg));
        }
    }

    fn expect_owner(&self, from: WorkerId, rref: RRefId) -> Result<(), Violation> {
        if rref.owner == self.me { Ok(()) } else { Err(Violation::NotOwner { from, rref }) }
    }

    /// The entry of a value of this worker's; `None` if it was there once, or will never be.
    fn owned_or_expected(&mut self, rref: RRefId) -> Option<&mut Owned> {
        if !self.owned.contains_key(&rref) {
            let over = self.dead.contains(&rref.creator)
                || self.peer(rref.creator).created.contains(Transfer(rref.number));
            if over {
                return None;
            }
            self.owned.insert(rref, Owned::new(owned::Phase::Expected));
        }
        self.owned.get_mut(&rref)
    }

    /// The wait for the creation is over: those that registered meanwhile are listed.
    fn list_parked(&mut self, rref: RRefId) {
        let Some(owned) = self.owned.get_mut(&rref) else { return };
        let parked = std::mem::take(&mut owned.parked);
        owned.users.extend(parked.iter().map(|(user, _)| *user));
        for (user, id) in parked {
            self.push(user, Msg::Registered { rref, id });
        }
    }

    fn not_created(&mut self, rref: RRefId) {
        let Some(owned) = self.owned.get_mut(&rref) else { return };
        owned.phase = owned::Phase::NotCreated;
        if owned.handles > 0 {
            self.events.push_back(Event::Failed(rref, Why::NotCreated));
        }
        self.list_parked(rref);
        self.settle_owned(rref);
    }

    fn is_registering(&self, rref: RRefId, id: Registration) -> bool {
        let phase = self.used.get(&rref).map(|used| &used.phase);
        matches!(phase, Some(used::Phase::Registering { id: current, .. }) if *current == id)
    }

    /// The owner lists this worker: tells the senders that wait for that.
    fn confirm(&mut self, rref: RRefId) {
        let Some(used) = self.used.get_mut(&rref) else { return };
        let used::Phase::Registering { waiting, .. } = &mut used.phase else { return };
        let waiting = std::mem::take(waiting);
        used.phase = used::Phase::Listed;
        self.adopt_all(waiting);
        self.events.push_back(Event::Confirmed(rref));
    }

    fn fail_used(&mut self, rref: RRefId, why: Why) {
        let Some(used) = self.used.get_mut(&rref) else { return };
        if matches!(used.phase, used::Phase::Failed(_)) {
            return;
        }
        if let used::Phase::Registering { waiting, .. } =
            std::mem::replace(&mut used.phase, used::Phase::Failed(why))
        {
            self.adopt_all(waiting);
        }
        self.events.push_back(Event::Failed(rref, why));
        self.settle_used(rref);
    }

    fn adopt_all(&mut self, waiting: Vec<(WorkerId, Transfer)>) {
        for (sender, transfer) in waiting {
            self.push(sender, Msg::Adopted { transfer });
        }
    }

    fn unpin(&mut self, to: WorkerId, transfer: Transfer) {
        let Some(rref) = self.peer(to).pinned.remove(&transfer) else { return };
        if let Some(owned) = self.owned.get_mut(&rref) {
            owned.pins -= 1;
        } else if let Some(used) = self.used.get_mut(&rref)
            && self.parents_wait
        {
            used.pins -= 1;
        }
        self.settle(rref);
    }

    fn settle(&mut self, rref: RRefId) {
        if rref.owner == self.me { self.settle_owned(rref) } else { self.settle_used(rref) }
    }

    fn settle_owned(&mut self, rref: RRefId) {
        if let Some(owned) = self.owned.get(&rref)
            && owned.is_free()
        {
            if owned.phase == owned::Phase::Held {
                self.events.push_back(Event::Free(rref));
            }
            self.owned.remove(&rref);
        }
    }

    fn settle_used(&mut self, rref: RRefId) {
        if let Some(used) = self.used.get(&rref)
            && used.is_done()
        {
            if used.phase == used::Phase::Listed {
                self.push(rref.owner, Msg::Release { rref });
            }
            self.used.remove(&rref);
        }
    }
}
