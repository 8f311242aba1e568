//! The roll call: finds out when all workers are leaving, as a pure state machine.
//!
//! What a worker holds is worth telling when nobody's program goes on: a worker that does nothing but serve
//! begins to leave at once, when it holds nothing yet, and goes on serving for hours.
//!
//! ```text
//!  worker                     who calls the roll              worker, without references
//!    |------- Leaving ------------->|                              |   it leaves, and has references
//!    |                              |---------- Ask -------------->|   when the caller itself leaves
//!    |                              |<--------- Leaving -----------|   when it leaves
//!    |<------ Call -----------------|---------- Call ------------->|   everybody is leaving, or gone
//! ```
//! The worker with the smallest name calls the roll, as it leads the shutdown; when it is gone, the next. Where
//! nobody has anything to do with references, nothing is sent.

use std::collections::BTreeSet;

use rpc_core::WorkerId;
use serde::{Deserialize, Serialize};

/// A message of the roll call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Word {
    /// I am leaving.
    Leaving,
    /// Tell me when you leave.
    Ask,
    /// Everybody is leaving.
    Call,
}

/// One worker's part in the roll call. Its sets are bounded by the group.
#[derive(Debug, Default)]
pub(crate) struct Roll {
    /// Who calls the roll, in this order.
    order: Vec<WorkerId>,
    /// `None` until this worker leaves.
    me: Option<WorkerId>,
    /// There is something to tell, here or elsewhere.
    cares: bool,
    /// Whom this worker has told that it leaves.
    told: BTreeSet<WorkerId>,
    /// Who wants to be told.
    askers: BTreeSet<WorkerId>,
    /// Who has told this worker.
    leaving: BTreeSet<WorkerId>,
    gone: BTreeSet<WorkerId>,
    asked: bool,
    called: bool,
    outbox: Vec<(WorkerId, Word)>,
}

impl Roll {
    /// Worker `me` leaves the group of `order`. The second time nothing happens.
    pub(crate) fn begin(&mut self, me: WorkerId, order: Vec<WorkerId>) {
        if self.me.is_none() {
            (self.me, self.order) = (Some(me), order);
            for asker in std::mem::take(&mut self.askers) {
                self.tell(asker);
            }
            self.step();
        }
    }

    /// This worker has references to tell of.
    pub(crate) fn care(&mut self) {
        if !self.cares {
            self.cares = true;
            self.step();
        }
    }

    /// `from` has said `word`.
    pub(crate) fn handle(&mut self, from: WorkerId, word: Word) {
        match word {
            Word::Leaving => {
                self.leaving.insert(from);
                if self.called {
                    self.outbox.push((from, Word::Call));
                }
            }
            Word::Ask if self.me.is_some() => self.tell(from),
            Word::Ask => {
                self.askers.insert(from);
            }
            // Nobody calls a worker that has not said that it leaves.
            Word::Call => self.called |= self.me.is_some(),
        }
        self.step();
    }

    /// Worker `id` is dead, or has left.
    pub(crate) fn handle_gone(&mut self, id: WorkerId) {
        if self.gone.insert(id) {
            self.step();
        }
    }

    /// Whether everybody is leaving.
    pub(crate) fn is_called(&self) -> bool {
        self.called
    }

    /// The next message to send.
    pub(crate) fn poll_transmit(&mut self) -> Option<(WorkerId, Word)> {
        self.outbox.pop()
    }

    fn tell(&mut self, to: WorkerId) {
        if self.told.insert(to) {
            self.outbox.push((to, Word::Leaving));
        }
    }

    fn step(&mut self) {
        let Some(me) = self.me else { return };
        if self.called {
            return;
        }
        // Somebody is left: this worker is not gone.
        let caller = self.order.iter().copied().find(|id| !self.gone.contains(id)).unwrap_or(me);
        if caller == me {
            if self.cares || !self.leaving.is_empty() {
                self.call(me);
            }
        } else if self.cares {
            self.tell(caller);
        }
    }

