//! Which link two workers use when both dial, or when one side notices a loss before the other.
//!
//! A pair of workers shares one link, whoever dialled it. Each side numbers the links that it has agreed
//! to: a hello carries the number of the last one that the dialler knows, and the acceptor gives the new
//! link the next number after both sides' last.
//!
//! ```text
//!  A                         B
//!    |--- hello(last = 0) --->|     accepts: link 1
//!    |<-- welcome(link = 1) --|     both use link 1
//!    X       (lost; only A has noticed)
//!    |--- hello(last = 1) --->|     A knows link 1 and dials: so it lost it; accepts: link 2
//!    |<-- welcome(link = 2) --|
//! ```
//! When both dial at once, the worker with the smaller rank wins: it rejects the other's hello as crossed,
//! and the other accepts the winner's. A hello that was sent before link *n* was agreed (`last < n`)
//! but arrives after it is crossed too: its sender will find itself with link *n*.
//!
//! # Invariants (each named by a test)
//! - **LN-1, agreement.** When all hellos and answers have arrived, both sides use the same link.
//! - **LN-2, progress.** Of two crossing hellos exactly one is accepted.
//! - **LN-3, no resurrection.** A side never goes back to a link with a smaller number.
//! - **LN-4, no replacement.** A link that both sides use is not replaced.

/// One side's view of the links to one peer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Links {
    /// Number of the last link that this side agreed to; 0 for none.
    last: u32,
    up: bool,
    dialing: bool,
}

/// What to answer to a hello.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Use this link; it has this number, and replaces any other.
    Accept(u32),
    /// Use the one that is being made, or exists.
    Crossed,
}

impl Links {
    /// Number of the last link that both agreed to.
    pub(crate) fn last(&self) -> u32 {
        self.last
    }

    /// The number to put into a hello that is about to be sent; `None` if the peer's own link came up since
    /// this side began to dial. A hello that knows of that link would say that it was lost.
    pub(crate) fn hello(&self) -> Option<u32> {
        (!self.up).then_some(self.last)
    }

    /// This side begins to dial, or stops trying.
    pub(crate) fn set_dialing(&mut self, dialing: bool) {
        self.dialing = dialing;
    }

    /// A hello has come from the peer, whose last known link is `last`. `wins` says that this side has
    /// the smaller rank.
    pub(crate) fn handle_hello(&mut self, last: u32, wins: bool) -> Verdict {
        let stale = self.up && last < self.last;
        let crossing = !self.up && self.dialing && wins;
        if stale || crossing {
            return Verdict::Crossed;
        }
        self.last = self.last.max(last).saturating_add(1);
        self.up = true;
        Verdict::Accept(self.last)
    }

    /// The peer has accepted this side's hello. Whether to use that link: not if a later one is agreed.
    #[must_use]
    pub(crate) fn handle_welcome(&mut self, link: u32) -> bool {
        if link <= self.last {
            return false; // LN-3
        }
        self.last = link;
        self.up = true;
        true
    }

