//! W1: one small call after the other.

use std::time::{Duration, Instant};

use super::measure;
use crate::child::{Measured, Metric};
use crate::system::Client;

pub(crate) async fn run(client: impl Client, seconds: f64) -> anyhow::Result<Measured> {
    let mut samples = Vec::new();
    let done = measure(seconds, 200, async |count| {
        samples = Vec::with_capacity(count);
        let start = Instant::now();
        for _ in 0..count {
            let call = Instant::now();
            client.echo().await?;
            samples.push(call.elapsed());
        }
        Ok(start.elapsed())
    })
    .await?;
    let median = quantile(&mut samples, 0.5).as_secs_f64() * 1e6;
    Ok(done.measured([Metric::main(median, "us")]))
}

/// The sample below which `part` of the others are. `samples` is not empty.
pub(super) fn quantile(samples: &mut [Duration], part: f64) -> Duration {
    let nth = (part * (samples.len() - 1) as f64).round() as usize;
    *samples.select_nth_unstable(nth).1
}
