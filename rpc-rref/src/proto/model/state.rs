//! [`State`]: the tables of all workers, what is on its way between them, and what may happen next.

use std::collections::BTreeSet;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use crate::proto::table::canonical::Names;
use crate::proto::*;

pub(super) const N: usize = 4;
pub(super) const OWNER: WorkerId = WorkerId(0);
pub(super) const CREATOR: WorkerId = WorkerId(1);

#[derive(Clone, Debug)]
pub(super) struct State {
    rref: RRefId,
    /// With the value, whether it has been created.
    tables: [Arc<Table<bool, ()>>; N],
    /// Live handles of each worker.
    handles: [u8; N],
    pub(super) net: Vec<Packet>,
    /// From the one to the other.
    control: [[Vec<Msg>; N]; N],
    pub(super) transfers: u8,
    pub(super) given_up: u8,
    pub(super) crashed: Option<WorkerId>,
    /// Who has not heard of the crash.
    pub(super) unaware: BTreeSet<WorkerId>,
    pub(super) freed: bool,
    /// Somebody crashed on whom others depended: they may find the value gone.
    bereft: bool,
    pub(super) violation: bool,
    /// Stands for this state, and for all that differ from it in names only.
    canonical: u64,
}

/// A message of the application.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Packet {
    Handle { from: WorkerId, to: WorkerId, transfer: Transfer },
    Create,
    Created,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Action {
    Share(WorkerId, WorkerId),
    Drop(WorkerId),
    Deliver(Packet),
    /// The sender gives up on it, and it is lost or not.
    GiveUp(Packet, bool),
    /// The next message of the protocol from the one to the other is taken.
    Control(WorkerId, WorkerId),
    Crash(WorkerId),
    Hear(WorkerId),
}

/// What stateright takes for the state.
impl Hash for State {
    fn hash<H: Hasher>(&self, hasher: &mut H) {
        self.canonical.hash(hasher);
    }
}

impl PartialEq for State {
    fn eq(&self, other: &Self) -> bool {
        self.canonical == other.canonical
    }
}

pub(super) fn workers() -> impl Iterator<Item = WorkerId> {
    (0..N as u32).map(WorkerId)
}

impl State {
    /// The owner has the value, or the first user has just asked for it.
    pub(super) fn new(created_by_user: bool, parents_wait: bool) -> Self {
        let mut tables = [0, 1, 2, 3].map(|id| {
            let mut table = Table::new(WorkerId(id), N as u32);
            table.parents_wait = parents_wait;
            table
        });
        let (rref, holder) = if created_by_user {
            (tables[1].create(OWNER, ()).expect("room"), CREATOR)
        } else {
            (tables[0].own(true), OWNER)
        };
        let mut state = Self {
            rref,
            tables: tables.map(Arc::new),
            handles: [0; N],
            net: if created_by_user { vec![Packet::Create] } else { Vec::new() },
            control: Default::default(),
            transfers: 0,
            given_up: 0,
            crashed: None,
            unaware: BTreeSet::new(),
            freed: false,
            bereft: false,
            violation: false,
            canonical: 0,
        };
        state.handles[index(holder)] = 1;
        state.run();
        state
    }

    fn at(&self, id: WorkerId) -> &Table<bool, ()> {
        &self.tables[index(id)]
    }

    fn table(&mut self, id: WorkerId) -> &mut Table<bool, ()> {
        Arc::make_mut(&mut self.tables[index(id)])
    }

    pub(super) fn lives(&self, id: WorkerId) -> bool {
        self.crashed != Some(id)
    }

    pub(super) fn has_handle(&self, id: WorkerId) -> bool {
        self.handles[index(id)] > 0
    }

    /// Whether worker `id` has a handle that may be sent.
    pub(super) fn may_share(&self, id: WorkerId) -> bool {
        self.has_handle(id) && self.at(id).failure(self.rref).is_none()
    }

    /// Pairs between which there are messages of the protocol, with the next of them.
    pub(super) fn control(&self) -> impl Iterator<Item = (WorkerId, WorkerId, Msg)> {
        let pairs = workers().flat_map(|from| workers().map(move |to| (from, to)));
        pairs.filter_map(|(from, to)| Some((from, to, *self.control[index(from)][index(to)].first()?)))
    }

    pub(super) fn apply(&mut self, action: Action) {
        let rref = self.rref;
        match action {
            Action::Share(from, to) => self.share(from, to),
            Action::Drop(id) => {
                self.handles[index(id)] -= 1;
                self.table(id).drop_handle(rref);
            }
            Action::Deliver(packet) => {
                self.net.retain(|other| *other != packet);
                self.deliver(packet);
            }
            Action::GiveUp(packet, lost) => {
                self.given_up += 1;
                match packet {
                    Packet::Handle { from, to, transfer } => self.table(from).transfer_lost(to, transfer),
                    Packet::Create | Packet::Created => self.table(CREATOR).creation_failed(rref),
                }
                if lost {
                    self.net.retain(|other| *other != packet);
                }
            }
            Action::Control(from, to) => {
                let msg = self.control[index(from)][index(to)].remove(0);
                self.violation |= self.table(to).handle(from, msg).is_err();
            }
            Action::Crash(id) => self.crash(id),
            Action::Hear(id) => self.hear(id),
        }
        self.run();
    }

