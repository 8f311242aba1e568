//! W3: large messages, one after the other.
//!
//! What the server keeps arrives into fresh memory, what it drops may arrive into memory that is used again; see
//! [`kept`](crate::kept).

use std::time::Instant;

use super::{Done, measure};
use crate::child::{self, Measured, Metric};
use crate::machine;
use crate::system::Client;

/// As much as a server may have to keep.
const KEPT_MAX: usize = 2 << 30;

pub(crate) async fn upload<C: Client>(
    client: C,
    mib: usize,
    keep: bool,
    seconds: f64,
) -> anyhow::Result<Measured> {
    let bytes = mib << 20;
    let bulk = C::bulk(bytes);
    let work = async |count| {
        let start = Instant::now();
        for _ in 0..count {
            client.upload(&bulk).await?;
        }
        Ok(start.elapsed())
    };
    let done = if keep {
        // Just once each: the warm-up is kept as well.
        work(1).await?;
        child::begin()?;
        let operations = (KEPT_MAX / bytes).clamp(1, 256) - 1;
        let before = machine::cpu_seconds()?;
        let time = work(operations).await?;
        Done { operations, time, cpu_seconds: machine::cpu_seconds()? - before }
    } else {
        measure(seconds, 2, work).await?
    };
    let speed = done.per_second() * bytes as f64 / 1e9;
    Ok(done.measured([Metric::main(speed, "GB/s")]))
}

pub(crate) async fn echo<C: Client>(client: C, mib: usize, seconds: f64) -> anyhow::Result<Measured> {
    let bytes = mib << 20;
    let bulk = C::bulk(bytes);
    let done = measure(seconds, 2, async |count| {
        let start = Instant::now();
        for _ in 0..count {
            client.echo_bulk(&bulk).await?;
        }
        Ok(start.elapsed())
    })
    .await?;
    let speed = done.per_second() * 2.0 * bytes as f64 / 1e9;
    Ok(done.measured([Metric::main(speed, "GB/s")]))
}
