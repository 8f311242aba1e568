//! [`World`]: all workers' tables over a network that delays, reorders, repeats and loses; links go down,
//! workers die, and some are only taken for dead.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use proptest::sample::Index;

use super::steps::Step;
use crate::proto::*;

/// A message of the application.
#[derive(Clone, Copy, Debug)]
enum Packet {
    Handle { from: WorkerId, to: WorkerId, rref: RRefId, transfer: Transfer, answer_on: Option<u32> },
    Create { rref: RRefId },
    Created { rref: RRefId },
}

/// What a worker has not heard of yet.
#[derive(Clone, Copy, Debug)]
enum News {
    LinkDown(u32),
    Dead,
}

#[derive(Debug)]
pub(super) struct World {
    /// With each value, whether it has been created.
    tables: Vec<Table<bool, ()>>,
    alive: Vec<bool>,
    /// Live handles.
    handles: Vec<(WorkerId, RRefId)>,
    net: Vec<Packet>,
    control: BTreeMap<(WorkerId, WorkerId), VecDeque<Msg>>,
    /// How many links each pair has had, the present one included; the smaller id first.
    links: BTreeMap<(WorkerId, WorkerId), u32>,
    /// What the first will hear of the second.
    news: Vec<(WorkerId, WorkerId, News)>,
    freed: BTreeSet<RRefId>,
    /// Values that lost a worker which others depended on: their users may find them gone.
    bereft: BTreeSet<RRefId>,
    deaths: usize,
}

impl World {
    pub(super) fn new(workers: u32, parents_wait: bool) -> Self {
        let table = |id| {
            let mut table = Table::new(WorkerId(id), workers);
            table.parents_wait = parents_wait;
            table
        };
        Self {
            tables: (0..workers).map(table).collect(),
            alive: vec![true; workers as usize],
            handles: Vec::new(),
            net: Vec::new(),
            control: BTreeMap::new(),
            links: BTreeMap::new(),
            news: Vec::new(),
            freed: BTreeSet::new(),
            bereft: BTreeSet::new(),
            deaths: 0,
        }
    }

    fn table(&mut self, id: WorkerId) -> &mut Table<bool, ()> {
        &mut self.tables[id.0 as usize]
    }

    fn at(&self, id: WorkerId) -> &Table<bool, ()> {
        &self.tables[id.0 as usize]
    }

    fn lives(&self, id: WorkerId) -> bool {
        self.alive[id.0 as usize]
    }

    fn worker(&self, at: Index) -> WorkerId {
        WorkerId(at.index(self.tables.len()) as u32)
    }

    fn living(&self) -> Vec<WorkerId> {
        (0..self.tables.len() as u32).map(WorkerId).filter(|id| self.lives(*id)).collect()
    }

    pub(super) fn apply(&mut self, step: Step) {
        match step {
            Step::Own(at) => {
                let worker = self.worker(at);
                if self.lives(worker) {
                    let rref = self.table(worker).own(true);
                    self.handles.push((worker, rref));
                }
            }
            Step::Create(creator, owner) => self.create(self.worker(creator), self.worker(owner)),
            Step::Share(at, to) => {
                if let Some((from, rref)) = pick(&self.handles, at) {
                    self.share(from, rref, self.worker(to), None);
                }
            }
            Step::Answer(at, to, late) => {
                if let Some((from, rref)) = pick(&self.handles, at) {
                    let to = self.worker(to);
                    let newest = *self.links.entry(pair(from, to)).or_insert(1);
                    let link = if late && newest > 1 { newest - 1 } else { newest };
                    self.share(from, rref, to, Some(link));
                }
            }
            Step::Clone(at) => {
                if let Some((worker, rref)) = pick(&self.handles, at) {
                    self.table(worker).clone_handle(rref);
                    self.handles.push((worker, rref));
                }
            }
            Step::Drop(at) if !self.handles.is_empty() => {
                let (worker, rref) = self.handles.swap_remove(at.index(self.handles.len()));
                self.table(worker).drop_handle(rref);
            }
            Step::Deliver(at, again) if !self.net.is_empty() => {
                let at = at.index(self.net.len());
                let packet = if again { self.net[at] } else { self.net.swap_remove(at) };
                self.deliver(packet);
            }
            Step::Control(at) => {
                let busy: Vec<_> =
                    self.control.iter().filter(|(_, queue)| !queue.is_empty()).map(|(k, _)| *k).collect();
                if let Some(between) = pick(&busy, at) {
                    self.control_next(between);
                }
            }
            Step::GiveUp(at, lost) if !self.net.is_empty() => self.give_up(at.index(self.net.len()), lost),
            Step::LinkDown(a, b, lost) => self.link_down(self.worker(a), self.worker(b), lost),
            Step::Hear(at, cut) if !self.news.is_empty() => self.hear(at.index(self.news.len()), Some(cut)),
            Step::Die(at, cut, lost) if self.deaths < 2 => self.die(self.worker(at), cut, lost),
            Step::TakeForDead(a, b) if self.deaths < 2 => self.take_for_dead(self.worker(a), self.worker(b)),
            _ => {}
        }
        self.run();
    }

