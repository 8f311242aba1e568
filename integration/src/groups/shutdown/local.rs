//! `graceful = false`: local and immediate.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use integration::part::{Part, say};
use integration::runner::stage::Stage;
use integration::scenario::{Scenario, leave};
use rpc::Shutdown;
use rpc::prelude::*;

/// At once, as far as a busy machine knows the word.
const AT_ONCE: Duration = Duration::from_secs(5);

#[rpc::function(inline)]
fn ping() {}

#[rpc::function]
async fn hang() {
    say("RUNNING");
    std::future::pending().await
}

pub(crate) fn scenarios() -> Vec<Scenario> {
    vec![
        Scenario::new("shutdown::local_shutdown", 4, local_shutdown),
        Scenario::new("shutdown::local_shutdown_with_rpc", 4, local_shutdown_with_rpc),
        Scenario::new("shutdown::local_shutdown_fails_calls_in_flight", 2, in_flight).script(leave_midway),
        Scenario::new("shutdown::dropping_the_worker_is_leaving", 2, drops),
        Scenario::new("shutdown::the_rest_shuts_down_after_one_has_left", 3, one_leaves).script(one_first),
    ]
}

async fn leave_at_once(worker: &Worker) -> Result<()> {
    let began = Instant::now();
    worker.shutdown_with(Shutdown::Immediate).await?;
    ensure!(began.elapsed() < AT_ONCE, "{:?}", began.elapsed());
    Ok(())
}

async fn local_shutdown(part: Part) -> Result<()> {
    let worker = part.init().await?;
    leave_at_once(&worker).await
}

/// Others may have left already, which fails the calls to them and nothing else.
async fn local_shutdown_with_rpc(part: Part) -> Result<()> {
    let worker = part.init().await?;
    for info in worker.workers() {
        if let Err(error) = worker.rpc_async(info, ping, ()).await {
            let departed = matches!(
                error.failure(),
                Some(Failure::Departed | Failure::LinkLost { .. } | Failure::Unreachable { .. })
            );
            ensure!(departed, "{error}");
        }
    }
    leave_at_once(&worker).await
}

/// Rank 1 leaves while it serves rank 0 and is served by it.
async fn in_flight(mut part: Part) -> Result<()> {
    let worker = part.init().await?.with_timeout(Duration::ZERO);
    let call = worker.rpc_async(i64::from(1 - part.rank), hang, ());
    if part.rank == 1 {
        part.told("LEAVE").await?;
        leave_at_once(&worker).await?;
        let error = call.await.err().context("a call of a worker that has left")?;
        ensure!(error.failure() == Some(&Failure::ShutDown), "{error}");
        return Ok(());
    }
    let error = call.await.err().context("a call to a worker that has left")?;
    let Some(Failure::LinkLost { ran, .. }) = error.failure() else { bail!("{error}") };
    ensure!(*ran != HandlerRan::No, "{error}");
    let error = worker.rpc_async("worker1", ping, ()).await.err().context("a later call")?;
    ensure!(error.handler_ran() == HandlerRan::No && error.to_string().contains("worker1"), "{error}");
    leave_at_once(&worker).await
}

async fn leave_midway(stage: &mut Stage) -> Result<()> {
    stage.start().await?;
    stage.all_say("RUNNING").await?;
    stage.process(1)?.tell("LEAVE").await?;
    stage.all_succeed().await
}

async fn drops(part: Part) -> Result<()> {
    let worker = part.init().await?;
    if part.rank == 1 {
        let clone = worker.clone();
        drop(worker);
        clone.rpc_async("worker0", ping, ()).await?;
        drop(clone);
        return Ok(());
    }
    // Calls go through until it has left, and say so from then on.
    let error = loop {
        if let Err(error) = worker.rpc_async("worker1", ping, ()).await {
            break error;
        }
    };
    ensure!(error.to_string().contains("worker1"), "{error}");
    leave(&worker).await.or_else(|error| match error.to_string().contains("worker1") {
        // It may have been gone before it could say goodbye.
        true => Ok(()),
        false => Err(error),
    })
}

/// Rank 0, which would lead, leaves alone; the others leave together.
async fn one_leaves(mut part: Part) -> Result<()> {
    let worker = part.init().await?;
    if part.rank == 0 {
        return leave_at_once(&worker).await;
    }
    part.told("LEAVE").await?;
    let began = Instant::now();
    // Whether one that left without links to all others is missed depends on who knows of it.
    let report = worker.shutdown().await?;
    ensure!(report.lost.iter().all(|info| info.name.as_str() == "worker0"), "{:?}", report.lost);
    ensure!(began.elapsed() < AT_ONCE, "{:?}", began.elapsed());
    Ok(())
}

async fn one_first(stage: &mut Stage) -> Result<()> {
    stage.start().await?;
    stage.process(0)?.succeeds().await?;
    for rank in [1, 2] {
        stage.process(rank)?.tell("LEAVE").await?;
    }
    stage.all_succeed().await
}
