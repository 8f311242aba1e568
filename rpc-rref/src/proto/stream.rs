//! The control stream: entries from one worker to another, each exactly once and in order, over requests that
//! may be lost, repeated or answered late.
//!
//! Entries leave in *batches*, which are numbered. One batch is under way at a time; the answer to its request
//! acknowledges it. When the request fails, or nobody knows, the same batch is sent again, under its number,
//! so the receiver can tell it from a new one.
//!
//! ```text
//!  Outbound                              Inbound
//!    |---- batch 7: [a, b] ----------------->|   Fresh: takes a, b
//!    |       (the answer is lost)            |
//!    |---- batch 7: [a, b] ----------------->|   Repeat: takes nothing, answers again
//!    |<--- answer to 7 ----------------------|
//!    |---- batch 8: [c] -------------------->|
//! ```
//!
//! # Invariants (each named by a test)
//! - **CS-1, exactly once.** The receiver takes a prefix of what was pushed, in order, and each entry once.
//! - **CS-2, one batch.** No batch leaves before the one before it is acknowledged, and a batch that leaves
//!   again is the same.
//! - **CS-3, repeats are answered.** A repeated batch is acknowledged again, so a lost answer stops nothing.
//! - **CS-4, nothing stays.** If requests and answers get through in the end, all entries are taken and
//!   acknowledged.
//!
//! The receiver keeps one number, the sender what is not acknowledged. What bounds that is up to whoever
//! pushes; [`Outbound::len`] tells.

use std::collections::VecDeque;

use rpc_core::WorkerId;

use super::Violation;

/// Room that an empty queue keeps, in entries.
const QUEUE_KEPT: usize = 1024;

/// The sender's end.
///
/// ```
/// use rpc_core::WorkerId;
/// use rpc_rref::proto::stream::{Accepted, Inbound, Outbound};
///
/// let (mut out, mut inbound) = (Outbound::new(), Inbound::new(WorkerId(0)));
/// out.push('a');
/// out.push('b');
/// let (seq, batch) = out.poll_batch(100).unwrap();
/// assert_eq!((seq, batch), (0, &['a', 'b'][..]));
/// assert_eq!(inbound.accept(seq), Ok(Accepted::Fresh));
/// out.failed(seq);  // the answer is lost
/// let (seq, batch) = out.poll_batch(100).unwrap();
/// assert_eq!((seq, batch), (0, &['a', 'b'][..]));
/// assert_eq!(inbound.accept(seq), Ok(Accepted::Repeat));
/// out.acked(seq);
/// assert!(out.is_idle());
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Outbound<T> {
    queue: VecDeque<T>,
    /// The present batch. Empty between batches, and in a batch that has no entries.
    batch: Vec<T>,
    /// Its number, or the next one's.
    seq: u64,
    phase: Phase,
    /// A batch is to be sent even if there are no entries.
    probe: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Phase {
    /// There is no batch.
    Ready,
    /// The batch is under way.
    UnderWay,
    /// The batch is to be sent again.
    Failed,
}

impl<T> Default for Outbound<T> {
    fn default() -> Self {
        Self { queue: VecDeque::new(), batch: Vec::new(), seq: 0, phase: Phase::Ready, probe: false }
    }
}

impl<T> Outbound<T> {
    /// A stream of which nothing has been sent.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds an entry.
    pub fn push(&mut self, entry: T) {
        self.queue.push_back(entry);
    }

    /// Has a batch sent even if there is nothing to send: its answer says that the peer lives.
    pub fn probe(&mut self) {
        self.probe = true;
    }

    /// The batch to send now, with its number: the last one if it [failed](Self::failed), else up to `max`
    /// entries. `None` if one is under way, or there is nothing to send. Every batch that this returns has to
    /// end with [`acked`](Self::acked) or [`failed`](Self::failed).
    ///
    /// # Panics
    /// If `max` is 0.
    pub fn poll_batch(&mut self, max: usize) -> Option<(u64, &[T])> {
        assert!(max > 0, "batches without room send nothing");
        match self.phase {
            Phase::UnderWay => return None,
            Phase::Ready if self.queue.is_empty() && !self.probe => return None,
            Phase::Ready => self.batch.extend(self.queue.drain(..max.min(self.queue.len()))),
            Phase::Failed => {}
        }
        self.phase = Phase::UnderWay;
        self.probe = false;
        if self.queue.is_empty() && self.queue.capacity() > QUEUE_KEPT {
            self.queue.shrink_to(QUEUE_KEPT);
        }
        Some((self.seq, &self.batch))
    }

    /// The receiver has batch `seq`. Ignored if that was known.
    pub fn acked(&mut self, seq: u64) {
        if self.phase != Phase::Ready && seq == self.seq {
            self.batch.clear();
            self.seq += 1;
            self.phase = Phase::Ready;
        }
    }

    /// The request with batch `seq` failed, or nobody knows: the batch is to be sent again. Ignored if it has
    /// been acknowledged.
    pub fn failed(&mut self, seq: u64) {
        if self.phase == Phase::UnderWay && seq == self.seq {
            self.phase = Phase::Failed;
        }
    }

    /// How many entries have not been acknowledged.
    pub fn len(&self) -> usize {
        self.queue.len() + self.batch.len()
    }

    /// Whether all entries have been acknowledged. A batch without any may be under way.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether there is nothing to send and nothing under way.
    pub fn is_idle(&self) -> bool {
        self.is_empty() && self.phase == Phase::Ready && !self.probe
    }

    /// The receiver is dead: forgets all entries. A late answer is ignored.
    pub fn clear(&mut self) {
        let seq = self.seq + 1;
        *self = Self { seq, ..Self::default() };
    }
}

/// The receiver's end.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Inbound {
    from: WorkerId,
    next: u64,
}

