//! One end of a link under faults, as a state machine without clock, tasks or sockets.
//!
//! ```text
//!   link ──► arrives ──┬─────────────► engine        what passes
//!                      ├─► held ─────► engine        delayed, passed by another, or behind one that is
//!                      ├─► lost                      dropped requests: answered once their caller gives up
//!                      └─► kept                      dropped replies: delivered once their caller gives up
//!   link ◄── leaves ◄──────────────── engine
//! ```
//! Everything happens where a message arrives, so a worker without faults need not know of one that has them.
//!
//! # Invariants (each named by a test)
//! - **FT-2, a link stays a link.** The frames of one call keep their order, and none passes a goodbye or is passed by
//!   it.
//! - **FT-3, one answer.** A request that was taken off the link is answered once: at once if it failed, when its
//!   caller gives up if it was dropped, after the second time if it is served twice. A reply that was taken off is
//!   delivered when its caller gives up, so that the references in it are not lost.
//! - **FT-4, bounded.** At most [`HELD_MAX`] frames are held; then the link is not read. What is lost, kept or served
//!   twice is in flight at its caller, and so within its `in_flight_max`.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use rpc_core::wire::{Header, frame};
use rpc_core::{Frame, Kind, Outcome, Response, aside};
use tokio::time::Instant;

use super::fault::{Passing, Victim};
use super::held::Held;
use super::message::Message;
use super::plan::Verdict;

/// Frames of one end of a link that are held back, at most.
pub(super) const HELD_MAX: usize = 1_024;
/// How long a frame waits for another to pass it.
pub(super) const REORDER_MAX: Duration = Duration::from_millis(100);

#[derive(Debug)]
pub(super) struct Gate {
    pub(super) me: Arc<str>,
    pub(super) peer: Arc<str>,
    held: Held,
    /// Requests that have left, for who judges their replies.
    asked: HashMap<u64, Asked>,
    /// Requests that were dropped.
    lost: HashSet<u64>,
    /// Replies that were dropped.
    kept: HashMap<u64, Frame>,
    /// Requests that are served for the first of two times.
    twice: HashMap<u64, Frame>,
}

/// A request that has left.
#[derive(Debug)]
struct Asked {
    message: Message,
    method: u64,
    /// A cancel has left behind it.
    given_up: bool,
}

/// What becomes of a frame that arrives.
#[derive(Debug)]
pub(super) enum Arrival {
    /// The engine gets it.
    Deliver(Frame),
    /// Nothing for now.
    Nothing,
    /// This goes back.
    Answer(Frame),
    /// The link ends.
    Cut,
    /// The two are kept apart.
    Partition,
    /// One of the two is gone.
    Kill(Victim),
    /// So is this process.
    Abort,
}

impl Asked {
    fn by(request: &Header) -> Self {
        Self { message: Message::of(Kind(request.kind)), method: request.method, given_up: false }
    }
}

impl Gate {
    pub(super) fn new(me: Arc<str>, peer: Arc<str>) -> Self {
        let (asked, kept, twice) = Default::default();
        Self { me, peer, held: Held::default(), asked, lost: HashSet::new(), kept, twice }
    }

    /// Whether nothing may arrive until something that is held has gone (FT-4).
    pub(super) fn is_full(&self) -> bool {
        self.held.len() >= HELD_MAX
    }

