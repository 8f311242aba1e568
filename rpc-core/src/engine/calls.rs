//! The calls in flight to one peer, by the id that stands for them on the wire.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use crate::error::Failure;
use crate::info::Traffic;
use crate::message::Kind;
use crate::reply::{Promise, ReplyCell};

/// Requests of control kinds to one peer that may wait for their responses at a time, and that one peer may
/// have in progress here. Their protocols have one or two of them out and ask again when that is given up:
/// a link on which this many are owed is not alive.
pub(super) const CONTROL_IN_FLIGHT_MAX: usize = 64;

/// A slab of calls. An id is a slot and the slot's generation, so that a late reply never meets the next
/// call of its slot. The lowest free slot is taken, so that ids show the peer how much is in flight
/// ([`Pace`](super::pace::Pace)).
///
/// A call that was given up after it was sent keeps its slot and its promise until the peer's reply is in: it
/// counts here for as long as there, and the handles in a late reply find their way.
#[derive(Debug, Default)]
pub(super) struct CallTable {
    slots: Vec<Slot>,
    free: FreeSlots,
    len: usize,
    /// How many of them are of control kinds.
    control: usize,
    /// Requests to the peer, and its responses. Counted here because the lock is held then.
    pub(super) traffic: Traffic,
    /// Calls that were added since one was last taken out.
    run: usize,
    /// How many there were of them the time before.
    last_run: usize,
}

#[derive(Debug)]
struct Slot {
    generation: u32,
    call: Option<Call>,
}

/// A bit for each slot that is free.
#[derive(Debug, Default)]
struct FreeSlots {
    words: Vec<u64>,
    /// No word before this one has a bit.
    first: usize,
}

impl FreeSlots {
    /// Takes the lowest.
    fn take(&mut self) -> Option<u32> {
        let words = self.words.iter_mut().enumerate().skip(self.first);
        for (at, word) in words {
            if *word != 0 {
                self.first = at;
                let bit = word.trailing_zeros();
                *word &= *word - 1;
                return Some(at as u32 * u64::BITS + bit); // slots are numbered in 32 bits
            }
        }
        self.first = self.words.len();
        None
    }

    fn put(&mut self, slot: u32) {
        let at = (slot / u64::BITS) as usize;
        if at >= self.words.len() {
            self.words.resize(at + 1, 0);
        }
        self.words[at] |= 1 << (slot % u64::BITS);
        self.first = self.first.min(at);
    }
}

/// One call in flight.
#[derive(Debug)]
pub(super) struct Call {
    pub(super) promise: Promise,
    pub(super) kind: Kind,
    /// Which of the kind's functions.
    pub(super) method: u64,
    pub(super) began: Instant,
    /// Number of the link that it was sent on; 0 while it waits for one.
    pub(super) link: u32,
    pub(super) deadline: Option<Instant>,
    /// How long the caller was willing to wait, for the error.
    pub(super) timeout: Option<Duration>,
    /// The deadline that the peer knows.
    pub(super) told: Option<Instant>,
    /// Nobody waits for it any more, but the peer still owes a reply.
    pub(super) given_up: bool,
}

/// A call that is given up.
pub(super) enum GivenUp {
    /// It was never sent; nobody owes anything.
    Unsent(Call),
    /// It stays in the table.
    Sent {
        /// Where its caller waits.
        cell: Option<Arc<ReplyCell>>,
        /// As in [`Call::timeout`].
        timeout: Option<Duration>,
    },
}

impl CallTable {
    /// Calls that wait for a reply, those given up included.
    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// Whether the next call is probably alone until its response comes: nothing is in flight, and the last call
    /// that there was had no company either. Callers that are woken together call again together.
    pub(super) fn is_lonely(&self) -> bool {
        self.len == 0 && self.run.max(self.last_run) <= 1
    }

    /// Why there is no place for one more call of `kind`, if so (EN-3).
    pub(super) fn refuses(&self, kind: Kind, in_flight_max: usize) -> Option<Failure> {
        let (used, bound, limit) = match kind.is_control() {
            true => (self.control, "control requests", CONTROL_IN_FLIGHT_MAX),
            false => (self.len - self.control, "in_flight_max", in_flight_max),
        };
        (used >= limit).then(|| Failure::Overloaded { bound: bound.into(), limit: limit as u64 })
    }

