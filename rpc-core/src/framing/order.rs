//! Which frames may leave, and which have to wait for others: the sender's half of FR-2 and FR-4.
//!
//! ```text
//!               ┌── call 0, and more is on its way ──────────► behind (everything later joins it)
//!  push(frame) ─┼── its call has bulk waiting or on its way ─► followers of that call
//!               ├── bulk, and all places are taken ──────────► waiting (for a place)
//!               └── else ────────────────────────────────────► may leave
//! ```
//! What bounds these queues is what bounds the link's: see [`LinkSender::send`](crate::LinkSender::send).

use std::collections::{HashMap, VecDeque};

use super::{BULK_FRAMES_MAX, BULK_MIN, Lane};
use crate::transport::Frame;

/// Whether the payload or a part of `frame` travels beside it, being of [`BULK_MIN`] bytes or more.
pub fn has_bulk(frame: &Frame) -> bool {
    frame.body.payload.len() >= BULK_MIN || frame.body.parts.iter().any(|part| part.len() >= BULK_MIN)
}

/// Frames that may not leave yet.
#[derive(Debug, Default)]
pub(super) struct Order {
    lanes: [Calls; 2],
    /// A frame of call 0 that waits, and all that was pushed after it.
    behind: VecDeque<Frame>,
    /// Followers of calls that are done.
    freed: VecDeque<Frame>,
}

/// The calls of a lane that have bulk.
#[derive(Debug, Default)]
struct Calls {
    /// For each the frames that have to come after it, in order.
    followers: HashMap<u64, VecDeque<Frame>>,
    /// Frames with bulk that wait for a place; their calls are in `followers`.
    waiting: VecDeque<Frame>,
    /// Places taken.
    under_way: usize,
}

impl Order {
    /// Takes `frame`, and gives it back if it may leave. `settled`: all that might leave so far has been taken.
    pub(super) fn push(&mut self, frame: Frame, with_bulk: bool, settled: bool) -> Option<Frame> {
        let waits = frame.header.call == 0 && !(settled && self.is_quiet());
        if waits || !self.behind.is_empty() || self.zero_under_way() {
            self.behind.push_back(frame);
            return None;
        }
        self.admit(frame, with_bulk)
    }

    /// The bulk of `call` is out.
    pub(super) fn done(&mut self, lane: Lane, call: u64) {
        let calls = &mut self.lanes[lane as usize];
        calls.under_way = calls.under_way.saturating_sub(1);
        self.freed.extend(calls.followers.remove(&call).unwrap_or_default());
        if calls.followers.is_empty() {
            calls.followers = HashMap::new();
        }
    }

    /// The next frame that may leave now and could not before. To be asked until `None` after [`done`](Self::done),
    /// and after more has been taken.
    pub(super) fn poll(&mut self, settled: bool) -> Option<Frame> {
        while let Some(frame) = self.freed.pop_front() {
            let with_bulk = has_bulk(&frame);
            if let Some(frame) = self.admit(frame, with_bulk) {
                return Some(frame);
            }
        }
        for calls in &mut self.lanes {
            if calls.under_way < BULK_FRAMES_MAX
                && let Some(frame) = calls.waiting.pop_front()
            {
                calls.under_way += 1;
                return Some(frame);
            }
        }
        while let Some(first) = self.behind.front()
            && !self.zero_under_way()
            && (first.header.call != 0 || (settled && self.has_no_bulk()))
        {
            let frame = self.behind.pop_front()?;
            let with_bulk = has_bulk(&frame);
            if let Some(frame) = self.admit(frame, with_bulk) {
                return Some(frame);
            }
        }
        None
    }

    /// Whether nothing waits and no bulk is on its way.
    pub(super) fn is_quiet(&self) -> bool {
        self.behind.is_empty() && self.freed.is_empty() && self.has_no_bulk()
    }

    fn has_no_bulk(&self) -> bool {
        self.lanes.iter().all(|calls| calls.followers.is_empty())
    }

    fn zero_under_way(&self) -> bool {
        self.lanes.iter().any(|calls| calls.followers.contains_key(&0))
    }

    /// A frame that waits for no frame of call 0.
    fn admit(&mut self, frame: Frame, with_bulk: bool) -> Option<Frame> {
        let call = frame.header.call;
        let calls = &mut self.lanes[Lane::of(&frame.header) as usize];
        if let Some(followers) = calls.followers.get_mut(&call) {
            followers.push_back(frame);
            return None;
        }
        if !with_bulk {
            return Some(frame);
        }
        calls.followers.insert(call, VecDeque::new());
        if calls.under_way < BULK_FRAMES_MAX {
            calls.under_way += 1;
            Some(frame)
        } else {
            calls.waiting.push_back(frame);
            None
        }
    }
}
