//! What waits to be written, and in which order it leaves: heads of frames first, then one piece of bulk.
//!
//! ```text
//! push(frame) ─► Outbox ─► heads, urgent lane then normal ─┐ refill
//!                     └──► bulk: [frame][frame]… per lane ─┴───────► Batch = heads | header, piece
//! ```
//! A writer takes a batch and writes all of it before it takes the next. So what a small frame may have to wait for is
//! one batch: what is small too, and one piece. Pieces come from the lanes in turn, and from the frames of a lane in
//! turn, so nothing starves; the items of one frame follow each other.

use std::collections::VecDeque;

use rpc_core::Frame;
use rpc_core::framing::{Batch, BulkFrame, Lane, Outbox};
use rpc_core::wire::HEADER_BYTES;

use crate::bounds::PIECE_BYTES;

/// Frames that wait to be written.
#[derive(Debug)]
pub(crate) struct Queue {
    outbox: Outbox,
    /// Bulk of heads that have been taken, by lane. The first frame's turn is next.
    bulk: [VecDeque<BulkFrame>; 2],
    /// The lane whose turn is next.
    turn: Lane,
}

impl Queue {
    pub(crate) fn new() -> Self {
        Self { outbox: Outbox::new(), bulk: Default::default(), turn: Lane::Urgent }
    }

    /// Queues `frame` and returns its length on the wire, headers of pieces not counted.
    pub(crate) fn push(&mut self, frame: Frame) -> u64 {
        self.outbox.push(frame)
    }

    /// All that is queued, if it is one run of bytes (see [`Outbox::take_lone`]).
    pub(crate) fn take_lone(&mut self) -> Option<Vec<u8>> {
        if self.bulk.iter().any(|frames| !frames.is_empty()) {
            return None;
        }
        self.outbox.take_lone()
    }

    /// Takes back the memory of what [`take_lone`](Self::take_lone) gave, once it is written.
    pub(crate) fn reuse(&mut self, bytes: Vec<u8>) {
        self.outbox.reuse(bytes);
    }

    /// Fills `batch`, which is empty, and returns how many bytes of it `push` has not counted.
    pub(crate) fn refill(&mut self, batch: &mut Batch) -> u64 {
        debug_assert!(batch.is_empty(), "a batch is written whole before the next");
        for lane in Lane::ALL {
            self.outbox.take_heads(lane, batch);
            while let Some(frame) = self.outbox.take_bulk(lane) {
                self.bulk[lane as usize].push_back(frame);
            }
        }
        match self.next_frame() {
            Some(frame) => self.add_piece(frame, batch),
            None => 0,
        }
    }

    /// The frame whose turn it is to send a piece.
    fn next_frame(&mut self) -> Option<BulkFrame> {
        let first = self.turn;
        let second = if first == Lane::Urgent { Lane::Normal } else { Lane::Urgent };
        let (lane, other) =
            if self.bulk[first as usize].is_empty() { (second, first) } else { (first, second) };
        let frame = self.bulk[lane as usize].pop_front()?;
        self.turn = other;
        Some(frame)
    }

    fn add_piece(&mut self, mut frame: BulkFrame, batch: &mut Batch) -> u64 {
        let Some((item, bytes)) = frame.items.front_mut() else { return 0 };
        let piece = bytes.split_to(bytes.len().min(PIECE_BYTES));
        // A piece is far shorter than 4 GiB.
        batch.gather(&item.header(piece.len() as u32).to_bytes());
        batch.share(piece);
        if bytes.is_empty() {
            frame.items.pop_front();
        }
        if frame.items.is_empty() {
            // Whatever is written from now on arrives later.
            self.outbox.done(frame.lane, frame.number);
        } else {
            self.bulk[frame.lane as usize].push_back(frame);
        }
        HEADER_BYTES as u64
    }
}

#[cfg(test)]
mod tests;
