//! What a user of another worker's value does.

use rpc_core::WorkerId;

use super::{Table, count_up};
use crate::proto::ids::{RRefId, Registration, Transfer};
use crate::proto::used::{Phase, Used};
use crate::proto::{Event, Full, Msg, Violation, Why};

impl<O: Default, U: Default> Table<O, U> {
    /// Asks `owner` for a value; returns its id, with one handle. The request is to carry the id; its end is
    /// to be told with [`created`](Self::created) or [`creation_failed`](Self::creation_failed). If the owner is
    /// known to be dead the handle is of no use from the start.
    ///
    /// # Errors
    /// [`Full`] while 16 million values have been asked of `owner` since the oldest whose creation has not
    /// ended.
    ///
    /// # Panics
    /// If `owner` is this worker, or not in the group: a bug of the driver.
    pub fn create(&mut self, owner: WorkerId, data: U) -> Result<RRefId, Full> {
        assert!(owner != self.me, "own values are shared with own()");
        assert!(self.is_member(owner), "worker {owner} is not in the group");
        let is_dead = self.dead.contains(&owner);
        let window = self.limits.window;
        let peer = self.peer(owner);
        if !is_dead && !peer.settled.is_within(peer.asked, window) {
            return Err(Full);
        }
        let rref = self.next_rref(owner);
        let phase = if is_dead {
            self.events.push_back(Event::Failed(rref, Why::OwnerLost));
            Phase::Failed { why: Why::OwnerLost, listed: false }
        } else {
            Phase::Creating
        };
        self.used.get_or_insert_with(rref, || Used::new(phase, data));
        Ok(rref)
    }

    pub(super) fn next_rref(&mut self, owner: WorkerId) -> RRefId {
        let creator = self.me;
        let peer = self.peer(owner);
        let number = peer.asked;
        peer.asked += 1;
        RRefId { owner, creator, number }
    }

    /// The request of [`create`](Self::create) has been answered: the owner has the value, or the error that
    /// its function ended with. Or another request about that value has, which the owner would not do before.
    pub fn created(&mut self, rref: RRefId) {
        if let Some(used) = self.used.get_mut(rref)
            && used.phase == Phase::Creating
        {
            used.phase = Phase::Listed { by: None };
            self.settle_creation(rref);
            self.events.push_back(Event::Confirmed(rref));
            self.settle_used(rref);
        }
    }

    /// The request of [`create`](Self::create) has failed, or nobody knows. It may still arrive.
    pub fn creation_failed(&mut self, rref: RRefId) {
        if self.used.get(rref).is_some_and(|used| used.phase == Phase::Creating) {
            self.push(rref.owner, Msg::Abort { rref });
            self.fail_used(rref, Why::NotCreated, true);
        }
    }

    pub(super) fn handle_aborted(&mut self, from: WorkerId, rref: RRefId) -> Result<(), Violation> {
        if rref.owner != from || rref.creator != self.me || rref.number >= self.peer(from).asked {
            return Err(Violation::NotAsked { from, rref });
        }
        self.settle_creation(rref);
        Ok(())
    }

    /// The owner has noted the number of `rref`.
    fn settle_creation(&mut self, rref: RRefId) {
        let window = self.limits.window;
        let noted = self.peer(rref.owner).settled.insert(rref.number, window);
        debug_assert!(noted.is_ok(), "create() keeps to the window");
    }

    /// A handle to another worker's value has come. The sender is told `Adopted` once the owner lists this
    /// worker.
    pub(super) fn receive_used(&mut self, from: WorkerId, rref: RRefId, transfer: Transfer) {
        let by_owner = from == rref.owner;
        let is_owner_dead = self.dead.contains(&rref.owner);
        let Some(used) = self.used.get_mut(rref) else {
            self.receive_first(from, rref, transfer);
            return;
        };
        count_up(&mut used.handles);
        match &mut used.phase {
            Phase::Registering { waiting, .. } if !by_owner => waiting.push((from, transfer)),
            Phase::Registering { .. } => {
                self.confirm(rref);
                self.push(from, Msg::Adopted { transfer });
            }
            // This handle has another sender: the value may be there.
            Phase::Failed { why: Why::SenderLost, .. } if !is_owner_dead => {
                let phase = self.register(from, rref, transfer);
                if let Some(used) = self.used.get_mut(rref) {
                    used.phase = phase;
                }
                if by_owner {
                    self.events.push_back(Event::Confirmed(rref));
                }
            }
            Phase::Creating | Phase::Listed { .. } | Phase::Failed { .. } => {
                self.push(from, Msg::Adopted { transfer });
            }
        }
    }

