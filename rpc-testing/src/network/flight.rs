//! One direction of a link: the sender's outbox, and what is on its way to the receiver.
//!
//! ```text
//!  send ──► outbox (2 lanes) ──► rules ──► flight (2 lanes) ──► poll_recv
//!           waits for flush       once      waits for its time, for release,
//!           and for the window              for the partition's end
//! ```
//! In the outbox an urgent frame passes all that are not; in flight each lane keeps its order, and of two
//! frames that have both arrived the one that left first is read first. Where bulk is concerned that is bent as LK-1
//! demands: a frame without bulk passes those with bulk, in the outbox and in flight, and has a window of its own. It
//! passes none of its own call, and a frame of call 0 passes nothing.

use std::collections::VecDeque;
use std::time::Duration;

use rpc_core::Frame;
use rpc_core::framing::has_bulk;
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

    /// Takes the frame that is to leave next, if it `fits`: one without bulk first.
    pub(super) fn pop(&mut self, fits: impl Fn(&Frame) -> bool) -> Option<Frame> {
        let may_leave = |(_, _, (number, _)): &(usize, usize, &(u64, Frame))| *number < self.flushed;
        let next = Bulk::BOTH.into_iter().find_map(|bulk| {
            let first = (0..LANES).find_map(|lane| next_of(&self.lanes, lane, bulk).filter(may_leave))?;
            let (lane, at, (_, frame)) = first;
            fits(frame).then_some((lane, at))
        });
        let (lane, at) = next?;
        let (_, frame) = self.lanes[lane].remove(at)?;
        self.bytes -= frame_bytes(&frame);
        Some(frame)
    }

    pub(super) fn clear(&mut self) {
        *self = Self { next: self.next, flushed: self.flushed, ..Self::default() };
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Frame> {
        self.lanes.iter().flatten().map(|(_, frame)| frame)
    }
}

/// With bulk or without.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Bulk {
    Without,
    With,
}

impl Bulk {
    const BOTH: [Self; 2] = [Self::Without, Self::With];

    fn of(frame: &Frame) -> Self {
        if has_bulk(frame) { Self::With } else { Self::Without }
    }
}

/// What queues of frames hold.
trait Queued {
    fn frame(&self) -> &Frame;
    /// When it was queued, among the frames of both lanes.
    fn number(&self) -> u64;
}

impl Queued for (u64, Frame) {
    fn frame(&self) -> &Frame {
        &self.1
    }

    fn number(&self) -> u64 {
        self.0
    }
}

impl Queued for Flying {
    fn frame(&self) -> &Frame {
        &self.frame
    }

    fn number(&self) -> u64 {
        self.number
    }
}

/// The frame of one lane that may be the next with bulk or without, as (lane, place, frame): the first one, or one
/// without bulk that passes only such as LK-1 lets it pass.
fn next_of<T: Queued>(lanes: &[VecDeque<T>; LANES], lane: usize, bulk: Bulk) -> Option<(usize, usize, &T)> {
    // Calls of those that are passed.
    let mut passed: Vec<u64> = Vec::new();
    for (at, queued) in lanes[lane].iter().enumerate() {
        let call = queued.frame().header.call;
        if call == 0 {
            let other = lanes[1 - lane].front();
            let is_first = at == 0 && other.is_none_or(|other| other.number() > queued.number());
            return (is_first && Bulk::of(queued.frame()) == bulk).then_some((lane, at, queued));
        }
        let own = Bulk::of(queued.frame());
        if own == bulk && (at == 0 || bulk == Bulk::Without) && !passed.contains(&call) {
            return Some((lane, at, queued));
        }
        if own == Bulk::Without && !passed.contains(&call) {
            return None; // Nothing passes it.
        }
        passed.push(call);
    }
    None
}

/// What has left and has not been received.
#[derive(Debug, Default)]
pub(super) struct Flight {
    lanes: [VecDeque<Flying>; LANES],
    /// Bytes that take up the window of frames without bulk, and of those with.
    bytes: [u64; 2],
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
    pub(super) fn has_room(&self, frame: &Frame, window_bytes: u64) -> bool {
        let used = self.bytes[Bulk::of(frame) as usize];
        // A frame larger than the window travels alone.
        used == 0 || used.saturating_add(frame_bytes(frame)) <= window_bytes
    }

    pub(super) fn push(&mut self, frame: Frame, arrival: Instant, held: Option<RuleId>) {
        let window_bytes = if held.is_some() { 0 } else { frame_bytes(&frame) };
        self.bytes[Bulk::of(&frame) as usize] += window_bytes;
        let number = self.next;
        self.next += 1;
        self.lanes[lane(&frame.header)].push_back(Flying { frame, arrival, held, number, window_bytes });
    }

    /// Takes the next frame that has arrived: one without bulk first.
    pub(super) fn pop(&mut self, now: Instant) -> Option<Frame> {
        let next = Bulk::BOTH.into_iter().find_map(|bulk| {
            self.next(bulk)
                .filter(|(_, _, flying)| flying.arrival <= now)
                .min_by_key(|(_, _, flying)| (flying.arrival, flying.number))
                .map(|(lane, at, _)| (lane, at))
        });
        let (lane, at) = next?;
        let flying = self.lanes[lane].remove(at)?;
        self.bytes[Bulk::of(&flying.frame) as usize] -= flying.window_bytes;
        Some(flying.frame)
    }

    /// When the next frame arrives, if nothing holds it.
    pub(super) fn next_arrival(&self) -> Option<Instant> {
        Bulk::BOTH.into_iter().flat_map(|bulk| self.next(bulk)).map(|(_, _, flying)| flying.arrival).min()
    }

    /// Of each lane the next frame with bulk or without, unless something holds it.
    fn next(&self, bulk: Bulk) -> impl Iterator<Item = (usize, usize, &Flying)> {
        (0..LANES)
            .filter_map(move |lane| next_of(&self.lanes, lane, bulk))
            .filter(|(_, _, flying)| flying.held.is_none())
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
