//! Frames that have arrived and are kept back for a while.

use std::collections::VecDeque;

use rpc_core::Frame;
use rpc_core::wire::frame;
use tokio::time::Instant;

/// Frames of one end of a link, in the order in which they came.
#[derive(Debug, Default)]
pub(super) struct Held(VecDeque<Kept>);

#[derive(Debug)]
struct Kept {
    frame: Frame,
    due: Instant,
    /// Due as soon as another of its direction has passed.
    yields: bool,
}

fn is_reply(of: &Frame) -> bool {
    of.header.kind == frame::REPLY
}

impl Held {
    pub(super) fn push(&mut self, frame: Frame, due: Instant) {
        self.0.push_back(Kept { frame, due, yields: false });
    }

    /// Keeps `frame` until another has passed, at most until `due`.
    pub(super) fn push_yielding(&mut self, frame: Frame, due: Instant) {
        self.0.push_back(Kept { frame, due, yields: true });
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether a frame of this call is kept, which its later ones must not pass.
    pub(super) fn has(&self, call: u64) -> bool {
        self.0.iter().any(|kept| kept.frame.header.call == call)
    }

    /// `passed` is being delivered.
    pub(super) fn passed(&mut self, passed: &Frame, now: Instant) {
        let yields = |kept: &&mut Kept| {
            kept.yields
                && is_reply(&kept.frame) == is_reply(passed)
                && kept.frame.header.call != passed.header.call
        };
        self.0.iter_mut().filter(yields).for_each(|kept| kept.due = now);
    }

    /// Everything is due: nothing passes what comes next, or nothing comes any more.
    pub(super) fn release_all(&mut self, now: Instant) {
        self.0.iter_mut().for_each(|kept| kept.due = now);
    }

    /// The first frame that is due and may be delivered.
    pub(super) fn pop(&mut self, now: Instant) -> Option<Frame> {
        let at = self.free().find(|(_, kept)| kept.due <= now).map(|(at, _)| at)?;
        self.0.remove(at).map(|kept| kept.frame)
    }

    /// When [`pop`](Self::pop) will have one.
    pub(super) fn next_due(&self) -> Option<Instant> {
        self.free().map(|(_, kept)| kept.due).min()
    }

    /// The frames that wait for no other: the first of each call, and one of call 0 if it is the first of all.
    fn free(&self) -> impl Iterator<Item = (usize, &Kept)> {
        self.0.iter().enumerate().filter(|(at, kept)| {
            let call = kept.frame.header.call;
            let mut before = self.0.iter().take(*at).map(|kept| kept.frame.header.call);
            match call {
                0 => *at == 0,
                call => before.all(|earlier| earlier != call && earlier != 0),
            }
        })
    }
}