    fn create(&mut self, creator: WorkerId, owner: WorkerId) {
        if !self.lives(creator) || creator == owner {
            return;
        }
        let rref = self.table(creator).create(owner, ()).expect("room");
        self.handles.push((creator, rref));
        if self.lives(owner) {
            self.net.push(Packet::Create { rref });
        }
    }

    fn share(&mut self, from: WorkerId, rref: RRefId, to: WorkerId, answer_on: Option<u32>) {
        let Ok(transfer) = self.table(from).share(rref, to, answer_on) else { return };
        let link_is_down = answer_on
            .is_some_and(|link| self.links.get(&pair(from, to)).is_some_and(|newest| link < *newest));
        if self.at(from).is_dead(to) {
            self.bereft.insert(rref);
        }
        if self.lives(to) && !link_is_down {
            self.net.push(Packet::Handle { from, to, rref, transfer, answer_on });
        }
    }

    fn deliver(&mut self, packet: Packet) {
        match packet {
            Packet::Handle { from, to, rref, transfer, .. } => {
                if self.lives(to) && self.table(to).receive(from, rref, transfer).expect("a handle") {
                    self.handles.push((to, rref));
                }
            }
            Packet::Create { rref } => {
                if self.lives(rref.owner)
                    && self.table(rref.owner).handle_create(rref.creator, rref).expect("a creator")
                {
                    *self.table(rref.owner).owned_mut(rref).expect("it was made") = true;
                    self.net.push(Packet::Created { rref });
                }
            }
            Packet::Created { rref } => {
                if self.lives(rref.creator) {
                    self.table(rref.creator).created(rref);
                }
            }
        }
    }

    fn give_up(&mut self, at: usize, lost: bool) {
        match self.net[at] {
            Packet::Handle { from, to, transfer, .. } if self.lives(from) => {
                self.table(from).transfer_lost(to, transfer);
            }
            Packet::Create { rref } | Packet::Created { rref } if self.lives(rref.creator) => {
                self.table(rref.creator).creation_failed(rref);
            }
            _ => {}
        }
        if lost {
            self.net.swap_remove(at);
        }
    }

    /// Answers are lost, or were read just before.
    fn link_down(&mut self, a: WorkerId, b: WorkerId, lost: bool) {
        if a == b {
            return;
        }
        let newest = self.links.entry(pair(a, b)).or_insert(1);
        let link = *newest;
        *newest += 1;
        self.net.retain(|packet| {
            let Packet::Handle { from, to, answer_on, .. } = packet else { return true };
            !(lost && pair(*from, *to) == pair(a, b) && *answer_on == Some(link))
        });
        for (hears, of) in [(a, b), (b, a)] {
            if self.lives(hears) {
                self.news.push((hears, of, News::LinkDown(link)));
            }
        }
    }

    /// If it is of a death, `cut` says how much of what was sent to the dead will still arrive; else all does.
    fn hear(&mut self, at: usize, cut: Option<Index>) {
        match self.news.swap_remove(at) {
            (hears, of, News::LinkDown(link)) => self.table(hears).link_down(of, link),
            (hears, of, News::Dead) => {
                if self.lives(of) {
                    self.bereave(hears, of);
                }
                self.table(hears).peer_dead(of);
                if let Some(queue) = self.control.get_mut(&(hears, of))
                    && let Some(cut) = cut
                {
                    queue.truncate(cut.index(queue.len() + 1));
                }
            }
        }
    }

    /// `hears` takes `of` for dead, and nobody else does: what either has of the other's is at risk, and so is
    /// what it has on its way to it.
    fn bereave(&mut self, hears: WorkerId, of: WorkerId) {
        for (user, owner) in [(hears, of), (of, hears)] {
            let used = self.at(user).iter_used().map(|(rref, ())| rref).filter(|rref| rref.owner == owner);
            let listed = self.at(owner).iter_owned().filter(|(_, _, users)| users.contains(&user));
            let at_risk: Vec<RRefId> = used.chain(listed.map(|(rref, ..)| rref)).collect();
            self.bereft.extend(at_risk);
        }
        let pinned: Vec<RRefId> = self.at(hears).pinned_to(of).collect();
        self.bereft.extend(pinned);
    }

    fn control_next(&mut self, (from, to): (WorkerId, WorkerId)) {
        let Some(msg) = self.control.get_mut(&(from, to)).and_then(VecDeque::pop_front) else { return };
        if self.lives(to) {
            self.table(to).handle(from, msg).unwrap_or_else(|violation| panic!("{violation}: {self:#?}"));
        }
    }