    /// Adds a call and returns its id.
    pub(super) fn insert(&mut self, call: Call) -> u64 {
        self.len += 1;
        self.run += 1;
        self.control += usize::from(call.kind.is_control());
        match self.free.take() {
            Some(index) => {
                let slot = &mut self.slots[index as usize];
                slot.call = Some(call);
                id(index, slot.generation)
            }
            None => {
                let index = self.slots.len() as u32; // `in_flight_max` is far below 2^32
                if index == 0 {
                    // Many peers are only ever asked one thing at a time, by workers with many peers.
                    self.slots.reserve_exact(1);
                }
                self.slots.push(Slot { generation: 1, call: Some(call) });
                id(index, 1)
            }
        }
    }

    /// The call of this id, unless it was given up.
    pub(super) fn get_mut(&mut self, id: u64) -> Option<&mut Call> {
        self.slot_mut(id)?.call.as_mut().filter(|call| !call.given_up)
    }

    /// Whether somebody still waits for this call.
    #[cfg(test)]
    fn is_live(&mut self, id: u64) -> bool {
        self.get_mut(id).is_some()
    }

    /// Takes a call out whose reply has come, or that was never sent; `None` for an id that stands for nothing.
    pub(super) fn remove(&mut self, id: u64) -> Option<Call> {
        let slot = self.slot_mut(id)?;
        let call = slot.call.take()?;
        slot.generation = slot.generation.wrapping_add(1);
        self.free.put(id as u32);
        self.len -= 1;
        if self.run > 0 {
            self.last_run = std::mem::take(&mut self.run);
        }
        self.control -= usize::from(call.kind.is_control());
        Some(call)
    }

    /// Gives a call up. If it was sent, it stays until the reply is in.
    pub(super) fn give_up(&mut self, id: u64) -> Option<GivenUp> {
        let call = self.get_mut(id)?;
        if call.link == 0 {
            return self.remove(id).map(GivenUp::Unsent);
        }
        call.given_up = true;
        Some(GivenUp::Sent { cell: call.promise.cell(), timeout: call.timeout })
    }

    /// All calls with their ids, those given up included.
    pub(super) fn iter(&self) -> impl Iterator<Item = (u64, &Call)> {
        (0_u32..)
            .zip(&self.slots)
            .filter_map(|(index, slot)| Some((id(index, slot.generation), slot.call.as_ref()?)))
    }

    /// Takes out everything that was sent on `link`.
    pub(super) fn take_sent_on(&mut self, link: u32) -> Vec<Call> {
        self.take_where(|call| call.link == link)
    }

    /// Takes out everything.
    pub(super) fn take_all(&mut self) -> Vec<Call> {
        self.take_where(|_| true)
    }

    fn take_where(&mut self, hit: impl Fn(&Call) -> bool) -> Vec<Call> {
        let ids: Vec<u64> = self.iter().filter(|(_, call)| hit(call)).map(|(id, _)| id).collect();
        ids.into_iter().filter_map(|id| self.remove(id)).collect()
    }

    /// Ids of the calls whose deadline is not after `now`, and the earliest deadline of the others.
    pub(super) fn expired(&self, now: Instant) -> (Vec<u64>, Option<Instant>) {
        let mut expired = Vec::new();
        let mut earliest: Option<Instant> = None;
        for (index, slot) in (0_u32..).zip(&self.slots) {
            let Some(Call { deadline: Some(deadline), given_up: false, .. }) = &slot.call else {
                continue;
            };
            if *deadline <= now {
                expired.push(id(index, slot.generation));
            } else {
                earliest = Some(earliest.map_or(*deadline, |earliest| earliest.min(*deadline)));
            }
        }
        (expired, earliest)
    }

    fn slot_mut(&mut self, id: u64) -> Option<&mut Slot> {
        let slot = self.slots.get_mut(id as u32 as usize)?;
        (slot.generation == (id >> 32) as u32).then_some(slot)
    }
}

