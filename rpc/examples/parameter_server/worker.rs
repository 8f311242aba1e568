//! One worker's life: join, serve or train, leave together with the others.

use std::time::{Duration, SystemTime};

use anyhow::{Context, bail, ensure};
use rpc::Worker;

use crate::data::Split;
use crate::flags::Flags;
use crate::plan::Plan;
use crate::server::{self, Moment, ParameterServer, SERVER_NAME};
use crate::summary::{EpochEvent, Event, Summary};
use crate::trainer;

/// How long an epoch, which takes some milliseconds, may take before the server gives up. Less than the timeout
/// of a trainer's call, so that the job ends with the name of the worker that is missing.
const EPOCH_MAX: Duration = Duration::from_secs(30);

/// The name of the worker with `rank`.
pub(crate) fn name(rank: u32) -> String {
    match rank.checked_sub(1) {
        None => SERVER_NAME.to_owned(),
        Some(trainer) => format!("trainer{trainer}"),
    }
}

/// Takes part in the job as the worker with `rank`.
pub(crate) async fn run(flags: &Flags, rank: u32) -> anyhow::Result<()> {
    let mut builder = Worker::builder(name(rank));
    if let Some(backend) = &flags.backend {
        builder = builder.backend(backend);
    }
    take_part(&builder.init().await?, flags, rank).await
}

async fn take_part(worker: &Worker, flags: &Flags, rank: u32) -> anyhow::Result<()> {
    let plan = Plan::new(flags.seed, flags.epochs, worker.world_size())?;
    if rank > 0 {
        trainer::train(worker, &plan, rank as usize - 1).await?;
        return leave(worker).await;
    }
    let summary = serve(flags, &plan).await?;
    leave(worker).await?;
    tell(flags, &Event::Finished(summary))
}

/// Holds the parameters until all trainers are done.
async fn serve(flags: &Flags, plan: &Plan) -> anyhow::Result<Summary> {
    let server_idle_rss_bytes = resident_bytes();
    let server = ParameterServer::new(plan, Split::load(plan.seed)?.test)?;
    let server = server::install(server)?;
    for epoch in 0..plan.epochs {
        let Ok(done) = tokio::time::timeout(EPOCH_MAX, server.epoch_done(epoch as usize)).await else {
            let awaited: Vec<String> =
                server.awaited().into_iter().map(|trainer| name(trainer as u32 + 1)).collect();
            bail!(
                "epoch {} did not end within {EPOCH_MAX:?}; look at the output of {}, whose gradients are awaited",
                epoch + 1,
                awaited.join(", ")
            );
        };
        let done = done?;
        let accuracy = done.accuracy.unwrap_or_default();
        let event = EpochEvent { epoch: epoch + 1, epochs: plan.epochs, loss: done.loss, accuracy };
        tell(flags, &Event::Epoch(event))?;
    }
    let complete = server.complete().context("training ended before all trainers had called")?;
    let seconds = complete.instant.elapsed().as_secs_f64();
    Ok(Summary {
        accuracy: server.accuracy()?,
        calls_per_s: server.traffic().calls() as f64 / seconds,
        bytes: server.traffic().tensor_bytes(),
        seconds,
        leaked: 0,
        calls: server.traffic().calls(),
        workers: plan.trainers + 1,
        startup_ms: flags.launched_at_us.and_then(|launched_at| startup_ms(launched_at, complete)),
        server_idle_rss_bytes,
    })
}

/// Leaves together with all others, whose calls are answered until then.
async fn leave(worker: &Worker) -> anyhow::Result<()> {
    let report = worker.shutdown().await?;
    let lost: Vec<String> = report.lost.iter().map(ToString::to_string).collect();
    ensure!(lost.is_empty(), "{} died before the end; its own output says why", lost.join(", "));
    Ok(())
}

/// Hands `event` to the launcher, or to people if there is none of this program.
fn tell(flags: &Flags, event: &Event) -> anyhow::Result<()> {
    if flags.launched_at_us.is_some() {
        println!("{}", serde_json::to_string(event)?);
        return Ok(());
    }
    match event {
        Event::Epoch(epoch) => println!("epoch {}/{}: {epoch}", epoch.epoch, epoch.epochs),
        Event::Finished(summary) => {
            summary.print(flags.json)?;
            summary.judge()?;
        }
    }
    Ok(())
}

/// Milliseconds from the launcher's start to `complete`; `None` if the clock was set back meanwhile.
fn startup_ms(launched_at_us: u64, complete: Moment) -> Option<f64> {
    let launched_at = SystemTime::UNIX_EPOCH.checked_add(Duration::from_micros(launched_at_us))?;
    Some(complete.time.duration_since(launched_at).ok()?.as_secs_f64() * 1e3)
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

    /// The only test that installs a server: a process has one.
    #[cfg(feature = "tcp")]
    #[tokio::test]
    async fn three_workers_train_evaluate_and_leave_together() {
        let flags = &<Flags as clap::Parser>::parse_from(["parameter_server", "--epochs", "30"]);
        let store = std::sync::Arc::new(rpc::MemoryStore::default());
        let run = async |rank| {
            let builder = Worker::builder(name(rank)).rank(rank).world_size(3).store(store.clone());
            let worker = builder.init().await?;
            take_part(&worker, flags, rank).await
        };
        // Rank 0 fails by itself if the network has not learnt enough.
        let (server, first, second) = tokio::join!(run(0), run(1), run(2));
        server.and(first).and(second).unwrap();
    }

    #[test]
    fn rank_0_is_the_server_and_the_others_are_trainers_from_0() {
        assert_eq!([0, 1, 3].map(name), ["ps", "trainer0", "trainer2"]);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn the_system_tells_how_much_memory_is_resident() {
        assert!(resident_bytes().is_some_and(|bytes| bytes > 100_000));
    }
}
