//! The calls in flight to one peer, by the id that stands for them on the wire.

use std::time::Duration;

use tokio::time::Instant;

use crate::message::Kind;
use crate::reply::Promise;

/// A slab of calls. An id is a slot and the slot's generation, so that a late reply never meets the next
/// call of its slot.
#[derive(Debug, Default)]
pub(super) struct CallTable {
    slots: Vec<Slot>,
    free: Option<u32>,
    len: usize,
}

#[derive(Debug)]
struct Slot {
    generation: u32,
    content: Content,
}

#[derive(Debug)]
enum Content {
    Free {
        next: Option<u32>,
    },
    Call(Call),
    /// Given up, but the peer still owes a reply: it counts until then, here as there.
    Abandoned {
        kind: Kind,
        link: u32,
    },
}

/// One call in flight.
#[derive(Debug)]
pub(super) struct Call {
    pub(super) promise: Promise,
    pub(super) kind: Kind,
    /// Number of the link that it was sent on; 0 while it waits for one.
    pub(super) link: u32,
    pub(super) deadline: Option<Instant>,
    /// How long the caller was willing to wait, for the error.
    pub(super) timeout: Option<Duration>,
    /// The deadline that the peer knows.
    pub(super) told: Option<Instant>,
}

impl CallTable {
    /// Calls that wait for a reply, those given up included.
    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// Adds a call and returns its id.
    pub(super) fn insert(&mut self, call: Call) -> u64 {
        self.len += 1;
        let content = Content::Call(call);
        match self.free {
            Some(index) => {
                let slot = &mut self.slots[index as usize];
                if let Content::Free { next } = slot.content {
                    self.free = next;
                }
                slot.content = content;
                id(index, slot.generation)
            }
            None => {
                let index = self.slots.len() as u32; // `in_flight_max` is far below 2^32
                self.slots.push(Slot { generation: 1, content });
                id(index, 1)
            }
        }
    }

    pub(super) fn get_mut(&mut self, id: u64) -> Option<&mut Call> {
        match &mut self.slot_mut(id)?.content {
            Content::Call(call) => Some(call),
            _ => None,
        }
    }

    /// Whether somebody still waits for this call.
    #[cfg(test)]
    fn is_live(&mut self, id: u64) -> bool {
        self.get_mut(id).is_some()
    }

    /// Takes a call out whose reply has come, or that was never sent. The call is `None` if it was given
    /// up; the whole is `None` for an id that stands for nothing.
    pub(super) fn remove(&mut self, id: u64) -> Option<(Kind, Option<Call>)> {
        let index = id as u32;
        let free = self.free;
        let slot = self.slot_mut(id)?;
        if matches!(slot.content, Content::Free { .. }) {
            return None;
        }
        let content = std::mem::replace(&mut slot.content, Content::Free { next: free });
        slot.generation = slot.generation.wrapping_add(1);
        self.free = Some(index);
        self.len -= 1;
        match content {
            Content::Call(call) => Some((call.kind, Some(call))),
            Content::Abandoned { kind, .. } => Some((kind, None)),
            Content::Free { .. } => None,
        }
    }

    /// Takes a call out that is given up. If it was sent, its slot stays until the reply is in.
    pub(super) fn abandon(&mut self, id: u64) -> Option<Call> {
        let slot = self.slot_mut(id)?;
        let Content::Call(call) = &slot.content else { return None };
        if call.link == 0 {
            return self.remove(id)?.1;
        }
        let abandoned = Content::Abandoned { kind: call.kind, link: call.link };
        match std::mem::replace(&mut slot.content, abandoned) {
            Content::Call(call) => Some(call),
            _ => None,
        }
    }

    /// Takes out everything that was sent on `link`. Calls given up count with `None`.
    pub(super) fn take_sent_on(&mut self, link: u32) -> Vec<(Kind, Option<Call>)> {
        let hit = |content: &Content| match content {
            Content::Call(call) => call.link == link,
            Content::Abandoned { link: on, .. } => *on == link,
            Content::Free { .. } => false,
        };
        self.take_where(hit)
    }

    /// Takes out everything.
    pub(super) fn take_all(&mut self) -> Vec<(Kind, Option<Call>)> {
        self.take_where(|content| !matches!(content, Content::Free { .. }))
    }

    fn take_where(&mut self, hit: impl Fn(&Content) -> bool) -> Vec<(Kind, Option<Call>)> {
        let ids: Vec<u64> = (0_u32..)
            .zip(&self.slots)
            .filter(|(_, slot)| hit(&slot.content))
            .map(|(index, slot)| id(index, slot.generation))
            .collect();
        ids.into_iter().filter_map(|id| self.remove(id)).collect()
    }

    /// Ids of the calls whose deadline is not after `now`, and the earliest deadline of the others.
    pub(super) fn expired(&self, now: Instant) -> (Vec<u64>, Option<Instant>) {
        let mut expired = Vec::new();
        let mut earliest: Option<Instant> = None;
        for (index, slot) in (0_u32..).zip(&self.slots) {
            let Content::Call(Call { deadline: Some(deadline), .. }) = &slot.content else { continue };
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
        Call { promise, kind: Kind::CALL, link, deadline: None, timeout: None, told: None }
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
    fn a_call_given_up_counts_until_its_reply_is_in() {
        let mut table = CallTable::default();
        let sent = table.insert(call(1));
        assert!(table.abandon(sent).is_some());
        assert!(table.abandon(sent).is_none());
        assert_eq!((table.len(), table.is_live(sent)), (1, false));
        assert!(matches!(table.remove(sent), Some((Kind::CALL, None))));
        let unsent = table.insert(call(0));
        assert!(table.abandon(unsent).is_some());
        assert_eq!(table.len(), 0, "nobody owes a reply to what was not sent");
    }

    /// EN-4
    #[test]
    fn only_what_was_sent_on_a_link_goes_with_it() {
        let mut table = CallTable::default();
        let (first, waiting, second) = (table.insert(call(1)), table.insert(call(0)), table.insert(call(2)));
        table.abandon(first);
        assert_eq!(table.take_sent_on(1).len(), 1);
        assert!(table.is_live(waiting) && table.is_live(second));
        assert_eq!(table.take_all().len(), 2);
        assert_eq!(table.len(), 0);
    }
}
