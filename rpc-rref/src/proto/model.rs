//! Every order of events of a small group, checked: one owner, three users, one value.
//!
//! The model drives the tables themselves. Messages of the protocol arrive in order between two workers,
//! handles arrive at any time, or are given up and arrive all the same, or do not. One worker may crash, and
//! the others hear of it one by one.
//!
//! What is bounded: the number of transfers, of messages given up, and of crashes ([`Model`]'s fields). What is
//! left out, and covered by the properties in `tests`: repeated application messages (a table sees that its
//! number has come, and changes nothing), links, workers wrongly taken for dead, several values (which share
//! nothing but numbers).

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use stateright::{Checker, HasDiscoveries, Property};

use super::*;

const WORKERS: u32 = 4;
const OWNER: WorkerId = WorkerId(0);
const CREATOR: WorkerId = WorkerId(1);

#[derive(Clone, Copy, Debug)]
struct Model {
    /// Whether the first user creates the value; else the owner has it.
    created_by_user: bool,
    transfers_max: u8,
    given_up_max: u8,
    crashes_max: u8,
    /// Rule RC-2.
    parents_wait: bool,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct State {
    rref: RRefId,
    /// With the value, whether it has been created.
    tables: Vec<Table<bool, ()>>,
    /// Live handles of each worker.
    handles: Vec<u8>,
    net: BTreeSet<Packet>,
    control: BTreeMap<(WorkerId, WorkerId), VecDeque<Msg>>,
    transfers: u8,
    given_up: u8,
    crashed: Option<WorkerId>,
    /// Who has not heard of the crash.
    unaware: BTreeSet<WorkerId>,
    freed: bool,
    /// Somebody crashed on whom others depended: they may find the value gone.
    bereft: bool,
    violation: bool,
}

/// A message of the application.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Packet {
    Handle { from: WorkerId, to: WorkerId, transfer: Transfer },
    Create,
    Created,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Action {
    Share(WorkerId, WorkerId),
    Drop(WorkerId),
    Deliver(Packet),
    /// The sender gives up on it, and it is lost or not.
    GiveUp(Packet, bool),
    Control(WorkerId, WorkerId),
    Crash(WorkerId),
    Hear(WorkerId),
}

fn workers() -> impl Iterator<Item = WorkerId> {
    (0..WORKERS).map(WorkerId)
}

impl State {
    fn new(model: &Model) -> Self {
        let table = |id| {
            let mut table = Table::new(id, WORKERS);
            table.parents_wait = model.parents_wait;
            table
        };
        let mut tables: Vec<Table<bool, ()>> = workers().map(table).collect();
        let (rref, holder, net) = if model.created_by_user {
            let rref = tables[1].create(OWNER, ()).expect("room");
            (rref, CREATOR, BTreeSet::from([Packet::Create]))
        } else {
            (tables[0].own(true), OWNER, BTreeSet::new())
        };
        Self {
            rref,
            tables,
            handles: workers().map(|id| u8::from(id == holder)).collect(),
            net,
            control: BTreeMap::new(),
            transfers: 0,
            given_up: 0,
            crashed: None,
            unaware: BTreeSet::new(),
            freed: false,
            bereft: false,
            violation: false,
        }
    }

    fn at(&self, id: WorkerId) -> &Table<bool, ()> {
        &self.tables[id.0 as usize]
    }

    fn table(&mut self, id: WorkerId) -> &mut Table<bool, ()> {
        &mut self.tables[id.0 as usize]
    }

    fn lives(&self, id: WorkerId) -> bool {
        self.crashed != Some(id)
    }

    fn handles(&self, id: WorkerId) -> u8 {
        self.handles[id.0 as usize]
    }

    fn apply(&mut self, action: Action) {
        let rref = self.rref;
        match action {
            Action::Share(from, to) => {
                self.transfers += 1;
                if let Ok(transfer) = self.table(from).share(rref, to, None)
                    && self.lives(to)
                {
                    self.net.insert(Packet::Handle { from, to, transfer });
                }
            }
            Action::Drop(id) => {
                self.handles[id.0 as usize] -= 1;
                self.table(id).drop_handle(rref);
            }
            Action::Deliver(packet) => {
                self.net.remove(&packet);
                self.deliver(packet);
            }
            Action::GiveUp(packet, lost) => {
                self.given_up += 1;
                match packet {
                    Packet::Handle { from, to, transfer } => self.table(from).transfer_lost(to, transfer),
                    Packet::Create | Packet::Created => self.table(CREATOR).creation_failed(rref),
                }
                if lost {
                    self.net.remove(&packet);
                }
            }
            Action::Control(from, to) => {
                let msg = self.control.get_mut(&(from, to)).and_then(VecDeque::pop_front);
                let msg = msg.expect("there is one");
                self.violation |= self.table(to).handle(from, msg).is_err();
            }
            Action::Crash(id) => self.crash(id),
            Action::Hear(id) => {
                self.unaware.remove(&id);
                let dead = self.crashed.expect("somebody has crashed");
                self.table(id).peer_dead(dead);
            }
        }
        self.run();
    }

    fn deliver(&mut self, packet: Packet) {
        let rref = self.rref;
        match packet {
            Packet::Handle { from, to, transfer } => match self.table(to).receive(from, rref, transfer) {
                Ok(true) => self.handles[to.0 as usize] += 1,
                Ok(false) => {}
                Err(_) => self.violation = true,
            },
            Packet::Create => match self.table(OWNER).handle_create(CREATOR, rref) {
                Ok(true) => {
                    *self.table(OWNER).owned_mut(rref).expect("it was made") = true;
                    if self.lives(CREATOR) {
                        self.net.insert(Packet::Created);
                    }
                }
                Ok(false) => {}
                Err(_) => self.violation = true,
            },
            Packet::Created => self.table(CREATOR).created(rref),
        }
    }

