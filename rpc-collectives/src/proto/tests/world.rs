//! Members, their leader's worker and a network as one world, in which anything may happen next.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use rpc_core::WorkerId;

use super::super::*;
use super::{LEADER, line};

/// What a member gives: who it is, and for which operation.
pub(super) type Gift = (WorkerId, u64);

impl Value for Gift {
    /// Those of every other operation are not kept.
    fn kept_bytes(&self) -> Option<u64> {
        self.1.is_multiple_of(2).then_some(1)
    }
}

/// Members that run operations of one line one after the other, their leader, and a network that reorders, loses, and
/// overtakes.
#[derive(Clone, Debug)]
pub(super) struct World {
    pub(super) members: Vec<Member>,
    pub(super) leader: Leader<Gift>,
    /// In order, so that worlds with the same packets are equal.
    pub(super) net: Vec<Packet>,
    /// Whose gift is at the leader, by operation under way.
    came: BTreeMap<u64, BTreeSet<WorkerId>>,
    /// How each operation has ended at the leader.
    ended: BTreeMap<u64, Ending>,
}

#[derive(Clone, Debug)]
pub(super) struct Member {
    pub(super) lines: Lines,
    /// How many operations its program has begun.
    begun: usize,
    pub(super) under_way: Option<u64>,
    /// How its operations ended for it, by count.
    pub(super) ends: BTreeMap<u64, Ending>,
    pub(super) is_dead: bool,
}

/// How an operation ends for who takes part.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Ending {
    /// With the gifts of all.
    Whole,
    Failed,
    /// It is known to have ended well, and the gifts are not.
    Lost,
    /// This member's program has not waited for it.
    GaveUp,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Packet {
    Join(WorkerId, u64),
    Leave(WorkerId, u64),
    /// To this one.
    Answer(WorkerId, u64, Ending),
}

/// Something that may happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Event {
    /// This member begins its next operation.
    Begin(usize),
    /// The packet at this place arrives.
    Deliver(usize),
    /// It is lost with its link. What waits for an answer asks again.
    Lose(usize),
    GiveUp(usize),
    /// A member's time for this operation is over.
    Expire(u64),
    /// The leader's worker asks a member that is missing in an operation.
    Look(u64, usize),
    /// Not the leader: without it there is no machine, and a request that fails.
    Die(usize),
}

impl World {
    pub(super) fn new(members: usize) -> Self {
        let (lines, ends) = (Lines::default(), BTreeMap::new());
        let member = Member { lines, begun: 0, under_way: None, ends, is_dead: false };
        let (came, ended) = (BTreeMap::new(), BTreeMap::new());
        Self { members: vec![member; members], leader: Leader::default(), net: Vec::new(), came, ended }
    }

    pub(super) fn operation(&self, count: u64) -> Operation {
        Operation { count, line: line("", self.members.len() as u32) }
    }

    pub(super) fn apply(&mut self, event: Event) {
        match event {
            Event::Begin(who) => self.begin(who),
            Event::Deliver(at) => {
                let packet = self.net.remove(at);
                self.deliver(&packet);
            }
            Event::Lose(at) => match self.net.remove(at) {
                Packet::Join(who, count) | Packet::Answer(who, count, _) => self.ask_again(who, count),
                Packet::Leave(..) => {}
            },
            Event::GiveUp(who) => {
                let Some(count) = self.members[who].under_way else { return };
                self.end(who, count, Ending::GaveUp);
                self.send(Packet::Leave(WorkerId(who as u32), count));
            }
            Event::Expire(count) => {
                let Some(member) = self.leader.anybody(&self.operation(count)) else { return };
                self.fail(count, Cause::TimedOut { member, after: Duration::from_secs(1) });
            }
            Event::Look(count, who) => self.look(count, who),
            Event::Die(who) => {
                assert_ne!(who, LEADER.0 as usize, "the leader's worker is where all of this is");
                self.members[who].is_dead = true;
                self.members[who].under_way = None;
                let dead = WorkerId(who as u32);
                self.net.retain(|packet| !matches!(packet, Packet::Answer(to, ..) if *to == dead));
            }
        }
    }

    fn begin(&mut self, who: usize) {
        let line = self.operation(0).line;
        let member = &mut self.members[who];
        assert!(!member.is_dead && member.under_way.is_none(), "one after the other");
        let count = member.lines.begin(&line).expect("one line").count;
        assert_eq!(count, member.ends.len() as u64, "CL-5");
        member.begun += 1;
        member.under_way = Some(count);
        self.send(Packet::Join(WorkerId(who as u32), count));
    }

    fn send(&mut self, packet: Packet) {
        let at = self.net.partition_point(|other| *other < packet);
        self.net.insert(at, packet);
    }

    fn ask_again(&mut self, who: WorkerId, count: u64) {
        if self.members[who.0 as usize].under_way == Some(count) {
            self.send(Packet::Join(who, count));
        }
    }

