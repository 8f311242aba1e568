//! The faults that are in force: counts what passes, and decides.
//!
//! - **FT-1, repeatable.** What befalls a message depends on the seed, the fault, the pair of workers and how many such
//!   messages passed between the two before, and on nothing else: no clock, no order between pairs, no draw of others.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use rpc_core::Response;

use super::fault::{Action, Fault, Passing, Victim, usual_failure};
use super::message::Message;
use crate::rng::Rng;

/// How many injections are listed; older ones are only counted.
pub(super) const LISTED_MAX: usize = 4_096;

/// A message that a fault has acted on.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub struct Injected {
    /// Number of the fault, in the order of [`Faults::add`](super::Faults::add), from 0.
    pub fault: u64,
    /// The sender.
    pub from: String,
    /// The receiver.
    pub to: String,
    /// What it was about.
    pub message: Message,
    /// Whether it was the answer.
    pub is_reply: bool,
    /// Which of those that the fault picks between the two, from 1.
    pub nth: u64,
}

/// What is to be done with a message.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Verdict {
    Pass,
    Fail(Answer),
    Delay(Duration),
    Drop,
    Duplicate,
    Reorder,
    Cut,
    Partition,
    Kill(Victim),
    Abort,
}

/// The answer in place of the handler's.
#[derive(Clone, Debug)]
pub(super) struct Answer(pub(super) Response);

impl PartialEq for Answer {
    fn eq(&self, other: &Self) -> bool {
        self.0.outcome == other.0.outcome && self.0.body.payload == other.0.body.payload
    }
}

#[derive(Debug)]
pub(super) struct Plan {
    seed: u64,
    faults: BTreeMap<u64, Added>,
    next: u64,
    injected: VecDeque<Injected>,
}

#[derive(Debug)]
struct Added {
    fault: Fault,
    /// By sender and receiver. As many as the group has pairs.
    pairs: BTreeMap<(String, String), Count>,
    fired: u64,
    spared: u64,
}

#[derive(Debug, Default)]
struct Count {
    seen: u64,
    fired: u64,
}

impl Plan {
    pub(super) fn new(seed: u64) -> Self {
        Self { seed, faults: BTreeMap::new(), next: 0, injected: VecDeque::new() }
    }

    pub(super) fn add(&mut self, fault: Fault) -> u64 {
        let id = self.next;
        self.next += 1;
        let added = Added { fault, pairs: BTreeMap::new(), fired: 0, spared: 0 };
        self.faults.insert(id, added);
        id
    }

    pub(super) fn remove(&mut self, id: u64) {
        self.faults.remove(&id);
    }

    pub(super) fn fired(&self, id: u64) -> u64 {
        self.faults.get(&id).map_or(0, |added| added.fired)
    }

    pub(super) fn spared(&self, id: u64) -> u64 {
        self.faults.get(&id).map_or(0, |added| added.spared)
    }

    pub(super) fn injected(&self) -> Vec<Injected> {
        self.injected.iter().cloned().collect()
    }

    /// Those that have not acted, in words.
    pub(super) fn unfired(&self) -> Vec<String> {
        let silent = self.faults.iter().filter(|(_, added)| added.fired == 0);
        silent
            .map(|(id, added)| {
                let seen: u64 = added.pairs.values().map(|count| count.seen).sum();
                format!("fault {id} ({}) never acted; it has picked {seen} messages", added.fault)
            })
            .collect()
    }

    /// Whether any of them is about it.
    pub(super) fn picks(&self, passing: &Passing<'_>) -> bool {
        self.faults.values().any(|added| added.fault.picks(passing))
    }

    /// The first fault that acts decides; the others only count.
    pub(super) fn judge(&mut self, passing: &Passing<'_>) -> Verdict {
        let mut verdict = Verdict::Pass;
        for (id, added) in self.faults.iter_mut().filter(|(_, added)| added.fault.picks(passing)) {
            let count = added.count(passing);
            count.seen += 1;
            let nth = count.seen;
            if verdict != Verdict::Pass {
                continue;
            }
            let mut rng = Rng::new(mixed(self.seed, *id, passing, nth));
            if !added.acts(passing, &mut rng) {
                continue;
            }
            if self.injected.len() == LISTED_MAX {
                self.injected.pop_front();
            }
            self.injected.push_back(Injected {
                fault: *id,
                from: passing.from.to_owned(),
                to: passing.to.to_owned(),
                message: passing.message,
                is_reply: passing.is_reply,
                nth,
            });
            verdict = added.verdict(passing, &mut rng);
        }
        verdict
    }
}

