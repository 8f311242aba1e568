//! Graceful shutdown, as a pure state machine.
//!
//! Every worker that wants to leave *joins*. The leader is the present worker with the smallest name. It
//! asks everybody in rounds what they are doing, and lets all proceed when it knows that nothing moves
//! any more.
//!
//! ```text
//!  follower                    leader                     follower
//!     |------- Join ------------>|                            |   "I want to leave"
//!     |<------ View -------------|                            |   who is missing, who is busy
//!     |<------ Probe ------------|-------- Probe ------------>|   round 1
//!     |------- Counts ---------->|<------- Counts ------------|
//!     |<------ Probe ------------|-------- Probe ------------>|   round 2: the same counts, all idle
//!     |------- Counts ---------->|<------- Counts ------------|
//!     |<------ Proceed ----------|-------- Proceed ---------->|
//! ```
//! A worker is *idle* when it waits for no reply and runs no handler; requests that were given up still
//! count until their reply is in. The requests of this protocol do not count.
//!
//! # Why two rounds
//! This is Mattern's four-counter method (F. Mattern, *Algorithms for distributed termination detection*,
//! 1987). Each worker was idle when asked in round 1 and again in round 2, and has sent and received as
//! many requests at both times: so it was idle throughout. At the moment between the rounds everybody was
//! idle at once, and no request was on its way, because its sender would have been waiting for the reply.
//!
//! # Needed from below
//! Work does not slip through between two counts. A request counts from before it is sent until its reply has
//! been handed over and whoever got it has begun what it begins at once; a handler counts until its answer has
//! left. The same holds where a request fails, and where a lost link sets something going. Without that a
//! worker would seem idle in a moment in which it is about to send.
//!
//! # Deaths
//! A worker that cannot be reached any more is *lost*; one that has said goodbye has *departed*. Neither
//! is waited for. When the leader is one of them, the next smallest name leads, and the others join there:
//! they repeat their join anyway, so each finds out by itself.
//!
//! # Invariants (each named by a test)
//! - **SD-1, nothing is cut off.** Nobody is let go while a present worker has not joined, waits for a
//!   reply or runs a handler.
//! - **SD-2, it ends.** When every present worker has joined and fallen idle, all of them are let go.
//! - **SD-3, deaths are survived.** Any worker may die at any time, the leader included; SD-1 and SD-2
//!   hold for the rest.

use std::collections::{BTreeSet, VecDeque};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::worker::WorkerId;

/// How often a follower repeats its join, which is also how it notices a dead leader.
pub const JOIN_INTERVAL: Duration = Duration::from_millis(500);
/// Pause after a round that found somebody busy or missing; it doubles up to [`ROUND_PAUSE_MAX`].
pub const ROUND_PAUSE_MIN: Duration = Duration::from_millis(2);
/// Longest pause between rounds.
pub const ROUND_PAUSE_MAX: Duration = Duration::from_millis(250);

/// What a worker is doing, apart from shutting down.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// Requests ever sent.
    pub sent: u64,
    /// Requests ever received.
    pub received: u64,
    /// Replies awaited and handlers running.
    pub active: u64,
}

/// A request of this protocol.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Ask {
    /// To the leader: the sender wants to leave.
    Join,
    /// From the leader: what are you doing?
    Probe,
    /// From the leader: leave. These were lost on the way.
    Proceed {
        /// Workers that died before they could take part.
        lost: Vec<WorkerId>,
    },
}

/// The answer to an [`Ask`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Answer {
    /// To [`Ask::Join`]: whom the leader waits for.
    View(View),
    /// To [`Ask::Probe`].
    Counts {
        /// Whether the worker has joined.
        joined: bool,
        /// What it is doing.
        counts: Counts,
    },
    /// To [`Ask::Proceed`].
    Done,
}

/// Whom a shutdown waits for.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct View {
    /// Present workers that have not joined.
    pub missing: Vec<WorkerId>,
    /// Workers that have, but are not idle.
    pub busy: Vec<WorkerId>,
}

/// Why an [`Ask`] has no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoAnswer {
    /// The worker cannot be reached and will not come back: it is dead.
    Lost,
    /// It has said goodbye.
    Departed,
    /// The answer did not come this time.
    NotNow,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Standing {
    Present,
    Lost,
    Departed,
}

#[derive(Debug)]
struct Member {
    standing: Standing,
    joined: bool,
    /// From the latest round.
    counts: Counts,
}