    fn deliver(&mut self, packet: &Packet) {
        match *packet {
            Packet::Join(from, count) => self.join(from, count),
            Packet::Leave(from, count) => self.fail(count, Cause::GaveUp { member: from }),
            Packet::Answer(to, count, ending) => self.end(to.0 as usize, count, ending),
        }
    }

    fn join(&mut self, from: WorkerId, count: u64) {
        let operation = self.operation(count);
        let (joined, _) = self.leader.join(&operation, from, (from, count));
        match joined {
            Joined::Waits => {
                assert!(!self.ended.contains_key(&count), "CL-2: it has ended");
                self.came.entry(count).or_default().insert(from);
            }
            Joined::Ended(End::Whole(values)) => {
                let expected: Vec<_> = operation.line.members.iter().map(|id| (*id, (*id, count))).collect();
                assert_eq!(values[..], expected, "CL-1: of all, each its own, for this one");
                self.ends(count, Ending::Whole);
            }
            Joined::Ended(End::Failed(_)) => unreachable!("coming ends nothing badly"),
            Joined::Before(before) => {
                let ending = match before {
                    Before::Whole(kept) => kept.map_or(Ending::Lost, |_| Ending::Whole),
                    Before::Failed(_) => Ending::Failed,
                };
                let expected = if ending == Ending::Failed { Ending::Failed } else { Ending::Whole };
                assert_eq!(self.ended.get(&count), Some(&expected), "CL-2");
                self.answer(from, count, ending);
            }
            Joined::Refused(full) => panic!("{full:?}"),
        }
    }

    fn fail(&mut self, count: u64, cause: Cause) {
        let operation = self.operation(count);
        let Some(ended) = self.leader.fail(&operation, cause) else { return };
        let came = self.came.get(&count).cloned().unwrap_or_default();
        let missing: Vec<_> =
            operation.line.members.iter().filter(|id| !came.contains(id)).copied().collect();
        assert_eq!(ended.failed.missing, missing, "CL-3");
        self.ends(count, Ending::Failed);
    }

    /// What the answer to the question would be, if there is one.
    fn look(&mut self, count: u64, who: usize) {
        let member = WorkerId(who as u32);
        let why = if self.members[who].is_dead {
            Absence::Died { reason: "expected".into() }
        } else if self.is_past(count, who) {
            Absence::Past
        } else {
            return;
        };
        self.fail(count, Cause::Absent { member, why });
        assert!(self.ended.contains_key(&count), "CL-7: it cannot end well any more");
    }

    fn is_past(&self, count: u64, who: usize) -> bool {
        let is_past = self.members[who].lines.standing(&self.operation(count)) == Standing::Past;
        assert!(!is_past || self.members[who].ends.contains_key(&count), "CL-6");
        is_past
    }

    /// At the leader. Whoever waits is answered; that somebody has asked twice only repeats it.
    fn ends(&mut self, count: u64, ending: Ending) {
        assert_eq!(self.ended.insert(count, ending), None, "CL-2: once");
        self.came.remove(&count);
        for who in 0..self.members.len() {
            self.answer(WorkerId(who as u32), count, ending);
        }
    }

    fn answer(&mut self, to: WorkerId, count: u64, ending: Ending) {
        if !self.members[to.0 as usize].is_dead {
            self.send(Packet::Answer(to, count, ending));
        }
    }

    fn end(&mut self, who: usize, count: u64, ending: Ending) {
        let operation = self.operation(count);
        let member = &mut self.members[who];
        if member.under_way != Some(count) {
            return; // an answer that comes too late, or again
        }
        member.under_way = None;
        member.lines.end(&operation);
        member.ends.insert(count, ending);
    }

    /// Questions of the leader's worker that have an answer.
    pub(super) fn looks(&self) -> Vec<Event> {
        let mut looks = Vec::new();
        for operation in self.leader.open() {
            for missing in self.leader.missing(operation).unwrap_or_default() {
                let who = missing.0 as usize;
                if self.members[who].is_dead || self.is_past(operation.count, who) {
                    looks.push(Event::Look(operation.count, who));
                }
            }
        }
        looks
    }

    /// How far the one who is furthest is.
    pub(super) fn begun(&self) -> usize {
        self.members.iter().map(|member| member.begun).max().unwrap_or(0)
    }

    /// What two worlds have to have in common so that the same can happen in both.
    pub(super) fn key(&self) -> impl Ord + use<> {
        let members: Vec<_> = self.members.iter().map(|m| (m.under_way, m.ends.clone(), m.is_dead)).collect();
        (members, self.net.clone(), self.came.clone(), self.ended.clone())
    }

    /// CL-2: nobody has the gifts of an operation that has failed for another one.
    pub(super) fn assert_one_end(&self) {
        for (count, ending) in &self.ended {
            for own in self.members.iter().filter_map(|member| member.ends.get(count)) {
                let is_same = match own {
                    Ending::GaveUp => true,
                    Ending::Lost => *ending == Ending::Whole,
                    own => own == ending,
                };
                assert!(is_same, "CL-2: {own:?} where it is {ending:?} in {self:#?}");
            }
        }
    }
}
