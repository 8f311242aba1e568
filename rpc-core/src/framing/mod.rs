//! How frames travel so that a large one holds up nothing small: for writers of transports.
//!
//! A *bulk item* is a payload or a part of [`BULK_MIN`] bytes or more. It travels beside its frame, not in it.
//! What is left of the frame is its *head*:
//!
//! ```text
//! head of a frame = header (32 B) | payload unless bulk | part lengths | parts that are not bulk
//! bulk items      = their bytes alone, named by an `ItemId`: lane, number of the frame, item of the frame
//! ```
//!
//! Both ends see from the lengths which items are bulk, so nothing on the wire says it. The frames that have bulk
//! are numbered from 0 for each link and lane, in the order of their heads.
//!
//! # How a transport uses it
//! ```text
//!  send ─► Outbox::push ──► take_heads(lane, batch) ──────► head bytes ──► HeadDecoder ──► Assembler::head ──► frame
//!                     └───► take_bulk(lane): BulkFrame ───► item bytes ──────────────────► Assembler::space ─► next
//!                           done(lane, number) ◄─ all of it is out
//! ```
//! - **Sending.** [`Outbox::push`] takes frames. [`Outbox::take_heads`] moves the heads of a lane into a [`Batch`],
//!   to be written in that order. [`Outbox::take_bulk`] then gives what those heads have announced, a
//!   [`BulkFrame`] at a time; its items may be written in any pieces, between any others, after the head. When
//!   all of a frame is out, [`Outbox::done`] frees its place, and what waited for it goes on.
//! - **Receiving.** A [`HeadDecoder`] for each stream of heads cuts them out of a buffer. [`Assembler::head`] takes
//!   them and hands frames out; the bytes of an item are read into [`Assembler::space`] (or handed to
//!   [`Assembler::extend`]), and what that makes whole comes out of [`Assembler::next`]. The stream may end when
//!   decoder and assembler are both idle.
//! - **On one ordered stream** (TCP): heads first, then a piece of bulk behind a header of its own
//!   ([`ItemId::header`]), and so on. A frame is out once its last byte is written, because nothing written later
//!   can arrive earlier.
//! - **On many streams** (QUIC): one for the heads of each lane, one for each item, which begins with
//!   [`ItemId::header`]. Make the outbox with [`Outbox::for_many_streams`]: it then marks where a frame of call 0
//!   stands in the other lane. A frame is out once the peer's system has *acknowledged* all of it. Since the peer's
//!   program may read later than that, a receiver looks at [`Assembler::has_room`] before it decodes the next head
//!   of a lane; it must not take it for a mistake of the peer. An item whose head has not come yet
//!   ([`Assembler::is_announced`]) is left unread. Let the peer open no more than [`BULK_ITEMS_MAX`] streams at a
//!   time, and no item is begun beyond the bound.
//!
//! # Invariants (each named by a test)
//! - **FR-1, whole and once.** Each frame that was pushed comes out once, as it was, however heads and items are cut
//!   and mixed.
//! - **FR-2, order.** Frames of a lane without bulk come out in the order of `push`. A frame with bulk may be
//!   overtaken, but not by one of its own lane and call. A frame of call 0 overtakes nothing, of either lane, and
//!   nothing of its own lane overtakes it.
//! - **FR-3, small passes large.** A frame without bulk, not of call 0, is in the next batch and comes out when its
//!   head is there, whatever bulk of other calls is waiting, on its way or missing.
//! - **FR-4, bounded.** A peer has at most [`BULK_FRAMES_MAX`] frames of a lane unfinished, [`BULK_ITEMS_MAX`] items
//!   begun and unfinished, and [`HELD_FRAMES_MAX`] frames of a lane that wait for others. One more is a
//!   [`Violation`], and so is a byte that nobody has announced.
//! - **FR-5, memory follows bytes.** Nothing is allocated for a frame that breaks the limits, nor for an item that the
//!   peer has not begun to send. What is allocated for heads is at most six times what has arrived of them.
//!
//! # Who keeps the order
//! The sender does, so that on one stream the receiver never has to wait: a frame of a call with bulk on its way
//! stays in the outbox until that is done, and so does a frame of call 0 until everything is, with all that comes
//! behind it. The receiver keeps the same order once more, because on many streams "done" is not "read", and
//! because peers may be hostile.
//!
//! # What one item may cost
//! Memory for an item is address space until bytes are written to it. From 4 MiB on it is asked for in large pages, so
//! a first byte may cost 2 MiB: 128 MiB for a link on which a hostile member of the group begins all it may. Memory of
//! a [`PartPool`](crate::PartPool) that was used before has its pages already; how much of that there is, the pool bounds.

mod assembler;
mod batch;
mod heads;
mod order;
mod outbox;

pub use self::assembler::Assembler;
pub use self::batch::Batch;
pub use self::heads::{Head, HeadDecoder};
pub use self::order::has_bulk;
pub use self::outbox::{BulkFrame, Outbox};

use crate::error::Violation;
use crate::wire::{Header, frame};

/// Length from which a payload or part travels beside its frame. Part of the wire's version.
pub const BULK_MIN: usize = 64 << 10;
/// Frames with bulk of one lane that may be under way on one link. Part of the wire's version. Further ones wait in
/// the sender's queue.
pub const BULK_FRAMES_MAX: usize = 16;
/// Bulk items of one link that may be begun and not finished. Part of the wire's version.
pub const BULK_ITEMS_MAX: usize = 64;
/// Frames of one lane that a receiver keeps because they must not overtake others, those others included.
pub const HELD_FRAMES_MAX: usize = 1024;

/// One of the two orders in which frames leave, by [`Header::is_urgent`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Lane {
    /// Replies.
    Urgent = 0,
    /// All others.
    Normal = 1,
}

impl Lane {
    /// Both, the urgent one first.
    pub const ALL: [Self; 2] = [Self::Urgent, Self::Normal];

    /// The lane of a frame.
    pub const fn of(header: &Header) -> Self {
        if header.is_urgent() { Self::Urgent } else { Self::Normal }
    }

    const fn other(self) -> Self {
        match self {
            Self::Urgent => Self::Normal,
            Self::Normal => Self::Urgent,
        }
    }

    /// The lane with this number on the wire.
    fn from_wire(number: u8) -> Result<Self, Violation> {
        match number {
            0 => Ok(Self::Urgent),
            1 => Ok(Self::Normal),
            _ => Err(Violation::UnknownLane(number)),
        }
    }
}

/// Names a bulk item of one link.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ItemId {
    /// The lane of its frame.
    pub lane: Lane,
    /// The frame's number among those of its lane that have bulk.
    pub frame: u64,
    /// 0 for the payload, 1 for the first part, and so on.
    pub item: u32,
}

impl ItemId {
    /// The header that says whose the next `len` bytes are: a frame of kind [`frame::BULK`].
    pub const fn header(self, len: u32) -> Header {
        Header {
            payload_bytes: len,
            codec: self.lane as u8,
            method: self.item as u64,
            ..Header::control(frame::BULK, self.frame)
        }
    }

    /// Whose the bytes behind `header` are, which is of kind [`frame::BULK`].
    ///
    /// # Errors
    /// It names nothing that can be.
    pub fn from_header(header: &Header) -> Result<Self, Violation> {
        let item = u32::try_from(header.method)
            .map_err(|_| Violation::UnannouncedBulk { frame: header.call, item: u32::MAX })?;
        Ok(Self { lane: Lane::from_wire(header.codec)?, frame: header.call, item })
    }
}

#[cfg(test)]
mod tests;
