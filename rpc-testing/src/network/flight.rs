//! One direction of a link: the sender's outbox, and what is on its way to the receiver.
//!
//! ```text
//!  send ──► outbox (2 lanes) ──► rules ──► flight (2 lanes) ──► poll_recv
//!           waits for flush       once      waits for its time, for release,
//!           and for the window              for the partition's end
//! ```
//! In the outbox an urgent frame passes all that are not; in flight each lane keeps its order, and of two
//! frames that have both arrived the one that left first is read first.

use std::collections::VecDeque;
use std::time::Duration;

use rpc_core::Frame;
use rpc_core::wire::{HEADER_BYTES, Header};
use tokio::time::Instant;

use super::rule::RuleId;

/// Urgent frames, then all others.
const LANES: usize = 2;

fn lane(header: &Header) -> usize {
    usize::from(!header.is_urgent())
}

/// Bytes of a frame on a wire: header, payload, part lengths and parts.
pub(super) fn frame_bytes(frame: &Frame) -> u64 {
    HEADER_BYTES as u64 + 8 * frame.body.parts.len() as u64 + frame.body.len_bytes()
}

/// What was sent and has not left. Unbounded here: the sender's caller bounds it (see `LinkSender::send`).
#[derive(Debug, Default)]
pub(super) struct Outbox {
    lanes: [VecDeque<(u64, Frame)>; LANES],
    bytes: u64,
    next: u64,
    /// Frames with a smaller number may leave; the rest waits for a flush.
    flushed: u64,
}

impl Outbox {
    pub(super) fn push(&mut self, frame: Frame) {
        self.bytes += frame_bytes(&frame);
        self.lanes[lane(&frame.header)].push_back((self.next, frame));
        self.next += 1;
    }

    pub(super) fn flush(&mut self) {
        self.flushed = self.next;
    }

    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    pub(super) fn is_empty(&self) -> bool {
        self.lanes.iter().all(VecDeque::is_empty)
    }

    /// Size of the frame that is to leave next.
    pub(super) fn next_bytes(&self) -> Option<u64> {
        self.next_lane().and_then(|lane| self.lanes[lane].front()).map(|(_, frame)| frame_bytes(frame))
    }

    pub(super) fn pop(&mut self) -> Option<Frame> {
        let (_, frame) = self.lanes[self.next_lane()?].pop_front()?;
        self.bytes -= frame_bytes(&frame);
        Some(frame)
    }

    pub(super) fn clear(&mut self) {
        *self = Self { next: self.next, flushed: self.flushed, ..Self::default() };
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Frame> {
        self.lanes.iter().flatten().map(|(_, frame)| frame)
    }

    fn next_lane(&self) -> Option<usize> {
        (0..LANES).find(|lane| self.lanes[*lane].front().is_some_and(|(number, _)| *number < self.flushed))
    }
}

/// What has left and has not been received.
#[derive(Debug, Default)]
pub(super) struct Flight {
    lanes: [VecDeque<Flying>; LANES],
    /// Bytes that take up the window.
    bytes: u64,
    next: u64,
}

#[derive(Debug)]
pub(super) struct Flying {
    pub(super) frame: Frame,
    pub(super) arrival: Instant,
    pub(super) held: Option<RuleId>,
    number: u64,
    /// What it takes of the window; 0 if it was ever held, so that holding one frame, however large,
    /// stops its own lane and not the link.
    window_bytes: u64,
}

impl Flight {
    pub(super) fn has_room(&self, bytes: u64, window_bytes: u64) -> bool {
        // A frame larger than the window travels alone.
        self.bytes == 0 || self.bytes.saturating_add(bytes) <= window_bytes
    }

    pub(super) fn push(&mut self, frame: Frame, arrival: Instant, held: Option<RuleId>) {
        let window_bytes = if held.is_some() { 0 } else { frame_bytes(&frame) };
        self.bytes += window_bytes;
        let number = self.next;
        self.next += 1;
        self.lanes[lane(&frame.header)].push_back(Flying { frame, arrival, held, number, window_bytes });
    }

    /// Takes the next frame that has arrived.
    pub(super) fn pop(&mut self, now: Instant) -> Option<Frame> {
        let first = (0..LANES)
            .filter_map(|lane| Some((lane, self.lanes[lane].front()?)))
            .filter(|(_, flying)| flying.held.is_none() && flying.arrival <= now)
            .min_by_key(|(_, flying)| (flying.arrival, flying.number))
            .map(|(lane, _)| lane)?;
        let flying = self.lanes[first].pop_front()?;
        self.bytes -= flying.window_bytes;
        Some(flying.frame)
    }

    /// When the next frame arrives, if nothing holds it.
    pub(super) fn next_arrival(&self) -> Option<Instant> {
        self.lanes
            .iter()
            .filter_map(VecDeque::front)
            .filter(|flying| flying.held.is_none())
            .map(|f| f.arrival)
            .min()
    }

    /// Lets go what `rule` holds; it arrives after `delay`.
    pub(super) fn release(&mut self, rule: RuleId, now: Instant, delay: Duration) {
        for flying in self.lanes.iter_mut().flatten().filter(|flying| flying.held == Some(rule)) {
            flying.held = None;
            flying.arrival = now + delay;
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.lanes.iter().all(VecDeque::is_empty)
    }

    pub(super) fn clear(&mut self) {
        *self = Self { next: self.next, ..Self::default() };
    }

    /// In the order in which they left.
    pub(super) fn in_order(&self) -> Vec<&Flying> {
        let mut all: Vec<&Flying> = self.lanes.iter().flatten().collect();
        all.sort_by_key(|flying| flying.number);
        all
    }
}
