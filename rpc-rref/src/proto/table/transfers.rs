//! Handles on their way: sent, adopted, lost, revoked.

use rpc_core::WorkerId;

use super::{Peer, Pin, Table, count_up};
use crate::proto::ids::{RRefId, Transfer};
use crate::proto::{Full, Msg, ShareError, Violation};

impl<O: Default, U: Default> Table<O, U> {
    /// A live handle is about to be sent to `to`. To be called before its message is queued. For a handle in
    /// an answer, `answer_on` is the number of the link that the request came on: when that link is down, now
    /// or [later](Self::link_down), the answer is lost. If `to` is known to be dead the message is to fail, and
    /// counts as failed.
    ///
    /// # Errors
    /// [`ShareError`]; nothing has changed.
    ///
    /// # Panics
    /// If there is no live handle, or `to` is not in the group: a bug of the driver.
    pub fn share(
        &mut self,
        rref: RRefId,
        to: WorkerId,
        answer_on: Option<u32>,
    ) -> Result<Transfer, ShareError> {
        assert!(self.is_member(to), "worker {to} is not in the group");
        if let Some(why) = self.failure(rref) {
            return Err(ShareError::Useless(why));
        }
        self.handles_mut(rref);
        let is_dead = self.dead.contains(&to);
        let window = self.limits.window;
        let peer = self.peer(to);
        if !is_dead && peer.oldest_pinned().is_some_and(|oldest| peer.sent - oldest >= window) {
            return Err(Full.into());
        }
        let transfer = Transfer(peer.sent);
        peer.sent += 1;
        peer.pinned.insert(transfer, Pin { rref, answer_on });
        peer.answers.extend(answer_on.map(|link| (link, transfer)));
        let is_lost = answer_on.is_some_and(|link| peer.down.is_some_and(|down| link <= down));
        self.pins += 1;
        if let Some(pins) = self.pins_mut(rref) {
            count_up(pins);
        }
        if is_dead {
            self.unpin(to, transfer);
        } else if is_lost {
            self.transfer_lost(to, transfer);
        }
        Ok(transfer)
    }

    /// The message that carries `transfer` to `to` has failed, or nobody knows. It may still arrive. Harmless
    /// if it has.
    pub fn transfer_lost(&mut self, to: WorkerId, transfer: Transfer) {
        let peer = self.peer(to);
        let Some(pin) = peer.pinned.get(&transfer) else { return };
        if let Some(link) = pin.answer_on {
            peer.answers.remove(&(link, transfer));
        }
        self.push(to, Msg::Revoke { transfer });
    }

    /// The links to `peer` with numbers up to `link` are down: answers to requests that came on them are lost
    /// unless they have arrived. Links of a pair are numbered upwards.
    pub fn link_down(&mut self, peer: WorkerId, link: u32) {
        let there = self.peer(peer);
        there.down = there.down.max(Some(link));
        loop {
            let answers = &mut self.peer(peer).answers;
            let Some((_, transfer)) = answers.first().copied().filter(|(number, _)| *number <= link) else {
                return;
            };
            answers.pop_first();
            self.push(peer, Msg::Revoke { transfer });
        }
    }

    /// A message of `from` has brought a handle. If true, it counts as one more handle here, to be dropped
    /// with [`drop_handle`](Self::drop_handle); it may be of no use, see [`failure`](Self::failure). False if it
    /// came before, has been taken back, or comes from the dead: it is none.
    ///
    /// # Errors
    /// [`Violation`]: a bug of the peer. Nothing has changed.
    pub fn receive(&mut self, from: WorkerId, rref: RRefId, transfer: Transfer) -> Result<bool, Violation> {
        for id in [from, rref.owner, rref.creator] {
            self.check_member(from, id)?;
        }
        if self.dead.contains(&from) || !self.note_received(from, transfer)? {
            return Ok(false);
        }
        if rref.creator == self.me && rref.number >= self.peer(rref.owner).asked {
            // Somebody forged it, perhaps not the sender. The id will be that of another value.
            self.push(from, Msg::Adopted { transfer });
            return Ok(false);
        }
        if rref.owner == self.me {
            self.receive_owned(from, rref, transfer);
        } else {
            self.receive_used(from, rref, transfer);
        }
        Ok(true)
    }

    pub(super) fn handle_adopted(&mut self, from: WorkerId, transfer: Transfer) -> Result<(), Violation> {
        if !self.peer(from).pinned.contains_key(&transfer) {
            return Err(Violation::NotSent { from, transfer });
        }
        self.unpin(from, transfer);
        Ok(())
    }

    pub(super) fn handle_revoke(&mut self, from: WorkerId, transfer: Transfer) -> Result<(), Violation> {
        // One that came before is adopted, or will be.
        if self.note_received(from, transfer)? {
            self.push(from, Msg::Adopted { transfer });
        }
        Ok(())
    }

    fn note_received(&mut self, from: WorkerId, Transfer(number): Transfer) -> Result<bool, Violation> {
        let window = self.limits.window;
        let noted = self.peer(from).received.insert(number, window);
        noted.map_err(|_| Violation::TooFarAhead { from, number })
    }

    /// `transfer` to `to` does not keep the value any more.
    pub(super) fn unpin(&mut self, to: WorkerId, transfer: Transfer) {
        let peer = self.peer(to);
        let Some(pin) = peer.pinned.remove(&transfer) else { return };
        if let Some(link) = pin.answer_on {
            peer.answers.remove(&(link, transfer));
        }
        self.pins -= 1;
        if let Some(pins) = self.pins_mut(pin.rref) {
            *pins -= 1;
        }
        self.settle(pin.rref);
    }

    fn pins_mut(&mut self, rref: RRefId) -> Option<&mut u32> {
        if rref.owner == self.me {
            return self.owned.get_mut(rref).map(|owned| &mut owned.pins);
        }
        #[cfg(test)]
        if !self.parents_wait {
            return None;
        }
        self.used.get_mut(rref).map(|used| &mut used.pins)
    }
}

impl Peer {
    fn oldest_pinned(&self) -> Option<u64> {
        self.pinned.first_key_value().map(|(transfer, _)| transfer.0)
    }
}
