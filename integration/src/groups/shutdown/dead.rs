//! Graceful shutdown with workers that are killed before it and during it, its leader included.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use integration::part::{Part, say};
use integration::runner::stage::Stage;
use integration::scenario::Scenario;
use rpc::Shutdown;
use rpc::prelude::*;

/// How long the shutdowns here may take; the deaths have to be noticed long before.
const PATIENCE: Duration = Duration::from_secs(30);
const NOTICED: Duration = Duration::from_secs(10);

#[rpc::function(inline)]
fn ping() {}

#[rpc::function]
async fn hang() {
    say("RUNNING");
    std::future::pending().await
}

pub(crate) fn scenarios() -> Vec<Scenario> {
    vec![
        Scenario::new("shutdown::peer_killed_before", 3, plays)
            .script(async |stage: &mut Stage| killed_before(stage, 2).await),
        Scenario::new("shutdown::leader_killed_before", 3, plays)
            .script(async |stage: &mut Stage| killed_before(stage, 0).await),
        Scenario::new("shutdown::peer_killed_during", 3, plays)
            .script(async |stage: &mut Stage| killed_during(stage, 2).await),
        Scenario::new("shutdown::leader_killed_during", 3, plays)
            .script(async |stage: &mut Stage| killed_during(stage, 0).await),
        Scenario::new("shutdown::leader_killed_while_it_leads", 4, plays).script(killed_while_it_leads),
        Scenario::new("shutdown::peer_killed_with_work_under_way", 3, busy_at_the_doomed)
            .script(killed_with_work),
    ]
}

/// Calls everybody, so that there are links to lose; then leaves when told, and says who was lost.
async fn plays(mut part: Part) -> Result<()> {
    let worker = part.init().await?;
    for info in worker.workers() {
        worker.rpc_async(info, ping, ()).await?;
    }
    say("READY");
    leave_when_told(&mut part, &worker).await
}

async fn leave_when_told(part: &mut Part, worker: &Worker) -> Result<()> {
    part.told("LEAVE").await?;
    let leaving = tokio::spawn(worker.clone().shutdown_owned());
    say("LEAVING");
    let began = Instant::now();
    let lost = leaving.await??;
    say(format_args!("LOST {}", lost.join(",")));
    ensure!(began.elapsed() < NOTICED, "it took {:?}", began.elapsed());
    Ok(())
}

/// [`Worker::shutdown_with`] for a task of its own, with the names of the lost.
trait ShutdownOwned {
    async fn shutdown_owned(self) -> Result<Vec<String>>;
}

impl ShutdownOwned for Worker {
    async fn shutdown_owned(self) -> Result<Vec<String>> {
        let report = self.shutdown_with(Shutdown::Graceful { timeout: Some(PATIENCE) }).await?;
        Ok(report.lost.iter().map(|info| info.name.to_string()).collect())
    }
}

async fn survivors_lost(stage: &Stage, doomed: usize) -> Result<()> {
    for (rank, process) in stage.processes().iter().enumerate().filter(|(rank, _)| *rank != doomed) {
        let lost = process.says("LOST").await?;
        ensure!(lost == format!("worker{doomed}"), "worker{rank} lost {lost:?}");
    }
    stage.these_succeed(|at| at != doomed).await
}

async fn killed_before(stage: &mut Stage, doomed: usize) -> Result<()> {
    stage.start().await?;
    stage.all_say("READY").await?;
    stage.process(doomed)?.kill()?;
    stage.process(doomed)?.ended().await?;
    for (_, survivor) in stage.processes().iter().enumerate().filter(|(rank, _)| *rank != doomed) {
        survivor.tell("LEAVE").await?;
    }
    survivors_lost(stage, doomed).await
}

/// The doomed worker never joins the shutdown of the others, which wait for it.
async fn killed_during(stage: &mut Stage, doomed: usize) -> Result<()> {
    stage.start().await?;
    stage.all_say("READY").await?;
    for (_, survivor) in stage.processes().iter().enumerate().filter(|(rank, _)| *rank != doomed) {
        survivor.tell("LEAVE").await?;
        survivor.says("LEAVING").await?;
    }
    stage.process(doomed)?.kill()?;
    survivors_lost(stage, doomed).await
}

/// The leader and another have joined; the last one does after the leader's death.
async fn killed_while_it_leads(stage: &mut Stage) -> Result<()> {
    stage.start().await?;
    stage.all_say("READY").await?;
    for rank in [0, 1, 2] {
        stage.process(rank)?.tell("LEAVE").await?;
        stage.process(rank)?.says("LEAVING").await?;
    }
    stage.process(0)?.kill()?;
    stage.process(0)?.ended().await?;
    stage.process(3)?.tell("LEAVE").await?;
    survivors_lost(stage, 0).await
}

/// Rank 0 waits for worker2, for ever, and still gets away.
async fn busy_at_the_doomed(mut part: Part) -> Result<()> {
    let worker = part.init().await?;
    let call = (part.rank == 0).then(|| worker.rpc_async("worker2", hang, ()).timeout(Duration::ZERO));
    leave_when_told(&mut part, &worker).await?;
    if let Some(call) = call {
        let error = call.await.err();
        let failure = error.as_ref().and_then(CallError::failure);
        ensure!(matches!(failure, Some(Failure::LinkLost { .. })), "{failure:?}");
    }
    Ok(())
}

async fn killed_with_work(stage: &mut Stage) -> Result<()> {
    stage.start().await?;
    stage.process(2)?.says("RUNNING").await?;
    stage.tell_all("LEAVE").await?;
    stage.all_say("LEAVING").await?;
    stage.process(2)?.kill()?;
    survivors_lost(stage, 2).await
}
