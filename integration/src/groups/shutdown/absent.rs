//! Graceful shutdown is bounded, and names those for whom it waited in vain.

use std::time::{Duration, Instant};

use anyhow::{Result, bail, ensure};
use integration::part::{Part, say};
use integration::runner::stage::Stage;
use integration::scenario::{Scenario, leave};
use rpc::prelude::*;
use rpc::{Shutdown, ShutdownError};

const SHORT: Duration = Duration::from_millis(100);
const PATIENCE: Duration = Duration::from_secs(2);
/// For saying goodbye to a peer that takes nothing more, and for a busy machine.
const SLACK: Duration = Duration::from_secs(8);
const HOW: Shutdown = Shutdown::Graceful { timeout: Some(PATIENCE) };

#[rpc::function(inline)]
fn ping() {}

#[rpc::function]
async fn hang() {
    say("RUNNING");
    std::future::pending().await
}

pub(crate) fn scenarios() -> Vec<Scenario> {
    vec![
        Scenario::new("shutdown::wait_all_workers_timeout", 3, one_never_comes).script(last_after_all),
        Scenario::new("torch_defects::late_to_shutdown", 2, late_to_shutdown).script(late_by_more).plain(),
        Scenario::new("shutdown::busy_worker_is_named", 2, one_is_busy),
        Scenario::new("shutdown::stopped_peer_does_not_hold_it_up", 3, one_is_stopped).script(stop_one),
    ]
}

/// Leaves, without `absent`, which has to be named.
async fn leave_without(worker: &Worker, absent: &str) -> Result<()> {
    let began = Instant::now();
    match worker.shutdown_with(HOW).await {
        Err(error @ ShutdownError::TimedOut { .. }) => {
            let ShutdownError::TimedOut { missing, busy, .. } = &error else { bail!("{error}") };
            let names: Vec<&str> = missing.iter().map(|info| info.name.as_str()).collect();
            ensure!(names == [absent] && busy.is_empty(), "{error}");
            ensure!(error.to_string().contains(absent), "{error}");
        }
        other => bail!("{other:?}"),
    }
    let took = began.elapsed();
    ensure!(took >= PATIENCE && took < PATIENCE + SLACK, "{took:?}");
    let error = worker.rpc_async(worker.name(), ping, ()).await.err();
    ensure!(
        error.is_some_and(|error| error.failure() == Some(&Failure::ShutDown)),
        "it has left all the same"
    );
    Ok(())
}

async fn one_never_comes(mut part: Part) -> Result<()> {
    let worker = part.init().await?;
    if part.rank != 2 {
        return leave_without(&worker, "worker2").await;
    }
    part.told("LEAVE").await?;
    // The others have given up on it; now it is the one that finds itself alone.
    let began = Instant::now();
    let outcome = worker.shutdown_with(HOW).await;
    ensure!(began.elapsed() < PATIENCE + SLACK, "{outcome:?} took {:?}", began.elapsed());
    Ok(())
}

async fn last_after_all(stage: &mut Stage) -> Result<()> {
    stage.start().await?;
    stage.these_succeed(|at| at != 2).await?;
    stage.process(2)?.tell("LEAVE").await?;
    stage.all_succeed().await
}

/// How long calls wait has nothing to do with how long workers wait for each other.
async fn late_to_shutdown(mut part: Part) -> Result<()> {
    let worker = part.builder().rpc_timeout(SHORT).init().await?;
    if part.rank == 1 {
        part.told("OTHER-LEAVES").await?;
        // That this is longer than a call may take is what it is about.
        tokio::time::sleep(3 * SHORT).await;
    }
    say("LEAVING");
    leave(&worker).await
}

async fn late_by_more(stage: &mut Stage) -> Result<()> {
    stage.start().await?;
    stage.process(0)?.says("LEAVING").await?;
    stage.process(1)?.tell("OTHER-LEAVES").await?;
    stage.all_succeed().await
}

/// A call that never ends keeps both from leaving. Rank 0 gives up first, and is told whose fault it is.
async fn one_is_busy(part: Part) -> Result<()> {
    let worker = part.init().await?;
    if part.rank == 1 {
        let patient = Shutdown::Graceful { timeout: Some(PATIENCE * 5) };
        // When the other has left, nothing is in flight any more.
        let report = worker.shutdown_with(patient).await?;
        ensure!(report.lost.is_empty(), "{:?}", report.lost);
        return Ok(());
    }
    let call = worker.rpc_async("worker1", hang, ()).timeout(Duration::ZERO);
    match worker.shutdown_with(HOW).await {
        Err(error @ ShutdownError::TimedOut { .. }) => {
            let ShutdownError::TimedOut { missing, busy, .. } = &error else { bail!("{error}") };
            ensure!(missing.is_empty() && !busy.is_empty(), "{error}");
            ensure!(error.to_string().contains(busy[0].name.as_str()), "{error}");
        }
        other => bail!("{other:?}"),
    }
    let error = call.await.err();
    ensure!(error.is_some_and(|error| error.failure() == Some(&Failure::ShutDown)));
    Ok(())
}

/// One is stopped, which nothing tells apart from one that thinks.
async fn one_is_stopped(mut part: Part) -> Result<()> {
    let worker = part.init().await?;
    for info in worker.workers() {
        worker.rpc_async(info, ping, ()).await?;
    }
    say("CALLED");
    part.told("SETTLE").await?;
    settle(&worker).await?;
    say("READY");
    part.told("LEAVE").await?;
    if part.rank != 1 {
        return leave_without(&worker, "worker1").await;
    }
    let began = Instant::now();
    let outcome = worker.shutdown_with(HOW).await;
    ensure!(began.elapsed() < PATIENCE + SLACK, "{outcome:?} took {:?}", began.elapsed());
    Ok(())
}

/// Waits until this worker counts as idle, a moment after its last answer has left: who is probed before that
/// is named as busy, and the stopped worker keeps the leader from probing again.
async fn settle(worker: &Worker) -> Result<()> {
    loop {
        if worker.debug_info().agent.requests.active == 0 {
            return Ok(());
        }
        tokio::task::yield_now().await;
    }
}

async fn stop_one(stage: &mut Stage) -> Result<()> {
    stage.start().await?;
    stage.all_say("CALLED").await?;
    stage.tell_all("SETTLE").await?;
    stage.all_say("READY").await?;
    let stopped = stage.process(1)?;
    stopped.stop().await?;
    for rank in [0, 2] {
        stage.process(rank)?.tell("LEAVE").await?;
    }
    stage.these_succeed(|at| at != 1).await?;
    stopped.tell("LEAVE").await?;
    stopped.resume()?;
    stage.all_succeed().await
}
