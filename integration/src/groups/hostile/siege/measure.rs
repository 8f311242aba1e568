//! [`Latency`]: how long the calls of an honest worker take.

use std::fmt;
use std::time::{Duration, Instant};

use anyhow::Result;
use rpc::prelude::*;

use super::super::probe::{BYTES, Probe, probe};

/// Calls of one measurement at least, one after another.
const CALLS: usize = 2_000;
/// How long a measurement takes at least.
const WINDOW: Duration = Duration::from_millis(500);

/// Below this the machine's own noise is the larger part.
const NOISE: Duration = Duration::from_millis(10);

/// Of calls with [`BYTES`] each way.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(super) struct Latency {
    pub(super) calls: u64,
    median: Duration,
    high: Duration,
}

/// Calls worker0 for a while.
pub(super) async fn latency(worker: &Worker) -> Result<Latency> {
    let mut times = Vec::with_capacity(CALLS);
    let start = Instant::now();
    while times.len() < CALLS || start.elapsed() < WINDOW {
        let data = vec![times.len() as u8; BYTES];
        let began = Instant::now();
        worker.rpc_async("worker0", probe, (Probe(data),)).await?;
        times.push(began.elapsed());
    }
    times.sort_unstable();
    let calls = times.len() as u64;
    Ok(Latency { calls, median: times[times.len() / 2], high: times[times.len() * 99 / 100] })
}

impl Latency {
    /// Whether it is no more than twice `before`, or too small to tell.
    pub(super) fn is_bearable_after(&self, before: &Self) -> bool {
        self.median <= 2 * before.median + NOISE
    }
}

impl fmt::Display for Latency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (99 % {}) us", self.median.as_micros(), self.high.as_micros())
    }
}
