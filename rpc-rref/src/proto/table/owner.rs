//! What the owner of a value does.

use rpc_core::WorkerId;

use super::{Table, count_up};
use crate::proto::ids::{RRefId, Registration, Transfer};
use crate::proto::owned::{Owned, Phase};
use crate::proto::{Event, Msg, Violation, Why};

impl<O: Default, U: Default> Table<O, U> {
    /// Shares a value of this worker's; returns its id, with one handle.
    pub fn own(&mut self, data: O) -> RRefId {
        let rref = self.next_rref(self.me);
        let window = self.limits.window;
        let noted = self.peer(self.me).created.insert(rref.number, window);
        debug_assert_eq!(noted, Ok(true), "own numbers have no gaps");
        self.owned.get_or_insert_with(rref, || Owned { data, handles: 1, ..Owned::new(Phase::Held) });
        rref
    }

    /// A request of `from` to create `rref` has come. False if it must not run: it came before, or was aborted.
    /// If true, `from` is listed, and the driver's data are to be set through
    /// [`owned_mut`](Self::owned_mut); they may have been made before, for a handle that came earlier.
    ///
    /// # Errors
    /// [`Violation`] if it is not for `from` to ask that of this worker.
    pub fn handle_create(&mut self, from: WorkerId, rref: RRefId) -> Result<bool, Violation> {
        self.check_created_by(from, rref)?;
        if self.dead.contains(&from) || !self.note_created(rref)? {
            return Ok(false);
        }
        let owned = self.owned.get_or_insert_with(rref, || Owned::new(Phase::Expected));
        owned.phase = Phase::Held;
        owned.users.insert(from);
        let confirmed = owned.handles > 0;
        self.list_parked(rref, |rref, id| Msg::Registered { rref, id });
        if confirmed {
            self.events.push_back(Event::Confirmed(rref));
        }
        Ok(true)
    }

    /// A handle to a value of this worker's has come back.
    pub(super) fn receive_owned(&mut self, from: WorkerId, rref: RRefId, transfer: Transfer) {
        self.push(from, Msg::Adopted { transfer });
        let is_lost = self.owned.get(rref).is_none() && !self.may_come(rref);
        let phase = if is_lost { Phase::Failed(Why::SenderLost) } else { Phase::Expected };
        count_up(&mut self.owned.get_or_insert_with(rref, || Owned::new(phase)).handles);
        if is_lost {
            self.events.push_back(Event::Failed(rref, Why::SenderLost));
        }
    }

    pub(super) fn handle_register(
        &mut self,
        from: WorkerId,
        rref: RRefId,
        id: Registration,
    ) -> Result<(), Violation> {
        self.check_owned(from, rref)?;
        let is_expected = match self.owned.get(rref) {
            Some(owned) => owned.phase == Phase::Expected,
            None => self.may_come(rref),
        };
        if is_expected {
            return self.park(from, rref, id);
        }
        let answer = match self.owned.get_mut(rref) {
            Some(owned) if owned.users.contains(from) => {
                return Err(Violation::RegisteredTwice { from, rref });
            }
            Some(Owned { phase: Phase::Held, users, .. }) => {
                users.insert(from);
                Msg::Registered { rref, id }
            }
            Some(Owned { phase: Phase::Failed(Why::NotCreated), users, .. }) => {
                users.insert(from);
                Msg::NotCreated { rref, id }
            }
            // Its sender's death let it be freed. Or somebody forged it.
            _ => Msg::Gone { rref, id },
        };
        self.push(from, answer);
        Ok(())
    }

    fn park(&mut self, from: WorkerId, rref: RRefId, id: Registration) -> Result<(), Violation> {
        if self.owned.get(rref).is_some_and(|owned| owned.is_parked(from)) {
            return Err(Violation::RegisteredTwice { from, rref });
        }
        let limit = self.limits.parked;
        let peer = self.peer(from);
        if peer.parked >= limit {
            // No violation: somebody else may have forged the handles.
            self.push(from, Msg::Gone { rref, id });
            return Ok(());
        }
        peer.parked += 1;
        self.owned.get_or_insert_with(rref, || Owned::new(Phase::Expected)).park(from, id);
        Ok(())
    }