fn id(index: u32, generation: u32) -> u64 {
    u64::from(generation) << 32 | u64::from(index)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(link: u32) -> Call {
        let (promise, _) = Promise::new();
        let (kind, began) = (Kind::CALL, Instant::now());
        let told = None;
        Call { promise, kind, method: 0, began, link, deadline: None, timeout: None, told, given_up: false }
    }

    #[test]
    fn a_late_reply_does_not_meet_the_next_call_of_its_slot() {
        let mut table = CallTable::default();
        let first = table.insert(call(1));
        assert!(table.remove(first).is_some());
        let second = table.insert(call(1));
        assert_eq!(first as u32, second as u32, "the slot is used again");
        assert!(table.remove(first).is_none());
        assert!(table.is_live(second));
        assert!(table.remove(99).is_none() && table.remove(u64::MAX).is_none());
    }

    #[test]
    fn the_lowest_free_slot_is_taken() {
        let mut table = CallTable::default();
        let mut ids: Vec<u64> = (0..200).map(|_| table.insert(call(1))).collect();
        for slot in [150, 3, 70] {
            assert!(table.remove(ids[slot]).is_some());
        }
        for slot in [3, 70, 150, 200] {
            let id = table.insert(call(1));
            assert_eq!(id as u32, slot);
            if let Some(before) = ids.get_mut(slot as usize) {
                assert_ne!(std::mem::replace(before, id), id, "of another generation");
            }
        }
        assert_eq!(table.take_all().len(), 201);
        assert_eq!(table.insert(call(1)) as u32, 0);
    }

    #[test]
    fn a_call_given_up_counts_until_its_reply_is_in() {
        let mut table = CallTable::default();
        let sent = table.insert(call(1));
        assert!(matches!(table.give_up(sent), Some(GivenUp::Sent { .. })));
        assert!(table.give_up(sent).is_none());
        assert_eq!((table.len(), table.is_live(sent)), (1, false));
        assert!(table.remove(sent).is_some());
        let unsent = table.insert(call(0));
        assert!(matches!(table.give_up(unsent), Some(GivenUp::Unsent(_))));
        assert_eq!(table.len(), 0, "nobody owes a reply to what was not sent");
    }

    /// EN-4
    #[test]
    fn only_what_was_sent_on_a_link_goes_with_it() {
        let mut table = CallTable::default();
        let (first, waiting, second) = (table.insert(call(1)), table.insert(call(0)), table.insert(call(2)));
        table.give_up(first);
        assert_eq!(table.take_sent_on(1).len(), 1);
        assert!(table.is_live(waiting) && table.is_live(second));
        assert_eq!(table.take_all().len(), 2);
        assert_eq!(table.len(), 0);
    }

    #[test]
    fn a_call_is_lonely_unless_the_last_ones_came_together() {
        let mut table = CallTable::default();
        assert!(table.is_lonely());
        let first = table.insert(call(1));
        assert!(!table.is_lonely(), "one is in flight");
        table.remove(first);
        assert!(table.is_lonely(), "one after the other");
        let together = [0; 3].map(|_| table.insert(call(1)));
        for id in together {
            table.remove(id);
        }
        assert!(!table.is_lonely(), "whoever was woken calls again");
        let next = table.insert(call(1));
        table.remove(next);
        assert!(table.is_lonely(), "nobody else did");
    }

    /// EN-3
    #[test]
    fn control_requests_and_others_do_not_take_each_others_places() {
        let mut table = CallTable::default();
        let control = Kind::SHUTDOWN;
        let ids: Vec<_> =
            (0..CONTROL_IN_FLIGHT_MAX).map(|_| table.insert(Call { kind: control, ..call(1) })).collect();
        assert!(table.refuses(control, 1).is_some() && table.refuses(Kind::CALL, 1).is_none());
        table.remove(ids[0]);
        table.insert(call(1));
        assert!(table.refuses(control, 1).is_none() && table.refuses(Kind::CALL, 1).is_some());
    }
}
