//! [`Complaints`]: lines in the log about clients that misbehave, few enough to be read.

use std::net::SocketAddr;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

/// Between two lines.
const QUIET_TIME: Duration = Duration::from_secs(10);

/// Says one line in a while, and with the next how many were left out.
#[derive(Debug, Default)]
pub(super) struct Complaints(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    last: Option<Instant>,
    left_out: u64,
}

impl Complaints {
    pub(super) fn about(&self, peer: SocketAddr, what: &dyn std::fmt::Display) {
        if let Some(left_out) = self.may_say(Instant::now()) {
            tracing::warn!(%peer, left_out, "closing a connection to the store: {what}");
        }
    }

    /// How many lines were left out since the last one, if it is time for another.
    fn may_say(&self, now: Instant) -> Option<u64> {
        let mut state = self.0.lock();
        if state.last.is_some_and(|last| now.saturating_duration_since(last) < QUIET_TIME) {
            state.left_out += 1;
            return None;
        }
        state.last = Some(now);
        Some(std::mem::take(&mut state.left_out))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_is_one_line_and_the_next_counts_it() {
        let (complaints, start) = (Complaints::default(), Instant::now());
        assert_eq!(complaints.may_say(start), Some(0));
        for _ in 0..1000 {
            assert_eq!(complaints.may_say(start + QUIET_TIME / 2), None);
        }
        assert_eq!(complaints.may_say(start + QUIET_TIME), Some(1000));
        assert_eq!(complaints.may_say(start + 2 * QUIET_TIME), Some(0));
    }
}