    fn share(&mut self, from: WorkerId, to: WorkerId) {
        self.transfers += 1;
        let rref = self.rref;
        let transfer = self.table(from).share(rref, to, None).expect("there is a handle");
        if self.lives(to) {
            self.net.push(Packet::Handle { from, to, transfer });
        }
    }

    fn deliver(&mut self, packet: Packet) {
        let rref = self.rref;
        match packet {
            Packet::Handle { from, to, transfer } => match self.table(to).receive(from, rref, transfer) {
                Ok(true) if self.has_handle(to) => self.table(to).drop_handle(rref),
                Ok(is_taken) => self.handles[index(to)] += u8::from(is_taken),
                Err(_) => self.violation = true,
            },
            Packet::Create => match self.table(OWNER).handle_create(CREATOR, rref) {
                Ok(true) => {
                    *self.table(OWNER).owned_mut(rref).expect("it was made") = true;
                    if self.lives(CREATOR) {
                        self.net.push(Packet::Created);
                    }
                }
                Ok(false) => {}
                Err(_) => self.violation = true,
            },
            Packet::Created => self.table(CREATOR).created(rref),
        }
    }

    fn crash(&mut self, dead: WorkerId) {
        self.crashed = Some(dead);
        self.bereft = self.at(dead).with_dependents().count() > 0;
        self.handles[index(dead)] = 0;
        self.discard(|_, to| to == dead);
        self.unaware = workers().filter(|id| *id != dead).collect();
    }

    fn hear(&mut self, id: WorkerId) {
        let dead = self.crashed.expect("somebody has crashed");
        self.unaware.remove(&id);
        self.table(id).peer_dead(dead);
        // The table would ignore it.
        self.discard(|from, to| from == dead && to == id);
    }

    /// Nothing arrives between these any more.
    fn discard(&mut self, is_cut: impl Fn(WorkerId, WorkerId) -> bool) {
        self.net.retain(|packet| {
            let (from, to) = packet.ends();
            !is_cut(from, to)
        });
        for from in workers() {
            for to in workers().filter(|to| is_cut(from, *to)) {
                self.control[index(from)][index(to)].clear();
            }
        }
    }

    /// Does what the tables say. Those of the dead say nothing.
    fn run(&mut self) {
        for id in workers() {
            if self.at(id).is_polled() {
                continue;
            }
            while let Some((to, msg)) = self.table(id).poll_transmit() {
                if self.lives(id) && self.lives(to) {
                    self.control[index(id)][index(to)].push(msg);
                }
            }
            while let Some(event) = self.table(id).poll_event() {
                self.freed |= matches!(event, Event::Free(_, true));
            }
        }
        self.canonical = self.canonical();
    }

    /// The same for all states that differ in the names of users alone, in what is counted from where, or in
    /// the table of the dead.
    fn canonical(&self) -> u64 {
        let tables = [0, 1, 2, 3].map(|id: usize| &*self.tables[id]);
        let mut users = [1, 2, 3].map(|id| (self.outline(WorkerId(id)), WorkerId(id)));
        users.sort_unstable();
        let hash = |[a, b, c]: [usize; 3]| {
            let order = [OWNER, users[a].1, users[b].1, users[c].1];
            self.hash_renamed(Names { tables: &tables, order: &order })
        };
        // Users that look alike may stand in any order.
        let alike = |a: usize, b: usize| users[a].0 == users[b].0;
        let orders: &[[usize; 3]] = match (alike(0, 1), alike(1, 2)) {
            (false, false) => &[[0, 1, 2]],
            (true, false) => &[[0, 1, 2], [1, 0, 2]],
            (false, true) => &[[0, 1, 2], [0, 2, 1]],
            (true, true) => &[[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]],
        };
        orders.iter().copied().map(hash).min().unwrap_or(0)
    }

    /// What a user looks like to somebody who cannot tell the others apart. A creator is no user like others.
    fn outline(&self, id: WorkerId) -> impl Ord + use<> {
        let at = index(id);
        let toward: usize = (0..N).map(|from| self.control[from][at].len()).sum();
        let away: usize = self.control[at].iter().map(Vec::len).sum();
        let expected = self.net.iter().filter(|packet| packet.ends().1 == id).count();
        let sent = self.net.iter().filter(|packet| packet.ends().0 == id).count();
        let is_creator = self.rref.creator == id;
        let is_unaware = self.unaware.contains(&id);
        let flags = (is_creator, self.lives(id), is_unaware, self.at(id).is_idle());
        (
            flags,
            self.handles[at],
            toward,
            away,
            expected,
            sent,
            self.control[at][0].len(),
            self.control[0][at].len(),
        )
    }