impl Added {
    fn count(&mut self, passing: &Passing<'_>) -> &mut Count {
        self.pairs.entry((passing.from.to_owned(), passing.to.to_owned())).or_default()
    }

    /// Whether the fault acts on the message that was counted last.
    fn acts(&mut self, passing: &Passing<'_>, rng: &mut Rng) -> bool {
        let Fault { skip, times, every, probability, .. } = self.fault;
        let count = self.count(passing);
        let numbered = count.seen > skip && (count.seen - skip).is_multiple_of(every);
        if !numbered || count.fired >= times || !rng.chance(probability) {
            return false;
        }
        if !self.fault.may_act_on(passing) {
            self.spared += 1;
            return false;
        }
        self.count(passing).fired += 1;
        self.fired += 1;
        true
    }

    fn verdict(&self, passing: &Passing<'_>, rng: &mut Rng) -> Verdict {
        match &self.fault.action {
            Action::Fail(response) => {
                let response = response.clone().unwrap_or_else(|| usual_failure(passing.is_reply));
                Verdict::Fail(Answer(response))
            }
            Action::Delay(range) => Verdict::Delay(rng.duration(*range.start(), *range.end())),
            Action::Drop => Verdict::Drop,
            Action::Duplicate => Verdict::Duplicate,
            Action::Reorder => Verdict::Reorder,
            Action::Cut => Verdict::Cut,
            Action::Partition => Verdict::Partition,
            Action::Kill(victim) => Verdict::Kill(*victim),
            Action::Abort => Verdict::Abort,
        }
    }
}

/// Where the chance of one message begins: all that it may depend on (FT-1).
fn mixed(seed: u64, id: u64, passing: &Passing<'_>, seen: u64) -> u64 {
    let mut mixed = seed;
    let mut mix = |value: u64| mixed = Rng::new(mixed ^ value).next_u64();
    mix(id);
    for name in [passing.from, passing.to] {
        mix(name.len() as u64);
        name.bytes().for_each(|byte| mix(u64::from(byte)));
    }
    mix(seen);
    mixed
}

#[cfg(test)]
mod tests {
    use super::*;

    fn passing<'a>(from: &'a str, to: &'a str, message: Message) -> Passing<'a> {
        Passing { from, to, message, method: 0, is_reply: false, has_handles: false }
    }

    fn drops(plan: &mut Plan, from: &str, to: &str, messages: usize) -> Vec<bool> {
        (0..messages).map(|_| plan.judge(&passing(from, to, Message::Call)) == Verdict::Drop).collect()
    }

    /// FT-1
    #[test]
    fn what_other_pairs_do_changes_nothing() {
        let plan = || {
            let mut plan = Plan::new(7);
            plan.add(Fault::drop().probability(0.5));
            plan
        };
        let (mut quiet, mut busy) = (plan(), plan());
        let alone = drops(&mut quiet, "a", "b", 64);
        let mut beside = Vec::new();
        for _ in 0..64 {
            drops(&mut busy, "b", "a", 3);
            beside.extend(drops(&mut busy, "a", "b", 1));
        }
        assert_eq!(alone, beside);
        assert_ne!(alone, drops(&mut quiet, "a", "b", 64), "later messages have other luck");
        let mut other = Plan::new(8);
        other.add(Fault::drop().probability(0.5));
        assert_ne!(alone, drops(&mut other, "a", "b", 64), "so has another seed");
        let hits = alone.iter().filter(|hit| **hit).count();
        assert!((16..48).contains(&hits), "{hits} of 64");
    }

    #[test]
    fn each_pair_is_counted_by_itself() {
        let mut plan = Plan::new(0);
        let id = plan.add(Fault::drop().nth(2));
        assert_eq!(drops(&mut plan, "a", "b", 3), [false, true, false]);
        assert_eq!(drops(&mut plan, "b", "a", 3), [false, true, false]);
        assert_eq!(plan.fired(id), 2);
        let nths: Vec<u64> = plan.injected().iter().map(|injected| injected.nth).collect();
        assert_eq!(nths, [2, 2]);
    }

