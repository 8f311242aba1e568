//! W7: small calls, one after the other, while large messages flow the same way and then the other.

use std::cell::Cell;
use std::rc::Rc;
use std::time::{Duration, Instant};

use super::w1_latency::quantile;
use crate::child::{self, Measured, Metric};
use crate::machine;
use crate::system::{Client, Job, System};

pub(crate) async fn run<S: System>(
    job: &Job<'_>,
    address: &str,
    mib: usize,
    seconds: f64,
) -> anyhow::Result<Measured> {
    let bytes = mib << 20;
    let client = S::connect(job, address, 0).await?;
    let lane = if S::BULK_APART { S::connect(job, address, 0).await? } else { client.clone() };
    let bulk = <S::Client as Client>::bulk(bytes);
    lane.upload(&bulk).await?;
    lane.download(bytes).await?;
    latencies(&client, seconds / 5.0).await?;
    child::begin()?;
    let before = machine::cpu_seconds()?;

    let mut idle = latencies(&client, seconds).await?;
    let over = Rc::new(Cell::new(false));
    let (there, until) = (lane.clone(), over.clone());
    let upload = tokio::task::spawn_local(async move {
        while !until.get() {
            there.upload(&bulk).await?;
        }
        anyhow::Ok(())
    });
    // At least as long as a few of them take.
    let mut same_way = latencies(&client, seconds.max(1.0)).await?;
    // The last one is waited for: what follows is to share the connection with nothing of it.
    over.set(true);
    upload.await??;
    over.set(false);
    let until = over.clone();
    let download = tokio::task::spawn_local(async move {
        while !until.get() {
            lane.download(bytes).await?;
        }
        anyhow::Ok(())
    });
    let mut other_way = latencies(&client, seconds.max(1.0)).await?;
    over.set(true);
    download.await??;

    let operations = idle.len() + same_way.len() + other_way.len();
    let p99 = |samples: &mut [Duration]| quantile(samples, 0.99).as_secs_f64() * 1e6;
    let (idle, same_way, other_way) = (p99(&mut idle), p99(&mut same_way), p99(&mut other_way));
    Ok(Measured {
        metrics: vec![
            Metric::other("-idle", idle, "us"),
            Metric::other("-same-way", same_way, "us"),
            Metric::other("-same-way-x-idle", same_way / idle, "x"),
            Metric::other("-other-way", other_way, "us"),
            Metric::other("-other-way-x-idle", other_way / idle, "x"),
        ],
        operations: operations as u64,
        cpu_seconds: machine::cpu_seconds()? - before,
    })
}

/// Of small calls for so many seconds, at least of one.
async fn latencies(client: &impl Client, seconds: f64) -> anyhow::Result<Vec<Duration>> {
    let mut samples = Vec::new();
    let start = Instant::now();
    loop {
        let call = Instant::now();
        client.echo().await?;
        samples.push(call.elapsed());
        if start.elapsed().as_secs_f64() > seconds {
            return Ok(samples);
        }
    }
}
