//! What the server does: makes the shards, gives the trainers references to them, has the trainers work epoch by
//! epoch, and judges the network.

use std::time::{Duration, Instant, SystemTime};

use anyhow::bail;
use rpc::{RRef, ReferenceError, Tensor, Worker};
use tokio::task::JoinSet;

use crate::data::Split;
use crate::flags::Flags;
use crate::model::{Network, Param, PerParam};
use crate::plan::Plan;
use crate::shard::{Shards, Traffic, new_shard};
use crate::summary::{EpochEvent, Event, Summary};
use crate::trainer::{Trainer, new_trainer};
use crate::worker::name;

/// How long an epoch, which takes some milliseconds, may take before the server gives up. Less than the timeout
/// of a trainer's call, so that the job ends with the name of the worker that is missing.
const EPOCH_MAX: Duration = Duration::from_secs(30);

/// Has the network trained.
pub(crate) async fn serve(worker: &Worker, flags: &Flags, plan: &Plan) -> anyhow::Result<Summary> {
    let server_idle_rss_bytes = resident_bytes();
    let shard = |param| worker.remote(worker.info(), new_shard, (param, plan.seed, plan.trainers));
    let [w1, b1, w2, b2] = Param::ALL.map(shard);
    let shards: Shards = [w1?, b1?, w2?, b2?];

    let trainer = |index| worker.remote(&*name_of(index), new_trainer, (*plan, index, shards.clone()));
    let trainers: Vec<RRef<Trainer>> = (0..plan.trainers).map(trainer).collect::<Result<_, _>>()?;
    let test = Split::load(plan.seed)?.test;
    for trainer in &trainers {
        trainer.created().await?;
    }
    let startup_ms = flags.launched_at_us.and_then(ms_since);

    let started = Instant::now();
    let mut accuracy = 0.0;
    for epoch in 0..plan.epochs {
        let training = worker.record_future("epoch", train(&trainers, epoch));
        let Ok(trained) = tokio::time::timeout(EPOCH_MAX, training).await else {
            let awaited = awaited(&shards).await?.join(", ");
            bail!(
                "epoch {} did not end within {EPOCH_MAX:?}; look at the output of {awaited}, whose gradients are awaited",
                epoch + 1
            );
        };
        let loss = trained?;
        let parameters = values(&shards).await?;
        let _span = worker.record_function("evaluate");
        accuracy = Network::new(&parameters)?.accuracy(&test);
        Event::Epoch(EpochEvent { epoch: epoch + 1, epochs: plan.epochs, loss, accuracy }).tell(flags)?;
    }
    let seconds = started.elapsed().as_secs_f64();

    let Traffic { calls, tensor_bytes } = traffic(&shards).await?;
    Ok(Summary {
        accuracy,
        calls_per_s: calls as f64 / seconds,
        bytes: tensor_bytes,
        seconds,
        leaked: 0,
        calls,
        workers: plan.trainers + 1,
        startup_ms,
        server_idle_rss_bytes,
        profile: None,
    })
    // Here the references go: to the trainers first, and with the trainers those that they have to the shards.
}

/// Has all `trainers` work on `epoch` (from 0). Returns the mean loss, in nats.
async fn train(trainers: &[RRef<Trainer>], epoch: u64) -> anyhow::Result<f64> {
    let mut calls: JoinSet<_> = trainers.iter().map(|trainer| trainer.rpc_async().train(epoch)).collect();
    let mut loss = 0.0;
    // In the order in which they end: if one fails, the others wait for it and do not end.
    while let Some(ended) = calls.join_next().await {
        loss += ended??;
    }
    Ok(loss)
}

/// The parameters as they are now. They are on this worker, so they are borrowed, not copied.
async fn values(shards: &Shards) -> Result<PerParam<Tensor>, ReferenceError> {
    let [w1, b1, w2, b2] = shards.each_ref().map(RRef::local_value);
    Ok([w1.await?.value(), b1.await?.value(), w2.await?.value(), b2.await?.value()])
}

/// The names of the trainers whose gradients are awaited where training is furthest behind.
async fn awaited(shards: &Shards) -> Result<Vec<String>, ReferenceError> {
    let mut awaited = Vec::with_capacity(shards.len());
    for shard in shards {
        awaited.push(shard.local_value().await?.awaited());
    }
    let furthest_behind = awaited.into_iter().min().unwrap_or_default();
    Ok(furthest_behind.1.into_iter().map(name_of).collect())
}

/// What all shards have served.
async fn traffic(shards: &Shards) -> Result<Traffic, ReferenceError> {
    let mut sum = Traffic::default();
    for shard in shards {
        let Traffic { calls, tensor_bytes } = shard.local_value().await?.traffic();
        sum.calls += calls;
        sum.tensor_bytes += tensor_bytes;
    }
    Ok(sum)
}

/// The name of the worker of trainer number `index` (from 0).
fn name_of(index: usize) -> String {
    name(index as u32 + 1)
}

/// Milliseconds from `time_us` (microseconds since 1970) to now; `None` if the clock was set back meanwhile.
fn ms_since(time_us: u64) -> Option<f64> {
    let time = SystemTime::UNIX_EPOCH.checked_add(Duration::from_micros(time_us))?;
    Some(time.elapsed().ok()?.as_secs_f64() * 1e3)
}

/// Resident memory of this process, where `/proc` tells (Linux).
fn resident_bytes() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(target_os = "linux")]
    #[test]
    fn the_system_tells_how_much_memory_is_resident() {
        assert!(resident_bytes().is_some_and(|bytes| bytes > 100_000));
    }
}