    pub(super) fn handle_release(&mut self, from: WorkerId, rref: RRefId) -> Result<(), Violation> {
        self.check_owned(from, rref)?;
        if self.remove_user(from, rref) { Ok(()) } else { Err(Violation::NotAUser { from, rref }) }
    }

    /// Forgets a user, also one that waits for the creation. Whether there was one.
    pub(super) fn remove_user(&mut self, user: WorkerId, rref: RRefId) -> bool {
        let Some(owned) = self.owned.get_mut(rref) else { return false };
        let parked = owned.unpark(user);
        let listed = owned.users.remove(user);
        if parked {
            self.peer(user).parked -= 1;
        }
        if parked || listed {
            self.settle_owned(rref);
        }
        parked || listed
    }

    /// The creator stays a user until it releases, as if it had created: handles that it sent may be on
    /// their way.
    pub(super) fn handle_abort(&mut self, from: WorkerId, rref: RRefId) -> Result<(), Violation> {
        self.check_created_by(from, rref)?;
        if self.note_created(rref)? {
            self.owned.get_or_insert_with(rref, || Owned::new(Phase::Expected)).users.insert(from);
            self.not_created(rref);
        } else if !self.owned.get(rref).is_some_and(|owned| owned.users.contains(from)) {
            return Err(Violation::NotAUser { from, rref });
        }
        self.push(from, Msg::Aborted { rref });
        Ok(())
    }

    /// The creation of an expected value will not come.
    pub(super) fn not_created(&mut self, rref: RRefId) {
        let Some(owned) = self.owned.get_mut(rref) else { return };
        owned.phase = Phase::Failed(Why::NotCreated);
        self.events.push_back(Event::Failed(rref, Why::NotCreated));
        self.list_parked(rref, |rref, id| Msg::NotCreated { rref, id });
        self.settle_owned(rref);
    }

    /// The wait for the creation is over: those that registered meanwhile are listed and answered.
    fn list_parked(&mut self, rref: RRefId, answer: impl Fn(RRefId, Registration) -> Msg) {
        let Some(owned) = self.owned.get_mut(rref) else { return };
        let Some(parked) = owned.parked.take() else { return };
        for (user, _) in &parked.0 {
            owned.users.insert(*user);
        }
        for (user, id) in parked.0 {
            self.peer(user).parked -= 1;
            self.push(user, answer(rref, id));
        }
    }

    pub(super) fn settle_owned(&mut self, rref: RRefId) {
        if self.owned.get(rref).is_some_and(Owned::is_free)
            && let Some(owned) = self.owned.remove(rref)
        {
            self.events.push_back(Event::Free(rref, owned.data));
        }
    }

    /// Whether `rref`, of which nothing is known, may be created yet.
    pub(super) fn may_come(&self, rref: RRefId) -> bool {
        let RRefId { creator, number, .. } = rref;
        let is_possible = creator != self.me && self.is_member(creator) && !self.dead.contains(&creator);
        is_possible
            && match self.known(creator) {
                Some(peer) => {
                    !peer.created.contains(number) && peer.created.is_within(number, self.limits.window)
                }
                None => number < self.limits.window,
            }
    }

    /// Notes that `rref` has been created, or will not be. False if that was known.
    fn note_created(&mut self, rref: RRefId) -> Result<bool, Violation> {
        let window = self.limits.window;
        let noted = self.peer(rref.creator).created.insert(rref.number, window);
        noted.map_err(|_| Violation::TooFarAhead { from: rref.creator, number: rref.number })
    }

    /// `from` says that it is for this worker to hold `rref`.
    fn check_owned(&self, from: WorkerId, rref: RRefId) -> Result<(), Violation> {
        self.check_member(from, rref.creator)?;
        if rref.owner == self.me { Ok(()) } else { Err(Violation::NotOwner { from, rref }) }
    }

    fn check_created_by(&self, from: WorkerId, rref: RRefId) -> Result<(), Violation> {
        self.check_member(from, from)?;
        self.check_owned(from, rref)?;
        if rref.creator == from { Ok(()) } else { Err(Violation::NotCreator { from, rref }) }
    }
}
