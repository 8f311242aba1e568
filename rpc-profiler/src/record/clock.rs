//! [`Clock`]: monotonic time that starts at the system's.

use std::time::{SystemTime, UNIX_EPOCH};

use tokio::time::Instant;

use crate::model::Tick;

/// The clock of one worker. Reads the system's once, and is steady from there on.
#[derive(Clone, Copy, Debug)]
pub(super) struct Clock {
    began: Instant,
    began_unix_ns: u64,
}

impl Clock {
    pub(super) fn new() -> Self {
        // A system whose clock is before the epoch is as good as one that is at it: all that counts are differences.
        let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let began_unix_ns = u64::try_from(since_epoch.as_nanos()).unwrap_or(0);
        Self { began: Instant::now(), began_unix_ns }
    }

    /// One that shows `ns` more.
    #[cfg(test)]
    pub(super) fn ahead(self, ns: i64) -> Self {
        Self { began_unix_ns: self.began_unix_ns.saturating_add_signed(ns), ..self }
    }

    pub(super) fn now(&self) -> Tick {
        self.tick(Instant::now())
    }

    pub(super) fn tick(&self, at: Instant) -> Tick {
        let since = u64::try_from((at - self.began).as_nanos()).unwrap_or(u64::MAX);
        Tick::from_unix_ns(self.began_unix_ns.saturating_add(since))
    }
}