/// What to do with a batch. It is to be acknowledged in either case.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[must_use = "only a fresh batch is to be taken"]
pub enum Accepted {
    /// Take its entries.
    Fresh,
    /// They have been taken.
    Repeat,
}

impl Inbound {
    /// The stream of `from`, of which nothing has come.
    pub fn new(from: WorkerId) -> Self {
        Self { from, next: 0 }
    }

    /// Batch `seq` has come. If it is fresh its entries have to be taken, all at once, before anything else
    /// is accepted.
    ///
    /// # Errors
    /// [`Violation::BatchSkipped`]: the sender did not wait for an acknowledgement. Nothing has changed.
    pub fn accept(&mut self, seq: u64) -> Result<Accepted, Violation> {
        if seq < self.next {
            return Ok(Accepted::Repeat);
        }
        if seq > self.next {
            return Err(Violation::BatchSkipped { from: self.from, expected: self.next, got: seq });
        }
        self.next += 1;
        Ok(Accepted::Fresh)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use proptest::sample::Index;

    use super::*;

    #[derive(Clone, Copy, Debug)]
    enum Step {
        Push,
        Probe,
        Send(usize),
        /// A request arrives; again later, if so said.
        Request(Index, bool),
        /// An answer arrives; again later, if so said.
        Answer(Index, bool),
        /// The sender gives up waiting, whatever has become of the request.
        Fail,
        LoseRequest(Index),
        LoseAnswer(Index),
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            4 => Just(Step::Push),
            1 => Just(Step::Probe),
            4 => (1..4_usize).prop_map(Step::Send),
            4 => any::<(Index, bool)>().prop_map(|(at, again)| Step::Request(at, again)),
            4 => any::<(Index, bool)>().prop_map(|(at, again)| Step::Answer(at, again)),
            2 => Just(Step::Fail),
            1 => any::<Index>().prop_map(Step::LoseRequest),
            1 => any::<Index>().prop_map(Step::LoseAnswer),
        ]
    }

    struct World {
        out: Outbound<u32>,
        inbound: Inbound,
        pushed: u32,
        /// The batch that was sent last.
        last: Option<(u64, Vec<u32>)>,
        acked: Option<u64>,
        requests: Vec<(u64, Vec<u32>)>,
        answers: Vec<u64>,
        taken: Vec<u32>,
    }

    fn pick<T: Clone>(from: &mut Vec<T>, at: Index, again: bool) -> Option<T> {
        if from.is_empty() {
            return None;
        }
        let at = at.index(from.len());
        Some(if again { from[at].clone() } else { from.swap_remove(at) })
    }

    impl World {
        fn new() -> Self {
            Self {
                out: Outbound::new(),
                inbound: Inbound::new(WorkerId(0)),
                pushed: 0,
                last: None,
                acked: None,
                requests: Vec::new(),
                answers: Vec::new(),
                taken: Vec::new(),
            }
        }

