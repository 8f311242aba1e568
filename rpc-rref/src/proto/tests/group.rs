//! [`Group`]: a few tables, for schedules that are written by hand.

use std::collections::{BTreeMap, VecDeque};

use crate::proto::*;

pub(super) const OWNER: WorkerId = WorkerId(0);
pub(super) const ALICE: WorkerId = WorkerId(1);
pub(super) const BOB: WorkerId = WorkerId(2);
pub(super) const CAROL: WorkerId = WorkerId(3);

/// What is said stays in its queue until it is [delivered](Self::deliver).
#[derive(Debug)]
pub(super) struct Group {
    tables: Vec<Table<&'static str, ()>>,
    control: BTreeMap<(WorkerId, WorkerId), VecDeque<Msg>>,
}

/// A handle on its way.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sent {
    from: WorkerId,
    to: WorkerId,
    rref: RRefId,
    pub(super) transfer: Transfer,
}

impl Group {
    pub(super) fn new() -> Self {
        Self { tables: (0..4).map(|id| Table::new(WorkerId(id), 4)).collect(), control: BTreeMap::new() }
    }

    pub(super) fn at(&mut self, id: WorkerId) -> &mut Table<&'static str, ()> {
        &mut self.tables[id.0 as usize]
    }

    /// A value of the owner's with one handle there.
    pub(super) fn own(&mut self) -> RRefId {
        self.at(OWNER).own("value")
    }

    /// A creation that has run.
    pub(super) fn create(&mut self, creator: WorkerId) -> RRefId {
        let rref = self.ask(creator);
        assert!(self.creation_comes(rref));
        self.at(creator).created(rref);
        assert_eq!(self.events(creator), [Event::Confirmed(rref)]);
        rref
    }

    /// A creation whose request is on its way.
    pub(super) fn ask(&mut self, creator: WorkerId) -> RRefId {
        self.at(creator).create(OWNER, ()).expect("room")
    }

    /// The request arrives. Whether it may run.
    pub(super) fn creation_comes(&mut self, rref: RRefId) -> bool {
        let runs = self.at(OWNER).handle_create(rref.creator, rref).expect("a creator");
        if runs {
            *self.at(OWNER).owned_mut(rref).expect("it was made") = "value";
        }
        runs
    }

    pub(super) fn send(&mut self, from: WorkerId, rref: RRefId, to: WorkerId) -> Sent {
        let transfer = self.at(from).share(rref, to, None).expect("a handle that may be sent");
        Sent { from, to, rref, transfer }
    }

    pub(super) fn answer(&mut self, from: WorkerId, rref: RRefId, to: WorkerId, link: u32) -> Sent {
        let transfer = self.at(from).share(rref, to, Some(link)).expect("a handle that may be sent");
        Sent { from, to, rref, transfer }
    }

    /// The handle arrives. Whether it counts.
    pub(super) fn arrive(&mut self, sent: Sent) -> bool {
        self.at(sent.to).receive(sent.from, sent.rref, sent.transfer).expect("a handle")
    }

    /// Sends a handle, which arrives and is confirmed.
    pub(super) fn give(&mut self, from: WorkerId, rref: RRefId, to: WorkerId) {
        let sent = self.send(from, rref, to);
        assert!(self.arrive(sent));
        self.deliver_all();
        assert!(self.at(to).is_confirmed(rref));
        for id in [OWNER, from, to] {
            self.events(id);
        }
    }

    fn collect(&mut self) {
        for id in (0..4).map(WorkerId) {
            while let Some((to, msg)) = self.at(id).poll_transmit() {
                self.control.entry((id, to)).or_default().push_back(msg);
            }
        }
    }

    /// What `from` has said to `to` and has not been delivered.
    pub(super) fn said(&mut self, from: WorkerId, to: WorkerId) -> Vec<Msg> {
        self.collect();
        self.control.get(&(from, to)).into_iter().flatten().copied().collect()
    }

    /// Delivers all that `from` has said to `to`.
    pub(super) fn deliver(&mut self, from: WorkerId, to: WorkerId) {
        self.collect();
        for msg in self.control.remove(&(from, to)).into_iter().flatten() {
            self.at(to).handle(from, msg).expect("no violation");
        }
    }

    /// Loses all that `from` has said to `to`, which takes a death.
    pub(super) fn lose(&mut self, from: WorkerId, to: WorkerId) {
        self.collect();
        self.control.remove(&(from, to));
    }

    pub(super) fn deliver_all(&mut self) {
        self.collect();
        while let Some((from, to)) = self.control.keys().next().copied() {
            self.deliver(from, to);
            self.collect();
        }
    }

    pub(super) fn events(&mut self, id: WorkerId) -> Vec<Event<&'static str>> {
        std::iter::from_fn(|| self.at(id).poll_event()).collect()
    }

    /// Whether the owner has said that the value is free. Other events of its are lost.
    pub(super) fn is_freed(&mut self, rref: RRefId) -> bool {
        self.events(OWNER).contains(&Event::Free(rref, "value"))
    }

    /// All has been said, and nobody has anything left.
    pub(super) fn assert_idle(&mut self, ids: &[WorkerId]) {
        self.deliver_all();
        for id in ids {
            assert!(self.at(*id).is_idle(), "{id}: {self:#?}");
        }
    }
}
