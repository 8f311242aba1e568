//! Heads and bulk back into frames: the receiver's half of the framing, as a pure state machine.
//!
//! ```text
//!  head ──► nothing in its way ───────────────────────────────────────────► frame
//!      └──► held: [frame, 2 items missing][frame, waits for its call]… ──► next, in the order of FR-2
//!  bytes of an item ──► filling: one buffer for each item begun ──┘
//! ```

use std::collections::VecDeque;
use std::fmt;
use std::mem::MaybeUninit;

use bytes::Bytes;

use super::heads::{Announced, Head};
use super::{BULK_FRAMES_MAX, BULK_ITEMS_MAX, HELD_FRAMES_MAX, ItemId, Lane};
use crate::error::Violation;
use crate::part::{OutOfMemory, PartBuf, PartPool};
use crate::transport::{Frame, LinkError};
use crate::wire::frame;

/// Puts frames together from their heads and their bulk.
#[derive(Default)]
pub struct Assembler {
    lanes: [Arrivals; 2],
    /// Items that are begun and not finished.
    filling: Vec<(ItemId, PartBuf)>,
    /// Frames that may go, and have not been taken.
    ready: VecDeque<Frame>,
    /// Where the memory for items comes from, if not from the system.
    pool: Option<PartPool>,
}

/// What has come of one lane.
#[derive(Debug, Default)]
struct Arrivals {
    /// Frames that miss bulk, or wait for such frames. In the order of their heads.
    held: VecDeque<Held>,
    /// How many of them miss bulk.
    unfinished: usize,
    heads: u64,
    heads_with_bulk: u64,
    /// For the next frame of call 0: how many frames of the other lane come before it.
    mark: Option<u64>,
}

#[derive(Debug)]
struct Held {
    frame: Frame,
    /// Its number among the heads of its lane.
    place: u64,
    /// Its number among those with bulk, if it has some.
    number: Option<u64>,
    bulk: Vec<Announced>,
    missing: usize,
    /// Of a frame of call 0: how many frames of the other lane come before it.
    after: u64,
}

impl Assembler {
    /// One that has the memory for items from `pool`, in place of asking the system each time.
    pub fn with_pool(pool: PartPool) -> Self {
        Self { pool: Some(pool), ..Self::default() }
    }

    /// Takes the next head of its lane. Gives its frame back if that is whole and waits for nothing; other frames
    /// that may go now are to be taken with [`next`](Self::next).
    ///
    /// # Errors
    /// More than the peer may have under way (FR-4). The link is of no use afterwards.
    pub fn head(&mut self, head: Head) -> Result<Option<Frame>, Violation> {
        let Head { frame, bulk } = head;
        if frame.header.kind == frame::MARK {
            self.lanes[Lane::from_wire(frame.header.codec)? as usize].mark = Some(frame.header.call);
            return Ok(None);
        }
        let lane = Lane::of(&frame.header);
        let zero = frame.header.call == 0;
        let in_the_way = !self.ready.is_empty() || self.lanes.iter().any(|lane| !lane.held.is_empty());
        let after = match zero {
            true => self.lanes[lane as usize].mark.take().unwrap_or(self.lanes[lane.other() as usize].heads),
            false => 0,
        };
        let early = zero && after > self.lanes[lane.other() as usize].heads;
        let arrivals = &mut self.lanes[lane as usize];
        let place = arrivals.heads;
        arrivals.heads += 1;
        if bulk.is_empty() && !in_the_way && !early {
            return Ok(Some(frame));
        }
        let missing = bulk.len();
        let number = (missing > 0).then_some(arrivals.heads_with_bulk);
        if missing > 0 {
            arrivals.heads_with_bulk += 1;
            arrivals.unfinished += 1;
            if arrivals.unfinished > BULK_FRAMES_MAX {
                return Err(Violation::TooManyBulkFrames { limit: BULK_FRAMES_MAX });
            }
        }
        arrivals.held.push_back(Held { frame, place, number, bulk, missing, after });
        self.settle();
        if self.lanes[lane as usize].held.len() > HELD_FRAMES_MAX {
            return Err(Violation::TooManyHeldFrames { limit: HELD_FRAMES_MAX });
        }
        Ok(self.ready.pop_front())
    }

    /// Whether one more head of `lane` is within the bounds, whatever it is.
    pub fn has_room(&self, lane: Lane) -> bool {
        let arrivals = &self.lanes[lane as usize];
        arrivals.unfinished < BULK_FRAMES_MAX && arrivals.held.len() < HELD_FRAMES_MAX
    }

    /// The next frame that may go.
    #[expect(clippy::should_implement_trait, reason = "more frames may come after `None`")]
    pub fn next(&mut self) -> Option<Frame> {
        self.ready.pop_front()
    }

    /// Whether no frame is unfinished or held, so that the peer may end here.
    pub fn is_idle(&self) -> bool {
        self.ready.is_empty() && self.lanes.iter().all(|lane| lane.held.is_empty())
    }

    /// Whether the head of this item's frame has come.
    pub fn is_announced(&self, lane: Lane, frame: u64) -> bool {
        frame < self.lanes[lane as usize].heads_with_bulk
    }

    /// How many bytes of `item` have not come.
    ///
    /// # Errors
    /// Nobody has announced it, or it is whole already.
    pub fn missing(&self, item: ItemId) -> Result<u64, Violation> {
        if let Some((_, buf)) = self.filling.iter().find(|(id, _)| *id == item) {
            return Ok((buf.capacity() - buf.len()) as u64);
        }
        let held = self.lanes[item.lane as usize].held.iter().find(|held| held.number == Some(item.frame));
        let announced = held.and_then(|held| {
            let at = held.bulk.binary_search_by_key(&item.item, |bulk| bulk.item).ok()?;
            Some(held.bulk[at].len).filter(|len| *len > 0)
        });
        announced.ok_or(Violation::UnannouncedBulk { frame: item.frame, item: item.item })
    }