#[derive(Debug)]
enum Phase {
    /// Not joined, or a follower, or a leader between rounds.
    Waiting,
    /// A leader whose probes are out.
    Probing { unanswered: BTreeSet<WorkerId>, complete: bool },
    /// A leader that lets the others go.
    Releasing { unanswered: BTreeSet<WorkerId> },
    /// Free to leave.
    Done,
}

/// One worker's part in the shutdown of its group. Times are since any fixed moment.
#[derive(Debug)]
pub struct Machine {
    me: WorkerId,
    /// All workers by name: the first present one leads.
    by_name: Vec<WorkerId>,
    members: Vec<Member>,
    joined: bool,
    phase: Phase,
    /// Sums of the round before, if it found everybody idle.
    quiet: Option<(u64, u64)>,
    pause: Duration,
    /// When to begin the next round, or to repeat the join.
    act_at: Duration,
    joining: bool,
    /// What the leader said last.
    view: View,
    lost: Vec<WorkerId>,
    outbox: VecDeque<(WorkerId, Ask)>,
}

impl Machine {
    /// The part of worker `me`; `by_name` are the ranks of all workers in the order of their names.
    pub fn new(me: WorkerId, by_name: Vec<WorkerId>) -> Self {
        let member = || Member { standing: Standing::Present, joined: false, counts: Counts::default() };
        Self {
            me,
            members: by_name.iter().map(|_| member()).collect(),
            by_name,
            joined: false,
            phase: Phase::Waiting,
            quiet: None,
            pause: ROUND_PAUSE_MIN,
            act_at: Duration::ZERO,
            joining: false,
            view: View::default(),
            lost: Vec::new(),
            outbox: VecDeque::new(),
        }
    }

    /// This worker wants to leave.
    pub fn join(&mut self, now: Duration) {
        if !self.joined {
            self.joined = true;
            self.members[self.me.0 as usize].joined = true;
            self.act_at = now;
        }
    }

    /// Whether this worker has been let go.
    pub fn is_done(&self) -> bool {
        matches!(self.phase, Phase::Done)
    }

    /// The workers that were lost, as far as this one knows.
    pub fn lost(&self) -> &[WorkerId] {
        &self.lost
    }

    /// Whom the shutdown waits for, as far as this worker knows.
    pub fn view(&self) -> View {
        if self.leader() == Some(self.me) || self.view == View::default() {
            self.own_view()
        } else {
            self.view.clone()
        }
    }

    /// When to call [`handle_timeout`](Self::handle_timeout) next.
    pub fn poll_timeout(&self) -> Option<Duration> {
        let idle = matches!(self.phase, Phase::Waiting) && !self.joining;
        (self.joined && idle).then_some(self.act_at)
    }

    /// The next request to send.
    pub fn poll_transmit(&mut self) -> Option<(WorkerId, Ask)> {
        self.outbox.pop_front()
    }

    /// Time has come. `counts` is what this worker is doing.
    pub fn handle_timeout(&mut self, now: Duration, counts: Counts) {
        if self.poll_timeout().is_none_or(|at| at > now) {
            return;
        }
        match self.leader() {
            Some(leader) if leader == self.me => self.begin_round(now, counts),
            Some(leader) => {
                self.joining = true;
                self.outbox.push_back((leader, Ask::Join));
            }
            None => self.phase = Phase::Done,
        }
    }

    /// A request of this protocol has come from `from`.
    pub fn handle_ask(&mut self, now: Duration, from: WorkerId, ask: Ask, counts: Counts) -> Answer {
        match ask {
            Ask::Join => {
                if let Some(member) = self.members.get_mut(from.0 as usize)
                    && !member.joined
                {
                    member.joined = true;
                    self.act_at = self.act_at.min(now);
                    self.pause = ROUND_PAUSE_MIN;
                }
                Answer::View(self.own_view())
            }
            Ask::Probe => Answer::Counts { joined: self.joined, counts },
            Ask::Proceed { lost } => {
                if self.joined {
                    self.lost = lost;
                    self.phase = Phase::Done;
                }
                Answer::Done
            }
        }
    }

    /// The answer to a request that was sent to `to`, or that there is none. `counts` is what this worker
    /// is doing.
    pub fn handle_answer(
        &mut self,
        now: Duration,
        to: WorkerId,
        answer: Result<Answer, NoAnswer>,
        counts: Counts,
    ) {
        match answer {
            Ok(Answer::View(view)) => {
                self.view = view;
                self.joined_once(now + JOIN_INTERVAL);
            }
            Ok(Answer::Counts { joined, counts }) => {
                let member = &mut self.members[to.0 as usize];
                member.joined = joined;
                member.counts = counts;
            }
            Ok(Answer::Done) => {}
            Err(NoAnswer::Lost) => self.handle_lost(now, to),
            Err(NoAnswer::Departed) => self.handle_departed(now, to),
            Err(NoAnswer::NotNow) => {
                if let Phase::Probing { complete, .. } = &mut self.phase {
                    *complete = false;
                }
                self.joined_once(now + ROUND_PAUSE_MAX);
            }
        }
        self.answered(now, to, counts);
    }