        fn apply(&mut self, step: Step) {
            match step {
                Step::Push => {
                    self.out.push(self.pushed);
                    self.pushed += 1;
                }
                Step::Probe => self.out.probe(),
                Step::Send(max) => self.send(max),
                Step::Request(at, again) => {
                    if let Some((seq, entries)) = pick(&mut self.requests, at, again) {
                        if self.inbound.accept(seq).expect("no batch is skipped") == Accepted::Fresh {
                            self.taken.extend(entries);
                        }
                        self.answers.push(seq); // CS-3
                    }
                }
                Step::Answer(at, again) => {
                    if let Some(seq) = pick(&mut self.answers, at, again) {
                        self.out.acked(seq);
                        self.acked = self.acked.max(Some(seq));
                    }
                }
                Step::Fail => {
                    if let Some((seq, _)) = self.last {
                        self.out.failed(seq);
                    }
                }
                Step::LoseRequest(at) => {
                    pick(&mut self.requests, at, false);
                }
                Step::LoseAnswer(at) => {
                    pick(&mut self.answers, at, false);
                }
            }
            assert!(self.taken.iter().copied().eq(0..self.taken.len() as u32), "CS-1: {:?}", self.taken);
            let unacked = self.pushed as usize - self.out.len();
            assert!(unacked <= self.taken.len(), "CS-1: what is acknowledged was taken");
        }

        fn send(&mut self, max: usize) {
            let Some((seq, entries)) = self.out.poll_batch(max) else { return };
            let batch = (seq, entries.to_vec());
            if let Some(last) = &self.last {
                let is_repeat = *last == batch;
                let follows = seq == last.0 + 1 && self.acked >= Some(last.0);
                assert!(is_repeat || follows, "CS-2: {last:?}, then {batch:?}");
                assert!(is_repeat || batch.1.len() <= max, "CS-2: {batch:?} has room for {max}");
            }
            self.requests.push(batch.clone());
            self.last = Some(batch);
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(10_000))]

        /// CS-1, CS-2, CS-3, CS-4 whatever is lost, repeated, overtaken and given up.
        #[test]
        fn entries_are_taken_once_and_in_order(steps in prop::collection::vec(step(), 0..80)) {
            let mut world = World::new();
            for step in steps {
                world.apply(step);
            }
            world.requests.clear();
            world.answers.clear();
            world.apply(Step::Fail);
            for _ in 0..=world.pushed + 1 {
                world.send(3);
                while let Some((seq, entries)) = world.requests.pop() {
                    if world.inbound.accept(seq).expect("no batch is skipped") == Accepted::Fresh {
                        world.taken.extend(entries);
                    }
                    world.out.acked(seq);
                    world.acked = Some(seq);
                }
            }
            prop_assert!(world.taken.iter().copied().eq(0..world.pushed), "CS-4: {:?}", world.taken);
            prop_assert!(world.out.is_idle(), "CS-4: {:?}", world.out);
        }
    }

    #[test]
    fn a_batch_that_skips_one_is_a_violation() {
        let mut inbound = Inbound::new(WorkerId(3));
        assert_eq!(inbound.accept(0), Ok(Accepted::Fresh));
        let violation = Violation::BatchSkipped { from: WorkerId(3), expected: 1, got: 2 };
        assert_eq!(inbound.accept(2), Err(violation));
        assert_eq!(
            inbound.accept(u64::MAX),
            Err(Violation::BatchSkipped { from: WorkerId(3), expected: 1, got: u64::MAX })
        );
        assert_eq!(inbound.accept(1), Ok(Accepted::Fresh));
    }

    #[test]
    fn a_probe_is_an_empty_batch_unless_there_are_entries() {
        let mut out = Outbound::new();
        out.probe();
        assert!(!out.is_idle());
        assert_eq!(out.poll_batch(9), Some((0, &[][..])));
        out.push('a');
        out.failed(0);
        assert_eq!(out.poll_batch(9), Some((0, &[][..])), "CS-2: the same batch");
        out.acked(0);
        out.probe();
        assert_eq!(out.poll_batch(9), Some((1, &['a'][..])));
        out.acked(1);
        assert!(out.is_idle());
    }

    #[test]
    fn a_late_answer_to_what_was_cleared_is_ignored() {
        let mut out = Outbound::new();
        out.push('a');
        out.push('b');
        assert!(out.poll_batch(1).is_some());
        out.clear();
        assert!(out.is_idle());
        out.push('c');
        out.acked(0);
        out.failed(0);
        assert_eq!(out.len(), 1);
    }
}