    /// What the dead has sent is lost, or not: the more there is the more there is to check.
    fn crash(&mut self, dead: WorkerId) {
        self.crashed = Some(dead);
        self.bereft = self.at(dead).with_dependents().count() > 0;
        self.handles[dead.0 as usize] = 0;
        self.net.retain(|packet| match packet {
            Packet::Handle { to, .. } => *to != dead,
            Packet::Create => dead != OWNER,
            Packet::Created => dead != CREATOR,
        });
        self.control.retain(|(_, to), _| *to != dead);
        self.unaware = workers().filter(|id| *id != dead).collect();
    }

    /// Does what the tables say. Tables of the dead say nothing.
    fn run(&mut self) {
        for id in workers() {
            while let Some((to, msg)) = self.table(id).poll_transmit() {
                if self.lives(id) && self.lives(to) {
                    self.control.entry((id, to)).or_default().push_back(msg);
                }
            }
            while let Some(event) = self.table(id).poll_event() {
                self.freed |= matches!(event, Event::Free(_, true));
            }
        }
        self.control.retain(|_, queue| !queue.is_empty());
    }

    fn is_quiet(&self) -> bool {
        self.net.is_empty() && self.control.is_empty() && self.unaware.is_empty()
    }

    /// RC-1
    fn frees_early(&self) -> bool {
        if !self.freed || self.bereft || !self.lives(OWNER) {
            return false;
        }
        let holds = |id| self.handles(id) > 0 && self.at(id).failure(self.rref).is_none();
        let is_coming = |packet: &Packet| match packet {
            Packet::Handle { from, to, transfer } => !self.at(*to).has_received(*from, *transfer),
            Packet::Create | Packet::Created => false,
        };
        workers().any(holds) || self.net.iter().any(is_coming)
    }

    /// RC-3
    fn leaks(&self) -> bool {
        let mut living = workers().filter(|id| self.lives(*id));
        self.is_quiet()
            && self.handles.iter().all(|handles| *handles == 0)
            && living.any(|id| !self.at(id).is_idle() || self.at(id).gaps() > 0)
    }

    /// RC-4
    fn waits_for_ever(&self) -> bool {
        let waits = |id| {
            self.handles(id) > 0
                && !self.at(id).is_confirmed(self.rref)
                && self.at(id).failure(self.rref).is_none()
        };
        self.is_quiet() && workers().any(waits)
    }

    /// What is confirmed on a user is there for it.
    fn is_confirmed_in_vain(&self) -> bool {
        let confirmed = |id| self.handles(id) > 0 && self.at(id).is_confirmed(self.rref);
        self.is_quiet()
            && self.lives(OWNER)
            && !self.bereft
            && workers().any(|id| confirmed(id) && self.at(OWNER).access(id, self.rref) != Access::Yes)
    }
}

impl stateright::Model for Model {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        vec![State::new(self)]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        for id in workers().filter(|id| state.handles(*id) > 0) {
            actions.push(Action::Drop(id));
            if state.transfers < self.transfers_max && state.at(id).failure(state.rref).is_none() {
                actions.extend(workers().filter(|to| *to != id).map(|to| Action::Share(id, to)));
            }
        }
        for packet in &state.net {
            actions.push(Action::Deliver(*packet));
            let waits = match packet {
                Packet::Handle { from, .. } => *from,
                Packet::Create | Packet::Created => CREATOR,
            };
            if state.given_up < self.given_up_max && state.lives(waits) {
                actions.extend([true, false].map(|lost| Action::GiveUp(*packet, lost)));
            }
        }
        actions.extend(state.control.keys().map(|(from, to)| Action::Control(*from, *to)));
        if self.crashes_max > 0 && state.crashed.is_none() {
            actions.extend(workers().map(Action::Crash));
        }
        actions.extend(state.unaware.iter().map(|id| Action::Hear(*id)));
    }

    fn next_state(&self, state: &State, action: Action) -> Option<State> {
        let mut state = state.clone();
        state.apply(action);
        Some(state)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::always("RC-1, no early free", |_, state: &State| !state.frees_early()),
            Property::always("RC-3, no leak", |_, state: &State| !state.leaks()),
            Property::always("RC-4, no orphan waits", |_, state: &State| !state.waits_for_ever()),
            Property::always("confirmed is there", |_, state: &State| !state.is_confirmed_in_vain()),
            Property::always("no violation", |_, state: &State| !state.violation),
            Property::sometimes("freed", |_, state: &State| state.freed),
        ]
    }
}

fn check(model: Model) -> impl Checker<Model> {
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let started = std::time::Instant::now();
    let builder = stateright::Model::checker(model).threads(threads).finish_when(HasDiscoveries::AnyFailures);
    let checker = builder.spawn_bfs().join();
    println!(
        "{model:?}: {} states, depth {}, {:.1?}",
        checker.unique_state_count(),
        checker.max_depth(),
        started.elapsed()
    );
    checker
}

const OWN: Model =
    Model { created_by_user: false, transfers_max: 4, given_up_max: 0, crashes_max: 0, parents_wait: true };

#[test]
fn rc1_rc3_rc4_probe() {
    for t in 1..=4 {
        for c in 0..=1 {
            for g in 0..=1 {
                for u in [false, true] {
                    let m = Model {
                        created_by_user: u,
                        transfers_max: t,
                        given_up_max: g,
                        crashes_max: c,
                        parents_wait: true,
                    };
                    let c = check(m);
                    c.assert_properties();
                }
            }
        }
    }
}