    /// Worker `id` is dead.
    pub fn handle_lost(&mut self, now: Duration, id: WorkerId) {
        if self.set_standing(id, Standing::Lost) {
            self.lost.push(id);
        }
        self.joined_once(now);
    }

    /// Worker `id` has said goodbye.
    pub fn handle_departed(&mut self, now: Duration, id: WorkerId) {
        self.set_standing(id, Standing::Departed);
        self.joined_once(now);
    }

    fn set_standing(&mut self, id: WorkerId, standing: Standing) -> bool {
        match self.members.get_mut(id.0 as usize) {
            Some(member) if member.standing == Standing::Present && id != self.me => {
                member.standing = standing;
                self.quiet = None;
                true
            }
            _ => false,
        }
    }

    /// A join has been answered, or there is nobody to answer it: go on at `at`.
    fn joined_once(&mut self, at: Duration) {
        if std::mem::take(&mut self.joining) {
            self.act_at = at;
        }
    }

    fn leader(&self) -> Option<WorkerId> {
        self.by_name.iter().copied().find(|id| self.is_present(*id))
    }

    fn is_present(&self, id: WorkerId) -> bool {
        self.members[id.0 as usize].standing == Standing::Present
    }

    fn present(&self) -> impl Iterator<Item = WorkerId> {
        self.by_name.iter().copied().filter(|id| self.is_present(*id))
    }

    fn own_view(&self) -> View {
        let (joined, missing): (Vec<_>, Vec<_>) =
            self.present().partition(|id| self.members[id.0 as usize].joined);
        let busy = joined.into_iter().filter(|id| self.members[id.0 as usize].counts.active > 0).collect();
        View { missing, busy }
    }

    fn begin_round(&mut self, now: Duration, counts: Counts) {
        let others: BTreeSet<WorkerId> = self.present().filter(|id| *id != self.me).collect();
        self.outbox.extend(others.iter().map(|id| (*id, Ask::Probe)));
        self.phase = Phase::Probing { unanswered: others, complete: true };
        self.members[self.me.0 as usize].counts = counts;
        self.end_round_if_answered(now);
    }

    fn answered(&mut self, now: Duration, by: WorkerId, counts: Counts) {
        match &mut self.phase {
            Phase::Probing { unanswered, .. } => {
                unanswered.remove(&by);
                if unanswered.is_empty() {
                    self.members[self.me.0 as usize].counts = counts;
                }
                self.end_round_if_answered(now);
            }
            Phase::Releasing { unanswered } => {
                unanswered.remove(&by);
                if unanswered.is_empty() {
                    self.phase = Phase::Done;
                }
            }
            Phase::Waiting | Phase::Done => {}
        }
    }

    fn end_round_if_answered(&mut self, now: Duration) {
        let Phase::Probing { unanswered, complete } = &self.phase else { return };
        if !unanswered.is_empty() {
            return;
        }
        let view = self.own_view();
        let idle = *complete && view.missing.is_empty() && view.busy.is_empty();
        let sums = self.present().fold((0, 0), |(sent, received), id| {
            let counts = self.members[id.0 as usize].counts;
            (u64::wrapping_add(sent, counts.sent), u64::wrapping_add(received, counts.received))
        });
        let before = std::mem::replace(&mut self.quiet, idle.then_some(sums));
        if idle && before == Some(sums) {
            self.release();
            return;
        }
        self.phase = Phase::Waiting;
        // A quiet round is repeated at once; after another there is no hurry.
        self.act_at = if idle { now } else { now + self.pause };
        self.pause = if idle { ROUND_PAUSE_MIN } else { (self.pause * 2).min(ROUND_PAUSE_MAX) };
    }

    fn release(&mut self) {
        let others: BTreeSet<WorkerId> = self.present().filter(|id| *id != self.me).collect();
        let lost = self.lost.clone();
        self.outbox.extend(others.iter().map(|id| (*id, Ask::Proceed { lost: lost.clone() })));
        self.phase = if others.is_empty() { Phase::Done } else { Phase::Releasing { unanswered: others } };
    }
}

#[cfg(test)]
mod tests;