    /// The first handle here to that value.
    fn receive_first(&mut self, from: WorkerId, rref: RRefId, transfer: Transfer) {
        let phase = if self.dead.contains(&rref.owner) {
            self.push(from, Msg::Adopted { transfer });
            self.events.push_back(Event::Failed(rref, Why::OwnerLost));
            Phase::Failed { why: Why::OwnerLost, listed: false }
        } else {
            self.register(from, rref, transfer)
        };
        self.used.get_or_insert_with(rref, || Used::new(phase, U::default()));
    }

    fn register(&mut self, from: WorkerId, rref: RRefId, transfer: Transfer) -> Phase {
        let id = Registration(self.registrations);
        self.registrations += 1;
        self.push(rref.owner, Msg::Register { rref, id });
        if from == rref.owner {
            // The owner has pinned it, and hears of the registration before it hears of the adoption.
            self.push(from, Msg::Adopted { transfer });
            Phase::Listed { by: Some(id) }
        } else {
            Phase::Registering { id, waiting: vec![(from, transfer)] }
        }
    }

    pub(super) fn handle_registered(
        &mut self,
        from: WorkerId,
        rref: RRefId,
        id: Registration,
    ) -> Result<(), Violation> {
        check_owner(from, rref)?;
        if self.is_registering(rref, id) {
            self.confirm(rref);
            self.settle_used(rref);
        }
        Ok(())
    }

    pub(super) fn handle_not_created(
        &mut self,
        from: WorkerId,
        rref: RRefId,
        id: Registration,
    ) -> Result<(), Violation> {
        check_owner(from, rref)?;
        // The owner may have passed the handle on before it knew.
        let listed = Phase::Listed { by: Some(id) };
        if self.is_registering(rref, id) || self.used.get(rref).is_some_and(|used| used.phase == listed) {
            self.fail_used(rref, Why::NotCreated, true);
        }
        Ok(())
    }

    pub(super) fn handle_gone(
        &mut self,
        from: WorkerId,
        rref: RRefId,
        id: Registration,
    ) -> Result<(), Violation> {
        check_owner(from, rref)?;
        if self.is_registering(rref, id) {
            self.fail_used(rref, Why::SenderLost, false);
        }
        Ok(())
    }

    fn is_registering(&self, rref: RRefId, id: Registration) -> bool {
        let phase = self.used.get(rref).map(|used| &used.phase);
        matches!(phase, Some(Phase::Registering { id: current, .. }) if *current == id)
    }

    /// The owner lists this worker: tells the senders that wait for that.
    fn confirm(&mut self, rref: RRefId) {
        let Some(used) = self.used.get_mut(rref) else { return };
        let Phase::Registering { id, waiting } = &mut used.phase else { return };
        let (id, waiting) = (*id, std::mem::take(waiting));
        used.phase = Phase::Listed { by: Some(id) };
        self.adopt_all(waiting);
        self.events.push_back(Event::Confirmed(rref));
    }

    /// This worker's handles have become of no use; the owner lists it all the same, if so said.
    pub(super) fn fail_used(&mut self, rref: RRefId, why: Why, listed: bool) {
        let Some(used) = self.used.get_mut(rref) else { return };
        if matches!(used.phase, Phase::Failed { .. }) {
            return;
        }
        if let Phase::Registering { waiting, .. } =
            std::mem::replace(&mut used.phase, Phase::Failed { why, listed })
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

    /// RC-2: a user releases when it is listed, nothing is pinned, and no handle needs the value.
    pub(super) fn settle_used(&mut self, rref: RRefId) {
        let Some(used) = self.used.get_mut(rref) else { return };
        if used.pins > 0 {
            return;
        }
        let is_done = used.handles == 0;
        let releases = match &mut used.phase {
            Phase::Creating | Phase::Registering { .. } => return,
            Phase::Listed { .. } => is_done,
            Phase::Failed { listed, .. } => std::mem::take(listed),
        };
        if releases {
            self.push(rref.owner, Msg::Release { rref });
        }
        if is_done {
            self.used.remove(rref);
        }
    }
}

fn check_owner(from: WorkerId, rref: RRefId) -> Result<(), Violation> {
    if rref.owner == from { Ok(()) } else { Err(Violation::SpokeForOwner { from, rref }) }
}