    #[test]
    fn first_every_and_skip_choose_by_number() {
        let chosen = |fault: Fault| {
            let mut plan = Plan::new(0);
            plan.add(fault);
            let hits = drops(&mut plan, "a", "b", 8);
            (1..).zip(hits).filter(|(_, hit)| *hit).map(|(nth, _)| nth).collect::<Vec<u32>>()
        };
        assert_eq!(chosen(Fault::drop().first(2)), [1, 2]);
        assert_eq!(chosen(Fault::drop().every(3)), [3, 6]);
        assert_eq!(chosen(Fault::drop().skip(1).every(3).first(1)), [4]);
        assert_eq!(chosen(Fault::drop().probability(0.0)), [] as [u32; 0]);
    }

    #[test]
    fn of_faults_that_pick_a_message_the_first_acts_and_all_count() {
        let mut plan = Plan::new(0);
        let first = plan.add(Fault::drop().nth(1));
        let second = plan.add(Fault::reorder().nth(2));
        let call = passing("a", "b", Message::Call);
        let verdicts = [(); 3].map(|()| plan.judge(&call));
        assert_eq!(verdicts, [Verdict::Drop, Verdict::Reorder, Verdict::Pass]);
        assert_eq!((plan.fired(first), plan.fired(second)), (1, 1));
    }

    #[test]
    fn a_fault_picks_by_message_and_names_what_it_never_met() {
        let mut plan = Plan::new(0);
        let calls = plan.add(Fault::drop().on(Message::Call).to("b"));
        plan.add(Fault::fail().on(Message::Fetch).from("c").nth(2));
        assert_eq!(plan.judge(&passing("a", "b", Message::References)), Verdict::Pass);
        assert_eq!(plan.judge(&passing("a", "c", Message::Call)), Verdict::Pass);
        assert_eq!(plan.judge(&passing("a", "b", Message::Call)), Verdict::Drop);
        assert_eq!(plan.judge(&passing("c", "a", Message::Fetch)), Verdict::Pass);
        assert_eq!(plan.fired(calls), 1);
        let unfired = plan.unfired();
        assert_eq!(unfired, ["fault 1 (fails fetch from c) never acted; it has picked 1 messages"]);
    }

    #[test]
    fn what_has_references_is_spared_where_they_would_be_lost() {
        let mut plan = Plan::new(0);
        let twice = plan.add(Fault::duplicate());
        let late = plan.add(Fault::drop().replies());
        let request = Passing { has_handles: true, ..passing("a", "b", Message::Call) };
        assert_eq!(plan.judge(&request), Verdict::Pass);
        assert_eq!(plan.judge(&Passing { is_reply: true, ..request }), Verdict::Drop);
        // Nobody is there to receive them when its caller has given up.
        let own = Passing { is_reply: true, to: "a", ..request };
        assert_eq!(plan.judge(&own), Verdict::Pass);
        assert_eq!((plan.spared(twice), plan.spared(late)), (1, 1));
        assert_eq!((plan.fired(twice), plan.fired(late)), (0, 1));
        plan.remove(late);
        plan.add(Fault::fail().replies());
        assert!(matches!(plan.judge(&own), Verdict::Fail(_)), "they arrive with the failure");
    }

    #[test]
    fn what_a_worker_asks_of_itself_meets_no_fault_of_links_nor_what_the_framework_asks() {
        let mut plan = Plan::new(0);
        let cut = plan.add(Fault::cut());
        let parted = plan.add(Fault::partition());
        let dropped = plan.add(Fault::drop());
        assert_eq!(plan.judge(&passing("a", "a", Message::Call)), Verdict::Drop);
        assert_eq!([cut, parted, dropped].map(|id| plan.fired(id)), [0, 0, 1]);
        let told = plan.add(Fault::fail().on(Message::References));
        assert_eq!(plan.judge(&passing("a", "a", Message::References)), Verdict::Pass);
        assert_eq!(plan.fired(told), 0);
    }
}