    /// Link `link` is gone. Whether it was the one in use.
    #[must_use]
    pub(crate) fn handle_down(&mut self, link: u32) -> bool {
        let current = self.up && link == self.last;
        if current {
            self.up = false;
        }
        current
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use proptest::prelude::*;

    use super::*;

    #[derive(Clone, Copy, Debug)]
    enum Packet {
        Hello { last: u32 },
        Welcome(u32),
        Crossed,
    }

    #[derive(Clone, Copy, Debug)]
    enum Step {
        Dial(bool),
        /// The connection of a dial is made: its hello leaves.
        Connect(bool),
        Deliver(bool, usize),
        /// The link in use dies; only that side notices now.
        Lose(bool),
    }

    /// Side 0 has the smaller rank. Packets to one side may be delivered in any order: each link is a
    /// connection of its own.
    #[derive(Debug, Default)]
    struct World {
        sides: [Links; 2],
        net: [VecDeque<Packet>; 2],
        connecting: [bool; 2],
        high: [u32; 2],
    }

    impl World {
        fn dial(&mut self, side: usize) {
            if !self.sides[side].up && !self.sides[side].dialing {
                self.sides[side].set_dialing(true);
                self.connecting[side] = true;
            }
        }

        fn connect(&mut self, side: usize) {
            if std::mem::take(&mut self.connecting[side]) {
                match self.sides[side].hello() {
                    Some(last) => self.net[1 - side].push_back(Packet::Hello { last }),
                    None => self.sides[side].set_dialing(false),
                }
            }
        }

        fn deliver(&mut self, side: usize, at: usize) {
            let Some(packet) = self.net[side].remove(at) else { return };
            match packet {
                Packet::Hello { last } => {
                    // What the dialler knows as up was not lost, so nothing may replace it.
                    let (mine, theirs) = (self.sides[side], self.sides[1 - side]);
                    let in_use = mine.up && theirs.up && mine.last == theirs.last;
                    let answer = match self.sides[side].handle_hello(last, side == 0) {
                        Verdict::Accept(link) => {
                            assert!(!in_use, "LN-4: link {} was in use: {self:?}", mine.last);
                            Packet::Welcome(link)
                        }
                        Verdict::Crossed => Packet::Crossed,
                    };
                    self.net[1 - side].push_back(answer);
                }
                Packet::Welcome(link) => {
                    self.sides[side].set_dialing(false);
                    let _ = self.sides[side].handle_welcome(link);
                }
                Packet::Crossed => self.sides[side].set_dialing(false),
            }
            assert!(self.sides[side].last >= self.high[side], "LN-3");
            self.high[side] = self.sides[side].last;
        }

        fn settle(&mut self) {
            for _ in 0..1000 {
                for side in [0, 1] {
                    while !self.net[side].is_empty() {
                        self.deliver(side, 0);
                    }
                }
                // A side whose peer uses a later link sees its own end of the old one close.
                for side in [0, 1] {
                    let (mine, theirs) = (self.sides[side], self.sides[1 - side]);
                    if mine.up && (!theirs.up || theirs.last != mine.last) {
                        let _ = self.sides[side].handle_down(mine.last);
                    }
                }
                if self.sides.iter().all(|side| side.up) && self.net.iter().all(VecDeque::is_empty) {
                    return;
                }
                self.dial(0);
                self.dial(1);
                self.connect(0);
                self.connect(1);
            }
            panic!("LN-2: no progress: {self:?}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2000))]
        /// LN-1, LN-2, LN-3, LN-4 under any interleaving of dials, deliveries and losses.
        #[test]
        fn both_sides_end_on_one_link(steps in proptest::collection::vec(
            prop_oneof![
                any::<bool>().prop_map(Step::Dial),
                any::<bool>().prop_map(Step::Connect),
                (any::<bool>(), 0_usize..3).prop_map(|(side, at)| Step::Deliver(side, at)),
                any::<bool>().prop_map(Step::Lose),
            ], 0..40))
        {
            let mut world = World::default();
            for step in steps {
                match step {
                    Step::Dial(side) => world.dial(usize::from(side)),
                    Step::Connect(side) => world.connect(usize::from(side)),
                    Step::Deliver(side, at) => world.deliver(usize::from(side), at),
                    Step::Lose(side) => {
                        let links = &mut world.sides[usize::from(side)];
                        let _ = links.handle_down(links.last());
                    }
                }
            }
            world.settle();
            prop_assert_eq!(world.sides[0].last, world.sides[1].last, "LN-1");
        }
    }

    #[test]
    fn of_two_crossing_hellos_the_smaller_ranks_is_accepted() {
        let (mut small, mut large) = (Links::default(), Links::default());
        small.set_dialing(true);
        large.set_dialing(true);
        assert_eq!(small.handle_hello(0, true), Verdict::Crossed); // LN-2
        assert_eq!(large.handle_hello(0, false), Verdict::Accept(1));
        assert!(small.handle_welcome(1));
        assert_eq!(small.handle_hello(0, true), Verdict::Crossed, "a hello from before link 1");
        assert_eq!(small.handle_hello(1, true), Verdict::Accept(2), "a hello from after its loss");
        assert!(!small.handle_down(1), "the old link's end is no news");
    }
}
