//! Peers that are killed.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use integration::part::{Part, say};
use integration::runner::stage::Stage;
use integration::scenario::Scenario;
use rpc::prelude::*;
use rpc::{Shutdown, ShutdownError};

/// From the death of a peer to the errors of its calls.
const NOTICE: Duration = Duration::from_secs(1);

#[rpc::function(inline)]
fn ping() -> u32 {
    std::process::id()
}

#[rpc::function]
async fn hang() {
    say("RUNNING");
    std::future::pending().await
}

/// Waits for [`hang`] on worker1.
#[rpc::function]
async fn hang_via() -> Result<(), String> {
    Worker::current().rpc_async("worker1", hang, ()).await.map_err(|error| error.to_string())
}

pub(crate) fn scenarios() -> Vec<Scenario> {
    vec![
        Scenario::new("errors::peer_killed_in_flight", 3, calls_in_flight).script(kill_while_running),
        Scenario::new("errors::handle_send_exceptions", 2, calls_a_dead_peer).script(kill_then_call),
    ]
}

/// Rank 0 has calls to worker1 under way, directly and through worker2.
async fn calls_in_flight(mut part: Part) -> Result<()> {
    let worker = part.init().await?;
    if part.rank == 0 {
        let forever = worker.with_timeout(Duration::ZERO);
        let calls = [forever.rpc_async("worker1", hang, ()), forever.rpc_async("worker1", hang, ())];
        let nested = forever.rpc_async("worker2", hang_via, ());
        for call in calls {
            let error = call.await.err().context("the peer is dead")?;
            let Some(Failure::LinkLost { ran, .. }) = error.failure() else { bail!("{error}") };
            ensure!(*ran != HandlerRan::No, "it had begun to run: {error}");
            ensure!(error.to_string().contains("worker1"), "{error}");
        }
        let error = nested.await.err().context("the nested call's peer is dead")?;
        ensure!(error.handler_error().is_some_and(|text| text.contains("worker1")), "{error}");
        ensure!(worker.rpc_async("worker2", ping, ()).await.is_ok(), "the living go on");
        say("FAILED");
    }
    part.told("LEAVE").await?;
    leave_without(&worker, "worker1").await
}

async fn kill_while_running(stage: &mut Stage) -> Result<()> {
    stage.start().await?;
    let doomed = stage.process(1)?;
    doomed.says_times("RUNNING", 3).await?;
    doomed.kill()?;
    let killed = Instant::now();
    stage.process(0)?.says("FAILED").await?;
    let noticed = killed.elapsed();
    ensure!(noticed < NOTICE, "the calls failed {noticed:?} after the peer's death");
    stage.note(format!("noticed after {} ms", noticed.as_millis()));
    for survivor in [0, 2] {
        stage.process(survivor)?.tell("LEAVE").await?;
    }
    stage.these_succeed(|at| at != 1).await
}

/// Rank 0 calls worker1 only after its death: with a link that is there, and without.
async fn calls_a_dead_peer(mut part: Part) -> Result<()> {
    let worker = part.init().await?;
    if part.rank == 0 {
        let linked = std::env::var_os("WITH_LINK").is_some();
        if linked {
            worker.rpc_async("worker1", ping, ()).await?;
        }
        say("READY");
        part.told("DEAD").await?;
        for _ in 0..3 {
            let began = Instant::now();
            let error = worker.rpc_async("worker1", ping, ()).await.err().context("the peer is dead")?;
            let expected =
                matches!(error.failure(), Some(Failure::Unreachable { .. } | Failure::LinkLost { .. }));
            ensure!(expected, "{error}");
            ensure!(error.to_string().contains("worker1"), "{error}");
            ensure!(began.elapsed() < NOTICE, "after {:?}: {error}", began.elapsed());
        }
        // By now there is no doubt that nothing was sent.
        let error = worker.rpc_async("worker1", ping, ()).await.err().context("the peer is dead")?;
        ensure!(matches!(error.failure(), Some(Failure::Unreachable { .. })), "{error}");
        ensure!(error.handler_ran() == HandlerRan::No);
        return leave_without(&worker, "worker1").await;
    }
    say("READY");
    std::future::pending().await
}

async fn kill_then_call(stage: &mut Stage) -> Result<()> {
    for linked in [false, true] {
        for rank in 0..2 {
            let mut command = stage.launched(rank).await?;
            command.env("RPC_JOB_ID", format!("linked-{linked}"));
            if linked {
                command.env("WITH_LINK", "1");
            }
            stage.spawn_named(format!("worker{rank}, linked: {linked}"), &mut command)?;
        }
        let first = if linked { 2 } else { 0 };
        let (caller, doomed) = (stage.process(first)?, stage.process(first + 1)?);
        caller.says("READY").await?;
        doomed.says("READY").await?;
        doomed.kill()?;
        doomed.ended().await?;
        caller.tell("DEAD").await?;
        caller.succeeds().await?;
    }
    Ok(())
}

/// Leaves together with the others; `dead` is missed.
async fn leave_without(worker: &Worker, dead: &str) -> Result<()> {
    let how = Shutdown::Graceful { timeout: Some(Duration::from_secs(20)) };
    match worker.shutdown_with(how).await {
        Ok(report) => {
            let lost: Vec<&str> = report.lost.iter().map(|info| info.name.as_str()).collect();
            ensure!(lost == [dead], "{lost:?}");
        }
        Err(ShutdownError::TimedOut { missing, .. }) => bail!("waited for {missing:?}"),
        Err(other) => bail!("{other}"),
    }
    Ok(())
}