    /// Asks whoever has not come; if all have, calls them.
    fn call(&mut self, me: WorkerId) {
        let others = || self.order.iter().copied().filter(|id| *id != me && !self.gone.contains(id));
        let absent: Vec<WorkerId> = others().filter(|id| !self.leaving.contains(id)).collect();
        if absent.is_empty() {
            let call: Vec<_> = others().map(|id| (id, Word::Call)).collect();
            self.outbox.extend(call);
            self.called = true;
        } else if !self.asked {
            self.asked = true;
            self.outbox.extend(absent.into_iter().map(|id| (id, Word::Ask)));
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use proptest::sample::Index;

    use super::*;

    const N: u32 = 4;

    #[derive(Clone, Copy, Debug)]
    enum Step {
        Begin(Index),
        Care(Index),
        Deliver(Index),
        Die(Index),
        /// One worker notices one death.
        Notice(Index),
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            2 => any::<Index>().prop_map(Step::Begin),
            2 => any::<Index>().prop_map(Step::Care),
            6 => any::<Index>().prop_map(Step::Deliver),
            1 => any::<Index>().prop_map(Step::Die),
            2 => any::<Index>().prop_map(Step::Notice),
        ]
    }

    struct World {
        rolls: Vec<Roll>,
        begun: BTreeSet<u32>,
        dead: BTreeSet<u32>,
        /// Who has not noticed whose death.
        unnoticed: Vec<(u32, u32)>,
        net: Vec<(u32, u32, Word)>,
    }

    impl World {
        fn new() -> Self {
            let rolls = (0..N).map(|_| Roll::default()).collect();
            let (begun, dead) = (BTreeSet::new(), BTreeSet::new());
            Self { rolls, begun, dead, unnoticed: Vec::new(), net: Vec::new() }
        }

        fn change(&mut self, at: u32, change: impl FnOnce(&mut Roll)) {
            if self.dead.contains(&at) {
                return;
            }
            let roll = &mut self.rolls[at as usize];
            let was_called = roll.is_called();
            change(roll);
            let is_called = roll.is_called();
            while let Some((to, word)) = roll.poll_transmit() {
                self.net.push((at, to.0, word));
            }
            if is_called && !was_called {
                let all = (0..N).all(|id| self.dead.contains(&id) || self.begun.contains(&id));
                assert!(all, "worker {at} was called while somebody stays: {:?}", self.begun);
            }
        }

        fn apply(&mut self, step: Step) {
            match step {
                Step::Begin(at) => self.begin(at.index(N as usize) as u32),
                Step::Care(at) => self.change(at.index(N as usize) as u32, Roll::care),
                Step::Deliver(_) if self.net.is_empty() => {}
                Step::Deliver(at) => {
                    let at = at.index(self.net.len());
                    self.deliver(at);
                }
                Step::Die(at) => {
                    let at = at.index(N as usize) as u32;
                    if self.dead.len() < N as usize - 1 && self.dead.insert(at) {
                        self.unnoticed.extend((0..N).filter(|id| *id != at).map(|id| (id, at)));
                    }
                }
                Step::Notice(_) if self.unnoticed.is_empty() => {}
                Step::Notice(at) => {
                    let at = at.index(self.unnoticed.len());
                    let (who, dead) = self.unnoticed.swap_remove(at);
                    self.change(who, |roll| roll.handle_gone(WorkerId(dead)));
                }
            }
        }

        fn begin(&mut self, at: u32) {
            if !self.dead.contains(&at) {
                self.begun.insert(at);
                self.change(at, |roll| roll.begin(WorkerId(at), (0..N).map(WorkerId).collect()));
            }
        }

        fn deliver(&mut self, at: usize) {
            let (from, to, word) = self.net.swap_remove(at);
            self.change(to, |roll| roll.handle(WorkerId(from), word));
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(5_000))]

        #[test]
        fn all_are_called_if_one_cares_and_nobody_before_all_leave(
            steps in prop::collection::vec(step(), 0..60),
        ) {
            let mut world = World::new();
            for step in steps {
                world.apply(step);
            }
            for at in 0..N {
                world.begin(at);
            }
            while let Some((who, dead)) = world.unnoticed.pop() {
                world.change(who, |roll| roll.handle_gone(WorkerId(dead)));
            }
            while !world.net.is_empty() {
                world.deliver(0);
            }
            let living = || (0..N).filter(|id| !world.dead.contains(id));
            let roll = |id: u32| &world.rolls[id as usize];
            if living().any(|id| roll(id).cares) {
                prop_assert!(living().all(|id| roll(id).is_called()), "{:?}", world.rolls);
            }
        }
    }

    #[test]
    fn nothing_is_sent_where_nobody_cares() {
        let mut world = World::new();
        for at in 0..N {
            world.begin(at);
        }
        assert!(world.net.is_empty());
        assert!(world.rolls.iter().all(|roll| !roll.is_called()));
    }
}
