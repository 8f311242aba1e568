//! How often the reader of a link lets answers leave within one batch.
//!
//! If the answers to all that has come left together, the two sides would take turns: one would compute while the other
//! waits. If each left alone, each would cost a system call. So they leave in shares: a quarter of what is in flight, so
//! that the caller works on one share while the next ones are made. And what takes its time leaves sooner.
//!
//! How much is in flight shows in the ids of calls: the lower half is the lowest slot that was free
//! ([`CallTable`](super::calls::CallTable)). A peer that chooses its ids otherwise gets its answers at other times,
//! and nothing worse.

use std::time::Duration;

use tokio::time::Instant;

/// Shares into which the answers to all that is in flight are cut.
const SHARES: usize = 4;
/// Least frames of a share, unless they are slow: fewer would mostly cost system calls.
const SHARE_MIN: usize = 2;
/// Most frames of a share. It is what the clock is read for, too, which is a good part of what a small request costs.
/// So the time of a request may begin as many requests early as this.
const SHARE_MAX: usize = 64;
/// Time after which an answer that is ready should leave, if others are still to be made.
const TIME_MAX: Duration = Duration::from_micros(50);
/// Frames after which an estimate of what is in flight is given up for that of the frames since.
const WINDOW: usize = 256;

/// Says when to pause.
#[derive(Debug)]
pub(super) struct Pace {
    /// Frames since the last pause.
    frames: usize,
    /// When the first of them was begun.
    since: Instant,
    /// Frames that are to be between two pauses.
    share: usize,
    /// One more than the highest slot among the frames of this window, and of the one before.
    highest: [usize; 2],
    /// Frames until this window ends.
    window: usize,
}

impl Pace {
    pub(super) fn new() -> Self {
        Self { frames: 0, since: Instant::now(), share: SHARE_MIN, highest: [0; 2], window: WINDOW }
    }

    /// The first frame of a batch comes next; everything that was ready before has left.
    pub(super) fn begin(&mut self, now: Instant) {
        (self.frames, self.since) = (0, now);
    }

    /// A frame of `call` has been handled. Returns whether answers should leave now.
    pub(super) fn count(&mut self, call: u64) -> bool {
        self.highest[0] = self.highest[0].max((call as u32 as usize).saturating_add(1));
        self.window -= 1;
        if self.window == 0 {
            self.highest = [0, self.highest[0]];
            self.window = WINDOW;
        }
        self.frames += 1;
        self.frames >= self.share
    }

    /// Answers leave now.
    pub(super) fn pause(&mut self, now: Instant) {
        let in_flight = self.highest[0].max(self.highest[1]);
        let share = (in_flight / SHARES).clamp(SHARE_MIN, SHARE_MAX);
        let took = now.saturating_duration_since(self.since).as_nanos().max(1);
        let in_time = TIME_MAX.as_nanos() * self.frames as u128 / took;
        self.share = share.min(usize::try_from(in_time).unwrap_or(usize::MAX)).max(1);
        self.begin(now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Frames between pauses, when `in_flight` calls of `each` are answered in turn.
    fn shares(pace: &mut Pace, in_flight: u64, each: Duration, pauses: usize) -> Vec<usize> {
        let mut now = Instant::now();
        pace.begin(now);
        let mut frames = 0;
        let mut shares = Vec::new();
        for call in (0..in_flight).cycle() {
            frames += 1;
            now += each;
            if pace.count(1 << 32 | call) {
                pace.pause(now);
                shares.push(std::mem::take(&mut frames));
            }
            if shares.len() == pauses {
                break;
            }
        }
        shares
    }

    const FAST: Duration = Duration::from_nanos(500);

    #[test]
    fn a_quarter_of_what_is_in_flight_leaves_at_a_time() {
        for (in_flight, share) in [(1, 2), (4, 2), (8, 2), (64, 16), (256, 64), (100_000, 64)] {
            let seen = shares(&mut Pace::new(), in_flight, FAST, 500);
            assert_eq!(seen.last(), Some(&share), "{in_flight} in flight");
        }
    }

    #[test]
    fn fewer_in_flight_than_before_are_noticed_within_two_windows() {
        let mut pace = Pace::new();
        shares(&mut pace, 256, FAST, 100);
        let seen = shares(&mut pace, 16, FAST, 200);
        let mut frames = 0;
        for share in &seen {
            if frames > 2 * WINDOW + SHARE_MAX {
                assert_eq!(*share, 4);
            }
            frames += share;
        }
        assert!(frames > 3 * WINDOW, "or nothing was seen");
    }

    #[test]
    fn slow_answers_leave_sooner() {
        let slow = |each| shares(&mut Pace::new(), 64, each, 100).last().copied();
        assert_eq!(slow(TIME_MAX / 10), Some(10));
        assert_eq!(slow(TIME_MAX * 10), Some(1));
        let mut pace = Pace::new();
        shares(&mut pace, 64, TIME_MAX, 100);
        assert_eq!(shares(&mut pace, 64, FAST, 100).last(), Some(&16), "and are forgotten");
    }
}
