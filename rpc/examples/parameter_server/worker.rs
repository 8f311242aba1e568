//! One worker's life: join, serve or train, leave together with the others.

use anyhow::{Context, ensure};
use rpc::{Shutdown, Worker};

use crate::flags::Flags;
use crate::plan::Plan;
use crate::server;
use crate::summary::Event;

/// The name of the worker with `rank`.
pub(crate) fn name(rank: u32) -> String {
    match rank.checked_sub(1) {
        None => "ps".to_owned(),
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
    if rank > 0 {
        // Its trainer is a value that the server has made here. It is served until all leave.
        let leaked = leave(worker).await?;
        ensure!(leaked == 0, "{leaked} values leaked; the warnings above say who holds them");
        return Ok(());
    }
    let plan = Plan::new(flags.seed, flags.epochs, worker.world_size())?;
    // What the trainers and the shards do for the server's calls comes back with them.
    let profiling = flags.profile.as_ref().map(|directory| (worker.profile(), directory));
    let mut summary = server::serve(worker, flags, &plan).await?;
    if let Some((profiling, directory)) = profiling {
        profiling.finish().save(directory).context("cannot write the profile")?;
        summary.profile = Some(directory.clone());
    }
    summary.leaked = leave(worker).await?;
    Event::Finished(summary).tell(flags)
}

/// Leaves together with all others, whose calls are answered until then, however long they take. Returns how many
/// values of this worker others still had references to.
async fn leave(worker: &Worker) -> anyhow::Result<u64> {
    let report = worker.shutdown_with(Shutdown::Graceful { timeout: None }).await?;
    let lost: Vec<String> = report.lost.iter().map(ToString::to_string).collect();
    ensure!(lost.is_empty(), "{} died before the end; its own output says why", lost.join(", "));
    Ok(report.leaked())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(feature = "tcp")]
    async fn join(store: &std::sync::Arc<rpc::MemoryStore>, rank: u32, world_size: u32) -> Worker {
        let builder = Worker::builder(name(rank)).rank(rank).world_size(world_size).store(store.clone());
        builder.init().await.unwrap()
    }

    #[cfg(feature = "tcp")]
    #[tokio::test]
    async fn three_workers_train_evaluate_and_leave_together() {
        let flags = &<Flags as clap::Parser>::parse_from(["parameter_server", "--epochs", "30"]);
        let store = &std::sync::Arc::default();
        let run = async |rank| take_part(&join(store, rank, 3).await, flags, rank).await;
        // Rank 0 fails by itself if the network has not learnt enough, and each worker if something of its leaked.
        let (server, first, second) = tokio::join!(run(0), run(1), run(2));
        server.and(first).and(second).unwrap();
    }

    #[cfg(feature = "tcp")]
    #[tokio::test]
    async fn what_a_trainer_still_refers_to_when_all_leave_has_leaked() {
        let store = &std::sync::Arc::default();
        let (server, trainer) = tokio::join!(join(store, 0, 2), join(store, 1, 2));
        let kept = trainer.remote("ps", crate::shard::new_shard, (crate::model::Param::B2, 1, 1)).unwrap();
        let (of_server, of_trainer) = tokio::join!(leave(&server), leave(&trainer));
        assert_eq!((of_server.unwrap(), of_trainer.unwrap()), (1, 0));
        drop(kept);
    }

    #[test]
    fn rank_0_is_the_server_and_the_others_are_trainers_from_0() {
        assert_eq!([0, 1, 3].map(name), ["ps", "trainer0", "trainer2"]);
    }
}
