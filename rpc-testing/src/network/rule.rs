//! [`Rule`]: what befalls single frames.

use std::ops::RangeInclusive;
use std::time::Duration;

use rpc_core::Kind;
use rpc_core::wire::{Header, frame};

use super::MemoryNetwork;
use crate::rng::Rng;

/// Picks frames and says what happens to them.
///
/// A rule sees each frame once, at the moment it leaves the sender's outbox, in that order. The first
/// rule of the network that picks a frame decides; frames that no rule picks travel as usual.
///
/// ```
/// use rpc_testing::{MemoryNetwork, Rule};
/// # let network = MemoryNetwork::new();
/// // The third and fourth reply that memory:1 sends will not arrive until they are released.
/// let rule = network.add(Rule::hold().from("memory:1").replies().skip(2).times(2));
/// # rule.release();
/// rule.remove();
/// ```
#[derive(Clone, Debug)]
pub struct Rule {
    action: Action,
    from: Option<String>,
    to: Option<String>,
    kinds: RangeInclusive<u8>,
    skip: u64,
    times: u64,
    probability: f64,
}

#[derive(Clone, Debug)]
enum Action {
    Drop,
    Delay(RangeInclusive<Duration>),
    Hold,
    Fail,
}

/// What a rule makes of one frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    Pass,
    Drop,
    Delay(Duration),
    Hold(RuleId),
    Fail,
}

/// Names an added rule; never reused within a network.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct RuleId(u64);

impl Rule {
    fn new(action: Action) -> Self {
        let kinds = 0..=u8::MAX;
        Self { action, from: None, to: None, kinds, skip: 0, times: u64::MAX, probability: 1.0 }
    }

    /// Frames vanish, and nobody is told.
    ///
    /// No transport does this: a link promises order and completeness (LK-1), and an engine may rely on
    /// it. What it models is a broken transport or proxy, for tests of layers that are to survive one.
    pub fn drop() -> Self {
        Self::new(Action::Drop)
    }

    /// Frames arrive later, by `delay` on top of the delay of the pair. Those behind in the same lane wait.
    pub fn delay(delay: Duration) -> Self {
        Self::delay_between(delay, delay)
    }

    /// Frames arrive later, each by a time drawn from `least..=most`. Those behind in the same lane wait.
    pub fn delay_between(least: Duration, most: Duration) -> Self {
        Self::new(Action::Delay(least..=most))
    }

    /// Frames stay on their way until [`ActiveRule::release`]. Those behind in the same lane wait, so the
    /// link keeps its promise of order; the other lane (see [`Header::is_urgent`]) passes.
    pub fn hold() -> Self {
        Self::new(Action::Hold)
    }

    /// The frame vanishes and its link dies with an error on both sides.
    pub fn fail() -> Self {
        Self::new(Action::Fail)
    }

    /// Only frames from this address.
    #[must_use]
    pub fn from(self, address: impl Into<String>) -> Self {
        Self { from: Some(address.into()), ..self }
    }

    /// Only frames to this address.
    #[must_use]
    pub fn to(self, address: impl Into<String>) -> Self {
        Self { to: Some(address.into()), ..self }
    }

    /// Only frames of this [`Header::kind`]: one of [`wire::frame`](rpc_core::wire::frame), or that of a
    /// request, as in `Kind::CALL.0`.
    #[must_use]
    pub fn kind(self, kind: u8) -> Self {
        Self { kinds: kind..=kind, ..self }
    }

    /// Only requests, of whatever kind.
    #[must_use]
    pub fn requests(self) -> Self {
        Self { kinds: Kind::CALL.0..=u8::MAX, ..self }
    }

    /// Only replies.
    #[must_use]
    pub fn replies(self) -> Self {
        self.kind(frame::REPLY)
    }

    /// Lets the first `frames` of those that are picked pass.
    #[must_use]
    pub fn skip(self, frames: u64) -> Self {
        Self { skip: frames, ..self }
    }

    /// Acts on `frames` of those that are picked, then no more.
    #[must_use]
    pub fn times(self, frames: u64) -> Self {
        Self { times: frames, ..self }
    }