    /// `cut` says how much of what `dead` was about to say will still arrive; its handles do not if `lost`.
    fn die(&mut self, dead: WorkerId, cut: Index, lost: bool) {
        if !self.lives(dead) {
            return;
        }
        self.deaths += 1;
        self.alive[dead.0 as usize] = false;
        let depended: Vec<RRefId> = self.at(dead).with_dependents().collect();
        self.bereft.extend(depended);
        self.handles.retain(|(worker, _)| *worker != dead);
        self.net.retain(|packet| match packet {
            Packet::Handle { from, to, .. } => *to != dead && !(lost && *from == dead),
            Packet::Create { rref } => rref.owner != dead && !(lost && rref.creator == dead),
            Packet::Created { rref } => rref.creator != dead && !(lost && rref.owner == dead),
        });
        self.control.retain(|(_, to), _| *to != dead);
        for ((from, _), queue) in &mut self.control {
            if *from == dead {
                queue.truncate(cut.index(queue.len() + 1));
            }
        }
        self.news.retain(|(hears, ..)| *hears != dead);
        for id in self.living() {
            self.news.push((id, dead, News::Dead));
        }
    }

    fn take_for_dead(&mut self, a: WorkerId, b: WorkerId) {
        if a != b && self.lives(a) && self.lives(b) {
            self.deaths += 1;
            self.news.extend([(a, b, News::Dead), (b, a, News::Dead)]);
        }
    }

    /// Does what the tables say.
    fn run(&mut self) {
        for id in self.living() {
            while let Some((to, msg)) = self.table(id).poll_transmit() {
                if self.lives(to) {
                    self.control.entry((id, to)).or_default().push_back(msg);
                }
            }
            while let Some(event) = self.table(id).poll_event() {
                if let Event::Free(rref, true) = event {
                    assert!(self.freed.insert(rref), "freed once");
                }
            }
        }
        self.check();
    }

    /// RC-1
    fn check(&self) {
        let counts = |rref: &RRefId| self.lives(rref.owner) && !self.bereft.contains(rref);
        for (worker, rref) in &self.handles {
            let early = self.freed.contains(rref) && self.at(*worker).failure(*rref).is_none();
            assert!(
                !early || !counts(rref),
                "RC-1: {worker} has a handle to {rref}, which was freed: {self:#?}"
            );
        }
        for packet in &self.net {
            let Packet::Handle { from, to, rref, transfer, .. } = packet else { continue };
            let is_late = self.at(*to).has_received(*from, *transfer);
            let early = self.freed.contains(rref) && !is_late;
            assert!(!early || !counts(rref), "RC-1: {packet:?} is under way: {self:#?}");
        }
    }

    /// Everything is delivered and heard. What is left is known; then all handles are dropped, and nothing is
    /// left.
    pub(super) fn settle(&mut self) {
        self.deliver_all();
        // A creation whose message was lost without its creator's knowledge ends at its deadline.
        self.end_creations();
        self.deliver_all();
        self.check_knowledge();
        for (worker, rref) in std::mem::take(&mut self.handles) {
            self.table(worker).drop_handle(rref);
        }
        self.deliver_all();
        for id in self.living() {
            assert!(self.at(id).is_idle(), "RC-3: {id}: {self:#?}");
            assert_eq!(self.at(id).gaps(), 0, "RC-3, numbers: {id}: {self:#?}");
        }
    }

    fn deliver_all(&mut self) {
        self.run();
        loop {
            if let Some(packet) = self.net.pop() {
                self.deliver(packet);
            } else if let Some(between) =
                self.control.iter().find(|(_, queue)| !queue.is_empty()).map(|(key, _)| *key)
            {
                self.control_next(between);
            } else if !self.news.is_empty() {
                self.hear(0, None);
            } else {
                return;
            }
            self.run();
        }
    }

    fn end_creations(&mut self) {
        for id in self.living() {
            let used: Vec<RRefId> = self.at(id).iter_used().map(|(rref, ())| rref).collect();
            for rref in used {
                self.table(id).creation_failed(rref);
            }
        }
    }

    /// RC-4, and what is confirmed can be used.
    fn check_knowledge(&self) {
        for (worker, rref) in &self.handles {
            let table = self.at(*worker);
            let is_confirmed = table.is_confirmed(*rref);
            assert!(
                is_confirmed || table.failure(*rref).is_some(),
                "RC-4: {rref} on {worker} waits for ever: {self:#?}"
            );
            if is_confirmed && !self.bereft.contains(rref) {
                let access = self.at(rref.owner).access(*worker, *rref);
                assert_eq!(access, Access::Yes, "{rref} is confirmed on {worker}: {self:#?}");
            }
        }
    }
}

fn pair(a: WorkerId, b: WorkerId) -> (WorkerId, WorkerId) {
    (a.min(b), a.max(b))
}

fn pick<T: Copy>(from: &[T], at: Index) -> Option<T> {
    (!from.is_empty()).then(|| from[at.index(from.len())])
}
