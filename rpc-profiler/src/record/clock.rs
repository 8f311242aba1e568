//! [`Clock`]: monotonic time that starts at the system's.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::time::Instant;

use crate::model::{MachineId, Tick};

/// How closely a clock has to be read for its worker to say on which machine it is: at most this long from the one clock
/// of the system to the other. A shared clock is known to this ([`SHARED_NS`](crate::offsets::SHARED_NS)).
const READ_WITHIN: Duration = Duration::from_nanos(crate::offsets::SHARED_NS);
/// How often that is tried. A try takes a tenth of a microsecond and fails where the thread is interrupted.
const TRIES: usize = 32;

/// The clock of one worker. Reads the system's once, and is steady from there on.
///
/// All processes of a machine have the same two clocks, one of which shows a constant more than the other, as long as
/// nobody sets it. So what two of them read is the same moment, as exactly as they have read the two together.
#[derive(Clone, Copy, Debug)]
pub(super) struct Clock {
    began: Instant,
    began_unix_ns: u64,
    machine: Option<MachineId>,
}

/// The two clocks of the system, one after the other.
struct Reading {
    at: Instant,
    unix: SystemTime,
    /// How far from each other they may have been read. `None` for a clock that is not the system's, as in tests that
    /// pause it.
    within: Option<Duration>,
}

impl Reading {
    fn new() -> Self {
        let before = std::time::Instant::now();
        let (at, unix) = (Instant::now(), SystemTime::now());
        let within = (at.into_std() >= before).then(|| before.elapsed());
        Self { at, unix, within }
    }

    /// The one that knows better.
    fn or(self, other: Self) -> Self {
        let worth = |reading: &Self| reading.within.unwrap_or(Duration::MAX);
        if worth(&other) < worth(&self) { other } else { self }
    }
}

impl Clock {
    pub(super) fn new() -> Self {
        let Reading { at, unix, within } = (1..TRIES).fold(Reading::new(), |best, _| best.or(Reading::new()));
        // A system whose clock is before the epoch is as good as one that is at it: all that counts are differences.
        let since_epoch = unix.duration_since(UNIX_EPOCH).unwrap_or_default();
        let began_unix_ns = u64::try_from(since_epoch.as_nanos()).unwrap_or(0);
        let machine = within.is_some_and(|within| within <= READ_WITHIN).then(this_machine).flatten();
        Self { began: at, began_unix_ns, machine }
    }

    /// One that shows `ns` more, and does not know where it is.
    #[cfg(test)]
    pub(super) fn ahead(self, ns: i64) -> Self {
        Self { began_unix_ns: self.began_unix_ns.saturating_add_signed(ns), machine: None, ..self }
    }

    pub(super) fn now(&self) -> Tick {
        self.tick(Instant::now())
    }

    pub(super) fn tick(&self, at: Instant) -> Tick {
        let since = u64::try_from((at - self.began).as_nanos()).unwrap_or(u64::MAX);
        Tick::from_unix_ns(self.began_unix_ns.saturating_add(since))
    }

    pub(super) fn machine(&self) -> Option<MachineId> {
        self.machine
    }
}

/// This machine since it was started, as those see it who read the same monotonic clock: that of a namespace may be
/// another one. `None` where the system does not say.
fn this_machine() -> Option<MachineId> {
    let boot = std::fs::read("/proc/sys/kernel/random/boot_id").ok()?;
    let namespace = std::fs::read_link("/proc/self/ns/time").unwrap_or_default();
    Some(MachineId::of(&[&boot, namespace.as_os_str().as_encoded_bytes()].concat()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_clocks_of_a_machine_show_the_same() {
        let (first, second) = (Clock::new(), Clock::new());
        let at = Instant::now();
        let apart = first.tick(at).unix_ns().abs_diff(second.tick(at).unix_ns());
        assert_eq!(first.machine(), second.machine());
        assert!(first.machine().is_none() || apart <= crate::offsets::SHARED_NS, "{apart} ns");
    }
}