    /// Acts on each picked frame with this probability, out of the network's seed.
    ///
    /// # Panics
    /// Unless `probability` is within 0 and 1.
    #[must_use]
    pub fn probability(self, probability: f64) -> Self {
        assert!((0.0..=1.0).contains(&probability), "{probability} is no probability");
        Self { probability, ..self }
    }

    fn picks(&self, from: &str, to: &str, header: &Header) -> bool {
        self.kinds.contains(&header.kind)
            && self.from.as_deref().is_none_or(|address| address == from)
            && self.to.as_deref().is_none_or(|address| address == to)
    }
}

/// The rules of a network in the order in which they were added.
#[derive(Debug, Default)]
pub(super) struct Rules {
    added: Vec<Added>,
    next_id: u64,
}

#[derive(Debug)]
struct Added {
    id: RuleId,
    rule: Rule,
    hits: u64,
}

impl Rules {
    pub(super) fn add(&mut self, rule: Rule) -> RuleId {
        let id = RuleId(self.next_id);
        self.next_id += 1;
        self.added.push(Added { id, rule, hits: 0 });
        id
    }

    pub(super) fn remove(&mut self, id: RuleId) {
        self.added.retain(|added| added.id != id);
    }

    pub(super) fn hits(&self, id: RuleId) -> u64 {
        self.added.iter().find(|added| added.id == id).map_or(0, |added| added.hits)
    }

    pub(super) fn fate(&mut self, from: &str, to: &str, header: &Header, rng: &mut Rng) -> Fate {
        for added in &mut self.added {
            if added.rule.picks(from, to, header) {
                if added.rule.skip > 0 {
                    added.rule.skip -= 1;
                } else if added.hits < added.rule.times && rng.chance(added.rule.probability) {
                    added.hits += 1;
                    return added.act(rng);
                }
            }
        }
        Fate::Pass
    }
}

impl Added {
    fn act(&self, rng: &mut Rng) -> Fate {
        match &self.rule.action {
            Action::Drop => Fate::Drop,
            Action::Delay(range) => Fate::Delay(rng.duration(*range.start(), *range.end())),
            Action::Hold => Fate::Hold(self.id),
            Action::Fail => Fate::Fail,
        }
    }
}

/// A rule that has been added to a network. Dropping this leaves the rule in force.
#[derive(Clone, Debug)]
pub struct ActiveRule {
    network: MemoryNetwork,
    id: RuleId,
}

impl ActiveRule {
    pub(super) fn new(network: MemoryNetwork, id: RuleId) -> Self {
        Self { network, id }
    }

    /// On how many frames the rule has acted; 0 after [`remove`](Self::remove).
    pub fn hits(&self) -> u64 {
        self.network.rule_hits(self.id)
    }

    /// Lets the frames go that this rule holds now. Later ones are held anew.
    pub fn release(&self) {
        self.network.release(self.id);
    }

    /// Takes the rule out of force and lets go what it holds.
    pub fn remove(&self) {
        self.network.remove_rule(self.id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fates(rules: &mut Rules, kinds: &[u8]) -> Vec<Fate> {
        let mut rng = Rng::new(0);
        kinds.iter().map(|kind| rules.fate("a", "b", &Header::control(*kind, 1), &mut rng)).collect()
    }

    #[test]
    fn a_rule_acts_on_what_it_picks_after_those_it_skips_and_then_no_more() {
        let mut rules = Rules::default();
        let id = rules.add(Rule::drop().from("a").to("b").replies().skip(1).times(2));
        let reply = frame::REPLY;
        let seen = fates(&mut rules, &[reply, Kind::CALL.0, reply, reply, reply]);
        assert_eq!(seen, [Fate::Pass, Fate::Pass, Fate::Drop, Fate::Drop, Fate::Pass]);
        assert_eq!(rules.hits(id), 2);
    }

    #[test]
    fn the_first_rule_that_acts_decides_and_other_pairs_are_left_alone() {
        let mut rules = Rules::default();
        rules.add(Rule::drop().from("b"));
        let hold = rules.add(Rule::hold().requests().times(1));
        rules.add(Rule::fail());
        assert_eq!(fates(&mut rules, &[Kind::CALL.0, Kind::CALL.0]), [Fate::Hold(hold), Fate::Fail]);
        rules.remove(hold);
        assert_eq!(rules.hits(hold), 0);
    }
}