    /// Where the next bytes of `item` belong; not empty. Allocated at the first call.
    ///
    /// # Errors
    /// A byte that nobody has announced, more items than may be under way, or no memory. The link is of no use
    /// afterwards.
    pub fn space(&mut self, item: ItemId) -> Result<&mut [MaybeUninit<u8>], LinkError> {
        let at = match self.filling.iter().position(|(id, _)| *id == item) {
            Some(at) => at,
            None => self.begin(item)?,
        };
        Ok(self.filling[at].1.spare_capacity_mut())
    }

    /// Counts `len` bytes of `item` as come.
    ///
    /// # Safety
    /// The first `len` bytes of what [`space`](Self::space) returns now are initialised.
    ///
    /// # Panics
    /// If there is no such space, or it is shorter.
    pub unsafe fn filled(&mut self, item: ItemId, len: usize) {
        let at = self.filling.iter().position(|(id, _)| *id == item).expect("`space` was asked for before");
        let buf = &mut self.filling[at].1;
        // SAFETY: initialised says the caller; `advance` checks the length.
        unsafe { buf.advance(len) };
        if buf.is_full() {
            let (item, buf) = self.filling.swap_remove(at);
            self.finish(item, buf);
        }
    }

    /// Takes the next bytes of `item`, by copying them. Empty `bytes` change nothing.
    ///
    /// # Errors
    /// Those of [`space`](Self::space), and more bytes than were announced.
    pub fn extend(&mut self, item: ItemId, bytes: &[u8]) -> Result<(), LinkError> {
        if bytes.is_empty() {
            return Ok(());
        }
        let missing = self.missing(item)?;
        if bytes.len() as u64 > missing {
            return Err(Violation::BulkTooLong { frame: item.frame, item: item.item }.into());
        }
        self.space(item)?[..bytes.len()].write_copy_of_slice(bytes);
        // SAFETY: the line above wrote them.
        unsafe { self.filled(item, bytes.len()) };
        Ok(())
    }

    /// Allocates an announced item, and returns its place in `filling`.
    fn begin(&mut self, item: ItemId) -> Result<usize, LinkError> {
        let len = self.missing(item)?;
        if self.filling.len() == BULK_ITEMS_MAX {
            return Err(Violation::TooManyBulkItems { limit: BULK_ITEMS_MAX }.into());
        }
        let capacity = usize::try_from(len).map_err(|_| OutOfMemory { bytes: usize::MAX })?;
        let buf = match &self.pool {
            Some(pool) => pool.take(capacity)?,
            None => PartBuf::for_bulk(capacity)?,
        };
        self.filling.push((item, buf));
        Ok(self.filling.len() - 1)
    }

    fn finish(&mut self, item: ItemId, buf: PartBuf) {
        let arrivals = &mut self.lanes[item.lane as usize];
        let Some(held) = arrivals.held.iter_mut().find(|held| held.number == Some(item.frame)) else {
            return;
        };
        if let Ok(at) = held.bulk.binary_search_by_key(&item.item, |bulk| bulk.item) {
            held.bulk[at].len = 0; // has come
        }
        match item.item.checked_sub(1) {
            None => held.frame.body.payload = Bytes::from_owner(buf.freeze()),
            Some(part) => held.frame.body.parts[part as usize] = buf.freeze(),
        }
        held.missing -= 1;
        if held.missing == 0 {
            held.bulk = Vec::new();
            arrivals.unfinished -= 1;
            self.settle();
        }
    }

    /// Moves what may go to `ready`, until nothing more may (FR-2).
    fn settle(&mut self) {
        while Lane::ALL.into_iter().any(|lane| self.settle_lane(lane)) {}
    }

    /// Whether anything has moved.
    fn settle_lane(&mut self, lane: Lane) -> bool {
        let [urgent, normal] = &mut self.lanes;
        let (own, other) = match lane {
            Lane::Urgent => (urgent, normal),
            Lane::Normal => (normal, urgent),
        };
        // Calls of frames that stay. Those that stay have bulk missing, or a call that is here already, or end the
        // search; so there are few.
        let mut staying: Vec<u64> = Vec::new();
        let (mut at, before) = (0, own.held.len());
        while let Some(held) = own.held.get(at) {
            let call = held.frame.header.call;
            let may_go = match call {
                0 => at == 0 && other.are_gone(held.after),
                _ => !staying.contains(&call),
            };
            if may_go && held.missing == 0 {
                self.ready.extend(own.held.remove(at).map(|held| held.frame));
            } else if call == 0 {
                break;
            } else {
                if !staying.contains(&call) {
                    staying.push(call);
                }
                at += 1;
            }
        }
        own.held.len() < before
    }
}

#[cfg(test)]
impl Assembler {
    /// Memory of items that are begun, in bytes.
    pub(super) fn capacity_of_items(&self) -> usize {
        self.filling.iter().map(|(_, buf)| buf.capacity()).sum()
    }

    pub(super) fn filling_len(&self) -> usize {
        self.filling.len()
    }
}

impl Arrivals {
    /// Whether the first `count` frames have come and gone.
    fn are_gone(&self, count: u64) -> bool {
        self.heads >= count && self.held.front().is_none_or(|held| held.place >= count)
    }
}

impl fmt::Debug for Assembler {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let held = |lane: Lane| self.lanes[lane as usize].held.len();
        f.debug_struct("Assembler")
            .field("urgent", &held(Lane::Urgent))
            .field("normal", &held(Lane::Normal))
            .field("filling", &self.filling.len())
            .field("ready", &self.ready.len())
            .finish()
    }
}