    /// A frame has come off the link.
    pub(super) fn arrives(
        &mut self,
        frame: Frame,
        now: Instant,
        judge: impl FnOnce(&Passing<'_>) -> Verdict,
    ) -> Arrival {
        let Header { kind, call, .. } = frame.header;
        if call == 0 {
            return self.arrives_alone(frame, now);
        }
        if self.lost.contains(&call) {
            return self.arrives_for_lost(&frame);
        }
        let about = match kind {
            frame::REPLY => self.asked.remove(&call),
            kind if kind >= Kind::CALL.0 => Some(Asked::by(&frame.header)),
            _ => None,
        };
        if self.held.has(call) {
            // Of a call whose request is late: so is what follows.
            self.held.push(frame, now);
            return Arrival::Nothing;
        }
        let Some(Asked { message, method, given_up }) = about else { return Arrival::Deliver(frame) };
        let passing = Passing {
            from: &self.peer,
            to: &self.me,
            message,
            method,
            is_reply: kind == frame::REPLY,
            has_handles: frame.header.codec & aside::FLAG != 0,
        };
        let verdict = match judge(&passing) {
            // Nobody waits for it any more, and no cancel will tell when to let it go.
            Verdict::Drop if given_up => Verdict::Pass,
            verdict => verdict,
        };
        self.obey(verdict, frame, now)
    }

    fn obey(&mut self, verdict: Verdict, frame: Frame, now: Instant) -> Arrival {
        let (call, is_reply) = (frame.header.call, frame.header.kind == frame::REPLY);
        match verdict {
            Verdict::Pass => return self.deliver(frame, now),
            Verdict::Fail(answer) if is_reply => {
                let Header { codec, .. } = frame.header;
                let failed = aside::carry_over(codec, &frame.body.payload, answer.0);
                return self.deliver(reply(call, failed), now);
            }
            Verdict::Fail(answer) => return Arrival::Answer(reply(call, answer.0)),
            Verdict::Delay(delay) => self.held.push(frame, now + delay),
            Verdict::Reorder => self.held.push_yielding(frame, now + REORDER_MAX),
            Verdict::Drop if is_reply => drop(self.kept.insert(call, frame)),
            Verdict::Drop => drop(self.lost.insert(call)),
            Verdict::Duplicate if is_reply => {
                self.held.push(frame.clone(), now);
                return self.deliver(frame, now);
            }
            Verdict::Duplicate => {
                self.twice.insert(call, frame.clone());
                return self.deliver(frame, now);
            }
            Verdict::Cut => return Arrival::Cut,
            Verdict::Kill(victim) => return Arrival::Kill(victim),
            Verdict::Abort => return Arrival::Abort,
            Verdict::Partition => {
                self.held.push(frame, now);
                return Arrival::Partition;
            }
        }
        Arrival::Nothing
    }

    fn deliver(&mut self, frame: Frame, now: Instant) -> Arrival {
        self.held.passed(&frame, now);
        Arrival::Deliver(frame)
    }

    /// A hello, a welcome, a goodbye: nothing passes it (FT-2).
    fn arrives_alone(&mut self, frame: Frame, now: Instant) -> Arrival {
        if self.held.is_empty() {
            return Arrival::Deliver(frame);
        }
        self.held.push(frame, now);
        self.held.release_all(now);
        Arrival::Nothing
    }

    /// What follows a request that was dropped.
    fn arrives_for_lost(&mut self, frame: &Frame) -> Arrival {
        let Header { kind, call, .. } = frame.header;
        if kind != frame::CANCEL {
            return Arrival::Nothing;
        }
        self.lost.remove(&call);
        Arrival::Answer(reply(call, Response::failed(Outcome::Cancelled, &[])))
    }

    /// The engine sends a frame; `None` if it does not leave. The receiver has to look again.
    pub(super) fn leaves(&mut self, frame: Frame, now: Instant) -> Option<Frame> {
        let Header { kind, call, codec, method, .. } = frame.header;
        match kind {
            frame::REPLY => {
                if let Some(request) = self.twice.remove(&call)
                    && codec & aside::FLAG == 0
                    && !is_given_up(method)
                {
                    self.held.push(request, now);
                    return None;
                }
            }
            frame::CANCEL => {
                if let Some(late) = self.kept.remove(&call) {
                    self.held.push(late, now);
                }
                if let Some(asked) = self.asked.get_mut(&call) {
                    asked.given_up = true;
                }
            }
            kind if kind >= Kind::CALL.0 => {
                self.asked.insert(call, Asked::by(&frame.header));
            }
            _ => {}
        }
        Some(frame)
    }

    /// What was held and is due.
    pub(super) fn next(&mut self, now: Instant) -> Option<Frame> {
        let frame = self.held.pop(now)?;
        self.held.passed(&frame, now);
        Some(frame)
    }

    /// When there will be something.
    pub(super) fn next_due(&self) -> Option<Instant> {
        self.held.next_due()
    }

    /// The peer will send nothing more. Whether something is still held.
    pub(super) fn ends(&mut self, now: Instant) -> bool {
        self.held.release_all(now);
        !self.held.is_empty()
    }
}

/// Ends the process of `worker`.
pub(super) fn abort(worker: &str) -> ! {
    eprintln!("a fault of the test ends the process of {worker}");
    std::process::abort();
}

/// Whether a reply with this outcome is to somebody who has given up.
fn is_given_up(outcome: u64) -> bool {
    outcome == Outcome::Cancelled as u64 || outcome == Outcome::DeadlineExceeded as u64
}

fn reply(call: u64, response: Response) -> Frame {
    let Response { outcome, codec, body } = response;
    let header = Header {
        payload_bytes: body.payload.len() as u32,
        part_count: body.parts.len() as u16,
        codec,
        method: outcome as u64,
        ..Header::control(frame::REPLY, call)
    };
    Frame { header, body }
}

#[cfg(test)]
mod tests;
