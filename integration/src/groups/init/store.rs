//! Stores that are not what they should be: somebody else's, nobody's, late.

use std::time::{Duration, Instant};

use anyhow::{Result, bail, ensure};
use integration::part::{Part, say, variable};
use integration::runner::stage::{Stage, retire};
use integration::scenario::{Scenario, leave};
use rpc::prelude::*;
use rpc::rpc_core::StoreError;
use tokio::io::AsyncWriteExt;

/// How long the workers here are willing to wait.
const PATIENCE: Duration = Duration::from_millis(1500);
/// How much longer than that an error may take.
const SLACK: Duration = Duration::from_secs(10);

#[rpc::function(inline)]
fn ping() {}

pub(crate) fn scenarios() -> Vec<Scenario> {
    vec![
        Scenario::new("init::port_taken", 2, no_store).script(port_taken),
        Scenario::new("init::port_taken_by_a_silent_service", 2, no_store).script(port_taken_silently),
        Scenario::new("init::store_unreachable", 2, store_unreachable).script(nobody_hosts),
        Scenario::new("init::store_reachable_late", 2, waits_for_the_store).script(host_late),
        Scenario::new("init::store_starts_after_the_workers", 3, waits_for_the_store).script(rank_0_last),
    ]
}

/// Rank 0 has to host the store where another service is, and rank 1 would be its client: both are told whose
/// port it is.
async fn no_store(part: Part) -> Result<()> {
    let began = Instant::now();
    match part.builder().init_timeout(PATIENCE).init().await {
        // Where TLS is asked for, who answers without it is told apart no further.
        Err(InitError::Store(error @ (StoreError::NotAStore { .. } | StoreError::Denied { .. }))) => {
            ensure!(error.to_string().contains(&variable("MASTER_PORT")?), "{error}");
        }
        other => bail!("{other:?}"),
    }
    ensure!(began.elapsed() < PATIENCE + SLACK, "{:?}", began.elapsed());
    Ok(())
}

async fn port_taken(stage: &mut Stage) -> Result<()> {
    let service = stage.listener().await?;
    let port = service.local_addr()?.port();
    start_at(stage, port, &[0, 1])?;
    let serve = async {
        loop {
            let (mut client, _) = service.accept().await?;
            // The client may close before it has read all of this.
            let _ = client.write_all(b"220 mail.example ESMTP ready\r\n").await;
        }
    };
    tokio::select! {
        succeeded = stage.all_succeed() => succeeded,
        stopped = serve => stopped,
    }
}

async fn port_taken_silently(stage: &mut Stage) -> Result<()> {
    let service = stage.listener().await?;
    start_at(stage, service.local_addr()?.port(), &[0, 1])?;
    stage.all_succeed().await
}

fn start_at(stage: &mut Stage, port: u16, ranks: &[u32]) -> Result<()> {
    for &rank in ranks {
        let mut command = stage.at(rank, port);
        stage.spawn(rank, &mut command)?;
    }
    Ok(())
}

async fn store_unreachable(part: Part) -> Result<()> {
    let began = Instant::now();
    match part.builder().init_timeout(PATIENCE).init().await {
        Err(InitError::Store(error @ StoreError::Unreachable { .. })) => {
            ensure!(error.to_string().contains(&variable("MASTER_PORT")?), "{error}");
        }
        other => bail!("{other:?}"),
    }
    let took = began.elapsed();
    ensure!(took + Duration::from_millis(500) >= PATIENCE, "it gave up after {took:?}");
    ensure!(took < PATIENCE + SLACK, "{took:?}");
    Ok(())
}

/// Rank 0 never comes, nor does the launcher's store for the other one.
async fn nobody_hosts(stage: &mut Stage) -> Result<()> {
    let port = stage.free_port()?;
    start_at(stage, port, &[1])?;
    let mut command = stage.at(0, port);
    stage.spawn(0, command.env("RPC_STORE_HOSTED", "1"))?;
    stage.all_succeed().await
}

async fn waits_for_the_store(part: Part) -> Result<()> {
    say("STARTING");
    let worker = part.init().await?;
    for info in worker.workers() {
        worker.rpc_async(info, ping, ()).await?;
    }
    leave(&worker).await
}

/// Both workers have knocked at the port before there is a store.
async fn host_late(stage: &mut Stage) -> Result<()> {
    let stand_in = stage.listener().await?;
    let port = stand_in.local_addr()?.port();
    for rank in 0..2 {
        let mut command = stage.at(rank, port);
        stage.spawn(rank, command.env("RPC_STORE_HOSTED", "1"))?;
    }
    // Each of them waits for an answer, so two connections are two workers.
    let knocks = [stand_in.accept().await?, stand_in.accept().await?];
    drop(knocks);
    retire(stand_in)?;
    stage.host_store_at(port).await?;
    stage.all_succeed().await
}

/// Rank 0, which hosts the store, is started when the others are under way.
async fn rank_0_last(stage: &mut Stage) -> Result<()> {
    let port = stage.free_port()?;
    start_at(stage, port, &[1, 2])?;
    stage.all_say("STARTING").await?;
    start_at(stage, port, &[0])?;
    stage.all_succeed().await
}