    /// Whether worker `id` has, or may still get without a new transfer, anything to do with the value.
    pub(super) fn is_involved(&self, id: WorkerId) -> bool {
        let at = index(id);
        let has_mail =
            (0..N).any(|from| !self.control[from][at].is_empty() || !self.control[at][from].is_empty());
        let is_sent = self.net.iter().any(|packet| packet.ends().0 == id || packet.ends().1 == id);
        has_mail
            || is_sent
            || !self.at(id).is_idle()
            || self.at(OWNER).iter_owned().any(|(_, _, users)| users.contains(&id))
    }

    fn hash_renamed(&self, names: Names<'_>) -> u64 {
        let mut hasher = DefaultHasher::new();
        (self.transfers, self.given_up, self.freed, self.bereft, self.violation).hash(&mut hasher);
        self.crashed.map(|id| names.worker(id)).hash(&mut hasher);
        for &id in names.order {
            if self.lives(id) {
                (self.handles[index(id)], self.unaware.contains(&id)).hash(&mut hasher);
                self.at(id).hash_renamed(self.rref, names, &mut hasher);
            }
            for &from in names.order {
                for msg in &self.control[index(from)][index(id)] {
                    hash_msg(*msg, from, id, names, &mut hasher);
                }
                u8::MAX.hash(&mut hasher);
            }
        }
        let mut net: Vec<_> = self.net.iter().map(|packet| packet.renamed(names)).collect();
        net.sort_unstable();
        net.hash(&mut hasher);
        hasher.finish()
    }

    fn is_quiet(&self) -> bool {
        self.net.is_empty() && self.control().next().is_none() && self.unaware.is_empty()
    }

    /// RC-1
    pub(super) fn frees_early(&self) -> bool {
        if !self.freed || self.bereft || !self.lives(OWNER) {
            return false;
        }
        let is_coming = |packet: &Packet| match packet {
            Packet::Handle { from, to, transfer } => !self.at(*to).has_received(*from, *transfer),
            Packet::Create | Packet::Created => false,
        };
        workers().any(|id| self.may_share(id)) || self.net.iter().any(is_coming)
    }

    /// RC-3
    pub(super) fn leaks(&self) -> bool {
        let mut living = workers().filter(|id| self.lives(*id));
        self.is_quiet()
            && self.handles == [0; N]
            && living.any(|id| !self.at(id).is_idle() || self.at(id).gaps() > 0)
    }

    /// RC-4
    pub(super) fn waits_for_ever(&self) -> bool {
        self.is_quiet() && workers().any(|id| self.may_share(id) && !self.at(id).is_confirmed(self.rref))
    }

    /// What is confirmed on a worker is not there for it.
    pub(super) fn is_confirmed_in_vain(&self) -> bool {
        let is_confirmed = |id| self.has_handle(id) && self.at(id).is_confirmed(self.rref);
        let may_use = |id| self.at(OWNER).access(id, self.rref) == Access::Yes;
        let excused = !self.is_quiet() || !self.lives(OWNER) || self.bereft;
        !excused && workers().any(|id| is_confirmed(id) && !may_use(id))
    }
}

impl Packet {
    pub(super) fn ends(self) -> (WorkerId, WorkerId) {
        match self {
            Self::Handle { from, to, .. } => (from, to),
            Self::Create => (CREATOR, OWNER),
            Self::Created => (OWNER, CREATOR),
        }
    }

    fn renamed(self, names: Names<'_>) -> (Option<usize>, Option<usize>, u64) {
        let (from, to) = self.ends();
        let number = match self {
            Self::Handle { from, to, transfer } => names.transfer(from, to, transfer),
            Self::Create | Self::Created => 0,
        };
        (names.worker(from), names.worker(to), number)
    }
}

fn hash_msg(msg: Msg, from: WorkerId, to: WorkerId, names: Names<'_>, hasher: &mut impl Hasher) {
    std::mem::discriminant(&msg).hash(hasher);
    let number = match msg {
        Msg::Register { id, .. } => names.registration(from, id),
        Msg::Registered { id, .. } | Msg::NotCreated { id, .. } | Msg::Gone { id, .. } => {
            names.registration(to, id)
        }
        Msg::Adopted { transfer } => names.transfer(to, from, transfer),
        Msg::Revoke { transfer } => names.transfer(from, to, transfer),
        Msg::Release { .. } | Msg::Abort { .. } | Msg::Aborted { .. } => 0,
    };
    number.hash(hasher);
}

fn index(id: WorkerId) -> usize {
    id.0 as usize
}
